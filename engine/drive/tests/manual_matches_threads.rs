//! The manual drive and a forwarding thread hold the same dialogues, byte for byte.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::time::{Duration, Instant};

use natsfleet_core::conn::{Admission, Wishes};
use natsfleet_core::engine::Settings;
use natsfleet_core::event::Event;
use natsfleet_drive::{Forwarder, Manual};
use proptest::prelude::*;

const SEED: u64 = 99;
const CONNS: u64 = 4;
const DEADLINE: Duration = Duration::from_secs(10);

fn admission(cid: u64, wishes: Wishes) -> Admission {
    let first_pong_info = b"INFO {\"late\":true}\r\n".as_slice().into();
    Admission { cid, wishes, payload_max: 3000, subs_max: 20, first_pong_info, ..Admission::default() }
}

fn wishes(bits: u8) -> Wishes {
    let is = |bit: u8| bits & 1 << bit != 0;
    Wishes { verbose: is(0), pedantic: is(1), echo: is(2), headers: is(3), no_responders: is(4) }
}

/// Something to send, and in how large pieces.
type Step = (u64, Vec<u8>, usize);

fn subject() -> impl Strategy<Value = String> {
    "(a|b|c)(\\.(a|b|\\*)){0,2}(\\.>)?"
}

fn frame() -> impl Strategy<Value = Vec<u8>> {
    let publish = (subject(), prop::option::of("r\\.[ab]"), prop_oneof![0usize..20, 900usize..3100]).prop_map(
        |(subject, reply, size)| {
            let reply = reply.map(|reply| reply + " ").unwrap_or_default();
            [format!("PUB {subject} {reply}{size}\r\n").as_bytes(), &vec![b'p'; size], b"\r\n"].concat()
        },
    );
    let with_header = (subject(), 0usize..2000).prop_map(|(subject, size)| {
        let head = b"NATS/1.0\r\nA: b\r\n\r\n";
        let line = format!("HPUB {subject} {} {}\r\n", head.len(), head.len() + size);
        [line.as_bytes(), head, &vec![b'h'; size], b"\r\n"].concat()
    });
    let subscribe = (subject(), prop::option::of("q[12] "), 0..12)
        .prop_map(|(subject, queue, sid)| format!("SUB {subject} {}{sid}\r\n", queue.unwrap_or_default()).into_bytes());
    let unsubscribe = (0..12, 0..4).prop_map(|(sid, max)| format!("UNSUB {sid} {max}\r\n").into_bytes());
    prop_oneof![
        6 => publish,
        2 => with_header,
        4 => subscribe,
        2 => unsubscribe,
        2 => Just(b"ping\r\n".to_vec()),
        1 => Just(b"CONNECT {}\r\n".to_vec()),
        1 => prop::sample::select(vec![&b"SUB a..b 1\r\n"[..], b"INFO {}\r\n", b"+OK\r\n", b"UNSUB 77\r\n"]).prop_map(<[u8]>::to_vec),
    ]
}

fn steps() -> impl Strategy<Value = Vec<Step>> {
    let ending = prop::sample::select(vec![&b""[..], b"JUNK\r\n", b"PUB a\r\n", b"PUB a 1\r\nxyz", b"-ERR 'x'\r\n"]);
    let step = (1..=CONNS, prop::collection::vec(frame(), 1..6), 1usize..4000)
        .prop_map(|(cid, frames, piece)| (cid, frames.concat(), piece));
    (prop::collection::vec(step, 1..20), ending, 1..=CONNS).prop_map(|(mut steps, ending, cid)| {
        steps.push((cid, ending.to_vec(), 7));
        steps
    })
}

/// Wishes of the second CONNECT of a connection.
fn again(cid: u64) -> Admission {
    admission(cid, wishes(0b0_1110))
}

fn by_hand(steps: &[Step], bits: &[u8]) -> Vec<Vec<u8>> {
    let mut manual = Manual::new(Settings::default(), SEED);
    manual.engine().install_account(0, None);
    for cid in 1..=CONNS {
        manual.open(admission(cid, wishes(bits[cid as usize - 1])), None, b"INFO {}\r\n");
    }
    let mut seen = vec![Vec::new(); CONNS as usize];
    for (cid, bytes, piece) in steps {
        for piece in bytes.chunks(*piece) {
            manual.feed(*cid, piece);
            while let Some(event) = manual.engine().events().pop() {
                if let Event::Connect { cid, .. } = event {
                    manual.readmit(again(cid));
                }
            }
        }
        for ready in manual.ready() {
            seen[ready as usize - 1].extend(manual.take_output(ready, usize::MAX).bytes);
        }
    }
    seen
}

