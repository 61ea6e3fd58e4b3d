//! A directory tree in memory, as a power cut leaves it.

use std::collections::BTreeMap;
use std::collections::hash_map::DefaultHasher;
use std::fs;
use std::hash::{Hash, Hasher};
use std::io;
use std::path::Path;
use std::sync::Arc;

/// What a path leads to.
#[derive(Debug, Clone, PartialEq, Eq, Hash)]
pub(crate) enum Node {
    Directory,
    File(Arc<[u8]>),
}

/// Paths below a root, each folder before what is in it.
#[derive(Debug, Clone, Default, PartialEq, Eq, Hash)]
pub(crate) struct Image {
    nodes: BTreeMap<String, Node>,
}

impl Image {
    pub(crate) fn add_directory(&mut self, path: &str) {
        self.nodes.insert(path.to_owned(), Node::Directory);
    }

    pub(crate) fn add_file(&mut self, path: &str, content: Arc<[u8]>) {
        self.nodes.insert(path.to_owned(), Node::File(content));
    }

    /// A path is longer than those above it, so it sorts behind them.
    pub(crate) fn nodes(&self) -> impl Iterator<Item = (&str, &Node)> {
        self.nodes.iter().map(|(path, node)| (path.as_str(), node))
    }

    /// A number that images with other content hardly share.
    pub(crate) fn digest(&self) -> u64 {
        let mut hasher = DefaultHasher::new();
        self.hash(&mut hasher);
        hasher.finish()
    }

    /// Reads a directory.
    pub(crate) fn read(root: &Path) -> io::Result<Self> {
        let mut image = Self::default();
        let mut below = vec![String::new()];
        while let Some(above) = below.pop() {
            for entry in fs::read_dir(root.join(&above))? {
                let entry = entry?;
                let name = entry.file_name();
                let name = name.to_str().ok_or(io::ErrorKind::InvalidData)?;
                let path = match above.as_str() {
                    "" => name.to_owned(),
                    above => format!("{above}/{name}"),
                };
                if entry.file_type()?.is_dir() {
                    image.add_directory(&path);
                    below.push(path);
                } else {
                    image.add_file(&path, fs::read(entry.path())?.into());
                }
            }
        }
        Ok(image)
    }

    /// Writes the tree into a directory, which is made.
    pub(crate) fn write(&self, root: &Path) -> io::Result<()> {
        fs::create_dir_all(root)?;
        for (path, node) in &self.nodes {
            match node {
                Node::Directory => fs::create_dir(root.join(path))?,
                Node::File(content) => fs::write(root.join(path), content)?,
            }
        }
        Ok(())
    }

    /// The first difference, in words.
    pub(crate) fn difference(&self, other: &Self) -> Option<String> {
        for (path, node) in &self.nodes {
            match (node, other.nodes.get(path)) {
                (_, None) => return Some(format!("{path} is missing")),
                (Node::File(a), Some(Node::File(b))) if a != b => {
                    let at = a.iter().zip(b.iter()).take_while(|(a, b)| a == b).count();
                    let (a, b) = (a.len(), b.len());
                    return Some(format!("{path} differs at byte {at}; lengths {a} and {b}"));
                }
                (a, Some(b)) if a != b => return Some(format!("{path} is of another kind")),
                _ => {}
            }
        }
        let surplus = other
            .nodes
            .keys()
            .find(|path| !self.nodes.contains_key(*path));
        surplus.map(|path| format!("{path} is there as well"))
    }
}
