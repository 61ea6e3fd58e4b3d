//! What the calls of a traced program do to a [`Disk`].
//!
//! Every call that can change a directory is traced ([`CALLS`]). One that is not understood here is an
//! error, and so is a descriptor that is not known: a model that passes over a change proves nothing.
//! Where a model can still go wrong (positions, names), it is compared with the real directory afterwards.

mod arguments;
mod changes;

use std::collections::HashMap;
use std::fmt;
use std::path::Path;

use super::disk::{Change, Disk, Extent, Inode};
use crate::strace::{Argument, Call, Step, Trace};
use arguments::{call_path, descriptor, number_of, returned, text_of};

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
pub(crate) struct Unmodelled {
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
}

#[cfg(test)]
mod tests;
