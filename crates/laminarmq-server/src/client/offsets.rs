//! The bounds of partitions (first readable offset, and the first that is not there yet), and offsets
//! by time.

use std::collections::BTreeMap;

use laminarmq_kafka::messages::ListOffsetsRequest;
use laminarmq_kafka::messages::list_offsets::{
    EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, ListOffsetsPartition, ListOffsetsTopic,
};

use super::retry::Attempts;
use super::{Client, ClientError};

impl Client {
    /// Start and end (exclusive) of each of `partitions`.
    pub(crate) async fn bounds(
        &self,
        topic: &str,
        partitions: &[i32],
    ) -> Result<BTreeMap<i32, (i64, i64)>, ClientError> {
        let starts = self.offsets(topic, partitions, EARLIEST_TIMESTAMP).await?;
        let ends = self.offsets(topic, partitions, LATEST_TIMESTAMP).await?;
        let bounds = starts.into_iter().map(|(partition, start)| {
            let start = start.unwrap_or(0);
            let end = ends.get(&partition).copied().flatten().unwrap_or(start);
            (partition, (start, end))
        });
        Ok(bounds.collect())
    }

    /// The first offset of each of `partitions` whose record is not older than this, in milliseconds
    /// since 1970; `None` where all are older.
    pub(crate) async fn offsets_at(
        &self,
        topic: &str,
        partitions: &[i32],
        timestamp: i64,
    ) -> Result<BTreeMap<i32, Option<i64>>, ClientError> {
        self.offsets(topic, partitions, timestamp.max(0)).await
    }

    async fn offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        timestamp: i64,
    ) -> Result<BTreeMap<i32, Option<i64>>, ClientError> {
        let mut attempts = Attempts::within(self.options().delivery_timeout);
        let mut offsets = BTreeMap::new();
        loop {
            let left = partitions.iter().filter(|p| !offsets.contains_key(*p));
            let left: Vec<i32> = left.copied().collect();
            if left.is_empty() {
                return Ok(offsets);
            }
            if let Err(error) = self
                .ask_offsets(topic, &left, timestamp, &mut offsets)
                .await
            {
                self.forget(topic);
                attempts.after(error).await?;
            }
        }
    }

    /// One round: each leader is asked for its partitions. The first failure is told, after all answers
    /// that did come were kept.
    async fn ask_offsets(
        &self,
        topic: &str,
        partitions: &[i32],
        timestamp: i64,
        offsets: &mut BTreeMap<i32, Option<i64>>,
    ) -> Result<(), ClientError> {
        let mut by_leader: BTreeMap<i32, Vec<i32>> = BTreeMap::new();
        for &partition in partitions {
            let leader = self.leader_node(topic, partition).await?;
            by_leader.entry(leader).or_default().push(partition);
        }
        let mut failure = None;
        for (leader, partitions) in by_leader {
            let asked = partitions
                .iter()
                .map(|&partition_index| ListOffsetsPartition {
                    partition_index,
                    timestamp,
                    ..ListOffsetsPartition::default()
                });
            let request = ListOffsetsRequest {
                replica_id: -1,
                topics: vec![ListOffsetsTopic {
                    name: topic.to_owned(),
                    partitions: asked.collect(),
                }],
                ..ListOffsetsRequest::default()
            };
            let connection = self.node(leader, topic, partitions[0]).await?;
            let response = connection.call(&request).await?;
            for told in response.topics.iter().flat_map(|topic| &topic.partitions) {
                let partition = told.partition_index;
                if told.error_code.is_none() {
                    offsets.insert(partition, Some(told.offset).filter(|offset| *offset >= 0));
                } else {
                    let what = format!("cannot tell the offsets of partition {partition}");
                    failure = Some(ClientError::refused(what, told.error_code, None));
                }
            }
            // An answer that leaves a partition out would be asked for ever.
            if let Some(missing) = partitions.iter().find(|p| !offsets.contains_key(*p))
                && failure.is_none()
            {
                failure = Some(ClientError::NoLeader {
                    topic: topic.to_owned(),
                    partition: *missing,
                });
            }
        }
        failure.map_or(Ok(()), Err)
    }
}
