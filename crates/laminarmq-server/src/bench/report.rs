//! What a run measured, for people and as JSON.

use std::time::Duration;

use hdrhistogram::Histogram;
use serde_json::{Map, Value, json};

use super::tally::Verdict;
use crate::output::human;

/// Latencies are counted in microseconds, up to an hour, to three digits.
const MICROS_MAX: u64 = 3_600_000_000;
const DIGITS: u8 = 3;
const PERCENTILES: [(&str, f64); 4] =
    [("p50", 50.0), ("p90", 90.0), ("p99", 99.0), ("p99.9", 99.9)];

/// An empty histogram; all have this shape.
pub(super) fn histogram() -> Histogram<u64> {
    Histogram::new_with_bounds(1, MICROS_MAX, DIGITS).expect("bounds that the crate allows")
}

pub(super) fn record(histogram: &mut Histogram<u64>, latency: Duration) {
    let micros = u64::try_from(latency.as_micros()).unwrap_or(MICROS_MAX);
    histogram.saturating_record(micros.clamp(1, MICROS_MAX));
}

/// What the producers did.
#[derive(Debug, Clone)]
pub(super) struct Produced {
    pub(super) records: u64,
    pub(super) value_bytes: u64,
    /// With everything around the values.
    pub(super) wire_bytes: u64,
    /// From the start to the last answer.
    pub(super) elapsed: Duration,
    /// Of batches; empty where nothing was answered.
    pub(super) latency: Histogram<u64>,
}

/// What the consumers did.
#[derive(Debug, Clone)]
pub(super) struct Consumed {
    pub(super) records: u64,
    pub(super) batch_bytes: u64,
    pub(super) wire_bytes: u64,
    /// From the start to the last record.
    pub(super) elapsed: Duration,
    /// Of fetches.
    pub(super) latency: Histogram<u64>,
    /// Of batches, from when they were due to when they arrived.
    pub(super) end_to_end: Option<Histogram<u64>>,
}

impl Default for Consumed {
    fn default() -> Self {
        Self {
            records: 0,
            batch_bytes: 0,
            wire_bytes: 0,
            elapsed: Duration::ZERO,
            latency: histogram(),
            end_to_end: None,
        }
    }
}

impl Consumed {
    pub(super) fn merge(&mut self, other: Self) {
        let add = |into: &mut Histogram<u64>, other: Histogram<u64>| {
            into.add(other).expect("histograms of one shape");
        };
        self.records += other.records;
        self.batch_bytes += other.batch_bytes;
        self.wire_bytes += other.wire_bytes;
        self.elapsed = self.elapsed.max(other.elapsed);
        add(&mut self.latency, other.latency);
        if let Some(other) = other.end_to_end {
            add(self.end_to_end.get_or_insert_with(histogram), other);
        }
    }
}

/// Everything that a run has to say.
#[derive(Debug, Default)]
pub(super) struct Report {
    /// What ran, in words.
    pub(super) title: String,
    /// What an acknowledgement meant.
    pub(super) ack: Option<String>,
    pub(super) rate: Option<u64>,
    pub(super) produced: Option<Produced>,
    pub(super) consumed: Option<Consumed>,
    pub(super) verdict: Option<Verdict>,
    /// Bytes from a plain sender, and in what time.
    pub(super) raw_read: Option<(u64, Duration)>,
}

impl Report {
    pub(super) fn lines(&self) -> Vec<String> {
        let mut lines = vec![self.title.clone()];
        if let Some(ack) = &self.ack {
            lines.push(format!("ack        {ack}"));
        }
        if let Some(produced) = &self.produced {
            lines.push(String::new());
            lines.push(throughput(
                "produced",
                produced.records,
                produced.value_bytes,
                produced.elapsed,
            ));
            let from = match self.rate {
                Some(_) => "from when a batch was due to its ack",
                None => "from when a batch was sent to its ack",
            };
            latency(&mut lines, from, &produced.latency);
        }
        if let Some(consumed) = &self.consumed {
            lines.push(String::new());
            lines.push(throughput(
                "consumed",
                consumed.records,
                consumed.batch_bytes,
                consumed.elapsed,
            ));
            latency(
                &mut lines,
                "of a fetch, with its wait for records",
                &consumed.latency,
            );
            if let Some(end_to_end) = &consumed.end_to_end {
                let from = match self.rate {
                    Some(_) => "from when a batch was due to its arrival",
                    None => "from when a batch was made to its arrival",
                };
                latency(&mut lines, from, end_to_end);
            }
        }
        if let Some((bytes, elapsed)) = self.raw_read {
            lines.push(String::new());
            lines.push(format!(
                "read       {} in {}: {}/s",
                human::bytes(bytes),
                human::duration(elapsed),
                human::bytes(human::per_second(bytes, elapsed)),
            ));
        }
        if let Some(verdict) = &self.verdict {
            lines.push(String::new());
            lines.push(format!("read back  {}", in_words(verdict)));
        }
        lines
    }

