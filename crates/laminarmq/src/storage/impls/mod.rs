//! Storages: in memory, on files, and whatever has a path.

pub mod common;
pub mod file;
pub mod in_mem;
