//! By chance: what a power cut leaves of what was not synced, and a count of it.

use std::ops::AddAssign;

use rand::RngExt;
use rand_chacha::ChaCha8Rng;

use super::disk::Plan;

/// How much of a change to a file is on the media.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) enum Kept {
    Nothing,
    Whole,
    /// Each sector with this probability.
    Sectors(f64),
}

/// What becomes of the changes to files.
#[derive(Debug, Clone, Copy, PartialEq)]
enum FileMode {
    DropAll,
    KeepAll,
    /// Each write with this probability.
    Writes(f64),
    /// Everything up to one write, of which some sectors are there.
    Torn,
    /// Each sector of each write with this probability.
    Sectors(f64),
}

/// What becomes of new, changed and removed names.
#[derive(Debug, Clone, Copy, PartialEq)]
enum NameMode {
    DropAll,
    KeepAll,
    Chance(f64),
}

/// The fate of everything that is not synced at one moment.
#[derive(Debug)]
pub(crate) struct Fate {
    rng: ChaCha8Rng,
    /// `None`: each file has one of its own.
    files: Option<FileMode>,
    names: NameMode,
}

impl Fate {
    /// A fate by chance.
    pub(crate) fn by_chance(mut rng: ChaCha8Rng) -> Self {
        let files = match rng.random_range(0..10) {
            0 | 1 => Some(FileMode::DropAll),
            2 => Some(FileMode::KeepAll),
            3..7 => Some(file_mode(&mut rng)),
            _ => None,
        };
        let names = match rng.random_range(0..10) {
            0..3 => NameMode::DropAll,
            3..6 => NameMode::KeepAll,
            _ => NameMode::Chance(probability(&mut rng)),
        };
        Self { rng, files, names }
    }

    /// Nothing that was not synced is there.
    pub(crate) fn drop_all(rng: ChaCha8Rng) -> Self {
        Self {
            rng,
            files: Some(FileMode::DropAll),
            names: NameMode::DropAll,
        }
    }

    /// What becomes of one file.
    pub(crate) fn of_file(&mut self) -> FileFate<'_> {
        let mode = self.files.unwrap_or_else(|| file_mode(&mut self.rng));
        FileFate {
            rng: &mut self.rng,
            mode,
        }
    }

    /// Whether one change of names is there.
    pub(crate) fn keeps_name(&mut self) -> bool {
        match self.names {
            NameMode::DropAll => false,
            NameMode::KeepAll => true,
            NameMode::Chance(probability) => self.rng.random_bool(probability),
        }
    }
}

fn file_mode(rng: &mut ChaCha8Rng) -> FileMode {
    match rng.random_range(0..8) {
        0 => FileMode::DropAll,
        1 => FileMode::KeepAll,
        2 | 3 => FileMode::Writes(probability(rng)),
        4 | 5 => FileMode::Torn,
        _ => FileMode::Sectors(probability(rng)),
    }
}

fn probability(rng: &mut ChaCha8Rng) -> f64 {
    [0.1, 0.5, 0.9][rng.random_range(0..3)]
}

/// What becomes of the changes to one file.
#[derive(Debug)]
pub(crate) struct FileFate<'a> {
    rng: &'a mut ChaCha8Rng,
    mode: FileMode,
}

impl FileFate<'_> {
    /// Decides for changes of which each writes so many sectors.
    pub(crate) fn plan(&mut self, sectors: &[usize]) -> Plan {
        let count = sectors.len();
        let all = |kept| vec![kept; count];
        let (lengths_kept, changes) = match self.mode {
            FileMode::DropAll => (0, all(Kept::Nothing)),
            FileMode::KeepAll => (count, all(Kept::Whole)),
            FileMode::Writes(probability) => {
                let mut changes = all(Kept::Nothing);
                for kept in &mut changes {
                    if self.rng.random_bool(probability) {
                        *kept = Kept::Whole;
                    }
                }
                let last = changes.iter().rposition(|&kept| kept == Kept::Whole);
                let reaches = last.map_or(0, |last| last + 1);
                let lengths_kept = match self.rng.random_range(0..4) {
                    0 | 1 => reaches,
                    2 => count,
                    _ => self.rng.random_range(0..=count),
                };
                (lengths_kept, changes)
            }
            FileMode::Torn => {
                // One of several sectors, where there is one.
                let large: Vec<_> = (0..count).filter(|&at| sectors[at] > 1).collect();
                let torn = match large.len() {
                    0 => self.rng.random_range(0..count),
                    some => large[self.rng.random_range(0..some)],
                };
                let mut changes = all(Kept::Nothing);
                changes[..torn].fill(Kept::Whole);
                changes[torn] = Kept::Sectors(0.5);
                let lengths_kept = match self.rng.random_range(0..3) {
                    0 => count,
                    _ => torn + 1,
                };
                (lengths_kept, changes)
            }
            FileMode::Sectors(probability) => {
                let lengths_kept = self.rng.random_range(0..=count);
                (lengths_kept, all(Kept::Sectors(probability)))
            }
        };
        Plan {
            lengths_kept,
            changes,
        }
    }

    /// Whether one sector of a change is there.
    pub(crate) fn keeps(&mut self, kept: Kept) -> bool {
        match kept {
            Kept::Nothing => false,
            Kept::Whole => true,
            Kept::Sectors(probability) => self.rng.random_bool(probability),
        }
    }
}

/// How often each kind of fault was in an image.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Faults {
    /// Writes of which nothing is there.
    pub dropped_writes: usize,
    /// Writes without a sync that are there, at least in part.
    pub kept_writes: usize,
    /// Writes of which some sectors are there.
    pub torn_writes: usize,
    /// Writes that are there although an earlier one to the same file is not.
    pub reordered_writes: usize,
    /// Writes that made the file longer, of which only the length is there.
    pub zeroed_writes: usize,
    /// Files that are as long as before they were cut.
    pub undone_cuts: usize,
    /// New names that are not there.
    pub dropped_names: usize,
    /// Renames that did not happen.
    pub undone_renames: usize,
    /// Removed names that are there again.
    pub undone_removals: usize,
    /// Changes of names without a sync that are there.
    pub kept_names: usize,
}

impl AddAssign for Faults {
    fn add_assign(&mut self, other: Self) {
        self.dropped_writes += other.dropped_writes;
        self.kept_writes += other.kept_writes;
        self.torn_writes += other.torn_writes;
        self.reordered_writes += other.reordered_writes;
        self.zeroed_writes += other.zeroed_writes;
        self.undone_cuts += other.undone_cuts;
        self.dropped_names += other.dropped_names;
        self.undone_renames += other.undone_renames;
        self.undone_removals += other.undone_removals;
        self.kept_names += other.kept_names;
    }
}
