//! S0407, where mail is all there is: at the domain of the system that somebody broke into.

use std::collections::{BTreeMap, BTreeSet};

use super::BAD_CONTACT;
use super::directory::{Directory, Who};
use crate::check::{Finding, Model, Severity};
use crate::language::{At, Plan, Script, Step};
use crate::rules::placeholder::mail_domain;

/// Looking for each domain costs a pass over all scripts; nobody has more.
const DOMAINS_MAX: usize = 20;

pub(super) fn check(model: &Model<'_>, directory: &Directory<'_>, findings: &mut Vec<Finding>) {
    let plan = model.plan;
    let breach = plan
        .scenarios
        .iter()
        .find(|(_, scenario)| scenario.hostile.as_ref().is_some_and(|hostile| hostile.value));
    let Some((breach_name, breach)) = breach else { return };
    let breach = breach.title.as_ref().unwrap_or(breach_name);
    let only_mail: Vec<(&At<String>, &str)> = mail_only(plan, directory);
    let domains: BTreeSet<&str> = only_mail.iter().map(|(_, domain)| *domain).collect();
    let hosts: BTreeMap<&str, String> = domains
        .into_iter()
        .take(DOMAINS_MAX)
        .filter_map(|domain| host_in(plan, domain).map(|host| (domain, host)))
        .collect();
    for (contact, domain) in only_mail {
        let Some(host) = hosts.get(domain) else { continue };
        let title = format!(
            "in `{}`, `{}` is at the domain whose systems are no longer trusted",
            breach.value, contact.value
        );
        findings.push(
            Finding::new(&BAD_CONTACT, contact.origin, title)
                .severity(Severity::Warning)
                .here("there is no other way to reach them")
                .label(breach_name.origin, "in this scenario nothing of the system can be trusted")
                .why(
                    "mail rests on the same domain, its name service and often the same directory \
                     as the systems: whoever is inside reads along, and a name service that is \
                     locked down carries no mail",
                )
                .hint("add a contact that has nothing to do with this domain: a telephone number")
                .proof(format!("the system itself answers at `{host}`")),
        );
    }
}

/// Those who are told in some severity, or named for emergencies, and have mail addresses only.
fn mail_only<'p>(plan: &'p Plan, directory: &Directory<'p>) -> Vec<(&'p At<String>, &'p str)> {
    let names = plan.severities.iter().flat_map(|(_, severity)| {
        let levels = severity.escalation.iter().filter(|level| level.by.is_empty());
        levels.flat_map(|level| &level.notify).chain(&severity.approvers)
    });
    let of_people = names.filter_map(|name| match directory.find(&name.value)?.who {
        Who::Person(person) => Some(&person.contacts[..]),
        Who::Team(team) if team.on_call.is_none() => Some(&team.contacts[..]),
        _ => None,
    });
    let head = plan.plan.as_ref().and_then(|header| header.emergency_contact.as_ref());
    let all = of_people.chain(head.map(std::slice::from_ref));
    let mut only: BTreeMap<_, _> = BTreeMap::new();
    for contacts in all {
        let domains: Option<Vec<&str>> = contacts.iter().map(|it| mail_domain(&it.value)).collect();
        if let (Some(domains), Some(first)) = (domains, contacts.first())
            && let Some(domain) = domains.first()
            && domains.iter().all(|other| other.eq_ignore_ascii_case(domain))
        {
            only.insert(first.origin, (first, *domain));
        }
    }
    only.into_values().collect()
}

/// A host of the plan's own systems that lies in this domain.
fn host_in(plan: &Plan, domain: &str) -> Option<String> {
    let also = plan.services.iter().filter(|(_, service)| service.external.is_none());
    let also = also.flat_map(|(_, service)| &service.also).map(|name| name.value.as_str());
    let steps = plan.scenarios.iter().flat_map(|(_, scenario)| scenario.every_step());
    let steps = steps.flat_map(texts);
    also.chain(steps).find_map(|text| host(text, domain))
}

fn texts(step: &Step) -> impl Iterator<Item = &str> {
    let scripts = step.run.iter().map(|run: &Script| run.text.as_str());
    let probes = step.verify.iter();
    let urls = step.http.iter().chain(probes.clone().filter_map(|probe| probe.http.as_ref()));
    let urls = urls.filter_map(|http| http.url.as_ref()).map(|url| url.value.as_str());
    let checks = probes.filter_map(|probe| probe.run.as_ref()).map(|run| run.text.as_str());
    scripts.chain(urls).chain(checks)
}

/// The first host in a text that is the domain or lies in it, and is not part of a mail address.
fn host(text: &str, domain: &str) -> Option<String> {
    let is_part = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | '_');
    text.match_indices(domain).find_map(|(at, _)| {
        let (before, behind) = (text.get(..at)?, text.get(at + domain.len()..)?);
        if behind.starts_with(is_part) && !behind.starts_with(". ") {
            return None;
        }
        let start = before.rfind(|c: char| !is_part(c)).map_or(0, |end| end + 1);
        let labels = before.get(start..)?;
        let is_mail = before.get(..start)?.ends_with('@');
        let is_whole = labels.is_empty() || labels.ends_with('.');
        (is_whole && !is_mail).then(|| format!("{labels}{domain}"))
    })
}
