//! The core driven by hand: no thread, no socket, no clock.
//!
//! For connections that the control plane keeps, and for simulations. What a forwarding thread does with a socket, the
//! caller does with `feed` and `take_output`; output that was not taken is treated like output that a full socket refused,
//! so limits and deadlines are the same. The dialogue of a connection is byte for byte that of a forwarding thread.
//!
//! A connection that the core has closed can still be asked for its last output, for as long as a closing socket gets.

use std::cmp::Reverse;
use std::collections::{BTreeSet, BinaryHeap, HashMap};

use natsfleet_core::conn::{Admission, Arrival};
use natsfleet_core::engine::{Engine, Settings};
use natsfleet_core::errors::CloseReason;

use crate::forwarder::FIRST_CID;
use crate::pace::{rest_ns, FINISH_NS};

/// One connection: what was fed but not processed, and why not.
struct Line {
    slot: u32,
    partial: Vec<u8>,
    need: usize,
    rests_until_ns: Option<u64>,
    finishing: bool,
}

/// What became of input.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fate {
    /// Everything that was whole has been processed.
    Processed,
    /// A receiver is nearly full: feed nothing before `tick` has come to this time. What was fed meanwhile is kept.
    Rests(u64),
    /// The control plane has a CONNECT to answer first. What was fed meanwhile is kept.
    Waits,
    /// The connection is closed or unknown; nothing was processed.
    Gone,
}

/// Output of a connection.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Taken {
    /// The next bytes for the peer.
    pub bytes: Vec<u8>,
    /// Nothing follows, ever: the connection is over.
    pub ended: bool,
}

/// See the module documentation.
pub struct Manual {
    engine: Engine,
    lines: HashMap<u64, Line>,
    cids: HashMap<u32, u64>,
    ready: BTreeSet<u64>,
    touched: Vec<u32>,
    timers: BinaryHeap<Reverse<(u64, u64)>>,
    next_cid: u64,
    now_ns: u64,
}

impl Manual {
    /// An engine at time 1. Two with the same settings and seed do the same.
    pub fn new(settings: Settings, seed: u64) -> Self {
        Self {
            engine: Engine::new(settings, seed),
            lines: HashMap::new(),
            cids: HashMap::new(),
            ready: BTreeSet::new(),
            touched: Vec::new(),
            timers: BinaryHeap::new(),
            next_cid: FIRST_CID,
            now_ns: 1,
        }
    }

    /// The core, for commands and questions. Call `settle` after a command.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// A client id that was never used.
    pub fn next_cid(&mut self) -> u64 {
        self.next_cid += 1;
        self.next_cid - 1
    }

    /// The time, as `tick` has last set it.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    /// Takes a connection on, as one that came through a door if it has an arrival. `greeting` is sent first.
    pub fn open(&mut self, admission: Admission, arrival: Option<Arrival>, greeting: &[u8]) {
        let cid = admission.cid;
        let slot = match arrival {
            Some(arrival) => self.engine.open_arrived(admission, arrival, greeting, self.now_ns),
            None => {
                let slot = self.engine.open(admission, self.now_ns);
                if !greeting.is_empty() {
                    self.engine.send(slot, greeting);
                }
                slot
            }
        };
        let line = Line { slot, partial: Vec::new(), need: 1, rests_until_ns: None, finishing: false };
        self.lines.insert(cid, line);
        self.cids.insert(slot, cid);
        self.settle();
    }

    /// Input of a connection, in any pieces.
    pub fn feed(&mut self, cid: u64, bytes: &[u8]) -> Fate {
        let Some(line) = self.lines.get_mut(&cid).filter(|line| !line.finishing) else { return Fate::Gone };
        line.partial.extend_from_slice(bytes);
        self.go_on(cid)
    }

    /// Processes what a connection was fed, as far as it may.
    fn go_on(&mut self, cid: u64) -> Fate {
        let Some(line) = self.lines.get_mut(&cid) else { return Fate::Gone };
        if self.engine.conn(line.slot).is_some_and(|conn| conn.paused()) {
            return Fate::Waits;
        }
        if let Some(until) = line.rests_until_ns {
            return Fate::Rests(until);
        }
        if line.partial.len() < line.need {
            return Fate::Processed;
        }
        let slot = line.slot;
        let input = std::mem::take(&mut line.partial);
        let (mut at, mut need, mut stall) = (0, 1, false);
        while at < input.len() {
            let fed = self.engine.feed(slot, &input, at, self.now_ns);
            at += fed.used;
            need = fed.need;
            stall |= fed.stall;
            self.flush_all(&input);
            if need != 0 || self.engine.conn(slot).is_none_or(|conn| conn.paused()) {
                break;
            }
        }
        let paused = self.engine.conn(slot).is_some_and(|conn| conn.paused());
        let Some(line) = self.lines.get_mut(&cid).filter(|line| !line.finishing) else { return Fate::Gone };
        line.partial = input.get(at..).unwrap_or(&[]).to_vec();
        line.need = need;
        if paused {
            return Fate::Waits;
        }
        if stall {
            let until = self.now_ns + rest_ns(input.len());
            line.rests_until_ns = Some(until);
            self.engine.stalled(slot);
            self.timers.push(Reverse((until, cid)));
            return Fate::Rests(until);
        }
        Fate::Processed
    }

