//! Throughput: publishers send for a fixed time, subscribers count, and the run ends when everything has arrived.
//!
//! One thread does both ends. Each turn takes what has arrived, then sends one burst per publisher that has room. A group's
//! publishers are never more than the window ahead of what its subscribers have received, so that no server has a reason to
//! cut a subscriber as slow. A message that is missing at the end fails the run.

use std::time::{Duration, Instant};

use super::publisher::Publisher;
use super::reach;
use super::subscriber::Subscriber;
use super::topology::{self, Delivery, Group, Shape, Subjects, Topology};
use super::{CpuMeter, STALL_LIMIT};
use crate::burst::Burst;
use crate::epoll::Epoll;
use crate::failure::{Failure, Result};
use crate::link::{Link, Sites, Transport, READ_BYTES};
use crate::report::Report;
use crate::wire;

/// Bytes that all subscribers together may lag behind.
const WINDOW_TOTAL: u64 = 128 * 1024 * 1024;
/// Bytes that each publisher may be ahead at least: the largest unit sent as a whole, twice.
const WINDOW_FLOOR: u64 = 64 * 1024;
const IDLE_WAIT: Duration = Duration::from_millis(100);

/// What to run.
pub struct FlowPlan {
    /// Who sends to whom.
    pub shape: Shape,
    /// Publisher connections.
    pub publishers: usize,
    /// Subscriber connections; subjects for [`Shape::Subjects`].
    pub subscribers: usize,
    /// Payload bytes.
    pub size: usize,
    /// Measured publishing time.
    pub duration: Duration,
    /// Publishing time before the measurement.
    pub warmup: Duration,
    /// Bytes that one subscriber may lag behind.
    pub window: u64,
}

/// Runs the plan against a server and reports the measured part.
pub fn run(sites: &Sites, plan: &FlowPlan, pids: &[u32]) -> Result<Report> {
    // A cluster that is still finding itself would tell of all interest at once, in no order.
    reach::wait_until_heard(&sites.near, &sites.far)?;
    let mut flow = Flow::open(sites, plan)?;
    flow.settle()?;
    reach::wait_until_heard(&sites.near, &sites.far)?;
    if !plan.warmup.is_zero() {
        flow.publish_for(plan.warmup)?;
    }
    let before = (flow.published(), flow.delivered());
    let meter = CpuMeter::start(pids)?;
    let elapsed = flow.publish_for(plan.duration)?;
    let mut report = Report::new();
    meter.finish(&mut report)?;
    let published = flow.published() - before.0;
    let delivered = flow.delivered() - before.1;
    flow.settle()?;
    flow.check_totals()?;
    let messages = if plan.shape == Shape::Pub { published } else { delivered };
    report
        .number("seconds", elapsed.as_secs_f64())
        .count("published", published)
        .count("messages", messages)
        .number("per_second", messages as f64 / elapsed.as_secs_f64())
        .count("lost", 0);
    Ok(report)
}

struct Flow {
    epoll: Epoll,
    publishers: Vec<Publisher>,
    subscribers: Vec<Subscriber>,
    groups: Vec<Group>,
    window: u64,
    scratch: Vec<u8>,
}

impl Flow {
    fn open(sites: &Sites, plan: &FlowPlan) -> Result<Flow> {
        let Topology { publishers, subscribers, groups } =
            topology::plan(plan.shape, plan.publishers, plan.subscribers);
        let epoll = Epoll::new()?;
        let mut flow = Flow {
            window: window_messages(plan, subscribers.len()),
            epoll,
            publishers: Vec::new(),
            subscribers: Vec::new(),
            groups,
            scratch: vec![0; READ_BYTES],
        };
        for subscriptions in subscribers {
            let lines: String =
                subscriptions.iter().map(|one| wire::subscribe(&one.subject, one.queue, one.sid)).collect();
            let link = Link::connect(&sites.far, "subscriber")?;
            let subscriber = Subscriber::new(link, topology::SUBJECT_PREFIX, plan.size, &lines)?;
            flow.epoll.watch(subscriber.link(), flow.subscribers.len())?;
            flow.subscribers.push(subscriber);
        }
        for subjects in publishers {
            let burst = render(&subjects, plan.size, &sites.near.transport)?;
            let publisher = Publisher::new(Link::connect(&sites.near, "publisher")?, burst);
            flow.epoll.watch(publisher.link(), flow.subscribers.len() + flow.publishers.len())?;
            flow.publishers.push(publisher);
        }
        Ok(flow)
    }

