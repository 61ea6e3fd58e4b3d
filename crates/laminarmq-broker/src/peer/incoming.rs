//! A link from another node while it lasts: messages go to the inbox, calls are worked on, pings answered.
//!
//! - One frame at a time is in memory, and the calls that are worked on; the bytes of the latter are bounded.
//! - Messages that find no room hold the link up for a while, then they are dropped: one shard that does not get
//!   on cannot hold up the others for ever.

use super::calls::{Answer, Call, Status};
use super::counters::Counters;
use super::frame::{FrameError, FrameKind, FrameReader, seal};
use super::messages::Envelopes;
use super::outgoing::{LinkError, write};
use super::pacer::Meter;
use super::peers::PeerLimits;
use super::{Envelope, Inbox, Lane, NodeId};
use crate::limits::{PEER_CALL_BYTES_MAX, PEER_CALLS_BYTES_MAX, PEER_DELIVER_LEN};
use bytes::Bytes;
use laminarmq_replica::codec::{CodecError, PieceWriter};
use std::collections::VecDeque;
use std::future::pending;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{Semaphore, mpsc};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Why a link from another node ended, when it was not that node's will.
#[derive(Debug, thiserror::Error)]
pub(super) enum IncomingError {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a message that cannot be read: {0}")]
    Message(#[from] CodecError),
    #[error("a call that cannot be read")]
    Call,
    #[error("a frame that has no place here: {0:?}")]
    Unexpected(FrameKind),
    #[error(transparent)]
    Answering(LinkError),
}

/// Where the link's messages come from and go to.
pub(super) struct Incoming {
    pub(super) from: NodeId,
    pub(super) lane: Lane,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) limits: PeerLimits,
    pub(super) counters: Arc<Counters>,
    pub(super) new_records: Arc<Meter>,
}

/// Something to be written back.
enum Back {
    Pong,
    Answer(Answer),
}

impl Incoming {
    /// Until the other node closes the link, or does something wrong.
    pub(super) async fn run(
        self,
        reader: FrameReader<OwnedReadHalf>,
        socket: OwnedWriteHalf,
    ) -> Result<(), IncomingError> {
        // Each call has a place, and the pongs have some.
        let (back, queue) = mpsc::channel(self.limits.calls + 4);
        tokio::select! {
            end = self.read_all(reader, back) => end,
            end = write_back(socket, queue, self.limits.stall) => end.map_err(IncomingError::Answering),
        }
    }

    async fn read_all(
        &self,
        mut reader: FrameReader<OwnedReadHalf>,
        back: mpsc::Sender<Back>,
    ) -> Result<(), IncomingError> {
        let mut desk = CallDesk::new(self, back.clone());
        while let Some(frame) = reader.next(self.limits.idle).await? {
            self.counters.frames_received.add(1);
            self.counters.bytes_received.add(frame.wire_bytes());
            match frame.kind {
                FrameKind::Messages => {
                    self.deliver(Envelopes::of_messages(frame.body, self.lane))
                        .await?;
                }
                FrameKind::Heartbeats => {
                    self.deliver(Envelopes::of_heartbeats(frame.body, self.lane))
                        .await?;
                }
                FrameKind::Call if self.lane == Lane::Live => {
                    desk.take(Call::decode(frame.body).ok_or(IncomingError::Call)?);
                }
                FrameKind::Alive if self.lane == Lane::Live && frame.body.is_empty() => {
                    self.inbox.alive(self.from);
                }
                // A pong that finds no room is missed, and nobody who does not read their pongs deserves better.
                FrameKind::Ping if frame.body.is_empty() => drop(back.try_send(Back::Pong)),
                other => return Err(IncomingError::Unexpected(other)),
            }
        }
        Ok(())
    }

