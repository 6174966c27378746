//! When a disaster happened, as somebody types it.

use std::time::Duration;

use jiff::civil::Time;
use jiff::tz::TimeZone;
use jiff::{Timestamp, ToSpan};
use soter_plan::parse_duration;

/// How it is written.
pub(crate) const FORMS: &str = "write it as 2026-01-15T14:30:00Z, as the time of day in UTC that \
                                screens show, 14:30Z, or as 20 minutes ago";

/// A moment before now.
///
/// # Errors
/// In words, when it is none, or is still to come.
pub(crate) fn moment(written: &str, now: Timestamp) -> Result<Timestamp, String> {
    let written = written.trim();
    let found = match written.strip_suffix("ago") {
        Some(length) => ago(length.trim(), now),
        None => written.parse().ok().or_else(|| time_of_day(written, now)),
    };
    match found {
        Some(moment) if moment > now => {
            Err(format!("{moment} is still to come: it is {now} on this machine"))
        }
        Some(moment) => Ok(moment),
        None => Err(format!("`{written}` is no moment: {FORMS}")),
    }
}

fn ago(length: &str, now: Timestamp) -> Option<Timestamp> {
    let length: Duration = parse_duration(length).ok()?;
    now.checked_sub(length).ok()
}

/// The last time that clocks in UTC showed this.
fn time_of_day(written: &str, now: Timestamp) -> Option<Timestamp> {
    let time: Time = written.strip_suffix(['Z', 'z'])?.parse().ok()?;
    let today = now.to_zoned(TimeZone::UTC).date().to_datetime(time);
    let today = today.to_zoned(TimeZone::UTC).ok()?.timestamp();
    if today <= now { Some(today) } else { today.checked_sub(24.hours()).ok() }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_moment_is_read_as_people_write_it() {
        let now: Timestamp = "2030-01-02T03:04:05Z".parse().unwrap();
        let read = |written| moment(written, now).map(|moment| moment.to_string());
        for (written, expect) in [
            ("2030-01-02T03:00:00Z", "2030-01-02T03:00:00Z"),
            ("2030-01-02T04:00:00+01:00", "2030-01-02T03:00:00Z"),
            ("20 minutes ago", "2030-01-02T02:44:05Z"),
            ("1h30m ago", "2030-01-02T01:34:05Z"),
            (" 90s ago", "2030-01-02T03:02:35Z"),
            ("02:14Z", "2030-01-02T02:14:00Z"),
            ("03:04:05Z", "2030-01-02T03:04:05Z"),
            ("23:50:10Z", "2030-01-01T23:50:10Z"),
        ] {
            assert_eq!(read(written).as_deref(), Ok(expect), "{written}");
        }
        let refused = |written: &str| moment(written, now).unwrap_err();
        assert!(refused("2030-01-02T03:04:06Z").contains("still to come"));
        for none in ["", "yesterday", "02:14", "20 minutes", "20 ago", "-5 min ago", "ago"] {
            assert!(refused(none).contains("is no moment"), "{none}");
        }
    }
}
