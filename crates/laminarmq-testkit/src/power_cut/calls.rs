//! What the calls of a traced program do to a [`Disk`].
//!
//! Every call that can change a directory is traced ([`CALLS`]). One that is not understood here is an
//! error, and so is a descriptor that is not known: a model that passes over a change proves nothing.
//! Where a model can still go wrong (positions, names), it is compared with the real directory afterwards.

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use super::disk::{Change, Disk, Entry, Extent, Inode, NameChange, ROOT};
use crate::strace::{Argument, Call, Step, Trace};

/// The calls to trace: those that change files, names or descriptors, or could, and those that send.
pub(crate) const CALLS: &str = "\
    open,openat,openat2,creat,mkdir,mkdirat,mknod,mknodat,symlink,symlinkat,link,linkat,\
    rename,renameat,renameat2,unlink,unlinkat,rmdir,open_by_handle_at,\
    write,writev,pwrite64,pwritev,pwritev2,sendfile,splice,copy_file_range,\
    truncate,ftruncate,fallocate,ioctl,mmap,lseek,\
    fsync,fdatasync,sync,syncfs,sync_file_range,\
    close,close_range,dup,dup2,dup3,fcntl,\
    sendto,sendmsg,sendmmsg,io_uring_setup,io_uring_enter,io_submit,\
    chdir,fchdir,chroot,clone,clone3,fork,vfork,execve";

/// A call that the model does not know, or that contradicts it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unmodelled {
    line: usize,
    call: String,
    why: &'static str,
}

impl fmt::Display for Unmodelled {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { line, call, why } = self;
        write!(f, "line {line} of the trace: {call}: {why}")
    }
}

impl std::error::Error for Unmodelled {}

/// What a step was.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Mark {
    /// Nothing that concerns the disk.
    Other,
    /// A call that changes something begins.
    Change,
    SyncBegins,
    SyncEnded,
}

