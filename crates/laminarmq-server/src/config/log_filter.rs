//! Which log lines are written: a level, or levels by part of the program.
//!
//! ```text
//! info
//! warn,laminarmq_broker=debug
//! off,laminarmq_broker::net=trace
//! ```

use tracing::level_filters::LevelFilter;
use tracing_subscriber::filter::Targets;

const LEVELS: [(&str, LevelFilter); 6] = [
    ("off", LevelFilter::OFF),
    ("error", LevelFilter::ERROR),
    ("warn", LevelFilter::WARN),
    ("info", LevelFilter::INFO),
    ("debug", LevelFilter::DEBUG),
    ("trace", LevelFilter::TRACE),
];

/// A checked filter, and the text that it was made from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct LogFilter {
    text: String,
    default: LevelFilter,
    /// A part (its path begins with this) and its level.
    parts: Vec<(String, LevelFilter)>,
}

impl Default for LogFilter {
    fn default() -> Self {
        Self {
            text: String::from("info"),
            default: LevelFilter::INFO,
            parts: Vec::new(),
        }
    }
}

impl LogFilter {
    /// # Errors
    ///
    /// A sentence about what is wrong.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut default = None;
        let mut parts = Vec::new();
        for word in text.split(',').map(str::trim) {
            match word.split_once('=') {
                Some((part, level)) if is_path(part.trim()) => {
                    parts.push((part.trim().to_owned(), parse_level(level.trim())?));
                }
                Some((part, _)) => return Err(format!("`{part}` is no part of a program")),
                None if default.replace(parse_level(word)?).is_some() => {
                    return Err(String::from("more than one level without a part"));
                }
                None => {}
            }
        }
        Ok(Self {
            text: text.to_owned(),
            default: default.unwrap_or(LevelFilter::INFO),
            parts,
        })
    }

    pub(crate) fn text(&self) -> &str {
        &self.text
    }

    pub(crate) fn targets(&self) -> Targets {
        Targets::new()
            .with_default(self.default)
            .with_targets(self.parts.iter().cloned())
    }
}

fn parse_level(text: &str) -> Result<LevelFilter, String> {
    let level = LEVELS
        .iter()
        .find(|(name, _)| name.eq_ignore_ascii_case(text));
    level.map(|(_, level)| *level).ok_or_else(|| {
        format!(
            "`{text}` is none of `error`, `warn`, `info`, `debug`, `trace` or `off`; \
             by part: info,laminarmq_broker=debug"
        )
    })
}

fn is_path(text: &str) -> bool {
    let word = |c: char| c.is_ascii_alphanumeric() || matches!(c, '_' | ':' | '-');
    !text.is_empty() && text.chars().all(word)
}

#[cfg(test)]
mod tests {
    use tracing::Level;

    use super::*;

    #[test]
    fn a_level_is_for_all_and_a_part_has_its_own() {
        let filter = LogFilter::parse("warn, laminarmq_broker=debug,laminarmq_broker::net=off");
        let targets = filter.expect("a good filter").targets();
        assert!(targets.would_enable("hyper", &Level::WARN));
        assert!(!targets.would_enable("hyper", &Level::INFO));
        assert!(targets.would_enable("laminarmq_broker::broker", &Level::DEBUG));
        assert!(!targets.would_enable("laminarmq_broker::broker", &Level::TRACE));
        assert!(!targets.would_enable("laminarmq_broker::net::listener", &Level::ERROR));
        let parts_only = LogFilter::parse("laminarmq=trace").expect("a good filter");
        assert!(parts_only.targets().would_enable("hyper", &Level::INFO));
        assert!(!parts_only.targets().would_enable("hyper", &Level::DEBUG));
        assert_eq!(LogFilter::parse("info"), Ok(LogFilter::default()));
    }

    #[test]
    fn what_is_no_filter_is_refused_with_an_example() {
        for (text, says) in [
            ("", "`` is none of `error`"),
            ("loud", "`loud` is none of `error`"),
            ("info,", "`` is none of"),
            ("info,laminarmq_broker", "`laminarmq_broker` is none of"),
            ("laminarmq_broker=loud", "info,laminarmq_broker=debug"),
            ("a b=info", "`a b` is no part of a program"),
            ("=info", "`` is no part"),
            ("info,warn", "more than one level"),
        ] {
            let error = LogFilter::parse(text).expect_err(text);
            assert!(error.contains(says), "{text}: {error}");
        }
    }
}
