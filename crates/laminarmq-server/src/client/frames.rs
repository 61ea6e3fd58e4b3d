//! Frames on a socket: a length of four bytes and that many bytes.
//!
//! A response's buffer grows with what has arrived, so that a length alone costs its sender nothing and
//! us neither. Frames tend to have the size of the one before, which really came; so much room is made
//! at once.

use std::io::{self, ErrorKind, IoSlice};

use bytes::{Buf as _, Bytes, BytesMut};
use laminarmq_kafka::frame::{LEN_BYTES, parse_len};
use tokio::io::{AsyncRead, AsyncReadExt as _, AsyncWrite, AsyncWriteExt as _};

use super::FRAME_BYTES_MAX;

/// What a buffer has room for before the first byte of its frame has come.
const FIRST_ROOM_BYTES: usize = 64 * 1024;
/// Pieces in one vectored write.
const SLICES_MAX: usize = 64;

/// Reads frames off a stream, one after the other.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    stream: R,
    /// Room for the next frame: the size of the last.
    room: usize,
}

impl<R: AsyncRead + Unpin> FrameReader<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            stream,
            room: FIRST_ROOM_BYTES,
        }
    }

    /// The next frame, without its length. `None`: the peer closed between two frames.
    pub(super) async fn next(&mut self) -> io::Result<Option<Bytes>> {
        let mut prefix = [0; LEN_BYTES];
        if self.stream.read(&mut prefix[..1]).await? == 0 {
            return Ok(None);
        }
        self.stream.read_exact(&mut prefix[1..]).await?;
        let length = parse_len(prefix, FRAME_BYTES_MAX)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?;
        let mut frame = BytesMut::with_capacity(length.min(self.room));
        while frame.len() < length {
            let left = length - frame.len();
            make_room(&mut frame, left);
            if (&mut self.stream)
                .take(left as u64)
                .read_buf(&mut frame)
                .await?
                == 0
            {
                return Err(io::Error::new(
                    ErrorKind::UnexpectedEof,
                    "the frame was cut short",
                ));
            }
        }
        self.room = length.max(FIRST_ROOM_BYTES);
        Ok(Some(frame.freeze()))
    }
}

/// Doubles a full buffer, at most to what is still to come.
fn make_room(frame: &mut BytesMut, left: usize) {
    if frame.len() == frame.capacity() {
        frame.reserve(left.min(frame.len().max(FIRST_ROOM_BYTES)));
    }
}

/// Writes all pieces, several with one call.
pub(super) async fn write_pieces(
    stream: &mut (impl AsyncWrite + Unpin),
    mut pieces: Vec<Bytes>,
) -> io::Result<()> {
    let mut first = 0;
    while first < pieces.len() {
        let mut slices = [IoSlice::new(&[]); SLICES_MAX];
        let rest = &pieces[first..];
        let used = rest.len().min(SLICES_MAX);
        for (slice, piece) in slices.iter_mut().zip(rest) {
            *slice = IoSlice::new(piece);
        }
        let mut written = stream.write_vectored(&slices[..used]).await?;
        if written == 0 {
            return Err(ErrorKind::WriteZero.into());
        }
        while first < pieces.len() && written >= pieces[first].len() {
            written -= pieces[first].len();
            first += 1;
        }
        if written > 0 {
            pieces[first].advance(written);
        }
    }
    stream.flush().await
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn runtime() -> tokio::runtime::Runtime {
        let builder = &mut tokio::runtime::Builder::new_current_thread();
        builder.build().expect("a runtime without drivers")
    }

    /// All frames in `sent`, or how the last one failed.
    fn read(sent: &[u8]) -> Result<Vec<Bytes>, ErrorKind> {
        let mut reader = FrameReader::new(Cursor::new(sent));
        runtime().block_on(async {
            let mut frames = Vec::new();
            while let Some(frame) = reader.next().await.map_err(|error| error.kind())? {
                frames.push(frame);
            }
            Ok(frames)
        })
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("short");
        [&length.to_be_bytes(), body].concat()
    }

    #[test]
    fn frames_one_after_the_other() {
        let long = vec![7; 3 * FIRST_ROOM_BYTES + 1];
        let bodies: [&[u8]; 5] = [b"abc", b"", &long, b"x", &long];
        let sent: Vec<u8> = bodies.iter().flat_map(|body| frame(body)).collect();
        assert_eq!(read(&sent).expect("good"), bodies);
        assert_eq!(read(b""), Ok(Vec::new()));
    }

    #[test]
    fn what_a_broker_claims_is_bounded() {
        assert_eq!(read(b"\0\0"), Err(ErrorKind::UnexpectedEof));
        assert_eq!(read(b"\0\0\0\x05abc"), Err(ErrorKind::UnexpectedEof));
        assert_eq!(read(b"\xff\xff\xff\xff"), Err(ErrorKind::InvalidData));
        assert_eq!(read(b"\x7f\xff\xff\xff"), Err(ErrorKind::InvalidData));
    }

    #[test]
    fn a_claimed_length_allocates_nothing_ahead() {
        let mut frame = BytesMut::with_capacity(FRAME_BYTES_MAX.min(FIRST_ROOM_BYTES));
        frame.resize(frame.capacity(), 0);
        make_room(&mut frame, FRAME_BYTES_MAX);
        assert!(frame.capacity() <= 4 * FIRST_ROOM_BYTES);
    }

    #[test]
    fn many_pieces_are_written_in_order() {
        let pieces: Vec<Bytes> = (0..200u8)
            .map(|n| Bytes::from(vec![n; usize::from(n)]))
            .collect();
        let want = pieces.concat();
        let mut stream = Vec::new();
        let written = runtime().block_on(write_pieces(&mut stream, pieces));
        written.expect("memory takes all");
        assert!(stream == want);
    }
}
