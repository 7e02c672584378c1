//! A message: checked, mapped, matched, delivered (reference: wire protocol 8.1).
//!
//! The common case costs a comparison of the subject with the connection's last one, then per receiver two copies:
//! the ready-made frame start from the route, and the rest of the frame straight from the input.

use crate::codec::client::Publish;
use crate::codec::route::Routed;
use crate::conn::{Conn, Kind, Sub};
use crate::engine::{touch, Engine, Settings, YIELD_BYTES, YIELD_TOTAL_BYTES};
use crate::errors::{self, CloseReason};
use crate::event::{Event, Events, Violation};
use crate::fib::{Peer, QueueRoute, Route, Target};
use crate::hash::Rng;
use crate::mapping::Mapped;
use crate::msgtrace::{trace_request, Tracing};
use crate::outbuf::BORROW_MIN;
use crate::slab::Slab;
use crate::subject;
use crate::trace::{traced_body, traced_line};

/// Bytes that may wait for another process of this node. It asks for what it gets, so it is not held to the limit of
/// clients, which the largest answers to monitoring would exceed.
pub(crate) const LINK_PENDING_MAX: usize = 256 << 20;

/// A message on its way to receivers.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub from: u32,
    pub from_cid: u64,
    pub from_client: bool,
    /// The queue groups to serve, of a message that another server sent: it goes to no third one.
    pub routed: Option<&'a [u8]>,
    pub echo: bool,
    pub account: u32,
    pub subject: &'a [u8],
    pub reply: &'a [u8],
    pub header_bytes: Option<usize>,
    pub sizes: &'a [u8],
    pub body: &'a [u8],
    /// `[reply ]sizes\r\nbody\r\n`
    pub tail: &'a [u8],
    /// Where `tail` starts in the input buffer, when it may be borrowed from there.
    pub borrow_at: Option<usize>,
    pub now_ns: u64,
}

impl<'a> Message<'a> {
    /// What a client publishes to `subject`, without the bytes that receivers get as they are.
    #[inline]
    pub(crate) fn of(slot: u32, conn: &Conn, p: &Publish<'a>, subject: &'a [u8], now_ns: u64) -> Self {
        Self {
            from: slot,
            from_cid: conn.admission.cid,
            from_client: conn.kind == Kind::Client,
            routed: None,
            echo: conn.admission.wishes.echo,
            account: conn.admission.account,
            subject,
            reply: p.reply,
            header_bytes: p.header_bytes,
            sizes: &[],
            body: p.body,
            tail: &[],
            borrow_at: None,
            now_ns,
        }
    }
}

/// The parts of the engine that delivery changes, apart from the route it follows.
struct Outlet<'a> {
    conns: &'a mut Slab<Conn>,
    subs: &'a mut Slab<Sub>,
    touched: &'a mut Vec<u32>,
    doomed: &'a mut Vec<(u32, CloseReason)>,
    spent: &'a mut Vec<u32>,
    events: &'a mut Events,
    memory: &'a mut Vec<Vec<u8>>,
    settings: &'a Settings,
    stall: bool,
    full: bool,
    fresh_bytes: usize,
    tracing: &'a mut Option<Box<Tracing>>,
    out_msgs: u64,
    out_bytes: u64,
    routed_msgs: u64,
    routed_bytes: u64,
}

impl Engine {
    pub(crate) fn publish(&mut self, slot: u32, p: &Publish<'_>, buffer: &[u8], now_ns: u64) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let wishes = conn.admission.wishes;
        let bytes = p.body.len() as u64;
        let counted = u64::from(conn.kind != Kind::Link);
        let bytes = bytes * counted;
        conn.traffic.in_msgs += 1;
        conn.traffic.in_bytes += bytes;
        self.totals.traffic.in_msgs += counted;
        self.totals.traffic.in_bytes += bytes;
        let number = conn.admission.account;
        let Some(account) = self.accounts.get_mut(number as usize) else { return };
        account.traffic.in_msgs += counted;
        account.traffic.in_bytes += bytes;
        if !p.reply.is_empty() && is_reserved_reply(p.reply) {
            self.refuse_publish(slot, Violation::Reply, p.reply);
            return;
        }
        let request = p.header_bytes.and_then(|bytes| trace_request(p.body.get(..bytes).unwrap_or(&[])));
        if let Some(request) = request {
            self.publish_traced(slot, p, request, buffer, now_ns);
            return;
        }
        let known = conn.last.stamp == account.routes.stamp() && conn.last.subject == p.subject;
        if known {
            let route = conn.last.route;
            if conn.last.nobody && p.reply.is_empty() && !wishes.verbose {
                return;
            }
            if wishes.verbose {
                self.send(slot, b"+OK\r\n");
            }
            self.deliver_to(slot, p, p.subject, route, buffer, now_ns);
            return;
        }
        self.map_and_publish(slot, p, buffer, now_ns);
    }

