//! zstd (RFC 8878), one frame without a dictionary.
//!
//! A frame names the window that its decoder must hold. Streaming reserves that much, so it is done for
//! windows up to [`WINDOW_LOG_MAX`], which is what the RFC wants every decoder to have and what levels up
//! to 19 write. Above that, where a few clients' highest levels lie, the frame is decompressed in one go
//! into a buffer that grows while the content asks for more: the output is its own window.

use std::io::Read;

use zstd::stream::read;
use zstd::zstd_safe;

use super::blocks::BlockDecoder;
use super::{CompressedFault, Stop};

/// zstd's own default.
const LEVEL: i32 = 3;

/// Logarithm of the largest window that is reserved up front: 8 MiB.
const WINDOW_LOG_MAX: u32 = 23;

/// What a whole frame's buffer starts with; it grows fourfold.
const BUFFER_BYTES_MIN: usize = 64 * 1024;

const MAGIC: [u8; 4] = [0x28, 0xb5, 0x2f, 0xfd];
/// In the frame header's descriptor: there is no window descriptor, the content is the window.
const SINGLE_SEGMENT: u8 = 1 << 5;

pub(super) fn compress(input: &[u8], out: &mut Vec<u8>) {
    let start = out.len();
    out.resize(start + zstd_safe::compress_bound(input.len()), 0);
    let written = zstd_safe::compress(&mut out[start..], input, LEVEL)
        .expect("there is room for the worst case");
    out.truncate(start + written);
}

/// The frame's window is larger than a stream may reserve.
pub(super) fn has_large_window(input: &[u8]) -> bool {
    let Some([descriptor, window, ..]) = input.strip_prefix(&MAGIC) else {
        return false;
    };
    if descriptor & SINGLE_SEGMENT != 0 {
        // The content size is the window, and is no fact yet.
        let size = zstd_safe::get_frame_content_size(input).ok().flatten();
        return size.is_some_and(|size| size > 1 << WINDOW_LOG_MAX);
    }
    // Five bits of exponent, three of mantissa.
    let log = 10 + u32::from(window >> 3);
    let eighths = u32::from(window & 0b111);
    log > WINDOW_LOG_MAX || (log == WINDOW_LOG_MAX && eighths > 0)
}

/// Decompresses while it is read.
pub(super) struct Decoder<'a> {
    inner: read::Decoder<'static, &'a [u8]>,
}

impl<'a> Decoder<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, Stop> {
        let mut inner = read::Decoder::with_buffer(input).map_err(|_| Stop::DAMAGED)?;
        inner
            .window_log_max(WINDOW_LOG_MAX)
            .map_err(|_| Stop::DAMAGED)?;
        Ok(Self {
            inner: inner.single_frame(),
        })
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

/// Decompresses a frame in one go: its one block.
pub(super) struct WholeFrame<'a> {
    /// The frame, until it was read.
    frame: Option<&'a [u8]>,
}

impl<'a> WholeFrame<'a> {
    pub(super) fn new(input: &'a [u8]) -> Result<Self, Stop> {
        match zstd_safe::find_frame_compressed_size(input) {
            Ok(size) if size == input.len() => Ok(Self { frame: Some(input) }),
            Ok(_) => Err(Stop::Fault(CompressedFault::BytesAfterEnd)),
            Err(_) => Err(Stop::DAMAGED),
        }
    }
}

impl BlockDecoder for WholeFrame<'_> {
    fn next_block(&mut self, left: u64, out: &mut Vec<u8>) -> Result<bool, Stop> {
        let Some(frame) = self.frame.take() else {
            return Ok(false);
        };
        let room_max = usize::try_from(left).unwrap_or(usize::MAX);
        let mut room = BUFFER_BYTES_MIN.min(room_max);
        loop {
            out.resize(room, 0);
            match zstd_safe::decompress(&mut out[..], frame) {
                Ok(written) => {
                    out.truncate(written);
                    return Ok(true);
                }
                Err(code) if !is_out_of_room(code) => return Err(Stop::DAMAGED),
                Err(_) if room == room_max => return Err(Stop::TooLarge),
                Err(_) => room = room.saturating_mul(4).min(room_max),
            }
        }
    }
}

/// zstd tells its errors apart by name alone.
fn is_out_of_room(code: zstd_safe::ErrorCode) -> bool {
    zstd_safe::get_error_name(code) == "Destination buffer is too small"
}
