//! What becomes of an append before it is in the log: it is taken, waits for room, is a repetition, or is refused.

use super::{Partition, Waiting, next};
use crate::shard::held::Held;
use crate::shard::{Ack, Append, Output, Outside, Refusal};
use laminarmq_kafka::batch::ProducerStamp;
use laminarmq_replica::{Fatal, ProposeError, Proposed, Token};

type Outputs<O> = Vec<Output<O>>;

impl<O: Outside> Partition<O> {
    pub(in crate::shard) fn append(
        &mut self,
        append: Append<O>,
        token: &mut Token,
        out: &mut Outputs<O>,
    ) -> Result<(), Fatal> {
        if self.backlog.is_empty() {
            if let Some(unsettled) = self.propose(append, token, out) {
                // A producer repeats what came just before: once that is in the log, it is known.
                self.settle(token, out)?;
                let again = self.propose(unsettled, token, out);
                assert!(again.is_none(), "nothing is proposed and not in the log");
            }
        } else {
            self.backlog.push_back(append);
        }
        Ok(())
    }

    /// Proposes a batch, or keeps it for later. Gives it back when the log must be looked at first.
    pub(super) fn propose(
        &mut self,
        append: Append<O>,
        token: &mut Token,
        out: &mut Outputs<O>,
    ) -> Option<Append<O>> {
        let stamp = append.batch.producer();
        let refused = match self.check_in_sync(append.ack) {
            Ok(()) if stamp.is_some_and(|stamp| self.comes_too_early(stamp)) => {
                Err(Refusal::NotLeader)
            }
            may => may.inspect_err(|_| self.comes_again(stamp)),
        };
        if let Err(refusal) = refused {
            out.push(Output::Appended {
                reply: append.reply,
                result: Err(refusal),
            });
            return None;
        }
        let this = next(token);
        // The batch is shared, so keeping it for a second try costs nothing.
        match self.replica.propose_batch(append.batch.clone(), this) {
            Ok(Proposed::Queued) => {
                let Append { ack, reply, .. } = append;
                if let Some(stamp) = stamp.filter(|_| !self.overtaken.is_empty()) {
                    self.overtaken.taken(stamp.id);
                }
                self.waiting.insert(this, Waiting::Append { ack, reply });
            }
            Ok(Proposed::Duplicate {
                index,
                base_offset,
                timestamp,
            }) => {
                let min_in_sync = match append.ack {
                    Ack::Leader => {
                        let result = Ok(self.placed(base_offset, Some(timestamp)));
                        let reply = append.reply;
                        out.push(Output::Appended { reply, result });
                        return None;
                    }
                    Ack::Quorum { min_in_sync } => min_in_sync,
                };
                self.hold(
                    Held {
                        index,
                        term: self.replica.leader_epoch(),
                        min_in_sync,
                        base_offset,
                        repeated: Some(timestamp),
                        reply: append.reply,
                    },
                    out,
                );
            }
            Err(ProposeError::Full { .. }) => self.backlog.push_front(append),
            Err(ProposeError::Unsettled) => return Some(append),
            Err(error) => {
                let refusal = match error {
                    ProposeError::SequenceGap { expected, .. }
                        if stamp.is_some_and(|stamp| self.is_ahead(stamp, expected)) =>
                    {
                        Refusal::NotLeader
                    }
                    ProposeError::NotLeader { .. } | ProposeError::HandingOver => {
                        self.comes_again(stamp);
                        Refusal::NotLeader
                    }
                    error => error.into(),
                };
                out.push(Output::Appended {
                    reply: append.reply,
                    result: Err(refusal),
                });
            }
        }
        None
    }

    /// A batch is refused for a reason that passes.
    fn comes_again(&mut self, stamp: Option<ProducerStamp>) {
        if let Some(stamp) = stamp {
            self.overtaken.refused(stamp);
        }
    }

    /// Whether a batch would be taken before others of its producer that come again, nothing being known of that one.
    fn comes_too_early(&mut self, stamp: ProducerStamp) -> bool {
        if !self.replica.is_leader() || self.replica.knows_producer(stamp.id) {
            return false;
        }
        self.overtaken.is_overtaken_by(stamp, None)
            || self.may_lack_batches_of(stamp.id) && self.overtaken.is_ahead(stamp, 0)
    }

    /// Whether a gap before a batch may be others of its producer that come again. `expected` is what follows on the log.
    fn is_ahead(&mut self, stamp: ProducerStamp, expected: i32) -> bool {
        self.overtaken.is_overtaken_by(stamp, Some(expected))
            || self.may_lack_batches_of(stamp.id) && self.overtaken.is_ahead(stamp, expected)
    }

    /// Whether another leader may have refused batches that the producer sends to this one next.
    fn may_lack_batches_of(&self, producer: i64) -> bool {
        self.replica.members().voters.len() > 1 && !self.replica.has_own_batch_of(producer)
    }
}
