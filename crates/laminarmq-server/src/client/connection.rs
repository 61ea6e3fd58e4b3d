//! One connection to one broker.
//!
//! Kafka answers in the order of the requests, so a connection is two queues: frames on their way out,
//! and callers that wait, in the same order. Two tasks own the halves of the socket; callers may give
//! up at any moment without harm to the others. Once anything is wrong (closed, a frame too long, a
//! correlation id that is not the next one) the whole connection is lost, with one reason for all.
//!
//! `waiting` is a prefix of what was sent: the reader never sees a response before its caller stands in
//! the queue.

use std::sync::atomic::{AtomicI32, Ordering};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use bytes::{Buf as _, Bytes};
use laminarmq_broker::HostPort;
use laminarmq_kafka::messages::{ApiVersionsRequest, ApiVersionsResponse};
use laminarmq_kafka::{ErrorCode, Request, decode_response, encode_request};
use tokio::io::BufReader;
use tokio::net::TcpStream;
use tokio::net::tcp::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot};
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::frames::{FrameReader, write_pieces};
use super::versions::Versions;
use super::{CLIENT_ID, ClientError, ClientOptions};

/// Requests that were sent and not answered, or wait to be sent; a further caller waits.
const IN_FLIGHT_MAX: usize = 64;
/// Small responses share a read of this size.
const READ_BUFFER_BYTES: usize = 64 * 1024;

/// A caller that waits for the response with this correlation id.
#[derive(Debug)]
struct Waiting {
    correlation_id: i32,
    answer: oneshot::Sender<Bytes>,
}

/// A frame to send, and who waits for its response (nobody for `acks=0`).
#[derive(Debug)]
struct Outgoing {
    pieces: Vec<Bytes>,
    waiting: Option<Waiting>,
}

/// A connection whose API versions are known. Dropping it closes the socket.
#[derive(Debug)]
pub(crate) struct Connection {
    broker: HostPort,
    versions: Versions,
    outgoing: mpsc::Sender<Outgoing>,
    next_correlation_id: AtomicI32,
    /// Why the connection was lost, once it is.
    lost: Arc<OnceLock<String>>,
    request_timeout: Duration,
    tasks: [JoinHandle<()>; 2],
}

impl Connection {
    /// Connects and asks what the broker speaks.
    pub(super) async fn open(
        broker: &HostPort,
        options: &ClientOptions,
    ) -> Result<Self, ClientError> {
        let unreachable = |reason: String| ClientError::Unreachable {
            broker: broker.clone(),
            reason,
        };
        let dial = TcpStream::connect((broker.host.as_str(), broker.port));
        let stream = timeout(options.connect_timeout, dial)
            .await
            .map_err(|_| unreachable(String::from("no answer in time")))?
            .map_err(|error| unreachable(error.to_string()))?;
        // Requests are written whole; waiting for more bytes only delays them.
        stream
            .set_nodelay(true)
            .map_err(|error| unreachable(error.to_string()))?;

        let (read, write) = stream.into_split();
        let (outgoing, to_write) = mpsc::channel(IN_FLIGHT_MAX);
        let (waiting, to_answer) = mpsc::channel(IN_FLIGHT_MAX);
        let lost = Arc::new(OnceLock::new());
        let tasks = [
            tokio::spawn(write_all(write, to_write, waiting, Arc::clone(&lost))),
            tokio::spawn(answer_all(read, to_answer, Arc::clone(&lost))),
        ];
        let mut connection = Self {
            broker: broker.clone(),
            versions: Versions::default(),
            outgoing,
            next_correlation_id: AtomicI32::new(0),
            lost,
            request_timeout: options.request_timeout,
            tasks,
        };
        connection.versions = Versions::of(&connection.ask_versions().await?);
        Ok(connection)
    }

    /// Asks for the broker's versions: in our newest version of the question, or (an old broker refuses
    /// that one in version 0) in the oldest.
    async fn ask_versions(&self) -> Result<ApiVersionsResponse, ClientError> {
        let request = ApiVersionsRequest {
            client_software_name: String::from(CLIENT_ID),
            client_software_version: String::from(env!("CARGO_PKG_VERSION")),
        };
        let newest = <ApiVersionsRequest as laminarmq_kafka::Message>::VERSIONS.max;
        let frame = self.exchange(&request, newest).await?;
        // The response header of this API is the same in all versions, and so is the error code behind it.
        let code = frame.get(4..6).map_or(0, |mut code| code.get_i16());
        let response = if ErrorCode(code) == ErrorCode::UNSUPPORTED_VERSION {
            let frame = self.exchange(&ApiVersionsRequest::default(), 0).await?;
            self.decode::<ApiVersionsRequest>(frame, 0)?
        } else {
            self.decode::<ApiVersionsRequest>(frame, newest)?
        };
        if response.error_code.is_none() {
            return Ok(response);
        }
        Err(ClientError::refused(
            format!("{} does not tell its versions", self.broker),
            response.error_code,
            None,
        ))
    }

