//! Family 1: objectives and the dependency graph.

pub(crate) mod references;

use crate::check::{Rule, Severity};

/// The rules of this family, by code.
pub(crate) const RULES: &[Rule] = &[UNKNOWN_NAME];

/// Something is named that the plan does not declare.
pub(crate) const UNKNOWN_NAME: Rule = Rule {
    code: "S0102",
    title: "a name that is declared nowhere",
    severity: Severity::Error,
    why: "what is not declared has no objective, no backup and no recovery: it will be missed only \
          when it is needed",
    page: include_str!("../../../../docs/errors/S0102.md"),
};
