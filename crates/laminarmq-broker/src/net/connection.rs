//! One connection: requests are read, decoded and started in order; another task answers them in the same
//! order.
//!
//! - At most `requests_in_flight` requests wait for their answers; then no more are read.
//! - A request's frame keeps its share of the bytes in flight until its answer is written.
//! - What a peer does wrong closes its own connection, after the answers to what it did right.

use super::frame::{FrameError, FrameReader};
use super::writer::{self, Queued, WriteError};
use crate::context::Context;
use crate::handlers::{self, Peer, Reception, Started};
use laminarmq_kafka::{AnyRequest, ApiKey, DecodeError, Reader, RequestHeader};
use std::io;
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio::net::tcp::OwnedReadHalf;
use tokio::sync::{mpsc, watch};
use tokio::task::JoinError;

/// Why a connection was closed by us.
#[derive(Debug, thiserror::Error)]
pub(super) enum CloseReason {
    #[error(transparent)]
    Frame(#[from] FrameError),
    #[error("a request that cannot be read: {0}")]
    Request(#[from] DecodeError),
    #[error("{api} version {version} is not served")]
    Version { api: ApiKey, version: i16 },
    #[error("cannot use the socket: {0}")]
    Socket(#[from] io::Error),
    #[error(transparent)]
    Answer(#[from] WriteError),
}

impl CloseReason {
    /// A word for it, one of a few.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Frame(error) => error.word(),
            Self::Request(_) => "bad_request",
            Self::Version { .. } => "unsupported_version",
            Self::Socket(_) => "socket",
            Self::Answer(error) => error.word(),
        }
    }
}

pub(super) async fn serve(stream: TcpStream, context: Arc<Context>) -> Result<(), CloseReason> {
    stream.set_nodelay(true)?;
    let (remote, dialled) = (stream.peer_addr()?, stream.local_addr()?);
    let (read, write) = stream.into_split();
    let (queue, queued) = mpsc::channel(context.config.limits.requests_in_flight);
    let (hangup, gone) = watch::channel(false);
    let (behind, is_behind) = watch::channel(false);
    let peer = Peer {
        remote,
        dialled,
        gone,
        behind: is_behind,
    };
    let writer = tokio::spawn(writer::run(
        write,
        queued,
        Arc::clone(&context),
        peer.clone(),
        behind,
    ));
    let reading = read_requests(read, queue, &context, &peer).await;
    // Whoever waits for data on behalf of this peer stops waiting.
    let _ = hangup.send(true);
    let writing = outcome(writer.await);
    reading?;
    writing?;
    Ok(())
}

/// What became of the answers, as their task tells it. A panic in there goes on here.
fn outcome(joined: Result<Result<(), WriteError>, JoinError>) -> Result<(), WriteError> {
    joined.unwrap_or_else(|error| match error.try_into_panic() {
        Ok(panic) => std::panic::resume_unwind(panic),
        // The runtime ends, and ended that task first.
        Err(_) => Ok(()),
    })
}

/// Reads until the peer is done, does something wrong, or the broker stops.
async fn read_requests(
    socket: OwnedReadHalf,
    queue: mpsc::Sender<Queued>,
    context: &Arc<Context>,
    peer: &Peer,
) -> Result<(), CloseReason> {
    let limits = &context.config.limits;
    let in_flight = Arc::clone(&context.frame_bytes);
    let mut frames = FrameReader::new(socket, limits.frame_bytes, limits.idle, in_flight);
    let mut stopping = context.stopping.clone();
    loop {
        let frame = tokio::select! {
            biased;
            _ = stopping.wait_for(|stop| *stop) => return Ok(()),
            () = queue.closed() => return Ok(()),
            frame = frames.next() => frame?,
        };
        let Some(frame) = frame else { return Ok(()) };
        let arrived = context.metrics.now();
        let frame_length = frame.bytes.len();
        let mut reader = Reader::new(frame.bytes);
        let header = RequestHeader::decode(&mut reader)?;
        let api = header.api_key;
        context.metrics.requests.received(api);
        let started = match handlers::receive(&header, &reader) {
            Reception::Served => {
                let request = AnyRequest::decode(&header, &mut reader)?;
                handlers::start(context, peer, header, request, frame_length).await
            }
            Reception::Answer(answer) => Started::Answer(answer),
            Reception::Close => return Err(not_served(&header)),
        };
        if queue
            .send(Queued {
                started,
                api,
                arrived,
                share: frame.share,
            })
            .await
            .is_err()
        {
            return Ok(());
        }
    }
}

fn not_served(header: &RequestHeader) -> CloseReason {
    CloseReason::Version {
        api: header.api_key,
        version: header.api_version,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_task_that_ended_with_the_runtime_is_no_panic() {
        let writer = tokio::spawn(std::future::pending());
        writer.abort();
        let joined = writer.await;
        assert!(joined.is_err());
        assert!(outcome(joined).is_ok());
        let failed = outcome(Ok(Err(WriteError::Stalled)));
        assert!(matches!(failed, Err(WriteError::Stalled)));
    }

    #[tokio::test]
    #[should_panic(expected = "as it was")]
    async fn a_panic_goes_on() {
        let _ = outcome(tokio::spawn(async { panic!("as it was") }).await);
    }
}
