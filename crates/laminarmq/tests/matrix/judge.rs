//! Judges what opening an image comes to: of a written log, of which the bytes are known, or of one on which
//! much was done, of which it is known what it may be after a power cut.

use laminarmq::{Log, LogEnv, LogOptions, MemEnv, OpenError, poll_ready};

use crate::common::expect::Expect;
use crate::common::{FILE_HEADER, Rec, append, as_rec, check, contents, recs};
use crate::ground::{Files, Ground, Memory, Picture};
use crate::loss::Loss;
use crate::tally::{Outcome, Tally};
use crate::written::Written;

/// Says which image it was that panicked.
pub(crate) struct Named<F: Fn() -> String>(pub(crate) F);

impl<F: Fn() -> String> Drop for Named<F> {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("the image: {}", (self.0)());
        }
    }
}

/// Opens images of one written log in both places.
pub(crate) struct Judge {
    pub(crate) written: Written,
    memory: Memory,
    files: Files,
    pub(crate) tally: Tally,
}

impl Judge {
    pub(crate) fn new(written: Written) -> Self {
        Self {
            written,
            memory: Memory::default(),
            files: Files::new(),
            tally: Tally::default(),
        }
    }

    /// Judges an image of the log's disk. `name` is for the case that it fails.
    pub(crate) fn judge(&mut self, image: &MemEnv, name: impl Fn() -> String) -> Outcome {
        let _named = Named(&name);
        let close = self.tally.images.is_multiple_of(2);
        let outcome = judge_on(&self.written, &mut self.memory, image, close);
        let on_files = judge_on(&self.written, &mut self.files, image, close);
        assert_eq!(outcome, on_files, "in memory and on files");
        self.tally.add(outcome);
        outcome
    }
}

/// What an open took from the stores, as [`Recovery`](laminarmq::Recovery) has to say it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct Lost {
    /// Bytes that are not where they were any more.
    pub(crate) bytes: u64,
    /// Zeros behind the last record, where there was nothing else.
    pub(crate) zeros: u64,
}

impl Lost {
    pub(crate) fn said<E: LogEnv>(log: &Log<E>) -> Self {
        Self {
            bytes: log.recovery().bytes_cut,
            zeros: log.recovery().zeros_cut,
        }
    }

    /// Segments that the start file makes void do not count.
    pub(crate) fn between(before: &Picture, after: &Picture) -> Self {
        let bases: Vec<u64> = before.stores.keys().copied().collect();
        let mut lost = Self::default();
        for (number, (base, old)) in before.stores.iter().enumerate() {
            if is_void(before.start.as_deref(), bases.get(number + 1).copied()) {
                continue;
            }
            let new = after.stores.get(base).map_or(&[][..], Vec::as_slice);
            let mut kept = old
                .iter()
                .zip(new)
                .take_while(|(old, new)| old == new)
                .count();
            // A file header that is not whole is written anew, perhaps with the same bytes.
            if old.len() < FILE_HEADER {
                kept = 0;
            }
            let gone = &old[kept..];
            if kept >= FILE_HEADER && gone.iter().all(|byte| *byte == 0) {
                lost.zeros += gone.len() as u64;
            } else {
                lost.bytes += gone.len() as u64;
            }
        }
        lost
    }
}

/// Whether a segment is void: the log is being reset, or starts in a later one.
fn is_void(start_file: Option<&[u8]>, next: Option<u64>) -> bool {
    let Some(file) = start_file.filter(|file| file.len() == 64) else {
        return false;
    };
    let resetting = file[10] & 1 == 1;
    let start = u64::from_le_bytes(file[16..24].try_into().unwrap());
    resetting || next.is_some_and(|next| next <= start)
}

