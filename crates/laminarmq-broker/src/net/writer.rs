//! Writes the answers of one connection, in the order of its requests.
//!
//! A fetch that waits for records ends when another request waits behind it, unless that is a fetch as well: what a client
//! asks for beside its reading, over the same connection, does not wait as long as its fetches may.

use super::pieces::Pieces;
use crate::context::Context;
use crate::handlers::{self, Answer, Peer, Started};
use crate::limits::WRITE_STALL_MAX;
use crate::metrics::Moment;
use bytes::Buf;
use laminarmq_kafka::ApiKey;
use std::future::Future;
use std::io;
use std::pin::pin;
use std::sync::Arc;
use tokio::io::{AsyncWrite, AsyncWriteExt};
use tokio::sync::{OwnedSemaphorePermit, mpsc, watch};
use tokio::time::timeout;

/// A request that waits for its answer.
#[derive(Debug)]
pub(super) struct Queued {
    pub(super) started: Started,
    pub(super) api: ApiKey,
    /// When the last byte of it was there.
    pub(super) arrived: Moment,
    /// The frame's share of the bytes in flight.
    pub(super) share: OwnedSemaphorePermit,
}

/// Why no more answers are written.
#[derive(Debug, thiserror::Error)]
pub(super) enum WriteError {
    #[error("the peer takes no bytes")]
    Stalled,
    #[error("cannot write to the socket: {0}")]
    Socket(#[from] io::Error),
    #[error("{0}")]
    Refused(String),
}

impl WriteError {
    /// A word for it, one of a few.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Stalled => "stalled",
            Self::Socket(_) => "socket",
            Self::Refused(_) => "refused",
        }
    }
}

/// Answers until no more requests come. Dropping the queue tells the reader to stop. `behind` is what the peer's fetches
/// look at.
pub(super) async fn run<W: AsyncWrite + Unpin>(
    mut socket: W,
    mut queue: mpsc::Receiver<Queued>,
    context: Arc<Context>,
    peer: Peer,
    behind: watch::Sender<bool>,
) -> Result<(), WriteError> {
    let mut next = None;
    loop {
        let queued = match next.take() {
            Some(queued) => queued,
            None => match queue.recv().await {
                Some(queued) => queued,
                None => break,
            },
        };
        let Queued {
            started,
            api,
            arrived,
            share,
        } = queued;
        let may_wait = started.waits_for_records();
        let finishing = handlers::finish(&context, &peer, started);
        let answer = if may_wait {
            let (answer, found) = look_behind(&mut queue, &behind, finishing).await;
            next = found;
            answer
        } else {
            finishing.await
        };
        let answer = answer.map_err(WriteError::Refused)?;
        if let Some(Answer {
            pieces,
            share: _answer_share,
        }) = answer
        {
            write(&mut socket, Pieces::new(pieces)).await?;
        }
        drop(share);
        let took = context.metrics.since(arrived);
        context.metrics.requests.answered(api, took);
    }
    // Tells a peer that still listens that nothing more comes.
    let _ = socket.shutdown().await;
    Ok(())
}

/// Finishes a request that may wait for records, and tells it when another one wants its answer. Returns what it found behind.
async fn look_behind<T>(
    queue: &mut mpsc::Receiver<Queued>,
    behind: &watch::Sender<bool>,
    finishing: impl Future<Output = T>,
) -> (T, Option<Queued>) {
    behind.send_replace(false);
    let mut finishing = pin!(finishing);
    let next = tokio::select! {
        biased;
        answer = &mut finishing => return (answer, None),
        next = queue.recv() => next,
    };
    if next
        .as_ref()
        .is_some_and(|next| !next.started.waits_for_records())
    {
        behind.send_replace(true);
    }
    (finishing.await, next)
}

async fn write<W: AsyncWrite + Unpin>(
    socket: &mut W,
    mut pieces: Pieces,
) -> Result<(), WriteError> {
    while pieces.has_remaining() {
        let written = timeout(WRITE_STALL_MAX, socket.write_buf(&mut pieces))
            .await
            .map_err(|_| WriteError::Stalled)??;
        if written == 0 {
            return Err(io::Error::from(io::ErrorKind::WriteZero).into());
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use bytes::Bytes;

    #[tokio::test]
    async fn a_slow_peer_gets_every_byte_in_order() {
        let (mut near, mut far) = tokio::io::duplex(7);
        let pieces: Vec<Bytes> = (0..200u8)
            .map(|n| Bytes::from(vec![n; usize::from(n) % 13]))
            .collect();
        let want: Vec<u8> = pieces.iter().flatten().copied().collect();
        let writing = tokio::spawn(async move {
            write(&mut near, Pieces::new(pieces)).await.unwrap();
        });
        let mut got = Vec::new();
        tokio::io::AsyncReadExt::read_to_end(&mut far, &mut got)
            .await
            .unwrap();
        writing.await.unwrap();
        assert_eq!(got, want);
    }

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_takes_nothing_is_given_up() {
        let (mut near, _far) = tokio::io::duplex(7);
        let result = write(&mut near, Pieces::new(vec![Bytes::from_static(&[1; 8])])).await;
        assert!(matches!(result, Err(WriteError::Stalled)));
    }
}
