//! Streams, read: one after another, cut anywhere.

use super::block::decode_block;
use super::error::S2Error;
use super::{
    masked, CHECKSUM_BYTES, CHUNK_PLAIN_BYTES_MAX, COMPRESSED, HEADER_BYTES, IDENTIFIER_TYPE, MAGIC, SKIPPABLE_FROM,
    UNCOMPRESSED,
};

/// A block is at most so much longer than what it stands for; who compresses worse should not compress.
const BLOCK_EXCESS: usize = 64;

/// The reading side of one connection.
#[derive(Debug, Default)]
pub struct Reader {
    /// Input from the last chunk boundary on that was not decoded.
    waiting: Vec<u8>,
    /// Bytes of a padding chunk that are still to come.
    skip: usize,
    identified: bool,
    /// There are whole chunks in `waiting`: the last call had its fill.
    more: bool,
}

impl Reader {
    /// Takes input and appends what it stands for to `plain`, until that has grown to `enough` bytes.
    ///
    /// `Ok(true)` means that input is left: call again, with nothing or with more, once `plain` has been used. One call
    /// appends at most [`CHUNK_PLAIN_BYTES_MAX`] bytes more than `enough`. After an error the reader is of no use.
    pub fn read(&mut self, input: &[u8], enough: usize, plain: &mut Vec<u8>) -> Result<bool, S2Error> {
        if self.waiting.is_empty() {
            let used = self.read_chunks(input, enough, plain)?;
            self.waiting.extend_from_slice(input.get(used..).unwrap_or(&[]));
        } else {
            let mut waiting = std::mem::take(&mut self.waiting);
            waiting.extend_from_slice(input);
            let used = self.read_chunks(&waiting, enough, plain)?;
            if used == 0 {
                self.waiting = waiting;
            } else {
                self.waiting.extend_from_slice(waiting.get(used..).unwrap_or(&[]));
            }
        }
        Ok(self.more)
    }

    /// Whether a call without input would find something.
    pub fn has_more(&self) -> bool {
        self.more
    }

    /// Bytes that the reader holds on the heap.
    pub fn buffered_bytes(&self) -> usize {
        self.waiting.capacity()
    }

    /// Decodes whole chunks; returns how much of the input is used up.
    fn read_chunks(&mut self, input: &[u8], enough: usize, plain: &mut Vec<u8>) -> Result<usize, S2Error> {
        let mut at = 0;
        self.more = false;
        loop {
            let skipped = self.skip.min(input.len() - at);
            self.skip -= skipped;
            at += skipped;
            let rest = input.get(at..).unwrap_or(&[]);
            let Some((kind, length)) = header(rest)? else { return Ok(at) };
            if !self.identified && kind != IDENTIFIER_TYPE {
                return Err(S2Error::NotS2);
            }
            if (SKIPPABLE_FROM..IDENTIFIER_TYPE).contains(&kind) {
                at += HEADER_BYTES;
                self.skip = length;
                continue;
            }
            let Some(body) = rest.get(HEADER_BYTES..HEADER_BYTES + length) else { return Ok(at) };
            if kind != IDENTIFIER_TYPE && plain.len() >= enough {
                self.more = true;
                return Ok(at);
            }
            self.read_chunk(kind, body, plain)?;
            at += HEADER_BYTES + length;
        }
    }

    fn read_chunk(&mut self, kind: u8, body: &[u8], plain: &mut Vec<u8>) -> Result<(), S2Error> {
        if kind == IDENTIFIER_TYPE {
            self.identified = true;
            return if MAGIC.contains(&body) { Ok(()) } else { Err(S2Error::NotS2) };
        }
        let Some((checksum, data)) = body.split_first_chunk::<CHECKSUM_BYTES>() else {
            return Err(S2Error::ChunkTooShort);
        };
        let start = plain.len();
        if kind == COMPRESSED {
            decode_block(data, CHUNK_PLAIN_BYTES_MAX, plain)?;
        } else {
            plain.extend_from_slice(data);
        }
        if masked(crc32c::crc32c(plain.get(start..).unwrap_or(&[]))) != u32::from_le_bytes(*checksum) {
            plain.truncate(start);
            return Err(S2Error::ChecksumMismatch);
        }
        Ok(())
    }
}

/// Type and length of the chunk that `input` begins with, once its header is there. What could never be one is refused
/// before it is waited for.
fn header(input: &[u8]) -> Result<Option<(u8, usize)>, S2Error> {
    let Some(&[kind, low, middle, high]) = input.first_chunk::<HEADER_BYTES>() else { return Ok(None) };
    let length = u32::from_le_bytes([low, middle, high, 0]) as usize;
    let bound = CHECKSUM_BYTES + CHUNK_PLAIN_BYTES_MAX;
    match kind {
        COMPRESSED if length > bound + BLOCK_EXCESS => Err(S2Error::ChunkTooLong),
        UNCOMPRESSED if length > bound => Err(S2Error::ChunkTooLong),
        COMPRESSED | UNCOMPRESSED if length < CHECKSUM_BYTES => Err(S2Error::ChunkTooShort),
        IDENTIFIER_TYPE if MAGIC.iter().all(|magic| magic.len() != length) => Err(S2Error::NotS2),
        COMPRESSED | UNCOMPRESSED | SKIPPABLE_FROM.. => Ok(Some((kind, length))),
        unknown => Err(S2Error::ChunkUnknown(unknown)),
    }
}
