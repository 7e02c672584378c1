//! Protocol lines for the log, while tracing is on (reference: operations 5.5). Off, it costs one test of a flag.

use crate::codec::{client::Frame, route};
use crate::conn::{Kind, Sub};
use crate::engine::{Engine, Settings, TRACE_BYTES_MAX};
use crate::event::{Event, Heading};

/// The empty line after a header block, which no log shows.
const BLOCK_END_BYTES: usize = 4;
const CUT: &[u8] = b"...";

impl Engine {
    pub(crate) fn trace_in(&mut self, slot: u32, frame: &Frame<'_>) {
        let Some(line) = describe(frame) else { return };
        let body = match frame {
            Frame::Publish(p) => traced_body(&self.settings, p.header_bytes, p.body),
            _ => None,
        };
        self.push_trace(slot, Heading::In, line, body);
    }

    /// `raw` is what `frame` was read from. CONNECT may have credentials in it, which no log shows.
    pub(crate) fn trace_peer(&mut self, slot: u32, frame: &route::Frame<'_>, raw: &[u8]) {
        let line = raw.split(|&b| b == b'\r' || b == b'\n').next().unwrap_or(&[]).to_vec();
        let body = match frame {
            route::Frame::Ignored => return,
            route::Frame::Message(m) => traced_body(&self.settings, m.header_bytes, m.body),
            _ => None,
        };
        self.push_trace(slot, Heading::In, line, body);
    }

    /// `bytes` are protocol lines that were queued for the connection. INFO and statuses do not stand in the log.
    pub(crate) fn trace_out(&mut self, slot: u32, bytes: &[u8]) {
        let line = bytes.split(|&b| b == b'\r').next().unwrap_or(&[]);
        let line = match line.strip_prefix(b"-ERR '").and_then(|text| text.strip_suffix(b"'")) {
            Some(text) => [b"-ERR ", text].concat(),
            None if line.starts_with(b"INFO ") || line.starts_with(b"HMSG ") => return,
            None => line.strip_prefix(b"+").unwrap_or(line).to_vec(),
        };
        self.push_trace(slot, Heading::Out, line, None);
    }

    /// A client's subscription is gone, for whatever reason.
    #[cold]
    pub(crate) fn trace_end_of(&mut self, sub: &Sub) {
        if self.conns.get(sub.conn).is_some_and(|conn| conn.kind == Kind::Client) {
            self.push_trace(sub.conn, Heading::Within, [b"DELSUB ", &*sub.sid].concat(), None);
        }
    }

    fn push_trace(&mut self, slot: u32, heading: Heading, line: Vec<u8>, body: Option<Box<[u8]>>) {
        let Some(conn) = self.conns.get(slot).filter(|conn| conn.admission.cid != 0) else { return };
        self.events.push(Event::Trace { cid: conn.admission.cid, heading, line: traced_line(line), body });
    }
}

/// A line that is not too long to be reported.
pub(crate) fn traced_line(mut line: Vec<u8>) -> Box<[u8]> {
    line.truncate(TRACE_BYTES_MAX);
    line.into()
}

/// What is reported of the body of a message: of a long payload the beginning, or only the header block.
pub(crate) fn traced_body(settings: &Settings, header_bytes: Option<usize>, body: &[u8]) -> Option<Box<[u8]>> {
    let shown = match (settings.trace_headers, header_bytes) {
        (true, Some(bytes)) => body.get(..bytes.checked_sub(BLOCK_END_BYTES)?)?,
        (true, None) => return None,
        (false, _) => body,
    };
    if shown.is_empty() {
        return None;
    }
    let most =
        if settings.trace_body_max == 0 { TRACE_BYTES_MAX } else { settings.trace_body_max.min(TRACE_BYTES_MAX) };
    match shown.get(..most).filter(|start| start.len() < shown.len()) {
        Some(start) => Some([start, CUT].concat().into()),
        None => Some(shown.into()),
    }
}

/// The line as the log shows it, for those that it shows.
fn describe(frame: &Frame<'_>) -> Option<Vec<u8>> {
    Some(match frame {
        Frame::Publish(p) => {
            let verb: &[u8] = if p.header_bytes.is_some() { b"HPUB" } else { b"PUB" };
            let mut parts = vec![verb, p.subject];
            if !p.reply.is_empty() {
                parts.push(p.reply);
            }
            parts.push(p.sizes);
            parts.join(&b' ')
        }
        Frame::Subscribe { subject, queue, sid } => {
            let mut parts = vec![&b"SUB"[..], subject];
            parts.extend(queue);
            parts.push(sid);
            parts.join(&b' ')
        }
        Frame::Unsubscribe { sid, max: 0 } => [b"UNSUB", *sid].join(&b' '),
        Frame::Unsubscribe { sid, max } => [b"UNSUB", *sid, max.to_string().as_bytes()].join(&b' '),
        Frame::Ping => b"PING".to_vec(),
        Frame::Pong => b"PONG".to_vec(),
        Frame::Err(text) => [b"-ERR", *text].join(&b' '),
        // The control plane traces CONNECT itself, with secrets taken out.
        Frame::Connect(_) | Frame::Info(_) | Frame::Ok => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(settings: &Settings, header_bytes: Option<usize>, body: &[u8], want: Option<&[u8]>) {
        assert_eq!(traced_body(settings, header_bytes, body).as_deref(), want);
    }

    #[test]
    fn a_payload_is_cut_and_says_so() {
        let settings = Settings { trace_body_max: 4, ..Settings::default() };
        expect(&settings, None, b"hello", Some(b"hell..."));
        expect(&settings, None, b"hell", Some(b"hell"));
        expect(&settings, None, b"", None);
        expect(&settings, Some(12), b"NATS/1.0\r\n\r\n", Some(b"NATS..."));
    }

    #[test]
    fn without_a_limit_much_is_shown_but_not_everything() {
        let long = vec![b'x'; TRACE_BYTES_MAX + 1];
        let shown = traced_body(&Settings::default(), None, &long).map(|shown| shown.len());
        assert_eq!(shown, Some(TRACE_BYTES_MAX + CUT.len()));
        expect(&Settings::default(), None, b"hello", Some(b"hello"));
    }

    #[test]
    fn headers_stand_for_the_payload() {
        let settings = Settings { trace_headers: true, ..Settings::default() };
        expect(&settings, Some(18), b"NATS/1.0\r\nA: b\r\n\r\npayload", Some(b"NATS/1.0\r\nA: b\r\n"[..14].into()));
        expect(&settings, None, b"payload", None);
        expect(&settings, Some(0), b"payload", None);
        expect(&settings, Some(99), b"short", None);
    }
}
