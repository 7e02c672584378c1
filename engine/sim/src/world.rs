//! Plays a run: clients talk, the engine answers, and after every step both are compared with the model.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;

use natsfleet_core::conn::Traffic;
use natsfleet_core::engine::{Engine, Settings};
use natsfleet_core::errors::CloseReason;
use natsfleet_core::event::{Event, Violation};
use natsfleet_core::imports::{Imports, StreamSpec};
use natsfleet_core::subject;

use crate::chance::Chance;
use crate::client::{Client, Subscription};
use crate::model::{Model, StreamImport};
use crate::operations::{literal_subject, operation, pattern, Message, Operation, Taste};
use crate::output::{number_of, payload, Item};
use crate::plan::{Delivery, Plan};
use crate::wire::{Reader, Wire};

/// How much happens in a run.
#[derive(Debug, Clone, Copy)]
pub struct Size {
    /// Clients at a time.
    pub clients: usize,
    /// Steps.
    pub steps: usize,
}

/// What a run amounted to.
#[derive(Debug, Clone, Copy, Default)]
pub struct Outcome {
    /// Operations of clients that the engine processed.
    pub operations: u64,
    /// Messages that were delivered.
    pub deliveries: u64,
    /// Connections that were cut as slow.
    pub cut: u64,
    /// Connections in all.
    pub connections: u64,
}

/// Engine and model disagree.
#[derive(Debug)]
pub struct Failure {
    /// The run.
    pub seed: u64,
    /// Where in the run.
    pub step: usize,
    /// What differs.
    pub text: String,
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "seed {} step {}: {}", self.seed, self.step, self.text)
    }
}

const ACCOUNTS: u32 = 2;
const PING_INTERVAL_NS: u64 = 1_000_000_000;
const INTERNAL: u64 = 0;

type Checked = Result<(), String>;

/// An end of a connection, as the engine reported it.
#[derive(Debug, Clone, Copy)]
struct End {
    reason: CloseReason,
    traffic: Traffic,
    subs: u32,
}

struct World {
    chance: Chance,
    engine: Engine,
    model: Model,
    wires: BTreeMap<u64, Wire>,
    settings: Settings,
    taste: Taste,
    /// Messages for the control plane that came since they were last compared.
    internal_items: Vec<Item>,
    violations: Vec<(Violation, Vec<u8>, Vec<u8>)>,
    ends: BTreeMap<u64, End>,
    asked: Vec<u64>,
    now_ns: u64,
    next_cid: u64,
    next_number: u64,
    next_tag: u64,
    gone: Traffic,
    gone_slow: u64,
    gone_stale: u64,
    outcome: Outcome,
}

/// Runs one seed to its end.
pub fn simulate(seed: u64, size: Size) -> Result<Outcome, Failure> {
    let mut world = World::new(seed);
    for step in 0..size.steps {
        world.step(size).map_err(|text| Failure { seed, step, text })?;
    }
    world.finish().map_err(|text| Failure { seed, step: size.steps, text })?;
    Ok(world.outcome)
}

/// A pattern with a number for each of its wildcards.
fn numbered(pattern: &[u8]) -> Vec<u8> {
    let mut numbers = 1..;
    let tokens = pattern.split(|&b| b == b'.').map(|token| match token {
        b"*" => format!("${}", numbers.next().unwrap_or(0)).into_bytes(),
        token => token.to_vec(),
    });
    tokens.collect::<Vec<_>>().join(&b'.')
}

fn ensure(holds: bool, text: impl FnOnce() -> String) -> Checked {
    if holds {
        Ok(())
    } else {
        Err(text())
    }
}

fn add(sum: &mut Traffic, part: Traffic) {
    sum.in_msgs += part.in_msgs;
    sum.in_bytes += part.in_bytes;
    sum.out_msgs += part.out_msgs;
    sum.out_bytes += part.out_bytes;
}

