//! DescribeLogDirs: what partitions take on disk.

use crate::ErrorCode;
use crate::schema::schema;

schema! {
    /// Asks for directories and sizes.
    DescribeLogDirsRequest {
        /// The topics; null for all.
        topics: Option<Vec<DescribableLogDirTopic>> = Some(Vec::new()), in 0.., nullable 0..;
    }

    /// Partitions of one topic.
    DescribableLogDirTopic {
        /// Its name.
        topic: String, in 0..;
        /// Their numbers.
        partitions: Vec<i32>, in 0..;
    }

    /// Directories and sizes.
    DescribeLogDirsResponse {
        /// How long the client was held back for its quota, in milliseconds.
        throttle_time_ms: i32, ignorable 0..;
        /// Why nothing is told, or none.
        error_code: ErrorCode, ignorable 3..;
        /// The directories.
        results: Vec<DescribeLogDirsResult>, in 0..;
    }

    /// One directory.
    DescribeLogDirsResult {
        /// Why it cannot be used, or none.
        error_code: ErrorCode, in 0..;
        /// Its absolute path.
        log_dir: String, in 0..;
        /// The topics in it.
        topics: Vec<DescribeLogDirsTopic>, in 0..;
        /// Size of its file system in bytes, or -1.
        total_bytes: i64 = -1, ignorable 4..;
        /// Free bytes of its file system, or -1.
        usable_bytes: i64 = -1, ignorable 4..;
    }

    /// One topic in a directory.
    DescribeLogDirsTopic {
        /// Its name.
        name: String, in 0..;
        /// The partitions.
        partitions: Vec<DescribeLogDirsPartition>, in 0..;
    }

    /// One partition in a directory.
    DescribeLogDirsPartition {
        /// Its number within the topic.
        partition_index: i32, in 0..;
        /// Bytes of its segments.
        partition_size: i64, in 0..;
        /// How far its end is behind the high watermark, in offsets.
        offset_lag: i64, in 0..;
        /// Whether it is on its way to another directory.
        is_future_key: bool, in 0..;
    }
}
