//! Counting images, so that a test without any fails.

use std::fmt;

/// What became of an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Outcome {
    /// Every record is there.
    Whole,
    /// The end was cut.
    Cut,
    /// Some records yield errors, and those behind them are there.
    Holes,
    /// An error names what is damaged.
    Refused,
}

/// How many images there were, and what became of them.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct Tally {
    pub(crate) images: usize,
    pub(crate) whole: usize,
    pub(crate) cut: usize,
    pub(crate) holes: usize,
    pub(crate) refused: usize,
}

impl fmt::Display for Tally {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            images,
            whole,
            cut,
            holes,
            refused,
        } = self;
        write!(
            f,
            "{images} images: {whole} whole, {cut} cut, {holes} with holes, {refused} refused"
        )
    }
}

impl std::ops::AddAssign for Tally {
    fn add_assign(&mut self, other: Self) {
        self.images += other.images;
        self.whole += other.whole;
        self.cut += other.cut;
        self.holes += other.holes;
        self.refused += other.refused;
    }
}

impl Tally {
    pub(crate) fn add(&mut self, outcome: Outcome) {
        self.images += 1;
        match outcome {
            Outcome::Whole => self.whole += 1,
            Outcome::Cut => self.cut += 1,
            Outcome::Holes => self.holes += 1,
            Outcome::Refused => self.refused += 1,
        }
    }
}
