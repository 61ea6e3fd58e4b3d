//! The HTTP port: health in all phases of a broker's life, and pages that are none.

#![allow(clippy::unwrap_used, reason = "this is test code")]

mod common;

use common::http::{ask, get, parse, raw};
use common::*;
use laminarmq_broker::{Broker, BrokerConfig, Clock, Entropy, Env, HostPort, Running, StartError};
use laminarmq_kafka::ErrorCode;
use std::fs;
use std::net::SocketAddr;
use std::path::Path;
use std::sync::{Arc, Condvar, Mutex};

fn local(port: u16) -> Option<HostPort> {
    Some(HostPort {
        host: "127.0.0.1".to_owned(),
        port,
    })
}

async fn with_http() -> (Fixture, SocketAddr) {
    let fixture = fixture_with(|config| config.http = local(0)).await;
    let http = fixture.broker.http_addr().expect("it is on");
    (fixture, http)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_serves_is_live_and_ready() {
    let (fixture, http) = with_http().await;
    for (path, body) in [("/livez", "live\n"), ("/readyz", "ready\n")] {
        let answer = get(http, path).await;
        assert_eq!((answer.status, answer.body.as_str()), (200, body));
        assert_eq!(answer.header("cache-control"), Some("no-store"));
        let head = ask(http, "HEAD", path).await;
        assert_eq!((head.status, head.body.as_str()), (200, ""));
    }
    let index = get(http, "/").await;
    assert_eq!(index.status, 200);
    for path in ["/metrics", "/livez", "/readyz"] {
        assert!(index.body.contains(&format!("href=\"{path}\"")));
    }
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_not_there_is_said_with_what_is() {
    let (fixture, http) = with_http().await;
    for path in ["/metric", "/metrics/", "/livez/x", "/%22%3Cscript%3E"] {
        let answer = get(http, path).await;
        assert_eq!(answer.status, 404, "{path}");
        assert!(answer.body.contains("/metrics, /livez and /readyz"));
        assert_eq!(
            answer.header("content-type"),
            Some("text/plain; charset=utf-8")
        );
    }
    for method in ["POST", "PUT", "DELETE", "OPTIONS", "BREW"] {
        for path in ["/", "/metrics", "/livez", "/readyz", "/none"] {
            let answer = ask(http, method, path).await;
            assert_eq!(answer.status, 405, "{method} {path}");
            assert!(answer.body.contains(method), "{}", answer.body);
        }
    }
    let answer = ask(http, "POST", "/metrics").await;
    assert_eq!(answer.header("allow"), Some("GET,HEAD"));
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_no_request_ends_its_own_connection_only() {
    let (fixture, http) = with_http().await;
    let long = format!("GET / HTTP/1.1\r\nHost: {}\r\n\r\n", "x".repeat(100_000));
    let many = format!("GET / HTTP/1.1\r\n{}\r\n", "A: b\r\n".repeat(1000));
    for request in [long.as_bytes(), many.as_bytes(), &[0xff; 64]] {
        let answer = raw(http, request).await;
        if !answer.is_empty() {
            let status = parse(&answer).status;
            assert!((400..500).contains(&status), "{status}");
        }
        assert_eq!(get(http, "/livez").await.status, 200);
    }
    stop(fixture.broker).await;
}

/// Gives no random number while it is held.
#[derive(Default)]
struct Held {
    held: Mutex<bool>,
    changed: Condvar,
}

impl Held {
    fn set(&self, held: bool) {
        *self.held.lock().unwrap() = held;
        self.changed.notify_all();
    }
}

impl Entropy for Held {
    fn next_u64(&self) -> u64 {
        let held = self.held.lock().unwrap();
        let _free = self.changed.wait_while(held, |held| *held).unwrap();
        7
    }
}

/// Lets whatever is held go, so that a test that fails also ends.
struct Release(Arc<Held>);

impl Drop for Release {
    fn drop(&mut self) {
        self.0.set(false);
    }
}

struct Still;

impl Clock for Still {
    fn now_ms(&self) -> i64 {
        1_000
    }
}

/// Starts a broker that is held at its first random number, which it wants in this phase, and lets it go on
/// once it was asked how it is.
async fn held_start(dir: &Path, port: u16, phase: &str) -> (Running, [String; 3]) {
    let held = Arc::new(Held::default());
    let _release = Release(Arc::clone(&held));
    held.set(true);
    let env = Env::new(Arc::new(Still), Arc::clone(&held) as Arc<dyn Entropy>);
    let config = BrokerConfig {
        http: local(port),
        ..config(dir)
    };
    let starting = tokio::spawn(Broker::start_with(config, env));
    let http = SocketAddr::from(([127, 0, 0, 1], port));
    in_time("the HTTP port", async {
        while tokio::net::TcpStream::connect(http).await.is_err() {
            tokio::task::yield_now().await;
        }
    })
    .await;
    let ready = in_time("the phase", async {
        loop {
            let ready = get(http, "/readyz").await;
            assert_eq!(ready.status, 503);
            // On the way there it passes earlier phases.
            if ready.body.contains(phase) {
                return ready.body;
            }
        }
    })
    .await;
    let live = get(http, "/livez").await;
    let page = get(http, "/metrics").await;
    assert_eq!((live.status, page.status), (200, 200));
    held.set(false);
    let broker = in_time("the start", starting).await.unwrap().unwrap();
    (broker, [ready, live.body, page.body])
}

/// A port that was free just now.
fn free_port() -> u16 {
    let socket = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    socket.local_addr().unwrap().port()
}

#[tokio::test(flavor = "multi_thread", worker_threads = 4)]
async fn a_broker_that_starts_is_live_and_not_ready() {
    let dir = tempfile::tempdir().unwrap();
    // A new directory needs random numbers for its identity, one with an identity only for its partitions.
    for phase in ["opening the data directory", "recovering the partitions"] {
        let (broker, [ready, live, page]) = held_start(dir.path(), free_port(), phase).await;
        assert_eq!(ready, format!("not ready: starting: {phase}\n"));
        assert_eq!(live, "live\n");
        let page = exposition::Page::parse(&page);
        assert_eq!(page.value("laminarmq_ready", &[]), 0.0);
        assert_eq!(page.find("laminarmq_topics", &[]), None);
        let http = broker.http_addr().unwrap();
        assert_eq!(get(http, "/readyz").await.status, 200);
        stop(broker).await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_stops_is_live_and_not_ready_until_it_is_gone() {
    let (mut fixture, http) = with_http().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[]).await;
    let large = "x".repeat(900_000);
    client.produce("t", 0, batch(&[&large])).await;
    // More answers than the sockets between us hold, and nobody takes them: the stop has to wait.
    for _ in 0..60 {
        client.send(12, &fetch_request("t", &[(0, 0)])).await;
    }
    client.receive_frame().await.unwrap();
    let stopping = tokio::spawn(stop(fixture.broker));
    in_time("the stop to begin", async {
        loop {
            let ready = get(http, "/readyz").await;
            if ready.status == 503 {
                assert_eq!(ready.body, "not ready: stopping\n");
                return;
            }
        }
    })
    .await;
    assert_eq!(get(http, "/livez").await.status, 200);
    assert!(!stopping.is_finished());
    drop(fixture.client);
    stopping.await.unwrap();
    let closed = tokio::net::TcpStream::connect(http).await;
    assert!(closed.is_err(), "the port is closed in the end");
}

#[tokio::test(flavor = "multi_thread")]
async fn a_broker_that_failed_is_neither_live_nor_ready() {
    let (mut fixture, http) = with_http().await;
    let client = &mut fixture.client;
    client.create("t", 1, &[("segment.bytes", "1024")]).await;
    fs::remove_dir_all(fixture.dir.path().join("topics/t-0")).unwrap();
    // Somewhere in here a segment is full, and the next one finds no folder.
    for _ in 0..20 {
        let produced = client.produce("t", 0, batch(&[&"x".repeat(500)])).await;
        if produced.error_code != ErrorCode::NONE {
            break;
        }
    }
    let failure = in_time("the failure", fixture.broker.failed()).await;
    for (path, word) in [("/livez", "live"), ("/readyz", "ready")] {
        let answer = get(http, path).await;
        assert_eq!(answer.status, 503);
        let want = format!("not {word}: failed: {}\n", failure.reason);
        assert_eq!(answer.body, want);
    }
    fixture.broker.shutdown().await.unwrap_err();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_taken_http_port_is_told_and_leaves_the_directory_alone() {
    let (fixture, http) = with_http().await;
    let dir = tempfile::tempdir().unwrap();
    let config = BrokerConfig {
        http: local(http.port()),
        ..config(&dir.path().join("data"))
    };
    let error = Broker::start(config).await.unwrap_err();
    let StartError::Http { address, .. } = &error else {
        panic!("{error}")
    };
    assert_eq!(*address, http.to_string());
    assert!(!dir.path().join("data").exists());
    stop(fixture.broker).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_that_ends_badly_closes_the_port() {
    let (fixture, _) = with_http().await;
    let port = free_port();
    let config = BrokerConfig {
        http: local(port),
        ..config(fixture.dir.path())
    };
    Broker::start(config).await.unwrap_err();
    in_time("closing the port", async {
        while tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .is_ok()
        {
            tokio::task::yield_now().await;
        }
    })
    .await;
    stop(fixture.broker).await;
}
