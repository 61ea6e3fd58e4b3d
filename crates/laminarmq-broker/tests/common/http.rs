//! As much of an HTTP client as the tests need. Every wait has a deadline.

#![allow(dead_code, reason = "each test file uses its own part")]

use super::in_time;
use std::net::SocketAddr;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

/// An answer.
#[derive(Debug)]
pub(crate) struct Answer {
    pub(crate) status: u16,
    /// Names in lower case.
    pub(crate) headers: Vec<(String, String)>,
    pub(crate) body: String,
}

impl Answer {
    pub(crate) fn header(&self, name: &str) -> Option<&str> {
        let found = self.headers.iter().find(|(n, _)| n == name);
        found.map(|(_, value)| value.as_str())
    }
}

pub(crate) async fn get(address: SocketAddr, path: &str) -> Answer {
    ask(address, "GET", path).await
}

/// Asks once, on a connection of its own.
pub(crate) async fn ask(address: SocketAddr, method: &str, path: &str) -> Answer {
    let request = format!("{method} {path} HTTP/1.1\r\nHost: test\r\nConnection: close\r\n\r\n");
    let answer = raw(address, request.as_bytes()).await;
    parse(&answer)
}

/// Sends these bytes and reads until the other side closes.
pub(crate) async fn raw(address: SocketAddr, request: &[u8]) -> Vec<u8> {
    in_time("an HTTP answer", async {
        let mut stream = TcpStream::connect(address).await.expect("the port is open");
        // A peer that has seen enough closes early.
        let _ = stream.write_all(request).await;
        let mut answer = Vec::new();
        let _ = stream.read_to_end(&mut answer).await;
        answer
    })
    .await
}

pub(crate) fn parse(answer: &[u8]) -> Answer {
    let answer = std::str::from_utf8(answer).expect("text");
    let (head, body) = answer.split_once("\r\n\r\n").expect("a head and a body");
    let mut lines = head.split("\r\n");
    let status = lines.next().expect("a status");
    let status = status.strip_prefix("HTTP/1.1 ").expect(status);
    let header = |line: &str| {
        let (name, value) = line.split_once(": ").expect("a header");
        (name.to_ascii_lowercase(), value.to_owned())
    };
    Answer {
        status: status[..3].parse().expect("a number"),
        headers: lines.map(header).collect(),
        body: body.to_owned(),
    }
}
