//! A log in ten lines: `cargo run --example embed`. Run it again, and the records of the first time are still there.

use laminarmq::{Append, Log, poll_ready};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let mut log = Log::open("example-log")?;
    for value in ["hello", "world"] {
        let value: &[&[u8]] = &[value.as_bytes()];
        poll_ready(log.append(Append {
            value,
            ..Append::default()
        }))?;
    }
    poll_ready(log.sync())?; // from here on they survive a power cut
    let mut records = log.stream(..)?;
    while let Some(record) = poll_ready(records.next())? {
        println!(
            "{}: {}",
            record.index,
            String::from_utf8_lossy(record.value)
        );
    }
    Ok(())
}
