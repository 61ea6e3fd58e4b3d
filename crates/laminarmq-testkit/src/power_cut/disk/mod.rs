//! A model of a disk under a file system: what programs see, what is on the media, and what lies between.
//!
//! - A file's content and length are on the media once a sync of that file ended, as far as the changes
//!   had ended when the sync began. Its name is not: names are on the media once their directory is synced.
//! - Of what is not synced, any part may be there after a power cut, in any combination that a disk can
//!   hold: see [`File`] for content. Of names: each change is there or not; a rename is there whole or not
//!   at all; a later change of a name is there only with the earlier ones. A rename from one directory to
//!   another is certain once both are synced.
//! - Nothing reads beyond what was written: there is no stale content.

mod file;

pub(crate) use file::{Change, Plan};

use std::collections::{BTreeMap, BTreeSet, HashMap};
use std::fs;
use std::io;
use std::path::Path;
use std::sync::Arc;

use file::{File, Pending};

use super::fate::{Fate, Faults};
use super::image::{Image, Node};

/// The number of a file or a directory.
pub(crate) type Inode = usize;

/// The directory that the model begins with.
pub(crate) const ROOT: Inode = 0;

/// Of each directory: its names.
type Tree = BTreeMap<Inode, BTreeMap<String, Inode>>;
/// A name: its directory, and what it is there.
pub(crate) type Entry = (Inode, String);

/// What one call does to names.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NameChange {
    Link { at: Entry, inode: Inode },
    Unlink { at: Entry },
    Rename { from: Entry, to: Entry },
}

impl NameChange {
    fn entries(&self) -> Vec<&Entry> {
        match self {
            Self::Link { at, .. } | Self::Unlink { at } => vec![at],
            Self::Rename { from, to } => vec![from, to],
        }
    }

    fn apply(&self, tree: &mut Tree) {
        match self {
            Self::Link { at, inode } => insert(tree, at, *inode),
            Self::Unlink { at } => drop(remove(tree, at)),
            Self::Rename { from, to } => {
                let inode = remove(tree, from).expect("a name that is renamed is there");
                insert(tree, to, inode);
            }
        }
    }
}

/// A change of names, with the directories that were not synced since.
#[derive(Debug, Clone)]
struct PendingNames {
    change: Pending<NameChange>,
    unsynced: BTreeSet<Inode>,
}

/// What a sync covers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Extent {
    One(Inode),
    All,
}

/// The disk. Calls begin and end; a ticket stands for a call.
#[derive(Debug, Clone)]
pub(crate) struct Disk {
    files: BTreeMap<Inode, File>,
    /// The names that programs see.
    cached: Tree,
    media: Tree,
    names: Vec<PendingNames>,
    next_inode: Inode,
    /// How many changing calls have ended.
    exits: u64,
}

impl Disk {
    /// An empty root directory.
    pub(crate) fn new() -> Self {
        let root = Tree::from([(ROOT, BTreeMap::new())]);
        Self {
            files: BTreeMap::new(),
            cached: root.clone(),
            media: root,
            names: Vec::new(),
            next_inode: ROOT + 1,
            exits: 0,
        }
    }

    /// A disk on which an image is all there is.
    pub(crate) fn of_image(image: &Image) -> Self {
        let mut disk = Self::new();
        for (path, node) in image.nodes() {
            let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
            let parent = disk
                .find(parent)
                .expect("folders come before what is in them");
            let inode = match node {
                Node::Directory => disk.new_directory(),
                Node::File(content) => disk.insert_file(File::on_media(content.to_vec())),
            };
            insert(&mut disk.cached, &(parent, name.to_owned()), inode);
        }
        disk.media = disk.cached.clone();
        disk
    }

    /// What a path from the root leads to while the machine runs. The root's own path is empty.
    pub(crate) fn find(&self, path: &str) -> Option<Inode> {
        self.find_from(ROOT, path)
    }

    /// The same, from another directory on.
    pub(crate) fn find_from(&self, directory: Inode, path: &str) -> Option<Inode> {
        let parts = path.split('/').filter(|part| !part.is_empty());
        parts
            .into_iter()
            .try_fold(directory, |at, part| self.entry(at, part))
    }

    pub(crate) fn entry(&self, directory: Inode, name: &str) -> Option<Inode> {
        self.cached.get(&directory)?.get(name).copied()
    }

