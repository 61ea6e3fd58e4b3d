//! Making it durable: at once, or with tickets that run on other threads.
//!
//! A ticket covers all changes up to its own number, whichever files they touched. Completing it moves the
//! durable index to where the log ended when the ticket was taken, unless the log was truncated since:
//! then the index says nothing about the bytes any more, and the next ticket has to.

use std::fmt;
use std::io;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::Log;
use crate::env::{LogEnv, Part, SegmentEnv, SyncNow};
use crate::error::{Poisoned, SyncError};
use crate::segment::{Segment, SegmentEnd};

/// The syncs that make everything durable that had been appended when it was taken.
///
/// Dropping it loses nothing: the next ticket covers the same and more.
#[must_use = "nothing becomes durable before the ticket ran and was completed"]
pub struct SyncTicket<E: LogEnv> {
    jobs: Vec<E::Sync>,
    done: SyncDone,
}

impl<E: LogEnv> fmt::Debug for SyncTicket<E> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SyncTicket")
            .field("syncs", &self.jobs.len())
            .field("done", &self.done)
            .finish()
    }
}

/// A ticket that ran, for [`Log::complete`].
#[derive(Debug)]
#[must_use = "the log does not know yet that the ticket ran"]
pub struct SyncDone {
    /// Whose ticket it was.
    log: Arc<AtomicU64>,
    up_to: u64,
    changes: u64,
    /// Base index and number of index writes that are covered too.
    indexes: Vec<(u64, u64)>,
    outcome: Result<(), io::ErrorKind>,
}

impl<E: LogEnv> SyncTicket<E> {
    /// One past the last record that the ticket covers.
    #[must_use]
    pub fn up_to(&self) -> u64 {
        self.done.up_to
    }

    /// Syncs, blocking. To be called on any thread; the log works on meanwhile.
    pub fn run(self) -> SyncDone {
        let outcome = self
            .jobs
            .iter()
            .try_for_each(SyncNow::sync)
            .map_err(|error| error.kind());
        SyncDone {
            outcome,
            ..self.done
        }
    }
}

impl SyncDone {
    /// One past the last record that was synced.
    #[must_use]
    pub fn up_to(&self) -> u64 {
        self.up_to
    }

    /// Whether the syncs succeeded.
    #[must_use]
    pub fn is_ok(&self) -> bool {
        self.outcome.is_ok()
    }
}

impl<E: LogEnv> Log<E> {
    /// A ticket for everything that is not durable yet; `None` where there is nothing. Tickets may overlap
    /// and complete in any order.
    pub fn sync_ticket(&mut self) -> Option<SyncTicket<E>> {
        if self.synced == self.changes || self.poisoned.is_some() {
            return None;
        }
        let mut jobs = Vec::new();
        let mut indexes = Vec::new();
        let last = self.segments.len() - 1;
        for (number, segment) in self.segments.iter().enumerate() {
            if segment.changed_at > self.synced {
                jobs.push(self.env.sync_handle(&segment.files.store));
            }
            let is_complete = number < last || segment.has_footer();
            if is_complete && segment.index_writes > segment.index_synced {
                jobs.push(self.env.sync_handle(&segment.files.index));
                indexes.push((segment.base(), segment.index_writes));
            }
        }
        if self.names_changed_at > self.synced {
            jobs.push(self.env.names_sync_handle());
        }
        self.pace.syncing(self.env.now_ms());
        let done = SyncDone {
            log: Arc::clone(&self.truncations),
            up_to: self.end_index(),
            changes: self.changes,
            indexes,
            outcome: Ok(()),
        };
        Some(SyncTicket { jobs, done })
    }