    /// Publishes under the subject that the account's mappings give.
    pub(crate) fn map_and_publish(&mut self, slot: u32, p: &Publish<'_>, buffer: &[u8], now_ns: u64) {
        let Some(conn) = self.conns.get(slot) else { return };
        let Some(account) = self.accounts.get(conn.admission.account as usize) else { return };
        let mappings = account.mappings.clone().filter(|mappings| mappings.concerns(p.subject));
        match mappings {
            Some(mappings) => {
                let mut mapped = Vec::new();
                let roll = self.rng.below(100);
                let rng = &mut self.rng;
                match mappings.apply(p.subject, roll, &mut |bound| rng.below(bound), &mut mapped) {
                    Mapped::Unchanged => self.publish_as(slot, p, p.subject, false, buffer, now_ns),
                    Mapped::To => self.publish_as(slot, p, &mapped, false, buffer, now_ns),
                    // Lost by intent; the reference goes on with an empty subject, which permissions and requesters see.
                    Mapped::Dropped => self.publish_as(slot, p, b"", false, buffer, now_ns),
                }
            }
            None => self.publish_as(slot, p, p.subject, true, buffer, now_ns),
        }
    }

    /// Publishes under the subject that mappings gave: permissions, verbose and pedantic answers, delivery.
    fn publish_as(&mut self, slot: u32, p: &Publish<'_>, subject: &[u8], lasting: bool, buffer: &[u8], now_ns: u64) {
        if !self.may_publish(slot, subject, now_ns) {
            return;
        }
        let Some(conn) = self.conns.get(slot) else { return };
        let wishes = conn.admission.wishes;
        let number = conn.admission.account;
        let objection = wishes.pedantic && !subject::is_valid_literal(p.subject);
        if objection {
            self.send_err(slot, errors::INVALID_PUBLISH_SUBJECT.as_bytes());
        }
        if wishes.verbose {
            self.send(slot, b"+OK\r\n");
        }
        if !subject::has_no_empty_token(subject) {
            self.no_responders(slot, p, subject, 0);
            return;
        }
        if subject.first() == Some(&b'_') && self.crossings.responses.is_reply(number, subject) {
            self.publish_answer(slot, p, subject, now_ns);
            return;
        }
        let route = self.route_for(number, subject);
        // Only a subject that needs no decision next time is remembered: unmapped, and permitted by standing rules.
        if lasting && !objection {
            self.remember(slot, number, subject, route);
        }
        self.deliver_to(slot, p, subject, route, buffer, now_ns);
    }

    fn remember(&mut self, slot: u32, number: u32, subject: &[u8], route: u32) {
        let Some(routes) = self.accounts.get(number as usize).map(|account| &account.routes) else { return };
        let nobody = routes.get(route).is_none_or(Route::is_empty);
        let stamp = routes.stamp();
        let Some(conn) = self.conns.get_mut(slot) else { return };
        if conn.admission.permit.as_ref().is_none_or(|permit| permit.can_publish(subject)) {
            conn.last.subject.clear();
            conn.last.subject.extend_from_slice(subject);
            conn.last.route = route;
            conn.last.stamp = stamp;
            conn.last.nobody = nobody;
        }
    }

    /// Publish permission and reserved subjects; tells the client when it may not.
    pub(crate) fn may_publish(&mut self, slot: u32, subject: &[u8], now_ns: u64) -> bool {
        let Some(conn) = self.conns.get_mut(slot) else { return false };
        let reserved = is_reserved_subject(subject, conn.admission.system);
        let permitted = conn.admission.permit.as_ref().is_none_or(|permit| permit.can_publish(subject));
        if !reserved && permitted {
            return true;
        }
        if !reserved && conn.replies.as_mut().is_some_and(|replies| replies.take(subject, now_ns as i64)) {
            return true;
        }
        self.refuse_publish(slot, Violation::Publish, subject);
        false
    }

    fn refuse_publish(&mut self, slot: u32, kind: Violation, subject: &[u8]) {
        let mut text = Vec::new();
        match kind {
            Violation::Reply => errors::push_permissions_violation_for_reply(&mut text, subject),
            _ => errors::push_permissions_violation_for_publish(&mut text, subject),
        }
        self.send_err(slot, &text);
        if let Some(conn) = self.conns.get(slot) {
            let cid = conn.admission.cid;
            self.events.push(Event::Violation { cid, kind, subject: subject.into(), queue: Box::default() });
        }
    }

