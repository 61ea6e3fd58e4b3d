//! Calls that change files and names.

use super::arguments::{number_of, returned, text_of};
use super::{Done, Machine, Mark, Open};
use crate::power_cut::disk::{Change, Inode, NameChange};
use crate::strace::Call;

impl Machine {
    pub(super) fn write(&mut self, number: usize, call: &Call) -> Done<Mark> {
        let Some(open) = self.opened(call, 0)? else {
            return Ok(Mark::Other);
        };
        let given = call.arguments.get(1).ok_or("it has no data")?;
        let mut data = given.bytes.clone();
        match call.result {
            Some(_) => {
                let written = returned(call)?;
                if data.len() < written {
                    return Err("the trace does not have all that was written");
                }
                data.truncate(written);
            }
            None if text_of(call, 1)?.contains("...") => {
                return Err("the trace does not have all that was written");
            }
            None => {}
        }
        let given = match call.name.as_str() {
            "write" | "writev" => None,
            "pwritev2" if text_of(call, 4)? != "0" => {
                return Err("a write with flags is not modelled");
            }
            "pwritev2" if text_of(call, 3)? == "-1" => None,
            _ => Some(number_of(call, 3)?),
        };
        let Open {
            inode,
            cursor,
            appends,
        } = self.open[open];
        let length = self.disk.length(inode).ok_or("only files are written")?;
        let at = match (appends, given) {
            (true, _) => length,
            (false, Some(at)) => at,
            (false, None) => cursor,
        };
        if given.is_none() {
            self.open[open].cursor = at + data.len();
        }
        self.change(number, inode, Change::Write { at, data })
    }

    pub(super) fn allocate(&mut self, number: usize, call: &Call) -> Done<Mark> {
        let Some(open) = self.opened(call, 0)? else {
            return Ok(Mark::Other);
        };
        let inode = self.open[open].inode;
        let length = self.disk.length(inode).ok_or("only files have room")?;
        let (at, size) = (number_of(call, 2)?, number_of(call, 3)?);
        let zeros = |to: usize| Change::Write {
            at,
            data: vec![0; to.saturating_sub(at)],
        };
        let mut modes: Vec<_> = text_of(call, 1)?.split('|').collect();
        modes.sort_unstable();
        let change = match modes[..] {
            ["0"] => Change::SetLength(length.max(at + size)),
            ["FALLOC_FL_KEEP_SIZE"] => return Ok(Mark::Other),
            ["FALLOC_FL_ZERO_RANGE"] => zeros(at + size),
            [
                "FALLOC_FL_KEEP_SIZE",
                "FALLOC_FL_PUNCH_HOLE" | "FALLOC_FL_ZERO_RANGE",
            ] => zeros(length.min(at + size)),
            _ => return Err("this kind of allocation is not modelled"),
        };
        self.change(number, inode, change)
    }

    pub(super) fn change(&mut self, number: usize, inode: Inode, change: Change) -> Done<Mark> {
        self.disk.length(inode).ok_or("only files have content")?;
        let ticket = self.ticket(number);
        self.disk.begin_change(ticket, inode, change);
        Ok(Mark::Change)
    }

    pub(super) fn begin_names(&mut self, number: usize, change: NameChange) -> Mark {
        self.disk.begin_names(self.ticket(number), change);
        Mark::Change
    }

    /// What opening changes: a file that is made, or emptied.
    pub(super) fn create_at_open(
        &mut self,
        number: usize,
        call: &Call,
        directory: Option<usize>,
        path: usize,
    ) -> Done<Mark> {
        let flags = call.arguments.get(path + 1).map_or("", |flags| &flags.text);
        let Some(path) = self.path(call, directory, path)? else {
            return Ok(Mark::Other);
        };
        if ["O_SYNC", "O_DSYNC", "O_TMPFILE"]
            .iter()
            .any(|flag| flags.contains(flag))
        {
            return Err("a file opened like this is not modelled");
        }
        match self.found(&path)? {
            Some(inode) if flags.contains("O_TRUNC") => {
                if self.disk.length(inode) == Some(0) {
                    return Ok(Mark::Other);
                }
                self.change(number, inode, Change::SetLength(0))
            }
            Some(_) => Ok(Mark::Other),
            None if flags.contains("O_CREAT") => {
                let at = self.name(&path)?;
                let inode = self.disk.new_file();
                Ok(self.begin_names(number, NameChange::Link { at, inode }))
            }
            None => Err("it opens what the model does not have"),
        }
    }

