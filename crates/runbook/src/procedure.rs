//! What a run executes: a scenario with everything resolved that a plan leaves to be looked up.
//!
//! The whole of it stands in the first record of a journal, so that a run goes on without any plan
//! file. It says nothing about what has happened: that is [`state`](crate::state).

mod action;
mod compile;
mod millis;
mod parameters;

#[cfg(test)]
mod tests;

use std::collections::{BTreeMap, BTreeSet};
use std::path::PathBuf;
use std::time::Duration;

use serde::{Deserialize, Serialize};

pub use action::{
    Action, Http, Kubernetes, Notify, REPLICAS, Restore, RunsAs, Sql, Stoppable, Terraform,
};
pub use compile::{Complaint, compile};
pub use parameters::{
    Given, Parameter, ParameterKind, ParameterSource, Parameters, UnknownName, fill_names, names_in,
};

use crate::ids::StepId;

/// A scenario as a run executes it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Procedure {
    /// The scenario's name in the plan.
    pub scenario: String,
    /// Its name for people.
    pub title: String,
    /// How bad it is, as the plan calls it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub severity: Option<String>,
    /// Everything is back after at most so long.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::maybe",
        rename = "rto_ms"
    )]
    pub rto: Option<Duration>,
    /// At most so much of the newest data is lost.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::maybe",
        rename = "rpo_ms"
    )]
    pub rpo: Option<Duration>,
    /// What must be at hand, in words.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub prerequisites: Vec<String>,
    /// What the steps must be told.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub parameters: Vec<Parameter>,
    /// Its phases, in the order of the plan.
    pub phases: Vec<Phase>,
    /// All steps, in the order of the plan.
    pub steps: Vec<Step>,
    /// The services that must come back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub services: Vec<Service>,
    /// The stores of the plan, by name: where they are if a target does not say.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub stores: BTreeMap<String, Store>,
    /// Who belongs to each team that may approve something.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub teams: BTreeMap<String, Vec<String>>,
    /// Where the secret is that each of those who may approve something makes codes with, as a
    /// reference such as `${file:/path}`.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub approvals: BTreeMap<String, String>,
    /// The public key of those who sign what they approve, `ed25519:` and 32 bytes in base64.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub signers: BTreeMap<String, String>,
    /// Where each credential that is needed is read, written alike.
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub credentials: BTreeMap<String, String>,
    /// When it is over, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub done_when: Option<String>,
}

/// Steps with a common budget.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Phase {
    /// Its name for people.
    pub title: String,
    /// It takes at most so long; nothing is ended by it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::maybe",
        rename = "budget_ms"
    )]
    pub budget: Option<Duration>,
    /// The phases that must be done before, by their place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<usize>,
    /// It is begun only if this says yes; else all its steps are skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_if: Option<Probe>,
}

/// One action, with its probes.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Step {
    /// Its name within the run.
    pub id: StepId,
    /// What it does, in a sentence.
    pub title: String,
    /// The phase it belongs to, by its place.
    pub phase: usize,
    /// The steps that must be done before.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub after: Vec<StepId>,
    /// What is done.
    pub action: Action,
    /// The machine it is done on, if that is not the one of the run.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub on: Option<String>,
    /// It takes at most so long; nothing is ended by it.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::maybe",
        rename = "budget_ms"
    )]
    pub budget: Option<Duration>,
    /// After so long the attempt is ended and has failed.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::maybe",
        rename = "timeout_ms"
    )]
    pub timeout: Option<Duration>,
    /// How often it is tried again without anybody being asked.
    #[serde(default)]
    pub retries: u32,
    /// It is begun only if this says yes; else it is skipped.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub only_if: Option<Probe>,
    /// Yes: what it does was done, and only `verify` is left.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub already_done: Option<Probe>,
    /// It is done only when all of these say yes.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub verify: Vec<Probe>,
    /// It cannot be taken back.
    #[serde(default)]
    pub destructive: bool,
    /// Files kept as evidence after it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub capture: Vec<String>,
    /// The parameters that its output gives.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub gives: Vec<String>,
    /// Services it cannot do without.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub uses: Vec<String>,
    /// Temporary measures that it puts in place.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub obliges: Vec<String>,
    /// Temporary measures that it lifts.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub lifts: Vec<String>,
    /// Who does it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub owner: Option<String>,
    /// What to do if it fails, in words.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub if_it_fails: Option<String>,
    /// What a person may have done in its place.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub instead: Option<Way>,
    /// What a person may have done to take it back.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub undo: Option<Way>,
}

/// Steps that are carried out only when a person says so. They stand in [`Procedure::steps`] behind the
/// step that has them.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Way {
    /// Its name for people.
    pub title: String,
    /// Its steps.
    pub steps: Vec<StepId>,
}

