//! What another server of the cluster says: its interest and its messages (reference: wire protocol 2.9 to 2.11).
//!
//! Its interest stands in the accounts' tables like subscriptions, owned by the connection, so that it goes with it.

use crate::codec::client::Limits;
use crate::codec::route::{next_frame, Frame, Next, Routed};
use crate::conn::Sub;
use crate::engine::{Engine, Fed};
use crate::errors::{self, CloseReason};
use crate::event::Event;
use crate::message::{push_tail, Message};
use crate::outbuf::BORROW_MIN;
use crate::subject;

/// Control lines between servers may be so much longer than those of clients (reference: 0.2).
const CONTROL_LINE_FACTOR: usize = 16;

impl Engine {
    pub(crate) fn feed_route(&mut self, slot: u32, buffer: &[u8], base: usize, now_ns: u64) -> Fed {
        let everything = buffer.len() - base;
        self.stall = false;
        self.full = false;
        let Some(conn) = self.conns.get_mut(slot).filter(|conn| conn.closing.is_none()) else {
            return Fed { used: everything, need: 1, stall: false };
        };
        conn.last_in_ns = now_ns;
        let limits = Limits {
            control_line_max: self.settings.control_line_max.saturating_mul(CONTROL_LINE_FACTOR),
            payload_max: conn.admission.payload_max,
            headers: true,
        };
        let mut at = base;
        let mut need = 1;
        while at < buffer.len() {
            match next_frame(buffer.get(at..).unwrap_or(&[]), &limits) {
                Next::Frame(frame, used) => {
                    if self.settings.trace {
                        self.trace_peer(slot, &frame, buffer.get(at..at + used).unwrap_or(&[]));
                    }
                    at += used;
                    self.handle_peer(slot, frame, buffer, now_ns);
                    self.settle(now_ns);
                    match self.conns.get(slot) {
                        Some(conn) if conn.closing.is_none() => {
                            if conn.paused || self.full {
                                need = 0;
                                break;
                            }
                        }
                        _ => return Fed { used: everything, need: 1, stall: false },
                    }
                }
                Next::Need(bytes) => {
                    need = bytes;
                    break;
                }
                Next::Fault(fault) => {
                    self.fault(slot, fault, buffer.get(at..).unwrap_or(&[]));
                    self.settle(now_ns);
                    return Fed { used: everything, need: 1, stall: false };
                }
            }
        }
        // Other publishers must not wait for one slow receiver here, so a server never rests.
        Fed { used: at - base, need, stall: false }
    }

    fn handle_peer(&mut self, slot: u32, frame: Frame<'_>, buffer: &[u8], now_ns: u64) {
        match frame {
            Frame::Message(message) => self.publish_routed(slot, &message, buffer, now_ns),
            Frame::Subscribe { account, subject, queue } => self.peer_wants(slot, account, subject, queue),
            Frame::Unsubscribe { account, subject, queue } => self.peer_wants_no_more(slot, account, subject, queue),
            Frame::Ping => self.ping(slot, now_ns),
            Frame::Pong => self.pong(slot, now_ns),
            Frame::Info(json) => {
                if let Some(conn) = self.conns.get_mut(slot) {
                    conn.paused = true;
                    self.events.push(Event::Peer { cid: conn.admission.cid, json: json.into() });
                }
            }
            Frame::Err(text) => {
                let detail = String::from_utf8_lossy(text.get(..text.len().min(256)).unwrap_or(&[])).into_owned();
                self.close_now(slot, CloseReason::ParseError, None, &format!("Route Error {detail}"));
            }
            Frame::Ignored => {}
        }
    }

    /// The control plane has read what another server told about itself: the connection goes on.
    pub fn proceed(&mut self, cid: u64) {
        if let Some(conn) = self.slot_of(cid).and_then(|slot| self.conns.get_mut(slot)) {
            conn.paused = false;
        }
    }

    /// Queues a protocol line for another server.
    pub fn tell_peer(&mut self, cid: u64, line: &[u8]) {
        if let Some(slot) = self.slot_of(cid) {
            self.send(slot, line);
            self.settle_command();
        }
    }

    /// A message of another server goes to those who are here.
    pub(crate) fn publish_routed(&mut self, slot: u32, p: &Routed<'_>, buffer: &[u8], now_ns: u64) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let (bytes, from_cid, from_kind) = (p.body.len() as u64, conn.admission.cid, conn.kind);
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
            from_kind,
            named: Some(p.queues),
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

    fn peer_wants(&mut self, slot: u32, account: &[u8], subject: &[u8], queue: Option<(&[u8], u32)>) {
        if !subject::is_valid(subject) || subject::tokens(subject).nth(subject::TOKENS_MAX).is_some() {
            self.send_err(slot, errors::INVALID_SUBSCRIPTION.as_bytes());
            return;
        }
        let Self { conns, accounts, subs, account_names, .. } = self;
        // Interest in an account that is not known here is nobody's business (reference: 2.10).
        let Some(&number) = account_names.get(account) else { return };
        let Some(account) = accounts.get_mut(number as usize) else { return };
        let Some(conn) = conns.get_mut(slot).filter(|conn| conn.may_export(subject)) else { return };
        let key = key(number, subject, queue.map(|(name, _)| name));
        let weight = queue.map_or(1, |(_, weight)| weight);
        match conn.subs.get(key.as_slice()).and_then(|&known| subs.get_mut(known)) {
            Some(known) if known.weight == weight => return,
            Some(known) => known.weight = weight,
            None => {
                if conn.subs.len() >= conn.admission.subs_max as usize {
                    let text = errors::MAXIMUM_SUBSCRIPTIONS_EXCEEDED;
                    self.close_now(slot, CloseReason::MaximumSubscriptionsExceeded, Some(text), text);
                    return;
                }
                let sub = subs.insert(Sub {
                    conn: slot,
                    account: number,
                    delivered: 0,
                    max: 0,
                    weight,
                    filtered: false,
                    place: account.interest.insert(subject, 0),
                    subject: subject.into(),
                    queue: queue.map(|(name, _)| name.into()),
                    sid: key.as_slice().into(),
                });
                if let Some(entry) = subs.get(sub) {
                    account.interest.set(entry.place, sub);
                }
                conn.subs.insert(key.into(), sub);
            }
        }
        if subject::has_wildcard(subject) {
            account.routes.forget_all();
        } else {
            account.routes.forget(subject);
        }
    }

    fn peer_wants_no_more(&mut self, slot: u32, account: &[u8], subject: &[u8], queue: Option<&[u8]>) {
        let Some(&number) = self.account_names.get(account) else { return };
        let key = key(number, subject, queue);
        if let Some(&sub) = self.conns.get(slot).and_then(|conn| conn.subs.get(key.as_slice())) {
            self.remove_sub(sub);
        }
    }
}

/// How a connection to another server finds an interest of its again.
fn key(account: u32, subject: &[u8], queue: Option<&[u8]>) -> Vec<u8> {
    [&account.to_be_bytes()[..], subject, b" ", queue.unwrap_or(&[])].concat()
}
