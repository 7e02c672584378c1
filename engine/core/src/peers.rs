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
        let named = conn.names_accounts();
        let mut at = base;
        let mut need = 1;
        while at < buffer.len() {
            match next_frame(buffer.get(at..).unwrap_or(&[]), &limits, named) {
                Next::Frame(frame, used) => {
                    if self.settings.trace {
                        self.trace_peer(slot, &frame, buffer.get(at..at + used).unwrap_or(&[]));
                    }
                    at += used;
                    self.handle_peer(slot, frame, buffer, now_ns);
                    self.settle();
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
                    self.settle();
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
            self.settle();
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
        let remembered = self.remembered(slot, p);
        let account = match remembered {
            Some((account, _)) => account,
            None => match self.account_of(slot, p.account) {
                Some(account) => account,
                None => return,
            },
        };
        let Some(entry) = self.accounts.get_mut(account as usize) else { return };
        entry.traffic.in_msgs += 1;
        entry.traffic.in_bytes += bytes;
        let route = match remembered {
            Some((_, route)) => route,
            None if subject::has_no_empty_token(p.subject) => {
                let route = self.route_for(account, p.subject);
                self.remember_routed(slot, account, p.subject, route);
                route
            }
            None => return,
        };
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

    /// The account and the route of the last message of a server, if this one is for the same subject and that still holds.
    #[inline]
    fn remembered(&self, slot: u32, p: &Routed<'_>) -> Option<(u32, u32)> {
        let last = &self.conns.get(slot)?.last;
        let account = self.accounts.get(last.account as usize)?;
        // On a connection for one account there is no name to compare.
        let same = last.stamp == account.routes.stamp()
            && last.subject == p.subject
            && (p.account.is_empty() || *account.name == *p.account);
        same.then_some((last.account, last.route))
    }

    fn remember_routed(&mut self, slot: u32, account: u32, subject: &[u8], route: u32) {
        let Some(stamp) = self.accounts.get(account as usize).map(|account| account.routes.stamp()) else { return };
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let last = &mut conn.last;
        last.subject.clear();
        last.subject.extend_from_slice(subject);
        (last.account, last.route, last.stamp) = (account, route, stamp);
    }

    /// The number of the account that a line of a server is about.
    fn account_of(&self, slot: u32, name: &[u8]) -> Option<u32> {
        let conn = self.conns.get(slot)?;
        if conn.names_accounts() {
            self.account_names.get(name).copied()
        } else {
            Some(conn.admission.account)
        }
    }

    pub(crate) fn peer_wants(&mut self, slot: u32, account: &[u8], subject: &[u8], queue: Option<(&[u8], u32)>) {
        if !subject::is_valid(subject) || subject::tokens(subject).nth(subject::TOKENS_MAX).is_some() {
            self.send_err(slot, errors::INVALID_SUBSCRIPTION.as_bytes());
            return;
        }
        let number = self.account_of(slot, account);
        let Self { conns, accounts, subs, .. } = self;
        let Some(conn) = conns.get_mut(slot).filter(|conn| conn.may_export(subject)) else { return };
        let Some(number) = number else {
            if !conn.note_unclaimed(account, subject, queue) {
                self.close_full(slot);
            }
            return;
        };
        let Some(account) = accounts.get_mut(number as usize) else { return };
        let key = key(number, subject, queue.map(|(name, _)| name));
        let weight = queue.map_or(1, |(_, weight)| weight);
        match conn.subs.get(key.as_slice()).and_then(|&known| subs.get_mut(known)) {
            Some(known) if known.weight == weight => return,
            Some(known) => known.weight = weight,
            None => {
                if conn.subs.len() + conn.unclaimed.len() >= conn.admission.subs_max as usize {
                    self.close_full(slot);
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

    /// Forgets what a server told over this connection that it wants in an account: it will tell it over another.
    pub fn forget_interest(&mut self, cid: u64, account: &[u8]) {
        let Some(slot) = self.slot_of(cid) else { return };
        let number = self.account_of(slot, account);
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let Some(number) = number else {
            conn.take_unclaimed(account);
            return;
        };
        let of_account = |sub: &u32| self.subs.get(*sub).is_some_and(|sub| sub.account == number);
        let gone: Vec<u32> = conn.subs.values().copied().filter(of_account).collect();
        for sub in gone {
            self.remove_sub(sub);
        }
    }

    fn close_full(&mut self, slot: u32) {
        let text = errors::MAXIMUM_SUBSCRIPTIONS_EXCEEDED;
        self.close_now(slot, CloseReason::MaximumSubscriptionsExceeded, Some(text), text);
    }

    fn peer_wants_no_more(&mut self, slot: u32, account: &[u8], subject: &[u8], queue: Option<&[u8]>) {
        let Some(number) = self.account_of(slot, account) else {
            if let Some(conn) = self.conns.get_mut(slot) {
                conn.drop_unclaimed(account, subject, queue);
            }
            return;
        };
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
