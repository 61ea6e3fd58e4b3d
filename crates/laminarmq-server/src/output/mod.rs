//! What a command prints: tables for people, JSON for programs, bytes for pipes.
//!
//! Results go to stdout, everything about them (progress, warnings, hints) to stderr, so that a pipe
//! carries results alone. Colours and progress bars appear on a terminal only.

pub(crate) mod base64;
pub(crate) mod closed_pipe;
pub(crate) mod human;
pub(crate) mod progress;
pub(crate) mod table;

use std::fmt::Display;
use std::io::{self, BufWriter, IsTerminal as _, Write as _};

use serde_json::Value;

use crate::failure::Failure;

/// Bytes that collect before one write to stdout.
const BUFFER_BYTES: usize = 64 * 1024;

/// Standard output of one command.
///
/// Buffered: what is not flushed is not printed. Every write error becomes a [`Failure`], a closed
/// pipe the silent one.
pub(crate) struct Out {
    writer: BufWriter<io::Stdout>,
    terminal: bool,
}

impl Out {
    pub(crate) fn stdout() -> Self {
        let stdout = io::stdout();
        let terminal = stdout.is_terminal();
        // `Stdout` flushes at every newline by itself; that is one write per record once a buffer
        // with newlines passes through, so only whole buffers reach it.
        Self {
            writer: BufWriter::with_capacity(BUFFER_BYTES, stdout),
            terminal,
        }
    }

    /// True when a person sees this output as it comes.
    pub(crate) fn is_terminal(&self) -> bool {
        self.terminal
    }

    pub(crate) fn line(&mut self, line: impl Display) -> Result<(), Failure> {
        writeln!(self.writer, "{line}").map_err(|error| Failure::stdout(&error))
    }

    pub(crate) fn bytes(&mut self, bytes: &[u8]) -> Result<(), Failure> {
        self.writer
            .write_all(bytes)
            .map_err(|error| Failure::stdout(&error))
    }

    /// One JSON value on a line of its own.
    pub(crate) fn json(&mut self, value: &Value) -> Result<(), Failure> {
        self.line(value)
    }

    pub(crate) fn table(&mut self, table: &table::Table) -> Result<(), Failure> {
        table.lines().iter().try_for_each(|line| self.line(line))
    }

    pub(crate) fn flush(&mut self) -> Result<(), Failure> {
        self.writer.flush().map_err(|error| Failure::stdout(&error))
    }
}

/// Says something beside the result. A closed stderr is nobody's failure.
pub(crate) fn note(text: impl Display) {
    let _ = writeln!(io::stderr(), "{text}");
}

/// Says something that the caller should not overlook.
pub(crate) fn warn(text: impl Display) {
    let (on, off) = if styled(io::stderr().is_terminal()) {
        ("\x1b[1;33m", "\x1b[0m")
    } else {
        ("", "")
    };
    note(format_args!("{on}warning:{off} {text}"));
}

/// From here on warnings of the client are said on stderr, like our own.
pub(crate) fn log_warnings() {
    // A second call keeps the first subscriber, which does the same.
    let _ = tracing_subscriber::fmt()
        .with_max_level(tracing::level_filters::LevelFilter::WARN)
        .with_writer(io::stderr)
        .with_ansi(styled(io::stderr().is_terminal()))
        .without_time()
        .with_target(false)
        .try_init();
}

/// Whether escape sequences are welcome on an output.
pub(crate) fn styled(terminal: bool) -> bool {
    terminal && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// `text` in bold where escape sequences are welcome.
pub(crate) fn bold(text: impl Display, styled: bool) -> String {
    if styled {
        format!("\x1b[1m{text}\x1b[0m")
    } else {
        text.to_string()
    }
}
