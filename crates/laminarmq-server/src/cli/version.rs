//! `laminarmq version` and `--version`.

use serde_json::json;

use super::JsonArgs;
use crate::failure::Failure;
use crate::output::Out;

const VERSION: &str = env!("CARGO_PKG_VERSION");
const COMMIT: &str = env!("LAMINARMQ_BUILD_COMMIT");

/// `0.1.0 (commit 0123456789ab)`
pub(crate) const fn long_version() -> &'static str {
    concat!(
        env!("CARGO_PKG_VERSION"),
        " (commit ",
        env!("LAMINARMQ_BUILD_COMMIT"),
        ")"
    )
}

pub(super) fn run(args: JsonArgs) -> Result<(), Failure> {
    let mut out = Out::stdout();
    if args.json {
        out.json(&json!({ "version": VERSION, "commit": COMMIT }))?;
    } else {
        out.line(format_args!("laminarmq {}", long_version()))?;
    }
    out.flush()
}
