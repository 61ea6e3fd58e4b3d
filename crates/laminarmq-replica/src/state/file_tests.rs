use std::cell::RefCell;
use std::rc::Rc;

use super::*;
use crate::state::StateDir;
use crate::state::tests::sample;

/// Files of which the test sees everything; clones are the same files.
#[derive(Clone, Debug, Default)]
struct Shared {
    files: Rc<RefCell<BTreeMap<String, Vec<u8>>>>,
    fail_syncs: Rc<RefCell<bool>>,
    /// Bytes of the file at its last sync.
    synced: Rc<RefCell<usize>>,
}

impl Shared {
    fn current(&self) -> Vec<u8> {
        self.files.borrow()[NAME].clone()
    }

    fn put(&self, bytes: Vec<u8>) {
        self.files.borrow_mut().insert(NAME.to_owned(), bytes);
    }
}

impl StateFs for Shared {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.files.borrow().get(name).cloned())
    }
    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.files
            .borrow_mut()
            .insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }
    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.files.borrow_mut();
        files
            .get_mut(name)
            .ok_or(io::ErrorKind::NotFound)?
            .extend_from_slice(bytes);
        Ok(())
    }
    fn sync(&mut self, name: &str) -> io::Result<()> {
        if *self.fail_syncs.borrow() {
            return Err(io::Error::other("the disk is gone"));
        }
        *self.synced.borrow_mut() = self.files.borrow()[name].len();
        Ok(())
    }
    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.files.borrow_mut();
        let bytes = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), bytes);
        Ok(())
    }
    fn sync_names(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn open(fs: &Shared) -> RaftStateFile<Shared> {
    RaftStateFile::open(fs.clone()).expect("opens")
}

#[test]
fn the_newest_state_of_each_group_is_there_after_reopening() {
    let fs = Shared::default();
    let mut file = open(&fs);
    file.save([sample(1, 1), sample(2, 1)]).unwrap();
    file.save([sample(1, 5)]).unwrap();
    file.save([sample(3, 1)]).unwrap();
    file.remove([GroupId(2)]).unwrap();
    drop(file);

    let file = open(&fs);
    assert_eq!(
        file.groups().cloned().collect::<Vec<_>>(),
        [sample(1, 5), sample(3, 1)]
    );
    assert_eq!(file.get(GroupId(2)), None);
    assert_eq!(
        *file.recovery(),
        StateRecovery {
            cut_bytes: 0,
            frames: 4
        }
    );
}

#[test]
fn on_the_file_system() {
    let dir = tempfile::tempdir().unwrap();
    let mut file = RaftStateFile::open(StateDir::new(dir.path())).unwrap();
    file.save([sample(1, 1)]).unwrap();
    file.save([sample(1, 2)]).unwrap();
    drop(file);
    let mut file = RaftStateFile::open(StateDir::new(dir.path())).unwrap();
    assert_eq!(file.get(GroupId(1)), Some(&sample(1, 2)));
    file.save([sample(1, 3)]).unwrap();
    drop(file);
    let file = RaftStateFile::open(StateDir::new(dir.path())).unwrap();
    assert_eq!(file.get(GroupId(1)), Some(&sample(1, 3)));
    assert!(!dir.path().join(ASIDE).exists());
}

/// A power cut at the second save could keep that one alone, else.
#[test]
fn what_a_killed_process_left_is_synced_before_anything_is_written_behind_it() {
    let fs = Shared::default();
    let mut file = open(&fs);
    file.save([sample(1, 1)]).unwrap();
    // Killed between the write and its sync.
    *fs.fail_syncs.borrow_mut() = true;
    file.save([sample(1, 2)]).unwrap_err();
    drop(file);
    *fs.fail_syncs.borrow_mut() = false;
    let file = open(&fs);
    assert_eq!(file.get(GroupId(1)), Some(&sample(1, 2)));
    assert_eq!(*fs.synced.borrow(), fs.current().len());
}

#[test]
fn a_save_that_was_torn_anywhere_is_cut_and_the_one_before_it_stands() {
    let fs = Shared::default();
    let mut file = open(&fs);
    file.save([sample(1, 1)]).unwrap();
    let whole = fs.current().len();
    file.save([sample(1, 2), sample(2, 2)]).unwrap();
    let full = fs.current();
    for end in whole + 1..full.len() {
        fs.put(full[..end].to_vec());
        let file = open(&fs);
        assert_eq!(file.recovery().cut_bytes, end - whole);
        assert_eq!(file.groups().cloned().collect::<Vec<_>>(), [sample(1, 1)]);
        drop(file);
        // The cut holds: nothing is left behind that a later save could make valid again.
        let mut file = open(&fs);
        assert_eq!(file.recovery().cut_bytes, 0);
        file.save([sample(1, 9)]).unwrap();
        assert_eq!(open(&fs).get(GroupId(1)), Some(&sample(1, 9)));
    }
}

#[test]
fn a_torn_save_whose_holes_read_as_zeros_is_cut() {
    let fs = Shared::default();
    let mut file = open(&fs);
    file.save([sample(1, 1)]).unwrap();
    let whole = fs.current().len();
    file.save([sample(1, 2)]).unwrap();
    let mut bytes = fs.current();
    bytes[whole..whole + 20].fill(0);
    fs.put(bytes);
    assert_eq!(open(&fs).get(GroupId(1)), Some(&sample(1, 1)));
}

#[test]
fn damage_before_a_synced_save_is_an_error_and_never_a_cut() {
    let fs = Shared::default();
    let mut file = open(&fs);
    for term in 1..=4 {
        file.save([sample(1, term)]).unwrap();
    }
    let good = fs.current();
    let frame = (good.len() - frame::HEADER_BYTES) / 4;
    let last = good.len() - frame;
    for at in frame::HEADER_BYTES..last {
        let mut bytes = good.clone();
        bytes[at] ^= 0x40;
        fs.put(bytes);
        let error = RaftStateFile::open(fs.clone()).expect_err("damage below a synced save");
        let begin = frame::HEADER_BYTES + (at - frame::HEADER_BYTES) / frame * frame;
        assert!(
            matches!(error, StateError::Damaged { position, .. } if position == begin),
            "{error}"
        );
    }
}

#[test]
fn a_newer_version_is_refused_by_name() {
    let fs = Shared::default();
    drop(open(&fs));
    let mut bytes = fs.current();
    bytes[8] = 7;
    let crc = crc32c::crc32c(&bytes[..28]);
    bytes[28..32].copy_from_slice(&crc.to_le_bytes());
    fs.put(bytes);
    let error = RaftStateFile::open(fs).expect_err("newer");
    assert_eq!(
        error.to_string(),
        "raft-state has format version 7, this program knows version 1: use the one that wrote it"
    );
}

#[test]
fn many_saves_do_not_grow_the_file_without_end() {
    let fs = Shared::default();
    let mut file = open(&fs);
    for term in 1..=20_000 {
        file.save([sample(u64::from(term % 3), term)]).unwrap();
        assert!(fs.current().len() <= REWRITE_BYTES_MIN + 512);
    }
    drop(file);
    let file = open(&fs);
    let terms: Vec<_> = file.groups().map(|state| state.term.get()).collect();
    assert_eq!(terms, [19_998, 19_999, 20_000]);
}

#[test]
fn more_states_than_one_frame_holds() {
    let fs = Shared::default();
    let count = FRAME_CHANGES_MAX as u64 + 1;
    open(&fs)
        .save((0..count).map(|group| sample(group, 1)))
        .unwrap();
    let file = open(&fs);
    assert_eq!(file.groups().count() as u64, count);
    assert_eq!(file.recovery().frames, 2);
}

#[test]
fn after_a_failed_sync_nothing_is_saved_any_more() {
    let fs = Shared::default();
    let mut file = open(&fs);
    *fs.fail_syncs.borrow_mut() = true;
    let first = file.save([sample(1, 1)]).unwrap_err().to_string();
    assert!(first.contains("syncing failed: "), "{first}");
    *fs.fail_syncs.borrow_mut() = false;
    // Each later one says what the first one said: the cause may be looked for in any of them.
    let saved = file.save([sample(1, 1)]).unwrap_err();
    let removed = file.remove([GroupId(1)]).unwrap_err();
    assert_eq!([saved.to_string(), removed.to_string()], [&*first; 2]);
    let cause = Error::source(&saved).unwrap();
    assert!(cause.is::<io::Error>(), "{cause}");
}

#[test]
fn a_file_that_was_rewritten_as_often_as_can_be_counted_is_used_on() {
    let files = Shared::default();
    let mut image = frame::encode_header(u64::MAX).to_vec();
    frame::encode_frame(1, &[Change::Saved(sample(1, 1))], &mut image);
    // A torn end makes opening write it anew.
    image.extend([0; 20]);
    files.put(image);
    let mut file = RaftStateFile::open(files.clone()).expect("opened");
    file.save([sample(2, 1)]).expect("saved");
    let file = RaftStateFile::open(files).expect("opened again");
    assert_eq!(file.groups().count(), 2);
}
