//! One TLS connection as a value: ciphertext in, plaintext and ciphertext out.
//!
//! Two ways in and out. [`TlsSession::receive`] and [`TlsSession::write_plain`] keep what they produce until it is taken:
//! that suits a handshake. [`TlsSession::decrypt`] and [`TlsSession::encrypt_into`] work in the caller's buffers: that
//! suits a forwarding thread. Both may be mixed; what waits in the session goes first.

use std::fmt;
use std::mem;
use std::sync::Arc;

use rustls::client::UnbufferedClientConnection;
use rustls::server::UnbufferedServerConnection;
use rustls::unbuffered::{ConnectionState, EncodeError, EncodeTlsData, EncryptError, UnbufferedStatus};
use rustls::CommonState;

use super::error::TlsError;
use super::names::{suite_name, version_name};
use super::verify::is_pinned;

/// Plaintext that fits one record.
pub const RECORD_PLAIN_BYTES_MAX: usize = 16_384;
/// What a session holds at most of a handshake message or record that is not complete.
pub const HANDSHAKE_BYTES_MAX: usize = 96 * 1024;
/// What a session holds at most, unless told otherwise, of plaintext that nobody read or output that nobody took.
pub const BUFFER_BYTES_MAX: usize = 1 << 20;

const HEADER_BYTES: usize = 5;
/// Header, explicit nonce and tag of TLS 1.2 with AES-GCM: no suite adds more to a record.
const RECORD_OVERHEAD_MAX: usize = 29;
/// A key update that was due and the closing alert, encrypted.
const CLOSE_BYTES_MAX: usize = 128;
const CONTENT_ALERT: u8 = 21;
const CONTENT_HANDSHAKE: u8 = 22;

/// The library has a type for each side; what is done with them is the same.
enum Side {
    Accepted(Box<UnbufferedServerConnection>),
    Dialled(Box<UnbufferedClientConnection>),
}

/// Runs the records in a buffer and does the same with what came of them on either side.
macro_rules! process_records {
    ($side:expr, $buffer:expr, |$status:pat_param| $body:expr) => {
        match &mut $side {
            Side::Accepted(connection) => {
                let $status = connection.process_tls_records($buffer);
                $body
            }
            Side::Dialled(connection) => {
                let $status = connection.process_tls_records($buffer);
                $body
            }
        }
    };
}

/// Writes something encrypted, once the library has nothing else to say.
macro_rules! with_traffic {
    ($session:expr, |$traffic:ident| $write:expr) => {{
        $session.collect_output()?;
        loop {
            // The library panics unless it sees the bytes it left unused again, in front.
            process_records!($session.side, &mut $session.incoming, |UnbufferedStatus { state, .. }| match state {
                Ok(ConnectionState::WriteTraffic(mut $traffic)) => break Ok($write),
                Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
                Ok(ConnectionState::PeerClosed) => $session.peer_closed = true,
                Ok(_) => break Err(TlsError::NotOpen),
                Err(error) => break Err(TlsError::from(error)),
            })
        }
    }};
}

/// One side of a TLS connection. See the module for how to drive it.
pub struct TlsSession {
    side: Side,
    pins: Arc<[[u8; 32]]>,
    /// The front of a record, or of a handshake message that spans records, that is not complete.
    incoming: Vec<u8>,
    plain: Vec<u8>,
    outgoing: Vec<u8>,
    buffer_bytes_max: usize,
    first_record_seen: bool,
    peer_accepted: bool,
    peer_closed: bool,
    close_sent: bool,
    failure: Option<TlsError>,
}

impl TlsSession {
    pub(crate) fn accepted(connection: UnbufferedServerConnection, pins: Arc<[[u8; 32]]>) -> Self {
        Self::new(Side::Accepted(Box::new(connection)), pins)
    }

    /// The first flight of whoever dials waits in the output.
    pub(crate) fn dialled(connection: UnbufferedClientConnection, pins: Arc<[[u8; 32]]>) -> Result<Self, TlsError> {
        let mut session = Self::new(Side::Dialled(Box::new(connection)), pins);
        session.collect_output()?;
        Ok(session)
    }