    /// Takes note of a ticket that ran, and returns the durable index.
    ///
    /// # Errors
    ///
    /// When the ticket's syncs failed, or the log had been poisoned before. A failed sync poisons the log
    /// for good: the system may have dropped the bytes, and a second try would succeed without them.
    ///
    /// # Panics
    ///
    /// When the ticket is of another log.
    pub fn complete(&mut self, done: SyncDone) -> Result<u64, Poisoned> {
        let SyncDone {
            log,
            up_to,
            changes,
            indexes,
            outcome,
        } = done;
        assert!(
            Arc::ptr_eq(&log, &self.truncations),
            "a ticket returns to the log it came from"
        );
        self.check_poisoned()?;
        if let Err(kind) = outcome {
            return Err(self.poison("syncing", kind));
        }
        // After a reset another file may have this base.
        let indexes = indexes.into_iter().filter(|_| changes >= self.truncated_at);
        for (base, writes) in indexes {
            if let Some(segment) = self
                .segments
                .iter_mut()
                .find(|segment| segment.base() == base)
            {
                segment.index_synced = segment.index_synced.max(writes);
            }
        }
        self.synced_up_to(changes, up_to);
        Ok(self.durable)
    }
}

impl<E: SegmentEnv> Log<E> {
    fn synced_up_to(&mut self, changes: u64, up_to: u64) {
        self.synced = self.synced.max(changes);
        if changes >= self.truncated_at {
            self.set_durable(self.durable.max(up_to));
        }
    }

    /// Makes everything durable that was appended, and returns then.
    ///
    /// # Errors
    ///
    /// When a sync fails. That poisons the log for good.
    pub async fn sync(&mut self) -> Result<(), SyncError> {
        self.check_poisoned()?;
        self.pace.syncing(self.env.now_ms());
        if self.synced < self.changes {
            if let Err((segment, source)) = self.sync_files().await {
                self.poison("syncing", source.kind());
                return Err(SyncError::Io { segment, source });
            }
            self.synced_up_to(self.changes, self.end_index());
        }
        self.seal_durable().await;
        Ok(())
    }

    async fn sync_files(&mut self) -> Result<(), (u64, io::Error)> {
        let last = self.segments.len() - 1;
        for (number, segment) in self.segments.iter_mut().enumerate() {
            let base = segment.base();
            let at = |error| (base, error);
            if segment.changed_at > self.synced {
                self.env
                    .sync(base, &mut segment.files, Part::Store)
                    .await
                    .map_err(at)?;
            }
            if number < last {
                sync_index(&mut self.env, segment).await.map_err(at)?;
            }
        }
        if self.names_changed_at > self.synced {
            let base = self.end_index();
            self.env.sync_names().await.map_err(|error| (base, error))?;
        }
        Ok(())
    }

    /// Makes everything durable and marks the log as closed in order, so that opening it again needs no
    /// scan. Dropping a log instead is like killing the process: what was appended is still there.
    ///
    /// # Errors
    ///
    /// When a sync or the last write to an index fails.
    pub async fn close(mut self) -> Result<(), SyncError> {
        self.begin_change().await?;
        self.sync().await?;
        let last = self.segments.len() - 1;
        for (number, segment) in self.segments.iter_mut().enumerate() {
            let base = segment.base();
            let at = |source| SyncError::Io {
                segment: base,
                source,
            };
            let end_as = if number < last {
                SegmentEnd::Sealed
            } else {
                SegmentEnd::Closed
            };
            // Records that came after an earlier orderly end made its footer stale.
            let is_whole = segment.footer == end_as && segment.entries_written == segment.count;
            if !is_whole {
                if segment.complete().await.map_err(at)? {
                    let files = &mut segment.files;
                    let synced = self.env.sync(base, files, Part::Store).await;
                    synced.map_err(at)?;
                }
                sync_index(&mut self.env, segment).await.map_err(at)?;
                segment.write_footer(end_as).await.map_err(at)?;
            }
            sync_index(&mut self.env, segment).await.map_err(at)?;
        }
        for segment in self.segments {
            let base = segment.base();
            let closed = self.env.close(base, segment.files).await;
            closed.map_err(|source| SyncError::Io {
                segment: base,
                source,
            })?;
        }
        Ok(())
    }
}

/// Syncs what was written to a segment's index. A footer vouches for the entries before it, so they are on
/// the media before it is written.
pub(super) async fn sync_index<E: SegmentEnv>(
    env: &mut E,
    segment: &mut Segment<E::File>,
) -> io::Result<()> {
    if segment.index_writes > segment.index_synced {
        let base = segment.base();
        env.sync(base, &mut segment.files, Part::Index).await?;
        segment.index_synced = segment.index_writes;
    }
    Ok(())
}
