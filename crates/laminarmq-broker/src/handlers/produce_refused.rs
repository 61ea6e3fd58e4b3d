//! Produce requests of versions 0 to 2, which carry old message formats and are refused.
//!
//! They are listed all the same (see [`laminarmq_kafka::served`]), so a client may send one and must be
//! told, per partition, that this does not work. Their body is that of version 3 without the first field.

use bytes::{Bytes, BytesMut};
use laminarmq_kafka::messages::produce::{PartitionProduceData, ProduceRequest, TopicProduceData};
use laminarmq_kafka::{ErrorCode, Message, Reader, RequestHeader, Writer};

const NULL_STRING: [u8; 2] = [0xff; 2];

/// `None` when the body cannot be read either, or the client wants no answer.
pub(super) fn answer(header: &RequestHeader, body: &Reader) -> Option<Vec<Bytes>> {
    if !(0..=2).contains(&header.api_version) {
        return None;
    }
    let mut bytes = BytesMut::from(&NULL_STRING[..]);
    bytes.extend_from_slice(&body.rest());
    let request = ProduceRequest::decode_exact(bytes.freeze(), 3).ok()?;
    if request.acks == 0 {
        return None;
    }
    let mut w = Writer::frame();
    w.i32(header.correlation_id);
    count(&mut w, request.topic_data.len())?;
    for TopicProduceData {
        name,
        partition_data,
    } in &request.topic_data
    {
        w.i16(i16::try_from(name.len()).ok()?);
        w.put(name.as_bytes());
        count(&mut w, partition_data.len())?;
        for PartitionProduceData { index, .. } in partition_data {
            w.i32(*index);
            w.i16(ErrorCode::UNSUPPORTED_VERSION.0);
            w.i64(-1);
            if header.api_version >= 2 {
                w.i64(-1);
            }
        }
    }
    if header.api_version >= 1 {
        w.i32(0);
    }
    w.finish_frame().ok()
}

fn count(w: &mut Writer, count: usize) -> Option<()> {
    w.i32(i32::try_from(count).ok()?);
    Some(())
}
