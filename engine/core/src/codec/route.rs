//! What another server of the cluster may send, one frame at a time (reference: wire protocol 0.1, 2.9).
//!
//! As in `client`, no state is kept between calls. On a connection for one account lines do not name it, and `account` is
//! empty. Absent, since we do not announce that we understand it: lines on behalf of leaf nodes (`LS+`, `LMSG`).

use super::client::{is_blank, number, split, usual, Fault, Limits};

/// A frame as slices of the input.
#[derive(Debug, PartialEq, Eq)]
pub enum Frame<'a> {
    /// `RS+ account subject [queue weight]`
    Subscribe {
        /// Name of the account.
        account: &'a [u8],
        /// Subject, unchecked.
        subject: &'a [u8],
        /// Queue group, and how many members it has on that server.
        queue: Option<(&'a [u8], u32)>,
    },
    /// `RS- account subject [queue]`
    Unsubscribe {
        /// Name of the account.
        account: &'a [u8],
        /// Subject, unchecked.
        subject: &'a [u8],
        /// Queue group.
        queue: Option<&'a [u8]>,
    },
    /// `RMSG` or `HMSG`
    Message(Routed<'a>),
    /// `PING`
    Ping,
    /// `PONG`
    Pong,
    /// `INFO json`
    Info(&'a [u8]),
    /// `-ERR text`
    Err(&'a [u8]),
    /// What means nothing on a route that is up: `+OK`, `CONNECT`, `A+`, `A-`.
    Ignored,
}

/// A message of another server.
#[derive(Debug, PartialEq, Eq)]
pub struct Routed<'a> {
    /// Name of the account.
    pub account: &'a [u8],
    /// Subject, unchecked.
    pub subject: &'a [u8],
    /// Reply subject, empty when there is none.
    pub reply: &'a [u8],
    /// The queue groups that should be served here, with blanks between them.
    pub queues: &'a [u8],
    /// Header bytes at the start of `body`; `None` for `RMSG`.
    pub header_bytes: Option<usize>,
    /// Sizes as text.
    pub sizes: &'a [u8],
    /// Header block and payload.
    pub body: &'a [u8],
    /// `[reply ]sizes\r\nbody\r\n`, when it stands like that in the input.
    pub tail: Option<&'a [u8]>,
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

#[derive(Clone, Copy, PartialEq, Eq)]
enum Verb {
    Message,
    HeaderMessage,
    Subscribe,
    Unsubscribe,
    Ping,
    Pong,
    Info,
    Err,
    Ignored,
}

/// How a verb ends: some need a blank before their arguments, others ignore what follows.
const VERBS: [(&[u8], Verb, bool); 12] = [
    (b"RMSG", Verb::Message, true),
    (b"HMSG", Verb::HeaderMessage, true),
    (b"RS+", Verb::Subscribe, true),
    (b"RS-", Verb::Unsubscribe, true),
    (b"PING", Verb::Ping, false),
    (b"PONG", Verb::Pong, false),
    (b"INFO", Verb::Info, true),
    (b"CONNECT", Verb::Ignored, true),
    (b"+OK", Verb::Ignored, false),
    (b"-ERR", Verb::Err, true),
    (b"A+", Verb::Ignored, true),
    (b"A-", Verb::Ignored, true),
];

/// Recognises the verb at the start of `input`, and where its arguments begin.
fn verb(input: &[u8]) -> Result<(Verb, usize), Option<Fault>> {
    let mut prefix = false;
    for (name, verb, blank_needed) in VERBS {
        let shared = input.len().min(name.len());
        if !input.iter().zip(name).all(|(a, b)| a.eq_ignore_ascii_case(b)) {
            continue;
        }
        if shared < name.len() {
            prefix = true;
            continue;
        }
        return match input.get(name.len()) {
            _ if !blank_needed => Ok((verb, name.len())),
            Some(&b) if is_blank(b) => Ok((verb, name.len() + 1)),
            Some(_) => Err(Some(Fault::UnknownOperation)),
            None => Err(None),
        };
    }
    Err(if prefix { None } else { Some(Fault::UnknownOperation) })
}

/// The next frame of `input`. Without `named` the connection is for one account, and its name is left out of the lines.
pub fn next_frame<'a>(input: &'a [u8], limits: &Limits, named: bool) -> Next<'a> {
    if let Some(usual) = usual_message(input, limits, named) {
        return usual;
    }
    let (verb, args_at) = match verb(input) {
        Ok(found) => found,
        Err(None) => return Next::Need(input.len() + 1),
        Err(Some(fault)) => return Next::Fault(fault),
    };
    let rest = input.get(args_at..).unwrap_or(&[]);
    let Some(newline) = memchr::memchr(b'\n', rest) else {
        let blanks = rest.iter().take_while(|&&b| is_blank(b)).count();
        // One more than the limit may be a CR.
        if rest.len() - blanks > limits.control_line_max + 1 || blanks > limits.control_line_max {
            return Next::Fault(Fault::ControlLine);
        }
        return Next::Need(input.len() + 1);
    };
    let after = args_at + newline + 1;
    let line = rest.get(..newline).unwrap_or(&[]);
    let line = line.strip_suffix(b"\r").unwrap_or(line);
    let blanks = line.iter().take_while(|&&b| is_blank(b)).count();
    let line = line.get(blanks..).unwrap_or(&[]);
    if line.len() > limits.control_line_max || blanks > limits.control_line_max {
        return Next::Fault(Fault::ControlLine);
    }
    let frame = match verb {
        Verb::Message => return message(input, (line, named), after, false, limits),
        Verb::HeaderMessage => return message(input, (line, named), after, true, limits),
        Verb::Subscribe => account(line, named).and_then(subscribe),
        Verb::Unsubscribe => account(line, named).and_then(unsubscribe),
        Verb::Ping => Some(Frame::Ping),
        Verb::Pong => Some(Frame::Pong),
        Verb::Info => Some(Frame::Info(line)),
        Verb::Err => Some(Frame::Err(line)),
        Verb::Ignored => Some(Frame::Ignored),
    };
    frame.map_or(Next::Fault(Fault::Arguments), |frame| Next::Frame(frame, after))
}

/// The account that a line starts with, if it names one, and what follows.
fn account(line: &[u8], named: bool) -> Option<(&[u8], &[u8])> {
    if named {
        first(line)
    } else {
        Some((&[], line))
    }
}

fn subscribe<'a>((account, line): (&'a [u8], &'a [u8])) -> Option<Frame<'a>> {
    match split::<3>(line)? {
        ([subject, ..], 1) => Some(Frame::Subscribe { account, subject, queue: None }),
        ([subject, queue, weight], 3) => {
            // A group is announced because it has a member.
            let weight = (number(weight)? as u32).max(1);
            Some(Frame::Subscribe { account, subject, queue: Some((queue, weight)) })
        }
        _ => None,
    }
}

fn unsubscribe<'a>((account, line): (&'a [u8], &'a [u8])) -> Option<Frame<'a>> {
    match split::<2>(line)? {
        ([subject, _], 1) => Some(Frame::Unsubscribe { account, subject, queue: None }),
        ([subject, queue], 2) => Some(Frame::Unsubscribe { account, subject, queue: Some(queue) }),
        _ => None,
    }
}

/// The first argument of a line that starts with one, and what follows it from the next argument on.
fn first(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let end = memchr::memchr2(b' ', b'\t', line).unwrap_or(line.len());
    let (word, rest) = line.split_at_checked(end).filter(|(word, _)| !word.is_empty())?;
    let blanks = rest.iter().take_while(|&&b| is_blank(b)).count();
    Some((word, rest.get(blanks..)?))
}

fn trim_end(line: &[u8]) -> &[u8] {
    let blanks = line.iter().rev().take_while(|&&b| is_blank(b)).count();
    line.get(..line.len() - blanks).unwrap_or(&[])
}

/// The last argument of a line, and what stands before it.
fn last(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let line = trim_end(line);
    let start = line.iter().rposition(|&b| is_blank(b)).map_or(0, |gap| gap + 1);
    let (before, word) = line.split_at_checked(start)?;
    (!word.is_empty()).then_some((trim_end(before), word))
}

/// What stands between subject and sizes: reply subject and queue groups (reference: 2.9).
fn between(middle: &[u8]) -> Option<(&[u8], &[u8])> {
    if middle.is_empty() {
        return Some((&[], &[]));
    }
    let (word, rest) = first(middle)?;
    match (word, rest.is_empty()) {
        (reply, true) => Some((reply, &[])),
        (b"|", false) => Some((&[], rest)),
        (b"+", false) => first(rest).filter(|(_, queues)| !queues.is_empty()),
        _ => None,
    }
}

/// A whole `RMSG` without queue groups, written the way servers write it; `None` leaves everything else to the general rules,
/// which would say the same of it.
#[inline]
fn usual_message<'a>(input: &'a [u8], limits: &Limits, named: bool) -> Option<Next<'a>> {
    input.strip_prefix(b"RMSG ")?;
    let usual = usual(input, 5, limits)?;
    let (account, rest) = if named { word(usual.words)? } else { (&b""[..], usual.words) };
    let (subject, reply) = match memchr::memchr2(b' ', b'\t', rest) {
        None => (rest, &b""[..]),
        Some(_) => word(rest)?,
    };
    let reply_given = subject.len() < rest.len();
    if subject.is_empty() || (reply_given && (reply.is_empty() || memchr::memchr2(b' ', b'\t', reply).is_some())) {
        return None;
    }
    let tail_at = if reply_given { usual.sizes_at - 1 - reply.len() } else { usual.sizes_at };
    let tail = input.get(tail_at..usual.end)?;
    let (sizes, body) = (usual.sizes, usual.body);
    let message = Routed { account, subject, reply, queues: &[], header_bytes: None, sizes, body, tail: Some(tail) };
    Some(Next::Frame(Frame::Message(message), usual.end))
}

