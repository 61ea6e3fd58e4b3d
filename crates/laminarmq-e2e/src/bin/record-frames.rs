//! Records the requests that a real client sends to a real broker, for the golden frames of `laminarmq-kafka`.
//!
//!     LAMINARMQ_BIN=... record-frames OUT TITLE COMMAND [ARGUMENT...]
//!
//! Starts a broker, and the command with the address of a relay in front of it as BOOTSTRAP in its environment.
//! Writes to OUT, when the command has ended well, one line for each API and version: name, version, frame in
//! hex. TITLE, which stands above them, names the client and its version.

use std::env;
use std::fmt::Write as _;
use std::fs;
use std::net::TcpListener;
use std::process::{Command, ExitCode};

use laminarmq_e2e::record::{Frames, Relay};
use laminarmq_kafka::ApiKey;
use laminarmq_testkit::{BrokerBuilder, TestDir};

fn main() -> ExitCode {
    let arguments: Vec<String> = env::args().skip(1).collect();
    match run(&arguments) {
        Ok(count) => {
            println!("{count} kinds of frames");
            ExitCode::SUCCESS
        }
        Err(error) => {
            eprintln!("record-frames: {error}");
            ExitCode::FAILURE
        }
    }
}

fn run(arguments: &[String]) -> Result<usize, String> {
    let [out, title, command, arguments @ ..] = arguments else {
        return Err("expected OUT TITLE COMMAND [ARGUMENT...]".to_owned());
    };
    let listener = TcpListener::bind("127.0.0.1:0").map_err(|error| error.to_string())?;
    let addr = listener.local_addr().map_err(|error| error.to_string())?;
    let addr = addr.to_string();
    let dir = TestDir::new("record-frames");
    // Clients go where the broker says that it is.
    let broker = BrokerBuilder::new(&dir.join("data"))
        .args(&["--advertise", &addr])
        .try_start()?;
    let relay = Relay::start(listener, broker.addr());
    let status = Command::new(command)
        .args(arguments)
        .env("BOOTSTRAP", &addr)
        .status()
        .map_err(|error| format!("{command}: {error}"))?;
    if !status.success() {
        return Err(format!("{command}: {status}"));
    }
    let mut frames = relay.frames();
    // Of some kinds every frame was too long to be kept.
    frames.retain(|_, frame| !frame.is_empty());
    fs::write(out, text(title, &frames)).map_err(|error| format!("{out}: {error}"))?;
    Ok(frames.len())
}

fn text(title: &str, frames: &Frames) -> String {
    let mut text = format!("# {title}\n");
    for ((api, version), frame) in frames {
        let name = ApiKey::try_from(*api).map_or("unknown", ApiKey::name);
        let _ = write!(text, "{name} {version} ");
        for byte in frame {
            let _ = write!(text, "{byte:02x}");
        }
        text.push('\n');
    }
    text
}
