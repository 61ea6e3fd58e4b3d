//! Recording what real clients send: a relay between a client and a broker that keeps the request frames.
//!
//! Of each API and version one frame is kept: the longest of those that are short enough to read.

use std::collections::BTreeMap;
use std::io::{self, ErrorKind, Read, Write};
use std::net::{Shutdown, SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

/// Frames above this are passed on, but not kept.
const KEPT_BYTES_MAX: usize = 1500;
/// The largest frame that is passed on.
const FRAME_BYTES_MAX: usize = 64 << 20;

/// Frames without their length, by API number and version.
pub type Frames = BTreeMap<(i16, i16), Vec<u8>>;

/// A relay; its threads live as long as the process.
#[derive(Debug)]
pub struct Relay {
    kept: Arc<Mutex<Frames>>,
}

impl Relay {
    /// Passes each connection that `listener` gets on to the broker.
    #[must_use]
    pub fn start(listener: TcpListener, broker: SocketAddr) -> Self {
        let kept = Arc::<Mutex<Frames>>::default();
        let shared = Arc::clone(&kept);
        thread::spawn(move || {
            for client in listener.incoming().map_while(Result::ok) {
                let kept = Arc::clone(&shared);
                // A connection that breaks is the client's business.
                thread::spawn(move || relay(client, broker, &kept));
            }
        });
        Self { kept }
    }

    /// What was kept so far.
    #[must_use]
    pub fn frames(&self) -> Frames {
        self.kept
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }
}

fn relay(mut client: TcpStream, broker: SocketAddr, kept: &Mutex<Frames>) -> io::Result<()> {
    let mut server = TcpStream::connect(broker)?;
    server.set_nodelay(true)?;
    client.set_nodelay(true)?;
    let (mut answers, mut back) = (server.try_clone()?, client.try_clone()?);
    thread::spawn(move || {
        let _ = io::copy(&mut answers, &mut back);
        back.shutdown(Shutdown::Both)
    });
    while let Some(frame) = read_frame(&mut client)? {
        let length = u32::try_from(frame.len()).expect("below FRAME_BYTES_MAX");
        server.write_all(&[&length.to_be_bytes()[..], &frame].concat())?;
        keep(frame, kept);
    }
    server.shutdown(Shutdown::Write)
}

fn read_frame(stream: &mut TcpStream) -> io::Result<Option<Vec<u8>>> {
    let mut length = [0; 4];
    match stream.read_exact(&mut length) {
        Err(error) if error.kind() == ErrorKind::UnexpectedEof => return Ok(None),
        other => other?,
    }
    let length = usize::try_from(u32::from_be_bytes(length)).map_err(io::Error::other)?;
    if length > FRAME_BYTES_MAX {
        return Err(ErrorKind::InvalidData.into());
    }
    let mut frame = vec![0; length];
    stream.read_exact(&mut frame)?;
    Ok(Some(frame))
}

fn keep(frame: Vec<u8>, kept: &Mutex<Frames>) {
    let Some(&[a, b, c, d]) = frame.first_chunk() else {
        return;
    };
    let key = (i16::from_be_bytes([a, b]), i16::from_be_bytes([c, d]));
    let mut kept = kept.lock().unwrap_or_else(PoisonError::into_inner);
    let held = kept.entry(key).or_default();
    if frame.len() <= KEPT_BYTES_MAX && frame.len() > held.len() {
        *held = frame;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn requests_pass_and_the_longest_of_a_kind_is_kept() {
        let server = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let listener = TcpListener::bind("127.0.0.1:0").expect("loopback");
        let addr = listener.local_addr().expect("bound");
        let relay = Relay::start(listener, server.local_addr().expect("bound"));

        let short = [&[0, 18, 0, 3][..], &[1; 6]].concat();
        let long = [&[0, 18, 0, 3][..], &[2; 60]].concat();
        let other = [&[0, 3, 0, 9][..], &[3; 2000]].concat();
        let mut client = TcpStream::connect(addr).expect("connected");
        let frames = [&short, &long, &other, &short];
        for frame in frames {
            let length = u32::try_from(frame.len()).expect("short").to_be_bytes();
            client.write_all(&length).expect("sent");
            client.write_all(frame).expect("sent");
        }
        let (mut peer, _) = server.accept().expect("the relay connects");
        for frame in frames {
            let got = read_frame(&mut peer).expect("read").expect("a frame");
            assert_eq!(&got, frame);
        }
        peer.write_all(b"answer").expect("sent");
        let mut answer = [0; 6];
        client.read_exact(&mut answer).expect("read");
        assert_eq!(&answer, b"answer");
        // The broker got the end, so everything before was kept.
        drop(client);
        assert_eq!(read_frame(&mut peer).expect("read"), None);
        let kept = relay.frames();
        assert_eq!(kept[&(18, 3)], long);
        assert_eq!(kept[&(3, 9)], [0; 0], "seen, and too long to be kept");
        assert_eq!(kept.len(), 2);
    }
}