    /// Takes output of a connection, at most so many bytes; what is not taken waits as before a full socket.
    pub fn take_output(&mut self, cid: u64, at_most: usize) -> Taken {
        let Some(slot) = self.lines.get(&cid).map(|line| line.slot) else {
            return Taken { bytes: Vec::new(), ended: true };
        };
        let mut bytes = Vec::new();
        if let Some(conn) = self.engine.conn(slot) {
            conn.out().chunks(&[], |part| {
                let room = at_most - bytes.len();
                bytes.extend_from_slice(part.get(..room).unwrap_or(part));
                bytes.len() < at_most
            });
        }
        self.engine.wrote(slot, bytes.len());
        self.flush(slot, &[]);
        self.ready.remove(&cid);
        if self.engine.conn(slot).is_some_and(|conn| !conn.out().is_empty()) {
            self.ready.insert(cid);
        }
        Taken { bytes, ended: !self.lines.contains_key(&cid) }
    }

    /// Connections that have output, or that have ended since they were last taken from.
    pub fn ready(&self) -> Vec<u64> {
        self.ready.iter().copied().collect()
    }

    /// The peer of a connection went away.
    pub fn lost(&mut self, cid: u64, reason: CloseReason, detail: &str) {
        if let Some(slot) = self.lines.get(&cid).map(|line| line.slot) {
            self.engine.lost(slot, reason, detail);
            self.end(cid, slot);
            self.settle();
        }
    }

    /// Answers a connection's CONNECT; it goes on with what it was fed meanwhile.
    pub fn readmit(&mut self, admission: Admission) {
        let cid = admission.cid;
        self.engine.readmit(cid, admission, self.now_ns);
        self.settle();
        self.go_on(cid);
    }

    /// Sees to what a command to the core left to do.
    pub fn settle(&mut self) {
        self.flush_all(&[]);
    }

    /// Lets time pass up to `now_ns` and does what is due by then.
    pub fn tick(&mut self, now_ns: u64) {
        self.now_ns = self.now_ns.max(now_ns);
        while let Some(&Reverse((due, cid))) = self.timers.peek() {
            if due > self.now_ns {
                break;
            }
            self.timers.pop();
            let Some(line) = self.lines.get_mut(&cid) else { continue };
            if line.finishing {
                let slot = line.slot;
                self.end(cid, slot);
            } else if line.rests_until_ns.take().is_some() {
                self.go_on(cid);
            }
        }
        self.engine.tick(self.now_ns);
        self.settle();
    }

    /// When `tick` has something to do next.
    pub fn next_due_ns(&self) -> Option<u64> {
        let own = self.timers.peek().map(|Reverse((due, _))| *due);
        [own, self.engine.next_due_ns()].into_iter().flatten().min()
    }

    fn flush_all(&mut self, input: &[u8]) {
        let mut touched = std::mem::take(&mut self.touched);
        while self.engine.has_touched() {
            self.engine.take_touched(&mut touched);
            for &slot in &touched {
                self.flush(slot, input);
            }
        }
        self.touched = touched;
    }

    /// Tells the core that a socket is full, or empty when everything was taken.
    fn flush(&mut self, slot: u32, input: &[u8]) {
        let Some(&cid) = self.cids.get(&slot) else { return };
        self.ready.insert(cid);
        self.engine.flushed(slot, input, self.now_ns);
        let Some(conn) = self.engine.conn(slot) else { return };
        let Some(reason) = conn.closing() else { return };
        let slow = matches!(reason, CloseReason::SlowConsumerPendingBytes | CloseReason::SlowConsumerWriteDeadline);
        if slow || conn.out().is_empty() {
            self.end(cid, slot);
        } else if let Some(line) = self.lines.get_mut(&cid).filter(|line| !line.finishing) {
            line.finishing = true;
            line.partial = Vec::new();
            self.timers.push(Reverse((self.now_ns + FINISH_NS, cid)));
        }
    }

