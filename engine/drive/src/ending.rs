//! How connections end: what is queued is written, our side is shut, and the peer gets a moment to read it.

use std::io;

use natsfleet_core::errors::CloseReason;

use crate::blocks::Input;
use crate::io::Phase;
use crate::pace::{DRAIN_NS, FINISH_NS};
use crate::poll::{discard, shut_write};
use crate::run::Run;

impl Run {
    /// Moves a connection that the core closed towards its end.
    pub(crate) fn finish_if_closing(&mut self, slot: u32) {
        let Some(reason) = self.engine.conn(slot).and_then(|conn| conn.closing()) else { return };
        let empty = self.engine.conn(slot).is_some_and(|conn| conn.pending() == 0);
        let slow = matches!(reason, CloseReason::SlowConsumerPendingBytes | CloseReason::SlowConsumerWriteDeadline);
        let Some(io) = self.io(slot) else { return };
        let layers_empty = io.link.as_ref().is_none_or(|link| link.wire().is_empty());
        match io.phase {
            _ if slow => self.end(slot),
            Phase::Draining | Phase::Gone => {}
            Phase::Open if empty && io.link.is_some() => {
                io.phase = Phase::Finishing;
                if let Some(link) = &mut io.link {
                    link.finish(reason);
                }
                self.set_timer(slot, FINISH_NS);
                self.flush(slot, Input::NONE);
            }
            _ if empty && layers_empty => {
                self.begin_to_drain(slot);
            }
            Phase::Open => {
                io.phase = Phase::Finishing;
                self.watch(slot);
                self.set_timer(slot, FINISH_NS);
            }
            Phase::Finishing => {}
        }
    }

    /// Our side is shut, and the peer has a moment to read and to end its own. What it still says is not read meanwhile:
    /// that would only ask for more.
    fn begin_to_drain(&mut self, slot: u32) {
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        io.phase = Phase::Draining;
        io.resting = false;
        io.partial = Vec::new();
        shut_write(io.raw());
        let watched = if io.unwatched {
            self.poll.add_for_end(io.raw(), u64::from(slot))
        } else {
            self.poll.change_for_end(io.raw(), u64::from(slot))
        };
        match watched {
            Ok(()) => self.set_timer(slot, DRAIN_NS),
            Err(_) => self.end(slot),
        }
    }

    /// The peer has ended the stream, too, or had its moment. What it said last goes first: bytes that nobody has read make
    /// closing a reset, which may cost the peer what it has not read.
    pub(crate) fn end_drained(&mut self, slot: u32) {
        if let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) {
            let _ = discard(io.raw(), &mut self.scratch);
        }
        self.end(slot);
    }

    /// A connection that is not being read from reports something: only an error or hang-up counts. When there is input
    /// left to process first, the socket is not watched until then, since it would report its end without pause.
    pub(crate) fn look_for_end(&mut self, slot: u32) {
        let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::as_mut) else { return };
        let has_input = !io.partial.is_empty() || io.link.as_ref().is_some_and(|link| link.has_backlog());
        let peeked = io.peek();
        io.was_reset |= peeked.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::ConnectionReset);
        match peeked {
            Ok(1..) => {}
            _ if has_input && io.phase == Phase::Open => {}
            Ok(0) => return self.peer_gone(slot, CloseReason::ClientClosed, ""),
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => return,
            Err(_) => return self.peer_gone(slot, CloseReason::ReadError, "connection reset"),
        }
        io.unwatched = self.poll.remove(io.raw()).is_ok();
        self.watch(slot);
    }

    /// Nothing can be written any more. When that is because the peer went away after it had its say, the connection ends
    /// as if that had been noticed by reading.
    pub(crate) fn write_failed(&mut self, slot: u32, error: &io::Error) {
        let heard = self.engine.conn(slot).is_some_and(|conn| conn.has_spoken());
        let Some(io) = self.io(slot) else { return };
        let reason = match error.kind() {
            io::ErrorKind::ConnectionReset if heard => CloseReason::ReadError,
            io::ErrorKind::BrokenPipe if heard && io.was_reset => CloseReason::ReadError,
            io::ErrorKind::BrokenPipe if heard && matches!(io.peek(), Ok(0)) => CloseReason::ClientClosed,
            _ => CloseReason::WriteError,
        };
        let detail = if reason == CloseReason::ClientClosed { String::new() } else { error.to_string() };
        self.peer_gone(slot, reason, &detail);
    }

    /// Ends the socket and forgets the connection.
    pub(crate) fn end(&mut self, slot: u32) {
        if let Some(io) = self.io(slot).filter(|io| io.lent || io.ahead) {
            // Its descriptor and its place are in use until the crew is done.
            io.phase = Phase::Gone;
            let raw = io.raw();
            let _ = self.poll.remove(raw);
            return;
        }
        if let Some(io) = self.ios.get_mut(slot as usize).and_then(Option::take) {
            let _ = self.poll.remove(io.raw());
        }
        self.engine.forget(slot);
    }
}
