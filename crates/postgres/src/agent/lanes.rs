//! How many parts are on their way at once, from how long one takes.
//!
//! One at a time costs twice the time of a durable write at the median, because what arrives while a
//! part is written waits for it to end. Several lanes cost objects: each takes what there is.

use std::time::Duration;

/// The most lanes there are. Measured at writes of 30 ms: eight lanes bring a commit to 1.05 to 1.13
/// times the time of a write, sixteen to no less.
pub(crate) const LANES_MAX: usize = 8;

/// One lane more for each of this much time a write takes.
const LANE_STEP: Duration = Duration::from_millis(4);

/// Below this a second lane only competes for the same disk.
const SINGLE_LANE_BELOW: Duration = Duration::from_millis(1);

/// How slowly the measured time follows the newest write: by an eighth.
const SMOOTHING: u32 = 8;

/// The time that a durable write takes, smoothed.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub(crate) struct WriteTime(Option<Duration>);

impl WriteTime {
    /// A write took so long.
    pub(crate) fn measured(&mut self, took: Duration) {
        self.0 = Some(match self.0 {
            None => took,
            Some(known) => known - known / SMOOTHING + took / SMOOTHING,
        });
    }

    /// How long a write takes; none was measured yet.
    pub(crate) fn smoothed(&self) -> Option<Duration> {
        self.0
    }

    /// How many lanes that is worth.
    pub(crate) fn lanes(&self) -> usize {
        match self.0 {
            None => 1,
            Some(took) if took < SINGLE_LANE_BELOW => 1,
            Some(took) => {
                let steps = took.as_micros().div_ceil(LANE_STEP.as_micros());
                usize::try_from(steps).unwrap_or(LANES_MAX).clamp(2, LANES_MAX)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lanes_at(micros: u64) -> usize {
        let mut time = WriteTime::default();
        time.measured(Duration::from_micros(micros));
        time.lanes()
    }

    #[test]
    fn slow_writes_get_more_lanes() {
        let lanes = [0, 300, 999, 1000, 4000, 8000, 8001, 15_000, 30_000, 10_000_000].map(lanes_at);
        assert_eq!(lanes, [1, 1, 1, 2, 2, 2, 3, 4, 8, 8]);
        assert_eq!(WriteTime::default().lanes(), 1);
    }

    #[test]
    fn one_slow_write_among_many_changes_little() {
        let mut time = WriteTime::default();
        for _ in 0..20 {
            time.measured(Duration::from_micros(200));
        }
        time.measured(Duration::from_millis(20));
        assert_eq!(time.lanes(), 2);
        for _ in 0..20 {
            time.measured(Duration::from_micros(200));
        }
        assert_eq!(time.lanes(), 1);
        let settled = time.smoothed().unwrap();
        assert!(settled < Duration::from_micros(500), "{settled:?}");
    }
}
