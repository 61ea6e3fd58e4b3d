//! What can go wrong between us and a broker, whether another attempt may help, and what to do next.

use std::time::Duration;

use laminarmq_broker::HostPort;
use laminarmq_kafka::batch::BatchError;
use laminarmq_kafka::{ApiKey, DecodeError, EncodeError, ErrorCode};

use crate::failure::Failure;

/// Why a request, or what it was for, failed.
#[derive(Debug, Clone, thiserror::Error)]
pub(crate) enum ClientError {
    /// No connection: refused, no route, no such name, no answer in time.
    #[error("cannot reach {broker}")]
    Unreachable {
        broker: HostPort,
        /// What the system said.
        reason: String,
    },
    /// The connection ended, or the broker broke the protocol on it.
    #[error("lost the connection to {broker} ({reason})")]
    Lost { broker: HostPort, reason: String },
    /// No answer.
    #[error("{broker} did not answer {} within {} s", .api.name(), .after.as_secs())]
    Timeout {
        broker: HostPort,
        api: ApiKey,
        after: Duration,
    },
    /// The broker speaks no version of an API that we do.
    #[error("{broker} does not speak a version of {} that this program knows", .api.name())]
    Unsupported { broker: HostPort, api: ApiKey },
    /// A request that its version cannot say: ours to fix.
    #[error("cannot write the request: {0}")]
    Encode(#[from] EncodeError),
    /// A response that is none.
    #[error("{broker} sent a response that cannot be read: {source}")]
    Decode {
        broker: HostPort,
        source: DecodeError,
    },
    /// Batches that are damaged or too large.
    #[error("partition {partition} holds a batch that cannot be read: {source}")]
    Batch { partition: i32, source: BatchError },
    /// The topic is not there.
    #[error("there is no topic `{0}`")]
    NoSuchTopic(String),
    /// The topic is there, the partition is not.
    #[error("topic `{topic}` has no partition {partition} (it has {})", partitions(*.count))]
    NoSuchPartition {
        topic: String,
        partition: i32,
        count: usize,
    },
    /// The group is not there.
    #[error("there is no group `{0}`")]
    NoSuchGroup(String),
    /// Only a group without members can be changed from outside.
    #[error("group `{0}` has members")]
    GroupInUse(String),
    /// A partition nobody leads.
    #[error("partition {partition} of topic `{topic}` has no leader")]
    NoLeader { topic: String, partition: i32 },
    /// The broker said no.
    #[error("{what}: {}", refusal(*.code, .message.as_deref()))]
    Refused {
        what: String,
        code: ErrorCode,
        message: Option<String>,
    },
    /// A record larger than a batch may be.
    #[error("a record of {bytes} bytes is larger than a batch may be")]
    RecordTooLarge { bytes: usize },
}

impl ClientError {
    pub(crate) fn refused(
        what: impl Into<String>,
        code: ErrorCode,
        message: Option<String>,
    ) -> Self {
        Self::Refused {
            what: what.into(),
            code,
            message,
        }
    }

    /// Whether the same may succeed later, perhaps at another broker.
    pub(crate) fn retriable(&self) -> bool {
        match self {
            Self::Unreachable { .. }
            | Self::Lost { .. }
            | Self::Timeout { .. }
            | Self::NoLeader { .. } => true,
            Self::Refused { code, .. } => code.retriable(),
            Self::Unsupported { .. }
            | Self::Encode(_)
            | Self::Decode { .. }
            | Self::Batch { .. }
            | Self::NoSuchTopic(_)
            | Self::NoSuchPartition { .. }
            | Self::NoSuchGroup(_)
            | Self::GroupInUse(_)
            | Self::RecordTooLarge { .. } => false,
        }
    }

    /// The code that the broker refused with, if it did.
    pub(crate) fn code(&self) -> Option<ErrorCode> {
        match self {
            Self::Refused { code, .. } => Some(*code),
            _ => None,
        }
    }

    /// The topic that was to be created exists.
    pub(crate) fn is_already_there(&self) -> bool {
        let there = ErrorCode::TOPIC_ALREADY_EXISTS;
        matches!(self, Self::Refused { code, .. } if *code == there)
    }

