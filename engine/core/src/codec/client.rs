//! What a client may send, one frame at a time (reference: wire protocol 0.1, 0.2, 1.2).
//!
//! `next_frame` looks at a buffer that starts at a frame boundary. It never keeps state between calls, so any chunking
//! gives the same frames: an incomplete frame is reported with the number of bytes that it needs at least.

/// A frame as slices of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `PUB` or `HPUB`.
    Publish(Publish<'a>),
    /// `SUB subject [queue] sid`.
    Subscribe {
        /// Requested subject, unchecked.
        subject: &'a [u8],
        /// Queue group, if named.
        queue: Option<&'a [u8]>,
        /// The client's name for the subscription.
        sid: &'a [u8],
    },
    /// `UNSUB sid [max]`; an unreadable `max` is 0.
    Unsubscribe {
        /// The client's name for the subscription.
        sid: &'a [u8],
        /// Deliveries after which it ends; 0 ends it now.
        max: u64,
    },
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
    /// `CONNECT json`
    Connect(&'a [u8]),
    /// `INFO json`
    Info(&'a [u8]),
    /// `+OK`
    Ok,
    /// `-ERR text`
    Err(&'a [u8]),
}

/// A published message.
#[derive(Debug, PartialEq, Eq)]
pub struct Publish<'a> {
    /// Subject as sent, unchecked.
    pub subject: &'a [u8],
    /// Reply subject, empty when there is none.
    pub reply: &'a [u8],
    /// Header bytes at the start of `body`; `None` for `PUB`.
    pub header_bytes: Option<usize>,
    /// Sizes as text, exactly as the client wrote them (`"3"`, or `"12 15"` for headers).
    pub sizes: &'a [u8],
    /// Header block and payload, without the final CRLF.
    pub body: &'a [u8],
    /// Everything after the subject, ready to be forwarded (`[reply ]sizes\r\nbody\r\n`), when the client wrote it canonically.
    pub tail: Option<&'a [u8]>,
}

/// Why the input cannot be understood.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Fault {
    /// Not a verb, or a payload that does not end where it said.
    UnknownOperation,
    /// The control line is over its limit.
    ControlLine,
    /// The payload is over its limit.
    Payload(u64),
    /// The verb's arguments are wrong: closes without a word.
    Arguments,
    /// Headers were not agreed: closes without a word.
    Headers,
}

/// The outcome of looking at a buffer.
#[derive(Debug, PartialEq, Eq)]
pub enum Next<'a> {
    /// A whole frame, and how many bytes it took.
    Frame(Frame<'a>, usize),
    /// At least this many bytes in all are needed to say more.
    Need(usize),
    /// The connection cannot go on.
    Fault(Fault),
}

/// What a connection may send.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of arguments on a control line.
    pub control_line_max: usize,
    /// Bytes of header and payload; `u64::MAX` is unlimited.
    pub payload_max: u64,
    /// `HPUB` may be used.
    pub headers: bool,
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Pub,
    Hpub,
    Sub,
    Unsub,
    Ping,
    Pong,
    Connect,
    Info,
    Ok,
    Err,
}

/// How a verb ends: some need a blank before their arguments, others ignore what follows.
const VERBS: [(&[u8], Verb, bool); 10] = [
    (b"PUB", Verb::Pub, true),
    (b"HPUB", Verb::Hpub, true),
    (b"SUB", Verb::Sub, true),
    (b"UNSUB", Verb::Unsub, true),
    (b"PING", Verb::Ping, false),
    (b"PONG", Verb::Pong, false),
    (b"CONNECT", Verb::Connect, true),
    (b"INFO", Verb::Info, true),
    (b"+OK", Verb::Ok, false),
    (b"-ERR", Verb::Err, true),
];

enum Seen {
    Verb(Verb, usize),
    Prefix,
    Unknown,
}

#[inline]
pub(super) fn is_blank(b: u8) -> bool {
    b == b' ' || b == b'\t'
}

