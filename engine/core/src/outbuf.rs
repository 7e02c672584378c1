//! What a connection still has to be sent.
//!
//! Large payloads are not copied: within one read cycle they are *borrowed* as ranges of the input being processed. The
//! drive flushes at the end of the cycle; whatever could not be written is then copied (`detach`), so a slow receiver
//! never holds on to somebody's read buffer and `pending` is the memory really used.

use std::collections::VecDeque;

/// Parts of at least this size are borrowed from the input instead of copied.
pub const BORROW_MIN: usize = 1024;

/// Blocks of a backlog: powers of two, and large ones only where much waits already.
const BLOCK_MIN: usize = 4 << 10;
const BLOCK_MAX: usize = 64 << 10;

#[derive(Debug, Clone, Copy)]
struct Borrowed {
    /// Own bytes that come before it, counted from the start of `bytes`.
    after: usize,
    from: usize,
    len: usize,
}

/// Output that has been waiting for more than one cycle, in blocks of few sizes: they do not grow or move, and what one
/// connection gives back fits the next.
#[derive(Debug, Default)]
struct Backlog {
    blocks: VecDeque<Vec<u8>>,
    /// Bytes of the first block that were written.
    head: usize,
    held: usize,
}

impl Backlog {
    fn append(&mut self, mut part: &[u8]) {
        while !part.is_empty() {
            match self.blocks.back_mut().filter(|block| block.len() < block.capacity()) {
                Some(block) => {
                    let fits = part.len().min(block.capacity() - block.len());
                    let (now, later) = part.split_at(fits);
                    block.extend_from_slice(now);
                    part = later;
                }
                None => {
                    let block = Vec::with_capacity((self.held / 4).next_power_of_two().clamp(BLOCK_MIN, BLOCK_MAX));
                    self.held += block.capacity();
                    self.blocks.push_back(block);
                }
            }
        }
    }

    fn wrote(&mut self, part: usize) {
        self.head += part;
        while self.blocks.front().is_some_and(|block| block.len() <= self.head) {
            if let Some(done) = self.blocks.pop_front() {
                self.head -= done.len();
                self.held -= done.capacity();
            }
        }
    }
}

/// An outbound buffer: a backlog, then own bytes, with ranges of the current input between them.
#[derive(Debug, Default)]
pub struct OutBuf {
    backlog: Option<Box<Backlog>>,
    backlog_bytes: usize,
    bytes: Vec<u8>,
    head: usize,
    borrowed: Vec<Borrowed>,
    borrowed_bytes: usize,
    /// The own bytes were left over once already.
    waited: bool,
}

impl OutBuf {
    /// Bytes not written yet.
    #[inline]
    pub fn pending(&self) -> usize {
        self.backlog_bytes + self.bytes.len() - self.head + self.borrowed_bytes
    }

    /// True when everything was written.
    #[inline]
    pub fn is_empty(&self) -> bool {
        self.pending() == 0
    }

    /// True when parts of the current input are waiting to be written.
    pub fn has_borrowed(&self) -> bool {
        !self.borrowed.is_empty()
    }

    /// Appends a copy of `part`.
    #[inline]
    pub fn push(&mut self, part: &[u8]) {
        self.bytes.extend_from_slice(part);
    }

    /// Appends `len` bytes of the current input from `from` on, without copying.
    pub fn push_borrowed(&mut self, from: usize, len: usize) {
        self.borrowed.push(Borrowed { after: self.bytes.len(), from, len });
        self.borrowed_bytes += len;
    }

