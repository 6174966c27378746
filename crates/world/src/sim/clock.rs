//! Time that passes only when somebody says so.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;

use crate::clock::Clock;

/// A clock that stands still until [`SimClock::advance`] or [`Clock::sleep`], which returns at once.
#[derive(Debug)]
pub struct SimClock {
    time: Mutex<Time>,
}

#[derive(Debug)]
struct Time {
    now: Timestamp,
    monotonic: Duration,
}

impl SimClock {
    /// A clock that stands at midnight UTC of 1 January 2030.
    #[must_use]
    pub fn new() -> Self {
        Self::at(Timestamp::constant(1_893_456_000, 0))
    }

    /// A clock that stands at `now`.
    #[must_use]
    pub fn at(now: Timestamp) -> Self {
        Self { time: Mutex::new(Time { now, monotonic: Duration::ZERO }) }
    }

    /// Lets time pass.
    pub fn advance(&self, duration: Duration) {
        let mut time = self.lock();
        time.now = time.now.checked_add(duration).unwrap_or(Timestamp::MAX);
        time.monotonic = time.monotonic.saturating_add(duration);
    }

    /// Moves the time of day, in either direction; monotonic time is not touched. A machine whose
    /// clock was corrected looks like this.
    pub fn jump_to(&self, now: Timestamp) {
        self.lock().now = now;
    }

    fn lock(&self) -> MutexGuard<'_, Time> {
        self.time.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl Default for SimClock {
    fn default() -> Self {
        Self::new()
    }
}

impl Clock for SimClock {
    fn now(&self) -> Timestamp {
        self.lock().now
    }

    fn monotonic(&self) -> Duration {
        self.lock().monotonic
    }

    fn sleep(&self, duration: Duration) {
        self.advance(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sleeping_moves_both_times_and_a_jump_only_one() {
        let clock = SimClock::new();
        assert_eq!(clock.now().to_string(), "2030-01-01T00:00:00Z");
        clock.sleep(Duration::from_secs(90));
        assert_eq!(clock.now().to_string(), "2030-01-01T00:01:30Z");
        clock.jump_to(Timestamp::UNIX_EPOCH);
        assert_eq!(clock.now(), Timestamp::UNIX_EPOCH);
        assert_eq!(clock.monotonic(), Duration::from_secs(90));
    }
}
