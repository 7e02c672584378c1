//! Inbound frames to NATS bytes, however they are cut.

use super::close::{answer_close, control_frame};
use super::deflate::{Flate, Inflation};
use super::error::WsError;
use super::frame::{Expectation, Head, Opcode, CONTROL_BYTES_MAX, HEAD_BYTES_MAX};
use super::mask::Mask;
use super::WsOptions;

/// After this many inflated bytes `decode` returns at the next frame, so that a burst cannot fill memory.
pub const INFLATED_PAUSE_BYTES: usize = 1024 * 1024;

/// Packed bytes unmasked at a time on their way to the inflater.
const PACKED_STEP: usize = 4096;

/// What one call of [`WsCodec::decode`] did.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Decoded {
    /// Bytes taken from the input. Fewer than given only after an explosive run of compressed messages: call again
    /// with the rest once the output has been used.
    pub consumed: usize,
    /// The peer sent a close frame: the answer is in `control`; flush it and close.
    pub closed: bool,
}

/// Both directions of one connection's framing. Small: heap memory is owned only while a control frame or a compressed
/// message is incomplete.
#[derive(Debug)]
pub struct WsCodec {
    options: WsOptions,
    /// Payload bytes that the data frame under way still lacks.
    frame_rest: u64,
    mask: Mask,
    head: [u8; HEAD_BYTES_MAX],
    head_len: u8,
    /// A data message has begun and its last frame's header has not been seen.
    message_open: bool,
    /// The message under way is compressed.
    compressed: bool,
    finished: bool,
    inflation: Option<Box<Inflation>>,
    control: Option<Box<PartialControl>>,
}

/// A control frame whose payload is not complete yet.
#[derive(Debug)]
struct PartialControl {
    head: Head,
    payload: Vec<u8>,
}

impl WsCodec {
    /// A codec at the start of the stream, right after the HTTP upgrade.
    pub fn new(options: WsOptions) -> Self {
        Self {
            options,
            frame_rest: 0,
            mask: Mask::default(),
            head: [0; HEAD_BYTES_MAX],
            head_len: 0,
            message_open: false,
            compressed: false,
            finished: false,
            inflation: None,
            control: None,
        }
    }

    pub(super) fn options(&self) -> &WsOptions {
        &self.options
    }

    /// Decodes `input`: appends NATS bytes to `out` and frames to send back (pong, close) to `control`.
    ///
    /// On an error, what was decoded before it stands, and `control` ends with the close frame that tells the peer.
    /// After an error or a close, further input is discarded.
    pub fn decode(
        &mut self,
        input: &[u8],
        flate: &mut Flate,
        out: &mut Vec<u8>,
        control: &mut Vec<u8>,
    ) -> Result<Decoded, WsError> {
        if self.finished {
            return Ok(Decoded { consumed: input.len(), closed: true });
        }
        match self.advance(input, flate, out, control) {
            Ok(_) if self.finished => Ok(Decoded { consumed: input.len(), closed: true }),
            Ok(rest) => Ok(Decoded { consumed: input.len() - rest.len(), closed: false }),
            Err(error) => {
                self.finished = true;
                self.inflation = None;
                self.control = None;
                error.tell(control);
                Err(error)
            }
        }
    }

