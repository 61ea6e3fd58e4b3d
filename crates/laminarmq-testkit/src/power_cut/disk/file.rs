//! One file: what the media hold of it, and what was done to it since.
//!
//! `cached == media + pending`. What a power cut leaves of the pending changes:
//! - data goes to the media in sectors. A sector holds what it held after one of the changes, or before
//!   all of them, whatever became of the other sectors;
//! - lengths go to the media in their order. The file has the length that it had after one of the changes,
//!   or before all of them. Where its data is missing below that length it reads as zeros;
//! - a cut (a length below the one before) is a barrier: nothing written after it is there without it.

use std::collections::HashMap;
use std::ops::Range;

use super::super::fate::{Faults, FileFate, Kept};

/// What a device writes whole or not at all.
pub(crate) const SECTOR_BYTES: usize = 512;

/// What one call does to a file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum Change {
    Write { at: usize, data: Vec<u8> },
    SetLength(usize),
}

impl Change {
    /// The file's length after the change.
    fn length_after(&self, before: usize) -> usize {
        match self {
            Self::Write { data, .. } if data.is_empty() => before,
            Self::Write { at, data } => before.max(at + data.len()),
            Self::SetLength(length) => *length,
        }
    }

    fn apply(&self, content: &mut Vec<u8>) {
        match self {
            Self::Write { at, data } => write(content, *at, data),
            Self::SetLength(length) => content.resize(*length, 0),
        }
    }

    /// The sectors that a write touches.
    fn sectors(&self) -> Range<usize> {
        match self {
            Self::Write { at, data } if !data.is_empty() => {
                at / SECTOR_BYTES..(at + data.len()).div_ceil(SECTOR_BYTES)
            }
            _ => 0..0,
        }
    }
}

fn write(content: &mut Vec<u8>, at: usize, data: &[u8]) {
    if data.is_empty() {
        return;
    }
    let end = at + data.len();
    if content.len() < end {
        content.resize(end, 0);
    }
    content[at..end].copy_from_slice(data);
}

/// A change that is not known to be on the media.
#[derive(Debug, Clone)]
pub(crate) struct Pending<T> {
    /// Who made it; see [`super::Disk`].
    pub(crate) ticket: u64,
    /// When its call ended, counted in ended calls; `None` while it runs.
    pub(crate) exited: Option<u64>,
    pub(crate) what: T,
}

/// A file's content.
#[derive(Debug, Clone, Default)]
pub(crate) struct File {
    cached: Vec<u8>,
    media: Vec<u8>,
    pending: Vec<Pending<Change>>,
}

impl File {
    /// A file that is on the media with this content.
    pub(crate) fn on_media(content: Vec<u8>) -> Self {
        Self {
            cached: content.clone(),
            media: content,
            pending: Vec::new(),
        }
    }

    /// What a reader sees while the machine runs.
    pub(crate) fn cached(&self) -> &[u8] {
        &self.cached
    }

    pub(crate) fn begin(&mut self, ticket: u64, what: Change) {
        what.apply(&mut self.cached);
        self.pending.push(Pending {
            ticket,
            exited: None,
            what,
        });
    }

    /// The call ended, as the `exits`th. Changes stand in the order in which their calls ended.
    pub(crate) fn end(&mut self, ticket: u64, exits: u64) {
        let Some(at) = self.pending.iter().position(|p| p.ticket == ticket) else {
            return;
        };
        let mut ended = self.pending.remove(at);
        ended.exited = Some(exits);
        let running = |p: &Pending<Change>| p.exited.is_none();
        let place = self.pending.iter().position(running);
        self.pending
            .insert(place.unwrap_or(self.pending.len()), ended);
    }

    /// The call never returned: keeps it as far as `real`, the file as it was found, has it.
    pub(crate) fn settle(&mut self, ticket: u64, exits: u64, real: Option<&[u8]>) {
        let Some(at) = self.pending.iter().position(|p| p.ticket == ticket) else {
            return;
        };
        let real = real.unwrap_or_default();
        let happened = match &mut self.pending[at].what {
            Change::SetLength(length) => *length == real.len(),
            Change::Write { at, data } => {
                let there = real.get(*at..).unwrap_or_default();
                let same = there.iter().zip(&*data).take_while(|(a, b)| a == b).count();
                data.truncate(same);
                same > 0
            }
        };
        if happened {
            self.end(ticket, exits);
        } else {
            self.pending.remove(at);
        }
        self.cached.clone_from(&self.media);
        for pending in &self.pending {
            pending.what.apply(&mut self.cached);
        }
    }

