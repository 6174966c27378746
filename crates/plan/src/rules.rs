//! The rules, in five families: what would fail, and how to tell.
//!
//! The rule they keep: a wrong accusation costs trust. A rule speaks when the plan itself proves it;
//! where it would have to guess it is silent, or says that it cannot tell.

pub(crate) mod commands;
pub(crate) mod coverage;
pub(crate) mod drills;
pub(crate) mod language;
pub(crate) mod objectives;
pub(crate) mod people;

mod placeholder;
pub(crate) mod words;

#[cfg(test)]
pub(crate) mod testing;
#[cfg(test)]
mod tests;

use crate::check::{Finding, Model, Rule};

/// Looks at the model and adds what it finds.
pub(crate) type Check = fn(&Model<'_>, &mut Vec<Finding>);

/// All checks. A check may serve several rules.
pub(crate) const CHECKS: &[Check] = &[
    commands::check,
    coverage::artefacts::check,
    coverage::backups::check,
    coverage::described::check,
    coverage::losses::check,
    coverage::needs::check,
    coverage::points::check,
    coverage::restored::check,
    coverage::retention::check,
    coverage::spread::check,
    coverage::tried::check,
    drills::arithmetic::check,
    drills::availability::check,
    drills::criteria::check,
    drills::dates::check,
    drills::empty::check,
    drills::frequency::check,
    drills::moments::check,
    drills::place::check,
    drills::procedure::check,
    drills::results::check,
    drills::tried::check,
    objectives::budgets::check,
    objectives::clients::check,
    objectives::consistency::check,
    objectives::contradictions::check,
    objectives::cycles::check,
    objectives::isolated::check,
    objectives::missing::check,
    objectives::promises::check,
    objectives::readiness::check,
    objectives::references::check,
    objectives::self_need::check,
    objectives::used::check,
    people::approvals::check,
    people::cadence::check,
    people::channels::check,
    people::contacts::check,
    people::escalation::check,
    people::gone::check,
    people::measures::check,
    people::standstill::check,
    people::notice::check,
    people::severities::check,
];

/// The rules of each family.
const FAMILIES: &[&[Rule]] = &[
    language::RULES,
    objectives::RULES,
    coverage::RULES,
    commands::RULES,
    people::RULES,
    drills::RULES,
];

/// What the families are about, by the beginning of their codes.
pub(crate) const FAMILIES_BY_NAME: &[(&str, &str)] = &[
    ("S00", "The language"),
    ("S01", "Objectives and dependencies"),
    ("S02", "Coverage"),
    ("S03", "Commands"),
    ("S04", "People and communication"),
    ("S05", "Drills and reviews"),
];

/// What the family of a code is about.
pub fn family(code: &str) -> &'static str {
    let known = FAMILIES_BY_NAME.iter().find(|(family, _)| code.starts_with(family));
    known.map_or("", |(_, title)| title)
}

/// All rules, by code.
pub fn all() -> impl Iterator<Item = &'static Rule> {
    FAMILIES.iter().copied().flatten()
}

/// The rule of a code such as `S0101`; letters may be small.
pub fn find(code: &str) -> Option<&'static Rule> {
    all().find(|rule| rule.code.eq_ignore_ascii_case(code))
}
