//! What is done to the processes, by signals.

use std::time::Duration;

use laminarmq_testkit::pause;

use super::{Chaos, DELIVERIES_BESIDE, TOPIC, id, others};
use rand::RngExt;

/// A leader that stands still for longer is replaced in most cases, and then goes on as if it led.
const FROZEN_MAX: Duration = Duration::from_secs(3);
const WITHOUT_MAJORITY_MILLISECONDS_MAX: u64 = 1500;

impl Chaos {
    pub(super) fn leader_killed(&mut self) -> String {
        let leader = self.trio.leaders(0, TOPIC, &[0, 1, 2])[0];
        self.trio.brokers[leader].kill9();
        self.deliver(DELIVERIES_BESIDE);
        self.restart(&[leader]);
        format!("node {}", id(leader))
    }

    pub(super) fn killed(&mut self) -> String {
        let victim = self.any_place();
        self.trio.brokers[victim].kill9();
        self.restart(&[victim]);
        format!("node {}", id(victim))
    }

    pub(super) fn frozen(&mut self) -> String {
        let victim = self.often_a_leader();
        self.trio.brokers[victim].sigstop();
        self.deliver(DELIVERIES_BESIDE);
        self.let_pass(FROZEN_MAX);
        self.trio.brokers[victim].sigcont();
        format!("node {}", id(victim))
    }

    pub(super) fn stopped(&mut self) -> String {
        let victim = self.any_place();
        self.trio.brokers[victim].sigterm();
        self.deliver(DELIVERIES_BESIDE);
        let broker = &mut self.trio.brokers[victim];
        let status = broker.wait_for_exit();
        assert!(status.success(), "{status}:\n{}", broker.output());
        self.restart(&[victim]);
        format!("node {}", id(victim))
    }

    pub(super) fn two_killed(&mut self) -> String {
        let left = self.any_place();
        // What is under way waits for a majority.
        for place in others(left) {
            self.trio.brokers[place].kill9();
        }
        let time = self.rng.random_range(0..WITHOUT_MAJORITY_MILLISECONDS_MAX);
        pause(Duration::from_millis(time));
        self.restart(&others(left));
        format!("all but node {}", id(left))
    }
}
