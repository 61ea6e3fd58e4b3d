//! Sending cases, and judging what comes back.

use std::collections::BTreeMap;
use std::io::ErrorKind;
use std::net::SocketAddr;
use std::time::Duration;

use bytes::Bytes;
use laminarmq_kafka::api::AnyResponse;
use laminarmq_kafka::{ApiKey, Reader, ResponseHeader};
use laminarmq_testkit::Wire;

use super::{Case, Class, valid_requests};

/// How long a valid request may take to be answered.
const ANSWER: Duration = Duration::from_secs(60);
/// How long the answer to anything else is waited for; a fetch may have been told to wait for hours.
const PATIENCE: Duration = Duration::from_millis(300);

/// What became of a case.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// A well-formed answer with its correlation id: the request reached its handler.
    Answered,
    /// The broker closed the connection instead.
    Refused,
    /// No answer, and the connection stays: acks=0, or a long wait.
    Silent,
}

/// How many cases of one API and version had which outcome.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Tally {
    /// Valid requests that were answered.
    pub valid: usize,
    /// Mutations that were sent.
    pub mutated: usize,
    /// Mutations that were answered by the handler of this API and version.
    pub answered: usize,
    /// Mutations for which the connection was closed.
    pub refused: usize,
    /// Mutations without either.
    pub silent: usize,
}

/// The outcomes by API and version.
pub type Tallies = BTreeMap<(ApiKey, i16), Tally>;

impl Tally {
    fn count(&mut self, class: Class, outcome: Outcome) {
        if class == Class::Valid {
            self.valid += 1;
            return;
        }
        self.mutated += 1;
        match outcome {
            // Whose handler answered is not known when the header was changed.
            Outcome::Answered => {
                self.answered += usize::from(matches!(class, Class::Body | Class::Batch));
            }
            Outcome::Refused => self.refused += 1,
            Outcome::Silent => self.silent += 1,
        }
    }

    /// The sum of two tallies.
    #[must_use]
    pub fn plus(self, other: Self) -> Self {
        Self {
            valid: self.valid + other.valid,
            mutated: self.mutated + other.mutated,
            answered: self.answered + other.answered,
            refused: self.refused + other.refused,
            silent: self.silent + other.silent,
        }
    }
}

/// Sends cases over one connection as long as the broker keeps it, then over the next.
#[derive(Debug)]
pub struct Prober {
    addr: SocketAddr,
    wire: Option<Wire>,
    correlation: i32,
    /// A valid request that follows each case: its answer says that the case was dealt with.
    sentinel: Vec<u8>,
}

impl Prober {
    /// Nothing is connected yet.
    #[must_use]
    pub fn new(addr: SocketAddr) -> Self {
        let mut sentinels = valid_requests(ApiKey::ApiVersions, 0, "");
        let sentinel = sentinels
            .pop()
            .expect("ApiVersions has valid requests")
            .to_vec();
        Self {
            addr,
            wire: None,
            correlation: 1,
            sentinel,
        }
    }

    /// Sends the case and counts what becomes of it.
    ///
    /// # Errors
    /// When the broker breaks the protocol: it refuses connections, leaves a valid request without an
    /// answer, or sends something that is not a well-formed answer.
    pub fn probe(&mut self, case: Case, tallies: &mut Tallies) -> Result<(), String> {
        let (api, version, class) = (case.api, case.version, case.class);
        let bytes = case.bytes.clone();
        let outcome = self.outcome(case).map_err(|error| {
            let hex: String = bytes.iter().map(|byte| format!("{byte:02x}")).collect();
            format!("{} {version}, {class:?}: {error}\n{hex}", api.name())
        })?;
        if class == Class::Valid && outcome != Outcome::Answered {
            return Err(format!(
                "{} {version}: a valid request was not answered: {outcome:?}",
                api.name()
            ));
        }
        tallies
            .entry((api, version))
            .or_default()
            .count(class, outcome);
        Ok(())
    }

    fn outcome(&mut self, mut case: Case) -> Result<Outcome, String> {
        let correlation = self.correlation;
        self.correlation = correlation.wrapping_add(2);
        let after = correlation.wrapping_add(1);
        case.set_correlation(correlation);
        self.sentinel[8..12].copy_from_slice(&after.to_be_bytes());

        let mut wire = match self.wire.take() {
            Some(wire) => wire,
            None => Wire::connect(self.addr, ANSWER)
                .map_err(|error| format!("cannot connect: {error}"))?,
        };
        let patience = if case.class == Class::Valid {
            ANSWER
        } else {
            PATIENCE
        };
        wire.set_read_timeout(patience)
            .map_err(|error| error.to_string())?;
        if wire
            .send_raw(&[&case.bytes[..], &self.sentinel].concat())
            .is_err()
        {
            return Ok(Outcome::Refused);
        }
        if case.class == Class::Framing && wire.finish_sending().is_err() {
            return Ok(Outcome::Refused);
        }

        let mut outcome = Outcome::Silent;
        loop {
            let frame = match wire.receive_frame() {
                Ok(Some(frame)) => frame,
                Err(error) if error.kind() == ErrorKind::TimedOut => return Ok(outcome),
                // Closed with a reset, since it had not read everything, or without.
                Ok(None) | Err(_) => {
                    return Ok(if outcome == Outcome::Silent {
                        Outcome::Refused
                    } else {
                        outcome
                    });
                }
            };
            let answered = frame
                .get(..4)
                .and_then(|id| id.try_into().ok())
                .map(i32::from_be_bytes);
            match case.class {
                Class::Valid | Class::Body | Class::Batch if answered == Some(correlation) => {
                    well_formed(frame, case.api, case.version)?;
                    outcome = Outcome::Answered;
                }
                _ if answered == Some(after) => {
                    self.wire = Some(wire);
                    return Ok(outcome);
                }
                Class::Header | Class::Framing => outcome = Outcome::Answered,
                Class::Valid | Class::Body | Class::Batch => {
                    return Err(format!(
                        "an answer to {answered:?} in place of {correlation}"
                    ));
                }
            }
        }
    }
}

fn well_formed(frame: Bytes, api: ApiKey, version: i16) -> Result<(), String> {
    let mut reader = Reader::new(frame);
    let header = ResponseHeader::decode(&mut reader, api, version);
    header.map_err(|error| format!("not a response header: {error}"))?;
    let response = AnyResponse::decode(api, version, &mut reader);
    response.map_err(|error| format!("not a response: {error}"))?;
    Ok(())
}
