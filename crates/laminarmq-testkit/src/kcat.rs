//! kcat, the command line client over librdkafka.

use std::net::SocketAddr;
use std::process::Command;

/// A kcat command that talks to the broker at `addr`; the caller adds the mode and its options.
///
/// Its own configuration file is left out, so that a developer's settings do not reach the test.
#[must_use]
pub fn kcat(addr: SocketAddr) -> Command {
    let mut command = Command::new("kcat");
    command
        .env("KCAT_CONFIG", "/dev/null")
        .args(["-b", &addr.to_string()]);
    command
}