/// A peer of the forwarding thread. After each step the thread is asked something, so that the step is through.
struct Peer {
    stream: UnixStream,
    seen: Vec<u8>,
}

fn threaded(steps: &[Step], bits: &[u8], want: &[Vec<u8>]) -> Vec<Vec<u8>> {
    let forwarder = Forwarder::start(Settings::default(), SEED, 1).unwrap();
    forwarder.tell(|run| run.engine().install_account(0, None));
    let mut peers = Vec::new();
    for cid in 1..=CONNS {
        let (ours, theirs) = UnixStream::pair().unwrap();
        theirs.set_nonblocking(true).unwrap();
        ours.set_nonblocking(true).unwrap();
        let admission = admission(cid, wishes(bits[cid as usize - 1]));
        forwarder.tell(move |run| run.adopt(theirs.into(), None, admission, b"INFO {}\r\n", Vec::new()));
        peers.push(Peer { stream: ours, seen: Vec::new() });
    }
    for (cid, bytes, piece) in steps {
        let peer = &mut peers[*cid as usize - 1];
        for piece in bytes.chunks(*piece) {
            if peer.stream.write_all(piece).is_err() {
                break;
            }
            let deadline = Instant::now() + DEADLINE;
            while !is_drained(&forwarder, *cid, &peer.stream) {
                assert!(Instant::now() < deadline, "input of {cid} stays unread");
            }
        }
    }
    let deadline = Instant::now() + DEADLINE;
    for (peer, want) in peers.iter_mut().zip(want) {
        while peer.seen.len() < want.len() && Instant::now() < deadline {
            read_all(peer);
        }
        read_all(peer);
    }
    peers.into_iter().map(|peer| peer.seen).collect()
}

fn read_all(peer: &mut Peer) {
    let mut buffer = [0; 65536];
    while let Ok(count @ 1..) = peer.stream.read(&mut buffer) {
        peer.seen.extend_from_slice(&buffer[..count]);
    }
}

/// Nothing is in the socket any more, and what was read has been processed; or the connection is closed, and nothing is
/// processed any more. Answers CONNECT on the way.
fn is_drained(forwarder: &Forwarder, cid: u64, stream: &UnixStream) -> bool {
    for event in forwarder.events(100) {
        if let Event::Connect { cid, .. } = event {
            forwarder.tell(move |run| {
                let now_ns = run.now_ns();
                run.engine().readmit(cid, again(cid), now_ns);
                run.resume_cid(cid);
            });
        }
    }
    let is_open = forwarder.ask(move |run| run.engine().slot_of(cid).is_some());
    if is_open == Ok(true) && unread_by_peer(stream) > 0 {
        return false;
    }
    // Answered after the batch that read the last of it.
    let paused = forwarder.ask(move |run| {
        let engine = run.engine();
        engine.slot_of(cid).and_then(|slot| engine.conn(slot)).is_some_and(|conn| conn.paused())
    });
    paused == Ok(false)
}

/// Bytes that were written to the stream and not read at the other end.
fn unread_by_peer(stream: &UnixStream) -> i32 {
    use std::os::fd::AsRawFd;
    let mut count = 0;
    // SAFETY: the kernel writes one int.
    unsafe { libc::ioctl(stream.as_raw_fd(), libc::TIOCOUTQ, &mut count) };
    count
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, max_shrink_iters: 20, ..ProptestConfig::default() })]
    #[test]
    fn dialogues_are_the_same(steps in steps(), bits in prop::collection::vec(0u8..32, CONNS as usize)) {
        let manual = by_hand(&steps, &bits);
        let thread = threaded(&steps, &bits, &manual);
        for (cid, (manual, thread)) in manual.iter().zip(&thread).enumerate() {
            prop_assert_eq!(String::from_utf8_lossy(manual), String::from_utf8_lossy(thread), "connection {}", cid + 1);
        }
    }
}
