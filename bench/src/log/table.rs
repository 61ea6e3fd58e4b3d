//! Pairs and single values, and the Markdown that is made of them.

use std::fmt::Write as _;

use super::budget::Budget;
use crate::report::median;

/// Nanoseconds per record, of two runs one right after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// Of the bare calls.
    pub limit: f64,
    /// Of the library.
    pub ours: f64,
}

/// All pairs of one kind of run.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What was done.
    pub run: &'static str,
    /// Bytes of each value.
    pub value_bytes: usize,
    /// What the library is held to.
    pub budget: Budget,
    /// In the order taken.
    pub pairs: Vec<Pair>,
}

impl Comparison {
    fn limit(&self) -> f64 {
        median(self.pairs.iter().map(|pair| pair.limit))
    }

    fn ours(&self) -> f64 {
        median(self.pairs.iter().map(|pair| pair.ours))
    }

    /// The library's speed as a share of the limit's: the median of the pairs' ratios.
    #[must_use]
    pub fn speed(&self) -> f64 {
        median(self.pairs.iter().map(|pair| pair.limit / pair.ours))
    }

    /// Nanoseconds per record over the budget (below it: less than 0), as the median of the pairs, and the
    /// median of what they allow.
    #[must_use]
    pub fn over(&self) -> Option<(f64, f64)> {
        let most: Option<Vec<f64>> = self
            .pairs
            .iter()
            .map(|pair| self.budget.most(pair.limit))
            .collect();
        let most = most?;
        let over = self
            .pairs
            .iter()
            .zip(&most)
            .map(|(pair, most)| pair.ours - most);
        Some((median(over), median(most.iter().copied())))
    }

    fn line(&self) -> String {
        let Self {
            run, value_bytes, ..
        } = self;
        let (allowed, verdict) = match self.over() {
            None => ("-".to_owned(), "shown only".to_owned()),
            Some((over, most)) => (time(most), verdict(over, most, "ns")),
        };
        format!(
            "| {run} | {value_bytes} | {} | {} | {allowed} | {:.0} % | {verdict} |",
            time(self.limit()),
            time(self.ours()),
            self.speed() * 100.0,
        )
    }
}

/// Values with a ceiling of their own, where no call of the machine's stands beside.
#[derive(Debug, Clone, PartialEq)]
pub struct Ceiling {
    /// What was measured.
    pub what: String,
    /// Of the values and the ceiling.
    pub unit: &'static str,
    /// The ceiling.
    pub most: f64,
    /// In the order taken.
    pub values: Vec<f64>,
}

/// What a program run found.
#[derive(Debug, Default)]
pub struct Report {
    /// With a limit beside.
    pub comparisons: Vec<Comparison>,
    /// With a ceiling.
    pub ceilings: Vec<Ceiling>,
    /// What the numbers mean, and what could not be measured.
    pub notes: Vec<String>,
}

impl Report {
    /// Adds what a reader has to know about numbers, once.
    pub fn note(&mut self, note: impl Into<String>) {
        let note = note.into();
        if !self.notes.contains(&note) {
            self.notes.push(note);
        }
    }

    /// Everything as Markdown.
    #[must_use]
    pub fn markdown(&self) -> String {
        let mut text = String::new();
        let mut line = |line: &str| writeln!(text, "{line}").expect("a string takes everything");
        if !self.comparisons.is_empty() {
            line(
                "| run | value, bytes | limit, ns | library, ns | allowed, ns | speed, library to limit | |",
            );
            line("|---|---|---|---|---|---|---|");
            self.comparisons.iter().for_each(|row| line(&row.line()));
            line("");
        }
        if !self.ceilings.is_empty() {
            line("| run | median | all | allowed | |\n|---|---|---|---|---|");
            for ceiling in &self.ceilings {
                let Ceiling {
                    what,
                    unit,
                    most,
                    values,
                } = ceiling;
                let middle = median(values.iter().copied());
                let all: Vec<String> = values.iter().map(|value| format!("{value:.1}")).collect();
                let all = all.join(", ");
                let verdict = verdict(middle - most, *most, unit);
                line(&format!(
                    "| {what} | {middle:.1} {unit} | {all} | {most:.0} {unit} | {verdict} |"
                ));
            }
            line("");
        }
        for note in &self.notes {
            line(&format!("- {note}"));
        }
        text
    }
}

/// `ok` at or below the budget.
fn verdict(over: f64, most: f64, unit: &str) -> String {
    if over <= 0.0 {
        return "ok".to_owned();
    }
    let shown = if unit == "ns" {
        time(over)
    } else {
        format!("{over:.1}")
    };
    format!("over by {shown} {unit} ({:.0} %)", over / most * 100.0)
}

/// Nanoseconds, with a tenth where that is more than noise.
fn time(ns: f64) -> String {
    if ns < 100.0 {
        format!("{ns:.1}")
    } else {
        format!("{ns:.0}")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn comparison(pairs: &[(f64, f64)]) -> Comparison {
        Comparison {
            run: "append",
            value_bytes: 12,
            budget: Budget::Adds {
                ns: 60.0,
                share: 0.1,
            },
            pairs: pairs
                .iter()
                .map(|&(limit, ours)| Pair { limit, ours })
                .collect(),
        }
    }

    #[test]
    fn verdicts_are_the_medians_of_the_pairs() {
        // Over by -10, 40 and 0; a ratio of medians would say something else.
        let row = comparison(&[(300.0, 350.0), (400.0, 500.0), (200.0, 260.0)]);
        assert_eq!(row.over(), Some((0.0, 360.0)));
        assert_eq!(row.line(), "| append | 12 | 300 | 350 | 360 | 80 % | ok |");
        let row = comparison(&[(300.0, 396.0)]);
        assert_eq!(
            row.line(),
            "| append | 12 | 300 | 396 | 360 | 76 % | over by 36.0 ns (10 %) |"
        );
        let shown = Comparison {
            budget: Budget::Shown,
            ..row
        };
        assert!(shown.line().ends_with("| - | 76 % | shown only |"));
    }

    #[test]
    fn a_report_shows_everything() {
        let mut report = Report::default();
        report.comparisons.push(comparison(&[(300.0, 350.0)]));
        report.ceilings.push(Ceiling {
            what: "open".to_owned(),
            unit: "ms",
            most: 100.0,
            values: vec![90.0, 130.0, 125.0],
        });
        report.note("limit: nothing is synced");
        report.note("limit: nothing is synced");
        let text = report.markdown();
        for line in [
            "| append | 12 | 300 | 350 | 360 | 86 % | ok |\n",
            "| open | 125.0 ms | 90.0, 130.0, 125.0 | 100 ms | over by 25.0 ms (25 %) |\n",
            "\n- limit: nothing is synced\n",
        ] {
            assert_eq!(text.matches(line).count(), 1, "{text}");
        }
    }
}
