//! What happened in a run, as people read it: a line each.

use std::collections::BTreeMap;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use soter_runbook::StepId;
use soter_runbook::driver::{Answer, Asked, Which};
use soter_runbook::procedure::Procedure;
use soter_runbook::state::{
    Begun, Closing, ENGINE, Ended, Event, MirrorState, Recorded, Resolution, RetryFrom, shown,
};

use super::follow::Line;
use crate::output::human_duration;

/// What is known of a run from the records before.
#[derive(Default)]
pub(crate) struct Told {
    procedure: Option<Procedure>,
    parameters: BTreeMap<String, Recorded>,
}

impl Told {
    /// Learns from one more record.
    pub(crate) fn learn(&mut self, event: &Event) {
        match event {
            Event::Begun(begun) => {
                self.parameters.clone_from(&begun.parameters);
                self.procedure = Some(begun.procedure.clone());
            }
            Event::Parameter { name, value } => {
                self.parameters.insert(name.clone(), value.clone());
            }
            Event::StepEnded { outputs: values, .. } | Event::Answered { values, .. } => {
                self.parameters.extend(values.clone());
            }
            _ => {}
        }
    }

    /// A text of the plan with the values that are known.
    fn shown(&self, text: &str) -> String {
        match &self.procedure {
            Some(procedure) => shown(text, procedure, &self.parameters),
            None => text.to_owned(),
        }
    }

    fn title(&self, step: &StepId) -> String {
        match self.procedure.as_ref().and_then(|it| it.step(step)) {
            Some(known) if known.title != step.as_str() => {
                format!("{step} ({})", self.shown(&known.title))
            }
            _ => step.to_string(),
        }
    }
}

/// A record of a journal.
pub(crate) fn line(line: &Line, told: &Told) -> String {
    let what = match &line.event {
        Some(event) => event_in_words(event, told),
        None => format!("something this soter does not know: {}", line.text),
    };
    let by = if line.by == ENGINE { String::new() } else { format!(" ({})", line.by) };
    format!("{}  {what}{by}", time(line.at))
}

/// A time of day, in UTC.
pub(crate) fn time(at: Timestamp) -> String {
    at.to_zoned(TimeZone::UTC).strftime("%H:%M:%S").to_string()
}

/// What happened.
fn event_in_words(event: &Event, told: &Told) -> String {
    let title = |step: &StepId| told.title(step);
    match event {
        Event::Begun(begun) => begun_in_words(begun, told),
        Event::Engine { host, took_over: true } => {
            format!("another engine, on {host}, has taken the run over")
        }
        Event::Engine { host, .. } => format!("another engine, on {host}, goes on with the run"),
        Event::Mirror { now, why } => mirror(*now, why),
        Event::Parameter { name, value } => format!("{name} is {value}"),
        Event::Probe { about, answer, evidence } => probe(about, *answer, evidence, told),
        Event::StepStarted { step, attempt: 1, .. } => format!("{} begins", title(step)),
        Event::StepStarted { step, attempt, .. } => {
            format!("{} begins, for the {attempt}. time", title(step))
        }
        Event::ChildStarted { step, child, .. } => format!("{step} is process {}", child.pid),
        Event::Adopted { step, .. } => format!("{step} goes on: its process lives"),
        Event::Interrupted { step, began: false, why, .. } => {
            format!("{step} was not begun: {why}")
        }
        Event::Interrupted { step, why, .. } => format!("{step} was interrupted: {why}"),
        Event::StepEnded { step, outcome, outputs, captured, .. } => {
            let mut words = match outcome {
                Ended::Done => format!("{step} has ended well"),
                Ended::Failed(why) => format!("{step} FAILED: {why}"),
                Ended::Unknown(why) => format!("{step} ended, and nobody knows how: {why}"),
            };
            words.push_str(&values(outputs.iter()));
            for file in captured {
                words.push_str(&format!("; kept {} (sha256 {})", file.source, file.sha256));
            }
            words
        }
        Event::Retry { step, from, delay_ms } => retry(step, *from, *delay_ms),
        _ => word_of_people(event),
    }
}

fn begun_in_words(begun: &Begun, told: &Told) -> String {
    let title = told.shown(&begun.procedure.title);
    let mut words = format!("{} on {}: {title} begins, as {}", begun.kind, begun.target, begun.run);
    if let Some(disaster) = begun.disaster {
        words.push_str(&format!("; the disaster was at {}", time(disaster)));
    }
    words
}

