//! Accepts connections, never more at a time than the limit allows.

use super::connection;
use crate::context::Context;
use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpSocket, TcpStream, lookup_host};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio::time::timeout;

/// How long to let things settle when the system has no more file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

#[derive(Debug)]
pub(crate) struct Listener {
    socket: TcpListener,
    context: Arc<Context>,
}

impl Listener {
    pub(crate) fn new(socket: TcpListener, context: Arc<Context>) -> Self {
        Self { socket, context }
    }

    /// Serves until the broker stops; then waits for the connections, at most `drain`.
    pub(crate) async fn run(self, drain: Duration) {
        let places = Arc::new(Semaphore::new(self.context.config.limits.connections));
        let mut connections = JoinSet::new();
        let mut stopping = self.context.stopping.clone();
        loop {
            // A place first: while all are taken, the system's backlog waits with us.
            let accepted = async {
                let places = Arc::clone(&places);
                let place = places
                    .acquire_owned()
                    .await
                    .expect("the semaphore is never closed");
                (place, self.socket.accept().await)
            };
            let (place, accepted) = tokio::select! {
                biased;
                _ = stopping.wait_for(|stop| *stop) => break,
                Some(_) = connections.join_next() => continue,
                accepted = accepted => accepted,
            };
            match accepted {
                Ok((stream, peer)) => {
                    let context = Arc::clone(&self.context);
                    connections.spawn(async move {
                        serve(stream, peer, context).await;
                        drop(place);
                    });
                }
                Err(error) => self.pause(&error).await,
            }
        }
        drop(self.socket);
        let all = async { while connections.join_next().await.is_some() {} };
        if timeout(drain, all).await.is_err() {
            tracing::warn!("some connections did not finish in time; they are closed");
        }
    }

    /// A connection that could not be accepted is still in the backlog; without a pause this would spin.
    async fn pause(&self, error: &io::Error) {
        tracing::warn!(%error, "cannot accept a connection (out of file descriptors?)");
        let mut stopping = self.context.stopping.clone();
        let _ = timeout(ACCEPT_RETRY, stopping.wait_for(|stop| *stop)).await;
    }
}

/// Takes an address without letting anybody connect yet.
pub(crate) async fn bind(address: &str) -> io::Result<TcpSocket> {
    let mut last = None;
    for candidate in lookup_host(address).await? {
        let socket = if candidate.is_ipv4() {
            TcpSocket::new_v4()?
        } else {
            TcpSocket::new_v6()?
        };
        // Connections of an earlier run that linger do not keep the address.
        socket.set_reuseaddr(true)?;
        match socket.bind(candidate) {
            Ok(()) => return Ok(socket),
            Err(error) => last = Some(error),
        }
    }
    Err(last.unwrap_or_else(|| io::Error::new(io::ErrorKind::NotFound, "the name has no address")))
}

async fn serve(stream: TcpStream, peer: SocketAddr, context: Arc<Context>) {
    tracing::debug!(%peer, "connected");
    let metrics = Arc::clone(&context.metrics);
    let _open = metrics.connections.opened();
    match connection::serve(stream, context).await {
        Ok(()) => {
            metrics.connections.closed("done");
            tracing::debug!(%peer, "disconnected");
        }
        Err(reason) => {
            metrics.connections.closed(reason.word());
            tracing::info!(%peer, %reason, "closed the connection");
        }
    }
}
