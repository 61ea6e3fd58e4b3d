use crate::client::Written;

use super::*;

#[test]
fn a_line_is_split_at_the_first_delimiter() {
    assert_eq!(split_key(b"k=v=w", b"="), (Some(&b"k"[..]), &b"v=w"[..]));
    assert_eq!(split_key(b"=v", b"="), (Some(&b""[..]), &b"v"[..]));
    assert_eq!(split_key(b"v", b"="), (None, &b"v"[..]));
    assert_eq!(split_key(b"a::b", b"::"), (Some(&b"a"[..]), &b"b"[..]));
    assert_eq!(split_key(b"", b"::"), (None, &b""[..]));
}

#[test]
fn headers_are_names_and_values() {
    assert_eq!(
        parse_header("trace:a:b"),
        Ok((String::from("trace"), String::from("a:b")))
    );
    assert!(parse_header("trace").is_err());
    assert!(parse_header(":value").is_err());
}

#[test]
fn sizes_of_batches_are_bounded() {
    assert_eq!(parse_batch_bytes("1MiB"), Ok(1 << 20));
    assert!(parse_batch_bytes("0").is_err());
    assert!(parse_batch_bytes("1g").is_err());
}

fn written(partition: i32, records: u64, offsets: Option<(i64, i64)>) -> Written {
    Written {
        partition,
        records,
        offsets,
    }
}

#[test]
fn the_summary_says_what_went_where() {
    let text = |acks, partitions: &[Written]| {
        let summary = Summary {
            partitions: partitions.to_vec(),
        };
        describe("t", acks, &summary)
    };
    assert_eq!(text(Acks::All, &[]), "wrote 0 records to `t`");
    assert_eq!(
        text(Acks::All, &[written(0, 1, Some((7, 7)))]),
        "wrote 1 record to `t`: partition 0 offset 7"
    );
    assert_eq!(
        text(Acks::Leader, &[written(2, 3, Some((0, 2)))]),
        "wrote 3 records to `t`: partition 2 offsets 0 to 2"
    );
    assert_eq!(
        text(
            Acks::All,
            &[written(0, 1, Some((0, 0))), written(1, 2, None)]
        ),
        "wrote 3 records to `t` in 2 partitions"
    );
    assert_eq!(
        text(Acks::None, &[written(0, 1, None)]),
        "sent 1 record to `t`: partition 0 (acks=0: nobody confirmed them)"
    );
}
