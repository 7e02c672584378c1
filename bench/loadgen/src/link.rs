//! One client connection over TCP, TLS or WebSocket: opened blocking, used without blocking.

use std::io::{self, Read, Write};
use std::net::{IpAddr, SocketAddr, TcpStream};
use std::os::fd::{AsRawFd, RawFd};
use std::sync::Arc;
use std::time::Duration;

use rustls::ClientConfig;
use rustls_pki_types::ServerName;

use crate::failure::{Failure, Result};
use crate::{tls, wire, ws};

/// Bytes that one read may take from a socket.
pub const READ_BYTES: usize = 512 * 1024;
const HANDSHAKE_TIMEOUT: Duration = Duration::from_secs(20);
const GREETING_BYTES_MAX: usize = 64 * 1024;

/// How bytes travel.
#[derive(Clone)]
pub enum Transport {
    /// Plain TCP.
    Tcp,
    /// TLS after the server's INFO.
    Tls(Arc<ClientConfig>),
    /// WebSocket without TLS.
    Ws,
}

/// Where to connect to.
#[derive(Clone)]
pub struct Target {
    /// The server's listener.
    pub address: SocketAddr,
    /// What it speaks.
    pub transport: Transport,
}

/// Where the two ends of a load connect to: one server, unless a cluster is measured.
#[derive(Clone)]
pub struct Sites {
    /// Where publishers and requesters are.
    pub near: Target,
    /// Where subscribers and responders are.
    pub far: Target,
}

enum Layer {
    Plain,
    Tls(Box<tls::Session>),
    Ws(ws::FrameReader),
}

/// Whether a socket may hold more than a read took.
#[derive(Clone, Copy, PartialEq, Eq)]
pub enum Remains {
    /// Nothing was left; readiness will be reported again.
    Nothing,
    /// There may be more; read again.
    Maybe,
}

/// An open connection that the server has accepted.
pub struct Link {
    stream: TcpStream,
    layer: Layer,
    role: &'static str,
}

impl Link {
    /// Connects, says hello and waits for the PONG; from then on the socket does not block.
    pub fn connect(target: &Target, role: &'static str) -> Result<Link> {
        let stream = TcpStream::connect_timeout(&target.address, HANDSHAKE_TIMEOUT).map_err(Failure::io("connect"))?;
        stream.set_nodelay(true).map_err(Failure::io("TCP_NODELAY"))?;
        stream.set_read_timeout(Some(HANDSHAKE_TIMEOUT)).map_err(Failure::io("SO_RCVTIMEO"))?;
        let mut link = Link { stream, layer: Layer::Plain, role };
        let mut greeting = Vec::new();
        if let Transport::Ws = target.transport {
            link.upgrade(target.address, &mut greeting)?;
        }
        link.read_until(&mut greeting, b"\r\n")?;
        if !greeting.starts_with(b"INFO ") {
            return Err(unexpected(&greeting));
        }
        if let Transport::Tls(config) = &target.transport {
            link.handshake(config, target.address.ip())?;
        }
        link.send_all(&wire::hello(matches!(target.transport, Transport::Tls(_))))?;
        greeting.clear();
        link.read_until(&mut greeting, b"PONG\r\n")?;
        link.stream.set_nonblocking(true).map_err(Failure::io("set_nonblocking"))?;
        Ok(link)
    }

