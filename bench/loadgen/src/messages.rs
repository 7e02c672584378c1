//! Received messages one by one, for runs in which each matters: subject, reply and size, wherever the stream is cut.

use crate::failure::{Failure, Result};

/// More than this without a complete message is not what a run sends.
const HELD_BYTES_MAX: usize = 1024 * 1024;

/// One received message.
pub struct Received<'a> {
    /// The subject it was sent to.
    pub subject: &'a str,
    /// Where an answer should go.
    pub reply: Option<&'a str>,
    /// Its payload.
    pub payload: &'a [u8],
}

/// Takes messages off a stream from the server.
#[derive(Default)]
pub struct MessageReader {
    held: Vec<u8>,
    /// PINGs so far.
    pub pings: u64,
    /// PONGs so far.
    pub pongs: u64,
}

impl MessageReader {
    /// Hands every message that `data` completes to `take`.
    pub fn feed(&mut self, data: &[u8], mut take: impl FnMut(Received<'_>) -> Result<()>) -> Result<()> {
        if self.held.is_empty() {
            let used = self.walk(data, &mut take)?;
            self.held.extend_from_slice(&data[used..]);
        } else {
            let mut held = std::mem::take(&mut self.held);
            held.extend_from_slice(data);
            let used = self.walk(&held, &mut take)?;
            held.drain(..used);
            self.held = held;
        }
        if self.held.len() > HELD_BYTES_MAX {
            return Err(Failure::Protocol(format!("no message within {HELD_BYTES_MAX} bytes")));
        }
        Ok(())
    }

    fn walk(&mut self, data: &[u8], take: &mut impl FnMut(Received<'_>) -> Result<()>) -> Result<usize> {
        let mut used = 0;
        while let Some(length) = data[used..].iter().position(|byte| *byte == b'\n') {
            let rest = &data[used..];
            let line = std::str::from_utf8(&rest[..length])
                .map_err(|_| Failure::Protocol("a control line that is not text".into()))?
                .trim_end_matches('\r');
            let behind = &rest[length + 1..];
            let Some(fields) = line.strip_prefix("MSG ") else {
                self.control_line(line)?;
                used += length + 1;
                continue;
            };
            let (subject, reply, size) = message_fields(fields)?;
            if behind.len() < size + 2 {
                break;
            }
            if behind[size..size + 2] != *b"\r\n" {
                return Err(Failure::Protocol(format!("no line end behind the payload of {line:?}")));
            }
            take(Received { subject, reply, payload: &behind[..size] })?;
            used += length + 1 + size + 2;
        }
        Ok(used)
    }

    fn control_line(&mut self, line: &str) -> Result<()> {
        match line {
            "PING" => self.pings += 1,
            "PONG" => self.pongs += 1,
            _ if line.starts_with("INFO ") => {}
            _ if line.starts_with("-ERR") => return Err(Failure::ServerError(line.into())),
            _ => return Err(Failure::Protocol(format!("{line:?} where a control line should begin"))),
        }
        Ok(())
    }
}

fn message_fields(fields: &str) -> Result<(&str, Option<&str>, usize)> {
    let wrong = || Failure::Protocol(format!("message line {fields:?}"));
    let mut parts = fields.split(' ');
    let subject = parts.next().ok_or_else(wrong)?;
    let _sid = parts.next().ok_or_else(wrong)?;
    let third = parts.next().ok_or_else(wrong)?;
    let (reply, size) = match parts.next() {
        Some(size) => (Some(third), size),
        None => (None, third),
    };
    Ok((subject, reply, size.parse().map_err(|_| wrong())?))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn any_cut_of_the_stream_gives_the_same_messages() {
        let stream = b"PONG\r\nMSG a.b 1 3\r\nx\r\n\r\nPING\r\nMSG c 22 _INBOX.1 0\r\n\r\n";
        for chunk in 1..stream.len() {
            let mut reader = MessageReader::default();
            let mut seen = Vec::new();
            for piece in stream.chunks(chunk) {
                reader
                    .feed(piece, |message| {
                        seen.push((
                            message.subject.to_string(),
                            message.reply.map(str::to_string),
                            message.payload.to_vec(),
                        ));
                        Ok(())
                    })
                    .unwrap();
            }
            assert_eq!(
                seen,
                vec![
                    ("a.b".to_string(), None, b"x\r\n".to_vec()),
                    ("c".to_string(), Some("_INBOX.1".to_string()), Vec::new())
                ]
            );
            assert_eq!((reader.pings, reader.pongs), (1, 1));
        }
    }

    #[test]
    fn a_message_without_responders_or_with_a_bad_end_is_an_error() {
        for bad in ["HMSG a 1 5 5\r\nxxxxx\r\n", "MSG a 1 2\r\nxxx\r\n", "MSG a 1\r\n", "-ERR 'no'\r\n"] {
            assert!(MessageReader::default().feed(bad.as_bytes(), |_| Ok(())).is_err(), "{bad:?}");
        }
    }
}
