//! What the control plane may look at: plain values, copied out.

use crate::conn::{Arrival, Conn, Kind, Traffic};
use crate::engine::Engine;

/// A connection, for connz.
#[derive(Debug, Clone)]
pub struct ConnView {
    /// Client id.
    pub cid: u64,
    /// Number of its account.
    pub account: u32,
    /// Traffic so far.
    pub traffic: Traffic,
    /// Subscriptions now.
    pub subs: usize,
    /// Bytes waiting for its socket.
    pub pending: usize,
    /// When it was taken on.
    pub opened_ns: u64,
    /// When it last sent something.
    pub last_in_ns: u64,
    /// Last measured round trip; 0 is unknown.
    pub rtt_ns: u64,
    /// What admission noted about it.
    pub about: Box<[u8]>,
    /// How it came in, if it was not admitted by a CONNECT yet and the engine accepted it.
    pub arrival: Option<Box<Arrival>>,
}

/// A subscription, for connz and subsz.
#[derive(Debug, Clone)]
pub struct SubView {
    /// Client id of its owner; 0 is the control plane.
    pub cid: u64,
    /// Number of the account.
    pub account: u32,
    /// Subject.
    pub subject: Box<[u8]>,
    /// Queue group, or empty.
    pub queue: Box<[u8]>,
    /// The owner's name for it.
    pub sid: Box<[u8]>,
    /// Messages delivered.
    pub delivered: u64,
    /// Deliveries after which it ends; 0 is never.
    pub max: u64,
}

fn view(conn: &Conn) -> ConnView {
    ConnView {
        cid: conn.admission.cid,
        account: conn.admission.account,
        traffic: conn.traffic,
        subs: conn.subs.len(),
        pending: conn.out.pending(),
        opened_ns: conn.opened_ns,
        last_in_ns: conn.last_in_ns,
        rtt_ns: conn.rtt_ns,
        about: conn.admission.about.clone(),
        arrival: conn.arrival.clone(),
    }
}

impl Engine {
    /// All open connections.
    pub fn conn_views(&self) -> Vec<ConnView> {
        self.conns
            .iter()
            .filter(|(_, conn)| conn.kind == Kind::Client && conn.closing().is_none())
            .map(|(_, conn)| view(conn))
            .collect()
    }

    /// The connection with this client id.
    pub fn conn_view(&self, cid: u64) -> Option<ConnView> {
        self.slot_of(cid).and_then(|slot| self.conns.get(slot)).map(view)
    }

    /// Subscriptions of one connection, or of all.
    pub fn sub_views(&self, cid: Option<u64>) -> Vec<SubView> {
        let owner = cid.map(|cid| self.slot_of(cid));
        self.subs
            .iter()
            .filter(|(_, sub)| owner.is_none_or(|slot| slot == Some(sub.conn)))
            .map(|(_, sub)| SubView {
                cid: self.conns.get(sub.conn).map_or(0, |conn| conn.admission.cid),
                account: sub.account,
                subject: sub.subject.clone(),
                queue: sub.queue.clone().unwrap_or_default(),
                sid: sub.sid.clone(),
                delivered: sub.delivered,
                max: sub.max,
            })
            .collect()
    }
}
