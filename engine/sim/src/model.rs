//! The naive model: lists of clients and subscriptions, walked from the start for every message.

use std::collections::BTreeMap;

use natsfleet_core::conn::Traffic;
use natsfleet_core::errors;
use natsfleet_core::event::Violation;
use natsfleet_core::subject;

use crate::client::{Client, Subscription};
use crate::operations::{Message, Operation};
use crate::plan::{Delivery, Plan};

/// Everybody who is connected.
#[derive(Debug, Default)]
pub struct Model {
    pub clients: BTreeMap<u64, Client>,
    /// Subscriptions of the control plane, with their account.
    pub internal: Vec<(u32, Subscription)>,
    pub accounts: BTreeMap<u32, Traffic>,
    pub imports: Vec<StreamImport>,
}

/// Subjects of one account that subscriptions of another get behind a prefix.
#[derive(Debug, Clone)]
pub struct StreamImport {
    pub importer: u32,
    pub exporter: u32,
    pub subject: Vec<u8>,
    pub prefix: Vec<u8>,
}

fn err(text: &str) -> Vec<u8> {
    format!("-ERR '{text}'\r\n").into_bytes()
}

fn quoted(bytes: &[u8]) -> String {
    format!("\"{}\"", String::from_utf8_lossy(bytes))
}

fn has_empty_token(subject: &[u8]) -> bool {
    subject.split(|&b| b == b'.').any(<[u8]>::is_empty)
}

impl Model {
    /// What `operation` of a client should lead to. Effects on the client itself have happened when this returns;
    /// deliveries are made by `deliver`.
    pub fn plan(&mut self, cid: u64, operation: &Operation, now_ns: u64) -> Plan {
        let mut plan = Plan::default();
        let Some(client) = self.clients.get_mut(&cid) else { return plan };
        let verbose = client.wishes.verbose;
        match operation {
            Operation::Ping => plan.before.push(b"PONG\r\n".to_vec()),
            Operation::Pong | Operation::Idle(b"+OK\r\n" | b"info {}\r\n" | b"INFO {\"a\":1}\r\n") => {}
            Operation::Idle(_) => plan.before.extend(verbose.then(|| b"+OK\r\n".to_vec())),
            Operation::Connect => plan.asks = true,
            Operation::Wrong(_, text) => {
                plan.before.extend(text.map(err));
                plan.closes = true;
            }
            Operation::Unsubscribe { sid, max } => {
                match client.sub(sid) {
                    Some(sub) if *max > sub.delivered => sub.max = *max,
                    _ => client.subs.retain(|sub| sub.sid != *sid),
                }
                plan.before.extend(verbose.then(|| b"+OK\r\n".to_vec()));
            }
            Operation::Subscribe { subject, queue, sid } => {
                subscribe(client, subject, queue.as_deref(), sid, &mut plan)
            }
            Operation::Publish(message) => self.publish(cid, message, now_ns, &mut plan),
        }
        plan
    }

