//! The smallest pieces of the protocol: where bytes come from, where they go, and the value types that the
//! standard library does not have.

pub mod reader;
mod records;
mod uuid;
pub mod varint;
pub mod writer;

pub use records::Records;
pub use uuid::{NoUuid, Uuid};