    /// The number of the route of `subject`, compiled now if it is not remembered.
    pub(crate) fn route_for(&mut self, number: u32, subject: &[u8]) -> u32 {
        let Some(account) = self.accounts.get_mut(number as usize) else { return u32::MAX };
        account.routes.matches += 1;
        if let Some(route) = account.routes.find(subject) {
            account.routes.hits += 1;
            return route;
        }
        let mut route = Route::default();
        self.add_targets(number, subject, &mut route);
        if !self.peers.is_empty() {
            self.add_peers(number, subject, &mut route);
        }
        if let Some(account) = self.accounts.get(number as usize) {
            if account.importers.is_some() || account.imported.is_some() {
                self.add_crossings(number, subject, &mut route);
            }
        }
        self.accounts.get_mut(number as usize).map_or(u32::MAX, |account| account.routes.insert(subject, route))
    }

    /// Adds the other servers that want what is delivered in an account on `subject`.
    fn add_peers(&self, number: u32, subject: &[u8], route: &mut Route) {
        let Some(account) = self.accounts.get(number as usize) else { return };
        account.interest.matching(subject, |found| {
            for entry in found.iter().filter_map(|&sub| self.subs.get(sub)).filter(|entry| entry.weight > 0) {
                add_peer(route, &account.name, subject, entry);
            }
        });
    }

    /// Adds the subscriptions of an account that get what is delivered there on `subject`. What other servers want there
    /// stays out: an importing account is told of by the name of the exporting one.
    pub(crate) fn add_targets(&self, number: u32, subject: &[u8], route: &mut Route) {
        let Some(account) = self.accounts.get(number as usize) else { return };
        account.interest.matching(subject, |found| {
            for &sub in found {
                if let Some(entry) = self.subs.get(sub).filter(|entry| entry.weight == 0) {
                    add_target(route, subject, sub, entry);
                }
            }
        });
    }

    fn deliver_to(&mut self, slot: u32, p: &Publish<'_>, subject: &[u8], route: u32, buffer: &[u8], now_ns: u64) {
        let Some(conn) = self.conns.get(slot) else { return };
        let mut scratch = std::mem::take(&mut self.scratch);
        let tail = match p.tail {
            Some(tail) => tail,
            None => {
                scratch.clear();
                push_tail(&mut scratch, p.reply, p.sizes, p.body);
                &scratch
            }
        };
        let message = Message {
            sizes: p.sizes,
            tail,
            borrow_at: p.tail.filter(|t| t.len() >= BORROW_MIN).map(|t| t.as_ptr() as usize - buffer.as_ptr() as usize),
            ..Message::of(slot, conn, p, subject, now_ns)
        };
        let (mut delivered, crosses) = self.deliver(&message, route);
        if crosses {
            delivered += self.cross(&message, route);
        }
        if delivered == 0 {
            self.no_responders(slot, p, subject, delivered);
        }
        scratch.clear();
        self.scratch = scratch;
    }

    /// How many got it, and whether service imports take it further.
    pub(crate) fn deliver(&mut self, message: &Message<'_>, route: u32) -> (u64, bool) {
        let Self {
            accounts, conns, subs, touched, doomed, spent, events, memory, settings, rng, totals, tracing, ..
        } = self;
        let Some(account) = accounts.get_mut(message.account as usize) else { return (0, false) };
        let Some(route) = account.routes.get(route) else { return (0, false) };
        let mut outlet = Outlet {
            conns,
            subs,
            touched,
            doomed,
            spent,
            events,
            memory,
            settings,
            stall: self.stall,
            full: self.full,
            fresh_bytes: self.fresh_bytes,
            tracing,
            out_msgs: 0,
            out_bytes: 0,
            routed_msgs: 0,
            routed_bytes: 0,
        };
        if let Some(tracing) = outlet.tracing {
            tracing.mapped = message.subject.into();
        }
        let mut delivered = 0;
        for target in &route.plain {
            delivered += u64::from(outlet.deliver(message, route, target));
        }
        let mut named = Vec::new();
        for queue in &route.queues {
            if message.routed.is_some_and(|queues| !names(queues, &queue.name)) {
                continue;
            }
            match outlet.choose_and_deliver(message, route, queue, rng) {
                Chosen::Here => delivered += 1,
                Chosen::Peer(peer) => named.push((peer, &*queue.name)),
                Chosen::Nobody => {}
            }
        }
        for (peer, at) in route.peers.iter().zip(0..) {
            let plain = peer.plain && message.routed.is_none();
            if plain || named.iter().any(|(of, _)| *of == at) {
                let queues = named.iter().filter(|(of, _)| *of == at).map(|(_, queue)| *queue);
                delivered += u64::from(outlet.forward(message, route.peer_prefix(peer), peer, queues));
            }
        }
        account.traffic.out_msgs += outlet.out_msgs;
        account.traffic.out_bytes += outlet.out_bytes;
        totals.traffic.out_msgs += outlet.out_msgs;
        totals.traffic.out_bytes += outlet.out_bytes;
        totals.routed.out_msgs += outlet.routed_msgs;
        totals.routed.out_bytes += outlet.routed_bytes;
        self.stall = outlet.stall;
        self.fresh_bytes = outlet.fresh_bytes;
        self.full = outlet.full || outlet.fresh_bytes > YIELD_TOTAL_BYTES;
        (delivered, !route.services.is_empty())
    }

