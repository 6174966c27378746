//! Family 1: objectives and the dependency graph.

pub(crate) mod budgets;
pub(crate) mod clients;
pub(crate) mod consistency;
pub(crate) mod contradictions;
pub(crate) mod cycles;
pub(crate) mod isolated;
pub(crate) mod missing;
pub(crate) mod promises;
pub(crate) mod readiness;
pub(crate) mod references;
pub(crate) mod self_need;
pub(crate) mod used;

#[cfg(test)]
mod tests;

use crate::check::{Rule, Severity};

/// The rules of this family, by code.
pub(crate) const RULES: &[Rule] = &[
    PROMISED_TOO_EARLY,
    UNKNOWN_NAME,
    BUDGETS_EXCEED,
    READY_TOO_LATE,
    TWO_TARGETS,
    ISOLATED,
    USED_NOT_DECLARED,
    NO_GROUP,
    CYCLE,
    SELF_NEED,
    NO_SLACK,
    NO_OBJECTIVE,
    RESTORE_TOO_SLOW,
    NO_BUDGET,
    STALE_ADDRESS,
];

/// A service promises to be back before something that it needs.
pub(crate) const PROMISED_TOO_EARLY: Rule = Rule {
    code: "S0101",
    title: "promised earlier than what it needs",
    severity: Severity::Error,
    why: "a service cannot work before what it needs works; if that takes as long as it may, this \
          promise is broken although everybody kept theirs",
    page: include_str!("../../../../docs/errors/S0101.md"),
};

/// Something is named that the plan does not declare.
pub(crate) const UNKNOWN_NAME: Rule = Rule {
    code: "S0102",
    title: "a name that is declared nowhere",
    severity: Severity::Error,
    why: "what is not declared has no objective, no backup and no recovery: it will be missed only \
          when it is needed",
    page: include_str!("../../../../docs/errors/S0102.md"),
};

/// The budgets of the phases and human time do not fit into the recovery time objective.
pub(crate) const BUDGETS_EXCEED: Rule = Rule {
    code: "S0103",
    title: "budgets and human time do not fit the recovery time",
    severity: Severity::Error,
    why: "the clock starts with the disaster, not with the first step: noticing, answering and \
          deciding take time that the phases have already spent",
    page: include_str!("../../../../docs/errors/S0103.md"),
};

/// In a scenario a service is back later than it promises.
pub(crate) const READY_TOO_LATE: Rule = Rule {
    code: "S0104",
    title: "back later in a scenario than promised",
    severity: Severity::Error,
    why: "the plan grants its steps more time than it promises to those who wait: the objective is \
          missed by following the plan exactly",
    page: include_str!("../../../../docs/errors/S0104.md"),
};

/// The same target is stated twice, differently.
pub(crate) const TWO_TARGETS: Rule = Rule {
    code: "S0105",
    title: "two different targets for one thing",
    severity: Severity::Error,
    why: "two people will work towards two different hours, and both can point at the plan",
    page: include_str!("../../../../docs/errors/S0105.md"),
};

/// A critical service that the graph knows nothing of.
pub(crate) const ISOLATED: Rule = Rule {
    code: "S0106",
    title: "a critical service that nothing needs",
    severity: Severity::Warning,
    why: "if the system is down without it, something needs it: the graph is incomplete, and so is \
          every order and every time that is computed from it",
    page: include_str!("../../../../docs/errors/S0106.md"),
};

/// The steps use something that the plan does not declare.
pub(crate) const USED_NOT_DECLARED: Rule = Rule {
    code: "S0107",
    title: "used by the recovery, and no service of the plan",
    severity: Severity::Warning,
    why: "what the steps cannot do without is part of the recovery: on the day it is down too, \
          nobody has planned for it",
    page: include_str!("../../../../docs/errors/S0107.md"),
};

/// Stores that point into each other go back to different moments.
pub(crate) const NO_GROUP: Rule = Rule {
    code: "S0108",
    title: "stores that belong together go back to different moments",
    severity: Severity::Error,
    why: "after the restore one of them points to what the other has not, or no longer: both \
          restores succeed and the data is broken",
    page: include_str!("../../../../docs/errors/S0108.md"),
};

/// Services, domains or channels that need each other.
pub(crate) const CYCLE: Rule = Rule {
    code: "S0109",
    title: "a cycle",
    severity: Severity::Error,
    why: "when all of it is down nothing of it can be first; it works only as long as it never \
          stops",
    page: include_str!("../../../../docs/errors/S0109.md"),
};

/// The recovery needs what it recovers.
pub(crate) const SELF_NEED: Rule = Rule {
    code: "S0110",
    title: "the recovery needs what it recovers",
    severity: Severity::Error,
    why: "the key lies in the locked room: what the first step needs is gone with what it should \
          bring back",
    page: include_str!("../../../../docs/errors/S0110.md"),
};

/// Nothing is left between a promise and that of what it needs.
pub(crate) const NO_SLACK: Rule = Rule {
    code: "S0111",
    title: "no time left after what it needs",
    severity: Severity::Warning,
    why: "what it needs may take exactly as long as itself: no second is left for its own start, \
          for a retry or for a look",
    page: include_str!("../../../../docs/errors/S0111.md"),
};

/// No objective.
pub(crate) const NO_OBJECTIVE: Rule = Rule {
    code: "S0112",
    title: "no objective",
    severity: Severity::Warning,
    why: "without an objective nobody knows in which order to recover, and nobody can tell whether \
          the plan is good enough",
    page: include_str!("../../../../docs/errors/S0112.md"),
};

/// Restoring the data alone takes longer than the promise.
pub(crate) const RESTORE_TOO_SLOW: Rule = Rule {
    code: "S0113",
    title: "restoring the data takes longer than promised",
    severity: Severity::Error,
    why: "bytes take their time: no runbook and no person makes the restore faster than its rate",
    page: include_str!("../../../../docs/errors/S0113.md"),
};

/// A promise that no budget supports.
pub(crate) const NO_BUDGET: Rule = Rule {
    code: "S0114",
    title: "a recovery time that no budget supports",
    severity: Severity::Warning,
    why: "a number without parts cannot be checked beforehand, and during the recovery nobody sees \
          that it is being missed until it is",
    page: include_str!("../../../../docs/errors/S0114.md"),
};

/// Clients are sent to where a service was.
pub(crate) const STALE_ADDRESS: Rule = Rule {
    code: "S0115",
    title: "clients keep an address longer than promised",
    severity: Severity::Error,
    why: "the switch is made and the service runs, and those who asked before it go on to the old \
          address until their copy of the record ends",
    page: include_str!("../../../../docs/errors/S0115.md"),
};
