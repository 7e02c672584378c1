//! Headers of a message that ask for a trace of its path, and editing of header blocks (reference: wire protocol 1.10, 1.19).
//!
//! [`TraceHeaders::scan`] runs for every message that carries headers, so it first looks at nothing but how lines begin.
//! It reads as nats-server does: names are case-sensitive except `traceparent`, the first value of a name counts, an
//! empty value counts as none, and what follows a malformed line is not read.
//!
//! Deliberately absent: what is done about it. Whether the destination is a fit subject, whether the publisher may publish
//! there, and what to send to whom is decided by the caller.

use std::ops::Range;

/// First line of a block that has no status.
const PREAMBLE: &[u8] = b"NATS/1.0\r\n";
const LINE_END: &[u8] = b"\r\n";
pub(crate) const DESTINATION: &[u8] = b"Nats-Trace-Dest";
const ONLY: &[u8] = b"Nats-Trace-Only";
/// Path of the copy, written by servers: `1`, `2`, nested `1.2`.
pub const HOP: &[u8] = b"Nats-Trace-Hop";
/// Account that the trace belongs to, written by servers.
pub const ORIGIN_ACCOUNT: &[u8] = b"Nats-Trace-Origin-Account";
const TRACE_PARENT: &[u8] = b"traceparent";
const ACCEPT_ENCODING: &[u8] = b"Accept-Encoding";
pub(crate) const DISABLED: &[u8] = b"trace disabled";

/// How the trace event may be written.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// As it is, but said so.
    Identity,
    /// RFC 1952.
    Gzip,
    /// The framed format, which `s2` asks for as well.
    Snappy,
}

/// What a header block says about tracing. Ranges are places of values in the block, without white space around them.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct TraceHeaders {
    /// Subject that the event goes to.
    pub destination: Option<Range<usize>>,
    /// A server before this one turned tracing off; there is no destination then.
    pub disabled: bool,
    /// Trace without delivering. Counts only with a destination of its own.
    pub only: bool,
    /// A `traceparent` has the sampled bit.
    pub sampled: bool,
    /// Path of this copy.
    pub hop: Option<Range<usize>>,
    /// Account that the trace belongs to. From a client it is forged, and disables tracing.
    pub origin_account: Option<Range<usize>>,
    /// How the event may be written; None when nothing is said.
    pub accept_encoding: Option<Encoding>,
}

impl TraceHeaders {
    /// Reads a block. None when it neither names a trace destination nor has a sampled `traceparent`.
    #[inline]
    pub fn scan(block: &[u8]) -> Option<Self> {
        if !block.starts_with(PREAMBLE) {
            return None;
        }
        let concerned =
            memchr::memchr_iter(b'\n', block).any(|end| block.get(end + 1..).is_some_and(may_ask_for_trace));
        if concerned {
            read(block)
        } else {
            None
        }
    }
}

/// Does a line begin like one that asks for a trace?
#[inline]
fn may_ask_for_trace(line: &[u8]) -> bool {
    match line.first() {
        Some(b'N') => is_named(line, DESTINATION),
        Some(b't' | b'T') => line.get(..TRACE_PARENT.len()).is_some_and(|name| name.eq_ignore_ascii_case(TRACE_PARENT)),
        _ => false,
    }
}

fn is_named(line: &[u8], name: &[u8]) -> bool {
    line.strip_prefix(name).is_some_and(|rest| rest.first() == Some(&b':'))
}

