//! How names, times and measures are put into words, the same in every document.

use std::time::Duration;

use crate::language::{At, Every};
use crate::mask::mask;
use crate::units::format_duration;

/// A text of the plan as it may be printed: what looks like a secret is covered.
///
/// A value that stands for a secret and is none, such as `${token}` or `$(cat file)`, stays: without
/// it a command could not be used.
pub(super) fn shown(text: &str) -> String {
    let masked = mask(text, &[]);
    if masked == text || masked.len() != text.len() {
        return masked;
    }
    let mut out = String::with_capacity(text.len());
    let mut at = 0;
    while let Some(start) = masked.get(at..).and_then(|rest| rest.find('*')).map(|found| at + found)
    {
        let rest = masked.get(start..).unwrap_or("");
        let end = start + rest.find(|c| c != '*').unwrap_or(rest.len());
        let hidden = text.get(start..end).unwrap_or("");
        out.push_str(masked.get(at..start).unwrap_or(""));
        out.push_str(if is_reference(hidden) {
            hidden
        } else {
            rest.get(..end - start).unwrap_or("")
        });
        at = end;
    }
    out.push_str(masked.get(at..).unwrap_or(""));
    out
}

/// Whether a value is looked up when the command runs.
fn is_reference(value: &str) -> bool {
    let bare = value.trim_matches(['"', '\'']);
    let name = |text: &str| text.chars().all(|c| c.is_ascii_alphanumeric() || c == '_');
    // What stands there already as stars is shown as it is.
    if bare.chars().all(|c| c == '*') {
        return true;
    }
    let Some(rest) = bare.strip_prefix('$') else { return false };
    let inner = rest.strip_prefix('{').and_then(|rest| rest.split('}').next());
    match inner {
        Some(inner) => {
            let ends = rest.split_once('}').map(|(_, after)| after).unwrap_or("");
            name(inner) && ends.chars().all(|c| !c.is_alphanumeric())
        }
        None => rest.starts_with('(') || (!rest.is_empty() && name(rest)),
    }
}

/// A text in one line, without marks.
pub(super) fn plain(text: &str) -> String {
    shown(text).replace('`', "").split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A duration, if there is one.
pub(super) fn duration(value: Option<At<Duration>>) -> String {
    value.map_or_else(String::new, |value| length(value.value))
}

/// A duration as people read it.
pub(super) fn length(value: Duration) -> String {
    const MINUTE: u64 = 60;
    const HOUR: u64 = 60 * MINUTE;
    let seconds = value.as_secs();
    match value {
        _ if value.is_zero() => "none".to_owned(),
        _ if value.subsec_nanos() == 0 && seconds > HOUR && !seconds.is_multiple_of(HOUR) => {
            let minutes = seconds % HOUR / MINUTE;
            match seconds % MINUTE {
                0 => format!("{} h {minutes} min", seconds / HOUR),
                _ => format_duration(value),
            }
        }
        _ => format_duration(value),
    }
}

/// How often: `every day`, `every 3 months`.
pub(super) fn every(value: Every) -> String {
    const DAY: u64 = 86_400;
    match (value.months, value.length.as_secs()) {
        (0, DAY) => "every day".to_owned(),
        (0, seconds) if seconds == 7 * DAY => "every week".to_owned(),
        (0, _) => format!("every {}", length(value.length)),
        (1, _) => "every month".to_owned(),
        (3, _) => "every quarter".to_owned(),
        (6, _) => "every half year".to_owned(),
        (12, _) => "every year".to_owned(),
        (months, _) => format!("every {months} months"),
    }
}

/// How long something is kept.
pub(super) fn keep(value: Every) -> String {
    match (value.months, value.length) {
        (0, span) => length(span),
        (1, _) => "1 month".to_owned(),
        (12, _) => "1 year".to_owned(),
        (months, _) => format!("{months} months"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn secrets_are_covered_and_what_is_looked_up_is_not() {
        let check = |text: &str, expect: &str| assert_eq!(shown(text), expect);
        check("curl -u me --password=hunter2 x", "curl -u me --password=******* x");
        check("export TOKEN=\"${token}\"", "export TOKEN=\"${token}\"");
        check("K3S_TOKEN=$(cat /etc/token) k3s", "K3S_TOKEN=$(cat /etc/token) k3s");
        check("PGPASSWORD=$PASSWORD psql", "PGPASSWORD=$PASSWORD psql");
        check("password=$ecret!23", "password=*********");
        check("Contents of `token`: none", "Contents of `token`: none");
        check("all * stays *", "all * stays *");
    }

    #[test]
    fn lengths_read_well() {
        let minutes = |count| length(Duration::from_mins(count));
        assert_eq!(
            [90, 60, 45, 135, 0].map(minutes),
            ["1 h 30 min", "1 h", "45 min", "2 h 15 min", "none"]
        );
        let often = |text| every(Every::parse(text).unwrap());
        assert_eq!(
            ["weekly", "quarterly", "every 6 h"].map(often),
            ["every week", "every quarter", "every 6 h"]
        );
    }
}
