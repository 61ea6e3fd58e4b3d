//! Reading what a traced broker did, in the order in which it did it.
//!
//! [`parse()`] turns the output of `strace -f -yy -xx` into [`Event`]s, [`answers()`] judges each response on
//! a socket by what was synced before it left. Neither knows anything of the broker but the names of its
//! files and the address of its listener.
//!
//! Why the order of lines is the order of events: strace writes a line while the traced thread is
//! stopped at the entry or the exit of a call. A response that is sent because a sync has ended enters
//! its call after strace resumed the syncing thread from the exit of the sync, so its line comes later.

mod answers;
mod parse;

pub use answers::{Answer, Answers, Watch, answers};
pub use parse::{Call, Event, ParseError, parse};

/// The strace options that [`parse()`] understands, and the calls that [`answers()`] looks at. The name of
/// the output file must follow.
///
/// `-D` lets the traced program keep the process id, so that signals reach it. Calls that sync, write or
/// send are traced in all their forms: one that is left out here would look as if it had not happened.
pub const STRACE: [&str; 9] = [
    "strace",
    "-D",
    "-f",
    "-yy",
    "-xx",
    "-s32",
    "--quiet=attach,personality",
    "-etrace=write,writev,pwrite64,pwritev,pwritev2,sendfile,splice,copy_file_range,sendto,sendmsg,sendmmsg,\
     fsync,fdatasync,sync,syncfs,sync_file_range,io_uring_enter,io_submit",
    "-o",
];
