//! What the tests of the real `laminarmq` binary share: text to send, and checkers.
//!
//! A checker knows what a client saw and what the operating system was asked to do. It shares no code
//! with the broker, except the codec that both must agree on with every other client.

pub mod chaos;
pub mod corpus;
pub mod group_journal;
pub mod history;
pub mod hostile;
pub mod idempotent;
pub mod librdkafka;
pub mod load;
pub mod record;
pub mod trace;

/// Whether the tests run in their long form: `LAMINARMQ_LONG` is set to anything but 0 or nothing.
#[must_use]
pub fn is_long() -> bool {
    std::env::var("LAMINARMQ_LONG").is_ok_and(|value| !value.is_empty() && value != "0")
}

/// The seed of a random test: `$LAMINARMQ_SEED`, else from the clock. Printed, so that a failure can be
/// replayed.
///
/// # Panics
/// When the variable is no number.
#[must_use]
#[expect(
    clippy::disallowed_methods,
    reason = "each run takes another seed, and says which"
)]
pub fn seed() -> u64 {
    let seed = match std::env::var("LAMINARMQ_SEED") {
        Ok(given) => given
            .parse()
            .unwrap_or_else(|error| panic!("LAMINARMQ_SEED={given}: {error}")),
        Err(_) => {
            let since_epoch = std::time::SystemTime::now().duration_since(std::time::UNIX_EPOCH);
            let nanoseconds = since_epoch.expect("the clock is past 1970").as_nanos();
            u64::try_from(nanoseconds % 1_000_000_007).expect("below a billion")
        }
    };
    println!("replay with LAMINARMQ_SEED={seed}");
    seed
}
