//! What the fuzzer runs: one module per target, each with a `check` that takes any bytes and panics where a
//! promise is broken, and `seeds` to start from.
//!
//! - No input panics, and none makes us allocate more than its size justifies.
//! - What is accepted is checked by something that stands apart: a model of the framing, a reader of stores that
//!   shares no code with the log, a second decoding of what was written again.
//! - CRCs are no wall: where the first byte of an input says so, they are made right before the bytes are read.

pub mod batch;
pub mod canary;
pub mod frames;
pub mod index_image;
pub mod peer_frames;
pub mod raft_state;
pub mod request;
pub mod response;
pub mod store;
pub mod store_image;

mod codec;
mod memory;
mod pieces;

/// The targets that have seeds, with their names.
pub const SEEDS: [(&str, fn() -> Vec<Vec<u8>>); 8] = [
    ("batch", batch::seeds),
    ("frames", frames::seeds),
    ("index_image", index_image::seeds),
    ("peer_frames", peer_frames::seeds),
    ("raft_state", raft_state::seeds),
    ("request", request::seeds),
    ("response", response::seeds),
    ("store_image", store_image::seeds),
];
