//! What would be done: `soter recover --dry-run`.

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use soter_runbook::preflight::{Objection, Weight};
use soter_runbook::procedure::{self, Action, Given, Probe, Procedure, Step};
use soter_runbook::state::{Recorded, shown};

use super::prepare::Prepared;
use crate::board::{Board, Service};
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::output::human_duration;
use crate::runs::screen;

/// So much of the first line of a script is shown.
const SHOWN_CHARS: usize = 90;

#[derive(Serialize)]
struct Preview<'p> {
    scenario: &'p str,
    title: &'p str,
    kind: String,
    target: &'p str,
    plan: &'p str,
    procedure: String,
    requester: &'p str,
    /// When the disaster happened, if somebody said: promises count from then.
    disaster: Option<Timestamp>,
    mirror: Option<&'p str>,
    parameters: Vec<Value<'p>>,
    phases: Vec<Phase<'p>>,
    /// Whether all of it, and each service, would be back in time, if it began now.
    whole: Service,
    services: Vec<Service>,
    objections: Vec<Found<'p>>,
    #[serde(skip)]
    in_time: String,
}

#[derive(Serialize)]
struct Value<'p> {
    name: &'p str,
    about: Option<&'p str>,
    /// None: it is not known yet.
    value: Option<String>,
}

#[derive(Serialize)]
struct Phase<'p> {
    title: String,
    budget_ms: Option<u64>,
    after: Vec<String>,
    steps: Vec<Line<'p>>,
}

#[derive(Serialize)]
struct Line<'p> {
    id: &'p str,
    title: String,
    kind: &'p str,
    does: String,
    after: Vec<&'p str>,
    on: Option<String>,
    owner: Option<&'p str>,
    budget_ms: Option<u64>,
    timeout_ms: Option<u64>,
    retries: u32,
    destructive: bool,
    only_if: Option<String>,
    already_done: Option<String>,
    verify: Vec<String>,
    obliges: &'p [String],
    lifts: &'p [String],
    #[serde(skip_serializing_if = "Option::is_none")]
    instead: Option<Way<'p>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    undo: Option<Way<'p>>,
}

/// What is done only when a person says so.
#[derive(Serialize)]
struct Way<'p> {
    title: String,
    steps: Vec<Line<'p>>,
}

#[derive(Serialize)]
struct Found<'p> {
    blocking: bool,
    what: &'p str,
    hint: &'p str,
}

/// Shows it. The answer is no if the run could not begin.
pub(super) fn show(
    context: &Context,
    prepared: &Prepared,
    found: &[Objection],
) -> Result<(), Failure> {
    let preview =
        Preview::of(prepared, found, screen::before_it_begins(context, prepared.begun())?);
    context.output.data(&preview, |preview| preview.in_words(found));
    match preview.objections.iter().filter(|one| one.blocking).count() {
        0 => Ok(()),
        _ => Err(Failure::new(Ending::No, "the run could not begin as things are")),
    }
}

/// What is in the way, the worst first.
pub(in crate::commands) fn objections(found: &[Objection]) -> String {
    let line = |one: &Objection| {
        let sign = if one.weight == Weight::Blocking { "BLOCKING" } else { "remark  " };
        // What a program said may be several lines.
        let what = one.what.trim_end().replace('\n', "\n            ");
        format!("  {sign}  {what}\n            {}", one.hint)
    };
    found.iter().map(line).collect::<Vec<_>>().join("\n")
}

impl<'p> Preview<'p> {
    fn of(prepared: &'p Prepared, found: &'p [Objection], board: Board) -> Self {
        let procedure = &prepared.procedure;
        let bindings = &prepared.stage.tools.place.bindings;
        let phases = procedure.phases.iter().enumerate();
        Self {
            scenario: &procedure.scenario,
            title: &procedure.title,
            kind: bindings.kind.to_string(),
            target: bindings.title(),
            plan: &prepared.digest,
            procedure: procedure.digest(),
            requester: &prepared.requester,
            disaster: prepared.disaster,
            mirror: prepared.reach.vault.as_deref(),
            parameters: procedure.parameters.iter().map(|one| value(prepared, one)).collect(),
            phases: phases.map(|(at, _)| phase(&Texts::of(prepared), at)).collect(),
            in_time: screen::show_services(&board),
            whole: board.whole,
            services: board.services,
            objections: found.iter().map(in_the_way).collect(),
        }
    }