    fn published(&self) -> u64 {
        self.publishers.iter().map(Publisher::published).sum()
    }

    fn delivered(&self) -> u64 {
        self.subscribers.iter().map(Subscriber::received).sum()
    }

    /// Publishes for the given time, waits until everything has arrived, and returns how long that took altogether.
    fn publish_for(&mut self, duration: Duration) -> Result<Duration> {
        let begin = Instant::now();
        let mut progress = Progress::new(begin);
        let mut pinged = false;
        loop {
            let now = Instant::now();
            let over = now - begin >= duration;
            let more_to_send = if over { self.finish_publishing()? } else { self.publish()? };
            if over && !more_to_send && !pinged && self.all_flushed()? {
                pinged = true;
                self.confirm_without_subscribers();
                continue;
            }
            let more_to_read = self.receive()?;
            if pinged && self.arrived()? {
                return Ok(begin.elapsed());
            }
            progress.check(now, self.published() + self.delivered(), || self.stalled())?;
            let wait = if more_to_send || more_to_read {
                Duration::ZERO
            } else if over {
                IDLE_WAIT
            } else {
                IDLE_WAIT.min(duration - (now - begin))
            };
            self.wait(wait)?;
        }
    }

    /// Waits until the server has answered a PING on every subscriber's connection: subscriptions are then in force, and
    /// whatever was on its way has arrived.
    fn settle(&mut self) -> Result<()> {
        if self.delivered() > 0 {
            for subscriber in &mut self.subscribers {
                subscriber.ping()?;
            }
        }
        let mut progress = Progress::new(Instant::now());
        loop {
            let more = self.receive()?;
            if self.subscribers.iter().all(Subscriber::confirmed) {
                return Ok(());
            }
            progress.check(Instant::now(), self.delivered(), || self.stalled())?;
            self.wait(if more { Duration::ZERO } else { IDLE_WAIT })?;
        }
    }

    fn publish(&mut self) -> Result<bool> {
        let mut more = false;
        for group in &self.groups {
            let room = match group.delivery {
                Delivery::Nobody => u64::MAX >> 32,
                _ => self.window.saturating_sub(lag(group, &self.publishers, &self.subscribers)),
            };
            let share = room.div_ceil(group.publishers.len() as u64);
            for publisher in &mut self.publishers[group.publishers.clone()] {
                more |= publisher.publish(share)?;
            }
        }
        Ok(more)
    }

    fn finish_publishing(&mut self) -> Result<bool> {
        let mut more = false;
        for publisher in &mut self.publishers {
            more |= publisher.finish()?;
        }
        Ok(more)
    }

