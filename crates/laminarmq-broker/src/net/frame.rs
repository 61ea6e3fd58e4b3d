//! Takes frames off a socket: four bytes of length, then as many bytes.
//!
//! - A frame's bytes end up in one buffer. What was read ahead before its length was known (at most
//!   [`READ_AHEAD_BYTES`]) is copied into it; the rest goes there straight from the socket.
//! - A short frame gets a buffer of exactly its own size: whoever keeps a batch of it keeps nothing else.
//! - Announcing a length costs us nothing: a frame takes its share of the bytes in flight, and memory
//!   beyond [`FRAME_RESERVE_BYTES`], only as its bytes arrive.
//! - A frame that began is complete within [`FRAME_WAIT_MAX`], or the connection is closed. So frames that
//!   hold a share while they wait for more of it cannot block each other for ever.

use crate::limits::{
    FRAME_BYTES_MIN, FRAME_RESERVE_BYTES, FRAME_WAIT_MAX, PERMIT_STEP_BYTES, READ_AHEAD_BYTES,
};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use std::io;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::sync::{OwnedSemaphorePermit, Semaphore};
use tokio::time::timeout;

/// One frame, without its length.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) bytes: Bytes,
    /// Its share of the bytes in flight; given back when this is dropped.
    pub(crate) share: OwnedSemaphorePermit,
}

/// Why there are no more frames.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {length} bytes, {FRAME_BYTES_MIN} to {max} are allowed")]
    Length { length: i32, max: u32 },
    #[error("the connection ended inside a frame")]
    Cut,
    #[error("nothing came for too long")]
    Idle,
    #[error("a frame was not complete in time")]
    Slow,
    #[error(transparent)]
    Io(#[from] io::Error),
}

impl FrameError {
    /// A word for it, one of a few.
    pub(super) fn word(&self) -> &'static str {
        match self {
            Self::Length { .. } => "bad_frame",
            Self::Cut => "cut",
            Self::Idle => "idle",
            Self::Slow => "slow",
            Self::Io(_) => "socket",
        }
    }
}