    /// A message of another server goes to those who are here.
    pub(crate) fn publish_routed(&mut self, slot: u32, p: &Routed<'_>, buffer: &[u8], now_ns: u64) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let (bytes, from_cid) = (p.body.len() as u64, conn.admission.cid);
        conn.traffic.in_msgs += 1;
        conn.traffic.in_bytes += bytes;
        for traffic in [&mut self.totals.traffic, &mut self.totals.routed] {
            traffic.in_msgs += 1;
            traffic.in_bytes += bytes;
        }
        let Some(&account) = self.account_names.get(p.account) else { return };
        let Some(entry) = self.accounts.get_mut(account as usize) else { return };
        entry.traffic.in_msgs += 1;
        entry.traffic.in_bytes += bytes;
        if !subject::has_no_empty_token(p.subject) {
            return;
        }
        let route = self.route_for(account, p.subject);
        let mut scratch = Vec::new();
        let tail = p.tail.unwrap_or_else(|| {
            push_tail(&mut scratch, p.reply, p.sizes, p.body);
            &scratch
        });
        let message = Message {
            from: slot,
            from_cid,
            from_client: false,
            routed: Some(p.queues),
            echo: false,
            account,
            subject: p.subject,
            reply: p.reply,
            header_bytes: p.header_bytes,
            sizes: p.sizes,
            body: p.body,
            tail,
            borrow_at: p.tail.filter(|t| t.len() >= BORROW_MIN).map(|t| t.as_ptr() as usize - buffer.as_ptr() as usize),
            now_ns,
        };
        self.deliver(&message, route);
        if p.subject.first() == Some(&b'_') && self.crossings.responses.is_reply(account, p.subject) {
            self.answer(&message);
        }
    }

    /// Answers a request that nobody heard, if its sender wants that and listens for the answer (reference: 1.11).
    fn no_responders(&mut self, slot: u32, p: &Publish<'_>, subject: &[u8], delivered: u64) {
        let Some(conn) = self.conns.get(slot) else { return };
        if delivered > 0 || p.reply.is_empty() || !conn.admission.wishes.no_responders {
            return;
        }
        let Some(account) = self.accounts.get(conn.admission.account as usize) else { return };
        let mut listener = None;
        account.interest.matching(p.reply, |found| {
            listener = listener.or_else(|| {
                found.iter().copied().find(|&n| self.subs.get(n).is_some_and(|s| s.conn == slot && s.queue.is_none()))
            });
        });
        // It does not count as a delivery: an armed UNSUB still waits for a real one.
        let Some(sub) = listener.and_then(|number| self.subs.get_mut(number)) else { return };
        let header_len = 32 + subject.len();
        let mut line = Vec::with_capacity(p.reply.len() + sub.sid.len() + header_len + 24);
        line.extend_from_slice(b"HMSG ");
        line.extend_from_slice(p.reply);
        line.push(b' ');
        line.extend_from_slice(&sub.sid);
        line.extend_from_slice(format!(" {header_len} {header_len}\r\n").as_bytes());
        line.extend_from_slice(b"NATS/1.0 503\r\nNats-Subject: ");
        line.extend_from_slice(subject);
        line.extend_from_slice(b"\r\n\r\n\r\n");
        self.send(slot, &line);
    }