/// Recognises the verb at the start of `input`, and where its arguments begin.
#[inline]
fn verb(input: &[u8]) -> Seen {
    if input.len() >= 4 && &input[..4] == b"PUB " {
        return Seen::Verb(Verb::Pub, 4);
    }
    let mut prefix = false;
    for (name, verb, blank_needed) in VERBS {
        let shared = input.len().min(name.len());
        if !input[..shared].eq_ignore_ascii_case(&name[..shared]) {
            continue;
        }
        if shared < name.len() {
            prefix = true;
            continue;
        }
        return match input.get(name.len()) {
            _ if !blank_needed => Seen::Verb(verb, name.len()),
            Some(&b) if is_blank(b) => Seen::Verb(verb, name.len() + 1),
            Some(_) => Seen::Unknown,
            None => Seen::Prefix,
        };
    }
    if prefix {
        Seen::Prefix
    } else {
        Seen::Unknown
    }
}

/// Splits a control line's arguments; more than `N` of them is an error.
#[inline]
pub(super) fn split<const N: usize>(line: &[u8]) -> Option<([&[u8]; N], usize)> {
    let mut args: [&[u8]; N] = [&[]; N];
    let mut count = 0;
    let mut at = 0;
    while at < line.len() {
        if is_blank(line[at]) {
            at += 1;
            continue;
        }
        let start = at;
        while at < line.len() && !is_blank(line[at]) {
            at += 1;
        }
        *args.get_mut(count)? = &line[start..at];
        count += 1;
    }
    Some((args, count))
}

/// One to nine digits, no sign.
#[inline]
pub(super) fn number(text: &[u8]) -> Option<u64> {
    if text.is_empty() || text.len() > 9 {
        return None;
    }
    let mut value = 0u64;
    for &b in text {
        let digit = b.wrapping_sub(b'0');
        if digit > 9 {
            return None;
        }
        value = value * 10 + u64::from(digit);
    }
    Some(value)
}

/// The next frame of `input`.
#[inline]
pub fn next_frame<'a>(input: &'a [u8], limits: &Limits) -> Next<'a> {
    if let Some(usual) = usual_publish(input, limits) {
        return usual;
    }
    let (verb, args_at) = match verb(input) {
        Seen::Verb(verb, at) => (verb, at),
        Seen::Prefix => return Next::Need(input.len() + 1),
        Seen::Unknown => return Next::Fault(Fault::UnknownOperation),
    };
    let rest = &input[args_at..];
    let Some(newline) = memchr::memchr(b'\n', rest) else {
        let blanks = rest.iter().take_while(|&&b| is_blank(b)).count();
        // One more than the limit may be a CR; bytes that are skipped anyway are bounded by it too.
        if rest.len() - blanks > limits.control_line_max + 1 || blanks > limits.control_line_max {
            return Next::Fault(Fault::ControlLine);
        }
        return Next::Need(input.len() + 1);
    };
    let after = args_at + newline + 1;
    let mut line = &rest[..newline];
    if let [head @ .., b'\r'] = line {
        line = head;
    }
    let blanks = line.iter().take_while(|&&b| is_blank(b)).count();
    line = &line[blanks..];
    // The same bounds as for a line that is still coming in, so that chunking makes no difference.
    if line.len() > limits.control_line_max || blanks > limits.control_line_max {
        return Next::Fault(Fault::ControlLine);
    }
    let frame = match verb {
        Verb::Pub => return publish::<3>(input, line, after, false, limits),
        Verb::Hpub => return publish::<4>(input, line, after, true, limits),
        Verb::Sub => match split::<3>(line) {
            Some(([subject, sid, _], 2)) => Frame::Subscribe { subject, queue: None, sid },
            Some(([subject, queue, sid], 3)) => Frame::Subscribe { subject, queue: Some(queue), sid },
            _ => return Next::Fault(Fault::Arguments),
        },
        Verb::Unsub => match split::<2>(line) {
            Some(([sid, _], 1)) => Frame::Unsubscribe { sid, max: 0 },
            Some(([sid, max], 2)) => Frame::Unsubscribe { sid, max: number(max).unwrap_or(0) },
            Some((_, 0)) => return Next::Fault(Fault::UnknownOperation),
            _ => return Next::Fault(Fault::Arguments),
        },
        Verb::Ping => Frame::Ping,
        Verb::Pong => Frame::Pong,
        Verb::Connect => Frame::Connect(line),
        Verb::Info => Frame::Info(line),
        Verb::Ok => Frame::Ok,
        Verb::Err => Frame::Err(line),
    };
    Next::Frame(frame, after)
}

