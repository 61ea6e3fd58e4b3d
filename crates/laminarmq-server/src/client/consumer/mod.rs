//! Reading records: a fetcher runs ahead by a few answers, the caller takes them one by one.

mod delivery;
mod fetcher;

use tokio::sync::mpsc;
use tokio::task::JoinHandle;

pub(crate) use self::delivery::Delivery;
use self::fetcher::Fetcher;
use super::{Client, ClientError};

/// Answers that wait for the caller.
const AHEAD: usize = 2;

/// A partition to read, and from where to where.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Assignment {
    pub(crate) partition: i32,
    pub(crate) from: i64,
    /// Exclusive; `None`: for ever.
    pub(crate) to: Option<i64>,
}

/// Reads partitions of one topic. Dropping it stops the fetcher.
#[derive(Debug)]
pub(crate) struct Consumer {
    deliveries: mpsc::Receiver<Result<Delivery, ClientError>>,
    fetcher: JoinHandle<()>,
}

impl Consumer {
    pub(crate) fn open(client: &Client, topic: &str, assignments: &[Assignment]) -> Self {
        let (out, deliveries) = mpsc::channel(AHEAD);
        let fetcher = Fetcher::new(client.clone(), topic.to_owned(), assignments);
        Self {
            deliveries,
            fetcher: tokio::spawn(fetcher.run(out)),
        }
    }

    /// The next records of some partition; within a partition in order. `None`: every partition was
    /// read to its end. Nothing comes after an error.
    pub(crate) async fn next(&mut self) -> Option<Result<Delivery, ClientError>> {
        self.deliveries.recv().await
    }
}

impl Drop for Consumer {
    fn drop(&mut self) {
        self.fetcher.abort();
    }
}

#[cfg(test)]
mod tests;
