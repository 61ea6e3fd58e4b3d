//! `--partition`: some of a topic's partitions.

use std::collections::BTreeSet;

use crate::client::{ClientError, Topic};

/// The partitions that were `named`, or all of them where none were; by rising index.
pub(super) fn choose(topic: &Topic, named: &[i32]) -> Result<Vec<i32>, ClientError> {
    if named.is_empty() {
        let all = topic.partitions.iter().map(|partition| partition.index);
        return Ok(all.collect());
    }
    let chosen: BTreeSet<i32> = named.iter().copied().collect();
    let missing = chosen.iter().find(|p| topic.partition(**p).is_none());
    if let Some(&partition) = missing {
        return Err(ClientError::NoSuchPartition {
            topic: topic.name.clone(),
            partition,
            count: topic.partitions.len(),
        });
    }
    Ok(chosen.into_iter().collect())
}
