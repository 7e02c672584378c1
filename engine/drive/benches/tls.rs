//! What TLS costs: bytes per second on one core in both directions, a handshake, and memory of an idle session.
//!
//! `cargo bench --bench tls`. Nothing but cryptography and record handling is measured: the wire is memory.

#[path = "../tests/tls_kit/mod.rs"]
mod tls_kit;

use std::alloc::{GlobalAlloc, Layout, System};
use std::hint::black_box;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;

use natsfleet_drive::tls::TlsServer;
use tls_kit::*;

static LIVE_BYTES: AtomicUsize = AtomicUsize::new(0);

struct Counting;

// SAFETY: every call goes to the system's allocator unchanged.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        LIVE_BYTES.fetch_add(layout.size(), Ordering::Relaxed);
        System.alloc(layout)
    }
    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        LIVE_BYTES.fetch_sub(layout.size(), Ordering::Relaxed);
        System.dealloc(pointer, layout)
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

const BATCH_BYTES: usize = 256 * 1024;
const ROUNDS: u32 = 5;
const ROUND: Duration = Duration::from_millis(200);

/// Prints the best of some rounds; `step` returns the time that counts and the units done in it.
fn best(name: &str, unit: &str, mut step: impl FnMut() -> (Duration, f64)) {
    let mut best = 0.0_f64;
    for _ in 0..ROUNDS {
        let (mut spent, mut done) = (Duration::ZERO, 0.0);
        while spent < ROUND {
            let (time, units) = step();
            spent += time;
            done += units;
        }
        best = best.max(done / spent.as_secs_f64());
    }
    println!("{name:44} {best:10.3} {unit}");
}

/// Processor time of this thread: what others do on the machine counts less than on the wall clock.
fn processor_time() -> Duration {
    let mut time = libc::timespec { tv_sec: 0, tv_nsec: 0 };
    // SAFETY: the pointer is to a live timespec.
    let outcome = unsafe { libc::clock_gettime(libc::CLOCK_THREAD_CPUTIME_ID, &mut time) };
    assert_eq!(outcome, 0);
    Duration::new(time.tv_sec as u64, time.tv_nsec as u32)
}

fn timed(step: impl FnOnce()) -> Duration {
    let start = processor_time();
    step();
    processor_time() - start
}

fn measure(name: &str, client_spec: &ClientSpec, authority: &Authority) {
    let data = pattern(BATCH_BYTES);
    let gigabytes = BATCH_BYTES as f64 / 1e9;
    let (_, mut session) = connected(authority, &authority.spec(), client_spec).unwrap();
    println!("{name}: {}", session.cipher().unwrap_or_default());
    let mut out = vec![0; session.wire_bytes(data.len())];
    best("  encrypt 256 KiB into 16 KiB records", "GB/s", || {
        (timed(|| drop(black_box(session.encrypt_into(&data, &mut out)))), gigabytes)
    });
    let mut grown = Vec::new();
    best("  the same, behind a vector", "GB/s", || {
        grown.clear();
        (timed(|| drop(black_box(session.encrypt(&data, &mut grown)))), gigabytes)
    });
    best("  encrypt 64 B records", "M/s", || {
        let time = timed(|| {
            for piece in data.chunks(64) {
                let _ = black_box(session.encrypt_into(piece, &mut out));
            }
        });
        (time, (BATCH_BYTES / 64) as f64 / 1e6)
    });
    for record in [16_384, 1_024, 64] {
        let (mut client, mut session) = connected(authority, &authority.spec(), client_spec).unwrap();
        let mut plain = Vec::with_capacity(BATCH_BYTES);
        best(&format!("  decrypt {record} B records, 64 KiB a read"), "GB/s", || {
            let mut wire = client_encrypts(&mut client, &data, record);
            let time = timed(|| {
                plain.clear();
                for read in wire.chunks_mut(65_536) {
                    session.decrypt(read, &mut plain).unwrap();
                }
            });
            assert_eq!(plain.len(), BATCH_BYTES);
            (time, gigabytes)
        });
    }
}

fn measure_handshakes(authority: &Authority) {
    let server = TlsServer::build(&authority.spec()).unwrap();
    for (name, resumed) in [("full", false), ("resumed", true)] {
        let config = ClientSpec::new(&TLS13).config(&authority.ca_pem);
        best(&format!("handshake, TLS 1.3, {name}"), "/s on the server's side", || {
            let config = if resumed { config.clone() } else { ClientSpec::new(&TLS13).config(&authority.ca_pem) };
            let mut client = rustls::ClientConnection::new(config, "localhost".try_into().unwrap()).unwrap();
            let mut session = server.accept().unwrap();
            let mut spent = Duration::ZERO;
            loop {
                let wire = client_output(&mut client);
                if wire.is_empty() {
                    return (spent, 1.0);
                }
                spent += timed(|| session.receive(&wire).unwrap());
                client_input(&mut client, &session_output(&mut session)).unwrap();
            }
        });
    }
}

fn measure_memory(authority: &Authority) {
    const SESSIONS: usize = 100;
    let server = TlsServer::build(&authority.spec()).unwrap();
    for (name, client_spec) in [("1.2", ClientSpec::new(&TLS12)), ("1.3", ClientSpec::new(&TLS13))] {
        let config = client_spec.config(&authority.ca_pem);
        let mut sessions = Vec::with_capacity(SESSIONS);
        let before = LIVE_BYTES.load(Ordering::Relaxed);
        for _ in 0..SESSIONS {
            let name = "localhost".try_into().unwrap();
            let mut client = rustls::ClientConnection::new(config.clone(), name).unwrap();
            let mut session = server.accept().unwrap();
            handshake(&mut client, &mut session).unwrap();
            sessions.push(session);
        }
        let heap = (LIVE_BYTES.load(Ordering::Relaxed) - before) / SESSIONS;
        let own = std::mem::size_of_val(&sessions[0]);
        println!("idle session, TLS {name}: {} bytes ({own} of them the value itself)", heap + own);
    }
}

fn main() {
    let authority = Authority::new();
    measure("TLS 1.3", &ClientSpec::new(&TLS13), &authority);
    measure("TLS 1.2", &ClientSpec::new(&TLS12), &authority);
    measure_handshakes(&authority);
    measure_memory(&authority);
}
