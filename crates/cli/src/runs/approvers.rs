//! Those who approve, and whether they can be heard here.
//!
//! The rule it keeps: whether a code can be checked is found out before the first effect, and again
//! before another engine goes on: not when everybody waits for it.

use std::collections::{BTreeMap, BTreeSet};

use soter_runbook::preflight::{Objection, Weight};
use soter_runbook::procedure::{Action, Procedure};
use soter_world::{Disk, Secret};

use super::values;

/// Secrets that approvers make their codes from, and why others cannot be read, by the person.
#[derive(Default)]
pub(crate) struct Approvers {
    /// Those that are known.
    pub(crate) known: BTreeMap<String, Secret<Vec<u8>>>,
    /// Why others are not.
    pub(crate) unknown: BTreeMap<String, String>,
}

impl Approvers {
    /// Those of a procedure whose secrets this machine can read.
    pub(crate) fn of(disk: &dyn Disk, procedure: &Procedure) -> Self {
        let mut approvers = Self::default();
        for (person, reference) in &procedure.approvals {
            match values::resolve(disk, reference) {
                Ok(secret) => {
                    let secret = Secret::new(secret.expose().as_bytes().to_vec());
                    approvers.known.insert(person.clone(), secret);
                }
                Err(why) => drop(approvers.unknown.insert(person.clone(), why)),
            }
        }
        approvers
    }
}

/// Approvals that can be had only by breaking the glass, because too few codes can be checked here: the
/// person who began the run approves none of it.
pub(crate) fn unheard(
    procedure: &Procedure,
    approvers: &Approvers,
    requester: &str,
    weight: Weight,
) -> Vec<Objection> {
    let mut objections = Vec::new();
    for step in &procedure.steps {
        let Action::Approve { by, count, .. } = &step.action else { continue };
        let may = |person: &String| by.iter().any(|name| procedure.is_one_of(person, name));
        let able: BTreeSet<&String> =
            approvers.known.keys().chain(procedure.signers.keys()).collect();
        let able = able.into_iter().filter(|person| *person != requester && may(person));
        if u32::try_from(able.count()).unwrap_or(u32::MAX) >= *count {
            continue;
        }
        let reasons = approvers.unknown.iter().filter(|(person, _)| may(person));
        let reasons: Vec<String> =
            reasons.map(|(person, why)| format!("; of {person}: {why}")).collect();
        let glass = match weight {
            Weight::Blocking => "",
            Weight::Remark => ", so it waits for --break-glass, which leaves an obligation",
        };
        objections.push(Objection {
            weight,
            what: format!(
                "too few codes can be checked here for the step `{}`, which {} must approve{glass}{}",
                step.id,
                by.join(", "),
                reasons.concat()
            ),
            hint: HINT.to_owned(),
        });
    }
    objections
}

const HINT: &str = "give those who approve a `signs_with`, or an `approves_with` and this machine the secrets; or, if \
                    there is no time for that, --break-glass: the step then waits for somebody to \
                    approve it alone";
