//! Valid requests, several of each API and version, with every field used in some of them.

mod cluster;
mod groups;
mod records;

use bytes::Bytes;
use laminarmq_kafka::{AnyRequest, ApiKey, RequestHeader, Writer};

/// The client id in every request.
const CLIENT_ID: &str = "hostile";

/// A topic that is never there, and a group.
const ABSENT: &str = "absent";

/// Frames (length included) of valid requests of this API and version. `topic` is there, with partitions
/// 0 and 1, and partition 0 has records from offset 0 on. Nothing in them creates, changes or deletes a topic,
/// or removes records.
///
/// # Panics
/// For an API that this list does not have: a new API needs its valid requests here.
#[must_use]
pub fn valid_requests(api: ApiKey, version: i16, topic: &str) -> Vec<Bytes> {
    let requests: Vec<AnyRequest> = match api {
        ApiKey::Produce => records::produce(version, topic),
        ApiKey::Fetch => records::fetch(version, topic),
        ApiKey::ListOffsets => records::list_offsets(version, topic),
        ApiKey::InitProducerId => records::init_producer_id(version),
        ApiKey::OffsetForLeaderEpoch => records::offset_for_leader_epoch(version, topic),
        ApiKey::DeleteRecords => records::delete_records(topic),
        ApiKey::ApiVersions => cluster::api_versions(version),
        ApiKey::Metadata => cluster::metadata(version, topic),
        ApiKey::DescribeCluster => cluster::describe_cluster(version),
        ApiKey::CreateTopics => cluster::create_topics(),
        ApiKey::DeleteTopics => cluster::delete_topics(version),
        ApiKey::CreatePartitions => cluster::create_partitions(topic),
        ApiKey::DescribeConfigs => cluster::describe_configs(version, topic),
        ApiKey::AlterConfigs => cluster::alter_configs(topic),
        ApiKey::IncrementalAlterConfigs => cluster::incremental_alter_configs(topic),
        ApiKey::DescribeLogDirs => cluster::describe_log_dirs(topic),
        ApiKey::FindCoordinator => groups::find_coordinator(version),
        ApiKey::OffsetCommit => groups::offset_commit(version, topic),
        ApiKey::OffsetFetch => groups::offset_fetch(version, topic),
        ApiKey::JoinGroup => groups::join_group(version),
        ApiKey::SyncGroup => groups::sync_group(version),
        ApiKey::Heartbeat => groups::heartbeat(version),
        ApiKey::LeaveGroup => groups::leave_group(version),
        ApiKey::DescribeGroups => groups::describe_groups(version),
        ApiKey::ListGroups => groups::list_groups(version),
        ApiKey::DeleteGroups => groups::delete_groups(),
        ApiKey::OffsetDelete => groups::offset_delete(topic),
        other => panic!("no valid requests are written down for {}", other.name()),
    };
    requests
        .iter()
        .map(|request| frame(api, version, request))
        .collect()
}

fn frame(api: ApiKey, version: i16, request: &AnyRequest) -> Bytes {
    let header = RequestHeader {
        api_key: api,
        api_version: version,
        correlation_id: 0,
        client_id: Some(CLIENT_ID.to_owned()),
    };
    let mut writer = Writer::frame();
    header.encode(&mut writer).expect("a short client id");
    request
        .encode(&mut writer, version)
        .unwrap_or_else(|error| panic!("{} {version}: {error}", api.name()));
    writer
        .finish_frame()
        .expect("a short frame")
        .concat()
        .into()
}

#[cfg(test)]
mod tests {
    use laminarmq_kafka::{AnyRequest, Reader, api};

    use super::*;

    /// Of every API that the codec has, so that none can be served before it has its valid requests.
    #[test]
    fn every_api_and_version_has_valid_requests_that_decode() {
        let mut apis = 0;
        for &key in ApiKey::ALL {
            let Some(versions) = api::codec_versions(key) else {
                continue;
            };
            apis += 1;
            for version in versions.min..=versions.max {
                let frames = valid_requests(key, version, "topic");
                assert!(!frames.is_empty());
                for frame in frames {
                    let mut reader = Reader::new(frame.slice(4..));
                    let header = RequestHeader::decode(&mut reader).expect("a header");
                    assert_eq!((header.api_key, header.api_version), (key, version));
                    AnyRequest::decode(&header, &mut reader).expect("a body");
                }
            }
        }
        assert_eq!(apis, 27);
    }
}
