//! The two ends of a connection's socket: what the client has still to send, and what it has been sent.

use std::collections::VecDeque;

use natsfleet_core::engine::Engine;
use natsfleet_core::errors::CloseReason;
use natsfleet_core::outbuf::OutBuf;

use crate::chance::Chance;
use crate::operations::Operation;
use crate::output::{items, Item};

/// How a client reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Reader {
    Greedy,
    Slow,
    Never,
}

/// One connection.
#[derive(Debug)]
pub struct Wire {
    pub slot: u32,
    pub reader: Reader,
    /// What the client does, each with where its bytes end in everything that it sends.
    pub operations: VecDeque<(Operation, usize)>,
    /// Bytes that were made but not received by the engine.
    unfed: Vec<u8>,
    made: usize,
    /// Bytes that the engine has but could not use yet.
    partial: Vec<u8>,
    /// Bytes that the engine is done with.
    pub used: usize,
    /// Output that came since it was last compared.
    pub items: VecDeque<Item>,
    /// Output that the socket has not taken.
    pending: Vec<u8>,
    pending_when_cut: usize,
    /// Its last output was thrown away.
    pub silenced: bool,
    pub paused: bool,
    pub closing: bool,
    pub pings_out: u32,
    /// When the batch of output that waits began to.
    pub stuck_since_ns: Option<u64>,
    /// What of it has not left.
    due: usize,
    /// Room that is left in the socket.
    room: usize,
    /// Output that somebody else is writing.
    lent: Option<OutBuf>,
}

impl Wire {
    pub fn new(slot: u32, reader: Reader) -> Self {
        Self {
            slot,
            reader,
            operations: VecDeque::new(),
            unfed: Vec::new(),
            made: 0,
            partial: Vec::new(),
            used: 0,
            items: VecDeque::new(),
            pending: Vec::new(),
            pending_when_cut: 0,
            silenced: false,
            paused: false,
            closing: false,
            pings_out: 0,
            stuck_since_ns: None,
            due: 0,
            room: 0,
            lent: None,
        }
    }

    /// The client sends an operation.
    pub fn say(&mut self, operation: Operation, bytes: &[u8]) {
        self.made += bytes.len();
        self.unfed.extend_from_slice(bytes);
        self.operations.push_back((operation, self.made));
    }

    pub fn has_unfed(&self) -> bool {
        !self.unfed.is_empty()
    }

    /// Bytes that wait for the client.
    pub fn pending(&self) -> usize {
        self.pending.len()
    }

    /// The next input for the engine, from the last frame boundary on. With `one` no more than one operation ends in it.
    pub fn input(&mut self, chance: &mut Chance, one: bool) -> Vec<u8> {
        let mut most = self.unfed.len();
        if let Some((_, end)) = self.operations.front().filter(|_| one) {
            most = end - self.used - self.partial.len();
        }
        let count = match chance.below(4) {
            0 => chance.between(1, most.min(8)),
            1 => chance.between(1, most),
            _ => most,
        };
        let mut input = std::mem::take(&mut self.partial);
        input.extend(self.unfed.drain(..count));
        input
    }

    /// What the engine could not look at while it waited.
    pub fn held(&mut self) -> Vec<u8> {
        std::mem::take(&mut self.partial)
    }

    /// What is left of the input is for the next time.
    pub fn keep(&mut self, rest: &[u8]) {
        self.partial = rest.to_vec();
    }

