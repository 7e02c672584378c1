//! What a publisher sends: many frames rendered once, sent again and again.

use crate::wire::{message_frame, publish_frame};
use crate::ws;

/// Rendered bytes aimed at; one write hands the kernel up to this much.
const BURST_BYTES: usize = 256 * 1024;
/// Published bytes that one WebSocket frame carries, about what client libraries flush at once.
const WS_FRAME_BYTES: usize = 32 * 1024;

/// A repeating block of publish frames, made of equal units that are sent whole.
pub struct Burst {
    bytes: Vec<u8>,
    unit: usize,
    messages_per_unit: u64,
    rotation: Option<Rotation>,
}

/// Subjects that differ in a number of fixed width, patched into the frames between two uses of the block.
struct Rotation {
    offset: usize,
    width: usize,
    digits: Vec<u8>,
    next: usize,
}

impl Burst {
    /// Messages of `size` bytes on one subject.
    pub fn on_subject(subject: &str, size: usize) -> Self {
        Burst::of_units(publish_frame(subject, None, size), 1)
    }

    /// Messages on one subject as masked WebSocket frames.
    pub fn on_subject_over_ws(subject: &str, size: usize) -> Self {
        let frame = publish_frame(subject, None, size);
        let count = (WS_FRAME_BYTES / frame.len()).max(1);
        let mut unit = Vec::new();
        ws::append_masked(&frame.repeat(count), &mut unit);
        Burst::of_units(unit, count as u64)
    }

    /// Messages that go through the subjects `PREFIX0...0` to `PREFIX` + (`subjects` - 1) in turn, all of one length.
    pub fn over_subjects(prefix: &str, subjects: usize, size: usize) -> Self {
        let width = number_width(subjects);
        let mut burst = Burst::of_units(publish_frame(&numbered(prefix, 0, width), None, size), 1);
        let digits = (0..subjects).flat_map(|number| numbered("", number, width).into_bytes()).collect();
        burst.rotation = Some(Rotation { offset: "PUB ".len() + prefix.len(), width, digits, next: 0 });
        burst.rotate();
        burst
    }

    /// Messages as a server delivers them.
    pub fn of_deliveries(subject: &str, sid: &str, size: usize) -> Self {
        Burst::of_units(message_frame(subject, sid, size), 1)
    }

    fn of_units(unit: Vec<u8>, messages_per_unit: u64) -> Self {
        let count = (BURST_BYTES / unit.len()).max(1);
        Burst { unit: unit.len(), bytes: unit.repeat(count), messages_per_unit, rotation: None }
    }

    /// The bytes to send from `position` in the endless stream on, until the block ends.
    pub fn from(&self, position: u64) -> &[u8] {
        &self.bytes[(position % self.bytes.len() as u64) as usize..]
    }

    /// To be told whenever the stream has moved on to `position`.
    pub fn sent_up_to(&mut self, position: u64) {
        if self.rotation.is_some() && position % self.bytes.len() as u64 == 0 {
            self.rotate();
        }
    }

    /// Bytes of one unit; a stream may only end at a multiple of it.
    pub fn unit_bytes(&self) -> u64 {
        self.unit as u64
    }

    /// Messages in one unit.
    pub fn messages_per_unit(&self) -> u64 {
        self.messages_per_unit
    }

    fn rotate(&mut self) {
        let Some(rotation) = &mut self.rotation else {
            return;
        };
        let width = rotation.width;
        let subjects = rotation.digits.len() / width;
        for frame in self.bytes.chunks_exact_mut(self.unit) {
            let from = rotation.next * width;
            frame[rotation.offset..rotation.offset + width].copy_from_slice(&rotation.digits[from..from + width]);
            rotation.next = if rotation.next + 1 == subjects { 0 } else { rotation.next + 1 };
        }
    }
}

/// Decimal digits that the largest of `count` numbers from 0 on needs.
pub fn number_width(count: usize) -> usize {
    count.saturating_sub(1).max(1).ilog10() as usize + 1
}

/// `prefix` and the number, padded with zeros.
pub fn numbered(prefix: &str, number: usize, width: usize) -> String {
    format!("{prefix}{number:0width$}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::wire::{FrameWalker, Verb};

    #[test]
    fn a_block_repeats_whole_units() {
        let burst = Burst::on_subject("bench.a", 128);
        let unit = burst.unit_bytes() as usize;
        assert_eq!(burst.bytes.len() % unit, 0);
        assert!(burst.bytes.len() > BURST_BYTES - unit);
        assert_eq!(burst.from(0), burst.from(burst.bytes.len() as u64));
        assert_eq!(burst.from(5), &burst.bytes[5..]);
        let mut walker = FrameWalker::new(Verb::Pub, "bench.a", 128);
        walker.feed(burst.from(0)).unwrap();
        assert_eq!(walker.messages as usize, burst.bytes.len() / unit);
    }

    #[test]
    fn subjects_take_turns_across_blocks() {
        let mut burst = Burst::over_subjects("s.", 1_000, 60_000);
        let block = burst.bytes.len() as u64;
        let frames = block / burst.unit_bytes();
        let mut expected = 0;
        for turn in 1..=500 {
            for frame in burst.bytes.chunks(burst.unit) {
                assert!(frame.starts_with(format!("PUB s.{expected:03} 60000\r\n").as_bytes()));
                expected = (expected + 1) % 1_000;
            }
            burst.sent_up_to(turn * block - 1);
            burst.sent_up_to(turn * block);
        }
        assert!(frames > 1);
    }

    #[test]
    fn websocket_units_hold_several_messages_or_one_large_one() {
        let small = Burst::on_subject_over_ws("bench.a", 128);
        assert_eq!(small.messages_per_unit(), (WS_FRAME_BYTES / publish_frame("bench.a", None, 128).len()) as u64);
        assert_eq!(Burst::on_subject_over_ws("bench.a", 65_536).messages_per_unit(), 1);
    }

    #[test]
    fn numbers_have_one_width() {
        assert_eq!(number_width(1), 1);
        assert_eq!(number_width(10), 1);
        assert_eq!(number_width(11), 2);
        assert_eq!(number_width(10_000), 4);
        assert_eq!(numbered("bench.", 7, 4), "bench.0007");
    }
}
