//! Request and reply: requesters with a fixed number of requests in flight, one responder, and the round trip of each.
//!
//! All connections belong to one thread that sleeps until something arrives, as a client would: a round trip includes four
//! wake-ups, two of them the server's.

use std::time::{Duration, Instant};

use super::reach;
use super::{CpuMeter, STALL_LIMIT};
use crate::burst::{number_width, numbered};
use crate::epoll::Epoll;
use crate::failure::{Failure, Result};
use crate::histogram::Histogram;
use crate::link::{Link, Remains, Sites, Target};
use crate::messages::MessageReader;
use crate::report::Report;
use crate::wire;

const SERVICE: &str = "bench.service";
const SCRATCH_BYTES: usize = 64 * 1024;

/// What to run.
pub struct RequestPlan {
    /// Requester connections.
    pub connections: usize,
    /// Requests that each of them has under way.
    pub in_flight: usize,
    /// Payload bytes of request and reply.
    pub size: usize,
    /// Measured time.
    pub duration: Duration,
    /// Time before the measurement.
    pub warmup: Duration,
}

/// Runs the plan against a server.
pub fn run(sites: &Sites, plan: &RequestPlan, pids: &[u32]) -> Result<Report> {
    reach::wait_until_heard(&sites.near, &sites.far)?;
    let mut exchange = Exchange::open(sites, plan)?;
    exchange.settle()?;
    reach::wait_until_heard(&sites.near, &sites.far)?;
    reach::wait_until_heard(&sites.far, &sites.near)?;
    if !plan.warmup.is_zero() {
        exchange.request_for(plan.warmup)?;
    }
    let meter = CpuMeter::start(pids)?;
    let (elapsed, round_trips) = exchange.request_for(plan.duration)?;
    let mut report = Report::new();
    meter.finish(&mut report)?;
    let microseconds = |fraction| round_trips.quantile(fraction) as f64 / 1e3;
    report
        .number("seconds", elapsed.as_secs_f64())
        .count("messages", round_trips.len())
        .number("per_second", round_trips.len() as f64 / elapsed.as_secs_f64())
        .number("p50_us", microseconds(0.5))
        .number("p99_us", microseconds(0.99))
        .number("max_us", round_trips.max() as f64 / 1e3)
        .count("lost", 0);
    Ok(report)
}

struct Exchange {
    epoll: Epoll,
    responder: Responder,
    requesters: Vec<Requester>,
    scratch: Vec<u8>,
}

impl Exchange {
    fn open(sites: &Sites, plan: &RequestPlan) -> Result<Exchange> {
        let epoll = Epoll::new()?;
        let responder = Responder::open(&sites.far, plan.size)?;
        epoll.watch(&responder.outlet.link, plan.connections)?;
        let mut requesters = Vec::new();
        for number in 0..plan.connections {
            let requester = Requester::open(&sites.near, plan, number)?;
            epoll.watch(&requester.outlet.link, number)?;
            requesters.push(requester);
        }
        Ok(Exchange { epoll, responder, requesters, scratch: vec![0; SCRATCH_BYTES] })
    }

    /// Waits until the responder's subscription is in force.
    fn settle(&mut self) -> Result<()> {
        self.responder.outlet.link.send_all(b"PING\r\n")?;
        let begin = Instant::now();
        while self.responder.reader.pongs == 0 {
            if begin.elapsed() > STALL_LIMIT {
                return Err(Failure::Stalled { delivered: 0, expected: 0 });
            }
            self.wait()?;
            self.responder.answer(&mut self.scratch)?;
        }
        Ok(())
    }

    fn request_for(&mut self, duration: Duration) -> Result<(Duration, Histogram)> {
        let mut round_trips = Histogram::new();
        let begin = Instant::now();
        let mut last_reply = begin;
        for requester in &mut self.requesters {
            requester.start_all(begin)?;
        }
        loop {
            self.wait()?;
            self.responder.answer(&mut self.scratch)?;
            let now = Instant::now();
            let stop = now - begin >= duration;
            let before = round_trips.len();
            let mut waiting = 0;
            for requester in &mut self.requesters {
                waiting += requester.collect(&mut self.scratch, &mut round_trips, stop)?;
            }
            if round_trips.len() > before {
                last_reply = now;
            }
            if waiting == 0 {
                return Ok((begin.elapsed(), round_trips));
            }
            if now - last_reply > STALL_LIMIT {
                return Err(Failure::Stalled {
                    delivered: round_trips.len(),
                    expected: round_trips.len() + waiting as u64,
                });
            }
        }
    }

    fn wait(&mut self) -> Result<()> {
        let (responder, requesters) = (&mut self.responder, &mut self.requesters);
        self.epoll.wait(Duration::from_millis(100), |ready| match requesters.get_mut(ready.token) {
            Some(requester) => requester.readable |= ready.readable,
            None => responder.readable |= ready.readable,
        })
    }
}

