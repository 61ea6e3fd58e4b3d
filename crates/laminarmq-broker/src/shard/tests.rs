use super::*;
use laminarmq::{Log, LogOptions, MemEnv, SyncTicket, poll_ready};
use laminarmq_kafka::batch::{BatchBuilder, BatchLimits, Compression, NewRecord, validate};
use laminarmq_replica::{Flush, Isolation, Membership, ReplicaConfig, ReplicaId};

/// Memory, and numbers for handles.
pub(super) struct Test;

impl Outside for Test {
    type Env = MemEnv;
    type AppendReply = u32;
    type ReadReply = u32;
    type LookupReply = u32;
    type MeasureReply = u32;
    type CommandReply = u32;
    type TrimReply = u32;
    type ChangeReply = u32;
}

pub(super) const ONE: GroupId = GroupId(1);
/// What a quorum has.
pub(super) const QUORUM: Ack = Ack::Quorum { min_in_sync: 1 };
const TWO: GroupId = GroupId(2);

pub(super) fn config(group: GroupId) -> ReplicaConfig {
    ReplicaConfig::new(group, ReplicaId(1), Membership::of_voters([ReplicaId(1)]))
}

fn open(config: ReplicaConfig, disk: &MemEnv) -> Replica<MemEnv> {
    let options = LogOptions {
        initial_index: 1,
        auto_roll: false,
        ..LogOptions::default()
    };
    let log = poll_ready(Log::open_with(disk.clone(), options)).unwrap();
    Replica::open(config, log, None, Box::new(|| 7)).unwrap()
}

fn batch(values: &[&str]) -> CheckedBatch {
    let mut builder = BatchBuilder::new(Compression::None);
    for value in values {
        let record = NewRecord {
            timestamp: 5,
            value: Some(value.as_bytes()),
            ..NewRecord::default()
        };
        builder.push(&record).unwrap();
    }
    validate(builder.build(), &BatchLimits::default()).unwrap()
}

/// What came out, in order, in a form that can be compared.
#[derive(Debug, PartialEq)]
pub(super) enum Seen {
    Leading(bool),
    Persist(GroupId),
    Appended(u32, Result<u64, Refusal>),
    /// Bytes of each read.
    Read(u32, Vec<Result<u64, Refusal>>),
    Lookup(u32, Result<Option<u64>, Refusal>),
    Measured(u32, Vec<Result<u64, Refusal>>),
    Proposed(u32, Result<(), Refusal>),
    Command(Bytes),
    Trimmed(u32, Result<u64, Refusal>),
    HighWatermark(GroupId, Option<u64>),
    Changed(u32, Result<(), Refusal>),
    Final(GroupId),
    Failed,
}

pub(super) struct Bench {
    shard: Shard<Test>,
    jobs: Vec<(GroupId, PersistJob<MemEnv>)>,
}

impl Bench {
    /// A shard with a partition that is ready.
    pub(super) fn with(config: ReplicaConfig, disk: &MemEnv) -> Self {
        let mut bench = Self {
            shard: Shard::new(),
            jobs: Vec::new(),
        };
        let group = config.group;
        let hosted = Box::new(Hosted {
            doubt: None,
            answer: Readiness::Leads,
            replica: open(config, disk),
            group,
            reply: 100,
        });
        let seen = bench.step([Input::Host(hosted)]);
        assert!(
            !seen.contains(&Seen::Changed(100, Ok(()))),
            "not before its first entry is saved"
        );
        let seen = bench.persist();
        assert!(seen.contains(&Seen::Changed(100, Ok(()))), "{seen:?}");
        bench
    }

    pub(super) fn shard_is_closed(&self) -> bool {
        self.shard.is_closed()
    }

    pub(super) fn step(&mut self, inputs: impl IntoIterator<Item = Input<Test>>) -> Vec<Seen> {
        let mut out = Vec::new();
        self.shard.step(inputs, &mut out);
        // Alone, it is always in sync.
        let told = |output: &Output<Test>| !matches!(output, Output::InSync { .. });
        let out = out.into_iter().filter(told);
        out.map(|output| self.see(output)).collect()
    }

