//! A cluster in memory, for tests of the client: two nodes that share their batches, of which one leads.
//! It speaks the protocol, and misbehaves when told to.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Arc, Mutex};

use bytes::{Bytes, BytesMut};
use laminarmq_broker::HostPort;
use laminarmq_kafka::api::{api_versions_answer, codec_versions};
use laminarmq_kafka::batch::{BatchHeader, HEAD_BYTES, set_base_offset_and_epoch, verify};
use laminarmq_kafka::frame::encode_response_as;
use laminarmq_kafka::messages::api_versions::ApiVersion;
use laminarmq_kafka::messages::delete_records::{
    DeleteRecordsPartitionResult, DeleteRecordsTopicResult,
};
use laminarmq_kafka::messages::describe_cluster::DescribeClusterBroker;
use laminarmq_kafka::messages::fetch::{FetchableTopicResponse, PartitionData};
use laminarmq_kafka::messages::list_offsets::{
    EARLIEST_TIMESTAMP, LATEST_TIMESTAMP, ListOffsetsPartitionResponse, ListOffsetsTopicResponse,
};
use laminarmq_kafka::messages::metadata::{
    MetadataResponseBroker, MetadataResponsePartition, MetadataResponseTopic,
};
use laminarmq_kafka::messages::produce::{PartitionProduceResponse, TopicProduceResponse};
use laminarmq_kafka::messages::*;
use laminarmq_kafka::{
    AnyRequest, ApiKey, EncodeError, ErrorCode, Reader, Records, RequestHeader, encode_response,
};
use tokio::io::{AsyncReadExt as _, AsyncWriteExt as _};
use tokio::net::{TcpListener, TcpStream};

use super::fake_groups::{self, FakeGroup, Groups};

/// What the broker does in place of answering as it should.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Fault {
    /// Refuses with this code, and does nothing.
    Refuse(ErrorCode),
    /// Does its work and closes the connection before the answer.
    DropAnswer,
    /// Answers with these bytes.
    Answer(Vec<u8>),
    /// Gives a fetch the first batch, whatever it asked for.
    Stale,
}

/// A response on its way out.
type Encoded = Result<Vec<Bytes>, EncodeError>;

#[derive(Debug, Default)]
struct State {
    /// Ports of node 1 and 2.
    ports: [u16; 2],
    /// The node that leads every partition.
    leader: i32,
    /// Stored batches by topic and partition.
    topics: BTreeMap<String, Vec<Vec<Bytes>>>,
    /// Next faults by API.
    faults: BTreeMap<ApiKey, VecDeque<Fault>>,
    /// Requests that came, by API.
    requests: Vec<(ApiKey, i16)>,
    /// APIs that are not spoken in all of our versions, and the last that is.
    last_versions: BTreeMap<ApiKey, i16>,
    groups: Groups,
    /// The node that coordinates every group.
    coordinator: i32,
}

/// A running one; its state is shared with the test.
#[derive(Debug, Clone)]
pub(crate) struct FakeBroker {
    state: Arc<Mutex<State>>,
}

impl FakeBroker {
    /// Starts one on a free port, with these topics and numbers of partitions.
    pub(crate) async fn start(topics: &[(&str, usize)]) -> Self {
        let topics = topics
            .iter()
            .map(|(name, partitions)| ((*name).to_owned(), vec![Vec::new(); *partitions]));
        let broker = Self {
            state: Arc::new(Mutex::new(State {
                leader: 1,
                coordinator: 1,
                topics: topics.collect(),
                ..State::default()
            })),
        };
        for node in [1, 2] {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let port = listener.local_addr().expect("bound").port();
            broker.with(|state| state.ports[slot(node)] = port);
            let serving = broker.clone();
            tokio::spawn(async move {
                while let Ok((stream, _)) = listener.accept().await {
                    tokio::spawn(serving.clone().serve(node, stream));
                }
            });
        }
        broker
    }

