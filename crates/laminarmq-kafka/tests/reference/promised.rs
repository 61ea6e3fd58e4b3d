//! What the codec is promised to have, written down a second time: a message or version that falls out of the
//! codec's own table falls out of no test.

use laminarmq_kafka::ApiKey::{self, *};

/// Every API, with its first and its last version.
pub(crate) const PROMISED: [(ApiKey, i16, i16); 27] = [
    (Produce, 3, 12),
    (Fetch, 4, 12),
    (ListOffsets, 1, 7),
    (Metadata, 0, 12),
    (OffsetCommit, 2, 9),
    (OffsetFetch, 1, 9),
    (FindCoordinator, 0, 4),
    (JoinGroup, 0, 9),
    (Heartbeat, 0, 4),
    (LeaveGroup, 0, 5),
    (SyncGroup, 0, 5),
    (DescribeGroups, 0, 5),
    (ListGroups, 0, 5),
    (ApiVersions, 0, 4),
    (CreateTopics, 2, 7),
    (DeleteTopics, 1, 6),
    (DeleteRecords, 0, 2),
    (InitProducerId, 0, 4),
    (OffsetForLeaderEpoch, 2, 4),
    (DescribeConfigs, 1, 4),
    (AlterConfigs, 0, 2),
    (DescribeLogDirs, 1, 4),
    (CreatePartitions, 0, 3),
    (DeleteGroups, 0, 2),
    (IncrementalAlterConfigs, 0, 1),
    (OffsetDelete, 0, 0),
    (DescribeCluster, 0, 1),
];

/// The versions of all of them.
pub(crate) const VERSIONS: usize = 151;

/// Each API in each version.
pub(crate) fn every_version() -> impl Iterator<Item = (ApiKey, i16)> {
    PROMISED
        .iter()
        .flat_map(|&(key, first, last)| (first..=last).map(move |version| (key, version)))
}
