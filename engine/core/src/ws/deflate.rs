//! permessage-deflate without context takeover: one raw deflate stream per message (RFC 7692, section 7.2).
//!
//! Every message starts from an empty window, so compressors and inflaters can be shared: a thread owns one [`Flate`],
//! and a connection borrows an inflater only while a compressed message is under way.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress, Status};

use super::error::WsError;

/// What every message lacks at its end (RFC 7692), then an empty final block, so that a whole message ends the stream.
const TAIL: [u8; 9] = [0x00, 0x00, 0xff, 0xff, 0x01, 0x00, 0x00, 0xff, 0xff];

/// What a sync flush appends and a sender removes.
const SYNC_MARK: [u8; 4] = [0x00, 0x00, 0xff, 0xff];

/// From this size on a better match search pays for itself.
const TIGHT_FROM_BYTES: usize = 4096;

/// Inflaters kept for the next message.
const IDLE_INFLATERS_MAX: usize = 4;

/// Packed bytes allowed per inflated byte allowed: a peer's compressor may enlarge its input.
const PACKED_FACTOR: u64 = 8;
const PACKED_BYTES_MAX: u64 = 64 * 1024 * 1024;

/// The compressors and idle inflaters of one thread. Empty until first used.
#[derive(Debug, Default)]
pub struct Flate {
    quick: Option<Compress>,
    tight: Option<Compress>,
    packed: Vec<u8>,
    // Boxed, so that a connection that needs none pays one pointer, and lending moves nothing.
    #[allow(clippy::vec_box)]
    idle: Vec<Box<Inflation>>,
}

impl Flate {
    /// An empty set; it allocates nothing.
    pub fn new() -> Self {
        Self::default()
    }

    /// Compresses the concatenation of `chunks` as one message of `payload_bytes` bytes. None when compression failed.
    pub(super) fn pack<'a>(&mut self, chunks: impl Iterator<Item = &'a [u8]>, payload_bytes: usize) -> Option<&[u8]> {
        let stream = if payload_bytes < TIGHT_FROM_BYTES {
            self.quick.get_or_insert_with(|| Compress::new(Compression::new(1), false))
        } else {
            self.tight.get_or_insert_with(|| Compress::new(Compression::new(2), false))
        };
        stream.reset();
        self.packed.clear();
        self.packed.reserve(payload_bytes + payload_bytes / 8 + 64);
        for chunk in chunks {
            deflate(stream, chunk, FlushCompress::None, &mut self.packed)?;
        }
        deflate(stream, &[], FlushCompress::Sync, &mut self.packed)?;
        self.packed.strip_suffix(&SYNC_MARK)
    }

    pub(super) fn lend(&mut self) -> Box<Inflation> {
        self.idle.pop().unwrap_or_else(Inflation::new)
    }

    pub(super) fn take_back(&mut self, mut inflation: Box<Inflation>) {
        if self.idle.len() < IDLE_INFLATERS_MAX {
            inflation.restart();
            self.idle.push(inflation);
        }
    }
}

/// Feeds one chunk; leaves room in `packed` exactly when nothing is pending any more.
fn deflate(stream: &mut Compress, mut chunk: &[u8], flush: FlushCompress, packed: &mut Vec<u8>) -> Option<()> {
    loop {
        if packed.len() == packed.capacity() {
            packed.reserve(1024);
        }
        let (bytes_in, bytes_out) = (stream.total_in(), packed.len());
        stream.compress_vec(chunk, packed, flush).ok()?;
        let taken = usize::try_from(stream.total_in() - bytes_in).ok()?;
        chunk = chunk.get(taken..)?;
        if packed.len() < packed.capacity() && chunk.is_empty() {
            return Some(());
        }
        if taken == 0 && packed.len() == bytes_out {
            return None;
        }
    }
}

/// The state of one compressed message that is being received.
#[derive(Debug)]
pub(super) struct Inflation {
    stream: Decompress,
    packed_bytes: u64,
    ended: bool,
}

impl Inflation {
    fn new() -> Box<Self> {
        Box::new(Self { stream: Decompress::new(false), packed_bytes: 0, ended: false })
    }

    fn restart(&mut self) {
        self.stream.reset(false);
        self.packed_bytes = 0;
        self.ended = false;
    }

    /// Counts a frame of the message when its header is known, against the limit on packed bytes.
    pub(super) fn announce(&mut self, frame_bytes: u64, message_bytes_max: usize) -> Result<(), WsError> {
        let limit = (message_bytes_max as u64).saturating_mul(PACKED_FACTOR).min(PACKED_BYTES_MAX);
        self.packed_bytes = self.packed_bytes.saturating_add(frame_bytes);
        if self.packed_bytes > limit {
            return Err(WsError::PayloadExceeded);
        }
        Ok(())
    }

    /// Inflates a piece of the message onto `out`.
    pub(super) fn append(&mut self, mut piece: &[u8], bytes_max: usize, out: &mut Vec<u8>) -> Result<(), WsError> {
        while !self.ended {
            if out.len() == out.capacity() {
                out.reserve(piece.len().saturating_mul(4).clamp(256, 64 * 1024));
            }
            let (bytes_in, bytes_out) = (self.stream.total_in(), self.stream.total_out());
            let status = self
                .stream
                .decompress_vec(piece, out, FlushDecompress::None)
                .map_err(|_| WsError::CompressedDataCorrupt)?;
            let taken = usize::try_from(self.stream.total_in() - bytes_in).unwrap_or(usize::MAX);
            piece = piece.get(taken..).unwrap_or_default();
            if self.stream.total_out() > bytes_max as u64 {
                return Err(WsError::PayloadExceeded);
            }
            self.ended = status == Status::StreamEnd;
            if piece.is_empty() && out.len() < out.capacity() {
                break;
            }
            if taken == 0 && self.stream.total_out() == bytes_out && out.len() < out.capacity() {
                return Err(WsError::CompressedDataCorrupt);
            }
        }
        Ok(())
    }

    /// Ends the message: everything must have been there.
    pub(super) fn finish(&mut self, bytes_max: usize, out: &mut Vec<u8>) -> Result<(), WsError> {
        self.append(&TAIL, bytes_max, out)?;
        if self.ended {
            Ok(())
        } else {
            Err(WsError::CompressedDataCorrupt)
        }
    }
}
