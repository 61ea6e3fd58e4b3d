//! Drives the nodes: events in, effects acted on, faults injected, promises checked on the way.

use std::collections::BTreeMap;

use laminarmq_replica::{
    Effects, LogIndex, Membership, MembershipAt, PeerMessage, ReplicaId, Role,
};

use crate::checkers::Broken;
use crate::clock::{Clock, Time};
use crate::control::OWN_TOKENS;
use crate::disk::Disk;
use crate::network::{Network, Weather, describe};
use crate::node::Node;
use crate::random::Random;
use crate::report::Counts;
use crate::scenario::{Ended, Plan};
use crate::sending::{May, Next};
use crate::trace::Trace;
use crate::watch::Watch;
use crate::workload::Workload;

/// What is planned to happen. Events of a node carry its lifetime: they die with it.
pub(crate) enum Event {
    Start(u64),
    Tick(u64, u64),
    Saved(u64, u64),
    Deliver {
        from: u64,
        to: u64,
        number: u64,
        message: Box<PeerMessage>,
    },
    /// A node says that it is there.
    Alive {
        from: u64,
        to: u64,
    },
    /// Clients pause.
    Lull,
    Produce(usize),
    GiveUp {
        producer: usize,
        last: u64,
    },
    Consume(usize),
    /// A step towards a whole group.
    Control,
    /// Records are deleted.
    Trim,
    /// A suspect node's log is read as a whole.
    Scrub(u64),
    /// A full disk has room again.
    Room(u64),
    Fault,
    Calm,
    Look,
}

pub(crate) struct Cluster {
    pub(crate) plan: Plan,
    pub(crate) clock: Clock<Event>,
    pub(crate) trace: Trace,
    pub(crate) counts: Counts,
    pub(crate) network: Network,
    pub(crate) nodes: BTreeMap<u64, Node>,
    pub(crate) workload: Workload,
    /// How long things take, as long as nothing goes wrong.
    pub(crate) timing: Random,
    pub(crate) faults: Random,
    disks: Random,
    pub(crate) starts: Random,
    /// The id of the next replica that joins.
    pub(crate) next_id: u64,
    pub(crate) own_tokens: u64,
    /// Deletions that are not acknowledged: by token, the offset.
    pub(crate) trims: BTreeMap<u64, u64>,
    /// The newest message delivered on each link.
    delivered: BTreeMap<(u64, u64), u64>,
    pub(crate) watch: Watch,
    /// Until then clients send nothing.
    pub(crate) quiet_until: Time,
    pub(crate) calm: bool,
    acknowledged_at_calm: u64,
    pub(crate) settled: bool,
}

impl Cluster {
    pub(crate) fn new(plan: Plan) -> Self {
        let mut random = Random::new(plan.seed, 0);
        let ids = plan.nodes.clone();
        let disks = Random::new(random.next(), plan.variant);
        let mut starts = random.fork();
        let mut nodes = BTreeMap::new();
        let founders = MembershipAt {
            index: LogIndex(0),
            members: Membership::of_voters(ids.iter().copied().map(ReplicaId)),
        };
        for &id in &ids {
            let disk = Disk::new(plan.lies);
            disk.cut_at(plan.cut_at);
            nodes.insert(id, Node::new(id, &founders, &plan, disk, &mut starts));
        }
        let (producers, consumers) = (plan.producers, plan.consumers);
        let workload = Workload::new(random.fork(), &ids, producers, consumers, plan.defects);
        Self {
            network: Network::new(random.fork(), plan.weather),
            timing: random.fork(),
            faults: Random::new(random.next(), plan.variant),
            trace: Trace::new(plan.keep_all),
            clock: Clock::new(),
            counts: Counts::default(),
            nodes,
            workload,
            disks,
            starts,
            next_id: ids.len() as u64 + 1,
            own_tokens: 0,
            trims: BTreeMap::new(),
            delivered: BTreeMap::new(),
            watch: Watch::default(),
            quiet_until: Time::default(),
            calm: false,
            acknowledged_at_calm: 0,
            settled: false,
            plan,
        }
    }