/// A message without header that is all there, written the way everybody writes it: what stands before its size, the size,
/// and what follows.
pub(super) struct Usual<'a> {
    /// The words before the size, without the last blank. Where they end, and where they start, in the input.
    pub words: &'a [u8],
    pub words_at: usize,
    pub sizes: &'a [u8],
    pub sizes_at: usize,
    pub body: &'a [u8],
    pub end: usize,
}

/// Reads such a message in one pass, from its words on; `None` leaves everything else to the general rules, which would say
/// the same of it.
#[inline(always)]
pub(super) fn usual<'a>(input: &'a [u8], words_at: usize, limits: &Limits) -> Option<Usual<'a>> {
    let rest = input.get(words_at..)?;
    let newline = memchr::memchr(b'\n', rest)?;
    let line = rest.get(..newline)?.strip_suffix(b"\r")?;
    if line.len() > limits.control_line_max {
        return None;
    }
    let mut total = 0usize;
    let mut scale = 1usize;
    let mut at = line.len();
    while let Some(digit) = line.get(at.wrapping_sub(1)).map(|b| b.wrapping_sub(b'0')).filter(|digit| *digit <= 9) {
        total = total.checked_add(scale.checked_mul(usize::from(digit))?)?;
        scale = scale.saturating_mul(10);
        at -= 1;
    }
    let digits = line.len() - at;
    let words = line.get(..at)?.strip_suffix(b" ")?;
    if digits == 0 || digits > 9 || total as u64 > limits.payload_max {
        return None;
    }
    let body_at = words_at + newline + 1;
    let body = input.get(body_at..body_at + total)?;
    let end = body_at + total + 2;
    if input.get(body_at + total..end)? != b"\r\n" {
        return None;
    }
    Some(Usual { words, words_at, sizes: line.get(at..)?, sizes_at: words_at + at, body, end })
}

/// A whole `PUB` written the way clients write it.
#[inline]
fn usual_publish<'a>(input: &'a [u8], limits: &Limits) -> Option<Next<'a>> {
    input.strip_prefix(b"PUB ")?;
    let usual = usual(input, 4, limits)?;
    let (subject, reply) = match memchr::memchr2(b' ', b'\t', usual.words) {
        None => (usual.words, &b""[..]),
        Some(gap) => (usual.words.get(..gap)?, usual.words.get(gap..)?.strip_prefix(b" ")?),
    };
    let reply_given = subject.len() < usual.words.len();
    if subject.is_empty() || (reply_given && (reply.is_empty() || memchr::memchr2(b' ', b'\t', reply).is_some())) {
        return None;
    }
    let tail_at = if reply_given { usual.words_at + subject.len() + 1 } else { usual.sizes_at };
    let tail = input.get(tail_at..usual.end)?;
    Some(Next::Frame(
        Frame::Publish(Publish {
            subject,
            reply,
            header_bytes: None,
            sizes: usual.sizes,
            body: usual.body,
            tail: Some(tail),
        }),
        usual.end,
    ))
}

