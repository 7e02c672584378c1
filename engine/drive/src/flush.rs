//! Writing: each touched connection is flushed once a cycle, here or by the crew.
//!
//! Output is lent to the crew when there is enough of it and other work is waiting; otherwise the hand-over costs more
//! than it saves, and the receiver would wait for it. What comes back while input is being processed is only put in its
//! place; flushing goes on when everything touched has been flushed.

use std::io;

use crate::ahead::Ahead;
use crate::blocks::Input;
use crate::crew::{Crew, Done, Job};
use crate::io::Phase;
use crate::link::{Ended, BATCH_BYTES};
use crate::run::Run;

use natsfleet_core::outbuf::OutBuf;

/// Less output than this is written at once.
const LEND_MIN: usize = 32 << 10;
/// Jobs that may wait for the crew while the forwarding thread has something else to do.
pub(crate) const WAITING_MAX: usize = 1;
/// Looks at what is done, before the processor is offered to the crew.
pub(crate) const LOOKS: u32 = 2_000;

/// What is with the crew.
pub(crate) struct Lending {
    pub crew: Crew,
    /// Other connections are ready to be read.
    pub others_wait: bool,
    /// The connection being read has more input.
    pub more_follows: bool,
    /// Several connections are to be flushed.
    several: bool,
    /// Jobs that have not come back.
    pub out: usize,
    /// Connections whose output has come back since others were flushed.
    again: Vec<u32>,
    /// Input that was read ahead and waits for its turn.
    pub ahead: Vec<Ahead>,
    pub done: Vec<Done>,
}

impl Lending {
    pub(crate) fn new(crew: Crew) -> Self {
        Self {
            crew,
            others_wait: false,
            more_follows: false,
            several: false,
            out: 0,
            again: Vec::new(),
            ahead: Vec::new(),
            done: Vec::new(),
        }
    }

    fn is_worth_while(&self) -> bool {
        self.crew.is_there() && (self.others_wait || self.more_follows)
    }

    /// Whether nothing is left to do here; what the crew has begun wakes the forwarding thread when it is done.
    pub(crate) fn may_sleep(&self) -> bool {
        self.out == 0 || (self.crew.waiting() == 0 && self.crew.call_me())
    }
}

impl Run {
    /// Flushes every touched connection once.
    pub(crate) fn flush_all(&mut self, input: Input<'_>) {
        let mut touched = std::mem::take(&mut self.touched);
        while self.engine.has_touched() {
            self.engine.take_touched(&mut touched);
            self.lending.several = touched.len() > 1;
            for &slot in &touched {
                self.flush(slot, input);
            }
        }
        self.touched = touched;
        self.lending.several = false;
        self.flush_again(input);
    }

    pub(crate) fn flush(&mut self, slot: u32, input: Input<'_>) {
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        if matches!(io.phase, Phase::Draining | Phase::Gone) {
            return;
        }
        if io.lent {
            let waits = self.engine.conn(slot).is_some_and(|conn| {
                conn.closing().is_some() || conn.out().has_borrowed() || conn.out().pending() >= LEND_MIN
            });
            if !waits {
                return;
            }
            self.wait_for(slot, input);
        }
        if self.may_lend(slot, input) {
            self.lend(slot, input);
            return;
        }
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let outcome = if io.wants_write && !self.engine.tries_again(slot) {
            // It was full, and will say when it is not.
            Ok(true)
        } else if io.link.is_some() {
            self.write_layered(slot, input.bytes)
        } else {
            self.write_plain(slot, input.bytes)
        };
        match outcome {
            Ok(full) => {
                self.engine.flushed(slot, input.bytes, self.now_ns);
                if let Some(io) = self.io(slot) {
                    io.wants_write = full;
                }
                self.watch(slot);
                self.finish_if_closing(slot);
            }
            Err(Failed::Socket(error)) => self.write_failed(slot, &error),
            Err(Failed::Layers(Ended { reason, detail })) => self.peer_gone(slot, reason, &detail),
        }
    }

