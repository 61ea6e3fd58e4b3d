//! The nodes of the cluster.

use laminarmq_broker::HostPort;
use laminarmq_kafka::messages::{
    DescribeClusterRequest, DescribeClusterResponse, MetadataRequest, MetadataResponse,
};

use super::{Client, ClientError};

/// A broker of the cluster.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Node {
    pub(crate) id: i32,
    pub(crate) address: HostPort,
    pub(crate) rack: Option<String>,
}

/// The cluster as one of its nodes tells it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Cluster {
    pub(crate) id: Option<String>,
    /// The node that takes administrative requests; `None`: there is none at the moment.
    pub(crate) controller: Option<i32>,
    /// By rising id.
    pub(crate) nodes: Vec<Node>,
}

impl Client {
    /// Asks some node for all nodes.
    pub(crate) async fn cluster(&self) -> Result<Cluster, ClientError> {
        match self.ask(&DescribeClusterRequest::default()).await {
            Ok(response) => described(response),
            // Older brokers tell the same among their metadata.
            Err(ClientError::Unsupported { .. }) => {
                let request = MetadataRequest {
                    topics: Some(Vec::new()),
                    allow_auto_topic_creation: false,
                    ..MetadataRequest::default()
                };
                Ok(of_metadata(self.ask(&request).await?))
            }
            Err(error) => Err(error),
        }
    }
}

fn described(response: DescribeClusterResponse) -> Result<Cluster, ClientError> {
    if !response.error_code.is_none() {
        let what = "cannot describe the cluster";
        return Err(ClientError::refused(
            what,
            response.error_code,
            response.error_message,
        ));
    }
    let nodes = response
        .brokers
        .into_iter()
        .map(|broker| (broker.broker_id, broker.host, broker.port, broker.rack));
    Ok(cluster(
        Some(response.cluster_id),
        response.controller_id,
        nodes,
    ))
}

fn of_metadata(response: MetadataResponse) -> Cluster {
    let nodes = response
        .brokers
        .into_iter()
        .map(|broker| (broker.node_id, broker.host, broker.port, broker.rack));
    cluster(response.cluster_id, response.controller_id, nodes)
}

fn cluster(
    id: Option<String>,
    controller: i32,
    nodes: impl Iterator<Item = (i32, String, i32, Option<String>)>,
) -> Cluster {
    let nodes = nodes.filter_map(|(id, host, port, rack)| {
        let port = u16::try_from(port).ok()?;
        Some(Node {
            id,
            address: HostPort { host, port },
            rack,
        })
    });
    let mut nodes: Vec<_> = nodes.collect();
    nodes.sort_by_key(|node| node.id);
    nodes.dedup_by_key(|node| node.id);
    Cluster {
        id: id.filter(|id| !id.is_empty()),
        controller: Some(controller).filter(|controller| *controller >= 0),
        nodes,
    }
}
