//! Many images of one recording, each checked once.

use std::collections::{HashMap, HashSet};
use std::fmt;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Receiver, sync_channel};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use rand::SeedableRng;
use rand::seq::SliceRandom;
use rand_chacha::ChaCha8Rng;

use super::calls::{Mark, SyncBug};
use super::check::check;
use super::fate::{Fate, Faults};
use super::image::Image;
use super::judge::{Broken, Sent};
use super::promises::Moment;
use super::recording::{DATA, Recording};
use crate::TestDir;

/// Which images to check.
#[derive(Debug, Clone, Copy, Default)]
pub struct Plan {
    /// How many different ones.
    pub images: usize,
    /// What they are made of by chance.
    pub seed: u64,
    /// Only the image of this number.
    pub only: Option<usize>,
    /// For a check of the checker.
    pub bug: SyncBug,
}

/// Of so many images one is started twice.
const RESTART_EVERY: usize = 10;
/// Brokers at the same time.
const WORKERS: usize = 3;
/// So many failures are enough to look at.
const FAILURES_MAX: usize = 20;
/// How often new images are drawn when the ones before had been drawn already.
const PASSES_MAX: usize = 20;

/// What was done.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Totals {
    /// Moments in the recording at which something happens on the disk, or a promise is made.
    pub moments: usize,
    /// Those at which an image was taken.
    pub moments_used: usize,
    /// Images that were drawn.
    pub drawn: usize,
    /// Those that were checked: no two have the same content and the same promises.
    pub checked: usize,
    /// How many different contents they have.
    pub contents: usize,
    /// Of the checked ones, those on which the broker was started once more.
    pub restarted: usize,
    /// Acknowledged records looked up, over all images.
    pub acknowledged_records: u64,
    /// Ends of partitions that a client was told, looked up, over all images.
    pub told_ends: u64,
    /// Records read, over all images.
    pub records: u64,
    /// Topics found, over all images.
    pub topics: u64,
    /// What is missing from the checked images, or there by chance.
    pub faults: Faults,
}

impl Totals {
    /// Adds the figures of another recording.
    pub fn add(&mut self, other: Self) {
        self.moments += other.moments;
        self.moments_used += other.moments_used;
        self.drawn += other.drawn;
        self.checked += other.checked;
        self.contents += other.contents;
        self.restarted += other.restarted;
        self.acknowledged_records += other.acknowledged_records;
        self.told_ends += other.told_ends;
        self.records += other.records;
        self.topics += other.topics;
        self.faults += other.faults;
    }
}

impl fmt::Display for Totals {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { faults, .. } = self;
        writeln!(
            f,
            "{} of {} crash points, {} images drawn, {} checked ({} different disks), {} started twice",
            self.moments_used,
            self.moments,
            self.drawn,
            self.checked,
            self.contents,
            self.restarted
        )?;
        writeln!(
            f,
            "acknowledged records found: {}, ends that clients were told: {}, records read: {}, topics: {}",
            self.acknowledged_records, self.told_ends, self.records, self.topics
        )?;
        writeln!(
            f,
            "writes: {} dropped, {} kept, {} torn, {} reordered, {} of which only the length is there; {} cuts undone",
            faults.dropped_writes,
            faults.kept_writes,
            faults.torn_writes,
            faults.reordered_writes,
            faults.zeroed_writes,
            faults.undone_cuts
        )?;
        write!(
            f,
            "names: {} dropped, {} renames undone, {} removals undone, {} kept",
            faults.dropped_names, faults.undone_renames, faults.undone_removals, faults.kept_names
        )
    }
}

/// An image on which a promise is broken.
#[derive(Debug, Clone)]
pub struct Failure {
    /// Its number.
    pub image: usize,
    /// What is broken.
    pub broken: Broken,
    /// Where the image is kept, as the power cut left it.
    pub kept: PathBuf,
    /// How to check it again.
    pub replay: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self {
            image,
            broken,
            kept,
            replay,
        } = self;
        writeln!(f, "image {image}: {:?}: {}", broken.kind, broken.what)?;
        writeln!(f, "the image is kept in {}", kept.display())?;
        write!(f, "replay: {replay}")
    }
}

/// An image to check.
struct Job {
    number: usize,
    moment: Moment,
    image: Image,
    faults: Faults,
}