impl World {
    /// Half of the runs are about slow readers: small limits, and one operation at a time, so that the moment of a cut
    /// is known. The others are about many operations in one piece of input.
    fn new(seed: u64) -> Self {
        let mut chance = Chance::new(seed);
        let tight = chance.percent(50);
        let settings = Settings {
            control_line_max: 512,
            pending_max: if tight { chance.between(2_000, 20_000) } else { 64 << 20 },
            pending_total_max: if chance.percent(50) { chance.between(10_000, 100_000) } else { 1 << 30 },
            write_deadline_ns: 5_000_000_000,
            ping_max: 2,
            ..Settings::default()
        };
        let mut engine = Engine::new(settings.clone(), chance.bits());
        for account in 0..ACCOUNTS {
            engine.install_account(account, None);
        }
        let wrong_permille = if chance.percent(50) { 0 } else { 10 };
        let payload_max = if tight { 3_000 } else { chance.between(100, 20_000) };
        Self {
            taste: Taste { numbered: !tight, payload_max, wrong_permille },
            chance,
            engine,
            model: Model::default(),
            wires: BTreeMap::new(),
            settings,
            internal_items: Vec::new(),
            violations: Vec::new(),
            ends: BTreeMap::new(),
            asked: Vec::new(),
            now_ns: 1_000,
            next_cid: 1,
            next_number: 0,
            next_tag: 1,
            gone: Traffic::default(),
            gone_slow: 0,
            gone_stale: 0,
            outcome: Outcome::default(),
        }
    }

    fn tight(&self) -> bool {
        !self.taste.numbered
    }

    fn step(&mut self, size: Size) -> Checked {
        self.now_ns += self.chance.below(1_000_000) as u64;
        match self.chance.below(100) {
            0..3 if self.wires.len() < size.clients => self.open(),
            0..70 => self.talk()?,
            70..85 => self.read()?,
            85..88 => self.answer()?,
            88..91 => self.pass_time()?,
            91..93 => self.hang_up()?,
            93..95 if self.chance.percent(40) => self.change_imports(),
            93..95 => self.command()?,
            95..97 => self.subscribe_internal(),
            _ => self.publish_internal()?,
        }
        if self.wires.len() < 2 {
            self.open();
        }
        self.compare_figures()
    }

    fn some_cid(&mut self, which: impl Fn(&Wire) -> bool) -> Option<u64> {
        let cids: Vec<u64> = self.wires.iter().filter(|(_, wire)| which(wire)).map(|(&cid, _)| cid).collect();
        (!cids.is_empty()).then(|| cids[self.chance.below(cids.len())])
    }

    fn open(&mut self) {
        let cid = self.next_cid;
        self.next_cid += 1;
        let client = Client::random(&mut self.chance, cid, ACCOUNTS);
        let admission = client.admission(self.taste.payload_max + 100, PING_INTERVAL_NS);
        let slot = self.engine.open(admission, self.now_ns);
        let reader = [Reader::Greedy, Reader::Greedy, Reader::Slow, Reader::Never][self.chance.below(4)];
        self.wires.insert(cid, Wire::new(slot, reader));
        self.model.clients.insert(cid, client);
        self.outcome.connections += 1;
    }

    /// A client says something, and some of what it has said reaches the engine.
    fn talk(&mut self) -> Checked {
        let Some(cid) = self.some_cid(|wire| !wire.closing && !wire.paused) else { return Ok(()) };
        let Some(wire) = self.wires.get_mut(&cid) else { return Ok(()) };
        for _ in 0..self.chance.between(1, 12) {
            let (operation, bytes) = operation(&mut self.chance, self.taste, &mut self.next_number);
            wire.say(operation, &bytes);
        }
        for _ in 0..self.chance.between(1, 12) {
            let one = !self.taste.numbered;
            let Some(wire) = self.wires.get_mut(&cid).filter(|wire| !wire.closing && !wire.paused && wire.has_unfed())
            else {
                break;
            };
            let input = wire.input(&mut self.chance, one);
            self.feed(cid, &input)?;
        }
        Ok(())
    }

    fn feed(&mut self, cid: u64, input: &[u8]) -> Checked {
        let mut at = 0;
        while at < input.len() {
            let Some(slot) = self.wires.get(&cid).map(|wire| wire.slot) else { return Ok(()) };
            let fed = self.engine.feed(slot, input, at, self.now_ns);
            ensure(fed.used <= input.len() - at, || format!("{} bytes used of {}", fed.used, input.len() - at))?;
            at += fed.used;
            if let Some(wire) = self.wires.get_mut(&cid) {
                wire.used += fed.used;
            }
            self.collect()?;
            self.capture(input)?;
            self.compare_operations(cid)?;
            self.flush(input)?;
            if fed.need != 0 || self.wires.get(&cid).is_none_or(|wire| wire.paused || wire.closing) {
                break;
            }
        }
        if let Some(wire) = self.wires.get_mut(&cid) {
            wire.keep(&input[at..]);
        }
        Ok(())
    }

