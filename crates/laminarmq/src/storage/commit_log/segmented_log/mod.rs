//! A segmented log over any storage.

pub mod segment;
