//! The handle by which the broker talks to other nodes.

use super::calls::{Call, Calls};
use super::counters::Counters;
use super::hello::Identity;
use super::pacer::Meter;
use super::queue::{Item, LaneQueue, Reach};
use super::{CallError, Envelope, Inbox, Lane, NodeId, PeerCounts, RequestKind, accept, dial};
use crate::config::HostPort;
use crate::env::Env;
use crate::limits;
use bytes::Bytes;
use std::collections::{BTreeMap, HashMap};
use std::fmt;
use std::sync::atomic::{AtomicU32, Ordering};
use std::sync::{Arc, Mutex, RwLock};
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::runtime::Handle;
use tokio::sync::{Notify, watch};
use tokio::task::JoinSet;
use tokio::time::timeout;

/// Who this node is, and where the others are.
#[derive(Debug)]
pub(crate) struct PeerConfig {
    pub(crate) node: NodeId,
    /// As in `meta.json`.
    pub(crate) cluster_id: String,
    /// The highest feature level that this program knows.
    pub(crate) feature_level: u16,
    /// Where other nodes connect.
    pub(crate) listen: TcpListener,
    /// The other nodes; see [`Peers::set_nodes`].
    pub(crate) nodes: BTreeMap<NodeId, HostPort>,
    pub(crate) limits: PeerLimits,
}

/// Bounds that tests move.
#[derive(Debug, Clone)]
pub(crate) struct PeerLimits {
    pub(crate) queue_len: usize,
    pub(crate) queue_bytes: usize,
    pub(crate) calls: usize,
    pub(crate) stall: Duration,
    pub(crate) ping_interval: Duration,
    pub(crate) pings_unanswered: u32,
    pub(crate) idle: Duration,
    pub(crate) deliver_wait: Duration,
    pub(crate) backoff_min: Duration,
    pub(crate) backoff_max: Duration,
}

impl Default for PeerLimits {
    fn default() -> Self {
        Self {
            queue_len: limits::PEER_QUEUE_LEN,
            queue_bytes: limits::PEER_QUEUE_BYTES,
            calls: limits::PEER_CALLS_MAX,
            stall: limits::PEER_STALL_MAX,
            ping_interval: limits::PEER_PING_INTERVAL,
            pings_unanswered: limits::PEER_PINGS_UNANSWERED_MAX,
            idle: limits::PEER_IDLE_MAX,
            deliver_wait: limits::PEER_DELIVER_WAIT_MAX,
            backoff_min: limits::PEER_BACKOFF_MIN,
            backoff_max: limits::PEER_BACKOFF_MAX,
        }
    }
}

/// What the links of a node are to do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Plan {
    /// Have a link to this address.
    Dial(HostPort),
    /// Write what is queued, and end.
    Finish,
}

/// Another node, as this one sends to it.
#[derive(Debug)]
pub(super) struct Node {
    pub(super) id: NodeId,
    pub(super) plan: watch::Sender<Plan>,
    lanes: [LaneState; 2],
    pub(super) calls: Arc<Calls>,
    pub(super) counters: Arc<Counters>,
    /// That the node is unreachable is to be told.
    pub(super) tell: Notify,
    /// Its feature level and one, or 0 while it is not known.
    level: AtomicU32,
}

#[derive(Debug)]
pub(super) struct LaneState {
    pub(super) queue: LaneQueue,
    pub(super) reach: Reach,
}

impl Node {
    pub(super) fn lane(&self, lane: Lane) -> &LaneState {
        match lane {
            Lane::Live => &self.lanes[0],
            Lane::Bulk => &self.lanes[1],
        }
    }

    /// Messages on this lane are lost from now on, `count` already.
    pub(super) fn lost(&self, lane: Lane, count: u64) {
        self.counters.messages_dropped.add(count);
        if self.lane(lane).reach.lost() {
            self.tell.notify_one();
        }
    }

    pub(super) fn set_feature_level(&self, level: u16) {
        self.level.store(u32::from(level) + 1, Ordering::Relaxed);
    }
}

