//! A log that was written, with all that its writer knows: the material for images.

use std::collections::BTreeMap;

use laminarmq::limits::STREAM_CHUNK_BYTES;
use laminarmq::{Append, Log, LogOptions, MemEnv, Part, poll_ready};

use crate::common::{FILE_HEADER, Rec, append, open, rec};
use crate::ground::Picture;

/// Length of a chunk's header.
pub(crate) const CHUNK_HEADER: usize = 56;
pub(crate) const INDEX_HEADER: usize = 64;
pub(crate) const INDEX_ENTRY: usize = 48;
pub(crate) const FOOTER: usize = 128;

/// Where a record's bytes are, headers included.
#[derive(Debug, Clone)]
pub(crate) struct Place {
    /// Base index of the segment.
    pub(crate) segment: u64,
    /// In its store.
    pub(crate) position: usize,
    /// Headers and value.
    pub(crate) length: usize,
    /// Where its chunks end, from its beginning; the last one at `length`.
    ends: Vec<usize>,
    /// What had been durable when it was appended: whoever finds the chunk knows that.
    pub(crate) proves: u64,
}

impl Place {
    /// Store positions of its chunks' headers.
    pub(crate) fn chunks(&self) -> Vec<usize> {
        let before = self.ends.iter().take(self.ends.len() - 1);
        let starts = std::iter::once(&0).chain(before);
        starts.map(|start| self.position + start).collect()
    }
}

/// A log on a disk, and what its writer knows about it.
pub(crate) struct Written {
    pub(crate) options: LogOptions,
    pub(crate) disk: MemEnv,
    pub(crate) picture: Picture,
    /// First index of the log.
    pub(crate) start: u64,
    /// Index of the first record below, which is that of the first segment.
    pub(crate) first: u64,
    pub(crate) records: Vec<Rec>,
    /// One for each record.
    pub(crate) places: Vec<Place>,
    /// Base indices, with what had been durable when the segment was created.
    pub(crate) segments: BTreeMap<u64, u64>,
    /// Everything below had been synced.
    pub(crate) durable: u64,
}

impl Written {
    /// One past the last record.
    pub(crate) fn end(&self) -> u64 {
        self.first + self.records.len() as u64
    }

    pub(crate) fn number(&self, index: u64) -> usize {
        usize::try_from(index - self.first).unwrap()
    }

    pub(crate) fn record(&self, index: u64) -> &Rec {
        &self.records[self.number(index)]
    }

    pub(crate) fn place(&self, index: u64) -> &Place {
        &self.places[self.number(index)]
    }

    pub(crate) fn bases(&self) -> Vec<u64> {
        self.segments.keys().copied().collect()
    }

    /// Store positions of a segment at which a record begins or the store ends.
    pub(crate) fn borders(&self, base: u64) -> Vec<usize> {
        let places = self.places.iter().filter(|place| place.segment == base);
        let ends = places.map(|place| place.position + place.length);
        std::iter::once(FILE_HEADER).chain(ends).collect()
    }

    /// A copy of the disk on which one file was changed.
    pub(crate) fn with(&self, base: u64, part: Part, change: impl FnOnce(&mut Vec<u8>)) -> MemEnv {
        crate::common::changed(&self.disk, base, part, change)
    }
}

/// How a writer goes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum End {
    Closed,
    Killed,
}

/// Writes a log and takes notes.
pub(crate) struct Writer {
    log: Option<Log<MemEnv>>,
    disk: MemEnv,
    options: LogOptions,
    /// Number of the first record, which makes its content.
    number: u64,
    records: Vec<Rec>,
    proves: Vec<u64>,
    /// Lengths of the chunks that a record was written in, where there are several.
    chunks: BTreeMap<usize, Vec<usize>>,
    segments: BTreeMap<u64, u64>,
    /// Whether chunks of a record that was given up may stand at the end.
    gave_up: bool,
}

impl Writer {
    /// A new log whose first index is 1.
    pub(crate) fn new(options: LogOptions) -> Self {
        Self::at(options, 0, 0)
    }

    /// The same at another time, with records that are numbered from `number`.
    pub(crate) fn at(options: LogOptions, now_ms: i64, number: u64) -> Self {
        let disk = MemEnv::new();
        disk.set_now_ms(now_ms);
        let log = Some(open(disk.clone(), options));
        Self {
            log,
            disk,
            options,
            number,
            records: Vec::new(),
            proves: Vec::new(),
            chunks: BTreeMap::new(),
            segments: BTreeMap::from([(1, 1)]),
            gave_up: false,
        }
    }

    fn log(&mut self) -> &mut Log<MemEnv> {
        self.log.as_mut().unwrap()
    }

    fn note_segments(&mut self, durable: u64) {
        for info in self.log.as_ref().unwrap().segments() {
            self.segments.entry(info.base_index).or_insert(durable);
        }
    }

