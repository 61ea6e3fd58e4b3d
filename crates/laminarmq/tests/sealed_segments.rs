//! A sealed segment's files are never changed: somebody else may have them under other names.

#![allow(clippy::unwrap_used, reason = "helpers of tests")]

mod common;

use std::fs;
use std::path::{Path, PathBuf};

use common::{append, bases, check, contents, open, recs, small, stored};
use laminarmq::{Log, Part, poll_ready};

/// Other names for all files but the newest segment's, and what is in them.
fn linked(dir: &Path, aside: &Path) -> Vec<(PathBuf, Vec<u8>)> {
    let mut names: Vec<_> = fs::read_dir(dir)
        .unwrap()
        .map(|entry| entry.unwrap().file_name())
        .filter(|name| name.to_str().unwrap().starts_with('0'))
        .collect();
    names.sort();
    names.truncate(names.len() - 2);
    names
        .into_iter()
        .map(|name| {
            let link = aside.join(&name);
            fs::hard_link(dir.join(&name), &link).unwrap();
            let bytes = fs::read(&link).unwrap();
            (link, bytes)
        })
        .collect()
}

#[test]
fn truncating_into_sealed_segments_leaves_their_files_as_they_were() {
    let options = small(700);
    let model = recs(0..25, 40);
    for from in 1..=25 {
        let (dir, aside) = (tempfile::tempdir().unwrap(), tempfile::tempdir().unwrap());
        let mut log = Log::open_dir(dir.path(), options).unwrap();
        append(&mut log, &model).unwrap();
        poll_ready(log.close()).unwrap();
        let mut log = Log::open_dir(dir.path(), options).unwrap();
        let links = linked(dir.path(), aside.path());
        assert!(links.len() >= 6);
        poll_ready(log.truncate_suffix(from)).unwrap();
        let write_segment = log.segments().last().unwrap().base_index;
        assert!(
            write_segment < from.max(2),
            "that of the record before goes on"
        );
        let mut want = model[..usize::try_from(from).unwrap() - 1].to_vec();
        append(&mut log, &recs(100..104, 40)).unwrap();
        want.extend(recs(100..104, 40));
        check(&log, 1, &want);
        poll_ready(log.sync()).unwrap();
        drop(log);
        for (link, bytes) in &links {
            assert_eq!(
                fs::read(link).unwrap(),
                *bytes,
                "{} from {from}",
                link.display()
            );
        }
        check(&Log::open_dir(dir.path(), options).unwrap(), 1, &want);
    }
}

#[test]
fn opening_rolls_where_a_crash_took_all_that_followed_a_sealed_segment() {
    let options = small(700);
    let model = recs(0..25, 40);
    let disk = stored(&model, options, true);
    let all = bases(&disk);
    for lost in (1..all.len()).rev() {
        for part in [Part::Store, Part::Index] {
            disk.set_file(all[lost], part, None);
        }
        let disk = disk.copy();
        let sealed = all[lost - 1];
        let files = |base| [Part::Store, Part::Index].map(|part| disk.file(base, part).unwrap());
        let before = files(sealed);
        let mut log = open(disk.clone(), options);
        let mut want = model[..usize::try_from(all[lost]).unwrap() - 1].to_vec();
        assert_eq!(log.segments().last().unwrap().base_index, all[lost]);
        append(&mut log, &recs(100..103, 10)).unwrap();
        want.extend(recs(100..103, 10));
        check(&log, 1, &want);
        assert_eq!(files(sealed), before);
        poll_ready(log.close()).unwrap();
        assert_eq!(files(sealed), before);
        let log = open(disk.clone(), options);
        assert!(log.recovery().is_clean());
        assert_eq!(contents(&log), want);
    }
}