/// A bug that the broker is taken to have: a check must find it.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum SyncBug {
    /// None: syncs are what they are.
    #[default]
    None,
    /// The files whose path contains this are never synced.
    NoSync(&'static str),
    /// A sync of these files covers what the sync before it should have.
    LateSync(&'static str),
    /// Directories are never synced.
    NoNames,
}

/// An open file description.
#[derive(Debug, Clone)]
struct Open {
    inode: Inode,
    cursor: usize,
    appends: bool,
}

/// A program on the disk. The model's root stands for one directory, in which the program was started.
#[derive(Debug)]
pub(crate) struct Machine {
    pub(crate) disk: Disk,
    /// The path that the root stands for.
    root: String,
    bug: SyncBug,
    /// By file: what the sync before was to cover.
    late: HashMap<Inode, u64>,
    /// What the descriptors stand for that lead below the root.
    descriptors: HashMap<i32, usize>,
    open: Vec<Open>,
    /// The running syncs, by call: what they cover.
    syncs: HashMap<usize, (Extent, u64)>,
    /// Calls of earlier programs, so that tickets differ.
    calls_before: u64,
    started: bool,
}

type Done<T> = Result<T, &'static str>;

impl Machine {
    pub(crate) fn new(root: &Path, bug: SyncBug) -> Self {
        Self {
            disk: Disk::new(),
            root: root.to_str().expect("paths are UTF-8").to_owned(),
            bug,
            late: HashMap::new(),
            descriptors: HashMap::new(),
            open: Vec::new(),
            syncs: HashMap::new(),
            calls_before: 0,
            started: false,
        }
    }

    /// Another program begins on the same disk. Nothing of the one before, which has this trace, runs.
    pub(crate) fn restart(&mut self, trace: &Trace) {
        self.calls_before += trace.calls.len() as u64;
        self.descriptors.clear();
        self.open.clear();
        self.syncs.clear();
        self.started = false;
    }

    /// Takes one step.
    pub(crate) fn step(&mut self, trace: &Trace, step: Step) -> Result<Mark, Unmodelled> {
        let (Step::Enter(number) | Step::Exit(number)) = step;
        let call = &trace.calls[number];
        let done = match step {
            // What became of a call in which the program was killed is looked up afterwards.
            Step::Enter(_) if call.result.is_none() => self.enter(number, call).or(Ok(Mark::Other)),
            Step::Enter(_) => self.enter(number, call),
            Step::Exit(_) => self.exit(number, call),
        };
        done.map_err(|why| Unmodelled {
            line: call.line,
            call: call.name.clone(),
            why,
        })
    }

    fn ticket(&self, number: usize) -> u64 {
        self.calls_before + number as u64
    }

    fn enter(&mut self, number: usize, call: &Call) -> Done<Mark> {
        if call.result.is_some_and(|result| result < 0) {
            return match call.name.as_str() {
                "fsync" | "fdatasync" | "sync" | "syncfs" if self.leads_inside(call, 0)? => {
                    Err("a sync failed")
                }
                _ => Ok(Mark::Other),
            };
        }
        match call.name.as_str() {
            "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2" => self.write(number, call),
            "truncate" => match self.path(call, None, 0)? {
                Some(path) => {
                    let inode = self.existing(&path)?;
                    self.change(number, inode, Change::SetLength(number_of(call, 1)?))
                }
                None => Ok(Mark::Other),
            },
            "ftruncate" => match self.opened(call, 0)? {
                Some(open) => {
                    let inode = self.open[open].inode;
                    self.change(number, inode, Change::SetLength(number_of(call, 1)?))
                }
                None => Ok(Mark::Other),
            },
            "fallocate" => self.allocate(number, call),
            "open" => self.create_at_open(number, call, None, 0),
            "openat" => self.create_at_open(number, call, Some(0), 1),
            "mkdir" => self.make_directory(number, call, None, 0),
            "mkdirat" => self.make_directory(number, call, Some(0), 1),
            "unlink" | "rmdir" => self.unlink(number, call, None, 0),
            "unlinkat" => self.unlink(number, call, Some(0), 1),
            "rename" => self.rename(number, call, (None, 0), (None, 1)),
            "renameat" => self.rename(number, call, (Some(0), 1), (Some(2), 3)),
            "renameat2" => {
                let flags = text_of(call, 4)?;
                if flags != "0" && flags != "RENAME_NOREPLACE" {
                    return Err("a rename with these flags is not modelled");
                }
                self.rename(number, call, (Some(0), 1), (Some(2), 3))
            }
            "link" => self.link(number, call, (None, 0), (None, 1)),
            "linkat" => self.link(number, call, (Some(0), 1), (Some(2), 3)),
            "fsync" | "fdatasync" => match self.opened(call, 0)? {
                Some(open) => {
                    let inode = self.open[open].inode;
                    let now = self.disk.exits();
                    let covers = match self.bug {
                        SyncBug::NoSync(path) if call.target().contains(path) => None,
                        SyncBug::LateSync(path) if call.target().contains(path) => {
                            Some(self.late.insert(inode, now).unwrap_or(0))
                        }
                        SyncBug::NoNames if self.disk.length(inode).is_none() => None,
                        _ => Some(now),
                    };
                    if let Some(exits) = covers {
                        self.syncs.insert(number, (Extent::One(inode), exits));
                    }
                    Ok(Mark::SyncBegins)
                }
                None => Ok(Mark::Other),
            },
            "sync" | "syncfs" => {
                if call.name == "syncfs" && !self.leads_inside(call, 0)? {
                    return Err("it may be of another file system");
                }
                self.syncs.insert(number, (Extent::All, self.disk.exits()));
                Ok(Mark::SyncBegins)
            }
            // It promises nothing that a power cut leaves.
            "sync_file_range" => Ok(Mark::Other),
            "close" => {
                // At the beginning: once the number is free, another thread may get it.
                if self.opened(call, 0)?.is_some() {
                    self.descriptors.remove(&descriptor(call, 0)?);
                }
                Ok(Mark::Other)
            }
            "lseek" | "dup" | "dup2" | "dup3" => Ok(Mark::Other),
            "fcntl" => match text_of(call, 1)? {
                "F_SETFL" if self.leads_inside(call, 0)? => Err("it may change how writes work"),
                _ => Ok(Mark::Other),
            },
            "mmap" => {
                let writes = text_of(call, 2)?.contains("PROT_WRITE")
                    && text_of(call, 3)?.contains("MAP_SHARED");
                if writes && self.leads_inside(call, 4)? {
                    return Err("writes through a mapping are not seen");
                }
                Ok(Mark::Other)
            }
            "ioctl" if !self.leads_inside(call, 0)? => Ok(Mark::Other),
            "close_range" => {
                let (first, last) = (number_of(call, 0)?, number_of(call, 1)?);
                let within = |&number: &i32| {
                    usize::try_from(number).is_ok_and(|number| (first..=last).contains(&number))
                };
                self.descriptors.retain(|number, _| !within(number));
                Ok(Mark::Other)
            }
            "sendto" | "sendmsg" => Ok(Mark::Other),
            "clone" | "clone3" => {
                let shares = |argument: &Argument| argument.text.contains("CLONE_FILES");
                if call.arguments.iter().any(shares) {
                    Ok(Mark::Other)
                } else {
                    Err("a second process is not modelled")
                }
            }
            "execve" if !self.started => {
                self.started = true;
                Ok(Mark::Other)
            }
            "creat" | "mknod" | "symlink" => self.only_outside(call, None, call_path(call)),
            "openat2" | "mknodat" => self.only_outside(call, Some(0), 1),
            "symlinkat" => self.only_outside(call, Some(1), 2),
            _ => Err("this call is not modelled"),
        }
    }

    fn exit(&mut self, number: usize, call: &Call) -> Done<Mark> {
        if !call.succeeded() {
            return Ok(Mark::Other);
        }
        match call.name.as_str() {
            "fsync" | "fdatasync" | "sync" | "syncfs" => {
                if let Some((extent, exits)) = self.syncs.remove(&number) {
                    self.disk.synced(extent, exits);
                    return Ok(Mark::SyncEnded);
                }
                Ok(Mark::Other)
            }
            "open" => self.opens(number, call, None, 0),
            "openat" => self.opens(number, call, Some(0), 1),
            "dup" | "dup2" | "dup3" => self.duplicates(call),
            "fcntl" if text_of(call, 1)?.starts_with("F_DUPFD") => self.duplicates(call),
            "lseek" => {
                if let Some(open) = self.opened(call, 0)? {
                    self.open[open].cursor = returned(call)?;
                }
                Ok(Mark::Other)
            }
            _ => {
                self.disk.end(self.ticket(number));
                Ok(Mark::Other)
            }
        }
    }

    fn write(&mut self, number: usize, call: &Call) -> Done<Mark> {
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

    fn allocate(&mut self, number: usize, call: &Call) -> Done<Mark> {
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

    fn change(&mut self, number: usize, inode: Inode, change: Change) -> Done<Mark> {
        self.disk.length(inode).ok_or("only files have content")?;
        let ticket = self.ticket(number);
        self.disk.begin_change(ticket, inode, change);
        Ok(Mark::Change)
    }

    fn begin_names(&mut self, number: usize, change: NameChange) -> Mark {
        self.disk.begin_names(self.ticket(number), change);
        Mark::Change
    }

    /// What opening changes: a file that is made, or emptied.
    fn create_at_open(
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

    fn opens(
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

    fn duplicates(&mut self, call: &Call) -> Done<Mark> {
        let new = i32::try_from(returned(call)?).map_err(|_| "no number of a descriptor")?;
        match self.opened(call, 0)? {
            Some(open) => self.descriptors.insert(new, open),
            None => self.descriptors.remove(&new),
        };
        Ok(Mark::Other)
    }

    fn make_directory(
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

    fn unlink(
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

    fn rename(
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

    fn link(
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

    fn only_outside(&self, call: &Call, directory: Option<usize>, path: usize) -> Done<Mark> {
        match self.path(call, directory, path)? {
            Some(_) => Err("this call is not modelled"),
            None => Ok(Mark::Other),
        }
    }

    /// Where a path leads that is below the root: a directory, and the rest of the path from there.
    fn path(
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
    fn below_root<'a>(&self, path: &'a str) -> Option<&'a str> {
        let rest = path.strip_prefix(&self.root)?;
        (rest.is_empty() || rest.starts_with('/')).then_some(rest)
    }

    fn found(&self, (directory, path): &(Inode, String)) -> Done<Option<Inode>> {
        Ok(self.disk.find_from(*directory, path))
    }

    fn existing(&self, path: &(Inode, String)) -> Done<Inode> {
        self.found(path)?.ok_or("the model does not have this path")
    }

    /// The directory and the name in it.
    fn name(&self, (directory, path): &(Inode, String)) -> Done<Entry> {
        let path = path.trim_end_matches('/');
        let (parent, name) = path.rsplit_once('/').unwrap_or(("", path));
        let parent = self.disk.find_from(*directory, parent);
        let parent = parent.ok_or("the model does not have this directory")?;
        Ok((parent, name.to_owned()))
    }

    /// What a descriptor stands for, when it leads below the root.
    fn opened(&self, call: &Call, argument: usize) -> Done<Option<usize>> {
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

    fn leads_inside(&self, call: &Call, argument: usize) -> Done<bool> {
        Ok(!call.arguments.is_empty() && self.opened(call, argument)?.is_some())
    }
}

/// Where the calls without a directory have the path of what they make.
fn call_path(call: &Call) -> usize {
    usize::from(call.name == "symlink")
}

fn descriptor(call: &Call, argument: usize) -> Done<i32> {
    let given = call.arguments.get(argument);
    let given = given.and_then(|given| given.descriptor.as_ref()?.number);
    given.ok_or("it has no descriptor")
}

fn text_of(call: &Call, argument: usize) -> Done<&str> {
    let given = call.arguments.get(argument);
    Ok(&given.ok_or("it has too few arguments")?.text)
}

fn number_of(call: &Call, argument: usize) -> Done<usize> {
    let text = text_of(call, argument)?;
    text.parse().map_err(|_| "an argument is no number")
}

fn returned(call: &Call) -> Done<usize> {
    let result = call.result.ok_or("it did not return")?;
    usize::try_from(result).map_err(|_| "it failed")
}

#[cfg(test)]
#[path = "calls_tests.rs"]
mod tests;
