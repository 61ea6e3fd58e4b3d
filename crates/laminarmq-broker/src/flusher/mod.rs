//! The flusher makes what the shards wrote durable, on threads of its own.
//!
//! - Log files are synced by a pool: a few files at a time are much faster than one after the other.
//! - The raft-state journal has one writer, a thread that saves all states that wait with one write and
//!   one sync.
//! - A job with both runs its syncs first, then its state is saved; only then is it done.
//! - A shard has at most one job per partition outside, so the queues are bounded by the number of
//!   partitions, and submitting never waits.
//! - A failed sync or save is final: the replica that hears of it ends, and so does the broker. It is
//!   never tried again.

mod queue;

use crate::limits::PARTITIONS_MAX;
use crate::metrics::Metrics;
use crate::routing::Router;
use crate::runtime::{Failure, Real};
use crate::shard::{Input, Outside};
use laminarmq::{SyncDone, SyncTicket};
use laminarmq_replica::{
    GroupId, GroupState, PersistDone, PersistId, PersistJob, RaftStateFile, StateFs,
};
use queue::Queue;
use std::fmt;
use std::io;
use std::sync::Arc;
use std::thread::JoinHandle;
use tokio::sync::oneshot;

type Job = PersistJob<<Real as Outside>::Env>;

/// One job per partition, and the controller's requests to forget groups.
const QUEUE_LEN: usize = PARTITIONS_MAX + 16;

/// A job, and where its result goes.
pub(crate) struct FlushJob {
    pub(crate) group: GroupId,
    pub(crate) job: Job,
    /// Log entries that it makes durable.
    pub(crate) entries: u64,
    pub(crate) shard: usize,
}

/// What the journal's writer does.
enum StateJob {
    Save {
        group: GroupId,
        shard: usize,
        id: PersistId,
        log: Option<SyncDone>,
        state: GroupState,
    },
    SaveLast {
        state: GroupState,
    },
    Forget {
        groups: Vec<GroupId>,
        done: oneshot::Sender<()>,
    },
}

/// Takes jobs; cheap to clone.
#[derive(Clone)]
pub(crate) struct Flusher {
    syncs: Arc<Queue<FlushJob>>,
    states: Arc<Queue<StateJob>>,
    metrics: Arc<Metrics>,
}

/// The flusher's threads.
#[derive(Debug)]
pub(crate) struct FlushThreads {
    flusher: Flusher,
    pool: Vec<JoinHandle<()>>,
    writer: JoinHandle<()>,
}

impl fmt::Debug for Flusher {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Flusher").finish_non_exhaustive()
    }
}

impl Flusher {
    pub(crate) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            syncs: Arc::new(Queue::new(QUEUE_LEN)),
            states: Arc::new(Queue::new(QUEUE_LEN)),
            metrics,
        }
    }

    /// Jobs that wait for a thread.
    pub(crate) fn waiting(&self) -> usize {
        self.syncs.len() + self.states.len()
    }

    /// Starts `threads` threads that sync, and the journal's writer.
    pub(crate) fn start<F: StateFs + Send + 'static>(
        &self,
        threads: usize,
        journal: RaftStateFile<F>,
        router: &Arc<Router>,
        failure: &Failure,
    ) -> io::Result<FlushThreads> {
        let spawn = |name: String, work: Box<dyn FnOnce() + Send>| {
            let guard = failure.clone().on_panic("a flush thread panicked");
            std::thread::Builder::new().name(name).spawn(move || {
                let _guard = guard;
                work();
            })
        };
        let mut pool = Vec::with_capacity(threads);
        for number in 0..threads {
            let (flusher, router) = (self.clone(), Arc::clone(router));
            let work = Box::new(move || flusher.sync_loop(&router));
            pool.push(spawn(format!("flush-{number}"), work)?);
        }
        let (flusher, router) = (self.clone(), Arc::clone(router));
        let work = Box::new(move || flusher.state_loop(journal, &router));
        let writer = spawn("raft-state".to_owned(), work)?;
        Ok(FlushThreads {
            flusher: self.clone(),
            pool,
            writer,
        })
    }

    /// Takes a job. Its result goes to the mailbox of its shard.
    pub(crate) fn submit(&self, job: FlushJob) {
        self.syncs.push(job);
    }

    /// Saves the state of a partition that was closed. Nobody waits for it.
    pub(crate) fn save_last(&self, state: GroupState) {
        self.states.push(StateJob::SaveLast { state });
    }

    /// Takes groups out of the journal. A group whose state is on its way there at this moment may stay;
    /// the next start removes it.
    pub(crate) async fn forget(&self, groups: Vec<GroupId>) {
        let (done, forgotten) = oneshot::channel();
        self.states.push(StateJob::Forget { groups, done });
        // An error means that the writer is gone, and the broker with it.
        let _ = forgotten.await;
    }

    fn sync_loop(&self, router: &Router) {
        while let Some(FlushJob {
            group,
            job,
            entries,
            shard,
        }) = self.syncs.pop()
        {
            let id = job.id();
            let began = self.metrics.now();
            let log = job.ticket.map(SyncTicket::run);
            self.metrics.flush.job();
            if log.is_some() {
                let took = self.metrics.since(began);
                self.metrics.flush.synced(entries, took);
            }
            match job.state {
                None => report(router, shard, group, PersistDone::new(id, log, Ok(()))),
                Some(state) => self.states.push(StateJob::Save {
                    group,
                    shard,
                    id,
                    log,
                    state,
                }),
            }
        }
    }

    fn state_loop<F: StateFs>(&self, mut journal: RaftStateFile<F>, router: &Router) {
        loop {
            let jobs = self.states.pop_all();
            if jobs.is_empty() {
                return;
            }
            let mut saved = Vec::new();
            let mut states = Vec::new();
            let mut forgets = Vec::new();
            for job in jobs {
                match job {
                    StateJob::Save {
                        group,
                        shard,
                        id,
                        log,
                        state,
                    } => {
                        states.push(state);
                        saved.push((group, shard, id, log));
                    }
                    StateJob::SaveLast { state } => states.push(state),
                    StateJob::Forget { groups, done } => forgets.push((groups, done)),
                }
            }
            let result = if states.is_empty() {
                Ok(())
            } else {
                let (began, groups) = (self.metrics.now(), states.len());
                let result = journal.save(states);
                let took = self.metrics.since(began);
                self.metrics.flush.saved(groups, took);
                result
            };
            for (group, shard, id, log) in saved {
                report(
                    router,
                    shard,
                    group,
                    PersistDone::new(id, log, result.clone()),
                );
            }
            for (groups, done) in forgets {
                if let Err(error) = journal.remove(groups) {
                    // What is poisoned now fails the next save; a group too many does no harm.
                    tracing::error!(%error, "cannot take deleted partitions out of raft-state");
                }
                let _ = done.send(());
            }
        }
    }
}

fn report(router: &Router, shard: usize, group: GroupId, done: PersistDone) {
    // A shard that is closed waits for nothing.
    let _ = router.send_blocking(shard, Input::Persisted { group, done });
}

impl FlushThreads {
    /// Runs what is in the queues, then ends the threads.
    pub(crate) fn finish(self) {
        self.flusher.syncs.close();
        for thread in self.pool {
            // A panic was reported by the thread's guard.
            let _ = thread.join();
        }
        // The pool feeds the writer, so it ends first.
        self.flusher.states.close();
        let _ = self.writer.join();
    }
}

#[cfg(test)]
mod tests;