    /// Decodes frames until the input ends, the peer closes, or a pause is due; returns the input left.
    fn advance<'a>(
        &mut self,
        input: &'a [u8],
        flate: &mut Flate,
        out: &mut Vec<u8>,
        control: &mut Vec<u8>,
    ) -> Result<&'a [u8], WsError> {
        let mut rest = input;
        let mut inflated_bytes = 0;
        while !rest.is_empty() && !self.finished && inflated_bytes < INFLATED_PAUSE_BYTES {
            if self.frame_rest > 0 {
                let out_before = out.len();
                rest = self.take_payload(rest, flate, out)?;
                if self.compressed {
                    inflated_bytes += out.len() - out_before;
                }
            } else if let Some(partial) = self.control.take() {
                rest = self.take_control(partial, rest, control)?;
            } else {
                let (head, after) = self.take_head(rest)?;
                rest = after;
                match head {
                    Some(head) if head.opcode.is_control() => rest = self.start_control(head, rest, control)?,
                    Some(head) => self.start_data(head, flate, out)?,
                    None => {}
                }
            }
        }
        Ok(rest)
    }

    /// Reads a frame header, keeping its bytes when the input ends within it.
    fn take_head<'a>(&mut self, input: &'a [u8]) -> Result<(Option<Head>, &'a [u8]), WsError> {
        let expected = Expectation {
            compress: self.options.compress,
            masked: self.options.masked_input,
            message_open: self.message_open,
        };
        if self.head_len == 0 {
            if let Some((head, rest)) = Head::read(input, &expected)? {
                return Ok((Some(head), rest));
            }
        }
        let mut rest = input;
        while let (Some((byte, after)), Some(slot)) =
            (rest.split_first(), self.head.get_mut(usize::from(self.head_len)))
        {
            *slot = *byte;
            self.head_len += 1;
            rest = after;
            let kept = self.head.get(..usize::from(self.head_len)).unwrap_or_default();
            if let Some((head, _)) = Head::read(kept, &expected)? {
                self.head_len = 0;
                return Ok((Some(head), rest));
            }
        }
        Ok((None, rest))
    }

    fn start_data(&mut self, head: Head, flate: &mut Flate, out: &mut Vec<u8>) -> Result<(), WsError> {
        if head.opcode != Opcode::Continuation {
            self.compressed = head.compressed;
        }
        self.message_open = !head.last;
        self.mask = Mask::new(head.key);
        self.frame_rest = head.payload_bytes;
        if self.compressed {
            let inflation = self.inflation.get_or_insert_with(|| flate.lend());
            inflation.announce(head.payload_bytes, self.options.message_bytes_max)?;
        }
        if self.frame_rest == 0 {
            self.end_frame(flate, out)?;
        }
        Ok(())
    }

    /// Passes on the part of the current data frame that is there.
    fn take_payload<'a>(&mut self, input: &'a [u8], flate: &mut Flate, out: &mut Vec<u8>) -> Result<&'a [u8], WsError> {
        let here = usize::try_from(self.frame_rest).unwrap_or(usize::MAX).min(input.len());
        let (payload, rest) = input.split_at(here);
        match &mut self.inflation {
            Some(inflation) => {
                let mut step = [0; PACKED_STEP];
                for packed in payload.chunks(PACKED_STEP) {
                    let (clear, _) = step.split_at_mut(packed.len());
                    clear.copy_from_slice(packed);
                    self.mask.apply(clear);
                    inflation.append(clear, self.options.message_bytes_max, out)?;
                }
            }
            None => self.mask.append(payload, out),
        }
        self.frame_rest -= here as u64;
        if self.frame_rest == 0 {
            self.end_frame(flate, out)?;
        }
        Ok(rest)
    }

    fn end_frame(&mut self, flate: &mut Flate, out: &mut Vec<u8>) -> Result<(), WsError> {
        if self.message_open {
            return Ok(());
        }
        if let Some(mut inflation) = self.inflation.take() {
            inflation.finish(self.options.message_bytes_max, out)?;
            flate.take_back(inflation);
        }
        Ok(())
    }

    fn start_control<'a>(&mut self, head: Head, input: &'a [u8], control: &mut Vec<u8>) -> Result<&'a [u8], WsError> {
        let bytes = usize::try_from(head.payload_bytes).unwrap_or(CONTROL_BYTES_MAX).min(CONTROL_BYTES_MAX);
        let Some((masked, rest)) = input.split_at_checked(bytes) else {
            let partial = Box::new(PartialControl { head, payload: Vec::with_capacity(bytes) });
            return self.take_control(partial, input, control);
        };
        let mut payload = [0; CONTROL_BYTES_MAX];
        let (payload, _) = payload.split_at_mut(bytes);
        payload.copy_from_slice(masked);
        self.end_control(head, payload, control)?;
        Ok(rest)
    }

    fn take_control<'a>(
        &mut self,
        mut partial: Box<PartialControl>,
        input: &'a [u8],
        control: &mut Vec<u8>,
    ) -> Result<&'a [u8], WsError> {
        let lacking = usize::try_from(partial.head.payload_bytes).unwrap_or(0).saturating_sub(partial.payload.len());
        let (more, rest) = input.split_at(lacking.min(input.len()));
        partial.payload.extend_from_slice(more);
        if more.len() == lacking {
            self.end_control(partial.head, &mut partial.payload, control)?;
        } else {
            self.control = Some(partial);
        }
        Ok(rest)
    }

    fn end_control(&mut self, head: Head, payload: &mut [u8], control: &mut Vec<u8>) -> Result<(), WsError> {
        Mask::new(head.key).apply(payload);
        match head.opcode {
            Opcode::Ping => control_frame(Opcode::Pong, &[payload], control),
            Opcode::Close => {
                answer_close(payload, control)?;
                self.finished = true;
            }
            Opcode::Pong | Opcode::Continuation | Opcode::Text | Opcode::Binary => {}
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::WsCodec;

    #[test]
    fn an_idle_connection_is_small() {
        assert!(std::mem::size_of::<WsCodec>() < 100, "{} bytes", std::mem::size_of::<WsCodec>());
    }
}
