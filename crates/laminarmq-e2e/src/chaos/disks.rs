//! What is done to the disks.
//!
//! A broker whose disk is full ends by itself, and says so: what it could not write it must not tell anybody,
//! and the others go on without it. It starts again once there is room.

use std::time::Duration;

use laminarmq_testkit::{Deadline, eventually};
use rand::RngExt;

use super::{Chaos, DELIVERIES_BESIDE, Disk, id, others};

/// What a broker says that ends because its disk is full.
const FULL: &str = "the disk is full";
/// What a broker says as soon as it knows that it has to end.
const STOPS: &str = "the broker stops";
/// How long a broker may take to need a byte that it does not get.
const END_SECONDS: u64 = 60;
/// Short enough that a broker often needs no room in it.
const MOMENT_MAX: Duration = Duration::from_millis(40);

impl Chaos {
    pub(super) fn disk_full(&mut self) -> String {
        let victim = self.often_a_leader();
        let bytes = self.fill(&[victim]);
        self.deliver(DELIVERIES_BESIDE);
        let again = if self.rng.random() {
            // Whether it gets as far as being ready depends on what it has to write at its start.
            match self.trio.brokers[victim].try_restart() {
                Ok(()) => {
                    self.wait_for_end(&[victim]);
                    "; it started without room and ended again"
                }
                Err(why) => {
                    assert!(why.contains(FULL), "{why}");
                    "; it did not start without room"
                }
            }
        } else {
            ""
        };
        self.free(&[victim]);
        self.restart(&[victim]);
        format!("node {}, {} KiB taken{again}", id(victim), bytes >> 10)
    }

    pub(super) fn disk_full_for_a_moment(&mut self) -> String {
        let victim = self.often_a_leader();
        self.disk(victim).fill();
        self.let_pass(MOMENT_MAX);
        self.free(&[victim]);
        self.deliver(DELIVERIES_BESIDE);
        let broker = &mut self.trio.brokers[victim];
        if broker.is_running() && !broker.output().contains(STOPS) {
            return format!("node {} went on", id(victim));
        }
        self.check_end(victim);
        self.restart(&[victim]);
        format!("node {} ended", id(victim))
    }

    pub(super) fn two_disks_full(&mut self) -> String {
        let left = self.any_place();
        self.fill(&others(left));
        self.free(&others(left));
        self.restart(&others(left));
        format!("all but node {}", id(left))
    }

    fn disk(&self, place: usize) -> &Disk {
        let surroundings = self.surroundings.as_ref();
        &surroundings.expect("the kind needs it").disks[place]
    }

    /// Takes all room, and sends until these have ended. Returns how much it took.
    fn fill(&mut self, places: &[usize]) -> u64 {
        let taken = places.iter().map(|&place| self.disk(place).fill()).sum();
        self.wait_for_end(places);
        taken
    }

    fn free(&self, places: &[usize]) {
        for &place in places {
            self.disk(place).free();
        }
    }

    /// Sends until these have ended, and holds them to what they say then.
    fn wait_for_end(&mut self, places: &[usize]) {
        let deadline = Deadline::seconds(END_SECONDS);
        eventually("the brokers without room end", deadline, || {
            self.load.send();
            let mut running = 0;
            for &place in places {
                // A broker gives room back when it cuts or replaces a file.
                self.disk(place).fill();
                running += usize::from(self.trio.brokers[place].is_running());
            }
            (running == 0).then_some(())
        });
        for &place in places {
            self.check_end(place);
        }
    }

    fn check_end(&mut self, place: usize) {
        let broker = &mut self.trio.brokers[place];
        let status = broker.wait_for_exit();
        let output = broker.output();
        assert!(!status.success(), "node {}:\n{output}", id(place));
        assert!(
            output.contains(FULL),
            "node {}: {status}:\n{output}",
            id(place)
        );
    }
}
