//! `Debug` output as a tree, so that values of two implementations can be compared field by field without a
//! mapping for each message.

use laminarmq_kafka::ErrorCode;

/// A value as `Debug` shows it.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Tree {
    /// `Name { field: value, .. }`
    Struct(String, Vec<(String, Tree)>),
    /// `Name(value, ..)`
    Tuple(String, Vec<Tree>),
    /// `[value, ..]`, and `{}` for an empty map.
    List(Vec<Tree>),
    /// Anything else: numbers, names, quoted text.
    Atom(String),
}

/// Types of theirs that only wrap a string or a number.
const WRAPPERS: [&str; 5] = [
    "TopicName",
    "BrokerId",
    "TransactionalId",
    "ProducerId",
    "GroupId",
];

impl Tree {
    pub(crate) fn of(value: &impl std::fmt::Debug) -> Self {
        let text = format!("{value:?}");
        let mut rest = text.as_str();
        let tree = parse(&mut rest);
        assert!(rest.is_empty(), "left {rest:?} of {text:?}");
        tree.plain()
    }

    /// Without what only one of the two has: newtypes, pieces of records, names of error codes.
    fn plain(self) -> Self {
        match self {
            Self::Struct(name, fields) => {
                let plain = |(field, value): (String, Self)| (field, value.plain());
                Self::Struct(name, fields.into_iter().map(plain).collect())
            }
            Self::List(values) => Self::List(values.into_iter().map(Self::plain).collect()),
            Self::Tuple(name, mut values) if WRAPPERS.contains(&name.as_str()) => {
                values.remove(0).plain()
            }
            Self::Tuple(name, mut values) if name == "Records" => match values.remove(0) {
                Self::Tuple(_, mut pieces) => match pieces.remove(0) {
                    Self::List(pieces) => Self::Tuple("Some".to_owned(), pieces),
                    other => panic!("pieces are a list, not {other:?}"),
                },
                null => {
                    assert_eq!(null, Self::Atom("Null".to_owned()));
                    Self::Atom("None".to_owned())
                }
            },
            Self::Tuple(name, values) => {
                Self::Tuple(name, values.into_iter().map(Self::plain).collect())
            }
            Self::Atom(text) => {
                let known = ErrorCode::ALL.iter().find(|c| c.name() == Some(&text));
                match (known, text.strip_prefix("error ")) {
                    (Some(code), _) => Self::Atom(code.0.to_string()),
                    (None, Some(number)) => Self::Atom(number.to_owned()),
                    (None, None) => Self::Atom(text),
                }
            }
        }
    }

    /// Asserts that each field of `self` has the same value in `theirs`. Fields that only they have must be
    /// among `later`.
    pub(crate) fn assert_in(&self, theirs: &Self, later: &[&str], context: &str) {
        match (self, theirs) {
            (Self::Struct(name, ours), Self::Struct(_, theirs)) => {
                for (field, value) in ours {
                    let Some((_, their_value)) = theirs.iter().find(|(f, _)| f == field) else {
                        panic!("{name}.{field} is unknown to them: {context}");
                    };
                    value.assert_in(their_value, later, &format!("{name}.{field} of {context}"));
                }
                for (field, _) in theirs {
                    let known =
                        ours.iter().any(|(f, _)| f == field) || field == "unknown_tagged_fields";
                    assert!(
                        known || later.contains(&format!("{name}.{field}").as_str()),
                        "{name}.{field} is unknown to us: {context}"
                    );
                }
            }
            (Self::Tuple(a, ours), Self::Tuple(b, theirs)) if a == b => {
                assert_eq!(ours.len(), theirs.len(), "{context}");
                for (ours, theirs) in ours.iter().zip(theirs) {
                    ours.assert_in(theirs, later, context);
                }
            }
            (Self::List(ours), Self::List(theirs)) => {
                assert_eq!(ours.len(), theirs.len(), "{context}");
                for (ours, theirs) in ours.iter().zip(theirs) {
                    ours.assert_in(theirs, later, context);
                }
            }
            _ => assert_eq!(self, theirs, "{context}"),
        }
    }
}

fn parse(rest: &mut &str) -> Tree {
    if rest.starts_with('[') {
        return Tree::List(parse_list(rest, '[', ']', parse));
    }
    if rest.starts_with('"') || rest.starts_with("b\"") {
        return Tree::Atom(quoted(rest));
    }
    if rest.starts_with('{') {
        return Tree::List(parse_list(rest, '{', '}', parse));
    }
    let end = rest
        .find(['{', '(', ',', '}', ')', ']'])
        .unwrap_or(rest.len());
    let (name, tail) = rest.split_at(end);
    let name = name.trim_end().to_owned();
    *rest = tail;
    match tail.chars().next() {
        Some('{') => Tree::Struct(name, parse_list(rest, '{', '}', parse_field)),
        Some('(') => Tree::Tuple(name, parse_list(rest, '(', ')', parse)),
        _ => Tree::Atom(name),
    }
}

fn parse_field(rest: &mut &str) -> (String, Tree) {
    let (name, tail) = rest.split_once(": ").expect("a field has a value");
    *rest = tail;
    (name.to_owned(), parse(rest))
}

fn parse_list<T>(rest: &mut &str, open: char, close: char, item: fn(&mut &str) -> T) -> Vec<T> {
    let mut items = Vec::new();
    *rest = rest
        .strip_prefix(open)
        .expect("the caller saw it")
        .trim_start();
    loop {
        if let Some(tail) = rest.strip_prefix(close) {
            *rest = tail;
            return items;
        }
        items.push(item(rest));
        *rest = rest.trim_start_matches([',', ' ']);
    }
}

fn quoted(rest: &mut &str) -> String {
    let open = rest.find('"').expect("the caller saw it");
    let mut escaped = false;
    for (i, c) in rest[open + 1..].char_indices() {
        match c {
            _ if escaped => escaped = false,
            '\\' => escaped = true,
            '"' => {
                let (text, tail) = rest.split_at(open + 1 + i + 1);
                *rest = tail;
                return text.to_owned();
            }
            _ => {}
        }
    }
    panic!("no end of {rest:?}");
}
