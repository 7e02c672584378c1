//! A server that does nothing but move bytes, to show what the generator itself can do.
//!
//! It takes published messages and, if there are subscribers, owes each of them one pre-rendered message for each. It has
//! no subjects, no parser beyond counting and no queues, so it serves the shapes pub and fan only. Any real server is
//! slower, and the generator is known not to be what limits a run whose rate is well below the rate measured here.

use std::io::{self, Read, Write};
use std::net::{Ipv4Addr, TcpListener, TcpStream};
use std::time::{Duration, Instant};

use crate::burst::Burst;
use crate::epoll::Epoll;
use crate::failure::{Failure, Result};
use crate::link::READ_BYTES;
use crate::wire::{FrameWalker, Verb};

const INFO: &[u8] = b"INFO {\"server_id\":\"SINK\",\"version\":\"0.0.0\",\"proto\":1,\"max_payload\":1048576}\r\n";
const LISTENER: usize = usize::MAX;
/// The sink looks for work this long before it sleeps: otherwise waking it is most of what the generator does.
const POLL_BEFORE_SLEEP: Duration = Duration::from_micros(50);

/// Serves on a port of 127.0.0.1 (0: any free one) for the given time; prints `{"port": N}` when it listens.
pub fn run(port: u16, size: usize, lifetime: Duration) -> Result<()> {
    let listener = listen(port)?;
    let port = listener.local_addr().map_err(Failure::io("local_addr"))?.port();
    println!("{{\"port\": {port}}}");
    io::stdout().flush().map_err(Failure::io("stdout"))?;
    serve(&listener, size, lifetime)
}

fn listen(port: u16) -> Result<TcpListener> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(Failure::io("bind"))?;
    listener.set_nonblocking(true).map_err(Failure::io("set_nonblocking"))?;
    Ok(listener)
}

fn serve(listener: &TcpListener, size: usize, lifetime: Duration) -> Result<()> {
    let mut epoll = Epoll::new()?;
    epoll.watch(listener, LISTENER)?;
    let mut sink = Sink { size, published: 0, peers: Vec::new(), scratch: vec![0; READ_BYTES] };
    let end = Instant::now() + lifetime;
    let mut last_work = Instant::now();
    loop {
        let now = Instant::now();
        if now >= end {
            return Ok(());
        }
        let wait = if now - last_work < POLL_BEFORE_SLEEP { Duration::ZERO } else { Duration::from_millis(200) };
        let mut accept = false;
        let mut woken = false;
        let peers = &mut sink.peers;
        epoll.wait(wait, |ready| {
            woken = true;
            match peers.get_mut(ready.token) {
                Some(Some(peer)) => {
                    peer.readable |= ready.readable;
                    peer.writable |= ready.writable;
                }
                _ => accept |= ready.token == LISTENER,
            }
        })?;
        if accept {
            sink.accept(listener, &epoll)?;
        }
        if sink.turn() || woken {
            // Read again: the wait may have been long.
            last_work = Instant::now();
        }
    }
}

struct Sink {
    size: usize,
    published: u64,
    peers: Vec<Option<Peer>>,
    scratch: Vec<u8>,
}

impl Sink {
    fn accept(&mut self, listener: &TcpListener, epoll: &Epoll) -> Result<()> {
        while let Ok((stream, _)) = listener.accept() {
            stream.set_nonblocking(true).map_err(Failure::io("set_nonblocking"))?;
            stream.set_nodelay(true).map_err(Failure::io("TCP_NODELAY"))?;
            epoll.watch(&stream, self.peers.len())?;
            self.peers.push(Some(Peer::new(stream, self.size)));
        }
        Ok(())
    }

    /// One read and one write for every connection that is ready; true when there is more to do at once.
    fn turn(&mut self) -> bool {
        let mut busy = false;
        for slot in &mut self.peers {
            let Some(peer) = slot else { continue };
            let before = peer.walker.messages;
            match peer.receive(&mut self.scratch, self.published) {
                Ok(more) => busy |= more,
                Err(_) => {
                    *slot = None;
                    continue;
                }
            }
            self.published += peer.walker.messages - before;
        }
        for slot in &mut self.peers {
            let Some(peer) = slot else { continue };
            match peer.deliver(self.published) {
                Ok(more) => busy |= more,
                Err(_) => *slot = None,
            }
        }
        busy
    }
}

struct Peer {
    stream: TcpStream,
    walker: FrameWalker,
    replies: Vec<u8>,
    pongs: u64,
    delivery: Option<Delivery>,
    readable: bool,
    writable: bool,
}

/// What a subscriber gets: messages from the moment of its subscription on.
struct Delivery {
    burst: Burst,
    published_before: u64,
    written: u64,
}

impl Peer {
    fn new(stream: TcpStream, size: usize) -> Self {
        Peer {
            stream,
            walker: FrameWalker::new(Verb::Pub, "", size),
            replies: INFO.to_vec(),
            pongs: 0,
            delivery: None,
            readable: true,
            writable: true,
        }
    }

