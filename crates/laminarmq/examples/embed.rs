//! A log in ten lines: `cargo run -p laminarmq --example embed [DIR]`

use laminarmq::{Append, Log, poll_ready};

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let dir = std::env::args()
        .nth(1)
        .unwrap_or_else(|| "example-log".into());
    let mut log = Log::open(dir)?;
    let index = poll_ready(log.append(Append {
        value: &[b"hello"],
        ..Append::default()
    }))?;
    poll_ready(log.sync())?; // from here on a power cut does not take it
    for record in poll_ready(log.read_range(log.start_index()..log.end_index(), 1 << 20))? {
        println!(
            "{}: {}",
            record.index,
            String::from_utf8_lossy(&record.value)
        );
    }
    println!(
        "appended {index}; the log is durable up to {}",
        log.durable_index()
    );
    poll_ready(log.close())?;
    Ok(())
}
