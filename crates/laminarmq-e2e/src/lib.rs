//! What the tests of the real `laminarmq` binary share: text to send, and checkers.
//!
//! A checker knows what a client saw and what the operating system was asked to do. It shares no code
//! with the broker, except the codec that both must agree on with every other client.

pub mod corpus;
pub mod history;
pub mod hostile;
pub mod load;
pub mod trace;
