//! Links between network namespaces, of which each direction can be cut.
//!
//! A cut direction loses what arrives, without a word to the sender: the receiver's namespace looks up what
//! comes from that address in a rule that drops it, before it looks for whom it is. For that its rule for
//! local addresses must come behind [`CUT_PREFERENCE`], which whoever makes the namespaces sees to.

use std::net::Ipv4Addr;
use std::process::Command;
use std::thread;

use laminarmq_testkit::{Deadline, Finished, run};

use laminarmq_testkit::trio::NODES;

/// The place of the dropping rules among a namespace's rules: before all others.
const CUT_PREFERENCE: &str = "10";
/// How long a call of `ip` may take.
const CALL_SECONDS: u64 = 30;
/// Nothing listens there: who reaches the namespace is refused at once.
const CLOSED_PORT: u16 = 9;

/// Who is at the end of a link.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum End {
    /// The client of all nodes.
    Client,
    /// The node at a place.
    Node(usize),
}

/// A namespace and its address.
#[derive(Debug, Clone)]
pub struct Namespace {
    /// Its name, as `ip netns` knows it.
    pub name: String,
    /// Where the others reach it.
    pub address: Ipv4Addr,
}

/// The namespaces, and what is cut between them.
#[derive(Debug)]
pub struct Network {
    client: Namespace,
    nodes: Vec<Namespace>,
    /// From whom, to whom.
    cut: Vec<(End, End)>,
}

impl Network {
    /// Over namespaces that are there and reach each other.
    ///
    /// # Panics
    /// When a cut does not cut, or cuts too much.
    #[must_use]
    pub fn new(client: Namespace, nodes: Vec<Namespace>) -> Self {
        let mut network = Self {
            client,
            nodes,
            cut: Vec::new(),
        };
        network.check();
        network
    }

    /// Loses from now on what `from` sends to `to`.
    ///
    /// # Panics
    /// When it is cut already.
    pub fn cut(&mut self, from: End, to: End) {
        assert!(!self.cut.contains(&(from, to)), "{from:?} to {to:?}");
        self.rule("add", from, to);
        self.cut.push((from, to));
    }

    /// The same in both directions.
    ///
    /// # Panics
    /// As [`Self::cut`].
    pub fn cut_both(&mut self, one: End, other: End) {
        self.cut(one, other);
        self.cut(other, one);
    }

    /// Everybody reaches everybody again.
    pub fn heal(&mut self) {
        for (from, to) in std::mem::take(&mut self.cut) {
            self.rule("del", from, to);
        }
    }

    fn namespace(&self, end: End) -> &Namespace {
        match end {
            End::Client => &self.client,
            End::Node(place) => &self.nodes[place],
        }
    }

    fn rule(&self, change: &str, from: End, to: End) {
        let from = format!("{}/32", self.namespace(from).address);
        let within = &self.namespace(to).name;
        let words = ["-n", within, "rule", change, "pref", CUT_PREFERENCE];
        let mut command = Command::new("ip");
        command.args(words).args(["from", &from, "blackhole"]);
        let _ = run(&mut command, Deadline::seconds(CALL_SECONDS)).success();
    }

    /// A partition that parts nothing would leave every round green.
    fn check(&mut self) {
        let ends = (0..NODES).map(End::Node).chain([End::Client]);
        let ends: Vec<_> = ends.collect();
        let pairs = ends.iter().enumerate();
        let pairs =
            pairs.flat_map(|(at, &one)| ends[at + 1..].iter().map(move |&other| (one, other)));
        let pairs: Vec<_> = pairs.collect();
        let cuts = [(End::Node(0), End::Node(1)), (End::Client, End::Node(2))];
        for (from, to) in cuts {
            self.cut(from, to);
        }
        thread::scope(|scope| {
            for &(one, other) in &pairs {
                let network = &*self;
                scope.spawn(move || {
                    // The answers are lost when one direction is.
                    let is_cut = cuts.contains(&(one, other)) || cuts.contains(&(other, one));
                    let seconds = if is_cut { 1 } else { CALL_SECONDS };
                    let reached = network.reaches(one, other, seconds);
                    assert_eq!(reached, !is_cut, "{one:?} reaches {other:?}");
                });
            }
        });
        self.heal();
        for (from, to) in cuts {
            assert!(self.reaches(from, to, CALL_SECONDS), "{from:?} to {to:?}");
        }
    }

    /// Whether an end answers the other one's attempt to connect.
    fn reaches(&self, from: End, to: End, seconds: u64) -> bool {
        let attempt = format!(
            "exec 3<>/dev/tcp/{}/{CLOSED_PORT}",
            self.namespace(to).address
        );
        let mut command = Command::new("ip");
        command.args(["netns", "exec", &self.namespace(from).name]);
        command.args(["timeout", &seconds.to_string(), "bash", "-c", &attempt]);
        let Finished { status, stderr, .. } =
            run(&mut command, Deadline::seconds(seconds + CALL_SECONDS));
        // 124 is how `timeout` says that it ended the command.
        match status.code() {
            Some(124) => false,
            _ if stderr.contains("Connection refused") => true,
            _ => panic!("{from:?} to {to:?}: {status}: {stderr}"),
        }
    }
}
