//! What a person sees of a run: one value with everything, and two ways to draw it.
//!
//! The rule it keeps: a [`Board`] is made from a state, a moment and a forecast, and nothing is added
//! where it is drawn. What it says is said in words by [`page`]; [`lines`] and [`terminal`] only
//! decide how that is laid out, so they cannot say different things. `soter run show --json` is this
//! value.

mod commands;
mod decisions;
mod engines;
pub(crate) mod lines;
mod make;
mod page;
pub(crate) mod terminal;

#[cfg(test)]
mod tests;

pub(crate) use commands::quoted;
pub(crate) use page::Extent;

use std::collections::BTreeMap;

use jiff::Timestamp;
use serde::Serialize;
use soter_runbook::StepId;
use soter_runbook::forecast::Forecast;
use soter_runbook::state::{Moment, State};

/// What a board is made of.
pub(crate) struct Seen<'s> {
    /// The run.
    pub(crate) state: &'s State,
    /// The moment.
    pub(crate) now: &'s Moment,
    /// When everything is expected back.
    pub(crate) forecast: &'s Forecast,
    /// Whether an engine carries the run on, as far as can be told from here.
    pub(crate) attended: Attended,
    /// The last lines of what an attempt has written, with secrets covered.
    pub(crate) tail: &'s dyn Fn(&StepId, u32) -> Vec<String>,
    /// Options that every command about the run needs here, such as `--state DIR`.
    pub(crate) options: &'s str,
    /// That it is a copy, of what and how old, in words; none: it is the run's own journal.
    pub(crate) copy: Option<&'s str>,
}

/// Whether an engine carries a run on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub(crate) enum Attended {
    /// One does, on this machine.
    Here,
    /// None does, on this machine.
    Nobody,
    /// One may, on another machine: that cannot be told from here.
    Elsewhere,
}

/// Everything a screen shows of a run. Lengths of time are whole milliseconds under a key that ends
/// in `_ms`; moments are UTC. What ends in `words` is a sentence for people and may change; the
/// other texts are stable.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Board {
    /// The run's name, as it is said on a telephone.
    pub(crate) run: String,
    /// `REAL` or `DRILL`.
    pub(crate) kind: &'static str,
    /// What it works on, by the name that people know.
    pub(crate) target: String,
    /// The scenario's name in the plan.
    pub(crate) scenario: String,
    /// Its name for people.
    pub(crate) title: String,
    /// That this is a copy of its journal, of which place and how old, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) copy_words: Option<String>,
    /// Who began it.
    pub(crate) requester: String,
    /// When.
    pub(crate) since: Timestamp,
    /// The moment of this board.
    pub(crate) now: Timestamp,
    /// How long it has taken so far.
    pub(crate) elapsed_ms: u64,
    /// What promises count from.
    pub(crate) disaster: Disaster,
    /// Whether it goes on.
    pub(crate) life: Life,
    /// What carries it on.
    pub(crate) engine: Engine,
    /// The engines that went on with it after the first one, in order.
    pub(crate) takeovers: Vec<Takeover>,
    /// The second place of its journal.
    pub(crate) mirror: Mirror,
    /// What is needed of people, the most urgent first.
    pub(crate) decisions: Vec<Decision>,
    /// Whether all of it makes it in time.
    pub(crate) whole: Service,
    /// Whether each service that must come back makes it in time.
    pub(crate) services: Vec<Service>,
    /// Its phases, in the order of the plan.
    pub(crate) phases: Vec<Phase>,
    /// Its steps, in the order of the plan; those of another way once it was taken, and what takes a
    /// step back once that was asked for.
    pub(crate) steps: Vec<Step>,
    /// The next steps that will begin if all goes well, the earliest first.
    pub(crate) next: Vec<Next>,
    /// Temporary measures that are in place, or may be.
    pub(crate) obligations: Vec<Obligation>,
    /// The values of parameters; `****` is a secret.
    pub(crate) values: BTreeMap<String, String>,
    /// Evidence that was kept.
    pub(crate) evidence: Vec<Evidence>,
    /// When it is over, as the plan says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) done_when: Option<String>,
}

