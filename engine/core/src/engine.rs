//! The engine: connections, accounts and subscriptions of one forwarding thread.
//!
//! ```text
//! open ── feed ── feed ── … ── close          one connection's life, driven from outside
//!           │
//!           └─ touched() / out() / flushed()  who has output now
//!           └─ events()                       what the control plane must hear
//! ```
//!
//! Invariants: a subscription is in exactly one `Interest`; a connection that is closing has no subscriptions; output
//! borrowed from an input is detached before that input goes away.

use std::cmp::Reverse;
use std::collections::{BinaryHeap, HashMap};
use std::sync::Arc;

use crate::account::Account;
use crate::codec::client::{next_frame, Fault, Frame, Limits, Next};
use crate::conn::{Admission, Arrival, Conn, Kind, Sub, Traffic, Wishes};
use crate::crossing::Crossings;
use crate::errors::{self, CloseReason};
use crate::event::{Event, Events};
use crate::hash::Rng;
use crate::leaving::count_slow;
use crate::mapping::Mappings;
use crate::msgtrace::Tracing;
use crate::outlet::LINK_PENDING_MAX;
use crate::permit::Permit;
use crate::slab::Slab;

/// New output that one receiver, or all together, may collect before the drive is asked to flush in the middle of an
/// input.
pub(crate) const YIELD_BYTES: usize = 1 << 20;
pub(crate) const YIELD_TOTAL_BYTES: usize = 16 << 20;

/// Events of the droppable kind that wait for the control plane.
const DROPPABLE_EVENTS_MAX: usize = 16_384;
const DROPPABLE_EVENT_BYTES_MAX: usize = 32 << 20;

/// Subscriptions that are reported of a connection when it closes.
const CLOSED_SUBS_MAX: usize = 1024;

/// Bytes of a trace line or payload that are kept.
pub(crate) const TRACE_BYTES_MAX: usize = 32 << 10;

/// Limits that hold for all connections; they can change while running.
#[derive(Debug, Clone)]
pub struct Settings {
    /// Bytes of arguments on a control line.
    pub control_line_max: usize,
    /// Bytes that may wait for one connection.
    pub pending_max: usize,
    /// Bytes that may wait for all connections together.
    pub pending_total_max: usize,
    /// How long a socket may take for what waits when writing begins.
    pub write_deadline_ns: u64,
    /// The same, for people.
    pub write_deadline: Box<str>,
    /// A client that is late with that stays if it has taken anything.
    pub write_retry: bool,
    /// Unanswered pings.
    pub ping_max: u32,
    /// Tokens of a subscription's subject; 0 is unlimited.
    pub sub_tokens_max: u32,
    /// Report protocol lines.
    pub trace: bool,
    /// Of messages report the header block in place of the payload.
    pub trace_headers: bool,
    /// Bytes of a payload that are reported; 0 is as many as ever are.
    pub trace_body_max: usize,
    /// A client's message is not queued for a receiver that is nearly full, and the client need not rest.
    pub no_stall: bool,
    /// Remember the routes of subjects.
    pub remember_routes: bool,
    /// Report what only a log of details shows: accepted connections, subscriptions that reach their maximum.
    pub report_details: bool,
    /// Most connections at a time.
    pub conns_max: u64,
    /// Other servers of a cluster are told of subscriptions. It must be set before the first of these.
    pub routes: bool,
}

impl Default for Settings {
    fn default() -> Self {
        Self {
            control_line_max: 4096,
            pending_max: 64 << 20,
            pending_total_max: 1 << 30,
            write_deadline_ns: 10_000_000_000,
            write_deadline: "10s".into(),
            write_retry: false,
            ping_max: 2,
            sub_tokens_max: 0,
            trace: false,
            trace_headers: false,
            trace_body_max: 0,
            no_stall: false,
            remember_routes: true,
            report_details: false,
            conns_max: 65_536,
            routes: false,
        }
    }
}

/// How far `feed` came.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Fed {
    /// Bytes of the input that are done with.
    pub used: usize,
    /// Bytes, counted from there, that are needed before calling again makes sense; 0 to call again right after a flush.
    pub need: usize,
    /// Some receiver is nearly full: the publisher should rest a little.
    pub stall: bool,
}

/// What comes of a first frame on a connection that is not settled.
enum Unconnected {
    Fine,
    Asked,
    Refused,
}