    pub(super) fn json(&self) -> Value {
        let mut object = Map::new();
        let mut put = |name: &str, value: Value| object.insert(name.to_owned(), value);
        put("title", json!(self.title));
        if let Some(ack) = &self.ack {
            put("ack_means", json!(ack));
        }
        if let Some(rate) = self.rate {
            put("rate", json!(rate));
        }
        if let Some(produced) = &self.produced {
            put(
                "produced",
                json!({
                    "records": produced.records,
                    "value_bytes": produced.value_bytes,
                    "wire_bytes": produced.wire_bytes,
                    "seconds": produced.elapsed.as_secs_f64(),
                    "records_per_second": human::per_second(produced.records, produced.elapsed),
                    "bytes_per_second": human::per_second(produced.value_bytes, produced.elapsed),
                    "latency_us": latency_json(&produced.latency),
                }),
            );
        }
        if let Some(consumed) = &self.consumed {
            put(
                "consumed",
                json!({
                    "records": consumed.records,
                    "batch_bytes": consumed.batch_bytes,
                    "wire_bytes": consumed.wire_bytes,
                    "seconds": consumed.elapsed.as_secs_f64(),
                    "records_per_second": human::per_second(consumed.records, consumed.elapsed),
                    "bytes_per_second": human::per_second(consumed.batch_bytes, consumed.elapsed),
                    "fetch_latency_us": latency_json(&consumed.latency),
                    "end_to_end_latency_us": consumed.end_to_end.as_ref().map(latency_json),
                }),
            );
        }
        if let Some((bytes, elapsed)) = self.raw_read {
            put(
                "raw_read",
                json!({
                    "bytes": bytes,
                    "seconds": elapsed.as_secs_f64(),
                    "bytes_per_second": human::per_second(bytes, elapsed),
                }),
            );
        }
        if let Some(verdict) = &self.verdict {
            put(
                "read_back",
                json!({
                    "acknowledged": verdict.sent,
                    "found": verdict.found,
                    "missing": verdict.sent.saturating_sub(verdict.found),
                    "doubled": verdict.doubled,
                    "altered": verdict.altered,
                    "foreign": verdict.foreign,
                    "ok": verdict.is_good(),
                }),
            );
        }
        Value::Object(object)
    }
}

fn throughput(verb: &str, records: u64, bytes: u64, elapsed: Duration) -> String {
    format!(
        "{verb:<9}  {} in {}: {} records/s, {}/s",
        human::plural(records, "record"),
        human::duration(elapsed),
        human::count(human::per_second(records, elapsed)),
        human::bytes(human::per_second(bytes, elapsed)),
    )
}

/// Two lines under a heading, or nothing for an empty histogram.
fn latency(lines: &mut Vec<String>, what: &str, histogram: &Histogram<u64>) {
    if histogram.is_empty() {
        return;
    }
    lines.push(format!(
        "latency    {what} ({})",
        human::count(histogram.len())
    ));
    let cells: Vec<(&str, String)> = percentiles(histogram)
        .map(|(name, micros)| (name, human::duration(Duration::from_micros(micros))))
        .collect();
    let join = |pick: fn(&(&str, String)) -> String| {
        cells
            .iter()
            .map(|cell| format!("{:>9}", pick(cell)))
            .collect::<Vec<_>>()
            .join(" ")
    };
    lines.push(format!(
        "           {}",
        join(|(name, _)| (*name).to_owned())
    ));
    lines.push(format!("           {}", join(|(_, value)| value.clone())));
}

