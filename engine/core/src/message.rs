//! A message on its way to receivers.

use crate::codec::client::Publish;
use crate::conn::{Conn, Kind};

/// A message on its way to receivers.
#[derive(Clone, Copy)]
pub(crate) struct Message<'a> {
    pub from: u32,
    pub from_cid: u64,
    pub from_kind: Kind,
    /// The only queue groups to serve, of a message that another server sent; without it all.
    pub named: Option<&'a [u8]>,
    pub echo: bool,
    pub account: u32,
    pub subject: &'a [u8],
    pub reply: &'a [u8],
    pub header_bytes: Option<usize>,
    pub sizes: &'a [u8],
    pub body: &'a [u8],
    /// `[reply ]sizes\r\nbody\r\n`
    pub tail: &'a [u8],
    /// Where `tail` starts in the input buffer, when it may be borrowed from there.
    pub borrow_at: Option<usize>,
    pub now_ns: u64,
}

impl<'a> Message<'a> {
    /// What a client publishes to `subject`, without the bytes that receivers get as they are.
    #[inline]
    pub(crate) fn of(slot: u32, conn: &Conn, p: &Publish<'a>, subject: &'a [u8], now_ns: u64) -> Self {
        Self {
            from: slot,
            from_cid: conn.admission.cid,
            from_kind: conn.kind,
            named: None,
            echo: conn.admission.wishes.echo,
            account: conn.admission.account,
            subject,
            reply: p.reply,
            header_bytes: p.header_bytes,
            sizes: &[],
            body: p.body,
            tail: &[],
            borrow_at: None,
            now_ns,
        }
    }

    /// It answers a request that crossed from another account.
    pub(crate) fn is_answer(&self) -> bool {
        self.subject.starts_with(b"_R_.")
    }
}

pub(crate) fn push_tail(out: &mut Vec<u8>, reply: &[u8], sizes: &[u8], body: &[u8]) {
    if !reply.is_empty() {
        out.extend_from_slice(reply);
        out.push(b' ');
    }
    // However the client separated the two sizes, receivers get one blank.
    let mut parts = sizes.split(|&b| b == b' ' || b == b'\t').filter(|part| !part.is_empty());
    if let Some(first) = parts.next() {
        out.extend_from_slice(first);
    }
    for part in parts {
        out.push(b' ');
        out.extend_from_slice(part);
    }
    out.extend_from_slice(b"\r\n");
    out.extend_from_slice(body);
    out.extend_from_slice(b"\r\n");
}

/// The message as a receiver without header support gets it. The size text of a message with empty header is kept.
pub(crate) fn push_without_header(conn: &mut Conn, message: &Message<'_>, reply: &[u8], header_bytes: usize) {
    let body = message.body.get(header_bytes..).unwrap_or(&[]);
    let size = if header_bytes == 0 {
        let text = message.sizes.rsplit(|&b| b == b' ' || b == b'\t').next().unwrap_or(&[]);
        text.to_vec()
    } else {
        body.len().to_string().into_bytes()
    };
    let mut tail = Vec::with_capacity(reply.len() + size.len() + body.len() + 5);
    push_tail(&mut tail, reply, &size, body);
    conn.out.push(&tail);
}

/// Whether a queue group is among those that a message names.
pub(crate) fn names(queues: &[u8], queue: &[u8]) -> bool {
    queues.split(|&b| b == b' ' || b == b'\t').any(|name| name == queue)
}
