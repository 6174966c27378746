//! Days and times as they stand in texts: `2025-12-13 14:30`, `Total downtime: 40 minutes`.

use std::ops::Range;
use std::time::Duration;

use jiff::civil::DateTime;

/// A day with a time, and where it stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Moment {
    pub(super) at: DateTime,
    pub(super) range: Range<usize>,
}

/// All days with a time in a text, in order: `2025-12-13 14:30`, `2025-12-13T14:30:00Z`.
pub(super) fn moments(text: &str) -> Vec<Moment> {
    let bytes = text.as_bytes();
    let mut found = Vec::new();
    let mut at = 0;
    while at < bytes.len() {
        let starts = bytes.get(at).is_some_and(u8::is_ascii_digit)
            && !at
                .checked_sub(1)
                .and_then(|at| bytes.get(at))
                .is_some_and(u8::is_ascii_alphanumeric);
        match moment(text, at).filter(|_| starts) {
            Some(moment) => {
                at = moment.range.end;
                found.push(moment);
            }
            None => at += 1,
        }
    }
    found
}

fn moment(text: &str, at: usize) -> Option<Moment> {
    let date = text.get(at..at + "2025-12-13".len())?;
    let between = text.get(at + date.len()..at + date.len() + 1)?;
    let time = text.get(at + date.len() + 1..at + "2025-12-13 14:30".len())?;
    let shape = |text: &str, like: &str| {
        text.len() == like.len()
            && text.bytes().zip(like.bytes()).all(|(byte, like)| match like {
                b'0' => byte.is_ascii_digit(),
                other => byte == other,
            })
    };
    if !shape(date, "0000-00-00") || !shape(time, "00:00") || !matches!(between, " " | "T") {
        return None;
    }
    let at_time = format!("{date}T{time}:00").parse().ok()?;
    Some(Moment { at: at_time, range: at..at + "2025-12-13 14:30".len() })
}

/// How much later `to` is; none if it is earlier.
pub(super) fn between(from: DateTime, to: DateTime) -> Option<Duration> {
    Duration::try_from(from.duration_until(to)).ok()
}

/// A length of time that a text states behind one of these words: `Total downtime: 40 minutes`.
pub(super) fn stated(text: &str, labels: &[&str]) -> Option<(Duration, Range<usize>)> {
    let mut offset = 0;
    for line in text.split_inclusive('\n') {
        let lower = line.to_lowercase();
        // Small letters may be longer than large ones; then places cannot be compared.
        let label = labels
            .iter()
            .filter(|_| lower.len() == line.len())
            .find_map(|label| lower.find(label).map(|at| at + label.len()));
        if let Some(behind) = label
            && let Some((length, range)) = length(line, behind)
        {
            return Some((length, offset + range.start..offset + range.end));
        }
        offset += line.len();
    }
    None
}

/// The first number with a unit of time behind a place of a line.
fn length(line: &str, behind: usize) -> Option<(Duration, Range<usize>)> {
    let rest = line.get(behind..)?;
    let start = behind + rest.find(|c: char| c.is_ascii_digit())?;
    let rest = line.get(start..)?;
    let digits = rest.find(|c: char| !c.is_ascii_digit())?;
    let number: u64 = rest.get(..digits)?.parse().ok()?;
    let unit_start = digits + rest.get(digits..)?.find(|c: char| c != ' ')?;
    let unit: String = rest.get(unit_start..)?.chars().take_while(|c| c.is_alphabetic()).collect();
    let seconds = match unit.to_lowercase().as_str() {
        "min" | "mins" | "minute" | "minutes" | "m" => 60,
        "h" | "hr" | "hrs" | "hour" | "hours" => 3_600,
        _ => return None,
    };
    let end = start + unit_start + unit.len();
    // `1 h 30 min` has a second part; what is not read whole is not compared.
    let more = line.get(end..)?.trim_start();
    if more.starts_with(|c: char| c.is_ascii_digit()) || more.starts_with("and ") {
        return None;
    }
    Some((Duration::from_secs(number.checked_mul(seconds)?), start..end))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn moments_are_found_with_their_place() {
        let text = "Posted: 2025-12-13 14:30 UTC, to 2025-12-13T16:45:00Z; not 12025-12-13 14:30, \
                    2025-13-13 14:30, 2025-12-13, 2025-12-13 1430";
        let found = moments(text);
        assert_eq!(found.len(), 2, "{found:?}");
        assert_eq!(text.get(found[0].range.clone()), Some("2025-12-13 14:30"));
        assert_eq!(between(found[0].at, found[1].at), Some(Duration::from_secs(135 * 60)));
        assert_eq!(between(found[1].at, found[0].at), None);
    }

    #[test]
    fn lengths_are_found_behind_their_label() {
        let minutes = |text| stated(text, &["downtime"]).map(|(it, _)| it.as_secs() / 60);
        assert_eq!(minutes("Total downtime: 40 minutes."), Some(40));
        assert_eq!(minutes("x\n**Downtime:** 2 h"), Some(120));
        assert_eq!(minutes("Downtime: 1 h 30 min"), None);
        assert_eq!(minutes("Downtime: none"), None);
        assert_eq!(minutes("40 minutes of downtime"), None);
    }
}
