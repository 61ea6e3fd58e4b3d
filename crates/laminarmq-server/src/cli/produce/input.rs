//! Records from a file or standard input.
//!
//! A thread of its own reads (standard input may block for ever) and cuts what came into records; a
//! bounded channel carries them, so a slow broker stops the reading. Records are slices of the read
//! buffer: nothing is copied on the way to the batch. A last record without a delimiter counts; an
//! empty rest does not.

use std::fs::File;
use std::io::{self, IsTerminal as _, Read};
use std::path::Path;

use bytes::{Bytes, BytesMut};
use tokio::sync::mpsc;

use crate::failure::Failure;

/// What one read takes at most.
const READ_BYTES: usize = 256 * 1024;
/// Reads that wait for the sender.
const AHEAD: usize = 4;
/// A record that is longer is refused here, before it fills the memory.
const RECORD_BYTES_MAX: usize = 64 << 20;

/// How input becomes records.
#[derive(Debug, Clone)]
pub(super) struct InputOptions {
    /// What ends a record; not empty.
    pub(super) delimiter: Vec<u8>,
}

/// Records that one read completed.
#[derive(Debug)]
pub(super) struct Chunk {
    pub(super) lines: Vec<Bytes>,
    /// Bytes read so far.
    pub(super) position: u64,
}

/// Where records come from.
#[derive(Debug)]
pub(super) struct Input {
    chunks: mpsc::Receiver<Result<Chunk, Failure>>,
    length: Option<u64>,
    terminal: bool,
}

impl Input {
    /// Opens `file`, or standard input, and begins to read.
    pub(super) fn open(file: Option<&Path>, options: InputOptions) -> Result<Self, Failure> {
        let (send, chunks) = mpsc::channel(AHEAD);
        let Some(path) = file.filter(|path| *path != Path::new("-")) else {
            let terminal = io::stdin().is_terminal();
            std::thread::spawn(move || {
                read_all(&mut io::stdin().lock(), options, "standard input", &send);
            });
            return Ok(Self {
                chunks,
                length: None,
                terminal,
            });
        };
        let cannot = |error: io::Error| {
            Failure::failed(format_args!("cannot read {}: {error}", path.display()))
                .hint("give a readable file, or nothing for standard input")
        };
        let mut file = File::open(path).map_err(cannot)?;
        let metadata = file.metadata().map_err(cannot)?;
        if metadata.is_dir() {
            return Err(cannot(io::ErrorKind::IsADirectory.into()));
        }
        let name = path.display().to_string();
        std::thread::spawn(move || read_all(&mut file, options, &name, &send));
        Ok(Self {
            chunks,
            length: metadata.is_file().then_some(metadata.len()),
            terminal: false,
        })
    }

    /// Bytes in all, where that is known.
    pub(super) fn length(&self) -> Option<u64> {
        self.length
    }

    /// True when a person types the records.
    pub(super) fn is_terminal(&self) -> bool {
        self.terminal
    }

    /// More records; `None` at the end.
    pub(super) async fn next(&mut self) -> Result<Option<Chunk>, Failure> {
        self.chunks.recv().await.transpose()
    }

    /// What was read and not taken yet. Reading goes on meanwhile, so this ends after what fits into
    /// the channel.
    pub(super) fn already_read(&mut self) -> impl Iterator<Item = Result<Chunk, Failure>> {
        (0..AHEAD).map_while(|_| self.chunks.try_recv().ok())
    }
}

fn read_all(
    source: &mut impl Read,
    options: InputOptions,
    name: &str,
    chunks: &mpsc::Sender<Result<Chunk, Failure>>,
) {
    let mut splitter = Splitter::new(options.delimiter);
    let mut buffer = vec![0; READ_BYTES];
    let mut position = 0;
    loop {
        let chunk = match source.read(&mut buffer) {
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => Err(Failure::failed(format_args!("cannot read {name}: {error}"))),
            Ok(0) => {
                if let Some(last) = splitter.finish() {
                    let lines = vec![last];
                    let _ = chunks.blocking_send(Ok(Chunk { lines, position }));
                }
                return;
            }
            Ok(count) => {
                position += count as u64;
                splitter
                    .push(&buffer[..count])
                    .map(|lines| Chunk { lines, position })
            }
        };
        let failed = chunk.is_err();
        if chunks.blocking_send(chunk).is_err() || failed {
            return;
        }
    }
}

