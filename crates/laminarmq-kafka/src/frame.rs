//! Frames: a 32-bit length, a header, a body.

use bytes::Bytes;

use crate::header::{RequestHeader, ResponseHeader, put_request_header};
use crate::primitives::reader::{DecodeError, Reader};
use crate::primitives::writer::{EncodeError, EncodeReason, Writer};
use crate::schema::{Message, Request};

/// Bytes of the length in front of a frame; it does not count itself.
pub const LEN_BYTES: usize = 4;

/// The shortest frame that can be a request: API, version, correlation id, null client id.
pub const REQUEST_BYTES_MIN: usize = 10;

/// Why a frame's length is refused. The connection cannot go on after it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum FrameError {
    /// Below zero.
    #[error("a frame of negative length {0}")]
    Negative(i32),
    /// Above the reader's limit.
    #[error("a frame of {len} bytes, the limit is {max}")]
    TooLong {
        /// The announced length, in bytes.
        len: usize,
        /// The limit, in bytes.
        max: usize,
    },
}

/// Reads the length in front of a frame: how many bytes follow it, at most `max`.
pub fn parse_len(prefix: [u8; LEN_BYTES], max: usize) -> Result<usize, FrameError> {
    let raw = i32::from_be_bytes(prefix);
    match usize::try_from(raw) {
        Ok(len) if len <= max => Ok(len),
        Ok(len) => Err(FrameError::TooLong { len, max }),
        Err(_) => Err(FrameError::Negative(raw)),
    }
}

/// Builds the frame of a request, its length first, ready for a vectored write.
pub fn encode_request<R: Request>(
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
    request: &R,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut w = Writer::frame();
    put_request_header(&mut w, R::API, api_version, correlation_id, client_id)?;
    request.encode(&mut w, api_version)?;
    w.finish_frame()
}

/// Builds the frame of the response to the request with this header, its length first, ready for a vectored
/// write.
pub fn encode_response<M: Message>(
    request: &RequestHeader,
    response: &M,
) -> Result<Vec<Bytes>, EncodeError> {
    if request.api_key != M::API {
        return Err(EncodeError::new(EncodeReason::WrongApi).or_at(M::NAME, "api_key"));
    }
    encode_response_as(request.correlation_id, request.api_version, response)
}

/// Like [`encode_response`] in a version that need not be the request's: for the answer to an ApiVersions
/// request of a version that the broker does not know.
pub fn encode_response_as<M: Message>(
    correlation_id: i32,
    api_version: i16,
    response: &M,
) -> Result<Vec<Bytes>, EncodeError> {
    let mut w = Writer::frame();
    ResponseHeader { correlation_id }.encode(&mut w, M::API, api_version);
    response.encode(&mut w, api_version)?;
    w.finish_frame()
}

/// Reads the frame (without its length) of the response to a request of this version: the correlation id and
/// the body. Bytes behind the body are an error.
pub fn decode_response<R: Request>(
    frame: Bytes,
    api_version: i16,
) -> Result<(i32, R::Response), DecodeError> {
    let mut r = Reader::new(frame);
    let header = ResponseHeader::decode(&mut r, R::API, api_version)?;
    let response = R::Response::decode(&mut r, api_version)?;
    r.finish().map_err(|e| e.or_at(R::Response::NAME, "end"))?;
    Ok((header.correlation_id, response))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lengths() {
        assert_eq!(parse_len([0, 0, 1, 0], 256), Ok(256));
        assert_eq!(parse_len([0; 4], 256), Ok(0));
        assert_eq!(
            parse_len([0, 0, 1, 1], 256),
            Err(FrameError::TooLong { len: 257, max: 256 })
        );
        assert_eq!(parse_len([0xff; 4], 256), Err(FrameError::Negative(-1)));
    }
}
