//! Pairs of measurements, and the tables made of them.

use std::fmt::Write as _;

/// One run of the generator.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Measure {
    /// Bytes per second: of record values when producing, of batches when consuming.
    pub rate: f64,
    /// Latency in microseconds, of a batch or a fetch: the median and the 99th percentile. `None` where
    /// the run has no answers to wait for.
    pub latency: Option<(f64, f64)>,
}

/// The broker's run and the limit's, taken one right after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// What the broker did.
    pub broker: Measure,
    /// What the limit program did.
    pub limit: Measure,
}

impl Pair {
    fn ratio(&self) -> f64 {
        self.broker.rate / self.limit.rate
    }
}

/// All pairs of one kind of run.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What was done.
    pub name: &'static str,
    /// What an answer meant for the broker.
    pub broker_meaning: String,
    /// The same for the limit program.
    pub limit_meaning: &'static str,
    /// The measurements, in the order taken.
    pub pairs: Vec<Pair>,
}

/// The middle value; of an even number of values the mean of the two in the middle.
///
/// # Panics
/// Without a value.
#[must_use]
pub fn median(values: impl IntoIterator<Item = f64>) -> f64 {
    let mut sorted: Vec<f64> = values.into_iter().collect();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        f64::midpoint(sorted[middle - 1], sorted[middle])
    }
}

impl Comparison {
    /// The median of the pairs' ratios: broker to limit.
    #[must_use]
    pub fn median_ratio(&self) -> f64 {
        median(self.pairs.iter().map(Pair::ratio))
    }

    fn rate(&self, side: fn(&Pair) -> &Measure) -> f64 {
        median(self.pairs.iter().map(|pair| side(pair).rate)) / 1e6
    }

    /// Medians of the two latencies, in milliseconds.
    fn latency(&self, side: fn(&Pair) -> &Measure) -> String {
        let latencies: Option<Vec<_>> = self.pairs.iter().map(|pair| side(pair).latency).collect();
        latencies.map_or_else(
            || "-".to_owned(),
            |latencies| {
                let p50 = median(latencies.iter().map(|latency| latency.0));
                let p99 = median(latencies.iter().map(|latency| latency.1));
                format!("{:.2} / {:.2}", p50 / 1e3, p99 / 1e3)
            },
        )
    }
}

/// Markdown: a table with one line for each comparison, what an answer meant, and every value.
#[must_use]
pub fn markdown(comparisons: &[Comparison]) -> String {
    let mut text = String::new();
    let mut line = |line: String| writeln!(text, "{line}").expect("a string takes everything");
    line("| run | broker, MB/s | limit, MB/s | broker to limit | broker p50 / p99, ms | limit p50 / p99, ms |".to_owned());
    line("|---|---|---|---|---|---|".to_owned());
    for comparison in comparisons {
        line(format!(
            "| {} | {:.0} | {:.0} | {:.0} % | {} | {} |",
            comparison.name,
            comparison.rate(|pair| &pair.broker),
            comparison.rate(|pair| &pair.limit),
            comparison.median_ratio() * 100.0,
            comparison.latency(|pair| &pair.broker),
            comparison.latency(|pair| &pair.limit),
        ));
    }
    line(
        "\nMedians; the ratio is the median of the pairs' ratios. MB = 1 000 000 bytes.\n"
            .to_owned(),
    );
    for Comparison {
        name,
        broker_meaning,
        limit_meaning,
        ..
    } in comparisons
    {
        line(format!(
            "- {name}, what an answer meant. Broker: {broker_meaning}. Limit: {limit_meaning}."
        ));
    }
    line("\nAll values, broker / limit in MB/s, in the order measured:\n".to_owned());
    for Comparison { name, pairs, .. } in comparisons {
        let show = |pair: &Pair| {
            let Pair { broker, limit } = pair;
            format!(
                "{:.0} / {:.0} ({:.0} %)",
                broker.rate / 1e6,
                limit.rate / 1e6,
                pair.ratio() * 100.0
            )
        };
        let values: Vec<_> = pairs.iter().map(show).collect();
        line(format!("- {name}: {}", values.join(", ")));
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median([3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median([4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median([7.0]), 7.0);
    }

    #[test]
    fn the_ratio_is_the_median_of_the_pairs_ratios() {
        let measure = |rate, latency| Measure { rate, latency };
        let pair = |broker, limit, p50| Pair {
            broker: measure(broker, Some((p50, 4000.0))),
            limit: measure(limit, None),
        };
        let comparison = Comparison {
            name: "produce",
            broker_meaning: "written".to_owned(),
            limit_meaning: "written, too",
            pairs: vec![
                pair(50e6, 100e6, 1000.0),
                pair(10e6, 100e6, 3000.0),
                pair(90e6, 300e6, 2000.0),
            ],
        };
        assert_eq!(comparison.median_ratio(), 0.3);
        let text = markdown(&[comparison]);
        for line in [
            "| produce | 50 | 100 | 30 % | 2.00 / 4.00 | - |\n",
            "- produce, what an answer meant. Broker: written. Limit: written, too.\n",
            "- produce: 50 / 100 (50 %), 10 / 100 (10 %), 90 / 300 (30 %)\n",
        ] {
            assert!(text.contains(line), "{text}");
        }
    }
}
