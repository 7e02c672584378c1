//! Threads that read and write sockets while the forwarding thread parses and matches.
//!
//! To write is to be given the output of one connection, lent by the core, and a share in the block of input that it may
//! borrow from; to read is to be given an empty block. At most one write and one read of a connection are under way, so
//! its bytes stay in order whichever thread moves them. Nothing waits here: a full or empty socket ends a job. The
//! forwarding thread does itself what no thread has begun, so that a machine without a free processor loses nothing.

use std::collections::VecDeque;
use std::io;
use std::ops::Range;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use natsfleet_core::outbuf::OutBuf;

use crate::blocks::Block;
use crate::forwarder::{lock, Shared};
use crate::poll::{receive, Gather};

/// How long a thread looks for the next job before it sleeps.
const SPIN: Duration = Duration::from_micros(20);

/// Work on the socket of one connection.
pub(crate) enum Job {
    /// Output to be written, and the input that it borrows from.
    Write { slot: u32, fd: RawFd, out: OutBuf, block: Option<Block> },
    /// Input to be read into a part of a block that nobody has a share in.
    Read { slot: u32, fd: RawFd, block: Block, part: Range<usize> },
}

/// What became of a job.
pub(crate) enum Done {
    /// What is over may still borrow from the block.
    Written { slot: u32, out: OutBuf, block: Option<Block>, written: usize, error: Option<io::Error> },
    /// So much was read; zero is the end of the stream.
    Read { slot: u32, block: Block, part: Range<usize>, count: io::Result<usize> },
}

impl Job {
    fn is_read_of(&self, wanted: u32) -> bool {
        matches!(self, Self::Read { slot, .. } if *slot == wanted)
    }

    fn is_write_of(&self, wanted: u32) -> bool {
        matches!(self, Self::Write { slot, .. } if *slot == wanted)
    }

    /// Reads or writes as far as the socket goes.
    pub(crate) fn perform(self, gather: &mut Gather) -> Done {
        match self {
            Self::Write { slot, fd, out, block } => Self::write(slot, fd, out, block, gather),
            Self::Read { slot, fd, mut block, part } => {
                let room = Arc::get_mut(&mut block).and_then(|block| block.get_mut(part.clone()));
                let count = room.map_or(Ok(0), |room| receive(fd, room));
                Done::Read { slot, block, part, count }
            }
        }
    }

    fn write(slot: u32, fd: RawFd, mut out: OutBuf, block: Option<Block>, gather: &mut Gather) -> Done {
        let input = block.as_ref().map_or(&[][..], |block| block.as_slice());
        let (mut all, mut error) = (0, None);
        while !out.is_empty() {
            gather.clear();
            out.chunks(input, |part| gather.push(part));
            // SAFETY: the chunks borrow from `out` and `input`; neither changes before this returns.
            match unsafe { gather.send(fd) } {
                Ok(written) => {
                    out.wrote(written);
                    all += written;
                    if written < gather.bytes() {
                        break;
                    }
                }
                Err(failed) if failed.kind() == io::ErrorKind::Interrupted => {}
                Err(failed) => {
                    error = Some(failed).filter(|failed| failed.kind() != io::ErrorKind::WouldBlock);
                    break;
                }
            }
        }
        Done::Written { slot, out, block, written: all, error }
    }
}

/// What the threads share with the forwarding thread.
struct Desk {
    waiting: Mutex<VecDeque<Job>>,
    count: AtomicUsize,
    /// Threads that sleep; changed under the lock of `waiting`.
    asleep: AtomicUsize,
    came: Condvar,
    done: Mutex<Vec<Done>>,
    has_done: AtomicBool,
    /// The forwarding thread sleeps and wants to be woken by what is done.
    call: AtomicBool,
    stop: AtomicBool,
    forwarder: Arc<Shared>,
}

/// See the module documentation.
pub(crate) struct Crew {
    desk: Arc<Desk>,
    threads: Vec<JoinHandle<()>>,
}

