//! The `-f` format of `consume`: kcat's tokens.
//!
//! | token | prints | | token | prints |
//! |---|---|---|---|---|
//! | `%s` | value | | `%S` | length of the value, -1 for none |
//! | `%k` | key | | `%K` | length of the key, -1 for none |
//! | `%t` | topic | | `%T` | timestamp in milliseconds |
//! | `%p` | partition | | `%o` | offset |
//! | `%h` | headers as `key=value,...` | | `%%` | a percent sign |
//!
//! Escapes: `\n`, `\r`, `\t`, `\0`, `\\`, and `\xNN` for any byte. The format is compiled once, so a
//! wrong one is refused before anything is read.

use std::io::Write as _;

use bytes::Bytes;

/// A record as it is printed.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Printable<'a> {
    pub(crate) topic: &'a str,
    pub(crate) partition: i32,
    pub(crate) offset: i64,
    pub(crate) timestamp: i64,
    pub(crate) key: Option<&'a [u8]>,
    pub(crate) value: Option<&'a [u8]>,
    pub(crate) headers: &'a [(String, Option<Bytes>)],
}

#[derive(Debug, Clone, PartialEq, Eq)]
enum Piece {
    Literal(Vec<u8>),
    Value,
    ValueLength,
    Key,
    KeyLength,
    Topic,
    Partition,
    Offset,
    Timestamp,
    Headers,
}

/// A compiled format.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Format {
    pieces: Vec<Piece>,
}

impl Format {
    /// Compiles `text`.
    ///
    /// # Errors
    ///
    /// A sentence that names the token or escape that is unknown or incomplete.
    pub(crate) fn parse(text: &str) -> Result<Self, String> {
        let mut pieces = Vec::new();
        let mut literal = Vec::new();
        let mut rest = text.chars();
        while let Some(c) = rest.next() {
            match c {
                '\\' => literal.push(escape(&mut rest)?),
                '%' => match token(rest.next())? {
                    None => literal.push(b'%'),
                    Some(piece) => {
                        if !literal.is_empty() {
                            pieces.push(Piece::Literal(std::mem::take(&mut literal)));
                        }
                        pieces.push(piece);
                    }
                },
                c => literal.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
            }
        }
        if !literal.is_empty() {
            pieces.push(Piece::Literal(literal));
        }
        Ok(Self { pieces })
    }

    /// Appends `record` in this format to `out`.
    pub(crate) fn render(&self, record: &Printable<'_>, out: &mut Vec<u8>) {
        for piece in &self.pieces {
            match piece {
                Piece::Literal(bytes) => out.extend_from_slice(bytes),
                Piece::Value => out.extend_from_slice(record.value.unwrap_or_default()),
                Piece::ValueLength => number(out, length(record.value)),
                Piece::Key => out.extend_from_slice(record.key.unwrap_or_default()),
                Piece::KeyLength => number(out, length(record.key)),
                Piece::Topic => out.extend_from_slice(record.topic.as_bytes()),
                Piece::Partition => number(out, i64::from(record.partition)),
                Piece::Offset => number(out, record.offset),
                Piece::Timestamp => number(out, record.timestamp),
                Piece::Headers => headers(out, record.headers),
            }
        }
    }
}

impl Default for Format {
    /// The value and a newline.
    fn default() -> Self {
        Self {
            pieces: vec![Piece::Value, Piece::Literal(vec![b'\n'])],
        }
    }
}

fn token(letter: Option<char>) -> Result<Option<Piece>, String> {
    Ok(Some(match letter {
        Some('s') => Piece::Value,
        Some('S') => Piece::ValueLength,
        Some('k') => Piece::Key,
        Some('K') => Piece::KeyLength,
        Some('t') => Piece::Topic,
        Some('p') => Piece::Partition,
        Some('o') => Piece::Offset,
        Some('T') => Piece::Timestamp,
        Some('h') => Piece::Headers,
        Some('%') => return Ok(None),
        Some(other) => {
            return Err(format!(
                "unknown token `%{other}` (known: %s %S %k %K %t %p %o %T %h %%)"
            ));
        }
        None => {
            return Err(String::from(
                "`%` at the end (write `%%` for a percent sign)",
            ));
        }
    }))
}

/// The byte of an escape whose backslash has been read.
fn escape(rest: &mut std::str::Chars<'_>) -> Result<u8, String> {
    Ok(match rest.next() {
        Some('n') => b'\n',
        Some('r') => b'\r',
        Some('t') => b'\t',
        Some('0') => 0,
        Some('\\') => b'\\',
        Some('x') => {
            let mut digit = || rest.next().and_then(|c| c.to_digit(16));
            let byte = digit().zip(digit()).map(|(high, low)| high * 16 + low);
            byte.and_then(|byte| u8::try_from(byte).ok())
                .ok_or("`\\x` needs two hexadecimal digits, like `\\x1f`")?
        }
        Some(other) => {
            return Err(format!(
                "unknown escape `\\{other}` (known: \\n \\r \\t \\0 \\xNN \\\\)"
            ));
        }
        None => {
            return Err(String::from(
                "`\\` at the end (write `\\\\` for a backslash)",
            ));
        }
    })
}

