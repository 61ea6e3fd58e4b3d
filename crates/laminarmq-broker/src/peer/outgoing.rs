//! A link to another node while it lasts: what is queued is written, pongs and answers are read.

use super::calls::{Answer, CALL_OVERHEAD};
use super::frame::{Frame, FrameError, FrameKind, FrameReader, seal};
use super::hello::{Hello, Identity, Refusal};
use super::messages::Encoder;
use super::pacer::Pacer;
use super::peers::{Node, PeerLimits, Plan, Shared};
use super::queue::Item;
use super::{Lane, NodeId};
use crate::config::HostPort;
use crate::limits::{
    PEER_CALL_BYTES_MAX, PEER_FINISH_MAX, PEER_HELLO_BYTES_MAX, PEER_HELLO_WAIT_MAX,
};
use crate::net::pieces::Pieces;
use bytes::Buf;
use laminarmq_replica::codec::PieceWriter;
use std::future::pending;
use std::io;
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::Duration;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::watch;
use tokio::time::{Instant, MissedTickBehavior, interval, timeout, timeout_at};

/// Largest frame that comes back on a link that this node dialled.
#[expect(
    clippy::cast_possible_truncation,
    reason = "limits.rs holds that a call is smaller than a frame, whose length is a u32"
)]
const BACK_BYTES_MAX: u32 = (PEER_CALL_BYTES_MAX + CALL_OVERHEAD + 1) as u32;

/// Why a link did not come into being, or ended.
#[derive(Debug, thiserror::Error)]
pub(super) enum LinkError {
    #[error("the node cannot be reached: {0}")]
    Connect(io::Error),
    #[error("the node did not answer in time")]
    Silent,
    #[error("refused: {0}")]
    Refused(Refusal),
    #[error("wrong node: {0}")]
    Wrong(Refusal),
    #[error("what answers is no node of this program")]
    NoHello,
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("the node closed the link")]
    Closed,
    #[error("the node takes no bytes")]
    Stalled,
    #[error("cannot write to the node: {0}")]
    Write(io::Error),
    #[error("a frame that has no place here: {0:?}")]
    Unexpected(FrameKind),
}

/// A link on which both ends said who they are.
#[derive(Debug)]
pub(super) struct Outgoing {
    reader: FrameReader<OwnedReadHalf>,
    socket: OwnedWriteHalf,
    /// The highest feature level that the other node knows.
    pub(super) feature_level: u16,
}

/// Dials, and says hello.
pub(super) async fn open(
    address: &HostPort,
    us: &Identity,
    to: NodeId,
    lane: Lane,
) -> Result<Outgoing, LinkError> {
    let connecting = TcpStream::connect((address.host.as_str(), address.port));
    let stream = timeout(PEER_HELLO_WAIT_MAX, connecting)
        .await
        .map_err(|_| LinkError::Silent)?
        .map_err(LinkError::Connect)?;
    stream.set_nodelay(true).map_err(LinkError::Connect)?;
    timeout(PEER_HELLO_WAIT_MAX, greet(stream, us, to, lane))
        .await
        .map_err(|_| LinkError::Silent)?
}

async fn greet(
    stream: TcpStream,
    us: &Identity,
    to: NodeId,
    lane: Lane,
) -> Result<Outgoing, LinkError> {
    let (read, mut socket) = stream.into_split();
    let (mut body, mut out) = (PieceWriter::new(), PieceWriter::new());
    Hello::new(us, to, lane).encode(&mut body);
    seal(FrameKind::Hello, &mut body, &mut out);
    write(&mut socket, &mut out, PEER_HELLO_WAIT_MAX).await?;
    let mut reader = FrameReader::new(read, PEER_HELLO_BYTES_MAX);
    let Some(Frame { kind, body }) = reader.next(PEER_HELLO_WAIT_MAX).await? else {
        return Err(LinkError::Closed);
    };
    match kind {
        FrameKind::Hello => {
            let hello = Hello::decode(body).ok_or(LinkError::NoHello)?;
            if hello.node != to {
                let text = format!("it is node {}, not node {to}", hello.node);
                return Err(LinkError::Wrong(Refusal::wrong_node(text)));
            }
            hello.check(us).map_err(LinkError::Wrong)?;
            reader.set_max(BACK_BYTES_MAX);
            Ok(Outgoing {
                reader,
                socket,
                feature_level: hello.feature_level,
            })
        }
        FrameKind::Refusal => {
            let refusal = Refusal::decode(body).ok_or(LinkError::NoHello)?;
            Err(LinkError::Refused(refusal))
        }
        _ => Err(LinkError::NoHello),
    }
}

impl Outgoing {
    /// Carries what is queued until the link ends, or the plan changes.
    pub(super) async fn run(
        self,
        shared: &Shared,
        node: &Node,
        lane: Lane,
        plan: &mut watch::Receiver<Plan>,
    ) -> Result<(), LinkError> {
        let Self {
            mut reader, socket, ..
        } = self;
        let unanswered = AtomicU32::new(0);
        tokio::select! {
            end = write_all(socket, shared, node, lane, plan, &unanswered) => end,
            end = read_all(&mut reader, node, lane, &unanswered) => end,
        }
    }
}

