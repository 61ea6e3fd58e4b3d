//! Prometheus' text format, version 0.0.4, for what a scrape reads where it is.
//!
//! ```text
//! # HELP name what it is
//! # TYPE name gauge
//! name{label="value"} 17
//! ```
//!
//! All samples of a family stand together, which [`Family`] upholds by borrowing the text.

use std::fmt::{Display, Write as _};

/// A growing page.
#[derive(Debug)]
pub(super) struct Exposition {
    text: String,
}

/// The types that are written here.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    Counter,
    Gauge,
}

/// Labels with their values, as they stand in the text. Made once for all families of one thing.
#[derive(Debug, Clone)]
pub(super) struct Labels(String);

impl Labels {
    pub(super) const NONE: Self = Self(String::new());

    pub(super) fn of(labels: &[(&str, &str)]) -> Self {
        let mut text = String::new();
        for (at, (name, value)) in labels.iter().enumerate() {
            text.push(if at == 0 { '{' } else { ',' });
            text.push_str(name);
            text.push_str("=\"");
            for c in value.chars() {
                match c {
                    '\\' => text.push_str("\\\\"),
                    '"' => text.push_str("\\\""),
                    '\n' => text.push_str("\\n"),
                    other => text.push(other),
                }
            }
            text.push('"');
        }
        text.push('}');
        Self(text)
    }
}

impl Exposition {
    /// Continues a page that is whole so far.
    pub(super) fn after(text: String) -> Self {
        Self { text }
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    /// Begins a family. `help` is one line.
    pub(super) fn family<'a>(
        &'a mut self,
        name: &'static str,
        kind: Kind,
        help: &str,
    ) -> Family<'a> {
        let kind = match kind {
            Kind::Counter => "counter",
            Kind::Gauge => "gauge",
        };
        for part in [
            "# HELP ",
            name,
            " ",
            help,
            "\n# TYPE ",
            name,
            " ",
            kind,
            "\n",
        ] {
            self.text.push_str(part);
        }
        Family {
            name,
            text: &mut self.text,
        }
    }
}

/// A family of samples under one name.
#[derive(Debug)]
pub(super) struct Family<'a> {
    name: &'static str,
    text: &'a mut String,
}

impl Family<'_> {
    /// `value` is a number as its type writes it.
    pub(super) fn sample(&mut self, labels: &Labels, value: impl Display) -> &mut Self {
        writeln!(self.text, "{}{} {value}", self.name, labels.0)
            .expect("a string takes everything");
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_page_looks_as_the_format_wants_it() {
        let mut page = Exposition::after(String::from("before 1\n"));
        page.family("a_total", Kind::Counter, "What it is.")
            .sample(&Labels::NONE, 5);
        let labels = Labels::of(&[("topic", "a\"b\\c\nd"), ("partition", "3")]);
        page.family("b", Kind::Gauge, "Other.")
            .sample(&labels, 0.25)
            .sample(&Labels::of(&[("topic", "é")]), u64::MAX);
        let want = "before 1\n\
                    # HELP a_total What it is.\n\
                    # TYPE a_total counter\n\
                    a_total 5\n\
                    # HELP b Other.\n\
                    # TYPE b gauge\n\
                    b{topic=\"a\\\"b\\\\c\\nd\",partition=\"3\"} 0.25\n\
                    b{topic=\"é\"} 18446744073709551615\n";
        assert_eq!(page.into_text(), want);
    }
}
