//! The `raft-state` file of one data directory: the latest [`GroupState`] of every group.
//!
//! A journal with one writer. [`RaftStateFile::save`] adds one frame and syncs it; when it
//! returns, what was saved survives a power cut. A rewrite (write aside, sync, rename, sync the
//! directory) keeps the file within a few times what its groups need.
//!
//! - The newest frame that names a group wins.
//! - A torn last frame was never reported as saved, and is cut.
//! - What is read at the opening is synced before anything is written behind it.
//! - A damaged frame with a whole, later one behind it was synced once: that is an error, never a
//!   cut, because a forgotten vote may elect two leaders.
//! - After any failed write or sync nothing is written again, and every later save fails with the reason of that one.

use std::collections::BTreeMap;
use std::error::Error;
use std::fmt;
use std::io;
use std::sync::Arc;

use thiserror::Error;

use crate::GroupId;
use crate::state::frame::{self, BadHeader, Change};
use crate::state::{GroupState, StateDecodeError, StateFs};

const NAME: &str = "raft-state";
const ASIDE: &str = "raft-state.new";
/// A file below this size is not rewritten.
const REWRITE_BYTES_MIN: usize = 256 << 10;
/// A file is rewritten when it is this many times larger than a fresh one would be.
const REWRITE_RATIO: usize = 4;
/// Changes per frame: bounds a frame far below its limit, members at their most numerous.
const FRAME_CHANGES_MAX: usize = 4096;
const STATE_BYTES_MAX: usize = 65 + 1 + 4 * 2 + 8 * crate::membership::MEMBERS_MAX;
const _: () = assert!(FRAME_CHANGES_MAX * (1 + STATE_BYTES_MAX) + 2 <= frame::PAYLOAD_BYTES_MAX);

/// Why the state file cannot be opened.
#[derive(Debug, Error)]
pub enum StateError {
    /// It cannot be read.
    #[error("{NAME}: reading failed: {0}")]
    Read(#[source] io::Error),
    /// It cannot be made, or brought into order.
    #[error(transparent)]
    Write(#[from] StateWriteError),
    /// Another program wrote it: a newer one, or one from before the format was settled.
    #[error(
        "{NAME} has format version {found}, this program knows version {known}: use the one that wrote it"
    )]
    Newer {
        /// The file's version.
        found: u32,
        /// The known one.
        known: u32,
    },
    /// It needs something this program does not know.
    #[error("{NAME} has required flags {0:#x} that this program does not know")]
    Flags(u32),
    /// Bytes that were synced once are damaged.
    #[error("{NAME} is damaged at byte {position}: {what}")]
    Damaged {
        /// The first bad byte.
        position: usize,
        /// What is wrong there.
        what: String,
    },
}

/// A write or a sync of the state file failed. What the disk holds is not known any more, so this is the answer to
/// every save from then on: whoever hears it first, or last, hears the cause.
#[derive(Debug, Clone)]
pub struct StateWriteError {
    action: &'static str,
    cause: Arc<io::Error>,
}

impl fmt::Display for StateWriteError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { action, cause } = self;
        write!(
            f,
            "{NAME}: {action} failed: {cause}; a restart finds out what was saved"
        )
    }
}

impl Error for StateWriteError {
    fn source(&self) -> Option<&(dyn Error + 'static)> {
        // Not the pointer: who looks for an I/O error in the chain of causes has to find one.
        Some(&*self.cause)
    }
}

impl StateWriteError {
    /// What is said when `action` met `cause`.
    #[must_use]
    pub fn new(action: &'static str, cause: io::Error) -> Self {
        Self {
            action,
            cause: Arc::new(cause),
        }
    }
}

/// What opening found.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct StateRecovery {
    /// Bytes of a torn last save that were cut.
    pub cut_bytes: usize,
    /// Frames read.
    pub frames: u64,
}

/// The open state file. One per data directory, one writer.
#[derive(Debug)]
pub struct RaftStateFile<F> {
    fs: F,
    groups: BTreeMap<GroupId, GroupState>,
    generation: u64,
    next_sequence: u64,
    bytes: usize,
    recovery: StateRecovery,
    failed: Option<StateWriteError>,
}

impl<F: StateFs> RaftStateFile<F> {
    /// Reads the file, or makes an empty one.
    pub fn open(mut fs: F) -> Result<Self, StateError> {
        let found = fs.read(NAME).map_err(StateError::Read)?;
        let mut file = Self {
            fs,
            groups: BTreeMap::new(),
            generation: 0,
            next_sequence: 1,
            bytes: 0,
            recovery: StateRecovery::default(),
            failed: None,
        };
        let Some(found) = found else {
            file.rewrite()?;
            return Ok(file);
        };
        file.load(&found)?;
        // A torn tail must be gone before the next frame is written behind it.
        if file.recovery.cut_bytes > 0 || file.is_overgrown() {
            file.rewrite()?;
        } else {
            // The last frame may be one that a killed process wrote and did not sync. A power cut at the next save could
            // take it and leave that one, which would be damage.
            file.fs
                .sync(NAME)
                .map_err(failed("syncing what was found"))?;
        }
        Ok(file)
    }

