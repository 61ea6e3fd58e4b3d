//! Images of the file that keeps votes and terms: an error, or states that survive being saved again.
//!
//! An input is: a mode, and the file. The mode's bits: 0 the CRCs are made right, 1 the frames' numbers too.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::io;
use std::rc::Rc;

use laminarmq_replica::{GroupId, GroupState, Membership, RaftStateFile, ReplicaId, StateFs, Term};

const NAME: &str = "raft-state";
const HEADER: usize = 32;
const FRAME_HEAD: usize = 16;

/// Files in memory.
#[derive(Debug, Clone, Default)]
struct Files(Rc<RefCell<BTreeMap<String, Vec<u8>>>>);

impl StateFs for Files {
    fn read(&mut self, name: &str) -> io::Result<Option<Vec<u8>>> {
        Ok(self.0.borrow().get(name).cloned())
    }

    fn write(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        self.0.borrow_mut().insert(name.to_owned(), bytes.to_vec());
        Ok(())
    }

    fn append(&mut self, name: &str, bytes: &[u8]) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let file = files.get_mut(name).ok_or(io::ErrorKind::NotFound)?;
        file.extend_from_slice(bytes);
        Ok(())
    }

    fn sync(&mut self, _: &str) -> io::Result<()> {
        Ok(())
    }

    fn rename(&mut self, from: &str, to: &str) -> io::Result<()> {
        let mut files = self.0.borrow_mut();
        let file = files.remove(from).ok_or(io::ErrorKind::NotFound)?;
        files.insert(to.to_owned(), file);
        Ok(())
    }

    fn sync_names(&mut self) -> io::Result<()> {
        Ok(())
    }
}

fn state(group: u64, term: u32) -> GroupState {
    let members = Membership::of_voters([1, 2, 3].map(ReplicaId));
    GroupState {
        term: Term(term),
        vote: Some(ReplicaId(2)),
        ..GroupState::first(GroupId(group), ReplicaId(1), members)
    }
}

/// Opens the image, saves one more state, and opens again.
pub fn check(input: &[u8]) {
    let Some((mode, image)) = input.split_first() else {
        return;
    };
    let mut image = image.to_vec();
    if mode & 1 != 0 {
        mend(&mut image, mode & 2 != 0);
    }
    let whole = whole_frames(&image);
    let mut files = Files::default();
    files.write(NAME, &image).expect("memory");
    let Ok(mut file) = RaftStateFile::open(files.clone()) else {
        return;
    };
    assert_eq!(file.recovery().frames, whole);
    let added = state(5, 77);
    file.save([added.clone()]).expect("memory");
    let mut expected: BTreeMap<_, _> = file
        .groups()
        .map(|state| (state.group, state.clone()))
        .collect();
    assert_eq!(expected.get(&added.group), Some(&added));

    let file = RaftStateFile::open(files.clone()).expect("it was just written");
    assert_eq!(file.recovery().cut_bytes, 0);
    for state in file.groups() {
        assert_eq!(expected.remove(&state.group).as_ref(), Some(state));
    }
    assert!(expected.is_empty(), "{expected:?}");
}

fn frame_crc(frame: &[u8]) -> u32 {
    crc32c::crc32c_append(crc32c::crc32c(&frame[..4]), &frame[8..])
}

/// The frames of an image, as far as their lengths say where they are.
fn frames(image: &[u8]) -> impl Iterator<Item = std::ops::Range<usize>> {
    let mut at = HEADER;
    std::iter::from_fn(move || {
        let length = image.get(at..)?.first_chunk::<4>()?;
        let end = at + FRAME_HEAD + u32::from_le_bytes(*length) as usize;
        let frame = at..end;
        at = end;
        (end <= image.len()).then_some(frame)
    })
}

/// How many frames from the first one on are whole and numbered without a gap.
fn whole_frames(image: &[u8]) -> u64 {
    let whole = (1u64..).zip(frames(image)).take_while(|(number, frame)| {
        let frame = &image[frame.clone()];
        frame[4..8] == frame_crc(frame).to_le_bytes() && frame[8..16] == number.to_le_bytes()
    });
    whole.count() as u64
}

fn mend(image: &mut [u8], numbered: bool) {
    if image.len() < HEADER {
        return;
    }
    let crc = crc32c::crc32c(&image[..28]);
    image[28..HEADER].copy_from_slice(&crc.to_le_bytes());
    let all: Vec<_> = frames(image).collect();
    for (number, frame) in (1u64..).zip(all) {
        let frame = &mut image[frame];
        if numbered {
            frame[8..16].copy_from_slice(&number.to_le_bytes());
        }
        let crc = frame_crc(frame);
        frame[4..8].copy_from_slice(&crc.to_le_bytes());
    }
}

/// A new file, and one of a few saves, one of which forgets a group.
pub fn seeds() -> Vec<Vec<u8>> {
    let files = Files::default();
    let image = |files: &Files| files.0.borrow()[NAME].clone();
    let mut file = RaftStateFile::open(files.clone()).expect("memory");
    let mut images = vec![image(&files)];
    file.save([state(1, 1), state(2, 9)]).expect("memory");
    images.push(image(&files));
    file.save([state(1, 2)]).expect("memory");
    file.remove([GroupId(2)]).expect("memory");
    images.push(image(&files));
    let modes = [0, 1, 3];
    let seed = |image: &Vec<u8>| modes.map(|mode| [&[mode], &image[..]].concat());
    images.iter().flat_map(seed).collect()
}
