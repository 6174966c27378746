//! Family 3: the commands of a plan, read as a shell reads them and held against what is known of
//! their programs.

mod bounds;
mod cron;
mod destruction;
mod failures;
mod keys;
mod known;
mod places;
mod scripts;
mod sources;
mod verification;

#[cfg(test)]
mod tests;

use crate::check::{Finding, Model, Rule, Severity};

use scripts::Scripts;

/// The rules of this family, by code.
pub(crate) const RULES: &[Rule] = &[
    UNCHECKED_FAILURE,
    CANNOT_FAIL,
    ENDLESS,
    NO_SOURCE,
    DOES_NOT_EXIST,
    NO_APPROVAL,
    SCRIPT_OUTSIDE,
    INTERACTIVE,
    NOTHING_EXPECTED,
    MISUSE,
    UNREADABLE,
    READ_ELSEWHERE,
    CRON_LINE,
];

/// The scripts are read once for all rules.
pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let scripts = Scripts::of(model);
    for piece in &scripts.all {
        failures::unchecked(piece, findings);
        failures::cannot_fail(piece, findings);
        failures::reports_success(piece, findings);
        bounds::endless(&scripts, piece, findings);
        bounds::interactive(piece, findings);
        sources::placeholders(&scripts, piece, findings);
        sources::parameters(&scripts, piece, findings);
        sources::outside(&scripts, piece, findings);
        known::does_not_exist(piece, findings);
        known::misuse(&scripts, piece, findings);
        known::recovery_in_place(&scripts, piece, findings);
        known::unreadable(piece, findings);
        keys::sealed_with_its_own_content(piece, findings);
        places::read_elsewhere(&scripts, piece, findings);
        destruction::without_approval(&scripts, piece, findings);
        verification::nothing_expected(piece, findings);
    }
    known::log_on_dump(&scripts, findings);
    cron::check(model, findings);
}

/// Cron does something else than the line says, or nobody learns of it.
pub(crate) const CRON_LINE: Rule = Rule {
    code: "S0313",
    title: "a line of cron that is cut short, or whose failure nobody sees",
    severity: Severity::Error,
    why: "cron gives a shell only what stands before the first `%`; the rest is its input, and the \
          command fails each night",
    page: include_str!("../../../../docs/errors/S0313.md"),
};

/// Something is deleted although what should replace it may have failed.
pub(crate) const UNCHECKED_FAILURE: Rule = Rule {
    code: "S0301",
    title: "something is deleted although what came before it may have failed",
    severity: Severity::Error,
    why: "a shell goes on after a command that failed unless it is told to stop; the script reports \
          success, and the last good copy is gone",
    page: include_str!("../../../../docs/errors/S0301.md"),
};

/// A command reports success whatever happened.
pub(crate) const CANNOT_FAIL: Rule = Rule {
    code: "S0302",
    title: "a command that succeeds although it failed",
    severity: Severity::Error,
    why: "whoever looks at how it ended, a person or a program, goes on believing that it worked",
    page: include_str!("../../../../docs/errors/S0302.md"),
};

/// A command does not end by itself.
pub(crate) const ENDLESS: Rule = Rule {
    code: "S0303",
    title: "a command without an end",
    severity: Severity::Error,
    why: "what comes after it never begins, and nobody is told",
    page: include_str!("../../../../docs/errors/S0303.md"),
};

/// A value stands nowhere.
pub(crate) const NO_SOURCE: Rule = Rule {
    code: "S0304",
    title: "a value without a source",
    severity: Severity::Error,
    why: "in the emergency somebody has to find the value, and may find the wrong one",
    page: include_str!("../../../../docs/errors/S0304.md"),
};

/// A program or subcommand that there is not.
pub(crate) const DOES_NOT_EXIST: Rule = Rule {
    code: "S0305",
    title: "a program or subcommand that does not exist",
    severity: Severity::Error,
    why: "the command fails whenever it is run: it never was",
    page: include_str!("../../../../docs/errors/S0305.md"),
};

/// Something is destroyed and nobody was asked.
pub(crate) const NO_APPROVAL: Rule = Rule {
    code: "S0306",
    title: "something is destroyed and nobody was asked",
    severity: Severity::Error,
    why: "under pressure people take the wrong terminal, the wrong directory, the wrong cluster; what \
          this removes does not come back",
    page: include_str!("../../../../docs/errors/S0306.md"),
};

/// A script that is not part of the plan.
pub(crate) const SCRIPT_OUTSIDE: Rule = Rule {
    code: "S0307",
    title: "a script that is not part of the plan",
    severity: Severity::Warning,
    why: "what it does cannot be checked or reviewed with the plan, it changes without the plan, and \
          it may lie on the very machine that is gone",
    page: include_str!("../../../../docs/errors/S0307.md"),
};

/// A command waits for a person and swallows what follows.
pub(crate) const INTERACTIVE: Rule = Rule {
    code: "S0308",
    title: "a command that waits for somebody to type",
    severity: Severity::Error,
    why: "the lines behind it are not run where they were meant to be: they wait until somebody \
          leaves it, and then run on the wrong machine",
    page: include_str!("../../../../docs/errors/S0308.md"),
};

/// A verification that says nothing about what is right.
pub(crate) const NOTHING_EXPECTED: Rule = Rule {
    code: "S0309",
    title: "a verification without an expected value",
    severity: Severity::Warning,
    why: "the command succeeds whatever it shows, and at night a person takes what they see for what \
          should be",
    page: include_str!("../../../../docs/errors/S0309.md"),
};

/// A product is used in a way that is known to fail.
pub(crate) const MISUSE: Rule = Rule {
    code: "S0310",
    title: "a known misuse of a product",
    severity: Severity::Error,
    why: "the product documents that it does something else",
    page: include_str!("../../../../docs/errors/S0310.md"),
};

/// A script that a shell would refuse.
pub(crate) const UNREADABLE: Rule = Rule {
    code: "S0311",
    title: "shell that cannot be read",
    severity: Severity::Warning,
    why: "a shell refuses the script, or reads it in another way than its author",
    page: include_str!("../../../../docs/errors/S0311.md"),
};

/// A file was fetched on one machine and is read on another.
pub(crate) const READ_ELSEWHERE: Rule = Rule {
    code: "S0312",
    title: "a file is read where it is not",
    severity: Severity::Error,
    why: "the file lies on the machine of the one who runs the step; the program that reads it runs \
          somewhere else, and finds nothing",
    page: include_str!("../../../../docs/errors/S0312.md"),
};
