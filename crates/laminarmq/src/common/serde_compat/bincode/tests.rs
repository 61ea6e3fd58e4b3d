use std::collections::BTreeMap;

use proptest::prelude::*;
use serde::{Deserialize, Serialize};

use super::*;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Unit;

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct Newtype(i16);

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
enum Choice {
    None,
    One(u8),
    Two(u8, char),
    Named { a: Option<bool>, b: String },
}

#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct All {
    unit: (),
    numbers: (u8, u16, u32, u64, u128, i8, i16, i32, i64, i128),
    floats: (f32, f64),
    flags: [bool; 2],
    choices: Vec<Choice>,
    map: BTreeMap<u8, String>,
    newtype: Newtype,
    nothing: Unit,
    bytes: Vec<u8>,
}

fn round_trip<T>(value: &T) -> Vec<u8>
where
    T: Serialize + for<'a> Deserialize<'a> + PartialEq + std::fmt::Debug,
{
    let bytes = BinCode::serialize(value).unwrap();
    assert_eq!(bytes.len(), BinCode::serialized_size(value).unwrap());
    assert_eq!(&BinCode::deserialize::<T>(&bytes).unwrap(), value);
    for length in 0..bytes.len() {
        assert!(
            BinCode::deserialize::<T>(&bytes[..length]).is_err(),
            "{length}"
        );
    }
    bytes
}

/// As the crate `bincode` 1.3 writes them.
#[test]
fn golden_bytes() {
    assert_eq!(round_trip(&()), [0; 0]);
    assert_eq!(round_trip(&Unit), [0; 0]);
    assert_eq!(round_trip(&0x0102_0304_u32), [4, 3, 2, 1]);
    assert_eq!(
        round_trip(&-2_i64),
        [0xfe, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff]
    );
    assert_eq!(round_trip(&1.5_f32), [0, 0, 0xc0, 0x3f]);
    assert_eq!(round_trip(&'\u{e9}'), [0xc3, 0xa9]);
    assert_eq!(round_trip(&Some(7_u8)), [1, 7]);
    assert_eq!(round_trip(&None::<u8>), [0]);
    assert_eq!(
        round_trip(&"hi".to_owned()),
        [2, 0, 0, 0, 0, 0, 0, 0, b'h', b'i']
    );
    assert_eq!(
        round_trip(&vec![1_u16, 2]),
        [2, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0]
    );
    assert_eq!(round_trip(&Choice::None), [0, 0, 0, 0]);
    assert_eq!(round_trip(&Choice::One(9)), [1, 0, 0, 0, 9]);
    assert_eq!(round_trip(&Choice::Two(9, 'x')), [2, 0, 0, 0, 9, b'x']);
    let named = Choice::Named {
        a: Some(true),
        b: "b".to_owned(),
    };
    assert_eq!(
        round_trip(&named),
        [3, 0, 0, 0, 1, 1, 1, 0, 0, 0, 0, 0, 0, 0, b'b']
    );
    let map: BTreeMap<u8, u8> = [(1, 2), (3, 4)].into();
    assert_eq!(round_trip(&map), [2, 0, 0, 0, 0, 0, 0, 0, 1, 2, 3, 4]);
}

#[test]
fn what_follows_a_value_does_not_matter() {
    assert_eq!(BinCode::deserialize::<u16>(&[1, 0, 9, 9]), Ok(1));
    assert_eq!(BinCode::deserialize::<()>(&[1, 0, 9, 9]), Ok(()));
}

