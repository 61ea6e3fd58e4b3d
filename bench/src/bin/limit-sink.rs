//! Receives frames over TCP and writes them to files: the machine's limit for produce.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, io};

use clap::Parser;
use laminarmq_bench::{exit, fan, serve, sink};

/// Accepts connections and writes the frames of each to a file of its own.
///
/// A frame is four bytes of length, big-endian, and that many bytes; the answer is the length again.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes a free one. Printed as `ready sink=ADDRESS`.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The directory for the files: the file system under test.
    #[arg(long)]
    dir: PathBuf,
    /// Call fdatasync before each answer.
    #[arg(long)]
    sync: bool,
    /// Send everything to two more of these too, and answer when two of the three have it on disk.
    #[arg(long, num_args = 2, value_name = "ADDRESS", requires = "sync")]
    to: Vec<SocketAddr>,
}

fn main() -> ExitCode {
    exit("limit-sink", run(Options::parse()))
}

fn run(options: Options) -> io::Result<()> {
    fs::create_dir_all(&options.dir)?;
    let listener = TcpListener::bind(options.listen)?;
    println!("ready sink={}", listener.local_addr()?);
    let Options { dir, sync, to, .. } = options;
    serve(&listener, move |number, mut stream| {
        stream.set_nodelay(true)?;
        let mut file = File::create(dir.join(format!("sink-{number}.bin")))?;
        let [second, third] = to[..] else {
            return sink::receive(&mut stream, &mut file, sync).map(|_bytes| ());
        };
        fan::receive(stream, &mut file, [connect(second)?, connect(third)?])
    })
}

fn connect(to: SocketAddr) -> io::Result<TcpStream> {
    let stream = TcpStream::connect(to)?;
    stream.set_nodelay(true)?;
    Ok(stream)
}
