//! The load: `laminarmq bench`, the same for the broker and for the limit programs.

use std::net::SocketAddr;
use std::process::{Command, Stdio};

use laminarmq_testkit::laminarmq;
use serde_json::Value;

use crate::report::Measure;

/// What one run sends or reads.
#[derive(Debug, Clone, Copy)]
pub struct Load {
    /// How many records.
    pub records: u64,
    /// Bytes of each record's value.
    pub record_bytes: u64,
    /// How many records a batch has.
    pub batch_records: u64,
    /// How many batches are under way at once.
    pub in_flight: u64,
    /// Records per second; none: as fast as it goes.
    pub rate: Option<u64>,
}

/// What all runs of a comparison have in common.
#[derive(Debug, Clone, Copy, clap::Args)]
pub struct Batches {
    /// Bytes of each value.
    #[arg(long, default_value_t = 1024)]
    pub record_bytes: u64,
    /// Records in each batch.
    #[arg(long, default_value_t = 1000)]
    pub batch_records: u64,
    /// Batches under way at once.
    #[arg(long, default_value_t = 5)]
    pub in_flight: u64,
}

impl Batches {
    /// So many records in such batches, as fast as it goes.
    #[must_use]
    pub fn load(&self, records: u64) -> Load {
        Load {
            records,
            record_bytes: self.record_bytes,
            batch_records: self.batch_records,
            in_flight: self.in_flight,
            rate: None,
        }
    }
}

/// A run of the generator, and what it says besides the measurement.
#[derive(Debug, Clone)]
pub struct Run {
    /// The measurement.
    pub measure: Measure,
    /// How many bytes were measured.
    pub bytes: u64,
    /// What an answer meant.
    pub meaning: String,
}

impl Load {
    /// Produces into a topic of its own; everything is read back and compared.
    ///
    /// # Errors
    /// When the generator fails, or what it read back is not what it sent.
    pub fn produce(&self, broker: SocketAddr, flush: &str) -> Result<Run, String> {
        let mut command = self.command();
        command.args([
            "--mode",
            "produce",
            "--acks",
            "all",
            "--flush",
            flush,
            "--brokers",
            &broker.to_string(),
        ]);
        let report = run(&mut command)?;
        read_back(&report)?;
        measured(&report, "produced", "value_bytes", "latency_us")
    }

    /// Produces into a topic that is there, and leaves it.
    ///
    /// # Errors
    /// As [`Self::produce`].
    pub fn fill(&self, broker: SocketAddr, topic: &str) -> Result<Run, String> {
        let mut command = self.command();
        command.args(["--mode", "produce", "--acks", "all", "--topic", topic]);
        command.args(["--brokers", &broker.to_string()]);
        let report = run(&mut command)?;
        read_back(&report)?;
        measured(&report, "produced", "value_bytes", "latency_us")
    }

    /// Fills a topic of its own, then reads it; what the consumer reads is counted, and what was written
    /// is compared afterwards.
    ///
    /// # Errors
    /// As [`Self::produce`].
    pub fn consume(&self, broker: SocketAddr) -> Result<Run, String> {
        let mut command = self.command();
        // The limit does not look at the bytes either.
        command.args([
            "--mode",
            "consume",
            "--check",
            "none",
            "--flush",
            "os",
            "--brokers",
            &broker.to_string(),
        ]);
        let report = run(&mut command)?;
        let consumed = &report["consumed"]["records"];
        if consumed.as_u64() != Some(self.records) {
            return Err(format!("consumed {consumed} of {} records", self.records));
        }
        let run = measured(&report, "consumed", "batch_bytes", "fetch_latency_us")?;
        let meaning = "batches as they are stored; the generator looks at their heads and counts";
        Ok(Run {
            meaning: meaning.to_owned(),
            ..run
        })
    }

    /// Sends the same frames to a limit program.
    ///
    /// # Errors
    /// When the generator fails.
    pub fn sink(&self, limit: SocketAddr) -> Result<Run, String> {
        let mut command = self.command();
        command.args(["--raw-sink", &limit.to_string()]);
        measured(&run(&mut command)?, "produced", "value_bytes", "latency_us")
    }