    fn see(&mut self, output: Output<Test>) -> Seen {
        match output {
            Output::Persist { group, job, .. } => {
                self.jobs.push((group, job));
                Seen::Persist(group)
            }
            Output::Appended { reply, result } => {
                Seen::Appended(reply, result.map(|appended| appended.base_offset.0))
            }
            Output::Read { reply, results } => {
                let bytes = |plan: FetchPlan<MemEnv>| plan.bytes;
                Seen::Read(
                    reply,
                    results
                        .into_iter()
                        .map(|result| result.map(bytes))
                        .collect(),
                )
            }
            Output::Lookup { reply, result } => {
                let found = result.map(|answer| answer.resolve(&BatchLimits::default()).unwrap());
                Seen::Lookup(reply, found.map(|found| found.map(|found| found.offset.0)))
            }
            Output::Measured { reply, results } => Seen::Measured(reply, results),
            Output::Proposed { reply, result } => Seen::Proposed(reply, result.map(|_| ())),
            Output::Command { command, .. } => Seen::Command(command),
            Output::Progress { group, progress } => {
                assert!(progress.leads);
                Seen::HighWatermark(group, progress.high_watermark.map(|offset| offset.0))
            }
            Output::Trimmed { reply, result } => {
                Seen::Trimmed(reply, result.map(|offset| offset.0))
            }
            Output::Ticked
            | Output::Send(_)
            | Output::Misbehaved { .. }
            | Output::Reset { .. }
            | Output::InSync { .. } => panic!("there are no others"),
            Output::Leading { leads, .. } => Seen::Leading(leads),
            Output::Final { state } => Seen::Final(state.group),
            Output::Changed { reply, result } => Seen::Changed(reply, result),
            Output::Failed { .. } => Seen::Failed,
        }
    }

    /// Runs the jobs that are outside, and hands their results back.
    pub(super) fn persist(&mut self) -> Vec<Seen> {
        let jobs = std::mem::take(&mut self.jobs);
        assert!(!jobs.is_empty(), "there is a job to run");
        let run = |(group, job): (GroupId, PersistJob<MemEnv>)| Input::Persisted {
            group,
            done: PersistDone::new(job.id(), job.ticket.map(SyncTicket::run), Ok(())),
        };
        let inputs: Vec<_> = jobs.into_iter().map(run).collect();
        self.step(inputs)
    }
}

fn append(group: GroupId, values: &[&str], ack: Ack, reply: u32) -> Input<Test> {
    Input::Append(Append {
        group,
        batch: batch(values),
        ack,
        reply,
    })
}

pub(super) fn read(group: GroupId, offset: u64, epoch: Option<i32>, reply: u32) -> Input<Test> {
    let query = FetchQuery {
        offset: Offset(offset),
        max_bytes: 1 << 20,
        at_least_one: true,
        isolation: Isolation::ReadUncommitted,
    };
    Input::Read {
        reads: vec![Read {
            group,
            query,
            epoch,
        }],
        reply,
    }
}

#[test]
fn acks_of_the_leader_come_at_once_and_those_of_a_quorum_after_the_sync() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    let syncs = disk.syncs();
    let seen = bench.step([
        append(ONE, &["a", "b"], QUORUM, 1),
        append(ONE, &["c"], Ack::Leader, 2),
        append(ONE, &["d"], QUORUM, 3),
    ]);
    // One job for all of them: that is the group commit.
    assert_eq!(seen, [Seen::Persist(ONE), Seen::Appended(2, Ok(2))]);
    assert_eq!(disk.syncs(), syncs, "the shard itself never syncs");
    let seen = bench.persist();
    let want = [
        Seen::Appended(1, Ok(0)),
        Seen::Appended(3, Ok(3)),
        Seen::HighWatermark(ONE, Some(4)),
    ];
    assert_eq!(seen, want);
    assert!(disk.syncs() > syncs);
}

