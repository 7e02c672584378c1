//! How output leaves the engine: whom to flush, what was written, what a slow socket holds.
//!
//! Invariants: a connection's output is either here or lent, in the order in which it came about; what sockets refused is
//! counted in `stuck_bytes` until it has left or its connection is cut.

use crate::account::Account;
use crate::conn::Kind;
use crate::engine::{touch, Engine, Totals};
use crate::errors::CloseReason;
use crate::event::Event;
use crate::outbuf::OutBuf;

/// Buffers kept for reuse, and the largest that is worth keeping.
const MEMORY_BUFFERS_MAX: usize = 64;
const MEMORY_BUFFER_BYTES_MAX: usize = 4 << 20;

impl Engine {
    /// Connections with new output or a new state since the last call. The drive flushes each once.
    pub fn take_touched(&mut self, into: &mut Vec<u32>) {
        into.clear();
        self.fresh_bytes = 0;
        std::mem::swap(into, &mut self.touched);
        for &slot in into.iter() {
            if let Some(conn) = self.conns.get_mut(slot) {
                conn.touched = false;
            }
        }
    }

    /// True when some connection has something new to be flushed.
    pub fn has_touched(&self) -> bool {
        !self.touched.is_empty()
    }

    /// The socket has taken `written` bytes of a connection's output.
    pub fn wrote(&mut self, slot: u32, written: usize) {
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.out.wrote(written);
            conn.batch.take(written);
        }
    }

    /// The layers below NATS have taken `moved` bytes of a connection's output over, to write them in their own form.
    pub fn moved_below(&mut self, slot: u32, moved: usize) {
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.out.wrote(moved);
        }
    }

    /// The socket has taken `written` bytes of what the layers below NATS hold; `held` bytes are left with them.
    pub fn wrote_below(&mut self, slot: u32, written: usize, held: usize) {
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.batch.take(written);
            conn.below = held;
        }
    }

    /// Lends a connection's output to whoever writes it, elsewhere and meanwhile. It still counts as pending, and must come
    /// back before the next is lent or the connection is forgotten. It may borrow from the input of this cycle.
    pub fn lend(&mut self, slot: u32) -> Option<OutBuf> {
        let conn = self.conns.get_mut(slot)?;
        conn.lent = conn.out.pending();
        Some(std::mem::take(&mut conn.out))
    }

    /// Lent output comes back after `written` bytes of it have left; what is over has been detached. `input` is the input of
    /// this cycle.
    pub fn give_back(&mut self, slot: u32, out: OutBuf, written: usize, input: &[u8], now_ns: u64) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        conn.lent = 0;
        conn.batch.take(written);
        if matches!(conn.closing, Some(CloseReason::SlowConsumerPendingBytes | CloseReason::SlowConsumerWriteDeadline))
        {
            // It was cut meanwhile, and is told nothing more.
            return;
        }
        let refused = !out.is_empty();
        conn.out.put_before(out, input);
        if refused || conn.out.is_empty() {
            self.count_stuck(slot, now_ns);
        }
    }

    /// The drive has flushed a connection as far as its socket goes. `input` is the input of this cycle.
    pub fn flushed(&mut self, slot: u32, input: &[u8], now_ns: u64) {
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.out.detach(input);
        }
        self.count_stuck(slot, now_ns);
    }

    /// What a connection could not get rid of counts among what is held for slow sockets.
    fn count_stuck(&mut self, slot: u32, now_ns: u64) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let pending = conn.out.pending() + conn.below;
        let recovered = conn.batch.pause(pending, now_ns);
        if let Some(text) = recovered.filter(|_| conn.kind != Kind::Link) {
            self.events.push(Event::Slow { cid: conn.admission.cid, text: text.into() });
        }
        if conn.out.is_empty() {
            if let Some(memory) = conn.out.take_memory() {
                if self.memory.len() < MEMORY_BUFFERS_MAX && memory.capacity() <= MEMORY_BUFFER_BYTES_MAX {
                    self.memory.push(memory);
                }
            }
        }
        if pending == 0 {
            self.unstick(slot);
            return;
        }
        let held = conn.out.held() + conn.below;
        if let Some(due) = conn.batch.due_ns(self.settings.write_deadline_ns) {
            self.set_timer(slot, due);
        }
        if let Some(conn) = self.conns.get_mut(slot) {
            self.totals.stuck_bytes = self.totals.stuck_bytes + held as u64 - conn.stuck as u64;
            conn.stuck = held;
            conn.stuck_pending = conn.out.pending();
        }
        while self.totals.stuck_bytes > self.settings.pending_total_max as u64 {
            let Some(largest) = self.largest_stuck() else { break };
            let total = self.settings.pending_total_max;
            let detail = format!("Slow Consumer Detected: MaxPending of {total} Exceeded by all connections together");
            self.cut(largest, CloseReason::SlowConsumerPendingBytes, &detail);
        }
    }

    /// Whether to write although the socket has not said that it can take something: it may take less than it says so for.
    pub fn tries_again(&mut self, slot: u32) -> bool {
        self.conns.get_mut(slot).is_some_and(|conn| std::mem::take(&mut conn.again))
    }

    /// A receiver is late with what it was to take. It may stay if it has taken anything and late ones are forgiven, as
    /// other servers always are.
    pub(crate) fn forgive_late(&mut self, slot: u32, now_ns: u64) -> bool {
        let Some(conn) = self.conns.get_mut(slot) else { return false };
        let forgiven = self.settings.write_retry || conn.kind != Kind::Client;
        let late = conn.batch.late();
        if !forgiven || !conn.batch.forgive(conn.pending() + conn.below, now_ns) {
            return false;
        }
        conn.again = true;
        touch(&mut self.touched, conn, slot);
        let (kind, cid, account) = (conn.kind, conn.admission.cid, conn.admission.account);
        if kind == Kind::Client {
            count_slow(&mut self.totals, &mut self.accounts, account);
        }
        if kind != Kind::Link {
            let text = late.text(&self.settings.write_deadline).into();
            self.events.push(Event::Slow { cid, text });
        }
        true
    }

    /// Over the bound of all together, whoever holds most goes first: it frees most, and those who nearly keep up stay.
    fn largest_stuck(&self) -> Option<u32> {
        let stuck = self.conns.iter().filter(|(_, conn)| conn.stuck > 0);
        stuck.max_by_key(|(_, conn)| conn.stuck).map(|(slot, _)| slot)
    }

    pub(crate) fn unstick(&mut self, slot: u32) {
        if let Some(conn) = self.conns.get_mut(slot) {
            if conn.stuck > 0 {
                self.totals.stuck_bytes -= conn.stuck as u64;
                conn.stuck = 0;
                conn.batch = Default::default();
                conn.stuck_pending = 0;
            }
        }
    }
}

/// One more slow receiver in an account.
pub(crate) fn count_slow(totals: &mut Totals, accounts: &mut [Account], account: u32) {
    totals.slow_consumers += 1;
    if let Some(account) = accounts.get_mut(account as usize) {
        account.slow_consumers += 1;
    }
}