/// Cuts a stream at a delimiter.
#[derive(Debug)]
struct Splitter {
    delimiter: Vec<u8>,
    /// Bytes of the record that is not complete yet.
    rest: BytesMut,
    /// Bytes of `rest` in which no delimiter begins.
    searched: usize,
}

impl Splitter {
    fn new(delimiter: Vec<u8>) -> Self {
        assert!(!delimiter.is_empty(), "refused on the command line");
        Self {
            delimiter,
            rest: BytesMut::new(),
            searched: 0,
        }
    }

    /// The records that `bytes` completes.
    fn push(&mut self, bytes: &[u8]) -> Result<Vec<Bytes>, Failure> {
        self.rest.extend_from_slice(bytes);
        let width = self.delimiter.len();
        let mut ends = Vec::new();
        let mut at = self.searched;
        while let Some(found) = find(&self.rest[at..], &self.delimiter) {
            ends.push(at + found);
            at += found + width;
        }
        let consumed = ends.last().map_or(0, |end| end + width);
        let whole = self.rest.split_to(consumed).freeze();
        let mut start = 0;
        let lines = ends.into_iter().map(|end| {
            let line = whole.slice(start..end);
            start = end + width;
            line
        });
        let lines = lines.collect();
        // A delimiter may have begun in the last bytes.
        self.searched = self.rest.len().saturating_sub(width - 1);
        if self.rest.len() > RECORD_BYTES_MAX {
            let failure = Failure::failed(format_args!(
                "a record is longer than {} MiB",
                RECORD_BYTES_MAX >> 20
            ));
            return Err(failure.hint("is -D the right delimiter?"));
        }
        Ok(lines)
    }

    /// What follows the last delimiter.
    fn finish(&mut self) -> Option<Bytes> {
        let last = std::mem::take(&mut self.rest).freeze();
        (!last.is_empty()).then_some(last)
    }
}

fn find(bytes: &[u8], delimiter: &[u8]) -> Option<usize> {
    match delimiter {
        // What nearly everybody wants is a search that the compiler makes fast.
        [byte] => bytes.iter().position(|b| b == byte),
        _ => bytes.windows(delimiter.len()).position(|w| w == delimiter),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Splits `text`, which comes in pieces of every size.
    fn split(text: &str, delimiter: &str) -> Vec<String> {
        let mut results = (1..=text.len().max(1)).map(|size| {
            let mut splitter = Splitter::new(delimiter.as_bytes().to_vec());
            let mut lines = Vec::new();
            for piece in text.as_bytes().chunks(size) {
                lines.extend(splitter.push(piece).expect("short records"));
            }
            lines.extend(splitter.finish());
            lines
                .iter()
                .map(|line| String::from_utf8_lossy(line).into_owned())
                .collect::<Vec<_>>()
        });
        let first = results.next().expect("one size at least");
        assert!(results.all(|other| other == first), "{text:?}");
        first
    }

    #[test]
    fn each_line_is_a_record_and_so_is_a_last_one_without_an_end() {
        assert_eq!(split("a\nbc\n", "\n"), ["a", "bc"]);
        assert_eq!(split("a\nbc", "\n"), ["a", "bc"]);
        assert_eq!(split("\n\na\n", "\n"), ["", "", "a"]);
        assert_eq!(split("", "\n"), Vec::<String>::new());
    }

    #[test]
    fn a_delimiter_may_have_several_bytes() {
        assert_eq!(split("a--b-c--", "--"), ["a", "b-c"]);
        assert_eq!(split("a-----b", "--"), ["a", "", "-b"]);
        assert_eq!(split("x\0y\0", "\0"), ["x", "y"]);
    }

    #[test]
    fn a_record_without_an_end_is_bounded() {
        let mut splitter = Splitter::new(vec![b'\n']);
        let piece = vec![b'x'; 1 << 20];
        let refused = (0..=64).any(|_| splitter.push(&piece).is_err());
        assert!(refused);
        assert!(splitter.rest.len() <= RECORD_BYTES_MAX + piece.len());
    }
}