/// What people said, and what follows from it.
fn word_of_people(event: &Event) -> String {
    match event {
        Event::Doubt { step, why } => format!("{step} is IN DOUBT: {why}"),
        Event::Resolved { step, resolution, why } => {
            let said = match resolution {
                Resolution::Run => "is to be run",
                Resolution::Done => "was done",
                Resolution::Skip => "is left out",
                Resolution::Failed => "has failed",
            };
            format!("{step} {said}: {why}")
        }
        Event::Approved { step, how, .. } => format!("{step} is approved by {how}"),
        Event::Refused { step, why } => format!("{step} is REFUSED: {why}"),
        Event::Answered { step, values: given, why } => {
            let said = if why.is_empty() { String::new() } else { format!(": {why}") };
            format!("{step} is answered{said}{}", values(given.iter()))
        }
        Event::Skipped { step, why } => format!("{step} is left out: {why}"),
        Event::MarkedDone { step, why } => format!("{step} was done by other means: {why}"),
        Event::Branched { step, why } => {
            format!("another way is taken in place of {step}: {why}")
        }
        Event::Compensating { step, why } => format!("{step} is being undone: {why}"),
        Event::Compensated { step, why } => format!("{step} is undone: {why}"),
        Event::Amended { step, why } => format!("{} is changed: {why}", step.id),
        Event::Obliged { name, step } => {
            format!("temporary measure {name}, put in place by {step}: it must be lifted")
        }
        Event::Lifted { name, why } => format!("temporary measure {name} is lifted: {why}"),
        Event::Paused { why, .. } => format!("PAUSED: {why}"),
        Event::Continued { why } => format!("goes on: {why}"),
        Event::Aborted { why } => format!("GIVEN UP: {why}"),
        Event::Closed { result: Closing::Success } => "the run is over: success".to_owned(),
        Event::Closed { result: Closing::Aborted } => "the run is over: given up".to_owned(),
        // The others are not people's.
        other => format!("{other:?}"),
    }
}

fn mirror(now: MirrorState, why: &str) -> String {
    let why = if why.is_empty() { String::new() } else { format!(": {why}") };
    match now {
        MirrorState::Following => format!("the journal is in the vault, too{why}"),
        MirrorState::Lost => format!("the vault is LOST, so the journal is here alone{why}"),
        MirrorState::Local => format!("LOCAL ONLY: the journal has no second place{why}"),
    }
}

fn probe(about: &Asked, answer: Answer, evidence: &str, told: &Told) -> String {
    let said = match answer {
        Answer::Yes => "yes",
        Answer::No => "no",
        Answer::Unknown => "unknown",
    };
    let evidence = evidence.lines().map(str::trim).find(|line| !line.is_empty());
    let evidence = match (answer, evidence) {
        (Answer::Yes, _) | (_, None) => String::new(),
        (_, Some(first)) => format!(" ({first})"),
    };
    format!("{}: {said}{evidence}", asked(about, told))
}

/// A question, with what it is about.
fn asked(about: &Asked, told: &Told) -> String {
    let procedure = told.procedure.as_ref();
    match about {
        Asked::Phase(at) => match procedure.and_then(|it| it.phases.get(*at)) {
            Some(phase) => format!("whether the phase {} is needed", told.shown(&phase.title)),
            None => format!("whether phase {} is needed", at + 1),
        },
        Asked::Step { step, which } => match which {
            Which::OnlyIf => format!("whether {step} is needed"),
            Which::AlreadyDone => format!("whether {step} was done already"),
            Which::Verify(at) => {
                let known = procedure.and_then(|it| it.step(step));
                match known.and_then(|known| known.verify.get(*at)) {
                    Some(probe) => format!("{step}: {}", told.shown(&probe.title)),
                    None => format!("{step}, verify {}", at + 1),
                }
            }
        },
    }
}

fn retry(step: &StepId, from: RetryFrom, delay_ms: u64) -> String {
    let what = match from {
        RetryFrom::Beginning => "is tried again",
        RetryFrom::Verification => "is asked about again",
    };
    match delay_ms {
        0 => format!("{step} {what}"),
        delay => {
            let delay = human_duration(std::time::Duration::from_millis(delay));
            format!("{step} {what} in {delay}")
        }
    }
}

fn values<'v>(values: impl Iterator<Item = (&'v String, &'v Recorded)>) -> String {
    values.map(|(name, value)| format!("; {name} is {value}")).collect()
}
