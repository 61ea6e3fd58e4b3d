//! How many files a log keeps open, as the operating system counts them.

#![cfg(target_os = "linux")]
#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::Path;

use common::{append, check, open, recs, small};
use laminarmq::{FileEnv, OpenFiles, poll_ready};

/// Stores and indexes of that directory that are open in this process.
fn open_in(dir: &Path) -> usize {
    let links = fs::read_dir("/proc/self/fd").unwrap();
    links
        .filter_map(|link| fs::read_link(link.unwrap().path()).ok())
        .filter(|path| path.starts_with(dir))
        .filter(|path| {
            path.extension()
                .is_some_and(|it| it == "log" || it == "index")
        })
        .count()
}

#[test]
fn rolled_segments_do_not_stay_open() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().canonicalize().unwrap();
    let env = FileEnv::sharing(&path, &OpenFiles::at_most(3)).unwrap();
    let mut log = open(env, small(300));
    let model = recs(0..60, 40);
    for records in model.chunks(5) {
        append(&mut log, records).unwrap();
        // The second sync is for the footers that the first one wrote.
        poll_ready(log.sync()).unwrap();
        poll_ready(log.sync()).unwrap();
        check(
            &log,
            1,
            &model[..usize::try_from(log.end_index() - 1).unwrap()],
        );
        // Those of the write segment do not count.
        let count = open_in(&path);
        assert!(count <= 3 + 2, "{count} are open");
    }
    assert!(log.segments().len() > 10);
}