/// When the disaster happened.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Disaster {
    /// When, if somebody said.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) at: Option<Timestamp>,
    /// How long before the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) before_ms: Option<u64>,
    /// The same for people, and what counts from then.
    pub(crate) words: String,
}

/// An engine that went on with a run that another one had begun.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Takeover {
    /// Which engine of the run it is.
    pub(crate) epoch: u32,
    /// Its machine.
    pub(crate) host: String,
    /// When.
    pub(crate) at: Timestamp,
    /// The engine before it may have lived.
    pub(crate) took_over: bool,
    /// The same for people, and what still ran.
    pub(crate) words: String,
}

/// Whether a run goes on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Life {
    /// `running`, `paused`, `giving_up`, `succeeded` or `given_up`.
    pub(crate) is: &'static str,
    /// The same for people, and why.
    pub(crate) words: String,
}

/// What carries a run on.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Engine {
    /// The machine of the last engine.
    pub(crate) host: String,
    /// Which engine of the run it is, from 1.
    pub(crate) epoch: u32,
    /// Whether it is at work.
    pub(crate) is: Attended,
    /// When it wrote its last record.
    pub(crate) last_record_at: Timestamp,
    /// How many records there are.
    pub(crate) records: u64,
    /// The same for people, and what to do if nobody carries the run on.
    pub(crate) words: String,
}

/// The second place of a journal.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Mirror {
    /// `following`, `local` or `lost`.
    pub(crate) is: &'static str,
    /// Since when.
    pub(crate) since: Timestamp,
    /// The same for people, and what it means.
    pub(crate) words: String,
}

/// Something that people are needed for.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Decision {
    /// `approval`, `answer`, `value`, `deed`, `look`, `decision`, `resolution`, `lifting` or
    /// `continuing`.
    pub(crate) needs: &'static str,
    /// The step it is about.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) step: Option<String>,
    /// What is to be decided, or done, in one line.
    pub(crate) title: String,
    /// The question itself, or what went wrong: all of it, in as many lines as it has.
    pub(crate) text: String,
    /// Who can.
    pub(crate) who: String,
    /// What exactly to type, with what it means: alternatives, unless the words say otherwise.
    pub(crate) commands: Vec<Command>,
    /// What the plan says to do if the step fails.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) advice: Option<String>,
    /// Since when somebody is needed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) since: Option<Timestamp>,
    /// After this it has failed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until: Option<Timestamp>,
    /// Until when, and what happens then, for people.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) until_words: Option<String>,
}

/// Something to type.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub(crate) struct Command {
    /// What it does.
    pub(crate) words: String,
    /// The line; what stands in capital letters is to be replaced.
    pub(crate) line: String,
}

/// A service that must come back.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Service {
    /// Its name in the plan; of the whole run, the scenario's.
    pub(crate) name: String,
    /// Its name for people.
    pub(crate) title: String,
    /// `made`, `missed`, `makes`, `late`, `late_at_least`, `unsure`, `left_out`, `no_promise` or
    /// `given_up`.
    pub(crate) verdict: &'static str,
    /// It is back.
    pub(crate) is_back: bool,
    /// When it is back, counted from the disaster, or if nobody said when that was from the beginning
    /// of the run; none: never, by this run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expected_ms: Option<u64>,
    /// `expected_ms` is a lower bound: something is not known.
    pub(crate) is_at_least: bool,
    /// It was promised to be back after so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) rto_ms: Option<u64>,
    /// The same for people.
    pub(crate) words: String,
    /// What the forecast rests on: how much of the time that is left was measured, declared, assumed.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) basis_words: Option<String>,
}

/// Steps with a common budget.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Phase {
    /// Its number, from 1.
    pub(crate) number: usize,
    /// Its name for people.
    pub(crate) title: String,
    /// `waits`, `asked`, `begun`, `left_out` or `done`.
    pub(crate) is: &'static str,
    /// How many of its steps are done or left out.
    pub(crate) steps_over: usize,
    /// How many it has.
    pub(crate) steps: usize,
    /// How long it has taken, or took.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) elapsed_ms: Option<u64>,
    /// It should take at most so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget_ms: Option<u64>,
    /// It takes longer, or took.
    pub(crate) is_over_budget: bool,
    /// The same for people.
    pub(crate) words: String,
}

