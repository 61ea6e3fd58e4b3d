//! `laminarmq produce`: lines in, records out.

mod input;

use std::path::PathBuf;
use std::time::Duration;

use clap::{Args, ValueEnum};
use laminarmq_kafka::batch::{Compression, NewRecord};
use serde_json::{Value, json};
use tokio::time::timeout;

use self::input::{Chunk, Input, InputOptions};
use super::consume::format::parse_delimiter;
use super::interrupt::Interrupt;
use super::{BrokerArgs, JsonArgs};
use crate::client::{Acks, Missing, Producer, ProducerOptions, Summary};
use crate::clock;
use crate::config::quantity;
use crate::failure::Failure;
use crate::output::progress::{Progress, Unit};
use crate::output::{self, Out, human};

pub(super) const EXAMPLES: &str = "\
Examples:
  echo hello | laminarmq produce greetings
  laminarmq produce orders -k customer-7 -H source:web order.json
  laminarmq produce events -z zstd --acks 1 < events.ndjson
  printf 'k1=v1\\nk2=v2\\n' | laminarmq produce pairs -K =
  find . -print0 | laminarmq produce files -D '\\0' -p 0

Each line is a record. With -K a line is split at the delimiter into key and value.
An acknowledgement of `--acks all` means: on the disks of a quorum, unless the topic
was created with flush=os.";

/// Largest `--batch-bytes`: what a broker may be set up to take.
const BATCH_BYTES_MAX: u64 = 64 << 20;

#[derive(Debug, Args)]
pub(super) struct ProduceArgs {
    /// The topic; created if missing, where the broker allows it
    topic: String,
    /// File with the records [default: standard input]
    file: Option<PathBuf>,
    /// Key of every record
    #[arg(short, long, conflicts_with = "key_delimiter")]
    key: Option<String>,
    /// A header of every record; may be repeated
    #[arg(short = 'H', long = "header", value_name = "NAME:VALUE", value_parser = parse_header)]
    headers: Vec<(String, String)>,
    /// Partition of every record [default: by key, else in turn]
    #[arg(short, long, value_name = "N")]
    partition: Option<u32>,
    /// Who must have a record: 0 nobody, 1 the leader, `all` a quorum
    #[arg(long, value_name = "0|1|all", default_value = "all", value_parser = parse_acks)]
    acks: Acks,
    /// How batches are compressed
    #[arg(short = 'z', long, value_name = "CODEC", default_value = "none")]
    compression: Codec,
    /// What ends a record, with the escapes \n \t \0 \xNN
    #[arg(short = 'D', long, value_name = "TEXT", default_value = "\\n", value_parser = delimiter)]
    delimiter: Delimiter,
    /// What stands between key and value, with the same escapes
    #[arg(short = 'K', long, value_name = "TEXT", value_parser = delimiter)]
    key_delimiter: Option<Delimiter>,
    /// Send an empty value as null (a tombstone), and with -K an empty key as none
    #[arg(short = 'Z', long)]
    null_empty: bool,
    /// How long a record waits for others to share its batch
    #[arg(long, value_name = "TIME", default_value = "5ms", value_parser = quantity::parse_duration)]
    linger: Duration,
    /// Size that a batch does not grow beyond
    #[arg(long, value_name = "SIZE", default_value = "1MiB", value_parser = parse_batch_bytes)]
    batch_bytes: usize,
    /// Do not print what was written
    #[arg(short, long)]
    quiet: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(super) json: JsonArgs,
}

/// The codecs of record batches, as flags name them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Codec {
    None,
    Gzip,
    Snappy,
    Lz4,
    Zstd,
}

impl From<Codec> for Compression {
    fn from(codec: Codec) -> Self {
        match codec {
            Codec::None => Self::None,
            Codec::Gzip => Self::Gzip,
            Codec::Snappy => Self::Snappy,
            Codec::Lz4 => Self::Lz4,
            Codec::Zstd => Self::Zstd,
        }
    }
}

/// Bytes; a type of its own, since clap takes a plain list for several values.
#[derive(Debug, Clone)]
struct Delimiter(Vec<u8>);

fn delimiter(text: &str) -> Result<Delimiter, String> {
    parse_delimiter(text).map(Delimiter)
}

fn parse_header(text: &str) -> Result<(String, String), String> {
    match text.split_once(':') {
        Some((name, value)) if !name.is_empty() => Ok((name.to_owned(), value.to_owned())),
        _ => Err(format!("`{text}` is not NAME:VALUE")),
    }
}

pub(super) fn parse_acks(text: &str) -> Result<Acks, String> {
    match text {
        "0" => Ok(Acks::None),
        "1" => Ok(Acks::Leader),
        "all" | "-1" => Ok(Acks::All),
        _ => Err(format!("`{text}` is none of `0`, `1` or `all`")),
    }
}

fn parse_batch_bytes(text: &str) -> Result<usize, String> {
    let bytes = quantity::parse_bytes(text)?;
    let bytes = Some(bytes).filter(|bytes| (1..=BATCH_BYTES_MAX).contains(bytes));
    let bytes = bytes.and_then(|bytes| usize::try_from(bytes).ok());
    bytes.ok_or_else(|| {
        let max = quantity::exact_bytes(BATCH_BYTES_MAX);
        format!("`{text}` is not between 1 and {max}")
    })
}

