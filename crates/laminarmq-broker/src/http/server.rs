//! Takes the address and serves connections, each within its bounds.

use super::routes::{Site, router};
use crate::limits::{
    HTTP_BUFFER_BYTES, HTTP_CONNECTION_LIFE_MAX, HTTP_CONNECTIONS_MAX, HTTP_FINISH_MAX,
    HTTP_HEADERS_MAX, HTTP_IDLE_MAX,
};
use crate::net::bind;
use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use std::future::pending;
use std::io;
use std::net::SocketAddr;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::Semaphore;
use tokio::task::{JoinHandle, JoinSet};
use tokio::time::timeout;

/// Connections that the system keeps for us until they are accepted.
const BACKLOG: u32 = 64;

/// How long to let things settle when the system has no more file descriptors.
const ACCEPT_RETRY: Duration = Duration::from_millis(100);

/// The HTTP port, open until this is dropped.
#[derive(Debug)]
pub(crate) struct HttpServer {
    address: SocketAddr,
    task: JoinHandle<()>,
}

impl HttpServer {
    pub(crate) async fn start(address: &str, site: Arc<Site>) -> io::Result<Self> {
        let socket = bind(address).await?.listen(BACKLOG)?;
        let address = socket.local_addr()?;
        let task = tokio::spawn(accept(socket, router(site)));
        Ok(Self { address, task })
    }

    /// Closes the port, and waits until it is closed.
    pub(crate) async fn close(mut self) {
        self.task.abort();
        // Cancelled, that is; its connections end with it.
        let _ = (&mut self.task).await;
    }

    pub(crate) fn address(&self) -> SocketAddr {
        self.address
    }
}

impl Drop for HttpServer {
    fn drop(&mut self) {
        // Its connections belong to the task and end with it.
        self.task.abort();
    }
}

async fn accept(socket: TcpListener, router: Router) {
    let places = Arc::new(Semaphore::new(HTTP_CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        // A place first: while all are taken, the system's backlog waits with us.
        let place = Arc::clone(&places);
        let place = place
            .acquire_owned()
            .await
            .expect("the semaphore is never closed");
        let accepted = socket.accept().await;
        while connections.try_join_next().is_some() {}
        match accepted {
            Ok((stream, _)) => {
                let router = router.clone();
                connections.spawn(async move {
                    serve(stream, router).await;
                    drop(place);
                });
            }
            Err(error) => {
                tracing::warn!(%error, "cannot accept a connection on the HTTP port");
                let _ = timeout(ACCEPT_RETRY, pending::<()>()).await;
            }
        }
    }
}

async fn serve(stream: TcpStream, router: Router) {
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HTTP_IDLE_MAX)
        .max_headers(HTTP_HEADERS_MAX)
        .max_buf_size(HTTP_BUFFER_BYTES)
        .serve_connection(TokioIo::new(stream), TowerToHyperService::new(router));
    let mut connection = pin!(connection);
    // What a peer does wrong ends its own connection and concerns nobody else.
    if timeout(HTTP_CONNECTION_LIFE_MAX, connection.as_mut())
        .await
        .is_ok()
    {
        return;
    }
    connection.as_mut().graceful_shutdown();
    let _ = timeout(HTTP_FINISH_MAX, connection).await;
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::config::BuildInfo;
    use crate::env::Env;
    use crate::http::Health;
    use crate::metrics::Metrics;
    use crate::runtime::Failure;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::time::Instant;

    async fn server() -> HttpServer {
        let health = Health::new(Failure::new());
        let metrics = Arc::new(Metrics::new(&Env::system(), BuildInfo::default()));
        let site = Arc::new(Site::new(health, metrics));
        HttpServer::start("127.0.0.1:0", site).await.unwrap()
    }

    async fn connect(server: &HttpServer) -> TcpStream {
        TcpStream::connect(server.address()).await.unwrap()
    }

    // The clock stands still while anything else can happen and then jumps to the next deadline, so none of
    // this takes any time.

    #[tokio::test(start_paused = true)]
    async fn a_peer_that_says_nothing_or_half_of_something_is_given_up() {
        let server = server().await;
        for begun in ["", "GET /livez HTTP/1.1\r\nHost: "] {
            let mut peer = connect(&server).await;
            let start = Instant::now();
            peer.write_all(begun.as_bytes()).await.unwrap();
            let mut answer = Vec::new();
            // Closed in order or not: closed.
            let _ = peer.read_to_end(&mut answer).await;
            assert!(start.elapsed() <= HTTP_IDLE_MAX + Duration::from_secs(1));
        }
    }

    #[tokio::test(start_paused = true)]
    async fn a_connection_ends_however_busy_it_is() {
        let server = server().await;
        let mut peer = connect(&server).await;
        let start = Instant::now();
        let request = "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n";
        let mut answers = 0;
        while peer.write_all(request.as_bytes()).await.is_ok() {
            let mut answer = [0; 1024];
            match peer.read(&mut answer).await {
                Ok(length) if length > 0 => answers += 1,
                _ => break,
            }
            tokio::time::advance(Duration::from_secs(1)).await;
        }
        let most = HTTP_CONNECTION_LIFE_MAX + HTTP_FINISH_MAX + Duration::from_secs(2);
        assert!(answers > 10 && start.elapsed() <= most, "{answers}");
    }

    #[tokio::test(start_paused = true)]
    async fn as_many_connections_as_allowed_are_served_and_one_more_waits() {
        let server = server().await;
        let mut idle = Vec::new();
        for _ in 0..HTTP_CONNECTIONS_MAX {
            idle.push(connect(&server).await);
        }
        let mut late = connect(&server).await;
        let start = Instant::now();
        late.write_all(b"GET /livez HTTP/1.1\r\nHost: x\r\nConnection: close\r\n\r\n")
            .await
            .unwrap();
        let mut answer = String::new();
        late.read_to_string(&mut answer).await.unwrap();
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        assert!(
            start.elapsed() >= HTTP_IDLE_MAX,
            "one of the idle had to end"
        );
    }
}