    fn receive(&mut self, scratch: &mut [u8], published: u64) -> Result<bool> {
        if !self.readable {
            return Ok(false);
        }
        match self.stream.read(scratch) {
            Ok(0) => return Err(Failure::Closed { role: "sink" }),
            Ok(length) => {
                self.walker.feed(&scratch[..length])?;
                self.readable = length == scratch.len();
            }
            Err(error) if error.kind() == io::ErrorKind::WouldBlock => self.readable = false,
            Err(error) => return Err(Failure::io("receive")(error)),
        }
        for line in std::mem::take(&mut self.walker.subscriptions) {
            let mut words = line.split_ascii_whitespace().skip(1);
            let (Some(subject), Some(sid), None) = (words.next(), words.next(), words.next()) else {
                return Err(Failure::Protocol(format!("the sink does not serve {line:?}")));
            };
            self.delivery = Some(Delivery {
                burst: Burst::of_deliveries(subject, sid, self.walker.payload_bytes()),
                published_before: published,
                written: 0,
            });
        }
        Ok(self.readable)
    }

    fn deliver(&mut self, published: u64) -> Result<bool> {
        if !self.writable {
            return Ok(false);
        }
        if let Some(delivery) = &mut self.delivery {
            let owed = (published - delivery.published_before) * delivery.burst.unit_bytes() - delivery.written;
            if owed > 0 {
                let bytes = delivery.burst.from(delivery.written);
                let bytes = &bytes[..bytes.len().min(owed as usize)];
                let length = write_some(&self.stream, bytes)?;
                delivery.written += length as u64;
                self.writable = length == bytes.len();
                return Ok(self.writable);
            }
        }
        while self.pongs < self.walker.pings {
            self.pongs += 1;
            self.replies.extend_from_slice(b"PONG\r\n");
        }
        if !self.replies.is_empty() {
            let length = write_some(&self.stream, &self.replies)?;
            self.writable = length == self.replies.len();
            self.replies.drain(..length);
        }
        Ok(false)
    }
}

fn write_some(mut stream: &TcpStream, bytes: &[u8]) -> Result<usize> {
    match stream.write(bytes) {
        Ok(length) => Ok(length),
        Err(error) if error.kind() == io::ErrorKind::WouldBlock => Ok(0),
        Err(error) => Err(Failure::io("send")(error)),
    }
}

#[cfg(test)]
mod tests {
    use std::thread;

    use super::*;
    use crate::link::{Sites, Target, Transport};
    use crate::scenario::flow::{self, FlowPlan};
    use crate::scenario::topology::Shape;

    /// Runs a flow against a sink of its own, in threads of this process.
    fn flow_against_sink(shape: Shape, publishers: usize, subscribers: usize, size: usize) -> Result<String> {
        let listener = listen(0)?;
        let address = listener.local_addr().map_err(Failure::io("local_addr"))?;
        thread::spawn(move || serve(&listener, size, Duration::from_secs(20)));
        let plan = FlowPlan {
            shape,
            publishers,
            subscribers,
            size,
            duration: Duration::from_millis(60),
            warmup: Duration::from_millis(20),
            window: 1024 * 1024,
        };
        let target = Target { address, transport: Transport::Tcp };
        flow::run(&Sites { near: target.clone(), far: target }, &plan, &[]).map(|report| report.to_json())
    }

    fn figure(report: &str, name: &str) -> u64 {
        let (_, rest) = report.split_once(&format!("\"{name}\": ")).unwrap();
        rest.split([',', '}']).next().unwrap().parse().unwrap()
    }

    #[test]
    fn every_subscriber_gets_every_message() {
        for (publishers, subscribers, size) in [(1, 1, 16), (1, 5, 128), (3, 2, 1_024), (1, 2, 65_536)] {
            let report = flow_against_sink(Shape::Fan, publishers, subscribers, size).unwrap();
            let published = figure(&report, "published");
            assert!(published > 0, "{report}");
            assert_eq!(figure(&report, "messages"), published * subscribers as u64, "{report}");
        }
    }

    #[test]
    fn publishing_to_nobody_ends_with_the_confirmation() {
        let report = flow_against_sink(Shape::Pub, 2, 1, 128).unwrap();
        assert!(figure(&report, "published") > 0);
        assert_eq!(figure(&report, "messages"), figure(&report, "published"));
    }

    #[test]
    fn messages_that_nobody_asked_for_fail_the_run() {
        // The sink has no subjects: each of the two pairs hears the other one too.
        let failure = flow_against_sink(Shape::Pairs, 2, 2, 128).unwrap_err();
        assert!(matches!(failure, Failure::Excess { .. } | Failure::Protocol(_)), "{failure}");
    }

    #[test]
    fn a_server_that_hangs_up_fails_the_run() {
        // The sink refuses queue groups.
        let failure = flow_against_sink(Shape::Queue, 1, 2, 128).unwrap_err();
        assert!(matches!(failure, Failure::Closed { .. }), "{failure}");
    }
}