    fn new(side: Side, pins: Arc<[[u8; 32]]>) -> Self {
        Self {
            side,
            pins,
            incoming: Vec::new(),
            plain: Vec::new(),
            outgoing: Vec::new(),
            buffer_bytes_max: BUFFER_BYTES_MAX,
            first_record_seen: false,
            peer_accepted: false,
            peer_closed: false,
            close_sent: false,
            failure: None,
        }
    }

    /// Bounds what [`receive`](Self::receive) and [`write_plain`](Self::write_plain) may leave waiting, each.
    pub fn set_buffer_limit(&mut self, bytes_max: usize) {
        self.buffer_bytes_max = bytes_max;
    }

    /// Takes ciphertext from the peer; plaintext waits for [`read_plain`](Self::read_plain).
    ///
    /// An error is final, and repeated. Take and send the output afterwards all the same: it may hold the alert that
    /// tells the peer why. Plaintext that came before the error can be read.
    pub fn receive(&mut self, input: &[u8]) -> Result<(), TlsError> {
        let bytes = self.plain.len().saturating_add(input.len());
        if bytes > self.buffer_bytes_max {
            return Err(TlsError::Backlog { bytes, bytes_max: self.buffer_bytes_max });
        }
        let mut copy = input.to_vec();
        let mut plain = mem::take(&mut self.plain);
        let outcome = self.decrypt(&mut copy, &mut plain);
        self.plain = plain;
        outcome
    }

    /// Decrypts what was read into `input`, in place, and appends the plaintext of all its records to `plain`.
    ///
    /// Plaintext that waited goes first. The tail of a record that is not complete is kept, everything else in `input`
    /// is used up. Errors as in [`receive`](Self::receive).
    pub fn decrypt(&mut self, input: &mut [u8], plain: &mut Vec<u8>) -> Result<(), TlsError> {
        self.read_plain(plain);
        if let Some(failure) = &self.failure {
            return Err(failure.clone());
        }
        let outcome = self.decrypt_records(input, plain);
        if let Err(failure) = &outcome {
            self.failure = Some(failure.clone());
            self.incoming = Vec::new();
        }
        outcome
    }

    fn decrypt_records(&mut self, input: &mut [u8], plain: &mut Vec<u8>) -> Result<(), TlsError> {
        if self.peer_closed || self.close_sent {
            // Whatever follows a closure alert is to be ignored (RFC 8446, 6.1), and who closes wants nothing more.
            return Ok(());
        }
        let mut rest = input;
        while !rest.is_empty() && (!self.peer_accepted || !self.incoming.is_empty()) {
            let take = self.bytes_wanted().min(rest.len());
            let (front, back) = mem::take(&mut rest).split_at_mut(take);
            rest = back;
            self.incoming.extend_from_slice(front);
            self.check_first_record()?;
            self.process_incoming(plain)?;
        }
        if !rest.is_empty() {
            let used = self.process(rest, plain)?;
            self.keep_incomplete(rest.get(used..).unwrap_or_default())?;
        }
        Ok(())
    }

    /// How many bytes to move behind those kept: what completes the record, or all there are while messages span records.
    fn bytes_wanted(&self) -> usize {
        let have = self.incoming.len();
        if !self.peer_accepted {
            return usize::MAX;
        }
        match record_bytes(&self.incoming) {
            None => HEADER_BYTES.saturating_sub(have),
            Some(whole) if have < whole => whole - have,
            Some(_) => usize::MAX,
        }
    }

    /// A peer that speaks something else is told apart at its first byte, as nats-server does.
    fn check_first_record(&mut self) -> Result<(), TlsError> {
        if self.first_record_seen {
            return Ok(());
        }
        let is_record = |kind| matches!(kind, CONTENT_ALERT | CONTENT_HANDSHAKE);
        match (self.incoming.first(), self.incoming.get(1)) {
            (Some(&kind), _) if !is_record(kind) => Err(TlsError::NotTls),
            (_, Some(&major)) if major >= 0x10 => Err(TlsError::NotTls),
            (_, major) => {
                self.first_record_seen = major.is_some();
                Ok(())
            }
        }
    }