    /// The file's length while the machine runs; `None` for a directory.
    pub(crate) fn length(&self, inode: Inode) -> Option<usize> {
        self.files.get(&inode).map(|file| file.cached().len())
    }

    /// An empty file without a name.
    pub(crate) fn new_file(&mut self) -> Inode {
        self.insert_file(File::default())
    }

    fn insert_file(&mut self, file: File) -> Inode {
        let inode = self.new_inode();
        self.files.insert(inode, file);
        inode
    }

    /// An empty directory without a name.
    pub(crate) fn new_directory(&mut self) -> Inode {
        let inode = self.new_inode();
        self.cached.insert(inode, BTreeMap::new());
        self.media.insert(inode, BTreeMap::new());
        inode
    }

    fn new_inode(&mut self) -> Inode {
        self.next_inode += 1;
        self.next_inode - 1
    }

    /// A call that changes a file begins. Its effect is seen from here on.
    pub(crate) fn begin_change(&mut self, ticket: u64, inode: Inode, change: Change) {
        let file = self.files.get_mut(&inode);
        file.expect("only files have content").begin(ticket, change);
    }

    /// A call that changes names begins.
    pub(crate) fn begin_names(&mut self, ticket: u64, change: NameChange) {
        let unsynced = change.entries().into_iter().map(|entry| entry.0).collect();
        change.apply(&mut self.cached);
        let change = Pending {
            ticket,
            exited: None,
            what: change,
        };
        self.names.push(PendingNames { change, unsynced });
    }

    /// The call has ended.
    pub(crate) fn end(&mut self, ticket: u64) {
        self.exits += 1;
        for file in self.files.values_mut() {
            file.end(ticket, self.exits);
        }
        for pending in &mut self.names {
            if pending.change.ticket == ticket {
                pending.change.exited = Some(self.exits);
            }
        }
    }

    /// What a sync that begins now will cover.
    pub(crate) fn exits(&self) -> u64 {
        self.exits
    }

    /// A sync that began after `exits` calls had ended has succeeded.
    pub(crate) fn synced(&mut self, extent: Extent, exits: u64) {
        for (&inode, file) in &mut self.files {
            if extent == Extent::All || extent == Extent::One(inode) {
                file.synced(exits);
            }
        }
        let media = &mut self.media;
        let mut gone: BTreeSet<Inode> = BTreeSet::new();
        self.names.retain_mut(|PendingNames { change, unsynced }| {
            if change.exited.is_none_or(|exited| exited > exits) {
                return true;
            }
            match extent {
                Extent::One(inode) => {
                    unsynced.remove(&inode);
                }
                Extent::All => unsynced.clear(),
            }
            if unsynced.is_empty() {
                if let NameChange::Unlink { at } = &change.what {
                    gone.extend(media.get(&at.0).and_then(|names| names.get(&at.1)));
                }
                change.what.apply(media);
            }
            !unsynced.is_empty()
        });
        // What becomes of the names in a directory that is gone is of no interest.
        self.names.retain(|PendingNames { change, .. }| {
            let mut entries = change.what.entries().into_iter();
            !entries.all(|entry| gone.contains(&entry.0))
        });
    }

    /// Whether names were changed without a sync since.
    pub(crate) fn has_pending_names(&self) -> bool {
        !self.names.is_empty()
    }

    /// What is on the media when the power goes now, and what became of the rest.
    pub(crate) fn after_cut(&self, fate: &mut Fate) -> (Image, Faults) {
        let mut faults = Faults::default();
        let names = self.names_after_cut(fate, &mut faults);
        let mut contents: HashMap<Inode, Arc<[u8]>> = HashMap::new();
        let mut image = Image::default();
        let mut below = vec![(String::new(), ROOT)];
        while let Some((path, inode)) = below.pop() {
            for (name, &inode) in &names[&inode] {
                let path = joined(&path, name);
                match self.files.get(&inode) {
                    None => {
                        image.add_directory(&path);
                        below.push((path, inode));
                    }
                    Some(file) => {
                        let content = contents.entry(inode).or_insert_with(|| {
                            file.after_cut(&mut fate.of_file(), &mut faults).into()
                        });
                        image.add_file(&path, Arc::clone(content));
                    }
                }
            }
        }
        (image, faults)
    }