    fn end(&mut self, cid: u64, slot: u32) {
        self.lines.remove(&cid);
        self.cids.remove(&slot);
        self.engine.forget(slot);
        self.ready.insert(cid);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use natsfleet_core::conn::Wishes;
    use natsfleet_core::event::Event;

    fn admission(cid: u64) -> Admission {
        let wishes = Wishes { verbose: false, pedantic: false, echo: true, headers: true, no_responders: false };
        Admission { cid, wishes, payload_max: 1 << 20, ..Admission::default() }
    }

    fn manual(settings: Settings) -> (Manual, u64, u64) {
        let mut manual = Manual::new(settings, 1);
        manual.engine().install_account(0, None);
        let (a, b) = (manual.next_cid(), manual.next_cid());
        manual.open(admission(a), None, b"INFO {}\r\n");
        manual.open(admission(b), None, b"");
        (manual, a, b)
    }

    fn all(manual: &mut Manual, cid: u64) -> Vec<u8> {
        manual.take_output(cid, usize::MAX).bytes
    }

    #[test]
    fn a_message_goes_from_one_to_the_other_in_pieces() {
        let (mut manual, a, b) = manual(Settings::default());
        assert_eq!(manual.ready(), [a]);
        assert_eq!(all(&mut manual, a), b"INFO {}\r\n");
        assert_eq!(manual.feed(a, b"SUB x 1\r\nPI"), Fate::Processed);
        assert_eq!(manual.feed(b, b"PUB x 2000\r\n"), Fate::Processed);
        assert_eq!(manual.feed(b, &[b'y'; 1500]), Fate::Processed);
        assert!(manual.ready().is_empty());
        assert_eq!(manual.feed(b, &[[b'y'; 500].as_slice(), b"\r\n"].concat()), Fate::Processed);
        assert_eq!(manual.ready(), [a]);
        assert_eq!(manual.take_output(a, 10).bytes, b"MSG x 1 20");
        assert_eq!(manual.ready(), [a]);
        assert_eq!(all(&mut manual, a), [b"00\r\n".as_slice(), &[b'y'; 2000], b"\r\n"].concat());
        assert!(manual.ready().is_empty());
        assert_eq!(manual.engine().totals().stuck_bytes, 0);
    }

    #[test]
    fn the_last_words_of_a_closed_connection_can_be_taken_for_a_while() {
        let (mut manual, a, b) = manual(Settings::default());
        assert_eq!(manual.feed(b, b"NONSENSE\r\n"), Fate::Gone);
        assert_eq!(manual.feed(b, b"PING\r\n"), Fate::Gone);
        assert_eq!(manual.take_output(b, 5), Taken { bytes: b"-ERR ".to_vec(), ended: false });
        let rest = b"'Unknown Protocol Operation'\r\n".to_vec();
        assert_eq!(manual.take_output(b, 500), Taken { bytes: rest, ended: true });
        manual.feed(a, b"NONSENSE\r\n");
        manual.tick(1 + FINISH_NS);
        assert_eq!(manual.take_output(a, 500), Taken { bytes: Vec::new(), ended: true });
        assert_eq!(manual.engine().totals().conns, 0);
    }

    #[test]
    fn who_never_takes_is_cut_by_size_and_by_time() {
        let settings = Settings { pending_max: 1000, ..Settings::default() };
        let (mut manual, a, b) = manual(settings.clone());
        manual.feed(a, b"SUB x 1\r\n");
        manual.feed(b, b"SUB x 1\r\n");
        assert_eq!(manual.feed(b, b"PUB x 10\r\n0123456789\r\n"), Fate::Processed);
        let deadline = 1 + settings.write_deadline_ns;
        assert_eq!(manual.next_due_ns(), Some(deadline));
        all(&mut manual, b);
        manual.tick(deadline);
        let gone = Taken { bytes: Vec::new(), ended: true };
        assert_eq!(manual.take_output(a, 9), gone);
        let big = [b"PUB x 990\r\n".as_slice(), &[0; 990], b"\r\n"].concat();
        assert_eq!(manual.feed(b, &big), Fate::Gone);
        assert_eq!(manual.take_output(b, 9), gone);
        assert_eq!(manual.engine().totals().slow_consumers, 2);
    }

    #[test]
    fn input_waits_for_the_answer_to_connect_and_for_slow_receivers() {
        let (mut manual, a, b) = manual(Settings { pending_max: 100_000, ..Settings::default() });
        assert_eq!(manual.feed(a, b"CONNECT {}\r\nSUB x 1\r\nPI"), Fate::Waits);
        assert_eq!(manual.feed(a, b"NG\r\n"), Fate::Waits);
        assert!(matches!(manual.engine().events().pop(), Some(Event::Connect { cid, .. }) if cid == a));
        manual.readmit(admission(a));
        assert_eq!(all(&mut manual, a), b"INFO {}\r\nPONG\r\n");
        let message = [b"PUB x 40000\r\n".as_slice(), &[b'x'; 40_000], b"\r\n"].concat();
        assert_eq!(manual.feed(b, &message), Fate::Processed);
        let Fate::Rests(until) = manual.feed(b, &message) else { panic!("no rest") };
        assert_eq!(manual.feed(b, b"PUB x 1\r\ny\r\n"), Fate::Rests(until));
        assert_eq!(all(&mut manual, a).len(), 2 * (b"MSG x 1 40000\r\n\r\n".len() + 40_000));
        manual.tick(until);
        assert_eq!(all(&mut manual, a), b"MSG x 1 1\r\ny\r\n");
    }
}
