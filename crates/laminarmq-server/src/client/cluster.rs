//! Which broker leads what, and a connection to it.
//!
//! Routes are a cache of what some broker last said. A refusal or a lost connection is a reason to ask
//! again, so a stale route costs an attempt and nothing else.

use std::collections::{BTreeMap, HashMap};
use std::sync::{Arc, Mutex, PoisonError};

use laminarmq_broker::HostPort;
use laminarmq_kafka::messages::metadata::{MetadataRequestTopic, MetadataResponseTopic};
use laminarmq_kafka::messages::{MetadataRequest, MetadataResponse};
use laminarmq_kafka::{ErrorCode, Request, Uuid};

use super::connection::Connection;
use super::retry::Attempts;
use super::{ClientError, ClientOptions};

/// What to do about a topic that is not there.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Missing {
    /// Ask the broker to create it, if it is set up to.
    Create,
    Refuse,
}

/// A topic as the cluster last told it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Topic {
    pub(crate) name: String,
    pub(crate) id: Uuid,
    pub(crate) internal: bool,
    /// By rising index, densely from 0.
    pub(crate) partitions: Vec<Partition>,
}

/// A partition of a [`Topic`].
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Partition {
    pub(crate) index: i32,
    /// `None`: nobody leads it at the moment.
    pub(crate) leader: Option<i32>,
    pub(crate) leader_epoch: i32,
    pub(crate) replicas: Vec<i32>,
    pub(crate) in_sync: Vec<i32>,
}

#[derive(Debug, Default)]
struct Routes {
    brokers: HashMap<i32, HostPort>,
    topics: HashMap<String, Topic>,
}

/// A client of one cluster. Clones share connections and routes.
#[derive(Debug, Clone)]
pub(crate) struct Client {
    inner: Arc<Inner>,
}

#[derive(Debug)]
struct Inner {
    /// Where to ask first; never empty.
    seeds: Vec<HostPort>,
    options: ClientOptions,
    /// Held while a connection is opened, so that no two callers open the same one.
    connections: tokio::sync::Mutex<HashMap<HostPort, Arc<Connection>>>,
    /// Never held across an await.
    routes: Mutex<Routes>,
}

impl Client {
    /// A client of the cluster that these brokers belong to, one of which answers.
    pub(crate) async fn connect(
        brokers: &[HostPort],
        options: ClientOptions,
    ) -> Result<Self, ClientError> {
        assert!(
            !brokers.is_empty(),
            "the command line asks for one at least"
        );
        let client = Self {
            inner: Arc::new(Inner {
                seeds: brokers.to_vec(),
                options,
                connections: tokio::sync::Mutex::default(),
                routes: Mutex::default(),
            }),
        };
        client.any().await?;
        Ok(client)
    }

    pub(crate) fn options(&self) -> &ClientOptions {
        &self.inner.options
    }

    /// A connection to whichever broker can be had.
    pub(crate) async fn any(&self) -> Result<Arc<Connection>, ClientError> {
        let mut candidates = self.inner.seeds.clone();
        candidates.extend(self.with_routes(|routes| {
            let brokers: BTreeMap<_, _> = routes.brokers.iter().collect();
            brokers.into_values().cloned().collect::<Vec<_>>()
        }));
        let mut first_error = None;
        for broker in &candidates {
            match self.to(broker).await {
                Ok(connection) => return Ok(connection),
                Err(error) => first_error = first_error.or(Some(error)),
            }
        }
        Err(first_error.expect("there is a seed, and each candidate connects or fails"))
    }

    /// A connection to this broker, which others use too.
    pub(super) async fn to(&self, broker: &HostPort) -> Result<Arc<Connection>, ClientError> {
        let mut connections = self.inner.connections.lock().await;
        if let Some(connection) = connections.get(broker).filter(|known| known.is_alive()) {
            return Ok(Arc::clone(connection));
        }
        let connection = Arc::new(Connection::open(broker, &self.inner.options).await?);
        connections.insert(broker.clone(), Arc::clone(&connection));
        Ok(connection)
    }

    /// Asks any broker, again while that may help.
    pub(crate) async fn ask<R: Request>(&self, request: &R) -> Result<R::Response, ClientError> {
        let mut attempts = Attempts::within(self.inner.options.delivery_timeout);
        loop {
            let answer = match self.any().await {
                Ok(connection) => connection.call(request).await,
                Err(error) => Err(error),
            };
            match answer {
                Ok(response) => return Ok(response),
                // Nobody to be reached at all is for the caller to know at once.
                Err(error @ ClientError::Unreachable { .. }) => return Err(error),
                Err(error) => attempts.after(error).await?,
            }
        }
    }

    /// All topics.
    pub(crate) async fn topics(&self) -> Result<Vec<Topic>, ClientError> {
        let request = MetadataRequest {
            topics: None,
            allow_auto_topic_creation: false,
            ..MetadataRequest::default()
        };
        let response = self.ask(&request).await?;
        let mut topics = Vec::new();
        for topic in &response.topics {
            if topic.error_code.is_none() {
                topics.push(Topic::of(topic));
            }
        }
        topics.sort_by(|a, b| a.name.cmp(&b.name));
        self.learn(&response);
        Ok(topics)
    }

