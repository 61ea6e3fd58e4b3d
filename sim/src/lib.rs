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
//! workload  clients that produce and consume
//! history   what the clients saw, in plain values
//! checkers  what must hold of a history, of logs and of watermarks
//! scenario  which faults, how long, and the run itself
//! report    what happened, and the command that repeats it
//! ```
//!
//! The fault model. A disk keeps everything that was synced; of the rest, a power cut keeps any
//! 512-byte sectors, lengths and names, as the seed says. A killed process loses nothing that was
//! written. A sync may fail; then the process ends, and what was not synced counts as lost. Links
//! lose, repeat, delay and reorder messages, and stop in either direction. Clocks run at different
//! speeds. Not modelled yet: bit rot, full disks, replicas that lie.
//!
//! Checkers share no types with the product, except the codec that reads batches. Each is proven
//! able to fail by a [`Canary`]: a fault outside the model that must be caught.

mod checkers;
mod clock;
mod cluster;
mod disk;
mod faults;
mod history;
mod network;
mod node;
mod random;
mod report;
mod scenario;
mod trace;
mod watch;
mod workload;

pub use report::{Counts, Outcome};
pub use scenario::{Canary, Options, Scenario, run};