#[test]
fn bytes_that_no_value_has_are_refused() {
    use BinCodeError::{Invalid, LengthUnknown, NotSelfDescribing, TooDeep, UnexpectedEnd};
    assert_eq!(BinCode::deserialize::<bool>(&[2]), Err(Invalid("bool")));
    assert_eq!(
        BinCode::deserialize::<Option<u8>>(&[2, 0]),
        Err(Invalid("option"))
    );
    for char in [&[0x80][..], &[0xff], &[0xc3, 0x28], &[0xed, 0xa0, 0x80]] {
        assert_eq!(BinCode::deserialize::<char>(char), Err(Invalid("char")));
    }
    let string = [1, 0, 0, 0, 0, 0, 0, 0, 0xff];
    assert_eq!(
        BinCode::deserialize::<String>(&string),
        Err(Invalid("string"))
    );
    assert!(BinCode::deserialize::<Choice>(&[4, 0, 0, 0]).is_err());
    // Lengths that nothing follows on must not reserve memory, or loop.
    let long = u64::MAX.to_le_bytes();
    assert!(BinCode::deserialize::<Vec<u64>>(&long).is_err());
    assert!(BinCode::deserialize::<Vec<()>>(&long).is_err());
    assert!(BinCode::deserialize::<BTreeMap<(), ()>>(&long).is_err());
    assert_eq!(BinCode::deserialize::<&[u8]>(&long), Err(UnexpectedEnd));

    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Nested(Option<Box<Nested>>);
    assert_eq!(BinCode::deserialize::<Nested>(&[1; 100_000]), Err(TooDeep));

    #[derive(Debug, PartialEq, Deserialize)]
    #[serde(untagged)]
    enum Untagged {
        A(u8),
    }
    assert_eq!(
        BinCode::deserialize::<Untagged>(&[1]),
        Err(NotSelfDescribing)
    );

    struct Endless;
    impl Serialize for Endless {
        fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
            serializer.collect_seq((0..3).filter(|_| true))
        }
    }
    assert_eq!(BinCode::serialize(&Endless), Err(LengthUnknown));
}

#[test]
fn items_that_take_no_bytes_have_a_bound() {
    let read = |items: usize| {
        let bytes = BinCode::serialize(&vec![(); items]).unwrap();
        BinCode::deserialize::<Vec<()>>(&bytes).map(|read| read.len())
    };
    assert_eq!(read(65_536), Ok(65_536));
    assert_eq!(read(65_537), Err(BinCodeError::UnexpectedEnd));
}

#[test]
fn values_have_a_bound_of_depth() {
    #[derive(Debug, PartialEq, Serialize, Deserialize)]
    struct Nested(Option<Box<Nested>>);
    // Each level is a newtype and an option; the last one is a newtype with nothing in it.
    let read = |levels: usize| {
        let bytes = [vec![1; levels], vec![0]].concat();
        BinCode::deserialize::<Nested>(&bytes).map(|_| ())
    };
    assert_eq!(read(63), Ok(()));
    assert_eq!(read(64), Err(BinCodeError::TooDeep));
}

#[test]
fn nothing_is_reserved_beyond_what_is_written() {
    assert_eq!(BinCode::serialize(&()).unwrap().capacity(), 0);
    let bytes = BinCode::serialize(&(1_u8, "three", Some(2_u64))).unwrap();
    assert_eq!(bytes.capacity(), bytes.len());
}

fn choice() -> impl Strategy<Value = Choice> {
    prop_oneof![
        Just(Choice::None),
        any::<u8>().prop_map(Choice::One),
        any::<(u8, char)>().prop_map(|(a, b)| Choice::Two(a, b)),
        (any::<Option<bool>>(), ".{0,5}").prop_map(|(a, b)| Choice::Named { a, b }),
    ]
}

proptest! {
    #[test]
    fn whatever_is_written_is_read(
        (a, b, c, d) in any::<(u8, u16, u32, u64)>(),
        (e, f, g, h, i, j) in any::<(u128, i8, i16, i32, i64, i128)>(),
        floats in (-1e9..1e9f32, -1e99..1e99f64),
        flags in any::<[bool; 2]>(),
        choices in prop::collection::vec(choice(), 0..4),
        map in prop::collection::btree_map(any::<u8>(), ".{0,4}", 0..4),
        newtype in any::<i16>(),
        bytes in prop::collection::vec(any::<u8>(), 0..9),
    ) {
        let numbers = (a, b, c, d, e, f, g, h, i, j);
        let newtype = Newtype(newtype);
        let (unit, nothing) = ((), Unit);
        round_trip(&All { unit, numbers, floats, flags, choices, map, newtype, nothing, bytes });
    }

    #[test]
    fn no_bytes_do_harm(bytes in prop::collection::vec(prop_oneof![Just(0), Just(1), any::<u8>()], 0..200)) {
        let _ = BinCode::deserialize::<All>(&bytes);
        let _ = BinCode::deserialize::<Vec<Choice>>(&bytes);
        let _ = BinCode::deserialize::<BTreeMap<String, Vec<Option<char>>>>(&bytes);
    }
}