    /// Where node 1 listens.
    pub(crate) fn address(&self) -> HostPort {
        HostPort {
            host: String::from("127.0.0.1"),
            port: self.with(|state| state.ports[0]),
        }
    }

    /// Makes node 2 the leader of everything; node 1 refuses from now on.
    pub(crate) fn move_leader(&self) {
        self.with(|state| state.leader = 2);
    }

    /// Makes node 2 the coordinator of everything; node 1 refuses from now on.
    pub(crate) fn move_coordinator(&self) {
        self.with(|state| state.coordinator = 2);
    }

    /// Queues a fault for the next request of `api`.
    pub(crate) fn fault(&self, api: ApiKey, fault: Fault) {
        self.with(|state| state.faults.entry(api).or_default().push_back(fault));
    }

    /// Speaks no later version of `api` from now on.
    pub(crate) fn speak_at_most(&self, api: ApiKey, version: i16) {
        self.with(|state| state.last_versions.insert(api, version));
    }

    /// Adds a partition to a topic.
    pub(crate) fn add_partition(&self, topic: &str) {
        self.with(|state| state.topics.get_mut(topic).expect("known").push(Vec::new()));
    }

    /// Looks at a group, or changes it; one that is not there is made.
    pub(crate) fn group<T>(&self, name: &str, work: impl FnOnce(&mut FakeGroup) -> T) -> T {
        self.with(|state| work(state.groups.entry(name.to_owned()).or_default()))
    }

    /// How many requests of `api` came.
    pub(crate) fn count(&self, api: ApiKey) -> usize {
        self.with(|state| state.requests.iter().filter(|(of, _)| *of == api).count())
    }

    /// The stored batches of a partition.
    pub(crate) fn batches(&self, topic: &str, partition: usize) -> Vec<Bytes> {
        self.with(|state| state.topics[topic][partition].clone())
    }

    fn with<T>(&self, work: impl FnOnce(&mut State) -> T) -> T {
        work(&mut self.state.lock().expect("no test panics in here"))
    }

    async fn serve(self, node: i32, mut stream: TcpStream) {
        loop {
            let Ok(length) = stream.read_u32().await else {
                return;
            };
            let mut frame = vec![0; usize::try_from(length).expect("32 bits fit")];
            if stream.read_exact(&mut frame).await.is_err() {
                return;
            }
            let mut reader = Reader::new(Bytes::from(frame));
            let header = RequestHeader::decode(&mut reader).expect("our client's header");
            let request = AnyRequest::decode(&header, &mut reader).expect("our client's request");
            let fault = self.with(|state| {
                state.requests.push((header.api_key, header.api_version));
                let faults = state.faults.get_mut(&header.api_key);
                faults.and_then(VecDeque::pop_front)
            });
            let leads = self.with(|state| state.leader == node);
            let coordinates = self.with(|state| state.coordinator == node);
            let of_leader = matches!(
                header.api_key,
                ApiKey::Produce | ApiKey::Fetch | ApiKey::ListOffsets | ApiKey::DeleteRecords
            );
            let answer = match fault {
                _ if of_leader && !leads => {
                    self.answer(node, &header, request, ErrorCode::NOT_LEADER_OR_FOLLOWER)
                }
                _ if fake_groups::of_coordinator(header.api_key) && !coordinates => {
                    self.answer(node, &header, request, ErrorCode::NOT_COORDINATOR)
                }
                Some(Fault::Stale) => self.answer(node, &header, stale(request), ErrorCode::NONE),
                Some(Fault::Answer(bytes)) => vec![Bytes::from(bytes)],
                Some(Fault::DropAnswer) => {
                    self.answer(node, &header, request, ErrorCode::NONE);
                    return;
                }
                Some(Fault::Refuse(code)) => self.answer(node, &header, request, code),
                None => self.answer(node, &header, request, ErrorCode::NONE),
            };
            for piece in answer {
                if stream.write_all(&piece).await.is_err() {
                    return;
                }
            }
        }
    }

