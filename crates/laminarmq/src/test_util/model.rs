//! A plain model of records, and checks of a log against it.

use std::ops::Range;

use crate::{
    Append, AppendError, Log, LogOptions, ReadError, Record, SegmentEnv, limits, poll_ready,
};

/// A record as the model keeps it.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Rec {
    /// As in [`Append`].
    pub term: u32,
    /// As in [`Append`].
    pub kind: u8,
    /// As in [`Append`].
    pub flags: u8,
    /// As in [`Append`].
    pub key: u64,
    /// As in [`Append`].
    pub timestamp: i64,
    /// The whole value.
    pub value: Vec<u8>,
}

/// The `number`-th record of a workload: distinct, of changing length.
pub fn rec(number: u64, length: usize) -> Rec {
    let byte = |at: usize| {
        number
            .wrapping_mul(31)
            .wrapping_add(at as u64)
            .to_le_bytes()[0]
    };
    Rec {
        term: 1 + u32::try_from(number / 10).unwrap(),
        kind: number.to_le_bytes()[0] % 3,
        flags: number.to_le_bytes()[0],
        key: number * 10,
        timestamp: 1000 + i64::try_from(number).unwrap() * 7 % 50,
        value: (0..length).map(byte).collect(),
    }
}

/// The records with these numbers, of at least this length.
pub fn recs(range: Range<u64>, length: usize) -> Vec<Rec> {
    range
        .map(|number| rec(number, length + usize::try_from(number).unwrap() % 7))
        .collect()
}

