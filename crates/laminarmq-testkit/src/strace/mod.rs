//! What a traced program asked of the operating system, in the order in which it did so.
//!
//! [`parse()`] turns the output of `strace -f -yy -xx` into a [`Trace`]. It knows nothing of the program.
//!
//! Why the order of lines is the order of events: strace writes a line while the traced thread is
//! stopped at the entry or the exit of a call. So a call takes effect after its entry was written and
//! before its exit is, and what a program does because a call has ended comes later than that exit.

mod parse;

pub use parse::parse;

use std::fmt;

/// A whole trace: every call, and the order in which they began and ended.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Trace {
    /// The calls, in the order in which they began.
    pub calls: Vec<Call>,
    /// Their beginnings and ends.
    pub steps: Vec<Step>,
}

/// One step of a trace. The number is the call's place in [`Trace::calls`].
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Step {
    /// The call begins.
    Enter(usize),
    /// The call has ended. A call during which its thread was killed has no such step.
    Exit(usize),
}

/// A system call.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Call {
    /// The line of the trace on which it begins, from 1.
    pub line: usize,
    /// The thread that calls.
    pub thread: u32,
    /// The call's name.
    pub name: String,
    /// What it was given.
    pub arguments: Vec<Argument>,
    /// What it returned (negative when it failed); `None` when it never did.
    pub result: Option<i64>,
}

/// One argument of a call.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Argument {
    /// As strace writes it, without the strings.
    pub text: String,
    /// The bytes of all strings in it, joined; cut where strace was told to cut.
    pub bytes: Vec<u8>,
    /// What it refers to, when it is a descriptor.
    pub descriptor: Option<Descriptor>,
}

/// An open file, socket or directory of the traced program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Descriptor {
    /// Its number; `None` for the current directory (`AT_FDCWD`).
    pub number: Option<i32>,
    /// The path as it is when the call begins, or for a socket `TCP:[local->peer]`.
    pub target: String,
}

impl Call {
    /// What the first argument refers to; empty when it is no descriptor.
    #[must_use]
    pub fn target(&self) -> &str {
        let descriptor = self
            .arguments
            .first()
            .and_then(|first| first.descriptor.as_ref());
        descriptor.map_or("", |descriptor| &descriptor.target)
    }

    /// The bytes that are handed over, in order.
    #[must_use]
    pub fn data(&self) -> Vec<u8> {
        let strings = self
            .arguments
            .iter()
            .map(|argument| argument.bytes.as_slice());
        strings.collect::<Vec<_>>().concat()
    }

    /// Whether it ended without an error.
    #[must_use]
    pub fn succeeded(&self) -> bool {
        self.result.is_some_and(|result| result >= 0)
    }
}

/// A line that is not as `strace -f -yy -xx` writes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ParseError {
    /// Which line, from 1.
    pub line: usize,
    /// What stands there; cut when it is long.
    pub text: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {} is no line of a trace: {}", self.line, self.text)
    }
}

impl std::error::Error for ParseError {}
