//! Test kit: real broker processes, real clients and raw sockets, for tests of the whole product.
//!
//! What holds here, for every helper:
//! - nothing waits without a deadline, and nothing sleeps instead of waiting for a condition;
//! - a process started here is killed when its handle is dropped, also when the test panics;
//! - a helper that cannot do its work panics with what it saw: a missing tool is a failed test,
//!   never a skipped one.

mod binary;
mod broker;
mod client;
mod journal;
mod kcat;
pub mod power_cut;
mod process;
pub mod strace;
mod tempdir;
pub mod trio;
mod wait;
mod wire;

pub use binary::{binary, laminarmq, workspace_root};
pub use broker::{BrokerBuilder, BrokerProcess};
pub use client::{Client, StoredBatch};
pub use journal::{Entry, JournalReader, JournalWriter};
pub use kcat::kcat;
pub use process::{Finished, run, run_with_input};
pub use tempdir::TestDir;
pub use wait::{Deadline, Stopwatch, TimedOut, eventually, pause};
pub use wire::{FRAME_BYTES_MAX, Wire};
