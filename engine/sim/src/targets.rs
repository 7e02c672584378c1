//! The bodies of the fuzz targets (`engine/fuzz`). Each takes any bytes and panics when a promise of the core is broken.
//!
//! They are ordinary functions, so that the committed corpus is replayed by `cargo test` without a fuzzer.

use std::sync::Arc;

use natsfleet_core::codec::client::{next_frame, Limits, Next};
use natsfleet_core::conn::{Admission, Wishes};
use natsfleet_core::engine::{Engine, Settings};
use natsfleet_core::errors::CloseReason;
use natsfleet_core::event::Event;
use natsfleet_core::imports::{Answers, Imports, LatencySpec, Sampling, ServiceSpec, StreamSpec};
use natsfleet_core::s2::{Effort, Packer, Reader, S2Error, CHUNK_PLAIN_BYTES_MAX};
use natsfleet_core::ws::{Flate, WsCodec, WsError, WsOptions, INFLATED_PAUSE_BYTES};

use crate::output::items;

/// Longer inputs only cost time.
const INPUT_MAX: usize = 16 << 10;

/// What a client sends, parsed whole and byte by byte, and fed to an engine both ways: the same must come of it.
///
/// The first byte says what the client wished for in CONNECT.
pub fn client_parser(data: &[u8]) {
    let Some((&flags, input)) = data.get(..data.len().min(INPUT_MAX)).and_then(<[u8]>::split_first) else { return };
    parse_both_ways(input);
    let whole = dialogue(flags, input, input.len().max(1));
    let bytes = dialogue(flags, input, 1);
    assert_eq!(String::from_utf8_lossy(&whole.output), String::from_utf8_lossy(&bytes.output), "whole, byte by byte");
    assert_eq!(whole.closed, bytes.closed);
}

fn parse_both_ways(input: &[u8]) {
    let limits = Limits { control_line_max: 256, payload_max: 4096, headers: true };
    let mut start = 0;
    loop {
        let whole = next_frame(&input[start..], &limits);
        let mut needed = 0;
        for end in start..=input.len() {
            let part = next_frame(&input[start..end], &limits);
            match (&part, &whole) {
                (Next::Need(bytes), _) => {
                    assert!(*bytes > end - start, "{bytes} bytes needed of {}", end - start);
                    needed = needed.max(*bytes);
                    assert!(end < input.len() || matches!(whole, Next::Need(_)));
                    continue;
                }
                (Next::Frame(..), Next::Frame(..)) => assert!(end - start >= needed, "a frame of less than it needed"),
                (Next::Fault(..), Next::Fault(..)) => {}
                _ => panic!("{part:?} of a part, {whole:?} of the whole"),
            }
            assert_eq!(part, whole);
            break;
        }
        match whole {
            Next::Frame(_, used) => start += used,
            Next::Need(_) | Next::Fault(_) => return,
        }
    }
}

#[derive(Debug, Default)]
struct Dialogue {
    output: Vec<u8>,
    closed: Option<CloseReason>,
}

fn wishes(flags: u8) -> Wishes {
    let is = |bit: u8| flags & 1 << bit != 0;
    Wishes { verbose: is(0), pedantic: is(1), echo: is(2), headers: is(3), no_responders: is(4) }
}

/// What one client is told when it sends `input` in pieces of this size.
fn dialogue(flags: u8, input: &[u8], piece: usize) -> Dialogue {
    let settings = Settings { control_line_max: 256, ..Settings::default() };
    let mut engine = Engine::new(settings, 1);
    engine.install_account(0, None);
    let admission =
        Admission { cid: 1, wishes: wishes(flags), payload_max: 4096, subs_max: 50, ..Admission::default() };
    let slot = engine.open(admission.clone(), 1);
    let mut dialogue = Dialogue::default();
    let mut partial = Vec::new();
    for piece in input.chunks(piece) {
        partial.extend_from_slice(piece);
        let mut at = 0;
        while at < partial.len() {
            let fed = engine.feed(slot, &partial, at, 1);
            at += fed.used;
            take_output(&mut engine, slot, &partial, &mut dialogue.output);
            while let Some(event) = engine.events().pop() {
                match event {
                    Event::Connect { .. } => drop(engine.readmit(1, admission.clone(), 1)),
                    Event::Closed { reason, .. } => dialogue.closed = Some(reason),
                    _ => {}
                }
            }
            take_output(&mut engine, slot, &partial, &mut dialogue.output);
            if fed.need != 0 {
                break;
            }
        }
        partial.drain(..at);
    }
    dialogue
}

