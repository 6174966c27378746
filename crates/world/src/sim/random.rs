//! Chance that can be repeated.

use std::sync::atomic::{AtomicU64, Ordering};

use crate::random::Random;

/// SplitMix64 (Steele, Lea, Flood 2014): a counter that grows by the golden ratio, and a mixer.
/// The same seed gives the same sequence for ever, so a seed in an old bug report still replays.
/// Anybody can compute it: never use it for keys that protect anything.
#[derive(Debug)]
pub struct SeededRandom {
    counter: AtomicU64,
}

const GOLDEN_RATIO: u64 = 0x9e37_79b9_7f4a_7c15;

impl SeededRandom {
    /// The sequence of this seed, from its beginning.
    #[must_use]
    pub const fn new(seed: u64) -> Self {
        Self { counter: AtomicU64::new(seed) }
    }

    /// The next number.
    pub fn next(&self) -> u64 {
        let counter = self.counter.fetch_add(GOLDEN_RATIO, Ordering::Relaxed);
        let mut mixed = counter.wrapping_add(GOLDEN_RATIO);
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    /// A number from 0 to `limit` - 1; 0 when the limit is 0. Large limits are very slightly uneven,
    /// which no test can notice.
    pub fn below(&self, limit: u64) -> u64 {
        let scaled = (u128::from(self.next()) * u128::from(limit)) >> 64;
        u64::try_from(scaled).expect("a product of two u64 shifted by 64 fits")
    }

    /// An index into something of that length.
    ///
    /// # Panics
    /// When there is nothing to choose from.
    pub fn index(&self, length: usize) -> usize {
        assert!(length > 0, "nothing to choose from");
        usize::try_from(self.below(length as u64)).expect("it is below a usize")
    }

    /// True in `percent` of 100 cases.
    pub fn chance(&self, percent: u64) -> bool {
        self.below(100) < percent
    }
}

impl Random for SeededRandom {
    fn fill(&self, buffer: &mut [u8]) {
        for chunk in buffer.chunks_mut(8) {
            chunk.copy_from_slice(&self.next().to_le_bytes()[..chunk.len()]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::random::bytes;

    #[test]
    fn the_sequence_is_that_of_the_published_algorithm() {
        let random = SeededRandom::new(1_234_567);
        let drawn: [u64; 3] = std::array::from_fn(|_| random.next());
        let published =
            [6_457_827_717_110_365_317, 3_203_168_211_198_807_973, 9_817_491_932_198_370_423];
        assert_eq!(drawn, published);
    }

    #[test]
    fn a_seed_repeats_and_numbers_stay_below_their_limit() {
        assert_eq!(bytes::<20>(&SeededRandom::new(7)), bytes::<20>(&SeededRandom::new(7)));
        let random = SeededRandom::new(8);
        let mut seen = [0_u32; 5];
        for _ in 0..1000 {
            seen[random.index(5)] += 1;
        }
        assert!(seen.iter().all(|count| *count > 150), "{seen:?}");
        assert_eq!(random.below(0), 0);
        assert!(!random.chance(0) && random.chance(100));
    }
}