    /// Does the work and encodes the answer; none for `acks=0`.
    fn answer(
        &self,
        node: i32,
        header: &RequestHeader,
        request: AnyRequest,
        code: ErrorCode,
    ) -> Vec<Bytes> {
        let version = header.api_version;
        let grouped = |name: &str, work: &mut dyn FnMut(&mut FakeGroup) -> Encoded| {
            self.group(name, |group| work(group))
        };
        let encoded = match request {
            AnyRequest::ApiVersions(_) => {
                let (mut response, version) = api_versions_answer(header.api_version);
                if response.error_code.is_none() {
                    response.api_keys = self.versions();
                }
                response.error_code = code;
                encode_response_as(header.correlation_id, version, &response)
            }
            AnyRequest::Metadata(request) => {
                encode_response(header, &self.metadata(&request, code))
            }
            AnyRequest::InitProducerId(_) => encode_response(
                header,
                &InitProducerIdResponse {
                    error_code: code,
                    producer_id: 7,
                    ..InitProducerIdResponse::default()
                },
            ),
            AnyRequest::Produce(request) => {
                let acks = request.acks;
                let response = self.produce(request, code);
                if acks == 0 {
                    return Vec::new();
                }
                encode_response(header, &response)
            }
            AnyRequest::Fetch(request) => encode_response(header, &self.fetch(&request, code)),
            AnyRequest::ListOffsets(request) => {
                encode_response(header, &self.list_offsets(&request, code))
            }
            AnyRequest::DeleteRecords(request) => {
                encode_response(header, &delete_records(&request, code))
            }
            AnyRequest::FindCoordinator(request) => {
                let node = self.with(|state| state.coordinator);
                let port = self.with(|state| state.ports[slot(node)]);
                encode_response(header, &fake_groups::find(&request, node, port, code))
            }
            AnyRequest::JoinGroup(request) => grouped(&request.group_id, &mut |group| {
                encode_response(header, &group.join(&request, version, code))
            }),
            AnyRequest::SyncGroup(request) => grouped(&request.group_id, &mut |group| {
                encode_response(header, &group.sync(&request, code))
            }),
            AnyRequest::Heartbeat(request) => grouped(&request.group_id, &mut |group| {
                encode_response(header, &group.heartbeat(&request, code))
            }),
            AnyRequest::LeaveGroup(request) => grouped(&request.group_id, &mut |group| {
                encode_response(header, &group.leave(&request, code))
            }),
            AnyRequest::OffsetCommit(request) => grouped(&request.group_id, &mut |group| {
                encode_response(header, &group.commit(&request, code))
            }),
            AnyRequest::OffsetFetch(request) => self.with(|state| {
                let response = fake_groups::fetch(&state.groups, &request, version, code);
                encode_response(header, &response)
            }),
            AnyRequest::ListGroups(_) => self.with(|state| {
                encode_response(header, &fake_groups::list(&state.groups, node, code))
            }),
            AnyRequest::DescribeGroups(request) => self.with(|state| {
                let response = fake_groups::describe(&state.groups, &request, code);
                encode_response(header, &response)
            }),
            AnyRequest::DeleteGroups(request) => self.with(|state| {
                let response = fake_groups::delete(&mut state.groups, &request, code);
                encode_response(header, &response)
            }),
            AnyRequest::OffsetDelete(request) => self.with(|state| {
                let response = fake_groups::forget(&mut state.groups, &request, code);
                encode_response(header, &response)
            }),
            AnyRequest::DescribeCluster(_) => encode_response(header, &self.describe_cluster(code)),
            other => panic!("no test asks for {:?}", other.api_key()),
        };
        encoded.expect("a version of ours")
    }

