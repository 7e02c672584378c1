//! The layers between a socket and the NATS bytes of a connection, from the socket up: TLS, WebSocket, S2, or none of them.
//!
//! A plain connection has no `Link` at all. Inbound, bytes are decoded in the read buffer as far as the layers allow;
//! outbound, the core's output stays the one backlog and only what fits one batch is moved into `wire`.

use natsfleet_core::errors::CloseReason;
use natsfleet_core::s2::Packer;
use natsfleet_core::ws::{Flate, WsCodec, WsOptions};

use crate::run::Run;
use crate::s2::S2Session;
use crate::tls::{encrypt_batch, TlsSession};

/// Most output that is moved into the layers at a time.
pub(crate) const BATCH_BYTES: usize = 256 << 10;
/// Shared memory of compression beyond this is given back.
const PACKED_KEPT_BYTES: usize = 512 << 10;

/// Buffers that all connections of a thread share while they are being served.
#[derive(Default)]
pub(crate) struct Workbench {
    flate: Flate,
    packer: Packer,
    packed: Vec<u8>,
    unsealed: Vec<u8>,
    framed: Vec<u8>,
    staging: Vec<u8>,
    control: Vec<u8>,
}

/// The layers of one connection.
pub struct Link {
    tls: Option<Box<TlsSession>>,
    ws: Option<WsCodec>,
    s2: Option<Box<S2Session>>,
    /// Bytes for the socket, from `wire_head` on.
    wire: Vec<u8>,
    wire_head: usize,
    /// Bytes of the core's output that a frame header in `wire` has announced and that follow it unchanged.
    announced: usize,
    /// Answers that came up inside an announced frame; they go before the next one.
    late: Vec<u8>,
    /// Input that was not decoded yet because what came before it grew large.
    backlog: Vec<u8>,
    said_goodbye: bool,
}

/// Answers that may wait for a frame to end; a peer that pings faster than it reads loses some.
const LATE_BYTES_MAX: usize = 16 << 10;

/// The end of what a peer has to say.
#[derive(Debug)]
pub(crate) struct Ended {
    pub reason: CloseReason,
    pub detail: String,
}

impl Link {
    /// The layers that a handshake has agreed; `None` where NATS goes straight over the socket.
    pub fn new(tls: Option<TlsSession>, ws: Option<WsOptions>, s2: Option<S2Session>) -> Option<Box<Self>> {
        if tls.is_none() && ws.is_none() && s2.is_none() {
            return None;
        }
        Some(Box::new(Self {
            tls: tls.map(Box::new),
            ws: ws.map(WsCodec::new),
            s2: s2.map(Box::new),
            wire: Vec::new(),
            wire_head: 0,
            announced: 0,
            late: Vec::new(),
            backlog: Vec::new(),
            said_goodbye: false,
        }))
    }

    /// The certificates that the peer showed, its own first.
    pub(crate) fn peer_certificates(&self) -> Vec<Vec<u8>> {
        self.tls.as_ref().map(|tls| tls.peer_certificates_der()).unwrap_or_default()
    }

    /// Whether the handshake read further than it needed, so that there is something to decode without any input.
    pub(crate) fn has_unread(&self) -> bool {
        self.tls.as_ref().is_some_and(|tls| tls.has_plain()) || self.s2.as_ref().is_some_and(|s2| s2.has_more())
    }

    /// Compression may follow the round trip time.
    pub(crate) fn heed_round_trip(&mut self, rtt_ns: u64) {
        if let Some(s2) = &mut self.s2 {
            s2.heed_round_trip(rtt_ns);
        }
    }

