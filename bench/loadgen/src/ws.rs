//! WebSocket on the client's side: upgrade, masked frames out, unmasked frames in.

use crate::failure::{Failure, Result};

/// Keys are there to make proxies see that the peer speaks WebSocket, so one constant pair serves (RFC 6455, section 1.3).
const KEY: &str = "dGhlIHNhbXBsZSBub25jZQ==";
const ACCEPT: &str = "s3pPLMBiTxaQ9kYGzzhZRbK+xOo=";
/// Any value but zero makes the server unmask for real.
const MASK: [u8; 4] = [0x37, 0xfa, 0x21, 0x3d];

const OPCODE_CONTINUATION: u8 = 0;
const OPCODE_TEXT: u8 = 1;
const OPCODE_BINARY: u8 = 2;
const OPCODE_CLOSE: u8 = 8;
const OPCODE_PING: u8 = 9;
const OPCODE_PONG: u8 = 10;

/// The upgrade request.
pub fn upgrade_request(host: &str) -> String {
    format!(
        "GET / HTTP/1.1\r\nHost: {host}\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n\
         Sec-WebSocket-Key: {KEY}\r\nSec-WebSocket-Version: 13\r\n\r\n"
    )
}

/// Checks the head of the server's answer to [`upgrade_request`].
pub fn check_upgrade(head: &str) -> Result<()> {
    let accepted = head.lines().any(|line| {
        line.split_once(':')
            .is_some_and(|(name, value)| name.eq_ignore_ascii_case("Sec-WebSocket-Accept") && value.trim() == ACCEPT)
    });
    if head.starts_with("HTTP/1.1 101") && accepted {
        return Ok(());
    }
    Err(Failure::Protocol(format!("WebSocket upgrade answered {head:?}")))
}

/// Appends one masked binary frame.
pub fn append_masked(payload: &[u8], out: &mut Vec<u8>) {
    append_frame(OPCODE_BINARY, payload, out);
}

fn append_frame(opcode: u8, payload: &[u8], out: &mut Vec<u8>) {
    out.push(0x80 | opcode);
    match payload.len() {
        length @ 0..=125 => out.push(0x80 | length as u8),
        length @ 126..=0xffff => {
            out.push(0x80 | 126);
            out.extend((length as u16).to_be_bytes());
        }
        length => {
            out.push(0x80 | 127);
            out.extend((length as u64).to_be_bytes());
        }
    }
    out.extend(MASK);
    out.extend(payload.iter().zip(MASK.iter().cycle()).map(|(byte, mask)| byte ^ mask));
}

/// Takes the frames off a stream from the server, which may be cut anywhere.
#[derive(Default)]
pub struct FrameReader {
    head: Vec<u8>,
    opcode: u8,
    missing: u64,
    control: Vec<u8>,
    /// Frames to be sent in answer to PINGs.
    pub answers: Vec<u8>,
}

impl FrameReader {
    /// Hands the application bytes in `data` to `take`, in order.
    pub fn feed(&mut self, mut data: &[u8], mut take: impl FnMut(&[u8]) -> Result<()>) -> Result<()> {
        while !data.is_empty() {
            if self.missing == 0 {
                data = self.read_head(data)?;
                continue;
            }
            let length = self.missing.min(data.len() as u64) as usize;
            let (payload, rest) = data.split_at(length);
            self.missing -= length as u64;
            if self.opcode < OPCODE_CLOSE {
                take(payload)?;
            } else {
                self.control.extend_from_slice(payload);
                if self.missing == 0 {
                    self.control_frame()?;
                }
            }
            data = rest;
        }
        Ok(())
    }

