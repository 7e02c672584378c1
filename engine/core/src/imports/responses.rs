//! Requests that crossed into another account and may still be answered (reference: security 5.5).
//!
//! Each has a reply subject of its own, `_R_.<account>.<token>`, that nobody can guess: the token is a keyed hash of a
//! counter, and the key never leaves the engine.
//!
//! Invariants: an account has at most [`RESPONSES_MAX`] of its requests open, in at most [`RESPONSES_BYTES_MAX`] bytes of
//! reply subjects; beyond that its oldest are forgotten, never those of others. What is over its time is not answered,
//! and goes when its account asks again.

use std::collections::{HashMap, VecDeque};

use super::Answers;
use super::ServiceSpec;
use crate::hash::{seeded, siphash, BytesMap};
use crate::slab::Slab;

/// Requests of one account that may wait for an answer at the same time.
pub(crate) const RESPONSES_MAX: usize = 65_536;
/// Bytes of their reply subjects.
pub(crate) const RESPONSES_BYTES_MAX: usize = 16 << 20;

const DIGITS: &[u8; 62] = b"0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz";
const PREFIX: &[u8] = b"_R_.";
const ACCOUNT_CHARS: usize = 6;
/// As many digits as 64 bits have.
const TOKEN_CHARS: usize = 11;

/// Which request; it stays true when its place is used again.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct Ticket {
    number: u32,
    serial: u64,
}

/// A request that may be answered.
#[derive(Debug, Clone)]
pub(crate) struct Response {
    /// Account in which the answer is published.
    pub answered_in: u32,
    /// Account that asked.
    pub account: u32,
    /// Its own reply subject.
    pub reply: Box<[u8]>,
    /// How many answers there may be.
    pub answers: Answers,
    /// How long until the next one.
    pub threshold_ns: u64,
    /// The import that the request went through; an answer that wants an answer has none.
    pub through: Option<ServiceSpec>,
}

#[derive(Debug)]
struct Open {
    response: Response,
    subject: Box<[u8]>,
    due_ns: u64,
    serial: u64,
}

/// The open requests of one account, oldest first; those that were answered stay in the order for a while.
#[derive(Debug, Default)]
struct Ledger {
    order: VecDeque<Ticket>,
    count: usize,
    bytes: usize,
}

/// See the module's description.
#[derive(Debug)]
pub(crate) struct Responses {
    key: (u64, u64),
    open: Slab<Open>,
    by_subject: BytesMap<u32>,
    ledgers: HashMap<u32, Ledger>,
    /// What reply subjects begin with in an account where there was one.
    prefixes: HashMap<u32, Box<[u8]>>,
    serial: u64,
}

impl Responses {
    /// Nothing is open. Whoever knows `seed` can tell the subjects.
    pub fn new(seed: u64) -> Self {
        Self {
            key: (siphash((seed, 0), b"key"), siphash((seed, 1), b"key")),
            open: Slab::default(),
            by_subject: BytesMap::with_hasher(seeded(seed)),
            ledgers: HashMap::new(),
            prefixes: HashMap::new(),
            serial: 0,
        }
    }

    /// Could `subject` be one of ours in this account?
    pub fn is_reply(&self, account: u32, subject: &[u8]) -> bool {
        subject.starts_with(PREFIX) && self.prefixes.get(&account).is_some_and(|prefix| subject.starts_with(prefix))
    }

    /// How many requests are open.
    #[cfg(test)]
    pub fn len(&self) -> usize {
        self.open.len()
    }

    /// Opens a request; returns its ticket and its reply subject.
    pub fn open(&mut self, response: Response, now_ns: u64) -> (Ticket, Box<[u8]>) {
        self.serial += 1;
        let serial = self.serial;
        let (account, bytes) = (response.account, response.reply.len());
        let subject = self.subject(response.answered_in, serial);
        let due_ns = now_ns.saturating_add(response.threshold_ns);
        let number = self.open.insert(Open { response, subject: subject.clone(), due_ns, serial });
        self.by_subject.insert(subject.clone(), number);
        let ledger = self.ledgers.entry(account).or_default();
        let ticket = Ticket { number, serial };
        ledger.order.push_back(ticket);
        ledger.count += 1;
        ledger.bytes += bytes;
        self.trim(account, now_ns);
        (ticket, subject)
    }

    fn subject(&mut self, account: u32, serial: u64) -> Box<[u8]> {
        let key = self.key;
        let prefix = self.prefixes.entry(account).or_insert_with(|| {
            let mut prefix = PREFIX.to_vec();
            push_digits(&mut prefix, siphash((key.0, key.1 ^ 1), &account.to_le_bytes()), ACCOUNT_CHARS);
            prefix.push(b'.');
            prefix.into()
        });
        let mut subject = prefix.to_vec();
        push_digits(&mut subject, siphash(key, &serial.to_le_bytes()), TOKEN_CHARS);
        subject.into()
    }

    /// Takes away what is answered, outdated or too much, oldest first.
    fn trim(&mut self, account: u32, now_ns: u64) {
        loop {
            let Some(ledger) = self.ledgers.get(&account) else { return };
            let Some(&ticket) = ledger.order.front() else { return };
            let full = ledger.count > RESPONSES_MAX || (ledger.bytes > RESPONSES_BYTES_MAX && ledger.count > 1);
            let current = self.open.get(ticket.number).filter(|open| open.serial == ticket.serial);
            if current.is_some_and(|open| open.due_ns > now_ns) && !full {
                break;
            }
            self.close(ticket);
            if let Some(ledger) = self.ledgers.get_mut(&account) {
                ledger.order.pop_front();
            }
        }
        // A long-lived one at the front must not keep the places of all that came after it.
        let Self { ledgers, open, .. } = self;
        if let Some(ledger) = ledgers.get_mut(&account).filter(|ledger| ledger.order.len() > 2 * ledger.count + 64) {
            ledger.order.retain(|ticket| open.get(ticket.number).is_some_and(|open| open.serial == ticket.serial));
        }
    }

