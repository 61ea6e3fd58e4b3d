//! The two places where an image is opened: memory, and files of a real directory.

use std::cell::Cell;
use std::collections::BTreeMap;
use std::path::Path;

use laminarmq::{FileEnv, Log, LogEnv, LogOptions, MemEnv, OpenError, Part, poll_ready};
use tempfile::TempDir;

use crate::common::{bases, fast_dir};

/// All bytes of a log's disk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub(crate) struct Picture {
    /// By base index.
    pub(crate) stores: BTreeMap<u64, Vec<u8>>,
    /// By base index.
    pub(crate) indexes: BTreeMap<u64, Vec<u8>>,
    pub(crate) start: Option<Vec<u8>>,
}

impl Picture {
    pub(crate) fn of_disk(disk: &MemEnv) -> Self {
        let bases = bases(disk);
        let files = |part| {
            let file = |base: &u64| Some((*base, disk.file(*base, part)?));
            bases.iter().filter_map(file).collect()
        };
        Self {
            stores: files(Part::Store),
            indexes: files(Part::Index),
            start: disk.start_file(),
        }
    }

    fn of_dir(dir: &Path) -> Self {
        let mut picture = Self::default();
        for entry in std::fs::read_dir(dir).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap();
            let bytes = std::fs::read(&path).unwrap();
            if name == "log.start" {
                picture.start = Some(bytes);
            } else if let Some(base) = name.strip_suffix(".log") {
                picture.stores.insert(base.parse().unwrap(), bytes);
            } else if let Some(base) = name.strip_suffix(".index") {
                picture.indexes.insert(base.parse().unwrap(), bytes);
            }
        }
        picture
    }
}

/// Where a log is opened.
pub(crate) trait Ground {
    type Env: LogEnv;
    /// Puts an image there, in the place of what was there before, and says what it looks like.
    fn lay(&mut self, image: &MemEnv) -> Picture;
    fn env(&self) -> Self::Env;
    fn open(&self, options: LogOptions) -> Result<Log<Self::Env>, OpenError>;
    fn picture(&self) -> Picture;
    /// Whether the ground itself was told to fail, beside what is around it. It does not from now on.
    fn calm(&self) -> bool {
        false
    }
}

#[derive(Default)]
pub(crate) struct Memory {
    pub(crate) disk: MemEnv,
    is_failing: Cell<bool>,
}

impl Memory {
    /// Lets one call of the disk itself fail, the one after `after` others: a sync, or a change. Some of them
    /// happen inside one call of the environment.
    pub(crate) fn fail(&self, sync: bool, after: u64) {
        self.is_failing.set(true);
        if sync {
            self.disk.fail_sync(Some(after));
        } else {
            self.disk.fail_call(Some(after));
        }
    }
}

impl Ground for Memory {
    type Env = MemEnv;

    fn lay(&mut self, image: &MemEnv) -> Picture {
        self.disk = image.copy();
        Picture::of_disk(image)
    }

    fn env(&self) -> MemEnv {
        self.disk.clone()
    }

    fn open(&self, options: LogOptions) -> Result<Log<MemEnv>, OpenError> {
        poll_ready(Log::open_with(self.disk.clone(), options))
    }

    fn picture(&self) -> Picture {
        Picture::of_disk(&self.disk)
    }

    fn calm(&self) -> bool {
        self.disk.fail_call(None);
        self.disk.fail_sync(None);
        self.is_failing.replace(false)
    }
}

pub(crate) struct Files {
    dir: TempDir,
}

impl Files {
    pub(crate) fn new() -> Self {
        let dir = tempfile::tempdir_in(fast_dir()).unwrap();
        Self { dir }
    }

    pub(crate) fn path(&self) -> &Path {
        self.dir.path()
    }
}

impl Ground for Files {
    type Env = FileEnv;

    fn lay(&mut self, image: &MemEnv) -> Picture {
        for entry in std::fs::read_dir(self.path()).unwrap() {
            std::fs::remove_file(entry.unwrap().path()).unwrap();
        }
        image.write_to_dir(self.path()).unwrap();
        Picture::of_disk(image)
    }

    fn env(&self) -> FileEnv {
        FileEnv::new(self.path()).unwrap()
    }

    fn open(&self, options: LogOptions) -> Result<Log<FileEnv>, OpenError> {
        Log::open_dir(self.path(), options)
    }

    fn picture(&self) -> Picture {
        Picture::of_dir(self.path())
    }
}
