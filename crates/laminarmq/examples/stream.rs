//! Appends what comes in as one record, however long it is, and reads it back, a piece in memory at a time:
//!
//! ```text
//! cargo run --example stream < /path/to/something/large
//! ```

use std::convert::Infallible;
use std::io::{self, Read, Write};

use futures_lite::future::block_on;
use futures_lite::stream::{self, StreamExt};
use laminarmq::Crc32cHasher;
use laminarmq::common::cache::NoOpCache;
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::storage::AsyncConsume;
use laminarmq::storage::commit_log::CommitLog;
use laminarmq::storage::commit_log::segmented_log::{
    Config, MetaWithIdx, Record, SegmentedLog, segment,
};
use laminarmq::storage::impls::common::DiskBackedSegmentStorageProvider;
use laminarmq::storage::impls::file::{FileStorage, FileStorageProvider};

type Files = DiskBackedSegmentStorageProvider<FileStorage, FileStorageProvider, u64>;
/// Records with a name as their metadata.
type NamedLog =
    SegmentedLog<FileStorage, String, Crc32cHasher, u64, u64, BinCode, Files, NoOpCache<usize, ()>>;

fn main() -> Result<(), Box<dyn std::error::Error>> {
    let segment_config = segment::Config {
        max_store_size: 1 << 30,
        max_store_overflow: 1 << 40, // one record may be this much longer
        max_index_size: 64 << 20,
    };
    let config = Config {
        segment_config,
        ..Config::default()
    };
    block_on(async {
        let mut log = NamedLog::new(config, Files::new("example-stream-log")?).await?;
        let metadata = MetaWithIdx {
            metadata: "standard input".to_owned(),
            index: None,
        };
        let value = stream::iter(pieces(io::stdin().lock()).map(Ok::<_, Infallible>));
        let index = log.append(Record { metadata, value }).await?;
        log.flush().await?;

        {
            let Record { metadata, value } = log.read_pieces(&index).await?;
            eprintln!("record {index}, {}:", metadata.metadata);
            let mut value = std::pin::pin!(value);
            while let Some(piece) = value.next().await {
                io::stdout().write_all(&piece?)?;
            }
        }
        log.close().await?;
        Ok(())
    })
}

/// What can be read, in pieces; an error ends it.
fn pieces(mut input: impl Read) -> impl Iterator<Item = Vec<u8>> {
    std::iter::from_fn(move || {
        let mut piece = vec![0; 64 << 10];
        let length = input.read(&mut piece).ok().filter(|length| *length > 0)?;
        piece.truncate(length);
        Some(piece)
    })
}
