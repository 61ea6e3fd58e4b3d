//! gzip (RFC 1952), one member.

use std::io::{Read, Write};

use flate2::bufread::GzDecoder;
use flate2::write::GzEncoder;

use super::{CompressedFault, Stop};

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    let mut encoder = GzEncoder::new(out, flate2::Compression::default());
    encoder
        .write_all(input)
        .and_then(|()| encoder.try_finish())
        .expect("writing to memory does not fail");
}

pub(super) struct Decoder<'a> {
    inner: GzDecoder<&'a [u8]>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: &'a [u8]) -> Self {
        Self {
            inner: GzDecoder::new(input),
        }
    }

    /// Reads some bytes, none at the end.
    pub(super) fn read(&mut self, out: &mut [u8]) -> Result<usize, Stop> {
        let read = self.inner.read(out).map_err(|_| Stop::DAMAGED)?;
        if read == 0 && !self.inner.get_ref().is_empty() {
            return Err(Stop::Fault(CompressedFault::BytesAfterEnd));
        }
        Ok(read)
    }
}
