//! Runs the binary as a user does.

#![allow(dead_code, reason = "each test file uses a part of this")]

pub(crate) mod broker;

use std::path::Path;
use std::process::{Command, Output, Stdio};

/// The binary under test, with nothing of this environment that it would listen to.
pub(crate) fn laminarmq(directory: &Path) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_laminarmq"));
    for (name, _) in std::env::vars_os() {
        if name.to_string_lossy().starts_with("LAMINARMQ_") {
            command.env_remove(name);
        }
    }
    command
        .current_dir(directory)
        .stdin(Stdio::null())
        // Tests run side by side: whoever wants HTTP asks for a free port.
        .env("LAMINARMQ_HTTP", "off")
        .env_remove("NO_COLOR");
    command
}

/// What a finished command said.
#[derive(Debug)]
pub(crate) struct Said {
    pub(crate) code: Option<i32>,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
}

/// Runs a command to its end.
pub(crate) fn said(command: &mut Command) -> Said {
    let Output {
        status,
        stdout,
        stderr,
    } = command.output().expect("the binary starts");
    Said {
        code: status.code(),
        stdout: String::from_utf8(stdout).expect("text"),
        stderr: String::from_utf8(stderr).expect("text"),
    }
}

/// Runs the binary in `directory` with these arguments, to its end.
pub(crate) fn run(directory: &Path, arguments: &[&str]) -> Said {
    said(laminarmq(directory).args(arguments))
}
