//! A connection's socket and what was read from it but not processed yet.

use std::io;
use std::os::fd::{AsRawFd, OwnedFd, RawFd};

use crate::link::Link;
use crate::share::Share;

/// Where a connection is in its life.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Phase {
    /// Traffic flows.
    Open,
    /// The core closed it; what is queued is still being written.
    Finishing,
    /// Our side is shut; the peer has a moment to read what it was sent.
    Draining,
    /// It is over; only what is with the crew has to come back.
    Gone,
}

/// The drive's part of a connection.
pub(crate) struct Io {
    pub fd: OwnedFd,
    pub cid: u64,
    /// The layers below NATS, if there are any.
    pub link: Option<Box<Link>>,
    pub phase: Phase,
    /// Input after the last whole frame.
    pub partial: Vec<u8>,
    /// Bytes that `partial` must have before it is worth looking at again.
    pub need: usize,
    /// Input is not read: the publisher rests, or the core waits for the control plane.
    pub resting: bool,
    pub share: Share,
    pub wants_write: bool,
    /// Its output is with the crew.
    pub lent: bool,
    /// The crew reads its input.
    pub ahead: bool,
    pub watched_read: bool,
    pub watched_write: bool,
    /// The poll does not know the socket for now.
    pub unwatched: bool,
    /// The socket has said that its peer reset it, which it says only once.
    pub was_reset: bool,
}

impl Io {
    pub fn new(fd: OwnedFd, cid: u64, link: Option<Box<Link>>, input: Vec<u8>) -> Self {
        Self {
            fd,
            cid,
            link,
            phase: Phase::Open,
            partial: input,
            need: 1,
            resting: false,
            share: Share::new(),
            wants_write: false,
            lent: false,
            ahead: false,
            watched_read: true,
            watched_write: false,
            unwatched: false,
            was_reset: false,
        }
    }

    pub fn raw(&self) -> RawFd {
        self.fd.as_raw_fd()
    }

    /// Whether there is something to read: a byte, the end (0), or an error, which is `WouldBlock` for nothing so far.
    pub fn peek(&self) -> io::Result<usize> {
        let mut probe = [0u8; 1];
        // SAFETY: peeks at most one byte into an array of one.
        let count =
            unsafe { libc::recv(self.raw(), probe.as_mut_ptr().cast(), 1, libc::MSG_PEEK | libc::MSG_DONTWAIT) };
        usize::try_from(count).map_err(|_| io::Error::last_os_error())
    }
}
