//! What stands in front of every request and response.
//!
//! A request header is version 1, or version 2 (with tagged fields) when the request's version is
//! flexible; a response header is version 0 or 1 likewise, except that of ApiVersions: always version 0,
//! since its reader does not know yet what the broker speaks. The client id keeps its 16-bit length in
//! every version.

use crate::ApiKey;
use crate::api;
use crate::primitives::reader::{DecodeError, DecodeReason, Reader};
use crate::primitives::writer::{EncodeError, Writer};

/// What stands in front of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct RequestHeader {
    /// The API.
    pub api_key: ApiKey,
    /// The request's version; not necessarily one that this codec has.
    pub api_version: i16,
    /// Comes back in the response.
    pub correlation_id: i32,
    /// Who asks, for logs and quotas.
    pub client_id: Option<String>,
}

impl RequestHeader {
    /// Takes the header from the front of a frame and leaves the body.
    ///
    /// The version may be unknown; the header of a later version is taken to be like the last known one's.
    /// Fails when no API has this number, since the rest cannot be read then.
    pub fn decode(r: &mut Reader) -> Result<Self, DecodeError> {
        let at = |field: &'static str| move |e: DecodeError| e.or_at("RequestHeader", field);
        let number = r.i16().map_err(at("api_key"))?;
        let api_key = ApiKey::try_from(number)
            .map_err(|_| r.error(DecodeReason::UnknownApi(number)))
            .map_err(at("api_key"))?;
        let api_version = r.i16().map_err(at("api_version"))?;
        let correlation_id = r.i32().map_err(at("correlation_id"))?;
        let client_id = match r.string_len(false).map_err(at("client_id"))? {
            Some(len) => Some(r.text(len).map_err(at("client_id"))?),
            None => None,
        };
        if is_flexible(api_key, api_version) {
            r.tagged(|_, _| Ok(false)).map_err(at("tagged fields"))?;
        }
        Ok(Self {
            api_key,
            api_version,
            correlation_id,
            client_id,
        })
    }

    /// Appends the header.
    pub fn encode(&self, w: &mut Writer) -> Result<(), EncodeError> {
        put_request_header(
            w,
            self.api_key,
            self.api_version,
            self.correlation_id,
            self.client_id.as_deref(),
        )
    }
}

pub(crate) fn put_request_header(
    w: &mut Writer,
    api_key: ApiKey,
    api_version: i16,
    correlation_id: i32,
    client_id: Option<&str>,
) -> Result<(), EncodeError> {
    w.i16(api_key.number());
    w.i16(api_version);
    w.i32(correlation_id);
    w.string_len(client_id.map(str::len), false)
        .map_err(|e| e.or_at("RequestHeader", "client_id"))?;
    w.put(client_id.map_or(&[], str::as_bytes));
    if is_flexible(api_key, api_version) {
        w.uvarint(0);
    }
    Ok(())
}

/// What stands in front of a response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ResponseHeader {
    /// The request's.
    pub correlation_id: i32,
}

impl ResponseHeader {
    /// Takes the header of a response to this API and version from the front of a frame.
    pub fn decode(r: &mut Reader, api_key: ApiKey, api_version: i16) -> Result<Self, DecodeError> {
        let at = |field: &'static str| move |e: DecodeError| e.or_at("ResponseHeader", field);
        let correlation_id = r.i32().map_err(at("correlation_id"))?;
        if has_tags(api_key, api_version) {
            r.tagged(|_, _| Ok(false)).map_err(at("tagged fields"))?;
        }
        Ok(Self { correlation_id })
    }

    /// Appends the header of a response to this API and version.
    pub fn encode(self, w: &mut Writer, api_key: ApiKey, api_version: i16) {
        w.i32(self.correlation_id);
        if has_tags(api_key, api_version) {
            w.uvarint(0);
        }
    }
}

fn is_flexible(api_key: ApiKey, api_version: i16) -> bool {
    api::flexible_from(api_key).is_some_and(|first| api_version >= first)
}

fn has_tags(api_key: ApiKey, api_version: i16) -> bool {
    api_key != ApiKey::ApiVersions && is_flexible(api_key, api_version)
}
