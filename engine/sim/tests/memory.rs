//! What a closed connection leaves behind: nothing.
//!
//! Alone in this file, since it counts every allocation of the process.

use std::alloc::{GlobalAlloc, Layout, System};
use std::sync::atomic::{AtomicUsize, Ordering};

use natsfleet_core::conn::{Admission, Wishes};
use natsfleet_core::engine::{Engine, Settings};
use natsfleet_core::errors::CloseReason;

static HELD: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: hands everything on to the system's allocator unchanged and only counts beside it.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        HELD.fetch_add(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        HELD.fetch_sub(layout.size(), Ordering::Relaxed);
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(memory, layout) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const CONNECTIONS: u64 = 500;
/// Tables keep their size for the next connections, and some buffers are kept for reuse.
const KEPT_MAX: usize = 4 << 20;

/// Connections with subscriptions, open replies, half a frame and output that nobody reads come and go.
fn one_generation(engine: &mut Engine, first_cid: u64) {
    let slots: Vec<u32> = (first_cid..first_cid + CONNECTIONS)
        .map(|cid| {
            let wishes = Wishes { verbose: false, ..Wishes::default() };
            let about = vec![b'n'; 500].into();
            engine.open(Admission { cid, about, wishes, ..Admission::default() }, 1)
        })
        .collect();
    for (at, &slot) in slots.iter().enumerate() {
        let subscriptions: String =
            (0..20).map(|sid| format!("SUB room.{at}.{sid}.* {sid}\r\nSUB all q{sid} 1{sid}\r\n")).collect();
        engine.feed(slot, format!("{subscriptions}SUB all 0\r\nSUB everything.> 999\r\n").as_bytes(), 0, 1);
    }
    let message = [b"PUB everything.here 2000\r\n".as_slice(), &[b'x'; 2000], b"\r\n"].concat();
    for _ in 0..20 {
        engine.feed(slots[0], &message, 0, 1);
        let mut touched = Vec::new();
        engine.take_touched(&mut touched);
        touched.into_iter().for_each(|slot| engine.flushed(slot, &message, 1));
    }
    for (at, &slot) in slots.iter().enumerate() {
        match at % 3 {
            0 => engine.lost(slot, CloseReason::ClientClosed, ""),
            1 => engine.close(first_cid + at as u64, CloseReason::Kicked, Some("go")),
            _ => drop(engine.feed(slot, b"NONSENSE\r\n", 0, 1)),
        }
        engine.forget(slot);
    }
    let mut touched = Vec::new();
    engine.take_touched(&mut touched);
    while engine.events().pop().is_some() {}
    engine.tick(u64::MAX / 2);
}

#[test]
fn closed_connections_leave_nothing_behind() {
    let mut engine = Engine::new(Settings::default(), 1);
    engine.install_account(0, None);
    one_generation(&mut engine, 1);
    let before = HELD.load(Ordering::Relaxed);
    assert!(before < KEPT_MAX, "{before} bytes are held after the first generation");
    for generation in 1..10 {
        one_generation(&mut engine, 1 + generation * CONNECTIONS);
        let held = HELD.load(Ordering::Relaxed);
        assert!(held <= before + before / 10, "{held} bytes are held after generation {generation}, {before} before");
    }
}