pub(super) async fn run(args: ProduceArgs) -> Result<(), Failure> {
    // Before anything is read: what was read is sent, also after Ctrl-C.
    let mut interrupt = Interrupt::listen()?;
    // The file before the broker: a wrong name must not create a topic.
    let mut input = Input::open(
        args.file.as_deref(),
        InputOptions {
            delimiter: args.delimiter.0.clone(),
        },
    )?;
    let client = args.brokers.connect().await?;
    let topic = client.topic(&args.topic, Missing::Create).await?;
    let options = ProducerOptions {
        acks: args.acks,
        codec: args.compression.into(),
        linger: args.linger,
        batch_bytes: args.batch_bytes,
    };
    let mut producer = Producer::open(&client, &topic, options).await?;
    if input.is_terminal() {
        output::note("one record per line; Ctrl-D ends");
    }
    let progress = match input.length() {
        Some(length) => Progress::new("writing", Unit::Bytes, length),
        None => Progress::hidden(),
    };
    let headers: Vec<(&str, Option<&[u8]>)> = args
        .headers
        .iter()
        .map(|(name, value)| (name.as_str(), Some(value.as_bytes())))
        .collect();

    loop {
        let chunk = tokio::select! {
            () = interrupt.wait() => break,
            chunk = next_chunk(&mut input, &mut producer) => chunk?,
        };
        let Some(chunk) = chunk else { break };
        send(&mut producer, &chunk, &args, &headers).await?;
        progress.set(chunk.position);
    }
    for chunk in input.already_read() {
        send(&mut producer, &chunk?, &args, &headers).await?;
    }
    let summary = producer.finish().await?;
    progress.finish();
    report(&args, &summary)
}

/// The next input; meanwhile batches leave when they are due.
async fn next_chunk(input: &mut Input, producer: &mut Producer) -> Result<Option<Chunk>, Failure> {
    loop {
        let Some(due) = producer.due() else {
            return input.next().await;
        };
        let wait = due.saturating_duration_since(clock::now());
        match timeout(wait, input.next()).await {
            Ok(chunk) => return chunk,
            Err(_) => producer.send_due(clock::now()).await?,
        }
    }
}

async fn send(
    producer: &mut Producer,
    chunk: &Chunk,
    args: &ProduceArgs,
    headers: &[(&str, Option<&[u8]>)],
) -> Result<(), Failure> {
    let now = clock::now();
    let timestamp = clock::wall_ms();
    let partition = args
        .partition
        .map(|partition| usize::try_from(partition).expect("32 bits fit"));
    for line in &chunk.lines {
        let (key, value) = match &args.key_delimiter {
            None => (args.key.as_deref().map(str::as_bytes), &line[..]),
            Some(Delimiter(delimiter)) => split_key(line, delimiter),
        };
        let record = NewRecord {
            timestamp,
            key: key.filter(|key| !(args.null_empty && key.is_empty())),
            value: Some(value).filter(|value| !(args.null_empty && value.is_empty())),
            headers,
        };
        producer.push(&record, partition, now).await?;
    }
    Ok(())
}

/// Key and value around the first delimiter; without one all is value.
fn split_key<'a>(line: &'a [u8], delimiter: &[u8]) -> (Option<&'a [u8]>, &'a [u8]) {
    match line.windows(delimiter.len()).position(|at| at == delimiter) {
        Some(at) => (Some(&line[..at]), &line[at + delimiter.len()..]),
        None => (None, line),
    }
}

fn report(args: &ProduceArgs, summary: &Summary) -> Result<(), Failure> {
    let mut out = Out::stdout();
    if args.json.json {
        let partitions = summary.partitions.iter().map(|written| {
            json!({
                "partition": written.partition,
                "records": written.records,
                "first_offset": written.offsets.map(|(first, _)| first),
                "last_offset": written.offsets.map(|(_, last)| last),
            })
        });
        out.json(&json!({
            "topic": args.topic,
            "records": summary.records(),
            "partitions": Value::Array(partitions.collect()),
        }))?;
    } else if !args.quiet {
        out.line(describe(&args.topic, args.acks, summary))?;
    }
    out.flush()
}

/// `wrote 3 records to `greetings`: partition 0 offsets 0 to 2`
fn describe(topic: &str, acks: Acks, summary: &Summary) -> String {
    let records = human::plural(summary.records(), "record");
    let verb = if acks == Acks::None { "sent" } else { "wrote" };
    let mut text = format!("{verb} {records} to `{topic}`");
    match &summary.partitions[..] {
        [] => {}
        [only] => match only.offsets {
            Some((first, last)) if first == last => {
                text.push_str(&format!(": partition {} offset {first}", only.partition));
            }
            Some((first, last)) => {
                let partition = only.partition;
                text.push_str(&format!(
                    ": partition {partition} offsets {first} to {last}"
                ));
            }
            None => text.push_str(&format!(": partition {}", only.partition)),
        },
        many => {
            let count = human::plural(many.len() as u64, "partition");
            text.push_str(&format!(" in {count}"));
        }
    }
    if acks == Acks::None {
        text.push_str(" (acks=0: nobody confirmed them)");
    }
    text
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
