//! Links from other nodes: accepted, and asked who they are.
//!
//! - From each node there is one link on each lane: a new one replaces the one before, whose end may not have
//!   been noticed.
//! - Connections that have not said who they are do not keep others out: of too many, the oldest goes.

use super::frame::{Frame, FrameKind, FrameReader, seal};
use super::hello::{Hello, Refusal};
use super::incoming::Incoming;
use super::outgoing::write;
use super::peers::Shared;
use super::{Lane, NodeId};
use crate::limits::{
    PEER_FRAME_BYTES_MAX, PEER_HANDSHAKES_MAX, PEER_HELLO_BYTES_MAX, PEER_HELLO_WAIT_MAX,
    PEER_LINKS_MAX,
};
use laminarmq_replica::codec::PieceWriter;
use std::collections::{HashMap, VecDeque};
use std::future::pending;
use std::net::SocketAddr;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::oneshot;
use tokio::task::{AbortHandle, JoinSet};
use tokio::time::timeout;

/// How long to let things settle when the system has no more file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// Complaints about strangers that are remembered, so that each is made once.
const COMPLAINTS_KEPT: usize = 32;

/// Accepts links until the node stops.
pub(super) async fn run(listener: TcpListener, shared: Arc<Shared>) {
    let door = Arc::new(Door::default());
    let mut stopping = shared.stopping();
    let mut links = JoinSet::new();
    let mut strangers: VecDeque<(Arc<AtomicBool>, AbortHandle)> = VecDeque::new();
    loop {
        let accepted = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return,
            Some(ended) = links.join_next() => {
                if let Err(error) = ended
                    && error.is_panic()
                {
                    tracing::error!("a link from a node panicked; the others go on");
                }
                continue;
            }
            accepted = listener.accept() => accepted,
        };
        match accepted {
            Ok((stream, address)) => {
                strangers
                    .retain(|(known, task)| !known.load(Ordering::Relaxed) && !task.is_finished());
                if strangers.len() >= PEER_HANDSHAKES_MAX
                    && let Some((_, oldest)) = strangers.pop_front()
                {
                    oldest.abort();
                }
                let known = Arc::new(AtomicBool::new(false));
                let task = links.spawn(serve(
                    stream,
                    address,
                    Arc::clone(&known),
                    Arc::clone(&door),
                    Arc::clone(&shared),
                ));
                strangers.push_back((known, task));
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a link from a node (out of file descriptors?)");
                let _ = timeout(ACCEPT_RETRY, pending::<()>()).await;
            }
        }
    }
}

async fn serve(
    stream: TcpStream,
    address: SocketAddr,
    known: Arc<AtomicBool>,
    door: Arc<Door>,
    shared: Arc<Shared>,
) {
    if let Err(error) = stream.set_nodelay(true) {
        tracing::debug!(%address, %error, "cannot use the socket");
        return;
    }
    let (read, mut socket) = stream.into_split();
    let mut reader = FrameReader::new(read, PEER_HELLO_BYTES_MAX);
    let greeted = timeout(
        PEER_HELLO_WAIT_MAX,
        greet(&mut reader, &mut socket, address, &door, &shared),
    );
    let Ok(Some(mut seat)) = greeted.await else {
        return;
    };
    known.store(true, Ordering::Relaxed);
    reader.set_max(PEER_FRAME_BYTES_MAX);
    let (from, lane) = seat.place;
    let counters = shared.counters(from);
    counters.links_accepted.add(1);
    tracing::debug!(node = %from, ?lane, %address, "a link from the node");
    let link = Incoming {
        from,
        lane,
        inbox: Arc::clone(&shared.inbox),
        limits: shared.limits.clone(),
        counters,
        new_records: Arc::clone(&shared.new_records),
    };
    let end = tokio::select! {
        end = link.run(reader, socket) => end,
        _ = &mut seat.replaced => {
            tracing::debug!(node = %from, ?lane, "a newer link from the node replaces this one");
            return;
        }
    };
    if let Err(reason) = end {
        tracing::warn!(node = %from, ?lane, %address, %reason, "closed a link from the node");
    }
}

/// Exchanges hellos. `None`: the link is not wanted, and was told so.
async fn greet(
    reader: &mut FrameReader<OwnedReadHalf>,
    socket: &mut OwnedWriteHalf,
    address: SocketAddr,
    door: &Arc<Door>,
    shared: &Shared,
) -> Option<Seat> {
    let us = &shared.us;
    let hello = match reader.next(PEER_HELLO_WAIT_MAX).await {
        Ok(Some(Frame {
            kind: FrameKind::Hello,
            body,
        })) => Hello::decode(body),
        Ok(None) => return None,
        Ok(Some(_)) | Err(_) => None,
    };
    let seat = match &hello {
        None => Err(Refusal::no_hello()),
        Some(hello) => hello
            .check(us)
            .and_then(|_| Door::enter(door, (hello.node, hello.lane)).ok_or_else(Refusal::busy)),
    };
    let (mut body, mut out) = (PieceWriter::new(), PieceWriter::new());
    match (seat, hello) {
        (Ok(seat), Some(hello)) => {
            Hello::new(us, hello.node, hello.lane).encode(&mut body);
            seal(FrameKind::Hello, &mut body, &mut out);
            let written = write(socket, &mut out, PEER_HELLO_WAIT_MAX).await;
            written.is_ok().then_some(seat)
        }
        (Err(refusal), _) => {
            if door.is_new_complaint(&refusal) {
                tracing::warn!(%address, %refusal, "refused a link from another node");
            }
            refusal.encode(&mut body);
            seal(FrameKind::Refusal, &mut body, &mut out);
            // It may be gone, or no node at all.
            let _ = write(socket, &mut out, PEER_HELLO_WAIT_MAX).await;
            let _ = socket.shutdown().await;
            None
        }
        (Ok(_), None) => unreachable!("only a hello gets a seat"),
    }
}

type Place = (NodeId, Lane);

/// The links that are there.
#[derive(Debug, Default)]
struct Door {
    seats: Mutex<Seats>,
    complaints: Mutex<VecDeque<String>>,
}

#[derive(Debug, Default)]
struct Seats {
    last: u64,
    taken: HashMap<Place, (u64, oneshot::Sender<()>)>,
}

/// A link's right to be there; given back when it is dropped.
struct Seat {
    place: Place,
    number: u64,
    /// Ends when a newer link has the place.
    replaced: oneshot::Receiver<()>,
    door: Arc<Door>,
}

impl Door {
    fn enter(door: &Arc<Self>, place: Place) -> Option<Seat> {
        let mut seats = door.seats.lock().expect("no holder panics");
        if !seats.taken.contains_key(&place) && seats.taken.len() >= PEER_LINKS_MAX {
            return None;
        }
        seats.last += 1;
        let number = seats.last;
        let (keep, replaced) = oneshot::channel();
        seats.taken.insert(place, (number, keep));
        drop(seats);
        Some(Seat {
            place,
            number,
            replaced,
            door: Arc::clone(door),
        })
    }

    fn is_new_complaint(&self, refusal: &Refusal) -> bool {
        let mut complaints = self.complaints.lock().expect("no holder panics");
        if complaints.contains(&refusal.text) {
            return false;
        }
        complaints.truncate(COMPLAINTS_KEPT - 1);
        complaints.push_front(refusal.text.clone());
        true
    }
}

impl Drop for Seat {
    fn drop(&mut self) {
        let mut seats = self.door.seats.lock().expect("no holder panics");
        let ours = seats.taken.get(&self.place);
        if ours.is_some_and(|(number, _)| *number == self.number) {
            seats.taken.remove(&self.place);
        }
    }
}
