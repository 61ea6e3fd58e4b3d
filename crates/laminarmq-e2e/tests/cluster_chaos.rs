//! Three real brokers under the load of an idempotent librdkafka producer, while they are killed, frozen and
//! stopped: what was acknowledged is there once, in order, on every node that leads.
//!
//! With cut links and full disks as well: `ci/chaos/run`.

use laminarmq_e2e::chaos::Chaos;
use laminarmq_e2e::{is_long, seed};
use laminarmq_testkit::TestDir;
use laminarmq_testkit::trio::Trio;

const ROUNDS: usize = 8;
const ROUNDS_LONG: usize = 50;

#[test]
fn what_was_acknowledged_is_there_once_and_in_order_whatever_happens_to_the_nodes() {
    let dir = TestDir::new("cluster-chaos");
    let mut chaos = Chaos::new(Trio::start(&dir), seed(), &[], None);
    chaos.run(if is_long() { ROUNDS_LONG } else { ROUNDS });
    chaos.finish();
}
