//! A raw Kafka connection: frames out, frames in, nothing understood.

use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpStream};
use std::time::Duration;

use bytes::Bytes;

/// The largest response that is read; a longer one is an error, not an allocation.
pub const FRAME_BYTES_MAX: usize = 256 << 20;

/// One connection. Reads and writes give up after the timeout it was made with.
#[derive(Debug)]
pub struct Wire {
    stream: TcpStream,
    timeout: Duration,
}

impl Wire {
    /// Connects; `timeout` bounds the connect, and from then on each read and write.
    pub fn connect(addr: SocketAddr, timeout: Duration) -> io::Result<Self> {
        let stream = TcpStream::connect_timeout(&addr, timeout)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(timeout))?;
        stream.set_write_timeout(Some(timeout))?;
        Ok(Self { stream, timeout })
    }

    /// A second handle on the same connection, so that one thread writes while another reads.
    pub fn split(&self) -> io::Result<Self> {
        Ok(Self {
            stream: self.stream.try_clone()?,
            timeout: self.timeout,
        })
    }

    /// This end of the connection.
    pub fn local_addr(&self) -> io::Result<SocketAddr> {
        self.stream.local_addr()
    }

    /// Changes how long reads wait from now on.
    pub fn set_read_timeout(&mut self, timeout: Duration) -> io::Result<()> {
        self.timeout = timeout;
        self.stream.set_read_timeout(Some(timeout))
    }

    /// Sends the bytes as they are.
    pub fn send_raw(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }

    /// Sends one frame: the length of `body` as four bytes, big-endian, then `body`.
    pub fn send_frame(&mut self, body: &[u8]) -> io::Result<()> {
        let length =
            u32::try_from(body.len()).map_err(|_| io::Error::from(ErrorKind::InvalidInput))?;
        let mut frame = Vec::with_capacity(4 + body.len());
        frame.extend_from_slice(&length.to_be_bytes());
        frame.extend_from_slice(body);
        self.send_raw(&frame)
    }

    /// Receives one frame's body; `None` when the peer closed between two frames.
    ///
    /// A frame cut short is `UnexpectedEof`, an absurd length `InvalidData`, silence `TimedOut`.
    pub fn receive_frame(&mut self) -> io::Result<Option<Bytes>> {
        let mut head = [0; 4];
        let mut filled = 0;
        while filled < head.len() {
            match self
                .stream
                .read(&mut head[filled..])
                .map_err(unify_timeout)?
            {
                0 if filled == 0 => return Ok(None),
                0 => return Err(ErrorKind::UnexpectedEof.into()),
                count => filled += count,
            }
        }
        let length = u32::from_be_bytes(head);
        let length = usize::try_from(length).expect("a usize holds 32 bits");
        if length > FRAME_BYTES_MAX {
            return Err(io::Error::new(
                ErrorKind::InvalidData,
                format!("a response of {length} bytes"),
            ));
        }
        let mut body = vec![0; length];
        self.stream.read_exact(&mut body).map_err(unify_timeout)?;
        Ok(Some(body.into()))
    }

    /// Says that nothing more will be sent.
    pub fn finish_sending(&self) -> io::Result<()> {
        self.stream.shutdown(Shutdown::Write)
    }
}

/// A read timeout is `WouldBlock` on Unix; callers look for one kind only.
fn unify_timeout(error: io::Error) -> io::Error {
    if error.kind() == ErrorKind::WouldBlock {
        ErrorKind::TimedOut.into()
    } else {
        error
    }
}

#[cfg(test)]
mod tests {
    use std::net::TcpListener;
    use std::thread;

    use super::*;

    /// Answers one connection with `bytes` and closes; returns what it received.
    fn peer(bytes: Vec<u8>) -> (SocketAddr, thread::JoinHandle<Vec<u8>>) {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = listener.local_addr().expect("bound");
        let thread = thread::spawn(move || {
            let (mut stream, _) = listener.accept().expect("a connection");
            stream.write_all(&bytes).expect("written");
            stream.shutdown(Shutdown::Write).expect("open");
            let mut got = Vec::new();
            stream.read_to_end(&mut got).expect("read");
            got
        });
        (addr, thread)
    }

    #[test]
    fn frames_go_out_with_their_length_and_come_in_whole() {
        let (addr, thread) = peer(b"\0\0\0\x02ab\0\0\0\0".to_vec());
        let mut wire = Wire::connect(addr, Duration::from_secs(10)).expect("connected");
        wire.send_frame(b"xyz").expect("sent");
        wire.finish_sending().expect("open");
        assert_eq!(
            wire.receive_frame().expect("read").as_deref(),
            Some(&b"ab"[..])
        );
        assert_eq!(
            wire.receive_frame().expect("read").as_deref(),
            Some(&b""[..])
        );
        assert_eq!(wire.receive_frame().expect("read"), None);
        assert_eq!(thread.join().expect("no panic"), b"\0\0\0\x03xyz");
    }

    #[test]
    fn a_cut_frame_and_an_absurd_length_are_errors() {
        for (sent, kind) in [
            (b"\0\0".to_vec(), ErrorKind::UnexpectedEof),
            (b"\0\0\0\x09abc".to_vec(), ErrorKind::UnexpectedEof),
            (b"\xff\xff\xff\xff".to_vec(), ErrorKind::InvalidData),
        ] {
            let (addr, thread) = peer(sent);
            let mut wire = Wire::connect(addr, Duration::from_secs(10)).expect("connected");
            assert_eq!(wire.receive_frame().expect_err("no frame").kind(), kind);
            drop(wire);
            thread.join().expect("no panic");
        }
    }

    #[test]
    fn silence_is_a_timeout() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = listener.local_addr().expect("bound");
        let mut wire = Wire::connect(addr, Duration::from_millis(20)).expect("connected");
        assert_eq!(
            wire.receive_frame().expect_err("silence").kind(),
            ErrorKind::TimedOut
        );
    }
}
