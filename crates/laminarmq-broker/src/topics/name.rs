//! Topic names: 1 to 249 of the characters `a-z A-Z 0-9 . _ -`, and neither `.` nor `..`.
//!
//! A name that passes is safe as the first part of a folder's name.

use crate::data_dir::METADATA_TOPIC;
use crate::groups::GROUPS_TOPIC;
use crate::limits::TOPIC_NAME_BYTES_MAX;

/// What is wrong with a topic's name.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum NameError {
    #[error("a topic needs a name")]
    Empty,
    #[error("a topic cannot be called \".\" or \"..\"")]
    Dots,
    #[error("the name has {0} bytes, at most {TOPIC_NAME_BYTES_MAX} are allowed")]
    TooLong(usize),
    #[error("{0:?} is not allowed in a name, only letters, digits, '.', '_' and '-' are")]
    Character(char),
    #[error("the name belongs to the broker")]
    Reserved,
}

/// Topics in which the broker keeps its own records.
const INTERNAL: [&str; 3] = [METADATA_TOPIC, GROUPS_TOPIC, "__transaction_state"];

/// Whether the topic belongs to the broker: clients may look at it, and neither change nor remove it.
pub(crate) fn is_internal(name: &str) -> bool {
    INTERNAL.contains(&name)
}

/// Checks a name that somebody wants to create.
pub(crate) fn check_name(name: &str) -> Result<(), NameError> {
    let allowed = |c: &char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_' | '-');
    match name {
        "" => Err(NameError::Empty),
        "." | ".." => Err(NameError::Dots),
        METADATA_TOPIC => Err(NameError::Reserved),
        _ if name.len() > TOPIC_NAME_BYTES_MAX => Err(NameError::TooLong(name.len())),
        _ => match name.chars().find(|c| !allowed(c)) {
            Some(c) => Err(NameError::Character(c)),
            None => Ok(()),
        },
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_follow_the_rules_of_other_brokers() {
        for name in ["a", "A.b_c-9", "...", "-", "_", &"x".repeat(249)] {
            assert_eq!(check_name(name), Ok(()), "{name}");
        }
        assert_eq!(check_name(""), Err(NameError::Empty));
        assert_eq!(check_name("."), Err(NameError::Dots));
        assert_eq!(check_name(".."), Err(NameError::Dots));
        assert_eq!(check_name(&"x".repeat(250)), Err(NameError::TooLong(250)));
        assert_eq!(check_name(METADATA_TOPIC), Err(NameError::Reserved));
        for (name, c) in [
            ("a/b", '/'),
            ("a b", ' '),
            ("ä", 'ä'),
            ("a\0", '\0'),
            ("a:b", ':'),
        ] {
            assert_eq!(check_name(name), Err(NameError::Character(c)));
        }
    }
}
