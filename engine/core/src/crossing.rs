//! Messages that cross from one account into another by imports (reference: security 5.4, 5.5).
//!
//! Stream imports cost nothing per message: the subscriptions of importing accounts are part of the exporting account's
//! routes, which are forgotten when that interest changes. A service import is applied after a request was delivered at
//! home: it goes on in the exporting account under a reply subject of its own, and answers come back the same way.
//!
//! Invariants: what a client may do is asked about its own subjects, before anything crosses. One published message
//! crosses at most [`CROSSINGS_MAX`] borders, at most [`HOPS_MAX`] one after another, whatever the imports are.

use std::sync::Arc;

use crate::account::Imported;
use crate::codec::client::Publish;
use crate::conn::Kind;
use crate::engine::Engine;
use crate::event::{Event, Responder};
use crate::fib::{Interest, Route};
use crate::imports::{
    push_request_info, sampled, told, with_request_info, Answers, Imports, Outcome, RequestInfo, Response, Responses,
    ServiceSpec, Ticket, Timed,
};
use crate::mapping::Mapped;
use crate::message::{push_tail, Message};
use crate::slab::Slab;
use crate::subject;
use crate::trace_headers::{set_header, DESTINATION, DISABLED};

/// Borders that one message crosses one after another.
const HOPS_MAX: u32 = 32;
/// Borders that all copies of one message cross together.
const CROSSINGS_MAX: u32 = 1024;
/// How long an answer may be answered, when it asks for that.
const COUNTER_QUESTION_NS: u64 = 120_000_000_000;
/// Acknowledgements name their server themselves and cross as they are.
const ACKNOWLEDGEMENT: &[u8] = b"$JS.ACK.";

/// What all accounts import from each other.
#[derive(Debug)]
pub(crate) struct Crossings {
    /// Stream imports: the importing account and the place among its imports.
    streams: Slab<(u32, u32)>,
    pub responses: Responses,
    /// How deep the message under way is in other accounts, and how many borders it may still cross.
    hops: u32,
    left: u32,
}

impl Crossings {
    pub fn new(seed: u64) -> Self {
        Self { streams: Slab::default(), responses: Responses::new(seed), hops: 0, left: CROSSINGS_MAX }
    }

    /// A message is about to cross; one that has not crossed yet has everything before it.
    fn begin(&mut self) {
        if self.hops == 0 {
            self.left = CROSSINGS_MAX;
        }
    }

    /// One border more, if that is not too many.
    fn enter(&mut self) -> bool {
        if self.hops >= HOPS_MAX || self.left == 0 {
            return false;
        }
        self.hops += 1;
        self.left -= 1;
        true
    }

    fn leave(&mut self) {
        self.hops -= 1;
    }
}

/// Who asked first, for those who hear of it.
#[derive(Clone, Copy)]
struct Asking {
    /// Its account.
    account: u32,
    /// It is named.
    shared: bool,
    /// The server is.
    server: bool,
}

impl Engine {
    /// Replaces what accounts import, all at once. Accounts that are not known yet are installed.
    pub fn install_imports(&mut self, changes: Vec<(u32, Arc<Imports>)>) {
        let exporters = changes.iter().flat_map(|(_, imports)| imports.exporters());
        let named = exporters.chain(changes.iter().map(|(account, _)| *account)).max();
        if let Some(last) = named.filter(|&last| last as usize >= self.accounts.len()) {
            self.install_account(last, None);
        }
        let changed: Vec<u32> = changes.iter().map(|(account, _)| *account).filter(|_| self.settings.routes).collect();
        for &account in &changed {
            self.recount_abroad(account, false);
        }
        for (account, _) in &changes {
            self.remove_imports(*account);
        }
        for (account, imports) in changes {
            self.crossings.responses.keep_those(account, |through| imports.has_service(through));
            if !imports.is_empty() {
                self.add_imports(account, imports);
            }
        }
        for account in changed {
            self.recount_abroad(account, true);
        }
    }

