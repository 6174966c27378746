//! Time as an argument.
//!
//! [`Clock::now`] is for people and policies and may jump; [`Clock::monotonic`] is for measuring
//! and never goes back. No decision about safety rests on either.

use std::sync::LazyLock;
use std::time::{Duration, Instant};

use jiff::Timestamp;
use rustix::time::{ClockId, clock_gettime};

/// Where time comes from.
pub trait Clock: Send + Sync {
    /// The time of day. It may jump in either direction.
    fn now(&self) -> Timestamp;

    /// Time since a moment that is fixed for the life of the clock. It never goes back, and two
    /// values are comparable only if one clock gave both.
    fn monotonic(&self) -> Duration;

    /// Time since the machine was booted, its sleep included. Two values of one boot are comparable,
    /// whichever process asked for them.
    fn uptime(&self) -> Duration {
        self.monotonic()
    }

    /// Returns once `duration` has passed on this clock.
    fn sleep(&self, duration: Duration);
}

/// The clock of the operating system. All values of this type share one monotonic origin.
#[derive(Debug, Clone, Copy)]
pub struct SystemClock;

#[expect(clippy::disallowed_methods, reason = "this is the clock the others must take")]
static ORIGIN: LazyLock<Instant> = LazyLock::new(Instant::now);

impl Clock for SystemClock {
    #[expect(clippy::disallowed_methods, reason = "this is the clock the others must take")]
    fn now(&self) -> Timestamp {
        Timestamp::now()
    }

    fn monotonic(&self) -> Duration {
        ORIGIN.elapsed()
    }

    fn uptime(&self) -> Duration {
        Duration::try_from(clock_gettime(ClockId::Boottime)).unwrap_or_default()
    }

    #[expect(clippy::disallowed_methods, reason = "this is the clock the others must take")]
    fn sleep(&self, duration: Duration) {
        std::thread::sleep(duration);
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn monotonic_time_covers_at_least_what_was_slept() {
        let before = SystemClock.monotonic();
        SystemClock.sleep(Duration::from_millis(2));
        assert!(SystemClock.monotonic() - before >= Duration::from_millis(2));
    }

    #[test]
    fn the_machine_is_older_than_this_process() {
        let process = SystemClock.monotonic();
        assert!(SystemClock.uptime() > process);
    }
}