    /// What opening found.
    #[must_use]
    pub fn recovery(&self) -> &StateRecovery {
        &self.recovery
    }

    /// The newest state of `group`.
    #[must_use]
    pub fn get(&self, group: GroupId) -> Option<&GroupState> {
        self.groups.get(&group)
    }

    /// The newest state of every group, by group id.
    pub fn groups(&self) -> impl Iterator<Item = &GroupState> {
        self.groups.values()
    }

    /// Saves these states. When it returns they survive a power cut.
    pub fn save(
        &mut self,
        states: impl IntoIterator<Item = GroupState>,
    ) -> Result<(), StateWriteError> {
        let changes: Vec<_> = states.into_iter().map(Change::Saved).collect();
        self.write(&changes)
    }

    /// Forgets groups whose data is gone. When it returns they stay forgotten.
    pub fn remove(
        &mut self,
        groups: impl IntoIterator<Item = GroupId>,
    ) -> Result<(), StateWriteError> {
        let changes: Vec<_> = groups.into_iter().map(Change::Gone).collect();
        self.write(&changes)
    }

    fn write(&mut self, changes: &[Change]) -> Result<(), StateWriteError> {
        if let Some(failed) = &self.failed {
            return Err(failed.clone());
        }
        let written = self.try_write(changes);
        self.failed = written.clone().err();
        written
    }

    fn try_write(&mut self, changes: &[Change]) -> Result<(), StateWriteError> {
        for changes in changes.chunks(FRAME_CHANGES_MAX) {
            let mut bytes = Vec::new();
            frame::encode_frame(self.next_sequence, changes, &mut bytes);
            self.fs.append(NAME, &bytes).map_err(failed("appending"))?;
            self.fs.sync(NAME).map_err(failed("syncing"))?;
            self.next_sequence += 1;
            self.bytes += bytes.len();
            self.apply(changes.to_vec());
        }
        if self.is_overgrown() {
            self.rewrite()?;
        }
        Ok(())
    }

    fn apply(&mut self, changes: Vec<Change>) {
        for change in changes {
            match change {
                Change::Saved(state) => self.groups.insert(state.group, state),
                Change::Gone(group) => self.groups.remove(&group),
            };
        }
    }

    fn is_overgrown(&self) -> bool {
        let fresh = frame::HEADER_BYTES + self.groups.len() * 128;
        self.bytes >= REWRITE_BYTES_MIN && self.bytes >= fresh * REWRITE_RATIO
    }

    fn load(&mut self, found: &[u8]) -> Result<(), StateError> {
        self.generation = frame::decode_header(found).map_err(|bad| match bad {
            BadHeader::Newer(found) => StateError::Newer {
                found,
                known: frame::VERSION,
            },
            BadHeader::Flags(flags) => StateError::Flags(flags),
            // The header is synced before the file gets its name, so it cannot be torn.
            BadHeader::Damaged => damaged(0, "the header is damaged"),
        })?;
        let mut at = frame::HEADER_BYTES;
        while at < found.len() {
            let rest = &found[at..];
            let frame = match frame::frame_at(rest) {
                Some(frame) if frame.sequence == self.next_sequence => frame,
                Some(frame) => {
                    let what = format!(
                        "frame {} where {} belongs",
                        frame.sequence, self.next_sequence
                    );
                    return Err(damaged(at, what));
                }
                None if frame::holds_later_frame(rest, self.next_sequence) => {
                    return Err(damaged(at, "a damaged frame with whole ones behind it"));
                }
                None => {
                    self.recovery.cut_bytes = rest.len();
                    break;
                }
            };
            let changes = frame::decode_payload(frame.payload)
                .map_err(|error: StateDecodeError| damaged(at, error.to_string()))?;
            self.apply(changes);
            at += frame.bytes;
            self.next_sequence += 1;
            self.recovery.frames += 1;
        }
        self.bytes = at;
        Ok(())
    }

    /// Writes the file anew: aside, synced, then renamed over the old one.
    fn rewrite(&mut self) -> Result<(), StateWriteError> {
        // Only people read it, so a damaged one that reached the last number may stay there.
        let generation = self.generation.saturating_add(1);
        let mut bytes = frame::encode_header(generation).to_vec();
        let changes: Vec<_> = self.groups.values().cloned().map(Change::Saved).collect();
        let mut sequence = 1;
        for changes in changes.chunks(FRAME_CHANGES_MAX) {
            frame::encode_frame(sequence, changes, &mut bytes);
            sequence += 1;
        }
        self.fs
            .write(ASIDE, &bytes)
            .map_err(failed("writing aside"))?;
        self.fs
            .sync(ASIDE)
            .map_err(failed("syncing what was written aside"))?;
        self.fs.rename(ASIDE, NAME).map_err(failed("renaming"))?;
        self.fs
            .sync_names()
            .map_err(failed("syncing the directory"))?;
        self.generation = generation;
        self.next_sequence = sequence;
        self.bytes = bytes.len();
        Ok(())
    }
}

fn failed(action: &'static str) -> impl FnOnce(io::Error) -> StateWriteError {
    move |cause| StateWriteError::new(action, cause)
}

fn damaged(position: usize, what: impl Into<String>) -> StateError {
    StateError::Damaged {
        position,
        what: what.into(),
    }
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
