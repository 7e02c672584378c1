//! Seeded hashing for tables whose keys come from the network.

use std::collections::HashMap;

/// Builds hashers from a seed that the drive picks at start-up, so that keys cannot be chosen to collide
/// and a simulation can repeat a run.
pub type Seeded = foldhash::quality::SeedableRandomState;

/// A map keyed by bytes.
pub type BytesMap<V> = HashMap<Box<[u8]>, V, Seeded>;

/// The hasher for `seed`.
pub fn seeded(seed: u64) -> Seeded {
    Seeded::with_seed(seed, foldhash::SharedSeed::global_fixed())
}

/// A small deterministic generator (SplitMix64) for choices that need no secrecy: queue members, mapping weights.
#[derive(Debug, Clone)]
pub struct Rng(u64);

impl Rng {
    /// A generator that repeats itself for the same seed.
    pub fn new(seed: u64) -> Self {
        Self(seed)
    }

    /// The next 64 bits.
    #[inline]
    pub fn next_u64(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut z = self.0;
        z = (z ^ (z >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        z = (z ^ (z >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        z ^ (z >> 31)
    }

    /// A number below `bound`, nearly uniform; 0 for a bound of 0.
    #[inline]
    pub fn below(&mut self, bound: u32) -> u32 {
        ((u64::from((self.next_u64() >> 32) as u32) * u64::from(bound)) >> 32) as u32
    }
}
