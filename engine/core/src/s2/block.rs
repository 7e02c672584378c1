//! S2 blocks, read: a size, then literals and copies of what came before.
//!
//! Two bits of a tag say which: literal, or a copy with an offset of 11, 16 or 32 bits. A copy with an 11-bit offset of zero
//! repeats the offset of the copy before it, at any length.

use super::error::S2Error;

/// Copies and literals of at most this many bytes are moved as so many, where there is room.
const STRIDE: usize = 16;

/// The size that a block claims to stand for, and how many bytes tell it.
pub fn read_size(block: &[u8]) -> Result<(usize, usize), S2Error> {
    let mut size = 0u64;
    for (at, &byte) in block.iter().take(5).enumerate() {
        size |= u64::from(byte & 0x7f) << (7 * at);
        if byte & 0x80 == 0 {
            return match u32::try_from(size) {
                Ok(size) => Ok((size as usize, at + 1)),
                Err(_) => Err(S2Error::BlockCorrupt),
            };
        }
    }
    Err(S2Error::BlockCorrupt)
}

/// Decodes a whole block that stands for at most `max` bytes behind `out`. On an error `out` is as it was.
pub fn decode_block(block: &[u8], max: usize, out: &mut Vec<u8>) -> Result<(), S2Error> {
    let (size, skip) = read_size(block)?;
    if size > max {
        return Err(S2Error::ChunkTooLong);
    }
    let base = out.len();
    out.resize(base + size, 0);
    let outcome = match (block.get(skip..), out.get_mut(base..)) {
        (Some(ops), Some(plain)) => decode_ops(ops, plain),
        _ => None,
    };
    outcome.ok_or_else(|| {
        out.truncate(base);
        S2Error::BlockCorrupt
    })
}

fn decode_ops(ops: &[u8], plain: &mut [u8]) -> Option<()> {
    let (mut from, mut to, mut offset) = (0, 0, 0);
    while let Some(&tag) = ops.get(from) {
        let length;
        match tag & 3 {
            0 => {
                (length, from) = literal_length(ops, from, tag)?;
                literal(ops, from, plain, to, length)?;
                from += length;
                to += length;
                continue;
            }
            1 => {
                let near = usize::from(tag & 0xe0) << 3 | usize::from(*ops.get(from + 1)?);
                let short = usize::from(tag >> 2 & 7);
                if near == 0 {
                    (length, from) = repeat_length(ops, from + 2, short)?;
                } else {
                    (offset, length, from) = (near, short + 4, from + 2);
                }
            }
            2 => {
                offset = little_endian(ops, from + 1, 2)?;
                (length, from) = (usize::from(tag >> 2) + 1, from + 3);
            }
            _ => {
                offset = little_endian(ops, from + 1, 4)?;
                (length, from) = (usize::from(tag >> 2) + 1, from + 5);
            }
        }
        copy(plain, to, offset, length)?;
        to += length;
    }
    (to == plain.len()).then_some(())
}

fn literal_length(ops: &[u8], from: usize, tag: u8) -> Option<(usize, usize)> {
    match tag >> 2 {
        short @ 0..=59 => Some((usize::from(short) + 1, from + 1)),
        long => {
            let bytes = usize::from(long) - 59;
            Some((little_endian(ops, from + 1, bytes)?.checked_add(1)?, from + 1 + bytes))
        }
    }
}

fn repeat_length(ops: &[u8], from: usize, short: usize) -> Option<(usize, usize)> {
    let (beyond, bytes) = match short {
        0..=4 => return Some((short + 4, from)),
        5 => (4, 1),
        6 => (1 << 8, 2),
        _ => (1 << 16, 3),
    };
    Some((little_endian(ops, from, bytes)? + beyond + 4, from + bytes))
}

fn little_endian(ops: &[u8], from: usize, bytes: usize) -> Option<usize> {
    let digits = ops.get(from..from + bytes)?;
    Some(digits.iter().rev().fold(0, |value, &byte| value << 8 | usize::from(byte)))
}

fn literal(ops: &[u8], from: usize, plain: &mut [u8], to: usize, length: usize) -> Option<()> {
    if length <= STRIDE {
        if let (Some(source), Some(target)) = (ops.get(from..from + STRIDE), plain.get_mut(to..to + STRIDE)) {
            // What is too much is overwritten by what follows.
            target.copy_from_slice(source);
            return Some(());
        }
    }
    let source = ops.get(from..from.checked_add(length)?)?;
    plain.get_mut(to..to.checked_add(length)?)?.copy_from_slice(source);
    Some(())
}

