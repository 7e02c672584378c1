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

const INFO: &[u8] =
    b"INFO {\"server_id\":\"SINK\",\"version\":\"0.0.0\",\"proto\":1,\"max_payload\":1048576}\r\n";
const LISTENER: usize = usize::MAX;

/// Serves on a port of 127.0.0.1 (0: any free one) for the given time; prints `{"port": N}` when it listens.
pub fn run(port: u16, size: usize, lifetime: Duration) -> Result<()> {
    let listener = TcpListener::bind((Ipv4Addr::LOCALHOST, port)).map_err(Failure::io("bind"))?;
    listener
        .set_nonblocking(true)
        .map_err(Failure::io("set_nonblocking"))?;
    let port = listener
        .local_addr()
        .map_err(Failure::io("local_addr"))?
        .port();
    println!("{{\"port\": {port}}}");
    io::stdout().flush().map_err(Failure::io("stdout"))?;
    let mut epoll = Epoll::new()?;
    epoll.watch(&listener, LISTENER)?;
    let mut sink = Sink {
        size,
        published: 0,
        peers: Vec::new(),
        scratch: vec![0; READ_BYTES],
    };
    let end = Instant::now() + lifetime;
    let mut busy = false;
    while Instant::now() < end {
        let wait = if busy {
            Duration::ZERO
        } else {
            Duration::from_millis(200)
        };
        let mut accept = false;
        let peers = &mut sink.peers;
        epoll.wait(wait, |ready| match peers.get_mut(ready.token) {
            Some(Some(peer)) => {
                peer.readable |= ready.readable;
                peer.writable |= ready.writable;
            }
            _ => accept |= ready.token == LISTENER,
        })?;
        if accept {
            sink.accept(&listener, &epoll)?;
        }
        busy = sink.turn();
    }
    Ok(())
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
            stream
                .set_nonblocking(true)
                .map_err(Failure::io("set_nonblocking"))?;
            stream
                .set_nodelay(true)
                .map_err(Failure::io("TCP_NODELAY"))?;
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
            let (Some(subject), Some(sid), None) = (words.next(), words.next(), words.next())
            else {
                return Err(Failure::Protocol(format!(
                    "the sink does not serve {line:?}"
                )));
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
            let owed = (published - delivery.published_before) * delivery.burst.unit_bytes()
                - delivery.written;
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
