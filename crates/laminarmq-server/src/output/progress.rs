//! Progress on stderr, on a terminal only: elsewhere every call does nothing.

use std::fmt::Write;
use std::io::{self, IsTerminal as _};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressState, ProgressStyle};

use super::human;

/// How often a bar is drawn at most, per second.
const DRAWS_PER_SECOND: u8 = 10;
/// How often a bar without news moves.
const TICK: Duration = Duration::from_millis(200);

/// What the positions of a bar count.
#[derive(Debug, Clone, Copy)]
pub(crate) enum Unit {
    Bytes,
    Records,
    Milliseconds,
}

/// A progress bar, or nothing where nobody looks. Clones share one bar.
#[derive(Debug, Clone)]
pub(crate) struct Progress {
    bar: ProgressBar,
}

impl Progress {
    /// A bar from 0 to `length`, labelled `label`.
    pub(crate) fn new(label: &'static str, unit: Unit, length: u64) -> Self {
        if !io::stderr().is_terminal() {
            return Self::hidden();
        }
        let target = ProgressDrawTarget::stderr_with_hz(DRAWS_PER_SECOND);
        let bar = ProgressBar::with_draw_target(Some(length), target);
        let counts = match unit {
            Unit::Bytes => "{bytes}/{total_bytes}  {bytes_per_sec}",
            Unit::Records => "{count}/{total}  {rate}",
            Unit::Milliseconds => "{elapsed_precise}",
        };
        let template = format!("{{prefix}} {{wide_bar}} {counts}  {{msg}} eta {{eta}}");
        let style = ProgressStyle::with_template(&template)
            .expect("a template with indicatif's own keys")
            .progress_chars("=> ")
            .with_key("count", |state: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&human::count(state.pos()));
            })
            .with_key("total", |state: &ProgressState, out: &mut dyn Write| {
                let _ = out.write_str(&human::count(state.len().unwrap_or_default()));
            })
            .with_key("rate", |state: &ProgressState, out: &mut dyn Write| {
                #[expect(
                    clippy::cast_possible_truncation,
                    clippy::cast_sign_loss,
                    reason = "a rate is finite and not negative, and its fraction is not shown"
                )]
                let rate = state.per_sec() as u64;
                let _ = write!(out, "{}/s", human::count(rate));
            });
        bar.set_style(style);
        bar.set_prefix(label);
        bar.enable_steady_tick(TICK);
        Self { bar }
    }

    /// No bar, whatever the output is.
    pub(crate) fn hidden() -> Self {
        Self {
            bar: ProgressBar::hidden(),
        }
    }

    pub(crate) fn set(&self, position: u64) {
        self.bar.set_position(position);
    }

    pub(crate) fn message(&self, message: impl Into<String>) {
        self.bar.set_message(message.into());
    }

    /// Removes the bar, so that the result stands alone.
    pub(crate) fn finish(&self) {
        self.bar.finish_and_clear();
    }
}