    /// Reads once and hands the protocol's bytes to `take`.
    pub fn read(&mut self, scratch: &mut [u8], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<Remains> {
        let room = match &mut self.layer {
            Layer::Tls(session) => session.incoming(),
            _ => scratch,
        };
        let wanted = room.len();
        let length = match self.stream.read(room) {
            Ok(0) => return Err(Failure::Closed { role: self.role }),
            Ok(length) => length,
            Err(error) if would_wait(&error) => return Ok(Remains::Nothing),
            Err(error) if error.kind() == io::ErrorKind::ConnectionReset => {
                return Err(Failure::Closed { role: self.role })
            }
            Err(error) => return Err(Failure::io("receive")(error)),
        };
        match &mut self.layer {
            Layer::Plain => take(&scratch[..length])?,
            Layer::Ws(reader) => reader.feed(&scratch[..length], take)?,
            Layer::Tls(session) => {
                session.received(length);
                session.advance(take)?;
            }
        }
        Ok(if length == wanted { Remains::Maybe } else { Remains::Nothing })
    }

    /// Sends what the socket takes now of bytes that are already framed for this transport, and returns how much that was.
    pub fn try_send(&mut self, framed: &[u8]) -> Result<usize> {
        if !self.flush()? {
            return Ok(0);
        }
        if let Layer::Tls(session) = &mut self.layer {
            let length = session.encrypt(framed)?;
            self.flush()?;
            return Ok(length);
        }
        write_some(&self.stream, framed, self.role)
    }

    /// Sends what the TLS layer still holds; true when nothing is left.
    pub fn flush(&mut self) -> Result<bool> {
        let Layer::Tls(session) = &mut self.layer else {
            return Ok(true);
        };
        while !session.outgoing().is_empty() {
            let length = write_some(&self.stream, session.outgoing(), self.role)?;
            if length == 0 {
                return Ok(false);
            }
            session.sent(length);
        }
        Ok(true)
    }

    /// The bytes as this transport frames them.
    pub fn framed(&self, plain: &[u8]) -> Vec<u8> {
        let mut framed = Vec::new();
        match &self.layer {
            Layer::Ws(_) => ws::append_masked(plain, &mut framed),
            _ => framed.extend_from_slice(plain),
        }
        framed
    }

    /// Frames that the transport itself owes the server.
    pub fn take_answers(&mut self) -> Vec<u8> {
        match &mut self.layer {
            Layer::Ws(reader) => std::mem::take(&mut reader.answers),
            _ => Vec::new(),
        }
    }

    /// Sends protocol lines completely, waiting for room if need be.
    pub fn send_all(&mut self, plain: &[u8]) -> Result<()> {
        let framed = self.framed(plain);
        let mut rest = &framed[..];
        loop {
            let length = self.try_send(rest)?;
            rest = &rest[length..];
            if rest.is_empty() && self.flush()? {
                return Ok(());
            }
            if length == 0 {
                self.wait_writable()?;
            }
        }
    }

    /// Waits until there is something to read.
    pub fn wait_readable(&self) -> Result<()> {
        self.wait_for(libc::POLLIN, "receive")
    }

    fn wait_writable(&self) -> Result<()> {
        self.wait_for(libc::POLLOUT, "send")
    }

    fn wait_for(&self, events: libc::c_short, doing: &'static str) -> Result<()> {
        let mut poll = libc::pollfd { fd: self.stream.as_raw_fd(), events, revents: 0 };
        // SAFETY: one pollfd on this stack, and the descriptor is open.
        let ready = unsafe { libc::poll(&mut poll, 1, HANDSHAKE_TIMEOUT.as_millis() as i32) };
        if ready == 0 {
            return Err(Failure::io(doing)(io::ErrorKind::TimedOut.into()));
        }
        Ok(())
    }

    /// Reads what the server says while the connection is being set up, until it contains `mark`.
    fn read_until(&mut self, seen: &mut Vec<u8>, mark: &[u8]) -> Result<()> {
        let mut scratch = [0; 4096];
        while !seen.windows(mark.len()).any(|window| window == mark) {
            if seen.starts_with(b"-ERR") || seen.len() > GREETING_BYTES_MAX {
                return Err(unexpected(seen));
            }
            let before = seen.len();
            let remains = self.read(&mut scratch, |bytes| {
                seen.extend_from_slice(bytes);
                Ok(())
            })?;
            if seen.len() == before && remains == Remains::Nothing && matches!(self.layer, Layer::Plain) {
                return Err(Failure::io("waiting for the server's greeting")(io::ErrorKind::TimedOut.into()));
            }
        }
        Ok(())
    }

    fn upgrade(&mut self, address: SocketAddr, greeting: &mut Vec<u8>) -> Result<()> {
        self.send_all(ws::upgrade_request(&address.to_string()).as_bytes())?;
        let mut answer = Vec::new();
        self.read_until(&mut answer, b"\r\n\r\n")?;
        let text = String::from_utf8_lossy(&answer);
        let end = text.find("\r\n\r\n").map_or(text.len(), |at| at + 4);
        ws::check_upgrade(&text[..end])?;
        let mut reader = ws::FrameReader::default();
        reader.feed(&answer[end..], |bytes| {
            greeting.extend_from_slice(bytes);
            Ok(())
        })?;
        self.layer = Layer::Ws(reader);
        Ok(())
    }

    fn handshake(&mut self, config: &Arc<ClientConfig>, host: IpAddr) -> Result<()> {
        let mut session = tls::Session::new(config.clone(), ServerName::IpAddress(host.into()))?;
        loop {
            session.advance(|_| Ok(()))?;
            while !session.outgoing().is_empty() {
                let length = write_some(&self.stream, session.outgoing(), self.role)?;
                session.sent(length);
            }
            if session.established() {
                break;
            }
            let length = self.stream.read(session.incoming()).map_err(Failure::io("TLS handshake"))?;
            if length == 0 {
                return Err(Failure::Tls("the server hung up during the handshake".into()));
            }
            session.received(length);
        }
        self.layer = Layer::Tls(Box::new(session));
        Ok(())
    }
}

impl AsRawFd for Link {
    fn as_raw_fd(&self) -> RawFd {
        self.stream.as_raw_fd()
    }
}

fn unexpected(bytes: &[u8]) -> Failure {
    Failure::Protocol(format!("{:?} during the handshake", String::from_utf8_lossy(&bytes[..bytes.len().min(200)])))
}

fn would_wait(error: &io::Error) -> bool {
    matches!(error.kind(), io::ErrorKind::WouldBlock | io::ErrorKind::Interrupted)
}

fn write_some(mut stream: &TcpStream, bytes: &[u8], role: &'static str) -> Result<usize> {
    match stream.write(bytes) {
        Ok(length) => Ok(length),
        Err(error) if would_wait(&error) => Ok(0),
        Err(error) if matches!(error.kind(), io::ErrorKind::BrokenPipe | io::ErrorKind::ConnectionReset) => {
            Err(Failure::Closed { role })
        }
        Err(error) => Err(Failure::io("send")(error)),
    }
}