    fn process_incoming(&mut self, plain: &mut Vec<u8>) -> Result<(), TlsError> {
        let mut incoming = mem::take(&mut self.incoming);
        let used = self.process(&mut incoming, plain)?;
        if used < incoming.len() {
            incoming.drain(..used);
            self.incoming = incoming;
        }
        self.check_incoming()
    }

    fn keep_incomplete(&mut self, tail: &[u8]) -> Result<(), TlsError> {
        if let (false, Some(whole)) = (tail.is_empty(), record_bytes(tail)) {
            self.incoming.reserve_exact(whole.max(tail.len()));
        }
        self.incoming.extend_from_slice(tail);
        self.check_incoming()
    }

    fn check_incoming(&self) -> Result<(), TlsError> {
        match self.incoming.len() {
            bytes if bytes > HANDSHAKE_BYTES_MAX => Err(TlsError::Backlog { bytes, bytes_max: HANDSHAKE_BYTES_MAX }),
            _ => Ok(()),
        }
    }

    /// Runs the records in `buffer` and returns how many of its bytes are used up.
    fn process(&mut self, buffer: &mut [u8], plain: &mut Vec<u8>) -> Result<usize, TlsError> {
        let mut used = 0;
        let plain_before = plain.len();
        loop {
            let fresh = buffer.get_mut(used..).unwrap_or_default();
            let mut idle = false;
            used += process_records!(self.side, fresh, |UnbufferedStatus { mut discard, state, .. }| {
                match state {
                    Ok(ConnectionState::ReadTraffic(mut traffic)) => {
                        while let Some(record) = traffic.next_record() {
                            let record = record?;
                            discard += record.discard;
                            plain.extend_from_slice(record.payload);
                        }
                    }
                    Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing)?,
                    Ok(ConnectionState::TransmitTlsData(transmit)) => transmit.done(),
                    Ok(ConnectionState::PeerClosed) => self.peer_closed = true,
                    Ok(_) => idle = true,
                    Err(error) => {
                        // The alert is a courtesy; the error is the news.
                        let _ = self.collect_output();
                        return Err(error.into());
                    }
                }
                discard
            });
            if !self.peer_accepted && !self.state().is_handshaking() {
                // Data may have come right behind the handshake; nobody gets it from a peer that is refused.
                self.accept_peer().inspect_err(|_| plain.truncate(plain_before))?;
            }
            if self.peer_closed {
                return Ok(buffer.len());
            }
            if idle {
                return Ok(used);
            }
        }
    }

    /// The handshake is done: the last word on who the peer is.
    fn accept_peer(&mut self) -> Result<(), TlsError> {
        if !self.pins.is_empty() && !is_pinned(&self.pins, self.leaf()) {
            return Err(TlsError::NotPinned);
        }
        self.peer_accepted = true;
        Ok(())
    }

    /// Moves what the library wants sent (flights, key updates, alerts) to the output.
    ///
    /// The library looks at no input while it has output, so it gets none: after an error it must not see any.
    fn collect_output(&mut self) -> Result<(), TlsError> {
        while self.state().wants_write() {
            process_records!(self.side, &mut [], |UnbufferedStatus { state, .. }| match state {
                Ok(ConnectionState::EncodeTlsData(data)) => encode(data, &mut self.outgoing)?,
                Ok(_) => return Err(TlsError::NotOpen),
                Err(error) => return Err(error.into()),
            })
        }
        Ok(())
    }

    fn state(&self) -> &CommonState {
        match &self.side {
            Side::Accepted(connection) => connection,
            Side::Dialled(connection) => connection,
        }
    }

    /// Moves the ciphertext that waits (handshake, alerts, data) behind `out`.
    pub fn take_output(&mut self, out: &mut Vec<u8>) {
        move_all(&mut self.outgoing, out);
    }

    /// Whether ciphertext waits to be taken.
    pub fn has_output(&self) -> bool {
        !self.outgoing.is_empty()
    }

    /// Whether plaintext waits to be read.
    pub fn has_plain(&self) -> bool {
        !self.plain.is_empty()
    }

    /// Moves the plaintext that waits behind `out` and returns its size.
    pub fn read_plain(&mut self, out: &mut Vec<u8>) -> usize {
        let bytes = self.plain.len();
        move_all(&mut self.plain, out);
        bytes
    }

    /// Puts plaintext back that was read too far: it is read first again.
    pub fn unread_plain(&mut self, data: &[u8]) {
        self.plain.splice(..0, data.iter().copied());
    }

    /// Encrypts `data`; the ciphertext waits for [`take_output`](Self::take_output).
    pub fn write_plain(&mut self, data: &[u8]) -> Result<(), TlsError> {
        let bytes = self.outgoing.len().saturating_add(data.len());
        if bytes > self.buffer_bytes_max {
            return Err(TlsError::Backlog { bytes, bytes_max: self.buffer_bytes_max });
        }
        let mut outgoing = mem::take(&mut self.outgoing);
        let outcome = self.encrypt(data, &mut outgoing);
        outgoing.append(&mut self.outgoing);
        self.outgoing = outgoing;
        outcome
    }

    /// Encrypts `data` into as few records as possible, behind `out`. Output that waited goes first.
    pub fn encrypt(&mut self, data: &[u8], out: &mut Vec<u8>) -> Result<(), TlsError> {
        self.take_output(out);
        let start = out.len();
        let mut room = wire_bytes(data.len());
        loop {
            out.resize(start + room, 0);
            match self.encrypt_into(data, out.get_mut(start..).unwrap_or_default()) {
                Ok(written) => {
                    out.truncate(start + written);
                    return Ok(());
                }
                Err(TlsError::OutputTooSmall { need }) if need > room => room = need,
                Err(error) => {
                    out.truncate(start);
                    return Err(error);
                }
            }
        }
    }

    /// Encrypts `data` at the front of `out` and returns the size written; [`wire_bytes`](Self::wire_bytes) tells the room it takes.
    ///
    /// Output that waited goes first. On [`TlsError::OutputTooSmall`] nothing is lost, and the call may be repeated.
    pub fn encrypt_into(&mut self, data: &[u8], out: &mut [u8]) -> Result<usize, TlsError> {
        if !self.peer_accepted || self.close_sent || self.failure.is_some() {
            return Err(TlsError::NotOpen);
        }
        self.collect_output()?;
        let waiting = self.outgoing.len();
        let Some((front, room)) = out.split_at_mut_checked(waiting) else {
            return Err(TlsError::OutputTooSmall { need: waiting + wire_bytes(data.len()) });
        };
        let outcome: Result<_, TlsError> = with_traffic!(self, |traffic| traffic.encrypt(data, room));
        match outcome? {
            Ok(written) => {
                front.copy_from_slice(&self.outgoing);
                self.outgoing = Vec::new();
                Ok(waiting + written)
            }
            Err(EncryptError::InsufficientSize(size)) => {
                Err(TlsError::OutputTooSmall { need: waiting + size.required_size })
            }
            Err(EncryptError::EncryptExhausted) => Err(TlsError::KeysExhausted),
        }
    }

    /// Room that [`encrypt_into`](Self::encrypt_into) takes at most for `plain_bytes`, output that waits included.
    pub fn wire_bytes(&self, plain_bytes: usize) -> usize {
        self.outgoing.len() + wire_bytes(plain_bytes)
    }

    /// Says that nothing more will be sent; from now on input is ignored. The alert waits for [`take_output`](Self::take_output).
    pub fn close_notify(&mut self) {
        if self.close_sent || self.failure.is_some() {
            return;
        }
        self.close_sent = true;
        let mut alert = [0; CLOSE_BYTES_MAX];
        if let Ok(Ok(written)) = self.write_close_notify(&mut alert) {
            self.outgoing.extend_from_slice(alert.get(..written).unwrap_or_default());
        }
    }

    fn write_close_notify(&mut self, alert: &mut [u8]) -> Result<Result<usize, EncryptError>, TlsError> {
        with_traffic!(self, |traffic| traffic.queue_close_notify(alert))
    }

    /// Whether application data has to wait yet: the handshake is not complete, or the peer's key not checked.
    pub fn is_handshaking(&self) -> bool {
        !self.peer_accepted
    }

    /// Whether the peer said that it will send nothing more.
    pub fn is_peer_closed(&self) -> bool {
        self.peer_closed
    }

    /// Whether the input so far ends inside a record: an end of the stream now is not a clean one.
    pub fn is_mid_record(&self) -> bool {
        !self.incoming.is_empty()
    }

    /// Whether the client resumed an earlier session, so that no certificates were exchanged.
    pub fn is_resumed(&self) -> bool {
        self.state().handshake_kind() == Some(rustls::HandshakeKind::Resumed)
    }

    fn leaf(&self) -> Option<&[u8]> {
        self.state().peer_certificates().and_then(|chain| chain.first()).map(AsRef::as_ref)
    }

    /// The peer's own certificate, if it showed one. Resumed sessions remember it.
    pub fn peer_certificate_der(&self) -> Option<Vec<u8>> {
        self.leaf().map(<[u8]>::to_vec)
    }

    /// The chain the peer showed, its own certificate first.
    pub fn peer_certificates_der(&self) -> Vec<Vec<u8>> {
        self.state().peer_certificates().unwrap_or_default().iter().map(|der| der.to_vec()).collect()
    }

    /// `1.2` or `1.3`, once it is agreed.
    pub fn version(&self) -> Option<&'static str> {
        self.state().protocol_version().and_then(version_name)
    }

    /// The cipher suite's name as nats-server prints it, once it is agreed.
    pub fn cipher(&self) -> Option<&'static str> {
        self.state().negotiated_cipher_suite().and_then(|suite| suite_name(suite.suite()))
    }

    /// Bytes the session's own buffers hold on the heap: none when it is idle.
    pub fn buffered_bytes(&self) -> usize {
        self.incoming.capacity() + self.plain.capacity() + self.outgoing.capacity()
    }
}

