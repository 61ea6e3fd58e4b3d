//! Images of a log's disk: one or two stores, and perhaps an index. Opening it gives an error or a log; what the
//! log then holds, an independent reader finds in the stores with every checksum right. Without an index the log
//! was scanned, so that it can be read from end to end.
//!
//! An input is: a mode, the lengths of the two stores (16 bits each, little-endian), and the three files, of which
//! the index gets the rest. The mode's bits: 0 the stores' CRCs are made right, 1 their links too, 2 the CRCs of
//! the index, 3 the index is that of the second store.

use std::collections::BTreeMap;

use laminarmq::test_util::model::{append, recs};
use laminarmq::{
    Append, FlushPolicy, IndexCache, Log, LogOptions, MemEnv, Part, StoredLog, poll_ready,
};

use crate::store::{self, Stored};

pub(crate) const OPTIONS: LogOptions = LogOptions {
    initial_index: 0,
    segment_bytes: 2048,
    auto_roll: true,
    record_bytes_max: 64 << 10,
    flush: FlushPolicy::OnRequest,
    index_cache: IndexCache::Recent,
    write_ahead: false,
};

/// How many records at either end of a log are read one by one.
const READS: u64 = 100;

/// Where a store's header names no base index.
const BASE: u64 = 10;

/// Opens the image, reads everything, appends, and opens once more.
pub fn check(input: &[u8]) {
    let [mode, a, b, c, d, files @ ..] = input else {
        return;
    };
    let cut = |files: &mut &[u8], length| {
        let (file, rest) = files.split_at(files.len().min(length));
        *files = rest;
        file.to_vec()
    };
    let mut rest = files;
    let mut stores =
        [[*a, *b], [*c, *d]].map(|length| cut(&mut rest, usize::from(u16::from_le_bytes(length))));
    let mut index = rest.to_vec();
    if mode & 1 != 0 {
        stores
            .iter_mut()
            .for_each(|store| store::mend(store, mode & 2 != 0));
    }
    if mode & 4 != 0 {
        store::mend_index(&mut index);
    }

    let disk = MemEnv::new();
    let mut expected = BTreeMap::new();
    for (number, bytes) in stores.into_iter().enumerate() {
        if number > 0 && bytes.is_empty() {
            continue;
        }
        let base = store::base_index(&bytes).unwrap_or(BASE);
        let found = match index.is_empty() {
            true => store::records(&bytes),
            false => store::records_anywhere(&bytes),
        };
        for record in found {
            expected
                .entry((base, record.index))
                .or_insert_with(Vec::new)
                .push(record);
        }
        disk.set_file(base, Part::Store, Some(bytes));
        if number == usize::from(mode & 8 != 0) && !index.is_empty() {
            disk.set_file(base, Part::Index, Some(index.clone()));
        }
    }
    let has_index = !index.is_empty();

    let stored = StoredLog::in_memory(&disk);
    let _ = stored.inspect();
    let verified = stored.verify(&mut |_| {});
    if let Ok(records) = stored.records(0) {
        for record in records.map_while(Result::ok) {
            let record = Stored::from(record);
            let found = expected.values().flatten().any(|stored| *stored == record);
            assert!(found, "{record:?} is in no store");
        }
    }

    let opened = poll_ready(Log::open_with(disk.clone(), OPTIONS));
    if !has_index {
        let has_damage = verified
            .as_ref()
            .map(|report| report.first_damage().is_some());
        assert_eq!(
            matches!(has_damage, Ok(false)),
            opened.is_ok(),
            "{verified:?} {:?}",
            opened.err()
        );
    }
    let Ok(mut log) = opened else { return };

    let mut last = None;
    let (start, end) = (log.start_index(), log.end_index());
    let mut segment_of = BTreeMap::new();
    for info in log.segments() {
        segment_of.insert(info.base_index, info.end_index);
    }
    let near_end = end.saturating_sub(READS).max(start);
    for index in (start..end.min(start.saturating_add(READS))).chain(near_end..end) {
        let (&base, _) = segment_of
            .range(..=index)
            .next_back()
            .expect("a segment has it");
        match poll_ready(log.read(index)) {
            Ok(record) => {
                let record = Stored::from(record);
                let found = expected
                    .get(&(base, index))
                    .is_some_and(|all| all.contains(&record));
                assert!(found, "{record:?} is not in store {base}");
                last = Some(record);
            }
            Err(error) => assert!(has_index, "{index} in {start}..{end}: {error}"),
        }
    }
    let key = last.as_ref().map_or(0, |record| record.key);
    for probe in [0, key, u64::MAX] {
        if let Ok(Some(entry)) = poll_ready(log.last_with_key_at_most(probe)) {
            assert!(entry.key <= probe && (start..end).contains(&entry.index));
        }
    }
    for probe in [i64::MIN, 0, 1020, i64::MAX] {
        if let Ok(Some(entry)) = poll_ready(log.first_at_or_after_time(probe)) {
            assert!(entry.max_timestamp >= probe && (start..end).contains(&entry.index));
        }
    }
    if let Ok(mut stream) = log.stream(start..) {
        for _ in 0..READS {
            if !matches!(poll_ready(stream.next()), Ok(Some(_))) {
                break;
            }
        }
    }

    let record = Append {
        key: u64::MAX,
        timestamp: 5,
        value: &[b"one", b" more"],
        ..Append::default()
    };
    let Ok(added) = poll_ready(log.append(record)) else {
        return;
    };
    assert_eq!(added, end);
    poll_ready(log.close()).expect("nothing fails in memory");
    let log = poll_ready(Log::open_with(disk, OPTIONS)).expect("it was closed in order");
    assert_eq!((log.start_index(), log.end_index()), (start, end + 1));
    let read = poll_ready(log.read(added)).expect("it was appended");
    assert_eq!(read.value, "one more");
    if let (Some(last), Some(index)) = (last, end.checked_sub(1))
        && last.index == index
    {
        let read = poll_ready(log.read(index)).expect("it was read before");
        assert_eq!(Stored::from(read), last);
    }
}

