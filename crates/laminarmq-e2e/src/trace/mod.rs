//! Judging what a traced broker did, in the order in which it did it.
//!
//! [`answers()`] judges each response on a socket by what was synced before it left. It knows nothing of
//! the broker but the names of its files and the address of its listener.

mod answers;

pub use answers::{Answer, Answers, Watch, answers};

/// The strace options that give a trace as [`laminarmq_testkit::strace::parse()`] reads it, with the calls
/// that [`answers()`] looks at. The name of the output file must follow.
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