/// What all tasks share.
pub(super) struct Shared {
    pub(super) us: Identity,
    pub(super) env: Env,
    pub(super) inbox: Arc<dyn Inbox>,
    pub(super) limits: PeerLimits,
    /// New records to and from all nodes.
    pub(super) new_records: Arc<Meter>,
    nodes: RwLock<HashMap<NodeId, Arc<Node>>>,
    /// Of every node that was ever heard of, at most [`COUNTED_NODES_MAX`].
    counters: Mutex<BTreeMap<NodeId, Arc<Counters>>>,
    stopping: watch::Sender<bool>,
    tasks: Mutex<JoinSet<()>>,
    runtime: Handle,
}

/// Nodes that are counted apart; what further ones do is counted and forgotten with their link.
const COUNTED_NODES_MAX: usize = 4 * limits::PEER_NODES_MAX;

impl Shared {
    pub(super) fn counters(&self, node: NodeId) -> Arc<Counters> {
        let mut counters = self.counters.lock().expect("no holder panics");
        match counters.get(&node) {
            Some(known) => Arc::clone(known),
            None if counters.len() >= COUNTED_NODES_MAX => Arc::default(),
            None => Arc::clone(counters.entry(node).or_default()),
        }
    }

    fn node(&self, node: NodeId) -> Option<Arc<Node>> {
        let nodes = self.nodes.read().expect("no holder panics");
        nodes.get(&node).cloned()
    }

    pub(super) fn stopping(&self) -> watch::Receiver<bool> {
        self.stopping.subscribe()
    }

    fn spawn(&self, task: impl Future<Output = ()> + Send + 'static) {
        let mut tasks = self.tasks.lock().expect("no holder panics");
        // Those of nodes that are gone.
        while tasks.try_join_next().is_some() {}
        tasks.spawn_on(task, &self.runtime);
    }
}

/// Talks to the other nodes; cheap to clone. Works until [`Peers::stop`].
#[derive(Clone)]
pub(crate) struct Peers(Arc<Shared>);

impl fmt::Debug for Peers {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Peers").finish_non_exhaustive()
    }
}

impl Peers {
    /// Starts to listen and to dial. Called on the runtime that is to do it.
    pub(crate) fn start(config: PeerConfig, env: Env, inbox: Arc<dyn Inbox>) -> Self {
        let shared = Arc::new(Shared {
            us: Identity {
                node: config.node,
                cluster_id: config.cluster_id,
                feature_level: config.feature_level,
            },
            env,
            inbox,
            limits: config.limits,
            new_records: Arc::default(),
            nodes: RwLock::default(),
            counters: Mutex::default(),
            stopping: watch::Sender::new(false),
            tasks: Mutex::new(JoinSet::new()),
            runtime: Handle::current(),
        });
        shared.spawn(accept::run(config.listen, Arc::clone(&shared)));
        let peers = Self(shared);
        peers.set_nodes(config.nodes);
        peers
    }

    /// Has links to exactly these nodes, at these addresses, from now on; this node itself is passed over. At
    /// most [`limits::PEER_NODES_MAX`] have links.
    pub(crate) fn set_nodes(&self, mut wanted: BTreeMap<NodeId, HostPort>) {
        let shared = &self.0;
        wanted.remove(&shared.us.node);
        if wanted.len() > limits::PEER_NODES_MAX {
            tracing::error!(
                nodes = wanted.len(),
                most = limits::PEER_NODES_MAX,
                "too many nodes: there is no link to the last of them"
            );
        }
        let wanted: BTreeMap<_, _> = wanted.into_iter().take(limits::PEER_NODES_MAX).collect();
        let mut nodes = shared.nodes.write().expect("no holder panics");
        if *shared.stopping.borrow() {
            return;
        }
        nodes.retain(|id, node| {
            let stays = wanted.contains_key(id);
            if !stays {
                node.plan.send_replace(Plan::Finish);
            }
            stays
        });
        for (id, address) in wanted {
            let plan = Plan::Dial(address);
            match nodes.get(&id) {
                Some(node) => {
                    node.plan.send_if_modified(|now| {
                        let moved = *now != plan;
                        if moved {
                            *now = plan;
                        }
                        moved
                    });
                }
                None => {
                    nodes.insert(id, self.begin(id, plan));
                }
            }
        }
    }

