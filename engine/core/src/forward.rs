//! Delivery to other servers: each gets a message once, with the queue groups that it should serve.

use crate::conn::{Conn, Kind, Sub};
use crate::engine::{touch, Engine, Settings, YIELD_BYTES};
use crate::errors::CloseReason;
use crate::event::{Event, Heading};
use crate::fib::{Peer, Route};
use crate::message::{push_without_header, Message};
use crate::outlet::{is_nearly_full, Outlet, LINK_PENDING_MAX};
use crate::resolve::group_of;
use crate::trace::{traced_body, traced_line};

impl Engine {
    /// Adds the other servers that want what is delivered in an account on `subject`.
    pub(crate) fn add_peers(&self, number: u32, subject: &[u8], route: &mut Route) {
        let Some(account) = self.accounts.get(number as usize) else { return };
        account.interest.matching(subject, |found| {
            for entry in found.iter().filter_map(|&sub| self.subs.get(sub)).filter(|entry| entry.weight > 0) {
                let Some(conn) = self.conns.get(entry.conn).filter(|conn| !conn.withholds(subject)) else { continue };
                let name = Some(&*account.name).filter(|_| conn.names_accounts());
                add_peer(route, (conn.kind, name, subject), entry);
            }
        });
    }
}

impl Outlet<'_> {
    /// Queues the message for another server, once, with the queue groups that it should serve.
    pub(crate) fn forward<'q>(
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
}

/// Interest of another server: however often it wants the subject, it is one peer. Without `account` the connection is for
/// one only, which lines do not name.
fn add_peer(route: &mut Route, (kind, account, subject): (Kind, Option<&[u8]>, &[u8]), entry: &Sub) {
    let at = match route.peers.iter().position(|peer| peer.conn == entry.conn) {
        Some(at) => at,
        None => {
            let prefix_at = route.prefixes.len() as u32;
            // A leaf node's connection belongs to one account, too.
            let start: [&[u8]; 3] = match (kind, account) {
                (Kind::LeafBelow | Kind::LeafAbove, _) => [b"LMSG ", b"", b""],
                (_, Some(account)) => [b"RMSG ", account, b" "],
                (_, None) => [b"RMSG ", b"", b""],
            };
            for part in start.into_iter().chain([subject, b" "]) {
                route.prefixes.extend_from_slice(part);
            }
            let prefix_len = route.prefixes.len() as u32 - prefix_at;
            route.peers.push(Peer { conn: entry.conn, kind, plain: false, prefix_at, prefix_len });
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
    let mut line = if headers.is_some() { b"H".to_vec() } else { prefix.get(..1).unwrap_or(&[]).to_vec() };
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
        heading: Heading::Out,
        line: traced_line(line),
        body: traced_body(settings, headers, body),
    }
}
