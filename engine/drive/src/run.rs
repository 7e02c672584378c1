//! The forwarding loop: read, feed, flush; one connection after another, one batch after another.
//!
//! What was measured and is relied on: one read of up to a block, then one gathered write to each touched receiver, keeps
//! output following input; a short busy poll after work saves a sleep and a wake-up on every request.

use std::cmp::Reverse;
use std::collections::BinaryHeap;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::sync::atomic::Ordering;
use std::sync::Arc;
use std::time::Instant;

use natsfleet_core::conn::Admission;
use natsfleet_core::engine::Engine;
use natsfleet_core::errors::CloseReason;
use natsfleet_core::outbuf::BORROW_MIN;

use crate::ahead::Ahead;
use crate::blocks::{Blocks, Input, BLOCK_BYTES};
use crate::crew::Crew;
use crate::door::OpenDoor;
use crate::doors::DOOR_TOKENS;
use crate::flush::Lending;
use crate::forwarder::Shared;
use crate::io::{Io, Phase};
use crate::link::{Ended, Link, Workbench};
use crate::pace::rest_ns;
use crate::patience::Patience;
use crate::poll::{receive, set_no_delay, Gather, Poll, Ready};
use crate::share::{Sharing, TURN_NS};

/// Readiness reports a batch.
const BATCH: usize = 256;
/// An unfinished frame of at least this size is collected in the connection's own memory.
pub(crate) const OWN_PARTIAL_MIN: usize = 64 << 10;
/// How long ends of connections may wait for each other before the control plane is woken for them.
const REPORT_WITHIN_NS: u64 = 5_000_000;
/// Descriptor number of the wake-up among slots.
const WAKE_TOKEN: u64 = u64::MAX;

/// The state of a forwarding thread. Commands of the control plane get it between two batches.
pub struct Run {
    pub(crate) engine: Engine,
    pub(crate) shared: Arc<Shared>,
    pub(crate) poll: Poll,
    pub(crate) ios: Vec<Option<Io>>,
    pub(crate) doors: Vec<OpenDoor>,
    pub(crate) doors_rest_until: Option<u64>,
    pub(crate) report_due: Option<u64>,
    pub(crate) blocks: Blocks,
    /// Input that nothing borrows from beyond its processing.
    pub(crate) scratch: Vec<u8>,
    pub(crate) clear: Vec<u8>,
    pub(crate) bench: Workbench,
    pub(crate) gather: Gather,
    pub(crate) touched: Vec<u32>,
    pub(crate) lending: Lending,
    pub(crate) sharing: Sharing,
    /// Busy connections that wait for their turn.
    pub(crate) busy: Vec<u64>,
    pub(crate) timers: BinaryHeap<Reverse<(u64, u32, u64)>>,
    pub(crate) start: Instant,
    pub(crate) now_ns: u64,
}

impl Run {
    pub(crate) fn new(engine: Engine, shared: Arc<Shared>, crew: usize) -> io::Result<Self> {
        let crew = Crew::start(crew, &shared)?;
        let poll = Poll::new(BATCH)?;
        poll.add(shared.wake_thread.fd(), WAKE_TOKEN, true, false)?;
        Ok(Self {
            engine,
            shared,
            poll,
            ios: Vec::new(),
            doors: Vec::new(),
            doors_rest_until: None,
            report_due: None,
            blocks: Blocks::default(),
            scratch: vec![0; BLOCK_BYTES],
            clear: Vec::new(),
            bench: Workbench::default(),
            gather: Gather::default(),
            touched: Vec::new(),
            lending: Lending::new(crew),
            sharing: Sharing::default(),
            busy: Vec::new(),
            timers: BinaryHeap::new(),
            start: Instant::now(),
            now_ns: 1,
        })
    }

    /// The core, for commands and questions.
    pub fn engine(&mut self) -> &mut Engine {
        &mut self.engine
    }

    /// The time of the current batch, in nanoseconds since the thread was made.
    pub fn now_ns(&self) -> u64 {
        self.now_ns
    }

    pub(crate) fn read_clock(&mut self) {
        self.now_ns = self.elapsed_ns();
    }

