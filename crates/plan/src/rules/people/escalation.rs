//! S0401, S0402, S0410, S0412: who is told one after the other, and what happens if they sleep.

use std::collections::BTreeMap;
use std::time::Duration;

use super::directory::{Directory, Who, is_nobody};
use super::{NO_DEPUTY, NO_TIMER, ONE_CHANNEL, TOO_LATE};
use crate::check::{Finding, Model, Severity};
use crate::language::{self, At, Level, Origin, Scenario};
use crate::rules::words::folded;
use crate::units::format_duration;

/// A severity of the plan with its name for people.
struct Rung<'p> {
    shown: &'p str,
    origin: Origin,
    severity: &'p language::Severity,
}

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let directory = Directory::new(model.plan);
    let mut scenarios: BTreeMap<&str, Vec<(&At<String>, &Scenario)>> = BTreeMap::new();
    for (name, scenario) in model.plan.scenarios.iter() {
        if let Some(severity) = &scenario.severity {
            scenarios.entry(&severity.value).or_default().push((name, scenario));
        }
    }
    for (name, severity) in model.plan.severities.iter() {
        let shown = severity.title.as_ref().map_or(name.value.as_str(), |t| t.value.as_str());
        let rung = Rung { shown, origin: name.origin, severity };
        timers(&rung, &directory, findings);
        response(&rung, &directory, findings);
        one_channel(&rung, model, &directory, findings);
        for (name, scenario) in scenarios.get(name.value.as_str()).into_iter().flatten() {
            objective(&rung, name, scenario, findings);
        }
    }
    deputies(model, &directory, findings);
}

impl<'p> Rung<'p> {
    /// The levels that have another one behind them.
    fn before_last(&self) -> &'p [Level] {
        self.severity.escalation.split_last().map_or(&[], |(_, before)| before)
    }

    /// Where a level stands.
    fn level(&self, level: &Level) -> Origin {
        level.notify.first().map_or(self.origin, |name| name.origin)
    }
}

/// Those of a level, as people call them.
fn those<'a>(level: &'a Level, directory: &'a Directory<'_>) -> String {
    let names: Vec<_> =
        level.notify.iter().map(|name| format!("`{}`", directory.shown(&name.value))).collect();
    if names.is_empty() { "the next level".to_owned() } else { names.join(" and ") }
}

/// S0401.
fn timers(rung: &Rung<'_>, directory: &Directory<'_>, findings: &mut Vec<Finding>) {
    let levels = &rung.severity.escalation;
    let without: Vec<_> =
        rung.before_last().iter().enumerate().filter(|(_, l)| l.acknowledge.is_none()).collect();
    let Some((first, level)) = without.first() else { return };
    let next = levels.get(first + 1).map_or_else(String::new, |next| those(next, directory));
    let title = format!("`{}` never says when {next} is told", rung.shown);
    let proof = match (without.len(), rung.before_last().len()) {
        (1, 1) => "there is a level behind it, and no `acknowledge`".to_owned(),
        (missing, all) => format!(
            "{missing} of the {all} levels that have another behind them \
                                   have no `acknowledge`"
        ),
    };
    let finding = Finding::new(&NO_TIMER, rung.level(level), title)
        .here(format!("how long do they have to answer before {next} is told?"))
        .hint(
            "give every level but the last a time to answer, such as `acknowledge: 5 min`, and \
               let the pager count it",
        )
        .proof(proof);
    findings.push(finding);
}

/// S0410, where a severity contradicts itself.
fn response(rung: &Rung<'_>, directory: &Directory<'_>, findings: &mut Vec<Finding>) {
    let (Some(respond), [first, second, ..]) =
        (rung.severity.respond, &rung.severity.escalation[..])
    else {
        return;
    };
    let Some(waits) = first.acknowledge.filter(|waits| waits.value > respond.value) else { return };
    let next = those(second, directory);
    let (promised, told) = (format_duration(respond.value), format_duration(waits.value));
    let title = format!(
        "`{}` promises work within {promised}, and {next} is told after {told}",
        rung.shown
    );
    findings.push(
        Finding::new(&TOO_LATE, waits.origin, title)
            .severity(Severity::Warning)
            .here("so long nobody else is called")
            .label(respond.origin, "by then somebody should be at work")
            .hint(format!("give the first level less than {promised} to answer, or promise more"))
            .proof(format!(
                "{told} > {promised}: if the first does not answer, the promise is broken"
            )),
    );
}

