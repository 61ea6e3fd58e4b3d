//! The offsets that a group has committed: read, written, forgotten.

use std::collections::BTreeMap;

use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::messages::offset_commit::{
    OffsetCommitRequestPartition, OffsetCommitRequestTopic,
};
use laminarmq_kafka::messages::offset_delete::{
    OffsetDeleteRequestPartition, OffsetDeleteRequestTopic,
};
use laminarmq_kafka::messages::offset_fetch::{
    OffsetFetchRequestGroup, OffsetFetchRequestTopic, OffsetFetchRequestTopics,
};
use laminarmq_kafka::messages::{
    OffsetCommitRequest, OffsetCommitResponse, OffsetDeleteRequest, OffsetDeleteResponse,
    OffsetFetchRequest, OffsetFetchResponse,
};

use super::coordinator::Coordinator;
use super::protocol::TopicPartitions;
use crate::client::ClientError;

/// The next offset to read, by topic and partition.
pub(crate) type TopicOffsets = BTreeMap<String, BTreeMap<i32, i64>>;

/// Who commits.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Committer {
    /// A member, in the generation that it read in.
    Member { id: String, generation: i32 },
    /// Nobody of the group: taken only while it has no members.
    Outsider,
}

impl Coordinator {
    /// What the group has committed: of these partitions, or all there is. A partition without an
    /// offset is not in the answer.
    pub(crate) async fn committed(
        &self,
        of: Option<&TopicPartitions>,
    ) -> Result<TopicOffsets, ClientError> {
        self.ask(
            |version| fetch_request(self.group(), of, version),
            |response| self.fetched(&response),
        )
        .await
    }

    fn fetched(&self, response: &OffsetFetchResponse) -> Result<TopicOffsets, ClientError> {
        let what = || format!("cannot read the offsets of group `{}`", self.group());
        let mut code = response.error_code;
        let mut found = TopicOffsets::new();
        let mut keep = |topic: &str, partition, offset, told: ErrorCode| {
            if !told.is_none() {
                let place = format!("{}: partition {partition} of `{topic}`", what());
                return Err(ClientError::refused(place, told, None));
            }
            if offset >= 0 {
                let topic = found.entry(topic.to_owned()).or_default();
                topic.insert(partition, offset);
            }
            Ok(())
        };
        // One of the two is in the answer, by version.
        for topic in &response.topics {
            for told in &topic.partitions {
                let (partition, offset) = (told.partition_index, told.committed_offset);
                keep(&topic.name, partition, offset, told.error_code)?;
            }
        }
        for group in response
            .groups
            .iter()
            .filter(|g| g.group_id == self.group())
        {
            code = group.error_code;
            for topic in &group.topics {
                for told in &topic.partitions {
                    let (partition, offset) = (told.partition_index, told.committed_offset);
                    keep(&topic.name, partition, offset, told.error_code)?;
                }
            }
        }
        match code {
            ErrorCode::NONE => Ok(found),
            ErrorCode::GROUP_ID_NOT_FOUND => Ok(TopicOffsets::new()),
            code => Err(ClientError::refused(what(), code, None)),
        }
    }

    /// Keeps the offsets for the group, all or (told by an error) not all of them.
    pub(crate) async fn commit(
        &self,
        by: &Committer,
        offsets: &TopicOffsets,
    ) -> Result<(), ClientError> {
        self.ask(
            |_| commit_request(self.group(), by, offsets),
            |response| self.kept(by, &response),
        )
        .await
    }

    fn kept(&self, by: &Committer, response: &OffsetCommitResponse) -> Result<(), ClientError> {
        for topic in &response.topics {
            for told in &topic.partitions {
                match told.error_code {
                    ErrorCode::NONE => {}
                    // What a group with members says to somebody who is none of them.
                    ErrorCode::UNKNOWN_MEMBER_ID
                    | ErrorCode::ILLEGAL_GENERATION
                    | ErrorCode::REBALANCE_IN_PROGRESS
                    | ErrorCode::NON_EMPTY_GROUP
                        if *by == Committer::Outsider =>
                    {
                        return Err(ClientError::GroupInUse(self.group().to_owned()));
                    }
                    code => {
                        let what = format!(
                            "cannot commit the offset of partition {} of `{}` for group `{}`",
                            told.partition_index,
                            topic.name,
                            self.group()
                        );
                        return Err(ClientError::refused(what, code, None));
                    }
                }
            }
        }
        Ok(())
    }

