//! A message: checked, mapped, matched, delivered (reference: wire protocol 8.1).
//!
//! The common case costs a comparison of the subject with the connection's last one, then per receiver two copies:
//! the ready-made frame start from the route, and the rest of the frame straight from the input.

use crate::codec::client::Publish;
use crate::conn::Kind;
use crate::engine::{Engine, YIELD_TOTAL_BYTES};
use crate::errors;
use crate::event::{Event, Violation};
use crate::fib::Route;
use crate::hops::passes;
use crate::mapping::Mapped;
use crate::message::{names, push_tail, Message};
use crate::msgtrace::trace_request;
use crate::outbuf::BORROW_MIN;
use crate::outlet::{Chosen, Outlet};
use crate::subject;

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
            self.events.push(Event::Violation {
                cid,
                kind,
                subject: subject.into(),
                queue: Box::default(),
                sid: Box::default(),
            });
        }
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
            tracing.enter(message.account, message.subject);
        }
        let mut delivered = 0;
        for target in &route.plain {
            delivered += u64::from(outlet.deliver(message, route, target));
        }
        let mut named = Vec::new();
        for queue in &route.queues {
            if message.named.is_some_and(|queues| !names(queues, &queue.name)) {
                continue;
            }
            match outlet.choose_and_deliver(message, route, queue, rng) {
                Chosen::Here => delivered += 1,
                Chosen::Peer(peer) => named.push((peer, &*queue.name)),
                Chosen::Nobody => {}
            }
        }
        for (peer, at) in route.peers.iter().zip(0..) {
            let plain = peer.plain && passes(message.from_kind, peer.kind, message.is_answer());
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
            from_kind: Kind::Internal,
            named: None,
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
        self.settle();
        delivered
    }
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
