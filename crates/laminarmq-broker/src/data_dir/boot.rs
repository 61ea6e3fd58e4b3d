//! `boot.json`: whether the machine crashed since it last had to hold what was only written.
//!
//! - The file names the start of the machine under which everything that is in the directory was written. It is
//!   there, and says so on disk, before anything else is written under that start.
//! - After a stop in order it says that nothing is left to write.
//! - So a file of another start that does not say so means: what was written and not synced may be gone. The file
//!   stays as it is until each replica that may have lost something has it again: a start in between comes to the
//!   same result.
//! - A machine that does not name its starts may have crashed each time that the broker did.

use super::error::DataDirError;
use super::files;
use crate::env::Env;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use tokio::sync::watch;

const FILE: &str = "boot.json";
const VERSION: u32 = 1;

/// What the file holds.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct Record {
    version: u32,
    /// The machine's start; null where it does not name them.
    boot_id: Option<String>,
    /// Everything that was written is synced.
    clean: bool,
}

/// See the module's documentation.
#[derive(Debug)]
pub(crate) struct Boot {
    root: PathBuf,
    now: Option<String>,
    crashed: AtomicBool,
    /// How many replicas are in doubt.
    doubts: Arc<watch::Sender<u32>>,
}

/// A replica that is in doubt. Dropped as such it stays so until the next start.
#[derive(Debug)]
pub(crate) struct InDoubt(Arc<watch::Sender<u32>>);

impl InDoubt {
    /// It is not any more.
    pub(crate) fn settle(self) {
        self.0.send_modify(|count| *count -= 1);
    }
}

impl Boot {
    /// Reads the record, and makes a new one unless the machine crashed. `is_new`: nothing was ever written here.
    pub(super) fn open(root: &Path, env: &Env, is_new: bool) -> Result<Self, DataDirError> {
        let now = env.boot_id();
        let crashed = !is_new && !Self::read(root)?.is_some_and(|it| it.covers(now.as_ref()));
        let boot = Self {
            root: root.to_owned(),
            now,
            crashed: AtomicBool::new(crashed),
            doubts: Arc::new(watch::Sender::new(0)),
        };
        if !crashed {
            boot.write(boot.now.clone(), false)?;
        }
        Ok(boot)
    }

    fn read(root: &Path) -> Result<Option<Record>, DataDirError> {
        let path = root.join(FILE);
        let Some(content) = files::read_whole(&path)? else {
            return Ok(None);
        };
        let record: Record =
            serde_json::from_slice(&content).map_err(|error| DataDirError::Damaged {
                path: path.clone(),
                reason: error.to_string(),
            })?;
        if record.version != VERSION {
            return Err(DataDirError::OtherFormat {
                path,
                found: record.version,
                known: VERSION,
            });
        }
        Ok(Some(record))
    }

    fn write(&self, boot_id: Option<String>, clean: bool) -> Result<(), DataDirError> {
        let record = Record {
            version: VERSION,
            boot_id,
            clean,
        };
        let mut text =
            serde_json::to_string_pretty(&record).expect("plain fields always serialise");
        text.push('\n');
        files::write_whole(&self.root, FILE, text.as_bytes())
    }

    /// Whether what was written and not synced may be gone.
    pub(crate) fn crashed(&self) -> bool {
        self.crashed.load(Ordering::Acquire)
    }

    /// Something that was only written is gone, and the machine did not crash: that counts alike from now on.
    pub(crate) fn suspect(&self) -> Result<(), DataDirError> {
        if self.crashed.swap(true, Ordering::AcqRel) {
            return Ok(());
        }
        self.write(None, false)
    }

    /// Counts a replica that is in doubt.
    pub(crate) fn doubt(&self) -> InDoubt {
        self.doubts.send_modify(|count| *count += 1);
        InDoubt(Arc::clone(&self.doubts))
    }

    /// After a crash, when all partitions were opened: waits until no replica is in doubt any more, and puts that on
    /// record.
    pub(crate) async fn settle(&self) -> Result<(), DataDirError> {
        if !self.crashed() {
            return Ok(());
        }
        let mut doubts = self.doubts.subscribe();
        let settled = doubts.wait_for(|count| *count == 0).await;
        settled.expect("the sender is here");
        // Small, and once after a crash.
        self.write(self.now.clone(), false)
    }

    /// The broker has stopped in order, and synced everything.
    pub(crate) fn close(&self) -> Result<(), DataDirError> {
        if *self.doubts.borrow() > 0 {
            return Ok(());
        }
        self.write(self.now.clone(), true)
    }
}

