//! Why a connection's frames are refused.

use std::fmt;

use super::close::close_frame;

/// A violation by the peer; the connection must be closed. `Display` is the text for the log and the close frame.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum WsError {
    /// RSV2 or RSV3 is set.
    ReservedBits,
    /// RSV1 is set although permessage-deflate was not negotiated.
    CompressionNotNegotiated,
    /// A frame without a mask where masking is compulsory.
    MaskMissing,
    /// A masked frame although no-masking was agreed.
    MaskUnexpected,
    /// A control frame with more than 125 bytes.
    ControlTooLong,
    /// A control frame without the final bit.
    ControlFragmented,
    /// A control frame with RSV1.
    ControlCompressed,
    /// A text or binary frame while a fragmented message is open.
    MessageInterrupted,
    /// A continuation without an open message, or with RSV1.
    ContinuationInvalid,
    /// An opcode that RFC 6455 reserves.
    OpcodeUnknown(u8),
    /// A 64-bit length with its top bit set.
    LengthInvalid,
    /// A close frame whose payload is one byte.
    CloseTooShort,
    /// A close status that may not appear on the wire.
    CloseStatusInvalid(u16),
    /// A compressed message larger than allowed, packed or inflated.
    PayloadExceeded,
    /// Compressed data that is not a deflate stream.
    CompressedDataCorrupt,
}

impl WsError {
    /// The close status that tells the peer.
    pub const fn status(self) -> u16 {
        match self {
            Self::PayloadExceeded => 1009,
            Self::CompressedDataCorrupt => 1007,
            _ => 1002,
        }
    }

    /// Appends the close frame that tells the peer.
    pub(super) fn tell(self, control: &mut Vec<u8>) {
        close_frame(self.status(), &self.to_string(), control);
    }
}

impl fmt::Display for WsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::ReservedBits => "RSV2 and RSV3 must be clear",
            Self::CompressionNotNegotiated => "compressed frame received without negotiated permessage-deflate",
            Self::MaskMissing => "mask bit missing",
            Self::MaskUnexpected => "mask bit set although no masking was agreed",
            Self::ControlTooLong => "control frame length bigger than maximum allowed of 125 bytes",
            Self::ControlFragmented => "control frame does not have final bit set",
            Self::ControlCompressed => "control frame must not be compressed",
            Self::MessageInterrupted => "new message started before final frame for previous message was received",
            Self::ContinuationInvalid => "invalid continuation frame",
            Self::OpcodeUnknown(opcode) => return write!(f, "unknown opcode {opcode}"),
            Self::LengthInvalid => "invalid 64-bit payload length",
            Self::CloseTooShort => "close frame payload cannot be 1 byte",
            Self::CloseStatusInvalid(status) => return write!(f, "invalid close status code {status}"),
            Self::PayloadExceeded => "maximum payload exceeded",
            Self::CompressedDataCorrupt => "corrupt compressed message",
        })
    }
}

impl std::error::Error for WsError {}
