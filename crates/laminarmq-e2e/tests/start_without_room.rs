//! A node that cannot write its log when it starts again ends with the reason, whether it was ready or not.

use laminarmq_testkit::TestDir;
use laminarmq_testkit::trio::Trio;

/// So long that a file of one block cannot take another registration of the node.
const STARTS: usize = 8;
/// No file gets longer than one block of 512 bytes while there is a file of that name. The signal that says so
/// would end the broker without a word.
const SCRIPT: &str = "[ ! -e no-room ] || { trap '' XFSZ; ulimit -f 1; }; exec \"$0\" \"$@\"";

#[test]
fn a_node_that_cannot_put_its_registration_on_disk_ends_and_says_why() {
    let dir = TestDir::new("start-without-room");
    let mut trio = Trio::start_wrapped(&dir, &["sh", "-c", SCRIPT]);
    for _ in 0..STARTS {
        trio.brokers[0].kill9();
        trio.restart(&[0]);
    }
    trio.brokers[0].kill9();
    std::fs::write(dir.join("no-room"), "").expect("written");
    let why = trio.brokers[0].try_restart().expect_err("no room");
    assert!(why.contains("ended early, exit status: 1"), "{why}");
    assert!(why.contains("error: the broker failed"), "{why}");
    assert!(why.contains("File too large"), "{why}");
    std::fs::remove_file(dir.join("no-room")).expect("removed");
    trio.restart(&[0]);
}
