//! Every bound of the broker, in one place, with the relations between them checked when it compiles.
//!
//! A bound that a deployment may want to move is a field of [`Limits`]; its default and its ceiling are
//! the constants beside it. Everything that a peer can make grow is in here.

use std::time::Duration;

/// Largest frame that is read from a client, in bytes, without its four length bytes.
pub const FRAME_BYTES_MAX: u32 = 100 << 20;

/// Smallest frame that can be a request: api key, api version and correlation id.
pub const FRAME_BYTES_MIN: u32 = 8;

/// Bytes of a record batch's own head, before its first record.
pub const BATCH_OVERHEAD_BYTES: u32 = 61;

/// Default of a topic's `max.message.bytes`: 1 MiB of records and twelve bytes of log overhead, as other
/// brokers have it, so that clients' defaults fit.
pub const BATCH_BYTES_DEFAULT: u32 = (1 << 20) + 12;

/// Largest value that a topic's `max.message.bytes` may have.
pub const BATCH_BYTES_MAX: u32 = 64 << 20;

/// What one batch may grow to when its records are decompressed for the check, as a multiple of the
/// largest batch of its topic...
pub const BATCH_INFLATION_MAX: u64 = 8;
/// ... or this many bytes, if that is more: text can shrink to very little.
pub const BATCH_INFLATION_MIN_BYTES: u64 = 32 << 20;
/// What a stored batch may grow to when a record is looked for in it: all that was ever let in.
pub const LOOKUP_INFLATION_BYTES_MAX: u64 = BATCH_BYTES_MAX as u64 * BATCH_INFLATION_MAX;

/// Connections that are served at the same time; further ones wait in the listen backlog.
pub const CONNECTIONS_DEFAULT: usize = 4096;

/// Requests of one connection that were read and not yet answered.
pub const REQUESTS_IN_FLIGHT_DEFAULT: usize = 64;

/// Bytes of request frames in memory, over all connections.
pub const BYTES_IN_FLIGHT_DEFAULT: u32 = 512 << 20;

/// Bytes of fetch answers in memory or on their way to a socket, over all connections.
pub const FETCH_BYTES_IN_FLIGHT_DEFAULT: u32 = 512 << 20;

/// Largest sum of record bytes in one fetch answer; a request that asks for more gets this much.
pub const FETCH_BYTES_MAX: u32 = 55 << 20;

/// Longest time that a fetch waits for data.
pub const FETCH_WAIT_MAX: Duration = Duration::from_secs(60);

/// Longest time that a produce waits for its quorum.
pub const PRODUCE_WAIT_MAX: Duration = Duration::from_secs(120);

/// Longest time that a change of topics is waited for.
pub const CHANGE_WAIT_MAX: Duration = Duration::from_secs(300);

/// Shortest time that a client waits for anything that has to reach the disk, whatever it says.
pub const CHANGE_WAIT_MIN: Duration = Duration::from_secs(1);

/// A connection without any byte for this long, and without a request under way, is closed.
pub const IDLE_DEFAULT: Duration = Duration::from_secs(600);

/// A frame that began must be complete after this long, or its connection is closed.
pub const FRAME_WAIT_MAX: Duration = Duration::from_secs(60);

/// A client that takes no byte of an answer for this long loses its connection.
pub const WRITE_STALL_MAX: Duration = Duration::from_secs(30);

/// How long a shutdown waits for requests that were read before it began.
pub const DRAIN_WAIT_MAX: Duration = Duration::from_secs(10);

/// Bytes that one read takes from a socket before it is known how long the frame is.
pub const READ_AHEAD_BYTES: usize = 16 << 10;

/// A frame's buffer is taken at once up to this size; a longer one grows with what has arrived, so that
/// announcing a long frame costs the peer its bytes.
pub const FRAME_RESERVE_BYTES: usize = 4 << 20;

/// Step in which a frame takes its share of [`Limits::bytes_in_flight`].
pub const PERMIT_STEP_BYTES: u32 = 256 << 10;