/// Compiles a delimiter: literal text with the escapes of a format.
///
/// # Errors
///
/// A sentence about an unknown escape, or that the delimiter is empty.
pub(crate) fn parse_delimiter(text: &str) -> Result<Vec<u8>, String> {
    let mut bytes = Vec::new();
    let mut rest = text.chars();
    while let Some(c) = rest.next() {
        match c {
            '\\' => bytes.push(escape(&mut rest)?),
            c => bytes.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes()),
        }
    }
    if bytes.is_empty() {
        return Err(String::from("the delimiter is empty"));
    }
    Ok(bytes)
}

fn number(out: &mut Vec<u8>, number: i64) {
    write!(out, "{number}").expect("writing to memory does not fail");
}

fn length(bytes: Option<&[u8]>) -> i64 {
    bytes.map_or(-1, |bytes| i64::try_from(bytes.len()).unwrap_or(i64::MAX))
}

fn headers(out: &mut Vec<u8>, headers: &[(String, Option<Bytes>)]) {
    for (at, (key, value)) in headers.iter().enumerate() {
        if at > 0 {
            out.push(b',');
        }
        out.extend_from_slice(key.as_bytes());
        out.push(b'=');
        out.extend_from_slice(value.as_deref().unwrap_or(b"NULL"));
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn render(format: &str, record: &Printable<'_>) -> Vec<u8> {
        let mut out = Vec::new();
        Format::parse(format)
            .expect(format)
            .render(record, &mut out);
        out
    }

    fn sample(headers: &[(String, Option<Bytes>)]) -> Printable<'_> {
        Printable {
            topic: "events",
            partition: 2,
            offset: 41,
            timestamp: 1_700_000_000_123,
            key: Some(b"user-1"),
            value: Some(b"hello"),
            headers,
        }
    }

    #[test]
    fn every_token() {
        let headers = [
            (String::from("a"), Some(Bytes::from_static(b"1"))),
            (String::from("b"), None),
        ];
        assert_eq!(
            render("%t[%p]@%o %T %k(%K) %s(%S) %h %%", &sample(&headers)),
            b"events[2]@41 1700000000123 user-1(6) hello(5) a=1,b=NULL %"
        );
    }

    #[test]
    fn every_escape() {
        assert_eq!(
            render(r"a\n\r\t\0\\\x1f\xFFz", &sample(&[])),
            b"a\n\r\t\0\\\x1f\xffz"
        );
    }

    #[test]
    fn null_and_empty_differ_in_their_length() {
        let null = Printable {
            key: None,
            value: None,
            ..sample(&[])
        };
        let empty = Printable {
            key: Some(b""),
            value: Some(b""),
            ..sample(&[])
        };
        assert_eq!(render("[%k|%s] %K %S", &null), b"[|] -1 -1");
        assert_eq!(render("[%k|%s] %K %S", &empty), b"[|] 0 0");
    }

    #[test]
    fn bytes_that_are_no_text_pass_unchanged() {
        let binary = Printable {
            value: Some(b"\xff\x00\xfe"),
            ..sample(&[])
        };
        assert_eq!(render("%s", &binary), b"\xff\x00\xfe");
        assert_eq!(render("ä%s", &binary), b"\xc3\xa4\xff\x00\xfe");
    }

    #[test]
    fn the_default_is_the_value_on_a_line() {
        assert_eq!(Format::parse(r"%s\n"), Ok(Format::default()));
    }

    #[test]
    fn what_is_unknown_or_cut_off_is_refused() {
        for (format, says) in [
            ("%q", "`%q`"),
            ("100%", "`%%`"),
            (r"\q", r"`\q`"),
            ("\\", "backslash"),
            (r"\x1", "two hexadecimal digits"),
            (r"\xg0", "two hexadecimal digits"),
        ] {
            let error = Format::parse(format).expect_err(format);
            assert!(error.contains(says), "{format}: {error}");
        }
    }

    #[test]
    fn delimiters_know_the_escapes() {
        assert_eq!(parse_delimiter(r"\0"), Ok(vec![0]));
        assert_eq!(parse_delimiter("--\\n"), Ok(b"--\n".to_vec()));
        assert!(parse_delimiter("").is_err());
        assert!(parse_delimiter(r"\q").is_err());
    }
}
