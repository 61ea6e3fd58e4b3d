//! What the broker does for each request, one file per API.
//!
//! A request is taken in two steps. [`start`] runs in the order in which requests arrive: appends reach
//! their partitions in that order, and a change of topics is done before the next request is looked at.
//! [`finish`] runs in the order of the answers: there the others wait and look things up. So a request
//! sees the effect of those before it, and a slow one does not keep later appends from being written.

mod admin;
mod api_versions;
mod create_topics;
mod delete_topics;
mod fetch;
mod find_coordinator;
mod groups;
mod init_producer_id;
mod list_offsets;
mod metadata;
mod node;
mod produce;
mod produce_refused;
mod wire;

pub(crate) use init_producer_id::ProducerIds;

use crate::context::Context;
use crate::limits::CHANGE_WAIT_MIN;
use bytes::Bytes;
use laminarmq_kafka::api::served_range;
use laminarmq_kafka::messages::{FetchRequest, InitProducerIdRequest, ListOffsetsRequest};
use laminarmq_kafka::{
    AnyRequest, ApiKey, EncodeError, Message, Reader, RequestHeader, encode_response,
};
use std::net::SocketAddr;
use std::time::Duration;
use tokio::sync::{OwnedSemaphorePermit, watch};

/// Who is at the other end of a connection.
#[derive(Debug, Clone)]
pub(crate) struct Peer {
    /// Where it comes from.
    pub(crate) remote: SocketAddr,
    /// Our address, as the peer dialled it.
    pub(crate) dialled: SocketAddr,
    /// Becomes true when the peer sends no more requests.
    pub(crate) gone: watch::Receiver<bool>,
    /// Whether a request that is no fetch waits behind the fetch that is being answered.
    pub(crate) behind: watch::Receiver<bool>,
}

/// An answer, ready to be written.
#[derive(Debug)]
pub(crate) struct Answer {
    /// The frame, its length first.
    pub(crate) pieces: Vec<Bytes>,
    /// Its share of the bytes of fetch answers; given back when this is dropped.
    pub(crate) share: Option<OwnedSemaphorePermit>,
}

/// A request whose order is settled.
#[derive(Debug)]
pub(crate) enum Started {
    Answer(Answer),
    Produce(produce::Started),
    Fetch(RequestHeader, FetchRequest),
    ListOffsets(RequestHeader, ListOffsetsRequest),
    InitProducerId(RequestHeader, InitProducerIdRequest),
    Admin(RequestHeader, admin::Late),
    Groups(RequestHeader, groups::Late),
    /// Nothing can be said; the connection closes.
    Impossible(String),
}

impl Started {
    /// Whether it is a fetch that may wait, as long as its client says.
    pub(crate) fn waits_for_records(&self) -> bool {
        matches!(self, Self::Fetch(_, request) if !request.topics.is_empty())
    }
}

/// What becomes of a request, by its header alone.
#[derive(Debug)]
pub(crate) enum Reception {
    /// Its API is served in this version: read on.
    Served,
    /// It is not, and this is what can be said to that.
    Answer(Answer),
    /// It is not, and nothing can be said: the connection closes.
    Close,
}

/// Looks at a request's header; `body` stands behind it.
pub(crate) fn receive(header: &RequestHeader, body: &Reader) -> Reception {
    if served_range(header.api_key).is_some_and(|range| range.serves(header.api_version)) {
        return Reception::Served;
    }
    let pieces = match header.api_key {
        ApiKey::ApiVersions => api_versions::answer(header).ok(),
        ApiKey::Produce => produce_refused::answer(header, body),
        _ => None,
    };
    match pieces {
        Some(pieces) => Reception::Answer(Answer {
            pieces,
            share: None,
        }),
        None => Reception::Close,
    }
}

