//! The Kafka wire protocol without I/O: frames, messages and record batches.

pub mod batch;
pub mod primitives;
