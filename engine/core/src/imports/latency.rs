//! Requests whose answers are timed (reference: security 5.6): which ones, and what is remembered of them meanwhile.
//!
//! A share of the requests is timed at random, and those that their headers ask for: whoever traces a request through
//! several systems finds it in the measurements. Deliberately absent: the text of a measurement, which the control plane
//! writes.

/// Bytes of trace headers that are remembered of one request.
const HEADER_BYTES_MAX: usize = 4096;

/// Which requests are timed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Sampling {
    /// So many of a hundred, and those whose headers ask for it.
    Percent(u8),
    /// Only those whose headers ask for it.
    Headers,
}

/// How the answers of a service are timed, as its export says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct LatencySpec {
    /// Where measurements are published, in the exporting account.
    pub results: Vec<u8>,
    /// Which requests are timed.
    pub sampling: Sampling,
}

/// How a timed request ended.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It was answered.
    Answered,
    /// It wants no answer.
    NoReply,
    /// Who asked has left.
    AskerGone,
    /// There is nobody to answer.
    NoResponders,
    /// No answer came in time.
    TimedOut,
}

/// What is remembered of a timed request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Timed {
    /// Where the measurement goes.
    pub results: Box<[u8]>,
    /// Who asked, as JSON: what the service itself was told.
    pub requestor: Box<[u8]>,
    /// Client id of who asked.
    pub asker: u64,
    /// Round trip to who asked.
    pub rtt_ns: u64,
    /// The trace headers, line by line.
    pub header: Box<[u8]>,
    /// When it came.
    pub asked_ns: u64,
}

impl Timed {
    pub(crate) fn bytes(&self) -> usize {
        self.results.len() + self.requestor.len() + self.header.len()
    }
}

/// Whether to time a request with this header block; returns its trace headers, if it was they that decided. `roll` is
/// below 100.
pub(crate) fn sampled(sampling: Sampling, roll: u32, block: &[u8]) -> Option<Vec<u8>> {
    match sampling {
        Sampling::Percent(percent) if roll < u32::from(percent) => Some(Vec::new()),
        Sampling::Percent(_) | Sampling::Headers => asked_for(block),
    }
}

/// The trace headers of a block that ask for a measurement. The first kind of them that is there decides.
fn asked_for(block: &[u8]) -> Option<Vec<u8>> {
    if let Some(value) = value_of(block, b"Uber-Trace-Id") {
        let mut fields = value.split(|&b| b == b':');
        let flags = fields.nth(3).filter(|flags| matches!(flags.len(), 1 | 2) && is_odd(flags.last()));
        return flags.filter(|_| fields.next().is_none()).map(|_| lines_of(block, is_jaeger));
    }
    match value_of(block, b"X-B3-Sampled") {
        Some(b"1") => return Some(lines_of(block, is_b3)),
        Some(b"0") => return None,
        _ => {}
    }
    if value_of(block, b"X-B3-TraceId").is_some() {
        return Some(lines_of(block, is_b3));
    }
    if let Some(value) = value_of(block, b"B3") {
        let fields: Vec<&[u8]> = value.split(|&b| b == b'-').take(3).collect();
        let denied = matches!(fields.as_slice(), [b"0"] | [_, _, b"0"]);
        return (!denied).then(|| lines_of(block, |name| name.eq_ignore_ascii_case(b"B3")));
    }
    let value = value_of(block, b"traceparent")?;
    let mut fields = value.split(|&b| b == b'-');
    let flags = fields.nth(3).filter(|flags| flags.len() == 2 && is_odd(flags.last()))?;
    (fields.next().is_none() && flags.iter().all(u8::is_ascii_hexdigit)).then(|| lines_of(block, is_trace_context))
}

fn is_odd(digit: Option<&u8>) -> bool {
    digit.and_then(|&digit| char::from(digit).to_digit(16)).is_some_and(|digit| digit & 1 == 1)
}

fn is_jaeger(name: &[u8]) -> bool {
    let baggage = name.get(..8).is_some_and(|start| start.eq_ignore_ascii_case(b"Uberctx-"));
    baggage || name.eq_ignore_ascii_case(b"Uber-Trace-Id")
}