    /// The control plane publishes a message. `header_bytes` of `body` are a header block.
    pub fn publish_internal(
        &mut self,
        account: u32,
        subject: &[u8],
        reply: &[u8],
        header_bytes: usize,
        body: &[u8],
        now_ns: u64,
    ) -> u64 {
        let from = self.internal_slot();
        let sizes = if header_bytes > 0 { format!("{header_bytes} {}", body.len()) } else { body.len().to_string() };
        let mut tail = Vec::with_capacity(reply.len() + sizes.len() + body.len() + 5);
        push_tail(&mut tail, reply, sizes.as_bytes(), body);
        if account as usize >= self.accounts.len() || !subject::has_no_empty_token(subject) {
            return 0;
        }
        let route = self.route_for(account, subject);
        let message = Message {
            from,
            from_cid: 0,
            from_client: false,
            routed: None,
            echo: false,
            account,
            subject,
            reply,
            header_bytes: (header_bytes > 0).then_some(header_bytes),
            sizes: sizes.as_bytes(),
            body,
            tail: &tail,
            borrow_at: None,
            now_ns,
        };
        let (mut delivered, _) = self.deliver(&message, route);
        if self.crossings.responses.is_reply(account, subject) {
            delivered += self.answer(&message);
        }
        self.settle(now_ns);
        delivered
    }
}

pub(crate) fn push_tail(out: &mut Vec<u8>, reply: &[u8], sizes: &[u8], body: &[u8]) {
    if !reply.is_empty() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    // However the client separated the two sizes, receivers get one blank.
    let mut parts = sizes.split(|&b| b == b' ' || b == b'\t').filter(|part| !part.is_empty());
    if let Some(first) = parts.next() {
        out.extend_from_slice(first);
    }
    for part in parts {
        out.push(b' ');
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

fn add_target(route: &mut Route, subject: &[u8], sub: u32, entry: &Sub) {
    let prefix_at = route.prefixes.len() as u32;
    route.prefixes.extend_from_slice(b"HMSG ");
    route.prefixes.extend_from_slice(subject);
    route.prefixes.push(b' ');
    route.prefixes.extend_from_slice(&entry.sid);
    route.prefixes.push(b' ');
    let prefix_len = route.prefixes.len() as u32 - prefix_at;
    let target = Target { sub, conn: entry.conn, prefix_at, prefix_len };
    let Some(queue) = &entry.queue else {
        route.plain.push(target);
        return;
    };
    if let Some(known) = group_of(route, queue) {
        known.members.push(target);
    }
}

fn group_of<'a>(route: &'a mut Route, queue: &[u8]) -> Option<&'a mut QueueRoute> {
    let at = match route.queues.iter().position(|q| *q.name == *queue) {
        Some(at) => at,
        None => {
            route.queues.push(QueueRoute { name: queue.into(), members: Vec::new(), remote: Vec::new() });
            route.queues.len() - 1
        }
    };
    route.queues.get_mut(at)
}

/// Interest of another server: however often it wants the subject, it is one peer.
fn add_peer(route: &mut Route, account: &[u8], subject: &[u8], entry: &Sub) {
    let at = match route.peers.iter().position(|peer| peer.conn == entry.conn) {
        Some(at) => at,
        None => {
            let prefix_at = route.prefixes.len() as u32;
            for part in [b"RMSG ", account, b" ", subject, b" "] {
                route.prefixes.extend_from_slice(part);
            }
            let prefix_len = route.prefixes.len() as u32 - prefix_at;
            route.peers.push(Peer { conn: entry.conn, plain: false, prefix_at, prefix_len });
            route.peers.len() - 1
        }
    };
    match &entry.queue {
        Some(queue) => {
            if let Some(group) = group_of(route, queue) {
                group.remote.push((at as u32, entry.weight));
            }
        }
        None => {
            if let Some(peer) = route.peers.get_mut(at) {
                peer.plain = true;
            }
        }
    }
}

/// Whether a queue group is among those of a routed message.
fn names(queues: &[u8], queue: &[u8]) -> bool {
    queues.split(|&b| b == b' ' || b == b'\t').any(|name| name == queue)
}

/// Who takes a queue group's message.
enum Chosen {
    /// A member here took it.
    Here,
    /// Members of this peer are to get it.
    Peer(u32),
    /// Nobody.
    Nobody,
}

/// Subjects that only servers may publish to (reference: 1.8).
fn is_reserved_subject(subject: &[u8], system: bool) -> bool {
    match subject.first() {
        Some(b'_') => subject.len() > 5 && subject.starts_with(b"_GR_."),
        Some(b'$') => !system && subject.starts_with(b"$NRG."),
        _ => false,
    }
}

/// Reply subjects that only servers may use (reference: 1.8).
fn is_reserved_reply(reply: &[u8]) -> bool {
    match reply.first() {
        Some(b'_') => reply.starts_with(b"_R_.") || reply.starts_with(b"_GR_."),
        Some(b'$') => reply.starts_with(b"$JS.ACK."),
        _ => false,
    }
}

