//! Family 2: coverage: is everything copied, often enough, far enough away, and brought back.

pub(crate) mod artefacts;
pub(crate) mod backups;
pub(crate) mod described;
pub(crate) mod losses;
pub(crate) mod needs;
pub(crate) mod points;
pub(crate) mod restored;
pub(crate) mod retention;
pub(crate) mod spread;
pub(crate) mod tried;

#[cfg(test)]
mod tests;

use crate::check::{Rule, Severity};

/// The rules of this family, by code.
pub(crate) const RULES: &[Rule] = &[
    NO_BACKUP,
    POINT_MISSED,
    READ_NEVER_WRITTEN,
    RESTORE_NEEDS_MORE,
    TOO_CLOSE,
    TOO_SHORT,
    NO_SCENARIO,
    NOT_RESTORED,
    NEVER_TRIED,
    LOGS_WITHOUT_BASE,
    NOT_AS_DESCRIBED,
    REPLICA_ONLY,
];

/// Data that nothing copies.
pub(crate) const NO_BACKUP: Rule = Rule {
    code: "S0201",
    title: "data without a backup",
    severity: Severity::Error,
    why: "what was never copied cannot be brought back by anybody, however good the runbook is",
    page: include_str!("../../../../docs/errors/S0201.md"),
};

/// The copies cannot keep the recovery point objective.
pub(crate) const POINT_MISSED: Rule = Rule {
    code: "S0202",
    title: "the copies cannot reach the recovery point",
    severity: Severity::Error,
    why: "a copy brings back the moment it was made; what was written since is lost, whatever the \
          objective says",
    page: include_str!("../../../../docs/errors/S0202.md"),
};

/// A recovery reads an object that nothing writes.
pub(crate) const READ_NEVER_WRITTEN: Rule = Rule {
    code: "S0203",
    title: "a backup that is read and never written",
    severity: Severity::Error,
    why: "the download fails with \"no such object\", in the middle of the recovery, and somebody has \
          to find out what the backups are called",
    page: include_str!("../../../../docs/errors/S0203.md"),
};

/// A restore needs something that no copy holds.
pub(crate) const RESTORE_NEEDS_MORE: Rule = Rule {
    code: "S0204",
    title: "a restore that needs what no copy holds",
    severity: Severity::Warning,
    why: "the data is there and cannot be used: what opens it, or belongs to it, was never copied",
    page: include_str!("../../../../docs/errors/S0204.md"),
};

/// Copies that fail together with the original, or with each other.
pub(crate) const TOO_CLOSE: Rule = Rule {
    code: "S0205",
    title: "copies that are lost together",
    severity: Severity::Warning,
    why: "copies that share a place, a provider or a credential are one copy on the day that one \
          fails",
    page: include_str!("../../../../docs/errors/S0205.md"),
};

/// Copies that an attacker can outwait or delete.
pub(crate) const TOO_SHORT: Rule = Rule {
    code: "S0206",
    title: "copies that an attacker outwaits or deletes",
    severity: Severity::Warning,
    why: "attackers are found weeks after they came, and delete backups first: what is needed is a \
          copy from before them that nobody could touch",
    page: include_str!("../../../../docs/errors/S0206.md"),
};

/// The loss of a failure domain that no scenario recovers from.
pub(crate) const NO_SCENARIO: Rule = Rule {
    code: "S0207",
    title: "a loss that no scenario recovers from",
    severity: Severity::Warning,
    why: "it will happen without a procedure, an order and a time: people will make one up while \
          everything is down",
    page: include_str!("../../../../docs/errors/S0207.md"),
};

/// A scenario destroys data that none of its steps brings back.
pub(crate) const NOT_RESTORED: Rule = Rule {
    code: "S0208",
    title: "data that a scenario destroys and does not bring back",
    severity: Severity::Error,
    why: "the runbook ends, everything is green, and the data is not there",
    page: include_str!("../../../../docs/errors/S0208.md"),
};

/// Nobody ever tried whether a copy can be restored.
pub(crate) const NEVER_TRIED: Rule = Rule {
    code: "S0209",
    title: "a copy that nobody ever tried to restore",
    severity: Severity::Warning,
    why: "a backup that was never restored is a hope: wrong keys, missing roles and empty files \
          show only at a restore",
    page: include_str!("../../../../docs/errors/S0209.md"),
};

/// Logs are kept, and nothing they could be replayed on.
pub(crate) const LOGS_WITHOUT_BASE: Rule = Rule {
    code: "S0210",
    title: "logs without a base to replay them on",
    severity: Severity::Error,
    why: "a log says what changed, not what it was changed from: without the right base it is so \
          many bytes, and a dump is not the right base",
    page: include_str!("../../../../docs/errors/S0210.md"),
};

/// The backups that are described are not the ones that are made.
pub(crate) const NOT_AS_DESCRIBED: Rule = Rule {
    code: "S0211",
    title: "backups that are described and not made",
    severity: Severity::Error,
    why: "people will look for the backup that the plan describes; what is there is what the job \
          makes",
    page: include_str!("../../../../docs/errors/S0211.md"),
};

/// A replica is the only copy.
pub(crate) const REPLICA_ONLY: Rule = Rule {
    code: "S0212",
    title: "a replica taken for a backup",
    severity: Severity::Warning,
    why: "what follows at once follows a wrong deletion at once, and old versions beside the data \
          go down with the place where it lies",
    page: include_str!("../../../../docs/errors/S0212.md"),
};
