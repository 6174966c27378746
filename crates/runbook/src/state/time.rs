//! Moments of a run, and how much time lies between them.
//!
//! The rule it keeps: within one boot the kernel's clock decides, which never jumps. Over a reboot
//! only the time of day is left; whatever it says, a delay is never waited for longer than it is.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;

/// When something happened.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Moment {
    /// The boot of the machine.
    pub boot: Arc<str>,
    /// Time since that boot.
    pub up: Duration,
    /// The time of day.
    pub at: Timestamp,
}

impl Moment {
    /// How much time has passed since `earlier`.
    #[must_use]
    pub fn since(&self, earlier: &Self) -> Duration {
        if self.boot == earlier.boot {
            return self.up.saturating_sub(earlier.up);
        }
        let passed = self.at.duration_since(earlier.at);
        passed.try_into().unwrap_or(Duration::ZERO)
    }

    /// How much of a delay is left that began at `earlier`.
    #[must_use]
    pub fn left(&self, earlier: &Self, delay: Duration) -> Duration {
        delay.saturating_sub(self.since(earlier))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn moment(boot: &str, up: u64, at: &str) -> Moment {
        Moment { boot: boot.into(), up: Duration::from_secs(up), at: at.parse().unwrap() }
    }

    #[test]
    fn a_jump_of_the_clock_changes_no_delay_and_a_reboot_at_most_ends_it() {
        let begun = moment("a", 100, "2030-01-01T00:00:00Z");
        let minute = Duration::from_mins(1);
        let left = |boot, up, at| moment(boot, up, at).left(&begun, minute).as_secs();
        assert_eq!(left("a", 110, "2040-01-01T00:00:00Z"), 50);
        assert_eq!(left("a", 110, "2020-01-01T00:00:00Z"), 50);
        assert_eq!(left("a", 200, "2030-01-01T00:00:00Z"), 0);
        assert_eq!(left("b", 1, "2030-01-01T00:00:20Z"), 40);
        assert_eq!(left("b", 1, "2020-01-01T00:00:00Z"), 60);
        assert_eq!(left("b", 1, "2040-01-01T00:00:00Z"), 0);
    }
}
