//! One connection as the core sees it: who it is, what it may do, what it still has to be sent.

use std::sync::Arc;

use crate::batch::Batch;
use crate::errors::CloseReason;
use crate::hash::{seeded, BytesMap};
use crate::outbuf::OutBuf;
use crate::permit::{Permit, Replies};

/// What the other end of a connection is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// A NATS client.
    Client,
    /// The control plane itself: what it is sent becomes events.
    Internal,
    /// Another process of this node. It speaks like a client, but is neither counted nor shown as one.
    Link,
    /// Another server of the cluster, which speaks the route protocol.
    Route,
    /// A leaf node: this server is its hub.
    LeafBelow,
    /// The hub that this server is a leaf node of.
    LeafAbove,
    /// A server of another cluster that takes messages and tells what it wants.
    GatewayOut,
    /// A server of another cluster that sends messages and is told what is wanted here.
    GatewayIn,
}

impl Kind {
    /// The kind that the control plane calls by this name.
    pub fn from_name(name: &str) -> Option<Self> {
        Some(match name {
            "client" => Self::Client,
            "link" => Self::Link,
            "route" => Self::Route,
            "leaf_below" => Self::LeafBelow,
            "leaf_above" => Self::LeafAbove,
            "gateway_out" => Self::GatewayOut,
            "gateway_in" => Self::GatewayIn,
            _ => return None,
        })
    }

    /// Another server, not a client nor a part of this one.
    pub(crate) fn is_server(self) -> bool {
        !matches!(self, Self::Client | Self::Internal | Self::Link)
    }
}

/// Which accounts a connection to another server of the cluster carries (reference: wire protocol 2.7).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub enum Carried {
    /// All: it is the only one to that server.
    #[default]
    All,
    /// Those with this place in the pool of connections.
    Slot(u32),
    /// The one that the connection belongs to. Lines do not name it.
    Own,
}

/// What a client asked for in CONNECT (reference: wire protocol 1.5).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Wishes {
    /// `+OK` for everything accepted.
    pub verbose: bool,
    /// Publish subjects are checked.
    pub pedantic: bool,
    /// Own messages come back.
    pub echo: bool,
    /// Headers may be sent and received.
    pub headers: bool,
    /// Requests that nobody hears are answered with 503.
    pub no_responders: bool,
}

impl Default for Wishes {
    /// What holds for a client that never sends CONNECT.
    fn default() -> Self {
        Self { verbose: true, pedantic: true, echo: true, headers: false, no_responders: false }
    }
}

/// A rule of the control plane for listeners where nobody has to say who they are: the engine may settle a plain CONNECT
/// by itself.
#[derive(Debug, PartialEq, Eq)]
pub struct OpenRule {
    /// The INFO after the first PONG: what comes before the client id, and after the client's address.
    pub info: [Vec<u8>; 2],
    /// Members of the note about a connection that are the same for all of them (`"account":"$G",...`).
    pub about: Vec<u8>,
    /// Clients may use headers.
    pub headers: bool,
}

/// Everything that admission decided about a connection.
#[derive(Debug, Clone)]
pub struct Admission {
    /// Client id, unique for the life of the process.
    pub cid: u64,
    /// Number of the account, as installed.
    pub account: u32,
    /// What the user may do; `None` is everything.
    pub permit: Option<Arc<Permit>>,
    /// What the client asked for.
    pub wishes: Wishes,
    /// Largest payload in bytes.
    pub payload_max: u64,
    /// Most subscriptions; `u32::MAX` is unlimited.
    pub subs_max: u32,
    /// Ping interval in nanoseconds.
    pub ping_interval_ns: u64,
    /// Sent after the PONG that answers the first PING; empty for clients that do not want it.
    pub first_pong_info: Box<[u8]>,
    /// Opaque text about the connection that the control plane wants back in views and when it closes.
    pub about: Box<[u8]>,
    /// Members about the client for services of other accounts that may know who asks: before the account, after it, and
    /// after the round trip time. `None` where nobody may.
    pub client_info: Option<Arc<[Vec<u8>; 3]>>,
    /// True when the account is the system account.
    pub system: bool,
    /// What the other end is.
    pub kind: Kind,
    /// Of a server of the cluster: which accounts it hears of here.
    pub carried: Carried,
    /// Nothing but CONNECT is accepted, and only within this time (0: without limit). `None` once that is settled.
    pub connect_within_ns: Option<u64>,
    /// A first frame other than CONNECT is put before the control plane instead of being refused.
    pub silent_ok: bool,
    /// How to settle a plain CONNECT without asking, until one was settled.
    pub open_rule: Option<Arc<OpenRule>>,
}

impl Default for Admission {
    /// Account 0 without restrictions: what tests and simulations start from.
    fn default() -> Self {
        Self {
            cid: 0,
            account: 0,
            permit: None,
            wishes: Wishes::default(),
            payload_max: u64::MAX,
            subs_max: u32::MAX,
            ping_interval_ns: 0,
            first_pong_info: Box::default(),
            about: Box::default(),
            client_info: None,
            system: false,
            connect_within_ns: None,
            silent_ok: false,
            open_rule: None,
            kind: Kind::Client,
            carried: Carried::All,
        }
    }
}

/// How a connection came in, for those that the engine accepted itself. Kept until its CONNECT is settled.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Arrival {
    /// The door that it came through, as the control plane numbered it.
    pub door: u32,
    /// Address of the peer.
    pub ip: Box<str>,
    /// Port of the peer.
    pub port: u16,
    /// The challenge in its INFO, or empty.
    pub nonce: Box<[u8]>,
    /// When, in nanoseconds of the wall clock.
    pub at_ns: u64,
}