    pub(crate) fn elapsed_ns(&self) -> u64 {
        self.start.elapsed().as_nanos() as u64 + 1
    }

    /// Forwards until told to stop.
    pub(crate) fn forward(&mut self) {
        let mut ready = Vec::with_capacity(BATCH);
        let mut patience = Patience::default();
        while !self.shared.stop.load(Ordering::Acquire) {
            self.collect();
            let from_ns = self.elapsed_ns();
            let polls = patience.is_left(from_ns) || !self.lending.may_sleep();
            let timeout = if polls { Some(0) } else { self.sleep_ns() };
            if let Err(error) = self.poll.wait(timeout, &mut ready) {
                panic!("epoll_wait: {error}");
            }
            self.read_clock();
            if ready.is_empty() {
                if polls {
                    patience.polled(self.now_ns - from_ns, self.now_ns);
                }
                self.help(0);
            } else {
                patience.arrived(self.now_ns);
            }
            for (at, report) in ready.iter().enumerate() {
                let next = ready.get(at + 1);
                self.lending.others_wait = next.is_some();
                if let Some(next) = next {
                    self.read_ahead(*next);
                }
                self.serve(*report);
            }
            self.lending.others_wait = false;
            self.serve_busy();
            self.obey();
            self.run_timers();
            if self.engine.has_touched() {
                self.flush_all(Input::NONE);
            }
            self.report();
        }
    }

    /// Hands events up. What nobody waits for may wait for company.
    fn report(&mut self) {
        if !self.engine.events().is_empty() {
            let urgent = self.engine.events().is_urgent();
            self.shared.put_up(self.engine.events());
            let due = if urgent { self.now_ns } else { self.now_ns + REPORT_WITHIN_NS };
            self.report_due = Some(self.report_due.map_or(due, |earlier| earlier.min(due)));
        }
        if self.report_due.is_some_and(|due| due <= self.now_ns) {
            self.report_due = None;
            self.shared.wake_control();
        }
    }

    fn sleep_ns(&self) -> Option<u64> {
        let own = self.timers.peek().map(|Reverse((due, _, _))| *due);
        let core = self.engine.next_due_ns();
        let due = [own, core, self.doors_rest_until, self.report_due].into_iter().flatten().min()?;
        Some(due.saturating_sub(self.now_ns))
    }

    fn obey(&mut self) {
        for command in self.shared.take_commands() {
            command(self);
        }
    }

    fn run_timers(&mut self) {
        while let Some(&Reverse((due, slot, cid))) = self.timers.peek() {
            if due > self.now_ns {
                break;
            }
            self.timers.pop();
            let Some(io) = self.io(slot).filter(|io| io.cid == cid) else { continue };
            match io.phase {
                Phase::Open if io.resting => self.resume(slot),
                Phase::Open => {}
                Phase::Finishing => self.end(slot),
                Phase::Draining => self.end_drained(slot),
                Phase::Gone => {}
            }
        }
        if self.doors_rest_until.is_some_and(|until| until <= self.now_ns) {
            self.rest_doors(false);
        }
        self.engine.tick(self.now_ns);
    }

    pub(crate) fn set_timer(&mut self, slot: u32, after_ns: u64) {
        if let Some(cid) = self.io(slot).map(|io| io.cid) {
            self.timers.push(Reverse((self.now_ns + after_ns, slot, cid)));
        }
    }

    pub(crate) fn io(&mut self, slot: u32) -> Option<&mut Io> {
        self.ios.get_mut(slot as usize).and_then(Option::as_mut)
    }

