//! Puts a new replica in the place of one that was lost with its node's directory.
//!
//! Only the group's leader does, one step after the other, each of which waits for the one before:
//!
//! ```text
//! the successor becomes a learner -> it is caught up -> it becomes a voter and the lost one goes -> leave
//! ```
//!
//! - Until the successor is caught up the quorum is what it was: it counts for nothing that is acknowledged.
//! - Steps are looked for again at each tick, from what the members are by then. So a new leader goes on where
//!   the one before it stopped, and a step that was refused is tried again.

use crate::cluster::Incarnations;
use laminarmq_replica::{MemberStep, Membership, MembershipChange, ReplicaId};

/// The next step, if one is due now. `me` leads; `is_caught_up` is asked about learners.
pub(super) fn next_step(
    members: &Membership,
    incarnations: &Incarnations,
    me: ReplicaId,
    is_caught_up: impl Fn(ReplicaId) -> bool,
) -> Option<MembershipChange> {
    if members.is_joint() {
        return Some(MembershipChange::Leave);
    }
    let successor = |id: &ReplicaId| incarnations.successor(*id).map(|next| (*id, next));
    // A learner that was lost before it ever had a vote.
    if let Some((lost, _)) = members.learners.iter().find_map(successor) {
        return Some(MembershipChange::Enter(vec![MemberStep::Remove(lost)]));
    }
    let lost = members.voters.iter().filter(|id| **id != me);
    let steps = lost.filter_map(successor).find_map(|(lost, next)| {
        if members.voters.contains(&next) {
            Some(vec![MemberStep::Remove(lost)])
        } else if !members.learners.contains(&next) {
            Some(vec![MemberStep::Learner(next)])
        } else if is_caught_up(next) {
            Some(vec![MemberStep::Voter(next), MemberStep::Remove(lost)])
        } else {
            None
        }
    });
    steps.map(MembershipChange::Enter)
}

/// How many voters take part, of those that have to agree: until a change is left, also of the old ones.
pub(super) fn taking_part(members: &Membership, takes_part: impl Fn(ReplicaId) -> bool) -> u32 {
    let count = |voters: &[ReplicaId]| voters.iter().filter(|id| takes_part(**id)).count();
    let mut least = count(&members.voters);
    if members.is_joint() {
        least = least.min(count(&members.outgoing));
    }
    u32::try_from(least).expect("groups have few members")
}

#[cfg(test)]
mod tests;
