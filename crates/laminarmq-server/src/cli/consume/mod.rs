//! `laminarmq consume`: records in, lines out.

pub(super) mod format;
mod json;
mod offsets;

use std::collections::BTreeSet;

use clap::Args;
use laminarmq_kafka::batch::Record;

use self::format::{Format, Printable};
use self::offsets::{Bounds, OffsetSpec};
use super::interrupt::Interrupt;
use super::{BrokerArgs, JsonArgs};
use crate::client::{Assignment, Client, ClientError, Consumer, Delivery, Missing, Topic};
use crate::failure::Failure;
use crate::output::{self, Out};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq consume greetings                         what comes from now on
  laminarmq consume greetings -o start -e             everything there is, then stop
  laminarmq consume orders -o -10 -n 10               the last ten of each partition, ten in all
  laminarmq consume orders -p 0 -o 1000:2000          offsets 1000 to 1999 of partition 0
  laminarmq consume orders -o start -f '%p/%o %k %s\\n'
  laminarmq consume orders -o start --json | jq .value

Format tokens:  %s value     %k key      %h headers    %T timestamp (ms)   %% percent
                %S its size  %K its size %t topic      %p partition        %o offset
Escapes: \\n \\r \\t \\0 \\\\ \\xNN. A null has size -1.";

/// Bytes of output that collect before they are written.
const OUTPUT_BYTES: usize = 64 * 1024;

#[derive(Debug, Args)]
pub(super) struct ConsumeArgs {
    /// The topic
    topic: String,
    /// Where to start: start, end, N (offset), +N (after the start), -N (before the end); FROM:TO
    /// stops before TO
    #[arg(
        short,
        long,
        value_name = "OFFSET",
        default_value = "end",
        allow_hyphen_values = true
    )]
    offset: OffsetSpec,
    /// Stop after this many records
    #[arg(short, long, value_name = "COUNT")]
    num: Option<u64>,
    /// Read these partitions only; may be repeated or separated by commas
    #[arg(short, long, value_name = "N", value_delimiter = ',', value_parser = clap::value_parser!(i32).range(0..))]
    partition: Vec<i32>,
    /// How a record is printed [default: the value and a newline]
    #[arg(short, long, value_parser = Format::parse, conflicts_with = "json")]
    format: Option<Format>,
    /// Stop at the end that is there when the command starts
    #[arg(short, long)]
    exit_at_end: bool,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(super) json: JsonArgs,
}

pub(super) async fn run(args: ConsumeArgs) -> Result<(), Failure> {
    if args.num == Some(0) {
        return Ok(());
    }
    let client = args.brokers.connect().await?;
    let topic = client.topic(&args.topic, Missing::Refuse).await?;
    let assignments = assign(&client, &topic, &args).await?;
    let mut consumer = Consumer::open(&client, &topic.name, &assignments);
    let mut printer = Printer::new(&args);
    let mut interrupt = Interrupt::listen()?;
    if printer.out.is_terminal() && assignments.iter().all(|a| a.to.is_none()) {
        output::note("waiting for records; Ctrl-C ends");
    }
    loop {
        let delivery = tokio::select! {
            () = interrupt.wait() => break,
            delivery = consumer.next() => delivery,
        };
        let Some(delivery) = delivery else { break };
        let more = printer.print(&delivery?)?;
        printer.flush()?;
        if !more {
            break;
        }
    }
    printer.flush()
}

/// Where each partition starts and stops.
async fn assign(
    client: &Client,
    topic: &Topic,
    args: &ConsumeArgs,
) -> Result<Vec<Assignment>, Failure> {
    let chosen: BTreeSet<i32> = if args.partition.is_empty() {
        topic
            .partitions
            .iter()
            .map(|partition| partition.index)
            .collect()
    } else {
        args.partition.iter().copied().collect()
    };
    if let Some(missing) = chosen
        .iter()
        .find(|index| topic.partition(**index).is_none())
    {
        return Err(Failure::from(ClientError::NoSuchPartition {
            topic: topic.name.clone(),
            partition: *missing,
            count: topic.partitions.len(),
        }));
    }
    let chosen: Vec<i32> = chosen.into_iter().collect();
    let bounds = client.bounds(&topic.name, &chosen).await?;
    let assignments = bounds.into_iter().map(|(partition, (start, end))| {
        let bounds = Bounds { start, end };
        let span = args.offset.resolve(bounds, args.exit_at_end);
        if let Some(asked) = span.outside {
            output::warn(format_args!(
                "partition {partition} has {bounds}, not {asked}: reading from {}",
                span.from
            ));
        }
        Assignment {
            partition,
            from: span.from,
            to: span.to,
        }
    });
    Ok(assignments.collect())
}

/// Prints records until there were enough.
struct Printer<'a> {
    topic: &'a str,
    format: Option<Format>,
    left: Option<u64>,
    buffer: Vec<u8>,
    out: Out,
}

impl<'a> Printer<'a> {
    fn new(args: &'a ConsumeArgs) -> Self {
        let format = match (&args.format, args.json.json) {
            (Some(format), _) => Some(format.clone()),
            (None, false) => Some(Format::default()),
            (None, true) => None,
        };
        Self {
            topic: &args.topic,
            format,
            left: args.num,
            buffer: Vec::with_capacity(2 * OUTPUT_BYTES),
            out: Out::stdout(),
        }
    }

    /// Prints what is wanted of `delivery`; false: that was enough.
    fn print(&mut self, delivery: &Delivery) -> Result<bool, Failure> {
        for record in delivery.records() {
            self.record(delivery.partition, &record?);
            if self.buffer.len() >= OUTPUT_BYTES {
                self.write()?;
            }
            if let Some(left) = &mut self.left {
                *left -= 1;
                if *left == 0 {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn record(&mut self, partition: i32, record: &Record) {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|header| (header.key_text().into_owned(), header.value.clone()))
            .collect();
        let printable = Printable {
            topic: self.topic,
            partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        match &self.format {
            Some(format) => format.render(&printable, &mut self.buffer),
            None => json::render(&printable, &mut self.buffer),
        }
    }

    fn write(&mut self) -> Result<(), Failure> {
        let written = self.out.bytes(&self.buffer);
        self.buffer.clear();
        written
    }

    fn flush(&mut self) -> Result<(), Failure> {
        self.write()?;
        self.out.flush()
    }
}
