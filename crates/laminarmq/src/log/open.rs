//! Opening a log, or creating it.

use std::collections::VecDeque;
use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::AtomicU64;

use super::beside::Shared;
use super::pace::Pace;
use super::prefix::Begin;
use super::recover::recover;
use super::roll::{Failed, create};
use super::{Log, LogOptions};
use crate::env::{FileEnv, Part, SegmentEnv, poll_ready};
use crate::error::OpenError;
use crate::format::FileHeader;
use crate::record::Recovery;
use crate::segment::{Scratch, Segment, SegmentEnd};

impl Log<FileEnv> {
    /// Opens the log in a directory, and creates both where there is nothing, with the default options.
    ///
    /// # Errors
    ///
    /// See [`OpenError`]. Nothing is changed where records that had been durable cannot be read.
    pub fn open(dir: impl AsRef<Path>) -> Result<Self, OpenError> {
        Self::open_dir(dir, LogOptions::default())
    }

    /// As [`Log::open`], with options.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub fn open_dir(dir: impl AsRef<Path>, options: LogOptions) -> Result<Self, OpenError> {
        let dir = dir.as_ref();
        let env = FileEnv::new(dir).map_err(|source| match source.kind() {
            std::io::ErrorKind::WouldBlock => OpenError::InUse {
                dir: dir.to_path_buf(),
            },
            _ => OpenError::Io {
                what: format!("open the directory {}", dir.display()),
                source,
            },
        })?;
        poll_ready(Self::open_with(env, options))
    }
}

impl<E: SegmentEnv> Log<E> {
    /// Opens the log that an environment holds, and creates one where there is none. When it returns,
    /// everything that it found is durable.
    ///
    /// # Errors
    ///
    /// See [`OpenError`].
    pub async fn open_with(mut env: E, options: LogOptions) -> Result<Self, OpenError> {
        options.validate()?;
        let begin = Begin::find(&mut env).await?;
        let (floor, initial) = (begin.floor, options.initial_index);
        let mut recovery = Recovery::default();
        let segments = match begin.bases.first().map(|base| floor.max(*base)) {
            None => {
                let segment = first_segment(&mut env, begin.first_base(initial)).await?;
                begin.end_reset(&mut env).await?;
                VecDeque::from([segment])
            }
            Some(base) if base < initial => {
                return Err(OpenError::BelowInitialIndex { base, initial });
            }
            Some(_) => recover(&mut env, &begin.bases, floor, &mut recovery).await?,
        };
        let durable = segments.back().map_or(initial, Segment::end);
        let start = segments.front().map_or(initial, Segment::base).max(floor);
        let truncations = Arc::new(AtomicU64::new(0));
        let mut log = Self {
            pace: Pace::starting(env.now_ms()),
            env,
            options,
            recovery,
            segments,
            start,
            durable,
            changes: 0,
            synced: 0,
            names_changed_at: 0,
            truncated_at: 0,
            unsealed: false,
            sealed_for: 0,
            shared: Arc::new(Shared::new(Arc::clone(&truncations), start, durable)),
            truncations,
            lookups: AtomicU64::new(0),
            unfinished: false,
            poisoned: None,
            scratch: Scratch::default(),
            buffer: Vec::new(),
        };
        if log.write_segment().footer == SegmentEnd::Sealed {
            // A crash took the segment that followed. This one is not touched again.
            log.roll().await.map_err(|error| {
                io("create a segment behind a sealed one")(std::io::Error::other(error))
            })?;
        }
        Ok(log)
    }
}

pub(crate) fn io(what: &str) -> impl FnOnce(std::io::Error) -> OpenError + use<> {
    let what = what.to_owned();
    move |source| OpenError::Io { what, source }
}

pub(crate) fn io_in(what: &str, base: u64) -> impl FnOnce(std::io::Error) -> OpenError + use<> {
    io(&format!("{what} segment {base:020}"))
}

/// A segment by itself, recovered as if nothing followed it, or created.
pub(crate) async fn open_segment<E: SegmentEnv>(
    env: &mut E,
    base: u64,
) -> Result<Segment<E::File>, OpenError> {
    let stored = env.list().await.map_err(io("list the segments"))?;
    if !stored.contains(&base) {
        return first_segment(env, base).await;
    }
    let mut segments = recover(env, &[base], 0, &mut Recovery::default()).await?;
    Ok(segments
        .pop_back()
        .expect("recovery leaves at least one segment"))
}

/// A new log's segment, durable, so that its file header is never in doubt later.
async fn first_segment<E: SegmentEnv>(
    env: &mut E,
    base: u64,
) -> Result<Segment<E::File>, OpenError> {
    let header = FileHeader {
        base_index: base,
        created_ms: env.now_ms(),
        durable_index: base,
        previous_base: base,
        checksum: env.value_checksum().kind(),
    };
    let mut segment = match create(env, header).await {
        Ok(segment) => segment,
        Err(Failed::Undone(error) | Failed::Stuck(error)) => {
            return Err(io_in("create", base)(error));
        }
    };
    env.sync(base, &mut segment.files, Part::Store)
        .await
        .map_err(io_in("sync", base))?;
    env.sync_names().await.map_err(io("sync the directory"))?;
    Ok(segment)
}
