//! A deterministic simulator: the product's own replicas and logs on simulated time, disks and
//! links. A seed gives a run, and the same seed gives the same run, byte for byte.
//!
//! ```text
//! clock     the queue of what happens when; nothing else moves time
//! random    one stream per concern, all from the seed
//! disk      page cache and media; power cuts keep any part of what was not synced
//! network   loss, repetition, delay (so: reordering), one-way and two-way partitions
//! node      a disk, and while it is up a replica on it
//! cluster   drives the nodes
//! watch     what is held while a run goes on, and at its end
//! faults    which fault comes next
//! control   lost replicas are replaced by new ones; records are deleted
//! workload  clients that produce and consume, and their answers
//! producer  what a producer knows of its batches
//! sending   what producers send, and to whom
//! consumer  bytes of a fetch as records
//! history   what the clients saw, in plain values
//! checkers  what must hold of a history, of logs and of watermarks
//! scenario  which faults, how long, and the run itself
//! report    what happened, and the command that repeats it
//! ```
//!
//! The fault model. A disk keeps everything that was synced; of the rest, a power cut keeps any
//! 512-byte sectors, lengths and names, as the seed says. A killed process loses nothing that was
//! written. A sync may fail; then the process ends, and what was not synced counts as lost. Links
//! lose, repeat, delay and reorder messages, and stop in one direction or in both. Clocks run at different
//! speeds, and go wrong. Disks fill up, and have room again.
//!
//! What takes a replica for good happens to one at a time, while the group is whole and every node knows it: a
//! disk is emptied; a bit flips in a segment that is not the last one. Both are noticed, and the node comes back
//! with an empty disk under another id. With `flush=os` a crash of the machine takes what was acknowledged, of one
//! node at a time, while the others know that the group is whole; the node keeps its id, and is in doubt (ADR 0015).
//! Outside the model: a flipped bit in the last segment (nothing behind a torn record tells it from a damaged one) or
//! in the raft-state file, a power cut of a node on whose disk a bit flipped (after one, an end that was never
//! whole and a damaged one look alike: ADR 0015), and replicas that lie.
//!
//! # What is checked
//!
//! - Per partition, produce is linearizable: acknowledged requests stand in the committed order where they
//!   were acknowledged, once, in an order that agrees with real time; what was refused is nowhere.
//! - An idempotent producer's batches are there once, however often they were sent, in the order of their
//!   sequences and without a gap; the next one in line is never refused by a leader that knows what was
//!   acknowledged.
//! - Reads of the newest leader that anybody has heard of are linearizable with the appends. One that was
//!   replaced and does not know it may leave out what is newer for a bounded time; a follower may at any time
//!   (ADR 0014). A read at a node shows at least what that node has acknowledged.
//! - Any read, at a leader or a follower, gives a part of the committed order.
//! - What was deleted stays deleted at the newest leader, and nothing is deleted that nobody asked for.
//! - One leader per term; equal logs behind equal entries; committed entries for good; watermarks that do
//!   not fall; and in the end every node has the same.
//!
//! Checkers share no types with the product, except the codec that reads batches. Each is proven
//! able to fail by a [`Canary`]: a fault outside the model that must be caught.

mod checkers;
mod clock;
mod cluster;
mod consumer;
mod control;
mod disk;
mod faults;
mod history;
mod network;
mod node;
mod producer;
mod random;
mod report;
mod rest;
mod scenario;
mod sending;
mod trace;
mod watch;
mod workload;

pub use report::{Counts, Outcome};
pub use scenario::{Canary, Options, Scenario, run};