    /// Takes the engine's reports.
    fn collect(&mut self) -> Checked {
        while let Some(event) = self.engine.events().pop() {
            match event {
                Event::Connect { cid, .. } => self.asked.push(cid),
                Event::Closed { cid, reason, traffic, subs, .. } => {
                    let end = End { reason, traffic, subs };
                    ensure(self.ends.insert(cid, end).is_none(), || format!("{cid} was closed twice"))?;
                }
                Event::Deliver { tag, subject, reply, header_bytes, body, .. } => {
                    let number = number_of(body.get(header_bytes..).unwrap_or(&[]));
                    let bytes = [&subject[..], b" ", &reply, b" ", &body].concat();
                    self.internal_items.push(Item { bytes, message: Some((tag.to_string().into_bytes(), number)) });
                }
                Event::Violation { kind, subject, queue, .. } => {
                    self.violations.push((kind, subject.into(), queue.into()));
                }
                Event::Info { .. } => {}
                other => return Err(format!("unexpected {other:?}")),
            }
        }
        Ok(())
    }

    fn capture(&mut self, input: &[u8]) -> Checked {
        for (cid, wire) in &mut self.wires {
            let slow = self.ends.get(cid).is_some_and(|end| is_slow(end.reason));
            if slow {
                wire.cut();
            } else {
                wire.capture(&self.engine, input).map_err(|text| format!("{cid}: {text}"))?;
            }
        }
        Ok(())
    }

    /// Compares what came out with what should have come of the operations that the engine is done with.
    fn compare_operations(&mut self, cid: u64) -> Checked {
        // What is wrong is seen before it is whole.
        let early = self.ends.get(&cid).is_some_and(|end| !is_slow(end.reason));
        while let Some(wire) = self.wires.get_mut(&cid) {
            if wire.operations.front().is_none_or(|(_, end)| *end > wire.used && !early) || wire.closing {
                break;
            }
            let Some((operation, _)) = wire.operations.pop_front() else { break };
            self.outcome.operations += 1;
            if matches!(operation, Operation::Pong) {
                wire.pings_out = 0;
            }
            let plan = self.model.plan(cid, &operation, self.now_ns);
            self.compare(cid, plan).map_err(|text| format!("{text}, after {cid} did {operation:?}"))?;
        }
        self.settle_ends()?;
        self.nothing_more()
    }

    /// Compares output with one plan, and carries it out in the model.
    fn compare(&mut self, cid: u64, plan: Plan) -> Checked {
        if matches!(plan.number, None | Some(0)) && !self.tight() && !(plan.plain.is_empty() && plan.groups.is_empty())
        {
            return Err("messages need numbers here".into());
        }
        for violation in &plan.violations {
            let seen = if self.violations.is_empty() { None } else { Some(self.violations.remove(0)) };
            ensure(seen.as_ref() == Some(violation), || format!("violation {seen:?} instead of {violation:?}"))?;
        }
        let cut = |world: &Self, cid: u64| {
            let slow = world.ends.get(&cid).is_some_and(|end| is_slow(end.reason));
            slow || world.wires.get(&cid).is_some_and(|wire| wire.silenced)
        };
        for item in &plan.before {
            self.expect_item(cid, &[item])?;
        }
        let receivers: Vec<u64> =
            plan.plain.iter().chain(plan.groups.iter().flatten()).map(|delivery| delivery.cid).collect();
        let mut seen: BTreeMap<u64, Vec<Item>> = BTreeMap::new();
        for receiver in receivers {
            seen.entry(receiver).or_insert_with(|| self.take_message(receiver, plan.number));
        }
        let mut made = Vec::new();
        for delivery in &plan.plain {
            if take(&mut seen, delivery) || cut(self, delivery.cid) {
                made.push(delivery.clone());
            } else {
                return Err(format!("missing {}", shown(delivery)));
            }
        }
        let mut lost = 0;
        for group in &plan.groups {
            let takers: Vec<&Delivery> = group.iter().filter(|delivery| take(&mut seen, delivery)).collect();
            match takers[..] {
                [one] => made.push(one.clone()),
                [] if group.iter().any(|delivery| cut(self, delivery.cid)) => lost += 1,
                [] => return Err(format!("no member of a group of {} got {}", group.len(), shown(&group[0]))),
                _ => return Err(format!("{} members of a group got {}", takers.len(), shown(takers[0]))),
            }
        }
        if let Some((cid, item)) = seen.iter().find_map(|(cid, items)| items.first().map(|item| (cid, item))) {
            return Err(format!("{cid} got {item}, which was not for it"));
        }
        self.outcome.deliveries += made.len() as u64 + lost;
        for delivery in &made {
            self.model.deliver(delivery, &plan.reply, self.now_ns);
        }
        if lost > 0 {
            self.settle_lost(&plan, lost)?;
        }
        self.model.internal.retain(|(_, sub)| sub.max == 0 || sub.delivered < sub.max);
        if !plan.after.is_empty() {
            let any: Vec<&Vec<u8>> = plan.after.iter().collect();
            self.expect_item(cid, &any)?;
        }
        self.compare_cuts(cid, &plan)?;
        if plan.asks {
            let at = self.asked.iter().position(|&asked| asked == cid).ok_or("no event for a CONNECT")?;
            self.asked.remove(at);
            if let Some(wire) = self.wires.get_mut(&cid) {
                wire.paused = true;
            }
        }
        if plan.closes {
            ensure(self.ends.contains_key(&cid), || format!("{cid} was not closed"))?;
        }
        // Otherwise later operations of the same input come first.
        if plan.closes || self.tight() {
            self.settle_ends()?;
        }
        Ok(())
    }

