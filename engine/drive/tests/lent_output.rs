//! Output that is written by other threads arrives whole and in order, whatever sockets and peers do meanwhile.

use std::io::{Read, Write};
use std::os::unix::net::UnixStream;
use std::thread;
use std::time::{Duration, Instant};

use natsfleet_core::conn::{Admission, Wishes};
use natsfleet_core::engine::Settings;
use natsfleet_drive::Forwarder;

const PAIRS: u64 = 6;
const BYTES: usize = 24 << 20;
const DEADLINE: Duration = Duration::from_secs(60);

fn adopt(forwarder: &Forwarder, cid: u64) -> UnixStream {
    let (ours, theirs) = UnixStream::pair().unwrap();
    theirs.set_nonblocking(true).unwrap();
    ours.set_read_timeout(Some(DEADLINE)).unwrap();
    ours.set_write_timeout(Some(DEADLINE)).unwrap();
    let wishes = Wishes { verbose: false, pedantic: false, echo: true, headers: true, no_responders: true };
    let admission = Admission { cid, wishes, ..Admission::default() };
    forwarder.tell(move |run| run.adopt(theirs.into(), None, admission, b"", Vec::new()));
    ours
}

/// Payload sizes that are copied, borrowed, and larger than a block, in turn; `seed` starts elsewhere for each pair.
fn sizes(seed: usize) -> impl Iterator<Item = usize> {
    let all = [16, 128, 5000, 1024, 90, 70_000, 0, 300_000, 128, 128];
    (seed..).map(move |at| all[at % all.len()])
}

fn payload(number: usize, size: usize) -> Vec<u8> {
    (0..size).map(|at| (at / 251 + at + number) as u8).collect()
}

/// Messages of a pair, as they are published and as they must arrive.
fn traffic(pair: u64) -> (Vec<u8>, Vec<u8>) {
    let (mut sent, mut wanted) = (Vec::new(), Vec::new());
    for (number, size) in sizes(pair as usize).enumerate() {
        if sent.len() >= BYTES {
            break;
        }
        let payload = payload(number, size);
        for (into, line) in
            [(&mut sent, format!("PUB p.{pair} {size}\r\n")), (&mut wanted, format!("MSG p.{pair} 1 {size}\r\n"))]
        {
            into.extend_from_slice(line.as_bytes());
            into.extend_from_slice(&payload);
            into.extend_from_slice(b"\r\n");
        }
    }
    (sent, wanted)
}

/// How a receiver takes what it gets.
#[derive(Clone, Copy, Debug)]
enum Reader {
    Whole,
    Crumbs,
    Leaves,
    Never,
}

fn receive(mut stream: UnixStream, reader: Reader, wanted: &[u8]) {
    let piece = if matches!(reader, Reader::Crumbs) { 3000 } else { 1 << 20 };
    let goal = if matches!(reader, Reader::Leaves) { wanted.len() / 3 } else { wanted.len() };
    let (mut buffer, mut at) = (vec![0; piece], 0);
    while at < goal {
        let count = stream.read(&mut buffer).unwrap();
        assert!(count > 0, "{reader:?} was cut after {at} bytes");
        assert!(wanted[at..].starts_with(&buffer[..count]), "{reader:?}: bytes differ after {at}");
        at += count;
    }
}

fn run(writers: usize) {
    let settings = Settings { pending_max: 8 << 20, ..Settings::default() };
    let forwarder = Forwarder::start(settings, 7, writers).unwrap();
    forwarder.tell(|run| run.engine().install_account(0, None));
    let mut threads = Vec::new();
    let mut held = Vec::new();
    for pair in 0..PAIRS {
        let (sent, wanted) = traffic(pair);
        let reader = [Reader::Whole, Reader::Whole, Reader::Crumbs, Reader::Leaves, Reader::Never][pair as usize % 5];
        let mut receiver = adopt(&forwarder, 100 + pair);
        receiver.write_all(format!("SUB p.{pair} 1\r\nPING\r\n").as_bytes()).unwrap();
        let mut pong = [0; 6];
        receiver.read_exact(&mut pong).unwrap();
        let mut sender = adopt(&forwarder, 200 + pair);
        if matches!(reader, Reader::Never) {
            held.push(receiver);
        } else {
            threads.push(thread::spawn(move || receive(receiver, reader, &wanted)));
        }
        threads.push(thread::spawn(move || {
            for piece in sent.chunks(100_000) {
                sender.write_all(piece).unwrap();
            }
            sender.write_all(b"PING\r\n").unwrap();
            sender.read_exact(&mut [0; 6]).unwrap();
        }));
    }
    for thread in threads {
        thread.join().unwrap();
    }
    let deadline = Instant::now() + DEADLINE;
    loop {
        // All but the senders that have hung up, one receiver that left and one that was cut.
        let totals = forwarder.ask(|run| run.engine().totals()).unwrap();
        if totals.conns == 0 {
            assert_eq!(totals.slow_consumers, 1);
            assert_eq!(totals.stuck_bytes, 0);
            break;
        }
        assert!(Instant::now() < deadline, "{} connections are left", totals.conns);
    }
}

#[test]
fn without_a_writer() {
    run(0);
}

#[test]
fn with_one_writer() {
    run(1);
}

#[test]
fn with_three_writers() {
    run(3);
}