/// Inputs that wait in one shard's mailbox. A full mailbox makes its senders wait.
pub const MAILBOX_LEN: usize = 1024;

/// Inputs that a shard takes from its mailbox before it lets its partitions work.
pub const SHARD_BATCH_LEN: usize = 256;

/// Reads that one fetch asks of a shard at a time, so that a fetch of very many partitions lets others in
/// between.
pub const READS_PER_INPUT: usize = 512;

/// Requests that wait for the controller.
pub const CONTROLLER_QUEUE_LEN: usize = 256;

/// Commands that shard 0 handed to the controller and that are not yet applied.
pub const APPLIED_QUEUE_LEN: usize = 4096;

/// Longest time that a change of the metadata waits for somebody to lead that group.
pub const PROPOSE_WAIT_MAX: Duration = Duration::from_secs(10);
/// Time between two attempts of a node that starts to say where it is.
pub const REGISTER_RETRY_WAIT: Duration = Duration::from_secs(1);
/// Time between two looks for that leader.
pub const PROPOSE_RETRY_WAIT: Duration = Duration::from_millis(50);
/// Longest time that new partitions are waited for to have leaders, before their creation is answered all the same.
pub const LEADERS_WAIT_MAX: Duration = Duration::from_secs(10);

/// The step of the clock that elections and heartbeats go by; the same on all nodes of a cluster.
pub const TICK: Duration = Duration::from_millis(100);
/// Ticks without a word from its leader before a replica stands for election; each time the real number is
/// drawn from here to twice as many: 0.8 to 1.6 s.
pub const ELECTION_TICKS: u32 = 8;
/// Ticks between two heartbeats of a leader. They and the ticks are what groups cost that nobody uses.
pub const HEARTBEAT_TICKS: u32 = 2;
const _: () = assert!(
    HEARTBEAT_TICKS * 3 <= ELECTION_TICKS,
    "two heartbeats may be lost"
);
/// Ticks for which a group in which nothing happens goes without heartbeats, at least: 2 s; at most half as much
/// more. Then it looks around once.
pub const REST_TICKS: u32 = 20;
/// A node that did not say for so many ticks that it is alive is silent: the groups that it has a part in end
/// their rest.
pub const SILENT_TICKS: u32 = 6;
const _: () = assert!(
    HEARTBEAT_TICKS * 2 < SILENT_TICKS && SILENT_TICKS <= ELECTION_TICKS,
    "one word may be lost, and elections begin no later for it"
);

/// Longest time that the answer of another node is waited for.
pub const ASK_WAIT_MAX: Duration = Duration::from_secs(5);
/// Time between two rounds of asking the nodes that a new one has not heard of.
pub const BOOTSTRAP_RETRY_WAIT: Duration = Duration::from_millis(100);
/// Every so many rounds it is said who is missing.
pub const BOOTSTRAP_TELL_EVERY: u32 = 100;
/// So many times a node asks at its start whether its directory was replaced, until somebody answers.
pub const BOOTSTRAP_LOOKS: u32 = 20;
/// Time before a node that did not hear the news of who leads what is told again.
pub const NEWS_RETRY_WAIT: Duration = Duration::from_millis(500);
/// After this long the others hear everything again, since a node that was started anew knows nothing.
pub const NEWS_ALL_EVERY: Duration = Duration::from_secs(5);

/// Least time between two messages to a node about who is in sync: a replica that comes and goes costs no more.
pub const IN_SYNC_NEWS_EVERY: Duration = Duration::from_secs(1);
/// Groups of which one such message tells.
pub const IN_SYNC_NEWS_LEN: usize = 16 << 10;

/// Groups of which one question asks who leads them; the others are asked for when these are known.
pub const UNHEARD_LEN: usize = 16 << 10;

/// Groups of which a node remembers who leads them: all that a cluster of the most nodes may have.
pub const LED_GROUPS_MAX: usize = PARTITIONS_MAX * NODES_MAX;

