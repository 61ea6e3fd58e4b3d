//! Starting the limit programs.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::net::SocketAddr;
use std::process::{Child, Command, Stdio};
use std::{env, io};

/// A running limit program; killed when dropped.
#[derive(Debug)]
pub struct Program {
    child: Child,
    addr: SocketAddr,
}

impl Program {
    /// Starts the program `name`, which lies beside the one that runs now, and waits until it says where
    /// it listens.
    ///
    /// # Errors
    /// When it cannot be started, or ends without listening.
    pub fn start<S: AsRef<OsStr>>(
        name: &str,
        arguments: impl IntoIterator<Item = S>,
    ) -> io::Result<Self> {
        let path = env::current_exe()?.with_file_name(name);
        let mut command = Command::new(&path);
        command
            .args(arguments)
            .stdin(Stdio::null())
            .stdout(Stdio::piped());
        let mut child = command.spawn().map_err(|error| {
            io::Error::new(
                error.kind(),
                format!("cannot start {}: {error}", path.display()),
            )
        })?;
        let mut line = String::new();
        BufReader::new(child.stdout.take().expect("the standard output is piped"))
            .read_line(&mut line)?;
        let addr = line
            .trim()
            .split_once('=')
            .and_then(|(_, addr)| addr.parse().ok());
        match addr {
            Some(addr) => Ok(Self { child, addr }),
            None => {
                // It may have ended by itself.
                drop(child.kill());
                drop(child.wait());
                Err(io::Error::other(format!(
                    "{name} does not say where it listens: {line:?}"
                )))
            }
        }
    }

    /// Where it listens.
    #[must_use]
    pub fn addr(&self) -> SocketAddr {
        self.addr
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        drop(self.child.kill());
        drop(self.child.wait());
    }
}
