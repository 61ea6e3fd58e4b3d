//! The one table of APIs: which messages belong to which, in which versions they can be read and written,
//! from which one on they are flexible, and which ones a broker lists.
//!
//! A version outside the table never reaches a schema.

use crate::messages::*;
use crate::primitives::reader::{DecodeError, DecodeReason, Reader};
use crate::primitives::writer::{EncodeError, Writer};
use crate::schema::{Message, Request, Versions};
use crate::{ApiKey, ErrorCode, RequestHeader};

/// What a broker offers of one API. `min_advertised <= min_served <= max`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct ApiRange {
    /// The API.
    pub api: ApiKey,
    /// The first version that is listed. Below [`Self::min_served`] a request is refused with
    /// `UNSUPPORTED_VERSION`: it is listed for clients that draw wrong conclusions from its absence.
    pub min_advertised: i16,
    /// The first version that is answered.
    pub min_served: i16,
    /// The last version that is listed and answered.
    pub max: i16,
}

impl ApiRange {
    /// Whether requests of this version are answered.
    #[must_use]
    pub const fn serves(&self, version: i16) -> bool {
        self.min_served <= version && version <= self.max
    }
}

/// What a broker serves, by rising API number.
#[must_use]
pub fn served() -> &'static [ApiRange] {
    SERVED
}

/// What a broker serves of this API; `None` when nothing.
#[must_use]
pub fn served_range(api: ApiKey) -> Option<&'static ApiRange> {
    SERVED.iter().find(|range| range.api == api)
}

/// The answer to an ApiVersions request of this version, and the version to write it in.
///
/// A client that asks in a version unknown to the broker gets version 0, which every client can read, with
/// `UNSUPPORTED_VERSION` and the versions of ApiVersions itself, so that it can ask again.
#[must_use]
pub fn api_versions_answer(api_version: i16) -> (ApiVersionsResponse, i16) {
    let known = served_range(ApiKey::ApiVersions).is_some_and(|range| range.serves(api_version));
    let response = ApiVersionsResponse {
        error_code: if known {
            ErrorCode::NONE
        } else {
            ErrorCode::UNSUPPORTED_VERSION
        },
        api_keys: SERVED
            .iter()
            .filter(|range| known || range.api == ApiKey::ApiVersions)
            .map(|range| api_versions::ApiVersion {
                api_key: range.api.number(),
                min_version: range.min_advertised,
                max_version: range.max,
            })
            .collect(),
        ..ApiVersionsResponse::default()
    };
    (response, if known { api_version } else { 0 })
}