#[cold]
fn read(block: &[u8]) -> Option<TraceHeaders> {
    let mut found = TraceHeaders::default();
    let mut only_seen = false;
    for line in lines(block).skip(1) {
        let Some((name, place)) = name_and_value(block, &line) else {
            break;
        };
        let value = block.get(place.clone()).unwrap_or(&[]);
        if value.is_empty() {
            continue;
        }
        match name {
            DESTINATION if found.destination.is_none() && !found.disabled => {
                found.disabled = value == DISABLED;
                found.destination = (!found.disabled).then_some(place);
            }
            ONLY if !only_seen => {
                only_seen = true;
                found.only = [&b"true"[..], b"1", b"on"].iter().any(|yes| value.eq_ignore_ascii_case(yes));
            }
            HOP => {
                found.hop.get_or_insert(place);
            }
            ORIGIN_ACCOUNT => {
                found.origin_account.get_or_insert(place);
            }
            ACCEPT_ENCODING => {
                found.accept_encoding.get_or_insert_with(|| encoding(value));
            }
            _ if name.eq_ignore_ascii_case(TRACE_PARENT) => found.sampled |= is_sampled(value),
            _ => {}
        }
    }
    (found.destination.is_some() || found.disabled || found.sampled).then_some(found)
}

/// Places of the complete lines of a block, each without its line end.
fn lines(block: &[u8]) -> impl Iterator<Item = Range<usize>> + '_ {
    let mut start = 0;
    memchr::memmem::find_iter(block, LINE_END).map(move |end| {
        let line = start..end;
        start = end + LINE_END.len();
        line
    })
}

/// The name of a header line, and where its trimmed value stands.
fn name_and_value<'a>(block: &'a [u8], line: &Range<usize>) -> Option<(&'a [u8], Range<usize>)> {
    let text = block.get(line.clone())?;
    let colon = memchr::memchr(b':', text)?;
    let value = text.get(colon + 1..)?;
    let before = value.len() - value.trim_ascii_start().len();
    let start = line.start + colon + 1 + before;
    Some((text.get(..colon)?, start..start + value.trim_ascii().len()))
}

/// The flags of a W3C `traceparent`: four fields, the last of two hex digits with the lowest bit set.
fn is_sampled(value: &[u8]) -> bool {
    let mut fields = value.split(|&b| b == b'-');
    match (fields.by_ref().take(3).count(), fields.next(), fields.next()) {
        (3, Some(&[high, low]), None) if high.is_ascii_hexdigit() => {
            char::from(low).to_digit(16).is_some_and(|digit| digit & 1 == 1)
        }
        _ => false,
    }
}

fn encoding(value: &[u8]) -> Encoding {
    let has = |word: &[u8]| value.windows(word.len()).any(|part| part.eq_ignore_ascii_case(word));
    if has(b"snappy") || has(b"s2") {
        Encoding::Snappy
    } else if has(b"gzip") {
        Encoding::Gzip
    } else {
        Encoding::Identity
    }
}

/// Writes to `out` the block with `name` set to `value`: earlier lines of that name go, the new one stands last. An empty
/// block becomes one with this header alone. Line breaks in name or value are left out.
pub fn set_header(block: &[u8], name: &[u8], value: &[u8], out: &mut Vec<u8>) {
    remove_header(block, name, out);
    if out.is_empty() {
        out.extend_from_slice(PREAMBLE);
        out.extend_from_slice(LINE_END);
    }
    if out.ends_with(b"\r\n\r\n") {
        out.truncate(out.len() - LINE_END.len());
    } else if !out.ends_with(LINE_END) {
        out.extend_from_slice(LINE_END);
    }
    let clean = |text: &[u8], out: &mut Vec<u8>| out.extend(text.iter().filter(|b| !LINE_END.contains(b)));
    clean(name, out);
    out.extend_from_slice(b": ");
    clean(value, out);
    out.extend_from_slice(LINE_END);
    out.extend_from_slice(LINE_END);
}

/// Writes to `out` the block without the lines of exactly that `name`; everything else stays byte for byte. Returns whether
/// there was one.
pub fn remove_header(block: &[u8], name: &[u8], out: &mut Vec<u8>) -> bool {
    out.clear();
    let mut copied = 0;
    for line in lines(block).skip(1) {
        if block.get(line.clone()).is_some_and(|text| is_named(text, name)) {
            out.extend_from_slice(block.get(copied..line.start).unwrap_or(&[]));
            copied = line.end + LINE_END.len();
        }
    }
    out.extend_from_slice(block.get(copied..).unwrap_or(&[]));
    copied > 0
}