impl Outlet<'_> {
    /// One member gets it, here or elsewhere: members are chosen alike wherever they are, except that what another server
    /// sent stays here if it can (reference: 8.3).
    #[inline]
    fn choose_and_deliver(
        &mut self,
        message: &Message<'_>,
        route: &Route,
        queue: &QueueRoute,
        rng: &mut Rng,
    ) -> Chosen {
        let members = queue.members.len() as u32;
        if queue.remote.is_empty() {
            let start = if members > 1 { rng.below(members) } else { 0 };
            let taken = self.deliver_one(message, route, queue, start as usize);
            return if taken { Chosen::Here } else { Chosen::Nobody };
        }
        let others = |(peer, _): &&(u32, u32)| route.peers.get(*peer as usize).is_some_and(|p| p.conn != message.from);
        let away = queue.remote.iter().filter(others).fold(0u32, |sum, (_, weight)| sum.saturating_add(*weight));
        let start = match message.routed {
            Some(_) => rng.below(members.max(1)),
            None => rng.below(members.saturating_add(away).max(1)),
        };
        if start < members && self.deliver_one(message, route, queue, start as usize) {
            return Chosen::Here;
        }
        let mut at = rng.below(away.max(1));
        for (peer, weight) in queue.remote.iter().filter(others) {
            if at < *weight {
                return Chosen::Peer(*peer);
            }
            at -= weight;
        }
        Chosen::Nobody
    }

    /// Queues the message for another server, once, with the queue groups that it should serve.
    fn forward<'q>(
        &mut self,
        message: &Message<'_>,
        prefix: &[u8],
        peer: &Peer,
        queues: impl Iterator<Item = &'q [u8]> + Clone,
    ) -> bool {
        let Some(conn) = self.conns.get_mut(peer.conn) else { return false };
        if conn.closing.is_some() || peer.conn == message.from {
            return false;
        }
        if self.tracing.as_ref().is_some_and(|tracing| tracing.only) {
            return true;
        }
        if conn.out.is_bare() {
            if let Some(memory) = self.memory.pop() {
                conn.out.give_memory(memory);
            }
        }
        let stripped = message.header_bytes.filter(|&bytes| bytes == 0 || !conn.admission.wishes.headers);
        if message.header_bytes.is_some() && stripped.is_none() {
            conn.out.push(b"H");
            conn.out.push(prefix.get(1..).unwrap_or(&[]));
        } else {
            conn.out.push(prefix);
        }
        if self.settings.trace {
            let names: Vec<&[u8]> = queues.clone().collect();
            self.events.push(trace_forward(self.settings, message, conn, (prefix, names.as_slice(), stripped)));
        }
        let mut reply = message.reply;
        let mut listed = false;
        for queue in queues {
            if !listed && reply.is_empty() {
                conn.out.push(b"| ");
            } else if !listed {
                conn.out.push(b"+ ");
                conn.out.push(reply);
                conn.out.push(b" ");
            }
            listed = true;
            conn.out.push(queue);
            conn.out.push(b" ");
        }
        // With a list of groups the reply subject was in front of it.
        let skipped = if listed && !reply.is_empty() { reply.len() + 1 } else { 0 };
        if listed {
            reply = &[];
        }
        let mut body_bytes = message.body.len();
        match (stripped, message.borrow_at) {
            (Some(header_bytes), _) => {
                push_without_header(conn, message, reply, header_bytes);
                body_bytes -= header_bytes.min(body_bytes);
            }
            (None, Some(at)) => conn.out.push_borrowed(at + skipped, message.tail.len() - skipped),
            (None, None) => conn.out.push(message.tail.get(skipped..).unwrap_or(&[])),
        }
        self.fresh_bytes += if message.borrow_at.is_some() { prefix.len() } else { prefix.len() + message.tail.len() };
        conn.traffic.out_msgs += 1;
        conn.traffic.out_bytes += body_bytes as u64;
        self.out_msgs += 1;
        self.out_bytes += body_bytes as u64;
        self.routed_msgs += 1;
        self.routed_bytes += body_bytes as u64;
        touch(self.touched, conn, peer.conn);
        let pending_max = self.settings.pending_max;
        let pending = conn.pending();
        if pending > YIELD_BYTES.min(pending_max / 2) {
            let old = conn.stuck_pending + conn.lent;
            self.full |= pending - old.min(pending) > YIELD_BYTES.min(pending_max / 2);
            if pending > LINK_PENDING_MAX.max(pending_max) {
                self.doomed.push((peer.conn, CloseReason::SlowConsumerPendingBytes));
            } else if is_nearly_full(pending, pending_max) {
                self.stall |= !self.settings.no_stall;
            }
        }
        true
    }

    /// One member of the group gets it: the first, walking round from `start`, that takes it.
    fn deliver_one(&mut self, message: &Message<'_>, route: &Route, queue: &QueueRoute, start: usize) -> bool {
        let (before, from) = queue.members.split_at(start.min(queue.members.len()));
        from.iter().chain(before).any(|target| self.deliver(message, route, target))
    }

    /// Queues the message for one receiver; false when that one does not take it.
    #[inline]
    fn deliver(&mut self, message: &Message<'_>, route: &Route, target: &Target) -> bool {
        let Some(conn) = self.conns.get_mut(target.conn) else { return false };
        if conn.closing.is_some() || (target.conn == message.from && !message.echo) {
            return false;
        }
        let Some(sub) = self.subs.get_mut(target.sub) else { return false };
        if sub.filtered && denies(conn, sub, delivered_subject(route, target, sub)) {
            return false;
        }
        if sub.max != 0 && sub.delivered >= sub.max {
            return false;
        }
        if let Some(tracing) = &mut *self.tracing {
            // A trace ends at the border of the account.
            if sub.account == message.account {
                tracing.note(conn.admission.cid, sub);
            }
            if tracing.only {
                return sub.account == message.account;
            }
        }
        sub.delivered += 1;
        if sub.max != 0 && sub.delivered >= sub.max {
            self.spent.push(target.sub);
        }
        if conn.kind == Kind::Internal {
            self.report(message, route, target);
            return true;
        }
        // Who publishes does not rest, so who does not keep up does without.
        if self.settings.no_stall
            && message.from_client
            && conn.kind == Kind::Client
            && is_nearly_full(conn.pending(), self.settings.pending_max)
        {
            return false;
        }
        if conn.out.is_bare() {
            if let Some(memory) = self.memory.pop() {
                conn.out.give_memory(memory);
            }
        }
        let prefix = route.prefix(target);
        let mut body_bytes = message.body.len();
        match message.header_bytes {
            None => {
                conn.out.push(prefix.get(1..).unwrap_or(&[]));
                push_rest(conn, message);
            }
            Some(0) => {
                conn.out.push(prefix.get(1..).unwrap_or(&[]));
                push_without_header(conn, message, message.reply, 0);
            }
            Some(_) if conn.admission.wishes.headers => {
                conn.out.push(prefix);
                push_rest(conn, message);
            }
            Some(header_bytes) => {
                conn.out.push(prefix.get(1..).unwrap_or(&[]));
                push_without_header(conn, message, message.reply, header_bytes);
                body_bytes -= header_bytes.min(body_bytes);
            }
        }
        self.fresh_bytes += if message.borrow_at.is_some() { prefix.len() } else { prefix.len() + message.tail.len() };
        conn.traffic.out_msgs += 1;
        conn.traffic.out_bytes += body_bytes as u64;
        if conn.kind != Kind::Link {
            self.out_msgs += 1;
            self.out_bytes += body_bytes as u64;
        }
        if let Some(permit) = conn.admission.permit.as_ref().filter(|_| !message.reply.is_empty()) {
            if let Some(spec) = permit.responses().filter(|_| !permit.can_publish(message.reply)) {
                conn.replies.get_or_insert_default().note(message.reply, spec, message.now_ns as i64);
            }
        }
        touch(self.touched, conn, target.conn);
        if self.settings.trace {
            self.events.push(trace_delivery(self.settings, message, conn, prefix));
        }
        let pending_max = self.settings.pending_max;
        let pending = conn.pending();
        if pending > YIELD_BYTES.min(pending_max / 2) {
            // What a slow receiver has had waiting for longer is no reason to flush all others more often.
            let old = conn.stuck_pending + conn.lent;
            self.full |= pending - old.min(pending) > YIELD_BYTES.min(pending_max / 2);
            if conn.kind == Kind::Link && pending <= LINK_PENDING_MAX {
                return true;
            }
            if pending > pending_max {
                self.doomed.push((target.conn, CloseReason::SlowConsumerPendingBytes));
            } else if is_nearly_full(pending, pending_max) {
                self.stall |= !self.settings.no_stall;
            }
        }
        true
    }

    fn report(&mut self, message: &Message<'_>, route: &Route, target: &Target) {
        let Some(sub) = self.subs.get(target.sub) else { return };
        let tag = std::str::from_utf8(&sub.sid).ok().and_then(|sid| sid.parse().ok()).unwrap_or(0);
        self.events.push(Event::Deliver {
            tag,
            account: sub.account,
            from: message.from_cid,
            subject: delivered_subject(route, target, sub).into(),
            reply: message.reply.into(),
            header_bytes: message.header_bytes.unwrap_or(0),
            body: message.body.into(),
        });
    }
}

