//! Tells the binary which commit it was built from.
//!
//! Order: `LAMINARMQ_COMMIT` from the environment (for builds from an archive), then git, then
//! "unknown". A build without git, without a repository, or inside somebody else's repository must
//! work, so nothing here fails.

use std::process::Command;

fn main() {
    println!("cargo::rerun-if-changed=build.rs");
    println!("cargo::rerun-if-env-changed=LAMINARMQ_COMMIT");
    let commit = std::env::var("LAMINARMQ_COMMIT")
        .ok()
        .filter(|commit| !commit.trim().is_empty())
        .or_else(commit_from_git)
        .unwrap_or_else(|| String::from("unknown"));
    println!("cargo::rustc-env=LAMINARMQ_BUILD_COMMIT={}", commit.trim());
}

fn commit_from_git() -> Option<String> {
    // An unpacked archive may lie inside an unrelated repository, whose commit would be a lie.
    git(&["ls-files", "--error-unmatch", "build.rs"])?;
    for path in ["HEAD", "logs/HEAD"] {
        if let Some(path) = git(&["rev-parse", "--git-path", path]) {
            println!("cargo::rerun-if-changed={path}");
        }
    }
    git(&["rev-parse", "--short=12", "HEAD"])
}

fn git(arguments: &[&str]) -> Option<String> {
    let output = Command::new("git").args(arguments).output().ok()?;
    let text = String::from_utf8(output.stdout).ok()?;
    let text = text.trim();
    (output.status.success() && !text.is_empty()).then(|| text.to_owned())
}
