//! The broker that coordinates a group, and requests to it.
//!
//! Where it is, is a cache of what some broker last said: a refusal or a lost connection makes the next
//! attempt ask again.

use std::sync::Arc;

use laminarmq_broker::HostPort;
use laminarmq_kafka::messages::find_coordinator::{Coordinator as Told, KEY_TYPE_GROUP};
use laminarmq_kafka::messages::{FindCoordinatorRequest, FindCoordinatorResponse};
use laminarmq_kafka::{ErrorCode, Request};

use crate::client::connection::Connection;
use crate::client::retry::Attempts;
use crate::client::{Client, ClientError, ClientOptions, Node};

/// One group's coordinator, over a connection of our own.
#[derive(Debug)]
pub(crate) struct Coordinator {
    client: Client,
    group: String,
    options: ClientOptions,
    /// Of our own, because a fetch that waits for records on a shared one would hold up a heartbeat.
    /// Held while a connection is opened, so that no two callers open one.
    connection: tokio::sync::Mutex<Option<Arc<Connection>>>,
}

impl Coordinator {
    /// Asks nobody yet.
    pub(crate) fn new(client: &Client, group: &str, options: ClientOptions) -> Self {
        Self {
            client: client.clone(),
            group: group.to_owned(),
            options,
            connection: tokio::sync::Mutex::default(),
        }
    }

    /// With the timeouts of the client.
    pub(crate) fn of(client: &Client, group: &str) -> Self {
        Self::new(client, group, client.options().clone())
    }

    pub(crate) fn group(&self) -> &str {
        &self.group
    }

    /// Which node it is, asked again while that may help.
    pub(crate) async fn node(&self) -> Result<Node, ClientError> {
        let mut attempts = Attempts::within(self.options.delivery_timeout);
        loop {
            match self.find().await {
                Ok(node) => return Ok(node),
                Err(error) => attempts.after(error).await?,
            }
        }
    }

    /// Asks the coordinator until `read` finds something in its answer, or another attempt would not
    /// help. `request` makes the request for a version.
    pub(super) async fn ask<R: Request, T>(
        &self,
        request: impl Fn(i16) -> R,
        read: impl Fn(R::Response) -> Result<T, ClientError>,
    ) -> Result<T, ClientError> {
        let mut attempts = Attempts::within(self.options.delivery_timeout);
        loop {
            match self.call(&request).await.and_then(&read) {
                Ok(found) => return Ok(found),
                Err(error) => {
                    if error.retriable() {
                        self.forget().await;
                    }
                    attempts.after(error).await?;
                }
            }
        }
    }

    /// Asks once.
    pub(super) async fn call<R: Request>(
        &self,
        request: impl Fn(i16) -> R,
    ) -> Result<R::Response, ClientError> {
        let connection = self.connection().await?;
        let version = connection.versions().pick::<R>(connection.broker())?;
        connection.call(&request(version)).await
    }

    /// Forgets where it is, so that it is asked anew.
    pub(super) async fn forget(&self) {
        *self.connection.lock().await = None;
    }

    async fn connection(&self) -> Result<Arc<Connection>, ClientError> {
        let mut known = self.connection.lock().await;
        if let Some(connection) = known.as_ref().filter(|known| known.is_alive()) {
            return Ok(Arc::clone(connection));
        }
        let node = self.find().await?;
        let connection = Arc::new(Connection::open(&node.address, &self.options).await?);
        *known = Some(Arc::clone(&connection));
        Ok(connection)
    }

    async fn find(&self) -> Result<Node, ClientError> {
        let connection = self.client.any().await?;
        let version = connection
            .versions()
            .pick::<FindCoordinatorRequest>(connection.broker())?;
        let response = connection.call(&find_request(&self.group, version)).await?;
        let what = || format!("cannot find the coordinator of group `{}`", self.group);
        let told = find_answer(response, version).ok_or_else(|| {
            let message = String::from("the broker's answer does not name it");
            ClientError::refused(what(), ErrorCode::UNKNOWN_SERVER_ERROR, Some(message))
        })?;
        if !told.error_code.is_none() {
            return Err(ClientError::refused(
                what(),
                told.error_code,
                told.error_message,
            ));
        }
        let Ok(port) = u16::try_from(told.port) else {
            let message = format!("{} is no port", told.port);
            let code = ErrorCode::UNKNOWN_SERVER_ERROR;
            return Err(ClientError::refused(what(), code, Some(message)));
        };
        Ok(Node {
            id: told.node_id,
            address: HostPort {
                host: told.host,
                port,
            },
            rack: None,
        })
    }
}

fn find_request(group: &str, version: i16) -> FindCoordinatorRequest {
    let (key, coordinator_keys) = if version >= 4 {
        (String::new(), vec![group.to_owned()])
    } else {
        (group.to_owned(), Vec::new())
    };
    FindCoordinatorRequest {
        key,
        key_type: KEY_TYPE_GROUP,
        coordinator_keys,
    }
}

/// What the answer says about the one group that was asked for.
fn find_answer(response: FindCoordinatorResponse, version: i16) -> Option<Told> {
    if version >= 4 {
        return response.coordinators.into_iter().next();
    }
    Some(Told {
        key: String::new(),
        node_id: response.node_id,
        host: response.host,
        port: response.port,
        error_code: response.error_code,
        error_message: response.error_message,
    })
}
