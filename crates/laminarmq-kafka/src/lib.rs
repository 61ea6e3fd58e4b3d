//! The Kafka wire protocol without I/O: frames, messages and record batches.
//!
//! Invariants:
//! - A decoder never panics, whatever the bytes are, and never allocates more than a constant times the
//!   bytes it was given; array elements of one message stay under [`Reader`]'s budget besides.
//! - A request is decoded whole or not at all: bytes after its last field are an error.
//! - Payload (record batches) is never copied: decoded values are slices of the frame, encoded frames are
//!   lists of pieces that share it.
//!
//! [`api`] holds the one table of APIs and version ranges, [`messages`] the schemas. A broker uses
//! [`RequestHeader::decode`], [`AnyRequest::decode`] and [`encode_response`]; a client [`encode_request`]
//! and [`decode_response`]. [`frame`] reads the length in front of both.

pub mod api;
pub mod api_key;
pub mod batch;
pub mod error_code;
pub mod frame;
#[cfg(feature = "test-util")]
pub mod generate;
pub mod header;
pub mod messages;
pub mod primitives;
pub mod schema;

pub use api::{AnyRequest, AnyResponse, ApiRange, served};
pub use api_key::ApiKey;
pub use error_code::ErrorCode;
pub use frame::{decode_response, encode_request, encode_response};
pub use header::{RequestHeader, ResponseHeader};
pub use primitives::reader::{DecodeError, DecodeReason, Reader};
pub use primitives::writer::{EncodeError, EncodeReason, Writer};
pub use primitives::{NoUuid, Records, Uuid};
pub use schema::{Message, Request, Versions};
