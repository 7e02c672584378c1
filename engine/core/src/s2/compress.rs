//! S2 blocks, written: repetitions become copies, the rest literals.

use super::effort::Effort;
use super::matches::{common, word, Depth, Matches, Tables, MATCH_MIN};

/// Offsets that a short copy can have.
const NEAR: usize = 1 << 11;
/// Offsets that a copy of 16 bits can have.
pub(super) const FAR: usize = 1 << 16;
/// The last bytes of a block are literals, so that words can be read without looking.
const TAIL: usize = 16;

/// The tables of one thread. Empty until first used; what they hold has no meaning between blocks.
#[derive(Debug, Default)]
pub struct Compressor {
    tables: Tables,
}

/// Appends the block for `plain`. It may be larger than `plain` where nothing repeats. No effort is as `Fast`.
pub fn encode_block(plain: &[u8], effort: Effort, compressor: &mut Compressor, block: &mut Vec<u8>) {
    push_size(block, plain.len());
    let mut ops = Ops { plain, block, emitted: 0, offset: 0 };
    if plain.len() > TAIL {
        match effort {
            Effort::None | Effort::Fast => fast(&mut ops, &mut compressor.tables),
            Effort::Better => searched(&mut ops, &mut compressor.tables, Depth { looks: 6, enough: 64 }),
            Effort::Best => searched(&mut ops, &mut compressor.tables, Depth { looks: 48, enough: 512 }),
        }
    }
    ops.literals(plain.len());
}

fn push_size(block: &mut Vec<u8>, size: usize) {
    let mut left = size;
    while left >= 0x80 {
        block.push(left as u8 | 0x80);
        left >>= 7;
    }
    block.push(left as u8);
}

/// One candidate a position, and larger steps the longer nothing was found.
fn fast(ops: &mut Ops<'_>, tables: &mut Tables) {
    let plain = ops.plain;
    let end = plain.len() - TAIL;
    let mut quick = tables.quick(plain.len());
    let mut at = 1;
    while at < end {
        let here = word(plain, at);
        let found = quick.exchange(here, at);
        if ops.offset != 0 && ops.offset < at && word(plain, at + 1) == word(plain, at + 1 - ops.offset) {
            // What came last often comes again at the same distance.
            at = ops.copy_at(at + 1, ops.offset);
            continue;
        }
        if found < at && word(plain, found) == here && pays(plain, found, at) {
            at = ops.copy_at(at, at - found);
            if at < end {
                quick.exchange(word(plain, at - 2), at - 2);
            }
            continue;
        }
        at += 1 + ((at - ops.emitted) >> 6);
    }
}

/// A far copy takes five bytes.
fn pays(plain: &[u8], found: usize, at: usize) -> bool {
    at - found < FAR || word(plain, found + 4) == word(plain, at + 4)
}

/// The best of many candidates, unless the next position has a better one.
fn searched(ops: &mut Ops<'_>, tables: &mut Tables, depth: Depth) {
    let plain = ops.plain;
    let end = plain.len() - TAIL;
    let mut matches = Matches::new(tables, plain, depth);
    let mut at = 1;
    while at < end {
        let Some(mut best) = matches.best(at, ops.offset) else {
            at += 1 + ((at - ops.emitted) >> 8);
            continue;
        };
        while best.length < depth.enough && at + 1 < end {
            match matches.best(at + 1, ops.offset) {
                Some(next) if next.gain > best.gain + 1 => (best, at) = (next, at + 1),
                _ => break,
            }
        }
        at = ops.copy_at(at, best.offset);
    }
}

/// The operations of a block, written as they are found.
struct Ops<'a> {
    plain: &'a [u8],
    block: &'a mut Vec<u8>,
    /// What was written stands for the bytes before this.
    emitted: usize,
    /// The offset of the last copy.
    offset: usize,
}

impl Ops<'_> {
    /// Writes a copy of what repeats at `at`, in both directions; returns the position behind it.
    fn copy_at(&mut self, at: usize, offset: usize) -> usize {
        let plain = self.plain;
        let mut start = at;
        while start > self.emitted && start > offset && plain.get(start - 1) == plain.get(start - 1 - offset) {
            start -= 1;
        }
        let end = at + common(plain, at - offset, at);
        self.literals(start);
        self.copy(offset, end - start);
        self.emitted = end;
        end
    }

    fn literals(&mut self, until: usize) {
        let Some(bytes) = self.plain.get(self.emitted..until).filter(|bytes| !bytes.is_empty()) else { return };
        let last = bytes.len() - 1;
        match last {
            0..=59 => self.block.push((last as u8) << 2),
            60..=0xff => self.block.extend([60 << 2, last as u8]),
            0x100..=0xffff => self.block.extend([61 << 2, last as u8, (last >> 8) as u8]),
            _ => self.block.extend([62 << 2, last as u8, (last >> 8) as u8, (last >> 16) as u8]),
        }
        self.block.extend_from_slice(bytes);
        self.emitted = until;
    }

    fn copy(&mut self, offset: usize, length: usize) {
        let known = std::mem::replace(&mut self.offset, offset) == offset;
        let [low, high, third, fourth] = (offset as u32).to_le_bytes();
        if (MATCH_MIN..12).contains(&length) && offset < NEAR && !(known && length <= 8) {
            self.block.extend([(high << 5) | ((length - 4) as u8) << 2 | 1, low]);
            return;
        }
        if known && length >= 4 {
            self.repeat(length);
            return;
        }
        // What does not fit one copy follows as a repeat, which wants four bytes at least.
        let first = if length <= 64 { length } else { 60 };
        let tag = ((first - 1) as u8) << 2;
        if offset < FAR {
            self.block.extend([tag | 2, low, high]);
        } else {
            self.block.extend([tag | 3, low, high, third, fourth]);
        }
        if length > first {
            self.repeat(length - first);
        }
    }

    fn repeat(&mut self, length: usize) {
        match length - 4 {
            short @ 0..=4 => self.block.extend([(short as u8) << 2 | 1, 0]),
            more @ 5..=0x103 => self.block.extend([5 << 2 | 1, 0, (more - 4) as u8]),
            more @ 0x104..=0x1_00ff => {
                let [low, high, ..] = ((more - 0x100) as u32).to_le_bytes();
                self.block.extend([6 << 2 | 1, 0, low, high]);
            }
            more => {
                let [low, high, third, _] = ((more - 0x1_0000) as u32).to_le_bytes();
                self.block.extend([7 << 2 | 1, 0, low, high, third]);
            }
        }
    }
}
