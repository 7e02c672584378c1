//! What a connection still has to be sent.
//!
//! Large payloads are not copied: within one read cycle they are *borrowed* as ranges of the input being processed. The
//! drive flushes at the end of the cycle; whatever could not be written is then copied (`detach`), so a slow receiver
//! never holds on to somebody's read buffer and `pending` is the memory really used.

/// Parts of at least this size are borrowed from the input instead of copied.
pub const BORROW_MIN: usize = 1024;

/// Unused memory up to this size is not given back while output waits.
const SPARE_MIN: usize = 64 << 10;

#[derive(Debug, Clone, Copy)]
struct Borrowed {
    /// Own bytes that come before it, counted from the start of `bytes`.
    after: usize,
    from: usize,
    len: usize,
}

/// An outbound buffer: own bytes, with ranges of the current input between them.
#[derive(Debug, Default)]
pub struct OutBuf {
    bytes: Vec<u8>,
    head: usize,
    borrowed: Vec<Borrowed>,
    borrowed_bytes: usize,
}

impl OutBuf {
    /// Bytes not written yet.
    #[inline]
    pub fn pending(&self) -> usize {
        self.bytes.len() - self.head + self.borrowed_bytes
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

    /// The own bytes, to append to.
    #[inline]
    pub fn bytes(&mut self) -> &mut Vec<u8> {
        &mut self.bytes
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
        }
    }

    /// Copies what is still borrowed, since the input goes away. Also gives memory of written bytes back.
    ///
    /// Costs what was added since the last call, however much has been waiting for longer.
    pub fn detach(&mut self, input: &[u8]) {
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
        if self.head > 0 && self.head >= self.bytes.len() / 2 {
            self.bytes.drain(..self.head);
            self.head = 0;
            if self.bytes.capacity() > SPARE_MIN && self.bytes.capacity() / 4 > self.bytes.len() {
                self.bytes.shrink_to(self.bytes.len() * 2);
            }
        }
    }

    /// Memory that is taken: more than `pending`, since buffers grow in steps and shrink late.
    #[inline]
    pub fn held(&self) -> usize {
        self.bytes.capacity()
    }

    /// Takes the memory of an empty buffer, for reuse by another.
    pub fn take_memory(&mut self) -> Option<Vec<u8>> {
        if !self.is_empty() || self.bytes.capacity() == 0 {
            return None;
        }
        self.borrowed = Vec::new();
        self.head = 0;
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

    #[test]
    fn what_has_been_waiting_is_not_copied_again() {
        let input = [7; 4096];
        let mut buffer = OutBuf::default();
        buffer.push(&[1; 1 << 20]);
        buffer.bytes().reserve(1 << 20);
        let place = buffer.bytes().as_ptr();
        for _ in 0..100 {
            buffer.push_borrowed(0, input.len());
            buffer.push(b"\r\n");
            buffer.detach(&input);
        }
        assert_eq!(buffer.bytes().as_ptr(), place);
        assert_eq!(buffer.pending(), (1 << 20) + 100 * 4098);
    }

    #[test]
    fn memory_of_written_bytes_comes_back() {
        let mut buffer = OutBuf::default();
        buffer.push(&[1; 1 << 20]);
        buffer.wrote((1 << 20) - 100);
        buffer.detach(&[]);
        assert_eq!(buffer.pending(), 100);
        assert!(buffer.held() < 64 << 10, "{} bytes held", buffer.held());
    }

    proptest! {
        #[test]
        fn any_mix_comes_out_in_order(
            cycles in prop::collection::vec((
                prop::collection::vec((any::<bool>(), 0usize..20), 0..20),
                prop::collection::vec(0usize..30, 0..20),
            ), 1..5),
        ) {
            let input: Vec<u8> = (0..=255).collect();
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