    fn may_lend(&mut self, slot: u32, input: Input<'_>) -> bool {
        if !self.lending.is_worth_while() {
            return false;
        }
        let plain = self.io(slot).is_some_and(|io| io.link.is_none() && !io.wants_write && io.phase == Phase::Open);
        // Large payloads for one receiver are written best by who has just read them.
        let several = self.lending.several;
        let fits = |conn: &natsfleet_core::conn::Conn| {
            conn.closing().is_none()
                && conn.out().pending() >= LEND_MIN
                && (!conn.out().has_borrowed() || (several && input.block.is_some()))
        };
        plain && self.engine.conn(slot).is_some_and(fits)
    }

    fn lend(&mut self, slot: u32, input: Input<'_>) {
        let Some(out) = self.engine.lend(slot) else { return };
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        io.lent = true;
        let block = input.block.filter(|_| out.has_borrowed()).cloned();
        self.lending.out += 1;
        self.lending.crew.submit(Job::Write { slot, fd: io.raw(), out, block });
        // Neither jobs nor what comes of them may pile up: they keep blocks alive, and copies of them are bounded only here.
        self.help(WAITING_MAX);
        self.put_back(input);
    }

    /// Does itself what the crew has not begun, but for so many jobs.
    pub(crate) fn help(&mut self, but: usize) {
        while self.lending.crew.waiting() > but {
            let Some(job) = self.lending.crew.take_back() else { return };
            let done = job.perform(&mut self.gather);
            self.lending.done.push(done);
        }
    }

    /// Puts back what the crew has done, and flushes those who got something new meanwhile.
    pub(crate) fn collect(&mut self) {
        if self.lending.out > 0 {
            self.put_back(Input::NONE);
        }
        // The last of it may have come back to somebody who waited for something else.
        self.flush_again(Input::NONE);
    }

    /// The output of this connection must be here before anything else can be done with it.
    fn wait_for(&mut self, slot: u32, input: Input<'_>) {
        if let Some(job) = self.lending.crew.take_back_write(slot) {
            let done = job.perform(&mut self.gather);
            self.lending.done.push(done);
        }
        let mut patience = LOOKS;
        loop {
            self.put_back(input);
            if self.io(slot).is_none_or(|io| !io.lent) {
                return;
            }
            look_again(&mut patience);
        }
    }

    pub(crate) fn put_back(&mut self, input: Input<'_>) {
        let mut done = std::mem::take(&mut self.lending.done);
        self.lending.crew.take_done(&mut done);
        for done in done.drain(..) {
            self.lending.out -= 1;
            match done {
                Done::Written { slot, mut out, block, written, error } => {
                    // Memory for what a full socket did not take is had here, where it is counted.
                    out.detach(block.as_ref().map_or(&[], |block| block.as_slice()));
                    self.put_back_output(slot, out, written, error, input);
                }
                Done::Read { slot, block, part, count } => self.lending.ahead.push(Ahead { slot, block, part, count }),
            }
        }
        self.lending.done = done;
    }

    fn put_back_output(&mut self, slot: u32, out: OutBuf, written: usize, error: Option<io::Error>, input: Input<'_>) {
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        io.lent = false;
        if io.phase == Phase::Gone {
            self.end(slot);
            return;
        }
        io.wants_write = !out.is_empty();
        self.engine.give_back(slot, out, written, input.bytes, self.now_ns);
        match error {
            Some(error) => self.write_failed(slot, &error),
            None => {
                self.watch(slot);
                self.lending.again.push(slot);
            }
        }
    }

    /// Those whose output has come back, and who have something new or are to be closed.
    fn flush_again(&mut self, input: Input<'_>) {
        while let Some(slot) = self.lending.again.pop() {
            let idle = self.engine.conn(slot).is_none_or(|conn| conn.pending() == 0 && conn.closing().is_none());
            if !idle {
                self.flush(slot, input);
            }
        }
    }

    /// Writes a plain connection's output; true when the socket took less than there is.
    fn write_plain(&mut self, slot: u32, input: &[u8]) -> Result<bool, Failed> {
        let Some(fd) = self.io(slot).map(|io| io.raw()) else { return Ok(false) };
        while let Some(conn) = self.engine.conn(slot).filter(|conn| !conn.out().is_empty()) {
            self.gather.clear();
            conn.out().chunks(input, |part| self.gather.push(part));
            // SAFETY: the chunks borrow from the connection's buffer and from `input`; neither changes before this returns.
            let written = match unsafe { self.gather.send(fd) } {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => written(other)?,
            };
            self.engine.wrote(slot, written);
            if written < self.gather.bytes() {
                return Ok(true);
            }
        }
        Ok(false)
    }

