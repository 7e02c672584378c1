//! Readiness of sockets: a thin, edge-triggered wrapper around epoll.

use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd};
use std::time::Duration;

use crate::failure::{Failure, Result};

const EVENTS_MAX: usize = 256;

/// One socket that became ready.
#[derive(Clone, Copy)]
pub struct Ready {
    /// The number given at registration.
    pub token: usize,
    /// Bytes (or an end) can be read.
    pub readable: bool,
    /// There is room to send.
    pub writable: bool,
}

/// A set of watched sockets.
pub struct Epoll {
    descriptor: OwnedFd,
    events: Vec<libc::epoll_event>,
}

impl Epoll {
    /// An empty set.
    pub fn new() -> Result<Self> {
        // SAFETY: epoll_create1 takes no pointers; the descriptor it returns is owned by nobody else.
        let descriptor = unsafe {
            let raw = libc::epoll_create1(libc::EPOLL_CLOEXEC);
            if raw < 0 {
                return Err(Failure::io("epoll_create1")(io::Error::last_os_error()));
            }
            OwnedFd::from_raw_fd(raw)
        };
        Ok(Epoll { descriptor, events: vec![libc::epoll_event { events: 0, u64: 0 }; EVENTS_MAX] })
    }

    /// Watches a socket for both directions, edge-triggered.
    pub fn watch(&self, socket: &impl AsRawFd, token: usize) -> Result<()> {
        let mut event = libc::epoll_event {
            events: (libc::EPOLLIN | libc::EPOLLOUT | libc::EPOLLRDHUP | libc::EPOLLET) as u32,
            u64: token as u64,
        };
        // SAFETY: both descriptors are open for the length of the call and `event` lives on this stack.
        let answer = unsafe {
            libc::epoll_ctl(self.descriptor.as_raw_fd(), libc::EPOLL_CTL_ADD, socket.as_raw_fd(), &mut event)
        };
        if answer < 0 {
            return Err(Failure::io("epoll_ctl")(io::Error::last_os_error()));
        }
        Ok(())
    }

    /// Waits until something is ready or the time is over, and hands each ready socket to `handle`.
    pub fn wait(&mut self, timeout: Duration, mut handle: impl FnMut(Ready)) -> Result<()> {
        let milliseconds = timeout.as_micros().div_ceil(1000).min(60_000) as i32;
        // SAFETY: the kernel writes at most `EVENTS_MAX` entries into a vector of that length.
        let count = unsafe {
            libc::epoll_wait(self.descriptor.as_raw_fd(), self.events.as_mut_ptr(), EVENTS_MAX as i32, milliseconds)
        };
        if count < 0 {
            let error = io::Error::last_os_error();
            if error.kind() == io::ErrorKind::Interrupted {
                return Ok(());
            }
            return Err(Failure::io("epoll_wait")(error));
        }
        let gone = (libc::EPOLLHUP | libc::EPOLLERR | libc::EPOLLRDHUP) as u32;
        for event in &self.events[..count as usize] {
            let flags = event.events;
            handle(Ready {
                token: event.u64 as usize,
                readable: flags & (libc::EPOLLIN as u32 | gone) != 0,
                writable: flags & (libc::EPOLLOUT as u32 | gone) != 0,
            });
        }
        Ok(())
    }
}