    fn remove_imports(&mut self, number: u32) {
        let Some(account) = self.accounts.get_mut(number as usize) else { return };
        account.routes.forget_everything();
        let Some(imported) = account.imported.take() else { return };
        let mut places = imported.streams;
        for (at, stream) in imported.imports.streams.iter().enumerate() {
            let Some(&(id, place)) = places.get(at) else { break };
            self.crossings.streams.remove(id);
            let Some(exporter) = self.accounts.get_mut(stream.exporter as usize) else { continue };
            exporter.routes.forget_everything();
            let Some(importers) = &mut exporter.importers else { continue };
            let moved = importers.remove(&stream.remote, place);
            if importers.is_empty() {
                exporter.importers = None;
            }
            let moved = moved.and_then(|moved| self.crossings.streams.get(moved)).copied();
            let Some((importer, moved_at)) = moved else { continue };
            let others = self.accounts.get_mut(importer as usize).and_then(|account| account.imported.as_mut());
            let of_importer = if importer == number { Some(&mut places) } else { others.map(|o| &mut o.streams) };
            if let Some(entry) = of_importer.and_then(|streams| streams.get_mut(moved_at as usize)) {
                entry.1 = place;
            }
        }
    }

    fn add_imports(&mut self, number: u32, imports: Arc<Imports>) {
        let seed = self.rng.next_u64();
        let mut imported =
            Box::new(Imported { imports: Arc::clone(&imports), streams: Vec::new(), services: Interest::new(seed) });
        for (service, at) in imports.services.iter().zip(0..) {
            imported.services.insert(&service.local, at);
        }
        let mut streams = Vec::new();
        for (stream, at) in imports.streams.iter().zip(0..) {
            let Some(exporter) = self.accounts.get_mut(stream.exporter as usize) else { continue };
            exporter.routes.forget_everything();
            let importers = exporter.importers.get_or_insert_with(|| Box::new(Interest::new(seed)));
            let id = self.crossings.streams.insert((number, at));
            streams.push((id, importers.insert(&stream.remote, id)));
        }
        imported.streams = streams;
        if let Some(account) = self.accounts.get_mut(number as usize) {
            account.routes.forget_everything();
            account.imported = Some(imported);
        }
    }

    /// Interest of an account with imports changed: accounts that it imports streams from forget what they knew of it.
    pub(crate) fn forget_imported_routes(&mut self, number: u32, changed: &[u8]) {
        let Some(account) = self.accounts.get(number as usize) else { return };
        let Some(imports) = account.imported.as_ref().map(|imported| Arc::clone(&imported.imports)) else { return };
        for stream in &imports.streams {
            if !subject::overlap(&stream.local, changed) {
                continue;
            }
            let Some(exporter) = self.accounts.get_mut(stream.exporter as usize) else { continue };
            if subject::has_wildcard(changed) {
                exporter.routes.forget_all();
            } else {
                let mut remote = Vec::new();
                stream.abroad.apply(changed, &mut |_| 0, &mut remote);
                exporter.routes.forget(&remote);
            }
        }
    }

    /// Adds to a route of an account what goes on in others: their subscriptions by stream imports, its service imports.
    pub(crate) fn add_crossings(&self, number: u32, subject: &[u8], route: &mut Route) {
        let Some(account) = self.accounts.get(number as usize) else { return };
        if let Some(imported) = &account.imported {
            imported.services.matching(subject, |found| route.services.extend_from_slice(found));
        }
        let Some(importers) = &account.importers else { return };
        let mut local = Vec::new();
        importers.matching(subject, |found| {
            for (importer, at) in found.iter().filter_map(|&id| self.crossings.streams.get(id)).copied() {
                let imported = self.accounts.get(importer as usize).and_then(|account| account.imported.as_ref());
                let Some(stream) = imported.and_then(|i| i.imports.streams.get(at as usize)) else { continue };
                stream.home.apply(subject, &mut |_| 0, &mut local);
                self.add_targets(importer, &local, route);
            }
        });
    }

    /// Takes a message to the accounts that its route's service imports name; returns how many got it there.
    pub(crate) fn cross(&mut self, message: &Message<'_>, route: u32) -> u64 {
        let asking = Asking { account: message.account, shared: false, server: false };
        self.crossings.begin();
        self.cross_as(message, route, asking, None)
    }

