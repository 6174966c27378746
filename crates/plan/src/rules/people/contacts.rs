//! S0407 and S0409: contacts that reach nobody, or not in the disaster, and those who have none.

use std::collections::{BTreeMap, BTreeSet};

use super::channels::told;
use super::directory::{Directory, Entry, Who, is_nobody};
use super::survival::Losses;
use super::{BAD_CONTACT, NO_CONTACT};
use crate::check::{Finding, Model};
use crate::language::{At, Plan};
use crate::rules::placeholder::{mail_domain, placeholder};
use crate::rules::words::folded;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let directory = Directory::new(model.plan);
    placeholders(model.plan, findings);
    unreachable(model.plan, &directory, findings);
    on_what_fails(model, &directory, findings);
    super::mail::check(model, &directory, findings);
}

/// Everything that should reach somebody, with whom.
fn contacts(plan: &Plan) -> impl Iterator<Item = (&At<String>, &str)> {
    let people = plan.people.iter().flat_map(|(name, person)| {
        let who = person.title.as_ref().unwrap_or(name).value.as_str();
        person.contacts.iter().map(move |contact| (contact, who))
    });
    let teams = plan.teams.iter().flat_map(|(name, team)| {
        let who = team.title.as_ref().unwrap_or(name).value.as_str();
        team.contacts.iter().map(move |contact| (contact, who))
    });
    let channels = plan.channels.iter().filter_map(|(name, channel)| {
        let who = channel.title.as_ref().unwrap_or(name).value.as_str();
        channel.address.as_ref().map(|address| (address, who))
    });
    let head = plan.plan.iter().flat_map(|header| {
        let contact = header.contact.iter().map(|it| (it, "the owner of the plan"));
        contact.chain(header.emergency_contact.iter().map(|it| (it, "the emergency contact")))
    });
    people.chain(teams).chain(channels).chain(head)
}

fn placeholders(plan: &Plan, findings: &mut Vec<Finding>) {
    let mut seen = BTreeSet::new();
    for (contact, who) in contacts(plan) {
        let Some(why) = placeholder(&contact.value) else { continue };
        if !seen.insert(contact.origin) {
            continue;
        }
        let title = format!("`{}` of `{who}` reaches nobody", contact.value);
        findings.push(
            Finding::new(&BAD_CONTACT, contact.origin, title)
                .here(why)
                .hint(
                    "write the real one; if it must not stand in the plan, name the place where \
                     it is kept, which must survive the disaster",
                )
                .proof(format!("`{}`: {why}", contact.value)),
        );
    }
    for (name, person) in plan.people.iter() {
        let Some(title) = &person.title else { continue };
        let is_example = ["john doe", "jane doe", "max mustermann", "erika mustermann"]
            .contains(&folded(&title.value).as_str());
        if let Some(why) = placeholder(&title.value).or(is_example.then_some("nobody's name")) {
            findings.push(
                Finding::new(&BAD_CONTACT, title.origin, format!("`{}` is nobody", title.value))
                    .here(why)
                    .hint(format!(
                        "write who fills `{}`, or the role as people call it",
                        name.value
                    ))
                    .proof(format!("`{}`: {why}", title.value)),
            );
        }
    }
}

/// S0409: those whom an escalation or an approval names, and whom nothing says how to reach.
fn unreachable(plan: &Plan, directory: &Directory<'_>, findings: &mut Vec<Finding>) {
    let mut missing: BTreeMap<String, Vec<&At<String>>> = BTreeMap::new();
    for (_, severity) in plan.severities.iter() {
        for level in &severity.escalation {
            // A channel that is named knows its people.
            if level.by.is_empty() {
                for name in &level.notify {
                    missing.entry(folded(&name.value)).or_default().push(name);
                }
            }
        }
        for name in &severity.approvers {
            missing.entry(folded(&name.value)).or_default().push(name);
        }
    }
    missing.retain(|_, names| {
        names.first().is_some_and(|name| {
            !is_nobody(&name.value) && !is_reached(plan, directory, &name.value)
        })
    });
    let mut all: Vec<_> = missing.into_values().collect();
    all.sort_by_key(|names| names.first().map(|name| name.origin));
    for names in all {
        let Some((first, more)) = names.split_first() else { continue };
        let who = directory.shown(&first.value);
        let finding =
            Finding::new(&NO_CONTACT, first.origin, format!("nothing says how to reach `{who}`"))
                .here("who is told, and how?");
        let finding = more
            .iter()
            .take(LABELS_MAX)
            .fold(finding, |finding, name| finding.label(name.origin, "and here"));
        let known = match directory.find(&first.value) {
            Some(_) => format!("`{who}` has no contact, and no channel names `{who}` as reader"),
            None => format!(
                "`{who}` is neither a person nor a team of the plan, and no channel \
                             names `{who}` as reader"
            ),
        };
        findings.push(
            finding
                .hint(format!(
                    "write a telephone number among the `contacts` of `{who}`, or name the channel \
                     that calls them behind `by:`"
                ))
                .proof(known),
        );
    }
}

