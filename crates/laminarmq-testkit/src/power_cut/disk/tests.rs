use rand::SeedableRng;
use rand_chacha::ChaCha8Rng;

use super::*;

/// Calls that begin and end at once.
struct Disks {
    disk: Disk,
    tickets: u64,
}

impl Disks {
    fn new() -> Self {
        Self {
            disk: Disk::new(),
            tickets: 0,
        }
    }

    fn names(&mut self, change: NameChange) {
        self.tickets += 1;
        self.disk.begin_names(self.tickets, change);
        self.disk.end(self.tickets);
    }

    fn make_file(&mut self, directory: Inode, name: &str) -> Inode {
        let inode = self.disk.new_file();
        self.names(NameChange::Link {
            at: (directory, name.to_owned()),
            inode,
        });
        inode
    }

    fn make_directory(&mut self, directory: Inode, name: &str) -> Inode {
        let inode = self.disk.new_directory();
        self.names(NameChange::Link {
            at: (directory, name.to_owned()),
            inode,
        });
        inode
    }

    fn rename(&mut self, from: (Inode, &str), to: (Inode, &str)) {
        self.names(NameChange::Rename {
            from: (from.0, from.1.to_owned()),
            to: (to.0, to.1.to_owned()),
        });
    }

    fn unlink(&mut self, directory: Inode, name: &str) {
        self.names(NameChange::Unlink {
            at: (directory, name.to_owned()),
        });
    }

    fn write(&mut self, inode: Inode, data: &[u8]) {
        self.tickets += 1;
        let change = Change::Write {
            at: 0,
            data: data.to_vec(),
        };
        self.disk.begin_change(self.tickets, inode, change);
        self.disk.end(self.tickets);
    }

    fn sync(&mut self, inode: Inode) {
        self.disk.synced(Extent::One(inode), self.disk.exits());
    }

    /// A file that is on the media under its name.
    fn durable_file(&mut self, name: &str, data: &[u8]) -> Inode {
        let inode = self.make_file(ROOT, name);
        self.write(inode, data);
        self.sync(inode);
        self.sync(ROOT);
        inode
    }

    /// The trees that may be left, found by trying: paths, with the content of files.
    fn outcomes(&self) -> BTreeSet<Vec<String>> {
        (0..2000)
            .map(|seed| {
                let mut fate = Fate::by_chance(ChaCha8Rng::seed_from_u64(seed));
                shown(&self.disk.after_cut(&mut fate).0)
            })
            .collect()
    }
}

fn shown(image: &Image) -> Vec<String> {
    let show = |(path, node): (&str, &Node)| match node {
        Node::Directory => format!("{path}/"),
        Node::File(content) => format!("{path}={}", String::from_utf8_lossy(content)),
    };
    image.nodes().map(show).collect()
}

fn set(outcomes: &[&[&str]]) -> BTreeSet<Vec<String>> {
    let owned = |outcome: &&[&str]| outcome.iter().map(|&path| path.to_owned()).collect();
    outcomes.iter().map(owned).collect()
}

#[test]
fn a_synced_file_has_its_name_only_once_the_directory_is_synced() {
    let mut disks = Disks::new();
    let file = disks.make_file(ROOT, "a");
    disks.write(file, b"x");
    disks.sync(file);
    assert_eq!(disks.outcomes(), set(&[&[], &["a=x"]]));
    disks.sync(ROOT);
    assert_eq!(disks.outcomes(), set(&[&["a=x"]]));
}

#[test]
fn a_synced_name_says_nothing_of_the_content() {
    let mut disks = Disks::new();
    let file = disks.make_file(ROOT, "a");
    disks.write(file, b"x");
    disks.sync(ROOT);
    assert_eq!(disks.outcomes(), set(&[&["a="], &["a=\0"], &["a=x"]]));
}

#[test]
fn a_rename_is_whole_or_not_at_all() {
    let mut disks = Disks::new();
    disks.durable_file("a", b"old");
    let new = disks.durable_file("a.new", b"new");
    disks.rename((ROOT, "a.new"), (ROOT, "a"));
    let expected = set(&[&["a=old", "a.new=new"], &["a=new"]]);
    assert_eq!(disks.outcomes(), expected);
    disks.sync(new);
    assert_eq!(disks.outcomes(), expected);
    disks.sync(ROOT);
    assert_eq!(disks.outcomes(), set(&[&["a=new"]]));
}

#[test]
fn a_rename_over_a_name_needs_the_content_synced() {
    let mut disks = Disks::new();
    disks.durable_file("a", b"old");
    let new = disks.make_file(ROOT, "n");
    disks.write(new, b"new");
    disks.rename((ROOT, "n"), (ROOT, "a"));
    disks.sync(ROOT);
    assert_eq!(disks.outcomes(), set(&[&["a="], &["a=\0\0\0"], &["a=new"]]));
}