/// Batches of a partition that are in its log, and whose answers wait for more replicas than a quorum or for the
/// commit of the batch that they repeat. With so many nothing is taken that might have to wait with them.
pub const HELD_APPENDS_MAX: usize = 4096;

/// Nodes of one cluster.
pub const NODES_MAX: usize = 32;

/// Partitions of one topic.
pub const TOPIC_PARTITIONS_MAX: u32 = 4096;

/// Partitions of this node.
pub const PARTITIONS_MAX: usize = 32 << 10;

/// Topics that one `CreateTopics` or `DeleteTopics` may change.
pub const TOPICS_PER_CHANGE_MAX: usize = 1024;

/// Topics and nodes whose settings are told in one answer.
pub const SETTINGS_RESOURCES_MAX: usize = 4096;

/// Shard threads.
pub const SHARDS_MAX: usize = 256;

/// Flush threads.
pub const FLUSH_THREADS_MAX: usize = 64;

/// Flush threads when nothing else is said. Measured on ext4: 16 dirty files take 8 to 15 ms one after
/// the other, under 1 ms from a small pool.
pub const FLUSH_THREADS_DEFAULT: usize = 4;

/// Bytes of recent batches that all partitions together keep in memory for readers at the tail.
pub const TAIL_CACHE_BYTES_DEFAULT: u64 = 256 << 20;

/// Bytes of recent batches that one partition keeps.
pub const PARTITION_TAIL_BYTES_MAX: u64 = 8 << 20;

/// Files of sealed segments that are open at once; those that are written to come on top.
pub const SEALED_FILES_OPEN_MAX: usize = 1024;

/// How often partitions look for records that are too old or too many.
pub const RETENTION_CHECK_DEFAULT: Duration = Duration::from_secs(30);

/// Default of a topic's `segment.ms`: a week, as other brokers have it.
pub const SEGMENT_AGE_DEFAULT_MS: u64 = 7 * 24 * 3600 * 1000;

/// Default of a topic's `segment.bytes`.
pub const SEGMENT_BYTES_DEFAULT: u64 = 1 << 30;

/// Smallest `segment.bytes` that a topic may have.
pub const SEGMENT_BYTES_MIN: u64 = 1 << 10;

/// Largest `segment.bytes` that a topic may have.
pub const SEGMENT_BYTES_MAX: u64 = 64 << 30;

/// Producer ids that the metadata group hands out at a time. What a node has not used when it stops is
/// never used.
pub const PRODUCER_ID_BLOCK: u64 = 1000;

/// Connections of the HTTP port served at the same time.
pub const HTTP_CONNECTIONS_MAX: usize = 64;

/// Header lines of one HTTP request.
pub const HTTP_HEADERS_MAX: usize = 64;

/// Bytes of the head of one HTTP request, and of an answer that is being written.
pub const HTTP_BUFFER_BYTES: usize = 16 << 10;

/// How long an HTTP connection may wait for its next request, and a request's head for its end.
pub const HTTP_IDLE_MAX: Duration = Duration::from_secs(30);

/// After this long an HTTP connection takes no more requests, ...
pub const HTTP_CONNECTION_LIFE_MAX: Duration = Duration::from_secs(60);

/// ... and after this long more it is closed, whatever it does.
pub const HTTP_FINISH_MAX: Duration = Duration::from_secs(10);

/// Pages of metrics in memory at the same time; one of 30 000 partitions has some 25 MB.
pub const PAGES_MAX: usize = 2;

/// How long a scrape waits for the picture of the groups; then it goes without.
pub const GROUPS_LOOK_MAX: Duration = Duration::from_secs(2);

/// How long a scrape waits for its turn.
pub const PAGE_WAIT_MAX: Duration = Duration::from_secs(5);

/// Longest topic name, in bytes.
pub const TOPIC_NAME_BYTES_MAX: usize = 249;

/// Settings of one topic in one request.
pub const TOPIC_CONFIGS_MAX: usize = 64;

/// Largest command of the metadata group, in bytes.
pub const COMMAND_BYTES_MAX: usize = 1 << 20;