    /// The names on the media, directory by directory.
    fn names_after_cut(&self, fate: &mut Fate, faults: &mut Faults) -> Tree {
        let mut names = self.media.clone();
        let mut dropped: BTreeSet<&Entry> = BTreeSet::new();
        for PendingNames { change, .. } in &self.names {
            let entries = change.what.entries();
            let possible = !entries.iter().any(|entry| dropped.contains(entry));
            if possible && fate.keeps_name() {
                faults.kept_names += 1;
                change.what.apply(&mut names);
            } else {
                match change.what {
                    NameChange::Link { .. } => faults.dropped_names += 1,
                    NameChange::Unlink { .. } => faults.undone_removals += 1,
                    NameChange::Rename { .. } => faults.undone_renames += 1,
                }
                dropped.extend(entries);
            }
        }
        names
    }

    /// Calls that never returned, since the program was killed in them: what they did is looked up in the
    /// directory that the root stands for. From here on nothing runs.
    pub(crate) fn settle(&mut self, root: &Path) -> io::Result<()> {
        let paths = self.path_of();
        let real_path = |inode: Inode| paths.get(&inode).map(|path| root.join(path));
        let there = |(parent, name): &Entry| match real_path(*parent) {
            Some(parent) => parent.join(name).try_exists(),
            None => Ok(false),
        };
        self.exits += 1;
        let mut wrong = Vec::new();
        for pending in self.names.iter_mut().filter(|p| p.change.exited.is_none()) {
            let happened = match &pending.change.what {
                NameChange::Link { at, .. } => there(at)?,
                NameChange::Unlink { at } => !there(at)?,
                NameChange::Rename { from, .. } => !there(from)?,
            };
            pending.change.exited = Some(self.exits);
            if !happened {
                wrong.push(pending.change.ticket);
            }
        }
        self.names.retain(|p| !wrong.contains(&p.change.ticket));
        self.cached.clone_from(&self.media);
        for pending in &self.names {
            pending.change.what.apply(&mut self.cached);
        }

        let paths = self.path_of();
        for (inode, file) in &mut self.files {
            let running: Vec<_> = file.running().collect();
            if running.is_empty() {
                continue;
            }
            let real = match paths.get(inode) {
                Some(path) => Some(fs::read(root.join(path))?),
                // Nobody can look at a file without a name, and nobody will.
                None => None,
            };
            for ticket in running {
                file.settle(ticket, self.exits, real.as_deref());
            }
        }
        Ok(())
    }

    /// All paths that programs see, with what they lead to.
    fn paths(&self) -> BTreeMap<String, Inode> {
        let mut paths = BTreeMap::new();
        let mut below = vec![(String::new(), ROOT)];
        while let Some((above, directory)) = below.pop() {
            for (name, &inode) in self.cached.get(&directory).into_iter().flatten() {
                let path = joined(&above, name);
                below.push((path.clone(), inode));
                paths.insert(path, inode);
            }
        }
        paths
    }

    /// A path of everything that has one.
    fn path_of(&self) -> HashMap<Inode, String> {
        let paths = self.paths().into_iter();
        let root = std::iter::once((ROOT, String::new()));
        paths
            .map(|(path, inode)| (inode, path))
            .chain(root)
            .collect()
    }

    /// What programs see, as an image.
    pub(crate) fn seen(&self) -> Image {
        let mut image = Image::default();
        for (path, inode) in &self.paths() {
            match self.files.get(inode) {
                None => image.add_directory(path),
                Some(file) => image.add_file(path, file.cached().into()),
            }
        }
        image
    }
}

fn joined(above: &str, name: &str) -> String {
    if above.is_empty() {
        name.to_owned()
    } else {
        format!("{above}/{name}")
    }
}

fn insert(tree: &mut Tree, at: &Entry, inode: Inode) {
    let names = tree.get_mut(&at.0).expect("only directories have names");
    names.insert(at.1.clone(), inode);
}

fn remove(tree: &mut Tree, at: &Entry) -> Option<Inode> {
    let names = tree.get_mut(&at.0).expect("only directories have names");
    names.remove(&at.1)
}

#[cfg(test)]
#[path = "tests.rs"]
mod tests;
