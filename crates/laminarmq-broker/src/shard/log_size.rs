//! How long a log is, without looking at each of its sealed segments every time.

use laminarmq::{Log, LogEnv};

/// Remembers what the sealed segments sum up to.
#[derive(Debug, Default)]
pub(super) struct LogSize {
    /// Where the log began, how many segments it had and how long the write segment was when `sealed` was
    /// summed up, or later. A roll, and a cut at either end, changes one of the first two or shortens the
    /// last.
    start: u64,
    segments: usize,
    write: u64,
    /// Bytes of the sealed segments.
    sealed: u64,
}

impl LogSize {
    /// Whether the log lost or gained segments since it was last measured.
    pub(super) fn has_moved<E: LogEnv>(&self, log: &Log<E>) -> bool {
        (log.start_index(), log.segments().len()) != (self.start, self.segments)
    }

    pub(super) fn of<E: LogEnv>(&mut self, log: &Log<E>) -> u64 {
        let (start, segments) = (log.start_index(), log.segments().len());
        let write = log.write_segment_bytes();
        if (start, segments) != (self.start, self.segments) || write < self.write {
            let sealed = log.segments().filter(|segment| !segment.is_write);
            self.sealed = sealed.map(|segment| segment.store_bytes).sum();
        }
        (self.start, self.segments, self.write) = (start, segments, write);
        self.sealed + write
    }
}
