//! The limit of replicating: frames from a socket into a file here, and to two other receivers.
//!
//! Frames are as in [`sink`](crate::sink). Each piece goes to the file and to the others as it comes; the file is
//! synced at the end of each frame, while the others do the same. A frame is answered once two of the three have it
//! on disk: what `acks=all` means for three replicas.

use std::collections::VecDeque;
use std::fs::File;
use std::io::{self, ErrorKind, Write};
use std::net::{Shutdown, TcpStream};
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::thread;

use crate::sink::{Part, frames, read_head};

/// Frames that wait for their answers at most.
const WAITING_MAX: usize = 1024;

/// What the thread that answers hears.
enum Event {
    /// A frame came, with this head.
    Came([u8; 4]),
    /// One of the three has one more frame on disk.
    Stored(usize),
}

/// Receives frames until the peer closes between two of them.
///
/// # Errors
/// When a connection or the file fails, or a frame is cut short or too long.
pub fn receive(mut from: TcpStream, file: &mut File, mut to: [TcpStream; 2]) -> io::Result<()> {
    let (events, heard) = sync_channel(WAITING_MAX);
    let answering = from.try_clone()?;
    let mut readers = Vec::new();
    for (number, stream) in to.iter().enumerate() {
        let (stream, events) = (stream.try_clone()?, events.clone());
        readers.push(thread::spawn(move || {
            count_answers(stream, number + 1, &events)
        }));
    }
    let answerer = thread::spawn(move || answer(&heard, answering));
    let sent = send(&mut from, file, &mut to, &events);
    drop(events);
    for stream in &to {
        // Its receiver ends, and closes once it has answered all.
        stream.shutdown(Shutdown::Write)?;
    }
    for reader in readers {
        reader.join().expect("a reader does not panic")?;
    }
    answerer.join().expect("an answerer does not panic")?;
    sent
}

fn send(
    from: &mut TcpStream,
    file: &mut File,
    to: &mut [TcpStream; 2],
    events: &SyncSender<Event>,
) -> io::Result<()> {
    let tell = |event| {
        let sent = events.send(event);
        sent.map_err(|_| io::Error::from(ErrorKind::BrokenPipe))
    };
    frames(from, |_, part| match part {
        Part::Head(head) => {
            tell(Event::Came(head))?;
            to.iter_mut().try_for_each(|stream| stream.write_all(&head))
        }
        Part::Piece(piece) => {
            to.iter_mut()
                .try_for_each(|stream| stream.write_all(piece))?;
            file.write_all(piece)
        }
        Part::End(_) => {
            file.sync_data()?;
            tell(Event::Stored(0))
        }
    })
}

fn count_answers(
    mut stream: TcpStream,
    number: usize,
    events: &SyncSender<Event>,
) -> io::Result<()> {
    while read_head(&mut stream)?.is_some() {
        if events.send(Event::Stored(number)).is_err() {
            return Ok(());
        }
    }
    Ok(())
}

/// Answers each frame once two have it, in order.
fn answer(events: &Receiver<Event>, mut to: impl Write) -> io::Result<()> {
    let mut heads = VecDeque::new();
    let (mut stored, mut answered) = ([0u64; 3], 0);
    for event in events {
        match event {
            Event::Came(head) => heads.push_back(head),
            Event::Stored(number) => stored[number] += 1,
        }
        let mut sorted = stored;
        sorted.sort_unstable();
        while answered < sorted[1] {
            let head = heads.pop_front().expect("it came before it was stored");
            to.write_all(&head)?;
            answered += 1;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_frame_is_answered_when_two_have_it() {
        let (events, heard) = sync_channel(16);
        let send = |event| events.send(event).expect("somebody hears");
        for frame in 1..=3 {
            send(Event::Came([frame; 4]));
        }
        for number in [1, 1, 1, 0, 0, 2] {
            send(Event::Stored(number));
        }
        drop(events);
        let mut answers = Vec::new();
        answer(&heard, &mut answers).expect("a vector takes everything");
        assert_eq!(answers, [1, 1, 1, 1, 2, 2, 2, 2]);
    }
}
