//! The limit of serving: a cached file into a socket.

use std::fs::File;
use std::io::{self, Write};
use std::os::unix::fs::FileExt;

/// How much is read from the file at a time.
pub const PIECE_BYTES: usize = 1 << 20;

/// Sends the file from its start to its end; returns how many bytes that were.
///
/// # Errors
/// When the file or the connection fails.
pub fn send(file: &File, stream: &mut impl Write) -> io::Result<u64> {
    let mut piece = vec![0; PIECE_BYTES];
    let mut position = 0;
    loop {
        let count = file.read_at(&mut piece, position)?;
        if count == 0 {
            return Ok(position);
        }
        stream.write_all(&piece[..count])?;
        position += count as u64;
    }
}

/// Writes a file of `bytes` bytes that no file system can shorten, and thereby puts it into the cache.
///
/// # Errors
/// When the file cannot be written.
pub fn fill(file: &mut File, bytes: u64) -> io::Result<()> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64;
    let mut piece = vec![0; PIECE_BYTES];
    let mut left = bytes;
    while left > 0 {
        for word in piece.chunks_exact_mut(8) {
            state ^= state << 13;
            state ^= state >> 7;
            state ^= state << 17;
            word.copy_from_slice(&state.to_le_bytes());
        }
        let count = usize::try_from(left).map_or(PIECE_BYTES, |left| left.min(PIECE_BYTES));
        file.write_all(&piece[..count])?;
        left -= count as u64;
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_whole_file_is_sent() {
        let bytes = PIECE_BYTES as u64 * 2 + 5;
        let mut file = tempfile::tempfile().expect("a file");
        fill(&mut file, bytes).expect("filled");
        let mut sent = Vec::new();
        assert_eq!(send(&file, &mut sent).expect("sent"), bytes);
        let mut stored = vec![0; sent.len()];
        file.read_exact_at(&mut stored, 0).expect("read");
        assert_eq!(sent.len() as u64, bytes);
        assert!(sent == stored);
    }

    #[test]
    fn filled_pieces_differ() {
        let mut file = tempfile::tempfile().expect("a file");
        fill(&mut file, 2 * PIECE_BYTES as u64).expect("filled");
        let mut bytes = Vec::new();
        send(&file, &mut bytes).expect("sent");
        assert!(bytes[..PIECE_BYTES] != bytes[PIECE_BYTES..]);
    }
}
