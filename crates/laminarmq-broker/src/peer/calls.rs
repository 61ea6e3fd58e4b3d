//! Calls to another node, and their answers, on one link.
//!
//! ```text
//! call    u64 id, u8 kind, u32 milliseconds that the caller waits, the bytes
//! answer  u64 id, u8 status (0 answered, 1 busy, 2 too large, 3 not in time), the bytes
//! ```
//!
//! - An id is used once while the process lives, so an answer never meets another call.
//! - Waiting calls are bounded in number and in bytes; one whose future is dropped is forgotten at once.
//! - When the link ends, all that waited on it are told: whether they took effect is not known.

use super::RequestKind;
use bytes::{Buf, Bytes};
use laminarmq_replica::codec::PieceWriter;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard};
use tokio::sync::oneshot;

/// Bytes of a call or an answer beside those that are its caller's.
pub(super) const CALL_OVERHEAD: usize = 8 + 1 + 4;

/// Why a call has no answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(crate) enum CallError {
    /// No such node is known.
    #[error("the node is not known")]
    UnknownNode,
    /// There is no link to the node; nothing was sent.
    #[error("the node is not connected")]
    NotConnected,
    /// Here or there, too many calls are under way; nothing was done.
    #[error("too many calls are under way")]
    Busy,
    /// The call, or its answer, is too large.
    #[error("the call or its answer is too large")]
    TooLarge,
    /// The link ended first. Whether the call took effect is not known.
    #[error("the link ended before the answer came")]
    Lost,
    /// The time was over first. Whether the call took effect is not known.
    #[error("the answer did not come in time")]
    TimedOut,
}

/// A call on its way.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) id: u64,
    pub(super) kind: RequestKind,
    pub(super) wait_ms: u32,
    pub(super) bytes: Bytes,
}

impl Call {
    pub(super) fn encode(&self, out: &mut PieceWriter) {
        out.u64(self.id);
        out.u8(self.kind.0);
        out.u32(self.wait_ms);
        out.share(&self.bytes);
    }

    pub(super) fn decode(mut body: Bytes) -> Option<Self> {
        Some(Self {
            id: body.try_get_u64_le().ok()?,
            kind: RequestKind(body.try_get_u8().ok()?),
            wait_ms: body.try_get_u32_le().ok()?,
            bytes: body,
        })
    }
}

/// How a call ended at the node that was called.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(super) enum Status {
    Answered = 0,
    Busy = 1,
    TooLarge = 2,
    TimedOut = 3,
}

/// An answer on its way.
#[derive(Debug)]
pub(super) struct Answer {
    pub(super) id: u64,
    pub(super) status: Status,
    pub(super) bytes: Bytes,
}

impl Answer {
    pub(super) fn encode(&self, out: &mut PieceWriter) {
        out.u64(self.id);
        out.u8(self.status as u8);
        out.share(&self.bytes);
    }

    pub(super) fn decode(mut body: Bytes) -> Option<Self> {
        Some(Self {
            id: body.try_get_u64_le().ok()?,
            status: match body.try_get_u8().ok()? {
                0 => Status::Answered,
                1 => Status::Busy,
                2 => Status::TooLarge,
                3 => Status::TimedOut,
                _ => return None,
            },
            bytes: body,
        })
    }
}

type Outcome = Result<Bytes, CallError>;

/// The calls to one node that wait.
#[derive(Debug)]
pub(super) struct Calls {
    waiting: Mutex<Waiting>,
    len_max: usize,
    bytes_max: usize,
}

#[derive(Debug, Default)]
struct Waiting {
    last: u64,
    bytes: usize,
    calls: HashMap<u64, (usize, oneshot::Sender<Outcome>)>,
}

impl Calls {
    pub(super) fn new(len_max: usize, bytes_max: usize) -> Self {
        Self {
            waiting: Mutex::default(),
            len_max,
            bytes_max,
        }
    }

    /// A place for a call of so many bytes.
    pub(super) fn place(self: &Arc<Self>, bytes: usize) -> Result<Place, CallError> {
        let mut waiting = self.lock();
        if waiting.calls.len() >= self.len_max || waiting.bytes + bytes > self.bytes_max {
            return Err(CallError::Busy);
        }
        waiting.last += 1;
        waiting.bytes += bytes;
        let id = waiting.last;
        let (answer, answered) = oneshot::channel();
        waiting.calls.insert(id, (bytes, answer));
        Ok(Place {
            id,
            answered,
            calls: Arc::clone(self),
        })
    }

    /// An answer came. Who waited for it may be gone.
    pub(super) fn answered(&self, answer: Answer) {
        let outcome = match answer.status {
            Status::Answered => Ok(answer.bytes),
            Status::Busy => Err(CallError::Busy),
            Status::TooLarge => Err(CallError::TooLarge),
            Status::TimedOut => Err(CallError::TimedOut),
        };
        self.end(answer.id, outcome);
    }

    /// The link ended: so do all calls.
    pub(super) fn lost(&self) {
        let mut waiting = self.lock();
        waiting.bytes = 0;
        let calls = std::mem::take(&mut waiting.calls);
        drop(waiting);
        for (_, (_, answer)) in calls {
            // Nobody may be waiting any more.
            let _ = answer.send(Err(CallError::Lost));
        }
    }

    fn end(&self, id: u64, outcome: Outcome) {
        let mut waiting = self.lock();
        let Some((bytes, answer)) = waiting.calls.remove(&id) else {
            return;
        };
        waiting.bytes -= bytes;
        drop(waiting);
        let _ = answer.send(outcome);
    }

    fn lock(&self) -> MutexGuard<'_, Waiting> {
        self.waiting.lock().expect("no holder panics")
    }
}

/// A call that waits. Dropping it forgets the call.
#[derive(Debug)]
pub(super) struct Place {
    pub(super) id: u64,
    answered: oneshot::Receiver<Outcome>,
    calls: Arc<Calls>,
}

impl Place {
    pub(super) async fn wait(mut self) -> Outcome {
        let outcome = (&mut self.answered).await;
        outcome.unwrap_or(Err(CallError::Lost))
    }
}

impl Drop for Place {
    fn drop(&mut self) {
        self.calls.end(self.id, Err(CallError::TimedOut));
    }
}
