//! Judging responses: was what they acknowledge synced when they left?

use std::collections::HashMap;
use std::ops::Range;

use laminarmq_testkit::strace::{Call, Step, Trace};

/// What to look at in a trace.
#[derive(Debug, Clone)]
pub struct Watch<'a> {
    /// The start of the paths of the data files: the partition's folder.
    pub folder: &'a str,
    /// The end of the paths of the data files.
    pub suffix: &'a str,
    /// The broker's listener, as `HOST:PORT`.
    pub listener: &'a str,
    /// The correlation ids of the requests to judge.
    pub correlations: Range<i32>,
}

/// One response.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Answer {
    /// The correlation id of its request.
    pub correlation: i32,
    /// The line of the trace on which it leaves.
    pub line: usize,
    /// Whether a data file was written since the response before it.
    pub wrote: bool,
    /// Whether everything written to the data files so far was covered by a sync that began after
    /// the write had ended, and had itself ended with success.
    pub synced: bool,
}

/// What the trace shows.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Answers {
    /// The responses with one of the watched correlation ids, in their order.
    pub answers: Vec<Answer>,
    /// How many syncs of data files succeeded.
    pub syncs: usize,
    /// How many writes to data files there were.
    pub writes: usize,
}

impl Answers {
    /// The first thing that breaks the promise "each request was answered once, after its data was synced".
    #[must_use]
    pub fn violation(&self, expected: Range<i32>) -> Option<String> {
        let answered: Vec<_> = self
            .answers
            .iter()
            .map(|answer| answer.correlation)
            .collect();
        if !answered.iter().copied().eq(expected.clone()) {
            return Some(format!(
                "expected answers {expected:?} in order, got {answered:?}"
            ));
        }
        let broken = |answer: &&Answer| !(answer.wrote && answer.synced);
        self.answers.iter().find(broken).map(
            |Answer {
                 correlation,
                 line,
                 wrote,
                 ..
             }| {
                let what = if *wrote {
                    "before its data was synced"
                } else {
                    "although nothing was written"
                };
                format!("response {correlation} left {what} (line {line} of the trace)")
            },
        )
    }
}

/// The writes to one data file.
#[derive(Debug, Default)]
struct DataFile {
    entered: usize,
    exited: usize,
    /// How many of the writes are known to be covered by an ended sync.
    synced: usize,
}

/// Judges every watched response in the trace.
#[must_use]
pub fn answers(trace: &Trace, watch: &Watch<'_>) -> Answers {
    let mut found = Answers::default();
    let mut files: HashMap<&str, DataFile> = HashMap::new();
    // Of each running sync: the files it covers, and how many of their writes had ended when it began.
    let mut running: HashMap<usize, Vec<(&str, usize)>> = HashMap::new();
    let mut writes_before = 0;

    for step in &trace.steps {
        let (number, enters) = match *step {
            Step::Enter(number) => (number, true),
            Step::Exit(number) => (number, false),
        };
        let call = &trace.calls[number];
        if writes(call) && is_data(call, watch) {
            let file = files.entry(call.target()).or_default();
            if enters {
                file.entered += 1;
                found.writes += 1;
            } else {
                file.exited += 1;
            }
        } else if syncs(call) && enters {
            let covers = |path: &str| path == call.target() || syncs_everything(call);
            let covered = files.iter().filter(|(path, _)| covers(path));
            running.insert(
                number,
                covered.map(|(path, file)| (*path, file.exited)).collect(),
            );
        } else if syncs(call) {
            let covered = running.remove(&number).unwrap_or_default();
            if !call.succeeded() {
                continue;
            }
            found.syncs += usize::from(!covered.is_empty());
            for (path, writes) in covered {
                let file = files.entry(path).or_default();
                file.synced = file.synced.max(writes);
            }
        } else if let Some(correlation) = response(call, watch).filter(|_| enters) {
            found.answers.push(Answer {
                correlation,
                line: call.line,
                wrote: found.writes > writes_before,
                synced: files.values().all(|file| file.synced == file.entered),
            });
            writes_before = found.writes;
        }
    }
    found
}

fn is_data(call: &Call, watch: &Watch<'_>) -> bool {
    call.target().starts_with(watch.folder) && call.target().ends_with(watch.suffix)
}

fn writes(call: &Call) -> bool {
    matches!(
        call.name.as_str(),
        "write" | "writev" | "pwrite64" | "pwritev" | "pwritev2"
    )
}

fn syncs(call: &Call) -> bool {
    matches!(call.name.as_str(), "fsync" | "fdatasync") || syncs_everything(call)
}

fn syncs_everything(call: &Call) -> bool {
    matches!(call.name.as_str(), "sync" | "syncfs")
}

/// The correlation id, when the call sends a watched response from its first byte on.
fn response(call: &Call, watch: &Watch<'_>) -> Option<i32> {
    let sends = matches!(
        call.name.as_str(),
        "write" | "writev" | "sendto" | "sendmsg" | "sendmmsg"
    );
    let local = call
        .target()
        .strip_prefix("TCP:[")?
        .strip_prefix(watch.listener)?;
    if !sends || !local.starts_with("->") {
        return None;
    }
    let correlation = call.data().get(4..8)?.try_into().ok()?;
    let correlation = i32::from_be_bytes(correlation);
    watch
        .correlations
        .contains(&correlation)
        .then_some(correlation)
}

#[cfg(test)]
#[path = "answers_tests.rs"]
mod tests;
