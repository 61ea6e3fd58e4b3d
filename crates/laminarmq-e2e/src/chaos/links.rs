//! What is done to the links between the nodes, and to the client.

use std::time::Duration;

use laminarmq_testkit::{Deadline, eventually};
use rand::RngExt;

use super::network::{End, Network};
use super::{Chaos, DELIVERIES_BESIDE, TOPIC, id, others};

/// How long a cut lasts at most where nothing is waited for. An election begins 0.8 to 1.6 s after the last
/// word of a leader, so in some rounds there is one and in some there is none.
const CUT_MAX: Duration = Duration::from_secs(4);
/// How long the others may take to lead what a node led that is cut off.
const OTHERS_LEAD_SECONDS: u64 = 60;

impl Chaos {
    pub(super) fn one_way(&mut self) -> String {
        let from = self.often_a_leader();
        let to = self.other_than(from);
        self.network().cut(End::Node(from), End::Node(to));
        self.go_on_while_cut();
        format!("from node {} to node {}", id(from), id(to))
    }

    pub(super) fn two_apart(&mut self) -> String {
        let one = self.often_a_leader();
        let other = self.other_than(one);
        self.network().cut_both(End::Node(one), End::Node(other));
        self.go_on_while_cut();
        format!("nodes {} and {}", id(one), id(other))
    }

    pub(super) fn isolated(&mut self) -> String {
        let victim = self.a_leader();
        self.cut_off(victim);
        self.others_lead(victim);
        self.go_on_while_cut();
        format!("node {}", id(victim))
    }

    pub(super) fn unreachable(&mut self) -> String {
        let victim = self.often_a_leader();
        self.cut_off(victim);
        self.network().cut_both(End::Node(victim), End::Client);
        self.others_lead(victim);
        self.go_on_while_cut();
        format!("node {}", id(victim))
    }

    pub(super) fn all_apart(&mut self) -> String {
        for (one, other) in [(0, 1), (1, 2), (0, 2)] {
            self.network().cut_both(End::Node(one), End::Node(other));
        }
        self.let_pass(CUT_MAX);
        self.network().heal();
        self.deliver(DELIVERIES_BESIDE);
        "until healed".to_owned()
    }

    fn network(&mut self) -> &mut Network {
        let surroundings = self.surroundings.as_mut();
        &mut surroundings.expect("the kind needs it").network
    }

    fn other_than(&mut self, place: usize) -> usize {
        others(place)[self.rng.random_range(0..2)]
    }

    fn cut_off(&mut self, victim: usize) {
        for other in others(victim) {
            self.network().cut_both(End::Node(victim), End::Node(other));
        }
    }

    /// Sends until the others lead what one led that is cut off. What it takes meanwhile it must not acknowledge.
    fn others_lead(&mut self, victim: usize) {
        let others = others(victim);
        let deadline = Deadline::seconds(OTHERS_LEAD_SECONDS);
        eventually("the others lead", deadline, || {
            self.load.send();
            self.trio.leaders_now(others[0], TOPIC, &others)
        });
    }

    fn go_on_while_cut(&mut self) {
        self.deliver(DELIVERIES_BESIDE);
        self.let_pass(CUT_MAX);
        self.network().heal();
    }
}
