use super::*;
use crate::config::BuildInfo;
use crate::env::Env;
use crate::runtime::ShardInput;
use laminarmq::{FileEnv, Log, LogOptions, poll_ready};
use laminarmq_replica::{Membership, Replica, ReplicaConfig, ReplicaId, StateDir};
use std::path::Path;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::mpsc;

/// A directory whose syncs fail once `broken` is set.
struct Fragile {
    dir: StateDir,
    broken: Arc<AtomicBool>,
}

impl StateFs for Fragile {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        self.dir.read(name)
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.dir.write(name, bytes)
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.dir.append(name, bytes)
    }

    fn sync(&mut self, name: &str) -> io::Result<()> {
        if self.broken.load(Ordering::SeqCst) {
            return Err(io::Error::other("the disk is gone"));
        }
        self.dir.sync(name)
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        self.dir.rename(from, to)
    }

    fn sync_names(&mut self) -> io::Result<()> {
        self.dir.sync_names()
    }
}

fn replica(root: &Path, group: u64) -> Replica<FileEnv> {
    let env = FileEnv::new(root.join(group.to_string())).unwrap();
    let options = LogOptions {
        initial_index: 1,
        auto_roll: false,
        ..LogOptions::default()
    };
    let log = poll_ready(Log::open_with(env, options)).unwrap();
    let members = Membership::of_voters([ReplicaId(1)]);
    let config = ReplicaConfig::new(GroupId(group), ReplicaId(1), members);
    Replica::open(config, log, None, Box::new(|| 7)).unwrap()
}

fn metrics() -> Arc<Metrics> {
    Arc::new(Metrics::new(&Env::system(), BuildInfo::default()))
}

struct Bench {
    root: tempfile::TempDir,
    flusher: Flusher,
    threads: FlushThreads,
    mailbox: mpsc::Receiver<ShardInput>,
    broken: Arc<AtomicBool>,
}

impl Bench {
    fn new() -> Self {
        let root = tempfile::tempdir().unwrap();
        let broken = Arc::new(AtomicBool::new(false));
        let dir = StateDir::new(root.path());
        let journal = RaftStateFile::open(Fragile {
            dir,
            broken: Arc::clone(&broken),
        })
        .unwrap();
        let (sender, mailbox) = mpsc::channel(64);
        let router = Arc::new(Router::new(vec![sender]));
        let flusher = Flusher::new(metrics());
        let threads = flusher.start(2, journal, &router, &Failure::new()).unwrap();
        Self {
            root,
            flusher,
            threads,
            mailbox,
            broken,
        }
    }

    /// Submits the first job of a replica, which holds its vote and its first entry.
    fn submit(&self, replica: &mut Replica<FileEnv>) {
        let job = replica
            .advance()
            .unwrap()
            .persist
            .expect("a new leader saves its vote");
        assert!(job.ticket.is_some() && job.state.is_some());
        self.flusher.submit(FlushJob {
            group: replica.group(),
            job,
            entries: 1,
            shard: 0,
        });
    }

    fn result(&mut self) -> (GroupId, PersistDone) {
        match self.mailbox.blocking_recv() {
            Some(Input::Persisted { group, done }) => (group, done),
            _ => panic!("only results come"),
        }
    }

    /// What a start after this would find.
    fn stored(&self) -> Vec<u64> {
        let journal = RaftStateFile::open(StateDir::new(self.root.path())).unwrap();
        journal.groups().map(|state| state.group.0).collect()
    }
}

#[test]
fn jobs_come_back_once_their_state_is_saved_and_all_of_them_before_the_end() {
    let mut bench = Bench::new();
    let mut replicas: Vec<_> = (1..=20)
        .map(|group| replica(bench.root.path(), group))
        .collect();
    replicas
        .iter_mut()
        .for_each(|replica| bench.submit(replica));
    let (group, done) = bench.result();
    assert!(bench.stored().contains(&group.0));
    let replica = &mut replicas[usize::try_from(group.0).unwrap() - 1];
    replica.on_persisted(done).unwrap();
    assert!(replica.advance().is_ok() && replica.is_watermark_known());
    bench.threads.finish();
    let mut rest = 0;
    while let Ok(input) = bench.mailbox.try_recv() {
        assert!(matches!(input, Input::Persisted { .. }));
        rest += 1;
    }
    assert_eq!(rest, 19);
}

#[test]
fn a_state_that_was_not_saved_ends_every_replica_that_needed_it_with_the_reason() {
    let mut bench = Bench::new();
    let mut replicas: Vec<_> = (1..=3)
        .map(|group| replica(bench.root.path(), group))
        .collect();
    bench.broken.store(true, Ordering::SeqCst);
    replicas
        .iter_mut()
        .for_each(|replica| bench.submit(replica));
    for _ in 0..3 {
        let (group, done) = bench.result();
        let replica = &mut replicas[usize::try_from(group.0).unwrap() - 1];
        // Whichever shard speaks first, its reason is the one that people get to see.
        let fatal = replica.on_persisted(done).unwrap_err().to_string();
        assert!(fatal.contains("the disk is gone"), "{fatal}");
    }
    // A disk that works again does not help: what is on it is not known.
    bench.broken.store(false, Ordering::SeqCst);
    let mut late = replica(bench.root.path(), 4);
    bench.submit(&mut late);
    assert!(late.on_persisted(bench.result().1).is_err());
}

#[test]
fn forgotten_groups_are_gone_and_last_states_stay() {
    let mut bench = Bench::new();
    let mut replicas: Vec<_> = (1..=3)
        .map(|group| replica(bench.root.path(), group))
        .collect();
    for replica in &mut replicas {
        bench.submit(replica);
        let done = bench.result().1;
        replica.on_persisted(done).unwrap();
    }
    let runtime = tokio::runtime::Builder::new_current_thread()
        .build()
        .unwrap();
    runtime.block_on(bench.flusher.forget(vec![GroupId(2)]));
    assert_eq!(bench.stored(), [1, 3]);
    let (_, state) = replica(bench.root.path(), 5).close();
    bench.flusher.save_last(state);
    let Bench { root, threads, .. } = bench;
    threads.finish();
    let journal = RaftStateFile::open(StateDir::new(root.path())).unwrap();
    assert_eq!(
        journal
            .groups()
            .map(|state| state.group.0)
            .collect::<Vec<_>>(),
        [1, 3, 5]
    );
}
