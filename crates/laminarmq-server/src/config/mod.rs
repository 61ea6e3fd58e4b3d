//! The settings of `serve`: flag, then environment, then file, then default.
//!
//! One table ([`settings::SETTINGS`]) drives all of it: the flags and their help, the names of the
//! environment variables, the keys of the file, the types and bounds, and `config show`. A value is
//! checked where it enters, and an error names the place it came from. A key that the table does not
//! know is refused.

pub(crate) mod address;
mod cluster;
pub(crate) mod file;
pub(crate) mod flags;
pub(crate) mod layers;
pub(crate) mod log_filter;
pub(crate) mod quantity;
pub(crate) mod settings;
pub(crate) mod suggest;

pub(crate) use flags::ServeFlags;
pub(crate) use laminarmq_broker::HostPort;
pub(crate) use layers::Resolved;
pub(crate) use log_filter::LogFilter;
pub(crate) use settings::{LogFormat, ServeSettings};
