//! Random histories against promises: clients that follow the protocol, crashes anywhere.

use super::*;
use proptest::prelude::*;

#[derive(Debug, Clone)]
enum Step {
    /// The client does what the protocol says comes next.
    Work(usize),
    /// It leaves.
    Leave(usize),
    /// It stops without a word.
    Die(usize),
    Commit(usize),
    /// Commits from outside.
    Outside,
    Pass(u64),
    CommitOne,
    CommitAll,
    Crash,
    Fail,
}

fn step() -> impl Strategy<Value = Step> {
    let client = || 0usize..5;
    prop_oneof![
        12 => client().prop_map(Step::Work),
        1 => client().prop_map(Step::Leave),
        1 => client().prop_map(Step::Die),
        3 => client().prop_map(Step::Commit),
        1 => Just(Step::Outside),
        3 => (1u64..12_000).prop_map(Step::Pass),
        4 => Just(Step::CommitOne),
        4 => Just(Step::CommitAll),
        1 => Just(Step::Crash),
        1 => Just(Step::Fail),
    ]
}

/// A client: what it knows, and what it waits for. Those with an odd number have names of their own.
#[derive(Debug, Default, Clone)]
struct Client {
    number: usize,
    id: String,
    generation: i32,
    assignment: Option<String>,
    joining: Option<u32>,
    syncing: Option<(u32, bool)>,
    beating: Option<u32>,
}

impl Client {
    fn reference(&self) -> MemberRef {
        let instance = (self.number % 2 == 1).then(|| format!("i{}", self.number));
        MemberRef {
            id: self.id.clone(),
            instance,
        }
    }

    fn reset(&mut self) {
        *self = Client {
            number: self.number,
            id: self.id.clone(),
            ..Client::default()
        };
    }

    /// The broker refused: the member joins again, perhaps as somebody new.
    fn refused(&mut self, error: &GroupError) {
        self.reset();
        if matches!(
            error,
            GroupError::UnknownMember | GroupError::FencedInstance
        ) {
            self.id.clear();
        }
    }
}

struct World {
    bench: Bench,
    clients: Vec<Client>,
    /// Assignments of each generation that anybody was told.
    assigned: BTreeMap<i32, BTreeMap<String, String>>,
    next_offset: i64,
    /// The highest offset whose commit was answered.
    acked: i64,
    committing: Vec<(u32, i64)>,
}

impl World {
    fn new() -> Self {
        let mut bench = Bench::new();
        bench.commits = false;
        let client = |number| Client {
            number,
            ..Client::default()
        };
        Self {
            bench,
            clients: (0..5).map(client).collect(),
            assigned: BTreeMap::new(),
            next_offset: 1,
            acked: 0,
            committing: Vec::new(),
        }
    }

    fn step(&mut self, step: &Step) {
        match step {
            Step::Work(n) => self.work(*n),
            Step::Leave(n) => {
                let member = self.clients[*n].reference();
                self.clients[*n].reset();
                self.clients[*n].id.clear();
                self.bench.send(
                    "g",
                    Request::Leave {
                        members: vec![member],
                    },
                );
            }
            Step::Die(n) => {
                self.clients[*n].reset();
                self.clients[*n].id.clear();
            }
            Step::Commit(n) => {
                let client = &self.clients[*n];
                let (generation, member) = (client.generation, client.reference());
                if client.assignment.is_some() {
                    self.commit(generation, member);
                }
            }
            Step::Outside => self.commit(-1, member("")),
            Step::Pass(millis) => self.bench.pass(Duration::from_millis(*millis)),
            Step::CommitOne => {
                self.bench.commit_one();
            }
            Step::CommitAll => self.bench.commit_all(),
            Step::Crash => {
                self.hear();
                self.bench.crash();
                self.committing.clear();
                for client in &mut self.clients {
                    client.joining = None;
                    client.syncing = None;
                    client.beating = None;
                }
            }
            Step::Fail => {
                let tokens: Vec<_> = self.bench.outside.drain(..).collect();
                for (token, _) in tokens {
                    self.bench
                        .call(|c, now, out| c.proposed(token, false, now, out));
                }
            }
        }
        self.hear();
        let told = &self.bench.generations;
        assert!(told.is_sorted(), "a generation fell: {told:?}");
        assert_eq!(self.bench.replayed().state, self.bench.coordinator.state);
    }

    fn commit(&mut self, generation: i32, member: MemberRef) {
        let offset = self.next_offset;
        self.next_offset += 1;
        let commit = commit_of(generation, member, &[(key(1, 0), offset)]);
        let reply = self.bench.send("g", Request::Commit(commit));
        self.committing.push((reply, offset));
    }

    fn work(&mut self, n: usize) {
        self.hear();
        let client = self.clients[n].clone();
        if client.joining.is_some() || client.syncing.is_some() {
            return;
        }
        let member = client.reference();
        if client.generation == 0 {
            let join = Join {
                member,
                id_first: n > 1,
                ..old_client("c")
            };
            self.clients[n].joining = Some(self.bench.join("g", join));
        } else if client.beating.is_none() {
            let generation = client.generation;
            let beat = Request::Heartbeat { generation, member };
            self.clients[n].beating = Some(self.bench.send("g", beat));
        }
    }