#[inline]
fn publish<'a, const N: usize>(
    input: &'a [u8],
    line: &'a [u8],
    body_at: usize,
    headers: bool,
    limits: &Limits,
) -> Next<'a> {
    let Some((args, count)) = split::<N>(line) else { return Next::Fault(Fault::Arguments) };
    if count + 1 < N || count < 2 {
        return Next::Fault(Fault::Arguments);
    }
    let subject = args[0];
    let reply: &[u8] = if count == N { args[1] } else { &[] };
    let total_text = args[count - 1];
    let Some(total) = number(total_text) else { return Next::Fault(Fault::Arguments) };
    if headers && !limits.headers {
        return Next::Fault(Fault::Headers);
    }
    let (sizes_start, header_bytes) = if headers {
        let text = args[count - 2];
        let Some(bytes) = number(text) else { return Next::Fault(Fault::Arguments) };
        if bytes > total {
            return Next::Fault(Fault::Arguments);
        }
        (text, Some(bytes as usize))
    } else {
        (total_text, None)
    };
    if total > limits.payload_max {
        return Next::Fault(Fault::Payload(total));
    }
    let body_end = body_at + total as usize;
    let frame_end = body_end + 2;
    if input.len() < frame_end {
        // A wrong terminator is reported as soon as it can be seen.
        if input.len() > body_end && input[body_end] != b'\r' {
            return Next::Fault(Fault::UnknownOperation);
        }
        return Next::Need(frame_end);
    }
    if input[body_end] != b'\r' || input[body_end + 1] != b'\n' {
        return Next::Fault(Fault::UnknownOperation);
    }
    let base = input.as_ptr() as usize;
    let offset = |part: &[u8]| part.as_ptr() as usize - base;
    let sizes_at = offset(sizes_start);
    let sizes_end = offset(total_text) + total_text.len();
    let sizes = &input[sizes_at..sizes_end];
    // Canonical: one blank between arguments and CRLF right after the sizes. Then the rest of the frame is what receivers get.
    let tail_at = if reply.is_empty() { sizes_at } else { offset(reply) };
    let gaps = usize::from(!reply.is_empty());
    let canonical = input[sizes_end..body_at] == *b"\r\n"
        && sizes_end - tail_at == reply.len() + gaps + sizes.len()
        && (!headers || sizes.len() == sizes_start.len() + 1 + total_text.len())
        && (reply.is_empty() || input[tail_at + reply.len()] == b' ')
        && (!headers || input[sizes_at + sizes_start.len()] == b' ');
    Next::Frame(
        Frame::Publish(Publish {
            subject,
            reply,
            header_bytes,
            sizes,
            body: &input[body_at..body_end],
            tail: canonical.then(|| &input[tail_at..frame_end]),
        }),
        frame_end,
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    const LIMITS: Limits = Limits { control_line_max: 64, payload_max: 1000, headers: true };

    fn one(input: &[u8]) -> Next<'_> {
        next_frame(input, &LIMITS)
    }

    #[test]
    fn publish_keeps_the_size_text_and_the_tail() {
        let Next::Frame(Frame::Publish(p), used) = one(b"PUB a.b 00003\r\nxyz\r\nPING\r\n") else { panic!() };
        assert_eq!((p.subject, p.reply, p.sizes, p.body), (&b"a.b"[..], &b""[..], &b"00003"[..], &b"xyz"[..]));
        assert_eq!(p.tail, Some(&b"00003\r\nxyz\r\n"[..]));
        assert_eq!(used, 20);
        let Next::Frame(Frame::Publish(p), _) = one(b"pub a  r\t3 \nxyz\r\n") else { panic!() };
        assert_eq!((p.reply, p.body, p.tail), (&b"r"[..], &b"xyz"[..], None));
        let Next::Frame(Frame::Publish(p), _) = one(b"PUB a 3 \nxyz\r\n") else { panic!() };
        assert_eq!((p.body, p.tail), (&b"xyz"[..], None));
        let Next::Frame(Frame::Publish(p), _) = one(b"HPUB a r 2 3\r\nxyz\r\n") else { panic!() };
        assert_eq!((p.header_bytes, p.tail), (Some(2), Some(&b"r 2 3\r\nxyz\r\n"[..])));
    }

    #[test]
    fn the_quick_way_agrees_with_the_general_one() {
        for text in [
            "PUB a 3\r\nxyz\r\n",
            "PUB a.b r 003\r\nxyz\r\n",
            "PUB a  3\r\nxyz\r\n",
            "PUB  a 3\r\nxyz\r\n",
            "PUB a\t3\r\nxyz\r\n",
            "PUB a 3 \r\nxyz\r\n",
            "PUB a 3\nxyz\r\n",
            "PUB 3\r\nxyz\r\n",
            "PUB a r s 3\r\nxyz\r\n",
            "PUB a r\t3\r\nxyz\r\n",
            "PUB a\tr 3\r\nxyz\r\n",
            "PUB a 3\r\nxyzw\r\n",
            "PUB a 3\r\nxy",
            "PUB a 1001\r\n",
            "PUB a 0000000003\r\nxyz\r\n",
            "PUB a x3\r\nxyz\r\n",
            "PUB a 99999999999999999999999\r\n",
            "PUB \r\n",
            "PUB a 0\r\n\r\n",
        ] {
            // A lower-case verb takes the general way.
            let lower = text.replacen("PUB", "pub", 1);
            assert_eq!(one(text.as_bytes()), one(lower.as_bytes()), "{text:?}");
        }
    }

    #[test]
    fn faults_are_told_apart() {
        assert_eq!(one(b"XYZ"), Next::Fault(Fault::UnknownOperation));
        assert_eq!(one(b"\r\n"), Next::Fault(Fault::UnknownOperation));
        assert_eq!(one(b" PING\r\n"), Next::Fault(Fault::UnknownOperation));
        assert_eq!(one(b"PUB foo\r\n"), Next::Fault(Fault::Arguments));
        assert_eq!(one(b"PUB foo -1\r\n"), Next::Fault(Fault::Arguments));
        assert_eq!(one(b"PUB foo 1234567890\r\n"), Next::Fault(Fault::Arguments));
        assert_eq!(one(b"PUB foo 1001\r\n"), Next::Fault(Fault::Payload(1001)));
        assert_eq!(one(b"PUB foo 1\r\nxyz"), Next::Fault(Fault::UnknownOperation));
        assert_eq!(one(b"HPUB foo 5 4\r\n"), Next::Fault(Fault::Arguments));
        assert_eq!(one(&[b"PUB ".as_slice(), &[b'a'; 70]].concat()), Next::Fault(Fault::ControlLine));
        assert_eq!(one(b"UNSUB\r\n"), Next::Fault(Fault::UnknownOperation));
        assert_eq!(one(b"UNSUB \r\n"), Next::Fault(Fault::UnknownOperation));
    }

    #[test]
    fn incomplete_frames_say_what_they_need() {
        assert_eq!(one(b""), Next::Need(1));
        assert_eq!(one(b"P"), Next::Need(2));
        assert_eq!(one(b"PUB a 3\r\nx"), Next::Need(14));
        assert_eq!(one(b"SUB a"), Next::Need(6));
    }

    #[test]
    fn blanks_before_the_arguments_are_bounded_however_they_come() {
        let line = [b"SUB ".as_slice(), &[b' '; 65], b"a 1\r\n"].concat();
        assert_eq!(one(&line), Next::Fault(Fault::ControlLine));
        assert_eq!(one(&line[..69]), Next::Fault(Fault::ControlLine));
        assert_eq!(one(&line[..68]), Next::Need(69));
        assert!(matches!(one(&line[1..]), Next::Fault(Fault::UnknownOperation)));
        let line = [b"SUB ".as_slice(), &[b' '; 64], b"a 1\r\n"].concat();
        assert!(matches!(one(&line), Next::Frame(Frame::Subscribe { .. }, _)));
    }

    #[test]
    fn verbs_ignore_case_and_ping_ignores_the_rest() {
        assert_eq!(one(b"pInGxyz\r\n"), Next::Frame(Frame::Ping, 9));
        assert_eq!(
            one(b"sub a q 1\n"),
            Next::Frame(Frame::Subscribe { subject: b"a", queue: Some(b"q"), sid: b"1" }, 10)
        );
        assert_eq!(one(b"UNSUB 1 x\r\n"), Next::Frame(Frame::Unsubscribe { sid: b"1", max: 0 }, 11));
    }
}
