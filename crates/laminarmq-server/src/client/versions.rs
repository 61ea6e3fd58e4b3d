//! Which version of each API both sides speak.

use std::collections::BTreeMap;

use laminarmq_broker::HostPort;
use laminarmq_kafka::messages::ApiVersionsResponse;
use laminarmq_kafka::{Request, Versions as Range};

use super::ClientError;

/// What a broker said it speaks.
#[derive(Debug, Clone, Default)]
pub(crate) struct Versions {
    ranges: BTreeMap<i16, Range>,
}

impl Versions {
    pub(crate) fn of(response: &ApiVersionsResponse) -> Self {
        let ranges = response.api_keys.iter().map(|api| {
            let range = Range {
                min: api.min_version,
                max: api.max_version,
            };
            (api.api_key, range)
        });
        Self {
            ranges: ranges.collect(),
        }
    }

    /// The highest version of `R` that both sides speak.
    pub(crate) fn pick<R: Request>(&self, broker: &HostPort) -> Result<i16, ClientError> {
        let theirs = self.ranges.get(&R::KEY.number());
        theirs
            .and_then(|theirs| R::VERSIONS.highest_common(*theirs))
            .ok_or_else(|| ClientError::Unsupported {
                broker: broker.clone(),
                api: R::KEY,
            })
    }
}

#[cfg(test)]
mod tests {
    use laminarmq_kafka::ApiKey;
    use laminarmq_kafka::messages::api_versions::ApiVersion;
    use laminarmq_kafka::messages::{FetchRequest, ProduceRequest};

    use super::*;

    #[test]
    fn the_highest_version_of_both() {
        let offered = |min_version, max_version| ApiVersionsResponse {
            api_keys: vec![ApiVersion {
                api_key: ApiKey::Produce.number(),
                min_version,
                max_version,
            }],
            ..ApiVersionsResponse::default()
        };
        let broker = HostPort {
            host: String::from("b"),
            port: 1,
        };
        let pick = |min, max| Versions::of(&offered(min, max)).pick::<ProduceRequest>(&broker);
        assert_eq!(pick(0, 7).ok(), Some(7));
        let ours = laminarmq_kafka::api::codec_versions(ApiKey::Produce).expect("an API of ours");
        assert_eq!(pick(0, i16::MAX).ok(), Some(ours.max));
        assert!(pick(ours.max + 1, i16::MAX).is_err());
        // Not offered at all.
        let versions = Versions::of(&offered(0, 7));
        assert!(versions.pick::<FetchRequest>(&broker).is_err());
    }
}
