//! For tests of environments and of what is built on logs: feature `test-util`, no part of the product.
//!
//! Two storages fail on request. [`MemEnv`](crate::MemEnv), which needs no feature, is a disk that also tears
//! and forgets what was not synced; [`FaultEnv`](faults::FaultEnv) lets calls on any other environment fail,
//! real files too.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]
#![allow(clippy::missing_panics_doc, reason = "panics are how checks fail")]

mod beside;
pub mod conformance;
pub mod env_storage;
pub mod faults;
mod files;
pub mod model;
mod pieces;
pub mod storages;
