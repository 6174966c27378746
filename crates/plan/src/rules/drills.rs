//! Family 5: whether recoveries were tried, and whether what is tried is what will be needed.
//!
//! The rule it keeps: a drill is held against what the plan says of it. Where it says nothing, only
//! what should not be left open is found, and in the mildest way.

pub(crate) mod arithmetic;
pub(crate) mod availability;
mod coverage;
pub(crate) mod criteria;
pub(crate) mod dates;
pub(crate) mod empty;
pub(crate) mod frequency;
pub(crate) mod moments;
pub(crate) mod place;
pub(crate) mod procedure;
pub(crate) mod results;
mod text_times;
pub(crate) mod tried;

#[cfg(test)]
mod tests;

use crate::check::{Rule, Severity};

/// The rules of this family, by code.
pub(crate) const RULES: &[Rule] = &[
    NEVER_TRIED,
    OTHER_RECOVERY,
    FRESH_BACKUPS,
    PASSES_ANYWAY,
    DOES_NOT_ADD_UP,
    OVERDUE,
    UNDECIDED,
    OTHER_DAY,
    TWO_MEANINGS,
    IN_PRODUCTION,
    SHOWS_NOTHING,
];

/// No drill tries a scenario.
pub(crate) const NEVER_TRIED: Rule = Rule {
    code: "S0501",
    title: "a scenario that was never tried",
    severity: Severity::Warning,
    why: "a recovery that nobody has done is a guess: commands fail for reasons that nobody can read \
          in them, and times are wishes",
    page: include_str!("../../../../docs/errors/S0501.md"),
};

/// A drill recovers in its own way.
pub(crate) const OTHER_RECOVERY: Rule = Rule {
    code: "S0502",
    title: "a drill of another recovery",
    severity: Severity::Warning,
    why: "the drill shows that its own procedure works; the one people will follow in the disaster \
          is never run, and is wrong by then",
    page: include_str!("../../../../docs/errors/S0502.md"),
};

/// A drill makes the backups that it restores.
pub(crate) const FRESH_BACKUPS: Rule = Rule {
    code: "S0503",
    title: "fresh backups before the test",
    severity: Severity::Warning,
    why: "a disaster does not wait for a backup; whether the backups of every day are there, whole \
          and young enough is just what the drill should find out",
    page: include_str!("../../../../docs/errors/S0503.md"),
};

/// A drill passes although a promise was broken, or the other way round.
pub(crate) const PASSES_ANYWAY: Rule = Rule {
    code: "S0504",
    title: "a drill that passes although the promise was broken",
    severity: Severity::Warning,
    why: "success was defined as something else than what is promised, so every drill is a success",
    page: include_str!("../../../../docs/errors/S0504.md"),
};

/// Times that contradict each other.
pub(crate) const DOES_NOT_ADD_UP: Rule = Rule {
    code: "S0505",
    title: "times that do not add up",
    severity: Severity::Warning,
    why: "one of the numbers is wrong, and nobody who reads the plan in a hurry knows which",
    page: include_str!("../../../../docs/errors/S0505.md"),
};

/// Something should have been done.
pub(crate) const OVERDUE: Rule = Rule {
    code: "S0506",
    title: "overdue",
    severity: Severity::Warning,
    why: "systems change every week; what was reviewed or tried too long ago describes another system",
    page: include_str!("../../../../docs/errors/S0506.md"),
};

/// A criterion that is a matter of opinion.
pub(crate) const UNDECIDED: Rule = Rule {
    code: "S0507",
    title: "a criterion that nobody can decide",
    severity: Severity::Note,
    why: "whether a drill has passed is then a matter of opinion, and the opinion is that it has",
    page: include_str!("../../../../docs/errors/S0507.md"),
};

/// A date that was left where the day of the incident belongs.
pub(crate) const OTHER_DAY: Rule = Rule {
    code: "S0508",
    title: "the date of another day",
    severity: Severity::Warning,
    why: "what stands ready to be copied is copied, with the date that is in it",
    page: include_str!("../../../../docs/errors/S0508.md"),
};

/// A word that two people read in two ways.
pub(crate) const TWO_MEANINGS: Rule = Rule {
    code: "S0509",
    title: "a frequency with two meanings",
    severity: Severity::Note,
    why: "dictionaries allow both meanings, so each reader takes the one that suits",
    page: include_str!("../../../../docs/errors/S0509.md"),
};

/// A drill that can destroy what it should protect.
pub(crate) const IN_PRODUCTION: Rule = Rule {
    code: "S0510",
    title: "a drill where the real thing runs",
    severity: Severity::Error,
    why: "a drill does what the runbook says: it deletes, overwrites and restores. Where the living \
          system runs it is a disaster of its own",
    page: include_str!("../../../../docs/errors/S0510.md"),
};

/// A drill that an empty system passes.
pub(crate) const SHOWS_NOTHING: Rule = Rule {
    code: "S0511",
    title: "a drill that an empty system passes",
    severity: Severity::Warning,
    why: "a server without a single row answers `SELECT 1`, and a backup nobody can read is listed as \
          available; the drill passes for years, and the restore fails on the day",
    page: include_str!("../../../../docs/errors/S0511.md"),
};