    /// Takes a connection over from the control plane, with what was read from it already.
    /// With layers (`link`), `input` is what came from the socket, still encoded.
    pub fn adopt(
        &mut self,
        fd: OwnedFd,
        link: Option<Box<Link>>,
        admission: Admission,
        greeting: &[u8],
        mut input: Vec<u8>,
    ) {
        let cid = admission.cid;
        set_no_delay(fd.as_raw_fd());
        let slot = self.engine.open(admission, self.now_ns);
        let layered = link.is_some();
        let unread = !input.is_empty() || link.as_ref().is_some_and(|link| link.has_unread());
        let clear = if layered { Vec::new() } else { std::mem::take(&mut input) };
        self.keep(slot, Io::new(fd, cid, link, clear));
        if !greeting.is_empty() {
            self.engine.send(slot, greeting);
        }
        if layered && unread {
            self.process_layered(slot, &mut input);
        }
        self.take_partial(slot);
        self.flush_all(Input::NONE);
    }

    /// Puts the drive's part of a connection beside the core's and starts watching its socket.
    pub(crate) fn keep(&mut self, slot: u32, io: Io) {
        let raw = io.raw();
        if self.ios.len() <= slot as usize {
            self.ios.resize_with(slot as usize + 1, || None);
        }
        if let Some(place) = self.ios.get_mut(slot as usize) {
            *place = Some(io);
        }
        if let Err(error) = self.poll.add(raw, u64::from(slot), true, false) {
            self.engine.lost(slot, CloseReason::ReadError, &error.to_string());
            self.end(slot);
        }
    }

    /// The core may go on with a connection that waited for the control plane.
    pub fn resume_cid(&mut self, cid: u64) {
        if let Some(slot) = self.engine.slot_of(cid) {
            self.resume(slot);
        }
    }

    fn resume(&mut self, slot: u32) {
        if self.engine.conn(slot).is_some_and(|conn| conn.paused()) {
            return;
        }
        if let Some(io) = self.io(slot) {
            io.resting = false;
        }
        self.watch(slot);
        self.take_partial(slot);
        if self.io(slot).and_then(|io| io.link.as_ref()).is_some_and(|link| link.has_backlog()) {
            self.process_layered(slot, &mut []);
        }
    }

    /// Processes input that is already here.
    fn take_partial(&mut self, slot: u32) {
        let Some(io) = self.io(slot).filter(|io| io.phase == Phase::Open && !io.partial.is_empty()) else { return };
        let input = std::mem::take(&mut io.partial);
        self.process(slot, Input::passing(&input));
        self.flush_all(Input::NONE);
    }

    fn serve(&mut self, report: Ready) {
        if report.token == WAKE_TOKEN {
            self.shared.wake_thread.lower();
            return;
        }
        if report.token >= DOOR_TOKENS {
            self.accept_from((report.token - DOOR_TOKENS) as usize);
            return;
        }
        let slot = report.token as u32;
        let ahead = self.take_ahead(slot);
        if report.writable {
            if let Some(io) = self.io(slot) {
                io.wants_write = false;
            }
            self.flush(slot, Input::NONE);
        }
        if let Some(ahead) = ahead {
            self.use_ahead(ahead);
            return;
        }
        if !report.readable {
            return;
        }
        let considerate = self.sharing.is_needed(self.now_ns);
        match self.io(slot).map(|io| (io.phase, io.resting)) {
            Some((Phase::Open, false)) if considerate && self.io(slot).is_some_and(|io| io.share.busy) => {
                self.busy.push(report.token);
            }
            Some((Phase::Open, false)) => self.read(slot),
            Some((Phase::Draining, _)) => self.end_drained(slot),
            Some((Phase::Open, true) | (Phase::Finishing, _)) => self.look_for_end(slot),
            Some((Phase::Gone, _)) | None => {}
        }
    }

    /// Busy connections have their turns after everybody else. Those left over are reported again at once.
    fn serve_busy(&mut self) {
        if self.busy.is_empty() {
            return;
        }
        let mut busy = std::mem::take(&mut self.busy);
        self.sharing.order(&mut busy);
        let end_ns = self.elapsed_ns() + TURN_NS;
        for token in busy.drain(..) {
            let slot = token as u32;
            match self.io(slot).map(|io| (io.phase, io.resting)) {
                Some((Phase::Open, false)) => self.read(slot),
                _ => continue,
            }
            self.sharing.had_turn(token);
            if self.elapsed_ns() >= end_ns {
                break;
            }
        }
        self.busy = busy;
    }