/// S0410, where a scenario is over before somebody must have begun.
fn objective(rung: &Rung<'_>, name: &At<String>, scenario: &Scenario, findings: &mut Vec<Finding>) {
    let Some(rto) = scenario.rto.filter(|_| scenario.automatic.is_none_or(|it| !it.value)) else {
        return;
    };
    let timers = rung.before_last().iter().filter_map(|level| level.acknowledge);
    let chain = timers.fold(Duration::ZERO, |sum, one| sum.saturating_add(one.value));
    let respond = rung.severity.respond;
    let (late, origin, severity) = match respond {
        Some(respond) if respond.value >= rto.value => {
            (respond.value, respond.origin, Severity::Error)
        }
        _ if chain >= rto.value && !chain.is_zero() => (chain, rung.origin, Severity::Warning),
        _ => return,
    };
    let named = &scenario.title.as_ref().unwrap_or(name).value;
    let (late, promised) = (format_duration(late), format_duration(rto.value));
    let how = match severity {
        Severity::Error => format!("people may begin after {late}"),
        _ => format!("the last level is told after {late}"),
    };
    findings.push(
        Finding::new(
            &TOO_LATE,
            rto.origin,
            format!("`{named}` is promised in {promised}, and {how}"),
        )
        .severity(severity)
        .here("everything is to be back by then")
        .label(origin, format!("`{}`", rung.shown))
        .hint(format!(
            "give the scenario a severity that is answered sooner, or an `rto` above {late} and \
                 the time the steps take"
        ))
        .proof(format!("{late} ≥ {promised}, before the first step has begun")),
    );
}

/// S0412.
fn one_channel(
    rung: &Rung<'_>,
    model: &Model<'_>,
    directory: &Directory<'_>,
    findings: &mut Vec<Finding>,
) {
    let levels = &rung.severity.escalation;
    let Some(first) = levels.first().and_then(|level| level.by.first()) else { return };
    let only = |level: &Level| {
        !level.by.is_empty() && level.by.iter().all(|by| directory.is_same(&by.value, &first.value))
    };
    let has_fallback = match directory.find(&first.value).map(|entry| entry.who) {
        Some(Who::Channel(channel)) => channel.fallback.is_some(),
        _ => return,
    };
    let told = levels.iter().flat_map(|level| &level.notify);
    let has_number = told.clone().any(|name| match directory.find(&name.value).map(|e| e.who) {
        Some(Who::Person(person)) => !person.contacts.is_empty(),
        Some(Who::Team(team)) => {
            let members = team.members.iter().filter_map(|name| model.plan.people.get(&name.value));
            !team.contacts.is_empty() || members.into_iter().any(|m| !m.contacts.is_empty())
        }
        _ => is_nobody(&name.value),
    });
    if has_fallback || has_number || !levels.iter().all(only) {
        return;
    }
    let channel = directory.shown(&first.value);
    let count = levels.len();
    findings.push(
        Finding::new(
            &ONE_CHANNEL,
            first.origin,
            format!("`{}` reaches everybody through `{channel}` alone", rung.shown),
        )
        .here("the only way")
        .hint(format!(
            "name a second channel of another provider behind `by:`, a `fallback:` of `{channel}`, \
             or telephone numbers as `contacts:` of those who are told"
        ))
        .proof(match count {
            1 => "its one level names one channel, which has no fallback".to_owned(),
            _ => format!("all {count} levels name the same channel, which has no fallback"),
        }),
    );
}

/// Why a recovery waits for somebody.
struct Waits<'p> {
    name: &'p At<String>,
    approves: Vec<(Origin, String)>,
    last: Vec<(Origin, String)>,
}