    fn begin(&self, id: NodeId, plan: Plan) -> Arc<Node> {
        let shared = &self.0;
        let limits = &shared.limits;
        let lane = || LaneState {
            queue: LaneQueue::new(limits.queue_len, limits.queue_bytes),
            reach: Reach::default(),
        };
        let node = Arc::new(Node {
            id,
            plan: watch::Sender::new(plan),
            lanes: [lane(), lane()],
            calls: Arc::new(Calls::new(limits.calls, limits::PEER_CALLS_BYTES_MAX)),
            counters: shared.counters(id),
            tell: Notify::new(),
            level: AtomicU32::new(0),
        });
        for lane in Lane::BOTH {
            let plan = node.plan.subscribe();
            shared.spawn(dial::keep(
                Arc::clone(shared),
                Arc::clone(&node),
                lane,
                plan,
            ));
        }
        shared.spawn(dial::tell(Arc::clone(shared), Arc::clone(&node)));
        node
    }

    /// Sends a message, or drops and counts it. Never waits; for any thread.
    pub(crate) fn send(&self, to: NodeId, envelope: Envelope) {
        let nodes = self.0.nodes.read().expect("no holder panics");
        let Some(node) = nodes.get(&to) else {
            drop(nodes);
            self.0.counters(to).messages_dropped.add(1);
            return;
        };
        let lane = envelope.lane;
        if lane == Lane::Live {
            self.0.new_records.add(envelope.message.payload_bytes());
        }
        if node.lane(lane).queue.push(Item::Message(envelope)).is_err() {
            node.lost(lane, 1);
        }
    }

    /// Tells every node that this one is alive. Where there is no link or no room, nobody hears it.
    pub(crate) fn say_alive(&self) {
        let nodes = self.0.nodes.read().expect("no holder panics");
        for node in nodes.values() {
            let _ = node.lane(Lane::Live).queue.push(Item::Alive);
        }
    }

    /// Asks another node something. Nothing is sent before the future is polled; dropping it forgets the call.
    pub(crate) async fn call(
        &self,
        to: NodeId,
        kind: RequestKind,
        bytes: Bytes,
        wait: Duration,
    ) -> Result<Bytes, CallError> {
        let node = self.0.node(to).ok_or(CallError::UnknownNode)?;
        if bytes.len() > limits::PEER_CALL_BYTES_MAX {
            return Err(CallError::TooLarge);
        }
        let wait = wait.min(limits::PEER_CALL_WAIT_MAX);
        let place = node.calls.place(bytes.len())?;
        let call = Call {
            id: place.id,
            kind,
            wait_ms: u32::try_from(wait.as_millis()).expect("PEER_CALL_WAIT_MAX fits"),
            bytes,
        };
        let queue = &node.lane(Lane::Live).queue;
        queue.push(Item::Call(call)).map_err(|no| match no {
            super::queue::NoRoom::Closed => CallError::NotConnected,
            super::queue::NoRoom::Full => CallError::Busy,
        })?;
        node.counters.calls_sent.add(1);
        timeout(wait, place.wait())
            .await
            .unwrap_or(Err(CallError::TimedOut))
    }

    /// The highest feature level that a node said it knows, when it was reached last.
    #[cfg_attr(not(test), expect(dead_code, reason = "until there is a second level"))]
    pub(crate) fn feature_level(&self, node: NodeId) -> Option<u16> {
        let level = self.0.node(node)?.level.load(Ordering::Relaxed);
        u16::try_from(level.checked_sub(1)?).ok()
    }

    /// What was counted, by node.
    pub(crate) fn counts(&self) -> Vec<(NodeId, PeerCounts)> {
        let counters = self.0.counters.lock().expect("no holder panics");
        let read = |(id, counters): (&NodeId, &Arc<Counters>)| (*id, counters.read());
        counters.iter().map(read).collect()
    }

    /// Writes what is queued, and ends all links. What is sent from now on is dropped.
    pub(crate) async fn stop(&self) {
        let shared = &self.0;
        shared.stopping.send_replace(true);
        let nodes = std::mem::take(&mut *shared.nodes.write().expect("no holder panics"));
        for node in nodes.values() {
            node.plan.send_replace(Plan::Finish);
        }
        let mut tasks = std::mem::take(&mut *shared.tasks.lock().expect("no holder panics"));
        let all = async { while tasks.join_next().await.is_some() {} };
        // What is not done by then ends with the set.
        let _ = timeout(2 * limits::PEER_FINISH_MAX, all).await;
    }
}
