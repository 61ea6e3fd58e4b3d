//! Which replicas are in sync, as a leader tells it.
//!
//! - Those with a vote that are heard of, follow, know the present members, and do not catch up; and the leader
//!   itself. One that catches up is on its way there: what waits for it waits long.
//! - More of them are believed at once, fewer only when it stays so. A leader forgets now and then who it heard
//!   of, and knows again when the next heartbeat is answered.

use crate::limits::HEARTBEAT_TICKS;
use laminarmq_replica::{Membership, ReplicaId};

/// Ticks for which one that is not seen to follow counts all the same.
const FEWER_AFTER_TICKS: u32 = 2 * HEARTBEAT_TICKS + 1;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct InSync {
    /// Each with the ticks in a row in which it was not seen to follow. Not more than have a vote.
    told: Vec<(ReplicaId, u32)>,
}

impl InSync {
    pub(super) fn contains(&self, id: ReplicaId) -> bool {
        self.told.iter().any(|(told, _)| *told == id)
    }

    pub(super) fn len(&self) -> usize {
        self.told.len()
    }

    /// Takes what a tick sees. Says whether there is something to tell.
    pub(super) fn see(
        &mut self,
        members: &Membership,
        follows: impl Fn(ReplicaId) -> bool,
    ) -> bool {
        let before = self.told.len();
        self.told.retain_mut(|(id, missed)| {
            *missed = if follows(*id) { 0 } else { *missed + 1 };
            let votes = members.voters.contains(id) || members.outgoing.contains(id);
            votes && *missed <= FEWER_AFTER_TICKS
        });
        let mut is_news = self.told.len() < before;
        for id in members.voters.iter().chain(&members.outgoing) {
            if !self.contains(*id) && follows(*id) {
                self.told.push((*id, 0));
                is_news = true;
            }
        }
        is_news
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn fewer_in_sync_are_told_when_it_stays_so() {
        let [one, two, three] = [1, 2, 3].map(ReplicaId);
        let members = Membership::of_voters([one, two, three]);
        let mut in_sync = InSync::default();
        assert!(in_sync.see(&members, |_| true));
        assert!(!in_sync.see(&members, |_| true));
        for _ in 0..FEWER_AFTER_TICKS {
            assert!(!in_sync.see(&members, |id| id == one));
        }
        assert!(!in_sync.see(&members, |_| true), "there all the time");
        for _ in 0..FEWER_AFTER_TICKS {
            assert!(!in_sync.see(&members, |id| id != three));
        }
        assert!(in_sync.see(&members, |id| id != three));
        assert_eq!(
            [one, two, three].map(|id| in_sync.contains(id)),
            [true, true, false]
        );
        assert!(in_sync.see(&members, |_| true));
        assert_eq!(in_sync.len(), 3);
    }

    #[test]
    fn each_is_missed_by_itself_and_who_has_no_vote_does_not_count() {
        let [one, two, three] = [1, 2, 3].map(ReplicaId);
        let members = Membership::of_voters([one, two, three]);
        let mut in_sync = InSync::default();
        in_sync.see(&members, |_| true);
        // One or the other is not seen, in turns: none is gone.
        for tick in 0..4 * FEWER_AFTER_TICKS {
            let away = if tick.is_multiple_of(2) { two } else { three };
            assert!(!in_sync.see(&members, |id| id != away));
        }
        let members = Membership {
            learners: vec![three],
            ..Membership::of_voters([one, two])
        };
        assert!(in_sync.see(&members, |_| true));
        assert!(!in_sync.contains(three));
        // Until a change is left, the old ones have their vote too.
        let members = Membership {
            outgoing: vec![one, three],
            ..Membership::of_voters([one, two])
        };
        assert!(in_sync.see(&members, |_| true));
        assert_eq!(in_sync.len(), 3);
    }
}
