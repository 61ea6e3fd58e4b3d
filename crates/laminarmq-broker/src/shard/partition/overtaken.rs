//! Batches that come again, and those that must not overtake them.
//!
//! An idempotent producer sends several batches without waiting for answers. If the first of them is refused for a reason
//! that passes (this replica does not lead *yet*), the next one may come when it does lead: a gap in the sequence. So it is
//! when another replica led and refused it, and a client sends the rest to its successor before it has put the refused one
//! back into its place, as librdkafka may. A client that is told of a gap takes it for lost records. librdkafka goes on with
//! the producer's next epoch then, under which it sends again whatever has no answer, also what may be stored: it would be
//! stored twice. Where nothing of the producer is known the next batch would even be taken, and the first one refused for
//! good.
//!
//! So what comes behind a batch that was refused here is refused as that was, until it comes again; and so is what leaves a
//! gap behind all that is known of its producer, until the leader has a batch of that producer from its own term. A producer
//! has [`IN_FLIGHT_MAX`] batches under way at most, so after as many refusals a gap is a gap.

use laminarmq_kafka::batch::ProducerStamp;
use std::collections::HashMap;

/// Batches that an idempotent producer has under way at most.
const IN_FLIGHT_MAX: u8 = 5;
/// Producers that are remembered. One more, and the others are forgotten, most of which went on elsewhere long ago: what
/// overtakes their batches is told of a gap.
const PRODUCERS_MAX: usize = 1000;

/// See the module's documentation.
#[derive(Debug, Default)]
pub(super) struct Overtaken(HashMap<i64, Awaited>);

/// The oldest batch of a producer that was refused, or has to have been, and did not come again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Awaited {
    epoch: i16,
    sequence: i32,
    /// How often others may still be refused because of it.
    left: u8,
}

impl Awaited {
    fn new(epoch: i16, sequence: i32) -> Self {
        let left = IN_FLIGHT_MAX;
        Self {
            epoch,
            sequence,
            left,
        }
    }

    /// Whether one more may be refused because of it.
    fn count_down(&mut self) -> bool {
        let may = self.left > 0;
        self.left = self.left.saturating_sub(1);
        may
    }
}

impl Overtaken {
    /// Whether nothing is remembered, as nearly always.
    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// A batch was not taken, and may come again.
    pub(super) fn refused(&mut self, stamp: ProducerStamp) {
        let refused = Awaited::new(stamp.epoch, stamp.base_sequence);
        let oldest = self.entry(stamp.id, refused);
        if oldest.epoch != stamp.epoch || !precedes(oldest.sequence, stamp.base_sequence) {
            *oldest = refused;
        }
    }

    /// Whether a batch overtakes one that was refused here. `expected` is the sequence that should come next; where nothing
    /// is known of the producer, any would be taken.
    pub(super) fn is_overtaken_by(&mut self, stamp: ProducerStamp, expected: Option<i32>) -> bool {
        let Some(awaited) = self.0.get_mut(&stamp.id) else {
            return false;
        };
        awaited.epoch == stamp.epoch
            && precedes(awaited.sequence, stamp.base_sequence)
            && expected.is_none_or(|expected| expected == awaited.sequence)
            && awaited.count_down()
    }

    /// Whether a batch overtakes those from `expected` on, which another leader may have refused.
    pub(super) fn is_ahead(&mut self, stamp: ProducerStamp, expected: i32) -> bool {
        if !precedes(expected, stamp.base_sequence) {
            return false;
        }
        let lacking = Awaited::new(stamp.epoch, expected);
        let awaited = self.entry(stamp.id, lacking);
        if (awaited.epoch, awaited.sequence) != (stamp.epoch, expected) {
            *awaited = lacking;
        }
        awaited.count_down()
    }

    /// A batch of the producer was taken.
    pub(super) fn taken(&mut self, id: i64) {
        self.0.remove(&id);
    }

    /// What was waited for in vain may come now.
    pub(super) fn begin_leadership(&mut self) {
        self.0.retain(|_, awaited| awaited.left > 0);
    }

    fn entry(&mut self, id: i64, new: Awaited) -> &mut Awaited {
        if self.0.len() >= PRODUCERS_MAX && !self.0.contains_key(&id) {
            self.0.clear();
        }
        self.0.entry(id).or_insert(new)
    }
}

