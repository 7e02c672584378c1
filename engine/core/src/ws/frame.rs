//! The layout of one frame: first bytes, lengths, opcodes (RFC 6455, section 5.2).

use super::error::WsError;

pub(super) const FINAL: u8 = 0x80;
pub(super) const RSV1: u8 = 0x40;
const RSV2_AND_3: u8 = 0x30;
const MASKED: u8 = 0x80;

/// Largest payload of a control frame.
pub(super) const CONTROL_BYTES_MAX: usize = 125;

/// Longest header a peer can send: two bytes, 64-bit length, mask key.
pub(super) const HEAD_BYTES_MAX: usize = 14;

/// The kinds of frames that exist.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Opcode {
    Continuation = 0,
    Text = 1,
    Binary = 2,
    Close = 8,
    Ping = 9,
    Pong = 10,
}

impl Opcode {
    pub(super) const fn from_nibble(nibble: u8) -> Option<Self> {
        Some(match nibble {
            0 => Self::Continuation,
            1 => Self::Text,
            2 => Self::Binary,
            8 => Self::Close,
            9 => Self::Ping,
            10 => Self::Pong,
            _ => return None,
        })
    }

    pub(super) const fn is_control(self) -> bool {
        matches!(self, Self::Close | Self::Ping | Self::Pong)
    }
}

/// What a frame may be at this point of the stream.
#[derive(Clone, Copy, Debug)]
pub(super) struct Expectation {
    pub(super) compress: bool,
    pub(super) masked: bool,
    pub(super) message_open: bool,
}

/// An inbound frame's header, already checked against an [`Expectation`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Head {
    pub(super) opcode: Opcode,
    pub(super) last: bool,
    pub(super) compressed: bool,
    pub(super) payload_bytes: u64,
    pub(super) key: [u8; 4],
}

impl Head {
    /// Reads a header from the start of `bytes`, with the rest behind it; None while it is incomplete.
    ///
    /// The first two bytes are judged as soon as they are there, in the order in which nats-server judges them.
    pub(super) fn read<'a>(bytes: &'a [u8], expected: &Expectation) -> Result<Option<(Self, &'a [u8])>, WsError> {
        let [first, second, rest @ ..] = bytes else {
            return Ok(None);
        };
        let opcode = check_start(*first, *second, expected)?;
        let (payload_bytes, rest) = match second & !MASKED {
            126 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from(u16::from_be_bytes(*length)), rest),
                None => return Ok(None),
            },
            127 => match rest.split_first_chunk() {
                Some((length, rest)) => (u64::from_be_bytes(*length), rest),
                None => return Ok(None),
            },
            short => (u64::from(short), rest),
        };
        if payload_bytes >> 63 != 0 {
            return Err(WsError::LengthInvalid);
        }
        let (key, rest) = if expected.masked {
            match rest.split_first_chunk() {
                Some((key, rest)) => (*key, rest),
                None => return Ok(None),
            }
        } else {
            ([0; 4], rest)
        };
        let head = Self { opcode, last: first & FINAL != 0, compressed: first & RSV1 != 0, payload_bytes, key };
        Ok(Some((head, rest)))
    }
}

fn check_start(first: u8, second: u8, expected: &Expectation) -> Result<Opcode, WsError> {
    let compressed = first & RSV1 != 0;
    if first & RSV2_AND_3 != 0 {
        return Err(WsError::ReservedBits);
    }
    if compressed && !expected.compress {
        return Err(WsError::CompressionNotNegotiated);
    }
    match (expected.masked, second & MASKED != 0) {
        (true, false) => return Err(WsError::MaskMissing),
        (false, true) => return Err(WsError::MaskUnexpected),
        _ => {}
    }
    let nibble = first & 0x0f;
    let opcode = Opcode::from_nibble(nibble).ok_or(WsError::OpcodeUnknown(nibble))?;
    match opcode {
        Opcode::Close | Opcode::Ping | Opcode::Pong => {
            if usize::from(second & !MASKED) > CONTROL_BYTES_MAX {
                return Err(WsError::ControlTooLong);
            }
            if first & FINAL == 0 {
                return Err(WsError::ControlFragmented);
            }
            if compressed {
                return Err(WsError::ControlCompressed);
            }
        }
        Opcode::Text | Opcode::Binary if expected.message_open => return Err(WsError::MessageInterrupted),
        Opcode::Continuation if !expected.message_open || compressed => return Err(WsError::ContinuationInvalid),
        Opcode::Text | Opcode::Binary | Opcode::Continuation => {}
    }
    Ok(opcode)
}

/// The header of one outgoing, unmasked frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct FrameHeader {
    bytes: [u8; 10],
    len: u8,
}

impl FrameHeader {
    /// Header with a given first byte and the shortest form of the length.
    pub(super) fn new(first: u8, payload_bytes: usize) -> Self {
        let mut bytes = [0; 10];
        bytes[0] = first;
        let len = if let Ok(short @ 0..=125) = u8::try_from(payload_bytes) {
            bytes[1] = short;
            2
        } else if let Ok(medium) = u16::try_from(payload_bytes) {
            bytes[1] = 126;
            bytes[2..4].copy_from_slice(&medium.to_be_bytes());
            4
        } else {
            bytes[1] = 127;
            bytes[2..10].copy_from_slice(&(payload_bytes as u64).to_be_bytes());
            10
        };
        Self { bytes, len }
    }

    /// Header of one whole binary message of `payload_bytes` bytes.
    pub fn binary(payload_bytes: usize, compressed: bool) -> Self {
        let rsv1 = if compressed { RSV1 } else { 0 };
        Self::new(FINAL | rsv1 | Opcode::Binary as u8, payload_bytes)
    }

    /// The bytes to send before the payload.
    pub fn as_bytes(&self) -> &[u8] {
        self.bytes.get(..usize::from(self.len)).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::FrameHeader;

    #[test]
    fn lengths_take_their_shortest_form() {
        let header = |n| FrameHeader::binary(n, false).as_bytes().to_vec();
        assert_eq!(header(0), [0x82, 0]);
        assert_eq!(header(125), [0x82, 125]);
        assert_eq!(header(126), [0x82, 126, 0, 126]);
        assert_eq!(header(65_535), [0x82, 126, 0xff, 0xff]);
        assert_eq!(header(65_536), [0x82, 127, 0, 0, 0, 0, 0, 1, 0, 0]);
        assert_eq!(FrameHeader::binary(7, true).as_bytes(), [0xc2, 7]);
    }
}
