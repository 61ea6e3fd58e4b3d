//! What fuzzers of this crate need of its inside: feature `test-util`, no part of the product.

use std::sync::Arc;

use bytes::Bytes;
use tokio::io::AsyncRead;
use tokio::sync::Semaphore;

use crate::limits::{BYTES_IN_FLIGHT_DEFAULT, IDLE_DEFAULT};
use crate::net::frame::FrameReader;
use crate::peer;

/// Takes frames off a socket as a connection does.
#[derive(Debug)]
pub struct Frames<R>(FrameReader<R>);

impl<R: AsyncRead + Unpin> Frames<R> {
    /// With the default limits, but for the size of one frame.
    pub fn new(socket: R, frame_bytes_max: u32) -> Self {
        let in_flight = Arc::new(Semaphore::new(BYTES_IN_FLIGHT_DEFAULT as usize));
        Self(FrameReader::new(
            socket,
            frame_bytes_max,
            IDLE_DEFAULT,
            in_flight,
        ))
    }

    /// The next frame, `None` where the peer is done.
    ///
    /// # Errors
    ///
    /// Why there are no more frames, in words.
    pub async fn next(&mut self) -> Result<Option<Bytes>, String> {
        let frame = self.0.next().await.map_err(|error| error.to_string())?;
        Ok(frame.map(|frame| frame.bytes))
    }
}

/// Takes frames off a socket as a link from another node does.
#[derive(Debug)]
pub struct PeerFrames<R>(peer::frame::FrameReader<R>);

impl<R: AsyncRead + Unpin> PeerFrames<R> {
    /// With this size of one frame.
    pub fn new(socket: R, frame_bytes_max: u32) -> Self {
        Self(peer::frame::FrameReader::new(socket, frame_bytes_max))
    }

    /// The next frame's kind and body, `None` where the peer is done.
    ///
    /// # Errors
    ///
    /// Why there are no more frames, in words.
    pub async fn next(&mut self) -> Result<Option<(u8, Bytes)>, String> {
        let next = self.0.next(IDLE_DEFAULT).await;
        let frame = next.map_err(|error| error.to_string())?;
        Ok(frame.map(|frame| (frame.kind as u8, frame.body)))
    }
}

/// Reads what a frame of another node holds, as a link does; whether all of it can be read.
pub fn read_peer_frame(kind: u8, body: Bytes) -> bool {
    peer::again::read(kind, body)
}

/// What [`read_peer_frame`] can read, written again.
pub fn rewrite_peer_frame(kind: u8, body: Bytes) -> Option<Vec<u8>> {
    peer::again::rewrite(kind, body)
}