impl Crew {
    /// Starts so many threads; none is allowed, and then no job may be submitted.
    pub(crate) fn start(count: usize, forwarder: &Arc<Shared>) -> io::Result<Self> {
        let desk = Arc::new(Desk {
            waiting: Mutex::default(),
            count: AtomicUsize::new(0),
            asleep: AtomicUsize::new(0),
            came: Condvar::new(),
            done: Mutex::default(),
            has_done: AtomicBool::new(false),
            call: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            forwarder: Arc::clone(forwarder),
        });
        let mut crew = Self { desk, threads: Vec::new() };
        for _ in 0..count {
            let desk = Arc::clone(&crew.desk);
            let thread = std::thread::Builder::new().name("nf-io".into()).spawn(move || {
                // As with the forwarding thread: clients must not hang on half a process.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| desk.work())).is_err() {
                    std::process::abort();
                }
            })?;
            crew.threads.push(thread);
        }
        Ok(crew)
    }

    /// Whether there are any.
    pub(crate) fn is_there(&self) -> bool {
        !self.threads.is_empty()
    }

    /// Puts a job where a thread will find it.
    pub(crate) fn submit(&self, job: Job) {
        let mut waiting = lock(&self.desk.waiting);
        waiting.push_back(job);
        self.desk.count.store(waiting.len(), Ordering::Release);
        let wake = self.desk.asleep.load(Ordering::Relaxed) > 0;
        drop(waiting);
        if wake {
            self.desk.came.notify_one();
        }
    }

    /// Jobs that no thread has begun.
    pub(crate) fn waiting(&self) -> usize {
        self.desk.count.load(Ordering::Acquire)
    }

    /// Takes back the youngest job that no thread has begun.
    pub(crate) fn take_back(&self) -> Option<Job> {
        if self.waiting() == 0 {
            return None;
        }
        let mut waiting = lock(&self.desk.waiting);
        let job = waiting.pop_back();
        self.desk.count.store(waiting.len(), Ordering::Release);
        job
    }

    /// Takes back the write of this connection, unless a thread has begun it.
    pub(crate) fn take_back_write(&self, slot: u32) -> Option<Job> {
        self.take_back_first(|job| job.is_write_of(slot))
    }

    /// Takes back the read of this connection, unless a thread has begun it.
    pub(crate) fn take_back_read(&self, slot: u32) -> Option<Job> {
        self.take_back_first(|job| job.is_read_of(slot))
    }

    fn take_back_first(&self, is_wanted: impl Fn(&Job) -> bool) -> Option<Job> {
        if self.waiting() == 0 {
            return None;
        }
        let mut waiting = lock(&self.desk.waiting);
        let at = waiting.iter().position(is_wanted)?;
        let job = waiting.remove(at);
        self.desk.count.store(waiting.len(), Ordering::Release);
        job
    }

    /// What has been done since the last call.
    pub(crate) fn take_done(&self, into: &mut Vec<Done>) {
        if self.desk.has_done.swap(false, Ordering::AcqRel) {
            into.append(&mut lock(&self.desk.done));
        }
    }

    /// Asks to be woken by the next job that is done; false when one is done already.
    pub(crate) fn call_me(&self) -> bool {
        self.desk.call.store(true, Ordering::SeqCst);
        !self.desk.has_done.load(Ordering::SeqCst)
    }
}

impl Drop for Crew {
    fn drop(&mut self) {
        {
            let _waiting = lock(&self.desk.waiting);
            self.desk.stop.store(true, Ordering::Release);
        }
        self.desk.came.notify_all();
        for thread in self.threads.drain(..) {
            let _ = thread.join();
        }
    }
}

impl Desk {
    fn work(&self) {
        let mut gather = Gather::default();
        while let Some(job) = self.next() {
            let done = job.perform(&mut gather);
            lock(&self.done).push(done);
            self.has_done.store(true, Ordering::SeqCst);
            if self.call.swap(false, Ordering::SeqCst) {
                self.forwarder.wake_thread.raise();
            }
        }
    }

    /// The oldest job, once there is one; `None` when it is time to stop.
    fn next(&self) -> Option<Job> {
        let begin = Instant::now();
        while self.count.load(Ordering::Acquire) == 0 && begin.elapsed() < SPIN {
            std::hint::spin_loop();
        }
        let mut waiting = lock(&self.waiting);
        loop {
            if self.stop.load(Ordering::Acquire) {
                return None;
            }
            if let Some(job) = waiting.pop_front() {
                self.count.store(waiting.len(), Ordering::Release);
                return Some(job);
            }
            self.asleep.fetch_add(1, Ordering::Relaxed);
            waiting = self.came.wait(waiting).unwrap_or_else(PoisonError::into_inner);
            self.asleep.fetch_sub(1, Ordering::Relaxed);
        }
    }
}