/// S0402.
fn deputies(model: &Model<'_>, directory: &Directory<'_>, findings: &mut Vec<Finding>) {
    let mut waits: BTreeMap<String, Waits<'_>> = BTreeMap::new();
    fn entry<'p, 'w>(
        waits: &'w mut BTreeMap<String, Waits<'p>>,
        name: &'p At<String>,
    ) -> &'w mut Waits<'p> {
        let empty = || Waits { name, approves: Vec::new(), last: Vec::new() };
        waits.entry(folded(&name.value)).or_insert_with(empty)
    }
    for (name, severity) in model.plan.severities.iter() {
        let shown = severity.title.as_ref().map_or(name.value.as_str(), |t| t.value.as_str());
        if let [one] = &severity.approvers[..] {
            let what = format!("`{shown}` waits for their yes");
            entry(&mut waits, one).approves.push((one.origin, what));
        }
        if let Some(level) = severity.escalation.last().filter(|level| level.deputy.is_none())
            && let [one] = &level.notify[..]
        {
            let what = format!("the last level of `{shown}`");
            entry(&mut waits, one).last.push((one.origin, what));
        }
    }
    for (name, scenario) in model.plan.scenarios.iter() {
        let shown = scenario.title.as_ref().map_or(name.value.as_str(), |t| t.value.as_str());
        let steps = scenario.every_step();
        for approve in steps.filter_map(|step| step.approve.as_ref()) {
            if let [one] = &approve.by[..] {
                let what = format!("`{shown}` waits for their yes");
                entry(&mut waits, one).approves.push((one.origin, what));
            }
        }
    }
    let uncovered = waits.into_values().filter(|waits| !directory.is_covered(&waits.name.value));
    findings.extend(uncovered.map(|waits| no_deputy(&waits, directory)));
    for role in &model.facts.without_deputy {
        let title = format!("nobody steps in for `{}`", role.value);
        findings.push(
            Finding::new(&NO_DEPUTY, role.origin, title)
                .here("the plan says so itself")
                .hint("name somebody who may do the same, and let them try it in a drill"),
        );
    }
    own_deputies(model, directory, findings);
}

fn no_deputy(waits: &Waits<'_>, directory: &Directory<'_>) -> Finding {
    let shown = directory.shown(&waits.name.value);
    let severity = if waits.approves.is_empty() { Severity::Note } else { Severity::Warning };
    let mut places = waits.approves.iter().chain(&waits.last);
    let title = format!("nobody steps in for `{shown}`");
    let finding = match places.next() {
        Some((origin, what)) => Finding::new(&NO_DEPUTY, *origin, title).here(what),
        None => Finding::new(&NO_DEPUTY, waits.name.origin, title),
    };
    let finding = places.fold(finding, |finding, (origin, what)| finding.label(*origin, what));
    let proof = match (waits.approves.len(), waits.last.len()) {
        (0, _) => format!("behind `{shown}` there is no other level and no deputy"),
        (approvals, _) => format!(
            "{approvals} approval{} can be given by `{shown}` alone, who has no deputy",
            if approvals == 1 { "" } else { "s" }
        ),
    };
    finding
        .severity(severity)
        .hint(format!("name who steps in: `deputy:` of `{shown}`, or a second approver"))
        .proof(proof)
}

/// Somebody who steps in for themselves.
fn own_deputies(model: &Model<'_>, directory: &Directory<'_>, findings: &mut Vec<Finding>) {
    let people = model.plan.people.iter().map(|(name, person)| (name, &person.deputy));
    let teams = model.plan.teams.iter().map(|(name, team)| (name, &team.deputy));
    for (name, deputy) in people.chain(teams) {
        let Some(deputy) = deputy.as_ref().filter(|d| directory.is_same(&d.value, &name.value))
        else {
            continue;
        };
        let title = format!("`{}` steps in for themselves", directory.shown(&name.value));
        findings.push(
            Finding::new(&NO_DEPUTY, deputy.origin, title)
                .here("the same again")
                .hint("name somebody else as `deputy`")
                .proof("whoever cannot be reached cannot be reached as their own deputy either"),
        );
    }
}