/// A connection with the bytes that still have to leave over it.
struct Outlet {
    link: Link,
    owed: Vec<u8>,
}

impl Outlet {
    fn send(&mut self) -> Result<()> {
        if !self.owed.is_empty() {
            // Requests in flight bound what can be owed to far less than a socket buffer, so this does not wait in practice.
            self.link.send_all(&self.owed)?;
            self.owed.clear();
        }
        Ok(())
    }
}

struct Responder {
    outlet: Outlet,
    reader: MessageReader,
    body: Vec<u8>,
    readable: bool,
}

impl Responder {
    fn open(target: &Target, size: usize) -> Result<Responder> {
        let mut link = Link::connect(target, "responder")?;
        link.send_all(wire::subscribe(SERVICE, None, 1).as_bytes())?;
        let mut body = format!(" {size}\r\n").into_bytes();
        body.extend(wire::payload(size));
        body.extend(b"\r\n");
        Ok(Responder {
            outlet: Outlet { link, owed: Vec::new() },
            reader: MessageReader::default(),
            body,
            readable: false,
        })
    }

    fn answer(&mut self, scratch: &mut [u8]) -> Result<()> {
        while self.readable {
            let Outlet { link, owed } = &mut self.outlet;
            let (reader, body) = (&mut self.reader, &self.body);
            let remains = link.read(scratch, |bytes| {
                reader.feed(bytes, |message| {
                    let reply =
                        message.reply.ok_or_else(|| Failure::Protocol("a request without a reply subject".into()))?;
                    owed.extend_from_slice(b"PUB ");
                    owed.extend_from_slice(reply.as_bytes());
                    owed.extend_from_slice(body);
                    Ok(())
                })
            })?;
            self.readable = remains == Remains::Maybe;
            for _ in 0..std::mem::take(&mut self.reader.pings) {
                self.outlet.owed.extend_from_slice(b"PONG\r\n");
            }
            self.outlet.send()?;
        }
        Ok(())
    }
}

struct Requester {
    outlet: Outlet,
    reader: MessageReader,
    requests: Vec<Vec<u8>>,
    begun: Vec<Option<Instant>>,
    size: usize,
    readable: bool,
}

impl Requester {
    fn open(target: &Target, plan: &RequestPlan, number: usize) -> Result<Requester> {
        let mut link = Link::connect(target, "requester")?;
        let inbox = numbered("_INBOX.loadgen", number, number_width(plan.connections));
        link.send_all(wire::subscribe(&format!("{inbox}.*"), None, 1).as_bytes())?;
        let requests = (0..plan.in_flight)
            .map(|slot| wire::publish_frame(SERVICE, Some(&format!("{inbox}.{slot}")), plan.size))
            .collect();
        Ok(Requester {
            outlet: Outlet { link, owed: Vec::new() },
            reader: MessageReader::default(),
            requests,
            begun: vec![None; plan.in_flight],
            size: plan.size,
            readable: false,
        })
    }

    fn start_all(&mut self, now: Instant) -> Result<()> {
        for (request, begun) in self.requests.iter().zip(&mut self.begun) {
            self.outlet.owed.extend_from_slice(request);
            *begun = Some(now);
        }
        self.outlet.send()
    }

    /// Takes replies, starts a new request for each unless `stop`, and returns how many are under way.
    fn collect(&mut self, scratch: &mut [u8], round_trips: &mut Histogram, stop: bool) -> Result<usize> {
        while self.readable {
            let Outlet { link, owed } = &mut self.outlet;
            let (reader, requests, begun, size) = (&mut self.reader, &self.requests, &mut self.begun, self.size);
            let remains = link.read(scratch, |bytes| {
                let now = Instant::now();
                reader.feed(bytes, |message| {
                    let slot = message.subject.rsplit('.').next().and_then(|slot| slot.parse().ok());
                    let begun = slot.and_then(|slot: usize| Some((slot, begun.get_mut(slot)?.take()?)));
                    let Some((slot, begin)) = begun else {
                        return Err(Failure::Protocol(format!("an unexpected reply on {}", message.subject)));
                    };
                    if message.payload.len() != size {
                        return Err(Failure::Protocol(format!("a reply of {} bytes", message.payload.len())));
                    }
                    round_trips.record((now - begin).as_nanos() as u64);
                    if !stop {
                        owed.extend_from_slice(&requests[slot]);
                    }
                    Ok(())
                })
            })?;
            self.readable = remains == Remains::Maybe;
            for _ in 0..std::mem::take(&mut self.reader.pings) {
                self.outlet.owed.extend_from_slice(b"PONG\r\n");
            }
            if !stop && !self.outlet.owed.is_empty() {
                let now = Instant::now();
                self.begun.iter_mut().for_each(|begun| *begun = begun.or(Some(now)));
            }
            self.outlet.send()?;
        }
        Ok(self.begun.iter().flatten().count())
    }
}
