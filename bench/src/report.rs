//! Pairs of measurements, and the table made of them.

use std::fmt::Write as _;

/// One measurement of the broker and one of the limit, taken one right after the other.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Pair {
    /// What the broker did, in bytes of record values per second.
    pub broker: f64,
    /// What the limit program did, in bytes per second.
    pub limit: f64,
}

impl Pair {
    fn ratio(self) -> f64 {
        self.broker / self.limit
    }
}

/// All pairs of one kind of run.
#[derive(Debug, Clone, PartialEq)]
pub struct Comparison {
    /// What was done.
    pub name: &'static str,
    /// What an acknowledgement (or an answer) meant for the broker.
    pub broker_meaning: &'static str,
    /// The same for the limit program.
    pub limit_meaning: &'static str,
    /// The measurements, in the order taken.
    pub pairs: Vec<Pair>,
}

/// The middle value; of an even number of values the mean of the two in the middle.
///
/// # Panics
/// Without a value.
#[must_use]
pub fn median(values: &[f64]) -> f64 {
    let mut sorted = values.to_vec();
    sorted.sort_by(f64::total_cmp);
    let middle = sorted.len() / 2;
    if sorted.len() % 2 == 1 {
        sorted[middle]
    } else {
        (sorted[middle - 1] + sorted[middle]) / 2.0
    }
}

impl Comparison {
    /// The median of the pairs' ratios: broker to limit.
    #[must_use]
    pub fn median_ratio(&self) -> f64 {
        median(
            &self
                .pairs
                .iter()
                .map(|pair| pair.ratio())
                .collect::<Vec<_>>(),
        )
    }
}

/// A Markdown table with one line for each comparison, and below it every value.
#[must_use]
pub fn markdown(comparisons: &[Comparison]) -> String {
    let mut text = String::from(
        "| run | broker, median MB/s | limit, median MB/s | median of ratios | an ack meant |\n|---|---|---|---|---|\n",
    );
    let middle = |comparison: &Comparison, side: fn(&Pair) -> f64| {
        median(&comparison.pairs.iter().map(side).collect::<Vec<_>>()) / 1e6
    };
    for comparison in comparisons {
        let Comparison {
            name,
            broker_meaning,
            limit_meaning,
            ..
        } = comparison;
        writeln!(
            text,
            "| {name} | {:.0} | {:.0} | {:.0} % | broker: {broker_meaning}; limit: {limit_meaning} |",
            middle(comparison, |pair| pair.broker),
            middle(comparison, |pair| pair.limit),
            comparison.median_ratio() * 100.0,
        )
        .expect("a string takes everything");
    }
    text.push_str("\nAll values, as broker / limit in MB/s (MB = 1 000 000 bytes), in the order measured:\n\n");
    for Comparison { name, pairs, .. } in comparisons {
        let show = |pair: &Pair| {
            format!(
                "{:.0} / {:.0} ({:.0} %)",
                pair.broker / 1e6,
                pair.limit / 1e6,
                pair.ratio() * 100.0
            )
        };
        let values: Vec<_> = pairs.iter().map(show).collect();
        writeln!(text, "- {name}: {}", values.join(", ")).expect("a string takes everything");
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        assert_eq!(median(&[3.0, 1.0, 2.0]), 2.0);
        assert_eq!(median(&[4.0, 1.0, 2.0, 3.0]), 2.5);
        assert_eq!(median(&[7.0]), 7.0);
    }

    #[test]
    fn the_ratio_is_the_median_of_the_pairs_ratios() {
        let pairs = [(50e6, 100e6), (10e6, 100e6), (90e6, 100e6)]
            .map(|(broker, limit)| Pair { broker, limit });
        let comparison = Comparison {
            name: "produce",
            broker_meaning: "written",
            limit_meaning: "written, too",
            pairs: pairs.to_vec(),
        };
        assert_eq!(comparison.median_ratio(), 0.5);
        let text = markdown(&[comparison]);
        assert!(
            text.contains("| produce | 50 | 100 | 50 % | broker: written; limit: written, too |\n"),
            "{text}"
        );
        assert!(
            text.contains("- produce: 50 / 100 (50 %), 10 / 100 (10 %), 90 / 100 (90 %)\n"),
            "{text}"
        );
    }
}
