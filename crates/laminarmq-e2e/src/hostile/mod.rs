//! Bytes that a broker must survive: requests of every kind that it serves, and mutations of them.
//!
//! A case is a frame and what the sender may conclude from the answer. Cases follow from a seed alone.

mod case;
mod mutate;
mod probe;
mod valid;
mod valid_groups;

pub use case::{Case, Class, cases};
pub use probe::{Outcome, Prober, Tallies, Tally};
pub use valid::valid_requests;