    fn cross_as(&mut self, message: &Message<'_>, route: u32, asking: Asking, through: Option<u32>) -> u64 {
        let Some(account) = self.accounts.get(message.account as usize) else { return 0 };
        let Some(imported) = &account.imported else { return 0 };
        let imports = Arc::clone(&imported.imports);
        let Some(services) = account.routes.get(route).map(|route| route.services.clone()) else { return 0 };
        services.into_iter().map(|at| self.cross_one(message, &imports, at, asking, through)).sum()
    }

    fn cross_one(
        &mut self,
        message: &Message<'_>,
        imports: &Imports,
        at: u32,
        asking: Asking,
        through: Option<u32>,
    ) -> u64 {
        let Some(service) = imports.services.get(at as usize) else { return 0 };
        let exporter = service.spec.exporter;
        let mut remote = Vec::new();
        service.remote(message.subject, &mut remote);
        let Some(remote) = self.mapped(exporter, remote) else { return 0 };
        if !self.crossings.enter() {
            return 0;
        }
        let traced = self.tracing.is_some();
        if let Some(tracing) = &mut self.tracing {
            tracing.asked(exporter, message.subject, &remote);
        }
        // Where the export does not allow it a trace ends at the border; so does a message that is nothing but one.
        let hidden = if service.spec.allow_trace { None } else { self.tracing.take() };
        let only = [&hidden, &self.tracing].into_iter().flatten().any(|tracing| tracing.only);
        if only && hidden.is_some() {
            self.tracing = hidden;
            self.crossings.leave();
            return 0;
        }
        let named = through.is_none() && service.spec.share;
        let asking = Asking {
            account: asking.account,
            shared: asking.shared || named,
            server: asking.server || (through.is_some() && service.spec.share),
        };
        let mut line = Vec::new();
        self.push_request_info(message.from, imports, asking, through, &mut line);
        let mut body = Vec::new();
        let mut header_bytes = with_request_info(message.header_bytes.unwrap_or(0), message.body, &line, &mut body);
        if traced {
            // The account there has no such subject, and other servers must not publish on it.
            header_bytes = end_trace(&mut body, header_bytes);
        }
        if only {
            let abroad = Abroad { account: exporter, subject: &remote, reply: &[], header_bytes: None, body: &body };
            let delivered = self.deliver_abroad(message, &abroad, Some((asking, message.account)));
            self.crossings.leave();
            return delivered;
        }
        let timed = self.timing(message, &service.spec, &line);
        if let Some(timed) = timed.clone().filter(|_| message.reply.is_empty()) {
            self.report_served(exporter, timed, Outcome::NoReply, None, message.now_ns);
        }
        let open = self.open_reply(
            message,
            Response {
                answered_in: exporter,
                account: message.account,
                reply: message.reply.into(),
                answers: service.spec.answers,
                threshold_ns: service.spec.threshold_ns,
                through: Some(service.spec.clone()),
                timed,
            },
        );
        let reply = open.as_ref().map_or(message.reply, |(_, subject)| subject);
        let abroad =
            Abroad { account: exporter, subject: &remote, reply, header_bytes: Some(header_bytes), body: &body };
        let delivered = self.deliver_abroad(message, &abroad, Some((asking, message.account)));
        self.crossings.leave();
        self.tracing = hidden.or(self.tracing.take());
        if let (0, Some((ticket, _))) = (delivered, open) {
            let closed = self.crossings.responses.close(ticket);
            if let Some(timed) = closed.and_then(|response| response.timed) {
                self.report_served(exporter, timed, Outcome::NoResponders, None, message.now_ns);
            }
        }
        delivered
    }

