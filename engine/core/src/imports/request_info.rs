//! The header that tells a service in another account who asks (reference: security 5.5).
//!
//! Promise: a message that crosses has it exactly once, from this server. What a client wrote under that name is taken
//! out, however it was spelled and whichever line ends it used; a header block that is none is replaced.

const NAME: &[u8] = b"Nats-Request-Info";
const VERSION: &[u8] = b"NATS/1.0";

/// What the header says.
#[derive(Debug, Clone, Copy, Default)]
pub(crate) struct RequestInfo<'a> {
    /// The account that asks, as JSON.
    pub account: &'a [u8],
    /// The account in between, as JSON, or empty.
    pub service: &'a [u8],
    /// Round trip to who asks.
    pub rtt_ns: u64,
    /// Members about who asks: before the account, after it, and after the round trip time.
    pub shared: Option<&'a [Vec<u8>; 3]>,
    /// The server's id, as JSON, or empty; `shared` has it already.
    pub server: &'a [u8],
}

/// Writes the header line.
pub(crate) fn push_request_info(out: &mut Vec<u8>, info: &RequestInfo<'_>) {
    let [before, after_account, last] = match info.shared {
        Some([before, after_account, last]) => [before.as_slice(), after_account, last],
        None => [&[][..]; 3],
    };
    out.extend_from_slice(NAME);
    out.extend_from_slice(b": {");
    out.extend_from_slice(before);
    out.extend_from_slice(b"\"acc\":");
    out.extend_from_slice(info.account);
    if !info.service.is_empty() {
        out.extend_from_slice(b",\"svc\":");
        out.extend_from_slice(info.service);
    }
    out.extend_from_slice(after_account);
    if info.rtt_ns > 0 {
        out.extend_from_slice(format!(",\"rtt\":{}", info.rtt_ns).as_bytes());
    }
    out.extend_from_slice(last);
    if info.shared.is_none() && !info.server.is_empty() {
        out.extend_from_slice(b",\"server\":");
        out.extend_from_slice(info.server);
    }
    out.extend_from_slice(b"}\r\n");
}

/// What the line says, as JSON.
pub(crate) fn told(line: &[u8]) -> &[u8] {
    line.get(NAME.len() + 2..line.len().saturating_sub(2)).unwrap_or(&[])
}

/// The message with this line in its header block; returns the length of the block.
pub(crate) fn with_request_info(header_bytes: usize, body: &[u8], line: &[u8], out: &mut Vec<u8>) -> usize {
    let (block, payload) = body.split_at(header_bytes.min(body.len()));
    out.clear();
    if block.starts_with(VERSION) && block.ends_with(b"\r\n\r\n") {
        push_other_lines(block.get(..block.len() - 2).unwrap_or(&[]), out);
    } else {
        out.extend_from_slice(VERSION);
        out.extend_from_slice(b"\r\n");
    }
    out.extend_from_slice(line);
    out.extend_from_slice(b"\r\n");
    let length = out.len();
    out.extend_from_slice(payload);
    length
}

/// Copies the lines of other names. A line that starts with a blank belongs to the one before it.
fn push_other_lines(block: &[u8], out: &mut Vec<u8>) {
    let mut ours = false;
    for line in block.split_inclusive(|&b| b == b'\n') {
        if !line.first().is_some_and(|&b| b == b' ' || b == b'\t') {
            let name = line.split(|&b| b == b':').next().unwrap_or(&[]);
            ours = name.trim_ascii().eq_ignore_ascii_case(NAME);
        }
        if !ours {
            out.extend_from_slice(line);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn with(block: &str, payload: &str) -> (String, usize) {
        let mut out = Vec::new();
        let body = format!("{block}{payload}");
        let length = with_request_info(block.len(), body.as_bytes(), b"Nats-Request-Info: {}\r\n", &mut out);
        (String::from_utf8(out).unwrap(), length)
    }

    #[test]
    fn the_line_comes_last() {
        assert_eq!(with("", "x"), ("NATS/1.0\r\nNats-Request-Info: {}\r\n\r\nx".into(), 35));
        assert_eq!(with("NATS/1.0\r\nA: b\r\n\r\n", "x").0, "NATS/1.0\r\nA: b\r\nNats-Request-Info: {}\r\n\r\nx");
    }

    #[test]
    fn lines_of_that_name_disappear_however_they_are_written() {
        for forged in ["Nats-Request-Info: {1}", "nats-request-info:{1}", "NATS-REQUEST-INFO : {1}\r\n {1}\r\n\t{1}"] {
            let block = format!("NATS/1.0\r\nA: b\r\n{forged}\r\nC: d\r\n\r\n");
            assert_eq!(with(&block, "x").0, "NATS/1.0\r\nA: b\r\nC: d\r\nNats-Request-Info: {}\r\n\r\nx", "{forged}");
        }
        let bare = with("NATS/1.0\r\nA: b\nNats-Request-Info: {1}\r\n\r\n", "").0;
        assert_eq!(bare, "NATS/1.0\r\nA: b\nNats-Request-Info: {}\r\n\r\n");
        assert_eq!(with("Nats-Request-Info: {1}\r\n\r\n", "x").0, "NATS/1.0\r\nNats-Request-Info: {}\r\n\r\nx");
    }

    #[test]
    fn members_stand_in_the_order_of_nats_server() {
        let mut line = Vec::new();
        let plain = RequestInfo { account: b"\"I\"", rtt_ns: 7, ..RequestInfo::default() };
        push_request_info(&mut line, &plain);
        assert_eq!(line, b"Nats-Request-Info: {\"acc\":\"I\",\"rtt\":7}\r\n");
        line.clear();
        push_request_info(&mut line, &RequestInfo { service: b"\"S\"", server: b"\"N\"", ..plain });
        assert_eq!(line, b"Nats-Request-Info: {\"acc\":\"I\",\"svc\":\"S\",\"rtt\":7,\"server\":\"N\"}\r\n");
        line.clear();
        let shared = [b"\"id\":5,".to_vec(), b",\"user\":\"u\"".to_vec(), b",\"kind\":\"Client\"".to_vec()];
        push_request_info(&mut line, &RequestInfo { shared: Some(&shared), server: b"\"N\"", ..plain });
        assert_eq!(
            line,
            b"Nats-Request-Info: {\"id\":5,\"acc\":\"I\",\"user\":\"u\",\"rtt\":7,\"kind\":\"Client\"}\r\n"
        );
    }

    proptest! {
        #[test]
        fn any_block_ends_up_with_one_such_line(block in "(NATS/1.0\r\n)?([Nn]ats-[Rr]equest-[Ii]nfo ?:|A|:| |\r|\n|\r\n){0,12}(\r\n\r\n)?") {
            let (all, length) = with(&block, "payload");
            prop_assert_eq!(&all[length..], "payload");
            let head = &all[..length];
            prop_assert!(head.starts_with("NATS/1.0") && head.ends_with("\r\n\r\n"));
            let named = head.split('\n').filter(|line| {
                line.split(':').next().is_some_and(|name| !line.starts_with([' ', '\t']) && name.trim().eq_ignore_ascii_case("nats-request-info"))
            });
            prop_assert_eq!(named.count(), 1);
        }
    }
}
