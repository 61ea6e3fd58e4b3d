//! Why a broker did not start, as one line with what to do.

use std::error::Error;
use std::io::{self, ErrorKind};

use laminarmq_broker::{BrokerConfig, BrokerFailure, StartError};
use rustix::io::Errno;

use crate::failure::Failure;

/// Says what stood in the way and what helps.
pub(super) fn explain(error: &StartError, config: &BrokerConfig) -> Failure {
    let failure = Failure::failed(error);
    let hint = match error {
        StartError::Listen { address, source } => {
            return Listening::kafka(config).explain(address, source);
        }
        StartError::Http { address, source } => {
            return Listening::http(config).explain(address, source);
        }
        StartError::Peers { address, source } => {
            return Listening::peers(config).explain(address, source);
        }
        StartError::Failed(failure) => return explain_failure(failure),
        StartError::Config(_) => Some(String::from("`laminarmq config show` lists every setting")),
        StartError::Thread(_) => Some(String::from(
            "the system allows no more threads: raise `ulimit -u`, or give fewer --shards",
        )),
        // A directory that is in use, too new or damaged says by itself what to do.
        _ => io_kind(error).map(|kind| disk_hint(kind).to_owned()),
    };
    match hint {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}

/// Says what a broker that could not go on leaves behind.
pub(super) fn explain_failure(failure: &BrokerFailure) -> Failure {
    // The reason is text by the time it comes here: of the error itself, with the system's number, or of its kind, which
    // is what a log remembers of it.
    let errno = [Errno::NOSPC, Errno::DQUOT].map(|no| format!("(os error {})", no.raw_os_error()));
    let kinds = [ErrorKind::StorageFull, ErrorKind::QuotaExceeded].map(|kind| format!("({kind})"));
    let full = [errno, kinds]
        .as_flattened()
        .iter()
        .any(|words| failure.reason.contains(words));
    Failure::failed(failure).hint(if full {
        "the disk is full: free some space, then start it again; what was acknowledged is kept"
    } else {
        "what was acknowledged is kept; see the log above, check the disk, then start it again"
    })
}

/// The kind of the first I/O error in the chain of causes.
fn io_kind(error: &(dyn Error + 'static)) -> Option<ErrorKind> {
    let mut cause = Some(error);
    while let Some(error) = cause {
        if let Some(error) = error.downcast_ref::<io::Error>() {
            return Some(error.kind());
        }
        cause = error.source();
    }
    None
}

fn disk_hint(kind: ErrorKind) -> &'static str {
    match kind {
        ErrorKind::PermissionDenied => {
            "give this user the right to write there, or choose another directory with --data-dir"
        }
        ErrorKind::StorageFull | ErrorKind::QuotaExceeded => {
            "the disk is full: free some space, or choose another directory with --data-dir"
        }
        ErrorKind::ReadOnlyFilesystem => {
            "choose a directory on a writable file system with --data-dir"
        }
        ErrorKind::NotADirectory | ErrorKind::AlreadyExists => {
            "something else has that name; choose another directory with --data-dir"
        }
        _ => "check --data-dir and the disk under it",
    }
}

/// What somebody wanted to listen on.
struct Listening {
    /// Follows the address in an error.
    purpose: &'static str,
    port: u16,
    /// The flag that chooses another address, ...
    flag: &'static str,
    /// ... with one that fits on this machine, ...
    example: &'static str,
    /// ... and how to do without.
    or_else: &'static str,
}

impl Listening {
    fn kafka(config: &BrokerConfig) -> Self {
        Self {
            purpose: "",
            port: config.listen.port,
            flag: "--listen",
            example: "HOST:PORT",
            or_else: "",
        }
    }

    fn http(config: &BrokerConfig) -> Self {
        Self {
            purpose: " for HTTP (metrics and health)",
            port: config.http.as_ref().map_or(0, |address| address.port),
            flag: "--http",
            example: "127.0.0.1:PORT",
            or_else: ", or switch it off with --http off",
        }
    }

    fn peers(config: &BrokerConfig) -> Self {
        let cluster = config.cluster.as_ref();
        let address = cluster.and_then(|c| c.listen.as_ref().or_else(|| c.own_address()));
        Self {
            purpose: " for the other nodes",
            port: address.map_or(0, |address| address.port),
            flag: "--cluster-listen",
            example: "HOST:PORT",
            or_else: "",
        }
    }

    fn explain(&self, address: &str, error: &io::Error) -> Failure {
        let Self {
            purpose,
            port,
            flag,
            example,
            or_else,
        } = self;
        let cannot = |reason: &str| {
            Failure::failed(format_args!(
                "cannot listen on {address}{purpose}: {reason}"
            ))
        };
        match error.kind() {
            ErrorKind::AddrInUse => cannot("another program has this port").hint(format_args!(
                "stop it (`ss -ltnp 'sport = :{port}'` shows which), or choose another port with \
                 {flag} {example}{or_else}"
            )),
            ErrorKind::PermissionDenied => cannot("no permission").hint(format_args!(
                "ports below 1024 are for root; choose a higher one with {flag} {example}{or_else}"
            )),
            ErrorKind::AddrNotAvailable => cannot("this machine does not have that address").hint(
                format_args!("{flag} 0.0.0.0:PORT takes all that it has{or_else}"),
            ),
            _ => cannot(&error.to_string()).hint(format_args!("check {flag} HOST:PORT{or_else}")),
        }
    }
}

#[cfg(test)]
mod tests {
    use laminarmq_broker::DataDirError;

    use super::*;

    fn text(error: &StartError) -> String {
        let failure = explain(error, &BrokerConfig::default());
        failure.render(false).expect("a failure has a text")
    }

    #[test]
    fn a_taken_port_and_a_port_for_root() {
        let listen = |kind: ErrorKind| {
            text(&StartError::Listen {
                address: String::from("127.0.0.1:9092"),
                source: kind.into(),
            })
        };
        let taken = listen(ErrorKind::AddrInUse);
        assert!(
            taken.starts_with("error: cannot listen on 127.0.0.1:9092: "),
            "{taken}"
        );
        assert!(
            taken.contains("choose another port with --listen"),
            "{taken}"
        );
        assert!(listen(ErrorKind::PermissionDenied).contains("below 1024"));
        let http = text(&StartError::Http {
            address: String::from("127.0.0.1:8080"),
            source: ErrorKind::AddrInUse.into(),
        });
        assert!(
            http.starts_with("error: cannot listen on 127.0.0.1:8080 for HTTP "),
            "{http}"
        );
        assert!(http.contains(":8080'"), "{http}");
        assert!(
            http.contains("--http 127.0.0.1:PORT, or switch it off with --http off"),
            "{http}"
        );
    }

    #[test]
    fn a_full_disk_is_seen_in_a_failure() {
        let text = |error: io::Error| {
            let later = laminarmq::Poisoned {
                during: "a sync",
                kind: error.kind(),
            };
            [
                format!("appending to the log: {error}"),
                format!("syncing the log: {later}"),
            ]
            .map(|reason| {
                let failure = explain_failure(&BrokerFailure { reason });
                failure.render(false).expect("a failure has a text")
            })
        };
        let full = io::Error::from_raw_os_error(Errno::NOSPC.raw_os_error());
        for text in text(full) {
            assert!(text.contains("the disk is full"), "{text}");
        }
        let broken = io::Error::from_raw_os_error(Errno::IO.raw_os_error());
        for text in text(broken) {
            assert!(text.contains("check the disk"), "{text}");
        }
    }

    #[test]
    fn the_disk_speaks_through_whatever_holds_its_error() {
        let data_dir = |kind: ErrorKind| {
            text(&StartError::DataDir(DataDirError::Io {
                what: "create",
                path: "/data".into(),
                source: kind.into(),
            }))
        };
        assert!(data_dir(ErrorKind::PermissionDenied).contains("the right to write there"));
        assert!(data_dir(ErrorKind::StorageFull).contains("the disk is full"));
        let in_use = text(&StartError::DataDir(DataDirError::InUse {
            path: "/data".into(),
            pid: Some(1),
        }));
        assert!(
            in_use.contains("in use by another process (pid 1)"),
            "{in_use}"
        );
        assert!(!in_use.contains("check --data-dir"), "{in_use}");
    }
}
