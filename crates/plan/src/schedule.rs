//! When something is due: a cron line in a time zone.
//!
//! Time zones come from the database inside the binary: a plan means the same on every machine, and
//! one without zone files can still read it.

use std::fmt;
use std::sync::LazyLock;

use croner::Cron;
use croner::parser::{CronParser, Seconds, Year};
use jiff::Timestamp;
use jiff::tz::{TimeZone, TimeZoneDatabase};

/// A cron line and the zone whose clock it reads.
///
/// In the hour a clock skips, a time of day is due when the clock has moved on; in the hour it
/// repeats, it is due once.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Schedule {
    cron: Cron,
    zone: TimeZone,
    written: String,
}

/// The zones known, in the order of their names.
static ZONES: LazyLock<TimeZoneDatabase> = LazyLock::new(TimeZoneDatabase::bundled);

/// Five fields: minute, hour, day of month, month, day of week.
const FIELDS: usize = 5;

impl Schedule {
    /// Reads a cron line of five fields (or `@hourly` and its kin). The error says what is wrong.
    pub fn parse(line: &str, zone: TimeZone) -> Result<Self, String> {
        let written = line.split_whitespace().collect::<Vec<_>>().join(" ");
        let fields = written.split(' ').count();
        if !written.starts_with('@') && fields != FIELDS {
            return Err(format!("a schedule has {FIELDS} fields, not {fields}"));
        }
        let cron = CronParser::builder()
            .seconds(Seconds::Disallowed)
            .year(Year::Disallowed)
            .build()
            .parse(&written)
            .map_err(|error| error.to_string().trim_end_matches('.').to_lowercase())?;
        let schedule = Self { cron, zone, written };
        // From a fixed moment, so that the answer does not depend on the day of asking.
        match schedule.next_after(Timestamp::UNIX_EPOCH) {
            Some(_) => Ok(schedule),
            None => Err("this day never comes".to_owned()),
        }
    }

    /// The first moment after `moment` at which it is due.
    pub fn next_after(&self, moment: Timestamp) -> Option<Timestamp> {
        let local = moment.to_zoned(self.zone.clone());
        let next = self.cron.find_next_occurrence(&local, false).ok()?;
        Some(next.timestamp())
    }

    /// The cron line.
    pub fn line(&self) -> &str {
        &self.written
    }

    /// The zone.
    pub fn time_zone(&self) -> &TimeZone {
        &self.zone
    }
}

impl fmt::Display for Schedule {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let zone = self.zone.iana_name().unwrap_or("UTC");
        write!(f, "{} ({zone})", self.written)
    }
}

/// The zone of an IANA name such as `Europe/Berlin`, or the nearest names.
pub(crate) fn time_zone(name: &str) -> Result<TimeZone, Vec<String>> {
    if name == "UTC" {
        return Ok(TimeZone::UTC);
    }
    // The names of the database are known; others (such as POSIX rules) are not part of it.
    let known: Vec<String> = ZONES.available().map(|name| name.as_str().to_owned()).collect();
    if known.iter().any(|known| known == name)
        && let Ok(zone) = ZONES.get(name)
    {
        return Ok(zone);
    }
    let last = |name: &str| name.rsplit('/').next().unwrap_or(name).to_lowercase();
    let mut near: Vec<String> =
        known.iter().filter(|known| last(known) == last(name)).cloned().collect();
    near.extend(crate::suggest::nearest(name, known.iter().map(String::as_str)).map(str::to_owned));
    near.dedup();
    near.truncate(3);
    Err(near)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn next(line: &str, zone: &str, after: &str) -> String {
        let schedule = Schedule::parse(line, time_zone(zone).unwrap()).unwrap();
        schedule.next_after(after.parse().unwrap()).unwrap().to_string()
    }

    #[test]
    fn due_times_follow_the_zone() {
        assert_eq!(next("*/15 * * * *", "UTC", "2026-01-01T00:00:00Z"), "2026-01-01T00:15:00Z");
        assert_eq!(next("@daily", "UTC", "2026-01-01T00:00:00Z"), "2026-01-02T00:00:00Z");
        // 03:00 in Berlin is 02:00 UTC in winter and 01:00 UTC in summer.
        assert_eq!(
            next("0 3 * * *", "Europe/Berlin", "2026-01-01T12:00:00Z"),
            "2026-01-02T02:00:00Z"
        );
        assert_eq!(
            next("0 3 * * *", "Europe/Berlin", "2026-07-01T12:00:00Z"),
            "2026-07-02T01:00:00Z"
        );
    }

    #[test]
    fn an_hour_that_the_clock_skips_is_not_lost_and_one_it_repeats_is_due_once() {
        // 2026-03-29 02:30 does not exist in Berlin: the clock goes from 02:00 to 03:00.
        assert_eq!(
            next("30 2 * * *", "Europe/Berlin", "2026-03-28T12:00:00Z"),
            "2026-03-29T01:00:00Z"
        );
        // 2026-10-25 02:30 exists twice.
        let first = next("30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z");
        assert_eq!(first, "2026-10-25T00:30:00Z");
        assert_eq!(next("30 2 * * *", "Europe/Berlin", &first), "2026-10-26T01:30:00Z");
    }

    #[test]
    fn schedules_that_cannot_be_are_refused() {
        for line in ["", "* * * *", "* * * * * *", "61 * * * *", "0 0 30 2 *", "@sometimes", "x"] {
            assert!(Schedule::parse(line, TimeZone::UTC).is_err(), "{line}");
        }
        assert_eq!(time_zone("Berlin").unwrap_err(), ["Europe/Berlin"]);
        assert!(time_zone("CET-1CEST").is_err());
    }

    proptest! {
        #[test]
        fn any_line_is_read_or_refused(line in "([0-9*,/#L?W@-]{1,6} ?){1,6}") {
            drop(Schedule::parse(&line, TimeZone::UTC));
        }
    }
}