/// The counters of the whole engine.
#[derive(Debug, Clone, Copy, Default)]
pub struct Totals {
    /// Traffic of all connections.
    pub traffic: Traffic,
    /// The part of it that came from other servers, or went to them.
    pub routed: Traffic,
    /// Connections cut as slow consumers.
    pub slow_consumers: u64,
    /// Connections cut because pings went unanswered.
    pub stale_connections: u64,
    /// Subscriptions now.
    pub subs: u64,
    /// Connections now.
    pub conns: u64,
    /// Connections ever.
    pub conns_ever: u64,
    /// Memory taken by output that waits for slow sockets.
    pub stuck_bytes: u64,
    /// How often a publisher had to rest because a receiver was nearly full.
    pub stalled: u64,
}

/// See the module documentation.
#[derive(Debug)]
pub struct Engine {
    pub(crate) settings: Settings,
    pub(crate) accounts: Vec<Account>,
    pub(crate) conns: Slab<Conn>,
    pub(crate) subs: Slab<Sub>,
    pub(crate) by_cid: HashMap<u64, u32>,
    /// Connections to other servers of the cluster.
    pub(crate) peers: Vec<u32>,
    /// Numbers of the accounts that other servers may name.
    pub(crate) account_names: HashMap<Box<[u8]>, u32>,
    pub(crate) touched: Vec<u32>,
    /// Connections that must be closed once the current message is through.
    pub(crate) doomed: Vec<(u32, CloseReason)>,
    /// Subscriptions that reached their maximum during the current message.
    pub(crate) spent: Vec<u32>,
    pub(crate) events: Events,
    pub(crate) timers: BinaryHeap<Reverse<(u64, u32, u64)>>,
    pub(crate) rng: Rng,
    /// What takes messages from one account to another.
    pub(crate) crossings: Crossings,
    pub(crate) totals: Totals,
    pub(crate) memory: Vec<Vec<u8>>,
    pub(crate) scratch: Vec<u8>,
    pub(crate) stall: bool,
    pub(crate) full: bool,
    /// Bytes copied to receivers since the drive began to flush last.
    pub(crate) fresh_bytes: usize,
    /// The trace of the message under way, if it asked for one.
    pub(crate) tracing: Option<Box<Tracing>>,
    seed: u64,
    internal: u32,
}

impl Engine {
    /// An engine without accounts or connections. `seed` must be unpredictable outside of simulations.
    pub fn new(settings: Settings, seed: u64) -> Self {
        let mut conns = Slab::default();
        let internal = conns.insert(Conn::new(Self::internal_admission(), seed, 0));
        Self {
            settings,
            accounts: Vec::new(),
            conns,
            subs: Slab::default(),
            by_cid: HashMap::new(),
            peers: Vec::new(),
            account_names: HashMap::new(),
            touched: Vec::new(),
            doomed: Vec::new(),
            spent: Vec::new(),
            events: Events::new(DROPPABLE_EVENTS_MAX, DROPPABLE_EVENT_BYTES_MAX),
            timers: BinaryHeap::new(),
            rng: Rng::new(seed),
            crossings: Crossings::new(seed),
            totals: Totals::default(),
            memory: Vec::new(),
            scratch: Vec::new(),
            stall: false,
            full: false,
            fresh_bytes: 0,
            tracing: None,
            seed,
            internal,
        }
    }

    fn internal_admission() -> Admission {
        let wishes = Wishes { verbose: false, pedantic: false, echo: false, headers: true, no_responders: false };
        Admission { wishes, system: true, kind: Kind::Internal, ..Admission::default() }
    }

    /// Makes sure that accounts up to number `account` exist, and replaces its mappings.
    pub fn install_account(&mut self, account: u32, mappings: Option<Arc<Mappings>>) {
        while self.accounts.len() <= account as usize {
            self.accounts.push(Account::new(self.seed ^ self.accounts.len() as u64, self.settings.remember_routes));
        }
        if let Some(entry) = self.accounts.get_mut(account as usize) {
            entry.mappings = mappings.filter(|m| !m.is_empty());
            // Connections remember routes of unmapped subjects by this stamp.
            entry.routes.forget_everything();
        }
    }

    /// Replaces the limits.
    pub fn set_settings(&mut self, settings: Settings) {
        self.settings = settings;
    }

