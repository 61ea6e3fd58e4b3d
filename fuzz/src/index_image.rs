//! Any index beside a store that is whole: an index is derived, so whatever it says, a read gives the record that
//! was written, or an error.
//!
//! An input is: a mode, and the index file. The mode's bits: 0 and 1 which log, 2 the index' CRCs are made right.

use std::sync::OnceLock;

use laminarmq::test_util::model::{Rec, append, as_rec, recs};
use laminarmq::{Log, MemEnv, Part, ReadError, Record, StoredLog, poll_ready};

use crate::store;
use crate::store_image::OPTIONS;

/// A log, and the segment whose index is replaced.
struct Ground {
    disk: MemEnv,
    base: u64,
    model: Vec<Rec>,
}

const RECORDS: u64 = 12;
/// Where the segments of logs with three of them begin.
const ROLL_AT: [u64; 2] = [5, 9];

impl Ground {
    fn new(roll_at: &[u64], is_closed: bool, base: u64) -> Self {
        let model = recs(0..RECORDS, 20);
        let disk = MemEnv::new();
        let mut log = poll_ready(Log::open_with(disk.clone(), OPTIONS)).expect("an empty disk");
        for (index, record) in (0..).zip(&model) {
            if roll_at.contains(&index) {
                poll_ready(log.sync()).expect("synced");
                poll_ready(log.roll()).expect("rolled");
            }
            append(&mut log, std::slice::from_ref(record)).expect("appended");
        }
        if is_closed {
            poll_ready(log.close()).expect("closed");
        }
        Self { disk, base, model }
    }
}

/// Killed, closed, and with three segments: the index of a sealed one, and that of the last.
fn grounds() -> &'static [Ground; 4] {
    static GROUNDS: OnceLock<[Ground; 4]> = OnceLock::new();
    GROUNDS.get_or_init(|| {
        [
            Ground::new(&[], false, 0),
            Ground::new(&[], true, 0),
            Ground::new(&ROLL_AT, true, ROLL_AT[0]),
            Ground::new(&ROLL_AT, true, ROLL_AT[1]),
        ]
    })
}

/// Opens the log with this index and reads everything in every way.
pub fn check(input: &[u8]) {
    let Some((mode, index)) = input.split_first() else {
        return;
    };
    let ground = &grounds()[usize::from(mode & 3)];
    let mut index = index.to_vec();
    if mode & 4 != 0 {
        store::mend_index(&mut index);
    }
    let disk = ground.disk.copy();
    disk.set_file(ground.base, Part::Index, Some(index));

    let stored = StoredLog::in_memory(&disk);
    let _ = stored.inspect();
    let _ = stored.verify(&mut |_| {});
    if let Ok(records) = stored.records(0) {
        records.for_each(|record| ground.judge(record));
    }
    let Ok(log) = poll_ready(Log::open_with(disk, OPTIONS)) else {
        return;
    };
    let end = log.end_index().min(RECORDS + 1);
    for index in log.start_index()..end {
        ground.judge(poll_ready(log.read(index)));
        ground.judge(log.reader().read(index));
        match poll_ready(log.read_range(index..end, u64::MAX)) {
            Ok(records) => records
                .into_iter()
                .for_each(|record| ground.judge(Ok(record))),
            Err(error) => ground.judge(Err(error)),
        }
        let Ok(mut chunks) = poll_ready(log.record_reader(index)) else {
            continue;
        };
        let mut value = Vec::new();
        let is_whole = loop {
            match poll_ready(chunks.next_chunk()) {
                Ok(Some(chunk)) => value.extend_from_slice(&chunk),
                Ok(None) => break true,
                Err(_) => break false,
            }
        };
        if is_whole {
            assert_eq!(
                ground.written(index).map(|record| &record.value),
                Some(&value)
            );
        }
    }
    for key in [0, 35, 60, u64::MAX] {
        if let Ok(Some(entry)) = poll_ready(log.last_with_key_at_most(key)) {
            assert!(entry.key <= key && entry.index < log.end_index());
        }
    }
    for time in [i64::MIN, 1010, 1030, i64::MAX] {
        if let Ok(Some(entry)) = poll_ready(log.first_at_or_after_time(time)) {
            assert!(entry.max_timestamp >= time && entry.index < log.end_index());
        }
    }
    if let Ok(mut stream) = log.stream(log.start_index()..) {
        while let Ok(Some(record)) = poll_ready(stream.next()) {
            let written = ground.written(record.index).expect("it was written");
            assert_eq!(record.value, written.value);
        }
    }
}

impl Ground {
    fn written(&self, index: u64) -> Option<&Rec> {
        self.model.get(usize::try_from(index).ok()?)
    }

    fn judge(&self, read: Result<Record, ReadError>) {
        match read {
            Ok(record) => assert_eq!(Some(&as_rec(&record)), self.written(record.index)),
            // An entry with a right check may say any length.
            Err(ReadError::Damaged(_) | ReadError::TooLarge { .. }) => {}
            Err(other) => panic!("{other}"),
        }
    }
}

/// The real indexes, with and without CRCs that are made right.
pub fn seeds() -> Vec<Vec<u8>> {
    let mut seeds = Vec::new();
    for (number, ground) in (0..).zip(grounds()) {
        let index = ground
            .disk
            .file(ground.base, Part::Index)
            .unwrap_or_default();
        for mode in [number, number | 4] {
            seeds.push([&[mode], &index[..]].concat());
        }
    }
    seeds
}
