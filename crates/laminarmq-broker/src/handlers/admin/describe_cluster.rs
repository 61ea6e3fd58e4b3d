//! DescribeCluster: the nodes, as Metadata shows it, without topics.

use crate::context::Context;
use crate::handlers::Peer;
use crate::handlers::node::{Broker, CLUSTER_OPERATIONS, brokers, controller, operations};
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::describe_cluster::DescribeClusterBroker;
use laminarmq_kafka::messages::{DescribeClusterRequest, DescribeClusterResponse};

/// Numbers of the kinds of addresses.
const OF_BROKERS: i8 = 1;
const OF_CONTROLLERS: i8 = 2;

pub(super) fn handle(
    context: &Context,
    peer: &Peer,
    request: &DescribeClusterRequest,
) -> DescribeClusterResponse {
    let refused = |error_code, message: &str| DescribeClusterResponse {
        error_code,
        error_message: Some(message.to_owned()),
        ..DescribeClusterResponse::default()
    };
    match request.endpoint_type {
        OF_BROKERS => {}
        OF_CONTROLLERS => {
            return refused(
                ErrorCode::MISMATCHED_ENDPOINT_TYPE,
                "this is the address of a broker, there are none of controllers",
            );
        }
        _ => {
            return refused(
                ErrorCode::UNSUPPORTED_ENDPOINT_TYPE,
                "there are addresses of brokers only",
            );
        }
    }
    let broker = |broker: Broker| DescribeClusterBroker {
        broker_id: broker.id,
        host: broker.address.host,
        port: broker.address.port.into(),
        rack: None,
    };
    DescribeClusterResponse {
        cluster_id: context.cluster_id.clone(),
        controller_id: controller(context),
        brokers: brokers(context, peer).into_iter().map(broker).collect(),
        cluster_authorized_operations: operations(
            request.include_cluster_authorized_operations,
            CLUSTER_OPERATIONS,
        ),
        ..DescribeClusterResponse::default()
    }
}