    /// The same through layers: what they have ready, then as much of the core's output as may follow it.
    fn write_layered(&mut self, slot: u32, input: &[u8]) -> Result<bool, Failed> {
        loop {
            let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return Ok(false) };
            let fd = io.raw();
            let (Some(link), Some(conn)) = (&mut io.link, self.engine.conn(slot)) else { return Ok(false) };
            let out = conn.out();
            let mut follow = link.announce(out.pending());
            if follow == 0 && link.wire().is_empty() && !out.is_empty() {
                let mut pieces: Vec<&[u8]> = Vec::new();
                let mut left = BATCH_BYTES;
                out.chunks(input, |part| {
                    let taken = part.get(..left).unwrap_or(part);
                    left -= taken.len();
                    pieces.push(taken);
                    left > 0
                });
                link.heed_round_trip(conn.rtt_ns());
                link.encode(&pieces, &mut self.bench).map_err(Failed::Layers)?;
                self.engine.moved_below(slot, BATCH_BYTES - left);
                continue;
            }
            self.gather.clear();
            self.gather.push(link.wire());
            out.chunks(input, |part| {
                let taken = part.get(..follow).unwrap_or(part);
                follow -= taken.len();
                self.gather.push(taken) && follow > 0
            });
            if self.gather.bytes() == 0 {
                return Ok(false);
            }
            // SAFETY: the chunks borrow from the link, the connection's buffer and `input`; none changes before this returns.
            let written = match unsafe { self.gather.send(fd) } {
                Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
                other => written(other)?,
            };
            let full = written < self.gather.bytes();
            let own = link.wrote(written);
            self.engine.wrote_below(slot, written - own, link.wire().len());
            self.engine.wrote(slot, own);
            if full {
                return Ok(true);
            }
        }
    }
}

/// Waits a moment for the crew: it is about to be done, unless it has no processor.
pub(crate) fn look_again(patience: &mut u32) {
    if *patience > 0 {
        *patience -= 1;
        std::hint::spin_loop();
    } else {
        std::thread::yield_now();
    }
}

/// Why nothing more can be written.
enum Failed {
    Socket(io::Error),
    Layers(Ended),
}

/// What a write achieved: nothing for now is no error.
fn written(result: io::Result<usize>) -> Result<usize, Failed> {
    match result {
        Ok(count) => Ok(count),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(Failed::Socket(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::io::Read;
    use std::os::unix::net::UnixStream;
    use std::sync::Arc;

    use natsfleet_core::conn::Admission;
    use natsfleet_core::engine::{Engine, Settings};

    use super::*;
    use crate::forwarder::Shared;

    /// A connection whose output is lent, and its peer. There is no crew: the test is that.
    fn with_lent_output() -> io::Result<(Run, UnixStream, u32, OutBuf)> {
        let mut run = Run::new(Engine::new(Settings::default(), 1), Arc::new(Shared::new()?), 0)?;
        run.engine().install_account(0, None);
        let (peer, ours) = UnixStream::pair()?;
        peer.set_nonblocking(true)?;
        ours.set_nonblocking(true)?;
        run.adopt(ours.into(), None, Admission { cid: 7, ..Admission::default() }, b"", Vec::new());
        let slot = run.engine().slot_of(7).unwrap();
        run.engine().send(slot, b"first");
        let out = run.engine().lend(slot).unwrap();
        run.io(slot).unwrap().lent = true;
        run.lending.out = 1;
        Ok((run, peer, slot, out))
    }

    #[test]
    fn what_came_while_output_was_lent_is_flushed_however_it_comes_back() {
        let (mut run, mut peer, slot, out) = with_lent_output().unwrap();
        run.engine().send(slot, b"second");
        run.flush_all(Input::NONE);
        let mut buffer = [0; 100];
        assert!(peer.read(&mut buffer).is_err(), "nothing may overtake what is lent");
        let fd = run.io(slot).unwrap().raw();
        let done = Job::Write { slot, fd, out, block: None }.perform(&mut run.gather);
        run.lending.done.push(done);
        // As by somebody who waits for input that was read ahead: the last job is back before the loop looks.
        run.put_back(Input::NONE);
        run.collect();
        let count = peer.read(&mut buffer).unwrap();
        assert_eq!(&buffer[..count], b"firstsecond");
    }
}
