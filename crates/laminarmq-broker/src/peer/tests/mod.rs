//! Nodes of one process that talk over loopback, and strangers that do not behave.

mod calls;
mod faults;
mod frames;
mod hostile;
mod lanes;

use super::frame::{Frame, FrameKind, FrameReader, seal};
use super::hello::{Hello, Identity};
use super::*;
use crate::config::HostPort;
use crate::env::Env;
use laminarmq_replica::codec::PieceWriter;
use laminarmq_replica::{EntryKind, LogIndex, LogPoint, Payload, PeerBody, PeerEntry, Term};
use std::collections::BTreeMap;
use std::future::pending;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::net::{TcpListener, TcpStream};
use tokio::time::timeout;

const CLUSTER: &str = "oYyzVdzeTTG6h4Yl7xPvnA";
/// No test gets there.
const LONG: Duration = Duration::from_secs(60);

fn id(id: i32) -> NodeId {
    NodeId::new(id).unwrap()
}

/// Calls of this kind are answered with their own bytes; of other kinds never, but see `HUGE`.
const ECHO: RequestKind = RequestKind(1);
/// Calls of this kind are answered with more than is allowed.
const HUGE: RequestKind = RequestKind(2);
const NEVER: RequestKind = RequestKind(3);

/// Keeps what it gets.
#[derive(Default)]
struct Letterbox {
    received: Mutex<Vec<(NodeId, Envelope)>>,
    unreachable: Mutex<Vec<NodeId>>,
    alive: Mutex<Vec<NodeId>>,
    /// There is no room for messages of this group.
    full: Mutex<Option<GroupId>>,
    /// There is no room on the bulk lane before something came on the live one.
    live_first: AtomicBool,
    /// Calls that were begun and neither answered nor given up.
    at_work: Arc<AtomicUsize>,
}

struct AtWork(Arc<AtomicUsize>);

impl Drop for AtWork {
    fn drop(&mut self) {
        self.0.fetch_sub(1, Ordering::Relaxed);
    }
}

impl Inbox for Letterbox {
    fn deliver(&self, from: NodeId, envelope: Envelope) -> Delivered {
        if *self.full.lock().unwrap() == Some(envelope.group) {
            return Delivered::Full(envelope);
        }
        let live = envelope.lane == Lane::Live;
        if !live && self.live_first.load(Ordering::Relaxed) {
            return Delivered::Full(envelope);
        }
        if live {
            self.live_first.store(false, Ordering::Relaxed);
        }
        self.received.lock().unwrap().push((from, envelope));
        Delivered::Taken
    }

    fn alive(&self, node: NodeId) {
        self.alive.lock().unwrap().push(node);
    }

    fn unreachable(&self, node: NodeId) {
        self.unreachable.lock().unwrap().push(node);
    }

    fn request(&self, from: NodeId, kind: RequestKind, bytes: Bytes) -> AnswerFuture {
        assert!(from.get() > 0);
        self.at_work.fetch_add(1, Ordering::Relaxed);
        let at_work = AtWork(Arc::clone(&self.at_work));
        Box::pin(async move {
            let _at_work = at_work;
            match kind {
                ECHO => bytes,
                HUGE => Bytes::from(vec![0; crate::limits::PEER_CALL_BYTES_MAX + 1]),
                _ => pending().await,
            }
        })
    }
}

struct TestNode {
    id: NodeId,
    peers: Peers,
    inbox: Arc<Letterbox>,
    address: HostPort,
}

/// Fast where the real ones wait for seconds, and without pings but the first.
fn quick() -> PeerLimits {
    PeerLimits {
        backoff_min: Duration::from_millis(2),
        backoff_max: Duration::from_millis(20),
        ping_interval: LONG,
        ..PeerLimits::default()
    }
}

fn local(port: u16) -> HostPort {
    HostPort {
        host: "127.0.0.1".to_owned(),
        port,
    }
}

async fn node(number: i32) -> TestNode {
    node_with(number, 0, CLUSTER, quick()).await
}

async fn node_with(number: i32, port: u16, cluster: &str, limits: PeerLimits) -> TestNode {
    let listen = TcpListener::bind(("127.0.0.1", port)).await.unwrap();
    let address = local(listen.local_addr().unwrap().port());
    let inbox = Arc::new(Letterbox::default());
    let config = PeerConfig {
        node: id(number),
        cluster_id: cluster.to_owned(),
        feature_level: 7,
        listen,
        nodes: BTreeMap::new(),
        limits,
    };
    let peers = Peers::start(config, Env::system(), Arc::clone(&inbox) as _);
    TestNode {
        id: id(number),
        peers,
        inbox,
        address,
    }
}