impl Step {
    /// What may be done in its place, and what takes it back.
    pub fn ways(&self) -> impl Iterator<Item = &Way> {
        self.instead.iter().chain(&self.undo)
    }

    /// Whether a value that it gave is kept. What it said it gives must be given; how many replicas
    /// it took away is kept where there were any.
    #[must_use]
    pub fn keeps(&self, name: &str) -> bool {
        let is_number = matches!(self.action, Action::Quiesce(_)) && name.starts_with(REPLICAS);
        is_number || self.gives.iter().any(|gives| gives == name)
    }
}

#[cfg(test)]
impl Step {
    /// A step of the first phase that does this and no more.
    pub(crate) fn plain(id: StepId, action: Action) -> Self {
        Self {
            title: format!("step {id}"),
            id,
            phase: 0,
            after: Vec::new(),
            action,
            on: None,
            budget: None,
            timeout: None,
            retries: 0,
            only_if: None,
            already_done: None,
            verify: Vec::new(),
            destructive: false,
            capture: Vec::new(),
            gives: Vec::new(),
            uses: Vec::new(),
            obliges: Vec::new(),
            lifts: Vec::new(),
            owner: None,
            if_it_fails: None,
            instead: None,
            undo: None,
        }
    }
}

/// A question with the answers yes, no and unknown.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Probe {
    /// What it asks, in words.
    pub title: String,
    /// How it is asked.
    pub question: Question,
    /// What the output must be.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub expect: Option<String>,
    /// It must say yes for so long without a break.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::maybe",
        rename = "stable_for_ms"
    )]
    pub stable_for: Option<Duration>,
    /// It has so long to say yes.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::maybe",
        rename = "within_ms"
    )]
    pub within: Option<Duration>,
}

/// How a probe is asked.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Question {
    /// A script: exit 0 is yes, 1 is no, anything else unknown; with `expect` its output decides.
    Run(String),
    /// A request.
    Http(Http),
    /// A query.
    Sql(Sql),
    /// A person looks and says what they see.
    Person(String),
}

/// A store, as the plan says it is. Nothing in it is secret: what is stands elsewhere, and is named.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Store {
    /// What it is, such as `postgres`; empty if the plan does not say.
    pub kind: String,
    /// How it is reached, with references in the places of secrets.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub connection: Option<String>,
    /// Where its data is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub data_directory: Option<PathBuf>,
    /// The vaults that Soter keeps it in.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub vaults: Vec<StoreVault>,
}

/// A vault of a store.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StoreVault {
    /// Its name in the plan.
    pub name: String,
    /// Where it is, such as `file:///srv/soter`.
    pub url: String,
}

/// A service that must come back.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Service {
    /// Its name in the plan.
    pub name: String,
    /// Its name for people.
    pub title: String,
    /// It is promised to be back after at most so long.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::maybe",
        rename = "rto_ms"
    )]
    pub rto: Option<Duration>,
    /// The steps that bring it back.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub steps: Vec<StepId>,
    /// The services of this list that must be back before it.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// When it is back by the plan's own arithmetic, counted from the disaster.
    #[serde(
        default,
        skip_serializing_if = "Option::is_none",
        with = "millis::maybe",
        rename = "planned_ms"
    )]
    pub planned: Option<Duration>,
}

impl Procedure {
    /// The SHA-256 over it, in hexadecimal: what approvals are bound to. A plan that says something
    /// else for this scenario has another one.
    #[must_use]
    pub fn digest(&self) -> String {
        let bytes = serde_json::to_vec(self).expect("a procedure has only texts as keys");
        hex::encode(aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, &bytes))
    }

    /// The steps that are carried out only when a person says so.
    #[must_use]
    pub fn steps_of_ways(&self) -> BTreeSet<&StepId> {
        self.steps.iter().flat_map(Step::ways).flat_map(|way| &way.steps).collect()
    }

    /// What is carried out if nobody takes another way.
    #[must_use]
    pub fn without_ways(&self) -> Self {
        let of_ways = self.steps_of_ways();
        let steps = self.steps.iter().filter(|step| !of_ways.contains(&step.id)).cloned();
        let steps = steps.map(|step| Step { instead: None, undo: None, ..step }).collect();
        Self { steps, ..self.clone() }
    }

    /// A step by its name.
    #[must_use]
    pub fn step(&self, id: &StepId) -> Option<&Step> {
        self.steps.iter().find(|step| step.id == *id)
    }

    /// Whether a person may speak for `name`: they are it, or belong to the team of that name.
    #[must_use]
    pub fn is_one_of(&self, person: &str, name: &str) -> bool {
        person == name
            || self.teams.get(name).is_some_and(|members| members.iter().any(|one| one == person))
    }
}
