//! A group that rests, as its shard sees it.

use super::tests::{ONE, Test, config};
use super::*;
use laminarmq::{Log, LogOptions, MemEnv, SyncTicket, poll_ready};
use laminarmq_replica::{Membership, PeerBody, PeerMessage, ReplicaConfig};

const ELECTION_TICKS: u32 = 10;
const REST_TICKS: u32 = 100;

/// A follower of node 2 that rests, with its shard.
struct Follower {
    shard: Shard<Test>,
}

impl Follower {
    fn at_rest() -> Self {
        let voters = [1, 2, 3].map(ReplicaId);
        let config = ReplicaConfig {
            members: Membership::of_voters(voters),
            first_start: true,
            election_ticks: ELECTION_TICKS,
            rest_ticks: REST_TICKS,
            ..config(ONE)
        };
        let options = LogOptions {
            initial_index: 1,
            auto_roll: false,
            ..LogOptions::default()
        };
        let log = poll_ready(Log::open_with(MemEnv::new(), options)).unwrap();
        let hosted = Box::new(Hosted {
            doubt: None,
            answer: Readiness::Taken,
            replica: Replica::open(config, log, None, Box::new(|| 7)).unwrap(),
            group: ONE,
            reply: 1,
        });
        let mut follower = Self {
            shard: Shard::new(),
        };
        follower.step(Input::Host(hosted));
        // An empty group whose leader is there: its members are alike already.
        let commit = LogIndex(0);
        follower.hear(PeerBody::Heartbeat { commit });
        let answers = follower.hear(PeerBody::Rest { commit });
        let rests = |message: &PeerMessage| matches!(message.body, PeerBody::RestReply { .. });
        assert!(answers.iter().any(rests), "{answers:?}");
        follower
    }

    fn hear(&mut self, body: PeerBody) -> Vec<PeerMessage> {
        self.step(Input::Peer(Box::new(Envelope {
            group: ONE,
            from: ReplicaId(2),
            to: ReplicaId(1),
            lane: crate::peer::Lane::Live,
            message: PeerMessage {
                term: Term(1),
                body,
            },
        })))
    }

    /// What it says to others, once everything is saved.
    fn step(&mut self, input: Input<Test>) -> Vec<PeerMessage> {
        let (mut said, mut ticks) = (Vec::new(), 0);
        let is_tick = matches!(input, Input::Tick { .. });
        let mut inputs = vec![input];
        while !inputs.is_empty() {
            let mut out = Vec::new();
            self.shard.step(inputs.drain(..), &mut out);
            for output in out {
                match output {
                    Output::Send(envelope) => said.push(envelope.message),
                    Output::Persist { group, job, .. } => {
                        let id = job.id();
                        let log = job.ticket.map(SyncTicket::run);
                        let done = PersistDone::new(id, log, Ok(()));
                        inputs.push(Input::Persisted { group, done });
                    }
                    Output::Ticked => ticks += 1,
                    Output::Misbehaved { what, .. } => panic!("{what}"),
                    _ => {}
                }
            }
        }
        assert_eq!(ticks, u32::from(is_tick), "each tick is answered");
        said
    }

    /// Ticks until it asks for votes.
    fn until_it_stands(&mut self, silent: &[u32]) -> u32 {
        let nodes = silent
            .iter()
            .map(|node| NodeId::of(ReplicaId((*node).into())));
        let silent: Arc<[NodeId]> = nodes.map(|node| node.expect("a node")).collect();
        (1..=10 * REST_TICKS)
            .find(|_| {
                let silent = Arc::clone(&silent);
                let said = self.step(Input::Tick { silent });
                let asks = |it: &PeerMessage| matches!(it.body, PeerBody::PreVote { .. });
                said.iter().any(asks)
            })
            .expect("it stands for election in the end")
    }
}

#[test]
fn who_rests_stands_for_election_soon_when_a_members_node_is_silent() {
    for silent in [2, 3] {
        let ticks = Follower::at_rest().until_it_stands(&[silent]);
        // The ticks for which it was silent count.
        let least = ELECTION_TICKS - crate::limits::SILENT_TICKS;
        assert!(
            (least..2 * ELECTION_TICKS).contains(&ticks),
            "{ticks} ticks"
        );
    }
}

#[test]
fn who_rests_does_not_while_all_nodes_of_the_group_are_heard_of() {
    for silent in [&[][..], &[4]] {
        let ticks = Follower::at_rest().until_it_stands(silent);
        assert!(ticks > 2 * REST_TICKS, "{ticks} ticks");
    }
}

#[test]
fn a_node_that_cannot_be_reached_wakes_its_groups() {
    let mut follower = Follower::at_rest();
    let node = NodeId::of(ReplicaId(2)).expect("a node");
    follower.step(Input::Unreachable { node });
    let ticks = follower.until_it_stands(&[]);
    assert!(ticks < 2 * ELECTION_TICKS, "{ticks} ticks");
}