    /// What to do next, where there is something.
    fn hint(&self) -> Option<String> {
        Some(match self {
            Self::Unreachable { broker, reason } => {
                let started = "is the broker running? start one with `laminarmq serve`";
                if broker.host == "127.0.0.1" || broker.host == "localhost" {
                    String::from(started)
                } else {
                    format!("{reason}; {started}, or name another with -b HOST:PORT")
                }
            }
            Self::Lost { .. } => String::from("look at the broker's log, then try again"),
            Self::Timeout { .. } => String::from("is the broker overloaded? try again later"),
            Self::Unsupported { .. } => String::from("use the same version on both sides"),
            Self::NoSuchTopic(topic) => {
                format!(
                    "`laminarmq topic list` shows what is there, `laminarmq topic create {topic}` \
                     creates it"
                )
            }
            Self::NoSuchPartition { topic, .. } => {
                format!("`laminarmq topic describe {topic}` lists them")
            }
            Self::NoSuchGroup(_) => String::from("`laminarmq group list` shows what is there"),
            Self::GroupInUse(group) => {
                format!("stop them first; `laminarmq group describe {group}` shows who they are")
            }
            Self::NoLeader { .. } => String::from("wait for an election, then try again"),
            Self::RecordTooLarge { .. } => String::from("see --batch-bytes"),
            Self::Refused { code, .. } => return refusal_hint(*code).map(String::from),
            Self::Encode(_) | Self::Decode { .. } | Self::Batch { .. } => return None,
        })
    }
}

impl From<ClientError> for Failure {
    fn from(error: ClientError) -> Self {
        let failure = Self::failed(&error);
        match error.hint() {
            Some(hint) => failure.hint(hint),
            None => failure,
        }
    }
}

/// A refusal in words: the broker's own where it gave some.
fn refusal(code: ErrorCode, message: Option<&str>) -> String {
    let words = match code {
        ErrorCode::TOPIC_ALREADY_EXISTS => "it is there already",
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => "there is no such topic or partition",
        ErrorCode::INVALID_TOPIC_EXCEPTION => {
            "that is no topic name (want 1 to 249 of a-z A-Z 0-9 . _ -)"
        }
        ErrorCode::MESSAGE_TOO_LARGE => "larger than the topic's max.message.bytes",
        ErrorCode::OFFSET_OUT_OF_RANGE => "the offset is not there (any more)",
        ErrorCode::REQUEST_TIMED_OUT => "the broker ran out of time",
        ErrorCode::KAFKA_STORAGE_ERROR => "the broker cannot use its disk",
        ErrorCode::COORDINATOR_NOT_AVAILABLE => "no broker coordinates it at the moment",
        ErrorCode::COORDINATOR_LOAD_IN_PROGRESS => "its coordinator is still starting",
        ErrorCode::NOT_COORDINATOR => "another broker coordinates it now",
        ErrorCode::UNKNOWN_MEMBER_ID | ErrorCode::ILLEGAL_GENERATION => {
            "the group has gone on without this member"
        }
        ErrorCode::REBALANCE_IN_PROGRESS => "the group is sharing out its partitions again",
        ErrorCode::INVALID_GROUP_ID => "that is no name for a group",
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL => {
            "its members share out partitions neither by range nor by roundrobin"
        }
        ErrorCode::GROUP_MAX_SIZE_REACHED => "it has as many members as it may",
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC => "members of the group read it",
        _ => "",
    };
    match (message.filter(|message| !message.is_empty()), words) {
        (Some(message), _) => format!("{message} ({code})"),
        (None, "") => code.to_string(),
        (None, words) => format!("{words} ({code})"),
    }
}

fn refusal_hint(code: ErrorCode) -> Option<&'static str> {
    Some(match code {
        ErrorCode::TOPIC_ALREADY_EXISTS => "`laminarmq topic describe NAME` shows it",
        ErrorCode::UNKNOWN_TOPIC_OR_PARTITION => "`laminarmq topic list` shows what is there",
        ErrorCode::MESSAGE_TOO_LARGE => {
            "send smaller records, or create the topic with -c max.message.bytes=BYTES"
        }
        ErrorCode::KAFKA_STORAGE_ERROR => "look at the broker's log",
        ErrorCode::COORDINATOR_NOT_AVAILABLE
        | ErrorCode::COORDINATOR_LOAD_IN_PROGRESS
        | ErrorCode::NOT_COORDINATOR => {
            "`laminarmq cluster health` tells what is missing; try again when it is back"
        }
        ErrorCode::INCONSISTENT_GROUP_PROTOCOL => {
            "read with another group, or let its members use range or roundrobin"
        }
        ErrorCode::GROUP_SUBSCRIBED_TO_TOPIC => "stop them first",
        ErrorCode::INVALID_REPLICATION_FACTOR => "a single broker holds one replica: -r 1",
        _ => return None,
    })
}

fn partitions(count: usize) -> String {
    match count {
        1 => String::from("only partition 0"),
        count => format!("partitions 0 to {}", count.saturating_sub(1)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn broker() -> HostPort {
        HostPort {
            host: String::from("127.0.0.1"),
            port: 9092,
        }
    }

    fn text(error: ClientError) -> String {
        let failure = Failure::from(error);
        failure.render(false).expect("a text")
    }

    #[test]
    fn an_unreachable_broker_tells_how_to_start_one() {
        let error = ClientError::Unreachable {
            broker: broker(),
            reason: String::from("connection refused"),
        };
        assert!(error.retriable());
        assert_eq!(
            text(error),
            "error: cannot reach 127.0.0.1:9092: is the broker running? \
             start one with `laminarmq serve`"
        );
    }

    #[test]
    fn a_refusal_speaks_in_words() {
        let error = ClientError::refused(
            "cannot create topic `a`",
            ErrorCode::TOPIC_ALREADY_EXISTS,
            None,
        );
        assert!(!error.retriable());
        assert_eq!(
            text(error),
            "error: cannot create topic `a`: it is there already (TOPIC_ALREADY_EXISTS): \
             `laminarmq topic describe NAME` shows it"
        );
        let error = ClientError::refused(
            "cannot create topic `a`",
            ErrorCode::INVALID_CONFIG,
            Some(String::from("unknown setting `retention`")),
        );
        assert_eq!(
            text(error),
            "error: cannot create topic `a`: unknown setting `retention` (INVALID_CONFIG)"
        );
    }

    #[test]
    fn codes_decide_whether_to_try_again() {
        let refused = |code| ClientError::refused("x", code, None).retriable();
        assert!(refused(ErrorCode::NOT_LEADER_OR_FOLLOWER));
        assert!(!refused(ErrorCode::MESSAGE_TOO_LARGE));
    }
}
