//! `consume -g`: a member of a consumer group whose work is to print.
//!
//! An offset is committed after its record was written out, never before: a reader that dies leaves
//! records to be read again, and none to be missed. Commits gather for a moment, and the last one comes
//! before the partitions are given back, whatever ended the reading.

use std::collections::BTreeMap;
use std::pin::pin;
use std::time::Duration;

use laminarmq_kafka::ErrorCode;

use super::ConsumeArgs;
use super::quit::Quit;
use super::render::{Filled, Renderer};
use crate::cli::place::{self, Place};
use crate::client::{
    Assignment, Client, ClientError, Consumer, Delivery, Heartbeats, Member, Missing, Topic,
};
use crate::clock;
use crate::failure::Failure;
use crate::output::{self, Out};

/// How long offsets gather before they are committed, while records come.
const COMMIT_EVERY: Duration = Duration::from_secs(1);
/// How long a write that is under way may still take after a signal. What came through counts as read; a pipe that
/// nobody empties must not hold the program.
const LAST_WRITE_WAIT: Duration = Duration::from_secs(1);

/// Why reading stopped.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stop {
    /// There was enough, the end was reached, or somebody pressed Ctrl-C.
    Finished,
    /// The group shares out its partitions again.
    Rebalance,
}

pub(super) async fn run(args: &ConsumeArgs, group: &str) -> Result<(), Failure> {
    let Some(begin) = args.offset.open_place() else {
        return Err(
            Failure::usage("a range of offsets does not go with --group")
                .hint("-o tells where to begin where the group has no offset; -n or -e end it"),
        );
    };
    let client = args.brokers.connect().await?;
    let topic = client.topic(&args.topic, Missing::Refuse).await?;
    let ends = if args.exit_at_end {
        let bounds = client.bounds(&topic.name, &topic.led()).await?;
        let ends = bounds
            .into_iter()
            .map(|(partition, (_, end))| (partition, end));
        Some(ends.collect())
    } else {
        None
    };
    let mut quit = Quit::listen()?;
    let mut member = Member::new(&client, group, &topic.name);
    let mut reader = Reader {
        client: &client,
        group,
        topic: &topic,
        begin,
        ends,
        renderer: Renderer::new(args),
        writer: Writer::stdout(),
    };
    let read = reader.run(&mut member, &mut quit).await;
    member.leave().await;
    read
}

struct Reader<'a> {
    client: &'a Client,
    group: &'a str,
    topic: &'a Topic,
    /// Where to begin in a partition without an offset.
    begin: Place,
    /// Where to stop, if anywhere: the ends that were there when the command started.
    ends: Option<BTreeMap<i32, i64>>,
    renderer: Renderer<'a>,
    writer: Writer,
}