    /// The limits in force.
    pub fn settings(&self) -> &Settings {
        &self.settings
    }

    /// Takes a connection on. Its account must be installed.
    pub fn open(&mut self, admission: Admission, now_ns: u64) -> u32 {
        let cid = admission.cid;
        let kind = admission.kind;
        let slot = self.conns.insert(Conn::new(admission, self.seed ^ cid, now_ns));
        self.by_cid.insert(cid, slot);
        if kind == Kind::Client {
            self.totals.conns += 1;
            self.totals.conns_ever += 1;
        }
        self.count_in(slot);
        self.start_timers(slot, now_ns);
        if kind == Kind::Route {
            self.join_peer(slot);
        }
        slot
    }

    /// Counts a settled client into its account.
    fn count_in(&mut self, slot: u32) {
        let settled = self.conns.get(slot).filter(|conn| conn.kind == Kind::Client && conn.is_settled());
        if let Some(account) = settled.and_then(|conn| self.accounts.get_mut(conn.admission.account as usize)) {
            account.conns += 1;
        }
    }

    /// Takes a settled client out of its account's count.
    fn count_out(&mut self, slot: u32) {
        let settled = self.conns.get(slot).filter(|conn| conn.kind == Kind::Client && conn.is_settled());
        if let Some(account) = settled.and_then(|conn| self.accounts.get_mut(conn.admission.account as usize)) {
            account.conns = account.conns.saturating_sub(1);
        }
    }

