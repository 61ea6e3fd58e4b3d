//! `-b/--brokers`: which brokers a command talks to.

use clap::Args;

use crate::client::{Client, ClientOptions};
use crate::config::{HostPort, address};
use crate::failure::Failure;

/// Where the brokers are, for every verb that talks to them.
#[derive(Debug, Clone, Args)]
pub(crate) struct BrokerArgs {
    /// Brokers to ask first, separated by commas
    #[arg(
        short,
        long,
        value_name = "HOST:PORT",
        env = "LAMINARMQ_BROKERS",
        hide_env_values = true,
        default_value = "127.0.0.1:9092",
        value_delimiter = ',',
        value_parser = address::parse_or_default_port
    )]
    pub(crate) brokers: Vec<HostPort>,
}

impl BrokerArgs {
    /// A client that knows these brokers and one that answered.
    pub(crate) async fn connect(&self) -> Result<Client, Failure> {
        let options = ClientOptions::default();
        Ok(Client::connect(&self.brokers, options).await?)
    }
}
