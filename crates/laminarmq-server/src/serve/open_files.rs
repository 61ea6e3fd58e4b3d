//! The limit of open files.
//!
//! Shells start programs with a low soft limit (often 1024) under a high hard one; a broker has a few
//! files per partition and one per connection, so it takes what it may.

use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};
use tracing::{debug, warn};

/// Below this a busy broker will meet the limit.
const FILES_WANTED: u64 = 4096;

/// Raises the soft limit to the hard one and says what it is.
pub(super) fn raise_limit() {
    let before = getrlimit(Resource::Nofile);
    if before.current == before.maximum {
        tell(before.current);
        return;
    }
    let raised = Rlimit {
        current: before.maximum,
        maximum: before.maximum,
    };
    match setrlimit(Resource::Nofile, raised) {
        Ok(()) => tell(raised.current),
        Err(error) => {
            let current = before.current.unwrap_or(u64::MAX);
            warn!("cannot raise the limit of open files from {current}: {error}");
        }
    }
}

fn tell(limit: Option<u64>) {
    match limit {
        Some(limit) if limit < FILES_WANTED => warn!(
            "at most {limit} files may be open (the hard limit): connections and partitions \
             share them; raise it with `ulimit -Hn` or LimitNOFILE="
        ),
        Some(limit) => debug!("at most {limit} files may be open"),
        None => debug!("any number of files may be open"),
    }
}