fn judge_on<G: Ground>(written: &Written, ground: &mut G, image: &MemEnv, close: bool) -> Outcome {
    let before = ground.lay(image);
    let loss = Loss::find(written, &before);
    let mut log = match ground.open(written.options) {
        Ok(log) => log,
        Err(error) => {
            loss.check_refusal(&error);
            let after = ground.picture();
            assert_eq!(
                (&after.stores, &after.start),
                (&before.stores, &before.start)
            );
            return Outcome::Refused;
        }
    };
    let end = log.end_index();
    assert_eq!(log.start_index(), written.start);
    assert_eq!(log.durable_index(), end);
    assert!(end <= written.end(), "more than was written: {end}");
    if end < written.end() {
        assert!(loss.is_broken(end), "cut at {end}, which is there");
        assert!(
            end >= loss.proven,
            "cut at {end}, but {} had been durable",
            loss.proven
        );
    }
    let lost = Lost::between(&before, &ground.picture());
    assert_eq!(Lost::said(&log), lost, "what the stores lost");
    let holes = loss.check_records(&log, end);

    let more = append_more(&mut log, end);
    let added = |log: &Log<G::Env>| check_more(log, written.start, end, &more);
    added(&log);
    if close {
        poll_ready(log.close()).unwrap();
    } else {
        drop(log);
    }
    match ground.open(written.options) {
        Ok(log) => {
            assert_eq!(log.recovery().bytes_cut, 0, "nothing is cut twice");
            added(&log);
            // An index may have been built again.
            assert!(loss.check_records(&log, end) <= holes);
        }
        // The first open took the footer's word. This one has none, as there was no orderly end, and scans.
        Err(OpenError::Damaged(damage)) if holes > 0 && !close => {
            loss.check_damage(&damage);
            assert_eq!(Some(&damage.segment), written.segments.keys().last());
        }
        Err(error) => panic!("it does not open again: {error}"),
    }
    match (holes, end < written.end()) {
        (0, false) => Outcome::Whole,
        (0, true) => Outcome::Cut,
        _ => Outcome::Holes,
    }
}

/// Appends a few records.
fn append_more<E: LogEnv>(log: &mut Log<E>, end: u64) -> Vec<Rec> {
    let more = recs(90_000..90_003, 20);
    assert_eq!(append(log, &more).unwrap(), end..end + 3);
    more
}

/// They are there, and nothing behind them.
fn check_more<E: LogEnv>(log: &Log<E>, start: u64, end: u64, more: &[Rec]) {
    let read = poll_ready(log.read_range(end..end + 3, u64::MAX)).unwrap();
    assert_eq!(read.iter().map(as_rec).collect::<Vec<_>>(), more);
    assert!(
        read.iter()
            .zip(end..)
            .all(|(record, index)| record.index == index)
    );
    assert_eq!((log.start_index(), log.end_index()), (start, end + 3));
}

/// Opens what power cuts left of logs that had to be able to lose only what was not durable.
pub(crate) struct CrashJudge {
    options: LogOptions,
    memory: Memory,
    files: Files,
    pub(crate) tally: Tally,
}

impl CrashJudge {
    pub(crate) fn new(options: LogOptions) -> Self {
        Self {
            options,
            memory: Memory::default(),
            files: Files::new(),
            tally: Tally::default(),
        }
    }

    /// Judges an image of a log that has to be what `expect` says.
    pub(crate) fn judge(&mut self, expect: &Expect, image: &MemEnv, name: impl Fn() -> String) {
        let _named = Named(&name);
        let close = self.tally.images.is_multiple_of(2);
        let outcome = judge_crash(expect, self.options, &mut self.memory, image, close);
        let on_files = judge_crash(expect, self.options, &mut self.files, image, close);
        assert_eq!(outcome, on_files, "in memory and on files");
        self.tally.add(outcome);
    }
}

fn judge_crash<G: Ground>(
    expect: &Expect,
    options: LogOptions,
    ground: &mut G,
    image: &MemEnv,
    close: bool,
) -> Outcome {
    let before = ground.lay(image);
    let opened = ground.open(options);
    let mut log = opened.unwrap_or_else(|error| panic!("it does not open: {error}"));
    let lost = Lost::between(&before, &ground.picture());
    assert_eq!(Lost::said(&log), lost, "what the stores lost");
    let (start, mut records) = (log.start_index(), contents(&log));
    expect.check(start, &records);
    check(&log, start, &records);
    let end = start + records.len() as u64;
    let more = append_more(&mut log, end);
    check_more(&log, start, end, &more);
    if close {
        poll_ready(log.close()).unwrap();
    } else {
        drop(log);
    }
    let log = ground.open(options).unwrap();
    assert_eq!(log.recovery().bytes_cut, 0, "nothing is cut twice");
    records.extend(more);
    check(&log, start, &records);
    if lost.bytes > 0 {
        Outcome::Cut
    } else {
        Outcome::Whole
    }
}
