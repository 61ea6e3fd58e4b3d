//! What nobody needs any more: offsets of groups that have been empty for long, and groups without any.

use super::Coordinator;
use crate::groups::Now;
use crate::groups::command::Change;
use crate::groups::proposals::ProposalToken;
use crate::groups::record::{CommittedOffset, OffsetKey};
use crate::groups::state::Stored;

/// Keys of one command: it stays far below its limit.
const KEYS_PER_COMMAND: usize = 8192;

impl<R> Coordinator<R> {
    /// Removes what is too old. Of a group that something is under way for nothing is removed: a commit
    /// that is proposed and not yet applied would be taken away behind its answer.
    pub(super) fn expire(&mut self, now: Now) {
        let busy = self.proposals.groups();
        let retention = i64::try_from(self.config.offsets_retention.as_millis());
        let retention = retention.unwrap_or(i64::MAX);
        let mut expired = Vec::new();
        for (name, stored) in self.state.groups() {
            if busy.contains(name) || self.groups.contains_key(name) {
                continue;
            }
            let old = old_offsets(stored, now, retention);
            if old.len() == stored.offsets.len() {
                expired.push((name.to_owned(), None));
            } else if !old.is_empty() {
                expired.push((name.to_owned(), Some(old)));
            }
        }
        for (group, old) in expired {
            match old {
                None => {
                    tracing::info!(group, "the group and its offsets are too old");
                    self.proposals.propose(Change::RemoveGroup { group });
                }
                Some(keys) => {
                    self.remove_offsets(&group, &keys);
                }
            }
        }
    }

    /// Proposes the removal; `None` when there is nothing to remove.
    pub(super) fn remove_offsets(
        &mut self,
        group: &str,
        keys: &[OffsetKey],
    ) -> Option<ProposalToken> {
        let parts = keys.chunks(KEYS_PER_COMMAND).map(|keys| {
            let (group, keys) = (group.to_owned(), keys.to_vec());
            self.proposals
                .propose(Change::RemoveOffsets { group, keys })
        });
        parts.last()
    }
}

/// The offsets of a group without members that are too old: counted from when they were committed, or
/// when the group became empty if that is later.
fn old_offsets(stored: &Stored, now: Now, retention_ms: i64) -> Vec<OffsetKey> {
    let empty_since = stored
        .record
        .as_ref()
        .map_or(i64::MIN, |record| record.since_ms);
    let is_old = |offset: &CommittedOffset| {
        let since = offset.committed_ms.max(empty_since);
        now.wall_ms.saturating_sub(since) >= offset.retention_ms.unwrap_or(retention_ms)
    };
    let offsets = stored.offsets.iter();
    offsets
        .filter(|(_, offset)| is_old(offset))
        .map(|(key, _)| *key)
        .collect()
}
