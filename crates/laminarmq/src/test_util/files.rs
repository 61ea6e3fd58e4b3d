//! The part of the conformance suite that looks at an environment without a log.

use std::io::{self, IoSlice};

use crate::{LogEnv, LogFile, Part, ReadAt, SyncNow, poll_ready};

pub(super) fn files_grow_read_and_shrink<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut first = env();
    let mut files = poll_ready(first.open(7)).unwrap();
    assert!(files.store.is_empty());
    let mut pieces = [&b""[..], b"ab", b"", b"cde", b""].map(IoSlice::new);
    poll_ready(files.store.append(&mut pieces)).unwrap();
    poll_ready(files.store.append(&mut [])).unwrap();
    assert_eq!(files.store.len(), 5);
    assert_eq!(poll_ready(files.store.read_at(1, 3)).unwrap(), "bcd");
    let reader = files.store.reader();
    let past = poll_ready(files.store.read_at(3, 3)).unwrap_err();
    assert_eq!(past.kind(), io::ErrorKind::UnexpectedEof);
    poll_ready(files.store.truncate(2)).unwrap();
    poll_ready(files.store.append(&mut [IoSlice::new(b"xy")])).unwrap();
    assert_eq!(reader.read_at(0, 4).unwrap(), "abxy");
    poll_ready(first.sync(7, &mut files, Part::Store)).unwrap();
    first.sync_handle(&files.index).sync().unwrap();
    first.names_sync_handle().sync().unwrap();
    drop((files, first));
    let files = poll_ready(env().open(7)).unwrap();
    assert_eq!((files.store.len(), files.index.len()), (4, 0));
    assert_eq!(poll_ready(files.store.read_at(0, 4)).unwrap(), "abxy");
}

pub(super) fn segments_are_listed_and_removed<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut env = env();
    for base in [30, 4, u64::MAX] {
        poll_ready(env.open(base)).unwrap();
    }
    assert_eq!(poll_ready(env.list()).unwrap(), [4, 30, u64::MAX]);
    let files = poll_ready(env.open(30)).unwrap();
    poll_ready(env.remove(30, files)).unwrap();
    poll_ready(env.sync_names()).unwrap();
    assert_eq!(poll_ready(env.list()).unwrap(), [4, u64::MAX]);
    assert!(poll_ready(env.open(30)).unwrap().store.is_empty());
}

pub(super) fn a_start_file_is_replaced_as_a_whole<E: LogEnv, F: FnMut() -> E>(env: &mut F) {
    let mut first = env();
    assert_eq!(poll_ready(first.read_start()).unwrap(), None);
    for content in [&b"the first one, which is longer"[..], b"another"] {
        match poll_ready(first.write_start(content)) {
            Ok(()) => {}
            // A storage may have none; then it has none at all.
            Err(error) => {
                assert_eq!(error.kind(), io::ErrorKind::Unsupported);
                assert_eq!(poll_ready(first.read_start()).unwrap(), None);
                return;
            }
        }
        poll_ready(first.sync_names()).unwrap();
        assert_eq!(poll_ready(first.read_start()).unwrap().unwrap(), content);
    }
    assert_eq!(poll_ready(first.list()).unwrap(), []);
    drop(first);
    let mut again = env();
    assert_eq!(poll_ready(again.read_start()).unwrap().unwrap(), "another");
    poll_ready(again.remove_start()).unwrap();
    poll_ready(again.sync_names()).unwrap();
    poll_ready(again.remove_start()).unwrap();
    drop(again);
    assert_eq!(poll_ready(env().read_start()).unwrap(), None);
}
