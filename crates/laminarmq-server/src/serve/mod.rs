//! `laminarmq serve`: settings in, a running broker, a clean end.
//!
//! The broker says on stdout how to reach it, and `ready kafka=HOST:PORT` once it can be reached; log
//! lines go to stderr. SIGTERM and Ctrl-C drain, sync and leave with 0; a second one leaves at once.

mod banner;
mod errors;
mod logging;
mod open_files;
mod signals;

use std::net::SocketAddr;

use laminarmq_broker::{Broker, Running};
use tracing::{info, warn};

use crate::config::layers::misspelt_variables;
use crate::config::{LogFormat, Resolved, ServeFlags, ServeSettings};
use crate::failure::Failure;
use crate::output;
use signals::Signals;

pub(crate) const EXAMPLES: &str = "\
Examples:
  laminarmq serve
  laminarmq serve --listen 127.0.0.1:19092 --data-dir /var/lib/laminarmq
  LAMINARMQ_DEFAULT_PARTITIONS=3 laminarmq serve
  laminarmq serve --config broker.toml

Every flag is also a variable (--data-dir: LAMINARMQ_DATA_DIR) and a line in the file
(data-dir = \"...\"). `laminarmq config show` prints what would be used, and why.

Ctrl-C or SIGTERM: answers what was received, syncs, and leaves with 0.";

/// Runs a broker until it is told to end, or cannot go on.
pub(crate) fn run(flags: &ServeFlags) -> Result<(), Failure> {
    let resolved = Resolved::load(flags)?;
    let format = resolved.settings.log_format;
    logging::start(&resolved.settings.log_filter, format);
    let names = std::env::vars_os().filter_map(|(name, _)| name.into_string().ok());
    for (name, meant) in misspelt_variables(names) {
        warn!("the variable {name} is no setting; did you mean {meant}?");
    }
    open_files::raise_limit();

    run_with(&resolved.settings).map_err(|failure| logging::tell_failure(failure, format))
}

fn run_with(settings: &ServeSettings) -> Result<(), Failure> {
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format_args!("cannot start the runtime: {error}")))?;
    let result = runtime.block_on(serve(settings));
    // Whatever is still running has been told to end; nothing of it is owed to a client.
    runtime.shutdown_background();
    result
}

async fn serve(settings: &ServeSettings) -> Result<(), Failure> {
    // Before the broker starts: a signal while it recovers must not kill it halfway.
    let mut signals = Signals::listen()
        .map_err(|error| Failure::failed(format_args!("cannot listen for signals: {error}")))?;
    let broker = tokio::select! {
        started = Broker::start(settings.broker.clone()) => {
            started.map_err(|error| errors::explain(&error, &settings.broker))?
        }
        name = signals.next() => {
            info!("{name} while starting: nothing was served");
            return Ok(());
        }
    };
    warn_if_open_to_all(&broker, settings.log_format);
    banner::print(settings, &broker);

    let ended = tokio::select! {
        failure = broker.failed() => Err(failure),
        name = signals.next() => Ok(name),
    };
    match ended {
        Err(failure) => Err(errors::explain_failure(&failure)),
        Ok(name) => shut_down(broker, name, signals).await,
    }
}

async fn shut_down(broker: Running, name: &str, mut signals: Signals) -> Result<(), Failure> {
    info!("{name}: finishing requests and syncing; once more to leave at once");
    tokio::select! {
        done = broker.shutdown() => done.map_err(|failure| errors::explain_failure(&failure)),
        name = signals.next() => {
            Err(Failure::failed(format_args!("{name} again: left without a clean end"))
                .hint("what was acknowledged with acks=all is kept"))
        }
    }?;
    info!("all data is on disk; goodbye");
    Ok(())
}

fn warn_if_open_to_all(broker: &Running, format: LogFormat) {
    let open = |address: &SocketAddr| !address.ip().is_loopback();
    if let Some(address) = Some(broker.kafka_addr()).filter(open) {
        match format {
            LogFormat::Text => output::warn(format_args!(
                "{address} is open to the network WITHOUT AUTHENTICATION.\n         \
                 Whoever reaches this port reads, writes and deletes everything.\n         \
                 Keep it behind a firewall, or listen on 127.0.0.1."
            )),
            LogFormat::Json => warn!(
                %address,
                "open to the network WITHOUT AUTHENTICATION: whoever reaches this port reads, writes and \
                 deletes everything"
            ),
        }
    }
    if let Some(address) = broker.http_addr().filter(open) {
        warn!(
            %address,
            "the HTTP port is open to the network: whoever reaches it sees the names of topics and groups"
        );
    }
}
