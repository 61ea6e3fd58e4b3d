//! A page that goes out piece by piece and holds its place among the pages at work until the last piece is
//! taken, so that peers that read slowly cannot fill the memory with pages.

use bytes::Bytes;
use hyper::body::{Body, Frame, SizeHint};
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};
use tokio::sync::OwnedSemaphorePermit;

/// Bytes that the connection takes at a time.
const PIECE_BYTES: usize = 64 << 10;

/// The body of an answer.
#[derive(Debug)]
pub(super) struct Page {
    rest: Bytes,
    /// Held for its drop.
    _place: OwnedSemaphorePermit,
}

impl Page {
    pub(super) fn new(text: String, place: OwnedSemaphorePermit) -> Self {
        Self {
            rest: text.into(),
            _place: place,
        }
    }
}

impl Body for Page {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        if self.rest.is_empty() {
            return Poll::Ready(None);
        }
        let length = self.rest.len().min(PIECE_BYTES);
        let piece = self.rest.split_to(length);
        Poll::Ready(Some(Ok(Frame::data(piece))))
    }

    fn is_end_stream(&self) -> bool {
        self.rest.is_empty()
    }

    fn size_hint(&self) -> SizeHint {
        SizeHint::with_exact(self.rest.len() as u64)
    }
}
