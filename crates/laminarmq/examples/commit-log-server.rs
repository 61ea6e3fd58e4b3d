//! A commit log over HTTP: `cargo run --example commit-log-server [ADDRESS [DIRECTORY]]`.
//!
//! ```text
//! curl localhost:8080/records -d 'hello'                  append; answers the record's index
//! curl localhost:8080/records -T large -X POST            a body of any length, written as it comes
//! curl localhost:8080/records/0                           read
//! curl localhost:8080/records                             bounds: [lowest, highest)
//! curl localhost:8080/truncate/1 -X POST                  drop the records from 1 on
//! ```
//!
//! An append is answered once the record is on the disk. One client appends at a time: whoever sends slowly holds up
//! the others, which a real server would not allow.

use std::error::Error;
use std::sync::Arc;

use axum::body::Body;
use axum::extract::{Path, State};
use axum::http::StatusCode;
use axum::routing::{get, post};
use axum::{Json, Router};
use bytes::Bytes;
use laminarmq::Crc32cHasher;
use laminarmq::common::cache::AllocLRUCache;
use laminarmq::common::serde_compat::bincode::BinCode;
use laminarmq::storage::commit_log::CommitLog;
use laminarmq::storage::commit_log::segmented_log::{
    Config, MetaWithIdx, Record, SegmentedLog, SegmentedLogError, segment,
};
use laminarmq::storage::impls::common::DiskBackedSegmentStorageProvider;
use laminarmq::storage::impls::file::{FileStorage, FileStorageProvider};
use laminarmq::storage::{AsyncConsume, AsyncIndexedRead, AsyncTruncate};
use serde::Serialize;
use tokio::net::TcpListener;
use tokio::sync::RwLock;

type Files = DiskBackedSegmentStorageProvider<FileStorage, FileStorageProvider, u64>;
type Cache = AllocLRUCache<usize, ()>;
type Log = SegmentedLog<FileStorage, (), Crc32cHasher, u64, u64, BinCode, Files, Cache>;
type Shared = Arc<RwLock<Log>>;
type Refusal = (StatusCode, String);

#[derive(Serialize)]
struct Bounds {
    lowest: u64,
    highest: u64,
}

fn refusal<SE, SDE, CE>(error: SegmentedLogError<SE, SDE, CE>) -> Refusal
where
    SegmentedLogError<SE, SDE, CE>: Error,
{
    let status = match error {
        SegmentedLogError::IndexOutOfBounds => StatusCode::NOT_FOUND,
        _ => StatusCode::INTERNAL_SERVER_ERROR,
    };
    (status, format!("{error}\n"))
}

async fn append(State(log): State<Shared>, body: Body) -> Result<String, Refusal> {
    let metadata = MetaWithIdx {
        metadata: (),
        index: None,
    };
    let value = body.into_data_stream();
    let mut log = log.write().await;
    let index = log.append(Record { metadata, value }).await;
    let index = index.map_err(refusal)?;
    log.flush().await.map_err(refusal)?;
    Ok(format!("{index}\n"))
}

async fn read(State(log): State<Shared>, Path(index): Path<u64>) -> Result<Bytes, Refusal> {
    let record = log.read().await.read(&index).await;
    Ok(record.map_err(refusal)?.value)
}

async fn bounds(State(log): State<Shared>) -> Json<Bounds> {
    let log = log.read().await;
    Json(Bounds {
        lowest: log.lowest_index(),
        highest: log.highest_index(),
    })
}

async fn truncate(State(log): State<Shared>, Path(index): Path<u64>) -> Result<(), Refusal> {
    log.write().await.truncate(&index).await.map_err(refusal)
}

#[tokio::main]
async fn main() -> Result<(), Box<dyn Error>> {
    let mut arguments = std::env::args().skip(1);
    let address = arguments.next().unwrap_or_else(|| "127.0.0.1:8080".into());
    let directory = arguments.next().unwrap_or_else(|| "example-server".into());
    let config = Config {
        segment_config: segment::Config {
            max_store_size: 256 << 20,
            max_store_overflow: 1 << 40,
            max_index_size: 16 << 20,
        },
        num_index_cached_read_segments: Some(4),
        initial_index: 0,
    };
    let log = Log::new(config, Files::new(&directory)?).await?;
    let log = Arc::new(RwLock::new(log));
    let routes = Router::new()
        .route("/records", post(append).get(bounds))
        .route("/records/{index}", get(read))
        .route("/truncate/{index}", post(truncate))
        .layer(axum::extract::DefaultBodyLimit::disable())
        .with_state(Arc::clone(&log));
    let listener = TcpListener::bind(&address).await?;
    println!(
        "a commit log in {directory}, on http://{}/records",
        listener.local_addr()?
    );
    let stop = async { tokio::signal::ctrl_c().await.unwrap_or_default() };
    axum::serve(listener, routes)
        .with_graceful_shutdown(stop)
        .await?;
    if let Some(log) = Arc::into_inner(log) {
        log.into_inner().close().await?;
    }
    Ok(())
}
