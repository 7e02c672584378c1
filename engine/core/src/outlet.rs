//! Delivery to those who are here: the ready-made frame start from the route, and the rest of the frame straight from the
//! input. Of a queue group one member gets it.

use crate::conn::{Conn, Kind, Sub};
use crate::engine::{touch, Settings, YIELD_BYTES};
use crate::errors::CloseReason;
use crate::event::{Event, Events, Heading};
use crate::fib::{QueueRoute, Route, Target};
use crate::hash::Rng;
use crate::hops::{rank, Rank, LATER};
use crate::message::{push_without_header, Message};
use crate::msgtrace::Tracing;
use crate::slab::Slab;
use crate::trace::{traced_body, traced_line};

/// Bytes that may wait for another process of this node. It asks for what it gets, so it is not held to the limit of
/// clients, which the largest answers to monitoring would exceed.
pub(crate) const LINK_PENDING_MAX: usize = 256 << 20;

/// The parts of the engine that delivery changes, apart from the route it follows.
pub(crate) struct Outlet<'a> {
    pub(crate) conns: &'a mut Slab<Conn>,
    pub(crate) subs: &'a mut Slab<Sub>,
    pub(crate) touched: &'a mut Vec<u32>,
    pub(crate) doomed: &'a mut Vec<(u32, CloseReason)>,
    pub(crate) spent: &'a mut Vec<u32>,
    pub(crate) events: &'a mut Events,
    pub(crate) memory: &'a mut Vec<Vec<u8>>,
    pub(crate) settings: &'a Settings,
    pub(crate) stall: bool,
    pub(crate) full: bool,
    pub(crate) fresh_bytes: usize,
    pub(crate) tracing: &'a mut Option<Box<Tracing>>,
    pub(crate) out_msgs: u64,
    pub(crate) out_bytes: u64,
    pub(crate) routed_msgs: u64,
    pub(crate) routed_bytes: u64,
}

/// Who takes a queue group's message.
pub(crate) enum Chosen {
    /// A member here took it.
    Here,
    /// Members of this peer are to get it.
    Peer(u32),
    /// Nobody.
    Nobody,
}

/// The members of a queue group elsewhere that are considered at one rank.
struct Away<'a> {
    message: &'a Message<'a>,
    route: &'a Route,
    queue: &'a QueueRoute,
    rank: Rank,
    /// How many there are.
    weight: u32,
}

impl<'a> Away<'a> {
    fn of(message: &'a Message<'a>, route: &'a Route, queue: &'a QueueRoute, rank: Rank) -> Self {
        let mut away = Self { message, route, queue, rank, weight: 0 };
        away.weight = away.members().fold(0, |sum, (_, weight)| sum.saturating_add(weight));
        away
    }

    fn members(&self) -> impl Iterator<Item = (u32, u32)> + '_ {
        let counts = |peer: &&(u32, u32)| {
            self.route.peers.get(peer.0 as usize).is_some_and(|peer| {
                let rank = rank(self.message.from_kind, peer.kind, self.message.is_answer());
                peer.conn != self.message.from && rank == Some(self.rank)
            })
        };
        self.queue.remote.iter().filter(counts).copied()
    }

    /// The place of a peer, at random by the number of its members.
    fn choose(&self, rng: &mut Rng) -> Option<u32> {
        let mut at = rng.below(self.weight.max(1));
        for (peer, weight) in self.members() {
            if at < weight {
                return Some(peer);
            }
            at -= weight;
        }
        None
    }
}

impl Outlet<'_> {
    /// One member gets it, here or elsewhere: those of the cluster are chosen alike wherever they are, except that what
    /// another server of it sent stays here if it can (reference: 8.3).
    #[inline]
    pub(crate) fn choose_and_deliver(
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
        let beside = Away::of(message, route, queue, Rank::Beside);
        let start = rng.below(members.saturating_add(beside.weight).max(1));
        if start < members && self.deliver_one(message, route, queue, start as usize) {
            return Chosen::Here;
        }
        let later = LATER.iter().map(|&rank| Away::of(message, route, queue, rank));
        std::iter::once(beside).chain(later).find_map(|away| away.choose(rng)).map_or(Chosen::Nobody, Chosen::Peer)
    }

    /// One member of the group gets it: the first, walking round from `start`, that takes it.
    fn deliver_one(&mut self, message: &Message<'_>, route: &Route, queue: &QueueRoute, start: usize) -> bool {
        let (before, from) = queue.members.split_at(start.min(queue.members.len()));
        from.iter().chain(before).any(|target| self.deliver(message, route, target))
    }

    /// Queues the message for one receiver; false when that one does not take it.
    #[inline]
    pub(crate) fn deliver(&mut self, message: &Message<'_>, route: &Route, target: &Target) -> bool {
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
            tracing.received(conn.admission.cid, sub, message.subject, delivered_subject(route, target, sub));
            if tracing.only {
                return true;
            }
        }
        sub.delivered += 1;
        if sub.max != 0 && sub.delivered >= sub.max {
            self.spent.push(target.sub);
            if self.settings.report_details && conn.kind == Kind::Client {
                let (cid, max) = (conn.admission.cid, sub.max);
                self.events.push(Event::Spent { cid, sid: sub.sid.clone(), max });
            }
        }
        if conn.kind == Kind::Internal {
            self.report(message, route, target);
            return true;
        }
        // Who publishes does not rest, so who does not keep up does without.
        if self.settings.no_stall
            && message.from_kind == Kind::Client
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
pub(crate) fn is_nearly_full(pending: usize, pending_max: usize) -> bool {
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
        heading: Heading::Out,
        line: traced_line([start, message.reply, separator, &sizes].concat()),
        body: traced_body(settings, header_bytes, body),
    }
}