    /// Takes the answers that are there.
    fn hear(&mut self) {
        for n in 0..self.clients.len() {
            self.hear_of(n);
        }
        let mut waiting = Vec::new();
        for (reply, offset) in std::mem::take(&mut self.committing) {
            match self.bench.answers.remove(&reply) {
                Some(Answer::Commit(Ok(()))) => self.acked = self.acked.max(offset),
                Some(_) => {}
                None => waiting.push((reply, offset)),
            }
        }
        self.committing = waiting;
        let stored = self.bench.coordinator.state.group("g");
        let stored = stored.and_then(|stored| stored.offsets.get(&key(1, 0)));
        let offset = stored.map_or(0, |offset| offset.offset);
        assert!(
            offset >= self.acked,
            "{offset} was committed, and {} acknowledged",
            self.acked
        );
    }

    fn hear_of(&mut self, n: usize) {
        let bench = &mut self.bench;
        let client = &mut self.clients[n];
        if let Some(answer) = client
            .joining
            .and_then(|reply| bench.answers.remove(&reply))
        {
            client.joining = None;
            match answer {
                Answer::Join(Ok(joined)) => {
                    client.id.clone_from(&joined.member_id);
                    client.generation = joined.generation;
                    let generation = joined.generation;
                    let assign = |(member, _): &(MemberRef, Bytes)| {
                        (
                            member.id.clone(),
                            format!("{generation}-{}", member.id).into(),
                        )
                    };
                    let leads = joined.leader == joined.member_id && !joined.skip_assignment;
                    let assignments = match leads {
                        true => joined.members.iter().map(assign).collect(),
                        false => vec![],
                    };
                    let sync = Sync {
                        generation,
                        member: client.reference(),
                        assignments,
                        ..Sync::default()
                    };
                    client.syncing = Some((bench.send("g", Request::Sync(sync)), leads));
                }
                Answer::Join(Err(refused)) if refused.error == GroupError::MemberIdRequired => {
                    client.id = refused.member_id;
                }
                Answer::Join(Err(refused)) => client.refused(&refused.error),
                other => panic!("{other:?}"),
            }
        }
        let synced = client
            .syncing
            .and_then(|(reply, _)| bench.answers.remove(&reply));
        if let Some(answer) = synced {
            client.syncing = None;
            match answer {
                Answer::Sync(Ok(synced)) => {
                    let text = String::from_utf8(synced.assignment.to_vec()).unwrap();
                    let of_generation = self.assigned.entry(client.generation).or_default();
                    let before = of_generation.insert(client.id.clone(), text.clone());
                    assert!(before.is_none_or(|before| before == text), "it changed");
                    client.assignment = Some(text);
                }
                Answer::Sync(Err(error)) => client.refused(&error),
                other => panic!("{other:?}"),
            }
        }
        if let Some(answer) = client
            .beating
            .and_then(|reply| bench.answers.remove(&reply))
        {
            client.beating = None;
            match answer {
                Answer::Heartbeat(Ok(())) => {}
                Answer::Heartbeat(Err(error)) => client.refused(&error),
                other => panic!("{other:?}"),
            }
        }
    }

    /// All clients keep at it until nothing changes any more.
    fn settle(&mut self) {
        for _ in 0..400 {
            for n in 0..self.clients.len() {
                self.work(n);
            }
            self.bench.commit_all();
            self.hear();
            self.bench.pass(Duration::from_secs(1));
        }
    }
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, ..ProptestConfig::default() })]
    #[test]
    fn promises_hold_whatever_happens(steps in prop::collection::vec(step(), 0..150)) {
        let mut world = World::new();
        for step in &steps {
            world.step(step);
        }
        world.settle();
        let group = world.bench.describe_settled("g");
        prop_assert_eq!(group.state, GroupStateName::Stable);
        prop_assert_eq!(group.members.len(), world.clients.len());
        let generation = world.clients[0].generation;
        for client in &world.clients {
            prop_assert_eq!(client.generation, generation);
            let assignment = client.assignment.clone().unwrap_or_default();
            // One with a name of its own may have taken over what was assigned to it before.
            let name = client.reference().instance.unwrap_or(client.id.clone());
            prop_assert!(assignment.contains(&name), "{} {}", assignment, name);
        }
        let told: BTreeSet<_> = group.members.iter().map(|m| m.member.id.clone()).collect();
        prop_assert_eq!(told, world.clients.iter().map(|c| c.id.clone()).collect());
        // As many deadlines as members, and none forgotten.
        prop_assert!(world.bench.coordinator.timers.len() <= world.clients.len() + 1);
    }
}

impl Bench {
    fn describe_settled(&mut self, group: &str) -> Description {
        let reply = self.send(group, Request::Describe);
        self.commit_all();
        match self.take_answer(reply) {
            Answer::Describe(Ok(description)) => description,
            other => panic!("{other:?}"),
        }
    }
}