impl fmt::Debug for TlsSession {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("TlsSession")
            .field("handshaking", &self.is_handshaking())
            .field("version", &self.version())
            .field("failure", &self.failure)
            .finish_non_exhaustive()
    }
}

/// Bytes that records for `plain_bytes` take at most.
fn wire_bytes(plain_bytes: usize) -> usize {
    plain_bytes + plain_bytes.div_ceil(RECORD_PLAIN_BYTES_MAX) * RECORD_OVERHEAD_MAX
}

/// The size of the record that `bytes` begins with, once its header is there.
fn record_bytes(bytes: &[u8]) -> Option<usize> {
    match bytes {
        [_, _, _, high, low, ..] => Some(HEADER_BYTES + usize::from(u16::from_be_bytes([*high, *low]))),
        _ => None,
    }
}

/// Moves `from` behind `to`, without copying where that is possible, and leaves `from` without memory.
fn move_all(from: &mut Vec<u8>, to: &mut Vec<u8>) {
    let bytes = mem::take(from);
    if to.capacity() == 0 {
        *to = bytes;
    } else {
        to.extend_from_slice(&bytes);
    }
}

fn encode<Data>(mut data: EncodeTlsData<'_, Data>, outgoing: &mut Vec<u8>) -> Result<(), TlsError> {
    let start = outgoing.len();
    let mut room = 0;
    loop {
        outgoing.resize(start + room, 0);
        match data.encode(outgoing.get_mut(start..).unwrap_or_default()) {
            Ok(written) => {
                outgoing.truncate(start + written);
                return Ok(());
            }
            Err(EncodeError::InsufficientSize(size)) if size.required_size > room => room = size.required_size,
            Err(error) => return Err(TlsError::Protocol(rustls::Error::General(error.to_string()))),
        }
    }
}