/// Longest group id, in bytes.
pub const GROUP_ID_BYTES_MAX: usize = 1024;

/// Longest other name in a group: of a member, an instance, a protocol.
pub const GROUP_NAME_BYTES_MAX: usize = 1024;

/// Bytes of a client's id that are kept of it: they begin its member id.
pub const GROUP_CLIENT_ID_BYTES_MAX: usize = 255;

/// Groups of one partition of groups.
pub const GROUPS_PER_PARTITION_MAX: usize = 32 << 10;

/// Members of one group, and as many ids that were given out and not used yet.
pub const GROUP_MEMBERS_MAX: usize = 4096;

/// Protocols of one member.
pub const GROUP_PROTOCOLS_MAX: usize = 64;

/// Bytes of all that the members of one group say about themselves, and of what they are told to do: about
/// what the group's record takes.
pub const GROUP_BYTES_MAX: u64 = 8 << 20;

/// Longest metadata of a committed offset, in bytes; other brokers have the same.
pub const OFFSET_METADATA_BYTES_MAX: usize = 4096;

/// Bytes of what is kept of all groups of one partition, and of their members at work.
pub const GROUP_STATE_BYTES_MAX: u64 = 128 << 20;

/// Bytes of offsets in one command; a longer list takes several.
pub const GROUP_OFFSETS_BYTES: u64 = 256 << 10;

/// Bytes of one chunk of a checkpoint, unless it holds a single record that is longer.
pub const GROUP_CHUNK_BYTES: u64 = 256 << 10;

/// Largest command of a partition of groups, in bytes: a group's record, with names and lengths.
pub const GROUP_COMMAND_BYTES_MAX: u32 = 16 << 20;

/// Bytes of commands of one partition of groups that are proposed and not committed; one is always let
/// through.
pub const GROUP_PROPOSED_BYTES_MAX: usize = 8 << 20;

/// The same as its replica counts it, with what else stands in the log: never the first to be reached, so
/// that nothing is refused.
pub const GROUP_UNCOMMITTED_BYTES_MAX: u64 = 64 << 20;

/// Commands of one partition of groups that are proposed and not committed.
pub const GROUP_PROPOSED_MAX: usize = 256;

/// Commands of one partition of groups that wait to be proposed; with more, no requests are taken.
pub const GROUP_QUEUED_MAX: usize = 4096;

/// Their bytes; with more, no requests are taken.
pub const GROUP_QUEUED_BYTES_MAX: usize = 32 << 20;

/// A checkpoint of a partition's groups is written when the commands since the last have this many bytes,
/// and twice what is kept.
pub const GROUP_CHECKPOINT_BYTES_MIN: u64 = 1 << 20;

/// Segments of partitions of groups: small, so that cutting the log's start frees space.
pub const GROUP_SEGMENT_BYTES: u64 = 1 << 20;

/// A member that has no id yet waits at most this long for the others: its client may be gone.
pub const GROUP_NEW_MEMBER_WAIT_MAX: Duration = Duration::from_secs(300);

/// How often offsets and groups are looked for that nobody needs any more.
pub const GROUP_EXPIRY_INTERVAL: Duration = Duration::from_secs(600);

/// Default of `groups.initial_rebalance_delay`.
///
/// The first member of an empty group waits this long for others, so that a deployment of many consumers
/// takes one rebalance, not one per consumer; each that comes starts the wait anew. Other brokers take 3 s,
/// which everybody feels who reads a topic by hand. Members of one deployment are less than half a second
/// apart, mostly; one that comes later costs a rebalance more, nothing else.
pub const GROUP_INITIAL_DELAY_DEFAULT: Duration = Duration::from_millis(500);

/// Ceiling of `groups.initial_rebalance_delay`.
pub const GROUP_INITIAL_DELAY_MAX: Duration = Duration::from_secs(60);

