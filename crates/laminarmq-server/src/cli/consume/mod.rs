//! `laminarmq consume`: records in, lines out.

pub(super) mod format;
mod group;
mod json;
mod offsets;
mod quit;
mod render;

use clap::Args;

use self::format::Format;
use self::offsets::OffsetSpec;
use self::quit::Quit;
use self::render::{Filled, Renderer};
use super::{BrokerArgs, JsonArgs, partitions, place};
use crate::client::{Assignment, Client, Consumer, Delivery, Missing, Topic};
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
  laminarmq consume orders -o @-15m                   what came in the last quarter of an hour
  laminarmq consume orders -g billing                 go on where the group `billing` stopped, and
                                                      share the partitions with its other readers

With -g, offsets are committed once their records are written out, and -o only tells where to begin
in a partition in which the group has none.

Format tokens:  %s value     %k key      %h headers    %T timestamp (ms)   %% percent
                %S its size  %K its size %t topic      %p partition        %o offset
Escapes: \\n \\r \\t \\0 \\\\ \\xNN. A null has size -1.";

#[derive(Debug, Args)]
pub(super) struct ConsumeArgs {
    /// The topic
    topic: String,
    /// Where to start: start, end, N (offset), +N (after the start), -N (before the end), @TIME;
    /// FROM:TO stops before TO
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
    /// Read as a member of this group: share the partitions with the others, commit offsets
    #[arg(short, long, value_name = "GROUP", conflicts_with = "partition", value_parser = clap::builder::NonEmptyStringValueParser::new())]
    group: Option<String>,
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
    if let Some(group) = &args.group {
        return group::run(&args, group).await;
    }
    let client = args.brokers.connect().await?;
    let topic = client.topic(&args.topic, Missing::Refuse).await?;
    let assignments = assign(&client, &topic, &args).await?;
    let mut consumer = Consumer::open(&client, &topic.name, &assignments);
    let mut renderer = Renderer::new(&args);
    let mut out = Out::stdout();
    let mut quit = Quit::listen()?;
    if out.is_terminal() && assignments.iter().all(|a| a.to.is_none()) {
        output::note("waiting for records; Ctrl-C ends");
    }
    loop {
        let delivery = tokio::select! {
            asked = quit.wait() => return asked,
            delivery = consumer.next() => delivery,
        };
        let Some(delivery) = delivery else { break };
        if !print(&mut renderer, &mut out, &delivery?)? {
            break;
        }
    }
    out.flush()
}

/// Where each partition starts and stops.
async fn assign(
    client: &Client,
    topic: &Topic,
    args: &ConsumeArgs,
) -> Result<Vec<Assignment>, Failure> {
    let chosen = partitions::choose(topic, &args.partition)?;
    let known = place::look_up(client, &topic.name, &chosen, args.offset.places()).await?;
    let assignments = known.into_iter().map(|(partition, (bounds, found))| {
        let span = args.offset.resolve(bounds, &found, args.exit_at_end);
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

/// Prints what is wanted of `delivery`; false: that was enough.
fn print(renderer: &mut Renderer<'_>, out: &mut Out, delivery: &Delivery) -> Result<bool, Failure> {
    let mut records = delivery.records();
    loop {
        let filled = renderer.fill(delivery.partition, &mut records);
        out.bytes(&renderer.buffer)?;
        renderer.buffer.clear();
        match filled? {
            Filled::Full => {}
            Filled::Done => return out.flush().map(|()| true),
            Filled::Enough => return out.flush().map(|()| false),
        }
    }
}