/// Copies `length` bytes from `offset` before `to`; with an offset smaller than the length they repeat.
fn copy(plain: &mut [u8], to: usize, offset: usize, length: usize) -> Option<()> {
    if offset == 0 || offset > to || length > plain.len() - to {
        return None;
    }
    let from = to - offset;
    if length <= STRIDE && offset >= STRIDE && plain.len() - to >= STRIDE {
        plain.copy_within(from..from + STRIDE, to);
        return Some(());
    }
    if offset >= length {
        plain.copy_within(from..from + length, to);
        return Some(());
    }
    if let (1, Some(&byte)) = (offset, plain.get(from)) {
        plain.get_mut(to..to + length)?.fill(byte);
        return Some(());
    }
    // Each round doubles what there is to copy from.
    let (mut done, mut ready) = (0, offset);
    while done < length {
        let take = ready.min(length - done);
        plain.copy_within(from..from + take, to + done);
        done += take;
        ready += take;
    }
    Some(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decoded(block: &[u8]) -> Result<Vec<u8>, S2Error> {
        let mut out = b"before".to_vec();
        decode_block(block, 1 << 20, &mut out)?;
        assert!(out.starts_with(b"before"));
        Ok(out.split_off(6))
    }

    #[test]
    fn literals_and_copies_of_all_kinds_are_read() {
        // 6 literal bytes; an 11-bit copy of 4; a 16-bit one of 3; a 32-bit one of 2.
        let block = [15, 5 << 2, b'a', b'b', b'c', b'd', b'e', b'f', 1, 6, 2 << 2 | 2, 4, 0, 1 << 2 | 3, 1, 0, 0, 0];
        assert_eq!(decoded(&block).unwrap(), b"abcdefabcdabccc");
    }

    #[test]
    fn the_last_offset_is_repeated_at_every_length() {
        for (length, tail) in [
            (4usize, vec![1u8, 0]),
            (8, vec![4 << 2 | 1, 0]),
            (8, vec![5 << 2 | 1, 0, 0]),
            (263, vec![5 << 2 | 1, 0, 255]),
            (260, vec![6 << 2 | 1, 0, 0, 0]),
            (65_795, vec![6 << 2 | 1, 0, 255, 255]),
            (65_540, vec![7 << 2 | 1, 0, 0, 0, 0]),
        ] {
            let mut block = Vec::new();
            let mut size = 3 + 1 + length;
            while size >= 0x80 {
                block.push(size as u8 | 0x80);
                size >>= 7;
            }
            block.push(size as u8);
            // abc, then a copy of one byte at offset 3.
            block.extend([2 << 2, b'a', b'b', b'c', 2, 3, 0]);
            block.extend(&tail);
            let plain = decoded(&block).unwrap();
            assert_eq!(plain.len(), 4 + length);
            assert!(plain.iter().zip(b"abc".iter().cycle()).all(|(got, want)| got == want), "{length}");
        }
    }

    #[test]
    fn what_does_not_fit_is_refused() {
        for (name, block) in [
            ("no size", &[0x80u8][..]),
            ("a size of six bytes", &[0x80, 0x80, 0x80, 0x80, 0x80, 1]),
            ("a size of 33 bits", &[0xff, 0xff, 0xff, 0xff, 0x7f]),
            ("too little", &[2, 0, b'a']),
            ("too much", &[1, 1 << 2, b'a', b'b']),
            ("a literal cut", &[4, 3 << 2, b'a']),
            ("a literal's length cut", &[4, 61 << 2, 0]),
            ("a copy from before the block", &[5, 0, b'a', 1, 2]),
            ("a copy from nowhere", &[4, 0, b'a', 2 << 2 | 2, 0, 0]),
            ("a repeat without a copy", &[5, 0, b'a', 1, 0]),
            ("a repeat cut", &[200, 1, 0, b'a', 2, 1, 0, 5 << 2 | 1, 0]),
            ("an offset cut", &[5, 0, b'a', 3, 1, 0]),
        ] {
            assert_eq!(decoded(block), Err(S2Error::BlockCorrupt), "{name}");
        }
        assert_eq!(decode_block(&[0x81, 0x80, 0x40], 1 << 20, &mut Vec::new()), Err(S2Error::ChunkTooLong));
    }
}
