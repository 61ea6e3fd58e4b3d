//! How a command ends when it does not end well, and the exit code that tells.
//!
//! Every failure has two sentences: what went wrong, and what to do next. A closed pipe is none:
//! whoever reads our output had enough.

use std::fmt::Display;
use std::io;

use serde_json::json;

/// Exit code of a command that was called correctly and could not do its work.
pub(crate) const EXIT_FAILED: u8 = 1;
/// Exit code of a command that was called wrongly; clap uses the same.
pub(crate) const EXIT_USAGE: u8 = 2;

/// Why a command ends early.
#[derive(Debug)]
pub(crate) enum Failure {
    /// Our reader closed the pipe: nothing to say, exit code 0.
    ClosedPipe,
    /// Called wrongly: exit code 2.
    Usage(Report),
    /// Could not be done: exit code 1.
    Failed(Report),
}

/// What went wrong and what to do about it.
#[derive(Debug)]
pub(crate) struct Report {
    what: String,
    hint: Option<String>,
    /// Somebody was told already.
    told: bool,
}

impl Failure {
    pub(crate) fn failed(what: impl Display) -> Self {
        Self::Failed(Report::new(what))
    }

    pub(crate) fn usage(what: impl Display) -> Self {
        Self::Usage(Report::new(what))
    }

    /// Adds what to do next.
    pub(crate) fn hint(mut self, hint: impl Display) -> Self {
        if let Self::Usage(report) | Self::Failed(report) = &mut self {
            report.hint = Some(hint.to_string());
        }
        self
    }

    /// Hands what would be printed to `tell` instead: what went wrong, and what to do next.
    pub(crate) fn tell(mut self, tell: impl FnOnce(&str, Option<&str>)) -> Self {
        if let Self::Usage(report) | Self::Failed(report) = &mut self {
            tell(&report.what, report.hint.as_deref());
            report.told = true;
        }
        self
    }

    /// A failed write to our own stdout.
    pub(crate) fn stdout(error: &io::Error) -> Self {
        if error.kind() == io::ErrorKind::BrokenPipe {
            return Self::ClosedPipe;
        }
        Self::failed(format_args!("cannot write to standard output: {error}"))
    }

    pub(crate) fn exit_code(&self) -> u8 {
        match self {
            Self::ClosedPipe => 0,
            Self::Usage(_) => EXIT_USAGE,
            Self::Failed(_) => EXIT_FAILED,
        }
    }

    /// The text for stderr: lines for people, or one JSON object. `None`: say nothing.
    pub(crate) fn render(&self, json: bool) -> Option<String> {
        let (Self::Usage(report) | Self::Failed(report)) = self else {
            return None;
        };
        if report.told {
            return None;
        }
        if json {
            let object = json!({ "error": report.what, "hint": report.hint });
            return Some(object.to_string());
        }
        Some(match &report.hint {
            Some(hint) => format!("error: {}: {hint}", report.what),
            None => format!("error: {}", report.what),
        })
    }
}

impl Report {
    fn new(what: impl Display) -> Self {
        Self {
            what: what.to_string(),
            hint: None,
            told: false,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_closed_pipe_is_silent_and_no_failure() {
        let failure = Failure::stdout(&io::Error::from(io::ErrorKind::BrokenPipe));
        assert_eq!(failure.exit_code(), 0);
        assert_eq!(failure.render(false), None);
        assert_eq!(failure.render(true), None);
    }

    #[test]
    fn a_full_disk_behind_stdout_is_a_failure() {
        let failure = Failure::stdout(&io::Error::from(io::ErrorKind::StorageFull));
        assert_eq!(failure.exit_code(), EXIT_FAILED);
    }

    #[test]
    fn what_was_told_is_not_printed_again() {
        let failure = Failure::failed("no disk").hint("buy one");
        let mut told = None;
        let failure = failure.tell(|what, hint| told = Some(format!("{what}, {hint:?}")));
        assert_eq!(told.as_deref(), Some("no disk, Some(\"buy one\")"));
        assert_eq!(failure.render(false), None);
        assert_eq!(failure.exit_code(), EXIT_FAILED);
    }

    #[test]
    fn the_hint_follows_what_went_wrong() {
        let failure = Failure::usage("no brokers").hint("give -b HOST:PORT");
        assert_eq!(failure.exit_code(), EXIT_USAGE);
        assert_eq!(
            failure.render(false).as_deref(),
            Some("error: no brokers: give -b HOST:PORT")
        );
        let json = failure.render(true).expect("a usage error has a text");
        let value: serde_json::Value = serde_json::from_str(&json).expect("valid JSON");
        assert_eq!(value["error"], "no brokers");
        assert_eq!(value["hint"], "give -b HOST:PORT");
    }
}
