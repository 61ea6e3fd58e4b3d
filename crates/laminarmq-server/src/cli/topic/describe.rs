//! `laminarmq topic describe`.

use serde_json::{Value, json};

use super::NamesArgs;
use super::list::replicas;
use crate::client::{Client, Missing, Setting, Topic};
use crate::failure::Failure;
use crate::output::Out;
use crate::output::table::{Align, Table};

pub(super) const EXAMPLES: &str = "\
Examples:
  laminarmq topic describe orders
  laminarmq topic describe orders --json";

pub(super) async fn run(args: &NamesArgs) -> Result<(), Failure> {
    let client = args.brokers.connect().await?;
    let mut out = Out::stdout();
    for (at, name) in args.names.iter().enumerate() {
        let topic = client.topic(name, Missing::Refuse).await?;
        if args.json.json {
            out.json(&in_json(&client, &topic).await?)?;
        } else {
            if at > 0 {
                out.line("")?;
            }
            in_text(&client, &topic, &mut out).await?;
        }
    }
    out.flush()
}

async fn in_text(client: &Client, topic: &Topic, out: &mut Out) -> Result<(), Failure> {
    let bounds = client.bounds(&topic.name, &topic.led()).await?;
    let settings = client.topic_settings(&topic.name).await?;
    out.line(format_args!("topic       {}", topic.name))?;
    out.line(format_args!("id          {}", topic.id))?;
    out.line(format_args!("partitions  {}", topic.partitions.len()))?;
    out.line(format_args!("replicas    {}", replicas(topic)))?;
    out.line("")?;
    let mut table = Table::new(&[
        ("PARTITION", Align::Right),
        ("LEADER", Align::Right),
        ("EPOCH", Align::Right),
        ("REPLICAS", Align::Left),
        ("IN-SYNC", Align::Left),
        ("START", Align::Right),
        ("END", Align::Right),
        ("RECORDS", Align::Right),
    ]);
    let or_dash = |number: Option<i64>| number.map_or(String::from("-"), |n| n.to_string());
    for partition in &topic.partitions {
        let bounds = bounds.get(&partition.index);
        table.row([
            partition.index.to_string(),
            or_dash(partition.leader.map(i64::from)),
            partition.leader_epoch.to_string(),
            nodes(&partition.replicas),
            nodes(&partition.in_sync),
            or_dash(bounds.map(|(start, _)| *start)),
            or_dash(bounds.map(|(_, end)| *end)),
            or_dash(bounds.map(|(start, end)| end - start)),
        ]);
    }
    out.table(&table)?;
    if let Some(settings) = settings {
        out.line("")?;
        out.table(&settings_table(&settings))?;
    }
    Ok(())
}

fn settings_table(settings: &[Setting]) -> Table {
    let mut table = Table::new(&[
        ("SETTING", Align::Left),
        ("VALUE", Align::Left),
        ("SOURCE", Align::Left),
    ]);
    for setting in settings {
        table.row([
            setting.name.clone(),
            value_text(setting),
            String::from(setting.source.name()),
        ]);
    }
    table
}

/// A value as people see it.
pub(super) fn value_text(setting: &Setting) -> String {
    match &setting.value {
        _ if setting.secret => String::from("(secret)"),
        None => String::from("-"),
        Some(value) if value.is_empty() => String::from("\"\""),
        Some(value) => value.clone(),
    }
}

async fn in_json(client: &Client, topic: &Topic) -> Result<Value, Failure> {
    let bounds = client.bounds(&topic.name, &topic.led()).await?;
    let settings = client.topic_settings(&topic.name).await?;
    let partitions = topic.partitions.iter().map(|partition| {
        let bounds = bounds.get(&partition.index);
        json!({
            "partition": partition.index,
            "leader": partition.leader,
            "leader_epoch": partition.leader_epoch,
            "replicas": partition.replicas,
            "in_sync": partition.in_sync,
            "start_offset": bounds.map(|(start, _)| start),
            "end_offset": bounds.map(|(_, end)| end),
        })
    });
    Ok(json!({
        "topic": topic.name,
        "id": topic.id.to_string(),
        "internal": topic.internal,
        "partitions": partitions.collect::<Vec<_>>(),
        "settings": settings.map(|settings| settings.iter().map(setting_json).collect::<Vec<_>>()),
    }))
}

fn setting_json(setting: &Setting) -> Value {
    json!({
        "name": setting.name,
        "value": setting.value,
        "source": setting.source.name(),
        "read_only": setting.read_only,
        "secret": setting.secret,
    })
}

fn nodes(nodes: &[i32]) -> String {
    let nodes: Vec<String> = nodes.iter().map(i32::to_string).collect();
    nodes.join(",")
}
