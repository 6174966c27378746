//! Carrying a run on until it is over or somebody leaves.
//!
//! The rule it keeps: to leave changes nothing. What runs goes on by itself, and another engine adopts
//! it.

use std::path::Path;
use std::time::Duration;

use serde::Serialize;
use soter_recovery::mirror::VaultMirror;
use soter_runbook::driver::{Engine, EngineError, EngineErrorKind, Progress};
use soter_runbook::journal::JournalError;
use soter_runbook::procedure::Action;
use soter_runbook::state::{Closing, MirrorState};
use soter_runbook::steps::Redactor;
use soter_world::Stop;

use super::screen::{self, Screen, Standing};
use super::stage::Stage;
use crate::board::Attended;
use crate::context::Context;
use crate::failure::{Ending, Failure};

/// So long a request of another terminal waits at most until it is looked at.
const TURN: Duration = Duration::from_millis(200);

/// How a run was left.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Left {
    /// It is over, and succeeded.
    Success,
    /// It is over: it was given up.
    Aborted,
    /// It goes on when an engine does.
    Unfinished,
}

/// What is left of a run when its engine ends: the result of the command.
#[derive(Serialize)]
struct Summary<'s> {
    run: &'s str,
    kind: String,
    target: &'s str,
    result: Left,
    records: u64,
    epoch: u32,
    mirror: MirrorState,
    journal: String,
}

/// Carries a run on, and says how it ended as the command's result.
pub(crate) fn carry(
    context: &Context,
    engine: &mut Engine<'_>,
    stage: &Stage,
    directory: &Path,
    stop: &Stop,
) -> Result<(), Failure> {
    let mut screen = Screen::new(context, directory, engine.state())?;
    let left = loop {
        if screen.is_due(context, engine.state()) {
            let redactor = redactor(engine, stage);
            screen.show(context, standing(engine, Attended::Here, &redactor));
        }
        for finding in stage.mirror.as_ref().map(VaultMirror::findings).unwrap_or_default() {
            screen.warn(context, format!("in the vault: {finding}"));
        }
        if stop.is_stopped() {
            break Ok(Left::Unfinished);
        }
        match engine.turn(TURN) {
            Ok(Progress::Going) => {}
            Ok(Progress::Closed(Closing::Success)) => break Ok(Left::Success),
            Ok(Progress::Closed(Closing::Aborted)) => break Ok(Left::Aborted),
            Err(error) => break Err(engine_failure(&error, engine.state().run().as_str())),
        }
    };
    let redactor = redactor(engine, stage);
    screen.end(context, standing(engine, Attended::Nobody, &redactor));
    finish(context, engine, left?, directory)
}

fn redactor(engine: &Engine<'_>, stage: &Stage) -> Redactor {
    engine.redactor(stage.tools.place.bindings.secrets())
}

fn standing<'s>(
    engine: &'s Engine<'_>,
    attended: Attended,
    redactor: &'s Redactor,
) -> Standing<'s> {
    let (state, now) = (engine.state(), engine.now());
    Standing { state, now, attended, redactor: Some(redactor), copy: None }
}

fn finish(
    context: &Context,
    engine: &mut Engine<'_>,
    left: Left,
    directory: &Path,
) -> Result<(), Failure> {
    let left_alone = left_alone(engine);
    let state = engine.state();
    let run = state.run().as_str();
    let summary = Summary {
        run,
        kind: state.begun.kind.to_string(),
        target: &state.begun.target,
        result: left,
        records: state.records,
        epoch: state.epoch,
        mirror: state.mirror.0,
        journal: directory.join("journal").display().to_string(),
    };
    context.output.data(&summary, |summary| match summary.result {
        Left::Success => format!("{run}: done, {} records", summary.records),
        Left::Aborted => format!("{run}: given up, {} records", summary.records),
        Left::Unfinished => format!("{run}: not over, {} records", summary.records),
    });
    match left {
        Left::Success => Ok(()),
        Left::Aborted => Err(Failure::new(Ending::No, format!("{run} was given up"))
            .hint(format!("soter run log {run} says why and by whom"))),
        Left::Unfinished => {
            let what = format!(
                "{run} is left and not over: nothing new is begun until it is resumed, here or elsewhere"
            );
            let resume = resume_line(run, directory);
            let mut lines = vec![what.clone()];
            lines.extend(left_alone.into_iter().map(|line| format!("  {line}")));
            lines.push(format!("  go on with it: {resume}"));
            let mut failure = Failure::new(Ending::Unfinished, what).hint(resume);
            failure.rendered = Some(lines.join("\n"));
            Err(failure)
        }
    }
}

/// The command that goes on with a run of this directory.
fn resume_line(run: &str, directory: &Path) -> String {
    let options = screen::options(directory.parent().unwrap_or(directory));
    format!("soter run resume {run} {options}").trim_end().to_owned()
}

/// What becomes of each step that is under way when its engine ends.
fn left_alone(engine: &mut Engine<'_>) -> Vec<String> {
    let attempts = engine.attempts();
    let state = engine.state();
    let words = attempts.iter().map(|attempt| {
        let id = &attempt.step.id;
        match state.step(id).and_then(|step| step.child.as_ref()) {
            Some(child) => format!(
                "`{id}` goes on by itself (process {}); the next engine adopts it, or reads how it \
                 ended",
                child.pid
            ),
            None if matches!(attempt.step.action, Action::Quiesce(_) | Action::Resume(_)) => {
                format!("`{id}`: what it has begun goes on by itself; the next engine takes it up")
            }
            None => format!(
                "`{id}` is interrupted with this engine; the next one asks what became of it, or \
                 begins it again"
            ),
        }
    });
    words.collect()
}

/// An engine that cannot go on, in words.
pub(crate) fn engine_failure(error: &EngineError, run: &str) -> Failure {
    let ending = match error.kind() {
        EngineErrorKind::Failed => Ending::Failed,
        EngineErrorKind::Superseded => Ending::Superseded,
        EngineErrorKind::Input => Ending::Input,
        EngineErrorKind::Damaged => Ending::Failed,
    };
    let failure = Failure::of(ending, error);
    match error {
        EngineError::Closed => failure.hint(format!("soter run show {run} says how it ended")),
        EngineError::Superseded | EngineError::Journal(JournalError::Grown) => {
            failure.hint("watch the run where the other engine is")
        }
        EngineError::Elsewhere => failure.hint(format!(
            "look whether it lives; if it does not: soter run resume {run} --take-over"
        )),
        EngineError::Taken => failure.hint("begin it again: it gets another name"),
        EngineError::Journal(_) | EngineError::Disk { .. } => {
            failure.hint(format!("mend the disk, then: soter run resume {run}"))
        }
        _ => failure,
    }
}
