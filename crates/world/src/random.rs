//! Chance as an argument.
//!
//! Keys, salts and identifiers come from a [`Random`]. In production that is [`SystemRandom`];
//! nothing that protects data may be made from any other.

use rustix::io::Errno;
use rustix::rand::{GetRandomFlags, getrandom};

/// Where random bytes come from.
pub trait Random: Send + Sync {
    /// Overwrites all of `buffer` with random bytes.
    fn fill(&self, buffer: &mut [u8]);
}

/// `N` random bytes.
#[must_use]
pub fn bytes<const N: usize>(random: &dyn Random) -> [u8; N] {
    let mut buffer = [0; N];
    random.fill(&mut buffer);
    buffer
}

/// The cryptographic generator of the operating system, `getrandom(2)`.
///
/// Not AWS-LC's own: before its first byte that measures jitter for 30 ms of CPU time, as much as
/// all the rest of a `soter wal push` takes.
#[derive(Debug, Clone, Copy)]
pub struct SystemRandom;

impl Random for SystemRandom {
    fn fill(&self, buffer: &mut [u8]) {
        let mut filled = 0;
        while filled < buffer.len() {
            match getrandom(&mut buffer[filled..], GetRandomFlags::empty()) {
                Err(Errno::INTR) => {}
                drawn => filled += drawn.expect("every Linux that this runs on has getrandom"),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn two_draws_differ() {
        assert_ne!(bytes::<32>(&SystemRandom), bytes::<32>(&SystemRandom));
    }

    /// The kernel gives long draws in pieces.
    #[test]
    fn a_long_draw_is_filled_to_its_end() {
        let mut buffer = vec![0; 40 << 20];
        SystemRandom.fill(&mut buffer);
        let is_empty = |piece: &[u8]| piece.iter().all(|byte| *byte == 0);
        assert!(!buffer.chunks(64).any(is_empty));
    }
}