    /// The request that is answered under `subject` in `account`, if it is open and in time. It stays open, for as long
    /// again, when there may be more answers than this one of `bytes`.
    pub fn answer(&mut self, account: u32, subject: &[u8], bytes: usize, now_ns: u64) -> Option<(Ticket, Response)> {
        let number = *self.by_subject.get(subject)?;
        let open = self.open.get_mut(number).filter(|open| open.response.answered_in == account)?;
        let response = open.response.clone();
        let ticket = Ticket { number, serial: open.serial };
        let in_time = open.due_ns > now_ns;
        if in_time && response.answers == Answers::Stream && bytes > 0 {
            open.due_ns = now_ns.saturating_add(response.threshold_ns);
        } else {
            self.close(ticket);
        }
        in_time.then_some((ticket, response))
    }

    /// Nobody is going to answer, or to hear it. A request that is closed already stays so.
    pub fn close(&mut self, ticket: Ticket) {
        if self.open.get(ticket.number).is_none_or(|open| open.serial != ticket.serial) {
            return;
        }
        let Some(open) = self.open.remove(ticket.number) else { return };
        self.by_subject.remove(&open.subject);
        if let Some(ledger) = self.ledgers.get_mut(&open.response.account) {
            ledger.count = ledger.count.saturating_sub(1);
            ledger.bytes = ledger.bytes.saturating_sub(open.response.reply.len());
        }
    }

    /// The imports of `account` changed: requests go that went through what is not `kept`.
    pub fn keep_those(&mut self, account: u32, kept: impl Fn(&ServiceSpec) -> bool) {
        let gone: Vec<Ticket> = self
            .open
            .iter()
            .filter(|(_, open)| open.response.account == account)
            .filter(|(_, open)| open.response.through.as_ref().is_some_and(|through| !kept(through)))
            .map(|(number, open)| Ticket { number, serial: open.serial })
            .collect();
        gone.into_iter().for_each(|ticket| self.close(ticket));
    }
}

fn push_digits(out: &mut Vec<u8>, mut number: u64, count: usize) {
    for _ in 0..count {
        let digit = (number % DIGITS.len() as u64) as usize;
        out.extend(DIGITS.get(digit));
        number /= DIGITS.len() as u64;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn request(account: u32, answers: Answers) -> Response {
        Response {
            answered_in: 1,
            account,
            reply: b"inbox".as_slice().into(),
            answers,
            threshold_ns: 10,
            through: None,
        }
    }

    #[test]
    fn a_single_answer_closes_and_a_stream_goes_on_until_an_empty_one() {
        let mut responses = Responses::new(1);
        let (_, single) = responses.open(request(2, Answers::Single), 0);
        let (_, stream) = responses.open(request(2, Answers::Stream), 0);
        assert!(single.starts_with(b"_R_.") && single.len() == 22 && single != stream);
        assert!(responses.is_reply(1, &single) && !responses.is_reply(2, &single));
        assert!(responses.answer(2, &single, 1, 5).is_none(), "answered in another account");
        assert!(responses.answer(1, &single, 1, 5).is_some());
        assert!(responses.answer(1, &single, 1, 5).is_none());
        for (bytes, now, heard) in [(1, 9, true), (1, 18, true), (0, 20, true), (1, 20, false)] {
            assert_eq!(responses.answer(1, &stream, bytes, now).is_some(), heard);
        }
        assert_eq!(responses.len(), 0);
    }

    #[test]
    fn what_is_over_its_time_is_not_answered() {
        let mut responses = Responses::new(1);
        let (_, subject) = responses.open(request(2, Answers::Stream), 0);
        assert!(responses.answer(1, &subject, 1, 10).is_none());
        assert_eq!(responses.len(), 0);
        responses.open(request(2, Answers::Single), 0);
        responses.open(request(2, Answers::Single), 50);
        assert_eq!(responses.len(), 1, "outdated ones go when their account asks again");
    }

    #[test]
    fn an_account_that_asks_too_much_forgets_its_own_oldest() {
        let mut responses = Responses::new(1);
        let (_, other) = responses.open(request(3, Answers::Single), 0);
        let (_, first) = responses.open(request(2, Answers::Single), 0);
        for _ in 0..RESPONSES_MAX {
            responses.open(request(2, Answers::Single), 0);
        }
        assert_eq!(responses.len(), RESPONSES_MAX + 1);
        assert!(responses.answer(1, &first, 1, 1).is_none() && responses.answer(1, &other, 1, 1).is_some());
        let long = Response { reply: vec![b'a'; 1 << 20].into(), ..request(4, Answers::Single) };
        for _ in 0..100 {
            responses.open(long.clone(), 0);
        }
        assert_eq!(responses.len(), RESPONSES_MAX + 16);
    }

    #[test]
    fn answered_requests_leave_no_places_behind() {
        let mut responses = Responses::new(1);
        let long = Response { threshold_ns: u64::MAX, ..request(2, Answers::Stream) };
        responses.open(long, 0);
        for now in 0..1000 {
            let (ticket, _) = responses.open(request(2, Answers::Single), now);
            responses.close(ticket);
            responses.close(ticket);
        }
        let ledger = &responses.ledgers[&2];
        assert!(ledger.count == 1 && ledger.bytes == 5 && ledger.order.len() < 100);
    }
}