/// A receiver with so much waiting makes who publishes to it rest.
#[inline]
fn is_nearly_full(pending: usize, pending_max: usize) -> bool {
    pending > pending_max / 4 * 3
}

/// The subject that a receiver gets the message under: that of its own account.
fn delivered_subject<'a>(route: &'a Route, target: &Target, sub: &Sub) -> &'a [u8] {
    let prefix = route.prefix(target);
    prefix.get(b"HMSG ".len()..prefix.len().saturating_sub(sub.sid.len() + 2)).unwrap_or(&[])
}

#[inline]
fn denies(conn: &Conn, sub: &Sub, subject: &[u8]) -> bool {
    conn.admission.permit.as_ref().is_some_and(|permit| permit.denies_delivery(subject, sub.queue.as_deref()))
}

#[inline]
fn push_rest(conn: &mut Conn, message: &Message<'_>) {
    match message.borrow_at {
        Some(at) => conn.out.push_borrowed(at, message.tail.len()),
        None => conn.out.push(message.tail),
    }
}

/// What the log shows of a delivery: the line and the payload as this receiver gets them.
#[cold]
fn trace_delivery(settings: &Settings, message: &Message<'_>, conn: &Conn, prefix: &[u8]) -> Event {
    let plain = prefix.get(1..).unwrap_or(&[]);
    let header_bytes = message.header_bytes.filter(|&bytes| bytes > 0);
    let (start, sizes, header_bytes, body) = match (message.header_bytes, header_bytes) {
        (Some(_), Some(_)) if conn.admission.wishes.headers => {
            (prefix, message.sizes.to_vec(), header_bytes, message.body)
        }
        (Some(bytes), _) => {
            let body = message.body.get(bytes..).unwrap_or(&[]);
            (plain, body.len().to_string().into_bytes(), None, body)
        }
        _ => (plain, message.sizes.to_vec(), None, message.body),
    };
    let separator: &[u8] = if message.reply.is_empty() { b"" } else { b" " };
    Event::Trace {
        cid: conn.admission.cid,
        inbound: false,
        line: traced_line([start, message.reply, separator, &sizes].concat()),
        body: traced_body(settings, header_bytes, body),
    }
}