/// Reads the frames of one connection.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    socket: R,
    /// Read, and not yet part of a frame. Never longer than [`READ_AHEAD_BYTES`].
    ahead: BytesMut,
    frame_bytes_max: u32,
    idle: Duration,
    in_flight: Arc<Semaphore>,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(
        socket: R,
        frame_bytes_max: u32,
        idle: Duration,
        in_flight: Arc<Semaphore>,
    ) -> Self {
        Self {
            socket,
            ahead: BytesMut::new(),
            frame_bytes_max,
            idle,
            in_flight,
        }
    }

    /// The next frame, or `None` when the peer closed the connection between two frames.
    ///
    /// Not to be dropped before it is done, unless no more frames are wanted.
    pub(crate) async fn next(&mut self) -> Result<Option<Frame>, FrameError> {
        if self.ahead.is_empty() {
            let read = timeout(self.idle, self.read_ahead())
                .await
                .map_err(|_| FrameError::Idle)??;
            if read == 0 {
                return Ok(None);
            }
        }
        timeout(FRAME_WAIT_MAX, self.frame())
            .await
            .map_err(|_| FrameError::Slow)?
            .map(Some)
    }

    async fn frame(&mut self) -> Result<Frame, FrameError> {
        while self.ahead.len() < 4 {
            if self.read_ahead().await? == 0 {
                return Err(FrameError::Cut);
            }
        }
        let announced = self.ahead.get_i32();
        let length = match u32::try_from(announced) {
            Ok(length) if (FRAME_BYTES_MIN..=self.frame_bytes_max).contains(&length) => length,
            _ => {
                return Err(FrameError::Length {
                    length: announced,
                    max: self.frame_bytes_max,
                });
            }
        };
        let mut share = self.share(length.min(PERMIT_STEP_BYTES)).await;
        let length = length as usize;
        let head = self.ahead.len().min(length);
        let mut buffer = BytesMut::with_capacity(length.min(FRAME_RESERVE_BYTES));
        buffer.put_slice(&self.ahead[..head]);
        self.ahead.advance(head);
        while buffer.len() < length {
            let paid = share.num_permits();
            if buffer.len() == paid {
                let step = (length - paid).min(PERMIT_STEP_BYTES as usize);
                share.merge(
                    self.share(u32::try_from(step).expect("a step is a u32"))
                        .await,
                );
            }
            if buffer.len() == buffer.capacity() {
                // Doubles: the buffer is at most twice what has really come.
                buffer.reserve(buffer.len().min(length - buffer.len()));
            }
            let room = share.num_permits() - buffer.len();
            if self.socket.read_buf(&mut (&mut buffer).limit(room)).await? == 0 {
                return Err(FrameError::Cut);
            }
        }
        Ok(Frame {
            bytes: buffer.freeze(),
            share,
        })
    }

    async fn read_ahead(&mut self) -> io::Result<usize> {
        let room = READ_AHEAD_BYTES - self.ahead.len();
        self.ahead.reserve(room);
        self.socket
            .read_buf(&mut (&mut self.ahead).limit(room))
            .await
    }

    async fn share(&self, bytes: u32) -> OwnedSemaphorePermit {
        let in_flight = Arc::clone(&self.in_flight);
        in_flight
            .acquire_many_owned(bytes)
            .await
            .expect("the semaphore is never closed")
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use tokio::io::AsyncWriteExt;

    const IDLE: Duration = Duration::from_secs(600);

    fn frame(fill: u8, length: usize) -> Vec<u8> {
        let mut bytes = u32::try_from(length).unwrap().to_be_bytes().to_vec();
        bytes.resize(4 + length, fill);
        bytes
    }

    fn reader(bytes: &[u8], in_flight: usize) -> (FrameReader<&[u8]>, Arc<Semaphore>) {
        let semaphore = Arc::new(Semaphore::new(in_flight));
        (
            FrameReader::new(bytes, 32 << 20, IDLE, Arc::clone(&semaphore)),
            semaphore,
        )
    }

    #[tokio::test]
    async fn frames_of_all_sizes_come_out_whole_and_give_their_share_back() {
        let lengths = [
            8,
            9,
            100,
            READ_AHEAD_BYTES - 4,
            READ_AHEAD_BYTES,
            300_000,
            9 << 20,
            8,
        ];
        let input: Vec<u8> = (1u8..)
            .zip(lengths)
            .flat_map(|(n, length)| frame(n, length))
            .collect();
        let (mut reader, semaphore) = reader(&input, 64 << 20);
        for (n, length) in (1u8..).zip(lengths) {
            let frame = reader.next().await.unwrap().unwrap();
            assert_eq!(frame.bytes.len(), length);
            assert!(frame.bytes.iter().all(|byte| *byte == n));
            assert_eq!(semaphore.available_permits(), (64 << 20) - length);
        }
        assert!(reader.next().await.unwrap().is_none());
        assert_eq!(semaphore.available_permits(), 64 << 20);
    }

    #[tokio::test]
    async fn lengths_outside_of_the_limits_are_refused() {
        for length in [-1, 0, 7, (32 << 20) + 1, i32::MAX, i32::MIN] {
            let mut input = length.to_be_bytes().to_vec();
            input.extend([0; 64]);
            let (mut reader, semaphore) = reader(&input, 64 << 20);
            let error = reader.next().await.unwrap_err();
            assert!(
                matches!(error, FrameError::Length { length: l, .. } if l == length),
                "{error}"
            );
            assert_eq!(semaphore.available_permits(), 64 << 20);
        }
    }

    #[tokio::test]
    async fn an_end_inside_a_frame_is_told_from_an_end_between_frames() {
        let whole = frame(5, 5000);
        for cut in [1, 3, 4, 5, 4999] {
            let (mut reader, _) = reader(&whole[..cut], 1 << 20);
            assert!(matches!(reader.next().await, Err(FrameError::Cut)), "{cut}");
        }
    }

    #[tokio::test(start_paused = true)]
    async fn idle_and_slow_peers_are_told_apart() {
        let (mut peer, socket) = tokio::io::duplex(1 << 16);
        let semaphore = Arc::new(Semaphore::new(1 << 20));
        let mut reader = FrameReader::new(socket, 1 << 20, IDLE, semaphore);
        assert!(matches!(reader.next().await, Err(FrameError::Idle)));
        peer.write_all(&frame(1, 50_000)[..40_000]).await.unwrap();
        assert!(matches!(reader.next().await, Err(FrameError::Slow)));
    }

    #[tokio::test]
    async fn an_announced_frame_takes_its_share_only_as_it_arrives() {
        let (mut peer, socket) = tokio::io::duplex(1 << 20);
        let semaphore = Arc::new(Semaphore::new(8 << 20));
        let mut reader = FrameReader::new(socket, 8 << 20, IDLE, Arc::clone(&semaphore));
        let task = tokio::spawn(async move { reader.next().await });
        let input = frame(1, 8 << 20);
        peer.write_all(&input[..100_000]).await.unwrap();
        while semaphore.available_permits() == 8 << 20 {
            tokio::task::yield_now().await;
        }
        assert_eq!(
            semaphore.available_permits(),
            (8 << 20) - PERMIT_STEP_BYTES as usize
        );
        peer.write_all(&input[100_000..]).await.unwrap();
        assert_eq!(task.await.unwrap().unwrap().unwrap().bytes.len(), 8 << 20);
    }
}
