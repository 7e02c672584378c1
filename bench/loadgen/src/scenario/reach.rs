//! Questions to a server about whom it reaches: without load, one at a time.

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};
use std::{process, thread};

use super::STALL_LIMIT;
use crate::failure::{Failure, Result};
use crate::link::{Link, Target, READ_BYTES};

/// Each question has a subject of its own, so that none is answered by what is left of another one.
static ASKED: AtomicU64 = AtomicU64::new(0);
const INBOX: &str = "_INBOX.loadgen.reach";
/// Between two attempts to be heard.
const PAUSE: Duration = Duration::from_millis(2);

/// Waits until what is published at `speaker` is heard at `listener`, and what was wanted at `listener` before is known to
/// `speaker`: what servers tell each other about one account stays in order.
pub fn wait_until_heard(speaker: &Target, listener: &Target) -> Result<()> {
    if speaker.address == listener.address {
        return Ok(());
    }
    let subject = format!("loadgen.reach.{}.{}", process::id(), ASKED.fetch_add(1, Ordering::Relaxed));
    let mut far = Exchange::open(listener)?;
    far.round_trip(format!("SUB {subject} 2\r\n").as_bytes())?;
    let mut near = Exchange::open(speaker)?;
    let begin = Instant::now();
    while !near.has_responders(&subject)? {
        if begin.elapsed() > STALL_LIMIT {
            return Err(Failure::Protocol(format!("{} is not heard at {}", speaker.address, listener.address)));
        }
        thread::sleep(PAUSE);
    }
    Ok(())
}

/// One connection for questions that a server answers in order.
pub struct Exchange {
    link: Link,
    scratch: Vec<u8>,
}

impl Exchange {
    /// A connection to the server.
    pub fn open(target: &Target) -> Result<Exchange> {
        let mut link = Link::connect(target, "questions")?;
        link.send_all(format!("SUB {INBOX} 1\r\n").as_bytes())?;
        Ok(Exchange { link, scratch: vec![0; READ_BYTES] })
    }

    /// Whether a request on this subject reaches anybody. Somebody who has it need not answer.
    pub fn has_responders(&mut self, subject: &str) -> Result<bool> {
        let answer = self.round_trip(format!("PUB {subject} {INBOX} 0\r\n\r\n").as_bytes())?;
        let text = String::from_utf8_lossy(&answer);
        match text.find("-ERR") {
            Some(at) => Err(Failure::ServerError(text[at..].trim_end().into())),
            None => Ok(!text.contains("NATS/1.0 503")),
        }
    }

    /// Sends bytes and a PING, and returns everything up to the PONG.
    fn round_trip(&mut self, bytes: &[u8]) -> Result<Vec<u8>> {
        let mut sent = bytes.to_vec();
        sent.extend_from_slice(b"PING\r\n");
        self.link.send_all(&sent)?;
        let mut answer = Vec::new();
        let begin = Instant::now();
        while !answer.ends_with(b"PONG\r\n") {
            self.link.wait_readable()?;
            self.link.read(&mut self.scratch, |bytes| {
                answer.extend_from_slice(bytes);
                Ok(())
            })?;
            if answer.ends_with(b"PING\r\n") {
                self.link.send_all(b"PONG\r\n")?;
            }
            if begin.elapsed() > STALL_LIMIT {
                return Err(Failure::Protocol("a PING is not answered".into()));
            }
        }
        Ok(answer)
    }
}
