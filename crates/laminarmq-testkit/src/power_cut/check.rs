//! Starting the real broker on what a power cut left, and asking it for everything.

use std::collections::BTreeMap;
use std::io;
use std::path::Path;

use bytes::Bytes;
use laminarmq_kafka::ErrorCode;
use laminarmq_kafka::batch::{Batch, BatchBuilder, Compression, NewRecord, batches};

use super::content;
use super::judge::{Broken, Compared, Found, Kind, Sent, judge};
use super::promises::{Moment, Promises};
use crate::{BrokerBuilder, BrokerProcess, Client, Deadline};

/// How long partitions may take to have leaders.
const LEADER_SECONDS: u64 = 60;

/// Checks the broker's data directory, which is changed by it.
///
/// # Errors
/// The first promise that is found to be broken.
pub(crate) fn check(
    data_dir: &Path,
    promises: &Promises,
    sent: &Sent,
    moment: Moment,
    restarts: bool,
) -> Result<Compared, Broken> {
    let started = BrokerBuilder::new(data_dir).try_start();
    let mut broker = started.map_err(|why| Broken::new(Kind::Unusable, why))?;
    let done = || -> Result<Compared, Broken> {
        let mut found = read_all(&broker)?;
        let compared = judge(promises, sent, moment, &found)?;
        let more = append_everywhere(&broker, &found)?;
        if restarts {
            broker.kill9();
            let again = BrokerBuilder::new(data_dir).try_start();
            broker = again.map_err(|why| Broken::new(Kind::Unusable, why))?;
            for ((topic, partition), batch) in more {
                let partitions = found.get_mut(&topic).expect("it was read");
                let batches = partitions.get_mut(&partition).expect("it was read");
                batches.push(batch);
            }
            compare(&found, &read_all(&broker)?)?;
        }
        Ok(compared)
    };
    let mut done = done;
    let result = done();
    result.map_err(|broken| {
        let output = broker.output();
        Broken::new(
            broken.kind,
            format!("{}\nthe broker's output:\n{output}", broken.what),
        )
    })
}

fn unusable(what: &str) -> impl Fn(io::Error) -> Broken {
    move |error| Broken::new(Kind::Unusable, format!("{what}: {error}"))
}

/// Everything in all topics.
fn read_all(broker: &BrokerProcess) -> Result<Found, Broken> {
    let mut client = Client::connect(broker.addr()).map_err(unusable("it takes no connection"))?;
    let described = client
        .describe_all()
        .map_err(unusable("Metadata is not answered"))?;
    let mut found = Found::new();
    for topic in described.topics {
        let name = topic.name.unwrap_or_default();
        let count = i32::try_from(topic.partitions.len()).expect("a few partitions");
        let led = Deadline::seconds(LEADER_SECONDS).wait_for("leaders", || {
            match client.is_led(&name, count) {
                Ok(false) => None,
                Ok(true) => Some(Ok(())),
                Err(error) => Some(Err(error)),
            }
        });
        match led {
            Ok(led) => led.map_err(unusable("Metadata is not answered"))?,
            Err(timed_out) => {
                let what = format!("{name} has partitions without a leader: {timed_out}");
                return Err(Broken::new(Kind::Unusable, what));
            }
        }
        let mut partitions = BTreeMap::new();
        for partition in topic.partitions {
            let number = partition.partition_index;
            partitions.insert(number, read(&mut client, &name, number)?);
        }
        found.insert(name, partitions);
    }
    Ok(found)
}

/// One partition, from offset 0 up to the high watermark.
fn read(client: &mut Client, topic: &str, partition: i32) -> Result<Vec<Batch>, Broken> {
    let wrong =
        |what: String| Broken::new(Kind::WrongRecords, format!("{topic}/{partition}: {what}"));
    let mut found = Vec::new();
    let mut next = 0;
    loop {
        let fetched = client
            .fetch(topic, partition, next)
            .map_err(unusable("Fetch is not answered"))?;
        if fetched.error_code != ErrorCode::NONE {
            return Err(wrong(format!(
                "reading from {next}: {}",
                fetched.error_code
            )));
        }
        let before = next;
        for batch in batches(fetched.records.into_bytes()) {
            let batch = batch.map_err(|error| wrong(format!("at {next}: {error}")))?;
            let verified = batch.verify();
            verified.map_err(|error| wrong(format!("at {next}: {error}")))?;
            next = batch.header().next_offset();
            found.push(batch);
        }
        if next >= fetched.high_watermark {
            return Ok(found);
        }
        if next <= before {
            let high_watermark = fetched.high_watermark;
            return Err(wrong(format!(
                "nothing at {next}, below the high watermark {high_watermark}"
            )));
        }
    }
}

/// A partition that got a batch more, and that batch as it is stored.
type Appended = ((String, i32), Batch);

/// Adds a record to each partition; it must get the next offset.
fn append_everywhere(broker: &BrokerProcess, found: &Found) -> Result<Vec<Appended>, Broken> {
    let mut client = Client::connect(broker.addr()).map_err(unusable("it takes no connection"))?;
    let mut appended = Vec::new();
    for (topic, partitions) in found {
        for (&partition, batches) in partitions {
            let end = batches
                .last()
                .map_or(0, |batch| batch.header().next_offset());
            let batch = one_record();
            client
                .send_batch(topic, partition, -1, batch.clone())
                .map_err(unusable("it takes no batch"))?;
            let answer = client
                .receive_ack()
                .map_err(unusable("Produce is not answered"))?;
            let Some((_, ack)) = answer else {
                return Err(Broken::new(Kind::Unusable, "it closes the connection"));
            };
            if ack.error_code != ErrorCode::NONE || ack.base_offset != end {
                let what = format!(
                    "{topic}/{partition} ends at {end}; a new record got offset {}, error {} {:?}",
                    ack.base_offset, ack.error_code, ack.error_message
                );
                return Err(Broken::new(Kind::Unusable, what));
            }
            let mut stored = batch.to_vec();
            stored[..8].copy_from_slice(&end.to_be_bytes());
            let stored = laminarmq_kafka::batch::batches(Bytes::from(stored)).next();
            let stored = stored.expect("one batch").expect("a batch");
            appended.push(((topic.clone(), partition), stored));
        }
    }
    Ok(appended)
}

fn one_record() -> Bytes {
    let mut builder = BatchBuilder::new(Compression::None);
    let record = NewRecord {
        timestamp: 0,
        key: None,
        value: Some(b"after the power cut"),
        ..NewRecord::default()
    };
    builder.push(&record).expect("a record fits into a batch");
    builder.build()
}

/// What was read before a restart, and acknowledged then, is there after it.
fn compare(before: &Found, after: &Found) -> Result<(), Broken> {
    let lost = |what: String| Err(Broken::new(Kind::LostRecords, what));
    if !before.keys().eq(after.keys()) {
        return lost(format!(
            "the topics {:?} became {:?} by a restart",
            before.keys(),
            after.keys()
        ));
    }
    for (topic, partitions) in before {
        for (partition, batches) in partitions {
            let again = after[topic].get(partition);
            let again = again.map_or(&[][..], Vec::as_slice);
            let same = |(a, b): (&Batch, &Batch)| {
                a.header().base_offset == b.header().base_offset
                    && content::is_same(a.bytes(), b.bytes())
            };
            if batches.len() != again.len() || !batches.iter().zip(again).all(same) {
                return lost(format!(
                    "{topic}/{partition} had {} batches, and has {} others after a restart",
                    batches.len(),
                    again.len()
                ));
            }
        }
    }
    Ok(())
}
