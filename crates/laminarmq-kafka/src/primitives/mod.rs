//! The smallest pieces of the protocol.

pub mod varint;
