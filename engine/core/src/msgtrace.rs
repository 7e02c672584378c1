//! Messages that ask for a trace of their path (reference: wire protocol 1.19).
//!
//! The engine notes who received, or would have received, such a message; the control plane writes the event.

use crate::codec::client::Publish;
use crate::conn::Sub;
use crate::engine::Engine;
use crate::event::{Event, Receiver};
use crate::subject;
use crate::trace_headers::{Encoding, TraceHeaders};

/// Receivers that one trace names; the event says how many there were beyond.
const RECEIVERS_MAX: usize = 1024;

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
    pub mapped: Box<[u8]>,
    receivers: Vec<Receiver>,
    unnamed: usize,
}

impl Tracing {
    pub(crate) fn note(&mut self, cid: u64, sub: &Sub) {
        if self.receivers.len() >= RECEIVERS_MAX {
            self.unnamed += 1;
            return;
        }
        let queue = sub.queue.clone().unwrap_or_default();
        self.receivers.push(Receiver { cid, subject: sub.subject.clone(), queue });
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
        let fresh = Tracing { only: request.only, mapped: p.subject.into(), receivers: Vec::new(), unnamed: 0 };
        self.tracing = Some(Box::new(fresh));
        self.map_and_publish(slot, p, buffer, now_ns);
        let (Some(tracing), Some(conn)) = (self.tracing.take(), self.conns.get(slot)) else { return };
        self.events.push(Event::Traced {
            cid: conn.admission.cid,
            account: conn.admission.account,
            destination: request.destination,
            subject: p.subject.into(),
            mapped: tracing.mapped,
            header: p.body.get(..p.header_bytes.unwrap_or(0)).unwrap_or(&[]).into(),
            bytes: p.body.len(),
            gzip: request.encoding == Some(Encoding::Gzip),
            receivers: tracing.receivers,
            unnamed: tracing.unnamed,
        });
    }
}