    pub(crate) fn broker(&self) -> &HostPort {
        &self.broker
    }

    pub(crate) fn versions(&self) -> &Versions {
        &self.versions
    }

    /// False once the connection is of no use any more.
    pub(super) fn is_alive(&self) -> bool {
        self.lost.get().is_none() && !self.outgoing.is_closed()
    }

    /// Sends a request and waits for its response.
    pub(crate) async fn call<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        let version = self.versions.pick::<R>(&self.broker)?;
        let frame = self.exchange(request, version).await?;
        self.decode::<R>(frame, version)
    }

    /// Sends a request that has no response.
    pub(super) async fn send_unanswered<R: Request>(&self, request: &R) -> Result<(), ClientError> {
        let version = self.versions.pick::<R>(&self.broker)?;
        let correlation_id = self.correlation_id();
        let pieces = encode_request(version, correlation_id, Some(CLIENT_ID), request)?;
        let outgoing = Outgoing {
            pieces,
            waiting: None,
        };
        self.outgoing.send(outgoing).await.map_err(|_| self.loss())
    }

    async fn exchange<R: Request>(&self, request: &R, version: i16) -> Result<Bytes, ClientError> {
        let correlation_id = self.correlation_id();
        let pieces = encode_request(version, correlation_id, Some(CLIENT_ID), request)?;
        let (answer, answered) = oneshot::channel();
        let outgoing = Outgoing {
            pieces,
            waiting: Some(Waiting {
                correlation_id,
                answer,
            }),
        };
        let exchange = async {
            self.outgoing
                .send(outgoing)
                .await
                .map_err(|_| self.loss())?;
            answered.await.map_err(|_| self.loss())
        };
        timeout(self.request_timeout, exchange)
            .await
            .unwrap_or_else(|_| {
                Err(ClientError::Timeout {
                    broker: self.broker.clone(),
                    api: R::KEY,
                    after: self.request_timeout,
                })
            })
    }

    fn decode<R: Request>(&self, frame: Bytes, version: i16) -> Result<R::Response, ClientError> {
        decode_response::<R>(frame, version)
            .map(|(_, response)| response)
            .map_err(|source| ClientError::Decode {
                broker: self.broker.clone(),
                source,
            })
    }

    fn correlation_id(&self) -> i32 {
        self.next_correlation_id.fetch_add(1, Ordering::Relaxed)
    }

    fn loss(&self) -> ClientError {
        let reason = self.lost.get().map_or("closed", String::as_str);
        ClientError::Lost {
            broker: self.broker.clone(),
            reason: reason.to_owned(),
        }
    }
}

impl Drop for Connection {
    fn drop(&mut self) {
        for task in &self.tasks {
            task.abort();
        }
    }
}

/// Writes frames until the connection is dropped or fails.
async fn write_all(
    mut stream: OwnedWriteHalf,
    mut outgoing: mpsc::Receiver<Outgoing>,
    waiting: mpsc::Sender<Waiting>,
    lost: Arc<OnceLock<String>>,
) {
    while let Some(Outgoing {
        pieces,
        waiting: caller,
    }) = outgoing.recv().await
    {
        if let Some(caller) = caller
            && waiting.send(caller).await.is_err()
        {
            return; // The reader ended and has told why.
        }
        if let Err(error) = write_pieces(&mut stream, pieces).await {
            let _ = lost.set(error.to_string());
            return;
        }
    }
}

/// Hands each response to the caller whose turn it is. Callers that are left when this ends see their
/// channel close.
async fn answer_all(
    stream: OwnedReadHalf,
    mut waiting: mpsc::Receiver<Waiting>,
    lost: Arc<OnceLock<String>>,
) {
    let mut frames = FrameReader::new(BufReader::with_capacity(READ_BUFFER_BYTES, stream));
    let reason = loop {
        let frame = match frames.next().await {
            Ok(Some(frame)) => frame,
            Ok(None) => break String::from("closed by the broker"),
            Err(error) => break error.to_string(),
        };
        let Ok(caller) = waiting.try_recv() else {
            break String::from("a response that nobody asked for");
        };
        let Some(got) = frame.first_chunk().map(|id| i32::from_be_bytes(*id)) else {
            break String::from("a response without a correlation id");
        };
        if got != caller.correlation_id {
            let want = caller.correlation_id;
            break format!("a response to request {got} in place of {want}");
        }
        // A caller that gave up is no reason to stop.
        let _ = caller.answer.send(frame);
    };
    let _ = lost.set(reason);
}

#[cfg(test)]
#[path = "connection_tests.rs"]
mod tests;