    /// What to remember of a request, if its answer is to be timed. `line` tells the service who asks.
    fn timing(&mut self, message: &Message<'_>, spec: &ServiceSpec, line: &[u8]) -> Option<Box<Timed>> {
        let latency = spec.latency.as_ref()?;
        let block = message.body.get(..message.header_bytes.unwrap_or(0)).unwrap_or(&[]);
        let header = sampled(latency.sampling, self.rng.below(100), block)?;
        Some(Box::new(Timed {
            results: latency.results.as_slice().into(),
            requestor: told(line).into(),
            asker: message.from_cid,
            rtt_ns: self.conns.get(message.from).map_or(0, |conn| conn.rtt_ns),
            header: header.into(),
            asked_ns: message.now_ns,
        }))
    }

    fn report_served(
        &mut self,
        account: u32,
        timed: Box<Timed>,
        outcome: Outcome,
        responder: Option<Box<Responder>>,
        now_ns: u64,
    ) {
        let took_ns = now_ns.saturating_sub(timed.asked_ns);
        self.events.push(Event::Served { account, outcome, timed, took_ns, responder });
    }

    /// Reports timed requests whose time is over.
    pub(crate) fn report_lapsed(&mut self, now_ns: u64) {
        while let Some(Response { answered_in, timed, .. }) = self.crossings.responses.take_lapsed(now_ns) {
            if let Some(timed) = timed {
                self.report_served(answered_in, timed, Outcome::TimedOut, None, now_ns);
            }
        }
    }

    /// Reports timed requests of a client that has left.
    pub(crate) fn report_abandoned(&mut self, cid: u64) {
        while let Some(Response { answered_in, timed, .. }) = self.crossings.responses.take_asked_by(cid) {
            if let Some(timed) = timed {
                let at_ns = timed.asked_ns;
                self.report_served(answered_in, timed, Outcome::AskerGone, None, at_ns);
            }
        }
    }

    /// A reply subject of our own for the message, unless it wants no answer or names one that holds everywhere.
    fn open_reply(&mut self, message: &Message<'_>, response: Response) -> Option<(Ticket, Box<[u8]>)> {
        if message.reply.is_empty() || message.reply.starts_with(ACKNOWLEDGEMENT) {
            return None;
        }
        let opened = self.crossings.responses.open(response, message.now_ns);
        while let Some((account, prefix)) = self.crossings.responses.take_news() {
            self.want_answers(account, &prefix);
        }
        Some(opened)
    }

    /// The subject after an account's mappings; `None` when they drop the message, or when nothing can have that subject.
    fn mapped(&mut self, account: u32, subject: Vec<u8>) -> Option<Vec<u8>> {
        let mappings = self.accounts.get(account as usize)?.mappings.clone();
        let mut mapped = Vec::new();
        let roll = self.rng.below(100);
        let rng = &mut self.rng;
        let became = mappings.map(|m| m.apply(&subject, roll, &mut |bound| rng.below(bound), &mut mapped));
        let subject = match became {
            Some(Mapped::Dropped) => return None,
            Some(Mapped::To) => mapped,
            Some(Mapped::Unchanged) | None => subject,
        };
        subject::has_no_empty_token(&subject).then_some(subject)
    }

    fn push_request_info(
        &self,
        from: u32,
        imports: &Imports,
        asking: Asking,
        through: Option<u32>,
        line: &mut Vec<u8>,
    ) {
        let conn = self.conns.get(from);
        let origin = self.accounts.get(asking.account as usize).and_then(|account| account.imported.as_ref());
        push_request_info(
            line,
            &RequestInfo {
                account: origin.map_or(&imports.name, |imported| &imported.imports.name),
                service: if through.is_some() { &imports.name } else { &[] },
                rtt_ns: conn.map_or(0, |conn| conn.rtt_ns),
                shared: conn.and_then(|conn| conn.admission.client_info.as_deref()).filter(|_| asking.shared),
                server: if asking.server { &imports.server } else { &[] },
            },
        );
    }