    /// The next item of a connection must be one of these.
    fn expect_item(&mut self, cid: u64, any: &[&Vec<u8>]) -> Checked {
        if self.ends.get(&cid).is_some_and(|end| is_slow(end.reason)) {
            return Ok(());
        }
        let Some(wire) = self.wires.get_mut(&cid).filter(|wire| !wire.silenced) else { return Ok(()) };
        let item = wire.items.pop_front();
        let fits = item.as_ref().is_some_and(|item| any.iter().any(|wanted| **wanted == item.bytes));
        ensure(fits, || {
            let wanted = String::from_utf8_lossy(any[0]);
            let got = item.map_or("nothing".into(), |item| item.to_string());
            format!("{cid} got {got} instead of {wanted:?}")
        })
    }

    /// The items of one message at the front of what a receiver got.
    fn take_message(&mut self, cid: u64, number: Option<u64>) -> Vec<Item> {
        let tight = self.tight();
        let is_it = |item: &Item| item.message.as_ref().is_some_and(|(_, seen)| tight || *seen == number);
        if cid == INTERNAL {
            let count = self.internal_items.iter().take_while(|item| is_it(item)).count();
            return self.internal_items.drain(..count).collect();
        }
        let Some(wire) = self.wires.get_mut(&cid) else { return Vec::new() };
        let count = wire.items.iter().take_while(|item| is_it(item)).count();
        wire.items.drain(..count).collect()
    }

    /// Members of groups whose choice cannot be seen since they were cut: the engine's own figures tell who it was.
    fn settle_lost(&mut self, plan: &Plan, lost: u64) -> Checked {
        let mut found = 0;
        let members = plan.groups.iter().flatten();
        let mut candidates: Vec<(u64, u32)> = members.map(|delivery| (delivery.cid, delivery.account)).collect();
        candidates.sort_unstable();
        candidates.dedup();
        for (cid, account) in candidates {
            let (Some(end), Some(client)) = (self.ends.get(&cid), self.model.clients.get_mut(&cid)) else { continue };
            let msgs = end.traffic.out_msgs.wrapping_sub(client.traffic.out_msgs);
            let bytes = end.traffic.out_bytes.wrapping_sub(client.traffic.out_bytes);
            ensure(msgs <= lost, || format!("{cid} counts {:?}, the model {:?}", end.traffic, client.traffic))?;
            found += msgs;
            client.unseen += msgs as usize;
            let account = self.model.accounts.entry(account).or_default();
            for traffic in [&mut client.traffic, account] {
                traffic.out_msgs += msgs;
                traffic.out_bytes += bytes;
            }
        }
        ensure(found == lost, || format!("{lost} messages to groups were not seen, {found} of them counted"))
    }

    /// Who should have been cut by this operation, as far as bytes tell; only known one operation at a time.
    fn compare_cuts(&mut self, sender: u64, plan: &Plan) -> Checked {
        if !self.tight() {
            return Ok(());
        }
        let max = self.settings.pending_max;
        for (&cid, wire) in &self.wires {
            let reason = self.ends.get(&cid).map(|end| end.reason);
            if wire.closing {
                continue;
            }
            if reason == Some(CloseReason::SlowConsumerPendingBytes) {
                let of = |delivery: &&Delivery| delivery.cid == cid;
                let messages = plan.plain.iter().chain(plan.groups.iter().flatten()).filter(of);
                let mut most: usize =
                    wire.pending_when_cut() + messages.map(|delivery| delivery.bytes.len()).sum::<usize>();
                if cid == sender {
                    most += plan.before.iter().map(Vec::len).sum::<usize>();
                    most += plan.after.iter().map(Vec::len).max().unwrap_or(0);
                }
                ensure(most > max, || format!("{cid} was cut with at most {most} bytes pending of {max}"))?;
            } else if reason.is_none() {
                ensure(wire.pending() <= max, || format!("{cid} has {} bytes pending of {max}", wire.pending()))?;
            }
        }
        Ok(())
    }