/// So many places are shown; more say nothing new.
const LABELS_MAX: usize = 4;

/// Whether a plan says how somebody is reached, even if it says it badly.
fn is_reached(plan: &Plan, directory: &Directory<'_>, written: &str) -> bool {
    let is_read = plan.channels.iter().any(|(_, channel)| {
        let readers = channel.readers.iter();
        readers.into_iter().any(|reader| speaks_of(&reader.value, written, directory))
    });
    let member = |name: &At<String>| {
        plan.people.get(&name.value).is_some_and(|person| !person.contacts.is_empty())
    };
    let has_contact = match directory.find(written).map(|entry| entry.who) {
        Some(Who::Person(person)) => !person.contacts.is_empty(),
        Some(Who::Team(team)) => {
            !team.contacts.is_empty() || team.on_call.is_some() || team.members.iter().any(member)
        }
        Some(Who::Channel(_)) => true,
        None => false,
    };
    has_contact || is_read
}

/// Whether the reader of a channel, such as `On-call rotation`, is the one who is looked for.
fn speaks_of(reader: &str, written: &str, directory: &Directory<'_>) -> bool {
    let (reader_words, who) = (folded(reader), folded(directory.shown(written)));
    directory.belongs(written, reader)
        || format!(" {reader_words} ").contains(&format!(" {who} "))
        || ["everyone", "everybody", "all", "all staff"].contains(&reader_words.as_str())
}

/// S0407: people whose only contacts go through channels that the scenario takes away.
fn on_what_fails<'p>(model: &Model<'p>, directory: &Directory<'p>, findings: &mut Vec<Finding>) {
    let plan = model.plan;
    if plan.channels.is_empty() {
        return;
    }
    let mut said = BTreeSet::new();
    for (scenario_name, scenario) in plan.scenarios.iter() {
        let losses = Losses::new(model, scenario);
        if losses.is_empty() {
            continue;
        }
        for name in told(plan, scenario) {
            let Some(entry) = directory.find(&name.value) else { continue };
            let contacts = match entry.who {
                Who::Person(person) => &person.contacts,
                Who::Team(team) => &team.contacts,
                Who::Channel(_) => continue,
            };
            let channels: Option<Vec<_>> = contacts
                .iter()
                .map(|contact| carried_by(plan, directory, &contact.value))
                .collect();
            let Some(channels) = channels.filter(|channels| !channels.is_empty()) else { continue };
            let causes: Option<Vec<_>> = channels
                .iter()
                .map(|channel| match channel.who {
                    Who::Channel(it) => losses.with_fallback(it, directory),
                    _ => None,
                })
                .collect();
            let Some(cause) = causes.and_then(|causes| causes.into_iter().next()) else { continue };
            let (Some(contact), Some(channel)) = (contacts.first(), channels.first()) else {
                continue;
            };
            let shown = scenario.title.as_ref().unwrap_or(scenario_name);
            if !said.insert((entry.name.origin, scenario_name.origin)) {
                continue;
            }
            let title =
                format!("`{}` takes away every way to reach `{}`", shown.value, entry.shown());
            findings.push(
                Finding::new(&BAD_CONTACT, contact.origin, title)
                    .here(format!("this goes through `{}`", channel.shown()))
                    .label(cause.at.origin, "what it fails with")
                    .hint(format!(
                        "add a contact of `{}` that shares nothing with what is lost: a private \
                         telephone number, kept on paper",
                        entry.shown()
                    ))
                    .proof(format!("`{}`: {}, and this is lost", channel.shown(), cause.because)),
            );
        }
    }
}

/// The channel that a contact goes through: it is named, or its addresses lie in the same domain.
fn carried_by<'p>(plan: &'p Plan, directory: &Directory<'p>, contact: &str) -> Option<Entry<'p>> {
    if let Some(entry) = directory.find(contact)
        && matches!(entry.who, Who::Channel(_))
    {
        return Some(entry);
    }
    let domain = mail_domain(contact)?;
    plan.channels
        .iter()
        .find(|(_, channel)| {
            let address = channel.address.as_ref().and_then(|it| mail_domain(&it.value));
            address.is_some_and(|address| address.eq_ignore_ascii_case(domain))
        })
        .map(|(name, channel)| Entry { name, who: Who::Channel(channel) })
}