    /// Delivers in another account, and from there wherever its imports lead.
    fn deliver_abroad(&mut self, message: &Message<'_>, to: &Abroad<'_>, asking: Option<(Asking, u32)>) -> u64 {
        let sizes = match to.header_bytes {
            Some(bytes) => format!("{bytes} {}", to.body.len()),
            None => to.body.len().to_string(),
        };
        let mut tail = Vec::with_capacity(to.reply.len() + sizes.len() + to.body.len() + 5);
        push_tail(&mut tail, to.reply, sizes.as_bytes(), to.body);
        let inner = Message {
            account: to.account,
            subject: to.subject,
            reply: to.reply,
            header_bytes: to.header_bytes,
            sizes: sizes.as_bytes(),
            body: to.body,
            tail: &tail,
            borrow_at: None,
            ..*message
        };
        let route = self.route_for(to.account, to.subject);
        let (mut delivered, crosses) = self.deliver(&inner, route);
        if self.crossings.responses.is_reply(to.account, to.subject) {
            delivered += self.answer(&inner);
        } else if crosses {
            delivered += match asking {
                Some((asking, through)) => self.cross_as(&inner, route, asking, Some(through)),
                None => self.cross(&inner, route),
            };
        }
        delivered
    }

    /// A client answers a request that came from another account. Nobody is told when it was not open any more.
    pub(crate) fn publish_answer(&mut self, slot: u32, p: &Publish<'_>, subject: &[u8], now_ns: u64) {
        let Some(conn) = self.conns.get(slot) else { return };
        let message = Message::of(slot, conn, p, subject, now_ns);
        let here =
            Abroad { account: message.account, subject, reply: p.reply, header_bytes: p.header_bytes, body: p.body };
        self.deliver_abroad(&message, &here, None);
    }

    /// Brings an answer to the account that asked; returns how many got it.
    pub(crate) fn answer(&mut self, message: &Message<'_>) -> u64 {
        // As for requests: a trace ends here.
        let tracing = self.tracing.take();
        let held_back = tracing.as_ref().is_some_and(|tracing| tracing.only);
        let mut delivered = 0;
        self.crossings.begin();
        if !held_back && self.crossings.enter() {
            delivered = self.bring_home(message);
            self.crossings.leave();
        }
        self.tracing = tracing;
        delivered
    }

    fn bring_home(&mut self, message: &Message<'_>) -> u64 {
        let (account, now_ns) = (message.account, message.now_ns);
        let found = self.crossings.responses.answer(account, message.subject, message.body.len(), now_ns);
        let Some((ticket, mut response)) = found else { return 0 };
        if let Some(timed) = response.timed.take() {
            let conn = self.conns.get(message.from).filter(|conn| conn.kind == Kind::Client);
            let responder = conn.map(|conn| {
                let about = conn.admission.about.clone();
                Box::new(Responder { cid: conn.admission.cid, about, rtt_ns: conn.rtt_ns })
            });
            self.report_served(account, timed, Outcome::Answered, responder, now_ns);
        }
        let open = self.open_reply(
            message,
            Response {
                answered_in: response.account,
                account,
                reply: message.reply.into(),
                answers: Answers::Single,
                threshold_ns: COUNTER_QUESTION_NS,
                through: None,
                timed: None,
            },
        );
        let home = Abroad {
            account: response.account,
            subject: &response.reply,
            reply: open.as_ref().map_or(message.reply, |(_, subject)| subject),
            header_bytes: message.header_bytes,
            body: message.body,
        };
        let delivered = self.deliver_abroad(message, &home, None);
        if delivered == 0 {
            self.crossings.responses.close(ticket);
            if let Some((ticket, _)) = open {
                self.crossings.responses.close(ticket);
            }
        }
        delivered
    }
}

/// The message with a header that ends its trace; returns the length of its header block.
fn end_trace(body: &mut Vec<u8>, header_bytes: usize) -> usize {
    let (block, payload) = body.split_at(header_bytes.min(body.len()));
    let mut ended = Vec::with_capacity(body.len() + 32);
    set_header(block, DESTINATION, DISABLED, &mut ended);
    let length = ended.len();
    ended.extend_from_slice(payload);
    *body = ended;
    length
}

/// A message as it is in another account.
struct Abroad<'a> {
    account: u32,
    subject: &'a [u8],
    reply: &'a [u8],
    header_bytes: Option<usize>,
    body: &'a [u8],
}
