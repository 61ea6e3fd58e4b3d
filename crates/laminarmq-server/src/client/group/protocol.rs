//! What the members of a group of consumers tell each other: subscriptions and assignments.
//!
//! The coordinator hands these bytes on without a look. Big endian; a string is a 16-bit length and
//! UTF-8, an array a 32-bit count and its elements, "bytes" a 32-bit length (-1: null) and bytes:
//!
//! ```text
//! subscription:  version:i16  topics:[string]  user_data:bytes  ...
//! assignment:    version:i16  topics:[name:string partitions:[i32]]  user_data:bytes  ...
//! ```
//!
//! Later versions only append, so a reader takes what it knows and leaves the rest. We write version 0,
//! which every member of any age reads.

use std::collections::BTreeMap;

use bytes::{Buf as _, BufMut as _, Bytes, BytesMut};

/// Partitions by topic.
pub(crate) type TopicPartitions = BTreeMap<String, Vec<i32>>;

const VERSION: i16 = 0;
/// A null user data.
const NULL: i32 = -1;

/// Bytes of another member that are no subscription or assignment.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub(super) enum ProtocolError {
    #[error("it ends too early")]
    Short,
    #[error("{0} is no version")]
    Version(i16),
    #[error("{0} is no count")]
    Count(i32),
    #[error("a topic's name is no text")]
    Name,
}

pub(super) fn encode_subscription(topics: &[&str]) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(VERSION);
    put_count(&mut out, topics.len());
    for topic in topics {
        put_string(&mut out, topic);
    }
    out.put_i32(NULL);
    out.freeze()
}

/// The topics that a member wants to read.
pub(super) fn decode_subscription(mut bytes: &[u8]) -> Result<Vec<String>, ProtocolError> {
    let from = &mut bytes;
    take_version(from)?;
    let count = take_count(from)?;
    let mut topics = Vec::new();
    for _ in 0..count {
        topics.push(take_string(from)?);
    }
    Ok(topics)
}

pub(super) fn encode_assignment(assignment: &TopicPartitions) -> Bytes {
    let mut out = BytesMut::new();
    out.put_i16(VERSION);
    put_count(&mut out, assignment.len());
    for (topic, partitions) in assignment {
        put_string(&mut out, topic);
        put_count(&mut out, partitions.len());
        for partition in partitions {
            out.put_i32(*partition);
        }
    }
    out.put_i32(NULL);
    out.freeze()
}

/// The partitions that a member is to read; no bytes at all are none.
pub(super) fn decode_assignment(mut bytes: &[u8]) -> Result<TopicPartitions, ProtocolError> {
    let mut assignment = TopicPartitions::new();
    if bytes.is_empty() {
        return Ok(assignment);
    }
    let from = &mut bytes;
    take_version(from)?;
    let count = take_count(from)?;
    for _ in 0..count {
        let topic = take_string(from)?;
        let count = take_count(from)?;
        let partitions = assignment.entry(topic).or_default();
        for _ in 0..count {
            partitions.push(from.try_get_i32().map_err(|_| ProtocolError::Short)?);
        }
    }
    Ok(assignment)
}

fn put_count(out: &mut BytesMut, count: usize) {
    out.put_i32(i32::try_from(count).expect("topics and partitions are counted in 32 bits"));
}

fn put_string(out: &mut BytesMut, text: &str) {
    let length = i16::try_from(text.len()).expect("a topic's name came from a 16-bit string");
    out.put_i16(length);
    out.put_slice(text.as_bytes());
}

fn take_version(from: &mut &[u8]) -> Result<(), ProtocolError> {
    let version = from.try_get_i16().map_err(|_| ProtocolError::Short)?;
    if version < 0 {
        return Err(ProtocolError::Version(version));
    }
    Ok(())
}

/// A count of elements. Nothing is allocated by it: each element takes bytes that must be there.
fn take_count(from: &mut &[u8]) -> Result<usize, ProtocolError> {
    let count = from.try_get_i32().map_err(|_| ProtocolError::Short)?;
    usize::try_from(count).map_err(|_| ProtocolError::Count(count))
}

fn take_string(from: &mut &[u8]) -> Result<String, ProtocolError> {
    let length = from.try_get_i16().map_err(|_| ProtocolError::Short)?;
    let length = usize::try_from(length).map_err(|_| ProtocolError::Count(length.into()))?;
    let (text, rest) = from.split_at_checked(length).ok_or(ProtocolError::Short)?;
    *from = rest;
    String::from_utf8(text.to_vec()).map_err(|_| ProtocolError::Name)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn assignment(entries: &[(&str, &[i32])]) -> TopicPartitions {
        let owned =
            |(topic, partitions): &(&str, &[i32])| ((*topic).to_owned(), partitions.to_vec());
        entries.iter().map(owned).collect()
    }

    #[test]
    fn a_subscription_byte_by_byte() {
        let bytes = encode_subscription(&["ab", "c"]);
        let want: &[u8] = b"\0\0\0\0\0\x02\0\x02ab\0\x01c\xff\xff\xff\xff";
        assert_eq!(bytes, want);
        assert_eq!(
            decode_subscription(&bytes),
            Ok(vec![String::from("ab"), String::from("c")])
        );
    }

    #[test]
    fn an_assignment_byte_by_byte() {
        let assigned = assignment(&[("a", &[0, 258]), ("b", &[])]);
        let bytes = encode_assignment(&assigned);
        let want: &[u8] = b"\0\0\0\0\0\x02\0\x01a\0\0\0\x02\0\0\0\0\0\0\x01\x02\
                            \0\x01b\0\0\0\0\xff\xff\xff\xff";
        assert_eq!(bytes, want);
        assert_eq!(decode_assignment(&bytes), Ok(assigned));
        assert_eq!(decode_assignment(b""), Ok(TopicPartitions::new()));
    }

    #[test]
    fn later_versions_are_read_as_far_as_they_are_known() {
        // Version 3: owned partitions, a generation and a rack follow.
        let bytes = b"\0\x03\0\0\0\x01\0\x01a\xff\xff\xff\xff\0\0\0\0\0\0\0\x05\0\x01r";
        assert_eq!(decode_subscription(bytes), Ok(vec![String::from("a")]));
        let bytes = b"\0\x03\0\0\0\x01\0\x01a\0\0\0\x01\0\0\0\x07\0\0\0\x02xy and more";
        assert_eq!(decode_assignment(bytes), Ok(assignment(&[("a", &[7])])));
    }

    #[test]
    fn what_another_member_sends_is_not_trusted() {
        for (bytes, want) in [
            (&b""[..], ProtocolError::Short),
            (b"\0", ProtocolError::Short),
            (b"\xff\xff\0\0\0\0", ProtocolError::Version(-1)),
            (b"\0\0\xff\xff\xff\xff", ProtocolError::Count(-1)),
            (b"\0\0\x7f\xff\xff\xff", ProtocolError::Short),
            (b"\0\0\0\0\0\x01\0\x05ab", ProtocolError::Short),
            (b"\0\0\0\0\0\x01\xff\xfe", ProtocolError::Count(-2)),
            (b"\0\0\0\0\0\x01\0\x01\xff", ProtocolError::Name),
        ] {
            assert_eq!(decode_subscription(bytes), Err(want), "{bytes:?}");
            if !bytes.is_empty() {
                assert_eq!(decode_assignment(bytes), Err(want), "{bytes:?}");
            }
        }
        let partitions_missing = b"\0\0\0\0\0\x01\0\x01a\0\0\0\x02\0\0\0\0";
        assert_eq!(
            decode_assignment(partitions_missing),
            Err(ProtocolError::Short)
        );
    }
}