    fn in_words(&self, found: &[Objection]) -> String {
        let Self { kind, target, title, scenario, plan, requester, .. } = self;
        let mut text = format!(
            "{kind} on {target}: {title} ({scenario})\nNothing was done: this is what would be.\n\
             plan {plan}, begun by {requester}\n"
        );
        match self.mirror {
            Some(url) => text.push_str(&format!("journal here and in {url}\n")),
            None => text.push_str("journal LOCAL ONLY\n"),
        }
        if let Some(disaster) = self.disaster {
            text.push_str(&format!("disaster at {disaster}: what was promised counts from then\n"));
        }
        if !self.parameters.is_empty() {
            text.push_str("\nParameters\n");
        }
        for Value { name, about, value } in &self.parameters {
            let value = value.as_deref().unwrap_or("not known yet");
            let about = about.map_or_else(String::new, |about| format!("  ({about})"));
            text.push_str(&format!("  {name} = {value}{about}\n"));
        }
        for (at, phase) in self.phases.iter().enumerate() {
            text.push_str(&format!("\n{}\n", phase.head(at)));
            for step in &phase.steps {
                text.push_str(&step.in_words());
            }
        }
        text.push_str(&format!("\nWould it be back in time?\n{}\n", self.in_time));
        if found.is_empty() {
            text.push_str("\nNothing is in the way.");
        } else {
            text.push_str(&format!("\nIn the way\n{}", objections(found)));
        }
        text
    }
}

impl Phase<'_> {
    fn head(&self, at: usize) -> String {
        let mut head = format!("{}. {}", at + 1, self.title);
        if let Some(budget) = self.budget_ms {
            head.push_str(&format!(", at most {}", duration(budget)));
        }
        if !self.after.is_empty() {
            head.push_str(&format!(", after {}", self.after.join(" and ")));
        }
        head
    }
}

impl Line<'_> {
    fn in_words(&self) -> String {
        let mut text =
            format!("  {}  {}\n      {}: {}\n", self.id, self.title, self.kind, self.does);
        let mut facts = Vec::new();
        facts.extend(self.destructive.then(|| "CANNOT BE TAKEN BACK".to_owned()));
        facts.extend(self.on.iter().map(|host| format!("on {host}")));
        facts.extend(self.owner.map(|owner| format!("by {owner}")));
        facts.extend(self.budget_ms.map(|budget| format!("at most {}", duration(budget))));
        facts.extend(self.timeout_ms.map(|limit| format!("ended after {}", duration(limit))));
        facts.extend((self.retries > 0).then(|| format!("tried {} times", self.retries + 1)));
        facts.extend((!self.after.is_empty()).then(|| format!("after {}", self.after.join(", "))));
        if !facts.is_empty() {
            text.push_str(&format!("      {}\n", facts.join("; ")));
        }
        let questions = [("only if", &self.only_if), ("not if", &self.already_done)];
        for (word, question) in questions {
            text.extend(question.iter().map(|it| format!("      {word}: {it}\n")));
        }
        for question in &self.verify {
            text.push_str(&format!("      done when: {question}\n"));
        }
        for (word, names) in [("puts in place", self.obliges), ("lifts", self.lifts)] {
            if !names.is_empty() {
                text.push_str(&format!("      {word}: {}\n", names.join(", ")));
            }
        }
        for (word, way) in [("takes it instead", &self.instead), ("has it undone", &self.undo)] {
            let Some(way) = way else { continue };
            text.push_str(&format!("      or, if a person {word}: {}\n", way.title));
            for line in way.steps.iter().map(Line::in_words).collect::<String>().lines() {
                text.push_str(&format!("      {line}\n"));
            }
        }
        text
    }
}

fn value<'p>(prepared: &'p Prepared, parameter: &'p procedure::Parameter) -> Value<'p> {
    let value = prepared.values.given.get(&parameter.name).map(|given| match given {
        Given::Plain(value) => value.clone(),
        Given::Hidden(_) => "****".to_owned(),
    });
    Value { name: &parameter.name, about: parameter.about.as_deref(), value }
}

/// Texts of the plan, with the values that are known by now.
struct Texts<'p> {
    procedure: &'p Procedure,
    values: BTreeMap<String, Recorded>,
}

impl<'p> Texts<'p> {
    fn of(prepared: &'p Prepared) -> Self {
        let recorded = |given: &Given| match given {
            Given::Plain(value) => Recorded::Value(value.clone()),
            // Shown as `****`, whatever it is.
            Given::Hidden(_) => Recorded::Fingerprint(String::new()),
        };
        let values = prepared.values.given.iter();
        let values = values.map(|(name, given)| (name.clone(), recorded(given))).collect();
        Self { procedure: &prepared.procedure, values }
    }

    fn shown(&self, text: &str) -> String {
        shown(text, self.procedure, &self.values)
    }

    fn title(&self, probe: &Probe) -> String {
        self.shown(&probe.title)
    }
}

