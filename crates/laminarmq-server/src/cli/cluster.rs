//! `laminarmq cluster info|health|demo`.

use clap::{Args, Subcommand};
use serde_json::{Value, json};

use super::demo::{self, DemoArgs};
use super::{BrokerArgs, JsonArgs};
use crate::client::{Client, ClientOptions, Cluster, Node, Topic};
use crate::failure::Failure;
use crate::output::table::{Align, Table};
use crate::output::{Out, human};

const INFO_EXAMPLES: &str = "\
Examples:
  laminarmq cluster info
  laminarmq cluster info -b 10.0.0.5:9092 --json";

const HEALTH_EXAMPLES: &str = "\
Examples:
  laminarmq cluster health
  laminarmq cluster health --json && echo all is well

Exit code 0 when all is well, 1 when something is missing.";

#[derive(Debug, Subcommand)]
pub(super) enum ClusterCommand {
    /// Show the cluster: its nodes, where they listen, and how much they hold
    #[command(after_help = INFO_EXAMPLES)]
    Info(ClusterArgs),
    /// Tell whether all nodes answer and all partitions have a leader and their replicas
    #[command(after_help = HEALTH_EXAMPLES)]
    Health(ClusterArgs),
    /// Start three nodes on this machine, to try what a cluster does
    #[command(after_help = demo::EXAMPLES)]
    Demo(DemoArgs),
}

#[derive(Debug, Args)]
pub(super) struct ClusterArgs {
    #[command(flatten)]
    brokers: BrokerArgs,
    #[command(flatten)]
    json: JsonArgs,
}

impl ClusterCommand {
    pub(super) fn json(&self) -> bool {
        match self {
            Self::Info(args) | Self::Health(args) => args.json.json,
            Self::Demo(_) => false,
        }
    }
}

pub(super) async fn run(command: ClusterCommand) -> Result<(), Failure> {
    match command {
        ClusterCommand::Info(args) => info(&args).await,
        ClusterCommand::Health(args) => health(&args).await,
        ClusterCommand::Demo(args) => demo::run(&args).await,
    }
}

async fn info(args: &ClusterArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let cluster = client.cluster().await?;
    let topics = client.topics().await?;
    let mut out = Out::stdout();
    if args.json.json {
        out.json(&info_json(&cluster, &topics))?;
    } else {
        info_text(&cluster, &topics, &mut out)?;
    }
    out.flush()
}

/// How many partitions a node leads, and of how many it has a replica.
fn load(node: &Node, topics: &[Topic]) -> (usize, usize) {
    let partitions = topics.iter().flat_map(|topic| &topic.partitions);
    let leads = partitions.clone().filter(|p| p.leader == Some(node.id));
    let holds = partitions.filter(|p| p.replicas.contains(&node.id));
    (leads.count(), holds.count())
}

fn info_text(cluster: &Cluster, topics: &[Topic], out: &mut Out) -> Result<(), Failure> {
    let dash = || String::from("-");
    let internal = topics.iter().filter(|topic| topic.internal).count();
    let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
    let controller = cluster.controller.map_or_else(dash, |id| id.to_string());
    let note = match internal {
        0 => String::new(),
        count => format!(" ({count} of them internal)"),
    };
    let id = cluster.id.clone().unwrap_or_else(dash);
    out.line(format_args!("cluster     {id}"))?;
    out.line(format_args!("controller  {controller}"))?;
    out.line(format_args!("nodes       {}", cluster.nodes.len()))?;
    out.line(format_args!("topics      {}{note}", topics.len()))?;
    out.line(format_args!("partitions  {partitions}"))?;
    out.line("")?;
    let mut table = Table::new(&[
        ("NODE", Align::Right),
        ("ADDRESS", Align::Left),
        ("RACK", Align::Left),
        ("LEADS", Align::Right),
        ("REPLICAS", Align::Right),
    ]);
    for node in &cluster.nodes {
        let (leads, holds) = load(node, topics);
        table.row([
            node.id.to_string(),
            node.address.to_string(),
            node.rack.clone().unwrap_or_else(dash),
            leads.to_string(),
            holds.to_string(),
        ]);
    }
    out.table(&table)
}

