//! Sends a cached file over TCP: the machine's limit for consume.

use std::fs::File;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::path::PathBuf;
use std::process::ExitCode;

use clap::Parser;
use laminarmq_bench::{exit, serve, source};

/// Sends a file of the given size, read 1 MiB at a time, to whoever connects.
#[derive(Parser)]
struct Options {
    /// Where to listen; port 0 takes a free one. Printed as `ready source=ADDRESS`.
    #[arg(long, default_value = "127.0.0.1:0")]
    listen: SocketAddr,
    /// The file to make and to send: on the file system under test.
    #[arg(long)]
    file: PathBuf,
    /// How many bytes to put into the file.
    #[arg(long)]
    bytes: u64,
}

fn main() -> ExitCode {
    exit("limit-source", run(&Options::parse()))
}

fn run(options: &Options) -> io::Result<()> {
    let mut file = File::options()
        .read(true)
        .write(true)
        .create(true)
        .truncate(true)
        .open(&options.file)?;
    source::fill(&mut file, options.bytes)?;
    // Its write-back must not run beside the first measurement.
    file.sync_data()?;
    let listener = TcpListener::bind(options.listen)?;
    println!("ready source={}", listener.local_addr()?);
    serve(&listener, move |_number, mut stream| {
        stream.set_nodelay(true)?;
        source::send(&file, &mut stream).map(|_bytes| ())
    })
}