/// Traffic of a connection. Bytes are header and payload, without protocol lines (reference: wire protocol 8.6).
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct Traffic {
    /// Messages received from the peer.
    pub in_msgs: u64,
    /// Their bytes.
    pub in_bytes: u64,
    /// Messages sent to the peer.
    pub out_msgs: u64,
    /// Their bytes.
    pub out_bytes: u64,
}

/// The last subject that a connection published to, and the route it took in an account.
#[derive(Debug, Default)]
pub(crate) struct LastRoute {
    pub account: u32,
    pub subject: Vec<u8>,
    pub route: u32,
    pub stamp: u64,
    /// The route leads to nobody.
    pub nobody: bool,
}

/// A connection.
#[derive(Debug)]
pub struct Conn {
    pub(crate) kind: Kind,
    pub(crate) admission: Admission,
    pub(crate) out: OutBuf,
    pub(crate) subs: BytesMap<u32>,
    /// What another server wants in accounts that are not known here, and how many members that stands for.
    pub(crate) unclaimed: BytesMap<u32>,
    pub(crate) last: LastRoute,
    pub(crate) replies: Option<Box<Replies>>,
    pub(crate) traffic: Traffic,
    /// How often it had to rest because a receiver was nearly full.
    pub(crate) stalls: u64,
    pub(crate) arrival: Option<Box<Arrival>>,
    pub(crate) closing: Option<CloseReason>,
    /// Waiting for the control plane to answer a CONNECT.
    pub(crate) paused: bool,
    pub(crate) touched: bool,
    pub(crate) first_ping_seen: bool,
    pub(crate) pings_out: u32,
    pub(crate) ping_sent_ns: u64,
    pub(crate) rtt_ns: u64,
    pub(crate) rtt_at_ns: u64,
    pub(crate) opened_ns: u64,
    pub(crate) last_in_ns: u64,
    /// Its timers were set once, when it was opened.
    pub(crate) watched: bool,
    pub(crate) ping_due_ns: u64,
    pub(crate) connect_due_ns: u64,
    pub(crate) timer_ns: u64,
    /// Bytes of output that were lent to whoever is writing them.
    pub(crate) lent: usize,
    /// Output that the layers below NATS hold.
    pub(crate) below: usize,
    /// Memory held by what did not fit into the socket at the last flush, its bytes, and how long the socket has for them.
    pub(crate) stuck: usize,
    pub(crate) stuck_pending: usize,
    pub(crate) batch: Batch,
    /// A full socket is to be tried once more, since being late was forgiven.
    pub(crate) again: bool,
}

impl Conn {
    pub(crate) fn new(admission: Admission, seed: u64, now_ns: u64) -> Self {
        Self {
            kind: admission.kind,
            admission,
            out: OutBuf::default(),
            subs: BytesMap::with_hasher(seeded(seed)),
            unclaimed: BytesMap::with_hasher(seeded(seed)),
            last: LastRoute::default(),
            replies: None,
            traffic: Traffic::default(),
            stalls: 0,
            arrival: None,
            closing: None,
            paused: false,
            touched: false,
            first_ping_seen: false,
            pings_out: 0,
            ping_sent_ns: 0,
            rtt_ns: 0,
            rtt_at_ns: 0,
            opened_ns: now_ns,
            last_in_ns: now_ns,
            watched: false,
            ping_due_ns: 0,
            connect_due_ns: 0,
            timer_ns: 0,
            lent: 0,
            below: 0,
            stuck: 0,
            stuck_pending: 0,
            batch: Batch::default(),
            again: false,
        }
    }

    /// Whether what is wanted in an account is told over this connection to another server.
    pub(crate) fn carries(&self, account: u32, slot: Option<u32>) -> bool {
        match self.admission.carried {
            Carried::All => true,
            Carried::Slot(own) => slot == Some(own),
            Carried::Own => self.admission.account == account,
        }
    }

    /// Whether lines name the account.
    pub(crate) fn names_accounts(&self) -> bool {
        self.admission.carried != Carried::Own
    }

    /// True once its CONNECT was accepted, or was not needed: it belongs to its account.
    pub(crate) fn is_settled(&self) -> bool {
        self.admission.connect_within_ns.is_none()
    }

    /// Why the connection is being closed, if it is.
    pub fn closing(&self) -> Option<CloseReason> {
        self.closing
    }

    /// True while no input may be processed.
    pub fn paused(&self) -> bool {
        self.paused
    }

    /// What is still to be sent, but for what was lent.
    pub fn out(&self) -> &OutBuf {
        &self.out
    }

    /// True once something has come from the peer.
    pub fn has_spoken(&self) -> bool {
        self.last_in_ns != self.opened_ns
    }

    /// Messages that were received from the peer.
    pub fn messages(&self) -> u64 {
        self.traffic.in_msgs
    }

    /// The last round trip time that was measured, 0 before there is one.
    pub fn rtt_ns(&self) -> u64 {
        self.rtt_ns
    }

    /// Bytes that have not left yet, as far as is known.
    #[inline]
    pub fn pending(&self) -> usize {
        self.out.pending() + self.lent
    }
}

/// A subscription.
#[derive(Debug)]
pub struct Sub {
    pub(crate) conn: u32,
    pub(crate) account: u32,
    pub(crate) delivered: u64,
    /// Deliveries after which it ends; 0 is never.
    pub(crate) max: u64,
    /// 0 for a subscription of this server; for interest of another server how many members it stands for.
    pub(crate) weight: u32,
    /// Messages must be held against the user's deny list one by one.
    pub(crate) filtered: bool,
    pub(crate) place: crate::fib::Place,
    pub(crate) subject: Box<[u8]>,
    pub(crate) queue: Option<Box<[u8]>>,
    pub(crate) sid: Box<[u8]>,
}