    /// Connections that ended leave the model, after a look at their last figures.
    fn settle_ends(&mut self) -> Checked {
        for (cid, end) in &self.ends {
            let Some(client) = self.model.clients.remove(cid) else { continue };
            let (seen, wanted) = (end.traffic, client.traffic);
            ensure(seen == wanted, || format!("{cid} ended with {seen:?}, the model has {wanted:?}"))?;
            let (seen, wanted) = (end.subs as usize, client.subs.len());
            let least = wanted.saturating_sub(client.unseen);
            ensure((least..=wanted).contains(&seen), || format!("{cid} ended with {seen} subscriptions of {wanted}"))?;
            add(&mut self.gone, end.traffic);
            self.gone_slow += u64::from(is_slow(end.reason));
            self.gone_stale += u64::from(end.reason == CloseReason::StaleConnection);
            if let Some(wire) = self.wires.get_mut(cid) {
                wire.closing = true;
            }
        }
        Ok(())
    }

    /// All output must have been explained.
    fn nothing_more(&mut self) -> Checked {
        for (cid, wire) in &mut self.wires {
            if let Some(item) = wire.items.pop_front() {
                return Err(format!("{cid} got {item}, which nothing explains"));
            }
        }
        ensure(self.internal_items.is_empty(), || format!("the control plane got {}", self.internal_items[0]))?;
        ensure(self.violations.is_empty(), || format!("unexplained violation {:?}", self.violations[0]))
    }

    /// The engine flushes what it touched, as the drive would.
    fn flush(&mut self, input: &[u8]) -> Checked {
        let mut touched = Vec::new();
        while self.engine.has_touched() {
            self.engine.take_touched(&mut touched);
            for &slot in &touched {
                self.flush_slot(slot, input)?;
            }
        }
        let left: Vec<String> = self
            .wires
            .values()
            .filter(|wire| self.engine.conn(wire.slot).is_some_and(|conn| conn.out().has_borrowed()))
            .map(|wire| wire.slot.to_string())
            .collect();
        ensure(left.is_empty(), || format!("slots {left:?} still borrow from the input"))?;
        let (held, max) = (self.engine.totals().stuck_bytes, self.settings.pending_total_max as u64);
        ensure(held <= max, || format!("{held} bytes are held by slow sockets, of {max}"))
    }

    fn flush_slot(&mut self, slot: u32, input: &[u8]) -> Checked {
        let Some((&cid, wire)) = self.wires.iter_mut().find(|(_, wire)| wire.slot == slot) else { return Ok(()) };
        wire.flush(&mut self.engine, input, self.now_ns, &mut self.chance);
        self.collect()?;
        let slow: Vec<u64> = self.ends.iter().filter(|(_, end)| is_slow(end.reason)).map(|(&cid, _)| cid).collect();
        for cid in slow {
            if let Some(wire) = self.wires.get_mut(&cid) {
                wire.cut();
            }
        }
        self.settle_ends()?;
        self.bury(cid);
        Ok(())
    }

    /// Forgets a connection that has ended and said everything, or is not worth waiting for.
    fn bury(&mut self, cid: u64) {
        let Some(wire) = self.wires.get(&cid).filter(|wire| wire.closing) else { return };
        let slow = self.ends.get(&cid).is_some_and(|end| is_slow(end.reason));
        if slow || wire.pending() == 0 || self.chance.percent(10) {
            self.outcome.cut += u64::from(slow);
            let slot = wire.slot;
            self.take_away(cid, slot);
        }
    }

    /// The socket is gone; what was lent has come back before.
    fn take_away(&mut self, cid: u64, slot: u32) {
        if let Some(mut wire) = self.wires.remove(&cid) {
            wire.give_back(&mut self.engine, &[], self.now_ns);
        }
        self.engine.forget(slot);
        self.ends.remove(&cid);
    }

    /// A client reads.
    fn read(&mut self) -> Checked {
        let Some(cid) = self.some_cid(|wire| wire.pending() > 0) else { return Ok(()) };
        let Some(wire) = self.wires.get_mut(&cid) else { return Ok(()) };
        wire.read(&mut self.chance);
        let slot = wire.slot;
        self.flush_slot(slot, &[])?;
        self.flush(&[])
    }