fn is_b3(name: &[u8]) -> bool {
    [&b"X-B3-TraceId"[..], b"X-B3-SpanId", b"X-B3-ParentSpanId", b"X-B3-Sampled"]
        .iter()
        .any(|one| name.eq_ignore_ascii_case(one))
}

fn is_trace_context(name: &[u8]) -> bool {
    name.eq_ignore_ascii_case(b"traceparent") || name.eq_ignore_ascii_case(b"tracestate")
}

/// Names and values of the header lines.
fn members(block: &[u8]) -> impl Iterator<Item = (&[u8], &[u8])> {
    block.split(|&b| b == b'\n').skip(1).filter_map(|line| {
        let colon = line.iter().position(|&b| b == b':')?;
        Some((line.get(..colon)?, line.get(colon + 1..)?.trim_ascii()))
    })
}

fn value_of<'a>(block: &'a [u8], wanted: &[u8]) -> Option<&'a [u8]> {
    members(block).find(|(name, _)| name.eq_ignore_ascii_case(wanted)).map(|(_, value)| value)
}

fn lines_of(block: &[u8], wanted: impl Fn(&[u8]) -> bool) -> Vec<u8> {
    let mut lines = Vec::new();
    for (name, value) in members(block).filter(|(name, _)| wanted(name)) {
        if lines.len() + name.len() + value.len() < HEADER_BYTES_MAX {
            lines.extend_from_slice(&[name, b":", value, b"\r\n"].concat());
        }
    }
    lines
}

#[cfg(test)]
mod tests {
    use super::*;

    #[track_caller]
    fn expect(headers: &str, kept: Option<&str>) {
        let block = format!("NATS/1.0\r\n{headers}X-Other: y\r\n\r\n");
        let found = sampled(Sampling::Headers, 0, block.as_bytes());
        assert_eq!(found.map(|lines| String::from_utf8(lines).unwrap()).as_deref(), kept, "{headers}");
    }

    #[test]
    fn headers_of_tracers_ask_for_a_measurement() {
        expect("", None);
        for (flags, asks) in [("1", true), ("0", false), ("0f", true), ("x1", true), ("001", false), ("", false)] {
            let line = format!("uber-trace-id:1:2:3:{flags}\r\n");
            expect(&line, asks.then_some(line.as_str()));
        }
        expect("Uber-Trace-Id: 1:2:3:1:5\r\n", None);
        expect("Uber-Trace-Id: 1:2:3:0\r\nX-B3-Sampled: 1\r\n", None);
        expect("Uber-Trace-Id: 1:2:3:1\r\nUberctx-A: b\r\nB3: 1\r\n", Some("Uber-Trace-Id:1:2:3:1\r\nUberctx-A:b\r\n"));
        expect("X-B3-Sampled: 1\r\nX-B3-SpanId: s\r\n", Some("X-B3-Sampled:1\r\nX-B3-SpanId:s\r\n"));
        expect("X-B3-Sampled: 0\r\nX-B3-TraceId: t\r\n", None);
        expect("X-B3-TraceId: t\r\n", Some("X-B3-TraceId:t\r\n"));
        for (value, asks) in [("0", false), ("a-b-0", false), ("a-b-0-p", false), ("a-b-1", true), ("d", true)] {
            let line = format!("b3:{value}\r\n");
            expect(&line, asks.then_some(line.as_str()));
        }
        for (value, asks) in [("00-a-b-01", true), ("00-a-b-00", false), ("00-a-b", false), ("00-a-b-01-x", false)] {
            let line = format!("traceparent:{value}\r\n");
            expect(&line, asks.then_some(line.as_str()));
        }
    }

    #[test]
    fn a_share_is_timed_at_random() {
        let timed = |percent, roll| sampled(Sampling::Percent(percent), roll, b"").is_some();
        assert!(timed(100, 99) && timed(1, 0) && !timed(1, 1));
    }

    #[test]
    fn long_headers_are_not_kept() {
        let long = "b".repeat(HEADER_BYTES_MAX);
        expect(&format!("traceparent: 00-a-b-01\r\ntracestate: {long}\r\n"), Some("traceparent:00-a-b-01\r\n"));
    }
}
