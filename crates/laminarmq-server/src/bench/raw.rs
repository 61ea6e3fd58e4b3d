//! The limit of reading: bytes from a plain sender, as fast as they come.

use std::io::Read as _;
use std::time::Duration;

use super::connect::{connect, lost};
use crate::clock;
use crate::config::HostPort;
use crate::failure::Failure;

/// What one read takes at most: as much as one fetch brings.
const READ_BYTES: usize = 1 << 20;

/// Reads `bytes` bytes, or up to where the sender ends; how many came, and in what time.
pub(super) fn read_source(source: &HostPort, bytes: u64) -> Result<(u64, Duration), Failure> {
    let mut stream = connect(source)?;
    let mut buffer = vec![0; READ_BYTES];
    let start = clock::now();
    let mut total = 0;
    while total < bytes {
        let want = usize::try_from(bytes - total).map_or(READ_BYTES, |left| left.min(READ_BYTES));
        let count = stream
            .read(&mut buffer[..want])
            .map_err(|error| lost("the sender failed", &error))?;
        if count == 0 {
            break;
        }
        total += count as u64;
    }
    Ok((total, clock::now().saturating_duration_since(start)))
}
