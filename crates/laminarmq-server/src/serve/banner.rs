//! What a broker says once it serves: where it is, where its data is, and what to type next.

use std::io::{self, IsTerminal as _, Write as _};
use std::net::{IpAddr, SocketAddr};

use laminarmq_broker::{FlushMode, Running};
use serde_json::json;

use crate::cli;
use crate::config::address::KAFKA_PORT;
use crate::config::{LogFormat, ServeSettings};
use crate::output;

/// What the banner is made of.
#[derive(Debug, Clone)]
struct Facts<'a> {
    address: SocketAddr,
    http: Option<SocketAddr>,
    data_dir: String,
    cluster: &'a str,
    node: i32,
    flush: FlushMode,
    /// How this program was called, so that the commands can be pasted.
    program: String,
}

/// Prints the banner, or one JSON line. A closed stdout is no reason not to serve.
pub(super) fn print(settings: &ServeSettings, broker: &Running) {
    let data_dir = broker.data_dir();
    let data_dir = std::path::absolute(data_dir).unwrap_or_else(|_| data_dir.to_owned());
    let facts = Facts {
        address: broker.kafka_addr(),
        http: broker.http_addr(),
        data_dir: data_dir.display().to_string(),
        cluster: broker.cluster_id(),
        node: broker.node_id(),
        flush: settings.broker.default_flush,
        program: std::env::args().next().unwrap_or_default(),
    };
    let styled = output::styled(io::stdout().is_terminal());
    let text = match settings.log_format {
        LogFormat::Text => facts.text(styled),
        LogFormat::Json => facts.json(),
    };
    let mut stdout = io::stdout().lock();
    let _ = stdout.write_all(text.as_bytes());
    let _ = stdout.flush();
}

impl Facts<'_> {
    fn text(&self, styled: bool) -> String {
        let bold = |text: &str| output::bold(text, styled);
        let ack = match self.flush {
            FlushMode::Sync => "after it is on disk",
            FlushMode::Os => "from the page cache: a power cut loses it",
        };
        let http = match self.http {
            Some(http) => format!("http://{http}/ (metrics, livez, readyz)"),
            None => String::from("off"),
        };
        let Self {
            address,
            data_dir,
            cluster,
            node,
            ..
        } = self;
        let title = bold(&format!("laminarmq {}", cli::long_version()));
        let (produce, consume) = (bold(&self.produce()), bold(&self.consume()));
        format!(
            "{title}\n\
             \n  \
             listening  {address} (Kafka protocol)\n  \
             http       {http}\n  \
             data       {data_dir}\n  \
             cluster    {cluster}, node {node}\n  \
             acks=all   {ack}\n\
             \n  \
             write      {produce}\n  \
             read       {consume}\n  \
             stop       Ctrl-C\n\
             \n\
             ready kafka={address}\n"
        )
    }

    fn json(&self) -> String {
        let object = json!({
            "ready": {
                "kafka": self.address.to_string(),
                "http": self.http.map(|http| http.to_string()),
            },
            "version": env!("CARGO_PKG_VERSION"),
            "commit": env!("LAMINARMQ_BUILD_COMMIT"),
            "data_dir": self.data_dir,
            "cluster_id": self.cluster,
            "node_id": self.node,
            "default_flush": self.flush.as_str(),
        });
        format!("{object}\n")
    }

    fn produce(&self) -> String {
        format!(
            "echo hello | {} produce greetings{}",
            self.program(),
            self.brokers()
        )
    }

    fn consume(&self) -> String {
        format!(
            "{} consume greetings -o start{}",
            self.program(),
            self.brokers()
        )
    }

    /// The word to type for this program: its path, if it was started by one.
    fn program(&self) -> &str {
        if self.program.contains('/') {
            &self.program
        } else {
            "laminarmq"
        }
    }

    /// The flag that leads to this broker, unless that is where everybody looks anyway.
    fn brokers(&self) -> String {
        let ip = match self.address.ip() {
            ip if !ip.is_unspecified() => ip,
            IpAddr::V4(_) => IpAddr::from([127, 0, 0, 1]),
            IpAddr::V6(_) => IpAddr::from([0, 0, 0, 0, 0, 0, 0, 1]),
        };
        let address = SocketAddr::new(ip, self.address.port());
        if address == SocketAddr::from(([127, 0, 0, 1], KAFKA_PORT)) {
            String::new()
        } else {
            format!(" -b {address}")
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn facts(address: &str, program: &str) -> Facts<'static> {
        Facts {
            address: address.parse().expect("an address"),
            http: Some(SocketAddr::from(([127, 0, 0, 1], 8080))),
            data_dir: String::from("/data"),
            cluster: "c",
            node: 1,
            flush: FlushMode::Sync,
            program: program.to_owned(),
        }
    }

    #[test]
    fn the_commands_can_be_pasted() {
        let usual = facts("127.0.0.1:9092", "laminarmq");
        assert_eq!(usual.produce(), "echo hello | laminarmq produce greetings");
        assert_eq!(usual.consume(), "laminarmq consume greetings -o start");
        let built = facts("127.0.0.1:9093", "target/release/laminarmq");
        assert_eq!(
            built.consume(),
            "target/release/laminarmq consume greetings -o start -b 127.0.0.1:9093"
        );
        assert_eq!(facts("0.0.0.0:9092", "laminarmq").brokers(), "");
        assert_eq!(facts("[::]:9092", "laminarmq").brokers(), " -b [::1]:9092");
    }

    #[test]
    fn the_last_line_is_for_programs() {
        let text = facts("127.0.0.1:9092", "laminarmq").text(false);
        assert_eq!(text.lines().last(), Some("ready kafka=127.0.0.1:9092"));
        assert!(text.contains("http://127.0.0.1:8080/"), "{text}");
        let json = facts("127.0.0.1:9092", "laminarmq").json();
        let value: serde_json::Value = serde_json::from_str(&json).expect("valid JSON");
        assert_eq!(value["ready"]["kafka"], "127.0.0.1:9092");
        assert_eq!(value["ready"]["http"], "127.0.0.1:8080");
    }
}