    /// A sync succeeded that began after `exits` calls had ended.
    pub(crate) fn synced(&mut self, exits: u64) {
        let media = &mut self.media;
        self.pending.retain(|pending| {
            let covered = pending.exited.is_some_and(|exited| exited <= exits);
            if covered {
                pending.what.apply(media);
            }
            !covered
        });
    }

    pub(crate) fn running(&self) -> impl Iterator<Item = u64> {
        let running = self.pending.iter().filter(|p| p.exited.is_none());
        running.map(|p| p.ticket)
    }

    /// What is left of the file when the power goes now.
    pub(crate) fn after_cut(&self, fate: &mut FileFate<'_>, faults: &mut Faults) -> Vec<u8> {
        if self.pending.is_empty() {
            return self.media.clone();
        }
        let mut lengths = vec![self.media.len()];
        for pending in &self.pending {
            let before = lengths[lengths.len() - 1];
            lengths.push(pending.what.length_after(before));
        }
        let written: Vec<_> = self
            .pending
            .iter()
            .map(|p| p.what.sectors().len())
            .collect();
        let plan = fate.plan(&written);
        let length = lengths[plan.lengths_kept];
        let is_cut = |number: usize| lengths[number + 1] < lengths[number];
        // The changes from here on stand behind a cut that did not reach the media.
        let barrier = (plan.lengths_kept..self.pending.len())
            .find(|&number| is_cut(number))
            .unwrap_or(self.pending.len());
        faults.undone_cuts += usize::from(barrier < self.pending.len());

        // Of each sector: the last change that is in it.
        let mut newest: HashMap<usize, usize> = HashMap::new();
        for (number, pending) in self.pending[..barrier].iter().enumerate() {
            for sector in pending.what.sectors() {
                if fate.keeps(plan.changes[number]) {
                    newest.insert(sector, number);
                }
            }
        }
        let has =
            |sector: usize, number: usize| newest.get(&sector).is_some_and(|&last| last >= number);
        self.count(&newest, barrier, length, faults);

        let mut content = self.media.clone();
        for (number, pending) in self.pending[..barrier].iter().enumerate() {
            match &pending.what {
                Change::Write { at, data } => {
                    for sector in pending.what.sectors().filter(|&s| has(s, number)) {
                        let start = (sector * SECTOR_BYTES).max(*at);
                        let end = ((sector + 1) * SECTOR_BYTES).min(at + data.len());
                        write(&mut content, start, &data[start - at..end - at]);
                    }
                }
                Change::SetLength(to) if is_cut(number) => content.truncate(*to),
                Change::SetLength(_) => {}
            }
        }
        content.resize(length, 0);
        content
    }

    /// Adds up what becomes of the writes.
    fn count(
        &self,
        newest: &HashMap<usize, usize>,
        barrier: usize,
        length: usize,
        faults: &mut Faults,
    ) {
        let mut dropped_before = false;
        for (number, pending) in self.pending.iter().enumerate() {
            let Change::Write { at, data } = &pending.what else {
                continue;
            };
            let sectors = pending.what.sectors();
            let visible = |sector: &usize| {
                number < barrier
                    && sector * SECTOR_BYTES < length
                    && newest.get(sector).is_some_and(|&last| last >= number)
            };
            let kept = sectors.clone().filter(visible).count();
            if kept == 0 {
                dropped_before = true;
                faults.dropped_writes += 1;
                let grew = at + data.len() > self.media.len();
                faults.zeroed_writes += usize::from(grew && at + data.len() <= length);
            } else {
                faults.kept_writes += 1;
                faults.torn_writes += usize::from(kept < sectors.len());
                faults.reordered_writes += usize::from(dropped_before);
            }
        }
    }
}

/// What a plan says of one change; see [`FileFate::plan`].
#[derive(Debug, Clone)]
pub(crate) struct Plan {
    /// How many of the changes have their length on the media.
    pub(crate) lengths_kept: usize,
    /// Which of their sectors are there.
    pub(crate) changes: Vec<Kept>,
}

#[cfg(test)]
#[path = "file_tests.rs"]
mod tests;