fn take_output(engine: &mut Engine, slot: u32, input: &[u8], output: &mut Vec<u8>) {
    let Some(conn) = engine.conn(slot) else { return };
    conn.out().chunks(input, |part| {
        output.extend_from_slice(part);
        true
    });
    let pending = conn.out().pending();
    engine.wrote(slot, pending);
    let mut touched = Vec::new();
    engine.take_touched(&mut touched);
    for slot in touched {
        engine.flushed(slot, input, 1);
    }
}

/// Bytes as instructions: several clients that talk, read and leave in any order. Limits hold, and nothing is left.
pub fn engine_feed(data: &[u8]) {
    Crowd::new().run(&data[..data.len().min(INPUT_MAX)]);
}

const CROWD: u64 = 4;
const PENDING_MAX: usize = 20_000;
const PENDING_TOTAL_MAX: usize = 60_000;

/// The clients of `engine_feed`. An instruction is a byte that says who does what, and what it needs after it.
struct Crowd {
    engine: Engine,
    clients: Vec<Option<Client>>,
    next_cid: u64,
    now_ns: u64,
}

struct Client {
    cid: u64,
    slot: u32,
    partial: Vec<u8>,
    /// Everything that it was sent, as far as it was not cut into items yet.
    unread: Vec<u8>,
    gone: bool,
}

/// Both accounts import from each other, even requests that come back for ever.
fn imports(exporter: u32) -> Imports {
    let streams = [("a.*", "b.$1"), ("c", "a"), ("x.>", "x.>")];
    let services = [("a", "b", Answers::Single), ("b", "a", Answers::Stream), ("svc", "local.*", Answers::Single)];
    let stream = |(subject, to): (&str, &str)| StreamSpec {
        exporter,
        subject: subject.into(),
        to: to.into(),
        allow_trace: true,
    };
    let service = |(subject, to, answers): (&str, &str, Answers)| ServiceSpec {
        exporter,
        subject: subject.into(),
        to: to.into(),
        answers,
        threshold_ns: 1_000,
        share: true,
        latency: Some(LatencySpec { results: b"a".into(), sampling: Sampling::Percent(50) }),
        allow_trace: true,
    };
    let compiled = Imports::compile(
        b"\"A\"",
        b"\"N\"",
        streams.into_iter().map(stream).collect(),
        services.into_iter().map(service).collect(),
    );
    compiled.unwrap_or_default()
}

impl Crowd {
    fn new() -> Self {
        let settings = Settings {
            control_line_max: 512,
            pending_max: PENDING_MAX,
            pending_total_max: PENDING_TOTAL_MAX,
            ..Settings::default()
        };
        let mut engine = Engine::new(settings, 1);
        engine.install_account(1, None);
        engine.install_imports((0..2).map(|account| (account, Arc::new(imports(1 - account)))).collect());
        let mut crowd = Self { engine, clients: (0..CROWD).map(|_| None).collect(), next_cid: 1, now_ns: 1 };
        for who in 0..CROWD {
            crowd.open(who as usize, 0b0_1100);
        }
        crowd
    }

    fn open(&mut self, who: usize, flags: u8) {
        let cid = self.next_cid;
        self.next_cid += 1;
        let slot = self.engine.open(self.admission(cid, flags), self.now_ns);
        let client = Client { cid, slot, partial: Vec::new(), unread: Vec::new(), gone: false };
        if let Some(place) = self.clients.get_mut(who) {
            *place = Some(client);
        }
    }

    fn admission(&self, cid: u64, flags: u8) -> Admission {
        Admission {
            cid,
            account: u32::from(flags >> 5 & 1),
            wishes: wishes(flags),
            payload_max: 8192,
            subs_max: 20,
            ping_interval_ns: 1_000_000_000,
            ..Admission::default()
        }
    }

    fn run(&mut self, mut data: &[u8]) {
        while let Some((&instruction, rest)) = data.split_first() {
            let who = usize::from(instruction & 3);
            let (&operand, after) = rest.split_first().unwrap_or((&0, &[]));
            data = after;
            match instruction >> 2 & 7 {
                0..=3 => {
                    // Its own bytes, or a message of one byte over and over, so that large ones cost little input.
                    let count = usize::from(operand).min(data.len());
                    let (input, rest) = data.split_at(count);
                    data = rest;
                    self.feed(who, input);
                }
                4 => self.feed(who, &message(usize::from(operand) * 30)),
                5 => self.read(who, usize::from(operand) * 64),
                6 => {
                    self.now_ns += u64::from(operand) * 50_000_000;
                    self.engine.tick(self.now_ns);
                    self.flush(&[]);
                }
                _ => self.leave(who, operand),
            }
            self.check();
        }
        for who in 0..self.clients.len() {
            self.leave(who, 0);
        }
        let totals = self.engine.totals();
        let last = self.clients.len() as u64;
        assert_eq!((totals.conns, totals.stuck_bytes), (last, 0), "newcomers only");
        assert_eq!(totals.subs, 0);
    }

