//! The journal of a producer: what it sent and what was acknowledged, in a file that outlives both the
//! broker and the producer itself.
//!
//! One entry is one line, written with one system call to a file opened for appending. So an entry that
//! was written is there whoever is killed next, entries of several threads do not mix, and only the
//! last line can be cut short (a reader ignores it until its line feed is there).

use std::fs::File;
use std::io::{self, Read, Write};
use std::path::Path;
use std::str::{FromStr, SplitAsciiWhitespace};

/// One line of the journal. Record numbers are the producer's own, and rise within a partition.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Entry {
    /// About to send the records `first .. first + count` to a partition, in one batch.
    Sent {
        /// The partition's number.
        partition: i32,
        /// The number of the batch's first record.
        first: u64,
        /// How many records the batch has.
        count: u32,
    },
    /// The broker acknowledged that batch.
    Acked {
        /// The partition's number.
        partition: i32,
        /// The number of the batch's first record.
        first: u64,
        /// How many records the batch has.
        count: u32,
        /// The offset that the broker gave the first record.
        base_offset: i64,
    },
    /// The connection for a partition ended with requests unanswered.
    Broken {
        /// The partition's number.
        partition: i32,
        /// How many requests had no answer.
        in_flight: u32,
    },
}

impl Entry {
    fn to_line(self) -> String {
        match self {
            Self::Sent {
                partition,
                first,
                count,
            } => format!("sent {partition} {first} {count}\n"),
            Self::Acked {
                partition,
                first,
                count,
                base_offset,
            } => {
                format!("acked {partition} {first} {count} {base_offset}\n")
            }
            Self::Broken {
                partition,
                in_flight,
            } => format!("broken {partition} {in_flight}\n"),
        }
    }

    fn from_line(line: &str) -> Option<Self> {
        let mut words = line.split_ascii_whitespace();
        let entry = match words.next()? {
            "sent" => Self::Sent {
                partition: number(&mut words)?,
                first: number(&mut words)?,
                count: number(&mut words)?,
            },
            "acked" => Self::Acked {
                partition: number(&mut words)?,
                first: number(&mut words)?,
                count: number(&mut words)?,
                base_offset: number(&mut words)?,
            },
            "broken" => Self::Broken {
                partition: number(&mut words)?,
                in_flight: number(&mut words)?,
            },
            _ => return None,
        };
        words.next().is_none().then_some(entry)
    }
}

fn number<T: FromStr>(words: &mut SplitAsciiWhitespace<'_>) -> Option<T> {
    words.next()?.parse().ok()
}

/// Appends entries. Clones of the file handle may write from several threads.
#[derive(Debug)]
pub struct JournalWriter {
    file: File,
}

impl JournalWriter {
    /// Opens the journal for appending; makes it where it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options().append(true).create(true).open(path)?;
        Ok(Self { file })
    }

    /// Writes one entry, with one system call.
    pub fn write(&self, entry: Entry) -> io::Result<()> {
        (&self.file).write_all(entry.to_line().as_bytes())
    }
}

/// Reads a journal while it grows.
#[derive(Debug)]
pub struct JournalReader {
    file: File,
    /// What was read of a line whose end is not there yet.
    partial: Vec<u8>,
}

impl JournalReader {
    /// Opens the journal from its start; makes it where it is missing.
    pub fn open(path: &Path) -> io::Result<Self> {
        let file = File::options()
            .read(true)
            .append(true)
            .create(true)
            .open(path)?;
        Ok(Self {
            file,
            partial: Vec::new(),
        })
    }

    /// The entries written since the last call, in their order.
    ///
    /// # Panics
    /// On a whole line that is no entry: someone else wrote to this file.
    pub fn poll(&mut self) -> io::Result<Vec<Entry>> {
        self.file.read_to_end(&mut self.partial)?;
        let whole = self
            .partial
            .iter()
            .rposition(|&byte| byte == b'\n')
            .map_or(0, |at| at + 1);
        let rest = self.partial.split_off(whole);
        let lines = std::mem::replace(&mut self.partial, rest);
        let lines = String::from_utf8(lines).expect("a journal is ASCII");
        let parse =
            |line| Entry::from_line(line).unwrap_or_else(|| panic!("no journal entry: {line:?}"));
        Ok(lines.lines().map(parse).collect())
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::TestDir;

    const ENTRIES: [Entry; 3] = [
        Entry::Sent {
            partition: 2,
            first: 17,
            count: 3,
        },
        Entry::Acked {
            partition: 2,
            first: 17,
            count: 3,
            base_offset: 9,
        },
        Entry::Broken {
            partition: 0,
            in_flight: 5,
        },
    ];

    #[test]
    fn entries_are_read_back_in_order_and_once() {
        let dir = TestDir::new("journal");
        let path = dir.join("journal");
        let mut reader = JournalReader::open(&path).expect("made");
        assert_eq!(reader.poll().expect("read"), []);
        let writer = JournalWriter::open(&path).expect("opened");
        for entry in ENTRIES {
            writer.write(entry).expect("written");
        }
        assert_eq!(reader.poll().expect("read"), ENTRIES);
        assert_eq!(reader.poll().expect("read"), []);
    }

    #[test]
    fn a_line_is_read_once_its_end_is_there() {
        let dir = TestDir::new("journal");
        let path = dir.join("journal");
        let mut reader = JournalReader::open(&path).expect("made");
        let mut file = File::options().append(true).open(&path).expect("opened");
        file.write_all(b"broken 0 5\nsent 2 1").expect("written");
        assert_eq!(reader.poll().expect("read"), [ENTRIES[2]]);
        file.write_all(b"7 3\n").expect("written");
        assert_eq!(reader.poll().expect("read"), [ENTRIES[0]]);
    }

    #[test]
    fn foreign_lines_are_no_entries() {
        for line in [
            "",
            "sent",
            "sent 1 2",
            "sent 1 2 3 4",
            "acked 1 2 3",
            "lost 1 2 3",
            "sent a 2 3",
        ] {
            assert_eq!(Entry::from_line(line), None, "{line:?}");
        }
    }
}
