//! Every event of a run as a line: hashed, and the newest kept for a failure's report.

use std::collections::VecDeque;

/// Lines kept for the report.
const KEPT: usize = 200;

/// A 64-bit FNV-1a hash: enough to tell two runs apart, the same everywhere.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Hash(u64);

impl Hash {
    pub(crate) fn new() -> Self {
        Self(0xcbf2_9ce4_8422_2325)
    }

    pub(crate) fn add(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3);
        }
    }

    pub(crate) fn of(pieces: &[&[u8]]) -> u64 {
        let mut hash = Self::new();
        pieces.iter().for_each(|piece| hash.add(piece));
        hash.0
    }

    pub(crate) fn get(self) -> u64 {
        self.0
    }
}

pub(crate) struct Trace {
    hash: Hash,
    lines: VecDeque<String>,
    keep_all: bool,
}

impl Trace {
    pub(crate) fn new(keep_all: bool) -> Self {
        Self {
            hash: Hash::new(),
            lines: VecDeque::new(),
            keep_all,
        }
    }

    pub(crate) fn line(&mut self, line: String) {
        self.hash.add(line.as_bytes());
        self.hash.add(b"\n");
        if self.lines.len() == KEPT && !self.keep_all {
            self.lines.pop_front();
        }
        self.lines.push_back(line);
    }

    /// Adds what is hashed and not worth a line.
    pub(crate) fn bytes(&mut self, bytes: &[u8]) {
        self.hash.add(bytes);
    }

    pub(crate) fn hash(&self) -> u64 {
        self.hash.get()
    }

    pub(crate) fn into_lines(self) -> Vec<String> {
        self.lines.into()
    }
}