/// Whether the sequence number `one` comes before `other`; they wrap from `i32::MAX` to 0, so what is far ahead is behind.
fn precedes(one: i32, other: i32) -> bool {
    let ahead = other.wrapping_sub(one) & i32::MAX;
    (1..1 << 30).contains(&ahead)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stamp(id: i64, epoch: i16, base_sequence: i32) -> ProducerStamp {
        ProducerStamp {
            id,
            epoch,
            base_sequence,
        }
    }

    #[test]
    fn what_follows_on_the_oldest_refused_one_waits_for_it() {
        let mut overtaken = Overtaken::default();
        assert!(!overtaken.is_overtaken_by(stamp(7, 0, 20), Some(10)));
        overtaken.refused(stamp(7, 0, 10));
        overtaken.refused(stamp(7, 0, 20));
        assert!(overtaken.is_overtaken_by(stamp(7, 0, 20), Some(10)));
        assert!(
            overtaken.is_overtaken_by(stamp(7, 0, 30), None),
            "of whom nothing is known"
        );
        // That one itself, one of another epoch or producer, and a gap elsewhere.
        assert!(!overtaken.is_overtaken_by(stamp(7, 0, 10), None));
        assert!(!overtaken.is_overtaken_by(stamp(7, 1, 20), Some(10)));
        assert!(!overtaken.is_overtaken_by(stamp(8, 0, 20), Some(10)));
        assert!(!overtaken.is_overtaken_by(stamp(7, 0, 20), Some(15)));
        overtaken.taken(7);
        assert!(!overtaken.is_overtaken_by(stamp(7, 0, 20), Some(10)));
        assert!(overtaken.is_empty());
    }

    #[test]
    fn a_gap_is_a_gap_after_as_many_as_can_be_under_way() {
        let mut overtaken = Overtaken::default();
        overtaken.refused(stamp(7, 0, 10));
        for number in 1..=5 {
            assert!(overtaken.is_overtaken_by(stamp(7, 0, 10 + number), Some(10)));
        }
        assert!(!overtaken.is_overtaken_by(stamp(7, 0, 20), Some(10)));
        // In another leadership it may have been refused by another leader meanwhile.
        overtaken.begin_leadership();
        assert!(overtaken.is_empty());
        for number in 1..=5 {
            assert!(overtaken.is_ahead(stamp(7, 0, 10 + number), 10));
        }
        assert!(!overtaken.is_ahead(stamp(7, 0, 20), 10));
        assert!(overtaken.is_ahead(stamp(7, 0, 40), 30), "another gap");
    }

    #[test]
    fn what_comes_before_the_refused_one_does_not_wait_for_it() {
        let mut overtaken = Overtaken::default();
        overtaken.refused(stamp(7, 0, 20));
        assert!(!overtaken.is_overtaken_by(stamp(7, 0, 10), None));
        assert!(!overtaken.is_ahead(stamp(7, 0, 10), 15), "it is behind");
        overtaken.refused(stamp(7, 0, 10));
        assert!(overtaken.is_overtaken_by(stamp(7, 0, 20), None));
        // Numbers begin anew behind the last one.
        overtaken.refused(stamp(8, 0, i32::MAX));
        assert!(overtaken.is_overtaken_by(stamp(8, 0, 4), None));
        assert!(!overtaken.is_overtaken_by(stamp(8, 0, i32::MAX - 1), None));
    }

    #[test]
    fn a_next_epoch_and_a_refusal_once_more_begin_anew() {
        let mut overtaken = Overtaken::default();
        overtaken.refused(stamp(7, 0, 10));
        assert!(overtaken.is_overtaken_by(stamp(7, 0, 20), Some(10)));
        overtaken.refused(stamp(7, 0, 10));
        for _ in 0..4 {
            assert!(overtaken.is_overtaken_by(stamp(7, 0, 20), Some(10)));
        }
        overtaken.refused(stamp(7, 1, 0));
        assert!(!overtaken.is_overtaken_by(stamp(7, 0, 20), Some(10)));
        assert!(overtaken.is_overtaken_by(stamp(7, 1, 5), Some(0)));
    }

    #[test]
    fn so_many_producers_are_remembered_and_no_more() {
        let mut overtaken = Overtaken::default();
        for id in 0..2_500 {
            overtaken.refused(stamp(id, 0, 10));
            assert!(overtaken.0.len() <= PRODUCERS_MAX);
            // The newest one always is.
            assert!(overtaken.is_overtaken_by(stamp(id, 0, 20), Some(10)));
        }
    }
}
