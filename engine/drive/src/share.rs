//! How the thread is shared between those who send all they can and those who send a little now and then.
//!
//! While nobody else is there, a busy connection is read in whole blocks, which is cheapest. As soon as others have been
//! heard of lately, busy connections take turns of about `TURN_NS` in all, so that whoever comes in between waits no
//! longer than that. What a turn is in bytes follows from what the connection's bytes cost so far.

use natsfleet_core::outbuf::BORROW_MIN;

use crate::blocks::BLOCK_BYTES;

/// How long busy connections are served before others are looked at again.
pub(crate) const TURN_NS: u64 = 50_000;
/// Input up to this size is little.
const LITTLE_BYTES: usize = 4 << 10;
/// How long somebody who sent a little is remembered.
const REMEMBERED_NS: u64 = 50_000_000;
/// What a newcomer is asked for: it has little to say before it is known, and reading makes room for more. Who fills that
/// is asked for so many times as much.
const ASK_BYTES_FIRST: usize = 8 << 10;
/// Most that is worth asking for, but for large payloads: of those a whole block, since each read has its price in the
/// kernel, and they are not looked at.
const ASK_BYTES_MAX: usize = 512 << 10;
const ASK_GROWTH: usize = 8;
/// The smallest turn.
const TURN_BYTES_MIN: usize = 2 << 10;

/// One connection's side of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// It had more to say than it was asked for, or took more than a turn.
    pub busy: bool,
    /// Bytes of a turn.
    pub turn_bytes: usize,
    /// It sends payloads that are not worth touching: they go out from where they came in, so one thread should do both.
    pub is_large: bool,
    messages: u64,
    /// Bytes that it is worth asking for.
    ask_bytes: usize,
}

impl Share {
    pub(crate) fn new() -> Self {
        Self { busy: false, turn_bytes: usize::MAX, is_large: false, messages: 0, ask_bytes: ASK_BYTES_FIRST }
    }

    /// How much to ask for now.
    pub(crate) fn asked(&self, considerate: bool) -> usize {
        let most = if self.is_large { BLOCK_BYTES } else { ASK_BYTES_MAX };
        let turn_bytes = if considerate && self.busy { self.turn_bytes } else { most };
        self.ask_bytes.min(most).min(turn_bytes)
    }

    /// `count` bytes more have come, and with them it has sent so many messages in all.
    pub(crate) fn said(&mut self, count: usize, messages: u64) {
        let new = messages.saturating_sub(self.messages);
        self.messages = messages;
        self.is_large = count as u64 > new.saturating_mul(BORROW_MIN as u64);
    }

    /// `count` bytes came when `asked` were asked for, and took so long to process.
    pub(crate) fn used(&mut self, count: usize, asked: usize, took_ns: u64) {
        self.busy = count == asked || took_ns > TURN_NS;
        if count == asked {
            self.ask_bytes = self.ask_bytes.max(asked.saturating_mul(ASK_GROWTH));
        }
        if count > LITTLE_BYTES || self.busy {
            let turn = count as u64 * TURN_NS / took_ns.max(1);
            self.turn_bytes = usize::try_from(turn).unwrap_or(usize::MAX).max(TURN_BYTES_MIN);
        }
    }
}

/// Whether there are others to be considerate of, and whose turn it is.
#[derive(Debug, Default)]
pub(crate) struct Sharing {
    little_until_ns: u64,
    turn: u64,
}

impl Sharing {
    /// A connection sent something.
    pub(crate) fn heard(&mut self, count: usize, share: &Share, now_ns: u64) {
        if count <= LITTLE_BYTES && !share.busy {
            self.little_until_ns = now_ns + REMEMBERED_NS;
        }
    }

    pub(crate) fn is_needed(&self, now_ns: u64) -> bool {
        now_ns < self.little_until_ns
    }

    /// Puts the tokens of busy connections in the order of their turns.
    pub(crate) fn order(&self, tokens: &mut [u64]) {
        tokens.sort_unstable();
        let first = tokens.partition_point(|&token| token <= self.turn);
        tokens.rotate_left(first);
    }

    /// This one had its turn.
    pub(crate) fn had_turn(&mut self, token: u64) {
        self.turn = token;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_turn_is_as_long_as_bytes_are_dear() {
        let mut share = Share::new();
        share.used(256 << 10, 256 << 10, 10 * TURN_NS);
        assert!(share.busy && share.turn_bytes == (256 << 10) / 10);
        share.used(4096, 4096, 100 * TURN_NS);
        assert_eq!(share.turn_bytes, TURN_BYTES_MIN);
        share.used(100, 4096, 2 * TURN_NS);
        assert!(share.busy);
        share.used(100, 4096, 1);
        assert!(!share.busy && share.turn_bytes == TURN_BYTES_MIN);
    }

    #[test]
    fn who_fills_what_was_asked_for_is_asked_for_more() {
        let mut share = Share::new();
        assert_eq!(share.asked(false), ASK_BYTES_FIRST);
        share.used(100, ASK_BYTES_FIRST, 1);
        assert_eq!(share.asked(false), ASK_BYTES_FIRST);
        share.used(ASK_BYTES_FIRST, ASK_BYTES_FIRST, 1);
        assert_eq!(share.asked(false), ASK_BYTES_FIRST * ASK_GROWTH);
        share.used(TURN_BYTES_MIN, TURN_BYTES_MIN, TURN_NS);
        assert_eq!((share.asked(false), share.asked(true)), (ASK_BYTES_FIRST * ASK_GROWTH, TURN_BYTES_MIN));
    }

    #[test]
    fn large_payloads_are_told_by_their_number() {
        let mut share = Share::new();
        share.said(BORROW_MIN * 10, 10);
        assert!(!share.is_large);
        share.said(BORROW_MIN * 10, 11);
        assert!(share.is_large);
        share.said(100, 12);
        assert!(!share.is_large);
    }

    #[test]
    fn turns_go_round() {
        let mut sharing = Sharing::default();
        let order = |sharing: &Sharing| {
            let mut tokens = [5, 1, 9];
            sharing.order(&mut tokens);
            tokens
        };
        assert_eq!(order(&sharing), [1, 5, 9]);
        sharing.had_turn(1);
        assert_eq!(order(&sharing), [5, 9, 1]);
        sharing.had_turn(9);
        assert_eq!(order(&sharing), [1, 5, 9]);
    }

    #[test]
    fn consideration_ends_when_nobody_sends_a_little() {
        let mut sharing = Sharing::default();
        let busy = Share { busy: true, ..Share::new() };
        sharing.heard(10, &busy, 1);
        assert!(!sharing.is_needed(1));
        sharing.heard(10, &Share::new(), 1);
        assert!(sharing.is_needed(2) && !sharing.is_needed(2 + REMEMBERED_NS));
    }
}
