//! S2, the compression between servers: blocks and the stream around them (reference: wire protocol 2.8).
//!
//! S2 is Snappy with repeated offsets and long copies. What is written for one flush is a complete stream: an identifier
//! chunk, then data chunks, each with a checksum over what it stands for. A [`Reader`] takes such streams one after another,
//! cut anywhere; a [`Packer`] writes them.
//!
//! Invariants:
//! - Chunking is invisible: the same streams give the same bytes however the socket cut them.
//! - No input panics. A chunk stands for at most [`CHUNK_PLAIN_BYTES_MAX`] bytes, and what is kept of one that is not
//!   complete is bounded by that, too; padding is not kept at all.
//! - A reader without an unfinished chunk owns no heap memory. The tables of a packer belong to the thread.
//!
//! Absent on purpose: dictionaries, indexes, and writing Snappy.

mod block;
mod compress;
mod effort;
mod error;
mod matches;
mod packer;
mod reader;

pub use block::{decode_block, read_size};
pub use compress::{encode_block, Compressor};
pub use effort::{Effort, Pace};
pub use error::S2Error;
pub use packer::Packer;
pub use reader::Reader;

/// Most bytes that one chunk may stand for: what an S2 writer puts into a block at most.
pub const CHUNK_PLAIN_BYTES_MAX: usize = 4 << 20;

/// Most bytes that we put into one chunk.
pub const CHUNK_BYTES: usize = 1 << 20;

const IDENTIFIER: [u8; 10] = *b"\xff\x06\x00\x00S2sTwO";
const MAGIC: [&[u8]; 2] = [b"S2sTwO", b"sNaPpY"];
const HEADER_BYTES: usize = 4;
const CHECKSUM_BYTES: usize = 4;
const COMPRESSED: u8 = 0x00;
const UNCOMPRESSED: u8 = 0x01;
const IDENTIFIER_TYPE: u8 = 0xff;
const SKIPPABLE_FROM: u8 = 0x80;

/// CRC-32C, turned and shifted so that a checksum over data with checksums in it is one.
fn masked(crc: u32) -> u32 {
    crc.rotate_right(15).wrapping_add(0xa282_ead8)
}