/// What all workers share.
#[derive(Default)]
struct Outcome {
    totals: Totals,
    failures: Vec<Failure>,
}

impl Outcome {
    /// Whether there are failures enough to look at.
    fn is_enough(&self) -> bool {
        self.failures.len() >= FAILURES_MAX
    }
}

/// Checks images of a recording until there were as many different ones as planned. An image on which a
/// promise is broken is kept beside the recording.
pub fn check_images(
    recording: &Recording,
    plan: &Plan,
    progress: impl Fn(&Totals) + Sync,
) -> (Totals, Vec<Failure>) {
    let work_dir = TestDir::in_memory("power-cut-images");
    let moments = moments(recording, plan.bug);
    let sent = Sent::of(&recording.promises);
    let outcome = Mutex::new(Outcome::default());
    let mut seen = Seen::default();
    let mut drawn = 0;
    for _ in 0..PASSES_MAX {
        let missing = plan.images.saturating_sub(seen.checked.len());
        let numbers: Vec<_> = match plan.only {
            Some(only) => vec![only],
            None => (drawn..drawn + missing).collect(),
        };
        drawn += numbers.len();
        let (queue, jobs) = sync_channel(WORKERS);
        // Held by the workers only: when they are gone, so is the queue's other end.
        let jobs = Arc::new(Mutex::new(jobs));
        thread::scope(|scope| {
            for _ in 0..WORKERS {
                let jobs = Arc::clone(&jobs);
                let (sent, outcome, work_dir, progress) = (&sent, &outcome, &work_dir, &progress);
                scope.spawn(move || {
                    while let Some(job) = next(&jobs) {
                        if !lock(outcome).is_enough() {
                            check_one(recording, work_dir.path(), plan, sent, &job, outcome);
                            progress(&lock(outcome).totals);
                        }
                    }
                });
            }
            drop(jobs);
            draw(recording, plan, &moments, &numbers, &mut seen, |job| {
                queue.send(job).expect("the workers wait for jobs");
            });
            drop(queue);
        });
        if plan.only.is_some() || seen.checked.len() >= plan.images || lock(&outcome).is_enough() {
            break;
        }
    }
    let Outcome {
        mut totals,
        mut failures,
    } = outcome.into_inner().unwrap_or_else(PoisonError::into_inner);
    totals.moments = moments.distinct;
    totals.moments_used = seen.moments.len();
    totals.drawn = drawn;
    totals.contents = seen.contents.len();
    failures.sort_by_key(|failure| failure.image);
    (totals, failures)
}

fn lock(outcome: &Mutex<Outcome>) -> std::sync::MutexGuard<'_, Outcome> {
    outcome.lock().unwrap_or_else(PoisonError::into_inner)
}

fn next(jobs: &Mutex<Receiver<Job>>) -> Option<Job> {
    jobs.lock()
        .unwrap_or_else(PoisonError::into_inner)
        .recv()
        .ok()
}

/// The moments to choose from. One that tells more is there several times.
struct Moments {
    weighted: Vec<Moment>,
    distinct: usize,
}

/// How often a moment at which names are not synced is there, one before the first answer of a run, and one
/// right after the end of a sync.
const NAMES_WEIGHT: usize = 6;
const RECOVERY_WEIGHT: usize = 10;
const SYNC_WEIGHT: usize = 2;

fn moments(recording: &Recording, bug: SyncBug) -> Moments {
    let mut weighted = Vec::new();
    let mut distinct = 0;
    let mut promises = 0;
    let mut made_before_run = 0;
    let mut before = None;
    recording.replay(bug, |moment, mark, disk| {
        let made = recording.promises.made_until(moment);
        let promised = made > promises;
        promises = made;
        if mark == Mark::SyncEnded {
            // The moment before had the most to lose.
            let last = before.filter(|last: &Moment| last.run == moment.run);
            weighted.extend(last);
        }
        if before.is_none_or(|last| last.run < moment.run) {
            made_before_run = made;
        }
        before = Some(moment);
        if mark == Mark::Other && !promised {
            return;
        }
        distinct += 1;
        let weight = match mark {
            _ if disk.has_pending_names() => NAMES_WEIGHT,
            _ if made == made_before_run => RECOVERY_WEIGHT,
            Mark::SyncEnded => SYNC_WEIGHT,
            _ => 1,
        };
        weighted.extend(std::iter::repeat_n(moment, weight));
    });
    Moments { weighted, distinct }
}