/// Settles the order of a request; see the module's documentation.
pub(crate) async fn start(
    context: &Context,
    peer: &Peer,
    header: RequestHeader,
    request: AnyRequest,
    frame_length: usize,
) -> Started {
    match request {
        AnyRequest::Produce(request) => {
            Started::Produce(produce::start(context, header, request, frame_length).await)
        }
        AnyRequest::Fetch(request) => Started::Fetch(header, request),
        AnyRequest::ListOffsets(request) => Started::ListOffsets(header, request),
        AnyRequest::InitProducerId(request) => Started::InitProducerId(header, request),
        AnyRequest::ApiVersions(_) => match api_versions::answer(&header) {
            Ok(pieces) => Started::Answer(Answer {
                pieces,
                share: None,
            }),
            Err(error) => Started::Impossible(unwritable(&error)),
        },
        AnyRequest::FindCoordinator(request) => ready(
            context,
            &header,
            &find_coordinator::handle(context, peer, request, header.api_version).await,
        ),
        AnyRequest::Metadata(request) => ready(
            context,
            &header,
            &metadata::handle(context, peer, request, header.api_version).await,
        ),
        AnyRequest::CreateTopics(request) => ready(
            context,
            &header,
            &create_topics::handle(context, request).await,
        ),
        AnyRequest::DeleteTopics(request) => ready(
            context,
            &header,
            &delete_topics::handle(context, request, header.api_version).await,
        ),
        other => groups::start(context, peer, header, other).await,
    }
}

fn unwritable(error: &EncodeError) -> String {
    format!("an answer that cannot be written: {error}")
}

/// Encodes an answer, and counts the error codes in it.
fn encode<M: Message>(
    context: &Context,
    header: &RequestHeader,
    response: &M,
) -> Result<Vec<Bytes>, EncodeError> {
    let requests = &context.metrics.requests;
    response.error_codes(&mut |code| requests.code(header.api_key, code));
    encode_response(header, response)
}

fn ready<M: Message>(context: &Context, header: &RequestHeader, response: &M) -> Started {
    match encode(context, header, response) {
        Ok(pieces) => Started::Answer(Answer {
            pieces,
            share: None,
        }),
        Err(error) => Started::Impossible(unwritable(&error)),
    }
}

/// Answers a request; `None` when the client wants no answer. An error closes the connection.
pub(crate) async fn finish(
    context: &Context,
    peer: &Peer,
    started: Started,
) -> Result<Option<Answer>, String> {
    let (pieces, share) = match started {
        Started::Answer(answer) => return Ok(Some(answer)),
        Started::Impossible(reason) => return Err(reason),
        Started::Produce(started) => match produce::finish(&context.metrics, started).await? {
            Some((header, response)) => (encode(context, &header, &response), None),
            None => return Ok(None),
        },
        Started::Fetch(header, request) => {
            let (response, share) = fetch::handle(context, peer, request).await;
            (encode(context, &header, &response), share)
        }
        Started::ListOffsets(header, request) => {
            let response = list_offsets::handle(context, request, header.api_version).await;
            (encode(context, &header, &response), None)
        }
        Started::InitProducerId(header, request) => {
            let response = init_producer_id::handle(context, &request).await;
            (encode(context, &header, &response), None)
        }
        Started::Groups(header, request) => {
            (groups::finish(context, peer, &header, request).await, None)
        }
        Started::Admin(header, request) => (admin::finish(context, &header, request).await, None),
    };
    let pieces = pieces.map_err(|error| unwritable(&error))?;
    Ok(Some(Answer { pieces, share }))
}

/// How long a client waits, in milliseconds, as far as that is allowed.
fn wait_of(timeout_ms: i32, max: Duration) -> Duration {
    Duration::from_millis(u64::try_from(timeout_ms).unwrap_or(0)).min(max)
}

/// The same for what takes a sync: some clients do not want to wait at all, and would never hear that
/// their request succeeded.
fn change_wait_of(timeout_ms: i32, max: Duration) -> Duration {
    wait_of(timeout_ms, max).max(CHANGE_WAIT_MIN)
}
