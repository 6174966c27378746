//! Numbers and addresses that stand in the plan as `${env:NAME}`: in print they must be there, in the
//! repository they need not.
//!
//! The rule it keeps: only how people are reached is filled in. Commands and connections keep their
//! references, whatever the environment says: what they stand for may be a secret.

use std::collections::BTreeSet;

use crate::language::{At, Plan};

/// How a reference to the environment begins.
const REFERENCE: &str = "${env:";

/// Fills in how people, teams and channels are reached; the names that nobody knows come back.
pub fn fill_contacts(plan: &mut Plan, known: impl Fn(&str) -> Option<String>) -> BTreeSet<String> {
    let mut missing = BTreeSet::new();
    let mut fill = |contact: &mut At<String>| {
        contact.value = filled(&contact.value, &known, &mut missing);
    };
    plan.people.iter_mut().flat_map(|(_, person)| &mut person.contacts).for_each(&mut fill);
    plan.teams.iter_mut().flat_map(|(_, team)| &mut team.contacts).for_each(&mut fill);
    plan.channels
        .iter_mut()
        .filter_map(|(_, channel)| channel.address.as_mut())
        .for_each(&mut fill);
    let head = plan.plan.iter_mut();
    head.flat_map(|head| [&mut head.contact, &mut head.emergency_contact])
        .flatten()
        .for_each(&mut fill);
    missing
}

fn filled(
    text: &str,
    known: impl Fn(&str) -> Option<String>,
    missing: &mut BTreeSet<String>,
) -> String {
    let mut out = String::new();
    let mut rest = text;
    while let Some((before, reference)) = rest.split_once(REFERENCE) {
        let Some((name, behind)) = reference.split_once('}') else { break };
        out.push_str(before);
        match known(name) {
            Some(value) => out.push_str(value.trim()),
            None => {
                missing.insert(name.to_owned());
                out.push_str(&format!("{REFERENCE}{name}}}"));
            }
        }
        rest = behind;
    }
    out + rest
}