    /// How much to read from a connection.
    fn asked(&mut self, slot: u32) -> usize {
        let considerate = self.sharing.is_needed(self.now_ns);
        let share = self.io(slot).map(|io| io.share);
        share.map_or(BLOCK_BYTES, |share| share.asked(considerate))
    }

    /// Notes what came of reading, which began at `begin_ns`.
    fn note_share(&mut self, slot: u32, count: usize, asked: usize, begin_ns: u64) {
        let took_ns = self.elapsed_ns() - begin_ns;
        let messages = self.engine.conn(slot).map_or(0, |conn| conn.messages());
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        io.share.said(count, messages);
        io.share.used(count, asked, took_ns);
        self.sharing.heard(count, &io.share, self.now_ns);
    }

    fn read(&mut self, slot: u32) {
        let (asked, begin_ns) = (self.asked(slot), self.elapsed_ns());
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let fd = io.raw();
        if io.link.is_some() {
            self.read_layered(slot);
            return;
        }
        if io.partial.len() >= OWN_PARTIAL_MIN {
            self.read_into_partial(slot);
            return;
        }
        let carried = io.partial.len();
        let asked = asked.min(BLOCK_BYTES - carried);
        let mut block = self.blocks.take();
        let part = carried..carried + asked;
        let count = Arc::get_mut(&mut block).map_or(Ok(0), |block| {
            block[..carried].copy_from_slice(&io.partial);
            receive(fd, &mut block[part.clone()])
        });
        self.use_block(Ahead { slot, block, part, count }, begin_ns);
    }

    /// Processes input that was read after what was left over before.
    pub(crate) fn use_block(&mut self, read: Ahead, begin_ns: u64) {
        let Ahead { slot, block, part, count } = read;
        match count {
            Ok(0) => self.peer_gone(slot, CloseReason::ClientClosed, ""),
            Ok(count) => {
                if let Some(io) = self.io(slot) {
                    io.partial = Vec::new();
                }
                self.lending.more_follows = count == part.len();
                self.process(slot, Input { bytes: &block[..part.start + count], block: Some(&block) });
                self.lending.more_follows = false;
                self.note_share(slot, count, part.len(), begin_ns);
            }
            Err(error) => self.read_failed(slot, &error),
        }
        self.blocks.put(block);
    }

    fn read_layered(&mut self, slot: u32) {
        let (asked, begin_ns) = (self.asked(slot), self.elapsed_ns());
        let Some(fd) = self.io(slot).map(|io| io.raw()) else { return };
        let mut block = std::mem::take(&mut self.scratch);
        match receive(fd, &mut block[..asked]) {
            Ok(0) => self.peer_gone(slot, CloseReason::ClientClosed, ""),
            Ok(count) => {
                self.lending.more_follows = count == asked;
                self.process_layered(slot, &mut block[..count]);
                self.lending.more_follows = false;
                self.note_share(slot, count, asked, begin_ns);
            }
            Err(error) => self.read_failed(slot, &error),
        }
        self.scratch = block;
    }

    /// Decodes input through the layers and processes what comes out.
    fn process_layered(&mut self, slot: u32, received: &mut [u8]) {
        let mut received = received;
        loop {
            let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
            let Some(link) = &mut io.link else { return };
            if io.phase != Phase::Open {
                return;
            }
            let need = io.need;
            let mut clear = std::mem::take(&mut self.clear);
            clear.clear();
            if io.partial.len() >= OWN_PARTIAL_MIN {
                // Large frames grow in place; the shared buffer is for the rest.
                std::mem::swap(&mut clear, &mut io.partial);
            } else {
                clear.append(&mut io.partial);
            }
            let outcome = link.decode(received, &mut self.bench, &mut clear);
            let answers = !link.wire().is_empty();
            received = &mut [];
            if clear.len() >= need {
                self.process(slot, Input::passing(&clear));
            } else if let Some(io) = self.io(slot) {
                if clear.len() >= OWN_PARTIAL_MIN {
                    std::mem::swap(&mut clear, &mut io.partial);
                } else {
                    io.partial = clear.clone();
                }
            }
            clear.clear();
            clear.shrink_to(BLOCK_BYTES * 4);
            self.clear = clear;
            match outcome {
                Ok(more) => {
                    if answers {
                        self.flush(slot, Input::NONE);
                    }
                    // A connection that rests goes on with its backlog when it resumes.
                    if !more || self.io(slot).is_none_or(|io| io.resting) {
                        return;
                    }
                }
                Err(Ended { reason, detail }) => {
                    // The layers have their last word in `wire`; then the connection ends.
                    self.engine.lost(slot, reason, &detail);
                    self.flush_all(Input::NONE);
                    return;
                }
            }
        }
    }

