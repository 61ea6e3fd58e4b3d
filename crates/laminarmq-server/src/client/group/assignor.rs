//! Who reads which partitions: what the leader of a group works out for all of its members.
//!
//! Every partition of every topic that some member wants goes to exactly one member that wants its
//! topic. Members are taken by their ids, so the same members get the same partitions again.

use std::collections::BTreeMap;

use super::protocol::TopicPartitions;

/// A way to share out partitions, under the name that members of other clients know too.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Assignor {
    /// Topic by topic: a run of neighbouring partitions for each member.
    Range,
    /// All partitions of all topics, dealt out one by one.
    RoundRobin,
}

impl Assignor {
    /// The preferred one first.
    pub(super) const ALL: [Self; 2] = [Self::Range, Self::RoundRobin];

    pub(super) const fn name(self) -> &'static str {
        match self {
            Self::Range => "range",
            Self::RoundRobin => "roundrobin",
        }
    }

    pub(super) fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|known| known.name() == name)
    }

    /// `members`: the topics that each wants. `partitions`: how many each topic has; a topic that is
    /// missing has none. Every member is in the answer.
    pub(super) fn assign(
        self,
        members: &BTreeMap<String, Vec<String>>,
        partitions: &BTreeMap<String, i32>,
    ) -> BTreeMap<String, TopicPartitions> {
        let mut shares: BTreeMap<_, _> = members
            .keys()
            .map(|member| (member.clone(), TopicPartitions::new()))
            .collect();
        match self {
            Self::Range => range(members, partitions, &mut shares),
            Self::RoundRobin => round_robin(members, partitions, &mut shares),
        }
        shares
    }
}

fn range(
    members: &BTreeMap<String, Vec<String>>,
    partitions: &BTreeMap<String, i32>,
    shares: &mut BTreeMap<String, TopicPartitions>,
) {
    for (topic, &count) in partitions {
        let wanting: Vec<_> = wanting(members, topic).collect();
        let Ok(readers) = i32::try_from(wanting.len()) else {
            continue; // More members than partitions can be numbered: no frame holds them.
        };
        let mut next = 0;
        for (at, member) in (0..readers).zip(wanting) {
            // The first members take one more each where the division leaves a rest.
            let share = count / readers + i32::from(at < count % readers);
            for partition in next..next + share {
                give(shares, member, topic, partition);
            }
            next += share;
        }
    }
}

fn round_robin(
    members: &BTreeMap<String, Vec<String>>,
    partitions: &BTreeMap<String, i32>,
    shares: &mut BTreeMap<String, TopicPartitions>,
) {
    let mut turn = members.iter().cycle();
    for (topic, &count) in partitions {
        if wanting(members, topic).next().is_none() {
            continue;
        }
        for partition in 0..count {
            let member = turn.find(|(_, topics)| topics.contains(topic));
            let (member, _) = member.expect("somebody wants the topic, and all get their turn");
            give(shares, member, topic, partition);
        }
    }
}

/// The members that want a topic.
fn wanting<'a>(
    members: &'a BTreeMap<String, Vec<String>>,
    topic: &'a String,
) -> impl Iterator<Item = &'a str> {
    let wanting = members.iter().filter(|(_, topics)| topics.contains(topic));
    wanting.map(|(member, _)| member.as_str())
}

fn give(shares: &mut BTreeMap<String, TopicPartitions>, member: &str, topic: &str, partition: i32) {
    let share = shares.get_mut(member).expect("every member has a share");
    share.entry(topic.to_owned()).or_default().push(partition);
}

#[cfg(test)]
mod tests {
    use super::*;

    fn members(members: &[(&str, &[&str])]) -> BTreeMap<String, Vec<String>> {
        let owned = |(member, topics): &(&str, &[&str])| {
            let topics = topics.iter().map(|topic| (*topic).to_owned());
            ((*member).to_owned(), topics.collect())
        };
        members.iter().map(owned).collect()
    }