    fn versions(&self) -> Vec<ApiVersion> {
        let last_versions = self.with(|state| state.last_versions.clone());
        let spoken = ApiKey::ALL.iter().filter_map(|&api| {
            let ours = codec_versions(api)?;
            let last = last_versions.get(&api).copied().unwrap_or(ours.max);
            (last >= ours.min).then_some(ApiVersion {
                api_key: api.number(),
                min_version: ours.min,
                max_version: last,
            })
        });
        spoken.collect()
    }

    fn describe_cluster(&self, error_code: ErrorCode) -> DescribeClusterResponse {
        let ports = self.with(|state| state.ports);
        DescribeClusterResponse {
            error_code,
            cluster_id: String::from("fake"),
            controller_id: 1,
            brokers: [2, 1]
                .map(|broker_id| DescribeClusterBroker {
                    broker_id,
                    host: String::from("127.0.0.1"),
                    port: i32::from(ports[slot(broker_id)]),
                    rack: None,
                })
                .to_vec(),
            ..DescribeClusterResponse::default()
        }
    }

    fn metadata(&self, request: &MetadataRequest, code: ErrorCode) -> MetadataResponse {
        self.with(|state| {
            let wanted = request.topics.as_ref().map(|topics| {
                let names = topics.iter().filter_map(|topic| topic.name.clone());
                names.collect::<Vec<_>>()
            });
            let names = wanted.unwrap_or_else(|| state.topics.keys().cloned().collect());
            let topics = names.into_iter().map(|name| {
                let partitions = state.topics.get(&name).map(Vec::len);
                let unknown = ErrorCode::UNKNOWN_TOPIC_OR_PARTITION;
                MetadataResponseTopic {
                    error_code: partitions.map_or(unknown, |_| code),
                    name: Some(name),
                    partitions: (0..partitions.unwrap_or(0))
                        .map(|index| MetadataResponsePartition {
                            partition_index: i32::try_from(index).expect("few"),
                            leader_id: state.leader,
                            ..MetadataResponsePartition::default()
                        })
                        .collect(),
                    ..MetadataResponseTopic::default()
                }
            });
            MetadataResponse {
                topics: topics.collect(),
                brokers: [1, 2]
                    .map(|node_id| MetadataResponseBroker {
                        node_id,
                        host: String::from("127.0.0.1"),
                        port: i32::from(state.ports[slot(node_id)]),
                        ..MetadataResponseBroker::default()
                    })
                    .to_vec(),
                cluster_id: Some(String::from("fake")),
                controller_id: 1,
                ..MetadataResponse::default()
            }
        })
    }

    fn produce(&self, request: ProduceRequest, code: ErrorCode) -> ProduceResponse {
        self.with(|state| {
            let topics = request.topic_data.into_iter().map(|topic| {
                let stored = state.topics.get_mut(&topic.name).expect("a known topic");
                let answers = topic.partition_data.into_iter().map(|partition| {
                    let at = usize::try_from(partition.index).expect("a known partition");
                    let batch = partition.records.expect("a batch");
                    let base_offset = if code.is_none() {
                        append(&mut stored[at], &batch)
                    } else {
                        -1
                    };
                    PartitionProduceResponse {
                        index: partition.index,
                        error_code: code,
                        base_offset,
                        ..PartitionProduceResponse::default()
                    }
                });
                TopicProduceResponse {
                    partition_responses: answers.collect(),
                    name: topic.name,
                }
            });
            ProduceResponse {
                responses: topics.collect(),
                ..ProduceResponse::default()
            }
        })
    }

