use std::collections::BTreeSet;

use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::super::super::fate::Fate;
use super::*;

fn write(at: usize, byte: u8, length: usize) -> Change {
    Change::Write {
        at,
        data: vec![byte; length],
    }
}

/// A file with this on the media, and these changes since, of which all calls have ended.
fn file(media: &[u8], changes: impl IntoIterator<Item = Change>) -> File {
    let mut file = File::on_media(media.to_vec());
    for (ticket, change) in (0..).zip(changes) {
        file.begin(ticket, change);
        file.end(ticket, ticket + 1);
    }
    file
}

/// What may be left of a file, found by trying. Runs of one byte are written as (byte, how many).
fn outcomes(file: &File) -> BTreeSet<Vec<(u8, usize)>> {
    (0..3000)
        .map(|seed| {
            let mut fate = Fate::by_chance(ChaCha8Rng::seed_from_u64(seed));
            let left = file.after_cut(&mut fate.of_file(), &mut Faults::default());
            let runs = left.chunk_by(|a, b| a == b);
            runs.map(|run| (run[0], run.len())).collect()
        })
        .collect()
}

fn drop_all(file: &File) -> Vec<u8> {
    let mut fate = Fate::drop_all(ChaCha8Rng::seed_from_u64(0));
    file.after_cut(&mut fate.of_file(), &mut Faults::default())
}

fn set(outcomes: &[&[(u8, usize)]]) -> BTreeSet<Vec<(u8, usize)>> {
    outcomes.iter().map(|outcome| outcome.to_vec()).collect()
}

#[test]
fn a_write_within_a_sector_is_there_or_not_or_reads_as_zeros() {
    let found = outcomes(&file(b"", [write(0, 1, 100)]));
    assert_eq!(found, set(&[&[], &[(0, 100)], &[(1, 100)]]));
}

#[test]
fn a_write_tears_at_sectors_only() {
    let found = outcomes(&file(&[9; 1536], [write(256, 1, 1024)]));
    // Three sectors are touched, each is there or not.
    let mut expected = BTreeSet::new();
    for kept in 0..8 {
        let mut content = vec![9; 1536];
        for sector in (0..3).filter(|sector| kept & 1 << sector != 0) {
            let range = (sector * 512).max(256)..((sector + 1) * 512).min(1280);
            content[range].fill(1);
        }
        let runs = content.chunk_by(|a, b| a == b);
        expected.insert(runs.map(|run| (run[0], run.len())).collect());
    }
    assert_eq!(found, expected);
}

#[test]
fn a_later_write_may_be_there_without_the_one_before_but_not_within_a_sector() {
    let apart = outcomes(&file(b"", [write(0, 1, 512), write(512, 2, 512)]));
    assert!(apart.contains(&vec![(0, 512), (2, 512)]), "{apart:?}");
    assert!(apart.contains(&vec![(1, 512)]) && apart.contains(&vec![]));
    assert!(!apart.contains(&vec![(2, 512)]), "{apart:?}");

    let together = outcomes(&file(&[9; 512], [write(0, 1, 256), write(256, 2, 256)]));
    let expected = set(&[&[(9, 512)], &[(1, 256), (9, 256)], &[(1, 256), (2, 256)]]);
    assert_eq!(together, expected);
}

#[test]
fn nothing_written_after_a_cut_is_there_without_it() {
    let found = outcomes(&file(
        &[9; 1024],
        [Change::SetLength(512), write(512, 1, 512)],
    ));
    let expected = set(&[
        &[(9, 1024)],
        &[(9, 512)],
        &[(9, 512), (0, 512)],
        &[(9, 512), (1, 512)],
    ]);
    assert_eq!(found, expected);
}

#[test]
fn what_is_cut_does_not_come_back_with_a_new_length() {
    let found = outcomes(&file(
        &[9; 600],
        [Change::SetLength(10), Change::SetLength(600)],
    ));
    let expected = set(&[&[(9, 600)], &[(9, 10)], &[(9, 10), (0, 590)]]);
    assert_eq!(found, expected);
}

#[test]
fn a_sync_covers_the_calls_that_had_ended_when_it_began() {
    let mut file = File::default();
    file.begin(1, write(0, 1, 10));
    file.end(1, 1);
    file.begin(2, write(10, 2, 10));
    // A sync begins here: one call has ended.
    file.end(2, 2);
    file.synced(1);
    assert_eq!(drop_all(&file), vec![1; 10]);
    file.synced(2);
    assert_eq!(drop_all(&file), [[1; 10], [2; 10]].concat());
    assert_eq!(outcomes(&file).len(), 1);
}

#[test]
fn a_running_call_may_have_done_its_work() {
    let mut file = File::default();
    file.begin(1, write(0, 1, 10));
    file.synced(100);
    assert!(outcomes(&file).contains(&vec![(1, 10)]));
    assert_eq!(drop_all(&file), b"");
}

#[test]
fn a_call_that_never_returned_is_kept_as_far_as_it_got() {
    let unsettled = || {
        let mut file = file(&[9; 4], [write(4, 1, 2)]);
        file.begin(7, write(6, 2, 10));
        file
    };
    let mut half = unsettled();
    half.settle(7, 9, Some(&[9, 9, 9, 9, 1, 1, 2, 2, 2]));
    assert_eq!(half.cached(), [9, 9, 9, 9, 1, 1, 2, 2, 2]);
    let mut nothing = unsettled();
    nothing.settle(7, 9, Some(&[9, 9, 9, 9, 1, 1]));
    assert_eq!(nothing.cached(), [9, 9, 9, 9, 1, 1]);
    nothing.synced(9);
    assert_eq!(drop_all(&nothing), [9, 9, 9, 9, 1, 1]);
}

#[test]
fn faults_are_counted() {
    let file = file(b"", [write(0, 1, 512), write(512, 2, 1024)]);
    let mut fate = Fate::drop_all(ChaCha8Rng::seed_from_u64(0));
    let mut faults = Faults::default();
    file.after_cut(&mut fate.of_file(), &mut faults);
    let dropped = Faults {
        dropped_writes: 2,
        ..Faults::default()
    };
    assert_eq!(faults, dropped);
    let mut all = Faults::default();
    for seed in 0..300 {
        let mut fate = Fate::by_chance(ChaCha8Rng::seed_from_u64(seed));
        file.after_cut(&mut fate.of_file(), &mut all);
    }
    assert!(
        all.torn_writes > 0 && all.reordered_writes > 0 && all.zeroed_writes > 0,
        "{all:?}"
    );
}