fn info_json(cluster: &Cluster, topics: &[Topic]) -> Value {
    let nodes = cluster.nodes.iter().map(|node| {
        let (leads, holds) = load(node, topics);
        json!({
            "node": node.id,
            "host": node.address.host,
            "port": node.address.port,
            "rack": node.rack,
            "leads": leads,
            "replicas": holds,
        })
    });
    let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
    json!({
        "cluster": cluster.id,
        "controller": cluster.controller,
        "nodes": nodes.collect::<Vec<_>>(),
        "topics": topics.len(),
        "internal_topics": topics.iter().filter(|topic| topic.internal).count(),
        "partitions": partitions,
    })
}

/// What is missing for all to be well.
#[derive(Debug, Default)]
struct Missing {
    /// Nobody takes administrative requests.
    controller: bool,
    /// Nodes that do not answer, and why.
    nodes: Vec<(i32, String)>,
    /// Partitions (`topic/partition`) that nobody leads.
    leaders: Vec<String>,
    /// Partitions with a replica that is behind or gone.
    replicas: Vec<String>,
}

impl Missing {
    fn nothing(&self) -> bool {
        let Self {
            controller,
            nodes,
            leaders,
            replicas,
        } = self;
        !controller && nodes.is_empty() && leaders.is_empty() && replicas.is_empty()
    }

    async fn find(cluster: &Cluster, topics: &[Topic]) -> Self {
        let mut missing = Self {
            controller: cluster.controller.is_none(),
            ..Self::default()
        };
        for node in &cluster.nodes {
            // A client of its own: it asks this node and no other.
            let address = std::slice::from_ref(&node.address);
            if let Err(error) = Client::connect(address, ClientOptions::default()).await {
                missing.nodes.push((node.id, error.to_string()));
            }
        }
        for topic in topics {
            for partition in &topic.partitions {
                let place = format!("{}/{}", topic.name, partition.index);
                if partition.leader.is_none() {
                    missing.leaders.push(place.clone());
                }
                if partition.in_sync.len() < partition.replicas.len() {
                    missing.replicas.push(place);
                }
            }
        }
        missing
    }
}

async fn health(args: &ClusterArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let cluster = client.cluster().await?;
    let topics = client.topics().await?;
    let missing = Missing::find(&cluster, &topics).await;
    let mut out = Out::stdout();
    if args.json.json {
        let nodes = missing
            .nodes
            .iter()
            .map(|(node, reason)| json!({ "node": node, "reason": reason }));
        out.json(&json!({
            "healthy": missing.nothing(),
            "controller": cluster.controller,
            "nodes": cluster.nodes.len(),
            "nodes_down": nodes.collect::<Vec<_>>(),
            "leaderless_partitions": missing.leaders,
            "under_replicated_partitions": missing.replicas,
        }))?;
    } else {
        health_text(&cluster, &topics, &missing, &mut out)?;
    }
    out.flush()?;
    if missing.nothing() {
        return Ok(());
    }
    let hint = "start the nodes that are down, and look at their logs";
    Err(Failure::failed("the cluster is not healthy").hint(hint))
}

fn health_text(
    cluster: &Cluster,
    topics: &[Topic],
    missing: &Missing,
    out: &mut Out,
) -> Result<(), Failure> {
    let partitions: usize = topics.iter().map(|topic| topic.partitions.len()).sum();
    if missing.nothing() {
        let nodes = human::plural(cluster.nodes.len() as u64, "node");
        let partitions = human::plural(partitions as u64, "partition");
        return out.line(format_args!(
            "healthy: {nodes} answering, {partitions} with a leader and all replicas in sync"
        ));
    }
    out.line("not healthy")?;
    if missing.controller {
        out.line("  no controller")?;
    }
    for (node, reason) in &missing.nodes {
        out.line(format_args!("  node {node} is down: {reason}"))?;
    }
    for (what, places) in [
        ("without a leader", &missing.leaders),
        ("with replicas missing", &missing.replicas),
    ] {
        if !places.is_empty() {
            let count = human::plural(places.len() as u64, "partition");
            out.line(format_args!("  {count} {what}: {}", places.join(" ")))?;
        }
    }
    Ok(())
}