/// Calls `with` with the records as the log wants them, each value in two pieces.
pub fn as_appends<T>(records: &[Rec], with: impl FnOnce(&[Append<'_>]) -> T) -> T {
    let pieces: Vec<[&[u8]; 2]> = records
        .iter()
        .map(|record| {
            let (left, right) = record.value.split_at(record.value.len() / 3);
            [left, right]
        })
        .collect();
    let appends: Vec<Append<'_>> = records
        .iter()
        .zip(&pieces)
        .map(|(record, pieces)| Append {
            term: record.term,
            kind: record.kind,
            flags: record.flags,
            key: record.key,
            timestamp: record.timestamp,
            value: pieces,
        })
        .collect();
    with(&appends)
}

/// Appends records of the model.
pub fn append<E: SegmentEnv>(log: &mut Log<E>, records: &[Rec]) -> Result<Range<u64>, AppendError> {
    as_appends(records, |appends| poll_ready(log.append_many(appends)))
}

/// Opens a log that has to open.
pub fn open<E: SegmentEnv>(env: E, options: LogOptions) -> Log<E> {
    poll_ready(Log::open_with(env, options)).unwrap()
}

/// A record as the model has it.
pub fn as_rec(record: &Record) -> Rec {
    Rec {
        term: record.term,
        kind: record.kind,
        flags: record.flags,
        key: record.key,
        timestamp: record.timestamp,
        value: record.value.to_vec(),
    }
}

/// Everything that can be asked of a log, compared with the model. `start` is the model's first index.
pub fn check<E: SegmentEnv>(log: &Log<E>, start: u64, model: &[Rec]) {
    let end = start + model.len() as u64;
    assert_eq!((log.start_index(), log.end_index()), (start, end));
    assert!(log.durable_index() >= start && log.durable_index() <= end);
    let infos: Vec<_> = log.segments().collect();
    assert!(infos[0].base_index <= start);
    assert_eq!(infos[infos.len() - 1].end_index, end);
    assert!(
        infos
            .windows(2)
            .all(|pair| pair[0].end_index == pair[1].base_index)
    );
    assert!(
        infos
            .iter()
            .rev()
            .skip(1)
            .all(|info| !info.is_write && info.end_index > info.base_index)
    );

    let all = poll_ready(log.read_range(start..end, u64::MAX)).unwrap();
    assert_eq!(all.iter().map(as_rec).collect::<Vec<_>>(), model);
    assert!(
        all.iter()
            .zip(start..)
            .all(|(record, index)| record.index == index)
    );

    for (index, want) in (start..).zip(model) {
        let info = poll_ready(log.entry(index)).unwrap();
        assert_eq!((info.index, info.length), (index, want.value.len() as u64));
        assert_eq!(
            (info.term, info.kind, info.flags, info.key),
            (want.term, want.kind, want.flags, want.key)
        );
        assert!(checksums(&want.value).contains(&info.checksum));
        let segment = infos.iter().find(|info| info.end_index > index).unwrap();
        let from = usize::try_from(segment.base_index.saturating_sub(start)).unwrap();
        let to = usize::try_from(index - start).unwrap();
        let max = model[from..=to].iter().map(|record| record.timestamp).max();
        // Records below the start count in it, and the model does not know them.
        assert!(Some(info.max_timestamp) >= max);
        assert!(segment.base_index < start || Some(info.max_timestamp) == max);
    }
    for outside in [start.wrapping_sub(1), end, end + 1] {
        assert!(matches!(
            poll_ready(log.read(outside)),
            Err(ReadError::OutOfBounds(_))
        ));
        assert!(matches!(
            poll_ready(log.entry(outside)),
            Err(ReadError::OutOfBounds(_))
        ));
    }
}

/// What an index entry may say about a value: its CRC-32C where it was appended as a whole, and that of the
/// checksums of its chunks where it was written piece by piece and is longer than one.
fn checksums(value: &[u8]) -> [u64; 2] {
    let whole = u64::from(crc32c::crc32c(value));
    let chunks = value.chunks(limits::STREAM_CHUNK_BYTES);
    let sums = chunks.map(|chunk| u64::from(crc32c::crc32c(chunk)).to_le_bytes());
    let of_chunks = sums.fold(0, |sum, next| crc32c::crc32c_append(sum, &next));
    if value.len() > limits::STREAM_CHUNK_BYTES {
        [whole, u64::from(of_chunks)]
    } else {
        [whole; 2]
    }
}

/// The searches, compared with a look at every record of the model.
pub fn check_searches<E: SegmentEnv>(log: &Log<E>, start: u64, model: &[Rec]) {
    let highest = model.iter().map(|record| record.key).max().unwrap_or(0);
    for key in (0..=highest + 1).step_by(1 + usize::try_from(highest).unwrap() / 200) {
        let want = model
            .iter()
            .rposition(|record| record.key <= key)
            .map(|at| start + at as u64);
        let got = poll_ready(log.last_with_key_at_most(key)).unwrap();
        assert_eq!(got.map(|entry| entry.index), want, "key {key}");
        let matches = |record: &Rec| record.kind == 1 && record.key <= key;
        let want = model.iter().rposition(matches).map(|at| start + at as u64);
        let got = poll_ready(log.last_of_kind_with_key_at_most(1, key)).unwrap();
        assert_eq!(got.map(|entry| entry.index), want, "key {key} of kind 1");
    }
    let times: Vec<i64> = model.iter().map(|record| record.timestamp).collect();
    for time in times
        .iter()
        .flat_map(|time| [time - 1, *time, time + 1])
        .chain([i64::MIN, i64::MAX])
    {
        // The first record at or after a time is the first at which any running maximum reaches it.
        let want = times
            .iter()
            .position(|other| *other >= time)
            .map(|at| start + at as u64);
        let got = poll_ready(log.first_at_or_after_time(time)).unwrap();
        assert_eq!(got.map(|entry| entry.index), want, "time {time}");
    }
}

/// Small segments, so that a short workload has several.
pub fn small(segment_bytes: u64) -> LogOptions {
    LogOptions {
        initial_index: 1,
        segment_bytes,
        ..LogOptions::default()
    }
}

/// What a log holds, as the model would say it.
pub fn contents<E: SegmentEnv>(log: &Log<E>) -> Vec<Rec> {
    let records = poll_ready(log.read_range(log.start_index()..log.end_index(), u64::MAX)).unwrap();
    records.iter().map(as_rec).collect()
}
