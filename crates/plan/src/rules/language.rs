//! Family 0: what cannot be read, or contradicts the language itself.
//!
//! The rule it keeps: these speak of how a plan is written, never of whether it works. The readers
//! make the findings (`findings.rs` has a name for each code); nothing here looks at the model.

use crate::check::{Rule, Severity};

/// The rules of this family, by code.
pub(crate) const RULES: &[Rule] = &[
    Rule {
        code: "S0001",
        title: "the file is not text",
        severity: Severity::Error,
        why: "what cannot be read is not checked, and nobody can follow it either",
        page: include_str!("../../../../docs/errors/S0001.md"),
    },
    Rule {
        code: "S0002",
        title: "the file is not YAML",
        severity: Severity::Error,
        why: "everything behind this place is unknown: it is in the file, and not in the plan",
        page: include_str!("../../../../docs/errors/S0002.md"),
    },
    Rule {
        code: "S0003",
        title: "YAML that the language leaves out",
        severity: Severity::Error,
        why: "whoever reads the plan on paper does not see what such a sign stands for",
        page: include_str!("../../../../docs/errors/S0003.md"),
    },
    Rule {
        code: "S0004",
        title: "a name or key that stands twice",
        severity: Severity::Error,
        why: "one of the two would be ignored, and nobody knows which of them holds",
        page: include_str!("../../../../docs/errors/S0004.md"),
    },
    Rule {
        code: "S0005",
        title: "a key that the section does not have",
        severity: Severity::Error,
        why: "a key with a slip in it sets nothing: what it was meant to say would silently be left out",
        page: include_str!("../../../../docs/errors/S0005.md"),
    },
    Rule {
        code: "S0006",
        title: "a key that must be there is missing",
        severity: Severity::Error,
        why: "without it the section means nothing, and somebody would have to guess under pressure",
        page: include_str!("../../../../docs/errors/S0006.md"),
    },
    Rule {
        code: "S0007",
        title: "a value of another shape",
        severity: Severity::Error,
        why: "what is written here would not be taken for what it was meant to be",
        page: include_str!("../../../../docs/errors/S0007.md"),
    },
    Rule {
        code: "S0008",
        title: "a value that cannot be read",
        severity: Severity::Error,
        why: "what two readers can understand in two ways will be understood the wrong way at night",
        page: include_str!("../../../../docs/errors/S0008.md"),
    },
    Rule {
        code: "S0009",
        title: "a value out of its range",
        severity: Severity::Error,
        why: "outside of this range it does not do what it is for",
        page: include_str!("../../../../docs/errors/S0009.md"),
    },
    Rule {
        code: "S0010",
        title: "a vault that the plan does not declare",
        severity: Severity::Error,
        why: "the store would be kept nowhere",
        page: include_str!("../../../../docs/errors/S0010.md"),
    },
    Rule {
        code: "S0011",
        title: "a password in the plan",
        severity: Severity::Error,
        why: "plans are copied, printed and mailed: whoever has one has the password",
        page: include_str!("../../../../docs/errors/S0011.md"),
    },
    Rule {
        code: "S0012",
        title: "a reference that is none",
        severity: Severity::Error,
        why: "it would be taken as it is written, and not as what it stands for",
        page: include_str!("../../../../docs/errors/S0012.md"),
    },
    Rule {
        code: "S0013",
        title: "the same entry twice",
        severity: Severity::Error,
        why: "the second one adds nothing: what destroys the first destroys it too",
        page: include_str!("../../../../docs/errors/S0013.md"),
    },
];