    pub(super) fn opens(
        &mut self,
        number: usize,
        call: &Call,
        directory: Option<usize>,
        path: usize,
    ) -> Done<Mark> {
        let new = i32::try_from(returned(call)?).map_err(|_| "no number of a descriptor")?;
        self.disk.end(self.ticket(number));
        let flags = call.arguments.get(path + 1).map_or("", |flags| &flags.text);
        let Some(path) = self.path(call, directory, path)? else {
            self.descriptors.remove(&new);
            return Ok(Mark::Other);
        };
        let inode = self.existing(&path)?;
        self.descriptors.insert(new, self.open.len());
        self.open.push(Open {
            inode,
            cursor: 0,
            appends: flags.contains("O_APPEND"),
        });
        Ok(Mark::Other)
    }

    pub(super) fn duplicates(&mut self, call: &Call) -> Done<Mark> {
        let new = i32::try_from(returned(call)?).map_err(|_| "no number of a descriptor")?;
        match self.opened(call, 0)? {
            Some(open) => self.descriptors.insert(new, open),
            None => self.descriptors.remove(&new),
        };
        Ok(Mark::Other)
    }

    pub(super) fn make_directory(
        &mut self,
        number: usize,
        call: &Call,
        directory: Option<usize>,
        path: usize,
    ) -> Done<Mark> {
        let Some(path) = self.path(call, directory, path)? else {
            return Ok(Mark::Other);
        };
        let at = self.name(&path)?;
        if self.disk.entry(at.0, &at.1).is_some() {
            return Err("it makes what the model has");
        }
        let inode = self.disk.new_directory();
        Ok(self.begin_names(number, NameChange::Link { at, inode }))
    }

    pub(super) fn unlink(
        &mut self,
        number: usize,
        call: &Call,
        directory: Option<usize>,
        path: usize,
    ) -> Done<Mark> {
        let Some(path) = self.path(call, directory, path)? else {
            return Ok(Mark::Other);
        };
        self.existing(&path)?;
        let at = self.name(&path)?;
        Ok(self.begin_names(number, NameChange::Unlink { at }))
    }

    pub(super) fn rename(
        &mut self,
        number: usize,
        call: &Call,
        from: (Option<usize>, usize),
        to: (Option<usize>, usize),
    ) -> Done<Mark> {
        let from = self.path(call, from.0, from.1)?;
        let to = self.path(call, to.0, to.1)?;
        let (from, to) = match (from, to) {
            (None, None) => return Ok(Mark::Other),
            (Some(from), Some(to)) => (from, to),
            _ => return Err("a rename into or out of the directory is not modelled"),
        };
        self.existing(&from)?;
        let (from, to) = (self.name(&from)?, self.name(&to)?);
        Ok(self.begin_names(number, NameChange::Rename { from, to }))
    }

    pub(super) fn link(
        &mut self,
        number: usize,
        call: &Call,
        from: (Option<usize>, usize),
        to: (Option<usize>, usize),
    ) -> Done<Mark> {
        let from = self.path(call, from.0, from.1)?;
        let Some(to) = self.path(call, to.0, to.1)? else {
            return Ok(Mark::Other);
        };
        let inode = self.existing(&from.ok_or("a link to somewhere else is not modelled")?)?;
        let at = self.name(&to)?;
        Ok(self.begin_names(number, NameChange::Link { at, inode }))
    }

    pub(super) fn only_outside(
        &self,
        call: &Call,
        directory: Option<usize>,
        path: usize,
    ) -> Done<Mark> {
        match self.path(call, directory, path)? {
            Some(_) => Err("this call is not modelled"),
            None => Ok(Mark::Other),
        }
    }
}
