//! What the arguments of a call stand for in the model.

use super::{Done, Machine};
use crate::power_cut::disk::{Entry, Inode, ROOT};
use crate::strace::Call;

impl Machine {
    /// Where a path leads that is below the root: a directory, and the rest of the path from there.
    pub(super) fn path(
        &self,
        call: &Call,
        directory: Option<usize>,
        path: usize,
    ) -> Done<Option<(Inode, String)>> {
        let path = call.arguments.get(path).ok_or("it has no path")?;
        let path = str::from_utf8(&path.bytes).map_err(|_| "a path that is no UTF-8")?;
        let found = if path.starts_with('/') {
            self.below_root(path).map(|rest| (ROOT, rest.to_owned()))
        } else {
            let base = directory.and_then(|at| call.arguments.get(at)?.descriptor.as_ref());
            match base {
                // The program was started in the root.
                None => Some((ROOT, path.to_owned())),
                Some(base) if base.number.is_none() => self
                    .below_root(&base.target)
                    .map(|cwd| (ROOT, format!("{cwd}/{path}"))),
                Some(_) => self
                    .opened(call, directory.expect("there is a descriptor"))?
                    .map(|open| (self.open[open].inode, path.to_owned())),
            }
        };
        match found {
            Some((_, path)) if path.split('/').any(|part| part == ".." || part == ".") => {
                Err("a path with dots is not modelled")
            }
            found => Ok(found),
        }
    }

    /// What follows the root in a path.
    pub(super) fn below_root<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&self.root)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    pub(super) fn found(&self, (directory, path): &(Inode, String)) -> Done<Option<Inode>> {
        Ok(self.disk.find_from(*directory, path))
    }

    pub(super) fn existing(&self, path: &(Inode, String)) -> Done<Inode> {
        self.found(path)?.ok_or("the model does not have this path")
    }

    /// The directory and the name in it.
    pub(super) fn name(&self, (directory, path): &(Inode, String)) -> Done<Entry> {
        let path = path.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.disk.find_from(*directory, parent);
        let parent = parent.ok_or("the model does not have this directory")?;
        Ok((parent, name.to_owned()))
    }

    /// What a descriptor stands for, when it leads below the root.
    pub(super) fn opened(&self, call: &Call, argument: usize) -> Done<Option<usize>> {
        let given = call.arguments.get(argument).ok_or("it has no descriptor")?;
        // A closed descriptor, or -1, has nothing behind it.
        let Some(given) = &given.descriptor else {
            return Ok(None);
        };
        let number = given.number.ok_or("it has no descriptor")?;
        let known = self.descriptors.get(&number).copied();
        match (known, self.below_root(&given.target)) {
            (Some(_), None) => Err("the model takes the descriptor for one below the root"),
            (None, Some(_)) => Err("the model does not know this descriptor"),
            _ => Ok(known),
        }
    }

    pub(super) fn leads_inside(&self, call: &Call, argument: usize) -> Done<bool> {
        Ok(!call.arguments.is_empty() && self.opened(call, argument)?.is_some())
    }
}

/// Where the calls without a directory have the path of what they make.
pub(super) fn call_path(call: &Call) -> usize {
    usize::from(call.name == "symlink")
}

pub(super) fn descriptor(call: &Call, argument: usize) -> Done<i32> {
    let given = call.arguments.get(argument);
    let given = given.and_then(|given| given.descriptor.as_ref()?.number);
    given.ok_or("it has no descriptor")
}

pub(super) fn text_of(call: &Call, argument: usize) -> Done<&str> {
    let given = call.arguments.get(argument);
    Ok(&given.ok_or("it has too few arguments")?.text)
}

pub(super) fn number_of(call: &Call, argument: usize) -> Done<usize> {
    let text = text_of(call, argument)?;
    text.parse().map_err(|_| "an argument is no number")
}

pub(super) fn returned(call: &Call) -> Done<usize> {
    let result = call.result.ok_or("it did not return")?;
    usize::try_from(result).map_err(|_| "it failed")
}
