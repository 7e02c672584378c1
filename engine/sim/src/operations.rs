//! What clients say, and in how many ways they spell it.

use crate::chance::Chance;
use crate::output::payload;

/// Something a client does by sending bytes.
#[derive(Debug, Clone)]
pub enum Operation {
    Subscribe {
        subject: Vec<u8>,
        queue: Option<Vec<u8>>,
        sid: Vec<u8>,
    },
    Unsubscribe {
        sid: Vec<u8>,
        max: u64,
    },
    Publish(Message),
    Ping,
    Pong,
    Connect,
    /// Something that changes nothing.
    Idle(&'static [u8]),
    /// Something that ends the connection, and what it is told.
    Wrong(&'static [u8], Option<&'static str>),
}

/// A message as its publisher made it.
#[derive(Clone)]
pub struct Message {
    pub number: Option<u64>,
    pub subject: Vec<u8>,
    pub reply: Vec<u8>,
    /// Bytes of header, if it was sent with HPUB.
    pub header_bytes: Option<usize>,
    pub body: Vec<u8>,
    /// The sizes as text: of the header, if there is one, and of everything.
    pub sizes: (String, String),
}

impl std::fmt::Debug for Message {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).into_owned();
        let (subject, reply) = (text(&self.subject), text(&self.reply));
        let (number, header, bytes) = (self.number, self.header_bytes, self.body.len());
        write!(f, "message {number:?} on {subject} with reply {reply:?}, header {header:?}, {bytes} bytes")
    }
}

const TOKENS: [&str; 3] = ["a", "b", "c"];
const HEADER: &[u8] = b"NATS/1.0\r\nName: value\r\n\r\n";

/// A subject to publish to.
pub fn literal_subject(chance: &mut Chance) -> Vec<u8> {
    if chance.percent(3) {
        let odd = ["_R_.a", "_GR_.a", "$JS.ACK.a", "$NRG.a", "$SYS.a", "a..b", ".a", "a.", "a.*", "a.>", "*"];
        return odd[chance.below(odd.len())].into();
    }
    let tokens: Vec<&str> = (0..chance.between(1, 4)).map(|_| TOKENS[chance.below(3)]).collect();
    tokens.join(".").into_bytes()
}

/// A subject to subscribe to, mostly a valid one.
pub fn requested_subject(chance: &mut Chance) -> Vec<u8> {
    match chance.below(40) {
        0 => ["a..b", ".a", "a.", "a.>.b", ">.a"][chance.below(5)].into(),
        1 => ["_R_.>", "$SYS.>", "_GR_.a"][chance.below(3)].into(),
        _ => pattern(chance),
    }
}

/// A valid subject with or without wildcards.
pub fn pattern(chance: &mut Chance) -> Vec<u8> {
    let mut tokens: Vec<&str> =
        (0..chance.between(1, 4)).map(|_| if chance.percent(25) { "*" } else { TOKENS[chance.below(3)] }).collect();
    if chance.percent(25) {
        tokens.push(">");
    }
    if tokens.len() > 1 && chance.percent(5) {
        tokens = vec![">"];
    }
    tokens.join(".").into_bytes()
}

/// What the operations of a run are made of.
#[derive(Debug, Clone, Copy)]
pub struct Taste {
    /// Every message has its number; without, some are empty.
    pub numbered: bool,
    /// Largest payload.
    pub payload_max: usize,
    /// Chance in a thousand to do something wrong.
    pub wrong_permille: usize,
}

/// Something to do, and the bytes that do it. `next_number` counts messages.
pub fn operation(chance: &mut Chance, taste: Taste, next_number: &mut u64) -> (Operation, Vec<u8>) {
    if chance.below(1000) < taste.wrong_permille {
        return wrong(chance);
    }
    let operation = match chance.below(100) {
        0..55 => Operation::Publish(message(chance, taste, next_number)),
        55..75 => Operation::Subscribe {
            subject: requested_subject(chance),
            queue: chance.percent(40).then(|| chance.pick(&["q1", "q2", "q.x", "_sys_"]).as_bytes().to_vec()),
            sid: sid(chance),
        },
        75..88 => Operation::Unsubscribe { sid: sid(chance), max: [0, 0, 1, 2, 5][chance.below(5)] },
        88..94 => Operation::Ping,
        94..97 => Operation::Pong,
        97 => Operation::Connect,
        _ => Operation::Idle(chance.pick(&[&b"+OK\r\n"[..], b"info {}\r\n", b"INFO {\"a\":1}\r\n", b"UNSUB 9999\r\n"])),
    };
    let bytes = spell(chance, &operation);
    (operation, bytes)
}