    async fn deliver(&self, mut frame: Envelopes) -> Result<(), CodecError> {
        let mut waited = Duration::ZERO;
        let mut envelopes = VecDeque::new();
        loop {
            let mut bad = None;
            let mut ended = false;
            while envelopes.len() < PEER_DELIVER_LEN && !ended {
                match frame.next() {
                    Ok(Some(envelope)) => {
                        if self.lane == Lane::Live {
                            self.new_records.add(envelope.message.payload_bytes());
                        }
                        envelopes.push_back(envelope);
                    }
                    Ok(None) => ended = true,
                    Err(error) => {
                        bad = Some(error);
                        ended = true;
                    }
                }
            }
            self.hand_over(&mut envelopes, &mut waited).await;
            if let Some(error) = bad {
                return Err(error);
            }
            if ended {
                return Ok(());
            }
        }
    }

    /// Until all are taken or dropped.
    async fn hand_over(&self, envelopes: &mut VecDeque<Envelope>, waited: &mut Duration) {
        let mut pause = Duration::from_millis(1);
        loop {
            let before = envelopes.len();
            self.inbox.deliver_all(self.from, envelopes);
            let taken = before - envelopes.len();
            self.counters.messages_received.add(taken as u64);
            if envelopes.is_empty() {
                return;
            }
            if *waited < self.limits.deliver_wait {
                let _ = timeout(pause, pending::<()>()).await;
                *waited += pause;
                pause *= 2;
            } else {
                envelopes.pop_front();
                self.counters.messages_refused.add(1);
            }
        }
    }
}

/// Works on the calls of one link. They end with it.
struct CallDesk {
    from: NodeId,
    inbox: Arc<dyn Inbox>,
    counters: Arc<Counters>,
    places: Arc<Semaphore>,
    bytes: Arc<Semaphore>,
    back: mpsc::Sender<Back>,
    working: JoinSet<()>,
}

impl CallDesk {
    fn new(link: &Incoming, back: mpsc::Sender<Back>) -> Self {
        Self {
            from: link.from,
            inbox: Arc::clone(&link.inbox),
            counters: Arc::clone(&link.counters),
            places: Arc::new(Semaphore::new(link.limits.calls)),
            bytes: Arc::new(Semaphore::new(PEER_CALLS_BYTES_MAX)),
            back,
            working: JoinSet::new(),
        }
    }

    fn take(&mut self, call: Call) {
        while self.working.try_join_next().is_some() {}
        self.counters.calls_received.add(1);
        let id = call.id;
        let refuse = |status| {
            let bytes = Bytes::new();
            // A node that has so many answers to read does not miss this one.
            let _ = self
                .back
                .try_send(Back::Answer(Answer { id, status, bytes }));
        };
        if call.bytes.len() > PEER_CALL_BYTES_MAX {
            return refuse(Status::TooLarge);
        }
        let size = u32::try_from(call.bytes.len()).expect("PEER_CALL_BYTES_MAX fits");
        let place = Arc::clone(&self.places).try_acquire_owned();
        let share = Arc::clone(&self.bytes).try_acquire_many_owned(size);
        let (Ok(place), Ok(share)) = (place, share) else {
            return refuse(Status::Busy);
        };
        let wait = Duration::from_millis(call.wait_ms.into());
        let wait = wait.min(crate::limits::PEER_CALL_WAIT_MAX);
        let answer = self.inbox.request(self.from, call.kind, call.bytes);
        let back = self.back.clone();
        self.working.spawn(async move {
            let (status, bytes) = match timeout(wait, answer).await {
                Ok(bytes) if bytes.len() > PEER_CALL_BYTES_MAX => (Status::TooLarge, Bytes::new()),
                Ok(bytes) => (Status::Answered, bytes),
                Err(_) => (Status::TimedOut, Bytes::new()),
            };
            // The link may be gone.
            let _ = back.send(Back::Answer(Answer { id, status, bytes })).await;
            drop((place, share));
        });
    }
}

async fn write_back(
    mut socket: OwnedWriteHalf,
    mut queue: mpsc::Receiver<Back>,
    stall: Duration,
) -> Result<(), LinkError> {
    let (mut body, mut out) = (PieceWriter::new(), PieceWriter::new());
    while let Some(back) = queue.recv().await {
        let kind = match back {
            Back::Pong => FrameKind::Pong,
            Back::Answer(answer) => {
                answer.encode(&mut body);
                FrameKind::Answer
            }
        };
        seal(kind, &mut body, &mut out);
        write(&mut socket, &mut out, stall).await?;
    }
    Ok(())
}