    /// Runs to the end. The first broken promise ends it.
    pub(crate) fn run(mut self) -> Ended {
        let result = self.run_events().and_then(|()| self.finish());
        self.counts.syncs = self.nodes.values().map(|node| node.disk.syncs()).sum();
        Ended {
            counts: self.counts,
            trace_hash: self.trace.hash(),
            trace: self.trace.into_lines(),
            failure: result.err(),
        }
    }

    fn run_events(&mut self) -> Result<(), Broken> {
        for &id in &self.plan.nodes {
            self.clock.at(Time::default(), Event::Start(id));
        }
        for producer in 0..self.workload.producers() {
            self.clock
                .in_micros(1 + producer as u64, Event::Produce(producer));
        }
        for consumer in 0..self.workload.consumers() {
            self.clock
                .in_micros(100 + consumer as u64, Event::Consume(consumer));
        }
        let calm = Time::default().after_millis(self.plan.faults_millis);
        self.clock.at(calm, Event::Calm);
        self.clock.in_micros(200_000, Event::Look);
        if self.plan.nodes.len() > 1 {
            self.clock.in_micros(100_000, Event::Control);
        }
        if self.plan.rest_ticks > 0 {
            self.clock.in_micros(2_000_000, Event::Lull);
        }
        if let Some(every) = self.plan.trim_every_millis {
            self.clock.in_micros(every * 1000, Event::Trim);
        }
        self.plan_fault();
        let end = calm.after_millis(self.plan.settle_millis);
        while let Some(event) = self.clock.advance(end) {
            let now = self.clock.now();
            self.nodes
                .values()
                .for_each(|node| node.disk.set_now_ms(now.millis()));
            self.handle(event)?;
            if self.settled {
                return Ok(());
            }
        }
        let state: Vec<_> = self
            .nodes
            .values()
            .map(|node| (node.id, self.describe_node(node)))
            .collect();
        Err(format!(
            "no progress in {} ms without faults: {state:?}",
            self.plan.settle_millis
        ))
    }

    fn describe_node(&self, node: &Node) -> String {
        node.up.as_ref().map_or("down".to_owned(), |up| {
            let replica = &up.replica;
            format!(
                "{:?} of term {}, applied {} of {}",
                replica.role(),
                replica.leader_epoch(),
                replica.applied_index(),
                replica.log().end_index() - 1
            )
        })
    }

    pub(crate) fn note(&mut self, words: &str) {
        let line = format!("{:>9} {words}", self.clock.now().0);
        self.trace.line(line);
    }

