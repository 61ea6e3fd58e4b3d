//! Peers of later versions: what they have and we do not, and messages as they may write them.

use std::collections::BTreeMap;

use bytes::{Bytes, BytesMut};
use kafka_protocol::messages::{RequestKind, ResponseKind};

/// Fields of theirs from versions that we do not have.
pub(crate) const FIELDS: &[&str] = &[
    "DescribeClusterBroker.is_fenced",
    "DescribeClusterRequest.include_fenced_brokers",
    "DescribedGroup.error_message",
    "OffsetCommitRequestTopic.topic_id",
    "OffsetCommitResponseTopic.topic_id",
    "OffsetFetchRequestTopics.topic_id",
    "OffsetFetchResponseTopics.topic_id",
    "FetchPartition.high_watermark",
    "FetchPartition.replica_directory_id",
    "FetchRequest.replica_state",
    "FetchResponse.node_endpoints",
    "FetchTopic.topic_id",
    "FetchableTopicResponse.topic_id",
    "ForgottenTopic.topic_id",
    "InitProducerIdRequest.enable_2_pc",
    "InitProducerIdRequest.keep_prepared_txn",
    "InitProducerIdResponse.ongoing_txn_producer_epoch",
    "InitProducerIdResponse.ongoing_txn_producer_id",
    "ListOffsetsRequest.timeout_ms",
    "MetadataResponse.error_code",
    "TopicProduceData.topic_id",
    "TopicProduceResponse.topic_id",
];

/// Tagged fields that no version has: an empty one, and one whose number and size take two bytes.
pub(crate) fn unknown_tags() -> BTreeMap<i32, Bytes> {
    [(99, Bytes::new()), (300, Bytes::from(vec![7; 200]))].into()
}

/// Puts unknown tagged fields behind the message and writes it. Versions without tagged fields drop them.
macro_rules! with_unknown_tags {
    ($kind:ident, $message:expr, $version:expr, $($api:ident)+) => {{
        let mut message = $message;
        match &mut message {
            $( $kind::$api(body) => body.unknown_tagged_fields = unknown_tags(), )+
            // Has no version with tagged fields.
            $kind::OffsetDelete(_) => {}
            other => panic!("{other:?} is not promised"),
        }
        let mut out = BytesMut::new();
        message.encode(&mut out, $version).expect("it came from bytes");
        out.freeze()
    }};
}

/// The request as a later client may write it in this version.
pub(crate) fn request(request: RequestKind, version: i16) -> Bytes {
    with_unknown_tags!(
        RequestKind, request, version,
        Produce Fetch ListOffsets Metadata OffsetCommit OffsetFetch
        FindCoordinator JoinGroup Heartbeat LeaveGroup SyncGroup DescribeGroups
        ListGroups ApiVersions CreateTopics DeleteTopics DeleteRecords InitProducerId
        OffsetForLeaderEpoch DescribeConfigs AlterConfigs DescribeLogDirs CreatePartitions DeleteGroups
        IncrementalAlterConfigs DescribeCluster
    )
}

/// The response as a later broker may write it in this version.
pub(crate) fn response(response: ResponseKind, version: i16) -> Bytes {
    with_unknown_tags!(
        ResponseKind, response, version,
        Produce Fetch ListOffsets Metadata OffsetCommit OffsetFetch
        FindCoordinator JoinGroup Heartbeat LeaveGroup SyncGroup DescribeGroups
        ListGroups ApiVersions CreateTopics DeleteTopics DeleteRecords InitProducerId
        OffsetForLeaderEpoch DescribeConfigs AlterConfigs DescribeLogDirs CreatePartitions DeleteGroups
        IncrementalAlterConfigs DescribeCluster
    )
}
