//! Judges what opening an image of a written log comes to.

use std::fmt;

use laminarmq::{Damage, Log, LogEnv, MemEnv, OpenError, ReadError, Record, poll_ready};

use crate::common::{FILE_HEADER, Rec, append, as_rec, recs};
use crate::ground::{Files, Ground, Memory, Picture};
use crate::written::{CHUNK_HEADER, FOOTER, INDEX_ENTRY, INDEX_HEADER, Written};

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
    fn add(&mut self, outcome: Outcome) {
        self.images += 1;
        match outcome {
            Outcome::Whole => self.whole += 1,
            Outcome::Cut => self.cut += 1,
            Outcome::Holes => self.holes += 1,
            Outcome::Refused => self.refused += 1,
        }
    }
}

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

/// What of a written log is not in an image any more.
struct Loss<'a> {
    written: &'a Written,
    image: &'a Picture,
    /// For each record, whether its bytes are not those that were written.
    broken: Vec<bool>,
    /// Everything below had been durable, as the image still says.
    proven: u64,
}

fn same(left: Option<&Vec<u8>>, right: Option<&Vec<u8>>, from: usize, to: usize) -> bool {
    let part =
        |bytes: Option<&Vec<u8>>| bytes.and_then(|bytes| bytes.get(from..to).map(<[u8]>::to_vec));
    left.is_some() && part(left).is_some() && part(left) == part(right)
}

impl<'a> Loss<'a> {
    fn find(written: &'a Written, image: &'a Picture) -> Self {
        let was = &written.picture;
        let store =
            |base: u64, from, to| same(image.stores.get(&base), was.stores.get(&base), from, to);
        let header = |base| store(base, 0, FILE_HEADER);
        let mut proven = 0;
        if image.start.is_some() && image.start == was.start {
            proven = written.start;
        }
        for (base, durable) in &written.segments {
            if header(*base) {
                proven = proven.max(*durable);
            }
            // Without its store a footer proves nothing: a removal that was cut short leaves it behind.
            if image.stores.contains_key(base) {
                let indexes = (was.indexes.get(base), image.indexes.get(base));
                proven = proven.max(footer_proves(indexes.0, indexes.1, *base));
            }
        }
        let mut broken = Vec::with_capacity(written.places.len());
        let mut segment = None;
        for place in &written.places {
            let (base, at) = (place.segment, place.position);
            let (_, header, equal) = match segment {
                Some(known @ (known_base, _, _)) if known_base == base => known,
                _ => (
                    base,
                    header(base),
                    image.stores.get(&base) == was.stores.get(&base),
                ),
            };
            segment = Some((base, header, equal));
            if equal || store(base, at, at + CHUNK_HEADER) {
                proven = proven.max(place.proves);
            }
            broken.push(!(equal || header && store(base, at, at + place.length)));
        }
        Self {
            written,
            image,
            broken,
            proven,
        }
    }

    fn is_broken(&self, index: u64) -> bool {
        self.broken[self.written.number(index)]
    }

    /// Whether the index file says about this record what was written.
    fn has_entry(&self, index: u64) -> bool {
        let base = self.written.place(index).segment;
        let from = INDEX_HEADER + usize::try_from(index - base).unwrap() * INDEX_ENTRY;
        let (image, was) = (&self.image.indexes, &self.written.picture.indexes);
        same(image.get(&base), was.get(&base), from, from + INDEX_ENTRY)
    }

    /// An error about damage has to name something that really is damaged, and that had been durable.
    fn check_damage(&self, damage: &Damage) {
        let Damage {
            segment,
            index,
            position,
            ..
        } = *damage;
        let text = damage.to_string();
        for number in [segment, index, position] {
            assert!(text.contains(&number.to_string()), "{text}");
        }
        let (image, was) = (&self.image.stores, &self.written.picture.stores);
        let has_header = same(image.get(&segment), was.get(&segment), 0, FILE_HEADER);
        if !has_header
            && image
                .get(&segment)
                .is_some_and(|store| store.len() >= FILE_HEADER)
        {
            assert_eq!((index, position), (segment, 0), "{damage}");
            return;
        }
        let place = self.written.place(index);
        assert!(self.is_broken(index), "{damage}: but it is there");
        assert!(
            index < self.written.durable,
            "{damage}: but it was never durable"
        );
        let first =
            |other: &u64| self.written.place(*other).segment == segment && self.is_broken(*other);
        let first = (self.written.first..).find(first);
        assert_eq!((segment, Some(index)), (place.segment, first), "{damage}");
        let want = if has_header { place.position as u64 } else { 0 };
        assert_eq!(position, want, "{damage}");
    }