    fn read_head<'a>(&mut self, mut data: &'a [u8]) -> Result<&'a [u8]> {
        while !data.is_empty() {
            let wanted = match self.head.get(1) {
                None => 2,
                Some(126) => 4,
                Some(127) => 10,
                Some(_) => 2,
            };
            let take = (wanted - self.head.len()).min(data.len());
            self.head.extend_from_slice(&data[..take]);
            data = &data[take..];
            if self.head.len() == wanted && (wanted > 2 || !matches!(self.head[1], 126 | 127)) {
                self.begin_frame()?;
                break;
            }
        }
        Ok(data)
    }

    fn begin_frame(&mut self) -> Result<()> {
        let (first, second) = (self.head[0], self.head[1]);
        self.opcode = first & 0x0f;
        let known = [OPCODE_CONTINUATION, OPCODE_TEXT, OPCODE_BINARY, OPCODE_CLOSE, OPCODE_PING, OPCODE_PONG];
        if first & 0x70 != 0 || second & 0x80 != 0 || !known.contains(&self.opcode) {
            return Err(Failure::Protocol(format!("WebSocket frame head {:02x?}", self.head)));
        }
        self.missing = match second {
            126 | 127 => self.head[2..].iter().fold(0, |length, byte| length << 8 | u64::from(*byte)),
            short => u64::from(short),
        };
        self.head.clear();
        self.control.clear();
        if self.missing == 0 && self.opcode >= OPCODE_CLOSE {
            self.control_frame()?;
        }
        Ok(())
    }

    fn control_frame(&mut self) -> Result<()> {
        match self.opcode {
            OPCODE_PING => append_frame(OPCODE_PONG, &self.control, &mut self.answers),
            OPCODE_CLOSE => {
                let reason = self.control.get(2..).unwrap_or_default();
                return Err(Failure::ServerError(format!("a WebSocket close: {}", String::from_utf8_lossy(reason))));
            }
            _ => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn server_frame(opcode: u8, payload: &[u8]) -> Vec<u8> {
        let mut masked = Vec::new();
        append_frame(opcode, payload, &mut masked);
        let mask_at = masked.len() - payload.len() - 4;
        let mut frame = masked[..mask_at].to_vec();
        frame[1] &= 0x7f;
        frame.extend(payload);
        frame
    }

    fn read_all(stream: &[u8], chunk: usize) -> (Vec<u8>, FrameReader) {
        let mut reader = FrameReader::default();
        let mut out = Vec::new();
        for piece in stream.chunks(chunk) {
            reader
                .feed(piece, |bytes| {
                    out.extend_from_slice(bytes);
                    Ok(())
                })
                .unwrap();
        }
        (out, reader)
    }

    #[test]
    fn frames_of_every_length_form_survive_any_cut() {
        let payloads: Vec<Vec<u8>> =
            [0, 1, 125, 126, 300, 65_535, 65_536, 70_000].iter().map(|size| crate::wire::payload(*size)).collect();
        let mut stream = Vec::new();
        for payload in &payloads {
            stream.extend(server_frame(OPCODE_BINARY, payload));
        }
        for chunk in [1, 2, 3, 7, 1_000, stream.len()] {
            assert_eq!(read_all(&stream, chunk).0, payloads.concat(), "chunks of {chunk}");
        }
    }

    #[test]
    fn a_ping_between_data_is_answered() {
        let mut stream = server_frame(OPCODE_BINARY, b"ab");
        stream.extend(server_frame(OPCODE_PING, b"hi"));
        stream.extend(server_frame(OPCODE_BINARY, b"cd"));
        let (data, reader) = read_all(&stream, 1);
        assert_eq!(data, b"abcd");
        let mut pong = Vec::new();
        append_frame(OPCODE_PONG, b"hi", &mut pong);
        assert_eq!(reader.answers, pong);
    }

    #[test]
    fn masking_is_undone_by_masking_again() {
        let mut frame = Vec::new();
        append_masked(b"hello", &mut frame);
        assert_eq!(&frame[..6], &[0x82, 0x85, 0x37, 0xfa, 0x21, 0x3d]);
        let plain: Vec<u8> = frame[6..].iter().zip(MASK.iter().cycle()).map(|(b, m)| b ^ m).collect();
        assert_eq!(plain, b"hello");
    }

    #[test]
    fn a_close_or_a_masked_frame_from_the_server_is_an_error() {
        let mut reader = FrameReader::default();
        let close = server_frame(OPCODE_CLOSE, b"\x03\xf0slow");
        let failure = reader.feed(&close, |_| Ok(())).unwrap_err();
        assert_eq!(failure.to_string(), "the server sent a WebSocket close: slow");
        assert!(FrameReader::default().feed(&[0x82, 0x81], |_| Ok(())).is_err());
    }

    #[test]
    fn an_upgrade_needs_status_and_key() {
        let good = format!("HTTP/1.1 101 Switching Protocols\r\nsec-websocket-accept: {ACCEPT}\r\n\r\n");
        check_upgrade(&good).unwrap();
        assert!(check_upgrade("HTTP/1.1 400 Bad Request\r\n\r\n").is_err());
        assert!(check_upgrade(&good.replace("s3p", "xxx")).is_err());
    }
}
