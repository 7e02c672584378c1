//! Protocol lines for the log, while tracing is on (reference: operations 5.5). Off, it costs one test of a flag.

use crate::codec::client::Frame;
use crate::engine::{Engine, TRACE_BYTES_MAX};
use crate::event::Event;

impl Engine {
    pub(crate) fn trace_in(&mut self, slot: u32, frame: &Frame<'_>) {
        let (line, body) = describe(frame);
        self.push_trace(slot, true, line, body);
    }

    /// `bytes` are protocol lines that were queued for the connection.
    pub(crate) fn trace_out(&mut self, slot: u32, bytes: &[u8]) {
        let line = bytes.split(|&b| b == b'\r').next().unwrap_or(&[]);
        self.push_trace(slot, false, line.to_vec(), None);
    }

    fn push_trace(&mut self, slot: u32, inbound: bool, mut line: Vec<u8>, body: Option<&[u8]>) {
        let Some(conn) = self.conns.get(slot).filter(|conn| conn.admission.cid != 0) else { return };
        line.truncate(TRACE_BYTES_MAX);
        let body = body.map(|b| b.get(..b.len().min(TRACE_BYTES_MAX)).unwrap_or(&[]).into());
        self.events.push(Event::Trace { cid: conn.admission.cid, inbound, line: line.into(), body });
    }
}

fn describe<'a>(frame: &Frame<'a>) -> (Vec<u8>, Option<&'a [u8]>) {
    match frame {
        Frame::Publish(p) => {
            let verb: &[u8] = if p.header_bytes.is_some() { b"HPUB" } else { b"PUB" };
            let mut parts = vec![verb, p.subject];
            if !p.reply.is_empty() {
                parts.push(p.reply);
            }
            parts.push(p.sizes);
            (parts.join(&b' '), Some(p.body))
        }
        Frame::Subscribe { subject, queue, sid } => {
            let mut parts = vec![&b"SUB"[..], subject];
            parts.extend(queue);
            parts.push(sid);
            (parts.join(&b' '), None)
        }
        Frame::Unsubscribe { sid, max: 0 } => ([b"UNSUB", *sid].join(&b' '), None),
        Frame::Unsubscribe { sid, max } => ([b"UNSUB", *sid, max.to_string().as_bytes()].join(&b' '), None),
        Frame::Ping => (b"PING".to_vec(), None),
        Frame::Pong => (b"PONG".to_vec(), None),
        // The control plane traces CONNECT itself, with secrets taken out.
        Frame::Connect(_) => (b"CONNECT".to_vec(), None),
        Frame::Info(json) => ([b"INFO", *json].join(&b' '), None),
        Frame::Ok => (b"+OK".to_vec(), None),
        Frame::Err(text) => ([b"-ERR", *text].join(&b' '), None),
    }
}
