//! The very bytes of a small log, so that a change of the format is a decision and not an accident.
//!
//! They are version 1 and frozen: what is written today has to be read by every later version.

mod common;

use laminarmq::{Append, Log, LogOptions, MemEnv, Part, poll_ready};

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Takes the hex digits of a text that has comments behind `#`.
fn digits(text: &str) -> String {
    let code = text
        .lines()
        .map(|line| line.split('#').next().unwrap_or_default());
    code.flat_map(str::chars)
        .filter(|it| !it.is_whitespace())
        .collect()
}

fn written() -> MemEnv {
    let disk = MemEnv::new();
    disk.set_now_ms(0x0001_0203_0405);
    let options = LogOptions {
        initial_index: 7,
        ..LogOptions::default()
    };
    let mut log = poll_ready(Log::open_with(disk.clone(), options)).expect("an empty disk");
    let records = [
        Append {
            term: 1,
            kind: 2,
            flags: 3,
            key: 4,
            timestamp: 5,
            value: &[b"ab", b"c"],
        },
        Append {
            term: 0x11,
            kind: 0x22,
            flags: 0x33,
            key: 0x44,
            timestamp: -1,
            value: &[],
        },
    ];
    poll_ready(log.append_many(&records)).expect("memory takes it");
    poll_ready(log.close()).expect("memory takes it");
    disk
}

#[test]
fn the_store_is_as_documented() {
    let want = digits(
        "4c414d5153544f52                    # LAMQSTOR
         0100 01 00 0000 0000                # version, CRC-32C, plain, required, optional
         0700000000000000 0504030201000000   # base, created
         0700000000000000 0700000000000000   # durable, previous
         000000000000000000000000 CRC0       # zero, crc
         CRC1 0300 02 03 03000000            # crc, first and last, kind, entry flags, length
         00000000 0700000000000000           # behind, index
         b73f4b36 00000000                   # CRC-32C of abc
         0400000000000000 0500000000000000   # key, timestamp
         01000000 CRC0 616263                # term, link, value
         CRC2 0300 22 33 00000000
         01000000 0800000000000000
         00000000 00000000
         4400000000000000 ffffffffffffffff
         11000000 CRC1",
    );
    let bytes = written()
        .file(7, Part::Store)
        .expect("the segment is there");
    let crc = |at: usize| hex(&bytes[at..at + 4]);
    let want = want
        .replace("CRC0", &crc(60))
        .replace("CRC1", &crc(64))
        .replace("CRC2", &crc(123));
    assert_eq!(hex(&bytes), want);
    // The checksums themselves, by their documented rules.
    let seed = crc32c::crc32c_append(crc32c::crc32c(b"laminarmq chunk"), &7u64.to_le_bytes());
    assert_eq!(bytes[60..64], crc32c::crc32c(&bytes[..60]).to_le_bytes());
    assert_eq!(
        bytes[64..68],
        crc32c::crc32c_append(seed, &bytes[68..120]).to_le_bytes()
    );
    assert_eq!(
        bytes[123..127],
        crc32c::crc32c_append(seed, &bytes[127..179]).to_le_bytes()
    );
}

#[test]
fn the_index_is_as_documented() {
    let disk = written();
    let store = disk.file(7, Part::Store).expect("the segment is there");
    let bytes = disk.file(7, Part::Index).expect("the segment is there");
    let want = digits(
        "4c414d51494e4458 0100 01 00 00000000 # LAMQINDX, version, CRC-32C, plain, required, optional
         0700000000000000 STOR 00000000      # base, checksum of the store's header, zero
         0504030201000000                    # created
         0000000000000000000000000000000000000000 CRC0
         4000000000000000 0300000000000000   # position, length
         b73f4b3600000000 0400000000000000   # checksum, key
         0500000000000000 01000000 02 03 CH  # running maximum of the time, term, kind, flags, check
         7b00000000000000 0000000000000000
         0000000000000000 4400000000000000
         0500000000000000 11000000 22 33 CK
         4c414d51464f4f54 0100 0000 00000000 # LAMQFOOT, version, not sealed, zero
         0200000000000000 b300000000000000   # count, store length
         CRC1 LAST                           # crc of the entries, crc of the last chunk's header
         0500000000000000                    # maximum of the time
         0400000000000000 4400000000000000   # first key, last key
         7b00000000000000                    # where the last chunk stands
         ZERO CRC2",
    );
    let at = |range: std::ops::Range<usize>| hex(&bytes[range]);
    let want = want
        .replace("STOR", &hex(&store[60..64]))
        .replace("LAST", &hex(&store[123..127]))
        .replace("CRC0", &at(60..64))
        .replace("CH", &at(110..112))
        .replace("CK", &at(158..160))
        .replace("CRC1", &at(192..196))
        .replace("CRC2", &at(284..288))
        .replace("ZERO", &"00".repeat(284 - 232));
    assert_eq!(hex(&bytes), want);
    assert_eq!(bytes[60..64], crc32c::crc32c(&bytes[..60]).to_le_bytes());
    for (index, at) in [(7u64, 64), (8, 112)] {
        let crc = crc32c::crc32c_append(crc32c::crc32c(&index.to_le_bytes()), &bytes[at..at + 46]);
        assert_eq!(bytes[at + 46..at + 48], crc.to_le_bytes()[..2]);
    }
    assert_eq!(
        bytes[192..196],
        crc32c::crc32c(&bytes[64..160]).to_le_bytes()
    );
    assert_eq!(
        bytes[284..288],
        crc32c::crc32c(&bytes[160..284]).to_le_bytes()
    );
}