/// Defaults of the shortest and longest session timeout that a member may ask for; other brokers have the
/// same.
pub const GROUP_SESSION_MIN_DEFAULT: Duration = Duration::from_secs(6);
/// See [`GROUP_SESSION_MIN_DEFAULT`].
pub const GROUP_SESSION_MAX_DEFAULT: Duration = Duration::from_secs(1800);

/// Ceiling of both; the wire has 31 bits of milliseconds.
pub const GROUP_SESSION_CEILING: Duration = Duration::from_secs(24 * 3600);

/// Default of how long offsets are kept of a group without members: seven days, as with other brokers.
pub const OFFSETS_RETENTION_DEFAULT: Duration = Duration::from_secs(7 * 24 * 3600);

/// Ceiling of that: a hundred years.
pub const OFFSETS_RETENTION_MAX: Duration = Duration::from_secs(100 * 365 * 24 * 3600);

/// Requests that wait for the coordinator of groups.
pub const GROUP_REQUESTS_LEN: usize = 1024;

/// Commands on their way from the coordinator of groups to the shards; with more, no requests are taken.
pub const GROUP_OUTBOX_LEN: usize = 1024;

/// Committed commands and answers to proposals on their way from the shards to the coordinator of groups.
pub const GROUP_EVENTS_LEN: usize = 256;

/// Nodes that this one talks to.
pub const PEER_NODES_MAX: usize = 128;

/// Links from other nodes, on both lanes together.
pub const PEER_LINKS_MAX: usize = 2 * PEER_NODES_MAX;

/// Connections on the port for nodes that have not said who they are. One more ends the oldest of them.
pub const PEER_HANDSHAKES_MAX: usize = 64;

/// Largest frame between nodes, in bytes, without its head: the largest batch and what is around it.
pub const PEER_FRAME_BYTES_MAX: u32 = BATCH_BYTES_MAX + (1 << 20);

/// Largest first frame of a link.
pub const PEER_HELLO_BYTES_MAX: u32 = 1 << 10;

/// A frame of small messages between nodes ends when it has this many bytes.
pub const PEER_GATHER_BYTES: usize = 64 << 10;

/// Heartbeats in one frame between nodes.
pub const PEER_BEATS_PER_FRAME_MAX: usize = 4096;

/// Messages that wait for one lane to one node: two rounds of heartbeats of all partitions. More are dropped.
pub const PEER_QUEUE_LEN: usize = 2 * PARTITIONS_MAX;

/// Bytes of entries among them; a message is always let through when nothing waits.
pub const PEER_QUEUE_BYTES: usize = 32 << 20;

/// Messages that one write to another node takes from its queue, ...
pub const PEER_DRAIN_LEN: usize = 4096;

/// ... and bytes of entries, unless the first message alone has more.
pub const PEER_DRAIN_BYTES: usize = 1 << 20;

/// Bytes per second of old records to a node that catches up, while clients write: at 16 MB/s a disk that takes
/// 100 is free for new records most of the time. More where the node would not get there otherwise.
pub const PEER_BULK_BYTES_PER_SECOND: u64 = 16_000_000;

/// Clients count as writing for so long after a new record, ...
pub const PEER_BUSY_FOR: Duration = Duration::from_secs(1);

/// ... and it is looked at so often, at most.
pub const PEER_PACE_EVERY: Duration = Duration::from_millis(20);

/// Messages from another node that are decoded before they are handed on.
pub const PEER_DELIVER_LEN: usize = 256;

/// What one frame's messages may wait for room at their receivers, together; what finds none is dropped.
pub const PEER_DELIVER_WAIT_MAX: Duration = Duration::from_millis(100);

/// How long another node may take to accept a connection, and then to say who it is.
pub const PEER_HELLO_WAIT_MAX: Duration = Duration::from_secs(5);

/// A node that takes no byte for this long loses its link.
pub const PEER_STALL_MAX: Duration = Duration::from_secs(5);

/// How often each link asks whether the other end still reads, ...
pub const PEER_PING_INTERVAL: Duration = Duration::from_secs(3);

/// ... and so many questions may be unanswered. The largest frame gets through in that time, at 5 MB/s or more.
pub const PEER_PINGS_UNANSWERED_MAX: u32 = 5;

