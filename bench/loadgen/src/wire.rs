//! The client protocol as far as a load generator speaks it: rendering frames and walking over received ones.

use crate::failure::{Failure, Result};

/// A control line that grows beyond this is not one of the protocol.
const LINE_MAX: usize = 64 * 1024;

/// What a client says first. The PING lets it see when the server has accepted the CONNECT.
pub fn hello(tls: bool) -> Vec<u8> {
    format!(
        "CONNECT {{\"verbose\":false,\"pedantic\":false,\"tls_required\":{tls},\"lang\":\"rust\",\"version\":\"1.0.0\",\
         \"name\":\"loadgen\",\"protocol\":1,\"echo\":true,\"headers\":true,\"no_responders\":true}}\r\nPING\r\n"
    )
    .into_bytes()
}

/// The payload of every message: readable, and different at every offset modulo 26.
pub fn payload(size: usize) -> Vec<u8> {
    (b'a'..=b'z').cycle().take(size).collect()
}

/// A subscription, with or without queue group.
pub fn subscribe(subject: &str, queue: Option<&str>, sid: usize) -> String {
    match queue {
        Some(queue) => format!("SUB {subject} {queue} {sid}\r\n"),
        None => format!("SUB {subject} {sid}\r\n"),
    }
}

/// A message on its way to the server.
pub fn publish_frame(subject: &str, reply: Option<&str>, size: usize) -> Vec<u8> {
    let mut frame = match reply {
        Some(reply) => format!("PUB {subject} {reply} {size}\r\n"),
        None => format!("PUB {subject} {size}\r\n"),
    }
    .into_bytes();
    frame.extend(payload(size));
    frame.extend(b"\r\n");
    frame
}

/// A message on its way to a subscriber.
pub fn message_frame(subject: &str, sid: &str, size: usize) -> Vec<u8> {
    let mut frame = format!("MSG {subject} {sid} {size}\r\n").into_bytes();
    frame.extend(payload(size));
    frame.extend(b"\r\n");
    frame
}

/// What a message of a stream of equal frames looks like.
#[derive(Clone, Copy)]
pub enum Verb {
    /// From a server.
    Msg,
    /// From a client.
    Pub,
}

impl Verb {
    fn bytes(self) -> [u8; 4] {
        match self {
            Verb::Msg => *b"MSG ",
            Verb::Pub => *b"PUB ",
        }
    }
}

/// Counts the messages of a byte stream whose messages all have one size.
///
/// The stream may be cut anywhere. Frames that lie completely in one read are passed by stride: their first four bytes and
/// their line end are compared, so a stream that slips by one byte is seen at once. One frame of each read is compared in
/// full, and every control line that is not passed by stride is parsed.
pub struct FrameWalker {
    verb: [u8; 4],
    subject_prefix: Vec<u8>,
    payload: Vec<u8>,
    stride: usize,
    missing: usize,
    line: Vec<u8>,
    /// Complete messages so far.
    pub messages: u64,
    /// PINGs so far.
    pub pings: u64,
    /// PONGs so far.
    pub pongs: u64,
    /// SUB lines, which only clients send.
    pub subscriptions: Vec<String>,
}

impl FrameWalker {
    /// A walker at the beginning of a stream.
    pub fn new(verb: Verb, subject_prefix: &str, size: usize) -> Self {
        FrameWalker {
            verb: verb.bytes(),
            subject_prefix: subject_prefix.as_bytes().to_vec(),
            payload: payload(size),
            stride: 0,
            missing: 0,
            line: Vec::new(),
            messages: 0,
            pings: 0,
            pongs: 0,
            subscriptions: Vec::new(),
        }
    }

    /// Payload bytes of each message.
    pub fn payload_bytes(&self) -> usize {
        self.payload.len()
    }

    /// Walks over the next bytes of the stream.
    pub fn feed(&mut self, data: &[u8]) -> Result<()> {
        let mut rest = self.finish_begun(data);
        self.compare_one(rest)?;
        loop {
            rest = self.stride_over(rest);
            if rest.is_empty() {
                return Ok(());
            }
            let Some(end) = rest.iter().position(|byte| *byte == b'\n') else {
                return self.keep_begun_line(rest);
            };
            let (line, behind) = rest.split_at(end + 1);
            if self.line.is_empty() {
                self.control_line(line)?;
            } else {
                let mut whole = std::mem::take(&mut self.line);
                whole.extend_from_slice(line);
                self.control_line(&whole)?;
            }
            rest = self.finish_begun(behind);
        }
    }