    /// One batch per partition and answer, from the one that holds the offset.
    fn fetch(&self, request: &FetchRequest, code: ErrorCode) -> FetchResponse {
        self.with(|state| {
            let topics = request.topics.iter().map(|topic| FetchableTopicResponse {
                topic: topic.topic.clone(),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|wanted| {
                        let at = usize::try_from(wanted.partition).expect("a known partition");
                        let stored = &state.topics[&topic.topic][at];
                        let batch = stored
                            .iter()
                            .find(|batch| head(batch).next_offset() > wanted.fetch_offset);
                        let data = batch.filter(|_| code.is_none()).cloned();
                        PartitionData {
                            partition_index: wanted.partition,
                            error_code: code,
                            high_watermark: end(stored),
                            records: data.map_or_else(Records::empty, Records::from),
                            ..PartitionData::default()
                        }
                    })
                    .collect(),
            });
            FetchResponse {
                responses: topics.collect(),
                ..FetchResponse::default()
            }
        })
    }

    fn list_offsets(&self, request: &ListOffsetsRequest, code: ErrorCode) -> ListOffsetsResponse {
        self.with(|state| {
            let topics = request.topics.iter().map(|topic| ListOffsetsTopicResponse {
                name: topic.name.clone(),
                partitions: topic
                    .partitions
                    .iter()
                    .map(|wanted| {
                        let at = usize::try_from(wanted.partition_index).expect("known");
                        let end = end(&state.topics[&topic.name][at]);
                        // All records are older than any time.
                        let offset = match wanted.timestamp {
                            EARLIEST_TIMESTAMP => 0,
                            LATEST_TIMESTAMP => end,
                            _ => -1,
                        };
                        ListOffsetsPartitionResponse {
                            partition_index: wanted.partition_index,
                            error_code: code,
                            offset,
                            ..ListOffsetsPartitionResponse::default()
                        }
                    })
                    .collect(),
            });
            ListOffsetsResponse {
                topics: topics.collect(),
                ..ListOffsetsResponse::default()
            }
        })
    }
}

/// Starts that are where they were asked to be.
fn delete_records(request: &DeleteRecordsRequest, error_code: ErrorCode) -> DeleteRecordsResponse {
    let topics = request.topics.iter().map(|topic| DeleteRecordsTopicResult {
        name: topic.name.clone(),
        partitions: topic
            .partitions
            .iter()
            .map(|partition| DeleteRecordsPartitionResult {
                partition_index: partition.partition_index,
                low_watermark: partition.offset,
                error_code,
            })
            .collect(),
    });
    DeleteRecordsResponse {
        topics: topics.collect(),
        ..DeleteRecordsResponse::default()
    }
}

fn slot(node: i32) -> usize {
    usize::try_from(node - 1).expect("nodes are 1 and 2")
}

/// A fetch from the start in place of this one.
fn stale(request: AnyRequest) -> AnyRequest {
    let AnyRequest::Fetch(mut fetch) = request else {
        panic!("only a fetch can be stale");
    };
    for topic in &mut fetch.topics {
        for partition in &mut topic.partitions {
            partition.fetch_offset = 0;
        }
    }
    AnyRequest::Fetch(fetch)
}

fn head(batch: &Bytes) -> BatchHeader {
    BatchHeader::parse(batch).expect("a stored batch")
}

fn end(stored: &[Bytes]) -> i64 {
    stored.last().map_or(0, |batch| head(batch).next_offset())
}

/// Stores a batch at the end; its base offset. One whose sequence came before is not stored again.
fn append(stored: &mut Vec<Bytes>, batch: &Bytes) -> i64 {
    let sent = verify(batch).expect("our client's batch");
    let same = |known: &&Bytes| {
        let known = head(known);
        sent.producer_id >= 0
            && known.producer_id == sent.producer_id
            && known.base_sequence == sent.base_sequence
    };
    if let Some(known) = stored.iter().find(same) {
        return head(known).base_offset;
    }
    let base_offset = end(stored);
    let mut bytes = BytesMut::from(&batch[..]);
    let head = bytes
        .first_chunk_mut::<HEAD_BYTES>()
        .expect("a whole batch");
    set_base_offset_and_epoch(head, base_offset, 0);
    stored.push(bytes.freeze());
    base_offset
}