    /// Takes note of output that the engine has added. `input` is the input of this cycle.
    pub fn capture(&mut self, engine: &Engine, input: &[u8]) -> Result<(), String> {
        let Some(conn) = engine.conn(self.slot) else { return Ok(()) };
        let slow = [CloseReason::SlowConsumerPendingBytes, CloseReason::SlowConsumerWriteDeadline];
        let cut = conn.closing().is_some_and(|reason| slow.contains(&reason));
        let mut output = Vec::new();
        for out in self.lent.iter().filter(|_| !cut).chain([conn.out()]) {
            out.chunks(input, |part| {
                output.extend_from_slice(part);
                true
            });
        }
        if output.len() != conn.pending() && !cut {
            return Err(format!("{} bytes are pending, but {} come out", conn.pending(), output.len()));
        }
        if output.is_empty() && !self.pending.is_empty() && conn.closing().is_some() {
            // Over a bound, a connection that is ending anyway may lose its last words.
            self.cut();
            self.silenced = true;
        }
        let Some(new) = output.strip_prefix(self.pending.as_slice()) else {
            let (was, is, closing) = (self.pending.len(), output.len(), conn.closing());
            return Err(format!("output that was not taken has changed: {was} bytes, then {is}, closing {closing:?}"));
        };
        let Some(items) = items(new) else {
            let shown = String::from_utf8_lossy(&new[..new.len().min(300)]).into_owned();
            return Err(format!("output is not made of whole items: {shown:?}"));
        };
        self.items.extend(items);
        self.pending = output;
        Ok(())
    }

    /// Bytes that waited for the client before the operation for which it was cut.
    pub fn pending_when_cut(&self) -> usize {
        self.pending_when_cut
    }

    /// The engine has thrown the output away.
    pub fn cut(&mut self) {
        self.pending_when_cut = self.pending_when_cut.max(self.pending.len());
        self.pending.clear();
        self.items.clear();
    }

    /// The client makes room in the socket.
    pub fn read(&mut self, chance: &mut Chance) {
        self.room += match self.reader {
            Reader::Greedy => 1 << 20,
            Reader::Slow => chance.below(600),
            Reader::Never => 0,
        };
        self.room = self.room.min(1 << 20);
    }

    /// The engine lends the output and gets it back at some later flush, or flushes itself.
    pub fn flush(&mut self, engine: &mut Engine, input: &[u8], now_ns: u64, chance: &mut Chance) {
        if self.lent.is_some() {
            let borrows = engine.conn(self.slot).is_some_and(|conn| conn.out().has_borrowed());
            if !borrows && chance.percent(50) {
                return;
            }
            self.give_back(engine, input, now_ns);
        } else if self.stuck_since_ns.is_none() && chance.percent(20) {
            self.lent = engine.lend(self.slot);
            if let Some(out) = &mut self.lent {
                out.detach(input);
            }
            return;
        }
        self.write(engine, input, now_ns, chance);
    }

    /// What was lent comes back, written as far as there was room.
    pub fn give_back(&mut self, engine: &mut Engine, input: &[u8], now_ns: u64) {
        let Some(mut out) = self.lent.take() else { return };
        let room = if self.reader == Reader::Greedy { usize::MAX } else { self.room };
        let written = out.pending().min(room);
        out.wrote(written);
        engine.give_back(self.slot, out, written, input, now_ns);
        self.room = self.room.saturating_sub(written);
        // Nothing is left of it when the connection was cut.
        self.pending.drain(..written.min(self.pending.len()));
    }

    /// The engine writes as far as there is room, in random parts.
    fn write(&mut self, engine: &mut Engine, input: &[u8], now_ns: u64, chance: &mut Chance) {
        let mut left = self.room.min(self.pending.len());
        if self.reader == Reader::Greedy {
            left = self.pending.len();
        }
        while left > 0 {
            let part = if chance.percent(70) { left } else { chance.between(1, left) };
            engine.wrote(self.slot, part);
            self.pending.drain(..part);
            self.room = self.room.saturating_sub(part);
            left -= part;
            self.due = self.due.saturating_sub(part);
        }
        engine.flushed(self.slot, input, now_ns);
        if self.pending.is_empty() {
            self.stuck_since_ns = None;
            self.due = 0;
        } else if self.due == 0 {
            // What waits now has to have left by the deadline; what comes later may take longer.
            self.stuck_since_ns = Some(now_ns);
            self.due = self.pending.len();
        }
    }
}