    fn finish_begun<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        if self.missing == 0 {
            return data;
        }
        let taken = self.missing.min(data.len());
        self.missing -= taken;
        if self.missing == 0 {
            self.messages += 1;
        }
        &data[taken..]
    }

    fn stride_over<'a>(&mut self, data: &'a [u8]) -> &'a [u8] {
        let stride = self.stride;
        if stride == 0 || !self.line.is_empty() {
            return data;
        }
        let mut frames = data.chunks_exact(stride);
        let mut passed = 0;
        for frame in &mut frames {
            if frame[..4] != self.verb || frame[stride - 2..] != *b"\r\n" {
                break;
            }
            passed += 1;
        }
        self.messages += passed as u64;
        &data[passed * stride..]
    }

    fn compare_one(&self, data: &[u8]) -> Result<()> {
        if self.stride == 0 || !self.line.is_empty() || self.missing > 0 || data.len() < self.stride {
            return Ok(());
        }
        let frame = &data[..self.stride];
        if frame[..4] != self.verb {
            return Ok(());
        }
        let tail = self.stride - 2 - self.payload.len();
        if frame[tail..self.stride - 2] != self.payload[..] {
            return Err(Failure::Protocol("a payload differs from what was published".into()));
        }
        Ok(())
    }

    fn keep_begun_line(&mut self, data: &[u8]) -> Result<()> {
        if self.line.len() + data.len() > LINE_MAX {
            return Err(Failure::Protocol(format!("a control line longer than {LINE_MAX} bytes")));
        }
        self.line.extend_from_slice(data);
        Ok(())
    }

    fn control_line(&mut self, line: &[u8]) -> Result<()> {
        if line.starts_with(&self.verb) {
            return self.begin_message(line);
        }
        match line {
            b"PING\r\n" => self.pings += 1,
            b"PONG\r\n" => self.pongs += 1,
            _ if line.starts_with(b"INFO ") || line.starts_with(b"+OK") => {}
            _ if self.verb == Verb::Pub.bytes() && line.starts_with(b"CONNECT ") => {}
            _ if self.verb == Verb::Pub.bytes() && line.starts_with(b"SUB ") => {
                self.subscriptions.push(String::from_utf8_lossy(line).trim_end().into())
            }
            _ if line.starts_with(b"-ERR") => {
                return Err(Failure::ServerError(String::from_utf8_lossy(line).trim_end().into()))
            }
            _ => {
                return Err(Failure::Protocol(format!(
                    "{:?} where a control line should begin",
                    String::from_utf8_lossy(&line[..line.len().min(60)])
                )))
            }
        }
        Ok(())
    }

    fn begin_message(&mut self, line: &[u8]) -> Result<()> {
        let subject = &line[self.verb.len()..];
        let size = line
            .strip_suffix(b"\r\n")
            .and_then(|line| line.rsplit(|byte| *byte == b' ').next())
            .and_then(|digits| std::str::from_utf8(digits).ok())
            .and_then(|digits| digits.parse::<usize>().ok());
        if size != Some(self.payload.len()) || !subject.starts_with(&self.subject_prefix) {
            return Err(Failure::Protocol(format!(
                "message line {:?}, expected subject {}... and {} bytes",
                String::from_utf8_lossy(line),
                String::from_utf8_lossy(&self.subject_prefix),
                self.payload.len()
            )));
        }
        self.missing = self.payload.len() + 2;
        self.stride = line.len() + self.missing;
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn stream() -> Vec<u8> {
        let mut stream = b"INFO {\"x\":1}\r\nPONG\r\n".to_vec();
        for number in 0..5 {
            stream.extend(message_frame("bench.a", "1", 16));
            if number == 2 {
                stream.extend(b"PING\r\n");
            }
        }
        stream
    }

    #[test]
    fn any_cut_of_the_stream_gives_the_same_counts() {
        let stream = stream();
        for chunk in 1..stream.len() {
            let mut walker = FrameWalker::new(Verb::Msg, "bench.", 16);
            for piece in stream.chunks(chunk) {
                walker.feed(piece).unwrap();
            }
            assert_eq!((walker.messages, walker.pings, walker.pongs), (5, 1, 1), "chunks of {chunk}");
        }
    }

    #[test]
    fn a_message_counts_only_when_its_last_byte_is_there() {
        let frame = message_frame("bench.a", "1", 128);
        let mut walker = FrameWalker::new(Verb::Msg, "bench.", 128);
        walker.feed(&frame[..frame.len() - 1]).unwrap();
        assert_eq!(walker.messages, 0);
        walker.feed(&frame[frame.len() - 1..]).unwrap();
        assert_eq!(walker.messages, 1);
    }

    #[test]
    fn a_slipped_stream_is_an_error() {
        let mut stream = message_frame("bench.a", "1", 16);
        stream.extend(&message_frame("bench.a", "1", 16)[1..]);
        stream.extend(message_frame("bench.a", "1", 16));
        let mut walker = FrameWalker::new(Verb::Msg, "bench.", 16);
        assert!(matches!(walker.feed(&stream), Err(Failure::Protocol(_))));
    }

    #[test]
    fn wrong_size_subject_or_payload_is_an_error() {
        for bad in [message_frame("bench.a", "1", 17), message_frame("other.a", "1", 16)] {
            let mut walker = FrameWalker::new(Verb::Msg, "bench.", 16);
            assert!(matches!(walker.feed(&bad), Err(Failure::Protocol(_))));
        }
        let good = message_frame("bench.a", "1", 16);
        let mut bad = good.clone();
        let last = bad.len() - 3;
        bad[last] = b'!';
        let mut walker = FrameWalker::new(Verb::Msg, "bench.", 16);
        walker.feed(&good).unwrap();
        assert!(matches!(walker.feed(&bad), Err(Failure::Protocol(_))));
    }

    #[test]
    fn an_error_of_the_server_is_passed_on() {
        let mut walker = FrameWalker::new(Verb::Msg, "bench.", 16);
        let failure = walker.feed(b"-ERR 'Slow Consumer'\r\n").unwrap_err();
        assert_eq!(failure.to_string(), "the server sent -ERR 'Slow Consumer'");
    }

    #[test]
    fn an_endless_line_is_an_error() {
        let mut walker = FrameWalker::new(Verb::Msg, "bench.", 16);
        let junk = vec![b'x'; LINE_MAX / 2 + 1];
        walker.feed(&junk).unwrap();
        assert!(walker.feed(&junk).is_err());
    }
}
