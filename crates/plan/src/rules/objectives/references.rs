//! S0102: something is named that is declared nowhere.
//!
//! What a service needs must always be declared. Of the other sections a name is missed only if the
//! section exists: a plan that names no tiers at all says what it means by the word itself.

use std::collections::HashMap;

use super::UNKNOWN_NAME;
use crate::check::{Finding, Model};
use crate::language::{At, Named, Plan};
use crate::suggest::nearest;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    needs(model, findings);
    let mut references = References { findings };
    services(model.plan, &mut references);
    stores(model.plan, &mut references);
    scenarios(model.plan, &mut references);
    rest(model.plan, &mut references);
}

/// So many names are held against those that are declared: who misses more has forgotten a file.
const COMPARED_MAX: usize = 200;

/// So many of those who need the same are shown.
const LABELS_MAX: usize = 5;

/// What is needed and declared nowhere, once for all who need it.
fn needs(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let services = &model.plan.services;
    let mut order: Vec<&str> = Vec::new();
    let mut missing: HashMap<&str, Vec<(&str, &At<String>)>> = HashMap::new();
    for (_, title, service) in services.titled() {
        for need in service.needs.iter().chain(&service.prefers) {
            if services.contains(&need.value) {
                continue;
            }
            let users = missing.entry(&need.value).or_default();
            if users.is_empty() {
                order.push(&need.value);
            }
            users.push((title, need));
        }
    }
    for (at, name) in order.into_iter().enumerate() {
        let Some(((first, need), others)) = missing.get(name).and_then(|it| it.split_first())
        else {
            continue;
        };
        let who = match others.len() {
            0 => format!("`{first}` needs"),
            1 => format!("`{first}` and one other need"),
            more => format!("`{first}` and {more} others need"),
        };
        let words = format!("{who} `{name}`, which is declared nowhere");
        let finding = Finding::new(&UNKNOWN_NAME, need.origin, words).here("no such service");
        let finding = others.iter().take(LABELS_MAX).fold(finding, |finding, (title, need)| {
            finding.label(need.origin, format!("`{title}` needs it too"))
        });
        let near = if at < COMPARED_MAX { nearest(name, services.names()) } else { None };
        findings.push(match near {
            Some(near) => finding.hint(format!("did you mean `{near}`?")),
            None => finding.hint(format!(
                "declare `{name}` among the services, with its objective and what its data is \
                 restored from; if somebody else runs it, say `external: yes`"
            )),
        });
    }
}

struct References<'f> {
    findings: &'f mut Vec<Finding>,
}

impl References<'_> {
    fn check<'n, T>(
        &mut self,
        section: &str,
        known: &Named<T>,
        names: impl IntoIterator<Item = &'n At<String>>,
    ) {
        if known.is_empty() {
            return;
        }
        for name in names {
            if known.contains(&name.value) {
                continue;
            }
            let words = format!("`{}` is not among the {section}", name.value);
            let hint = match nearest(&name.value, known.names()) {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!("declare it under `{section}`, or name one that is there"),
            };
            let finding = Finding::new(&UNKNOWN_NAME, name.origin, words);
            self.findings.push(finding.here("declared nowhere").hint(hint));
        }
    }
}

fn services(plan: &Plan, references: &mut References<'_>) {
    for (_, service) in plan.services.iter() {
        references.check("tiers", &plan.tiers, &service.tier);
        references.check("stores", &plan.stores, service.state.iter().chain(&service.writes));
        references.check("domains", &plan.domains, &service.domains);
    }
    for (_, domain) in plan.domains.iter() {
        references.check("domains", &plan.domains, &domain.within);
        references.check("scenarios", &plan.scenarios, &domain.scenario);
    }
    for (_, group) in plan.groups.iter() {
        references.check("stores", &plan.stores, &group.stores);
    }
}

fn stores(plan: &Plan, references: &mut References<'_>) {
    for (_, store) in plan.stores.iter() {
        references.check("domains", &plan.domains, &store.domains);
        references.check("stores", &plan.stores, &store.points_to);
        references.check("policies", &plan.policies, &store.policy);
        references.check("vaults", &plan.vaults, &store.vaults);
        references.check("vaults", &plan.vaults, store.copies.iter().filter_map(|c| c.to.as_ref()));
    }
    for (_, policy) in plan.policies.iter() {
        let to = policy.copies.iter().filter_map(|copy| copy.to.as_ref());
        references.check("vaults", &plan.vaults, to);
    }
    for (_, vault) in plan.vaults.iter() {
        references.check("domains", &plan.domains, &vault.domains);
        let keys = vault.written_with.iter().chain(&vault.read_with).chain(&vault.deleted_with);
        references.check("credentials", &plan.credentials, keys);
    }
}

fn scenarios(plan: &Plan, references: &mut References<'_>) {
    for (_, scenario) in plan.scenarios.iter() {
        references.check("domains", &plan.domains, &scenario.loses);
        references.check("stores", &plan.stores, &scenario.destroys);
        references.check("services", &plan.services, &scenario.stops);
        references.check("severities", &plan.severities, &scenario.severity);
        for step in scenario.every_step() {
            references.check("services", &plan.services, &step.uses);
            references.check("services", &plan.services, &step.starts);
            references.check("services", &plan.services, &step.stops);
            let restored = step.restore.as_ref().and_then(|restore| restore.store.as_ref());
            references.check("stores", &plan.stores, step.restores.iter().chain(restored));
        }
    }
}

fn rest(plan: &Plan, references: &mut References<'_>) {
    for (_, drill) in plan.drills.iter() {
        references.check("scenarios", &plan.scenarios, &drill.scenarios);
        references.check("stores", &plan.stores, &drill.stores);
    }
    for (_, channel) in plan.channels.iter() {
        references.check("domains", &plan.domains, &channel.domains);
        references.check("services", &plan.services, &channel.needs);
        references.check("channels", &plan.channels, &channel.fallback);
    }
}
