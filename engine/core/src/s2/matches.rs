//! Finds where bytes came before.

/// Fewer bytes are no match.
pub(super) const MATCH_MIN: usize = 4;
const QUICK_BITS: std::ops::RangeInclusive<u32> = 8..=14;
const CHAIN_BITS: std::ops::RangeInclusive<u32> = 8..=16;
const NOWHERE: u32 = u32::MAX;

/// Memory for the tables.
#[derive(Debug, Default)]
pub(super) struct Tables {
    quick: Vec<u32>,
    heads: Vec<u32>,
    earlier: Vec<u32>,
}

/// Where a word was last, forgotten when another word takes its place.
pub(super) struct Quick<'a> {
    places: &'a mut [u32],
    bits: u32,
}

impl Tables {
    /// A table for a block of this size: clearing a large one costs more than a small block is worth.
    pub(super) fn quick(&mut self, size: usize) -> Quick<'_> {
        let bits = bits_for(size, QUICK_BITS);
        if self.quick.len() < 1 << bits {
            self.quick.resize(1 << bits, 0);
        }
        let places = self.quick.get_mut(..1 << bits).unwrap_or_default();
        places.fill(0);
        Quick { places, bits }
    }
}

impl Quick<'_> {
    /// Puts the position of a word in its place and returns the one that was there: 0 for none.
    pub(super) fn exchange(&mut self, word: u32, at: usize) -> usize {
        match self.places.get_mut(hash(word, self.bits)) {
            Some(place) => std::mem::replace(place, at as u32) as usize,
            None => 0,
        }
    }
}

/// How far to search.
#[derive(Clone, Copy)]
pub(super) struct Depth {
    /// Candidates that are looked at.
    pub looks: usize,
    /// A match of this length is taken as it is.
    pub enough: usize,
}

/// A repetition: what it covers, and what that saves against literals, in bytes.
#[derive(Clone, Copy)]
pub(super) struct Match {
    pub offset: usize,
    pub length: usize,
    pub gain: usize,
}

/// All places of each word, latest first.
pub(super) struct Matches<'a> {
    plain: &'a [u8],
    heads: &'a mut [u32],
    earlier: &'a mut [u32],
    bits: u32,
    depth: Depth,
    /// Positions before this are in the table.
    entered: usize,
}

impl<'a> Matches<'a> {
    pub(super) fn new(tables: &'a mut Tables, plain: &'a [u8], depth: Depth) -> Self {
        let bits = bits_for(plain.len(), CHAIN_BITS);
        tables.heads.clear();
        tables.heads.resize(1 << bits, NOWHERE);
        if tables.earlier.len() < plain.len() {
            tables.earlier.resize(plain.len(), NOWHERE);
        }
        Self { plain, heads: &mut tables.heads, earlier: &mut tables.earlier, bits, depth, entered: 0 }
    }

    /// The match at a position that saves most; `last` is the offset of the last copy, which costs least.
    pub(super) fn best(&mut self, at: usize, last: usize) -> Option<Match> {
        self.enter_until(at);
        let plain = self.plain;
        let mut best: Option<Match> = None;
        if last != 0 && last <= at {
            best = matched(plain, at - last, at, 2);
        }
        let here = word(plain, at);
        let mut candidate = self.heads.get(hash(here, self.bits)).copied().unwrap_or(NOWHERE);
        for _ in 0..self.depth.looks {
            let from = candidate as usize;
            if candidate == NOWHERE || from >= at {
                break;
            }
            let cost = if at - from < super::compress::FAR { 3 } else { 5 };
            // A longer match repeats the byte behind the shorter one, too.
            let reach = best.map_or(0, |found| found.length);
            if plain.get(from + reach) == plain.get(at + reach) {
                if let Some(found) = matched(plain, from, at, cost) {
                    if best.is_none_or(|known| found.gain > known.gain) {
                        best = Some(found);
                    }
                    if found.length >= self.depth.enough {
                        break;
                    }
                }
            }
            candidate = self.earlier.get(from).copied().unwrap_or(NOWHERE);
        }
        best
    }

    fn enter_until(&mut self, at: usize) {
        while self.entered < at {
            let place = hash(word(self.plain, self.entered), self.bits);
            if let (Some(head), Some(earlier)) = (self.heads.get_mut(place), self.earlier.get_mut(self.entered)) {
                *earlier = std::mem::replace(head, self.entered as u32);
            }
            self.entered += 1;
        }
    }
}

fn matched(plain: &[u8], from: usize, at: usize, cost: usize) -> Option<Match> {
    let length = common(plain, from, at);
    (length >= MATCH_MIN && length > cost).then(|| Match { offset: at - from, length, gain: length - cost })
}

/// How many bytes from `at` on repeat those from `from` on.
pub(super) fn common(plain: &[u8], from: usize, at: usize) -> usize {
    let mut length = 0;
    while let (Some(ours), Some(theirs)) = (eight(plain, at + length), eight(plain, from + length)) {
        if ours != theirs {
            return length + ((ours ^ theirs).trailing_zeros() / 8) as usize;
        }
        length += 8;
    }
    while plain.get(at + length).is_some_and(|byte| plain.get(from + length) == Some(byte)) {
        length += 1;
    }
    length
}

fn eight(plain: &[u8], at: usize) -> Option<u64> {
    plain.get(at..at + 8).and_then(|bytes| bytes.try_into().ok()).map(u64::from_le_bytes)
}

/// Four bytes as a number; 0 at the end, where there are fewer.
pub(super) fn word(plain: &[u8], at: usize) -> u32 {
    plain.get(at..at + 4).and_then(|bytes| bytes.try_into().ok()).map_or(0, u32::from_le_bytes)
}

fn hash(word: u32, bits: u32) -> usize {
    (word.wrapping_mul(0x9e37_79b1) >> (32 - bits)) as usize
}

fn bits_for(size: usize, bounds: std::ops::RangeInclusive<u32>) -> u32 {
    (usize::BITS - size.leading_zeros()).clamp(*bounds.start(), *bounds.end())
}
