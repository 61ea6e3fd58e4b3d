//! Records become bytes, a piece of output at a time, until there were enough.

use laminarmq_kafka::batch::Record;

use super::ConsumeArgs;
use super::format::{Format, Printable};
use super::json;
use crate::client::ClientError;

/// Bytes of output that collect before they are written.
const OUTPUT_BYTES: usize = 64 * 1024;

/// How [`Renderer::fill`] ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Filled {
    /// The piece is full and there are more records.
    Full,
    /// There are no more records.
    Done,
    /// As many records were rendered as were asked for.
    Enough,
}

/// Renders records in the format that was asked for.
#[derive(Debug)]
pub(super) struct Renderer<'a> {
    topic: &'a str,
    /// `None`: JSON.
    format: Option<Format>,
    left: Option<u64>,
    /// What was rendered and not taken yet.
    pub(super) buffer: Vec<u8>,
    /// The offset behind the last record that was rendered.
    pub(super) next: i64,
}

impl<'a> Renderer<'a> {
    pub(super) fn new(args: &'a ConsumeArgs) -> Self {
        let format = match (&args.format, args.json.json) {
            (Some(format), _) => Some(format.clone()),
            (None, false) => Some(Format::default()),
            (None, true) => None,
        };
        Self {
            topic: &args.topic,
            format,
            left: args.num,
            buffer: Vec::with_capacity(2 * OUTPUT_BYTES),
            next: 0,
        }
    }

    /// Renders `records` of a partition until a piece of output is full. What was rendered before an
    /// error stays in the buffer.
    pub(super) fn fill(
        &mut self,
        partition: i32,
        records: &mut impl Iterator<Item = Result<Record, ClientError>>,
    ) -> Result<Filled, ClientError> {
        while self.left != Some(0) {
            if self.buffer.len() >= OUTPUT_BYTES {
                return Ok(Filled::Full);
            }
            let Some(record) = records.next().transpose()? else {
                return Ok(Filled::Done);
            };
            self.record(partition, &record);
            self.next = record.offset + 1;
            self.left = self.left.map(|left| left - 1);
        }
        Ok(Filled::Enough)
    }

    fn record(&mut self, partition: i32, record: &Record) {
        let headers: Vec<_> = record
            .headers
            .iter()
            .map(|header| (header.key_text().into_owned(), header.value.clone()))
            .collect();
        let printable = Printable {
            topic: self.topic,
            partition,
            offset: record.offset,
            timestamp: record.timestamp,
            key: record.key.as_deref(),
            value: record.value.as_deref(),
            headers: &headers,
        };
        match &self.format {
            Some(format) => format.render(&printable, &mut self.buffer),
            None => json::render(&printable, &mut self.buffer),
        }
    }
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;

    use super::*;

    fn args(num: Option<u64>) -> ConsumeArgs {
        use clap::{Args as _, FromArgMatches as _};
        let command = ConsumeArgs::augment_args(clap::Command::new("consume"));
        let mut typed = vec![String::from("consume"), String::from("t")];
        typed.extend(num.map(|num| format!("-n{num}")));
        let matches = command.try_get_matches_from(typed).expect("good flags");
        ConsumeArgs::from_arg_matches(&matches).expect("good flags")
    }

    fn records(count: i64) -> impl Iterator<Item = Result<Record, ClientError>> {
        let kib = Bytes::from(vec![b'x'; 1023]);
        (0..count).map(move |offset| {
            Ok(Record {
                offset,
                timestamp: 0,
                key: None,
                value: Some(kib.clone()),
                headers: Vec::new(),
            })
        })
    }

    #[test]
    fn output_comes_in_pieces() {
        let args = args(None);
        let mut renderer = Renderer::new(&args);
        let records = &mut records(100);
        assert_eq!(renderer.fill(0, records).ok(), Some(Filled::Full));
        assert_eq!((renderer.buffer.len(), renderer.next), (OUTPUT_BYTES, 64));
        renderer.buffer.clear();
        assert_eq!(renderer.fill(0, records).ok(), Some(Filled::Done));
        assert_eq!((renderer.buffer.len(), renderer.next), (36 * 1024, 100));
    }

    #[test]
    fn enough_is_enough_over_several_deliveries() {
        let args = args(Some(5));
        let mut renderer = Renderer::new(&args);
        assert_eq!(renderer.fill(0, &mut records(3)).ok(), Some(Filled::Done));
        assert_eq!(renderer.fill(1, &mut records(3)).ok(), Some(Filled::Enough));
        assert_eq!((renderer.buffer.len(), renderer.next), (5 * 1024, 2));
        assert_eq!(renderer.fill(1, &mut records(3)).ok(), Some(Filled::Enough));
        assert_eq!(renderer.buffer.len(), 5 * 1024);
    }

    #[test]
    fn what_came_before_an_error_is_kept() {
        let args = args(None);
        let mut renderer = Renderer::new(&args);
        let error = ClientError::NoSuchGroup(String::new());
        let mut records = records(2).chain([Err(error)]);
        renderer.fill(0, &mut records).expect_err("the third");
        assert_eq!((renderer.buffer.len(), renderer.next), (2 * 1024, 2));
    }
}
