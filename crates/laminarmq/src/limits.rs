//! Limits of the library in one place, related to each other by assertions that the compiler checks.

use crate::format::{CHUNK_HEADER_LENGTH, INDEX_ENTRY_LENGTH};

/// Largest value of one record, in bytes, that any [`LogOptions`](crate::LogOptions) may allow.
///
/// A contiguous append is one chunk, and a chunk's length is 32 bits wide.
pub const RECORD_BYTES_CEILING: u64 = u32::MAX as u64;

/// Default of [`LogOptions::record_bytes_max`](crate::LogOptions::record_bytes_max): 64 MiB.
pub const RECORD_BYTES_DEFAULT: u64 = 64 << 20;

/// Default of [`LogOptions::segment_bytes`](crate::LogOptions::segment_bytes): 1 GiB.
pub const SEGMENT_BYTES_DEFAULT: u64 = 1 << 30;

/// Smallest segment size that [`LogOptions`](crate::LogOptions) accepts, in bytes.
pub const SEGMENT_BYTES_MIN: u64 = 128;

/// Index entries that wait in memory before they are written to the index file in one call, in bytes.
pub(crate) const INDEX_BLOCK_BYTES: usize = 64 << 10;

/// Bytes that a scan of a store reads at once.
pub(crate) const SCAN_WINDOW_BYTES: usize = 256 << 10;

/// Pieces of a value up to this length are copied next to their chunk header, so that a batch of small
/// records is one contiguous write; longer ones are handed to the file where they stand. Copying is cheaper
/// than one more piece of a vectored write up to about this length.
pub(crate) const COPY_BYTES_MAX: usize = 4 << 10;

/// Most bytes of one write to a file, which ends at a multiple of it.
pub(crate) const WRITE_BYTES_MAX: usize = 1 << 20;

/// Most pieces of one write to a file; Linux takes at most 1024 of them (`IOV_MAX`).
pub(crate) const PIECES_MAX: usize = 1024;

/// Files that a log keeps open at most, beside those with unsynced writes; see
/// [`OpenFiles`](crate::OpenFiles).
pub const OPEN_FILES_DEFAULT: usize = 64;

/// Scratch memory that an append keeps for the next one, in bytes.
pub(crate) const SCRATCH_KEEP_BYTES: usize = 1 << 20;

/// Entries that a search in an index file reads at once when it has come this close.
pub(crate) const SEARCH_BLOCK_ENTRIES: u64 = 64;

const _: () = assert!(RECORD_BYTES_DEFAULT <= RECORD_BYTES_CEILING);
const _: () = assert!(SEGMENT_BYTES_MIN > crate::format::FILE_HEADER_LENGTH as u64);
// A window holds any chunk header, wherever in it the header starts.
const _: () = assert!(SCAN_WINDOW_BYTES > 2 * CHUNK_HEADER_LENGTH);
const _: () = assert!(INDEX_BLOCK_BYTES >= INDEX_ENTRY_LENGTH);

/// Longest chunk of a record that is written piece by piece, in bytes: what its writer and its readers hold
/// in memory. Formats allow 1 MiB at most.
pub const STREAM_CHUNK_BYTES: usize = 256 << 10;

/// Memory that a record written piece by piece leaves to the next one, in bytes.
pub(crate) const STREAM_BUFFER_KEEP_BYTES: usize = 64 << 10;

/// Bytes that a stream of records reads at once, unless a record is longer.
pub(crate) const STREAM_WINDOW_BYTES: usize = 256 << 10;

/// Records that a stream looks up in the index at once, where it reads them one by one.
pub(crate) const STREAM_PLACES: usize = 64;

/// Most bytes of a storage in memory that a stream looks at together, unless one record is longer: what it takes ahead of
/// whoever reads it.
pub(crate) const STREAM_AHEAD_BYTES: u64 = 32 << 10;

/// Memory that a storage in memory takes at once, in bytes, unless more is appended with one call: as much as it holds
/// already, within these. What is never used of it is memory that the operating system need not find.
pub(crate) const MEMORY_BLOCK_BYTES_MIN: usize = 4 << 10;
pub(crate) const MEMORY_BLOCK_BYTES_MAX: usize = 1 << 20;

/// A sync before which less than this was appended is a small one, in bytes.
pub(crate) const WRITE_AHEAD_BELOW_BYTES: u64 = 256 << 10;

/// Small syncs in a row after which blocks are written ahead.
pub(crate) const WRITE_AHEAD_AFTER_SYNCS: u32 = 4;

/// How many syncs blocks are written ahead for, each before which as much is appended as before the last one: the first
/// of them makes the file longer and is a slow one.
pub(crate) const WRITE_AHEAD_SYNCS: u64 = 32;

/// How far ahead blocks are written, in bytes: an eighth of the store's length or those syncs, within these.
pub(crate) const WRITE_AHEAD_STEP_MIN: u64 = 64 << 10;
pub(crate) const WRITE_AHEAD_STEP_MAX: u64 = 1 << 20;

/// What blocks are written ahead in, in bytes: each such piece of a file begins at a multiple of it, so that the operating
/// system can keep it in one piece of memory. A sync may write as much as that for one append.
pub(crate) const WRITE_AHEAD_PIECE: usize = 64 << 10;

/// Short appends to a file, each with a call, after which those that follow are put to reserved room without one; and what
/// is short, in bytes, header included.
pub(crate) const MAPPED_AFTER_APPENDS: u32 = 16;
pub(crate) const MAPPED_APPEND_BYTES_MAX: usize = 16 << 10;

/// Bytes of a file that are mapped at once, of which only those are touched that were written.
pub(crate) const MAPPED_STRETCH_BYTES: u64 = 4 << 20;

// Most of the room that is made at once is used without another call.
const _: () = assert!(WRITE_AHEAD_STEP_MIN >= 4 * MAPPED_APPEND_BYTES_MAX as u64);
const _: () = assert!(WRITE_AHEAD_STEP_MIN.is_multiple_of(WRITE_AHEAD_PIECE as u64));
const _: () = assert!(MAPPED_STRETCH_BYTES >= 2 * WRITE_AHEAD_STEP_MAX);

const _: () = assert!(STREAM_CHUNK_BYTES <= 1 << 20);
// So much at least that a step serves more than the sync that it is made before.
const _: () = assert!(WRITE_AHEAD_STEP_MAX >= 4 * WRITE_AHEAD_BELOW_BYTES);

/// Tries of a reader beside the writer, when the log is truncated while it looks.
pub(crate) const READ_RETRIES_MAX: u32 = 64;