    /// One batch of records of these lengths.
    pub(crate) fn append(&mut self, lengths: &[usize]) -> &mut Self {
        let durable = self.log().durable_index();
        let numbers = self.number + self.records.len() as u64..;
        let more: Vec<Rec> = numbers
            .zip(lengths)
            .map(|(number, length)| rec(number, *length))
            .collect();
        append(self.log(), &more).unwrap();
        self.proves.extend(more.iter().map(|_| durable));
        self.records.extend(more);
        self.note_segments(durable);
        self
    }

    fn head(record: &Rec) -> Append<'_> {
        Append {
            term: record.term,
            kind: record.kind,
            flags: record.flags,
            key: record.key,
            timestamp: record.timestamp,
            value: &[],
        }
    }

    /// One record that is written piece by piece.
    pub(crate) fn write(&mut self, length: usize) -> &mut Self {
        let durable = self.log().durable_index();
        let record = rec(self.number + self.records.len() as u64, length);
        let writer = poll_ready(self.log().record_writer(Self::head(&record)));
        let mut writer = writer.unwrap();
        for piece in record.value.chunks(100_000) {
            poll_ready(writer.write(piece)).unwrap();
        }
        poll_ready(writer.finish()).unwrap();
        let chunks = record.value.chunks(STREAM_CHUNK_BYTES).map(<[u8]>::len);
        self.chunks.insert(self.records.len(), chunks.collect());
        self.proves.push(durable);
        self.records.push(record);
        self.note_segments(durable);
        self
    }

    /// A record that is given up when so much of it was written.
    pub(crate) fn write_half(&mut self, length: usize) -> &mut Self {
        let record = rec(self.number + self.records.len() as u64, length);
        let writer = poll_ready(self.log().record_writer(Self::head(&record)));
        let mut writer = writer.unwrap();
        poll_ready(writer.write(&record.value)).unwrap();
        drop(writer);
        self.gave_up = true;
        self
    }

    pub(crate) fn sync(&mut self) -> &mut Self {
        poll_ready(self.log().sync()).unwrap();
        self
    }

    pub(crate) fn roll(&mut self) -> &mut Self {
        let durable = self.log().durable_index();
        poll_ready(self.log().roll()).unwrap();
        self.note_segments(durable);
        self
    }

    pub(crate) fn truncate_prefix(&mut self, index: u64) -> &mut Self {
        poll_ready(self.log().truncate_prefix(index)).unwrap();
        let first = self.log().segments().next().unwrap().base_index;
        self.segments.retain(|base, _| *base >= first);
        self
    }

    pub(crate) fn close_and_reopen(&mut self) -> &mut Self {
        poll_ready(self.log.take().unwrap().close()).unwrap();
        self.log = Some(open(self.disk.clone(), self.options));
        self
    }

    /// The disk as it is now.
    pub(crate) fn snapshot(&self) -> MemEnv {
        self.disk.copy()
    }

    pub(crate) fn end(mut self, end: End) -> Written {
        let (start, mut durable) = (self.log().start_index(), self.log().durable_index());
        if let Some(log) = self.log.take().filter(|_| end == End::Closed) {
            durable = log.end_index();
            poll_ready(log.close()).unwrap();
        }
        let first = *self.segments.keys().next().unwrap();
        let gone = usize::try_from(first - 1).unwrap();
        let mut places: Vec<Place> = Vec::new();
        for (number, record) in self.records.iter().enumerate().skip(gone) {
            let index = number as u64 + 1;
            let (segment, _) = self.segments.range(..=index).next_back().unwrap();
            let before = places.last().filter(|place| place.segment == *segment);
            let whole = vec![record.value.len()];
            let chunks = self.chunks.get(&number).unwrap_or(&whole);
            let mut length = 0;
            let end_of = |chunk: &usize| {
                length += CHUNK_HEADER + chunk;
                length
            };
            let ends: Vec<usize> = chunks.iter().map(end_of).collect();
            places.push(Place {
                segment: *segment,
                position: before.map_or(FILE_HEADER, |place| place.position + place.length),
                length,
                ends,
                proves: self.proves[number],
            });
        }
        let gave_up = self.gave_up;
        let written = Written {
            options: self.options,
            picture: Picture::of_disk(&self.disk),
            disk: self.disk,
            start,
            first,
            records: self.records[gone..].to_vec(),
            places,
            segments: self.segments,
            durable,
        };
        for (base, store) in &written.picture.stores {
            let end = *written.borders(*base).last().unwrap();
            let ahead = &store[end..];
            let is_last = written.bases().last() == Some(base);
            // The format is what its document says.
            assert!(ahead.iter().all(|byte| *byte == 0) || gave_up && is_last);
        }
        written
    }
}
