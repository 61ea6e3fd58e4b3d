//! laminarmq's broker: connections, shards that own partitions, the flusher and the controller.

mod broker;
mod config;
mod data_dir;
mod env;
pub mod limits;

pub use broker::{Broker, BrokerFailure, Running, StartError};
pub use config::{BrokerConfig, ConfigError, FlushMode, HostPort};
pub use data_dir::DataDirError;
pub use env::{Clock, Entropy, Env};
pub use limits::Limits;
