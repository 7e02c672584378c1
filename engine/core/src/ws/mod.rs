//! WebSocket frames around the NATS byte stream (reference: wire protocol 5.2 and 5.3).
//!
//! A [`WsCodec`] belongs to one connection and sits between its socket and the NATS parser. Inbound, it strips frames,
//! removes the mask and inflates compressed messages; what comes out is the NATS byte stream, in whatever pieces the
//! peer chose. Outbound, it says which header a run of NATS bytes needs, or deflates it.
//!
//! Invariants:
//! - Chunking is invisible: the same frames give the same bytes however the socket cut them.
//! - `decode` takes everything it is given, except that it pauses after an explosive run of compressed messages. No
//!   payload of an uncompressed frame is held back.
//! - A connection between frames owns no heap memory. Compressor and idle inflaters belong to the thread ([`Flate`]).
//! - One `decode` adds at most `input.len() + INFLATED_PAUSE_BYTES + message_bytes_max` bytes, give or take what one
//!   step of the inflater overshoots.
//!
//! Absent on purpose: the HTTP upgrade (control plane), UTF-8 checks of text messages (NATS treats them as bytes), and
//! context takeover (every connection would own a window).

mod close;
mod decode;
mod deflate;
mod encode;
mod error;
mod frame;
mod mask;

pub use close::{close_frame, CLOSE_TEXT_BYTES_MAX};
pub use decode::{Decoded, WsCodec, INFLATED_PAUSE_BYTES};
pub use deflate::Flate;
pub use error::WsError;
pub use frame::FrameHeader;

/// Largest payload of one frame sent to a browser.
pub const BROWSER_FRAME_BYTES_MAX: usize = 4096;

/// Output of at most this many bytes is never compressed.
pub const COMPRESSION_THRESHOLD_BYTES: usize = 64;

/// What the HTTP upgrade agreed for one connection.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct WsOptions {
    /// permessage-deflate was negotiated, without context takeover in either direction.
    pub compress: bool,
    /// The peer must mask its frames; false when no-masking was agreed.
    pub masked_input: bool,
    /// Largest payload of one outgoing frame; [`BROWSER_FRAME_BYTES_MAX`] for browsers, None for no limit.
    pub frame_bytes_max: Option<usize>,
    /// Whether a compressed message may span frames; Safari fails on those.
    pub fragment_compressed: bool,
    /// Largest inflated size of one inbound compressed message: the server's `max_payload`.
    pub message_bytes_max: usize,
}