/// Reads the table and derives what depends on it. A line is
///
/// ```text
/// Api: Request => Response, first..=last, flexible from N;
/// Api: Request => Response, first..=last, flexible from N, listed from M;
/// ```
///
/// and only APIs with `listed` are served.
macro_rules! apis {
    ($(
        $api:ident : $request:ident => $response:ident,
        $min:literal ..= $max:literal, flexible from $flexible:expr
        $(, listed from $listed:literal)? ;
    )+) => {
        const SERVED: &[ApiRange] = &{
            const ALL: &[Option<ApiRange>] = &[$( apis!(@range $api $min $max $($listed)?), )+];
            const LEN: usize = count(ALL);
            collect::<LEN>(ALL)
        };

        /// The first flexible version of an API; `None` for one that this codec does not have.
        pub(crate) const fn flexible_from(api: ApiKey) -> Option<i16> {
            match api {
                $( ApiKey::$api => Some($flexible), )+
                _ => None,
            }
        }

        /// The versions of an API that this codec reads and writes, served or not.
        #[must_use]
        pub const fn codec_versions(api: ApiKey) -> Option<Versions> {
            match api {
                $( ApiKey::$api => Some(Versions { min: $min, max: $max }), )+
                _ => None,
            }
        }

        /// Makes up a request of this API and version; `None` for one that this codec does not have.
        #[cfg(feature = "test-util")]
        #[must_use]
        pub fn any_request(
            api: ApiKey,
            version: i16,
            source: &mut crate::generate::Source<'_>,
        ) -> Option<AnyRequest> {
            codec_versions(api).filter(|versions| versions.contains(version))?;
            match api {
                $( ApiKey::$api => Some(AnyRequest::$api(crate::generate::message(source, version))), )+
                _ => None,
            }
        }

        /// Makes up a response of this API and version; `None` for one that this codec does not have.
        #[cfg(feature = "test-util")]
        #[must_use]
        pub fn any_response(
            api: ApiKey,
            version: i16,
            source: &mut crate::generate::Source<'_>,
        ) -> Option<AnyResponse> {
            codec_versions(api).filter(|versions| versions.contains(version))?;
            match api {
                $( ApiKey::$api => Some(AnyResponse::$api(crate::generate::message(source, version))), )+
                _ => None,
            }
        }

        $(
            impl Message for $request {
                const API: ApiKey = ApiKey::$api;
                const VERSIONS: Versions = Versions { min: $min, max: $max };
                const FLEXIBLE_FROM: i16 = $flexible;
                const NAME: &'static str = stringify!($request);
            }

            impl Request for $request {
                type Response = $response;
            }

            impl Message for $response {
                const API: ApiKey = ApiKey::$api;
                const VERSIONS: Versions = Versions { min: $min, max: $max };
                const FLEXIBLE_FROM: i16 = $flexible;
                const NAME: &'static str = stringify!($response);
            }

            impl From<$request> for AnyRequest {
                fn from(request: $request) -> Self {
                    Self::$api(request)
                }
            }

            impl From<$response> for AnyResponse {
                fn from(response: $response) -> Self {
                    Self::$api(response)
                }
            }
        )+

        /// Any request that this codec has.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "one variant per API, named like it")]
        pub enum AnyRequest {
            $( $api($request), )+
        }

        impl AnyRequest {
            /// The API that it belongs to.
            #[must_use]
            pub const fn api_key(&self) -> ApiKey {
                match self {
                    $( Self::$api(_) => ApiKey::$api, )+
                }
            }

            /// Reads the body behind this header, to the end of the frame: bytes behind the last field are
            /// an error, but for those that a known client leaves there. Whether the API and version are served is the caller's question.
            pub fn decode(header: &RequestHeader, r: &mut Reader) -> Result<Self, DecodeError> {
                let version = header.api_version;
                let request = match header.api_key {
                    $( ApiKey::$api => Self::$api($request::decode(r, version)?), )+
                    other => {
                        return Err(r
                            .error(DecodeReason::UnknownApi(other.number()))
                            .or_at("RequestHeader", "api_key"));
                    }
                };
                if !is_known_rest(header, r.remaining()) {
                    r.finish().map_err(|e| e.or_at(header.api_key.name(), "end"))?;
                }
                Ok(request)
            }

            /// Writes the body in this version.
            pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match self {
                    $( Self::$api(request) => request.encode(w, version), )+
                }
            }
        }

        /// Any response that this codec has.
        #[derive(Debug, Clone, PartialEq)]
        #[allow(missing_docs, reason = "one variant per API, named like it")]
        pub enum AnyResponse {
            $( $api($response), )+
        }

        impl AnyResponse {
            /// The API that it belongs to.
            #[must_use]
            pub const fn api_key(&self) -> ApiKey {
                match self {
                    $( Self::$api(_) => ApiKey::$api, )+
                }
            }

            /// Reads the body of a response to this API and version, to the end of the frame: bytes behind
            /// the last field are an error.
            pub fn decode(
                api: ApiKey,
                version: i16,
                r: &mut Reader,
            ) -> Result<Self, DecodeError> {
                let response = match api {
                    $( ApiKey::$api => Self::$api($response::decode(r, version)?), )+
                    other => {
                        return Err(r
                            .error(DecodeReason::UnknownApi(other.number()))
                            .or_at("ResponseHeader", "api_key"));
                    }
                };
                r.finish().map_err(|e| e.or_at(api.name(), "end"))?;
                Ok(response)
            }

            /// Writes the body in this version.
            pub fn encode(&self, w: &mut Writer, version: i16) -> Result<(), EncodeError> {
                match self {
                    $( Self::$api(response) => response.encode(w, version), )+
                }
            }
        }
    };
    (@range $api:ident $min:literal $max:literal) => { None };
    (@range $api:ident $min:literal $max:literal $listed:literal) => {
        Some(ApiRange {
            api: ApiKey::$api,
            min_advertised: $listed,
            min_served: $min,
            max: $max,
        })
    };
}

/// Whether a client is known to leave so many bytes behind a request.
///
/// librdkafka 2.16 asks for all topics with a list of topics that is null, which is one byte in flexible
/// versions, and takes four for it. The other three it meant as flags; read early, as zeros, they are what
/// it wants: nothing is created where all topics are asked for. Other brokers do not look behind requests.
const fn is_known_rest(header: &RequestHeader, rest: usize) -> bool {
    matches!(header.api_key, ApiKey::Metadata) && header.api_version >= 9 && rest == 3
}

