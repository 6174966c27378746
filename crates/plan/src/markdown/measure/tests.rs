use proptest::prelude::*;

use super::*;
use crate::language::FileId;

fn minutes(text: &str) -> Option<f64> {
    let text = Text::plain(FileId(0), text, 0);
    target(&text, None).map(|found| found.value.as_secs_f64() / 60.0)
}

#[test]
fn durations_as_people_write_them() {
    for (text, expect) in [
        ("30 min", 30.0),
        ("1 hour", 60.0),
        ("1-2 hours", 120.0),
        ("1 – 2 hours", 120.0),
        ("20 min - 1 hour", 60.0),
        ("2h30", 150.0),
        ("1h30m", 90.0),
        ("1 h 30 min", 90.0),
        ("< 5 min", 5.0),
        ("≤15min", 15.0),
        ("1,5 h", 90.0),
        ("1.5 hours", 90.0),
        ("4 hours (clean rebuild)", 240.0),
        ("15 minutes (with WAL archiving)", 15.0),
        ("Within one hour", 60.0),
        ("up to 4 Stunden", 240.0),
        ("max. 2 days", 2880.0),
        ("24 h", 1440.0),
        ("30-minute", 30.0),
        ("0", 0.0),
        ("Zero data loss", 0.0),
    ] {
        assert_eq!(minutes(text), Some(expect), "{text}");
    }
}

#[test]
fn what_is_no_duration_is_none() {
    for text in [
        "24/7",
        "24x7",
        "N/A (stateless)",
        "4 business hours",
        "99.9%",
        "15",
        "15 min / 1 hour",
        "> 4 hours",
        "2 hours per month",
        "1 month",
        "asap",
        "Immediate",
        "v1.2 minutes",
        "node-1 hours",
        "",
        "We have seen that it may take 5 minutes",
        "1.000 min",
    ] {
        assert_eq!(minutes(text), None, "{text}");
    }
}

#[test]
fn a_column_may_name_the_unit() {
    let read = |text: &str, column: &str| {
        let found = target(&Text::plain(FileId(0), text, 0), Unit::of_column(column));
        found.map(|found| found.value.as_secs() / 60)
    };
    assert_eq!(read("4", "RTO (hours)"), Some(240));
    assert_eq!(read("0.5", "RTO (h)"), Some(30));
    assert_eq!(read("15", "RPO [min]"), Some(15));
    assert_eq!(read("15 min", "RPO (hours)"), Some(15));
    assert_eq!(read("4", "RTO"), None);
    assert_eq!(read("4", "RTO (target)"), None);
}

#[test]
fn the_place_is_that_of_the_duration() {
    let text = Text::plain(FileId(0), "< 5 min (measured)", 10);
    assert_eq!(target(&text, None).unwrap().origin.range(), 12..17);
}

#[test]
fn rhythms_as_people_write_them() {
    let show = |text: &str| {
        rhythm(text).map(|found| {
            let every = found.every.map_or("-".to_owned(), |every| every.to_string());
            format!("{every} {} {}", found.cron.as_deref().unwrap_or("-"), found.continuous)
        })
    };
    for (text, expect) in [
        ("Daily @ 02:00 UTC", "1 day 0 2 * * * false"),
        ("Weekly @ Sunday 02:00 UTC", "7 days 0 2 * * 0 false"),
        ("Every 6 hours", "6 h - false"),
        ("every 15 min", "15 min - false"),
        ("Continuous (every 60s)", "1 min - true"),
        ("Nightly at 01:30", "1 day - false"),
        ("Every commit (GitHub)", "- - true"),
        ("Daily export to secure vault", "1 day - false"),
        ("Quarterly", "3 months - false"),
        ("Bi-annually", "6 months - false"),
        ("Twice a year", "6 months - false"),
        ("every 3 months", "3 months - false"),
        ("Once a year", "year - false"),
        ("Täglich", "1 day - false"),
        ("Hourly", "1 h - false"),
        ("every month", "month - false"),
    ] {
        assert_eq!(show(text).as_deref(), Some(expect), "{text}");
    }
    for text in ["Enabled (90 day retention)", "None", "ad hoc", "as needed", "7 days"] {
        assert_eq!(show(text), None, "{text}");
    }
}

#[test]
fn days_as_people_write_them() {
    for text in [
        "2025-12-13",
        "13.12.2025",
        "13 December 2025",
        "December 13, 2025",
        "Dec 13 2025",
        "13-Dec-2025",
        "13th December 2025",
    ] {
        assert_eq!(
            date(text).map(|date| date.to_string()).as_deref(),
            Some("2025-12-13"),
            "{text}"
        );
    }
    for text in ["03/04/2025", "soon", "2025", "12.2025", "2025-13-01", "Q1 2026"] {
        assert_eq!(date(text), None, "{text}");
    }
}

proptest! {
    #[test]
    fn any_text_is_measured(text in "([0-9]{1,6}|[ .,:–-]|h|min|hours|every |daily|<|one|\\PC){0,24}") {
        for span in spans(&text) {
            prop_assert!(text.get(span.at).is_some());
        }
        let _rhythm = rhythm(&text);
        let _date = date(&text);
        let found = target(&Text::plain(FileId(0), &text, 0), None);
        prop_assert!(found.is_none_or(|found| text.get(found.origin.range()).is_some()));
    }
}