/// True when a block holds no header but its first line and end, and may as well be left away.
pub fn is_bare(block: &[u8]) -> bool {
    block.strip_prefix(PREAMBLE) == Some(LINE_END)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn block(headers: &str) -> Vec<u8> {
        format!("NATS/1.0\r\n{headers}\r\n\r\n").into_bytes()
    }

    /// What was found, with values instead of places.
    fn seen(bytes: &[u8]) -> Option<String> {
        let found = TraceHeaders::scan(bytes)?;
        let value = |place: Option<Range<usize>>| String::from_utf8_lossy(&bytes[place?]).into_owned().into();
        let mut words: Vec<String> = Vec::new();
        let mut add = |label: &str, value: Option<String>| words.extend(value.map(|value| format!("{label}={value}")));
        add("to", value(found.destination));
        add("hop", value(found.hop));
        add("account", value(found.origin_account));
        add("encoding", found.accept_encoding.map(|encoding| format!("{encoding:?}")));
        for (flag, set) in [("disabled", found.disabled), ("only", found.only), ("sampled", found.sampled)] {
            words.extend(set.then(|| flag.to_string()));
        }
        Some(words.join(" "))
    }

    #[track_caller]
    fn expect(headers: &str, want: &str) {
        assert_eq!(seen(&block(headers)).as_deref(), Some(want), "{headers:?}");
    }

    #[track_caller]
    fn expect_none(headers: &str) {
        assert_eq!(seen(&block(headers)), None, "{headers:?}");
    }

    #[test]
    fn the_destination_is_found_by_its_exact_name() {
        for headers in
            ["Nats-Trace-Dest: t", "Nats-Trace-Dest:t", "Nats-Trace-Dest:  t \t", "X: y\r\nNats-Trace-Dest: t"]
        {
            expect(headers, "to=t");
        }
        expect("Nats-Trace-Dest: t:u", "to=t:u");
        expect(": x\r\na b: c\r\nNats-Trace-Dest: t", "to=t");
        expect("X: a\rNats-Trace-Dest: b\r\nNats-Trace-Dest: t", "to=t");
        for headers in [
            "nats-trace-dest: t",
            "Nats-Trace-Dest : t",
            "Nats-Trace-Dest:",
            "X: Nats-Trace-Dest: t",
            "X-Nats-Trace-Dest: t",
            "X: a\nNats-Trace-Dest: t",
            "Nats-Trace-Only: true",
            "A: b",
        ] {
            expect_none(headers);
        }
    }

    #[test]
    fn the_first_value_counts() {
        expect("Nats-Trace-Dest: t\r\nNats-Trace-Dest: u", "to=t");
        expect("Nats-Trace-Dest:\r\nNats-Trace-Dest: u", "to=u");
        expect("Nats-Trace-Dest: trace disabled\r\nNats-Trace-Dest: t", "disabled");
        expect("Nats-Trace-Dest: t\r\nNats-Trace-Dest: trace disabled", "to=t");
        expect("Nats-Trace-Dest: t\r\nNats-Trace-Only: false\r\nNats-Trace-Only: true", "to=t");
        expect("Nats-Trace-Dest: t\r\nNats-Trace-Only: true\r\nNats-Trace-Only: false", "to=t only");
        expect("Nats-Trace-Dest: t\r\nAccept-Encoding: br\r\nAccept-Encoding: gzip", "to=t encoding=Identity");
    }

    #[test]
    fn only_true_one_and_on_keep_the_message_back() {
        for yes in ["true", "TRUE", "1", "On", "\ttrue "] {
            expect(&format!("Nats-Trace-Only: {yes}\r\nNats-Trace-Dest: t"), "to=t only");
        }
        for no in ["yes", "false", "", "true1"] {
            expect(&format!("Nats-Trace-Dest: t\r\nNats-Trace-Only:{no}"), "to=t");
        }
        expect("Nats-Trace-Dest: t\r\nnats-trace-only: true", "to=t");
    }

    #[test]
    fn tracing_may_be_disabled_on_the_way() {
        expect("Nats-Trace-Dest: trace disabled", "disabled");
        expect("Nats-Trace-Dest:  trace disabled ", "disabled");
        expect("Nats-Trace-Dest: Trace Disabled", "to=Trace Disabled");
        expect("traceparent: 00-a-b-01\r\nNats-Trace-Dest: trace disabled", "disabled sampled");
    }

    #[test]
    fn a_sampled_trace_parent_is_found_in_any_case() {
        for headers in [
            "traceparent: 00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01",
            "TraceParent:00-a-b-0F",
            "TRACEPARENT:  00-a-b-03 ",
            "traceparent: ---01",
            "traceparent: 00-a-b-00\r\ntraceparent: 00-a-b-01",
            "traceparent: 00-a-b-01\r\ntraceparent: 00-a-b-00",
        ] {
            expect(headers, "sampled");
        }
        for headers in [
            "traceparent: 00-a-b-00",
            "traceparent: 00-a-b-fe",
            "traceparent: 00-a-b-1",
            "traceparent: 00-a-b-zz",
            "traceparent: 00-a-b-0x",
            "traceparent: 00-a-b-z1",
            "traceparent: 00-a-b-01-x",
            "traceparent: a-b-01",
            "traceparents: 00-a-b-01",
        ] {
            expect_none(headers);
        }
        expect("traceparent: 00-a-b-00\r\nNats-Trace-Dest: u", "to=u");
        expect("traceparent: 00-a-b-01\r\nNats-Trace-Only: true", "only sampled");
    }

    #[test]
    fn the_other_headers_come_along() {
        expect("Nats-Trace-Dest: t\r\nNats-Trace-Hop: 1.2", "to=t hop=1.2");
        expect("Nats-Trace-Dest: t\r\nNats-Trace-Origin-Account: A", "to=t account=A");
        expect("Nats-Trace-Dest: t\r\nNats-Trace-Origin-Account:", "to=t");
        for (value, want) in [
            ("gzip", "Gzip"),
            ("GZIP;q=0", "Gzip"),
            ("br, gzip", "Gzip"),
            ("snappy", "Snappy"),
            ("gzip, s2", "Snappy"),
            ("identity", "Identity"),
        ] {
            expect(&format!("Nats-Trace-Dest: t\r\nAccept-Encoding: {value}"), &format!("to=t encoding={want}"));
        }
        expect("Nats-Trace-Dest: t\r\naccept-encoding: gzip", "to=t");
    }

    #[test]
    fn reading_ends_at_a_malformed_line() {
        expect_none("garbage\r\nNats-Trace-Dest: t");
        expect("Nats-Trace-Dest: t\r\ngarbage\r\nNats-Trace-Only: true", "to=t");
        expect("Nats-Trace-Dest: t\r\n\r\nNats-Trace-Only: true", "to=t");
        for bytes in [
            &b"NATS/1.0 200 OK\r\nNats-Trace-Dest: t\r\n\r\n"[..],
            b"NATS/1.1\r\nNats-Trace-Dest: t\r\n\r\n",
            b"nats/1.0\r\nNats-Trace-Dest: t\r\n\r\n",
            b"NATS/1.0\nNats-Trace-Dest: t\r\n\r\n",
            b"NATS/1.0\r\nNats-Trace-Dest: t",
            b"NATS/1.0\r\n\r\nNats-Trace-Dest: t\r\n\r\n",
            b"",
        ] {
            assert_eq!(seen(bytes), None);
        }
        assert_eq!(seen(b"NATS/1.0\r\nNats-Trace-Dest: t\r\n").as_deref(), Some("to=t"));
        assert_eq!(seen(b"NATS/1.0\r\nNats-Trace-Dest: t\r\nNats-Trace-Only: true").as_deref(), Some("to=t"));
    }

    fn set(block: &[u8], name: &str, value: &str) -> String {
        let mut out = b"old".to_vec();
        set_header(block, name.as_bytes(), value.as_bytes(), &mut out);
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_header_is_set_at_the_end() {
        assert_eq!(set(&block("A: 1"), "B", "2"), "NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n");
        assert_eq!(set(&block("B: 1\r\nA: 1\r\nB:x"), "B", "2"), "NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n");
        assert_eq!(set(b"", "B", "2"), "NATS/1.0\r\nB: 2\r\n\r\n");
        assert_eq!(set(b"NATS/1.0\r\n\r\n", "B", "2"), "NATS/1.0\r\nB: 2\r\n\r\n");
        assert_eq!(set(b"NATS/1.0 503\r\n\r\n", "B", "2"), "NATS/1.0 503\r\nB: 2\r\n\r\n");
        assert_eq!(set(b"NATS/1.0\r\nA: 1\r\n", "B", "2"), "NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n");
        assert_eq!(set(b"NATS/1.0\r\nA: 1", "B", "2"), "NATS/1.0\r\nA: 1\r\nB: 2\r\n\r\n");
        assert_eq!(set(&block("A: 1"), "B", "2\r\nC: 3"), "NATS/1.0\r\nA: 1\r\nB: 2C: 3\r\n\r\n");
        assert_eq!(
            set(&block("A: B: 1\r\nb: 1\r\nBB: 1"), "B", "2"),
            "NATS/1.0\r\nA: B: 1\r\nb: 1\r\nBB: 1\r\nB: 2\r\n\r\n"
        );
    }

    #[test]
    fn a_header_is_removed_wherever_it_stands() {
        let mut out = Vec::new();
        assert!(remove_header(&block("B: 1\r\nA: 1\r\nB: 2"), b"B", &mut out));
        assert_eq!(out, block("A: 1"));
        assert!(!remove_header(&block("A: 1"), b"B", &mut out));
        assert_eq!(out, block("A: 1"));
        assert!(remove_header(&block("B: 1"), b"B", &mut out));
        assert_eq!(out, b"NATS/1.0\r\n\r\n");
        assert!(is_bare(&out) && !is_bare(&block("A: 1")) && !is_bare(b""));
    }

    proptest! {
        #[test]
        fn a_set_header_is_found_again(name in "[A-Za-z-]{1,8}", value in "[a-z0-9]{1,8}", headers in "([A-Za-z-]{1,8}: [a-z]{0,5}\r\n){0,4}") {
            let before = format!("NATS/1.0\r\n{headers}\r\n");
            let (mut after, mut without) = (Vec::new(), Vec::new());
            set_header(before.as_bytes(), name.as_bytes(), value.as_bytes(), &mut after);
            let line = format!("\r\n{name}: {value}\r\n\r\n");
            prop_assert!(after.ends_with(line.as_bytes()));
            prop_assert!(remove_header(&after, name.as_bytes(), &mut without));
            let line = format!("\n{name}: ");
            let left = without.windows(line.len()).any(|part| part == line.as_bytes());
            prop_assert!(!left);
        }

        #[test]
        fn the_quick_look_misses_nothing(headers in "((Nats-Trace-Dest|Nats-Trace-Hop|traceparent|TRACEPARENT|tra|x|)(:|: |)(t|00-a-b-01|)(\r\n|\n|\r)){0,5}") {
            let bytes = format!("NATS/1.0\r\n{headers}\r\n").into_bytes();
            prop_assert_eq!(TraceHeaders::scan(&bytes), read(&bytes));
        }

        #[test]
        fn nothing_panics_on_any_bytes(tail in prop::collection::vec(any::<u8>(), 0..60), name in prop::collection::vec(any::<u8>(), 0..4)) {
            let bytes = [&b"NATS/1.0\r\nNats-Trace-Dest: t\r\n"[..], &tail].concat();
            let mut out = Vec::new();
            TraceHeaders::scan(&bytes);
            set_header(&tail, &name, &tail, &mut out);
            remove_header(&bytes, &name, &mut out);
        }
    }
}