    /// The mode of compression between servers at present.
    pub(crate) fn compression(&self) -> Option<&'static str> {
        self.s2.as_ref().map(|s2| s2.effort().name())
    }

    /// Decodes what came from the socket and appends the NATS bytes to `clear`. Answers of the layers wait in `wire`.
    ///
    /// `Ok(true)` means that there is more: call again with nothing once `clear` has been used.
    pub(crate) fn decode(
        &mut self,
        received: &mut [u8],
        bench: &mut Workbench,
        clear: &mut Vec<u8>,
    ) -> Result<bool, Ended> {
        let Some(mut s2) = self.s2.take() else { return self.decode_below(received, bench, clear) };
        let (below, read) = if self.tls.is_none() && self.ws.is_none() {
            (Ok(false), s2.read(received, clear))
        } else {
            let mut packed = std::mem::take(&mut bench.packed);
            packed.clear();
            let below = self.decode_below(received, bench, &mut packed);
            let read = s2.read(&packed, clear);
            packed.shrink_to(PACKED_KEPT_BYTES);
            bench.packed = packed;
            (below, read)
        };
        self.s2 = Some(s2);
        match read {
            Ok(more) => below.map(|more_below| more || more_below),
            Err(error) => Err(Ended { reason: CloseReason::ReadError, detail: error.to_string() }),
        }
    }

    /// The layers below S2.
    fn decode_below(&mut self, received: &mut [u8], bench: &mut Workbench, clear: &mut Vec<u8>) -> Result<bool, Ended> {
        if self.ws.is_none() {
            return match &mut self.tls {
                Some(tls) => unseal(tls, received, clear, &mut self.wire).map(|()| false),
                None => Ok(false),
            };
        }
        let mut outcome = Ok(());
        let mut unsealed = std::mem::take(&mut bench.unsealed);
        let mut backlog = std::mem::take(&mut self.backlog);
        let input: &[u8] = match &mut self.tls {
            None if backlog.is_empty() => received,
            None => {
                backlog.extend_from_slice(received);
                &backlog
            }
            Some(tls) => {
                unsealed.clear();
                unsealed.extend_from_slice(&backlog);
                outcome = unseal(tls, received, &mut unsealed, &mut self.wire);
                &unsealed
            }
        };
        let framed = self.unframe(input, bench, clear);
        bench.unsealed = unsealed;
        framed.and_then(|more| outcome.map(|()| more))
    }

    fn unframe(&mut self, input: &[u8], bench: &mut Workbench, clear: &mut Vec<u8>) -> Result<bool, Ended> {
        let Some(ws) = &mut self.ws else { return Ok(false) };
        bench.control.clear();
        let outcome = match ws.decode(input, &mut bench.flate, clear, &mut bench.control) {
            Ok(decoded) => {
                let rest = input.get(decoded.consumed..).unwrap_or(&[]);
                self.backlog.extend_from_slice(rest);
                if decoded.closed {
                    Err(client_closed())
                } else {
                    Ok(!rest.is_empty())
                }
            }
            Err(error) => Err(Ended { reason: CloseReason::ProtocolViolation, detail: error.to_string() }),
        };
        self.said_goodbye |= outcome.is_err();
        if !bench.control.is_empty() {
            let control = std::mem::take(&mut bench.control);
            self.push_control(&control);
            bench.control = control;
        }
        outcome
    }

    /// An answer must not land inside a frame that was announced: it would be taken for its payload.
    fn push_control(&mut self, control: &[u8]) {
        match &mut self.tls {
            // A broken session is found out by the next read; there is nobody to tell.
            Some(tls) => drop(tls.encrypt(control, &mut self.wire)),
            None if self.announced == 0 => self.wire.extend_from_slice(control),
            None if self.late.len() + control.len() <= LATE_BYTES_MAX => self.late.extend_from_slice(control),
            None => {}
        }
    }

    /// Input waits to be decoded.
    pub(crate) fn has_backlog(&self) -> bool {
        !self.backlog.is_empty() || self.s2.as_ref().is_some_and(|s2| s2.has_more())
    }

    /// Bytes that wait for the socket.
    pub(crate) fn wire(&self) -> &[u8] {
        self.wire.get(self.wire_head..).unwrap_or(&[])
    }

    /// `written` bytes of `wire` have left; returns how many were left over, which came from the core's output.
    pub(crate) fn wrote(&mut self, written: usize) -> usize {
        let own = written.min(self.wire.len() - self.wire_head);
        self.wire_head += own;
        if self.wire_head == self.wire.len() {
            self.wire_head = 0;
            self.wire.clear();
            if self.wire.capacity() > 4096 {
                self.wire = Vec::new();
            }
        }
        let rest = written - own;
        self.announced -= rest.min(self.announced);
        if self.announced == 0 && !self.late.is_empty() {
            self.wire.append(&mut self.late);
        }
        rest
    }

    /// How much of `pending` bytes of output may follow `wire` as they are. Zero means that they must be encoded.
    pub(crate) fn announce(&mut self, pending: usize) -> usize {
        if self.announced == 0 && pending > 0 && self.tls.is_none() && self.s2.is_none() {
            if let Some(ws) = &self.ws {
                if ws.passes_unchanged(pending) {
                    self.wire.extend_from_slice(WsCodec::frame_header(pending, false).as_bytes());
                    self.announced = pending;
                }
            }
        }
        self.announced
    }

    /// Moves pieces of output into `wire`.
    pub(crate) fn encode(&mut self, pieces: &[&[u8]], bench: &mut Workbench) -> Result<(), Ended> {
        let Some(s2) = &self.s2 else { return self.encode_below(pieces, bench) };
        if self.tls.is_none() && self.ws.is_none() {
            s2.pack(pieces, &mut bench.packer, &mut self.wire);
            return Ok(());
        }
        let mut packed = std::mem::take(&mut bench.packed);
        packed.clear();
        s2.pack(pieces, &mut bench.packer, &mut packed);
        let outcome = self.encode_below(&[&packed], bench);
        packed.shrink_to(PACKED_KEPT_BYTES);
        bench.packed = packed;
        outcome
    }

    /// The layers below S2.
    fn encode_below(&mut self, pieces: &[&[u8]], bench: &mut Workbench) -> Result<(), Ended> {
        let outcome = match (&mut self.tls, &mut self.ws) {
            (None, Some(ws)) => {
                ws.encode(pieces, &mut bench.flate, &mut self.wire);
                Ok(())
            }
            (Some(tls), None) => encrypt_batch(tls, pieces.iter().copied(), &mut bench.staging, &mut self.wire),
            (Some(tls), Some(ws)) => {
                bench.framed.clear();
                let total = pieces.iter().map(|piece| piece.len()).sum();
                if ws.passes_unchanged(total) {
                    let header = WsCodec::frame_header(total, false);
                    let framed = std::iter::once(header.as_bytes()).chain(pieces.iter().copied());
                    encrypt_batch(tls, framed, &mut bench.staging, &mut self.wire)
                } else {
                    ws.encode(pieces, &mut bench.flate, &mut bench.framed);
                    encrypt_batch(tls, [bench.framed.as_slice()], &mut bench.staging, &mut self.wire)
                }
            }
            (None, None) => Ok(()),
        };
        outcome.map_err(|error| tls_ended(&error))
    }

    /// Says goodbye the way the layers want it, once.
    pub(crate) fn finish(&mut self, reason: CloseReason) {
        // NATS parse errors end a WebSocket without a close frame, as in the reference (wire protocol 5.3).
        let silent = matches!(reason, CloseReason::ProtocolViolation | CloseReason::ParseError);
        if !std::mem::replace(&mut self.said_goodbye, true) && self.ws.is_some() && !silent && self.announced == 0 {
            let mut frame = Vec::new();
            natsfleet_core::ws::close_frame(reason.ws_status(), reason.as_str(), &mut frame);
            self.push_control(&frame);
        }
        if let Some(tls) = &mut self.tls {
            tls.close_notify();
            tls.take_output(&mut self.wire);
        }
    }
}

