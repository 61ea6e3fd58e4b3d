//! Appends that are in the log, and whose answer waits for more than that they are committed, or for a commit
//! that an earlier append waits for already.

use super::{Output, Outside, Refusal};
use laminarmq::LogEnv;
use laminarmq_replica::{LogIndex, Offset, Replica, Term};

/// One of them.
pub(super) struct Held<O: Outside> {
    pub(super) index: LogIndex,
    /// In which it is led from here. In a later one its place may have something else in it.
    pub(super) term: Term,
    /// Replicas that must have it on their disks.
    pub(super) min_in_sync: u32,
    pub(super) base_offset: Offset,
    /// The producer sent the batch again: the max timestamp of the first one, in milliseconds.
    pub(super) repeated: Option<i64>,
    pub(super) reply: O::AppendReply,
}

impl<O: Outside> Held<O> {
    /// Whether as many replicas have it as must.
    pub(super) fn is_over(&self, replica: &Replica<O::Env>) -> bool {
        self.index <= last_on(replica, self.min_in_sync)
    }

    pub(super) fn refuse(self, refusal: Refusal, out: &mut Vec<Output<O>>) {
        out.push(Output::Appended {
            reply: self.reply,
            result: Err(refusal),
        });
    }
}

/// The last entry that is committed and on so many disks.
fn last_on<E: LogEnv>(replica: &Replica<E>, replicas: u32) -> LogIndex {
    replica.visible_on(replicas as usize)
}

/// All of a partition, in the order in which they came.
pub(super) struct HeldAppends<O: Outside>(Vec<Held<O>>);

impl<O: Outside> HeldAppends<O> {
    pub(super) const NONE: Self = Self(Vec::new());

    pub(super) fn len(&self) -> usize {
        self.0.len()
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    pub(super) fn push(&mut self, held: Held<O>) {
        self.0.push(held);
    }

    /// Takes those out for which `is_over` says so.
    pub(super) fn take(&mut self, mut is_over: impl FnMut(&Held<O>) -> bool) -> Vec<Held<O>> {
        self.0.extract_if(.., |held| is_over(held)).collect()
    }

    /// Takes those out that as many replicas have as must.
    pub(super) fn take_over(&mut self, replica: &Replica<O::Env>) -> Vec<Held<O>> {
        // Nearly always all of them wait for as many.
        let mut known = None;
        self.take(|held| {
            let last = match known {
                Some((replicas, last)) if replicas == held.min_in_sync => last,
                _ => last_on(replica, held.min_in_sync),
            };
            known = Some((held.min_in_sync, last));
            held.index <= last
        })
    }
}
