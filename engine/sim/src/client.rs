//! One connection as the model sees it.

use natsfleet_core::conn::{Admission, Traffic, Wishes};

use crate::chance::Chance;
use crate::rights::Rights;

/// A subscription.
#[derive(Debug, Clone)]
pub struct Subscription {
    pub subject: Vec<u8>,
    pub queue: Option<Vec<u8>>,
    pub sid: Vec<u8>,
    pub delivered: u64,
    pub max: u64,
}

/// A reply subject that may be published to for a while.
#[derive(Debug, Clone)]
struct OpenReply {
    subject: Vec<u8>,
    left: Option<u64>,
    until_ns: Option<u64>,
}

/// What admission decided, and what happened since.
#[derive(Debug, Clone)]
pub struct Client {
    pub cid: u64,
    pub account: u32,
    pub wishes: Wishes,
    pub rights: Option<Rights>,
    pub subs_max: usize,
    pub subs: Vec<Subscription>,
    replies: Vec<OpenReply>,
    pub traffic: Traffic,
    /// Messages that it got as a member of groups, but for which subscription nobody can tell.
    pub unseen: usize,
}

impl Client {
    /// A newcomer in one of `accounts` accounts.
    pub fn random(chance: &mut Chance, cid: u64, accounts: u32) -> Self {
        let wishes = Wishes {
            verbose: chance.percent(20),
            pedantic: chance.percent(20),
            echo: chance.percent(80),
            headers: chance.percent(80),
            no_responders: chance.percent(50),
        };
        Self {
            cid,
            account: chance.below(accounts as usize) as u32,
            wishes,
            rights: chance.percent(30).then(|| Rights::random(chance)),
            subs_max: if chance.percent(10) { 3 } else { 1000 },
            subs: Vec::new(),
            replies: Vec::new(),
            traffic: Traffic::default(),
            unseen: 0,
        }
    }

    /// The same connection after another CONNECT.
    pub fn readmitted(&self, chance: &mut Chance, accounts: u32) -> Self {
        Self { traffic: self.traffic, ..Self::random(chance, self.cid, accounts) }
    }

    /// How the engine is told.
    pub fn admission(&self, payload_max: usize, ping_interval_ns: u64) -> Admission {
        Admission {
            cid: self.cid,
            account: self.account,
            permit: self.rights.as_ref().map(Rights::compile),
            wishes: self.wishes,
            payload_max: payload_max as u64,
            subs_max: self.subs_max as u32,
            ping_interval_ns,
            ..Admission::default()
        }
    }

    pub fn sub(&mut self, sid: &[u8]) -> Option<&mut Subscription> {
        self.subs.iter_mut().find(|sub| sub.sid == sid)
    }

    pub fn can_publish(&self, subject: &[u8]) -> bool {
        self.rights.as_ref().is_none_or(|rights| rights.can_publish(subject))
    }

    /// A message that asks for an answer was delivered.
    pub fn note_reply(&mut self, reply: &[u8], now_ns: u64) {
        let Some((msgs, ns)) = self.rights.as_ref().and_then(|rights| rights.responses) else { return };
        if reply.is_empty() || self.can_publish(reply) {
            return;
        }
        let granted = if msgs == 0 { Some(1) } else { u64::try_from(msgs).ok() };
        let within_ns = if ns == 0 { Some(120_000_000_000) } else { u64::try_from(ns).ok() };
        let before = self.replies.iter().position(|open| open.subject == reply).map(|at| self.replies.remove(at));
        let alive = before.filter(|open| open.is_alive(now_ns));
        let left = match (alive.and_then(|open| open.left), granted) {
            (Some(left), Some(granted)) => Some(left + granted),
            (_, granted) => granted,
        };
        self.replies.push(OpenReply { subject: reply.to_vec(), left, until_ns: within_ns.map(|ns| now_ns + ns) });
    }

    /// Uses up an answer, if one is open.
    pub fn take_reply(&mut self, subject: &[u8], now_ns: u64) -> bool {
        let Some(open) = self.replies.iter_mut().find(|open| open.subject == subject) else { return false };
        let alive = open.is_alive(now_ns);
        if let (true, Some(left)) = (alive, &mut open.left) {
            *left -= 1;
        }
        alive
    }
}

impl OpenReply {
    fn is_alive(&self, now_ns: u64) -> bool {
        self.left != Some(0) && self.until_ns.is_none_or(|until| now_ns < until)
    }
}
