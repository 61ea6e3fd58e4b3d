//! A whole connection's bytes, as they come off a socket in pieces: split into frames as a model says, whose
//! headers and bodies are then decoded.
//!
//! An input is: the size of the pieces, how many zeros follow, and the bytes.

use bytes::Bytes;
use laminarmq_broker::limits::FRAME_BYTES_MIN;
use laminarmq_broker::test_util::Frames;
use laminarmq_kafka::{AnyRequest, Reader, RequestHeader, Writer, generate};

use crate::codec;
use crate::pieces::{self, Pieces};

/// The largest frame; more than one step of the share of bytes in flight.
const FRAME_BYTES_MAX: u32 = 600 << 10;

/// What the framing says about a stream: the frames, and whether it ends well behind them.
fn model(mut stream: &[u8]) -> (Vec<&[u8]>, bool) {
    let mut frames = Vec::new();
    while let Some((length, rest)) = stream.split_first_chunk::<4>() {
        let length = i32::from_be_bytes(*length);
        let allowed = FRAME_BYTES_MIN.cast_signed()..=FRAME_BYTES_MAX.cast_signed();
        if !allowed.contains(&length) {
            return (frames, false);
        }
        let Some((frame, rest)) = rest.split_at_checked(length.unsigned_abs() as usize) else {
            return (frames, false);
        };
        frames.push(frame);
        stream = rest;
    }
    (frames, stream.is_empty())
}

/// Splits the stream by the broker's code and by the model; decodes each frame.
pub fn check(input: &[u8]) {
    let [most, zeros, bytes @ ..] = input else {
        return;
    };
    let mut stream = bytes.to_vec();
    stream.resize(stream.len() + pieces::zeros(*zeros), 0);
    let socket = Pieces::new(stream.clone(), *most);
    let (expected, ends_well) = model(&stream);
    let mut frames = Vec::new();
    let end = pieces::block_on(async {
        let mut reader = Frames::new(socket, FRAME_BYTES_MAX);
        while let Some(frame) = reader.next().await? {
            frames.push(frame);
        }
        Ok::<_, String>(())
    });
    assert_eq!(frames, expected);
    assert_eq!(end.is_ok(), ends_well, "{end:?}");
    frames.into_iter().for_each(decode);
}

/// Decodes header and body; what is taken must come back from its own bytes.
fn decode(frame: Bytes) {
    let mut r = Reader::new(frame);
    let Ok(header) = RequestHeader::decode(&mut r) else {
        return;
    };
    let mut w = Writer::new();
    header.encode(&mut w).expect("what was read can be written");
    let mut again = Reader::new(w.finish().concat().into());
    assert_eq!(RequestHeader::decode(&mut again).as_ref(), Ok(&header));
    assert_eq!(again.remaining(), 0);
    if let Ok(request) = AnyRequest::decode(&header, &mut r) {
        assert_eq!(request.api_key(), header.api_key);
        // One client is known to leave three bytes behind one request.
        assert!(matches!(r.remaining(), 0 | 3));
    }
}

/// One request of each API and version, some one behind the other, and a frame that is cut.
pub fn seeds() -> Vec<Vec<u8>> {
    use laminarmq_kafka::ApiKey::{ApiVersions, Fetch, Metadata, Produce};
    let values: Vec<u8> = (0..100).collect();
    let frame = |api_key, api_version| {
        let mut w = Writer::frame();
        let header = RequestHeader {
            api_key,
            api_version,
            correlation_id: 7,
            client_id: Some("seed".to_owned()),
        };
        header.encode(&mut w).expect("a short client id");
        let source = &mut generate::Source::new(&values);
        let body = generate::request(api_key, api_version, source).expect("it is in the table");
        body.encode(&mut w, api_version)
            .expect("made for this version");
        w.finish_frame().expect("a short frame").concat()
    };
    let all = [
        frame(ApiVersions, 3),
        frame(Metadata, 1),
        frame(Produce, 9),
        frame(Fetch, 12),
    ];
    let mut seeds = codec::seeds(|key, version, _| frame(key, version).into());
    // In front of a frame stand other numbers here.
    seeds.iter_mut().for_each(|seed| seed[..2].fill(0));
    seeds.push([&[5, 0], &all.concat()[..]].concat());
    seeds.push([&[200, 0], &all.concat()[..100]].concat());
    // A frame of 300 KiB, which zeros fill.
    seeds.push([&[0, pieces::ZEROS_FROM + 20][..], &[0, 4, 0xb0, 0]].concat());
    seeds
}
