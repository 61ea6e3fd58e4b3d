//! Which fields the generated values have reached. A field that always holds the same would be compared, and
//! would prove nothing.

use std::collections::{BTreeMap, BTreeSet};

use crate::tree::Tree;

/// For each field, the first two different values that it held.
#[derive(Debug, Default)]
pub(crate) struct Fields(BTreeMap<String, BTreeSet<String>>);

impl Fields {
    /// Notes every field of the message and of its parts.
    pub(crate) fn note(&mut self, message: &str, tree: &Tree) {
        match tree {
            Tree::Struct(part, fields) => {
                for (field, value) in fields {
                    let seen = self.0.entry(format!("{message}: {part}.{field}"));
                    let seen = seen.or_default();
                    if seen.len() < 2 {
                        seen.insert(format!("{value:?}"));
                    }
                    self.note(message, value);
                }
            }
            Tree::Tuple(_, values) | Tree::List(values) => {
                for value in values {
                    self.note(message, value);
                }
            }
            Tree::Atom(_) => {}
        }
    }

    /// How many fields there were.
    pub(crate) fn len(&self) -> usize {
        self.0.len()
    }

    /// Those that never changed.
    pub(crate) fn constant(&self) -> Vec<&str> {
        let constant = self.0.iter().filter(|(_, values)| values.len() < 2);
        constant.map(|(field, _)| field.as_str()).collect()
    }
}
