//! Family 4: people, how they are told, who decides, and what they put in place for a while.
//!
//! The rule it keeps: a role that nobody described may have ten people behind it. What a plan does
//! not say of its people is held against it only where the recovery stops without it.

pub(crate) mod approvals;
pub(crate) mod cadence;
pub(crate) mod channels;
pub(crate) mod contacts;
mod directory;
pub(crate) mod escalation;
pub(crate) mod gone;
mod mail;
pub(crate) mod measures;
pub(crate) mod notice;
pub(crate) mod severities;
pub(crate) mod standstill;
mod survival;

#[cfg(test)]
mod tests;

use crate::check::{Rule, Severity};

/// The rules of this family, by code.
pub(crate) const RULES: &[Rule] = &[
    NO_TIMER,
    NO_DEPUTY,
    LOST_CHANNEL,
    NO_APPROVAL,
    NO_SEVERITY,
    NO_OWNER,
    BAD_CONTACT,
    NOT_LIFTED,
    NO_CONTACT,
    TOO_LATE,
    UNTOLD,
    ONE_CHANNEL,
    UNNOTICED,
    GONE,
    NO_STANDSTILL,
];

/// A level of an escalation has no time to answer.
pub(crate) const NO_TIMER: Rule = Rule {
    code: "S0401",
    title: "an escalation that never moves on",
    severity: Severity::Warning,
    why: "whoever is called first may be asleep, in an aeroplane or without signal; without a time \
          to answer, nobody knows when the next one is called, and the hours pass quietly",
    page: include_str!("../../../../docs/errors/S0401.md"),
};

/// One person on whom a recovery waits, and nobody who steps in.
pub(crate) const NO_DEPUTY: Rule = Rule {
    code: "S0402",
    title: "nobody steps in",
    severity: Severity::Warning,
    why: "one person cannot be reached at every hour of the year; the recovery stands still until \
          they can",
    page: include_str!("../../../../docs/errors/S0402.md"),
};

/// A channel is lost by the disaster it should be used in.
pub(crate) const LOST_CHANNEL: Rule = Rule {
    code: "S0403",
    title: "a channel that the disaster takes away",
    severity: Severity::Error,
    why: "the channel is down at the very time at which people look for each other in it, and \
          they lose the first hour to that",
    page: include_str!("../../../../docs/errors/S0403.md"),
};

/// Somebody must approve, and no step asks them.
pub(crate) const NO_APPROVAL: Rule = Rule {
    code: "S0404",
    title: "an approval that is no step",
    severity: Severity::Warning,
    why: "an approval that no step asks for is skipped by those who follow the steps, or it is \
          remembered halfway and the recovery stops where nobody planned a stop",
    page: include_str!("../../../../docs/errors/S0404.md"),
};

/// Scenarios and severities that are not connected.
pub(crate) const NO_SEVERITY: Rule = Rule {
    code: "S0405",
    title: "a scenario without severity",
    severity: Severity::Warning,
    why: "who is told, how soon, and who may say yes follows from the severity; without one these \
          are argued about while the system is down",
    page: include_str!("../../../../docs/errors/S0405.md"),
};

/// Something is done again and again by nobody.
pub(crate) const NO_OWNER: Rule = Rule {
    code: "S0406",
    title: "a cadence that nobody owns",
    severity: Severity::Warning,
    why: "what everybody should do every so often, and nobody in particular, is done the first \
          time and then not any more",
    page: include_str!("../../../../docs/errors/S0406.md"),
};

/// A contact that reaches nobody, or not then.
pub(crate) const BAD_CONTACT: Rule = Rule {
    code: "S0407",
    title: "a contact that reaches nobody",
    severity: Severity::Error,
    why: "it is found out when somebody must be reached at once, and by the one who has no other \
          number",
    page: include_str!("../../../../docs/errors/S0407.md"),
};

/// A temporary measure stays.
pub(crate) const NOT_LIFTED: Rule = Rule {
    code: "S0408",
    title: "a temporary measure that nothing lifts",
    severity: Severity::Error,
    why: "the steps end, everything looks restored, and what was put in place for an hour is still \
          there: users stay locked out, or a protection stays off until it is needed",
    page: include_str!("../../../../docs/errors/S0408.md"),
};

/// Somebody who must be told, and no way to reach them.
pub(crate) const NO_CONTACT: Rule = Rule {
    code: "S0409",
    title: "somebody who cannot be reached",
    severity: Severity::Warning,
    why: "the plan says who is told and not how; the number is on a laptop that is off, or in the \
          directory that is down",
    page: include_str!("../../../../docs/errors/S0409.md"),
};

/// People come too late for what was promised.
pub(crate) const TOO_LATE: Rule = Rule {
    code: "S0410",
    title: "people come later than was promised",
    severity: Severity::Error,
    why: "the clock of an objective runs while people are being looked for; what they then do in \
          time was lost before they began",
    page: include_str!("../../../../docs/errors/S0410.md"),
};

/// A breach, and nobody outside is told.
pub(crate) const UNTOLD: Rule = Rule {
    code: "S0411",
    title: "a breach that nobody outside is told of",
    severity: Severity::Warning,
    why: "laws and contracts count hours from the moment a breach is known; those who are busy \
          with the rebuild do not think of it, and the time is over before somebody asks",
    page: include_str!("../../../../docs/errors/S0411.md"),
};

/// Everybody is told in one way only.
pub(crate) const ONE_CHANNEL: Rule = Rule {
    code: "S0412",
    title: "one channel for everything",
    severity: Severity::Warning,
    why: "a channel has outages of its own, and a disaster of a provider often takes it along; \
          then nobody is told of anything",
    page: include_str!("../../../../docs/errors/S0412.md"),
};

/// Nobody says how a disaster is noticed.
pub(crate) const UNNOTICED: Rule = Rule {
    code: "S0413",
    title: "a disaster that nobody need notice",
    severity: Severity::Warning,
    why: "the objective counts from the disaster, not from the moment somebody looked; a disaster \
          that is noticed by chance has used up its time before",
    page: include_str!("../../../../docs/errors/S0413.md"),
};

/// Somebody who has left, or a machine that is no more, and the plan counts on them.
pub(crate) const GONE: Rule = Rule {
    code: "S0414",
    title: "somebody or something that is no longer there",
    severity: Severity::Warning,
    why: "whoever is called does not come, and what only they had, such as a share of a key, is gone with \
          them",
    page: include_str!("../../../../docs/errors/S0414.md"),
};

/// Services are to stand still, and nobody says how.
pub(crate) const NO_STANDSTILL: Rule = Rule {
    code: "S0415",
    title: "a standstill that nobody knows how to make",
    severity: Severity::Warning,
    why: "whoever is forgotten goes on writing into what is being brought back; which objects and \
          processes these are is looked for while everybody waits",
    page: include_str!("../../../../docs/errors/S0415.md"),
};
