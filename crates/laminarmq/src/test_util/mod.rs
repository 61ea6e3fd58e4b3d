//! For tests of environments and of what is built on logs: feature `test-util`, no part of the product.
//!
//! The storage that fails, tears and forgets on request is [`MemEnv`](crate::MemEnv), which needs no feature.

#![allow(clippy::unwrap_used, reason = "what fails here fails a test")]
#![allow(clippy::missing_panics_doc, reason = "panics are how checks fail")]

pub mod conformance;
mod files;
pub mod model;