    fn command(&self) -> Command {
        let mut command = laminarmq();
        command.args([
            "bench",
            "--json",
            "--producers",
            "1",
            "--consumers",
            "1",
            "--partitions",
            "1",
        ]);
        command.args(["--records", &self.records.to_string()]);
        command.args(["--record-size", &self.record_bytes.to_string()]);
        command.args(["--batch-size", &self.batch_records.to_string()]);
        command.args(["--in-flight", &self.in_flight.to_string()]);
        if let Some(rate) = self.rate {
            command.args(["--rate", &rate.to_string()]);
        }
        command
    }
}

/// Reads so many bytes from a limit program.
///
/// # Errors
/// When the generator fails, or gets fewer bytes.
pub fn source(limit: SocketAddr, bytes: u64) -> Result<Run, String> {
    let mut command = laminarmq();
    command.args([
        "bench",
        "--json",
        "--raw-source",
        &limit.to_string(),
        "--bytes",
        &bytes.to_string(),
    ]);
    let run = measured(&run(&mut command)?, "raw_read", "bytes", "")?;
    if run.bytes == bytes {
        Ok(run)
    } else {
        Err(format!("read {} of {bytes} bytes", run.bytes))
    }
}

fn run(command: &mut Command) -> Result<Value, String> {
    let shown = format!("{command:?}");
    let done = command
        .stdin(Stdio::null())
        .output()
        .map_err(|error| format!("{shown}: {error}"))?;
    let stderr = String::from_utf8_lossy(&done.stderr);
    if !done.status.success() {
        return Err(format!("{shown}: {}: {stderr}", done.status));
    }
    serde_json::from_slice(&done.stdout)
        .map_err(|error| format!("{shown} printed no JSON: {error}"))
}

fn read_back(report: &Value) -> Result<(), String> {
    if report["read_back"]["ok"] == true {
        Ok(())
    } else {
        Err(format!(
            "not everything was read back: {}",
            report["read_back"]
        ))
    }
}

fn measured(report: &Value, part: &str, bytes: &str, latency: &str) -> Result<Run, String> {
    let found = &report[part];
    let missing = || format!("no {part} in {report}");
    let bytes = found[bytes].as_u64().ok_or_else(missing)?;
    let seconds = found["seconds"].as_f64().ok_or_else(missing)?;
    let latency = &found[latency];
    let latency = latency["p50"].as_f64().zip(latency["p99"].as_f64());
    #[expect(
        clippy::cast_precision_loss,
        reason = "a rate needs no more than 52 bits"
    )]
    let rate = bytes as f64 / seconds;
    let meaning = report["ack_means"].as_str().unwrap_or_default().to_owned();
    Ok(Run {
        measure: Measure { rate, latency },
        bytes,
        meaning,
    })
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn a_report_is_read() {
        let report = json!({
            "ack_means": "on disk",
            "produced": {"value_bytes": 3000, "seconds": 2.0, "latency_us": {"p50": 5, "p99": 7}},
            "raw_read": {"bytes": 10, "seconds": 4.0},
            "read_back": {"ok": true},
        });
        let run = measured(&report, "produced", "value_bytes", "latency_us").expect("all there");
        assert_eq!(
            run.measure,
            Measure {
                rate: 1500.0,
                latency: Some((5.0, 7.0))
            }
        );
        assert_eq!((run.bytes, run.meaning.as_str()), (3000, "on disk"));
        let run = measured(&report, "raw_read", "bytes", "").expect("all there");
        assert_eq!(
            run.measure,
            Measure {
                rate: 2.5,
                latency: None
            }
        );
        assert!(measured(&report, "consumed", "batch_bytes", "").is_err());
        read_back(&report).expect("ok");
        read_back(&json!({"read_back": {"ok": false}})).expect_err("not ok");
        read_back(&json!({})).expect_err("not said");
    }
}
