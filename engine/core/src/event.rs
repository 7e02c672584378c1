//! What the core reports to the control plane.

use std::collections::VecDeque;

use crate::conn::{Arrival, Traffic};
use crate::errors::CloseReason;
use crate::imports::{Outcome, Timed};
use crate::view::SubView;

/// Something a user may not do.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Violation {
    /// Publishing to the subject.
    Publish,
    /// Publishing with that reply subject.
    Reply,
    /// Subscribing.
    Subscribe,
}

/// Which way a protocol line went.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Heading {
    /// From the peer.
    In,
    /// To the peer.
    Out,
    /// Nowhere: something that the engine did by itself.
    Within,
}

/// What became of a traced message, in order.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Step {
    /// It went to a subscription.
    Received {
        /// Client id; 0 is the control plane.
        cid: u64,
        /// Number of the account, if that is another one.
        account: Option<u32>,
        /// Subject of the subscription, as the account calls it in which the message is.
        subject: Box<[u8]>,
        /// Queue group, or empty.
        queue: Box<[u8]>,
    },
    /// Another account imports it as a stream.
    Stream {
        /// Number of that account.
        account: u32,
        /// What it is called there.
        to: Box<[u8]>,
    },
    /// It is a request to another account.
    Service {
        /// Number of that account.
        account: u32,
        /// What it was called before.
        from: Box<[u8]>,
        /// What it is called there.
        to: Box<[u8]>,
    },
}

impl Step {
    fn bytes(&self) -> usize {
        let texts = match self {
            Self::Received { subject, queue, .. } => subject.len() + queue.len(),
            Self::Stream { to, .. } => to.len(),
            Self::Service { from, to, .. } => from.len() + to.len(),
        };
        texts + 64
    }
}

/// Who answered a timed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Responder {
    /// Client id.
    pub cid: u64,
    /// Its `Admission::about`.
    pub about: Box<[u8]>,
    /// Last measured round trip; 0 is unknown.
    pub rtt_ns: u64,
}

/// A report. Connections are named by client id.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Event {
    /// A CONNECT on a connection that was admitted before; it waits for `Core::readmit`.
    Connect {
        /// Client id.
        cid: u64,
        /// The JSON text.
        json: Box<[u8]>,
        /// How it came in, when this is its first CONNECT and the engine accepted it.
        arrival: Option<Box<Arrival>>,
    },
    /// A connection was accepted by the engine (only while details are reported).
    Arrived {
        /// Client id.
        cid: u64,
        /// How it came in.
        arrival: Box<Arrival>,
    },
    /// A plain CONNECT was settled by an `OpenRule`.
    Admitted {
        /// Client id.
        cid: u64,
        /// Number of the account.
        account: u32,
    },
    /// Another server of the cluster sent INFO; its connection waits for `Engine::proceed`.
    Peer {
        /// Client id of the connection.
        cid: u64,
        /// The JSON text.
        json: Box<[u8]>,
    },
    /// The peer sent INFO, which only matters if it is not JSON.
    Info {
        /// Client id.
        cid: u64,
        /// The JSON text.
        json: Box<[u8]>,
    },
    /// A connection is gone from the core.
    Closed {
        /// Client id.
        cid: u64,
        /// Number of its account.
        account: u32,
        /// Why.
        reason: CloseReason,
        /// What was seen, for the log.
        detail: Box<str>,
        /// Its traffic.
        traffic: Traffic,
        /// Subscriptions that it had.
        subs: u32,
        /// The first of them.
        sub_views: Vec<SubView>,
        /// Its output that was not sent yet, in bytes.
        pending: usize,
        /// When it was taken on.
        opened_ns: u64,
        /// When it last sent something.
        last_in_ns: u64,
        /// Last measured round trip; 0 is unknown.
        rtt_ns: u64,
        /// How often it had to rest because a receiver was nearly full.
        stalls: u64,
        /// Its `Admission::about`.
        about: Box<[u8]>,
        /// How it came in, if it was never admitted and the engine accepted it.
        arrival: Option<Box<Arrival>>,
    },
    /// A message for the control plane.
    Deliver {
        /// The tag that it subscribed with.
        tag: u64,
        /// Number of the account.
        account: u32,
        /// Client id of the publisher; 0 for the control plane.
        from: u64,
        /// Subject.
        subject: Box<[u8]>,
        /// Reply subject, or empty.
        reply: Box<[u8]>,
        /// Bytes of header at the start of `body`.
        header_bytes: usize,
        /// Header and payload.
        body: Box<[u8]>,
    },
    /// A message asked for a trace of its path.
    Traced {
        /// Client id of the publisher.
        cid: u64,
        /// Number of its account.
        account: u32,
        /// Subject that the trace event goes to.
        destination: Box<[u8]>,
        /// Subject as published.
        subject: Box<[u8]>,
        /// Subject after mapping.
        mapped: Box<[u8]>,
        /// Header block.
        header: Box<[u8]>,
        /// Bytes of header and payload.
        bytes: usize,
        /// The event may be compressed.
        gzip: bool,
        /// What became of it.
        steps: Vec<Step>,
        /// How much more did.
        unnamed: usize,
    },
    /// A request whose answer is timed has come to its end.
    Served {
        /// Number of the account whose service it is.
        account: u32,
        /// How it ended.
        outcome: Outcome,
        /// What is known of the request.
        timed: Box<Timed>,
        /// From the request to its end.
        took_ns: u64,
        /// Who answered, if that was a client here.
        responder: Option<Box<Responder>>,
    },
    /// A user tried what it may not do.
    Violation {
        /// Client id.
        cid: u64,
        /// What kind.
        kind: Violation,
        /// Subject, or reply subject.
        subject: Box<[u8]>,
        /// Queue group, or empty.
        queue: Box<[u8]>,
        /// The client's name for the subscription, or empty.
        sid: Box<[u8]>,
    },
    /// A subscription gets the last message that it was to get (only while details are reported).
    Spent {
        /// Client id.
        cid: u64,
        /// The client's name for the subscription.
        sid: Box<[u8]>,
        /// Its maximum.
        max: u64,
    },
    /// A receiver is slow and may stay, or is not slow any more.
    Slow {
        /// Client id.
        cid: u64,
        /// For the log.
        text: Box<str>,
    },
    /// A protocol line, for the log (only while tracing is on).
    Trace {
        /// Client id.
        cid: u64,
        /// Where it went.
        heading: Heading,
        /// The line without CRLF.
        line: Box<[u8]>,
        /// Header and payload of a message.
        body: Option<Box<[u8]>>,
    },
}

