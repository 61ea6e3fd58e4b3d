//! What the clients asked for while the broker was traced.

use std::sync::{Mutex, PoisonError};

use serde::{Deserialize, Serialize};

use super::content::Stream;

/// A request.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) enum Asked {
    /// Batch `number` of a stream, with acks=all.
    Produce { stream: Stream, number: u32 },
    CreateTopic {
        topic: String,
        incarnation: u32,
        partitions: i32,
    },
    /// The topic of this name, which is this incarnation or an earlier one, if there is one.
    DeleteTopic { topic: String, incarnation: u32 },
    /// Up to where the partition can be read.
    EndOffset {
        topic: String,
        incarnation: u32,
        partition: i32,
    },
}

/// A request on its connection. They are in the journal before they are sent.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Request {
    pub(crate) run: usize,
    /// The client's end of the connection.
    pub(crate) peer: String,
    pub(crate) correlation: i32,
    pub(crate) asked: Asked,
    /// Whether the client got the answer.
    pub(crate) answered: bool,
}

/// All requests; several threads add to it.
#[derive(Debug, Default)]
pub(crate) struct Journal {
    requests: Mutex<Vec<Request>>,
}

impl Journal {
    /// A request is about to be sent. Returns its place.
    pub(crate) fn asks(&self, run: usize, peer: &str, correlation: i32, asked: Asked) -> usize {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.push(Request {
            run,
            peer: peer.to_owned(),
            correlation,
            asked,
            answered: false,
        });
        requests.len() - 1
    }

    /// The client got the answer to the request at this place.
    pub(crate) fn answered(&self, place: usize) {
        let mut requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests[place].answered = true;
    }

    pub(crate) fn requests(&self) -> Vec<Request> {
        let requests = self.requests.lock().unwrap_or_else(PoisonError::into_inner);
        requests.clone()
    }
}
