//! How the thread is shared between those who send all they can and those who send a little now and then.
//!
//! While nobody else is there, a busy connection is read in whole blocks, which is cheapest. As soon as others have been
//! heard of lately, busy connections take turns of about `TURN_NS` in all, so that whoever comes in between waits no
//! longer than that. What a turn is in bytes follows from what the connection's bytes cost so far.

/// How long busy connections are served before others are looked at again.
pub(crate) const TURN_NS: u64 = 50_000;
/// Input up to this size is little.
const LITTLE_BYTES: usize = 4 << 10;
/// How long somebody who sent a little is remembered.
const REMEMBERED_NS: u64 = 50_000_000;
/// The smallest turn.
const TURN_BYTES_MIN: usize = 2 << 10;

/// One connection's side of it.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Share {
    /// It had more to say than it was asked for, or took more than a turn.
    pub busy: bool,
    /// Bytes of a turn.
    pub turn_bytes: usize,
}

impl Share {
    pub(crate) fn new() -> Self {
        Self { busy: false, turn_bytes: usize::MAX }
    }

    /// `count` bytes came when `asked` were asked for, and took so long to process.
    pub(crate) fn used(&mut self, count: usize, asked: usize, took_ns: u64) {
        self.busy = count == asked || took_ns > TURN_NS;
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
        let busy = Share { busy: true, turn_bytes: 1 };
        sharing.heard(10, &busy, 1);
        assert!(!sharing.is_needed(1));
        sharing.heard(10, &Share::new(), 1);
        assert!(sharing.is_needed(2) && !sharing.is_needed(2 + REMEMBERED_NS));
    }
}