    /// Calls `chunk` with what is to be written, in order, until it returns false. `input` is the input of this cycle.
    pub fn chunks<'a>(&'a self, input: &'a [u8], mut chunk: impl FnMut(&'a [u8]) -> bool) {
        if let Some(backlog) = &self.backlog {
            let mut head = backlog.head;
            for block in &backlog.blocks {
                if !chunk(block.get(head..).unwrap_or(&[])) {
                    return;
                }
                head = 0;
            }
        }
        self.own_chunks(input, chunk);
    }

    fn own_chunks<'a>(&'a self, input: &'a [u8], mut chunk: impl FnMut(&'a [u8]) -> bool) {
        let mut at = self.head;
        for b in &self.borrowed {
            if b.after > at {
                if !chunk(self.bytes.get(at..b.after).unwrap_or(&[])) {
                    return;
                }
                at = b.after;
            }
            if !chunk(input.get(b.from..b.from + b.len).unwrap_or(&[])) {
                return;
            }
        }
        if at < self.bytes.len() {
            chunk(self.bytes.get(at..).unwrap_or(&[]));
        }
    }

    /// `written` bytes from the front have left.
    pub fn wrote(&mut self, mut written: usize) {
        if let Some(backlog) = &mut self.backlog {
            let part = written.min(self.backlog_bytes);
            written -= part;
            self.backlog_bytes -= part;
            backlog.wrote(part);
            if self.backlog_bytes == 0 {
                self.backlog = None;
            }
        }
        let mut gone = 0;
        for b in &mut self.borrowed {
            let own = b.after - self.head;
            if written < own {
                break;
            }
            written -= own;
            self.head = b.after;
            let part = written.min(b.len);
            written -= part;
            b.from += part;
            b.len -= part;
            self.borrowed_bytes -= part;
            if b.len > 0 {
                break;
            }
            gone += 1;
        }
        self.borrowed.drain(..gone);
        self.head = (self.head + written).min(self.bytes.len());
        if self.is_empty() {
            self.bytes.clear();
            self.borrowed.clear();
            self.head = 0;
            self.waited = false;
        }
    }

    /// Copies what is still borrowed, since the input goes away. What was left over before joins the backlog.
    ///
    /// Costs what was added since the last call, however much has been waiting for longer.
    pub fn detach(&mut self, input: &[u8]) {
        if self.is_empty() {
            return;
        }
        // What has to be copied anyway and is much goes to blocks at once: memory in odd sizes leaves gaps.
        let much = self.has_borrowed() && self.pending() > BLOCK_MAX;
        if self.waited || self.backlog.is_some() || much {
            self.put_aside(input);
        } else {
            self.own_borrowed(input);
            self.waited = true;
        }
    }

    fn own_borrowed(&mut self, input: &[u8]) {
        if let Some(first) = self.borrowed.first() {
            let start = first.after;
            let own = self.bytes.split_off(start);
            self.bytes.reserve(own.len() + self.borrowed_bytes);
            let mut at = 0;
            for b in &self.borrowed {
                self.bytes.extend_from_slice(own.get(at..b.after - start).unwrap_or(&[]));
                at = b.after - start;
                self.bytes.extend_from_slice(input.get(b.from..b.from + b.len).unwrap_or(&[]));
            }
            self.bytes.extend_from_slice(own.get(at..).unwrap_or(&[]));
            self.borrowed = Vec::new();
            self.borrowed_bytes = 0;
        }
    }

    fn put_aside(&mut self, input: &[u8]) {
        let mut backlog = self.backlog.take().unwrap_or_default();
        self.backlog_bytes = self.pending();
        self.own_chunks(input, |part| {
            backlog.append(part);
            true
        });
        self.backlog = Some(backlog);
        self.bytes = Vec::new();
        self.head = 0;
        self.borrowed = Vec::new();
        self.borrowed_bytes = 0;
        self.waited = false;
    }

    /// Puts older output, which borrows nothing, before this. `input` is the input of this cycle.
    pub fn put_before(&mut self, mut older: OutBuf, input: &[u8]) {
        if older.is_empty() {
            if let Some(memory) = older.take_memory() {
                self.give_memory(memory);
            }
            return;
        }
        if !self.is_empty() {
            let pending = older.pending() + self.pending();
            older.put_aside(&[]);
            if let Some(backlog) = &mut older.backlog {
                self.chunks(input, |part| {
                    backlog.append(part);
                    true
                });
            }
            older.backlog_bytes = pending;
        }
        *self = older;
    }

    /// Memory that is taken: somewhat more than `pending`.
    #[inline]
    pub fn held(&self) -> usize {
        self.backlog.as_ref().map_or(0, |backlog| backlog.held) + self.bytes.capacity()
    }

    /// Takes the memory of an empty buffer, for reuse by another.
    pub fn take_memory(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() || self.bytes.capacity() == 0 {
            return None;
        }
        self.borrowed = Vec::new();
        self.head = 0;
        self.waited = false;
        Some(std::mem::take(&mut self.bytes))
    }

    /// Gives an unused buffer memory to start with.
    pub fn give_memory(&mut self, memory: Vec<u8>) {
        if self.bytes.capacity() == 0 {
            self.bytes = memory;
            self.bytes.clear();
            self.head = 0;
        }
    }

    /// True when appending would have to allocate from nothing.
    #[inline]
    pub fn is_bare(&self) -> bool {
        self.bytes.capacity() == 0
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn all(buffer: &OutBuf, input: &[u8]) -> Vec<u8> {
        let mut out = Vec::new();
        buffer.chunks(input, |part| {
            out.extend_from_slice(part);
            true
        });
        out
    }

    fn first_place(buffer: &OutBuf) -> *const u8 {
        let mut place = std::ptr::null();
        buffer.chunks(&[], |part| {
            place = part.as_ptr();
            false
        });
        place
    }

    #[test]
    fn what_has_been_waiting_stays_where_it_is() {
        let input = [7; 4096];
        let mut buffer = OutBuf::default();
        buffer.push(&[1; 1 << 20]);
        buffer.detach(&input);
        buffer.detach(&input);
        let place = first_place(&buffer);
        for _ in 0..100 {
            buffer.push_borrowed(0, input.len());
            buffer.push(b"\r\n");
            buffer.detach(&input);
            assert!(buffer.held() < buffer.pending() + BLOCK_MAX);
        }
        assert_eq!(first_place(&buffer), place);
        assert_eq!(buffer.pending(), (1 << 20) + 100 * 4098);
    }

    #[test]
    fn a_backlog_takes_little_more_than_it_is() {
        let mut buffer = OutBuf::default();
        for _ in 0..2000 {
            buffer.push(&[1; 100]);
            buffer.detach(&[]);
            let (held, pending) = (buffer.held(), buffer.pending());
            assert!(held <= BLOCK_MIN + pending * 3 / 2, "{held} bytes held for {pending}");
        }
    }

    #[test]
    fn memory_of_written_bytes_comes_back() {
        let mut buffer = OutBuf::default();
        for _ in 0..20 {
            buffer.push(&[1; 100_000]);
            buffer.detach(&[]);
        }
        buffer.wrote(2_000_000 - 100);
        assert_eq!(buffer.pending(), 100);
        assert!(buffer.held() <= BLOCK_MAX, "{} bytes held", buffer.held());
        buffer.wrote(100);
        assert_eq!((buffer.pending(), buffer.held()), (0, 0));
    }

    proptest! {
        #[test]
        fn what_is_older_goes_first(
            older in prop::collection::vec((0usize..9000, any::<bool>()), 0..4),
            newer in prop::collection::vec((0usize..9000, any::<bool>()), 0..4),
            written in 0usize..20_000,
        ) {
            let input: Vec<u8> = (0..9000u32).map(|at| (at / 7) as u8).collect();
            let fill = |buffer: &mut OutBuf, parts: &[(usize, bool)], detached: bool| {
                for &(len, borrow) in parts {
                    if borrow { buffer.push_borrowed(9000 - len, len) } else { buffer.push(&input[..len]) }
                    if detached { buffer.detach(&input) }
                }
            };
            let (mut old, mut new) = (OutBuf::default(), OutBuf::default());
            fill(&mut old, &older, true);
            fill(&mut new, &newer, false);
            let written = written.min(old.pending());
            old.wrote(written);
            let want = [all(&old, &input), all(&new, &input)].concat();
            new.put_before(old, &input);
            prop_assert_eq!(new.pending(), want.len());
            prop_assert_eq!(all(&new, &input), want);
        }

        #[test]
        fn any_mix_comes_out_in_order(
            cycles in prop::collection::vec((
                prop::collection::vec((any::<bool>(), prop_oneof![0usize..20, 0usize..60_000]), 0..20),
                prop::collection::vec(prop_oneof![0usize..30, 0usize..200_000], 0..20),
            ), 1..8),
        ) {
            let input: Vec<u8> = (0..120_000u32).map(|at| (at / 7) as u8).collect();
            let mut buffer = OutBuf::default();
            let mut want = Vec::new();
            let mut gone = 0;
            for (parts, writes) in cycles {
                for (borrow, len) in parts {
                    let part = &input[len..len * 2];
                    if borrow && len > 0 { buffer.push_borrowed(len, len) } else { buffer.push(part) }
                    want.extend_from_slice(part);
                }
                for write in writes {
                    let write = write.min(buffer.pending());
                    prop_assert_eq!(all(&buffer, &input), &want[gone..]);
                    buffer.wrote(write);
                    gone += write;
                    prop_assert_eq!(buffer.pending(), want.len() - gone);
                }
                buffer.detach(&input);
                prop_assert!(!buffer.has_borrowed());
                prop_assert_eq!(all(&buffer, &[]), &want[gone..]);
            }
        }
    }
}