impl Record {
    /// Whether a machine that was started as `now` has all that was written.
    fn covers(&self, now: Option<&String>) -> bool {
        self.clean || (now.is_some() && self.boot_id.as_ref() == now)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::env::{Clock, Entropy};
    use std::time::Duration;
    use tokio::time::timeout;

    struct Machine(Option<&'static str>);

    impl Clock for Machine {
        fn now_ms(&self) -> i64 {
            0
        }

        fn boot_id(&self) -> Option<String> {
            self.0.map(str::to_owned)
        }
    }

    impl Entropy for Machine {
        fn next_u64(&self) -> u64 {
            0
        }
    }

    fn open(root: &Path, boot: Option<&'static str>, is_new: bool) -> Boot {
        let env = Env::new(Arc::new(Machine(boot)), Arc::new(Machine(None)));
        Boot::open(root, &env, is_new).unwrap()
    }

    #[test]
    fn a_crash_of_the_machine_is_told_from_one_of_the_process_and_from_a_stop() {
        let dir = tempfile::tempdir().unwrap();
        let open = |boot, is_new| open(dir.path(), boot, is_new);
        assert!(!open(Some("a"), true).crashed());
        assert!(!open(Some("a"), false).crashed(), "the process was killed");
        assert!(open(Some("b"), false).crashed());
        assert!(open(Some("b"), false).crashed(), "nothing was settled");
        let stopped = open(Some("a"), false);
        assert!(!stopped.crashed());
        stopped.close().unwrap();
        assert!(!open(Some("b"), false).crashed(), "it was stopped in order");
        assert!(open(Some("c"), false).crashed());
    }

    #[test]
    fn where_starts_have_no_names_only_a_stop_in_order_says_that_nothing_is_lost() {
        let dir = tempfile::tempdir().unwrap();
        assert!(!open(dir.path(), None, true).crashed());
        let again = open(dir.path(), None, false);
        assert!(again.crashed());
        again.close().unwrap();
        assert!(!open(dir.path(), None, false).crashed());
        assert!(open(dir.path(), None, false).crashed());
    }

    #[test]
    fn a_directory_of_before_may_have_lost_something() {
        let dir = tempfile::tempdir().unwrap();
        assert!(open(dir.path(), Some("a"), false).crashed());
    }

    #[tokio::test(start_paused = true)]
    async fn a_crash_is_settled_when_no_replica_is_in_doubt() {
        let dir = tempfile::tempdir().unwrap();
        drop(open(dir.path(), Some("a"), true));
        let boot = open(dir.path(), Some("b"), false);
        let (first, second) = (boot.doubt(), boot.doubt());
        first.settle();
        let wait = Duration::from_secs(5);
        assert!(timeout(wait, boot.settle()).await.is_err());
        // Nor is it, when it is stopped.
        boot.close().unwrap();
        assert!(open(dir.path(), Some("b"), false).crashed());
        second.settle();
        boot.settle().await.unwrap();
        assert!(!open(dir.path(), Some("b"), false).crashed());
    }

    #[tokio::test]
    async fn what_is_gone_without_a_crash_counts_as_one_until_it_is_settled() {
        let dir = tempfile::tempdir().unwrap();
        let boot = open(dir.path(), Some("a"), true);
        boot.suspect().unwrap();
        assert!(boot.crashed());
        let boot = open(dir.path(), Some("a"), false);
        assert!(boot.crashed());
        boot.settle().await.unwrap();
        assert!(!open(dir.path(), Some("a"), false).crashed());
    }

    #[tokio::test(start_paused = true)]
    async fn who_is_closed_in_doubt_stays_in_doubt() {
        let dir = tempfile::tempdir().unwrap();
        let boot = open(dir.path(), Some("b"), false);
        drop(boot.doubt());
        let wait = Duration::from_secs(5);
        assert!(timeout(wait, boot.settle()).await.is_err());
        boot.close().unwrap();
        assert!(open(dir.path(), Some("b"), false).crashed());
    }

    #[test]
    fn what_is_no_record_is_refused() {
        let dir = tempfile::tempdir().unwrap();
        let env = Env::new(Arc::new(Machine(None)), Arc::new(Machine(None)));
        for (content, wrong) in [
            ("{", "damaged"),
            (r#"{"version": 9, "boot_id": null, "clean": true}"#, "9"),
        ] {
            std::fs::write(dir.path().join(FILE), content).unwrap();
            let error = Boot::open(dir.path(), &env, false).unwrap_err();
            assert!(error.to_string().contains(wrong), "{error}");
        }
    }
}
