//! The control plane's handle on a forwarding thread.

use std::io;
use std::os::fd::RawFd;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::{mpsc, Arc, Mutex, MutexGuard};
use std::thread::JoinHandle;

use natsfleet_core::engine::{Engine, Settings};
use natsfleet_core::event::{Event, Events};

use crate::poll::Wake;
use crate::run::Run;

/// Events of the droppable kind that wait for a slow control plane.
const WAITING_EVENTS_MAX: usize = 65_536;
const WAITING_EVENT_BYTES_MAX: usize = 64 << 20;

/// The first connection from outside normally gets this client id (reference: operations 5.1).
pub(crate) const FIRST_CID: u64 = 5;

/// Matching recurses once for each token of a pattern, of which there may be thousands.
const STACK_BYTES: usize = 32 << 20;

type Command = Box<dyn FnOnce(&mut Run) + Send>;

/// What both sides hold.
pub(crate) struct Shared {
    commands: Mutex<Vec<Command>>,
    has_commands: AtomicBool,
    pub(crate) stop: AtomicBool,
    pub(crate) wake_thread: Wake,
    events: Mutex<Events>,
    has_events: AtomicBool,
    wake_control: Wake,
    next_cid: AtomicU64,
}

/// A lock that stays usable after a panic elsewhere: the data is a queue, whole after each operation.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(std::sync::PoisonError::into_inner)
}

impl Shared {
    pub(crate) fn new() -> io::Result<Self> {
        Ok(Self {
            commands: Mutex::new(Vec::new()),
            has_commands: AtomicBool::new(false),
            stop: AtomicBool::new(false),
            wake_thread: Wake::new()?,
            events: Mutex::new(Events::new(WAITING_EVENTS_MAX, WAITING_EVENT_BYTES_MAX)),
            has_events: AtomicBool::new(false),
            wake_control: Wake::new()?,
            next_cid: AtomicU64::new(FIRST_CID),
        })
    }

    /// A client id that was never used.
    pub(crate) fn next_cid(&self) -> u64 {
        self.next_cid.fetch_add(1, Ordering::Relaxed)
    }

    pub(crate) fn take_commands(&self) -> Vec<Command> {
        if !self.has_commands.swap(false, Ordering::AcqRel) {
            return Vec::new();
        }
        std::mem::take(&mut *lock(&self.commands))
    }

    /// Puts events where the control plane finds them, without waking it.
    pub(crate) fn put_up(&self, events: &mut Events) {
        lock(&self.events).absorb(events);
    }

    /// Wakes the control plane, unless it has been woken and has not looked yet.
    pub(crate) fn wake_control(&self) {
        if !self.has_events.swap(true, Ordering::AcqRel) {
            self.wake_control.raise();
        }
    }
}

/// The forwarding thread is not there any more.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Gone;

/// A forwarding thread.
pub struct Forwarder {
    shared: Arc<Shared>,
    thread: Option<JoinHandle<()>>,
}

impl Forwarder {
    /// Starts the thread, and so many others that read and write for it. `seed` must be unpredictable.
    pub fn start(settings: Settings, seed: u64, crew: usize) -> io::Result<Self> {
        let shared = Arc::new(Shared::new()?);
        let mut run = Run::new(Engine::new(settings, seed), Arc::clone(&shared), crew)?;
        let thread =
            std::thread::Builder::new().name("nf-forward".into()).stack_size(STACK_BYTES).spawn(move || {
                crate::poll::ask_for_short_slices();
                // A broken invariant must not leave clients hanging on a process that no longer forwards.
                if std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| run.forward())).is_err() {
                    std::process::abort();
                }
            })?;
        Ok(Self { shared, thread: Some(thread) })
    }

    /// A client id for a connection that the control plane accepts itself.
    pub fn next_cid(&self) -> u64 {
        self.shared.next_cid()
    }

    /// Becomes readable when there are events.
    pub fn events_fd(&self) -> RawFd {
        self.shared.wake_control.fd()
    }

    /// Takes up to `max` events.
    pub fn events(&self, max: usize) -> Vec<Event> {
        let mut events = lock(&self.shared.events);
        let mut taken = Vec::new();
        while taken.len() < max {
            match events.pop() {
                Some(event) => taken.push(event),
                None => break,
            }
        }
        if events.is_empty() {
            self.shared.wake_control.lower();
            self.shared.has_events.store(false, Ordering::Release);
        }
        taken
    }

    /// Events that were dropped because the control plane was too slow.
    pub fn dropped_events(&self) -> u64 {
        lock(&self.shared.events).dropped()
    }

    /// Has the thread do something between two batches of input.
    pub fn tell(&self, command: impl FnOnce(&mut Run) + Send + 'static) {
        lock(&self.shared.commands).push(Box::new(command));
        if !self.shared.has_commands.swap(true, Ordering::AcqRel) {
            self.shared.wake_thread.raise();
        }
    }

    /// Has the thread do something and waits for the answer.
    pub fn ask<T: Send + 'static>(&self, question: impl FnOnce(&mut Run) -> T + Send + 'static) -> Result<T, Gone> {
        let (sender, receiver) = mpsc::sync_channel(1);
        self.tell(move |run| {
            // The asker waits for this; it only disappears with the process.
            let _ = sender.send(question(run));
        });
        receiver.recv().map_err(|_| Gone)
    }

    /// Ends the thread; its sockets are closed.
    pub fn stop(&mut self) {
        self.shared.stop.store(true, Ordering::Release);
        self.shared.wake_thread.raise();
        if let Some(thread) = self.thread.take() {
            let _ = thread.join();
        }
    }
}

impl Drop for Forwarder {
    fn drop(&mut self) {
        self.stop();
    }
}