    /// The control plane answers a CONNECT.
    fn answer(&mut self) -> Checked {
        let Some(cid) = self.some_cid(|wire| wire.paused && !wire.closing) else { return Ok(()) };
        let Some(client) = self.model.clients.get(&cid) else { return Ok(()) };
        let client = client.readmitted(&mut self.chance, ACCOUNTS);
        let admission = client.admission(self.taste.payload_max + 100, PING_INTERVAL_NS);
        self.engine.readmit(cid, admission, self.now_ns);
        let verbose = client.wishes.verbose;
        self.model.clients.insert(cid, client);
        if let Some(wire) = self.wires.get_mut(&cid) {
            wire.paused = false;
            wire.pings_out = 0;
        }
        self.after_command(cid, if verbose { vec![b"+OK\r\n".to_vec()] } else { Vec::new() })?;
        // What the client has said meanwhile is looked at now.
        match self.wires.get_mut(&cid).filter(|wire| !wire.closing) {
            Some(wire) => {
                let input = wire.held();
                self.feed(cid, &input)
            }
            None => Ok(()),
        }
    }

    /// Compares what a command of the control plane has led to: items for one connection, in any order.
    fn after_command(&mut self, cid: u64, mut wanted: Vec<Vec<u8>>) -> Checked {
        self.collect()?;
        self.capture(&[])?;
        let slow = self.ends.get(&cid).is_some_and(|end| is_slow(end.reason));
        if let Some(wire) = self.wires.get_mut(&cid).filter(|wire| !slow && !wire.silenced) {
            while let Some(item) = wire.items.pop_front() {
                let at = wanted.iter().position(|wanted| *wanted == item.bytes);
                wanted.remove(at.ok_or_else(|| format!("{cid} got {item} after a command"))?);
            }
            ensure(wanted.is_empty(), || format!("{cid} misses {:?}", String::from_utf8_lossy(&wanted[0])))?;
        }
        self.settle_ends()?;
        self.nothing_more()?;
        self.flush(&[])
    }

    /// Time passes: pings, deadlines.
    fn pass_time(&mut self) -> Checked {
        self.now_ns += self.chance.below(2_000_000_000) as u64;
        self.engine.tick(self.now_ns);
        self.collect()?;
        self.capture(&[])?;
        let deadline = self.settings.write_deadline_ns;
        for (cid, wire) in &mut self.wires {
            let reason = self.ends.get(cid).map(|end| end.reason);
            let late = wire.stuck_since_ns.is_some_and(|since| self.now_ns - since >= deadline) && !wire.closing;
            let cut = reason == Some(CloseReason::SlowConsumerWriteDeadline);
            ensure(late == cut, || format!("{cid} is late: {late}, was cut for it: {cut}"))?;
            while let Some(item) = wire.items.pop_front() {
                match item.bytes.as_slice() {
                    b"PING\r\n" => wire.pings_out += 1,
                    b"-ERR 'Stale Connection'\r\n" => {
                        let stale = wire.pings_out >= self.settings.ping_max;
                        ensure(stale && reason == Some(CloseReason::StaleConnection), || {
                            format!("{cid} was called stale with {} pings out", wire.pings_out)
                        })?;
                    }
                    _ => return Err(format!("{cid} got {item} by waiting")),
                }
            }
            let (max, out) = (self.settings.ping_max, wire.pings_out);
            ensure(out <= max, || format!("{cid} has {out} pings out"))?;
        }
        self.settle_ends()?;
        self.nothing_more()?;
        self.flush(&[])
    }

    /// A client goes away.
    fn hang_up(&mut self) -> Checked {
        let Some(cid) = self.some_cid(|wire| !wire.closing) else { return Ok(()) };
        self.lose(cid)
    }

    fn lose(&mut self, cid: u64) -> Checked {
        let Some(wire) = self.wires.get_mut(&cid) else { return Ok(()) };
        let slot = wire.slot;
        self.engine.lost(slot, CloseReason::ClientClosed, "");
        self.collect()?;
        self.settle_ends()?;
        self.take_away(cid, slot);
        self.flush(&[])
    }

