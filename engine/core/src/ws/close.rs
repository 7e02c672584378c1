//! Close frames: what we send, and what we make of the peer's (reference: wire protocol 5.3).

use super::error::WsError;
use super::frame::{FrameHeader, Opcode, CONTROL_BYTES_MAX, FINAL};

/// Longest text of a close frame; longer ones are cut and end in `...`.
pub const CLOSE_TEXT_BYTES_MAX: usize = CONTROL_BYTES_MAX - 2;

const INVALID_PAYLOAD: u16 = 1007;

/// Appends a close frame with a status and a reason.
pub fn close_frame(status: u16, text: &str, out: &mut Vec<u8>) {
    let (text, dots) =
        if text.len() > CLOSE_TEXT_BYTES_MAX { (prefix(text, CLOSE_TEXT_BYTES_MAX - 3), "...") } else { (text, "") };
    let body = [&status.to_be_bytes()[..], text.as_bytes(), dots.as_bytes()];
    control_frame(Opcode::Close, &body, out);
}

/// Appends one control frame whose payload is the concatenation of `body`, at most 125 bytes.
pub(super) fn control_frame(opcode: Opcode, body: &[&[u8]], out: &mut Vec<u8>) {
    let payload_bytes = body.iter().map(|part| part.len()).sum();
    out.extend_from_slice(FrameHeader::new(FINAL | opcode as u8, payload_bytes).as_bytes());
    for part in body {
        out.extend_from_slice(part);
    }
}

/// Appends the answer to the peer's close frame: the same body, or 1007 when its text is not UTF-8.
pub(super) fn answer_close(payload: &[u8], control: &mut Vec<u8>) -> Result<(), WsError> {
    match payload {
        [] => {}
        [_] => return Err(WsError::CloseTooShort),
        [high, low, text @ ..] => {
            let status = u16::from_be_bytes([*high, *low]);
            if !is_sendable(status) {
                return Err(WsError::CloseStatusInvalid(status));
            }
            if std::str::from_utf8(text).is_err() {
                close_frame(INVALID_PAYLOAD, "invalid utf8 body in close frame", control);
                return Ok(());
            }
        }
    }
    control_frame(Opcode::Close, &[payload], control);
    Ok(())
}

/// Whether a status may appear in a close frame (RFC 6455, section 7.4, and the registry that goes with it).
const fn is_sendable(status: u16) -> bool {
    matches!(status, 1000..=1003 | 1007..=1014 | 3000..=4999)
}

/// The longest prefix of at most `bytes_max` bytes that ends between characters.
fn prefix(text: &str, bytes_max: usize) -> &str {
    let end = (0..=bytes_max).rev().find(|&end| text.is_char_boundary(end)).unwrap_or(0);
    text.get(..end).unwrap_or_default()
}

#[cfg(test)]
mod tests {
    use super::{close_frame, CLOSE_TEXT_BYTES_MAX};

    #[test]
    fn a_text_that_fits_is_sent_whole() {
        let mut out = Vec::new();
        close_frame(1001, &"x".repeat(CLOSE_TEXT_BYTES_MAX), &mut out);
        assert_eq!(out.len(), 2 + 125);
        assert!(out.starts_with(&[0x88, 125, 0x03, 0xe9, b'x']));
        assert!(out.ends_with(b"xxxx"));
    }

    #[test]
    fn a_longer_text_is_cut_between_characters() {
        let mut out = Vec::new();
        close_frame(1008, &format!("{}ééé", "x".repeat(119)), &mut out);
        close_frame(1008, "no text lost", &mut out);
        let cut = &out[4..4 + 119 + 3];
        assert_eq!(std::str::from_utf8(cut).unwrap(), format!("{}...", "x".repeat(119)));
        assert_eq!(out[1], 2 + 119 + 3);
    }
}
