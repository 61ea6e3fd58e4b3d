//! Changes of a topic's settings that leave the others as they are.

use super::table::{Rule, ValueType, find};
use super::{SettingError, check_count};
use std::collections::{BTreeMap, BTreeSet};

/// A change of one setting.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Edit {
    pub(crate) name: String,
    pub(crate) operation: Operation,
    pub(crate) value: Option<String>,
}

/// What is done with a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Operation {
    /// It gets the value.
    Set,
    /// It goes back to its default.
    Reset,
    /// Words are added to a list.
    Append,
    /// Words are taken out of a list.
    Subtract,
}

/// The pairs of a topic after some edits. What they mean together is not looked at yet.
pub(crate) fn edit_pairs(
    pairs: &BTreeMap<String, String>,
    edits: Vec<Edit>,
) -> Result<BTreeMap<String, String>, SettingError> {
    check_count(edits.len())?;
    let mut pairs = pairs.clone();
    let mut seen = BTreeSet::new();
    for edit in edits {
        if !seen.insert(edit.name.clone()) {
            return Err(SettingError::Twice(edit.name));
        }
        apply(&mut pairs, edit)?;
    }
    Ok(pairs)
}

fn apply(pairs: &mut BTreeMap<String, String>, edit: Edit) -> Result<(), SettingError> {
    let Edit {
        name,
        operation,
        value,
    } = edit;
    let Some(setting) = find(&name) else {
        return Err(SettingError::Unknown(name));
    };
    if operation == Operation::Reset {
        pairs.remove(&name);
        return Ok(());
    }
    let Some(value) = value else {
        return Err(SettingError::NoValue { name });
    };
    let value = value.trim();
    if operation == Operation::Set {
        pairs.insert(name, value.to_owned());
        return Ok(());
    }
    // Lists have one rule so far, whose value is also their default.
    let (ValueType::List, Rule::Only { value: default, .. }) = (setting.value_type, &setting.rule)
    else {
        return Err(SettingError::NotAList { name });
    };
    let before = pairs.get(&name).map_or(*default, String::as_str);
    let mut words = split(before);
    let given = split(value);
    words.retain(|word| !given.contains(word));
    if operation == Operation::Append {
        words.extend(given);
    }
    pairs.insert(name, words.join(","));
    Ok(())
}

fn split(list: &str) -> Vec<&str> {
    let words = list.split(',').map(str::trim);
    words.filter(|word| !word.is_empty()).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn edit(name: &str, operation: Operation, value: Option<&str>) -> Edit {
        Edit {
            name: name.to_owned(),
            operation,
            value: value.map(str::to_owned),
        }
    }

    fn after(edits: Vec<Edit>) -> Result<Vec<(String, String)>, SettingError> {
        let pairs = [("flush", "os"), ("segment.bytes", "5000")];
        let pairs = pairs.map(|(name, value)| (name.to_owned(), value.to_owned()));
        Ok(edit_pairs(&BTreeMap::from(pairs), edits)?
            .into_iter()
            .collect())
    }

    fn pairs(list: &[(&str, &str)]) -> Result<Vec<(String, String)>, SettingError> {
        let own = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        Ok(list.iter().map(own).collect())
    }

    #[test]
    fn what_is_not_named_stays() {
        let edits = vec![
            edit("segment.bytes", Operation::Reset, None),
            edit("max.message.bytes", Operation::Set, Some(" 2000 ")),
        ];
        assert_eq!(
            after(edits),
            pairs(&[("flush", "os"), ("max.message.bytes", "2000")])
        );
        // What was never set can be taken back, with or without a value.
        let edits = vec![edit("cleanup.policy", Operation::Reset, Some("delete"))];
        assert_eq!(
            after(edits),
            pairs(&[("flush", "os"), ("segment.bytes", "5000")])
        );
    }

    #[test]
    fn lists_get_and_lose_words() {
        let append = |words| vec![edit("cleanup.policy", Operation::Append, Some(words))];
        let policy = |edits| {
            let after = after(edits).unwrap();
            after
                .into_iter()
                .find(|(name, _)| name == "cleanup.policy")
                .unwrap()
                .1
        };
        assert_eq!(policy(append("delete")), "delete");
        assert_eq!(policy(append("compact, delete")), "compact,delete");
        let subtract = |words| vec![edit("cleanup.policy", Operation::Subtract, Some(words))];
        assert_eq!(policy(subtract("delete")), "");
        assert_eq!(policy(subtract("compact")), "delete");
    }

    #[test]
    fn what_makes_no_sense_is_refused_by_name() {
        let name = || "flush".to_owned();
        for (edits, want) in [
            (
                vec![edit("flush", Operation::Append, Some("os"))],
                SettingError::NotAList { name: name() },
            ),
            (
                vec![edit("flush", Operation::Set, None)],
                SettingError::NoValue { name: name() },
            ),
            (
                vec![
                    edit("flush", Operation::Reset, None),
                    edit("flush", Operation::Set, Some("os")),
                ],
                SettingError::Twice(name()),
            ),
            (
                vec![edit("flash", Operation::Reset, None)],
                SettingError::Unknown("flash".to_owned()),
            ),
        ] {
            assert_eq!(after(edits), Err(want));
        }
        let many = (0..65).map(|n| edit(&format!("k{n}"), Operation::Reset, None));
        assert_eq!(after(many.collect()), Err(SettingError::TooMany(65)));
    }
}