/// What was drawn already.
#[derive(Default)]
struct Seen {
    moments: HashSet<(usize, usize)>,
    contents: HashSet<u64>,
    /// Content, and how many promises it has to hold.
    checked: HashSet<(u64, usize)>,
}

/// Makes the images of these numbers, in the order of their moments.
fn draw(
    recording: &Recording,
    plan: &Plan,
    moments: &Moments,
    numbers: &[usize],
    seen: &mut Seen,
    mut check: impl FnMut(Job),
) {
    let mut wanted = moments_of(plan.seed, moments, numbers);
    wanted.sort_unstable();
    let mut wanted = wanted.into_iter().peekable();
    recording.replay(plan.bug, |now, _, disk| {
        while let Some((moment, number)) = wanted.next_if(|(moment, _)| *moment <= now) {
            let rng = ChaCha8Rng::seed_from_u64(image_seed(plan.seed, number));
            let mut fate = match plan.bug {
                SyncBug::None => Fate::by_chance(rng),
                // What a sync would have kept is to be missed.
                _ => Fate::drop_all(rng),
            };
            let (image, faults) = disk.after_cut(&mut fate);
            let digest = image.digest();
            let promises = recording.promises.made_until(moment);
            seen.moments.insert((moment.run, moment.step));
            seen.contents.insert(digest);
            if seen.checked.insert((digest, promises)) {
                check(Job {
                    number,
                    moment,
                    image,
                    faults,
                });
            }
        }
    });
}

fn image_seed(seed: u64, number: usize) -> u64 {
    seed.wrapping_mul(1_000_003).wrapping_add(number as u64)
}

/// The moment of each image: all moments in turn, in an order by chance; then again, in another order.
fn moments_of(seed: u64, moments: &Moments, numbers: &[usize]) -> Vec<(Moment, usize)> {
    let count = moments.weighted.len();
    let mut orders: HashMap<usize, Vec<usize>> = HashMap::new();
    let mut moment = |number: usize| {
        let round = number / count;
        let order = orders.entry(round).or_insert_with(|| {
            let mut rng = ChaCha8Rng::seed_from_u64(seed ^ (round as u64) << 48);
            let mut order: Vec<_> = (0..count).collect();
            order.shuffle(&mut rng);
            order
        });
        moments.weighted[order[number % count]]
    };
    numbers.iter().map(|&n| (moment(n), n)).collect()
}

fn check_one(
    recording: &Recording,
    work_dir: &Path,
    plan: &Plan,
    sent: &Sent,
    job: &Job,
    outcome: &Mutex<Outcome>,
) {
    let dir = work_dir.join(format!("image-{}", job.number));
    job.image.write(&dir).expect("an image can be written");
    let restarts = job.number.is_multiple_of(RESTART_EVERY) || plan.only.is_some();
    let promises = &recording.promises;
    let checked = check(&dir.join(DATA), promises, sent, job.moment, restarts);
    fs::remove_dir_all(&dir).expect("an image can be removed");
    let mut outcome = lock(outcome);
    outcome.totals.checked += 1;
    outcome.totals.restarted += usize::from(restarts);
    outcome.totals.faults += job.faults;
    match checked {
        Ok(compared) => {
            outcome.totals.acknowledged_records += compared.acknowledged_records;
            outcome.totals.told_ends += compared.told_ends;
            outcome.totals.records += compared.records;
            outcome.totals.topics += compared.topics;
        }
        Err(broken) => {
            // As it was before the broker changed it.
            let kept = recording.dir().join(format!("image-{}", job.number));
            if kept.exists() {
                fs::remove_dir_all(&kept).expect("an image of an earlier check can be removed");
            }
            job.image.write(&kept).expect("an image can be written");
            let replay = format!(
                "cargo run -p laminarmq-e2e --bin power-cut -- --recording {} --seed {} --image {}",
                recording.dir().display(),
                plan.seed,
                job.number
            );
            outcome.failures.push(Failure {
                image: job.number,
                broken,
                kept,
                replay,
            });
        }
    }
}
