//! Finding the `laminarmq` binary under test.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::sync::OnceLock;

/// Names the binary to test; without it the release binary of this workspace is built and used.
const BINARY_VARIABLE: &str = "LAMINARMQ_BIN";

/// The top of this workspace.
#[must_use]
pub fn workspace_root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
        .ancestors()
        .nth(2)
        .expect("this crate lies two levels below the top of the workspace")
}

/// The `laminarmq` binary: `$LAMINARMQ_BIN`, else the release build of this workspace, which is built
/// first where it is missing or old.
///
/// # Panics
/// When there is none and it cannot be built.
#[must_use]
pub fn binary() -> &'static Path {
    static BINARY: OnceLock<PathBuf> = OnceLock::new();
    BINARY.get_or_init(|| match std::env::var_os(BINARY_VARIABLE) {
        Some(given) => {
            let given = PathBuf::from(given);
            assert!(
                given.is_file(),
                "{BINARY_VARIABLE}={} is not a file",
                given.display()
            );
            given
        }
        None => build(),
    })
}

/// The `laminarmq` command, to which the caller adds arguments. Settings of the environment do not reach it.
#[must_use]
pub fn laminarmq() -> Command {
    let mut command = Command::new(binary());
    forget_settings(&mut command);
    command
}

/// Takes the variables from the command's environment that `laminarmq` would read settings from.
pub(crate) fn forget_settings(command: &mut Command) {
    for (name, _) in std::env::vars_os() {
        if name.as_encoded_bytes().starts_with(b"LAMINARMQ_") {
            command.env_remove(name);
        }
    }
}

fn build() -> PathBuf {
    let cargo = std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into());
    let done = Command::new(cargo)
        .args([
            "build",
            "--release",
            "--package",
            "laminarmq-server",
            "--bin",
            "laminarmq",
        ])
        .args(["--message-format", "json-render-diagnostics"])
        .current_dir(workspace_root())
        .stdin(Stdio::null())
        .stderr(Stdio::inherit())
        .output()
        .expect("cargo can be started");
    assert!(
        done.status.success(),
        "building the laminarmq binary failed: {}",
        done.status
    );
    let messages = String::from_utf8(done.stdout).expect("cargo prints UTF-8");
    executable(&messages).unwrap_or_else(|| panic!("cargo named no laminarmq binary:\n{messages}"))
}

/// The path that cargo's messages give for the binary.
fn executable(messages: &str) -> Option<PathBuf> {
    messages.lines().rev().find_map(|line| {
        let message: serde_json::Value = serde_json::from_str(line).ok()?;
        let wanted =
            message["reason"] == "compiler-artifact" && message["target"]["name"] == "laminarmq";
        if wanted {
            message["executable"].as_str().map(PathBuf::from)
        } else {
            None
        }
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_executable_is_read_from_cargos_messages() {
        let messages = concat!(
            r#"{"reason":"compiler-artifact","target":{"name":"laminarmq"},"executable":null}"#,
            "\n",
            r#"{"reason":"compiler-artifact","target":{"name":"laminarmq"},"executable":"/t/release/laminarmq"}"#,
            "\n",
            r#"{"reason":"build-finished","success":true}"#,
        );
        assert_eq!(
            executable(messages),
            Some(PathBuf::from("/t/release/laminarmq"))
        );
        assert_eq!(
            executable(r#"{"reason":"build-finished","success":true}"#),
            None
        );
    }

    #[test]
    fn the_workspace_root_holds_the_workspace_manifest() {
        let manifest =
            std::fs::read_to_string(workspace_root().join("Cargo.toml")).expect("a manifest");
        assert!(manifest.contains("[workspace]"));
    }
}