/// A link from another node without any byte for this long is closed.
pub const PEER_IDLE_MAX: Duration = Duration::from_secs(30);

/// Pause before the second attempt to reach a node; doubles from attempt to attempt, ...
pub const PEER_BACKOFF_MIN: Duration = Duration::from_millis(50);

/// ... up to this. Half of each pause is drawn by lot.
pub const PEER_BACKOFF_MAX: Duration = Duration::from_secs(1);

/// Calls to one node that wait for their answers, and calls from one node that are worked on.
pub const PEER_CALLS_MAX: usize = 32;

/// Bytes of one call, and of one answer.
pub const PEER_CALL_BYTES_MAX: usize = 4 << 20;

/// Bytes of all calls to one node that wait for their answers, and of calls from one node that are worked on.
pub const PEER_CALLS_BYTES_MAX: usize = 16 << 20;

/// Longest time that a call waits for its answer.
pub const PEER_CALL_WAIT_MAX: Duration = Duration::from_secs(120);

/// How long links that end may take to write what is queued.
pub const PEER_FINISH_MAX: Duration = Duration::from_secs(1);

// A batch fits in a frame with room for the rest of its request, and a fetch answer holds the largest
// batch: otherwise a batch could be accepted that no consumer can ever read.
const _: () = assert!(BATCH_BYTES_DEFAULT <= BATCH_BYTES_MAX);
const _: () = assert!(BATCH_BYTES_MAX < FRAME_BYTES_MAX);
const _: () = assert!(BATCH_OVERHEAD_BYTES < BATCH_BYTES_DEFAULT);
const _: () = assert!(BATCH_INFLATION_MIN_BYTES <= LOOKUP_INFLATION_BYTES_MAX);
const _: () = assert!(FETCH_BYTES_MAX < FRAME_BYTES_MAX);
// One frame, and one fetch answer above its limit, can always get their share: no request waits for ever.
const _: () = assert!(FRAME_BYTES_MAX <= BYTES_IN_FLIGHT_DEFAULT);
const _: () = assert!(BATCH_BYTES_MAX <= FETCH_BYTES_IN_FLIGHT_DEFAULT);
const _: () = assert!(FETCH_BYTES_MAX <= FETCH_BYTES_IN_FLIGHT_DEFAULT);
// What is read ahead belongs to one small frame or to the head of a large one.
const _: () = assert!(READ_AHEAD_BYTES < FRAME_RESERVE_BYTES);
const _: () = assert!(FRAME_BYTES_MIN as usize + 4 <= READ_AHEAD_BYTES);
const _: () = assert!(SHARD_BATCH_LEN <= MAILBOX_LEN);
const _: () = assert!(TOPIC_PARTITIONS_MAX as usize <= PARTITIONS_MAX);
const _: () = assert!(
    SEGMENT_BYTES_MIN <= SEGMENT_BYTES_DEFAULT && SEGMENT_BYTES_DEFAULT <= SEGMENT_BYTES_MAX
);
// Every connection can get its page, one after the other, and the HTTP library wants this much at least.
const _: () = assert!(PAGES_MAX <= HTTP_CONNECTIONS_MAX);
const _: () = assert!(HTTP_BUFFER_BYTES >= 8 << 10);
const _: () = assert!(PARTITION_TAIL_BYTES_MAX <= TAIL_CACHE_BYTES_DEFAULT);
// Whatever a group may hold fits in its record, with the names of group, protocol and leader, and one
// group's record or one list of offsets fits in a chunk of a checkpoint.
const _: () = assert!(GROUP_BYTES_MAX + GROUP_CHUNK_BYTES < GROUP_COMMAND_BYTES_MAX as u64);
const _: () = assert!(GROUP_OFFSETS_BYTES <= GROUP_CHUNK_BYTES);
const _: () = assert!(
    2 * (GROUP_PROPOSED_BYTES_MAX as u64 + GROUP_COMMAND_BYTES_MAX as u64)
        <= GROUP_UNCOMMITTED_BYTES_MAX
);
const _: () = assert!(OFFSET_METADATA_BYTES_MAX <= u16::MAX as usize);
const _: () =
    assert!(GROUP_ID_BYTES_MAX <= u16::MAX as usize && GROUP_NAME_BYTES_MAX <= u16::MAX as usize);

