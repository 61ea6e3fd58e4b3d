//! What of a written log is not in an image any more, and what may be said about that.
//!
//! The places of the records come from their lengths and the documented format.

use laminarmq::{Damage, Log, LogEnv, OpenError, ReadError, Record, poll_ready};

use crate::common::{FILE_HEADER, Rec};
use crate::ground::Picture;
use crate::written::{CHUNK_HEADER, FOOTER, INDEX_ENTRY, INDEX_HEADER, Written};

/// What of a written log is not in an image any more.
pub(crate) struct Loss<'a> {
    written: &'a Written,
    image: &'a Picture,
    /// For each record, whether its bytes are not those that were written.
    broken: Vec<bool>,
    /// Everything below had been durable, as the image still says.
    pub(crate) proven: u64,
}

fn same(left: Option<&Vec<u8>>, right: Option<&Vec<u8>>, from: usize, to: usize) -> bool {
    let part =
        |bytes: Option<&Vec<u8>>| bytes.and_then(|bytes| bytes.get(from..to).map(<[u8]>::to_vec));
    left.is_some() && part(left).is_some() && part(left) == part(right)
}

impl<'a> Loss<'a> {
    pub(crate) fn find(written: &'a Written, image: &'a Picture) -> Self {
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
            let finds = |at: &usize| store(base, *at, at + CHUNK_HEADER);
            if equal || place.chunks().iter().any(finds) {
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

    pub(crate) fn is_broken(&self, index: u64) -> bool {
        self.broken[self.written.number(index)]
    }

    /// Whether a chunk of this record begins there that is not what was written.
    fn is_broken_at(&self, index: u64, position: usize) -> bool {
        let place = self.written.place(index);
        let (image, was) = (&self.image.stores, &self.written.picture.stores);
        let (image, was) = (image.get(&place.segment), was.get(&place.segment));
        let starts = place.chunks();
        let ends = starts[1..]
            .iter()
            .copied()
            .chain([place.position + place.length]);
        starts
            .iter()
            .zip(ends)
            .any(|(start, end)| *start == position && !same(image, was, *start, end))
    }

    /// Whether the index file says about this record what was written.
    fn has_entry(&self, index: u64) -> bool {
        let base = self.written.place(index).segment;
        let from = INDEX_HEADER + usize::try_from(index - base).unwrap() * INDEX_ENTRY;
        let (image, was) = (&self.image.indexes, &self.written.picture.indexes);
        same(image.get(&base), was.get(&base), from, from + INDEX_ENTRY)
    }

    /// An error about damage has to name something that really is damaged, and that had been durable.
    pub(crate) fn check_damage(&self, damage: &Damage) {
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
    pub(crate) fn check_refusal(&self, error: &OpenError) {
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
    pub(crate) fn check_records<E: LogEnv>(&self, log: &Log<E>, end: u64) -> usize {
        let start = self.written.start;
        let all = poll_ready(log.read_range(start..end, u64::MAX));
        if let Ok(all) = &all {
            assert_eq!(all.len() as u64, end - start);
            for (record, index) in all.iter().zip(start..) {
                assert!(
                    is(record, index, self.written.record(index)),
                    "{record:?} at {index}"
                );
                assert!(!self.is_broken(index), "{index} reads well but is broken");
            }
            // Such a read looks at few entries of the index.
            if self.image.indexes == self.written.picture.indexes {
                return 0;
            }
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
                        assert_eq!(damage.segment, self.written.place(index).segment);
                        let at = usize::try_from(damage.position).unwrap();
                        assert!(self.is_broken_at(index, at), "{damage}: not that chunk");
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
        assert!(
            holes > 0 || all.is_ok(),
            "all can be read, but not together"
        );
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
