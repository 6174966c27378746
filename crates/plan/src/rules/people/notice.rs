//! S0411 and S0413: how a disaster is noticed, and who outside learns of a breach.

use super::{UNNOTICED, UNTOLD};
use crate::check::{Finding, Model, Severity};
use crate::language::{Scenario, Step};
use crate::rules::words::mentions;
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, scenario) in model.plan.scenarios.iter() {
        let shown = scenario.title.as_ref().unwrap_or(name);
        let origin = name.origin;
        if let Some(rto) = scenario.rto {
            let promised = format_duration(rto.value);
            let finding =
                if scenario.detection.is_empty() {
                    let title = format!("nothing says how `{}` is noticed", shown.value);
                    Finding::new(&UNNOTICED, origin, title)
                    .here("by whom, by what?")
                    .hint("name the alert or the probe that shows it: `detection:`, with `within`")
                    .proof(format!("it promises {promised} and has no detection"))
                } else if scenario.detection.iter().all(|one| one.within.is_none()) {
                    let title = format!("nothing says how soon `{}` is noticed", shown.value);
                    let first = scenario.detection.iter().find_map(|one| {
                        let run = one.run.as_ref().map(crate::language::Script::origin);
                        one.what.as_ref().map(|what| what.origin).or(run)
                    });
                    Finding::new(&UNNOTICED, first.unwrap_or(origin), title)
                    .severity(Severity::Note)
                    .here("after how long?")
                    .hint("say the latest at which it is noticed: `within: 5 min`; alerts have it \
                           in their rule")
                    .proof(format!(
                        "{promised} run from the disaster; none of its {} detections has a time",
                        scenario.detection.len()
                    ))
                } else {
                    continue;
                };
            findings.push(finding.label(rto.origin, "the clock that runs meanwhile"));
        }
    }
    for (name, scenario) in model.plan.scenarios.iter() {
        breach(model, name, scenario, findings);
    }
}

/// Words of those who must hear of a breach, and of the duty to tell them.
const OUTSIDE: &[&str] = &[
    "legal",
    "lawyer",
    "lawyers",
    "counsel",
    "regulator",
    "regulators",
    "regulatory",
    "authority",
    "authorities",
    "customer",
    "customers",
    "clients",
    "data protection",
    "privacy",
    "gdpr",
    "dpo",
    "cert",
    "csirt",
    "police",
    "law enforcement",
    "fbi",
    "insurer",
    "insurance",
    "press",
    "data subjects",
    "breach notification",
    "status page",
    "public relations",
    "compliance",
    "affected users",
    "users affected",
    "hipaa",
    "pci",
];

/// What a scenario is called when somebody got in.
const BREACHES: &[&str] = &[
    "ransomware",
    "breach",
    "breached",
    "intrusion",
    "intruder",
    "compromise",
    "compromised",
    "malware",
    "exfiltration",
    "hacked",
    "insider",
];

fn breach(
    model: &Model<'_>,
    name: &crate::language::At<String>,
    scenario: &Scenario,
    findings: &mut Vec<Finding>,
) {
    let shown = scenario.title.as_ref().unwrap_or(name);
    let is_hostile = match scenario.hostile {
        Some(hostile) => hostile.value,
        None => mentions(&shown.value, BREACHES),
    };
    let steps = || scenario.phases.iter().flat_map(|phase| &phase.steps);
    if !is_hostile || steps().next().is_none() || steps().any(|step| tells(model, step)) {
        return;
    }
    let severity = scenario.severity.as_ref().and_then(|it| model.plan.severities.get(&it.value));
    let informed = severity.into_iter().flat_map(|severity| {
        let levels = severity.escalation.iter().flat_map(|level| &level.notify);
        severity.informs.iter().chain(levels)
    });
    let phases = scenario.phases.iter().filter_map(|phase| phase.title.as_ref());
    let more = scenario.done_when.iter().chain(&scenario.priority).chain(&scenario.prerequisites);
    if informed.chain(phases).chain(more).any(|text| mentions(&text.value, OUTSIDE)) {
        return;
    }
    let title = format!("no step of `{}` tells customers, authorities or lawyers", shown.value);
    findings.push(
        Finding::new(&UNTOLD, name.origin, title)
            .here("who outside learns of it, and when?")
            .hint(
                "add an early step that tells those who decide about it, such as `notify: { to: \
                 legal }`, and one that records what was decided and when",
            )
            .proof(format!(
                "none of its {} steps speaks of anybody outside; article 33 of the GDPR, for one, \
                 gives 72 hours from knowing",
                steps().count()
            )),
    );
}

/// Whether a step speaks of anybody outside.
fn tells(model: &Model<'_>, step: &Step) -> bool {
    let notify = step.notify.as_ref();
    let said = notify.and_then(|notify| notify.text.as_ref());
    let names = notify.into_iter().flat_map(|notify| notify.by.iter().chain(&notify.to));
    let titles = names.map(|name| {
        let plan = model.plan;
        let person = plan.people.get(&name.value).and_then(|it| it.title.as_ref());
        let team = plan.teams.get(&name.value).and_then(|it| it.title.as_ref());
        let channel = plan.channels.get(&name.value).and_then(|it| it.title.as_ref());
        person.or(team).or(channel).unwrap_or(name)
    });
    let titled = step.title.iter().chain(&step.ask).chain(titles).map(|text| text.value.as_str());
    let scripts = step.manual.iter().chain(said).map(|s| s.text.as_str());
    // A command that has to do with a certificate tells nobody; a comment says what people do.
    let comments = step.run.iter().flat_map(|run| run.text.lines());
    let scripts = scripts.chain(comments.filter(|line| line.trim_start().starts_with('#')));
    let approve = step.approve.as_ref().and_then(|it| it.text.as_ref()).map(|t| t.value.as_str());
    titled.chain(scripts).chain(approve).any(|text| mentions(text, OUTSIDE))
}
