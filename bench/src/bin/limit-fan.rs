//! Receives frames over TCP, writes them to a file and sends them to two more receivers: the limit for three replicas.

use std::fs::File;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::PathBuf;
use std::process::ExitCode;
use std::{fs, io};

use clap::Parser;
use laminarmq_bench::{exit, fan, serve};

/// Like limit-sink --sync, and everything goes to two more of these too; a frame is answered when two of the three have
/// it on disk.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes a free one. Printed as `ready fan=ADDRESS`.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The directory for the files: the file system under test.
    #[arg(long)]
    dir: PathBuf,
    /// The two others: addresses of limit-sink --sync.
    #[arg(long, num_args = 2, required = true, value_name = "ADDRESS")]
    to: Vec<SocketAddr>,
}

fn main() -> ExitCode {
    exit("limit-fan", run(Options::parse()))
}

fn run(options: Options) -> io::Result<()> {
    fs::create_dir_all(&options.dir)?;
    let listener = TcpListener::bind(options.listen)?;
    println!("ready fan={}", listener.local_addr()?);
    let Options { dir, to, .. } = options;
    serve(&listener, move |number, stream| {
        stream.set_nodelay(true)?;
        let mut file = File::create(dir.join(format!("fan-{number}.bin")))?;
        let connect = |place: usize| {
            let other = TcpStream::connect(to[place])?;
            other.set_nodelay(true).map(|()| other)
        };
        fan::receive(stream, &mut file, [connect(0)?, connect(1)?])
    })
}