/// The first word of a line and what follows it after one blank.
#[inline]
fn word(line: &[u8]) -> Option<(&[u8], &[u8])> {
    let gap = memchr::memchr2(b' ', b'\t', line)?;
    let (word, rest) = line.split_at_checked(gap)?;
    Some((word, rest.strip_prefix(b" ")?)).filter(|_| gap > 0)
}

fn message<'a>(
    input: &'a [u8],
    (line, named): (&'a [u8], bool),
    body_at: usize,
    headers: bool,
    limits: &Limits,
) -> Next<'a> {
    let parsed = || {
        let (account, rest) = account(line, named)?;
        let (subject, rest) = first(rest)?;
        let (before, total_text) = last(rest)?;
        let total = number(total_text)?;
        let (middle, header_text) = if headers { last(before)? } else { (before, total_text) };
        let header_bytes = if headers { Some(number(header_text)? as usize) } else { None };
        let (reply, queues) = between(middle)?;
        (header_bytes.unwrap_or(0) as u64 <= total).then_some((
            account,
            subject,
            reply,
            queues,
            header_bytes,
            header_text,
            total_text,
            total,
        ))
    };
    let Some((account, subject, reply, queues, header_bytes, header_text, total_text, total)) = parsed() else {
        return Next::Fault(Fault::Arguments);
    };
    if total > limits.payload_max {
        return Next::Fault(Fault::Payload(total));
    }
    let body_end = body_at + total as usize;
    let frame_end = body_end + 2;
    let Some(body) = input.get(body_at..body_end) else { return Next::Need(frame_end) };
    match input.get(body_end..frame_end) {
        Some(b"\r\n") => {}
        Some(_) => return Next::Fault(Fault::UnknownOperation),
        // A wrong terminator is reported as soon as it can be seen.
        None if input.get(body_end).is_some_and(|&b| b != b'\r') => return Next::Fault(Fault::UnknownOperation),
        None => return Next::Need(frame_end),
    }
    let base = input.as_ptr() as usize;
    let offset = |part: &[u8]| part.as_ptr() as usize - base;
    let sizes_at = offset(header_text);
    let sizes_end = offset(total_text) + total_text.len();
    let sizes = input.get(sizes_at..sizes_end).unwrap_or(&[]);
    let one_gap = |from: usize, to: usize| from + 1 == to && input.get(from) == Some(&b' ');
    let tidy = input.get(sizes_end..body_at) == Some(b"\r\n")
        && (!headers || one_gap(sizes_at + header_text.len(), offset(total_text)));
    let tail_at = match (reply.is_empty(), queues.is_empty()) {
        (true, _) => Some(sizes_at),
        (false, true) => Some(offset(reply)).filter(|at| one_gap(at + reply.len(), sizes_at)),
        (false, false) => None,
    };
    let tail = tail_at.filter(|_| tidy).and_then(|at| input.get(at..frame_end));
    Next::Frame(Frame::Message(Routed { account, subject, reply, queues, header_bytes, sizes, body, tail }), frame_end)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LIMITS: Limits = Limits { control_line_max: 4096, payload_max: 1 << 20, headers: true };

    fn frame(input: &[u8]) -> Frame<'_> {
        match next_frame(input, &LIMITS, true) {
            Next::Frame(frame, used) if used == input.len() => frame,
            other => panic!("{other:?}"),
        }
    }

    /// Reply, groups, header bytes, body and tail of a message, as text.
    fn routed(input: &str) -> String {
        let text = |bytes: &[u8]| String::from_utf8_lossy(bytes).replace("\r\n", "~");
        match frame(input.as_bytes()) {
            Frame::Message(m) => {
                let [reply, queues, body] = [m.reply, m.queues, m.body].map(text);
                format!("{reply}/{queues}/{:?}/{body}/{}", m.header_bytes, m.tail.map_or("none".into(), text))
            }
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn interest_is_read_with_and_without_a_group() {
        let (account, subject) = (&b"X"[..], &b"on.b"[..]);
        assert_eq!(frame(b"RS+ X on.b\r\n"), Frame::Subscribe { account, subject, queue: None });
        assert_eq!(frame(b"rs+ X  on.b qb 2 \r\n"), Frame::Subscribe { account, subject, queue: Some((b"qb", 2)) });
        assert_eq!(frame(b"RS- X on.b\r\n"), Frame::Unsubscribe { account, subject, queue: None });
        assert_eq!(frame(b"RS- X on.b qb\r\n"), Frame::Unsubscribe { account, subject, queue: Some(b"qb") });
        for wrong in [&b"RS+ X\r\n"[..], b"RS+ X a q\r\n", b"RS+ X a q -1\r\n", b"RS- X a q 1\r\n"] {
            assert_eq!(next_frame(wrong, &LIMITS, true), Next::Fault(Fault::Arguments));
        }
    }

    #[test]
    fn messages_are_read_in_all_their_forms() {
        assert_eq!(routed("RMSG X a 1\r\nz\r\n"), "//None/z/1~z~");
        assert_eq!(routed("RMSG X a rep 1\r\nz\r\n"), "rep//None/z/rep 1~z~");
        assert_eq!(routed("RMSG X a  rep  1\r\nz\r\n"), "rep//None/z/none");
        assert_eq!(routed("RMSG X a | q1 q2 1\r\nz\r\n"), "/q1 q2/None/z/1~z~");
        assert_eq!(routed("RMSG X a + rep q1 1\r\nz\r\n"), "rep/q1/None/z/none");
        assert_eq!(routed("HMSG X a + r q 2 3\r\nhhz\r\n"), "r/q/Some(2)/hhz/none");
        assert_eq!(routed("HMSG X a 2 3\r\nhhz\r\n"), "//Some(2)/hhz/2 3~hhz~");
        assert_eq!(routed("RMSG X a | 1\r\nz\r\n"), "|//None/z/| 1~z~");
        for wrong in [&b"RMSG X a\r\n"[..], b"RMSG X a x q 1\r\n", b"RMSG X a + r 1\r\n", b"HMSG X a 3 2\r\n"] {
            assert_eq!(
                next_frame(wrong, &LIMITS, true),
                Next::Fault(Fault::Arguments),
                "{}",
                String::from_utf8_lossy(wrong)
            );
        }
        assert_eq!(next_frame(b"LS+ K X a\r\n", &LIMITS, true), Next::Fault(Fault::UnknownOperation));
    }

    #[test]
    fn lines_on_a_connection_for_one_account_do_not_name_it() {
        let bare = |input: &'static [u8]| match next_frame(input, &LIMITS, false) {
            Next::Frame(frame, used) if used == input.len() => frame,
            other => panic!("{other:?}"),
        };
        let (account, subject) = (&b""[..], &b"s"[..]);
        assert_eq!(bare(b"RS+ s\r\n"), Frame::Subscribe { account, subject, queue: None });
        assert_eq!(bare(b"RS+ s g 2\r\n"), Frame::Subscribe { account, subject, queue: Some((b"g", 2)) });
        assert_eq!(bare(b"RS- s g\r\n"), Frame::Unsubscribe { account, subject, queue: Some(b"g") });
        let Frame::Message(m) = bare(b"HMSG rq + rp g 2 3\r\nhhz\r\n") else { panic!("no message") };
        assert_eq!((m.account, m.subject, m.reply, m.queues), (&b""[..], &b"rq"[..], &b"rp"[..], &b"g"[..]));
        let Frame::Message(m) = bare(b"RMSG s 1\r\nz\r\n") else { panic!("no message") };
        assert_eq!((m.subject, m.reply, m.tail), (&b"s"[..], &b""[..], Some(&b"1\r\nz\r\n"[..])));
        assert_eq!(next_frame(b"RS+ s g\r\n", &LIMITS, false), Next::Fault(Fault::Arguments));
    }

    proptest! {
        #[test]
        fn any_input_is_read_or_refused(
            input in prop::collection::vec(any::<u8>(), 0..80), verb in 0..VERBS.len(), named: bool,
        ) {
            let mut input = input;
            next_frame(&input, &LIMITS, named);
            input.splice(0..0, VERBS[verb].0.iter().copied().chain([b' ']));
            next_frame(&input, &LIMITS, named);
        }

        #[test]
        fn the_usual_form_is_read_by_the_same_rules(
            words in "[a |+\t]{0,12}", size in "[0-9]{0,2}", rest in "[ab\r\n]{0,6}", named: bool,
        ) {
            for text in [format!("{words} {size}\r\n{rest}"), format!("{words} 3\r\nabc\r\n{rest}")] {
                // Only the verb in capitals is read in one pass.
                let [usual, general] = ["RMSG", "rmsg"].map(|verb| format!("{verb} {text}").into_bytes());
                prop_assert_eq!(next_frame(&usual, &LIMITS, named), next_frame(&general, &LIMITS, named));
            }
        }

        #[test]
        fn what_is_written_is_read_back(
            account in "[$A-Z]{1,5}", subject in "[a-z]{1,4}(\\.[a-z]{1,4}){0,3}", reply in "([a-z]{1,5}\\.[a-z]{1,5})?",
            queues in prop::collection::vec("[a-z|+]{1,4}", 0..4), body in prop::collection::vec(any::<u8>(), 0..50),
            header in prop::option::of(0..50usize),
        ) {
            let header = header.map(|bytes| bytes.min(body.len()));
            let named = queues.join(" ");
            let middle = match (reply.is_empty(), queues.is_empty()) {
                (true, true) => String::new(),
                (false, true) => format!("{reply} "),
                (true, false) => format!("| {named} "),
                (false, false) => format!("+ {reply} {named} "),
            };
            let sizes = header.map_or(body.len().to_string(), |bytes| format!("{bytes} {}", body.len()));
            let verb = if header.is_some() { "HMSG" } else { "RMSG" };
            let mut input = format!("{verb} {account} {subject} {middle}{sizes}\r\n").into_bytes();
            input.extend_from_slice(&body);
            input.extend_from_slice(b"\r\n");
            let Frame::Message(m) = frame(&input) else { panic!("no message") };
            prop_assert_eq!(m.account, account.as_bytes());
            prop_assert_eq!(m.subject, subject.as_bytes());
            prop_assert_eq!(m.reply, reply.as_bytes());
            prop_assert_eq!(m.queues, named.as_bytes());
            prop_assert_eq!(m.header_bytes, header);
            prop_assert_eq!(m.body, &body[..]);
            for cut in 0..input.len() {
                match next_frame(&input[..cut], &LIMITS, true) {
                    Next::Need(bytes) => prop_assert!(bytes > cut && bytes <= input.len()),
                    other => prop_assert!(false, "{:?} after {} bytes", other, cut),
                }
            }
        }
    }
}
