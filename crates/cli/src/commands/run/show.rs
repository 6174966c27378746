//! `soter run show`: how a run stands.

use serde::Serialize;
use soter_runbook::state::{Closing, Life, State, Status};

use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::runs::carry::heading;
use crate::runs::{StateArgs, words};

#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Serialize)]
struct Shown {
    run: String,
    kind: String,
    target: String,
    scenario: String,
    title: String,
    began: jiff::Timestamp,
    requester: String,
    status: String,
    engine: bool,
    epoch: u32,
    host: String,
    records: u64,
    mirror: soter_runbook::state::MirrorState,
    steps: Vec<Step>,
    needed: Vec<String>,
    obligations: Vec<String>,
    #[serde(skip)]
    heading: Vec<String>,
}

#[derive(Serialize)]
struct Step {
    id: String,
    title: String,
    phase: usize,
    status: String,
    attempt: u32,
}

pub(super) fn run(context: &Context, args: &ShowArgs) -> Result<(), Failure> {
    let found = args.state.run(context, &args.run)?;
    let loaded = found.load(context)?;
    let is_live = found.is_live()?;
    if loaded.torn.is_some() && !is_live {
        context.output.warn("the end of the journal is torn: the next engine puts it aside");
    }
    let shown = Shown::of(&loaded.state, is_live);
    context.output.data(&shown, Shown::in_words);
    Ok(())
}

impl Shown {
    fn of(state: &State, engine: bool) -> Self {
        let begun = &state.begun;
        let questions = state.questions();
        Self {
            run: state.run().to_string(),
            kind: begun.kind.to_string(),
            target: begun.target.clone(),
            scenario: begun.procedure.scenario.clone(),
            title: begun.procedure.title.clone(),
            began: state.since.at,
            requester: begun.requester.clone(),
            status: life(&state.life),
            engine,
            epoch: state.epoch,
            host: state.host.clone(),
            records: state.records,
            mirror: state.mirror.0,
            steps: state
                .steps()
                .map(|one| Step {
                    id: one.step.id.to_string(),
                    title: one.step.title.clone(),
                    phase: one.step.phase + 1,
                    status: status(&one.status),
                    attempt: one.attempt,
                })
                .collect(),
            needed: questions
                .iter()
                .map(|question| words::question(question, state.run().as_str()))
                .collect(),
            obligations: state.obligations.keys().cloned().collect(),
            heading: heading(state),
        }
    }

    fn in_words(&self) -> String {
        let mut lines = self.heading.clone();
        lines.push(format!(
            "began {} by {}; {} of {} steps are over; {}",
            self.began,
            self.requester,
            self.steps.iter().filter(|step| is_over(&step.status)).count(),
            self.steps.len(),
            self.status
        ));
        let is_closed = self.status == SUCCEEDED || self.status == GIVEN_UP;
        match (self.engine, is_closed) {
            (_, true) => {}
            (true, _) => {
                lines.push(format!("engine {} carries it on, on {}", self.epoch, self.host));
            }
            (false, _) => {
                lines.push(format!("NO ENGINE carries it on here: soter run resume {}", self.run));
            }
        }
        let row = |step: &Step| vec![step.id.clone(), step.status.clone(), step.title.clone()];
        let rows: Vec<Vec<String>> = self.steps.iter().map(row).collect();
        lines.push(String::new());
        lines.push(table(&["step", "", ""], &rows));
        for needed in &self.needed {
            lines.push(format!("\nNEEDED: {needed}"));
        }
        if !self.obligations.is_empty() {
            lines.push(format!("\nstill to be lifted: {}", self.obligations.join(", ")));
        }
        lines.join("\n")
    }
}

const SUCCEEDED: &str = "over: success";

const GIVEN_UP: &str = "over: given up";

/// Whether a run goes on, in words.
pub(crate) fn life(life: &Life) -> String {
    match life {
        Life::Running => "it goes on".to_owned(),
        Life::Paused { why, .. } => format!("PAUSED: {why}"),
        Life::Aborting => "it is being given up".to_owned(),
        Life::Closed(Closing::Success) => SUCCEEDED.to_owned(),
        Life::Closed(Closing::Aborted) => GIVEN_UP.to_owned(),
    }
}

fn is_over(status: &str) -> bool {
    status == "done" || status.starts_with("left out")
}

fn status(status: &Status) -> String {
    match status {
        Status::Pending => "waits".to_owned(),
        Status::Ready { .. } => "is about to begin".to_owned(),
        Status::Running => "runs".to_owned(),
        Status::Person => "needs a person".to_owned(),
        Status::Verifying => "is asked about".to_owned(),
        Status::Failed { .. } => "FAILED".to_owned(),
        Status::Doubt { .. } => "IN DOUBT".to_owned(),
        Status::Done => "done".to_owned(),
        Status::Skipped { why } => format!("left out: {why}"),
    }
}