    /// Opening failed. May it?
    fn check_refusal(&self, error: &OpenError) {
        match error {
            OpenError::Damaged(damage) => self.check_damage(damage),
            OpenError::SegmentMissing { before, next, .. } => {
                let bases = self.written.bases();
                let at = bases.iter().position(|base| base == before).unwrap();
                assert_eq!(self.image.stores.get(&bases[at + 1]), None, "{error}");
                let left = bases[at + 1..]
                    .iter()
                    .find(|base| self.image.stores.contains_key(base));
                assert_eq!(left, Some(next), "{error}");
            }
            OpenError::StartDamaged => {
                assert!(
                    self.image.start.is_some() && self.image.start != self.written.picture.start
                );
            }
            other => panic!("it does not open: {other}"),
        }
    }

    /// What is in an opened log up to `end` is right or yields a right error. Returns how many do.
    fn check_records<E: LogEnv>(&self, log: &Log<E>, end: u64) -> usize {
        let start = self.written.start;
        if let Ok(all) = poll_ready(log.read_range(start..end, u64::MAX)) {
            assert_eq!(all.len() as u64, end - start);
            for (record, index) in all.iter().zip(start..) {
                assert!(
                    is(record, index, self.written.record(index)),
                    "{record:?} at {index}"
                );
                assert!(!self.is_broken(index), "{index} reads well but is broken");
            }
            return 0;
        }
        let mut holes = 0;
        for index in start..end {
            match poll_ready(log.read(index)) {
                Ok(record) => {
                    assert!(
                        is(&record, index, self.written.record(index)),
                        "{record:?} at {index}"
                    );
                    assert!(!self.is_broken(index), "{index} reads well but is broken");
                }
                Err(ReadError::Damaged(damage)) => {
                    holes += 1;
                    // The end of a record is found where the entry of the next one says.
                    let by_entry =
                        [index, index + 1].contains(&damage.index) && !self.has_entry(damage.index);
                    assert!(
                        by_entry || damage.index == index,
                        "reading {index}: {damage}"
                    );
                    if by_entry {
                        assert_eq!(damage.segment, self.written.place(index).segment);
                    } else {
                        assert!(self.is_broken(index), "{damage}: but it is there");
                        assert!(index < self.written.durable, "{damage}: was never durable");
                        let place = self.written.place(index);
                        let at = (damage.segment, damage.position);
                        assert_eq!(at, (place.segment, place.position as u64));
                    }
                }
                Err(error) => panic!("reading {index}: {error}"),
            }
            match poll_ready(log.entry(index)) {
                Ok(entry) => {
                    let want = self.written.record(index);
                    let length = want.value.len() as u64;
                    assert_eq!((entry.index, entry.length), (index, length));
                    let said = (entry.term, entry.kind, entry.flags, entry.key);
                    assert_eq!(said, (want.term, want.kind, want.flags, want.key));
                }
                Err(ReadError::Damaged(damage)) => {
                    assert!(damage.index == index && !self.has_entry(index), "{damage}");
                }
                Err(error) => panic!("looking up {index}: {error}"),
            }
        }
        assert!(holes > 0, "all can be read one by one, but not together");
        holes
    }
}

/// A footer that is whole says that all records that it counts had been durable.
fn footer_proves(was: Option<&Vec<u8>>, is: Option<&Vec<u8>>, base: u64) -> u64 {
    let (Some(was), Some(is)) = (was, is) else {
        return 0;
    };
    let Some(entries) = is.len().checked_sub(INDEX_HEADER + FOOTER) else {
        return 0;
    };
    let at = is.len() - FOOTER;
    let whole = is.len() == was.len()
        && is[..INDEX_HEADER] == was[..INDEX_HEADER]
        && is[at..] == was[at..]
        && is[at..].starts_with(b"LAMQFOOT");
    if whole {
        base + (entries / INDEX_ENTRY) as u64
    } else {
        0
    }
}

fn is(record: &Record, index: u64, want: &Rec) -> bool {
    record.index == index
        && (record.term, record.kind, record.flags) == (want.term, want.kind, want.flags)
        && (record.key, record.timestamp) == (want.key, want.timestamp)
        && record.value == want.value
}

/// Store bytes that are not where they were any more. Segments that the start file makes void do not count.
pub(crate) fn lost_bytes(before: &Picture, after: &Picture) -> u64 {
    let bases: Vec<u64> = before.stores.keys().copied().collect();
    let mut lost = 0;
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
        lost += old.len() - kept;
    }
    lost as u64
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
    ground.lay(image);
    let before = ground.picture();
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
    let lost = lost_bytes(&before, &ground.picture());
    assert_eq!(log.recovery().bytes_cut, lost, "what the stores lost");
    let holes = loss.check_records(&log, end);

    let more = recs(90_000..90_003, 20);
    assert_eq!(append(&mut log, &more).unwrap(), end..end + 3);
    let added = |log: &Log<G::Env>| {
        let read = poll_ready(log.read_range(end..end + 3, u64::MAX)).unwrap();
        assert_eq!(read.iter().map(as_rec).collect::<Vec<_>>(), more);
        assert!(
            read.iter()
                .zip(end..)
                .all(|(record, index)| record.index == index)
        );
        assert_eq!(
            (log.start_index(), log.end_index()),
            (written.start, end + 3)
        );
    };
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
            assert_eq!(loss.check_records(&log, end), holes);
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