    /// A large frame comes in: it is collected where it will be processed, and only looked at when whole. Memory grows
    /// with what has come, whatever was announced.
    fn read_into_partial(&mut self, slot: u32) {
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let want = io.need.saturating_sub(io.partial.len()).clamp(OWN_PARTIAL_MIN, BLOCK_BYTES);
        match receive(io.raw(), &mut self.scratch[..want]) {
            Ok(0) => self.peer_gone(slot, CloseReason::ClientClosed, ""),
            Ok(count) => {
                io.partial.extend_from_slice(&self.scratch[..count]);
                if io.partial.len() >= io.need {
                    let input = std::mem::take(&mut io.partial);
                    self.process(slot, Input::passing(&input));
                }
            }
            Err(error) => self.read_failed(slot, &error),
        }
    }

    fn read_failed(&mut self, slot: u32, error: &io::Error) {
        if error.kind() != io::ErrorKind::WouldBlock && error.kind() != io::ErrorKind::Interrupted {
            self.peer_gone(slot, CloseReason::ReadError, &error.to_string());
        }
    }

    pub(crate) fn peer_gone(&mut self, slot: u32, reason: CloseReason, detail: &str) {
        self.engine.lost(slot, reason, detail);
        self.end(slot);
    }

    /// Feeds input to the core and flushes its effects. What remains is kept with the connection.
    fn process(&mut self, slot: u32, cycle: Input<'_>) {
        let input = cycle.bytes;
        let mut at = 0;
        let mut need = 1;
        let mut stall = false;
        // Input may be decoded or kept while a decision is awaited; it must not overtake it.
        while at < input.len() && !self.engine.conn(slot).is_some_and(|conn| conn.paused()) {
            let fed = self.engine.feed(slot, input, at, self.now_ns);
            at += fed.used;
            need = fed.need;
            stall |= fed.stall;
            if input.len() >= BORROW_MIN || fed.need == 0 {
                self.flush_all(cycle);
            }
            if need != 0 || self.engine.conn(slot).is_none() {
                break;
            }
        }
        let paused = self.engine.conn(slot).is_some_and(|conn| conn.paused());
        let Some(io) = self.io(slot) else { return };
        if io.phase != Phase::Open {
            return;
        }
        if at < input.len() {
            io.partial = input[at..].to_vec();
        }
        io.need = need;
        if paused || stall {
            io.resting = true;
            if stall {
                self.engine.stalled(slot);
            }
            self.watch(slot);
            if !paused {
                self.set_timer(slot, rest_ns(input.len()));
            }
        }
    }

    /// Brings the poll's watch in line with what the connection waits for.
    pub(crate) fn watch(&mut self, slot: u32) {
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        if matches!(io.phase, Phase::Draining | Phase::Gone) {
            return;
        }
        let read = !io.resting && io.phase != Phase::Finishing;
        if io.unwatched
            && (read || io.wants_write)
            && self.poll.add(io.raw(), u64::from(slot), read, io.wants_write).is_ok()
        {
            (io.unwatched, io.watched_read, io.watched_write) = (false, read, io.wants_write);
            return;
        }
        if read == io.watched_read && io.wants_write == io.watched_write {
            return;
        }
        io.watched_read = read;
        io.watched_write = io.wants_write;
        // Fails only for a descriptor that is not registered, and every open one is.
        let _ = self.poll.change(io.raw(), u64::from(slot), read, io.wants_write);
    }
}