/// What the log shows of a message to another server, from the start of its line, the groups that it should serve, and
/// the bytes of its header block if that is left away.
#[cold]
fn trace_forward(
    settings: &Settings,
    message: &Message<'_>,
    conn: &Conn,
    (prefix, queues, stripped): (&[u8], &[&[u8]], Option<usize>),
) -> Event {
    let headers = message.header_bytes.filter(|_| stripped.is_none());
    let body = message.body.get(stripped.unwrap_or(0)..).unwrap_or(&[]);
    let mut line = if headers.is_some() { b"H".to_vec() } else { b"R".to_vec() };
    line.extend_from_slice(prefix.get(1..).unwrap_or(&[]));
    let mut words = queues.to_vec();
    match (queues.is_empty(), message.reply.is_empty()) {
        (true, true) => {}
        (true, false) => words.push(message.reply),
        (false, true) => words.insert(0, b"|"),
        (false, false) => words.splice(0..0, [&b"+"[..], message.reply]).for_each(drop),
    }
    for word in words {
        line.extend_from_slice(word);
        line.push(b' ');
    }
    match stripped {
        Some(_) => line.extend_from_slice(body.len().to_string().as_bytes()),
        None => line.extend_from_slice(message.sizes),
    }
    Event::Trace {
        cid: conn.admission.cid,
        inbound: false,
        line: traced_line(line),
        body: traced_body(settings, headers, body),
    }
}

/// The message as a receiver without header support gets it. The size text of a message with empty header is kept.
fn push_without_header(conn: &mut Conn, message: &Message<'_>, reply: &[u8], header_bytes: usize) {
    let body = message.body.get(header_bytes..).unwrap_or(&[]);
    let size = if header_bytes == 0 {
        let text = message.sizes.rsplit(|&b| b == b' ' || b == b'\t').next().unwrap_or(&[]);
        text.to_vec()
    } else {
        body.len().to_string().into_bytes()
    };
    let mut tail = Vec::with_capacity(reply.len() + size.len() + body.len() + 5);
    push_tail(&mut tail, reply, &size, body);
    conn.out.push(&tail);
}
