//! Deleting records from the start of partitions.

use std::collections::BTreeMap;

use laminarmq_kafka::messages::DeleteRecordsRequest;
use laminarmq_kafka::messages::delete_records::{DeleteRecordsPartition, DeleteRecordsTopic};

use super::admin::millis;
use super::retry::Attempts;
use super::{Client, ClientError};

impl Client {
    /// Deletes what lies below the offset of each partition, and keeps what has it. Where the
    /// partitions start then. Deleting twice does no harm, so it is tried again while that may help.
    pub(crate) async fn delete_records(
        &self,
        topic: &str,
        below: &BTreeMap<i32, i64>,
    ) -> Result<BTreeMap<i32, i64>, ClientError> {
        let mut attempts = Attempts::within(self.options().delivery_timeout);
        let mut starts = BTreeMap::new();
        while starts.len() < below.len() {
            if let Err(error) = self.ask_deletion(topic, below, &mut starts).await {
                self.forget(topic);
                attempts.after(error).await?;
            }
        }
        Ok(starts)
    }

    /// One round: each leader is asked for its partitions that are left. The first failure is told,
    /// after all answers that did come were kept.
    async fn ask_deletion(
        &self,
        topic: &str,
        below: &BTreeMap<i32, i64>,
        starts: &mut BTreeMap<i32, i64>,
    ) -> Result<(), ClientError> {
        let mut by_leader: BTreeMap<i32, Vec<DeleteRecordsPartition>> = BTreeMap::new();
        for (&partition_index, &offset) in below {
            if starts.contains_key(&partition_index) {
                continue;
            }
            let leader = self.leader_node(topic, partition_index).await?;
            let partition = DeleteRecordsPartition {
                partition_index,
                offset,
            };
            by_leader.entry(leader).or_default().push(partition);
        }
        let mut failure = None;
        for (leader, partitions) in by_leader {
            let asked: Vec<i32> = partitions.iter().map(|p| p.partition_index).collect();
            let connection = self.node(leader, topic, asked[0]).await?;
            let request = DeleteRecordsRequest {
                topics: vec![DeleteRecordsTopic {
                    name: topic.to_owned(),
                    partitions,
                }],
                timeout_ms: millis(self.options().request_timeout),
            };
            let response = connection.call(&request).await?;
            for told in response.topics.iter().flat_map(|topic| &topic.partitions) {
                let partition = told.partition_index;
                if told.error_code.is_none() {
                    starts.insert(partition, told.low_watermark);
                } else {
                    let what = format!("cannot trim partition {partition} of `{topic}`");
                    failure = Some(ClientError::refused(what, told.error_code, None));
                }
            }
            // An answer that leaves a partition out would be asked for ever.
            if let Some(missing) = asked.iter().find(|p| !starts.contains_key(*p))
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

#[cfg(test)]
mod tests {
    use laminarmq_kafka::{ApiKey, ErrorCode};

    use super::*;
    use crate::client::ClientOptions;
    use crate::client::fake_broker::{FakeBroker, Fault};

    async fn start() -> (FakeBroker, Client) {
        let broker = FakeBroker::start(&[("t", 3)]).await;
        let client = Client::connect(&[broker.address()], ClientOptions::default()).await;
        (broker, client.expect("connects"))
    }

    #[tokio::test]
    async fn deletions_find_their_leader_and_are_tried_again() {
        let (broker, client) = start().await;
        let below = BTreeMap::from([(0, 5), (2, 7)]);
        let starts = client.delete_records("t", &below).await;
        assert_eq!(starts.expect("deleted"), below);
        broker.move_leader();
        broker.fault(ApiKey::DeleteRecords, Fault::DropAnswer);
        let starts = client.delete_records("t", &below).await;
        assert_eq!(starts.expect("deleted"), below);
        let nothing = client.delete_records("t", &BTreeMap::new()).await;
        assert_eq!(nothing.expect("nothing to do"), BTreeMap::new());
    }

    #[tokio::test]
    async fn a_refusal_for_good_is_told() {
        let (broker, client) = start().await;
        let code = ErrorCode::OFFSET_OUT_OF_RANGE;
        broker.fault(ApiKey::DeleteRecords, Fault::Refuse(code));
        let refused = client.delete_records("t", &BTreeMap::from([(0, 5)])).await;
        assert_eq!(refused.expect_err("refused").code(), Some(code));
    }

    #[tokio::test]
    async fn a_time_after_all_records_has_no_offset() {
        let (_broker, client) = start().await;
        let offsets = client.offsets_at("t", &[0, 1], 5).await.expect("told");
        assert_eq!(offsets, BTreeMap::from([(0, None), (1, None)]));
    }
}