    fn feed(&mut self, who: usize, input: &[u8]) {
        let Some(Some(client)) = self.clients.get_mut(who) else { return };
        if client.gone || self.engine.conn(client.slot).is_none_or(|conn| conn.paused()) {
            return;
        }
        let (slot, mut buffer) = (client.slot, std::mem::take(&mut client.partial));
        buffer.extend_from_slice(input);
        let mut at = 0;
        while at < buffer.len() {
            let fed = self.engine.feed(slot, &buffer, at, self.now_ns);
            assert!(fed.used <= buffer.len() - at);
            at += fed.used;
            self.flush(&buffer);
            if fed.need != 0 || self.engine.conn(slot).is_none_or(|conn| conn.paused()) {
                break;
            }
        }
        if let Some(Some(client)) = self.clients.get_mut(who) {
            client.partial = buffer[at..].to_vec();
        }
    }

    /// Sockets are full: what was made waits, and what was borrowed is copied.
    fn flush(&mut self, input: &[u8]) {
        let mut touched = Vec::new();
        while self.engine.has_touched() {
            self.engine.take_touched(&mut touched);
            for &slot in &touched {
                self.engine.flushed(slot, input, self.now_ns);
                assert!(self.engine.conn(slot).is_none_or(|conn| !conn.out().has_borrowed()));
            }
            assert!(self.engine.totals().stuck_bytes <= PENDING_TOTAL_MAX as u64);
        }
        while let Some(event) = self.engine.events().pop() {
            match event {
                Event::Closed { cid, .. } => {
                    for client in self.clients.iter_mut().flatten().filter(|client| client.cid == cid) {
                        client.gone = true;
                    }
                }
                Event::Connect { cid, json, .. } => {
                    let flags = json.iter().fold(0u8, |sum, &b| sum.wrapping_add(b));
                    let admission = self.admission(cid, flags);
                    self.engine.readmit(cid, admission, self.now_ns);
                }
                _ => {}
            }
        }
    }

    fn read(&mut self, who: usize, at_most: usize) {
        let Some(Some(client)) = self.clients.get_mut(who) else { return };
        let Some(conn) = self.engine.conn(client.slot) else { return };
        let before = client.unread.len();
        conn.out().chunks(&[], |part| {
            let room = at_most - (client.unread.len() - before);
            client.unread.extend_from_slice(part.get(..room).unwrap_or(part));
            client.unread.len() - before < at_most
        });
        let (slot, count) = (client.slot, client.unread.len() - before);
        let rest = conn.out().pending() - count;
        // Who is cut loses its output wherever it stands.
        if rest == 0 && !client.gone {
            let whole = items(&client.unread);
            assert!(whole.is_some(), "no whole items: {:?}", String::from_utf8_lossy(&client.unread));
            client.unread.clear();
        }
        self.engine.wrote(slot, count);
        self.engine.flushed(slot, &[], self.now_ns);
    }

    fn leave(&mut self, who: usize, flags: u8) {
        let Some(client) = self.clients.get_mut(who).and_then(Option::take) else { return };
        self.engine.lost(client.slot, CloseReason::ClientClosed, "");
        self.flush(&[]);
        self.engine.forget(client.slot);
        self.open(who, flags);
    }

    fn check(&self) {
        for client in self.clients.iter().flatten() {
            let Some(conn) = self.engine.conn(client.slot) else { continue };
            assert!(conn.out().pending() <= PENDING_MAX + 100, "{} bytes pending", conn.out().pending());
            assert_eq!(client.gone, conn.closing().is_some());
        }
    }
}

fn message(size: usize) -> Vec<u8> {
    [format!("PUB a {size}\r\n").as_bytes(), &vec![b'x'; size], b"\r\n"].concat()
}

