//! Outgoing frames: always binary, never masked (reference: wire protocol 5.2).

use super::decode::WsCodec;
use super::deflate::Flate;
use super::frame::{FrameHeader, Opcode, FINAL, RSV1};
use super::COMPRESSION_THRESHOLD_BYTES;

/// Most NATS bytes in one compressed message. Receivers bound the inflated size of a message, and bytes of a large
/// flush should not wait for its last.
const COMPRESSED_MESSAGE_BYTES_MAX: usize = 64 * 1024;

impl WsCodec {
    /// The header of one whole message of `len` bytes that follow unchanged, or compressed to `len` bytes.
    pub fn frame_header(len: usize, compressed: bool) -> FrameHeader {
        FrameHeader::binary(len, compressed)
    }

    /// Whether `len` bytes of output should go through [`WsCodec::encode_compressed`].
    pub fn wants_compression(&self, len: usize) -> bool {
        self.options().compress && len > COMPRESSION_THRESHOLD_BYTES
    }

    /// Whether `len` bytes may follow one [`WsCodec::frame_header`] as they are: the way without a copy.
    pub fn passes_unchanged(&self, len: usize) -> bool {
        !self.wants_compression(len) && self.options().frame_bytes_max.is_none_or(|max| len <= max)
    }

    /// Appends complete frames for the concatenation of `chunks`, compressed or split as this peer needs it.
    pub fn encode(&self, chunks: &[&[u8]], flate: &mut Flate, out: &mut Vec<u8>) {
        if self.wants_compression(chunks.iter().map(|chunk| chunk.len()).sum()) {
            self.encode_compressed(chunks, flate, out);
        } else {
            self.encode_plain(chunks, out);
        }
    }

    /// Appends complete messages that carry the concatenation of `chunks` deflated.
    ///
    /// Large output becomes several messages. One that deflation would enlarge goes out as it is.
    pub fn encode_compressed(&self, chunks: &[&[u8]], flate: &mut Flate, out: &mut Vec<u8>) {
        let message_bytes_max = COMPRESSED_MESSAGE_BYTES_MAX.min(self.options().message_bytes_max).max(1);
        let mut rest = Pieces::new(chunks);
        let mut message = Vec::with_capacity(chunks.len());
        loop {
            message.clear();
            let message_bytes = rest.take(message_bytes_max, &mut message);
            if message_bytes == 0 {
                return;
            }
            match flate.pack(message.iter().copied(), message_bytes) {
                Some(packed) if packed.len() < message_bytes => self.frame_packed(packed, out),
                _ => self.encode_plain(&message, out),
            }
        }
    }

    /// Frames one compressed message, in fragments where the peer wants small frames.
    fn frame_packed(&self, packed: &[u8], out: &mut Vec<u8>) {
        let options = self.options();
        let fragment_bytes = match options.frame_bytes_max {
            Some(max) if options.fragment_compressed => max.max(1),
            _ => packed.len(),
        };
        let mut rest = packed;
        let mut start = Opcode::Binary as u8 | RSV1;
        while !rest.is_empty() {
            let (fragment, after) = rest.split_at(fragment_bytes.min(rest.len()));
            let last = if after.is_empty() { FINAL } else { 0 };
            out.extend_from_slice(FrameHeader::new(start | last, fragment.len()).as_bytes());
            out.extend_from_slice(fragment);
            start = Opcode::Continuation as u8;
            rest = after;
        }
    }

    /// Appends `chunks` unchanged, as one message for each run of bytes that fits a frame.
    fn encode_plain(&self, chunks: &[&[u8]], out: &mut Vec<u8>) {
        let frame_bytes_max = self.options().frame_bytes_max.unwrap_or(usize::MAX).max(1);
        let mut rest = Pieces::new(chunks);
        let mut frame = Vec::with_capacity(chunks.len());
        loop {
            frame.clear();
            let frame_bytes = rest.take(frame_bytes_max, &mut frame);
            if frame_bytes == 0 {
                return;
            }
            out.extend_from_slice(FrameHeader::binary(frame_bytes, false).as_bytes());
            for piece in &frame {
                out.extend_from_slice(piece);
            }
        }
    }
}

/// What is left of a list of chunks.
struct Pieces<'a, 'b> {
    head: &'b [u8],
    chunks: std::slice::Iter<'a, &'b [u8]>,
}

impl<'a, 'b> Pieces<'a, 'b> {
    fn new(chunks: &'a [&'b [u8]]) -> Self {
        Self { head: &[], chunks: chunks.iter() }
    }

    /// Moves up to `bytes_max` bytes to `taken` and returns how many they were; 0 at the end.
    fn take(&mut self, bytes_max: usize, taken: &mut Vec<&'b [u8]>) -> usize {
        let mut room = bytes_max;
        while room > 0 {
            if self.head.is_empty() {
                match self.chunks.next() {
                    Some(chunk) => self.head = chunk,
                    None => break,
                }
                continue;
            }
            let (piece, after) = self.head.split_at(room.min(self.head.len()));
            taken.push(piece);
            room -= piece.len();
            self.head = after;
        }
        bytes_max - room
    }
}
