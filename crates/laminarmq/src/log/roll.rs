//! Rolling: a new write segment behind the old one, which gets its footer once it is durable.

use std::io::{self, IoSlice};

use super::{IndexCache, Log};
use crate::env::{LogFile, SegmentEnv};
use crate::error::{AppendError, TruncateError};
use crate::format::FileHeader;
use crate::segment::{Segment, SegmentEnd};

impl<E: SegmentEnv> Log<E> {
    /// Starts a new write segment at the log's end. Does nothing where the write segment is empty.
    ///
    /// Does not wait for the disk, unless there was no sync since the roll before: then the name of that
    /// roll's segment is synced first, so that a crash can only ever take the last one.
    ///
    /// # Errors
    ///
    /// The log is as it was before, unless the error is [`AppendError::Poisoned`].
    pub async fn roll(&mut self) -> Result<(), AppendError> {
        self.begin_change().await?;
        if self.write_segment().count == 0 {
            return Ok(());
        }
        if self.names_changed_at > self.synced {
            if let Err(error) = self.env.sync_names().await {
                return Err(self.poison("syncing the directory", error.kind()).into());
            }
            self.names_changed_at = 0;
        }
        let forget = match self.options.index_cache {
            IndexCache::Recent | IndexCache::Segments(0) => true,
            IndexCache::Segments(_) | IndexCache::All => false,
        };
        let old = self.write_segment_mut();
        let (previous_base, base_index) = (old.base(), old.end());
        let completed = if forget || !E::File::IN_MEMORY {
            old.complete().await
        } else {
            old.give_back().await
        };
        let was_cut = completed.map_err(|source| AppendError::Io {
            segment: previous_base,
            source,
        })?;
        let header = FileHeader {
            base_index,
            created_ms: self.env.now_ms(),
            durable_index: self.durable,
            previous_base,
            checksum: self.env.value_checksum().kind(),
        };
        let segment = match create(&mut self.env, header).await {
            Ok(segment) => segment,
            Err(Failed::Undone(source)) => {
                // The name may be on the media already, and its removal not yet.
                self.changed();
                self.names_changed_at = self.changes;
                return Err(AppendError::Io {
                    segment: base_index,
                    source,
                });
            }
            Err(Failed::Stuck(error)) => {
                return Err(self
                    .poison("removing a segment that could not be created", error.kind())
                    .into());
            }
        };
        let changes = self.changes + 1;
        let old = self.write_segment_mut();
        if forget {
            old.entries.forget_all();
        }
        if was_cut {
            old.changed_at = changes;
        }
        old.rest();
        self.segments.push_back(segment);
        self.segments_changed();
        self.changed();
        self.names_changed_at = self.changes;
        self.unsealed = true;
        self.sealed_for = previous_base; // the old segment may be durable already
        Ok(())
    }

    /// Begins the write segment, which has no records, anew: as if it were created now. A crash while it runs leaves
    /// it as it was, or without a header, as a roll does.
    ///
    /// # Errors
    ///
    /// The storage refused; the log is poisoned then.
    pub(crate) async fn renew_write_segment(&mut self) -> Result<(), TruncateError> {
        self.begin_change().await?;
        let header = FileHeader {
            created_ms: self.env.now_ms(),
            durable_index: self.durable,
            ..self.write_segment().header
        };
        let segment = self.write_segment_mut();
        assert_eq!(segment.count, 0, "records would be lost");
        let base = segment.base();
        segment.restart(header);
        if let Err(source) = write_headers(segment).await {
            self.poison("beginning a segment anew", source.kind());
            return Err(TruncateError::Io {
                segment: base,
                source,
            });
        }
        self.changed();
        Ok(())
    }

    /// Whether [`Self::seal_durable`] may have something to do.
    pub(super) fn may_seal(&self) -> bool {
        self.unsealed && self.sealed_for != self.durable
    }

    /// Gives their footers to segments that are complete and durable, entries included: a footer must not
    /// reach the media before the entries that it vouches for. It only spares the next open a
    /// scan, so a failure is no reason to stop.
    pub(super) async fn seal_durable(&mut self) {
        if !self.may_seal() {
            return;
        }
        let durable = self.durable;
        self.sealed_for = durable;
        let sealed = self.segments.len() - 1;
        let mut waiting = false;
        for segment in self.segments.iter_mut().take(sealed).rev() {
            if segment.footer == SegmentEnd::Sealed {
                break;
            }
            let is_synced =
                segment.index_synced == segment.index_writes && segment.changed_at <= self.synced;
            if segment.end() > durable || !is_synced {
                waiting = true;
            } else if let Err(error) = segment.write_footer(SegmentEnd::Sealed).await {
                tracing::warn!(segment = segment.base(), %error, "no footer; the next open scans this segment");
            }
            segment.rest();
        }
        self.unsealed = waiting;
    }
}

/// A segment that could not be created.
#[derive(Debug)]
pub(super) enum Failed {
    /// Nothing of it is left.
    Undone(io::Error),
    /// Something is.
    Stuck(io::Error),
}

/// Creates an empty segment.
pub(super) async fn create<E: SegmentEnv>(
    env: &mut E,
    header: FileHeader,
) -> Result<Segment<E::File>, Failed> {
    let base = header.base_index;
    let files = env.open(base).await.map_err(Failed::Undone)?;
    let mut segment = Segment::new(files, header, env.value_checksum());
    match write_headers(&mut segment).await {
        Ok(()) => Ok(segment),
        Err(error) => match env.remove(base, segment.files).await {
            Ok(()) => Err(Failed::Undone(error)),
            Err(_) => Err(Failed::Stuck(error)),
        },
    }
}

/// Writes the headers of both files over whatever was there.
pub(super) async fn write_headers<F: LogFile>(segment: &mut Segment<F>) -> io::Result<()> {
    let (bytes, _) = segment.header.encode();
    segment.files.store.truncate(0).await?;
    segment
        .files
        .store
        .append(&mut [IoSlice::new(&bytes)])
        .await?;
    segment.reset_index().await
}
