//! Power cuts on real files: what would a broker have after one, at any moment of its life?
//!
//! - A [`Recording`] is made once: the real broker runs under strace and load, is stopped, killed and cut
//!   off, and everything that it asked of the operating system is kept, with the bytes.
//! - From it follows, for each moment, what a disk may hold if the power goes then (`disk`): what was
//!   synced, and by chance any part of the rest.
//! - The real broker is started on such an image, and everything that it has is compared with what it
//!   had promised before that moment (`judge`). Promises are read from the bytes that it sent, on the same
//!   time line as its writes and syncs.
//!
//! Nothing here knows how the broker lays out its files. What a recording does not show, or the model does
//! not know, is an error and never passed over (`calls`).
//!
//! The fate of an image follows from the recording, the seed and the image's number, so each can be made
//! again by itself.

mod calls;
mod check;
mod content;
mod disk;
mod fate;
mod image;
mod journal;
mod judge;
mod load;
mod promises;
mod recording;
mod run;

pub use calls::SyncBug;
pub use fate::Faults;
pub use judge::{Broken, Kind};
pub use recording::Recording;
pub use run::{Failure, Plan, Totals, check_images};
