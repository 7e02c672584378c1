//! Text in double quotes the way peers and log readers know it: Go's `%q`.
//!
//! Subjects and queue names reach `-ERR` lines and log lines in this form, so hostile bytes cannot break a line.
//! The control plane has the same rule in `services/shared/wire/quote.py`; both are held to the same examples.

const HEX: &[u8; 16] = b"0123456789abcdef";

/// Appends `text` between double quotes, with quotes, backslashes and everything unprintable escaped.
pub fn push_quoted(out: &mut Vec<u8>, text: &[u8]) {
    out.push(b'"');
    if text.iter().all(|&b| is_plain(b)) {
        out.extend_from_slice(text);
    } else {
        push_escaped(out, text);
    }
    out.push(b'"');
}

/// The same as a text of its own, for messages that are not on the fast path.
pub fn quoted(text: &[u8]) -> String {
    let mut out = Vec::new();
    push_quoted(&mut out, text);
    String::from_utf8_lossy(&out).into_owned()
}

fn is_plain(b: u8) -> bool {
    (0x20..0x7f).contains(&b) && b != b'"' && b != b'\\'
}

fn push_escaped(out: &mut Vec<u8>, text: &[u8]) {
    for chunk in text.utf8_chunks() {
        for c in chunk.valid().chars() {
            push_char(out, c);
        }
        for &b in chunk.invalid() {
            out.extend_from_slice(b"\\x");
            push_hex(out, u32::from(b), 2);
        }
    }
}

fn push_char(out: &mut Vec<u8>, c: char) {
    let short = match c {
        '"' | '\\' => Some(c),
        '\x07' => Some('a'),
        '\x08' => Some('b'),
        '\x0c' => Some('f'),
        '\n' => Some('n'),
        '\r' => Some('r'),
        '\t' => Some('t'),
        '\x0b' => Some('v'),
        _ => None,
    };
    let code = u32::from(c);
    if let Some(letter) = short {
        out.push(b'\\');
        push_utf8(out, letter);
    } else if code < 0x20 || code == 0x7f {
        out.extend_from_slice(b"\\x");
        push_hex(out, code, 2);
    } else if is_printable(c) {
        push_utf8(out, c);
    } else if code < 0x1_0000 {
        out.extend_from_slice(b"\\u");
        push_hex(out, code, 4);
    } else {
        out.extend_from_slice(b"\\U");
        push_hex(out, code, 8);
    }
}

/// The standard library's idea of printable. A letter goes first because combining marks count only at a start.
fn is_printable(c: char) -> bool {
    c.is_ascii() || {
        let text = String::from_iter(['a', c]);
        text.escape_debug().eq(text.chars())
    }
}

fn push_utf8(out: &mut Vec<u8>, c: char) {
    out.extend_from_slice(c.encode_utf8(&mut [0; 4]).as_bytes());
}

fn push_hex(out: &mut Vec<u8>, value: u32, digits: u32) {
    for place in (0..digits).rev() {
        let nibble = (value >> (4 * place)) & 0xf;
        out.extend(HEX.get(nibble as usize));
    }
}

#[cfg(test)]
mod tests {
    use super::quoted;

    #[test]
    fn quoting_is_that_of_the_reference() {
        assert_eq!(quoted(b"a.b"), r#""a.b""#);
        assert_eq!(quoted("x.é\"\\\u{a0}\u{301}\u{200b}\x01".as_bytes()), "\"x.é\\\"\\\\\\u00a0\u{301}\\u200b\\x01\"");
        assert_eq!(quoted(b"x.\xff\xc3"), r#""x.\xff\xc3""#);
        assert_eq!(quoted(b"\x07\x08\x0c\n\r\t\x0b\x7f"), r#""\a\b\f\n\r\t\v\x7f""#);
        assert_eq!(quoted("\u{e0001}".as_bytes()), r#""\U000e0001""#);
    }
}