/// An API that has no flexible version.
const NEVER: i16 = i16::MAX;

const fn count(ranges: &[Option<ApiRange>]) -> usize {
    let (mut i, mut n) = (0, 0);
    while i < ranges.len() {
        n += ranges[i].is_some() as usize;
        i += 1;
    }
    n
}

const fn collect<const N: usize>(ranges: &[Option<ApiRange>]) -> [ApiRange; N] {
    let mut out = [ApiRange {
        api: ApiKey::ApiVersions,
        min_advertised: 0,
        min_served: 0,
        max: 0,
    }; N];
    let (mut i, mut n) = (0, 0);
    while i < ranges.len() {
        if let Some(range) = ranges[i] {
            assert!(range.min_advertised <= range.min_served && range.min_served <= range.max);
            assert!(n == 0 || out[n - 1].api.number() < range.api.number());
            out[n] = range;
            n += 1;
        }
        i += 1;
    }
    out
}

apis! {
    // Listed from version 0: without it, older librdkafka takes the broker for one that cannot do compression
    // and quietly sends everything uncompressed.
    Produce: ProduceRequest => ProduceResponse, 3..=12, flexible from 9, listed from 0;
    Fetch: FetchRequest => FetchResponse, 4..=12, flexible from 12, listed from 4;
    ListOffsets: ListOffsetsRequest => ListOffsetsResponse, 1..=7, flexible from 6, listed from 1;
    Metadata: MetadataRequest => MetadataResponse, 0..=12, flexible from 9, listed from 0;
    OffsetCommit: OffsetCommitRequest => OffsetCommitResponse, 2..=9, flexible from 8, listed from 2;
    OffsetFetch: OffsetFetchRequest => OffsetFetchResponse, 1..=9, flexible from 6, listed from 1;
    FindCoordinator: FindCoordinatorRequest => FindCoordinatorResponse, 0..=4, flexible from 3, listed from 0;
    JoinGroup: JoinGroupRequest => JoinGroupResponse, 0..=9, flexible from 6, listed from 0;
    Heartbeat: HeartbeatRequest => HeartbeatResponse, 0..=4, flexible from 4, listed from 0;
    LeaveGroup: LeaveGroupRequest => LeaveGroupResponse, 0..=5, flexible from 4, listed from 0;
    SyncGroup: SyncGroupRequest => SyncGroupResponse, 0..=5, flexible from 4, listed from 0;
    DescribeGroups: DescribeGroupsRequest => DescribeGroupsResponse, 0..=5, flexible from 5, listed from 0;
    ListGroups: ListGroupsRequest => ListGroupsResponse, 0..=5, flexible from 3, listed from 0;
    ApiVersions: ApiVersionsRequest => ApiVersionsResponse, 0..=4, flexible from 3, listed from 0;
    CreateTopics: CreateTopicsRequest => CreateTopicsResponse, 2..=7, flexible from 5, listed from 2;
    DeleteTopics: DeleteTopicsRequest => DeleteTopicsResponse, 1..=6, flexible from 4, listed from 1;
    DeleteRecords: DeleteRecordsRequest => DeleteRecordsResponse, 0..=2, flexible from 2, listed from 0;
    InitProducerId: InitProducerIdRequest => InitProducerIdResponse, 0..=4, flexible from 2, listed from 0;
    OffsetForLeaderEpoch: OffsetForLeaderEpochRequest => OffsetForLeaderEpochResponse, 2..=4, flexible from 4, listed from 2;
    DescribeConfigs: DescribeConfigsRequest => DescribeConfigsResponse, 1..=4, flexible from 4, listed from 1;
    AlterConfigs: AlterConfigsRequest => AlterConfigsResponse, 0..=2, flexible from 2, listed from 0;
    DescribeLogDirs: DescribeLogDirsRequest => DescribeLogDirsResponse, 1..=4, flexible from 2, listed from 1;
    CreatePartitions: CreatePartitionsRequest => CreatePartitionsResponse, 0..=3, flexible from 2, listed from 0;
    DeleteGroups: DeleteGroupsRequest => DeleteGroupsResponse, 0..=2, flexible from 2, listed from 0;
    IncrementalAlterConfigs: IncrementalAlterConfigsRequest => IncrementalAlterConfigsResponse, 0..=1, flexible from 1, listed from 0;
    OffsetDelete: OffsetDeleteRequest => OffsetDeleteResponse, 0..=0, flexible from NEVER, listed from 0;
    DescribeCluster: DescribeClusterRequest => DescribeClusterResponse, 0..=1, flexible from 0, listed from 0;
}
