//! Frames between nodes.
//!
//! ```text
//! u32 length of kind and body    u32 CRC-32C of the length, kind and body    u8 kind    body
//! ```
//!
//! - A frame's bytes end up in one buffer of its own size: whoever keeps a part of it keeps nothing else.
//! - Announcing a length costs us nothing: memory beyond [`FRAME_RESERVE_BYTES`] is taken as bytes arrive.
//! - A frame that began is complete within [`FRAME_WAIT_MAX`], or its link is closed.

use crate::limits::{FRAME_RESERVE_BYTES, FRAME_WAIT_MAX, READ_AHEAD_BYTES};
use bytes::{Buf, BufMut, Bytes, BytesMut};
use laminarmq_replica::codec::PieceWriter;
use std::io;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncReadExt};
use tokio::time::timeout;

/// Bytes before the kind.
pub(super) const HEAD_BYTES: usize = 4 + 4;

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum FrameKind {
    Hello = 1,
    Refusal = 2,
    Messages = 3,
    Heartbeats = 4,
    Call = 5,
    Answer = 6,
    Ping = 7,
    Pong = 8,
    Alive = 9,
}

impl FrameKind {
    pub(super) fn from_u8(number: u8) -> Option<Self> {
        Some(match number {
            1 => Self::Hello,
            2 => Self::Refusal,
            3 => Self::Messages,
            4 => Self::Heartbeats,
            5 => Self::Call,
            6 => Self::Answer,
            7 => Self::Ping,
            8 => Self::Pong,
            9 => Self::Alive,
            _ => return None,
        })
    }
}

/// Appends a frame of this body, which is empty then.
pub(super) fn seal(kind: FrameKind, body: &mut PieceWriter, out: &mut PieceWriter) {
    let length = u32::try_from(1 + body.len()).expect("bodies are bounded before they are sealed");
    let mut crc = crc32c::crc32c(&length.to_le_bytes());
    crc = crc32c::crc32c_append(crc, &[kind as u8]);
    for piece in body.pieces() {
        crc = crc32c::crc32c_append(crc, piece);
    }
    out.u32(length);
    out.u32(crc);
    out.u8(kind as u8);
    out.append(body);
}

/// A frame that arrived whole.
#[derive(Debug)]
pub(crate) struct Frame {
    pub(crate) kind: FrameKind,
    pub(crate) body: Bytes,
}

impl Frame {
    /// Bytes that it took on the wire.
    pub(super) fn wire_bytes(&self) -> u64 {
        (HEAD_BYTES + 1 + self.body.len()) as u64
    }
}

/// Why there are no more frames.
#[derive(Debug, thiserror::Error)]
pub(crate) enum FrameError {
    #[error("a frame of {length} bytes, 1 to {max} are allowed")]
    Length { length: u32, max: u32 },
    #[error("a frame whose checksum is wrong")]
    Checksum,
    #[error("a frame of the unknown kind {0}")]
    Kind(u8),
    #[error("the link ended inside a frame")]
    Cut,
    #[error("nothing came for too long")]
    Idle,
    #[error("a frame was not complete in time")]
    Slow,
    #[error(transparent)]
    Io(#[from] io::Error),
}

/// Reads the frames of one link.
#[derive(Debug)]
pub(crate) struct FrameReader<R> {
    socket: R,
    /// Read, and not yet part of a frame. Never longer than [`READ_AHEAD_BYTES`].
    ahead: BytesMut,
    /// Largest length.
    max: u32,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(crate) fn new(socket: R, max: u32) -> Self {
        Self {
            socket,
            ahead: BytesMut::new(),
            max,
        }
    }

    /// Frames from now on may have this length.
    pub(super) fn set_max(&mut self, max: u32) {
        self.max = max;
    }

    /// The next frame, or `None` when the peer closed the link between two frames.
    ///
    /// Not to be dropped before it is done, unless no more frames are wanted.
    pub(crate) async fn next(&mut self, idle: Duration) -> Result<Option<Frame>, FrameError> {
        if self.ahead.is_empty() {
            let read = timeout(idle, self.read_ahead())
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
        while self.ahead.len() < HEAD_BYTES {
            if self.read_ahead().await? == 0 {
                return Err(FrameError::Cut);
            }
        }
        let announced = self.ahead.get_u32_le();
        let checksum = self.ahead.get_u32_le();
        if !(1..=self.max).contains(&announced) {
            return Err(FrameError::Length {
                length: announced,
                max: self.max,
            });
        }
        let length = announced as usize;
        let head = self.ahead.len().min(length);
        let mut buffer = BytesMut::with_capacity(length.min(FRAME_RESERVE_BYTES));
        buffer.put_slice(&self.ahead[..head]);
        self.ahead.advance(head);
        while buffer.len() < length {
            if buffer.len() == buffer.capacity() {
                // Doubles: the buffer is at most twice what has really come.
                buffer.reserve(buffer.len().min(length - buffer.len()));
            }
            let room = length - buffer.len();
            if self.socket.read_buf(&mut (&mut buffer).limit(room)).await? == 0 {
                return Err(FrameError::Cut);
            }
        }
        let mut bytes = buffer.freeze();
        let crc = crc32c::crc32c_append(crc32c::crc32c(&announced.to_le_bytes()), &bytes);
        if crc != checksum {
            return Err(FrameError::Checksum);
        }
        let kind = bytes.get_u8();
        Ok(Frame {
            kind: FrameKind::from_u8(kind).ok_or(FrameError::Kind(kind))?,
            body: bytes,
        })
    }

    async fn read_ahead(&mut self) -> io::Result<usize> {
        let room = READ_AHEAD_BYTES - self.ahead.len();
        self.ahead.reserve(room);
        self.socket
            .read_buf(&mut (&mut self.ahead).limit(room))
            .await
    }
}