// Whatever is let into a log fits in a frame between nodes, a call too; and the head of an append is small.
const _: () = assert!(BATCH_BYTES_MAX < PEER_FRAME_BYTES_MAX);
const _: () = assert!(GROUP_COMMAND_BYTES_MAX < PEER_FRAME_BYTES_MAX);
const _: () = assert!(COMMAND_BYTES_MAX < PEER_FRAME_BYTES_MAX as usize);
const _: () = assert!(PEER_CALL_BYTES_MAX < PEER_FRAME_BYTES_MAX as usize - (1 << 10));
const _: () = assert!(
    laminarmq_replica::codec::MESSAGE_OVERHEAD_MAX + PEER_GATHER_BYTES
        < (PEER_FRAME_BYTES_MAX - BATCH_BYTES_MAX) as usize
);
const _: () = assert!(
    PEER_BEATS_PER_FRAME_MAX * laminarmq_replica::codec::BEAT_BYTES_MAX
        < PEER_FRAME_BYTES_MAX as usize
);
// One call always finds room, a drain never takes more than there may be, and a link is not idle while it asks.
const _: () = assert!(PEER_CALL_BYTES_MAX <= PEER_CALLS_BYTES_MAX);
const _: () = assert!(PEER_CALLS_BYTES_MAX <= PEER_QUEUE_BYTES);
const _: () = assert!(PEER_DRAIN_LEN <= PEER_QUEUE_LEN && PEER_DRAIN_BYTES <= PEER_QUEUE_BYTES);
const _: () = assert!(PEER_PING_INTERVAL.as_millis() * 3 < PEER_IDLE_MAX.as_millis());
const _: () = assert!(PEER_BACKOFF_MIN.as_millis() <= PEER_BACKOFF_MAX.as_millis());

/// The bounds that a deployment may move.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Limits {
    /// Connections served at the same time. Default [`CONNECTIONS_DEFAULT`], at least 1.
    pub connections: usize,
    /// Requests of one connection that were read and not answered yet. Default
    /// [`REQUESTS_IN_FLIGHT_DEFAULT`], at least 1.
    pub requests_in_flight: usize,
    /// Bytes of request frames in memory. Default [`BYTES_IN_FLIGHT_DEFAULT`], at least `frame_bytes`.
    pub bytes_in_flight: u32,
    /// Bytes of fetch answers in memory. Default [`FETCH_BYTES_IN_FLIGHT_DEFAULT`], at least
    /// [`BATCH_BYTES_MAX`].
    pub fetch_bytes_in_flight: u32,
    /// Largest frame, in bytes. Default and ceiling [`FRAME_BYTES_MAX`].
    pub frame_bytes: u32,
    /// How long a connection may be idle. Default [`IDLE_DEFAULT`].
    pub idle: Duration,
    /// Bytes of recent batches in memory, over all partitions. Default [`TAIL_CACHE_BYTES_DEFAULT`].
    pub tail_cache_bytes: u64,
    /// Partitions of this node. Default and ceiling [`PARTITIONS_MAX`].
    pub partitions: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            connections: CONNECTIONS_DEFAULT,
            requests_in_flight: REQUESTS_IN_FLIGHT_DEFAULT,
            bytes_in_flight: BYTES_IN_FLIGHT_DEFAULT,
            fetch_bytes_in_flight: FETCH_BYTES_IN_FLIGHT_DEFAULT,
            frame_bytes: FRAME_BYTES_MAX,
            idle: IDLE_DEFAULT,
            tail_cache_bytes: TAIL_CACHE_BYTES_DEFAULT,
            partitions: PARTITIONS_MAX,
        }
    }
}