/// Events of two priorities: those that the control plane must see, and those that may be dropped when it is too slow.
///
/// The first kind is bounded by what causes it: at most one waiting CONNECT, one admission and one close per connection.
/// The subscriptions that a close tells of are left out when too many bytes of them wait already.
#[derive(Debug)]
pub struct Events {
    sure: VecDeque<Event>,
    droppable: VecDeque<Event>,
    droppable_max: usize,
    droppable_bytes: usize,
    droppable_bytes_max: usize,
    closed_subs_bytes: usize,
    dropped: u64,
    urgent: bool,
}

/// What views of subscriptions take.
fn subs_bytes(views: &[SubView]) -> usize {
    views
        .iter()
        .map(|view| std::mem::size_of::<SubView>() + view.subject.len() + view.queue.len() + view.sid.len())
        .sum()
}

impl Event {
    /// Bytes that came from a peer and wait with the event.
    fn payload_bytes(&self) -> usize {
        match self {
            Self::Info { json, .. } => json.len(),
            Self::Deliver { subject, reply, body, .. } => subject.len() + reply.len() + body.len(),
            Self::Traced { destination, subject, mapped, header, steps, .. } => {
                let told: usize = steps.iter().map(Step::bytes).sum();
                destination.len() + subject.len() + mapped.len() + header.len() + told
            }
            Self::Violation { subject, queue, sid, .. } => subject.len() + queue.len() + sid.len(),
            Self::Spent { sid, .. } => sid.len(),
            Self::Slow { text, .. } => text.len(),
            Self::Served { timed, responder, .. } => {
                timed.bytes() + responder.as_ref().map_or(0, |responder| responder.about.len())
            }
            Self::Trace { line, body, .. } => line.len() + body.as_ref().map_or(0, |body| body.len()),
            Self::Connect { .. }
            | Self::Peer { .. }
            | Self::Admitted { .. }
            | Self::Arrived { .. }
            | Self::Closed { .. } => 0,
        }
    }
}

impl Events {
    /// An empty queue that holds at most `droppable_max` events of the droppable kind, with at most
    /// `droppable_bytes_max` bytes of peers in them.
    pub fn new(droppable_max: usize, droppable_bytes_max: usize) -> Self {
        Self {
            sure: VecDeque::new(),
            droppable: VecDeque::new(),
            droppable_max,
            droppable_bytes: 0,
            droppable_bytes_max,
            closed_subs_bytes: 0,
            dropped: 0,
            urgent: false,
        }
    }