    /// One topic, as some broker tells it now. Waits for one that is being created.
    pub(crate) async fn topic(&self, name: &str, missing: Missing) -> Result<Topic, ClientError> {
        let request = MetadataRequest {
            topics: Some(vec![MetadataRequestTopic {
                name: Some(name.to_owned()),
                ..MetadataRequestTopic::default()
            }]),
            allow_auto_topic_creation: missing == Missing::Create,
            ..MetadataRequest::default()
        };
        let mut attempts = Attempts::within(self.inner.options.delivery_timeout);
        loop {
            let response = self.ask(&request).await?;
            self.learn(&response);
            let told = response
                .topics
                .iter()
                .find(|t| t.name.as_deref() == Some(name));
            let code = told.map_or(ErrorCode::UNKNOWN_TOPIC_OR_PARTITION, |t| t.error_code);
            match (told, code) {
                (Some(topic), ErrorCode::NONE) => return Ok(Topic::of(topic)),
                // For a broker that creates it, this is "not yet" only with another code.
                (_, ErrorCode::UNKNOWN_TOPIC_OR_PARTITION) => {
                    return Err(ClientError::NoSuchTopic(name.to_owned()));
                }
                _ => {
                    let what = format!("cannot use topic `{name}`");
                    attempts
                        .after(ClientError::refused(what, code, None))
                        .await?;
                }
            }
        }
    }

    /// A connection to the leader of a partition, by the route that is known or else asked for.
    pub(crate) async fn leader(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<Arc<Connection>, ClientError> {
        let node = self.leader_node(topic, partition).await?;
        self.node(node, topic, partition).await
    }

    /// The node that leads a partition.
    pub(crate) async fn leader_node(
        &self,
        topic: &str,
        partition: i32,
    ) -> Result<i32, ClientError> {
        let known = self.with_routes(|routes| {
            let topic = routes.topics.get(topic)?;
            topic.partition(partition)?.leader
        });
        if let Some(node) = known {
            return Ok(node);
        }
        let told = self.topic(topic, Missing::Refuse).await?;
        let found = told
            .partition(partition)
            .ok_or_else(|| ClientError::NoSuchPartition {
                topic: topic.to_owned(),
                partition,
                count: told.partitions.len(),
            })?;
        found.leader.ok_or_else(|| ClientError::NoLeader {
            topic: topic.to_owned(),
            partition,
        })
    }

    /// A connection to a node, which leads `partition` (for the error's sake).
    pub(crate) async fn node(
        &self,
        node: i32,
        topic: &str,
        partition: i32,
    ) -> Result<Arc<Connection>, ClientError> {
        let address = self.with_routes(|routes| routes.brokers.get(&node).cloned());
        let address = address.ok_or_else(|| ClientError::NoLeader {
            topic: topic.to_owned(),
            partition,
        })?;
        self.to(&address).await
    }

    /// Forgets who leads the partitions of a topic, so that it is asked anew.
    pub(crate) fn forget(&self, topic: &str) {
        self.with_routes(|routes| routes.topics.remove(topic));
    }

    fn learn(&self, response: &MetadataResponse) {
        self.with_routes(|routes| {
            routes.brokers = response
                .brokers
                .iter()
                .filter_map(|broker| {
                    let address = HostPort {
                        host: broker.host.clone(),
                        port: u16::try_from(broker.port).ok()?,
                    };
                    Some((broker.node_id, address))
                })
                .collect();
            for topic in &response.topics {
                let Some(name) = &topic.name else { continue };
                if topic.error_code.is_none() {
                    routes.topics.insert(name.clone(), Topic::of(topic));
                } else {
                    routes.topics.remove(name);
                }
            }
        });
    }

    fn with_routes<T>(&self, work: impl FnOnce(&mut Routes) -> T) -> T {
        // The map is whole after every change, so a panic elsewhere does not spoil it.
        work(
            &mut self
                .inner
                .routes
                .lock()
                .unwrap_or_else(PoisonError::into_inner),
        )
    }
}

impl Topic {
    fn of(told: &MetadataResponseTopic) -> Self {
        let mut partitions: Vec<_> = told
            .partitions
            .iter()
            .map(|partition| Partition {
                index: partition.partition_index,
                leader: Some(partition.leader_id).filter(|leader| *leader >= 0),
                leader_epoch: partition.leader_epoch,
                replicas: partition.replica_nodes.clone(),
                in_sync: partition.isr_nodes.clone(),
            })
            .collect();
        partitions.sort_by_key(|partition| partition.index);
        partitions.dedup_by_key(|partition| partition.index);
        Self {
            name: told.name.clone().unwrap_or_default(),
            id: told.topic_id,
            internal: told.is_internal,
            partitions,
        }
    }

    /// The partitions that somebody leads at the moment: those whose offsets can be asked for.
    pub(crate) fn led(&self) -> Vec<i32> {
        let led = self.partitions.iter().filter(|p| p.leader.is_some());
        led.map(|partition| partition.index).collect()
    }

    pub(crate) fn partition(&self, index: i32) -> Option<&Partition> {
        self.partitions
            .iter()
            .find(|partition| partition.index == index)
    }
}
