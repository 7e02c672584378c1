//! How output leaves the engine: whom to flush, what was written, what a slow socket holds.
//!
//! Invariants: a connection's output is either here or lent, in the order in which it came about; what sockets refused is
//! counted in `stuck_bytes` until it has left or its connection is cut.

use crate::engine::Engine;
use crate::errors::CloseReason;
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

    /// `written` bytes of a connection's output have left.
    pub fn wrote(&mut self, slot: u32, written: usize, now_ns: u64) {
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.out.wrote(written);
            if written > 0 {
                conn.stuck_since_ns = now_ns;
            }
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
        if written > 0 {
            conn.stuck_since_ns = now_ns;
        }
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
        if conn.out.is_empty() {
            if let Some(memory) = conn.out.take_memory() {
                if self.memory.len() < MEMORY_BUFFERS_MAX && memory.capacity() <= MEMORY_BUFFER_BYTES_MAX {
                    self.memory.push(memory);
                }
            }
            self.unstick(slot);
            return;
        }
        let held = conn.out.held();
        if conn.stuck == 0 {
            conn.stuck_since_ns = now_ns;
            let due = now_ns.saturating_add(self.settings.write_deadline_ns);
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
                conn.stuck_pending = 0;
            }
        }
    }
}