    /// The control plane changes what a client may do, or closes it.
    fn command(&mut self) -> Checked {
        let Some(cid) = self.some_cid(|wire| !wire.closing) else { return Ok(()) };
        let Some(client) = self.model.clients.get_mut(&cid) else { return Ok(()) };
        if self.chance.percent(30) {
            self.engine.close(cid, CloseReason::Kicked, Some("bye"));
            return self.after_command(cid, vec![b"-ERR 'bye'\r\n".to_vec()]);
        }
        let rights = self.chance.percent(80).then(|| crate::rights::Rights::random(&mut self.chance));
        client.rights.clone_from(&rights);
        let mut told = Vec::new();
        if let Some(rights) = &rights {
            client.subs.retain(|sub| {
                let stays = rights.can_subscribe(&sub.subject, sub.queue.as_deref());
                if !stays {
                    let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
                    let using = sub.queue.as_ref().map(|q| format!(" using queue \"{}\"", text(q))).unwrap_or_default();
                    let (subject, sid) = (text(&sub.subject), text(&sub.sid));
                    let what = format!("Subscription to \"{subject}\"{using} (sid \"{sid}\")");
                    told.push(format!("-ERR 'Permissions Violation for {what}'\r\n").into_bytes());
                }
                stays
            });
        }
        let removed = self.engine.set_permit(cid, rights.map(|rights| rights.compile()));
        ensure(removed.len() == told.len(), || format!("{cid} lost {removed:?} instead of {}", told.len()))?;
        self.after_command(cid, told)
    }

    /// One account imports other streams of the other one, or none any more.
    fn change_imports(&mut self) {
        let importer = self.chance.below(ACCOUNTS as usize) as u32;
        let exporter = (importer + 1) % ACCOUNTS;
        let mut imports: Vec<StreamImport> = Vec::new();
        for _ in 0..self.chance.below(3) {
            let (subject, prefix) = (pattern(&mut self.chance), [&b"a"[..], b"b.c", b"x"][self.chance.below(3)].into());
            // Nothing comes twice, so that it is known which copy is the last of a subscription.
            if !imports.iter().any(|import| subject::overlap(&import.subject, &subject)) {
                imports.push(StreamImport { importer, exporter, subject, prefix });
            }
        }
        let specs = imports.iter().map(|import| StreamSpec {
            exporter,
            subject: import.subject.clone(),
            to: numbered(&[&import.prefix[..], b".", &import.subject].concat()),
            allow_trace: false,
        });
        let compiled = Imports::compile(b"\"A\"", b"\"N\"", specs.collect(), Vec::new());
        let compiled = compiled.unwrap_or_else(|error| panic!("{imports:?}: {error}"));
        self.engine.install_imports(vec![(importer, Arc::new(compiled))]);
        self.model.imports.retain(|import| import.importer != importer);
        self.model.imports.extend(imports);
    }

    fn subscribe_internal(&mut self) {
        if self.model.internal.len() > 5 || self.chance.percent(30) {
            if let Some((_, sub)) = self.model.internal.pop() {
                let tag = String::from_utf8_lossy(&sub.sid).parse().unwrap_or(0);
                self.engine.unsubscribe_internal(tag);
            }
            return;
        }
        let (tag, account) = (self.next_tag, self.chance.below(ACCOUNTS as usize) as u32);
        self.next_tag += 1;
        let subject = pattern(&mut self.chance);
        let queue = self.chance.percent(30).then(|| b"q1".to_vec());
        self.engine.subscribe_internal(account, &subject, queue.as_deref(), tag);
        let sid = tag.to_string().into_bytes();
        self.model.internal.push((account, Subscription { subject, queue, sid, delivered: 0, max: 0 }));
    }

    fn publish_internal(&mut self) -> Checked {
        self.next_number += 1;
        let account = self.chance.below(ACCOUNTS as usize) as u32;
        let body = payload(self.next_number, self.chance.below(2000));
        let message = Message {
            number: Some(self.next_number),
            subject: literal_subject(&mut self.chance),
            reply: if self.chance.percent(30) { b"r.1".to_vec() } else { Vec::new() },
            header_bytes: None,
            sizes: (String::new(), body.len().to_string()),
            body,
        };
        let Message { subject, reply, body, .. } = &message;
        let delivered = self.engine.publish_internal(account, subject, reply, 0, body, self.now_ns);
        let plan = self.model.plan_internal(account, &message);
        let wanted = plan.plain.len() + plan.groups.len();
        ensure(delivered == wanted as u64, || format!("{delivered} deliveries instead of {wanted} of {message:?}"))?;
        self.collect()?;
        self.capture(&[])?;
        self.compare(INTERNAL, plan)
            .map_err(|text| format!("{text}, after the control plane published {message:?}"))?;
        self.nothing_more()?;
        self.flush(&[])
    }