    fn all_flushed(&mut self) -> Result<bool> {
        for publisher in &mut self.publishers {
            if !publisher.flushed()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn confirm_without_subscribers(&mut self) {
        for group in &self.groups {
            if group.delivery == Delivery::Nobody {
                self.publishers[group.publishers.clone()].iter_mut().for_each(Publisher::ping);
            }
        }
    }

    fn receive(&mut self) -> Result<bool> {
        let mut more = false;
        for subscriber in &mut self.subscribers {
            more |= subscriber.receive(&mut self.scratch)?;
        }
        for publisher in &mut self.publishers {
            publisher.receive(&mut self.scratch)?;
        }
        Ok(more)
    }

    fn wait(&mut self, wait: Duration) -> Result<()> {
        let (publishers, subscribers) = (&mut self.publishers, &mut self.subscribers);
        self.epoll.wait(wait, |ready| {
            let count = subscribers.len();
            if ready.token < count {
                if ready.readable {
                    subscribers[ready.token].ready();
                }
            } else {
                publishers[ready.token - count].ready(ready.readable, ready.writable);
            }
        })
    }

    fn arrived(&self) -> Result<bool> {
        for group in &self.groups {
            let published = published_in(group, &self.publishers);
            let received = self.subscribers[group.subscribers.clone()].iter().map(Subscriber::received);
            let complete = match group.delivery {
                Delivery::Nobody => self.publishers[group.publishers.clone()].iter().all(Publisher::confirmed),
                Delivery::Each => received.min().unwrap_or(0) >= published,
                Delivery::One => received.sum::<u64>() >= published,
            };
            if !complete {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn expected(&self) -> u64 {
        self.groups
            .iter()
            .map(|group| {
                let copies = match group.delivery {
                    Delivery::Nobody => 0,
                    Delivery::Each => group.subscribers.len() as u64,
                    Delivery::One => 1,
                };
                copies * published_in(group, &self.publishers)
            })
            .sum()
    }

    fn check_totals(&self) -> Result<()> {
        let (delivered, expected) = (self.delivered(), self.expected());
        if delivered != expected {
            return Err(Failure::Excess { delivered, expected });
        }
        Ok(())
    }

    fn stalled(&self) -> Failure {
        Failure::Stalled { delivered: self.delivered(), expected: self.expected() }
    }
}

fn render(subjects: &Subjects, size: usize, transport: &Transport) -> Result<Burst> {
    match (subjects, transport) {
        (Subjects::One(subject), Transport::Ws) => Ok(Burst::on_subject_over_ws(subject, size)),
        (Subjects::One(subject), _) => Ok(Burst::on_subject(subject, size)),
        (Subjects::Numbered(_), Transport::Ws) => Err(Failure::Usage("shape subjects is not available over ws".into())),
        (Subjects::Numbered(count), _) => Ok(Burst::over_subjects(topology::SUBJECT_PREFIX, *count, size)),
    }
}

/// The window in messages: what one subscriber may lag, less if many subscribers would hold too much together.
fn window_messages(plan: &FlowPlan, subscribers: usize) -> u64 {
    let bytes = plan.window.min(WINDOW_TOTAL / subscribers.max(1) as u64);
    let frame = wire::publish_frame("bench.subject", None, plan.size).len() as u64;
    let floor = WINDOW_FLOOR * plan.publishers as u64;
    (bytes.max(floor) / frame).max(plan.publishers as u64 * 4)
}

fn published_in(group: &Group, publishers: &[Publisher]) -> u64 {
    publishers[group.publishers.clone()].iter().map(Publisher::published).sum()
}

/// Messages by which the slowest subscriber, or the whole queue group, is behind.
fn lag(group: &Group, publishers: &[Publisher], subscribers: &[Subscriber]) -> u64 {
    let received = subscribers[group.subscribers.clone()].iter().map(Subscriber::received);
    let received = match group.delivery {
        Delivery::Each => received.min().unwrap_or(0),
        Delivery::One | Delivery::Nobody => received.sum(),
    };
    published_in(group, publishers).saturating_sub(received)
}

/// Notices when nothing moves any more.
struct Progress {
    value: u64,
    since: Instant,
}

impl Progress {
    fn new(now: Instant) -> Self {
        Progress { value: 0, since: now }
    }

    fn check(&mut self, now: Instant, value: u64, stalled: impl FnOnce() -> Failure) -> Result<()> {
        if value != self.value {
            self.value = value;
            self.since = now;
        } else if now - self.since > STALL_LIMIT {
            return Err(stalled());
        }
        Ok(())
    }
}
