//! Pings, staleness and write deadlines (reference: wire protocol 1.13, 1.14).

use std::cmp::Reverse;

use crate::conn::Kind;
use crate::engine::Engine;
use crate::errors::{self, CloseReason};

/// First ping after CONNECT, unless the interval is shorter. Up to a fifth is added at random.
const FIRST_PING_NS: u64 = 2_000_000_000;
/// First ping to another server: what its round trip time decides should not wait for long.
const FIRST_PING_OF_PEERS_NS: u64 = 1_000_000_000;
/// How often a connection is looked at that is over its time to CONNECT but waits for the control plane.
const PATIENCE_NS: u64 = 100_000_000;
/// A round trip time older than this is measured again although the client is active.
const RTT_AGE_MAX_NS: u64 = 3_600_000_000_000;

impl Engine {
    /// Sets what a connection is watched for: called when it is opened, and whenever a CONNECT was settled.
    ///
    /// Before a CONNECT there is the time for it, and pings at the plain interval: a client that takes its time with
    /// CONNECT and PING expects a PONG first. After it the first ping comes soon.
    pub(crate) fn start_timers(&mut self, slot: u32, now_ns: u64) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let opening = !std::mem::replace(&mut conn.watched, true);
        let within = conn.admission.connect_within_ns.unwrap_or(0);
        let interval = conn.admission.ping_interval_ns;
        let peer = conn.kind == Kind::Route;
        let first = interval.min(if peer { FIRST_PING_OF_PEERS_NS } else { FIRST_PING_NS });
        let soon = peer || !opening;
        let spread = if !soon { 0 } else { u64::from(self.rng.below((first / 5_000_000).max(1) as u32)) * 1_000_000 };
        let wait = if soon { first + spread } else { interval };
        conn.pings_out = 0;
        conn.connect_due_ns = if within == 0 { 0 } else { now_ns + within };
        conn.ping_due_ns = if interval == 0 { 0 } else { now_ns.saturating_add(wait) };
        if let Some(due) = earliest([conn.connect_due_ns, conn.ping_due_ns, 0]) {
            self.set_timer(slot, due);
        }
    }

    /// The connection wants to be looked at when `due_ns` has come. An earlier wish stays.
    pub(crate) fn set_timer(&mut self, slot: u32, due_ns: u64) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        if conn.timer_ns == 0 || due_ns < conn.timer_ns {
            conn.timer_ns = due_ns;
            self.timers.push(Reverse((due_ns, slot, conn.admission.cid)));
        }
    }

    /// When `tick` should be called next.
    pub fn next_due_ns(&self) -> Option<u64> {
        let of_conns = self.timers.peek().map(|Reverse((due, _, _))| *due);
        of_conns.into_iter().chain(self.crossings.responses.next_due_ns()).min()
    }

    /// Does everything that is due at `now_ns`.
    pub fn tick(&mut self, now_ns: u64) {
        self.report_lapsed(now_ns);
        while let Some(&Reverse((due, slot, cid))) = self.timers.peek() {
            if due > now_ns {
                break;
            }
            self.timers.pop();
            let current = self
                .conns
                .get_mut(slot)
                .filter(|conn| conn.admission.cid == cid && conn.timer_ns == due && conn.closing.is_none());
            if let Some(conn) = current {
                conn.timer_ns = 0;
                self.look_at(slot, now_ns);
                self.settle();
            }
        }
    }

    fn look_at(&mut self, slot: u32, now_ns: u64) {
        let deadline = self.settings.write_deadline_ns;
        let Some(conn) = self.conns.get(slot) else { return };
        if conn.batch.due_ns(deadline).is_some_and(|due| due <= now_ns) && !self.forgive_late(slot, now_ns) {
            self.doomed.push((slot, CloseReason::SlowConsumerWriteDeadline));
            return;
        }
        let Some(conn) = self.conns.get(slot) else { return };
        if conn.connect_due_ns != 0 && conn.connect_due_ns <= now_ns && !conn.paused {
            let text = errors::AUTHENTICATION_TIMEOUT;
            self.close_now(slot, CloseReason::AuthenticationTimeout, Some(text), "authentication timeout");
            return;
        }
        if conn.ping_due_ns != 0 && conn.ping_due_ns <= now_ns {
            self.ping_due(slot, now_ns);
        }
        let Some(conn) = self.conns.get(slot).filter(|conn| conn.closing.is_none()) else { return };
        let connect = if conn.connect_due_ns == 0 { 0 } else { conn.connect_due_ns.max(now_ns + PATIENCE_NS) };
        let write = conn.batch.due_ns(deadline).map_or(0, |due| due.max(now_ns + 1));
        if let Some(due) = earliest([connect, conn.ping_due_ns, write]) {
            self.set_timer(slot, due);
        }
    }

    fn ping_due(&mut self, slot: u32, now_ns: u64) {
        let ping_max = self.settings.ping_max;
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let interval = conn.admission.ping_interval_ns;
        conn.ping_due_ns = now_ns + interval;
        let active = conn.last_in_ns != conn.opened_ns && now_ns.saturating_sub(conn.last_in_ns) < interval;
        let rtt_known = conn.rtt_at_ns != 0 && now_ns.saturating_sub(conn.rtt_at_ns) < RTT_AGE_MAX_NS;
        // Between servers silence must be noticed even where one direction still works.
        let spared = active && !conn.kind.is_server();
        if spared && rtt_known && conn.pings_out == 0 {
            return;
        }
        if conn.pings_out + 1 > ping_max {
            let detail = "Stale Client Connection - Closing";
            self.close_now(slot, CloseReason::StaleConnection, Some(errors::STALE_CONNECTION), detail);
            return;
        }
        conn.pings_out += 1;
        conn.ping_sent_ns = now_ns;
        self.send(slot, b"PING\r\n");
    }

    pub(crate) fn ping(&mut self, slot: u32, _now_ns: u64) {
        self.send(slot, b"PONG\r\n");
        let Some(conn) = self.conns.get_mut(slot) else { return };
        if conn.first_ping_seen {
            return;
        }
        conn.first_ping_seen = true;
        let info = std::mem::take(&mut conn.admission.first_pong_info);
        if !info.is_empty() {
            self.send(slot, &info);
        }
    }

    pub(crate) fn pong(&mut self, slot: u32, now_ns: u64) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        if conn.ping_sent_ns != 0 {
            conn.rtt_ns = now_ns.saturating_sub(conn.ping_sent_ns).max(1);
            conn.rtt_at_ns = now_ns;
            conn.ping_sent_ns = 0;
        }
        conn.pings_out = 0;
    }

    /// Sends an INFO to every client that wants them and has had its first PONG; the others get it with that.
    pub fn announce(&mut self, cid: u64, info: &[u8]) {
        let Some(slot) = self.slot_of(cid) else { return };
        let Some(conn) = self.conns.get_mut(slot) else { return };
        if conn.first_ping_seen {
            self.send(slot, info);
            self.settle();
        } else if !conn.admission.first_pong_info.is_empty() {
            conn.admission.first_pong_info = info.into();
        }
    }
}

/// The earliest of these times; 0 stands for never.
fn earliest(times: [u64; 3]) -> Option<u64> {
    times.into_iter().filter(|time| *time != 0).min()
}