    fn compare_figures(&mut self) -> Checked {
        let totals = self.engine.totals();
        let mut sum = self.gone;
        let mut subs = self.model.internal.len();
        for (cid, client) in &self.model.clients {
            add(&mut sum, client.traffic);
            subs += client.subs.len();
            let view = self.engine.conn_view(*cid).ok_or_else(|| format!("{cid} is not shown"))?;
            let (seen, wanted) = ((view.traffic, view.subs), (client.traffic, client.subs.len()));
            ensure(seen == wanted, || format!("{cid} is shown with {seen:?} instead of {wanted:?}"))?;
            let (seen, wanted) = (view.pending, self.wires[cid].pending());
            ensure(seen == wanted, || format!("{cid} is shown with {seen} bytes pending instead of {wanted}"))?;
        }
        ensure(totals.traffic == sum, || format!("totals are {:?} instead of {sum:?}", totals.traffic))?;
        ensure(totals.subs as usize == subs, || format!("{} subscriptions in all instead of {subs}", totals.subs))?;
        let wanted = (self.model.clients.len() as u64, self.outcome.connections, self.gone_slow, self.gone_stale);
        let seen = (totals.conns, totals.conns_ever, totals.slow_consumers, totals.stale_connections);
        ensure(seen == wanted, || format!("connections now, ever, slow, stale: {seen:?} instead of {wanted:?}"))?;
        for view in self.engine.account_views() {
            let wanted = self.model.accounts.get(&view.number).copied().unwrap_or_default();
            ensure(view.traffic == wanted, || format!("account {}: {:?} not {wanted:?}", view.number, view.traffic))?;
        }
        self.compare_subscriptions()
    }

    fn compare_subscriptions(&mut self) -> Checked {
        if !self.chance.percent(10) {
            return Ok(());
        }
        let (_, views) = self.engine.sub_page(None, None, 0, usize::MAX);
        let mut seen: Vec<_> =
            views.iter().map(|v| (v.cid, v.sid.to_vec(), v.subject.to_vec(), v.delivered, v.max)).collect();
        let row = |cid, sub: &Subscription| (cid, sub.sid.clone(), sub.subject.clone(), sub.delivered, sub.max);
        let of_clients = self.model.clients.values().flat_map(|c| c.subs.iter().map(move |sub| row(c.cid, sub)));
        let mut wanted: Vec<_> =
            of_clients.chain(self.model.internal.iter().map(|(_, sub)| row(INTERNAL, sub))).collect();
        seen.sort_unstable();
        wanted.sort_unstable();
        ensure(seen == wanted, || format!("subscriptions are {seen:?} instead of {wanted:?}"))
    }

    /// Everybody leaves; nothing may be left.
    fn finish(&mut self) -> Checked {
        while let Some(&cid) = self.wires.keys().next() {
            self.lose(cid)?;
        }
        while let Some((_, sub)) = self.model.internal.pop() {
            self.engine.unsubscribe_internal(String::from_utf8_lossy(&sub.sid).parse().unwrap_or(0));
        }
        self.compare_figures()?;
        let totals = self.engine.totals();
        ensure((totals.conns, totals.subs, totals.stuck_bytes) == (0, 0, 0), || format!("left over: {totals:?}"))?;
        ensure(self.engine.account_views().iter().all(|view| view.conns == 0 && view.lookups.subs == 0), || {
            format!("left over: {:?}", self.engine.account_views())
        })
    }
}

fn is_slow(reason: CloseReason) -> bool {
    matches!(reason, CloseReason::SlowConsumerPendingBytes | CloseReason::SlowConsumerWriteDeadline)
}

/// Takes the item of a delivery out of what was seen. An item for the control plane is looked at by its body only.
fn take(seen: &mut BTreeMap<u64, Vec<Item>>, delivery: &Delivery) -> bool {
    let Some(items) = seen.get_mut(&delivery.cid) else { return false };
    let fits = |item: &Item| {
        let sid = item.message.as_ref().is_some_and(|(sid, _)| *sid == delivery.sid);
        sid && (delivery.cid == INTERNAL || item.bytes == delivery.bytes)
    };
    let at = items.iter().position(fits);
    at.map(|at| items.remove(at)).is_some()
}

fn shown(delivery: &Delivery) -> String {
    let shown = String::from_utf8_lossy(&delivery.bytes[..delivery.bytes.len().min(60)]).into_owned();
    format!("{shown:?} for {}", delivery.cid)
}