impl TestNode {
    /// Links to these and no others, once they are there.
    async fn link(&self, others: &[&Self]) {
        let nodes = others.iter().map(|node| (node.id, node.address.clone()));
        let before: Vec<_> = others
            .iter()
            .map(|n| self.counts(n.id).links_opened)
            .collect();
        self.peers.set_nodes(nodes.collect());
        for (other, before) in others.iter().zip(before) {
            until(|| self.counts(other.id).links_opened >= before + 2).await;
        }
    }

    fn counts(&self, of: NodeId) -> PeerCounts {
        let counts = self.peers.counts();
        let found = counts.into_iter().find(|(id, _)| *id == of);
        found.map(|(_, counts)| counts).unwrap_or_default()
    }

    fn received(&self) -> Vec<(NodeId, Envelope)> {
        self.inbox.received.lock().unwrap().clone()
    }

    fn received_len(&self) -> usize {
        self.inbox.received.lock().unwrap().len()
    }

    fn told_unreachable(&self) -> usize {
        self.inbox.unreachable.lock().unwrap().len()
    }
}

/// Waits for a condition; a test that waits for long has failed.
async fn until(condition: impl Fn() -> bool) {
    let wait = async {
        while !condition() {
            pause().await;
        }
    };
    timeout(Duration::from_secs(20), wait)
        .await
        .expect("in time");
}

async fn pause() {
    let _ = timeout(Duration::from_millis(1), pending::<()>()).await;
}

fn envelope(lane: Lane, group: u64, body: PeerBody) -> Envelope {
    Envelope {
        group: GroupId(group),
        from: ReplicaId(1),
        to: ReplicaId(2),
        lane,
        message: PeerMessage {
            term: Term(3),
            body,
        },
    }
}

fn heartbeat(lane: Lane, group: u64, commit: u64) -> Envelope {
    let commit = LogIndex(commit);
    envelope(lane, group, PeerBody::Heartbeat { commit })
}

/// An append of one entry at this index, with so many bytes.
fn append(lane: Lane, index: u64, bytes: usize) -> Envelope {
    let prev = LogPoint {
        index: LogIndex(index - 1),
        term: Term(3),
    };
    let entry = PeerEntry {
        index: LogIndex(index),
        term: Term(3),
        kind: EntryKind::Command,
        flags: 0,
        payload: Payload::whole(vec![index.to_le_bytes()[0]; bytes].into()),
    };
    let body = PeerBody::Append {
        prev,
        commit: LogIndex(0),
        entries: vec![entry],
    };
    envelope(lane, 5, body)
}

/// A stranger's end of a link.
struct Raw {
    reader: FrameReader<OwnedReadHalf>,
    socket: OwnedWriteHalf,
}

impl Raw {
    fn new(stream: TcpStream) -> Self {
        let (read, socket) = stream.into_split();
        Self {
            reader: FrameReader::new(read, crate::limits::PEER_FRAME_BYTES_MAX),
            socket,
        }
    }

    async fn connect(to: &TestNode) -> Self {
        let stream = TcpStream::connect(("127.0.0.1", to.address.port)).await;
        Self::new(stream.unwrap())
    }

    async fn write(&mut self, bytes: &[u8]) {
        self.socket.write_all(bytes).await.unwrap();
    }

    async fn next(&mut self) -> Option<Frame> {
        let next = timeout(Duration::from_secs(20), self.reader.next(LONG));
        // A reset is an end, too.
        next.await.expect("in time").unwrap_or(None)
    }

    /// As node 99, in order.
    async fn link(to: &TestNode, lane: Lane) -> Self {
        let mut raw = Self::connect(to).await;
        let hello = Hello::new(&identity(99, CLUSTER), to.id, lane);
        raw.write(&hello_frame(&hello)).await;
        let answer = raw.next().await.expect("an answer");
        assert_eq!(answer.kind, FrameKind::Hello);
        raw
    }

    /// Takes one link and says hello, as node `number`.
    async fn accept(listener: &TcpListener, number: i32) -> Self {
        let accepted = timeout(Duration::from_secs(20), listener.accept());
        let (stream, _) = accepted.await.expect("in time").unwrap();
        let mut raw = Self::new(stream);
        let hello = raw.next().await.expect("a hello");
        let hello = Hello::decode(hello.body).unwrap();
        let answer = Hello::new(&identity(number, CLUSTER), hello.node, hello.lane);
        raw.write(&hello_frame(&answer)).await;
        raw
    }
}

fn identity(number: i32, cluster: &str) -> Identity {
    Identity {
        node: id(number),
        cluster_id: cluster.to_owned(),
        feature_level: 1,
    }
}

fn hello_frame(hello: &Hello) -> Vec<u8> {
    let mut body = PieceWriter::new();
    hello.encode(&mut body);
    frame(FrameKind::Hello, body)
}

fn frame(kind: FrameKind, mut body: PieceWriter) -> Vec<u8> {
    let mut out = PieceWriter::new();
    seal(kind, &mut body, &mut out);
    out.take().concat()
}
