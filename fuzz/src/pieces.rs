//! A socket whose bytes come in pieces, and a runtime to read it on.

use std::cell::RefCell;
use std::pin::Pin;
use std::task::{Context, Poll};

use tokio::io::{AsyncRead, ReadBuf};
use tokio::runtime::{Builder, Runtime};

/// From this number on an input's byte asks for zeros, so many steps more than it. Most inputs go without: a
/// frame that zeros fill costs a hundred times as much as others.
pub(crate) const ZEROS_FROM: u8 = 200;
/// Bytes.
const ZEROS_STEP: usize = 16 << 10;

/// How many zeros a byte of the input asks for.
pub(crate) fn zeros(byte: u8) -> usize {
    usize::from(byte.saturating_sub(ZEROS_FROM)) * ZEROS_STEP
}

/// Pieces of a stream, at most: small ones of a long stream would be all that the time goes to.
const PIECES_MAX: usize = 512;

/// A socket that hands out its bytes in pieces of at most `most`.
pub(crate) struct Pieces {
    bytes: Vec<u8>,
    at: usize,
    most: usize,
}

impl Pieces {
    /// With the size of the pieces as a byte of the input says it.
    pub(crate) fn new(bytes: Vec<u8>, most: u8) -> Self {
        let most = match most {
            0 => usize::MAX,
            small @ 1..128 => usize::from(small),
            large => usize::from(large) << 7,
        };
        let most = most.max(bytes.len() / PIECES_MAX);
        Self { bytes, at: 0, most }
    }
}

impl AsyncRead for Pieces {
    fn poll_read(
        self: Pin<&mut Self>,
        _: &mut Context<'_>,
        buf: &mut ReadBuf<'_>,
    ) -> Poll<std::io::Result<()>> {
        let this = self.get_mut();
        let rest = &this.bytes[this.at..];
        let piece = &rest[..rest.len().min(this.most).min(buf.remaining())];
        buf.put_slice(piece);
        this.at += piece.len();
        Poll::Ready(Ok(()))
    }
}

thread_local! {
    static RUNTIME: RefCell<Runtime> = RefCell::new(
        Builder::new_current_thread().enable_time().build().expect("a runtime"),
    );
}

/// Runs it to its end.
pub(crate) fn block_on<T>(work: impl Future<Output = T>) -> T {
    RUNTIME.with_borrow_mut(|runtime| runtime.block_on(work))
}
