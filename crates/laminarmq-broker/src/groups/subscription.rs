//! The topics in the metadata of consumers: protocol type `consumer`.
//!
//! ```text
//! subscription   i16 version, i32 count of topics, each i16 length and UTF-8, ...    big endian
//! ```
//!
//! What follows (user data, owned partitions, generation, rack) differs by version and is not read.

/// The protocol type of consumers.
pub(super) const CONSUMER: &str = "consumer";

/// The topics that the metadata names; `None` when it is not such a subscription.
pub(super) fn topics(metadata: &[u8]) -> Option<Vec<&str>> {
    let mut rest = metadata;
    let version = i16::from_be_bytes(take(&mut rest, 2)?.try_into().ok()?);
    if version < 0 {
        return None;
    }
    let count = i32::from_be_bytes(take(&mut rest, 4)?.try_into().ok()?);
    let count = u32::try_from(count).ok()?;
    // Each topic takes two bytes at least, so a wrong count ends with the bytes.
    let mut topics = Vec::new();
    for _ in 0..count {
        let length = i16::from_be_bytes(take(&mut rest, 2)?.try_into().ok()?);
        let name = take(&mut rest, usize::try_from(length).ok()?)?;
        topics.push(std::str::from_utf8(name).ok()?);
    }
    Some(topics)
}

fn take<'a>(rest: &mut &'a [u8], length: usize) -> Option<&'a [u8]> {
    let (taken, behind) = rest.split_at_checked(length)?;
    *rest = behind;
    Some(taken)
}

/// Whether two members that both are consumers want the same topics.
pub(super) fn same_topics(one: &[u8], other: &[u8]) -> bool {
    match (topics(one), topics(other)) {
        (Some(mut one), Some(mut other)) => {
            one.sort_unstable();
            other.sort_unstable();
            one == other
        }
        _ => one == other,
    }
}

/// Metadata of a consumer, for tests.
#[cfg(test)]
pub(super) fn of_topics(topics: &[&str], user_data: &[u8]) -> Vec<u8> {
    let mut out = vec![0, 1];
    out.extend(i32::try_from(topics.len()).unwrap().to_be_bytes());
    for topic in topics {
        out.extend(i16::try_from(topic.len()).unwrap().to_be_bytes());
        out.extend(topic.as_bytes());
    }
    out.extend(i32::try_from(user_data.len()).unwrap().to_be_bytes());
    out.extend(user_data);
    out
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn topics_are_found_whatever_follows() {
        let metadata = of_topics(&["a", "orders"], b"owned");
        assert_eq!(topics(&metadata), Some(vec!["a", "orders"]));
        assert_eq!(topics(&of_topics(&[], b"")), Some(vec![]));
        assert!(same_topics(&metadata, &of_topics(&["orders", "a"], b"")));
        assert!(!same_topics(&metadata, &of_topics(&["orders"], b"owned")));
    }

    #[test]
    fn what_is_no_subscription_is_compared_as_bytes() {
        for wrong in [
            &b""[..],
            b"\0",
            b"\xff\xff\0\0\0\0",
            b"\0\0\xff\xff\xff\xff",
            b"\0\0\0\0\0\x01\0\x05ab",
        ] {
            assert_eq!(topics(wrong), None, "{wrong:?}");
        }
        assert!(same_topics(b"x", b"x") && !same_topics(b"x", b"y"));
        assert!(!same_topics(b"x", &of_topics(&[], b"")));
    }

    proptest! {
        #[test]
        fn no_bytes_panic(bytes: Vec<u8>) {
            let _ = topics(&bytes);
        }
    }
}