#[test]
fn one_job_is_outside_and_what_comes_meanwhile_waits_for_the_next() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    assert_eq!(
        bench.step([append(ONE, &["a"], QUORUM, 1)]),
        [Seen::Persist(ONE)]
    );
    assert_eq!(bench.step([append(ONE, &["b"], QUORUM, 2)]), []);
    assert_eq!(bench.step([append(ONE, &["c"], QUORUM, 3)]), []);
    let seen = bench.persist();
    assert!(seen.contains(&Seen::Appended(1, Ok(0))) && seen.contains(&Seen::Persist(ONE)));
    assert!(
        !seen.contains(&Seen::Appended(2, Ok(1))),
        "it was not part of the first sync"
    );
    let seen = bench.persist();
    assert_eq!(
        seen[..2],
        [Seen::Appended(2, Ok(1)), Seen::Appended(3, Ok(2))]
    );
}

#[test]
fn with_flush_os_a_quorum_needs_no_sync() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(
        ReplicaConfig {
            flush: Flush::Os,
            ..config(ONE)
        },
        &disk,
    );
    let syncs = disk.syncs();
    let seen = bench.step([append(ONE, &["a"], QUORUM, 1)]);
    assert_eq!(
        seen,
        [Seen::Appended(1, Ok(0)), Seen::HighWatermark(ONE, Some(1))]
    );
    assert_eq!(disk.syncs(), syncs);
}

#[test]
fn a_full_replica_keeps_the_order_of_what_it_has_no_room_for() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(
        ReplicaConfig {
            uncommitted_bytes_max: 200,
            ..config(ONE)
        },
        &disk,
    );
    let inputs: Vec<_> = (0..10).map(|n| append(ONE, &["x"], QUORUM, n)).collect();
    let mut seen = bench.step(inputs);
    while !bench.jobs.is_empty() {
        seen.extend(bench.persist());
    }
    let appended: Vec<_> = seen
        .into_iter()
        .filter_map(|seen| match seen {
            Seen::Appended(reply, result) => Some((reply, result)),
            _ => None,
        })
        .collect();
    let want: Vec<_> = (0..10).map(|n| (n, Ok(u64::from(n)))).collect();
    assert_eq!(appended, want);
}

#[test]
fn readers_see_what_is_committed_and_their_epoch_is_checked() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    let size = batch(&["a"]).size() as u64;
    let seen = bench.step([append(ONE, &["a"], QUORUM, 1), read(ONE, 0, None, 2)]);
    assert!(seen.contains(&Seen::Read(2, vec![Ok(0)])), "{seen:?}");
    bench.persist();
    assert_eq!(
        bench.step([read(ONE, 0, Some(1), 3)]),
        [Seen::Read(3, vec![Ok(size)])]
    );
    assert_eq!(
        bench.step([read(ONE, 1, None, 4)]),
        [Seen::Read(4, vec![Ok(0)])]
    );
    let outside = Refusal::OutOfRange {
        start: Offset(0),
        end: Offset(1),
    };
    assert_eq!(
        bench.step([read(ONE, 2, None, 5)]),
        [Seen::Read(5, vec![Err(outside)])]
    );
    let fenced = Refusal::FencedEpoch { current: 1 };
    assert_eq!(
        bench.step([read(ONE, 0, Some(0), 6)]),
        [Seen::Read(6, vec![Err(fenced)])]
    );
    let unknown = Refusal::UnknownEpoch { current: 1 };
    assert_eq!(
        bench.step([read(ONE, 0, Some(2), 7)]),
        [Seen::Read(7, vec![Err(unknown)])]
    );
    let nowhere = Err(Refusal::NoPartition);
    assert_eq!(
        bench.step([read(TWO, 0, None, 8)]),
        [Seen::Read(8, vec![nowhere])]
    );
}

#[test]
fn offsets_are_looked_up_after_what_came_before() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(
        ReplicaConfig {
            flush: Flush::Os,
            ..config(ONE)
        },
        &disk,
    );
    let latest = OffsetQuery::Latest(Isolation::ReadUncommitted);
    let lookup = Lookup {
        group: ONE,
        query: latest,
        epoch: None,
    };
    let seen = bench.step([
        append(ONE, &["a", "b"], Ack::Leader, 1),
        Input::Lookup { lookup, reply: 2 },
    ]);
    assert!(seen.contains(&Seen::Lookup(2, Ok(Some(2)))), "{seen:?}");
}

