//! S0505, as far as percentages of availability and the downtime behind them are concerned.
//!
//! The rule it keeps: only a sentence that states both, and over which time, is held against itself.

use std::time::Duration;

use super::DOES_NOT_ADD_UP;
use crate::check::{Finding, Model};
use crate::language::Origin;
use crate::markdown::measure::only_span;
use crate::units::format_duration;

/// A sentence longer than this speaks of more than one thing.
const SENTENCE_BYTES_MAX: usize = 300;

/// What is rounded away in "8 hours 46 minutes", and the lengths of months.
const TOLERANCE: f64 = 0.08;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (file, source) in model.sources.files() {
        let mut at = 0;
        for line in source.shown().split_inclusive('\n') {
            if line.contains('%') && line.len() <= SENTENCE_BYTES_MAX {
                findings.extend(sentence(line, Origin::new(file, at..at + line.trim_end().len())));
            }
            at += line.len();
        }
    }
}

/// `99.9 % per year, which is 8 h 46 min`
fn sentence(line: &str, origin: Origin) -> Option<Finding> {
    let percent = percent(line)?;
    let lower = line.to_lowercase();
    let over = period(&lower)?;
    let behind = line.split_once('%')?.1;
    let said = only_span(behind)?.high;
    let speaks = ["downtime", "availab", "which is", "i.e.", "verfügbar", "ausfall"];
    if !speaks.iter().any(|word| lower.contains(word)) || said.is_zero() {
        return None;
    }
    let allowed = over.1.mul_f64((100.0 - percent) / 100.0);
    let (said_s, allowed_s) = (said.as_secs_f64(), allowed.as_secs_f64());
    if (said_s - allowed_s).abs() <= allowed_s * TOLERANCE {
        return None;
    }
    let allowed = Duration::from_secs(allowed.as_secs());
    let title = format!(
        "{percent} % of a {} allow {}, and {} are stated",
        over.0,
        format_duration(allowed),
        format_duration(said)
    );
    Some(
        Finding::new(&DOES_NOT_ADD_UP, origin, title)
            .here("these do not belong together")
            .why("one of the two was promised; the other is what people plan with")
            .hint("find out what was promised, and correct the other")
            .proof(format!(
                "(100 - {percent}) % of {} = {}",
                format_duration(over.1),
                format_duration(allowed)
            )),
    )
}

/// The number before the only `%`, of an availability.
fn percent(line: &str) -> Option<f64> {
    let (before, behind) = line.split_once('%')?;
    let digits = before.trim_end();
    let start = digits
        .rfind(|c: char| !(c.is_ascii_digit() || matches!(c, '.' | ',')))
        .map_or(0, |at| at + 1);
    let number: f64 = digits.get(start..)?.replace(',', ".").parse().ok()?;
    (!behind.contains('%') && (90.0..100.0).contains(&number)).then_some(number)
}

/// The time that the percentage is of.
fn period(lower: &str) -> Option<(&'static str, Duration)> {
    const HOUR: u64 = 3_600;
    let month = ["per month", "a month", "monthly", "pro monat", "im monat", "per calendar month"];
    let year = ["per year", "a year", "per calendar year", "yearly", "pro jahr", "im jahr"];
    let says = |words: &[&str]| words.iter().any(|word| lower.contains(word));
    match (says(&month), says(&year)) {
        (true, false) => Some(("month", Duration::from_secs(730 * HOUR))),
        (false, true) => Some(("year", Duration::from_secs(8_760 * HOUR))),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::language::FileId;

    #[test]
    fn a_percentage_and_its_downtime_belong_together() {
        let origin = || Origin::new(FileId::default(), 0..1);
        let found = |line: &str| sentence(line, origin()).map(|finding| finding.title);
        assert_eq!(
            found("Our target is 99,95 % per month, i.e. at most 4h23 of downtime.").as_deref(),
            Some("99.95 % of a month allow 21m54s, and 263 min are stated")
        );
        for line in [
            "99.9 % availability per calendar year, which is 8 hours 46 minutes of downtime.",
            "99.9 % per month, i.e. at most 44 min of downtime",
            "Discounts of 95 % per year need 2 hours of downtime notice to sales: 5 %",
            "The target is 99.9 % availability; answers come within 15 min.",
        ] {
            assert_eq!(found(line), None, "{line}");
        }
    }
}