/// WebSocket frames, decoded whole and in pieces: the same bytes, answers and end must come of it.
///
/// The first two bytes are options and the size of pieces.
pub fn ws_decode(data: &[u8]) {
    let Some((&[flags, piece], input)) = data.get(..data.len().min(INPUT_MAX)).and_then(<[u8]>::split_first_chunk)
    else {
        return;
    };
    let options = WsOptions {
        compress: flags & 1 != 0,
        masked_input: flags & 2 == 0,
        frame_bytes_max: None,
        fragment_compressed: true,
        message_bytes_max: if flags & 4 != 0 { 1000 } else { 1 << 20 },
    };
    let whole = decode(options, input, input.len().max(1));
    let pieces = decode(options, input, usize::from(piece).max(1));
    if matches!(whole.end, Some(Err(_))) {
        // How much of a broken message came out before depends on where it was cut.
        let common = whole.plain.len().min(pieces.plain.len());
        assert_eq!(whole.plain[..common], pieces.plain[..common]);
    } else {
        assert_eq!(whole.plain, pieces.plain);
    }
    // A compressed message that is too large and broken: which is seen first depends on where it was cut.
    let is_refused = |end| matches!(end, Some(Err(WsError::CompressedDataCorrupt | WsError::PayloadExceeded)));
    if !(is_refused(whole.end) && is_refused(pieces.end)) {
        assert_eq!(whole.end, pieces.end);
        assert_eq!(whole.control, pieces.control);
    }
}

#[derive(Debug, Default)]
struct Decoding {
    plain: Vec<u8>,
    control: Vec<u8>,
    /// How it ended, if it did: by a close frame or by an error.
    end: Option<Result<(), WsError>>,
}

fn decode(options: WsOptions, input: &[u8], piece: usize) -> Decoding {
    let mut codec = WsCodec::new(options);
    let mut flate = Flate::default();
    let mut decoding = Decoding::default();
    for mut piece in input.chunks(piece) {
        while !piece.is_empty() && decoding.end.is_none() {
            let before = decoding.plain.len();
            let outcome = codec.decode(piece, &mut flate, &mut decoding.plain, &mut decoding.control);
            let added = decoding.plain.len() - before;
            let most = piece.len() + INFLATED_PAUSE_BYTES + options.message_bytes_max + (64 << 10);
            assert!(added <= most, "{added} bytes came out of {}", piece.len());
            match outcome {
                Ok(decoded) => {
                    assert!(decoded.consumed <= piece.len() && decoded.consumed > 0);
                    piece = &piece[decoded.consumed..];
                    decoding.end = decoded.closed.then_some(Ok(()));
                }
                Err(error) => decoding.end = Some(Err(error)),
            }
        }
    }
    decoding
}

/// S2 streams, whole and cut: the same bytes, the same end, and no more at a time than promised. What was read is packed
/// again, and comes back.
///
/// The first byte says how large the pieces are, the second how much is read at a time.
pub fn s2_reader(data: &[u8]) {
    let Some((&[piece, enough], input)) =
        data.get(..data.len().min(INPUT_MAX)).and_then(|data| data.split_first_chunk())
    else {
        return;
    };
    let whole = unpacked(input, input.len().max(1), usize::MAX >> 1);
    let cut = unpacked(input, usize::from(piece) + 1, usize::from(enough) * 64 + 1);
    assert_eq!(whole.1, cut.1);
    if whole.1.is_none() {
        assert!(whole.0 == cut.0, "whole {} bytes, cut {}", whole.0.len(), cut.0.len());
    }
    for effort in [Effort::None, Effort::Fast, Effort::Better, Effort::Best] {
        let plain = whole.0.get(..whole.0.len().min(INPUT_MAX)).unwrap_or(&[]);
        let (head, tail) = plain.split_at(plain.len().min(usize::from(piece)));
        let mut wire = Vec::new();
        Packer::default().pack(&[head, tail], effort, &mut wire);
        assert!(wire.len() <= plain.len() + 32, "{} bytes became {}", plain.len(), wire.len());
        assert!(unpacked(&wire, wire.len().max(1), usize::MAX >> 1) == (plain.to_vec(), None), "{effort:?}");
    }
}

/// What a stream stands for, and how it failed.
fn unpacked(input: &[u8], piece: usize, enough: usize) -> (Vec<u8>, Option<S2Error>) {
    let mut reader = Reader::default();
    let mut plain = Vec::new();
    for piece in input.chunks(piece) {
        let mut piece = piece;
        loop {
            let mut part = Vec::new();
            let more = reader.read(piece, enough, &mut part);
            assert!(part.len() <= enough + CHUNK_PLAIN_BYTES_MAX, "{} bytes at a time", part.len());
            assert!(reader.buffered_bytes() <= 2 * INPUT_MAX, "{} bytes are kept", reader.buffered_bytes());
            plain.append(&mut part);
            piece = &[];
            match more {
                Ok(true) => assert!(reader.has_more()),
                Ok(false) => break,
                Err(error) => return (plain, Some(error)),
            }
            if plain.len() > 64 << 20 {
                return (plain, None);
            }
        }
    }
    (plain, None)
}
