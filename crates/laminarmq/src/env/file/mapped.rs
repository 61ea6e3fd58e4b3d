//! Appending to a file without a call for each append, where the log had room made for it.
//!
//! Invariants:
//!
//! ```text
//! what is used of a mapping was reserved: zeros that were written and that nothing but the next appends touches
//! nothing is mapped while the file is cut
//! ```
//!
//! What was appended is with the operating system all the same: killing the process loses nothing, and a sync covers it. A disk
//! that is full shows when room is made, as a failed write, and never in an append to what is mapped.

use std::io::IoSlice;

use super::local::LocalFile;
use super::map::{Map, is_safe_for};
use crate::env::{Calls, LogFile};
use crate::limits::{MAPPED_AFTER_APPENDS, MAPPED_APPEND_BYTES_MAX, MAPPED_STRETCH_BYTES};

/// The mapped stretch at the end of one file.
#[derive(Debug, Default)]
pub(crate) struct Mapped {
    map: Option<Map>,
    /// Short appends in a row that made a call.
    calls: u32,
    /// Whether the file system is one on which this is safe, once that was looked at.
    is_safe: Option<bool>,
}

impl Mapped {
    /// Appends to what is mapped; says whether there was room.
    #[inline]
    pub(crate) fn append<C: Calls>(
        &mut self,
        file: &mut LocalFile<C>,
        pieces: &[IoSlice<'_>],
    ) -> bool {
        let length: usize = pieces.iter().map(|piece| piece.len()).sum();
        let mut position = file.len();
        if length > MAPPED_APPEND_BYTES_MAX {
            *self = Self {
                is_safe: self.is_safe,
                ..Self::default()
            };
            return false;
        }
        let Some(map) = &mut self.map else {
            self.calls = self.calls.saturating_add(1);
            return false;
        };
        if !map.has(position, position + length as u64) {
            return false;
        }
        for piece in pieces {
            map.put(position, piece);
            position += piece.len() as u64;
        }
        file.was_put(length as u64);
        true
    }

    /// Bytes that one [`Mapped::append`] takes now.
    #[inline]
    pub(crate) fn room<C: Calls>(&self, file: &LocalFile<C>) -> u64 {
        let end = self.map.as_ref().map_or(0, Map::end);
        let room = end.saturating_sub(file.len());
        room.min(MAPPED_APPEND_BYTES_MAX as u64)
    }

    /// Whether appends like the last ones would gain by more room that is reserved.
    #[inline]
    pub(crate) fn wants_room(&self) -> bool {
        (self.map.is_some() || self.calls >= MAPPED_AFTER_APPENDS) && self.is_safe != Some(false)
    }

    /// Maps what is reserved, where short appends came before; else, and where that fails, appends go on with calls.
    pub(crate) fn room_was_made<C: Calls>(&mut self, file: &mut LocalFile<C>) {
        if !self.wants_room() {
            return self.give_up();
        }
        let Ok((handle, length, reserved)) = file.reserved_stretch() else {
            return self.give_up();
        };
        let is_in = |map: &mut Map| map.extend(reserved);
        if self.map.as_mut().is_some_and(is_in) {
            return;
        }
        self.give_up();
        let is_safe = *self.is_safe.get_or_insert_with(|| is_safe_for(handle));
        if !is_safe || reserved <= length {
            return;
        }
        match Map::of(handle, length, reserved, MAPPED_STRETCH_BYTES) {
            Ok(map) => self.map = Some(map),
            Err(error) => {
                tracing::debug!(%error, "appends go on with a call for each");
                self.is_safe = Some(false);
            }
        }
    }

    /// The room could not be made; it is tried again after a while.
    pub(crate) fn no_room(&mut self) {
        self.give_up();
        self.calls = 0;
    }

    /// Forgets what is mapped: the file is going to be cut, or nothing will be appended for now.
    pub(crate) fn give_up(&mut self) {
        self.map = None;
    }
}
