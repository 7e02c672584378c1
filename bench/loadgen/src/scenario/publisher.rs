//! The sending end of a flow: as much as window and socket allow, in large writes.

use crate::burst::Burst;
use crate::failure::{Failure, Result};
use crate::link::{Link, Remains};
use crate::wire::{FrameWalker, Verb};

/// One connection that publishes a [`Burst`] over and over.
pub struct Publisher {
    link: Link,
    burst: Burst,
    walker: FrameWalker,
    owed: Vec<u8>,
    pings_answered: u64,
    pings_sent: u64,
    written: u64,
    allowed: u64,
    writable: bool,
    readable: bool,
}

impl Publisher {
    /// A publisher that has sent nothing yet.
    pub fn new(link: Link, burst: Burst) -> Self {
        Publisher {
            link,
            burst,
            walker: FrameWalker::new(Verb::Msg, "", 0),
            owed: Vec::new(),
            pings_answered: 0,
            pings_sent: 0,
            written: 0,
            allowed: 0,
            writable: true,
            readable: false,
        }
    }

    /// The connection, for registration.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Messages begun so far; what is begun will be finished.
    pub fn published(&self) -> u64 {
        self.written.div_ceil(self.burst.unit_bytes()) * self.burst.messages_per_unit()
    }

    /// The socket can take or give bytes again.
    pub fn ready(&mut self, readable: bool, writable: bool) {
        self.readable |= readable;
        self.writable |= writable;
    }

    /// Allows up to `messages` more, then sends one burst of what is allowed. True when another call would send more.
    pub fn publish(&mut self, messages: u64) -> Result<bool> {
        let unit = self.burst.unit_bytes();
        let units = self.written.div_ceil(unit) + messages / self.burst.messages_per_unit();
        self.allowed = self.allowed.max(units * unit);
        self.send()
    }

    /// Allows no more than what was begun, and sends that. True when another call would send more.
    pub fn finish(&mut self) -> Result<bool> {
        let unit = self.burst.unit_bytes();
        self.allowed = self.written.div_ceil(unit) * unit;
        self.send()
    }

    /// Whether everything allowed has left this process.
    pub fn flushed(&mut self) -> Result<bool> {
        Ok(self.written == self.allowed && self.owed.is_empty() && self.link.flush()?)
    }

    /// Asks the server to confirm that it has processed everything sent so far.
    pub fn ping(&mut self) {
        self.pings_sent += 1;
        let ping = self.link.framed(b"PING\r\n");
        self.owed.extend(ping);
    }

    /// Whether the server has answered every [`Publisher::ping`].
    pub fn confirmed(&self) -> bool {
        self.walker.pongs == self.pings_sent
    }

    /// Reads what the server has to say to a publisher, which is never a message.
    pub fn receive(&mut self, scratch: &mut [u8]) -> Result<()> {
        if !self.readable {
            return Ok(());
        }
        let walker = &mut self.walker;
        self.readable = self.link.read(scratch, |bytes| walker.feed(bytes))? == Remains::Maybe;
        if self.walker.messages > 0 {
            return Err(Failure::Protocol("a message on a publisher's connection".into()));
        }
        while self.pings_answered < self.walker.pings {
            self.pings_answered += 1;
            let pong = self.link.framed(b"PONG\r\n");
            self.owed.extend(pong);
        }
        self.owed.extend(self.link.take_answers());
        Ok(())
    }

    fn send(&mut self) -> Result<bool> {
        if !self.writable {
            return Ok(false);
        }
        if !self.owed.is_empty() && self.written % self.burst.unit_bytes() == 0 {
            let length = self.link.try_send(&self.owed)?;
            self.owed.drain(..length);
            self.writable = self.owed.is_empty();
            return Ok(self.writable && self.written < self.allowed);
        }
        let wanted = self.allowed - self.written;
        if wanted == 0 {
            self.writable = self.link.flush()?;
            return Ok(false);
        }
        let bytes = self.burst.from(self.written);
        let bytes = &bytes[..bytes.len().min(wanted as usize)];
        let length = self.link.try_send(bytes)?;
        self.writable = length == bytes.len() && self.link.flush()?;
        self.written += length as u64;
        self.burst.sent_up_to(self.written);
        Ok(self.writable && (self.written < self.allowed || !self.owed.is_empty()))
    }
}