    /// Adds an event.
    pub fn push(&mut self, mut event: Event) {
        self.urgent |= !matches!(event, Event::Admitted { .. } | Event::Closed { .. });
        match &mut event {
            Event::Closed { sub_views, .. } => {
                if self.closed_subs_bytes >= self.droppable_bytes_max {
                    sub_views.clear();
                }
                self.closed_subs_bytes += subs_bytes(sub_views);
                self.sure.push_back(event);
            }
            Event::Connect { .. } | Event::Peer { .. } | Event::Admitted { .. } => self.sure.push_back(event),
            _ if self.droppable.len() >= self.droppable_max || self.droppable_bytes >= self.droppable_bytes_max => {
                self.dropped += 1;
            }
            _ => {
                self.droppable_bytes += event.payload_bytes();
                self.droppable.push_back(event);
            }
        }
    }

    /// Takes the next event, the important ones first.
    pub fn pop(&mut self) -> Option<Event> {
        if let Some(event) = self.sure.pop_front() {
            if let Event::Closed { sub_views, .. } = &event {
                self.closed_subs_bytes -= subs_bytes(sub_views);
            }
            return Some(event);
        }
        let event = self.droppable.pop_front()?;
        self.droppable_bytes -= event.payload_bytes();
        Some(event)
    }

    /// True when something waits that somebody is waiting for. Ends of connections can wait a little and come in batches.
    pub fn is_urgent(&self) -> bool {
        self.urgent && !self.is_empty()
    }

    /// True when nothing waits.
    pub fn is_empty(&self) -> bool {
        self.sure.is_empty() && self.droppable.is_empty()
    }

    /// Moves everything that waits in `other` here, within the bound.
    pub fn absorb(&mut self, other: &mut Events) {
        while let Some(event) = other.pop() {
            self.push(event);
        }
        other.urgent = false;
        self.dropped += std::mem::take(&mut other.dropped);
    }

    /// How many droppable events were dropped so far.
    pub fn dropped(&self) -> u64 {
        self.dropped
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn message(bytes: usize) -> Event {
        let body = vec![0; bytes].into();
        Event::Deliver {
            tag: 1,
            account: 0,
            from: 1,
            subject: Box::default(),
            reply: Box::default(),
            header_bytes: 0,
            body,
        }
    }

    #[test]
    fn messages_wait_up_to_a_number_of_bytes() {
        let mut events = Events::new(100, 1000);
        for _ in 0..10 {
            events.push(message(400));
        }
        assert_eq!(events.dropped(), 7);
        while events.pop().is_some() {}
        events.push(message(2000));
        events.push(message(1));
        assert_eq!((events.dropped(), events.droppable_bytes), (8, 2000));
        assert!(events.pop().is_some() && events.pop().is_none());
        assert_eq!(events.droppable_bytes, 0);
    }

    #[test]
    fn closings_tell_of_their_subscriptions_up_to_a_number_of_bytes() {
        let mut events = Events::new(1, 1000);
        let view = SubView {
            cid: 1,
            account: 0,
            subject: vec![b'a'; 400].into(),
            queue: Box::default(),
            sid: Box::default(),
            delivered: 0,
            max: 0,
        };
        let closed = || Event::Closed {
            cid: 1,
            account: 0,
            reason: CloseReason::ClientClosed,
            detail: Box::default(),
            traffic: Traffic::default(),
            subs: 1,
            sub_views: vec![view.clone()],
            pending: 0,
            opened_ns: 0,
            last_in_ns: 0,
            rtt_ns: 0,
            stalls: 0,
            about: Box::default(),
            arrival: None,
        };
        for _ in 0..10 {
            events.push(closed());
        }
        let told = |event| matches!(event, Event::Closed { sub_views, .. } if !sub_views.is_empty());
        assert_eq!(std::iter::from_fn(|| events.pop()).filter(|event| told(event.clone())).count(), 3);
        assert_eq!(events.closed_subs_bytes, 0);
        events.push(closed());
        assert!(events.pop().is_some_and(told));
    }

    #[test]
    fn closings_are_never_dropped() {
        let mut events = Events::new(1, 1);
        let mut other = Events::new(1, 1);
        for cid in 0..100 {
            let json = Box::default();
            other.push(Event::Connect { cid, json, arrival: None });
            other.push(message(1));
        }
        events.absorb(&mut other);
        assert_eq!(events.dropped(), 99);
        assert_eq!(std::iter::from_fn(|| events.pop()).count(), 101);
    }
}
