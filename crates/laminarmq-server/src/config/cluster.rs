//! What is said of the nodes of a cluster, and what the broker is told of it.

use laminarmq_broker::{ClusterConfig, HostPort, Member, NodeId};

use super::address;

/// Replicas of a topic where nobody says how many, if there are as many nodes.
const REPLICATION: usize = 3;
/// Longest name of a cluster.
const ID_BYTES_MAX: usize = 64;

/// The settings of a cluster, each as far as it was given.
#[derive(Debug, Clone, Default)]
pub(crate) struct ClusterSettings {
    pub(crate) nodes: Option<Vec<Member>>,
    pub(crate) node: Option<u32>,
    pub(crate) listen: Option<HostPort>,
    pub(crate) id: Option<String>,
    pub(crate) replication: Option<u32>,
}

impl ClusterSettings {
    /// All together; `None` for a node that is alone.
    ///
    /// # Errors
    ///
    /// A sentence about what is missing.
    pub(crate) fn assemble(&self) -> Result<Option<ClusterConfig>, String> {
        let Some(members) = self.nodes.clone() else {
            let given = [
                ("node-id", self.node.is_some()),
                ("cluster-listen", self.listen.is_some()),
                ("cluster-id", self.id.is_some()),
                (
                    "default-replication",
                    self.replication.is_some_and(|n| n > 1),
                ),
            ];
            return match given.into_iter().find(|(_, is_given)| *is_given) {
                None => Ok(None),
                Some((name, _)) => Err(format!(
                    "`{name}` is for a node of a cluster, and `cluster` does not name any nodes"
                )),
            };
        };
        let node = self
            .node
            .and_then(|id| NodeId::new(i32::try_from(id).ok()?));
        let node = node.ok_or_else(|| {
            let ids: Vec<_> = members
                .iter()
                .map(|member| member.node.to_string())
                .collect();
            format!(
                "`node-id` must say which of the nodes this is: {}",
                ids.join(", ")
            )
        })?;
        let usual = members.len().min(REPLICATION);
        let replication = self.replication.map_or(usual, |count| count as usize);
        Ok(Some(ClusterConfig {
            node,
            members,
            listen: self.listen.clone(),
            default_replication: u16::try_from(replication).unwrap_or(u16::MAX),
            cluster_id: self.id.clone(),
        }))
    }
}

/// Parses `ID@HOST:PORT,...`.
///
/// # Errors
///
/// A sentence about what is wrong.
pub(super) fn parse_nodes(text: &str) -> Result<Vec<Member>, String> {
    let parse = |text: &str| {
        let text = text.trim();
        let (id, peer) = text
            .split_once('@')
            .ok_or_else(|| format!("`{text}` is not ID@HOST:PORT"))?;
        let node = id.parse::<NodeId>().map_err(|error| error.to_string())?;
        let peer = address::parse(peer).map_err(|error| format!("`{text}`: {error}"))?;
        Ok(Member { node, peer })
    };
    text.split(',').map(parse).collect()
}

/// The text that [`parse_nodes`] reads.
pub(super) fn write_nodes(nodes: &[Member]) -> String {
    let nodes: Vec<_> = nodes
        .iter()
        .map(|member| format!("{}@{}", member.node, member.peer))
        .collect();
    nodes.join(",")
}

/// Checks the name of a cluster.
///
/// # Errors
///
/// A sentence about what is wrong.
pub(super) fn parse_id(text: &str) -> Result<String, String> {
    let is_good = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    if (1..=ID_BYTES_MAX).contains(&text.len()) && text.chars().all(is_good) {
        Ok(text.to_owned())
    } else {
        Err(format!(
            "`{text}` is not a name of 1 to {ID_BYTES_MAX} letters, digits, `-` and `_`"
        ))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn settings(nodes: Option<&str>, node: Option<u32>) -> ClusterSettings {
        ClusterSettings {
            nodes: nodes.map(|text| parse_nodes(text).expect("nodes")),
            node,
            ..ClusterSettings::default()
        }
    }

    #[test]
    fn a_cluster_needs_its_nodes_and_which_one_this_is() {
        assert_eq!(settings(None, None).assemble(), Ok(None));
        let lonely = settings(None, Some(2)).assemble().expect_err("no nodes");
        assert!(
            lonely.starts_with("`node-id` is for a node of a cluster"),
            "{lonely}"
        );
        let nobody = settings(Some("1@a:1,2@b:1"), None).assemble();
        let nobody = nobody.expect_err("which?");
        assert!(
            nobody.ends_with("which of the nodes this is: 1, 2"),
            "{nobody}"
        );
        let two = settings(Some("1@a:1, 2@b:1"), Some(2)).assemble();
        let two = two.expect("complete").expect("a cluster");
        assert_eq!((two.node.get(), two.members.len()), (2, 2));
        assert_eq!(two.default_replication, 2);
        assert_eq!(write_nodes(&two.members), "1@a:1,2@b:1");
    }

    #[test]
    fn what_is_no_node_is_told() {
        for (text, says) in [
            ("1@a:1,b:2", "`b:2` is not ID@HOST:PORT"),
            (
                "0@a:1",
                "\"0\" is not a node id, which is a number from 1 to 2147483647",
            ),
            ("1@a", "`1@a`: the port is missing (want HOST:PORT)"),
        ] {
            assert_eq!(parse_nodes(text).expect_err(text), says);
        }
        assert!(parse_id("good-name_2").is_ok());
        assert!(parse_id("").is_err() && parse_id("bad name").is_err());
    }
}
