//! The crash matrix: images of a log's disk that were cut, flipped, torn, or left by a power cut or a failing
//! call, each opened in memory and on real files, each judged by what its writer knew.
//!
//! ```text
//! below the durable mark   every record is there, or an error names the segment, index and position of one
//!                          whose bytes really are not there
//! above it                 a tail may be cut, at a record that really is not whole, and exactly the bytes
//!                          that the stores lost are reported
//! everywhere               no record is invented or misplaced, nothing panics, and what is appended after
//!                          the recovery reads back right, before and after one more opening
//! ```
//!
//! [`judge`] knows what was appended under which index, what had been durable, and the bytes of the image. It
//! computes from the lengths of the records, by the documented format, which bytes of the image hold which of
//! them; it uses no code of the engine for that.
//!
//! Each test says how many images it had and what became of them (`--nocapture` shows it), and fails when
//! there were fewer than there have to be.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

#[path = "../common/mod.rs"]
mod common;

mod ahead;
mod chunks;
mod cuts;
mod faults;
mod flips;
mod ground;
mod indexes;
mod judge;
mod loss;
mod lost;
mod script;
mod tally;
mod torn;
mod written;
