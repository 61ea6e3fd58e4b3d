//! When a checkpoint is written, and its way through the log.
//!
//! It begins when nothing else is outside, and nothing else goes out until its end is committed. So the
//! state does not change meanwhile, and the chunks are of one state.

use crate::groups::checkpoint::Cursor;
use crate::groups::command::Command;
use crate::groups::proposals::{ProposalToken, Proposals};
use crate::groups::state::State;
use crate::groups::{Output, Outputs, Random};
use crate::limits::{GROUP_CHECKPOINT_BYTES_MIN, GROUP_CHUNK_BYTES};
use laminarmq_replica::LogIndex;

#[derive(Debug, Default)]
pub(super) struct Checkpoints {
    /// Bytes of commands since the last one began.
    bytes: u64,
    under_way: Option<Pass>,
}

#[derive(Debug)]
struct Pass {
    id: u64,
    cursor: Cursor,
    chunks: u32,
    /// Where it begins, once that is committed.
    begin: Option<LogIndex>,
    /// The end was proposed.
    end: Option<ProposalToken>,
}

impl Checkpoints {
    /// A command was committed. Says whether it is a part of the checkpoint that is written here.
    pub(super) fn applied(&mut self, index: LogIndex, command: &Command, length: usize) -> bool {
        self.bytes += length as u64;
        let (Command::CheckpointBegin { id }
        | Command::CheckpointChunk { id, .. }
        | Command::CheckpointEnd { id, .. }) = command
        else {
            return false;
        };
        if matches!(command, Command::CheckpointBegin { .. }) {
            self.bytes = length as u64;
        }
        match &mut self.under_way {
            Some(pass) if pass.id == *id => {
                pass.begin.get_or_insert(index);
                true
            }
            _ => false,
        }
    }

    /// One is written, or will be once nothing else is outside: nothing else shall go out.
    pub(super) fn is_wanted(&self, state: &State) -> bool {
        self.under_way.is_some() || self.is_due(state)
    }

    /// Begins one that is due, and proposes its next parts.
    pub(super) fn go_on<R>(
        &mut self,
        state: &State,
        proposals: &mut Proposals<R>,
        random: &mut Random,
        out: &mut Outputs<R>,
    ) {
        if self.under_way.is_none() {
            if !self.is_due(state) || !proposals.is_quiet() {
                return;
            }
            let [bytes @ .., _, _, _, _, _, _, _, _] = random();
            let id = u64::from_le_bytes(bytes);
            proposals.propose_now(&Command::CheckpointBegin { id }, out);
            self.under_way = Some(Pass {
                id,
                cursor: Cursor::default(),
                chunks: 0,
                begin: None,
                end: None,
            });
        }
        let pass = self.under_way.as_mut().expect("begun above");
        while pass.end.is_none() && proposals.has_room(ROOM) {
            let id = pass.id;
            match pass.cursor.next_chunk(state) {
                Some(changes) => {
                    let number = pass.chunks;
                    pass.chunks += 1;
                    let chunk = Command::CheckpointChunk {
                        id,
                        number,
                        changes,
                    };
                    proposals.propose_now(&chunk, out);
                }
                None => {
                    let chunks = pass.chunks;
                    let end = Command::CheckpointEnd { id, chunks };
                    pass.end = Some(proposals.propose_now(&end, out));
                }
            }
        }
    }

    /// More was written since the last than a new one would take.
    fn is_due(&self, state: &State) -> bool {
        self.bytes > GROUP_CHECKPOINT_BYTES_MIN.max(2 * state.bytes())
    }

    /// A proposal is committed: if it was the end, what stands before the beginning is not needed any more.
    pub(super) fn committed<R>(&mut self, token: ProposalToken, out: &mut Outputs<R>) {
        let done = |pass: &mut Pass| pass.end == Some(token);
        if let Some(pass) = self.under_way.take_if(done) {
            let first_kept = pass
                .begin
                .expect("the beginning is committed before the end");
            out.push(Output::Trim { first_kept });
        }
    }

    pub(super) fn give_up(&mut self) {
        self.under_way = None;
    }
}

/// A chunk is given out when there is room for this much.
#[expect(
    clippy::cast_possible_truncation,
    reason = "a limit of some hundred KiB"
)]
const ROOM: usize = GROUP_CHUNK_BYTES as usize;
