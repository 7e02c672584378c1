//! What the control plane may look at: plain values, copied out.

use crate::account::Lookups;
use crate::conn::{Arrival, Conn, Kind, Sub, Traffic};
use crate::engine::Engine;
use crate::imports::LatencySpec;

/// A connection, for connz.
#[derive(Debug, Clone)]
pub struct ConnView {
    /// Client id.
    pub cid: u64,
    /// Number of its account, once that is settled.
    pub account: Option<u32>,
    /// Traffic so far.
    pub traffic: Traffic,
    /// How often it had to rest because a receiver was nearly full.
    pub stalls: u64,
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
#[derive(Debug, Clone, PartialEq, Eq)]
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

/// An account, for accountz, accstatz and subsz.
#[derive(Debug, Clone, Copy)]
pub struct AccountView {
    /// Its number.
    pub number: u32,
    /// Settled clients now.
    pub conns: u32,
    /// Traffic of its clients so far.
    pub traffic: Traffic,
    /// Clients cut as slow consumers.
    pub slow_consumers: u64,
    /// Its subjects.
    pub lookups: Lookups,
}

fn view(conn: &Conn) -> ConnView {
    ConnView {
        cid: conn.admission.cid,
        account: conn.is_settled().then_some(conn.admission.account),
        traffic: conn.traffic,
        stalls: conn.stalls,
        subs: conn.subs.len(),
        pending: conn.pending(),
        opened_ns: conn.opened_ns,
        last_in_ns: conn.last_in_ns,
        rtt_ns: conn.rtt_ns,
        about: conn.admission.about.clone(),
        arrival: conn.arrival.clone(),
    }
}

impl Engine {
    /// All open connections of clients.
    pub fn conn_views(&self) -> Vec<ConnView> {
        self.conns
            .iter()
            .filter(|(_, conn)| conn.kind == Kind::Client && conn.closing().is_none())
            .map(|(_, conn)| view(conn))
            .collect()
    }

    /// All open connections to other servers of the cluster.
    pub fn route_views(&self) -> Vec<ConnView> {
        self.peers.iter().filter_map(|&slot| self.conns.get(slot)).map(view).collect()
    }

    /// The connection with this client id.
    pub fn conn_view(&self, cid: u64) -> Option<ConnView> {
        self.slot_of(cid).and_then(|slot| self.conns.get(slot)).filter(|conn| conn.kind == Kind::Client).map(view)
    }

    fn sub_view(&self, sub: &Sub) -> SubView {
        SubView {
            cid: self.conns.get(sub.conn).map_or(0, |conn| conn.admission.cid),
            account: sub.account,
            subject: sub.subject.clone(),
            queue: sub.queue.clone().unwrap_or_default(),
            sid: sub.sid.clone(),
            delivered: sub.delivered,
            max: sub.max,
        }
    }

    /// The first subscriptions of a connection, in the order in which they were made as far as numbers tell.
    pub(crate) fn sub_views_of(&self, slot: u32, at_most: usize) -> Vec<SubView> {
        let Some(conn) = self.conns.get(slot) else { return Vec::new() };
        conn.subs
            .values()
            .take(at_most)
            .filter_map(|&number| self.subs.get(number))
            .map(|sub| self.sub_view(sub))
            .collect()
    }

    /// All subscriptions of these connections.
    pub fn sub_views(&self, cids: &[u64]) -> Vec<SubView> {
        cids.iter().filter_map(|&cid| self.slot_of(cid)).flat_map(|slot| self.sub_views_of(slot, usize::MAX)).collect()
    }

    /// How many subscriptions there are in an account (`None`: in all), and a page of them. With `test` only those that
    /// this published subject reaches.
    pub fn sub_page(
        &self,
        account: Option<u32>,
        test: Option<&[u8]>,
        offset: usize,
        limit: usize,
    ) -> (usize, Vec<SubView>) {
        let wanted = |sub: &&Sub| {
            sub.weight == 0
                && account.is_none_or(|number| number == sub.account)
                && test.is_none_or(|subject| crate::subject::matches(&sub.subject, subject))
        };
        let all = || self.subs.iter().map(|(_, sub)| sub).filter(wanted);
        let page = all().skip(offset).take(limit).map(|sub| self.sub_view(sub)).collect();
        (all().count(), page)
    }

    /// All accounts, by number.
    pub fn account_views(&self) -> Vec<AccountView> {
        self.accounts
            .iter()
            .zip(0..)
            .map(|(account, number)| AccountView {
                number,
                conns: account.conns,
                traffic: account.traffic,
                slow_consumers: account.slow_consumers,
                lookups: account.lookups(),
            })
            .collect()
    }

    /// Requests that may still be answered in an account, at most so many.
    pub fn open_requests(&self, account: u32, most: usize) -> Vec<OpenRequest> {
        let found = self.crossings.responses.answered_in(account).take(most);
        found
            .map(|(subject, response)| OpenRequest {
                subject: subject.into(),
                asker: response.account,
                reply: response.reply.clone(),
                shared: response.through.as_ref().is_some_and(|through| through.share),
                latency: response
                    .timed
                    .as_ref()
                    .and(response.through.as_ref())
                    .and_then(|through| through.latency.clone()),
            })
            .collect()
    }
}

/// A request from another account that may still be answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct OpenRequest {
    /// Subject of the answer.
    pub subject: Box<[u8]>,
    /// Number of the account that asked.
    pub asker: u32,
    /// Its own reply subject.
    pub reply: Box<[u8]>,
    /// Its import shares who asks.
    pub shared: bool,
    /// How the answer is timed, if it is.
    pub latency: Option<LatencySpec>,
}