    fn publish(&mut self, cid: u64, message: &Message, now_ns: u64, plan: &mut Plan) {
        let Some(client) = self.clients.get_mut(&cid) else { return };
        if message.header_bytes.is_some() && !client.wishes.headers {
            plan.closes = true;
            return;
        }
        let bytes = message.body.len() as u64;
        let account = client.account;
        for traffic in [&mut client.traffic, self.accounts.entry(account).or_default()] {
            traffic.in_msgs += 1;
            traffic.in_bytes += bytes;
        }
        let (subject, reply) = (&message.subject, &message.reply);
        if [&b"_R_."[..], b"_GR_.", b"$JS.ACK."].iter().any(|reserved| reply.starts_with(reserved)) {
            let text = format!("Permissions Violation for Publish with Reply of {}", quoted(reply));
            plan.before.push(err(&text));
            plan.violations.push((Violation::Reply, reply.clone(), Vec::new()));
            return;
        }
        let reserved = subject.starts_with(b"_GR_.") || subject.starts_with(b"$NRG.");
        if reserved || !(client.can_publish(subject) || client.take_reply(subject, now_ns)) {
            plan.before.push(err(&format!("Permissions Violation for Publish to {}", quoted(subject))));
            plan.violations.push((Violation::Publish, subject.clone(), Vec::new()));
            return;
        }
        let wishes = client.wishes;
        if wishes.pedantic && (!subject::is_valid(subject) || subject::has_wildcard(subject)) {
            plan.before.push(err(errors::INVALID_PUBLISH_SUBJECT));
        }
        plan.before.extend(wishes.verbose.then(|| b"+OK\r\n".to_vec()));
        (plan.number, plan.reply) = (message.number, reply.clone());
        if !has_empty_token(subject) {
            self.address(cid, account, message, plan);
        }
        if plan.plain.is_empty() && plan.groups.is_empty() && wishes.no_responders && !reply.is_empty() {
            let client = &self.clients[&cid];
            let hears = |sub: &&Subscription| sub.queue.is_none() && subject::matches(&sub.subject, reply);
            plan.after = client.subs.iter().filter(hears).map(|sub| no_responders(sub, message)).collect();
        }
    }

    fn address(&self, from: u64, account: u32, message: &Message, plan: &mut Plan) {
        let mut groups: BTreeMap<Vec<u8>, Vec<Delivery>> = BTreeMap::new();
        let mut address = |queue: &Option<Vec<u8>>, delivery: Delivery| match queue {
            Some(queue) => groups.entry(queue.clone()).or_default().push(delivery),
            None => plan.plain.push(delivery),
        };
        let mut places = vec![(account, message.clone())];
        for import in &self.imports {
            if import.exporter == account && subject::matches(&import.subject, &message.subject) {
                let local = [&import.prefix[..], b".", &message.subject].concat();
                places.push((import.importer, Message { subject: local, ..message.clone() }));
            }
        }
        for (place, message) in &places {
            self.address_in(from, *place, account, message, &mut address);
        }
        plan.groups = groups.into_values().collect();
    }

    /// Addresses what an account's subscriptions get under this subject; it counts in the account of the publisher.
    fn address_in(
        &self,
        from: u64,
        place: u32,
        account: u32,
        message: &Message,
        address: &mut impl FnMut(&Option<Vec<u8>>, Delivery),
    ) {
        for client in self.clients.values().filter(|client| client.account == place) {
            if client.cid == from && !client.wishes.echo {
                continue;
            }
            for sub in client.subs.iter().filter(|sub| subject::matches(&sub.subject, &message.subject)) {
                let denied = |rights: &crate::rights::Rights| rights.denies(&message.subject, sub.queue.as_deref());
                let filtered = subject::has_wildcard(&sub.subject) && client.rights.as_ref().is_some_and(denied);
                if !filtered {
                    let made = delivery(client.cid, sub, message, client.wishes.headers);
                    address(&sub.queue, Delivery { account, ..made });
                }
            }
        }
        for (_, sub) in self.internal.iter().filter(|(number, _)| *number == place) {
            if subject::matches(&sub.subject, &message.subject) {
                address(&sub.queue, Delivery { account, ..delivery(0, sub, message, true) });
            }
        }
    }

    /// The control plane publishes.
    pub fn plan_internal(&self, account: u32, message: &Message) -> Plan {
        let mut plan = Plan { number: message.number, reply: message.reply.clone(), ..Plan::default() };
        let mut groups: BTreeMap<Vec<u8>, Vec<Delivery>> = BTreeMap::new();
        if has_empty_token(&message.subject) {
            return plan;
        }
        self.address(0, account, message, &mut plan);
        // The control plane does not hear itself.
        plan.plain.retain(|delivery| delivery.cid != 0);
        for (at, mut group) in std::mem::take(&mut plan.groups).into_iter().enumerate() {
            group.retain(|delivery| delivery.cid != 0);
            groups.insert(at.to_string().into(), group);
        }
        plan.groups = groups.into_values().filter(|group| !group.is_empty()).collect();
        plan
    }