/// A step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Step {
    /// Its name in the run.
    pub(crate) id: String,
    /// What it does, in a sentence.
    pub(crate) title: String,
    /// The number of its phase.
    pub(crate) phase: usize,
    /// `waits`, `ready`, `runs`, `person`, `verifies`, `failed`, `retries`, `doubt`, `done`, `left_out`,
    /// `branched`, `replaced`, `undoing` or `undone`.
    pub(crate) is: &'static str,
    /// The same for people.
    pub(crate) words: String,
    /// Why it failed, is in doubt, is left out, another way was taken, or it is undone.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) why: Option<String>,
    /// How long it has taken since its first attempt, or took; none: it has not begun.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) elapsed_ms: Option<u64>,
    /// It should take at most so long.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) budget_ms: Option<u64>,
    /// It takes longer, or took.
    pub(crate) is_over_budget: bool,
    /// The number of its last attempt; 0: none was begun.
    pub(crate) attempt: u32,
    /// So many attempts are made without anybody being asked.
    pub(crate) attempts_max: u32,
    /// How long it is thought to take, and how that is known; none: it is over.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) estimate_words: Option<String>,
    /// What does it: the word a plan has for it.
    pub(crate) action: &'static str,
    /// What exactly: a script as it is, or a query or question with the values of parameters in it.
    pub(crate) text: Vec<String>,
    /// The machine it is done on, if that is not the one of the run.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) on: Option<String>,
    /// Who does it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) owner: Option<String>,
    /// It cannot be taken back.
    pub(crate) is_destructive: bool,
    /// It was changed so often.
    pub(crate) amendments: u32,
    /// Who approved it.
    pub(crate) approved_by: Vec<String>,
    /// Its questions, with their last answers.
    pub(crate) probes: Vec<Probe>,
    /// The last lines of what it has written, while they matter.
    pub(crate) log: Vec<String>,
    /// What to do if it fails, as the plan says it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) if_it_fails: Option<String>,
    /// What a person may have done in its place.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) instead: Option<Way>,
    /// The step in whose place it is done.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) in_place_of: Option<String>,
    /// What takes it back, if a person says so.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undo: Option<Way>,
    /// The step that it takes back.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) undoes: Option<String>,
}

/// Steps that are carried out only when a person says so.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Way {
    /// Its name for people.
    pub(crate) title: String,
    /// Its steps.
    pub(crate) steps: Vec<String>,
}

/// A question of a step.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Probe {
    /// `only_if`, `already_done` or `verify`.
    pub(crate) which: &'static str,
    /// What it asks.
    pub(crate) title: String,
    /// `yes`, `no`, `unknown`, or `none` so far.
    pub(crate) answer: &'static str,
    /// The same for people.
    pub(crate) words: String,
    /// What the answer rests on.
    pub(crate) evidence: Vec<String>,
}

/// A step that will begin if all goes well.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Next {
    /// Its name in the run.
    pub(crate) step: String,
    /// What it does.
    pub(crate) title: String,
    /// When it is expected to begin, counted from now.
    pub(crate) in_ms: u64,
    /// The same for people.
    pub(crate) words: String,
}

/// A temporary measure.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Obligation {
    /// Its name.
    pub(crate) name: String,
    /// The step that put it in place.
    pub(crate) step: String,
    /// Since when.
    pub(crate) since: Timestamp,
    /// For how long.
    pub(crate) elapsed_ms: u64,
    /// The same for people, and what lifts it.
    pub(crate) words: String,
}

/// A file kept as evidence.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(crate) struct Evidence {
    /// Where it came from.
    pub(crate) source: String,
    /// Its name in the run's `captures/`.
    pub(crate) path: String,
    /// How long it is.
    pub(crate) bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub(crate) sha256: String,
}
