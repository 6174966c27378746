//! What happened in a run, as people read it: a line each.

use jiff::Timestamp;
use jiff::tz::TimeZone;
use soter_runbook::StepId;
use soter_runbook::driver::{Answer, Asked, Which};
use soter_runbook::procedure::Procedure;
use soter_runbook::state::{
    Closing, ENGINE, Ended, Event, MirrorState, Recorded, Resolution, RetryFrom,
};

use super::follow::Line;
use crate::output::human_duration;

/// A record of a journal.
pub(crate) fn line(line: &Line, procedure: Option<&Procedure>) -> String {
    let what = match &line.event {
        Some(event) => event_in_words(event, procedure),
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
fn event_in_words(event: &Event, procedure: Option<&Procedure>) -> String {
    let title = |step: &StepId| match procedure.and_then(|it| it.step(step)) {
        Some(known) if known.title != step.as_str() => format!("{step} ({})", known.title),
        _ => step.to_string(),
    };
    match event {
        Event::Begun(begun) => format!(
            "{} on {}: {} begins, as {}",
            begun.kind, begun.target, begun.procedure.title, begun.run
        ),
        Event::Engine { host, took_over: true } => {
            format!("an engine on {host} has taken the run over")
        }
        Event::Engine { host, .. } => format!("an engine on {host} goes on with the run"),
        Event::Mirror { now, why } => mirror(*now, why),
        Event::Parameter { name, value } => format!("{name} is {value}"),
        Event::Probe { about, answer, evidence } => probe(about, *answer, evidence, procedure),
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

fn probe(about: &Asked, answer: Answer, evidence: &str, procedure: Option<&Procedure>) -> String {
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
    format!("{}: {said}{evidence}", asked(about, procedure))
}

/// A question, with what it is about.
pub(crate) fn asked(about: &Asked, procedure: Option<&Procedure>) -> String {
    match about {
        Asked::Phase(at) => match procedure.and_then(|it| it.phases.get(*at)) {
            Some(phase) => format!("whether the phase {} is needed", phase.title),
            None => format!("whether phase {} is needed", at + 1),
        },
        Asked::Step { step, which } => match which {
            Which::OnlyIf => format!("whether {step} is needed"),
            Which::AlreadyDone => format!("whether {step} was done already"),
            Which::Verify(at) => {
                let known = procedure.and_then(|it| it.step(step));
                match known.and_then(|known| known.verify.get(*at)) {
                    Some(probe) => format!("{step}: {}", probe.title),
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
