//! What a client reads: the engine's output cut into items.

/// One control line, or one message with its payload; bytes as they came.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Item {
    pub bytes: Vec<u8>,
    /// Of a message: the subscription it came for, and the number that its publisher gave it.
    pub message: Option<(Vec<u8>, Option<u64>)>,
}

impl std::fmt::Display for Item {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let shown = &self.bytes[..self.bytes.len().min(120)];
        write!(f, "{:?} ({} bytes)", String::from_utf8_lossy(shown), self.bytes.len())
    }
}

/// Cuts output that starts at an item and ends with one. `None` when it does not.
pub fn items(mut output: &[u8]) -> Option<Vec<Item>> {
    let mut items = Vec::new();
    while !output.is_empty() {
        let line_end = output.iter().position(|&b| b == b'\n')? + 1;
        let line = output[..line_end].strip_suffix(b"\r\n")?;
        let words: Vec<&[u8]> = line.split(|&b| b == b' ').collect();
        let (size, sizes) = match words[0] {
            b"MSG" => (number(words.last()?)?, 1),
            b"HMSG" => (number(words.last()?)?, 2),
            _ => {
                items.push(Item { bytes: output[..line_end].to_vec(), message: None });
                output = &output[line_end..];
                continue;
            }
        };
        let end = line_end + size + 2;
        let body = output.get(line_end..line_end + size)?;
        if output.get(end - 2..end)? != b"\r\n" || words.len() < 3 + sizes {
            return None;
        }
        let header_bytes = if sizes == 2 { number(words[words.len() - 2])? } else { 0 };
        let message =
            (!body.starts_with(b"NATS/1.0 503")).then(|| (words[2].to_vec(), number_of(&body[header_bytes..])));
        items.push(Item { bytes: output[..end].to_vec(), message });
        output = &output[end..];
    }
    Some(items)
}

fn number(text: &[u8]) -> Option<usize> {
    std::str::from_utf8(text).ok()?.parse().ok()
}

/// The number that starts a payload, as `payload` writes it.
pub fn number_of(payload: &[u8]) -> Option<u64> {
    let rest = payload.strip_prefix(b"#")?;
    let end = rest.iter().position(|&b| b == b'#')?;
    std::str::from_utf8(&rest[..end]).ok()?.parse().ok()
}

/// A payload of about `size` bytes that starts with its number.
pub fn payload(number: u64, size: usize) -> Vec<u8> {
    let mut payload = format!("#{number}#").into_bytes();
    let filler = (number as u8).wrapping_mul(31);
    for at in payload.len()..size {
        payload.push(filler.wrapping_add(at as u8));
    }
    payload
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn output_is_cut_into_items() {
        let output = b"PING\r\nMSG a 1 r 5\r\n#7#\r\n\r\nHMSG a 2 2 5\r\nhh#8#\r\n-ERR 'x'\r\nHMSG r 9 12 12\r\nNATS/1.0 503\r\n";
        let items = items(output).unwrap();
        let messages: Vec<_> = items.iter().map(|item| item.message.clone()).collect();
        assert_eq!(messages, [None, Some((b"1".to_vec(), Some(7))), Some((b"2".to_vec(), Some(8))), None, None]);
        assert!(super::items(b"MSG a 1 5\r\nabc").is_none() && super::items(b"PING").is_none());
    }

    #[test]
    fn payloads_tell_their_number() {
        assert_eq!(number_of(&payload(12, 100)), Some(12));
        assert_eq!(payload(12, 100).len(), 100);
        assert_eq!(payload(12, 0), b"#12#");
    }
}
