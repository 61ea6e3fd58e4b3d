//! A record as one line of JSON.
//!
//! Text stays text; bytes that are no UTF-8 stand under another name (`value_base64`), so that a reader
//! never mistakes one for the other. Null is null.

use serde::ser::{Serialize, SerializeMap, Serializer};

use super::format::Printable;
use crate::output::base64;

/// Appends `record` and a newline to `out`.
pub(super) fn render(record: &Printable<'_>, out: &mut Vec<u8>) {
    serde_json::to_writer(&mut *out, &Line(record))
        .expect("maps with text as keys become JSON, and memory takes all");
    out.push(b'\n');
}

struct Line<'a>(&'a Printable<'a>);

impl Serialize for Line<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let Self(record) = self;
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|(name, value)| Header(name, value.as_deref()))
            .collect();
        let mut map = serializer.serialize_map(Some(7))?;
        map.serialize_entry("topic", record.topic)?;
        map.serialize_entry("partition", &record.partition)?;
        map.serialize_entry("offset", &record.offset)?;
        map.serialize_entry("timestamp", &record.timestamp)?;
        bytes(&mut map, ["key", "key_base64"], record.key)?;
        bytes(&mut map, ["value", "value_base64"], record.value)?;
        map.serialize_entry("headers", &headers)?;
        map.end()
    }
}

struct Header<'a>(&'a str, Option<&'a [u8]>);

impl Serialize for Header<'_> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut map = serializer.serialize_map(Some(2))?;
        map.serialize_entry("key", self.0)?;
        bytes(&mut map, ["value", "value_base64"], self.1)?;
        map.end()
    }
}

/// One entry: under the first name as text or null, under the second as base64.
fn bytes<M: SerializeMap>(
    map: &mut M,
    [text, encoded]: [&'static str; 2],
    value: Option<&[u8]>,
) -> Result<(), M::Error> {
    match value.map(|value| (value, std::str::from_utf8(value))) {
        None => map.serialize_entry(text, &()),
        Some((_, Ok(value))) => map.serialize_entry(text, value),
        Some((value, Err(_))) => map.serialize_entry(encoded, &base64::encode(value)),
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use serde_json::{Value, json};

    use super::*;

    #[test]
    fn text_bytes_and_null_are_told_apart() {
        let headers = [
            (String::from("a"), Some(Bytes::from_static(b"1"))),
            (String::from("b"), None),
            (String::from("c"), Some(Bytes::from_static(b"\xff"))),
        ];
        let record = Printable {
            topic: "t",
            partition: 1,
            offset: 2,
            timestamp: 3,
            key: None,
            value: Some(b"\xff\xfe\xfd"),
            headers: &headers,
        };
        let mut out = Vec::new();
        render(&record, &mut out);
        assert_eq!(out.pop(), Some(b'\n'));
        let value: Value = serde_json::from_slice(&out).expect("valid JSON");
        let want = json!({
            "topic": "t", "partition": 1, "offset": 2, "timestamp": 3,
            "key": null, "value_base64": "//79",
            "headers": [
                {"key": "a", "value": "1"},
                {"key": "b", "value": null},
                {"key": "c", "value_base64": "/w=="},
            ],
        });
        assert_eq!(value, want);
    }

    #[test]
    fn a_newline_in_a_value_does_not_break_the_line() {
        let record = Printable {
            topic: "t",
            partition: 0,
            offset: 0,
            timestamp: 0,
            key: Some(b"k"),
            value: Some(b"a\nb\"c"),
            headers: &[],
        };
        let mut out = Vec::new();
        render(&record, &mut out);
        assert_eq!(out.iter().filter(|byte| **byte == b'\n').count(), 1);
    }
}