    fn handle(&mut self, event: Event) -> Result<(), Broken> {
        match event {
            Event::Start(id) => self.start(id),
            Event::Tick(id, lifetime) => {
                let Some(node) = self.alive(id, lifetime) else {
                    return Ok(());
                };
                let tick = node.tick;
                self.clock.in_micros(tick, Event::Tick(id, lifetime));
                self.tick(id)
            }
            Event::Alive { from, to } => {
                self.hear(from, to);
                Ok(())
            }
            Event::Lull => {
                self.lull();
                Ok(())
            }
            Event::Saved(id, lifetime) => {
                let Some(node) = self.alive(id, lifetime) else {
                    return Ok(());
                };
                let result = node.up.as_mut().expect("alive").finish_job();
                node.born |= result.is_ok();
                self.note(&format!("{id} saved"));
                match result {
                    Ok(()) => self.pump(id),
                    Err(error) => self.ended(id, &error),
                }
            }
            Event::Deliver {
                from,
                to,
                number,
                message,
            } => self.deliver(from, to, number, *message),
            Event::Produce(producer) => self.produce(producer),
            Event::GiveUp { producer, last } => {
                if self.workload.timeout(producer, last, &mut self.counts) {
                    self.note(&format!("producer {producer} gives up to {last}"));
                    self.clock.in_micros(1_000, Event::Produce(producer));
                }
                Ok(())
            }
            Event::Consume(consumer) => self.consume(consumer),
            Event::Control => self.control(),
            Event::Trim => self.trim(),
            Event::Scrub(id) => {
                self.scrub(id);
                Ok(())
            }
            Event::Room(id) => {
                if let Some(node) = self.nodes.get(&id) {
                    node.disk.fill(None);
                    self.note(&format!("{id}'s disk has room"));
                }
                Ok(())
            }
            Event::Fault => {
                if !self.calm {
                    self.inject()?;
                    self.plan_fault();
                }
                Ok(())
            }
            Event::Calm => {
                self.note("calm: no more faults");
                self.calm = true;
                self.acknowledged_at_calm = self.counts.acknowledged;
                self.network.heal();
                for (&id, node) in &self.nodes {
                    node.disk.be_good();
                    self.clock.in_micros(1_000, Event::Start(id));
                }
                self.network.weather = Weather {
                    loss: 0,
                    repeat: 0,
                    late: 0,
                    ..self.network.weather
                };
                Ok(())
            }
            Event::Look => self.look(),
        }
    }

    fn alive(&mut self, id: u64, lifetime: u64) -> Option<&mut Node> {
        self.nodes
            .get_mut(&id)
            .filter(|node| node.lifetime == lifetime && node.up.is_some())
    }

    fn start(&mut self, id: u64) -> Result<(), Broken> {
        let Some(node) = self.nodes.get_mut(&id).filter(|node| node.up.is_none()) else {
            return Ok(());
        };
        let result = node.start(&mut self.starts, !self.plan.untold);
        self.counts.doubts += u64::from(node.in_doubt);
        let (lifetime, tick) = (node.lifetime, node.tick);
        self.note(&format!("{id} starts, lifetime {lifetime}: {result:?}"));
        match result {
            Ok(()) => {
                self.clock.in_micros(tick, Event::Tick(id, lifetime));
                self.pump(id)
            }
            Err(error) => self.ended(id, &error),
        }
    }

    fn deliver(
        &mut self,
        from: u64,
        to: u64,
        number: u64,
        message: PeerMessage,
    ) -> Result<(), Broken> {
        // A partition that began meanwhile takes what is on its way.
        if self.network.is_blocked(from, to) {
            self.counts.blocked += 1;
            return Ok(());
        }
        let newest = self.delivered.entry((from, to)).or_default();
        if number < *newest {
            self.counts.reordered += 1;
        }
        *newest = number.max(*newest);
        let Some(up) = self.nodes.get_mut(&to).and_then(|node| node.up.as_mut()) else {
            return Ok(());
        };
        let words = describe(&message);
        let result = up.replica.step(ReplicaId(from), message);
        self.note(&format!("{from}>{to} {words}"));
        match result {
            Ok(()) => self.pump(to),
            Err(error) if error.is_harmless() => {
                self.counts.refused += 1;
                Ok(())
            }
            Err(error) => Err(format!(
                "node {to} refused an honest message of {from}: {error}"
            )),
        }
    }

