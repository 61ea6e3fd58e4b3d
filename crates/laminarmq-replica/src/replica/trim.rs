//! Moving the start of the log: decided by the leader, done by every replica.
//!
//! A committed trim takes effect for readers at once. The new start is saved with the group's state
//! first, and only then are the entries dropped: so the saved start is never behind the log's, and
//! whatever a crash leaves between the two is finished when the log is opened.

use bytes::Bytes;
use laminarmq::{Log, LogEnv, TruncateError, poll_ready};

use crate::queue::Waiting;
use crate::replica::Replica;
use crate::state::LogStart;
use crate::trim::Trim;
use crate::{EntryKind, Fatal, LogIndex, Payload, Token, TrimError, TrimTo};

/// A trim of everything also gives back the write segment, where that has this many bytes: whole segments
/// go, so a new one begins behind them. Fewer bytes are not worth two files.
const ROLL_BYTES: u64 = 1 << 20;

/// Whether a trim is to be waited for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum TrimProposed {
    /// Its token comes back in the effects.
    Queued,
    /// The log begins there already, or behind it; the token does not come back.
    Already,
}

impl<E: LogEnv> Replica<E> {
    /// Proposes that the log begin later. `token` comes back in the effects when that is decided;
    /// from then on nothing before it is read.
    pub fn propose_trim(&mut self, to: TrimTo, token: Token) -> Result<TrimProposed, TrimError> {
        self.may_propose(0)?;
        let trim = self.resolve(to)?;
        if trim.first <= self.start.index && trim.offset <= self.start.offset {
            return Ok(TrimProposed::Already);
        }
        let everything = trim.first > self.visible;
        if everything && self.log().write_segment_bytes() >= ROLL_BYTES {
            self.roll_next();
        }
        if trim.first > self.checkpoint.last {
            // What is known of the producers would go with the entries.
            self.propose_checkpoint();
        }
        let waiting = Waiting::Own(EntryKind::Trim, Payload::whole(Bytes::from(trim.encode())));
        self.propose(EntryKind::Trim, 0, token, waiting)?;
        Ok(TrimProposed::Queued)
    }

    /// Which entry is the first to stay.
    fn resolve(&self, to: TrimTo) -> Result<Trim, TrimError> {
        if !self.is_watermark_known() {
            return Err(TrimError::NotAvailable);
        }
        let (start, high_watermark) = (self.start_offset(), self.high_watermark());
        let offset = match to {
            TrimTo::Offset(offset) => offset,
            TrimTo::HighWatermark => high_watermark,
            TrimTo::Index(first) if first <= self.start.index => start,
            TrimTo::Index(first) => {
                if first > LogIndex(self.visible.get() + 1) {
                    return Err(TrimError::Uncommitted { index: first });
                }
                let offset = self.offset_after(LogIndex(first.get() - 1))?.max(start);
                return Ok(Trim { first, offset });
            }
        };
        if offset > high_watermark {
            return Err(TrimError::OutOfRange {
                offset,
                high_watermark,
            });
        }
        if offset <= start {
            return Ok(Trim {
                first: self.start.index,
                offset: start,
            });
        }
        // The last visible record's entry may go only if nothing of it is left.
        let first = if offset == high_watermark {
            LogIndex(self.visible.get() + 1)
        } else {
            let holder = self.holder(offset)?.ok_or(TrimError::NotAvailable)?;
            LogIndex(holder.index)
        };
        Ok(Trim { first, offset })
    }

    /// A trim is committed.
    pub(super) fn take_trim(&mut self, index: LogIndex) -> Result<(), Fatal> {
        let bad = |what| Fatal::Entry { index, what };
        let bytes = self.payload(index)?;
        let trim = Trim::decode(&bytes).map_err(|_| bad("not a trim"))?;
        if trim.first > index || trim.offset > self.end_offset {
            return Err(bad("a trim past the end of the log"));
        }
        let first = trim.first.max(self.start.index);
        let offset = trim.offset.max(self.start.offset);
        if (first, offset) == (self.start.index, self.start.offset) {
            // A repetition, or one that was overtaken.
            return Ok(());
        }
        let before = LogIndex(first.get() - 1);
        let prev_term = self.consensus.store().terms().get(before);
        self.start = LogStart {
            index: first,
            prev_term: prev_term.ok_or_else(|| bad("a trim before the start of the log"))?,
            offset,
        };
        self.persisting.state = true;
        Ok(())
    }

    /// Drops the entries before the start that is saved.
    pub(super) fn drop_trimmed(&mut self) -> Result<(), Fatal> {
        let Some(start) = self.persisting.take_saved_start() else {
            return Ok(());
        };
        self.consensus.store_mut().trim(start)
    }
}

/// Drops the entries before `index`, where the system lets it.
///
/// A start file that cannot be written, on a full disk for instance, leaves the log as it was: the
/// saved start is ahead of it, and the next trim or the next opening does what is left.
pub(crate) fn drop_prefix<E: LogEnv>(
    log: &mut Log<E>,
    index: LogIndex,
) -> Result<bool, TruncateError> {
    match poll_ready(log.truncate_prefix(index.get())) {
        Ok(()) => Ok(true),
        Err(error @ TruncateError::StartFile { .. }) => {
            tracing::warn!(%error, "the start of a log cannot be moved now; its files stay");
            Ok(false)
        }
        Err(error) => Err(error),
    }
}
