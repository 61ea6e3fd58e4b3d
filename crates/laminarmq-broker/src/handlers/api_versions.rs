//! ApiVersions: the table of what is served. An unknown version is answered in version 0, which every
//! client can read.

use bytes::Bytes;
use laminarmq_kafka::api::api_versions_answer;
use laminarmq_kafka::frame::encode_response_as;
use laminarmq_kafka::{EncodeError, RequestHeader};

pub(super) fn answer(header: &RequestHeader) -> Result<Vec<Bytes>, EncodeError> {
    let (response, version) = api_versions_answer(header.api_version);
    encode_response_as(header.correlation_id, version, &response)
}