fn percentiles(histogram: &Histogram<u64>) -> impl Iterator<Item = (&'static str, u64)> {
    let some =
        PERCENTILES.map(|(name, percentile)| (name, histogram.value_at_percentile(percentile)));
    some.into_iter().chain([("max", histogram.max())])
}

fn latency_json(histogram: &Histogram<u64>) -> Value {
    if histogram.is_empty() {
        return Value::Null;
    }
    let mut object = Map::new();
    object.insert(String::from("count"), json!(histogram.len()));
    for (name, micros) in percentiles(histogram) {
        object.insert(name.to_owned(), json!(micros));
    }
    Value::Object(object)
}

fn in_words(verdict: &Verdict) -> String {
    let Verdict {
        sent,
        found,
        doubled,
        altered,
        foreign,
    } = *verdict;
    let mut text = format!(
        "{} of {}",
        human::count(found),
        human::plural(sent, "record")
    );
    if verdict.is_good() {
        text.push_str(", each once, with the bytes that were sent");
    } else {
        let wrong = [
            (sent.saturating_sub(found), "MISSING"),
            (found.saturating_sub(sent), "NEVER ACKNOWLEDGED"),
            (doubled, "DOUBLED"),
            (altered, "ALTERED"),
        ];
        for (count, what) in wrong.into_iter().filter(|(count, _)| *count > 0) {
            text.push_str(&format!(", {} {what}", human::count(count)));
        }
    }
    if foreign > 0 {
        text.push_str(&format!(
            " ({} of others beside them)",
            human::count(foreign)
        ));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    fn filled(micros: impl Iterator<Item = u64>) -> Histogram<u64> {
        let mut histogram = histogram();
        for micros in micros {
            record(&mut histogram, Duration::from_micros(micros));
        }
        histogram
    }

    #[test]
    fn percentiles_are_those_of_the_samples() {
        let histogram = filled(1..=1000);
        let cells: Vec<_> = percentiles(&histogram).collect();
        assert_eq!(
            cells,
            [
                ("p50", 500),
                ("p90", 900),
                ("p99", 990),
                ("p99.9", 1000),
                ("max", 1000)
            ]
        );
    }

    #[test]
    fn a_latency_beyond_the_bounds_still_counts() {
        let histogram = filled([0, u64::MAX].into_iter());
        assert_eq!(histogram.len(), 2);
        assert!(histogram.max() >= MICROS_MAX);
    }

    #[test]
    fn a_report_reads_well() {
        let report = Report {
            title: String::from("1 producer"),
            ack: Some(String::from("on the disk")),
            rate: None,
            produced: Some(Produced {
                records: 2_000_000,
                value_bytes: 2_000_000 * 1024,
                wire_bytes: 2_100_000_000,
                elapsed: Duration::from_secs(2),
                latency: filled(1..=1000),
            }),
            verdict: Some(Verdict {
                sent: 2_000_000,
                found: 2_000_000,
                doubled: 0,
                altered: 0,
                foreign: 0,
            }),
            ..Report::default()
        };
        assert_eq!(
            report.lines().join("\n"),
            "1 producer\n\
             ack        on the disk\n\
             \n\
             produced   2 000 000 records in 2.00 s: 1 000 000 records/s, 976.6 MiB/s\n\
             latency    from when a batch was sent to its ack (1 000)\n           \
             \x20     p50       p90       p99     p99.9       max\n           \
             \x20  500 us    900 us    990 us   1.00 ms   1.00 ms\n\
             \n\
             read back  2 000 000 of 2 000 000 records, each once, with the bytes that were sent"
        );
        let json = report.json();
        assert_eq!(json["produced"]["records_per_second"], 1_000_000);
        assert_eq!(json["produced"]["latency_us"]["p99"], 990);
        assert_eq!(json["read_back"]["ok"], true);
    }

    #[test]
    fn what_is_wrong_is_loud() {
        let verdict = Verdict {
            sent: 100,
            found: 97,
            doubled: 2,
            altered: 1,
            foreign: 5,
        };
        assert_eq!(
            in_words(&verdict),
            "97 of 100 records, 3 MISSING, 2 DOUBLED, 1 ALTERED (5 of others beside them)"
        );
    }
}