    /// A message was delivered.
    pub fn deliver(&mut self, delivery: &Delivery, reply: &[u8], now_ns: u64) {
        if delivery.cid == 0 {
            if let Some((_, sub)) = self.internal.iter_mut().find(|(_, sub)| sub.sid == delivery.sid) {
                sub.delivered += 1;
            }
            return;
        }
        let Some(client) = self.clients.get_mut(&delivery.cid) else { return };
        let account = self.accounts.entry(delivery.account).or_default();
        for traffic in [&mut client.traffic, account] {
            traffic.out_msgs += 1;
            traffic.out_bytes += delivery.counted_bytes;
        }
        if let Some(sub) = client.sub(&delivery.sid) {
            sub.delivered += 1;
        }
        client.subs.retain(|sub| sub.max == 0 || sub.delivered < sub.max);
        client.note_reply(reply, now_ns);
    }
}

fn subscribe(client: &mut Client, subject: &[u8], queue: Option<&[u8]>, sid: &[u8], plan: &mut Plan) {
    let permitted = client.rights.as_ref().is_none_or(|rights| rights.can_subscribe(subject, queue));
    if !permitted || queue == Some(b"_sys_") {
        let using = queue.map(|queue| format!(" using queue {}", quoted(queue))).unwrap_or_default();
        plan.before.push(err(&format!("Permissions Violation for Subscription to {}{using}", quoted(subject))));
        plan.violations.push((Violation::Subscribe, subject.to_vec(), queue.unwrap_or_default().to_vec()));
        return;
    }
    if client.subs.len() >= client.subs_max {
        plan.before.push(err(errors::MAXIMUM_SUBSCRIPTIONS_EXCEEDED));
        return;
    }
    if client.sub(sid).is_none() {
        if !subject::is_valid(subject) {
            plan.before.push(err(errors::INVALID_SUBJECT));
            return;
        }
        let (subject, queue, sid) = (subject.to_vec(), queue.map(<[u8]>::to_vec), sid.to_vec());
        client.subs.push(Subscription { subject, queue, sid, delivered: 0, max: 0 });
    }
    plan.before.extend(client.wishes.verbose.then(|| b"+OK\r\n".to_vec()));
}

fn delivery(cid: u64, sub: &Subscription, message: &Message, headers: bool) -> Delivery {
    let subject = String::from_utf8_lossy(&message.subject);
    let sid = String::from_utf8_lossy(&sub.sid);
    let reply =
        if message.reply.is_empty() { String::new() } else { format!("{} ", String::from_utf8_lossy(&message.reply)) };
    let (verb, sizes, body) = match message.header_bytes {
        Some(bytes @ 1..) if headers => {
            debug_assert!(bytes > 0);
            ("HMSG", format!("{} {}", message.sizes.0, message.sizes.1), &message.body[..])
        }
        Some(bytes @ 1..) => ("MSG", (message.body.len() - bytes).to_string(), &message.body[bytes..]),
        _ => ("MSG", message.sizes.1.clone(), &message.body[..]),
    };
    let line = format!("{verb} {subject} {sid} {reply}{sizes}\r\n");
    let bytes = [line.as_bytes(), body, b"\r\n"].concat();
    Delivery { cid, sid: sub.sid.clone(), bytes, counted_bytes: body.len() as u64, account: 0 }
}

fn no_responders(sub: &Subscription, message: &Message) -> Vec<u8> {
    let header = format!("NATS/1.0 503\r\nNats-Subject: {}\r\n\r\n", String::from_utf8_lossy(&message.subject));
    let (reply, sid) = (String::from_utf8_lossy(&message.reply), String::from_utf8_lossy(&sub.sid));
    format!("HMSG {reply} {sid} {0} {0}\r\n{header}\r\n", header.len()).into_bytes()
}