    fn produce(&mut self, producer: usize) -> Result<(), Broken> {
        let may = if self.is_enough() {
            May::FinishOld
        } else {
            May::SendNew
        };
        let Some(id) = self.workload.target(producer, may) else {
            return Ok(());
        };
        let now = self.clock.now();
        if now < self.quiet_until {
            self.clock.at(self.quiet_until, Event::Produce(producer));
            return Ok(());
        }
        let node = self.nodes.get_mut(&id);
        let lifetime = node.as_ref().map_or(0, |node| node.lifetime);
        let Some(up) = node.and_then(|node| node.up.as_mut()) else {
            self.workload.no_answer(producer);
            self.clock.in_micros(7_000, Event::Produce(producer));
            return Ok(());
        };
        let (replica, counts) = (&mut up.replica, &mut self.counts);
        let next = self
            .workload
            .produce(producer, may, lifetime, now, replica, counts)?;
        self.note(&format!("producer {producer} asks {id}: {next:?}"));
        match next {
            Next::Wait(last) => {
                let most = self.timing.pick(&self.plan.patience_millis);
                let patience = self.timing.between(100, most) * 1000;
                self.clock
                    .in_micros(patience, Event::GiveUp { producer, last });
                if self.workload.may_pipeline(producer) && self.timing.per_mille(400) {
                    let pause = self.timing.between(100, 3_000);
                    self.clock.in_micros(pause, Event::Produce(producer));
                }
            }
            Next::Again => self.clock.in_micros(5_000, Event::Produce(producer)),
            Next::GoOn => self.produce_later(producer),
            Next::Busy => {}
        }
        self.pump(id)
    }

    fn produce_later(&mut self, producer: usize) {
        let pause = self.timing.between(100, self.plan.pause_micros);
        self.clock.in_micros(pause, Event::Produce(producer));
    }

    /// Whether so many requests were acknowledged after the faults that producers may stop.
    pub(crate) fn is_enough(&self) -> bool {
        let since_calm = self.counts.acknowledged - self.acknowledged_at_calm;
        self.calm && since_calm >= self.plan.calm_requests
    }

    fn consume(&mut self, consumer: usize) -> Result<(), Broken> {
        let pause = self.timing.between(2_000, 40_000);
        self.clock.in_micros(pause, Event::Consume(consumer));
        let ids: Vec<_> = self.nodes.keys().copied().collect();
        let id = self.timing.pick(&ids);
        let node = &self.nodes[&id];
        let Some(up) = &node.up else { return Ok(()) };
        let connection = (id, node.lifetime);
        let (now, replica, counts) = (self.clock.now(), &up.replica, &mut self.counts);
        let read = self
            .workload
            .consume(consumer, connection, now, replica, counts);
        match read {
            Err(error) if node.suspect => {
                self.found_rot(id, &error);
                Ok(())
            }
            read => read,
        }
    }

    /// Lets a replica do all it can, and acts on it.
    pub(crate) fn pump(&mut self, id: u64) -> Result<(), Broken> {
        loop {
            let Some(up) = self.nodes.get_mut(&id).and_then(|node| node.up.as_mut()) else {
                return Ok(());
            };
            match up.advance() {
                Ok(effects) => {
                    if effects.reset.is_some() {
                        up.begins_anew();
                        self.counts.snapshots += 1;
                        self.note(&format!("{id} begins anew: {:?}", effects.reset));
                    }
                    let more = effects.more;
                    if effects.doubt_over {
                        self.counts.doubts_over += 1;
                        self.nodes.get_mut(&id).expect("it just advanced").in_doubt = false;
                    }
                    self.act(id, effects)?;
                    if !more {
                        break;
                    }
                }
                Err(error) => return self.ended(id, &error),
            }
        }
        if self.nodes[&id].disk.is_cut() {
            return self.ended(id, "the power is gone");
        }
        self.see_rest(id);
        self.observe(id)
    }