async fn read_all(
    reader: &mut FrameReader<OwnedReadHalf>,
    node: &Node,
    lane: Lane,
    unanswered: &AtomicU32,
) -> Result<(), LinkError> {
    loop {
        // Whether the other end is there is asked by pings.
        let frame = reader.next(Duration::MAX).await?;
        let frame = frame.ok_or(LinkError::Closed)?;
        match frame.kind {
            FrameKind::Pong => unanswered.store(0, Ordering::Relaxed),
            FrameKind::Answer if lane == Lane::Live => {
                let answer = Answer::decode(frame.body);
                node.calls
                    .answered(answer.ok_or(LinkError::Unexpected(frame.kind))?);
            }
            other => return Err(LinkError::Unexpected(other)),
        }
    }
}

async fn write_all(
    mut socket: OwnedWriteHalf,
    shared: &Shared,
    node: &Node,
    lane: Lane,
    plan: &mut watch::Receiver<Plan>,
    unanswered: &AtomicU32,
) -> Result<(), LinkError> {
    let limits = &shared.limits;
    let mut pacer = Pacer::new(shared.env.monotonic(), shared.new_records.read());
    let mut ready = None;
    let mut ticks = interval(limits.ping_interval);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Delay);
    let mut batch = Batch::default();
    loop {
        tokio::select! {
            biased;
            _ = plan.changed() => {
                let finish = finish(&mut socket, node, lane, limits, &mut batch);
                return timeout(PEER_FINISH_MAX, finish).await.unwrap_or(Err(LinkError::Stalled));
            }
            _ = ticks.tick() => {
                if unanswered.fetch_add(1, Ordering::Relaxed) >= limits.pings_unanswered {
                    return Err(LinkError::Stalled);
                }
                batch.ping(node);
            }
            empty = drain(node, lane, ready, &mut batch.items) => {
                batch.encode(node);
                if empty {
                    node.lane(lane).reach.well();
                }
            }
        }
        let bytes = batch.out.len();
        write(&mut socket, &mut batch.out, limits.stall).await?;
        if lane == Lane::Bulk {
            let pause = pacer.pause(bytes, shared.env.monotonic(), shared.new_records.read());
            ready = Some(Instant::now() + pause);
        }
    }
}

/// Waits for something to be sent, not before `ready`. May be dropped at any time.
async fn drain(node: &Node, lane: Lane, ready: Option<Instant>, into: &mut Vec<Item>) -> bool {
    if let Some(ready) = ready {
        let _ = timeout_at(ready, pending::<()>()).await;
    }
    node.lane(lane).queue.drain(into).await
}

/// The last of what is queued.
async fn finish(
    socket: &mut OwnedWriteHalf,
    node: &Node,
    lane: Lane,
    limits: &PeerLimits,
    batch: &mut Batch,
) -> Result<(), LinkError> {
    let queue = &node.lane(lane).queue;
    queue.close();
    loop {
        let empty = queue.drain_now(&mut batch.items);
        batch.encode(node);
        write(socket, &mut batch.out, limits.stall).await?;
        if empty {
            return socket.shutdown().await.map_err(LinkError::Write);
        }
    }
}

/// What goes out in one write.
#[derive(Debug, Default)]
struct Batch {
    items: Vec<Item>,
    encoder: Encoder,
    body: PieceWriter,
    out: PieceWriter,
}

impl Batch {
    fn ping(&mut self, node: &Node) {
        seal(FrameKind::Ping, &mut self.body, &mut self.out);
        node.counters.frames_sent.add(1);
        node.counters.bytes_sent.add(self.out.len() as u64);
    }

    fn encode(&mut self, node: &Node) {
        let encoded = self.encoder.encode(&mut self.items, &mut self.out);
        node.counters.frames_sent.add(encoded.frames);
        node.counters.messages_sent.add(encoded.messages);
        node.counters.messages_dropped.add(encoded.unsendable);
        node.counters.bytes_sent.add(self.out.len() as u64);
    }
}

/// Writes all of it; a peer that takes no byte for `stall` is given up.
pub(super) async fn write<W: AsyncWrite + Unpin>(
    socket: &mut W,
    out: &mut PieceWriter,
    stall: Duration,
) -> Result<(), LinkError> {
    let mut pieces = Pieces::new(out.take());
    while pieces.has_remaining() {
        let written = timeout(stall, socket.write_buf(&mut pieces))
            .await
            .map_err(|_| LinkError::Stalled)?
            .map_err(LinkError::Write)?;
        if written == 0 {
            return Err(LinkError::Write(io::ErrorKind::WriteZero.into()));
        }
    }
    Ok(())
}