fn phase<'p>(texts: &Texts<'p>, at: usize) -> Phase<'p> {
    let procedure = texts.procedure;
    let phase = &procedure.phases[at];
    let title = |at: &usize| procedure.phases.get(*at).map(|phase| texts.shown(&phase.title));
    let of_ways = procedure.steps_of_ways();
    let steps = procedure.steps.iter();
    let steps = steps.filter(|step| step.phase == at && !of_ways.contains(&step.id));
    Phase {
        title: texts.shown(&phase.title),
        budget_ms: phase.budget.map(milliseconds),
        after: phase.after.iter().filter_map(title).collect(),
        steps: steps.map(|step| line(texts, step)).collect(),
    }
}

fn line<'p>(texts: &Texts<'p>, step: &'p Step) -> Line<'p> {
    let way = |way: &'p procedure::Way| {
        let steps = way.steps.iter().filter_map(|id| texts.procedure.step(id));
        Way { title: texts.shown(&way.title), steps: steps.map(|step| line(texts, step)).collect() }
    };
    // A script is shown as it is: it gets its parameters as variables.
    let does = match &step.action {
        Action::Run(_) => does(step),
        _ => texts.shown(&does(step)),
    };
    Line {
        id: step.id.as_str(),
        title: texts.shown(&step.title),
        kind: step.action.word(),
        does,
        after: step.after.iter().map(soter_runbook::StepId::as_str).collect(),
        on: step.on.as_deref().map(|on| texts.shown(on)),
        owner: step.owner.as_deref(),
        budget_ms: step.budget.map(milliseconds),
        timeout_ms: step.timeout.map(milliseconds),
        retries: step.retries,
        destructive: step.destructive,
        only_if: step.only_if.as_ref().map(|probe| texts.title(probe)),
        already_done: step.already_done.as_ref().map(|probe| texts.title(probe)),
        verify: step.verify.iter().map(|probe| texts.title(probe)).collect(),
        obliges: &step.obliges,
        lifts: &step.lifts,
        instead: step.instead.as_ref().map(way),
        undo: step.undo.as_ref().map(way),
    }
}

/// What a step does, in a line.
fn does(step: &Step) -> String {
    match &step.action {
        Action::Look => "its questions say whether it is done".to_owned(),
        Action::Run(script) => first_line(script),
        Action::Manual(text) => first_line(text),
        Action::Http(http) => format!("{} {}", http.method, http.url),
        Action::Sql(sql) => first_line(&sql.query),
        Action::Kubernetes(of) => {
            let object = of.object.as_deref().unwrap_or("what its manifest says");
            let replicas = of.replicas.map_or_else(String::new, |count| format!(" to {count}"));
            format!("{} {object}{replicas}", of.action)
        }
        Action::Terraform(of) => format!("{} in {}", of.action, of.directory),
        Action::Restore(of) => {
            let target = of.target.as_deref().unwrap_or("the store's new directory");
            let moved = if of.bump_revision { ", revisions moved on" } else { "" };
            format!("{} to {}, in {target}{moved}", of.store, of.to)
        }
        Action::Quiesce(services) | Action::Resume(services) => {
            let names: Vec<&str> = services.iter().map(|one| one.service.as_str()).collect();
            names.join(", ")
        }
        Action::Capture => step.capture.join(", "),
        Action::Wait { duration } => human_duration(*duration),
        Action::Notify(of) => {
            let by =
                if of.by.is_empty() { String::new() } else { format!("{}: ", of.by.join(", ")) };
            format!("{by}{}", first_line(&of.text))
        }
        Action::Approve { by, count, text, .. } => {
            format!("{count} of {}: {}", by.join(", "), first_line(text))
        }
        Action::Ask { text, .. } => first_line(text),
    }
}

/// The first line that does something, and how many more there are.
fn first_line(text: &str) -> String {
    let lines: Vec<&str> = text.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let is_word = |line: &&&str| !line.starts_with('#');
    let first = lines.iter().find(is_word).or(lines.first()).copied().unwrap_or("");
    let mut shown: String = first.chars().take(SHOWN_CHARS).collect();
    if first.chars().count() > SHOWN_CHARS {
        shown.push('…');
    }
    match lines.len() {
        0 | 1 => shown,
        count => format!("{shown}  (and {} lines)", count - 1),
    }
}

fn in_the_way(one: &Objection) -> Found<'_> {
    Found { blocking: one.weight == Weight::Blocking, what: &one.what, hint: &one.hint }
}

fn milliseconds(duration: std::time::Duration) -> u64 {
    u64::try_from(duration.as_millis()).unwrap_or(u64::MAX)
}

fn duration(milliseconds: u64) -> String {
    human_duration(std::time::Duration::from_millis(milliseconds))
}
