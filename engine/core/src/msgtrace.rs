//! Messages that ask for a trace of their path (reference: wire protocol 1.19).
//!
//! The engine notes who received, or would have received, such a message; the control plane writes the event.

use crate::codec::client::Publish;
use crate::conn::Sub;
use crate::engine::Engine;
use crate::event::{Event, Step};
use crate::subject;
use crate::trace_headers::{Encoding, TraceHeaders};

/// Steps that one trace names; the event says how many there were beyond.
const STEPS_MAX: usize = 1024;

/// What a message asks for.
pub(crate) struct TraceRequest {
    destination: Box<[u8]>,
    only: bool,
    encoding: Option<Encoding>,
}

/// The trace of a message under way.
#[derive(Debug)]
pub(crate) struct Tracing {
    /// Nobody really gets the message.
    pub only: bool,
    /// The subject it is delivered under.
    mapped: Box<[u8]>,
    /// The account where it was published.
    home: u32,
    /// The account that it has come to.
    here: u32,
    steps: Vec<Step>,
    unnamed: usize,
    /// Receivers by stream imports: the step, and the account where the message was, and what it was called there.
    abroad: Vec<(usize, u32, Box<[u8]>)>,
}

impl Tracing {
    fn new(request: &TraceRequest, home: u32, subject: &[u8]) -> Self {
        Self {
            only: request.only,
            mapped: subject.into(),
            home,
            here: home,
            steps: Vec::new(),
            unnamed: 0,
            abroad: Vec::new(),
        }
    }

    /// The message is about to be delivered in an account.
    pub(crate) fn enter(&mut self, account: u32, subject: &[u8]) {
        self.here = account;
        if account == self.home && self.steps.is_empty() {
            self.mapped = subject.into();
        }
    }

    /// A subscription of the account where the message is has it, or one of another account that imports it as
    /// `delivered`. `subject` is what the message is called where it is.
    pub(crate) fn received(&mut self, cid: u64, sub: &Sub, subject: &[u8], delivered: &[u8]) {
        if sub.account != self.here {
            self.push(Step::Stream { account: sub.account, to: delivered.into() });
            self.abroad.push((self.steps.len(), self.here, subject.into()));
        }
        let account = Some(sub.account).filter(|&account| account != self.home || sub.account != self.here);
        let queue = sub.queue.clone().unwrap_or_default();
        self.push(Step::Received { cid, account, subject: sub.subject.clone(), queue });
    }

    /// The message goes on as a request to another account.
    pub(crate) fn asked(&mut self, account: u32, from: &[u8], to: &[u8]) {
        self.push(Step::Service { account, from: from.into(), to: to.into() });
    }

    fn push(&mut self, step: Step) {
        if self.steps.len() < STEPS_MAX {
            self.steps.push(step);
        } else {
            self.unnamed += 1;
        }
    }
}

/// The request in a header block. A destination that is none, or an origin that only servers may name, asks for nothing.
pub(crate) fn trace_request(block: &[u8]) -> Option<TraceRequest> {
    let headers = TraceHeaders::scan(block)?;
    let destination = block.get(headers.destination?)?;
    let fit = subject::is_valid_literal(destination) && headers.origin_account.is_none() && !headers.disabled;
    fit.then(|| TraceRequest { destination: destination.into(), only: headers.only, encoding: headers.accept_encoding })
}

impl Engine {
    pub(crate) fn publish_traced(
        &mut self,
        slot: u32,
        p: &Publish<'_>,
        request: TraceRequest,
        buffer: &[u8],
        now_ns: u64,
    ) {
        if !self.may_publish(slot, &request.destination, now_ns) {
            return;
        }
        let Some(home) = self.conns.get(slot).map(|conn| conn.admission.account) else { return };
        self.tracing = Some(Box::new(Tracing::new(&request, home, p.subject)));
        self.map_and_publish(slot, p, buffer, now_ns);
        let Some(mut tracing) = self.tracing.take() else { return };
        self.judge_imported(&mut tracing);
        let Some(conn) = self.conns.get(slot) else { return };
        self.events.push(Event::Traced {
            cid: conn.admission.cid,
            account: conn.admission.account,
            destination: request.destination,
            subject: p.subject.into(),
            mapped: tracing.mapped,
            header: p.body.get(..p.header_bytes.unwrap_or(0)).unwrap_or(&[]).into(),
            bytes: p.body.len(),
            gzip: request.encoding == Some(Encoding::Gzip),
            steps: tracing.steps,
            unnamed: tracing.unnamed,
        });
    }

    /// Who has the message by a stream import is only shown where the import allows it, with its subscription as the
    /// exporting account would call it.
    fn judge_imported(&self, tracing: &mut Tracing) {
        for (at, exporter, subject) in std::mem::take(&mut tracing.abroad).into_iter().rev() {
            let Some(Step::Received { account: Some(importer), subject: local, .. }) = tracing.steps.get_mut(at) else {
                continue;
            };
            let imported = self.accounts.get(*importer as usize).and_then(|account| account.imported.as_ref());
            let allowed = imported.and_then(|imported| imported.imports.traced_stream(exporter, &subject, local));
            match allowed {
                Some(remote) => *local = remote.into(),
                None => {
                    tracing.steps.remove(at);
                }
            }
        }
    }
}
