//! What the tests of this crate share: all APIs and versions, and bodies for them.
#![allow(dead_code, reason = "each test binary uses a part")]

use bytes::Bytes;
use laminarmq_kafka::{
    AnyRequest, AnyResponse, ApiKey, DecodeError, EncodeError, Reader, RequestHeader, Versions,
    Writer, api, generate,
};

/// One body in one version.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Body {
    pub(crate) key: ApiKey,
    pub(crate) version: i16,
    pub(crate) is_response: bool,
}

/// A request's or a response's body.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Any {
    Request(AnyRequest),
    Response(AnyResponse),
}

/// Every API and version that the codec has.
pub(crate) fn every_version() -> impl Iterator<Item = (ApiKey, i16)> {
    ApiKey::ALL
        .iter()
        .filter_map(|&key| Some((key, api::codec_versions(key)?)))
        .flat_map(|(key, Versions { min, max })| (min..=max).map(move |version| (key, version)))
}

/// Requests and responses of every API and version.
pub(crate) fn every_body() -> impl Iterator<Item = Body> {
    every_version().flat_map(|(key, version)| {
        [false, true].map(|is_response| Body {
            key,
            version,
            is_response,
        })
    })
}

impl Body {
    pub(crate) fn decode(self, bytes: Bytes) -> Result<Any, DecodeError> {
        self.decode_from(&mut Reader::new(bytes))
    }

    pub(crate) fn decode_from(self, r: &mut Reader) -> Result<Any, DecodeError> {
        if self.is_response {
            return AnyResponse::decode(self.key, self.version, r).map(Any::Response);
        }
        let header = RequestHeader {
            api_key: self.key,
            api_version: self.version,
            correlation_id: 0,
            client_id: None,
        };
        AnyRequest::decode(&header, r).map(Any::Request)
    }

    pub(crate) fn generate(self, entropy: &[u8]) -> Any {
        let source = &mut generate::Source::new(entropy);
        if self.is_response {
            generate::response(self.key, self.version, source).map(Any::Response)
        } else {
            generate::request(self.key, self.version, source).map(Any::Request)
        }
        .expect("a version of the table")
    }

    pub(crate) fn generate_bytes(self, entropy: &[u8]) -> Bytes {
        let any = self.generate(entropy);
        any.encode(self.version)
            .expect("generated for this version")
    }
}

impl Any {
    pub(crate) fn encode(&self, version: i16) -> Result<Bytes, EncodeError> {
        let mut w = Writer::new();
        match self {
            Self::Request(request) => request.encode(&mut w, version)?,
            Self::Response(response) => response.encode(&mut w, version)?,
        }
        Ok(w.finish().concat().into())
    }
}

/// Numbers from a seed (splitmix64), the same ones in every run.
#[derive(Debug)]
pub(crate) struct Numbers(pub(crate) u64);

impl Numbers {
    pub(crate) fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// Below `end`, which is above 0.
    pub(crate) fn below(&mut self, end: usize) -> usize {
        let end = u64::try_from(end).expect("64 bits hold it");
        usize::try_from(self.next() % end).expect("below a usize")
    }

    pub(crate) fn byte(&mut self) -> u8 {
        self.next().to_le_bytes()[0]
    }

    pub(crate) fn bytes(&mut self, len: usize) -> Vec<u8> {
        (0..len).map(|_| self.byte()).collect()
    }
}