    fn partitions(topics: &[(&str, i32)]) -> BTreeMap<String, i32> {
        let owned = |(topic, count): &(&str, i32)| ((*topic).to_owned(), *count);
        topics.iter().map(owned).collect()
    }

    /// `member: topic/partition ...` by member.
    fn shares(
        assignor: Assignor,
        members_: &[(&str, &[&str])],
        topics: &[(&str, i32)],
    ) -> Vec<String> {
        let shares = assignor.assign(&members(members_), &partitions(topics));
        let lines = shares.into_iter().map(|(member, share)| {
            let of_topic = |(topic, partitions): (String, Vec<i32>)| {
                let names = partitions.into_iter().map(move |p| format!(" {topic}/{p}"));
                names.collect::<String>()
            };
            let share: String = share.into_iter().map(of_topic).collect();
            format!("{member}:{share}")
        });
        lines.collect()
    }

    #[test]
    fn range_gives_neighbours_topic_by_topic() {
        let both: &[&str] = &["t", "u"];
        assert_eq!(
            shares(
                Assignor::Range,
                &[("b", both), ("a", both), ("c", both)],
                &[("t", 7), ("u", 2)]
            ),
            ["a: t/0 t/1 t/2 u/0", "b: t/3 t/4 u/1", "c: t/5 t/6"]
        );
    }

    #[test]
    fn round_robin_deals_over_all_topics() {
        let both: &[&str] = &["t", "u"];
        assert_eq!(
            shares(
                Assignor::RoundRobin,
                &[("a", both), ("b", both)],
                &[("t", 3), ("u", 3)]
            ),
            ["a: t/0 t/2 u/1", "b: t/1 u/0 u/2"]
        );
    }

    #[test]
    fn only_who_wants_a_topic_gets_it() {
        for assignor in Assignor::ALL {
            assert_eq!(
                shares(
                    assignor,
                    &[
                        ("a", &["t"]),
                        ("b", &["t", "u"]),
                        ("c", &["gone"]),
                        ("d", &[])
                    ],
                    &[("t", 2), ("u", 2), ("unwanted", 5)]
                ),
                ["a: t/0", "b: t/1 u/0 u/1", "c:", "d:"],
                "{assignor:?}"
            );
        }
    }

    #[test]
    fn more_members_than_partitions_leave_some_without() {
        for assignor in Assignor::ALL {
            assert_eq!(
                shares(
                    assignor,
                    &[("a", &["t"]), ("b", &["t"]), ("c", &["t"])],
                    &[("t", 2)]
                ),
                ["a: t/0", "b: t/1", "c:"],
                "{assignor:?}"
            );
        }
    }

    #[test]
    fn every_partition_goes_to_exactly_one_member() {
        for assignor in Assignor::ALL {
            for readers in 1..6_usize {
                for count in 0..12 {
                    let names: Vec<String> = (0..readers).map(|n| format!("m{n}")).collect();
                    let wants = names
                        .iter()
                        .map(|name| (name.clone(), vec![String::from("t")]));
                    let shares = assignor.assign(&wants.collect(), &partitions(&[("t", count)]));
                    let mut given: Vec<i32> = shares
                        .values()
                        .flat_map(|s| s.values().flatten())
                        .copied()
                        .collect();
                    given.sort_unstable();
                    assert_eq!(given, (0..count).collect::<Vec<_>>());
                    let sizes = shares
                        .values()
                        .map(|s| s.values().map(Vec::len).sum::<usize>());
                    let (least, most) = (sizes.clone().min(), sizes.max());
                    assert!(most <= least.map(|least| least + 1));
                }
            }
        }
    }

    #[test]
    fn names_are_those_of_other_clients() {
        assert_eq!(Assignor::named("range"), Some(Assignor::Range));
        assert_eq!(Assignor::named("roundrobin"), Some(Assignor::RoundRobin));
        assert_eq!(Assignor::named("cooperative-sticky"), None);
    }
}
