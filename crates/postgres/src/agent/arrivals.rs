//! When WAL came: how old is the oldest byte that is not durable?

use std::collections::VecDeque;
use std::time::Duration;

use crate::lsn::Lsn;

/// Bytes that came within this time count as one arrival: nobody reads a lag more exactly.
const GRAIN: Duration = Duration::from_millis(50);

/// Beyond this number neighbours are put together. At the grain above it is more than a minute; a
/// longer outage is told less exactly.
const ARRIVALS_MAX: usize = 2048;

/// Ends of arrivals with the times of their first bytes.
#[derive(Debug, Clone, Default)]
pub(crate) struct Arrivals(VecDeque<(Lsn, Duration)>);

impl Arrivals {
    /// Bytes up to `end` are there.
    pub(crate) fn note(&mut self, end: Lsn, now: Duration) {
        match self.0.back_mut() {
            Some((last, at)) if now.saturating_sub(*at) < GRAIN => *last = end,
            _ => self.0.push_back((end, now)),
        }
        if self.0.len() > ARRIVALS_MAX {
            self.halve();
        }
    }

    /// Puts pairs of neighbours together: the older time with the later end.
    fn halve(&mut self) {
        let pairs: Vec<_> = self.0.drain(..).collect();
        self.0 = pairs.chunks(2).map(|pair| (pair[pair.len() - 1].0, pair[0].1)).collect();
    }

    /// How long ago the oldest byte behind `durable` came.
    pub(crate) fn age(&mut self, durable: Lsn, now: Duration) -> Duration {
        while self.0.front().is_some_and(|(end, _)| *end <= durable) {
            self.0.pop_front();
        }
        self.0.front().map_or(Duration::ZERO, |(_, at)| now.saturating_sub(*at))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn at(millis: u64) -> Duration {
        Duration::from_millis(millis)
    }

    #[test]
    fn the_age_is_that_of_the_oldest_byte_that_is_not_durable() {
        let mut arrivals = Arrivals::default();
        assert_eq!(arrivals.age(Lsn(0), at(5)), at(0));
        arrivals.note(Lsn(10), at(1000));
        arrivals.note(Lsn(20), at(1010));
        arrivals.note(Lsn(30), at(1100));
        assert_eq!(arrivals.age(Lsn(5), at(1200)), at(200));
        assert_eq!(arrivals.age(Lsn(15), at(1200)), at(200));
        assert_eq!(arrivals.age(Lsn(20), at(1200)), at(100));
        assert_eq!(arrivals.age(Lsn(30), at(1200)), at(0));
    }

    #[test]
    fn a_long_outage_takes_no_more_memory_and_never_looks_younger() {
        let mut arrivals = Arrivals::default();
        for n in 1..100_000 {
            arrivals.note(Lsn(n), at(n * 100));
            assert!(arrivals.0.len() <= ARRIVALS_MAX);
        }
        assert_eq!(arrivals.age(Lsn(0), at(10_000_000)), at(10_000_000 - 100));
        let age = arrivals.age(Lsn(50_000), at(10_000_000));
        assert!(age >= at(10_000_000 - 50_001 * 100), "{age:?}");
    }
}
