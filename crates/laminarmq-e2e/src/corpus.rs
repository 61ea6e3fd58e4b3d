//! Real text, as lines with a number in front.
//!
//! The text is what lies around where Rust is built: the toolchain's documentation, and the sources of
//! crates. The number makes each line unique, so that missing, doubled and reordered lines show.

use std::fs::{self, File};
use std::io::{self, BufWriter, Write};
use std::path::{Path, PathBuf};
use std::process::Command;

use laminarmq_testkit::{Deadline, run, workspace_root};

/// Kinds of files that hold text.
const TEXT: [&str; 8] = ["html", "rs", "md", "txt", "toml", "js", "css", "c"];
/// Longer lines are left out: clients have a limit for one message.
const LINE_BYTES_MAX: usize = 512 << 10;
/// How many digits the number in front of a line has.
pub const NUMBER_DIGITS: usize = 9;

/// Numbered lines, all in memory.
#[derive(Debug, Default)]
pub struct Corpus {
    bytes: Vec<u8>,
    /// Where each line ends in `bytes` (its line feed not included).
    ends: Vec<usize>,
}

impl Corpus {
    /// Collects at least `bytes_min` bytes of lines.
    ///
    /// # Panics
    /// When this machine does not have that much text.
    #[must_use]
    pub fn collect(bytes_min: usize) -> Self {
        let mut corpus = Self::default();
        let places = places();
        for place in &places {
            corpus.take_from(place, bytes_min);
        }
        let found = corpus.bytes.len();
        assert!(
            found >= bytes_min,
            "found {found} bytes of text in {places:?}, need {bytes_min}"
        );
        corpus
    }

    /// How many lines there are.
    #[must_use]
    pub fn len(&self) -> usize {
        self.ends.len()
    }

    /// Whether there is no line.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.ends.is_empty()
    }

    /// How many bytes the lines have, line feeds included.
    #[must_use]
    pub fn bytes(&self) -> usize {
        self.bytes.len()
    }

    /// Line `number`, with its number in front and without its line feed.
    #[must_use]
    pub fn line(&self, number: usize) -> &[u8] {
        let start = if number == 0 {
            0
        } else {
            self.ends[number - 1] + 1
        };
        &self.bytes[start..self.ends[number]]
    }

    /// Writes all lines to a file.
    ///
    /// # Errors
    /// When the file cannot be written.
    pub fn write(&self, path: &Path) -> io::Result<()> {
        let mut file = BufWriter::new(File::create(path)?);
        file.write_all(&self.bytes)?;
        file.flush()
    }

    /// Takes text from the files below `place`, in the order of their names, until there is enough.
    fn take_from(&mut self, place: &Path, bytes_min: usize) {
        // What cannot be read is no text; whether there is enough is checked at the end.
        let Ok(entries) = fs::read_dir(place) else {
            return;
        };
        let mut paths: Vec<PathBuf> = entries
            .filter_map(|entry| Some(entry.ok()?.path()))
            .collect();
        paths.sort();
        for path in paths {
            if self.bytes.len() >= bytes_min {
                return;
            }
            let is_text = path
                .extension()
                .is_some_and(|kind| TEXT.iter().any(|text| kind == *text));
            if path.is_symlink() {
                continue;
            } else if path.is_dir() {
                self.take_from(&path, bytes_min);
            } else if is_text && let Ok(text) = fs::read(&path) {
                self.take_lines(&text, bytes_min);
            }
        }
    }

    /// Takes lines of one text until there is enough.
    pub fn take_lines(&mut self, text: &[u8], bytes_min: usize) {
        for line in text
            .split(|&byte| byte == b'\n')
            .filter(|line| line.len() <= LINE_BYTES_MAX)
        {
            if self.bytes.len() >= bytes_min {
                return;
            }
            write!(self.bytes, "{:0NUMBER_DIGITS$} ", self.ends.len())
                .expect("a vector takes everything");
            self.bytes.extend_from_slice(line);
            self.ends.push(self.bytes.len());
            self.bytes.push(b'\n');
        }
    }
}

/// Where to look for text, the best first.
fn places() -> Vec<PathBuf> {
    let mut rustc = Command::new("rustc");
    let sysroot = run(rustc.args(["--print", "sysroot"]), Deadline::seconds(60)).success();
    let sysroot = PathBuf::from(sysroot.text().trim());
    let mut places = vec![sysroot.join("share/doc"), sysroot.join("lib/rustlib/src")];
    let cargo_home = std::env::var_os("CARGO_HOME").map(PathBuf::from);
    let home = std::env::var_os("HOME").map(|home| PathBuf::from(home).join(".cargo"));
    places.extend(cargo_home.or(home).map(|cargo| cargo.join("registry/src")));
    places.push(workspace_root().to_owned());
    places
}

/// The number in front of a line.
#[must_use]
pub fn line_number(line: &[u8]) -> Option<usize> {
    let (digits, rest) = line.split_at_checked(NUMBER_DIGITS)?;
    let number = std::str::from_utf8(digits).ok()?.parse().ok()?;
    rest.starts_with(b" ").then_some(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_carry_their_number_and_their_text() {
        let mut corpus = Corpus::default();
        corpus.take_lines(b"one\n\n  two \r\nlast", usize::MAX);
        let lines: Vec<_> = (0..corpus.len())
            .map(|number| corpus.line(number))
            .collect();
        assert_eq!(
            lines,
            [
                &b"000000000 one"[..],
                b"000000001 ",
                b"000000002   two \r",
                b"000000003 last"
            ]
        );
        assert_eq!(line_number(b"000000002   two \r"), Some(2));
        for line in [
            &b""[..],
            b"00000000",
            b"000000000",
            b"00000000x y",
            b"0000000001",
        ] {
            assert_eq!(line_number(line), None, "{line:?}");
        }
    }

    #[test]
    fn there_is_real_text_here() {
        let corpus = Corpus::collect(100_000);
        assert!(corpus.len() > 100 && corpus.bytes() < 100_000 + LINE_BYTES_MAX);
        assert_eq!(
            line_number(corpus.line(corpus.len() - 1)),
            Some(corpus.len() - 1)
        );
    }
}
