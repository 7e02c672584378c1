//! The other side, written straight from RFC 6455 and RFC 7692, slow and plain on purpose.

use flate2::{Compress, Compression, Decompress, FlushCompress, FlushDecompress};
use natsfleet_core::ws::{Flate, WsCodec, WsError, WsOptions};

pub const CONTINUATION: u8 = 0;
pub const TEXT: u8 = 1;
pub const BINARY: u8 = 2;
pub const CLOSE: u8 = 8;
pub const PING: u8 = 9;
pub const PONG: u8 = 10;

/// What a client without extras negotiates.
pub const PLAIN: WsOptions = WsOptions {
    compress: false,
    masked_input: true,
    frame_bytes_max: None,
    fragment_compressed: true,
    message_bytes_max: 1_048_576,
};

/// With permessage-deflate.
pub const COMPRESSED: WsOptions = WsOptions { compress: true, ..PLAIN };

/// One frame to be sent to the codec.
#[derive(Clone, Debug)]
pub struct Frame {
    pub opcode: u8,
    pub last: bool,
    pub rsv: u8,
    pub key: Option<[u8; 4]>,
    pub payload: Vec<u8>,
}

impl Frame {
    pub fn new(opcode: u8, payload: &[u8]) -> Self {
        Self { opcode, last: true, rsv: 0, key: Some([0x11, 0x22, 0x33, 0x44]), payload: payload.to_vec() }
    }

    pub fn binary(payload: &[u8]) -> Self {
        Self::new(BINARY, payload)
    }

    /// A message of one frame, deflated.
    pub fn deflated(payload: &[u8]) -> Self {
        Self::new(BINARY, &deflate(payload)).rsv(4)
    }

    pub fn not_last(mut self) -> Self {
        self.last = false;
        self
    }

    pub fn rsv(mut self, rsv: u8) -> Self {
        self.rsv = rsv;
        self
    }

    pub fn unmasked(mut self) -> Self {
        self.key = None;
        self
    }

    pub fn to_bytes(&self) -> Vec<u8> {
        let mask_bit = if self.key.is_some() { 0x80 } else { 0 };
        let mut bytes = vec![u8::from(self.last) << 7 | self.rsv << 4 | self.opcode];
        match self.payload.len() {
            n @ 0..=125 => bytes.push(mask_bit | n as u8),
            n @ 126..=65_535 => {
                bytes.push(mask_bit | 126);
                bytes.extend((n as u16).to_be_bytes());
            }
            n => {
                bytes.push(mask_bit | 127);
                bytes.extend((n as u64).to_be_bytes());
            }
        }
        match self.key {
            None => bytes.extend(&self.payload),
            Some(key) => {
                bytes.extend(key);
                bytes.extend(self.payload.iter().enumerate().map(|(i, b)| b ^ key[i % 4]));
            }
        }
        bytes
    }
}

/// Deflates a message as RFC 7692 says.
pub fn deflate(payload: &[u8]) -> Vec<u8> {
    let mut packed = Vec::with_capacity(payload.len() + 1024);
    Compress::new(Compression::best(), false).compress_vec(payload, &mut packed, FlushCompress::Sync).unwrap();
    assert_eq!(packed.split_off(packed.len() - 4), [0, 0, 0xff, 0xff]);
    packed
}

/// Inflates a message as RFC 7692 says.
pub fn inflate(packed: &[u8]) -> Vec<u8> {
    let mut whole = packed.to_vec();
    whole.extend([0, 0, 0xff, 0xff]);
    let mut payload = Vec::with_capacity(4 << 20);
    Decompress::new(false).decompress_vec(&whole, &mut payload, FlushDecompress::Sync).unwrap();
    payload
}

/// Everything the codec said about some input.
#[derive(Debug, Default, PartialEq, Eq)]
pub struct Heard {
    pub nats: Vec<u8>,
    pub control: Vec<u8>,
    pub closed: bool,
    pub error: Option<WsError>,
}

/// Decodes `pieces` one after the other, each until it is used up.
pub fn hear<'a>(options: WsOptions, pieces: impl IntoIterator<Item = &'a [u8]>) -> Heard {
    let mut codec = WsCodec::new(options);
    let mut flate = Flate::new();
    let mut heard = Heard::default();
    for mut piece in pieces {
        while !piece.is_empty() && !heard.closed && heard.error.is_none() {
            match codec.decode(piece, &mut flate, &mut heard.nats, &mut heard.control) {
                Ok(decoded) => {
                    assert!(decoded.consumed > 0, "no progress");
                    piece = &piece[decoded.consumed..];
                    heard.closed = decoded.closed;
                }
                Err(error) => heard.error = Some(error),
            }
        }
    }
    heard
}

/// Decodes frames given in one piece.
pub fn hear_frames(options: WsOptions, frames: &[Frame]) -> Heard {
    hear(options, [&frames.iter().flat_map(Frame::to_bytes).collect::<Vec<_>>()[..]])
}

/// A frame as the codec sent it.
#[derive(Debug, PartialEq, Eq)]
pub struct Sent {
    pub first: u8,
    pub payload: Vec<u8>,
}

/// Splits the codec's output into frames, insisting on no mask and the shortest lengths.
pub fn sent_frames(mut bytes: &[u8]) -> Vec<Sent> {
    let mut frames = Vec::new();
    while !bytes.is_empty() {
        let (len, header) = match bytes[1] {
            126 => (usize::from(u16::from_be_bytes([bytes[2], bytes[3]])), 4),
            127 => (u64::from_be_bytes(bytes[2..10].try_into().unwrap()) as usize, 10),
            short => (usize::from(short), 2),
        };
        assert_eq!(
            header,
            if len < 126 {
                2
            } else if len < 65_536 {
                4
            } else {
                10
            }
        );
        frames.push(Sent { first: bytes[0], payload: bytes[header..header + len].to_vec() });
        bytes = &bytes[header + len..];
    }
    frames
}

/// The NATS bytes that a receiver of `bytes` ends up with.
pub fn received(bytes: &[u8]) -> Vec<u8> {
    let mut nats = Vec::new();
    let mut message = Vec::new();
    let mut compressed = false;
    for frame in sent_frames(bytes) {
        match frame.first & 0x0f {
            BINARY => {
                assert!(message.is_empty());
                compressed = frame.first & 0x40 != 0;
            }
            CONTINUATION => assert_eq!(frame.first & 0x40, 0),
            other => panic!("opcode {other}"),
        }
        message.extend(frame.payload);
        if frame.first & 0x80 != 0 {
            nats.extend(if compressed { inflate(&message) } else { message.clone() });
            message.clear();
        }
    }
    assert!(message.is_empty());
    nats
}
