//! Administration: what people's tools ask for beside topics' creation and removal. One file per API.
//!
//! Changes of the metadata are done in the order of the requests, like those of topics. What the partitions
//! have to be asked for waits for its turn in the order of the answers.

mod alter_configs;
mod create_partitions;
mod delete_records;
mod describe_cluster;
mod describe_configs;
mod describe_log_dirs;
mod node_settings;
mod offset_for_leader_epoch;

use super::{Peer, Started, encode, ready};
use crate::context::Context;
use bytes::Bytes;
use laminarmq_kafka::messages::{
    DeleteRecordsRequest, DescribeLogDirsRequest, OffsetForLeaderEpochRequest,
};
use laminarmq_kafka::{AnyRequest, EncodeError, RequestHeader};

/// A request that has to ask partitions.
#[derive(Debug)]
pub(crate) enum Late {
    DeleteRecords(DeleteRecordsRequest),
    Epochs(OffsetForLeaderEpochRequest),
    LogDirs(DescribeLogDirsRequest),
}

/// See [`super::start`].
pub(super) async fn start(
    context: &Context,
    peer: &Peer,
    header: RequestHeader,
    request: AnyRequest,
) -> Started {
    match request {
        AnyRequest::DescribeConfigs(request) => ready(
            context,
            &header,
            &describe_configs::handle(context, request),
        ),
        AnyRequest::AlterConfigs(request) => ready(
            context,
            &header,
            &alter_configs::replace(context, request).await,
        ),
        AnyRequest::IncrementalAlterConfigs(request) => ready(
            context,
            &header,
            &alter_configs::edit(context, request).await,
        ),
        AnyRequest::CreatePartitions(request) => ready(
            context,
            &header,
            &create_partitions::handle(context, request).await,
        ),
        AnyRequest::DescribeCluster(request) => ready(
            context,
            &header,
            &describe_cluster::handle(context, peer, &request),
        ),
        AnyRequest::DeleteRecords(request) => Started::Admin(header, Late::DeleteRecords(request)),
        AnyRequest::OffsetForLeaderEpoch(request) => Started::Admin(header, Late::Epochs(request)),
        AnyRequest::DescribeLogDirs(request) => Started::Admin(header, Late::LogDirs(request)),
        // The codec knows more than is served; `receive` lets none of it through to here.
        other => Started::Impossible(format!("{} is not served", other.api_key().name())),
    }
}

/// See [`super::finish`].
pub(super) async fn finish(
    context: &Context,
    header: &RequestHeader,
    request: Late,
) -> Result<Vec<Bytes>, EncodeError> {
    match request {
        Late::DeleteRecords(request) => encode(
            context,
            header,
            &delete_records::handle(context, request).await,
        ),
        Late::Epochs(request) => {
            let response = offset_for_leader_epoch::handle(context, request).await;
            encode(context, header, &response)
        }
        Late::LogDirs(request) => encode(
            context,
            header,
            &describe_log_dirs::handle(context, request).await,
        ),
    }
}

/// What settings belong to, by its number in the protocol.
const TOPIC: i8 = 2;
const NODE: i8 = 4;

/// A refusal: its code, and why in words.
type Refused = (laminarmq_kafka::ErrorCode, String);
