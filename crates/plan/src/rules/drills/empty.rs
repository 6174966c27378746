//! S0511: pass conditions that say nothing about data.
//!
//! The rule it keeps: a drill is named only if all of its conditions are of this sort; one that
//! counts, compares or lets somebody work with the data is enough.

use super::SHOWS_NOTHING;
use crate::check::{Finding, Model};
use crate::language::Drill;
use crate::rules::words::mentions;

/// Conditions that hold whether or not the data is there.
const EMPTY: &[&str] = &[
    "select 1",
    "status available",
    "is available",
    "minutes written",
    "minutes are written",
    "page loads",
    "no error",
    "no errors",
    "process is running",
    "service is running",
    "service is up",
    "server starts",
    "port is open",
    "exit code 0",
    "job succeeded",
    "backup exists",
    "file exists",
];

/// Words of conditions that look at the data.
const TELLING: &[&str] = &[
    "count",
    "counts",
    "checksum",
    "compare",
    "compared",
    "equal",
    "equals",
    "match",
    "matches",
    "login",
    "log in",
    "logins",
    "order",
    "orders",
    "test users",
    "rows",
    "restored",
    "hash",
    "verified",
    "within",
    "less than",
    "under",
];

/// A longer condition says more than one thing.
const CONDITION_BYTES_MAX: usize = 80;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, drill) in model.plan.drills.iter() {
        let shown = &drill.title.as_ref().unwrap_or(name).value;
        let Some((first, text)) = passes_empty(drill) else { continue };
        let title = format!("`{shown}` passes although nothing may be there: `{text}`");
        findings.push(
            Finding::new(&SHOWS_NOTHING, first, title)
                .here("this holds for an empty system too")
                .label(name.origin, "what is tried")
                .hint(
                    "restore onto another machine, and pass only if counts or checksums are those of \
                     the day of the copy, within the time that is promised",
                ),
        );
    }
}

/// The first condition, if none of them looks at data.
fn passes_empty(drill: &Drill) -> Option<(crate::language::Origin, &str)> {
    let is_empty = |text: &str| {
        let plain: String = text.chars().filter(|c| !matches!(c, '`' | '\'' | '"')).collect();
        text.len() <= CONDITION_BYTES_MAX && mentions(&plain, EMPTY) && !mentions(&plain, TELLING)
    };
    let all = drill.criteria.iter().all(|criterion| {
        criterion.run.is_none()
            && criterion.at_most.is_none()
            && criterion.text.as_ref().is_some_and(|text| is_empty(&text.value))
    });
    let first = drill.criteria.first().filter(|_| all)?.text.as_ref()?;
    Some((first.origin, first.value.as_str()))
}