    /// Takes a connection on that came through a door of the engine. Above the limit of connections it is told so and
    /// closed.
    pub fn open_arrived(&mut self, admission: Admission, arrival: Arrival, greeting: &[u8], now_ns: u64) -> u32 {
        let cid = admission.cid;
        let slot = self.open(admission, now_ns);
        if self.settings.report_details {
            self.events.push(Event::Arrived { cid, arrival: Box::new(arrival.clone()) });
        }
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.arrival = Some(Box::new(arrival));
        }
        self.send(slot, greeting);
        if self.totals.conns > self.settings.conns_max {
            let text = errors::MAXIMUM_CONNECTIONS_EXCEEDED;
            self.close_now(slot, CloseReason::MaximumConnectionsExceeded, Some(text), text);
        }
        slot
    }

    /// The connection in `slot`.
    pub fn conn(&self, slot: u32) -> Option<&Conn> {
        self.conns.get(slot)
    }

    /// Where the connection with this client id is.
    pub fn slot_of(&self, cid: u64) -> Option<u32> {
        self.by_cid.get(&cid).copied()
    }

    /// Events for the control plane.
    pub fn events(&mut self) -> &mut Events {
        &mut self.events
    }

    /// Counters of the whole engine.
    pub fn totals(&self) -> Totals {
        Totals { subs: self.subs.len() as u64, ..self.totals }
    }

    /// Processes input of a connection, from a frame boundary on.
    ///
    /// `base` is where `input` starts within the buffer that flushes will be given, so that large payloads can be
    /// borrowed from it.
    pub fn feed(&mut self, slot: u32, buffer: &[u8], base: usize, now_ns: u64) -> Fed {
        if self.conns.get(slot).is_some_and(|conn| conn.kind.is_server()) {
            return self.feed_route(slot, buffer, base, now_ns);
        }
        let mut at = base;
        let mut need = 1;
        self.stall = false;
        self.full = false;
        let mut limits = match self.conns.get_mut(slot) {
            Some(conn) if conn.closing.is_none() => {
                conn.last_in_ns = now_ns;
                Limits {
                    control_line_max: self.settings.control_line_max,
                    payload_max: conn.admission.payload_max,
                    headers: conn.admission.wishes.headers,
                }
            }
            _ => return Fed { used: buffer.len() - base, need: 1, stall: false },
        };
        match self.refuse_unconnected(slot, buffer.get(base)) {
            Unconnected::Fine => {}
            Unconnected::Asked => return Fed { used: 0, need: 0, stall: false },
            Unconnected::Refused => return Fed { used: buffer.len() - base, need: 1, stall: false },
        }
        while at < buffer.len() {
            match next_frame(buffer.get(at..).unwrap_or(&[]), &limits) {
                Next::Frame(frame, used) => {
                    at += used;
                    self.handle(slot, frame, buffer, now_ns);
                    self.settle();
                    match self.conns.get(slot) {
                        Some(conn) if conn.closing.is_none() => {
                            if conn.paused {
                                need = 0;
                                break;
                            }
                            // A CONNECT that was settled on the spot may have changed them.
                            limits.headers = conn.admission.wishes.headers;
                            limits.payload_max = conn.admission.payload_max;
                        }
                        _ => {
                            at = buffer.len();
                            break;
                        }
                    }
                    if self.full {
                        need = 0;
                        break;
                    }
                }
                Next::Need(bytes) => {
                    need = bytes;
                    break;
                }
                Next::Fault(fault) => {
                    self.fault(slot, fault, buffer.get(at..).unwrap_or(&[]));
                    self.settle();
                    at = buffer.len();
                    break;
                }
            }
        }
        Fed { used: at - base, need, stall: self.stall }
    }

    fn handle(&mut self, slot: u32, frame: Frame<'_>, buffer: &[u8], now_ns: u64) {
        if self.settings.trace {
            self.trace_in(slot, &frame);
        }
        match frame {
            Frame::Publish(publish) => self.publish(slot, &publish, buffer, now_ns),
            Frame::Subscribe { subject, queue, sid } => self.subscribe(slot, subject, queue, sid),
            Frame::Unsubscribe { sid, max } => self.unsubscribe(slot, sid, max),
            Frame::Ping => self.ping(slot, now_ns),
            Frame::Pong => self.pong(slot, now_ns),
            Frame::Connect(json) => self.connect(slot, json, now_ns),
            Frame::Info(json) => {
                if let Some(conn) = self.conns.get(slot) {
                    self.events.push(Event::Info { cid: conn.admission.cid, json: json.into() });
                }
            }
            Frame::Ok => {}
            Frame::Err(text) => {
                let detail = String::from_utf8_lossy(text.get(..text.len().min(256)).unwrap_or(&[])).into_owned();
                self.close_now(slot, CloseReason::ParseError, None, &format!("Client Error {detail}"));
            }
        }
    }

    pub(crate) fn fault(&mut self, slot: u32, fault: Fault, rest: &[u8]) {
        let shown = String::from_utf8_lossy(rest.get(..rest.len().min(32)).unwrap_or(&[])).into_owned();
        match fault {
            Fault::UnknownOperation => {
                let detail = format!("Client parser ERROR, state=0, i=0: proto='{shown:?}...'");
                self.close_now(slot, CloseReason::ProtocolViolation, Some(errors::UNKNOWN_PROTOCOL_OPERATION), &detail);
            }
            Fault::ControlLine => {
                let detail = format!("maximum control line exceeded: limit {}", self.settings.control_line_max);
                let text = errors::MAXIMUM_CONTROL_LINE_EXCEEDED;
                self.close_now(slot, CloseReason::MaximumControlLineExceeded, Some(text), &detail);
            }
            Fault::Payload(size) => {
                let max = self.conns.get(slot).map_or(0, |conn| conn.admission.payload_max);
                let detail = format!("maximum payload exceeded: {size} vs {max}");
                let text = errors::MAXIMUM_PAYLOAD_VIOLATION;
                self.close_now(slot, CloseReason::MaximumMessagePayloadExceeded, Some(text), &detail);
            }
            Fault::Headers => {
                let detail = "message headers not supported";
                self.close_now(slot, CloseReason::MessageHeaderViolation, None, detail);
            }
            Fault::Arguments => {
                let detail = format!("Client parser ERROR, bad arguments: proto='{shown:?}...'");
                self.close_now(slot, CloseReason::ProtocolViolation, None, &detail);
            }
        }
    }

    /// A connection that has not been settled yet starts with something else than CONNECT: that ends it at the first byte
    /// where authentication is required (reference: security 1.3), else the control plane is asked, with an empty CONNECT.
    fn refuse_unconnected(&mut self, slot: u32, first: Option<&u8>) -> Unconnected {
        let Some(conn) = self.conns.get(slot) else { return Unconnected::Refused };
        if conn.admission.connect_within_ns.is_none() || first.is_none_or(|b| b.eq_ignore_ascii_case(&b'C')) {
            return Unconnected::Fine;
        }
        if conn.admission.silent_ok {
            self.connect(slot, b"", 0);
            return Unconnected::Asked;
        }
        let text = errors::AUTHORIZATION_VIOLATION;
        self.close_now(slot, CloseReason::AuthenticationFailure, Some(text), "authentication error");
        Unconnected::Refused
    }

    fn connect(&mut self, slot: u32, json: &[u8], now_ns: u64) {
        if let Some(conn) = self.conns.get_mut(slot).filter(|conn| conn.rtt_ns == 0) {
            // The first CONNECT answers INFO, which is a round trip as good as any.
            conn.rtt_ns = conn.last_in_ns.saturating_sub(conn.opened_ns).max(1);
        }
        if !self.settings.trace && self.settle_plain(slot, json, now_ns) {
            return;
        }
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.paused = true;
            self.events.push(Event::Connect {
                cid: conn.admission.cid,
                json: json.into(),
                arrival: conn.arrival.clone(),
            });
        }
    }

    /// Answers a CONNECT on a connection that was admitted before: its subscriptions are gone, and it goes on as
    /// `admission` says (reference: wire protocol 1.1). The client id stays.
    pub fn readmit(&mut self, cid: u64, admission: Admission, now_ns: u64) -> Option<u32> {
        let slot = self.slot_of(cid)?;
        self.drop_subs(slot);
        self.count_out(slot);
        let verbose = admission.wishes.verbose;
        let conn = self.conns.get_mut(slot)?;
        conn.admission = Admission { cid, ..admission };
        conn.paused = false;
        conn.last = Default::default();
        conn.replies = None;
        conn.arrival = None;
        self.count_in(slot);
        if verbose {
            self.send(slot, b"+OK\r\n");
        }
        self.start_timers(slot, now_ns);
        self.settle();
        Some(slot)
    }

    /// Replaces what a connection may do, after a reload. Subscriptions that are no longer allowed are removed and the
    /// client is told; their texts are returned for the log.
    pub fn set_permit(&mut self, cid: u64, permit: Option<Arc<Permit>>) -> Vec<String> {
        let Some(slot) = self.slot_of(cid) else { return Vec::new() };
        let Some(conn) = self.conns.get_mut(slot) else { return Vec::new() };
        conn.admission.permit = permit;
        conn.last = Default::default();
        let subs: Vec<u32> = conn.subs.values().copied().collect();
        let removed = self.recheck_subs(slot, &subs);
        self.settle();
        removed
    }

    /// Replaces the note about a connection.
    pub fn set_about(&mut self, cid: u64, about: Box<[u8]>) {
        if let Some(conn) = self.slot_of(cid).and_then(|slot| self.conns.get_mut(slot)) {
            conn.admission.about = about;
        }
    }

    /// Replaces what services of other accounts may know about a connection.
    pub fn set_client_info(&mut self, cid: u64, info: Option<Arc<[Vec<u8>; 3]>>) {
        if let Some(conn) = self.slot_of(cid).and_then(|slot| self.conns.get_mut(slot)) {
            conn.admission.client_info = info;
        }
    }

    /// Changes the limits of a connection, after a reload.
    pub fn set_limits(&mut self, cid: u64, payload_max: u64, subs_max: u32) {
        if let Some(conn) = self.slot_of(cid).and_then(|slot| self.conns.get_mut(slot)) {
            conn.admission.payload_max = payload_max;
            conn.admission.subs_max = subs_max;
        }
    }

    /// Queues protocol bytes for a connection. One that asks for answers and never reads them is a slow consumer, too.
    pub fn send(&mut self, slot: u32, bytes: &[u8]) {
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.out.push(bytes);
            touch(&mut self.touched, conn, slot);
            let pending_max = pending_max(conn.kind, &self.settings);
            if conn.pending() > pending_max && conn.closing.is_none() {
                self.doomed.push((slot, CloseReason::SlowConsumerPendingBytes));
            }
        }
        if self.settings.trace {
            self.trace_out(slot, bytes);
        }
    }

    pub(crate) fn send_err(&mut self, slot: u32, text: &[u8]) {
        let mut line = Vec::with_capacity(text.len() + 9);
        line.extend_from_slice(b"-ERR '");
        line.extend_from_slice(text);
        line.extend_from_slice(b"'\r\n");
        self.send(slot, &line);
    }

    /// Closes a connection: `text` is sent as `-ERR` first. The drive still flushes what is queued, then ends the socket.
    pub fn close(&mut self, cid: u64, reason: CloseReason, text: Option<&str>) {
        if let Some(slot) = self.slot_of(cid) {
            self.close_now(slot, reason, text, "");
        }
    }

    pub(crate) fn close_now(&mut self, slot: u32, reason: CloseReason, text: Option<&str>, detail: &str) {
        if self.conns.get(slot).is_none_or(|conn| conn.closing.is_some() || conn.kind == Kind::Internal) {
            return;
        }
        if let Some(text) = text {
            self.send_err(slot, text.as_bytes());
        }
        let sub_views = self.sub_views_of(slot, CLOSED_SUBS_MAX);
        let subs = self.drop_subs(slot);
        self.count_out(slot);
        self.peers.retain(|&peer| peer != slot);
        let Some(conn) = self.conns.get_mut(slot) else { return };
        conn.closing = Some(reason);
        touch(&mut self.touched, conn, slot);
        if conn.kind == Kind::Client {
            self.totals.conns -= 1;
            match reason {
                CloseReason::SlowConsumerPendingBytes | CloseReason::SlowConsumerWriteDeadline => {
                    count_slow(&mut self.totals, &mut self.accounts, conn.admission.account);
                }
                CloseReason::StaleConnection => self.totals.stale_connections += 1,
                _ => {}
            }
        }
        let cid = conn.admission.cid;
        self.by_cid.remove(&cid);
        self.report_abandoned(cid);
        let Some(conn) = self.conns.get_mut(slot) else { return };
        self.events.push(Event::Closed {
            cid,
            account: conn.admission.account,
            reason,
            detail: detail.into(),
            traffic: conn.traffic,
            subs,
            sub_views,
            pending: conn.pending(),
            opened_ns: conn.opened_ns,
            last_in_ns: conn.last_in_ns,
            rtt_ns: conn.rtt_ns,
            stalls: conn.stalls,
            about: std::mem::take(&mut conn.admission.about),
            arrival: conn.arrival.take(),
        });
    }

    /// The drive has ended the socket of a closing connection: forgets it.
    pub fn forget(&mut self, slot: u32) {
        self.unstick(slot);
        if self.conns.get(slot).is_some_and(|conn| conn.closing.is_some()) {
            self.conns.remove(slot);
        }
    }

    /// The peer went away, or its socket failed.
    pub fn lost(&mut self, slot: u32, reason: CloseReason, detail: &str) {
        self.close_now(slot, reason, None, detail);
    }

    /// Takes care of what a message or frame left to do: cut receivers, ended subscriptions.
    pub(crate) fn settle(&mut self) {
        while let Some(sub) = self.spent.pop() {
            self.remove_sub(sub);
        }
        while let Some((slot, reason)) = self.doomed.pop() {
            self.cut_slow(slot, reason);
        }
    }

    fn cut_slow(&mut self, slot: u32, reason: CloseReason) {
        let Some(conn) = self.conns.get_mut(slot) else { return };
        let detail = match reason {
            CloseReason::SlowConsumerWriteDeadline => conn.batch.late().text(&self.settings.write_deadline),
            _ => format!("Slow Consumer Detected: MaxPending of {} Exceeded", self.settings.pending_max),
        };
        self.cut(slot, reason, &detail);
    }

    /// Nothing more is said to a connection that is cut: what waits is dropped with the memory.
    pub(crate) fn cut(&mut self, slot: u32, reason: CloseReason, detail: &str) {
        self.close_now(slot, reason, None, detail);
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.out = Default::default();
        }
        self.unstick(slot);
    }

    /// A publisher has to rest because a receiver is nearly full.
    pub fn stalled(&mut self, slot: u32) {
        self.totals.stalled += 1;
        if let Some(conn) = self.conns.get_mut(slot) {
            conn.stalls += 1;
        }
    }

    pub(crate) fn internal_slot(&self) -> u32 {
        self.internal
    }
}

/// Bytes that may wait for a connection.
pub(crate) fn pending_max(kind: Kind, settings: &Settings) -> usize {
    match kind {
        Kind::Client | Kind::Internal => settings.pending_max,
        _ => LINK_PENDING_MAX.max(settings.pending_max),
    }
}

/// Notes that a connection has something for the drive to flush.
#[inline]
pub(crate) fn touch(touched: &mut Vec<u32>, conn: &mut Conn, slot: u32) {
    if !conn.touched && conn.kind != Kind::Internal {
        conn.touched = true;
        touched.push(slot);
    }
}
