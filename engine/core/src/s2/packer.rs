//! Streams, written: one for each flush.

use super::compress::{encode_block, Compressor};
use super::effort::Effort;
use super::{masked, CHECKSUM_BYTES, CHUNK_BYTES, COMPRESSED, HEADER_BYTES, IDENTIFIER, UNCOMPRESSED};

/// Fewer bytes are never compressed: there is no room for a repetition that pays.
const COMPRESS_MIN: usize = 48;

/// Writes streams; what it owns is memory to work in, so that a thread needs but one.
#[derive(Debug, Default)]
pub struct Packer {
    compressor: Compressor,
    gathered: Vec<u8>,
}

impl Packer {
    /// Appends a complete stream for the concatenation of `pieces`; nothing at all when that is empty.
    pub fn pack(&mut self, pieces: &[&[u8]], effort: Effort, wire: &mut Vec<u8>) {
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if total == 0 {
            return;
        }
        wire.extend_from_slice(&IDENTIFIER);
        if let [piece] = pieces {
            for chunk in piece.chunks(CHUNK_BYTES) {
                self.push_chunk(&[chunk], effort, wire);
            }
            return;
        }
        if total <= CHUNK_BYTES && (effort == Effort::None || total < COMPRESS_MIN) {
            self.push_chunk(pieces, Effort::None, wire);
            return;
        }
        let mut gathered = std::mem::take(&mut self.gathered);
        gathered.clear();
        for piece in pieces {
            gathered.extend_from_slice(piece);
        }
        for chunk in gathered.chunks(CHUNK_BYTES) {
            self.push_chunk(&[chunk], effort, wire);
        }
        gathered.shrink_to(CHUNK_BYTES);
        self.gathered = gathered;
    }

    fn push_chunk(&mut self, pieces: &[&[u8]], effort: Effort, wire: &mut Vec<u8>) {
        let crc = pieces.iter().fold(0, |crc, piece| crc32c::crc32c_append(crc, piece));
        let total: usize = pieces.iter().map(|piece| piece.len()).sum();
        if let (true, true, [plain]) = (effort != Effort::None, total >= COMPRESS_MIN, pieces) {
            let start = wire.len();
            push_header(wire, COMPRESSED, 0, crc);
            encode_block(plain, effort, &mut self.compressor, wire);
            let packed = wire.len() - start - HEADER_BYTES;
            if packed < total + CHECKSUM_BYTES {
                if let Some(length) = wire.get_mut(start + 1..start + HEADER_BYTES) {
                    length.copy_from_slice(&length_bytes(packed));
                }
                return;
            }
            wire.truncate(start);
        }
        push_header(wire, UNCOMPRESSED, total + CHECKSUM_BYTES, crc);
        for piece in pieces {
            wire.extend_from_slice(piece);
        }
    }
}

fn push_header(wire: &mut Vec<u8>, kind: u8, length: usize, crc: u32) {
    wire.push(kind);
    wire.extend_from_slice(&length_bytes(length));
    wire.extend_from_slice(&masked(crc).to_le_bytes());
}

fn length_bytes(length: usize) -> [u8; 3] {
    let [low, middle, high, ..] = (length as u32).to_le_bytes();
    [low, middle, high]
}