fn sid(chance: &mut Chance) -> Vec<u8> {
    chance.below(12).to_string().into_bytes()
}

fn message(chance: &mut Chance, taste: Taste, next_number: &mut u64) -> Message {
    let size = match chance.below(10) {
        0..6 => chance.below(40),
        6..9 => chance.below(taste.payload_max.min(1500)),
        _ => chance.below(taste.payload_max),
    };
    *next_number += 1;
    let number = (taste.numbered || chance.percent(90)).then_some(*next_number);
    let payload = number.map(|number| payload(number, size)).unwrap_or_default();
    let header_bytes = chance.percent(25).then(|| if chance.percent(10) { 0 } else { HEADER.len() });
    let body = [&HEADER[..header_bytes.unwrap_or(0)], &payload].concat();
    let mut text = |size: usize| if chance.percent(5) { format!("0{size}") } else { size.to_string() };
    let sizes = (text(header_bytes.unwrap_or(0)), text(body.len()));
    let reply = match chance.below(10) {
        0..7 => Vec::new(),
        7 => literal_subject(chance),
        _ => format!("r.{}", chance.below(4)).into_bytes(),
    };
    Message { number, subject: literal_subject(chance), reply, header_bytes, body, sizes }
}

fn spell(chance: &mut Chance, operation: &Operation) -> Vec<u8> {
    let mut words: Vec<&[u8]> = Vec::new();
    let max_text;
    match operation {
        Operation::Subscribe { subject, queue, sid } => {
            words.extend([b"SUB".as_slice(), subject]);
            words.extend(queue.as_deref());
            words.push(sid);
        }
        Operation::Unsubscribe { sid, max } => {
            max_text = max.to_string();
            words.extend([b"UNSUB".as_slice(), sid]);
            if *max > 0 || chance.percent(10) {
                words.push(max_text.as_bytes());
            }
        }
        Operation::Publish(message) => {
            words.push(if message.header_bytes.is_some() { b"HPUB" } else { b"PUB" });
            words.push(&message.subject);
            if !message.reply.is_empty() {
                words.push(&message.reply);
            }
            if message.header_bytes.is_some() {
                words.push(message.sizes.0.as_bytes());
            }
            words.push(message.sizes.1.as_bytes());
        }
        Operation::Ping => words.push(b"PING"),
        Operation::Pong => words.push(b"PONG"),
        Operation::Connect => words.extend([b"CONNECT".as_slice(), b"{\"a\":1}"]),
        Operation::Idle(bytes) | Operation::Wrong(bytes, _) => return bytes.to_vec(),
    }
    let odd = chance.percent(10);
    let mut bytes = Vec::new();
    for (at, word) in words.iter().enumerate() {
        if at > 0 {
            bytes.extend_from_slice(if odd { chance.pick(&[&b" "[..], b"\t", b"   "]) } else { b" " });
        }
        if at == 0 && odd && chance.percent(50) {
            bytes.extend(word.to_ascii_lowercase());
        } else {
            bytes.extend_from_slice(word);
        }
    }
    if odd && words.len() > 1 && chance.percent(50) {
        bytes.push(b' ');
    }
    bytes.extend_from_slice(if odd && chance.percent(30) { b"\n" } else { b"\r\n" });
    if let Operation::Publish(message) = operation {
        bytes.extend_from_slice(&message.body);
        bytes.extend_from_slice(b"\r\n");
    }
    bytes
}

fn wrong(chance: &mut Chance) -> (Operation, Vec<u8>) {
    use natsfleet_core::errors as e;
    let wrongs: [(&[u8], Option<&str>); 8] = [
        (b"NONSENSE\r\n", Some(e::UNKNOWN_PROTOCOL_OPERATION)),
        (b"\r\n", Some(e::UNKNOWN_PROTOCOL_OPERATION)),
        (b"PUB a 1\r\nxyz\r\n", Some(e::UNKNOWN_PROTOCOL_OPERATION)),
        (b"PUB a\r\n", None),
        (b"SUB a\r\n", None),
        (b"HPUB a 9 1\r\n", None),
        (b"PUB a 999999999\r\n", Some(e::MAXIMUM_PAYLOAD_VIOLATION)),
        (b"-ERR 'mine'\r\n", None),
    ];
    let (bytes, text) = wrongs[chance.below(wrongs.len())];
    (Operation::Wrong(bytes, text), bytes.to_vec())
}
