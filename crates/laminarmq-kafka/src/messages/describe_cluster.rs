//! DescribeCluster: the brokers of the cluster.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for the cluster.
    DescribeClusterRequest {
        /// Whether the answer shall say what the client may do with the cluster.
        include_cluster_authorized_operations: bool, in 0..;
        /// Which addresses: 1 the brokers', 2 the controllers'.
        endpoint_type: i8 = 1, in 1..;
    }

    /// The cluster.
    DescribeClusterResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, in 0..;
        /// Why nothing is told, or none.
        error_code: ErrorCode, in 0..;
        /// The same in words.
        error_message: Option<String>, in 0.., nullable 0..;
        /// Which addresses these are: 1 the brokers', 2 the controllers'.
        endpoint_type: i8 = 1, in 1..;
        /// Name of the cluster.
        cluster_id: String, in 0..;
        /// The broker that takes administrative requests, or -1.
        controller_id: i32 = -1, in 0..;
        /// The brokers.
        brokers: Vec<DescribeClusterBroker>, in 0..;
        /// What the client may do with the cluster, as bits; `i32::MIN` when not asked for.
        cluster_authorized_operations: i32 = i32::MIN, in 0..;
    }

    /// A broker and where it listens.
    DescribeClusterBroker {
        /// Its number.
        broker_id: i32, in 0..;
        /// Name or address to dial.
        host: String, in 0..;
        /// Port to dial.
        port: i32, in 0..;
        /// Its rack, when it has one.
        rack: Option<String>, in 0.., nullable 0..;
    }
}
