//! Record batches, format v2 (magic 2): the unit that producers send, logs store and consumers get.
//!
//! Invariants
//!
//! - A [`CheckedBatch`] is exactly one batch whose framing, CRC and every inner record were walked; nothing
//!   else makes one, so what a consumer later has to decode was decoded here once.
//! - Bytes behind the head ([`HEAD_BYTES`]) are shared and never change. The head is small, is copied, and
//!   holds everything that a broker sets.
//! - Decoding never panics, and takes memory in proportion to the bytes that were really there: sizes that
//!   a sender merely claims are bounds to check against, never amounts to allocate.
//!
//! ```text
//! validate(bytes) -> CheckedBatch -> head(base_offset, leader_epoch) + body()     a broker's way in
//! batches(bytes)  -> Batch -> records(limits) -> Record                           a consumer's way
//! BatchBuilder    -> push(record)... -> build() -> bytes                          a producer's way
//! ```

mod builder;
mod compression;
mod error;
mod header;
mod input;
mod record;
mod records;
mod validate;

pub use builder::{BatchBuilder, NewRecord, ProducerStamp, PushError};
pub use compression::{Compression, UnknownCompression};
pub use error::{BatchError, CompressedFault, RecordFault};
pub use header::{
    Attributes, BatchHeader, HEAD_BYTES, Head, NO_PRODUCER_ID, NO_SEQUENCE, NO_TIMESTAMP,
    set_base_offset_and_epoch, verify,
};
pub use records::{Batch, Batches, Header, Record, Records, batches, records};
pub use validate::{BatchLimits, CheckedBatch, validate};
