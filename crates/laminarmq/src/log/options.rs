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
    /// Longest value of one record in bytes, from 1 to
    /// [`RECORD_BYTES_CEILING`](crate::limits::RECORD_BYTES_CEILING); default 64 MiB.
    pub record_bytes_max: u64,
}

impl Default for LogOptions {
    fn default() -> Self {
        Self {
            initial_index: 0,
            segment_bytes: SEGMENT_BYTES_DEFAULT,
            auto_roll: true,
            record_bytes_max: RECORD_BYTES_DEFAULT,
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
