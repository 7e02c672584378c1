//! The XOR mask of client frames.

/// Bytes unmasked per step of the wide loop; a whole number of keys and of vector registers.
const LANE: usize = 64;

/// Bytes copied before they are unmasked, so that the second pass finds them in the first-level cache.
const BLOCK: usize = 16 * 1024;

/// A masking key, turned so that its first byte belongs to the next payload byte.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(super) struct Mask([u8; 4]);

impl Mask {
    pub(super) const fn new(key: [u8; 4]) -> Self {
        Self(key)
    }

    /// Appends `payload` without its mask and turns the key accordingly.
    pub(super) fn append(&mut self, payload: &[u8], out: &mut Vec<u8>) {
        if self.0 == [0; 4] {
            out.extend_from_slice(payload);
            return;
        }
        out.reserve(payload.len());
        for block in payload.chunks(BLOCK) {
            let start = out.len();
            out.extend_from_slice(block);
            if let Some(fresh) = out.get_mut(start..) {
                self.apply(fresh);
            }
        }
    }

    /// Removes the mask in place and turns the key by the bytes done.
    pub(super) fn apply(&mut self, bytes: &mut [u8]) {
        let lane: [u8; LANE] = std::array::from_fn(|i| self.0[i % 4]);
        let mut wide = bytes.chunks_exact_mut(LANE);
        for chunk in &mut wide {
            for (byte, key) in chunk.iter_mut().zip(lane) {
                *byte ^= key;
            }
        }
        let tail = wide.into_remainder();
        let turn = tail.len() % 4;
        for (byte, key) in tail.iter_mut().zip(lane) {
            *byte ^= key;
        }
        self.0.rotate_left(turn);
    }
}

#[cfg(test)]
mod tests {
    use super::Mask;
    use proptest::prelude::*;

    proptest! {
        #[test]
        fn masking_in_pieces_equals_the_rule_of_the_rfc(
            key in any::<[u8; 4]>(),
            payload in prop::collection::vec(any::<u8>(), 0..400),
            cut in 0usize..400,
        ) {
            let expected: Vec<u8> = payload.iter().enumerate().map(|(i, b)| b ^ key[i % 4]).collect();
            let (head, tail) = payload.split_at(cut.min(payload.len()));
            let mut mask = Mask::new(key);
            let mut out = Vec::new();
            mask.append(head, &mut out);
            mask.append(tail, &mut out);
            prop_assert_eq!(out, expected);
        }
    }
}
