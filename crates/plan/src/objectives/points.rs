//! Recovery points: how much of the newest data is lost, by the kind and schedule of the copies.

use super::copies::{self, Kept, Schedules};
use super::{Basis, Part};
use crate::graph::Loss;
use crate::language::{Method, Plan, Store};

/// What a store must be brought back from.
#[derive(Debug, Clone, Copy)]
pub struct Threat<'l> {
    /// What is gone; none: only the living data of this store.
    pub loss: Option<&'l Loss>,
    /// The data is wrong, not only gone: what follows at once is wrong too.
    pub corrupt: bool,
    /// The place where the data lies is gone.
    pub place_lost: bool,
    /// Somebody is inside who can delete what is not locked.
    pub hostile: bool,
}

/// How much of a store is lost.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Loses<'p> {
    /// All of it: no copy can be used.
    Everything,
    /// The plan does not say how often the copies are made.
    Unknown,
    /// At most so much of the newest data.
    UpTo(Part, Kept<'p>),
}

impl<'p> Loses<'p> {
    /// What is lost of a store by the copies given.
    pub fn of(
        plan: &'p Plan,
        store: &'p Store,
        threat: &Threat<'_>,
        (kept, schedules): (&[Kept<'p>], &Schedules),
    ) -> Self {
        let usable: Vec<Kept<'p>> =
            kept.iter().copied().filter(|kept| is_usable(plan, kept, threat)).collect();
        let has_base = usable
            .iter()
            .filter_map(|kept| kept.method)
            .any(|method| copies::is_base(store, method));
        let mut any = false;
        let mut best: Option<(Part, Kept<'p>)> = None;
        for kept in usable {
            if kept.method == Some(Method::Log) && !has_base {
                continue;
            }
            any = true;
            let Some(interval) = kept.interval(schedules) else { continue };
            let basis = if interval.is_default { Basis::Assumed("wal") } else { Basis::Declared };
            let part = Part::new(word(kept.method), interval.length, basis);
            let part = Part { origin: interval.origin, ..part };
            if best.as_ref().is_none_or(|(known, _)| part.length < known.length) {
                best = Some((part, kept));
            }
        }
        match best {
            Some((part, kept)) => Self::UpTo(part, kept),
            None if any => Self::Unknown,
            None => Self::Everything,
        }
    }
}

fn is_usable(plan: &Plan, kept: &Kept<'_>, threat: &Threat<'_>) -> bool {
    let at = kept.to.and_then(|to| plan.vaults.position(to));
    let is_lost = |at: usize| threat.loss.is_some_and(|loss| loss.vaults[at]);
    if at.is_some_and(is_lost) {
        return false;
    }
    match kept.method {
        Some(Method::Replica) => !threat.corrupt && !threat.hostile,
        Some(Method::Versions) => !threat.place_lost && !threat.hostile,
        _ => true,
    }
}

/// What a method is called in a sentence.
pub(crate) fn word(method: Option<Method>) -> &'static str {
    match method {
        Some(Method::Dump) => "between two dumps",
        Some(Method::Snapshot) => "between two snapshots",
        Some(Method::Base) => "between two base backups",
        Some(Method::Copy) => "between two copies",
        Some(Method::Log) => "until the log is shipped",
        Some(Method::Replica) => "until the replica follows",
        Some(Method::Versions) => "until the next version",
        Some(Method::Soter) => "until the agent has sent it",
        None => "between two backups",
    }
}