    fn act(&mut self, id: u64, effects: Effects<Disk>) -> Result<(), Broken> {
        let now = self.clock.now();
        for (to, mut message) in effects.messages {
            self.network.maybe_corrupt(&mut message);
            let number = self.counts.messages;
            for arrival in self.network.send(id, to.get(), now, &mut self.counts) {
                let (from, to, message) = (id, to.get(), Box::new(message.clone()));
                let event = Event::Deliver {
                    from,
                    to,
                    number,
                    message,
                };
                self.clock.at(arrival, event);
            }
        }
        let mut free = Vec::new();
        if self.plan.early_ack {
            for done in &effects.appended {
                let base = done.base_offset.get();
                free.extend(
                    self.workload
                        .acknowledged(done.token, base, now, &mut self.counts),
                );
            }
        }
        for done in &effects.committed {
            if done.token.get() >= OWN_TOKENS {
                self.own_committed(id, done.token);
            }
            let base = done.base_offset.get();
            free.extend(
                self.workload
                    .acknowledged(done.token, base, now, &mut self.counts),
            );
        }
        for (token, reason) in effects.dropped {
            free.extend(self.workload.dropped(token, reason, &mut self.counts));
        }
        if let Some(up) = &self.nodes[&id].up {
            let (replica, counts) = (&up.replica, &mut self.counts);
            free.extend(self.workload.answer_repeated(id, replica, now, counts));
        }
        for producer in free {
            self.produce_later(producer);
        }
        if let Some(change) = effects.leadership {
            self.note(&format!(
                "{id} is {:?} of term {}, led by {:?}",
                change.role, change.term, change.leader
            ));
            if change.role == Role::Leader {
                self.counts.leaders += 1;
                self.watch.leaders.leads(id, change.term.get())?;
            }
        }
        if let Some(job) = effects.persist {
            let early = self.timing.per_mille(300);
            let slow = self.timing.per_mille(10);
            let takes = if slow {
                self.timing.between(10_000, 250_000)
            } else {
                self.timing.between(150, 4_000)
            };
            let node = self.nodes.get_mut(&id).expect("a node of this cluster");
            let lifetime = node.lifetime;
            node.up
                .as_mut()
                .expect("it just advanced")
                .begin_job(job, early);
            self.clock.in_micros(takes, Event::Saved(id, lifetime));
        }
        Ok(())
    }

    /// A replica ended. Where no fault explains it, that is a broken promise.
    fn ended(&mut self, id: u64, error: &str) -> Result<(), Broken> {
        if self.nodes[&id].disk.is_cut() {
            self.counts.cuts_at_sync += 1;
            self.power_cut(id, "the power goes at a sync");
            return Ok(());
        }
        if self.nodes[&id].disk.is_full() {
            self.kill(id);
            return Ok(());
        }
        if self.nodes[&id].disk.has_failed() {
            self.counts.failed_syncs += 1;
            self.power_cut(id, "a sync fails");
            return Ok(());
        }
        // After what explains it otherwise: a replica is lost for good by this, maybe when others are, too.
        if self.nodes[&id].suspect {
            self.found_rot(id, error);
            return Ok(());
        }
        Err(format!("node {id} ended: {error}"))
    }

    /// The node goes down, and what was not synced with it; it comes back later.
    pub(crate) fn power_cut(&mut self, id: u64, why: &str) {
        if self.nodes[&id].was_rotten {
            self.kill(id);
            return;
        }
        self.counts.power_cuts += 1;
        self.down(id);
        self.nodes
            .get_mut(&id)
            .expect("a node of this cluster")
            .lost_power = true;
        let (lost, kept) = self.nodes[&id].disk.crash(&mut self.disks);
        self.counts.unsynced_lost += lost;
        self.counts.unsynced_kept += kept;
        self.note(&format!("{id} down, {why}: {lost} lost, {kept} kept"));
    }

    /// The process is gone; what it wrote stays.
    pub(crate) fn kill(&mut self, id: u64) {
        self.counts.kills += 1;
        self.down(id);
        self.note(&format!("{id} down, killed"));
    }

    fn down(&mut self, id: u64) {
        self.take_down(id);
        self.start_later(id);
    }

    pub(crate) fn take_down(&mut self, id: u64) {
        self.nodes.get_mut(&id).expect("a node of this cluster").up = None;
        for producer in self.workload.disconnected(id, &mut self.counts) {
            self.clock.in_micros(3_000, Event::Produce(producer));
        }
    }

    pub(crate) fn start_later(&mut self, id: u64) {
        let away = self.faults.between(2, self.plan.away_millis) * 1000;
        self.clock.in_micros(away, Event::Start(id));
    }
}