impl Reader<'_> {
    async fn run(&mut self, member: &mut Member, quit: &mut Quit) -> Result<(), Failure> {
        loop {
            let begin = async {
                let partitions = member.join().await?;
                let heartbeats = member.heartbeats();
                let turn = self.begin(member, &partitions).await?;
                Ok::<_, Failure>((heartbeats, turn))
            };
            let (mut heartbeats, mut turn) = tokio::select! {
                asked = quit.wait() => return asked,
                begun = begin => begun?,
            };
            let read = self.read(member, &mut turn, &mut heartbeats, quit).await;
            let committed = self.give_back(member, &mut turn).await;
            match (read, committed) {
                (Ok(Stop::Rebalance), Ok(())) => {}
                (Ok(Stop::Finished), committed) => return committed,
                // A reader that closed its pipe early is no failure, a lost commit is.
                (Err(Failure::ClosedPipe) | Ok(_), Err(failure)) | (Err(failure), _) => {
                    return Err(failure);
                }
            }
        }
    }

    /// Finds out where to read the partitions on, and starts to.
    async fn begin(&self, member: &Member, partitions: &[i32]) -> Result<Turn, Failure> {
        let committed = member.committed(partitions).await?;
        let topic = &self.topic.name;
        let known = place::look_up(self.client, topic, partitions, [self.begin]).await?;
        let mut assignments = Vec::new();
        let mut positions = BTreeMap::new();
        for (partition, (bounds, found)) in known {
            let begin = self.begin.resolve(bounds, &found);
            let from = match committed.get(&partition) {
                None => {
                    if let Some(asked) = self.begin.outside(begin) {
                        output::warn(format_args!(
                            "partition {partition} has {bounds}, not {asked}: reading from {begin}"
                        ));
                    }
                    begin
                }
                Some(&offset) if offset < bounds.start => {
                    output::warn(format_args!(
                        "the group stopped at offset {offset} of partition {partition}, which is \
                         deleted: reading from {}",
                        bounds.start
                    ));
                    bounds.start
                }
                Some(&offset) if offset > bounds.end => {
                    output::warn(format_args!(
                        "the group stopped at offset {offset} of partition {partition}, which has \
                         {bounds}: reading from {begin}"
                    ));
                    begin
                }
                Some(&offset) => offset,
            };
            positions.insert(partition, from);
            assignments.push(Assignment {
                partition,
                from,
                to: self.ends.as_ref().map(|ends| {
                    let end = ends.get(&partition).copied().unwrap_or(bounds.end);
                    end.max(from)
                }),
            });
        }
        if self.writer.is_terminal() {
            output::note(self.announcement(partitions));
        }
        // Without partitions there is nothing to wait for but the next time they are shared out.
        let waits = assignments.is_empty() && self.ends.is_none();
        let consumer = (!waits).then(|| Consumer::open(self.client, topic, &assignments));
        Ok(Turn {
            consumer,
            positions,
            committed,
            last_commit: clock::now(),
            wrote: false,
        })
    }

    fn announcement(&self, partitions: &[i32]) -> String {
        let (group, topic) = (self.group, &self.topic.name);
        if partitions.is_empty() {
            return format!(
                "group `{group}`: others read all partitions of `{topic}`; Ctrl-C ends"
            );
        }
        let numbers: Vec<String> = partitions.iter().map(i32::to_string).collect();
        let numbers = numbers.join(" ");
        format!("group `{group}`: reading `{topic}`, partitions {numbers}; Ctrl-C ends")
    }

    async fn read(
        &mut self,
        member: &Member,
        turn: &mut Turn,
        heartbeats: &mut Heartbeats,
        quit: &mut Quit,
    ) -> Result<Stop, Failure> {
        loop {
            let gathered = clock::now().saturating_duration_since(turn.last_commit);
            let until_commit = COMMIT_EVERY.saturating_sub(gathered);
            let dirty = !turn.uncommitted().is_empty();
            tokio::select! {
                asked = quit.wait() => return asked.map(|()| Stop::Finished),
                ended = heartbeats.ended() => {
                    ended?;
                    return Ok(Stop::Rebalance);
                }
                () = clock::pause(until_commit), if dirty => {
                    match turn.commit(member).await {
                        Ok(()) => {}
                        Err(error) if is_stale(&error) => return Ok(Stop::Rebalance),
                        Err(error) => return Err(error.into()),
                    }
                }
                delivery = turn.next() => {
                    let delivery = match delivery {
                        None => return Ok(Stop::Finished),
                        Some(Err(error)) if is_gone(&error) => {
                            if self.skip_deleted(member, turn, error).await? {
                                continue;
                            }
                            return Ok(Stop::Rebalance);
                        }
                        Some(delivery) => delivery?,
                    };
                    // A closed pipe ends the write by itself, and only that tells what came through.
                    let mut printing = pin!(self.print(&delivery, turn));
                    let printed = tokio::select! {
                        biased;
                        printed = &mut printing => printed?,
                        () = quit.signal() => tokio::select! {
                            biased;
                            printed = &mut printing => printed.map(|_| Printed::Enough)?,
                            () = clock::pause(LAST_WRITE_WAIT) => Printed::Enough,
                        },
                    };
                    if printed == Printed::Enough {
                        return Ok(Stop::Finished);
                    }
                }
            }
        }
    }

    /// Goes on behind what was deleted before it was read. False: the group has gone on instead.
    async fn skip_deleted(
        &self,
        member: &Member,
        turn: &mut Turn,
        error: ClientError,
    ) -> Result<bool, Failure> {
        match turn.commit(member).await {
            Ok(()) => {}
            Err(error) if is_stale(&error) => return Ok(false),
            Err(error) => return Err(error.into()),
        }
        let partitions: Vec<i32> = turn.positions.keys().copied().collect();
        let next = self.begin(member, &partitions).await?;
        // The same place would be refused again.
        if next.positions == turn.positions {
            return Err(error.into());
        }
        *turn = next;
        Ok(true)
    }

    /// Prints what is wanted of `delivery`. Positions follow what was written.
    async fn print(&mut self, delivery: &Delivery, turn: &mut Turn) -> Result<Printed, Failure> {
        let mut records = delivery.records();
        loop {
            let filled = self.renderer.fill(delivery.partition, &mut records);
            if !self.renderer.buffer.is_empty() {
                self.writer.write(&mut self.renderer.buffer).await?;
                turn.wrote_up_to(delivery.partition, self.renderer.next);
            }
            match filled? {
                Filled::Full => {}
                Filled::Done => {
                    turn.wrote_up_to(delivery.partition, delivery.next);
                    return Ok(Printed::More);
                }
                Filled::Enough => return Ok(Printed::Enough),
            }
        }
    }

    /// The last commit of a turn.
    async fn give_back(&self, member: &Member, turn: &mut Turn) -> Result<(), Failure> {
        let left = turn.uncommitted();
        match turn.commit(member).await {
            Ok(()) => Ok(()),
            Err(error) if is_stale(&error) => {
                if turn.wrote {
                    let places = left.keys().map(|partition| {
                        let from = turn.committed.get(partition);
                        let from = from.map_or_else(|| String::from("-"), i64::to_string);
                        format!("{partition} from offset {from}")
                    });
                    output::warn(format_args!(
                        "group `{}` went on without this member: these partitions may be read again: \
                         {}",
                        self.group,
                        places.collect::<Vec<_>>().join(", ")
                    ));
                }
                Ok(())
            }
            Err(error) => Err(error.into()),
        }
    }
}

