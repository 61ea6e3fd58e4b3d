//! `laminarmq group describe`.

use std::collections::{BTreeMap, BTreeSet};

use clap::Args;
use serde_json::{Value, json};

use crate::cli::{BrokerArgs, JsonArgs};
use crate::client::{
    Client, ClientError, Coordinator, DescribedGroup, DescribedMember, Missing, Node, TopicOffsets,
};
use crate::failure::Failure;
use crate::output::table::{Align, Table};
use crate::output::{Out, human};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq group describe billing
  laminarmq group describe billing shipping --json

LAG is how many records are there beyond the committed offset.";

#[derive(Debug, Args)]
pub(in crate::cli) struct DescribeArgs {
    /// Names of the groups
    #[arg(required = true, value_name = "NAME")]
    names: Vec<String>,
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    pub(in crate::cli) json: JsonArgs,
}

pub(super) async fn run(args: &DescribeArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut out = Out::stdout();
    for (at, name) in args.names.iter().enumerate() {
        let view = match View::of(&client, name).await {
            Ok(view) => view,
            Err(error) => {
                out.flush()?;
                return Err(error.into());
            }
        };
        if args.json.json {
            out.json(&view.json())?;
        } else {
            if at > 0 {
                out.line("")?;
            }
            view.print(&mut out)?;
        }
    }
    out.flush()
}

/// A group as it is shown.
struct View {
    group: DescribedGroup,
    coordinator: Node,
    partitions: Vec<Row>,
}

/// A partition that the group reads or has read.
struct Row {
    topic: String,
    partition: i32,
    committed: Option<i64>,
    /// `None`: the topic or its leader is not there.
    end: Option<i64>,
    /// Id of the member that reads it.
    member: Option<String>,
}

impl Row {
    fn lag(&self) -> Option<i64> {
        let (committed, end) = (self.committed?, self.end?);
        Some((end - committed).max(0))
    }
}

impl View {
    async fn of(client: &Client, name: &str) -> Result<Self, ClientError> {
        let coordinator = Coordinator::of(client, name);
        let node = coordinator.node().await?;
        let group = coordinator.describe().await?;
        let committed = coordinator.committed(None).await?;
        let readers = readers(&group.members);
        let mut places: BTreeSet<(String, i32)> = readers.keys().cloned().collect();
        for (topic, partitions) in &committed {
            places.extend(partitions.keys().map(|p| (topic.clone(), *p)));
        }
        let ends = ends(client, &places).await?;
        let offset = |offsets: &TopicOffsets, (topic, partition): &(String, i32)| {
            offsets.get(topic)?.get(partition).copied()
        };
        let partitions = places.into_iter().map(|place| Row {
            committed: offset(&committed, &place),
            end: offset(&ends, &place),
            member: readers.get(&place).cloned(),
            topic: place.0,
            partition: place.1,
        });
        Ok(Self {
            partitions: partitions.collect(),
            coordinator: node,
            group,
        })
    }

    /// Over all partitions where it is known.
    fn lag(&self) -> i64 {
        self.partitions.iter().filter_map(Row::lag).sum()
    }

    fn print(&self, out: &mut Out) -> Result<(), Failure> {
        let group = &self.group;
        let dash = || String::from("-");
        let lag = human::count(self.lag().unsigned_abs());
        out.line(format_args!("group        {}", group.name))?;
        out.line(format_args!("state        {}", group.state))?;
        let assignor = group.assignor.clone().unwrap_or_else(dash);
        out.line(format_args!("assignor     {assignor}"))?;
        let Node { id, address, .. } = &self.coordinator;
        out.line(format_args!("coordinator  {id} ({address})"))?;
        out.line(format_args!("members      {}", group.members.len()))?;
        out.line(format_args!("lag          {lag}"))?;
        if !group.members.is_empty() {
            out.line("")?;
            out.table(&members_table(&group.members))?;
        }
        if self.partitions.is_empty() {
            return Ok(());
        }
        out.line("")?;
        let mut table = Table::new(&[
            ("TOPIC", Align::Left),
            ("PARTITION", Align::Right),
            ("COMMITTED", Align::Right),
            ("END", Align::Right),
            ("LAG", Align::Right),
            ("MEMBER", Align::Left),
        ]);
        let or_dash = |number: Option<i64>| number.map_or_else(dash, |n| n.to_string());
        for row in &self.partitions {
            table.row([
                row.topic.clone(),
                row.partition.to_string(),
                or_dash(row.committed),
                or_dash(row.end),
                or_dash(row.lag()),
                row.member.clone().unwrap_or_else(dash),
            ]);
        }
        out.table(&table)
    }

    fn json(&self) -> Value {
        let partitions = self.partitions.iter().map(|row| {
            json!({
                "topic": row.topic,
                "partition": row.partition,
                "committed_offset": row.committed,
                "end_offset": row.end,
                "lag": row.lag(),
                "member": row.member,
            })
        });
        let members = self.group.members.iter().map(|member| {
            json!({
                "member": member.id,
                "instance": member.instance,
                "client": member.client,
                "host": member.host,
                "partitions": member.assignment,
            })
        });
        json!({
            "group": self.group.name,
            "state": self.group.state.to_string(),
            "type": self.group.protocol_type,
            "assignor": self.group.assignor,
            "coordinator": {
                "node": self.coordinator.id,
                "host": self.coordinator.address.host,
                "port": self.coordinator.address.port,
            },
            "lag": self.lag(),
            "members": members.collect::<Vec<_>>(),
            "partitions": partitions.collect::<Vec<_>>(),
        })
    }
}

fn members_table(members: &[DescribedMember]) -> Table {
    let mut table = Table::new(&[
        ("MEMBER", Align::Left),
        ("CLIENT", Align::Left),
        ("HOST", Align::Left),
        ("PARTITIONS", Align::Right),
    ]);
    for member in members {
        let partitions: usize = member.assignment.values().map(Vec::len).sum();
        table.row([
            member.id.clone(),
            member.client.clone(),
            member.host.clone(),
            partitions.to_string(),
        ]);
    }
    table
}

/// The member that reads each partition.
fn readers(members: &[DescribedMember]) -> BTreeMap<(String, i32), String> {
    let mut readers = BTreeMap::new();
    for member in members {
        for (topic, partitions) in &member.assignment {
            for partition in partitions {
                readers.insert((topic.clone(), *partition), member.id.clone());
            }
        }
    }
    readers
}

/// The ends of partitions that have a leader and are there (still).
async fn ends(
    client: &Client,
    places: &BTreeSet<(String, i32)>,
) -> Result<TopicOffsets, ClientError> {
    let topics: BTreeSet<&String> = places.iter().map(|(topic, _)| topic).collect();
    let mut ends = TopicOffsets::new();
    for name in topics {
        let topic = match client.topic(name, Missing::Refuse).await {
            Err(ClientError::NoSuchTopic(_)) => continue,
            told => told?,
        };
        let mut led = topic.led();
        led.retain(|partition| places.contains(&(name.clone(), *partition)));
        let bounds = client.bounds(name, &led).await?;
        let of_topic = bounds
            .into_iter()
            .map(|(partition, (_, end))| (partition, end));
        ends.insert(name.clone(), of_topic.collect());
    }
    Ok(ends)
}