impl Run {
    /// The mode of compression of a connection, if there is any.
    pub fn compression(&mut self, cid: u64) -> Option<&'static str> {
        let io = self.engine().slot_of(cid).and_then(|slot| self.io(slot));
        io.and_then(|io| io.link.as_ref()).and_then(|link| link.compression())
    }

    /// The certificates that the peer of a connection showed, its own first; none without TLS.
    pub fn peer_certificates(&mut self, cid: u64) -> Vec<Vec<u8>> {
        let io = self.engine().slot_of(cid).and_then(|slot| self.io(slot));
        io.and_then(|io| io.link.as_ref()).map(|link| link.peer_certificates()).unwrap_or_default()
    }
}

fn unseal(tls: &mut TlsSession, received: &mut [u8], plain: &mut Vec<u8>, wire: &mut Vec<u8>) -> Result<(), Ended> {
    if received.is_empty() && !tls.has_plain() {
        return Ok(());
    }
    let outcome = tls.decrypt(received, plain);
    tls.take_output(wire);
    match outcome {
        Err(error) => Err(tls_ended(&error)),
        Ok(()) if tls.is_peer_closed() => Err(client_closed()),
        Ok(()) => Ok(()),
    }
}

fn client_closed() -> Ended {
    Ended { reason: CloseReason::ClientClosed, detail: String::new() }
}

fn tls_ended(error: &crate::tls::TlsError) -> Ended {
    Ended { reason: CloseReason::ReadError, detail: error.to_string() }
}