/// One segment that was not closed, two segments of which one is sealed, and a record in several chunks.
pub fn seeds() -> Vec<Vec<u8>> {
    let one = MemEnv::new();
    let mut log = poll_ready(Log::open_with(one.clone(), OPTIONS)).expect("an empty disk");
    append(&mut log, &recs(0..5, 20)).expect("appended");
    let two = MemEnv::new();
    let mut log = poll_ready(Log::open_with(two.clone(), OPTIONS)).expect("an empty disk");
    append(&mut log, &recs(0..5, 20)).expect("appended");
    poll_ready(log.sync()).expect("synced");
    poll_ready(log.roll()).expect("rolled");
    append(&mut log, &recs(5..8, 10)).expect("appended");
    let open = image(&two);
    poll_ready(log.close()).expect("closed");

    let mut images = vec![image(&one), open, image(&two)];
    let mut without_index = image(&two);
    without_index.2.clear();
    images.push(without_index);
    let mut seeds = Vec::new();
    for (first, second, index) in images {
        let length = |file: &[u8]| u16::try_from(file.len()).expect("short").to_le_bytes();
        for mode in [0, 5, 7] {
            let head = [&[mode][..], &length(&first), &length(&second)].concat();
            seeds.push([&head[..], &first, &second, &index].concat());
        }
    }
    seeds
}

/// The stores of the first two segments and the index of the first.
fn image(disk: &MemEnv) -> (Vec<u8>, Vec<u8>, Vec<u8>) {
    let file = |base, part| disk.file(base, part).unwrap_or_default();
    let second = file(5, Part::Store);
    (file(0, Part::Store), second, file(0, Part::Index))
}
