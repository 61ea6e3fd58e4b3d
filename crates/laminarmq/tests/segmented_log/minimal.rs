//! A storage as somebody else would write it: only the methods that have no default.

use std::cell::RefCell;
use std::collections::BTreeMap;
use std::ops::Deref;
use std::rc::Rc;

use laminarmq::common::split::SplitAt;
use laminarmq::common::stream::StreamUnexpectedLength;
use laminarmq::storage::commit_log::segmented_log::segment::{
    SegmentStorage, SegmentStorageProvider,
};
use laminarmq::storage::{AsyncConsume, AsyncTruncate, Sizable, Storage};

/// Bytes that can be split, and not joined.
#[derive(Debug)]
pub(crate) struct Content(Box<[u8]>);

impl Deref for Content {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.0
    }
}

impl SplitAt<u8> for Content {
    fn split_at(self, at: usize) -> Option<(Self, Self)> {
        let (head, tail) = self.0.split_at_checked(at)?;
        Some((Self(head.into()), Self(tail.into())))
    }
}

#[derive(Debug, thiserror::Error)]
pub(crate) enum MinimalError {
    #[error("a stream of the wrong length")]
    Length,
    #[error("nothing is there")]
    Outside,
}

impl From<StreamUnexpectedLength> for MinimalError {
    fn from(_: StreamUnexpectedLength) -> Self {
        Self::Length
    }
}

type Files = Rc<RefCell<BTreeMap<(u64, Part), Vec<u8>>>>;

#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Part {
    Store,
    Index,
}

/// What was closed is kept; what is only written is lost with its owner, as if the power had gone.
#[derive(Debug)]
pub(crate) struct Minimal {
    files: Files,
    name: (u64, Part),
    bytes: Vec<u8>,
}

impl Sizable for Minimal {
    type Size = u32;

    fn size(&self) -> u32 {
        u32::try_from(self.bytes.len()).unwrap()
    }
}

impl AsyncTruncate for Minimal {
    type TruncError = MinimalError;
    type Mark = u32;

    async fn truncate(&mut self, mark: &u32) -> Result<(), MinimalError> {
        if *mark > self.size() {
            return Err(MinimalError::Outside);
        }
        self.bytes.truncate(*mark as usize);
        Ok(())
    }
}

impl AsyncConsume for Minimal {
    type ConsumeError = MinimalError;

    async fn remove(self) -> Result<(), MinimalError> {
        self.files.borrow_mut().remove(&self.name);
        Ok(())
    }

    async fn close(self) -> Result<(), MinimalError> {
        self.files.borrow_mut().insert(self.name, self.bytes);
        Ok(())
    }
}

impl Storage for Minimal {
    type Content = Content;
    type Position = u32;
    type Error = MinimalError;

    async fn append_slice(&mut self, slice: &[u8]) -> Result<(u32, u32), MinimalError> {
        let start = self.size();
        self.bytes.extend_from_slice(slice);
        Ok((start, self.size() - start))
    }

    async fn read(&self, position: &u32, size: &u32) -> Result<Content, MinimalError> {
        let range = *position as usize..(*position + *size) as usize;
        let bytes = self.bytes.get(range).ok_or(MinimalError::Outside)?;
        Ok(Content(bytes.into()))
    }
}

#[derive(Debug, Clone, Default)]
pub(crate) struct MinimalProvider(Files);

impl SegmentStorageProvider<Minimal, u32> for MinimalProvider {
    async fn obtain_base_indices_of_stored_segments(&mut self) -> Result<Vec<u32>, MinimalError> {
        let files = self.0.borrow();
        let stores = files.keys().filter(|(_, part)| *part == Part::Store);
        Ok(stores
            .map(|(base, _)| u32::try_from(*base).unwrap())
            .collect())
    }

    async fn obtain(&mut self, idx: &u32) -> Result<SegmentStorage<Minimal>, MinimalError> {
        let open = |part| {
            let name = (u64::from(*idx), part);
            let bytes = self.0.borrow_mut().entry(name).or_default().clone();
            let files = self.0.clone();
            Minimal { files, name, bytes }
        };
        Ok(SegmentStorage {
            store: open(Part::Store),
            index: open(Part::Index),
        })
    }
}
