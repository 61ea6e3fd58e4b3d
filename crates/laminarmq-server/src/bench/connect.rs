//! Blocking sockets of the generator's threads.

use std::io::{self, ErrorKind, Read};
use std::net::TcpStream;
use std::time::Duration;

use bytes::{Bytes, BytesMut};
use laminarmq_kafka::frame::{LEN_BYTES, parse_len};

use crate::client::FRAME_BYTES_MAX;
use crate::config::HostPort;
use crate::failure::Failure;

/// How long the other end may be silent while an answer is due.
const SILENCE_MAX: Duration = Duration::from_secs(60);
/// Room for a frame before the first byte of any has come.
const FIRST_ROOM_BYTES: usize = 64 * 1024;

/// Connects to `address`.
pub(super) fn connect(address: &HostPort) -> Result<TcpStream, Failure> {
    let connect = || {
        let stream = TcpStream::connect((address.host.as_str(), address.port))?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(SILENCE_MAX))?;
        stream.set_write_timeout(Some(SILENCE_MAX))?;
        Ok(stream)
    };
    connect().map_err(|error: io::Error| {
        Failure::failed(format_args!("cannot connect to {address}: {error}"))
            .hint("is it running, and is that its address?")
    })
}

/// A broken connection as a failure.
pub(super) fn lost(what: &str, error: &io::Error) -> Failure {
    let reason = match error.kind() {
        ErrorKind::WouldBlock | ErrorKind::TimedOut => {
            format!("silent for {} s", SILENCE_MAX.as_secs())
        }
        _ => error.to_string(),
    };
    Failure::failed(format_args!("{what}: {reason}")).hint("look at the log of the other end")
}

/// Reads frames, one buffer after the other: a frame that was given back is written over, so that
/// reading allocates and clears nothing once it runs.
#[derive(Debug)]
pub(super) struct FrameReader<R> {
    stream: R,
    spare: BytesMut,
    /// What is believed before it has come: the largest frame that did.
    room: usize,
}

impl<R: Read> FrameReader<R> {
    pub(super) fn new(stream: R) -> Self {
        Self {
            stream,
            spare: BytesMut::new(),
            room: FIRST_ROOM_BYTES,
        }
    }

    /// The next frame, without its length. The end of the stream is an error: an answer is due.
    pub(super) fn next(&mut self) -> io::Result<Bytes> {
        let mut prefix = [0; LEN_BYTES];
        self.stream.read_exact(&mut prefix)?;
        let length = parse_len(prefix, FRAME_BYTES_MAX)
            .map_err(|error| io::Error::new(ErrorKind::InvalidData, error.to_string()))?;
        let mut frame = std::mem::take(&mut self.spare);
        let mut filled = 0;
        while filled < length {
            let end = length.min(filled + self.room.max(filled));
            frame.resize(end, 0);
            self.stream.read_exact(&mut frame[filled..])?;
            filled = end;
        }
        frame.truncate(length);
        self.room = self.room.max(length);
        Ok(frame.freeze())
    }

    /// Gives a frame back. One that is still in use somewhere is simply dropped.
    pub(super) fn recycle(&mut self, frame: Bytes) {
        if let Ok(frame) = frame.try_into_mut()
            && frame.capacity() > self.spare.capacity()
        {
            self.spare = frame;
        }
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use super::*;

    fn sent(bodies: &[Vec<u8>]) -> Vec<u8> {
        let frames = bodies.iter().map(|body| {
            let length = u32::try_from(body.len()).expect("short");
            [&length.to_be_bytes(), &body[..]].concat()
        });
        frames.collect::<Vec<_>>().concat()
    }

    #[test]
    fn a_recycled_buffer_shows_nothing_of_its_past() {
        let bodies = [1000, 10, 200_000, 0, 300_000, 5].map(|size| vec![0xab; size]);
        let mut reader = FrameReader::new(Cursor::new(sent(&bodies)));
        for body in &bodies {
            let frame = reader.next().expect("a frame");
            assert!(frame == body[..]);
            let kept = frame.clone();
            reader.recycle(frame); // in use: not taken
            reader.recycle(kept);
        }
        assert_eq!(
            reader.next().map_err(|e| e.kind()),
            Err(ErrorKind::UnexpectedEof)
        );
    }

    #[test]
    fn a_claimed_length_is_not_believed() {
        let mut stream = (100u32 << 20).to_be_bytes().to_vec();
        stream.extend_from_slice(&[1; 1000]);
        let mut reader = FrameReader::new(Cursor::new(stream));
        assert!(reader.next().is_err());
        let mut reader = FrameReader::new(Cursor::new(vec![0xff; 8]));
        assert_eq!(
            reader.next().map_err(|e| e.kind()),
            Err(ErrorKind::InvalidData)
        );
    }
}
