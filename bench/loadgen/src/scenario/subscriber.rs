//! The receiving end of a flow: counts and checks what arrives.

use crate::failure::Result;
use crate::link::{Link, Remains};
use crate::wire::{FrameWalker, Verb};

/// One connection with one or many subscriptions to messages of one size.
pub struct Subscriber {
    link: Link,
    walker: FrameWalker,
    pings_answered: u64,
    pings_sent: u64,
    readable: bool,
}

impl Subscriber {
    /// A subscriber that has received nothing yet; `subscriptions` are complete protocol lines. Returns when the server
    /// has been told, not when it has answered: see [`Subscriber::confirmed`].
    pub fn new(mut link: Link, subject_prefix: &str, size: usize, subscriptions: &str) -> Result<Self> {
        link.send_all(subscriptions.as_bytes())?;
        let mut subscriber = Subscriber {
            link,
            walker: FrameWalker::new(Verb::Msg, subject_prefix, size),
            pings_answered: 0,
            pings_sent: 0,
            readable: true,
        };
        subscriber.ping()?;
        Ok(subscriber)
    }

    /// The connection, for registration.
    pub fn link(&self) -> &Link {
        &self.link
    }

    /// Complete messages so far.
    pub fn received(&self) -> u64 {
        self.walker.messages
    }

    /// The socket can give bytes again.
    pub fn ready(&mut self) {
        self.readable = true;
    }

    /// Asks the server to answer behind everything that it has for this connection.
    pub fn ping(&mut self) -> Result<()> {
        self.pings_sent += 1;
        self.link.send_all(b"PING\r\n")
    }

    /// Whether the server has answered every [`Subscriber::ping`].
    pub fn confirmed(&self) -> bool {
        self.walker.pongs == self.pings_sent
    }

    /// Takes what has arrived. True when another call may find more at once.
    pub fn receive(&mut self, scratch: &mut [u8]) -> Result<bool> {
        if !self.readable {
            return Ok(false);
        }
        let walker = &mut self.walker;
        self.readable = self.link.read(scratch, |bytes| walker.feed(bytes))? == Remains::Maybe;
        while self.pings_answered < self.walker.pings {
            self.pings_answered += 1;
            self.link.send_all(b"PONG\r\n")?;
        }
        let answers = self.link.take_answers();
        if !answers.is_empty() {
            self.link.try_send(&answers)?;
        }
        Ok(self.readable)
    }
}