    /// Forgets what the group has committed for these partitions.
    pub(crate) async fn forget_offsets(
        &self,
        topic: &str,
        partitions: &[i32],
    ) -> Result<(), ClientError> {
        let request = |_| OffsetDeleteRequest {
            group_id: self.group().to_owned(),
            topics: vec![OffsetDeleteRequestTopic {
                name: topic.to_owned(),
                partitions: partitions
                    .iter()
                    .map(|&partition_index| OffsetDeleteRequestPartition { partition_index })
                    .collect(),
            }],
        };
        self.ask(request, |response| self.forgotten(topic, &response))
            .await
    }

    fn forgotten(&self, topic: &str, response: &OffsetDeleteResponse) -> Result<(), ClientError> {
        let partitions = response.topics.iter().flat_map(|topic| &topic.partitions);
        let codes = partitions.map(|partition| partition.error_code);
        let mut codes = std::iter::once(response.error_code).chain(codes);
        match codes.find(|code| !code.is_none()) {
            None => Ok(()),
            Some(ErrorCode::GROUP_ID_NOT_FOUND) => {
                Err(ClientError::NoSuchGroup(self.group().to_owned()))
            }
            Some(ErrorCode::NON_EMPTY_GROUP) => {
                Err(ClientError::GroupInUse(self.group().to_owned()))
            }
            Some(code) => {
                let group = self.group();
                let what = format!("cannot forget the offsets of group `{group}` in `{topic}`");
                Err(ClientError::refused(what, code, None))
            }
        }
    }
}

fn fetch_request(group: &str, of: Option<&TopicPartitions>, version: i16) -> OffsetFetchRequest {
    // One of the two goes on the wire, by version.
    if version >= 8 {
        let topics = of.map(|of| {
            let topics = of
                .iter()
                .map(|(name, partitions)| OffsetFetchRequestTopics {
                    name: name.clone(),
                    partition_indexes: partitions.clone(),
                });
            topics.collect()
        });
        return OffsetFetchRequest {
            groups: vec![OffsetFetchRequestGroup {
                group_id: group.to_owned(),
                topics,
                ..OffsetFetchRequestGroup::default()
            }],
            ..OffsetFetchRequest::default()
        };
    }
    let topics = of.map(|of| {
        let topics = of.iter().map(|(name, partitions)| OffsetFetchRequestTopic {
            name: name.clone(),
            partition_indexes: partitions.clone(),
        });
        topics.collect()
    });
    OffsetFetchRequest {
        group_id: group.to_owned(),
        topics,
        ..OffsetFetchRequest::default()
    }
}

fn commit_request(group: &str, by: &Committer, offsets: &TopicOffsets) -> OffsetCommitRequest {
    let (member_id, generation) = match by {
        Committer::Member { id, generation } => (id.clone(), *generation),
        Committer::Outsider => (String::new(), -1),
    };
    let topics = offsets.iter().map(|(name, partitions)| {
        let partitions = partitions
            .iter()
            .map(
                |(&partition_index, &committed_offset)| OffsetCommitRequestPartition {
                    partition_index,
                    committed_offset,
                    committed_metadata: Some(String::new()),
                    ..OffsetCommitRequestPartition::default()
                },
            );
        OffsetCommitRequestTopic {
            name: name.clone(),
            partitions: partitions.collect(),
        }
    });
    OffsetCommitRequest {
        group_id: group.to_owned(),
        generation_id_or_member_epoch: generation,
        member_id,
        topics: topics.collect(),
        ..OffsetCommitRequest::default()
    }
}
