//! Settings of a log, with defaults that fit most uses.

use crate::error::OptionsError;
use crate::limits::{
    RECORD_BYTES_CEILING, RECORD_BYTES_DEFAULT, SEGMENT_BYTES_DEFAULT, SEGMENT_BYTES_MIN,
};

/// Settings of a [`Log`](crate::Log). None of them reaches the disk: a log may be opened with others later.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LogOptions {
    /// Index of the very first record of a log that is created. A stored log must not start below it.
    /// Default 0.
    pub initial_index: u64,
    /// A write segment whose store has reached this many bytes, headers included, takes no more records
    /// when `auto_roll` is on. At least [`SEGMENT_BYTES_MIN`](crate::limits::SEGMENT_BYTES_MIN); default
    /// 1 GiB.
    pub segment_bytes: u64,
    /// Whether an append starts a new segment by itself when the current one is full. Off where rolls
    /// are somebody else's decision ([`Log::roll`](crate::Log::roll)). Default on.
    pub auto_roll: bool,
    /// Longest value of one record in bytes that is appended or read as a whole, from 1 to
    /// [`RECORD_BYTES_CEILING`](crate::limits::RECORD_BYTES_CEILING); default 64 MiB. Records that are written and
    /// read piece by piece may be longer.
    pub record_bytes_max: u64,
    /// Which syncs the log makes by itself; default none.
    pub flush: FlushPolicy,
    /// Which index entries are held in memory; default only the newest.
    pub index_cache: IndexCache,
    /// Whether the write segment's blocks are written ahead, with zeros, once small amounts are being
    /// synced again and again. A sync of overwritten blocks takes about half the time of one that makes the
    /// file longer. Never shows in sizes, but the file takes up to 1 MiB more until it is rolled or closed.
    /// Default on.
    pub write_ahead: bool,
}

/// Which syncs a log makes by itself, within an append, beside those of [`Log::close`](crate::Log::close) and the
/// cuts that need them.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum FlushPolicy {
    /// None: what [`Log::sync`](crate::Log::sync) and tickets do not sync, the operating system writes
    /// when it likes. Somebody who never asks for a sync has the policy "never".
    #[default]
    OnRequest,
    /// After an append, once one of these is reached since the last sync. The append that reaches it is
    /// durable when it returns.
    Every {
        /// Records, from 1.
        records: Option<u64>,
        /// Bytes of the store, headers included, from 1.
        bytes: Option<u64>,
        /// Milliseconds by the environment's clock. Looked at when something is appended: without appends
        /// nothing is synced.
        ms: Option<u64>,
    },
}

/// Which index entries a log holds in memory; 48 bytes per record. The others are read from the index files, one
/// small read per lookup.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum IndexCache {
    /// The newest few thousand records'.
    #[default]
    Recent,
    /// All of the write segment's, and those of so many sealed segments, the ones used last. A segment's
    /// entries are read as a whole when it is first looked into.
    Segments(usize),
    /// Those of every segment that was looked into.
    All,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            initial_index: 0,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            auto_roll: true,
            record_bytes_max: RECORD_BYTES_DEFAULT,
            flush: FlushPolicy::OnRequest,
            index_cache: IndexCache::Recent,
            write_ahead: true,
        }
    }
}

impl LogOptions {
    /// Checks the settings, as opening a log does.
    ///
    /// # Errors
    ///
    /// Names the first setting that is out of its bounds.
    pub fn validate(&self) -> Result<(), OptionsError> {
        if self.segment_bytes < SEGMENT_BYTES_MIN {
            return Err(OptionsError::SegmentBytes {
                given: self.segment_bytes,
                min: SEGMENT_BYTES_MIN,
            });
        }
        if !(1..=RECORD_BYTES_CEILING).contains(&self.record_bytes_max) {
            return Err(OptionsError::RecordBytes {
                given: self.record_bytes_max,
                max: RECORD_BYTES_CEILING,
            });
        }
        if let FlushPolicy::Every { records, bytes, .. } = self.flush
            && (records == Some(0) || bytes == Some(0))
        {
            return Err(OptionsError::FlushEveryNothing);
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn bounds_are_checked() {
        let good = LogOptions::default();
        assert_eq!(good.validate(), Ok(()));
        let small = LogOptions {
            segment_bytes: SEGMENT_BYTES_MIN - 1,
            ..good
        };
        assert!(matches!(
            small.validate(),
            Err(OptionsError::SegmentBytes { .. })
        ));
        for (records, bytes) in [(Some(0), None), (None, Some(0))] {
            let ms = None;
            let wrong = LogOptions {
                flush: FlushPolicy::Every { records, bytes, ms },
                ..good
            };
            assert_eq!(wrong.validate(), Err(OptionsError::FlushEveryNothing));
        }
        for bytes in [0, RECORD_BYTES_CEILING + 1] {
            let wrong = LogOptions {
                record_bytes_max: bytes,
                ..good
            };
            assert!(matches!(
                wrong.validate(),
                Err(OptionsError::RecordBytes { .. })
            ));
        }
    }
}
