//! A group of real consumers that join, leave, die and freeze: together they read everything, and what the
//! group committed never goes back.

use std::collections::BTreeMap;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::process::{Child, ChildStdin, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::Duration;

use laminarmq_e2e::group_journal::{judge_readings, read_journal};
use laminarmq_e2e::librdkafka::{self, Partitions, Rec};
use laminarmq_e2e::{is_long, seed};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::describe_groups::DescribedGroup;
use laminarmq_kafka::messages::offset_fetch::OffsetFetchRequestGroup;
use laminarmq_kafka::messages::{DescribeGroupsRequest, OffsetFetchRequest};
use laminarmq_testkit::{
    BrokerProcess, Client, Deadline, Stopwatch, TestDir, eventually, pause, run,
};
use rand::{RngExt, SeedableRng};
use rand_chacha::ChaCha8Rng;

const TOPIC: &str = "shared";
const GROUP: &str = "stress";
const PARTITIONS: i32 = 64;
const MEMBERS_MAX: usize = 20;
const CHAOS: Duration = Duration::from_secs(40);
const CHAOS_LONG: Duration = Duration::from_secs(300);
/// Longer than a member's session, so that a frozen one loses its partitions and comes back to that.
const FROZEN_MIN_MS: u64 = 500;
const FROZEN_MAX_MS: u64 = 12_000;
const SETTLE_SECONDS: u64 = 120;

#[test]
fn eager_members_read_everything() {
    stress("range,roundrobin");
}

#[test]
fn cooperative_members_read_everything() {
    stress("cooperative-sticky");
}

fn stress(strategy: &str) {
    let mut rng = ChaCha8Rng::seed_from_u64(seed());
    let dir = TestDir::new("group-stress");
    let mut broker = BrokerProcess::start(&dir.join("data"));
    let addr = broker.addr();
    connect(addr).create_topic(TOPIC, PARTITIONS, &[("flush", "os")]);
    let watch = Watch::start(addr);
    let mut group = Members::new(addr, strategy, &dir);
    let mut sent = 0;

    let chaos = if is_long() { CHAOS_LONG } else { CHAOS };
    let clock = Stopwatch::start();
    let mut changes = BTreeMap::<&str, u32>::new();
    while clock.elapsed() < chaos {
        produce(addr, 5);
        sent += 5;
        let change = match rng.random_range(0..10) {
            0..=3 => group.join(),
            4 => group.leave(&mut rng),
            5..=6 => group.kill(&mut rng),
            7..=8 => group.freeze(&mut rng),
            _ if rng.random_range(0..4) == 0 => {
                broker.kill9();
                broker.restart();
                "broker killed"
            }
            _ => "nothing",
        };
        *changes.entry(change).or_default() += 1;
        group.thaw(clock.elapsed());
        pause(Duration::from_millis(rng.random_range(100..1_000)));
    }
    group.thaw(Duration::MAX);
    if group.running.is_empty() {
        group.join();
    }
    let members = group.running.len();
    produce(addr, 5);
    sent += 5;

    // Nothing changes any more: the assignment becomes complete and disjoint, and everything is read.
    let settle = Deadline::seconds(SETTLE_SECONDS);
    eventually("a complete and disjoint assignment", settle, || {
        let group = describe(addr)?;
        let mut assigned: Vec<i32> = Vec::new();
        for member in &group.members {
            assigned.extend(partitions_of(&member.member_assignment)?);
        }
        assigned.sort_unstable();
        let complete = assigned == (0..PARTITIONS).collect::<Vec<_>>();
        (group.group_state == "Stable" && group.members.len() == members && complete).then_some(())
    });
    let settle = Deadline::seconds(SETTLE_SECONDS);
    eventually("everything is committed", settle, || {
        let offsets = committed(addr)?;
        let all = (0..PARTITIONS).all(|partition| offsets.get(&partition) == Some(&sent));
        all.then_some(())
    });
    watch.stop();
    let journals = group.finish();
    let events: Vec<_> = journals.iter().map(|path| read_journal(path)).collect();
    let ends = vec![sent; usize::try_from(PARTITIONS).expect("64")];
    let readings = judge_readings(&events, &ends).unwrap_or_else(|broken| panic!("{broken}"));
    println!(
        "{strategy}: {changes:?}; {} members over time, {members} at the end; {sent} records in each \
         of {PARTITIONS} partitions, {readings} readings",
        journals.len()
    );
    let happened = |change: &str| changes.get(change).is_some_and(|times| *times > 0);
    assert!(
        happened("join") && happened("kill") && happened("freeze"),
        "{changes:?}"
    );
}

fn connect(addr: SocketAddr) -> Client {
    Client::connect(addr).expect("the broker takes connections")
}

/// The next records of every partition.
fn produce(addr: SocketAddr, count: usize) {
    let record = Rec {
        key: None,
        value: Some(b"value".to_vec()),
        headers: Vec::new(),
        timestamp: 1,
    };
    let partitions: Partitions = (0..PARTITIONS)
        .map(|partition| (partition, vec![record.clone(); count]))
        .collect();
    librdkafka::produce_more(addr, TOPIC, &[("acks", "all")], &partitions);
}

fn describe(addr: SocketAddr) -> Option<DescribedGroup> {
    let request = DescribeGroupsRequest {
        groups: vec![GROUP.to_owned()],
        ..Default::default()
    };
    let answer = Client::connect(addr).ok()?.call(5, &request).ok()?;
    answer.groups.into_iter().next()
}

/// The partitions in a member's assignment: version i16, topics, of each its name and partitions.
fn partitions_of(assignment: &[u8]) -> Option<Vec<i32>> {
    if assignment.is_empty() {
        return Some(Vec::new());
    }
    let mut rest = assignment.get(2..)?;
    let mut number = |bytes: usize| {
        let (head, tail) = rest.split_at_checked(bytes)?;
        rest = tail;
        Some(head.to_vec())
    };
    let int = |bytes: Vec<u8>| Some(i32::from_be_bytes(bytes.try_into().ok()?));
    let mut partitions = Vec::new();
    for _ in 0..int(number(4)?)? {
        let length = u16::from_be_bytes(number(2)?.try_into().ok()?);
        if number(length.into())? != TOPIC.as_bytes() {
            return None;
        }
        for _ in 0..int(number(4)?)? {
            partitions.push(int(number(4)?)?);
        }
    }
    Some(partitions)
}

/// What the group committed, by partition; `None` when the broker does not answer.
fn committed(addr: SocketAddr) -> Option<BTreeMap<i32, i64>> {
    let request = OffsetFetchRequest {
        groups: vec![OffsetFetchRequestGroup {
            group_id: GROUP.to_owned(),
            topics: None,
            ..Default::default()
        }],
        ..Default::default()
    };
    let answer = Client::connect(addr).ok()?.call(8, &request).ok()?;
    let group = answer.groups.into_iter().next()?;
    if group.error_code != ErrorCode::NONE {
        return None;
    }
    let partitions = group.topics.into_iter().flat_map(|topic| topic.partitions);
    let offsets = partitions.filter(|partition| partition.committed_offset >= 0);
    Some(
        offsets
            .map(|partition| (partition.partition_index, partition.committed_offset))
            .collect(),
    )
}

/// Looks at the committed offsets all the time: none may fall or vanish.
struct Watch {
    stop: Arc<AtomicBool>,
    thread: JoinHandle<u64>,
}

impl Watch {
    fn start(addr: SocketAddr) -> Self {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let thread = thread::spawn(move || {
            let mut highest = BTreeMap::<i32, i64>::new();
            let mut looks = 0;
            while !stopped.load(Ordering::SeqCst) {
                if let Some(offsets) = committed(addr) {
                    looks += 1;
                    for (partition, before) in &mut highest {
                        let now = offsets.get(partition).copied();
                        assert!(
                            now.is_some_and(|now| now >= *before),
                            "partition {partition}: {now:?} is committed, {before} was"
                        );
                    }
                    highest.extend(offsets);
                }
                pause(Duration::from_millis(100));
            }
            looks
        });
        Self { stop, thread }
    }

    fn stop(self) {
        self.stop.store(true, Ordering::SeqCst);
        let looks = self
            .thread
            .join()
            .expect("committed offsets never went back");
        assert!(looks > 10, "only {looks} looks at the committed offsets");
    }
}

/// The group's processes, and the journals of all that there ever were.
struct Members {
    addr: SocketAddr,
    strategy: String,
    dir: PathBuf,
    running: Vec<Member>,
    journals: Vec<PathBuf>,
}

struct Member {
    process: Child,
    /// Closing it tells the member to leave.
    stdin: Option<ChildStdin>,
    /// When to let it go on.
    frozen_until: Option<Duration>,
    clock: Stopwatch,
}

impl Members {
    fn new(addr: SocketAddr, strategy: &str, dir: &TestDir) -> Self {
        Self {
            addr,
            strategy: strategy.to_owned(),
            dir: dir.join("members"),
            running: Vec::new(),
            journals: Vec::new(),
        }
    }

    fn join(&mut self) -> &'static str {
        if self.running.len() >= MEMBERS_MAX {
            return "nothing";
        }
        std::fs::create_dir_all(&self.dir).expect("a folder");
        let journal = self.dir.join(self.journals.len().to_string());
        let mut process = Command::new(env!("CARGO_BIN_EXE_group-member"))
            .args([&self.addr.to_string(), TOPIC, GROUP, &self.strategy])
            .arg(&journal)
            .stdin(Stdio::piped())
            .spawn()
            .expect("a member starts");
        let stdin = process.stdin.take();
        eventually("its journal", Deadline::seconds(30), || {
            journal.exists().then_some(())
        });
        self.journals.push(journal);
        self.running.push(Member {
            process,
            stdin,
            frozen_until: None,
            clock: Stopwatch::start(),
        });
        "join"
    }

    fn pick(&mut self, rng: &mut ChaCha8Rng) -> Option<usize> {
        (!self.running.is_empty()).then(|| rng.random_range(0..self.running.len()))
    }

    fn leave(&mut self, rng: &mut ChaCha8Rng) -> &'static str {
        let Some(at) = self
            .pick(rng)
            .filter(|at| self.running[*at].frozen_until.is_none())
        else {
            return "nothing";
        };
        self.running.swap_remove(at).leave();
        "leave"
    }

    fn kill(&mut self, rng: &mut ChaCha8Rng) -> &'static str {
        let Some(at) = self.pick(rng) else {
            return "nothing";
        };
        drop(self.running.swap_remove(at));
        "kill"
    }

    fn freeze(&mut self, rng: &mut ChaCha8Rng) -> &'static str {
        let Some(at) = self
            .pick(rng)
            .filter(|at| self.running[*at].frozen_until.is_none())
        else {
            return "nothing";
        };
        let member = &mut self.running[at];
        member.signal("STOP");
        let pause = Duration::from_millis(rng.random_range(FROZEN_MIN_MS..FROZEN_MAX_MS));
        member.frozen_until = Some(member.clock.elapsed() + pause);
        "freeze"
    }

    /// Lets those go on whose time has come; all of them when `now` is the end of time.
    fn thaw(&mut self, now: Duration) {
        for member in &mut self.running {
            let due = now == Duration::MAX
                || member
                    .frozen_until
                    .is_some_and(|until| until <= member.clock.elapsed());
            if member.frozen_until.is_some() && due {
                member.signal("CONT");
                member.frozen_until = None;
            }
        }
    }

    /// All leave in order; returns the journals.
    fn finish(mut self) -> Vec<PathBuf> {
        for member in self.running.drain(..) {
            member.leave();
        }
        self.journals
    }
}

impl Member {
    #[track_caller]
    fn signal(&self, name: &str) {
        let pid = self.process.id().to_string();
        let mut kill = Command::new("sh");
        let _ = run(
            kill.args(["-c", "kill -\"$1\" \"$2\"", "sh", name, &pid]),
            Deadline::seconds(10),
        )
        .success();
    }

    fn leave(mut self) {
        drop(self.stdin.take());
        let ended = || self.process.try_wait().expect("a child can be waited for");
        let status = eventually("a member leaves", Deadline::seconds(60), ended);
        assert!(status.success(), "{status}");
    }
}

impl Drop for Member {
    fn drop(&mut self) {
        // It may have ended by itself. A frozen one dies of SIGKILL as well.
        drop(self.process.kill());
        drop(self.process.wait());
    }
}