/// Whether the records at a position were deleted.
fn is_gone(error: &ClientError) -> bool {
    error.code() == Some(ErrorCode::OFFSET_OUT_OF_RANGE)
}

/// Whether the group has gone on, so that what was read belongs to somebody else now.
fn is_stale(error: &ClientError) -> bool {
    matches!(
        error.code(),
        Some(
            ErrorCode::ILLEGAL_GENERATION
                | ErrorCode::UNKNOWN_MEMBER_ID
                | ErrorCode::REBALANCE_IN_PROGRESS
        )
    )
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Printed {
    More,
    Enough,
}

/// The partitions of one generation, and how far they were read.
struct Turn {
    /// `None`: no partitions, and no end to wait for.
    consumer: Option<Consumer>,
    /// The next offset to read: everything below was written out.
    positions: BTreeMap<i32, i64>,
    /// What the group knows of that.
    committed: BTreeMap<i32, i64>,
    last_commit: std::time::Instant,
    /// Records were written out since the last commit.
    wrote: bool,
}

impl Turn {
    async fn next(&mut self) -> Option<Result<Delivery, ClientError>> {
        match &mut self.consumer {
            Some(consumer) => consumer.next().await,
            None => std::future::pending().await,
        }
    }

    fn wrote_up_to(&mut self, partition: i32, next: i64) {
        self.positions.insert(partition, next);
        self.wrote = true;
    }

    /// Where a partition begins is committed too, so that its group finds the place again even when
    /// nothing came.
    fn uncommitted(&self) -> BTreeMap<i32, i64> {
        let changed =
            |(partition, position): &(&i32, &i64)| self.committed.get(partition) != Some(*position);
        let changed = self.positions.iter().filter(changed);
        changed
            .map(|(partition, position)| (*partition, *position))
            .collect()
    }

    async fn commit(&mut self, member: &Member) -> Result<(), ClientError> {
        let offsets = self.uncommitted();
        if !offsets.is_empty() {
            member.commit(&offsets).await?;
            self.committed.extend(offsets);
            self.wrote = false;
        }
        self.last_commit = clock::now();
        Ok(())
    }
}

/// Standard output, written to on another thread: whoever reads it may take a while, and heartbeats
/// must not wait.
struct Writer {
    /// `None` while a write is under way, and after one that was given up.
    out: Option<Out>,
    terminal: bool,
}

impl Writer {
    fn stdout() -> Self {
        let out = Out::stdout();
        Self {
            terminal: out.is_terminal(),
            out: Some(out),
        }
    }

    fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// Writes all of `buffer` and empties it. Nothing may be written after this was given up.
    async fn write(&mut self, buffer: &mut Vec<u8>) -> Result<(), Failure> {
        let mut out = self.out.take().expect("nobody writes after they gave up");
        let mut piece = std::mem::take(buffer);
        let writing = tokio::task::spawn_blocking(move || {
            let written = out.bytes(&piece).and_then(|()| out.flush());
            piece.clear();
            (out, piece, written)
        });
        let (out, piece, written) = writing.await.expect("a write does not panic");
        self.out = Some(out);
        *buffer = piece;
        written
    }
}
