//! The limit of receiving: frames from a socket into a file.
//!
//! A frame is a length (four bytes, big-endian) and that many bytes. The bytes are written to the file
//! in the pieces they arrive in, of at most [`PIECE_BYTES`]; the answer is the same four bytes, and it
//! leaves once the frame's last piece is written (and, where asked for, synced).

use std::fs::File;
use std::io::{self, ErrorKind, Read, Write};

/// How much is read from the socket before it is written to the file.
pub const PIECE_BYTES: usize = 64 << 10;
/// The largest frame that is taken.
pub const FRAME_BYTES_MAX: u32 = 256 << 20;

/// Receives frames into `file` until the peer closes between two of them; returns how many bytes they had.
///
/// # Errors
/// When the connection or the file fails, or a frame is cut short or too long.
pub fn receive(stream: &mut (impl Read + Write), file: &mut File, sync: bool) -> io::Result<u64> {
    let mut total = 0;
    frames(stream, |stream, part| match part {
        Part::Head(_) => Ok(()),
        Part::Piece(piece) => file.write_all(piece),
        Part::End(head) => {
            if sync {
                file.sync_data()?;
            }
            total += u64::from(u32::from_be_bytes(head));
            stream.write_all(&head)
        }
    })?;
    Ok(total)
}

/// What comes of a frame, in this order.
pub(crate) enum Part<'a> {
    /// Its length, as it came.
    Head([u8; 4]),
    /// Some of its bytes, at most [`PIECE_BYTES`].
    Piece(&'a [u8]),
    /// All of it came; its length again.
    End([u8; 4]),
}

/// Hands out frames in parts, until the peer closes between two of them.
pub(crate) fn frames<S: Read>(
    stream: &mut S,
    mut take: impl FnMut(&mut S, Part<'_>) -> io::Result<()>,
) -> io::Result<()> {
    let mut piece = vec![0; PIECE_BYTES];
    while let Some(head) = read_head(stream)? {
        let length = u32::from_be_bytes(head);
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("a frame of {length} bytes"),
            ));
        }
        take(stream, Part::Head(head))?;
        let mut left = usize::try_from(length).expect("a usize holds 32 bits");
        while left > 0 {
            let piece = &mut piece[..left.min(PIECE_BYTES)];
            stream.read_exact(piece)?;
            take(stream, Part::Piece(piece))?;
            left -= piece.len();
        }
        take(stream, Part::End(head))?;
    }
    Ok(())
}

/// The length of the next frame; `None` when the peer closed before its first byte.
pub(crate) fn read_head(stream: &mut impl Read) -> io::Result<Option<[u8; 4]>> {
    let mut head = [0; 4];
    if stream.read(&mut head[..1])? == 0 {
        return Ok(None);
    }
    stream.read_exact(&mut head[1..])?;
    Ok(Some(head))
}

#[cfg(test)]
mod tests {
    use std::io::{Cursor, Seek};

    use super::*;

    /// A peer that has sent everything already.
    struct Peer {
        sent: Cursor<Vec<u8>>,
        answers: Vec<u8>,
    }

    impl Read for Peer {
        fn read(&mut self, into: &mut [u8]) -> io::Result<usize> {
            self.sent.read(into)
        }
    }

    impl Write for Peer {
        fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
            self.answers.write(bytes)
        }
        fn flush(&mut self) -> io::Result<()> {
            Ok(())
        }
    }

    fn peer(sent: Vec<u8>) -> Peer {
        Peer {
            sent: Cursor::new(sent),
            answers: Vec::new(),
        }
    }

    fn frame(body: &[u8]) -> Vec<u8> {
        let length = u32::try_from(body.len()).expect("short");
        [&length.to_be_bytes()[..], body].concat()
    }

    #[test]
    fn bodies_are_in_the_file_and_each_frame_is_answered_with_its_length() {
        let long: Vec<u8> = (0..u8::MAX).cycle().take(2 * PIECE_BYTES + 17).collect();
        for sync in [false, true] {
            let mut file = tempfile::tempfile().expect("a file");
            let mut peer = peer([frame(b"abc"), frame(b""), frame(&long)].concat());
            let total = receive(&mut peer, &mut file, sync).expect("received");
            assert_eq!(total, 3 + long.len() as u64);
            let mut stored = Vec::new();
            file.rewind().expect("rewound");
            file.read_to_end(&mut stored).expect("read");
            assert_eq!(stored, [b"abc", &long[..]].concat());
            let lengths = [3, 0, long.len()]
                .map(|length| u32::try_from(length).expect("short").to_be_bytes());
            assert_eq!(peer.answers, lengths.concat());
        }
    }

    #[test]
    fn a_cut_frame_and_a_frame_too_long_are_errors() {
        let mut file = tempfile::tempfile().expect("a file");
        for (sent, kind) in [
            (vec![0, 0], ErrorKind::UnexpectedEof),
            (vec![0, 0, 0, 9, b'x'], ErrorKind::UnexpectedEof),
            (vec![0xff; 4], ErrorKind::InvalidData),
        ] {
            let error = receive(&mut peer(sent), &mut file, false).expect_err("no whole frame");
            assert_eq!(error.kind(), kind);
        }
    }
}