#[test]
fn commands_are_handed_out_before_they_are_answered() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(
        ReplicaConfig {
            state_machine: true,
            ..config(ONE)
        },
        &disk,
    );
    let command = |reply, text| Input::Command {
        group: ONE,
        command: Bytes::from_static(text),
        reply,
    };
    assert_eq!(
        bench.step([command(1, b"one"), command(2, b"two")]),
        [Seen::Persist(ONE)]
    );
    let seen = bench.persist();
    let want = [
        Seen::Command(Bytes::from_static(b"one")),
        Seen::Command(Bytes::from_static(b"two")),
        Seen::Proposed(1, Ok(())),
        Seen::Proposed(2, Ok(())),
    ];
    assert_eq!(seen, want);
}

#[test]
fn a_removed_partition_answers_everybody_and_its_job_concerns_nobody() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    bench.step([append(ONE, &["a"], QUORUM, 1)]);
    let seen = bench.step([
        Input::Remove {
            group: ONE,
            reply: 2,
        },
        append(ONE, &["b"], QUORUM, 3),
        Input::Remove {
            group: ONE,
            reply: 4,
        },
    ]);
    let want = [
        // It was in the log: nobody can say that it was not taken.
        Seen::Appended(1, Err(Refusal::Unconfirmed)),
        Seen::Changed(2, Ok(())),
        Seen::Appended(3, Err(Refusal::NoPartition)),
        Seen::Changed(4, Ok(())),
    ];
    assert_eq!(seen, want);
    assert_eq!(bench.persist(), []);
}

#[test]
fn a_failed_sync_ends_everything_for_good() {
    let (disk, other_disk) = (MemEnv::new(), MemEnv::new());
    let mut bench = Bench::with(config(ONE), &disk);
    let hosted = Hosted {
        doubt: None,
        answer: Readiness::Leads,
        replica: open(config(TWO), &other_disk),
        group: TWO,
        reply: 50,
    };
    bench.step([Input::Host(Box::new(hosted))]);
    bench.persist();
    bench.step([append(ONE, &["a"], QUORUM, 1)]);
    bench.step([append(TWO, &["a"], QUORUM, 2)]);
    disk.fail_sync(Some(0));
    let seen = bench.persist();
    let want = [
        Seen::Failed,
        Seen::Appended(1, Err(Refusal::Failed)),
        Seen::Appended(2, Err(Refusal::Failed)),
    ];
    assert_eq!(seen[..3], want);
    disk.fail_sync(None);
    let seen = bench.step([append(TWO, &["b"], Ack::Leader, 3), read(TWO, 0, None, 4)]);
    let want = [
        Seen::Appended(3, Err(Refusal::Failed)),
        Seen::Read(4, vec![Err(Refusal::Failed)]),
    ];
    assert_eq!(seen, want);
    let seen = bench.step([Input::Close { reply: 5 }]);
    assert_eq!(seen, [Seen::Changed(5, Err(Refusal::Failed))]);
    assert!(bench.shard.is_closed());
}

#[test]
fn closing_waits_for_the_job_that_is_outside_and_leaves_everything_durable() {
    let disk = MemEnv::new();
    let mut bench = Bench::with(config(ONE), &disk);
    bench.step([append(ONE, &["a"], Ack::Leader, 1)]);
    assert_eq!(bench.step([Input::Close { reply: 2 }]), []);
    let late = bench.step([append(ONE, &["b"], Ack::Leader, 3)]);
    assert_eq!(late, [Seen::Appended(3, Err(Refusal::Closing))]);
    let seen = bench.persist();
    assert_eq!(seen.last(), Some(&Seen::Changed(2, Ok(()))));
    assert!(seen.contains(&Seen::Final(ONE)), "{seen:?}");
    assert!(bench.shard.is_closed());
    disk.crash();
    let replica = open(config(ONE), &disk);
    assert_eq!(replica.end_offset(), Offset(1));
}
