//! Requests that crossed into another account and may still be answered (reference: security 5.5).
//!
//! Each has a reply subject of its own, `_R_.<account>.<token>`, that nobody can guess: the token is a keyed hash of a
//! counter, and the key never leaves the engine.
//!
//! Invariants: an account has at most [`RESPONSES_MAX`] of its requests open, in at most [`RESPONSES_BYTES_MAX`] bytes of
//! reply subjects; beyond that its oldest are forgotten, never those of others. What is over its time is not answered,
//! and goes when its account asks again.

use std::collections::{BTreeSet, HashMap, VecDeque};

use super::{Answers, ServiceSpec, Timed};
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
    /// Its answer is timed; then there is only one.
    pub timed: Option<Box<Timed>>,
}

impl Response {
    /// Bytes that are charged to the account.
    fn bytes(&self) -> usize {
        self.reply.len() + self.timed.as_ref().map_or(0, |timed| timed.bytes())
    }
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
    /// Those that are new.
    news: Vec<(u32, Box<[u8]>)>,
    /// Timed requests by when their time is over, and by who asked: with serial and number.
    by_due: BTreeSet<(u64, u64, u32)>,
    by_asker: BTreeSet<(u64, u64, u32)>,
    /// Timed requests that went because their time was over.
    lapsed: Vec<Response>,
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
            news: Vec::new(),
            by_due: BTreeSet::new(),
            by_asker: BTreeSet::new(),
            lapsed: Vec::new(),
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

    /// An account in which a request was opened for the first time, and what reply subjects begin with there.
    pub fn take_news(&mut self) -> Option<(u32, Box<[u8]>)> {
        self.news.pop()
    }

    /// Opens a request; returns its ticket and its reply subject.
    pub fn open(&mut self, response: Response, now_ns: u64) -> (Ticket, Box<[u8]>) {
        self.serial += 1;
        let serial = self.serial;
        let (account, bytes) = (response.account, response.bytes());
        let subject = self.subject(response.answered_in, serial);
        let due_ns = now_ns.saturating_add(response.threshold_ns);
        let asker = response.timed.as_ref().map(|timed| timed.asker);
        let number = self.open.insert(Open { response, subject: subject.clone(), due_ns, serial });
        if let Some(asker) = asker {
            self.by_due.insert((due_ns, serial, number));
            self.by_asker.insert((asker, serial, number));
        }
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
        let Self { key, prefixes, news, .. } = self;
        let key = *key;
        let prefix = prefixes.entry(account).or_insert_with(|| {
            let mut prefix = PREFIX.to_vec();
            push_digits(&mut prefix, siphash((key.0, key.1 ^ 1), &account.to_le_bytes()), ACCOUNT_CHARS);
            prefix.push(b'.');
            let prefix: Box<[u8]> = prefix.into();
            news.push((account, prefix.clone()));
            prefix
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
            self.lapse(ticket, now_ns);
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
            self.lapse(ticket, now_ns);
        }
        in_time.then_some((ticket, response))
    }

    /// Nobody is going to answer, or to hear it. A request that is closed already stays so.
    pub fn close(&mut self, ticket: Ticket) -> Option<Response> {
        self.open.get(ticket.number).filter(|open| open.serial == ticket.serial)?;
        let open = self.open.remove(ticket.number)?;
        self.by_subject.remove(&open.subject);
        if let Some(ledger) = self.ledgers.get_mut(&open.response.account) {
            ledger.count = ledger.count.saturating_sub(1);
            ledger.bytes = ledger.bytes.saturating_sub(open.response.bytes());
        }
        if let Some(timed) = &open.response.timed {
            self.by_due.remove(&(open.due_ns, open.serial, ticket.number));
            self.by_asker.remove(&(timed.asker, open.serial, ticket.number));
        }
        Some(open.response)
    }

    /// Closes a request; one that is timed and over its time is kept for `take_lapsed`.
    fn lapse(&mut self, ticket: Ticket, now_ns: u64) {
        let over = self.open.get(ticket.number).is_some_and(|open| open.due_ns <= now_ns);
        let closed = self.close(ticket);
        self.lapsed.extend(closed.filter(|response| over && response.timed.is_some()));
    }

    /// The open requests that are answered in an account: their reply subjects there, and what is known of them.
    pub fn answered_in(&self, account: u32) -> impl Iterator<Item = (&[u8], &Response)> {
        let here = self.open.iter().filter(move |(_, open)| open.response.answered_in == account);
        here.map(|(_, open)| (&*open.subject, &open.response))
    }

    /// When the next timed request is over its time.
    pub fn next_due_ns(&self) -> Option<u64> {
        self.by_due.first().map(|(due, _, _)| *due)
    }

    /// A timed request whose time is over. It is closed.
    pub fn take_lapsed(&mut self, now_ns: u64) -> Option<Response> {
        if let Some(lapsed) = self.lapsed.pop() {
            return Some(lapsed);
        }
        let &(_, serial, number) = self.by_due.first().filter(|(due, _, _)| *due <= now_ns)?;
        self.close(Ticket { number, serial })
    }

    /// A timed request that this client has open. It is closed.
    pub fn take_asked_by(&mut self, cid: u64) -> Option<Response> {
        let &(_, serial, number) = self.by_asker.range((cid, 0, 0)..=(cid, u64::MAX, u32::MAX)).next()?;
        self.close(Ticket { number, serial })
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
        for ticket in gone {
            self.close(ticket);
        }
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
            timed: None,
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
    fn timed_requests_are_found_by_their_time_and_by_who_asked() {
        let timed = |asker| {
            let [results, requestor, header]: [Box<[u8]>; 3] = Default::default();
            Some(Box::new(Timed { results, requestor, asker, rtt_ns: 0, header, asked_ns: 0 }))
        };
        let asked = |asker, threshold_ns| Response { timed: timed(asker), threshold_ns, ..request(2, Answers::Single) };
        let asker = |found: Option<Response>| found.and_then(|response| response.timed).map(|timed| timed.asker);
        let mut responses = Responses::new(1);
        let (_, answered) = responses.open(asked(7, 10), 0);
        let (_, late) = responses.open(asked(8, 10), 0);
        for (who, threshold) in [(9, 50), (7, 90), (7, 99)] {
            responses.open(asked(who, threshold), 0);
        }
        assert!(responses.answer(1, &answered, 1, 5).is_some());
        assert_eq!((responses.next_due_ns(), asker(responses.take_lapsed(9))), (Some(10), None));
        assert!(responses.answer(1, &late, 1, 12).is_none(), "too late, which is told all the same");
        assert_eq!((asker(responses.take_lapsed(12)), asker(responses.take_lapsed(12))), (Some(8), None));
        assert_eq!((asker(responses.take_lapsed(60)), responses.next_due_ns()), (Some(9), Some(90)));
        let left: Vec<_> = std::iter::from_fn(|| asker(responses.take_asked_by(7))).collect();
        assert_eq!((left, responses.len(), responses.next_due_ns()), (vec![7, 7], 0, None));
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