#[test]
fn removed_names_come_back_until_the_directory_is_synced() {
    let mut disks = Disks::new();
    disks.durable_file("a", b"1");
    disks.durable_file("b", b"2");
    disks.unlink(ROOT, "a");
    disks.unlink(ROOT, "b");
    // In any combination, also the later without the earlier.
    let expected = set(&[&["a=1", "b=2"], &["a=1"], &["b=2"], &[]]);
    assert_eq!(disks.outcomes(), expected);
    disks.sync(ROOT);
    assert_eq!(disks.outcomes(), set(&[&[]]));
}

#[test]
fn the_changes_of_one_name_stay_in_their_order() {
    let mut disks = Disks::new();
    disks.make_file(ROOT, "a");
    disks.rename((ROOT, "a"), (ROOT, "b"));
    disks.unlink(ROOT, "b");
    let second = disks.make_file(ROOT, "a");
    disks.write(second, b"2");
    disks.sync(second);
    let found = disks.outcomes();
    let expected = set(&[&[], &["a="], &["b="], &["a=2"], &["a=2", "b="]]);
    assert_eq!(found, expected);
}

#[test]
fn a_directory_is_lost_with_what_is_in_it() {
    let mut disks = Disks::new();
    let directory = disks.make_directory(ROOT, "d");
    let file = disks.make_file(directory, "f");
    disks.write(file, b"x");
    disks.sync(file);
    disks.sync(directory);
    assert_eq!(disks.outcomes(), set(&[&[], &["d/", "d/f=x"]]));
    disks.sync(ROOT);
    disks.rename((ROOT, "d"), (ROOT, "e"));
    let expected = set(&[&["d/", "d/f=x"], &["e/", "e/f=x"]]);
    assert_eq!(disks.outcomes(), expected);
}

#[test]
fn a_rename_between_directories_needs_both_synced() {
    let mut disks = Disks::new();
    disks.durable_file("a", b"x");
    let directory = disks.make_directory(ROOT, "d");
    disks.sync(ROOT);
    disks.rename((ROOT, "a"), (directory, "b"));
    let both = set(&[&["a=x", "d/"], &["d/", "d/b=x"]]);
    disks.sync(directory);
    assert_eq!(disks.outcomes(), both);
    disks.sync(ROOT);
    assert_eq!(disks.outcomes(), set(&[&["d/", "d/b=x"]]));
}

#[test]
fn a_sync_of_everything_covers_everything_that_had_ended() {
    let mut disks = Disks::new();
    let directory = disks.make_directory(ROOT, "d");
    let file = disks.make_file(directory, "f");
    disks.write(file, b"x");
    let exits = disks.disk.exits();
    disks.make_file(ROOT, "late");
    disks.disk.synced(Extent::All, exits);
    let expected = set(&[&["d/", "d/f=x"], &["d/", "d/f=x", "late="]]);
    assert_eq!(disks.outcomes(), expected);
}

#[test]
fn an_image_becomes_a_disk_again() {
    let mut disks = Disks::new();
    let directory = disks.make_directory(ROOT, "d");
    let file = disks.make_file(directory, "f");
    disks.write(file, b"x");
    let image = disks.disk.seen();
    let again = Disks {
        disk: Disk::of_image(&image),
        tickets: 0,
    };
    assert_eq!(again.disk.seen(), image);
    assert_eq!(again.outcomes(), set(&[&["d/", "d/f=x"]]));
}

#[test]
fn calls_that_never_returned_are_looked_up() {
    let real = crate::TestDir::new("settle");
    fs::write(real.join("made"), b"").expect("written");
    fs::write(real.join("kept"), b"1").expect("written");
    let mut disks = Disks::new();
    disks.durable_file("kept", b"1");
    disks.durable_file("removed", b"2");
    let link = |disk: &mut Disk, ticket, name: &str| {
        let inode = disk.new_file();
        let at = (ROOT, name.to_owned());
        disk.begin_names(ticket, NameChange::Link { at, inode });
    };
    link(&mut disks.disk, 100, "made");
    link(&mut disks.disk, 101, "not made");
    for (ticket, name) in [(102, "kept"), (103, "removed")] {
        let at = (ROOT, name.to_owned());
        disks.disk.begin_names(ticket, NameChange::Unlink { at });
    }
    disks
        .disk
        .settle(real.path())
        .expect("the directory is read");
    assert_eq!(shown(&disks.disk.seen()), ["kept=1", "made="]);
}
