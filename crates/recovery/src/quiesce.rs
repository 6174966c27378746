//! Services that stand still while a store is brought back, and work again after it.
//!
//! The rule it keeps: what stood before is known before it is taken away, and by whoever comes later, from
//! another machine too. Standing still is that nothing is left running, not that nothing is wanted. Each of
//! both steps may be interrupted anywhere and done again; what is done twice ends as if done once. A script
//! outlives its engine, and the next one waits for the same.

mod hold;
mod release;

#[cfg(test)]
mod tests;

use std::cell::Cell;
use std::collections::BTreeMap;
use std::fmt;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

use soter_runbook::driver::{Asking, Attempt, Captured, Outcome, Reply};
use soter_runbook::procedure::{self, Given, Parameters, REPLICAS, Step, Stoppable};
use soter_runbook::steps::{Action, Lead, NotDone, Part, Place, Tools, Work, run_part};
use soter_world::Stop;

/// How often it is looked whether something stands still, or works.
const LOOK_EVERY: Duration = Duration::from_millis(500);

/// How long is waited where the step has no `timeout`: longer than a pod on a dead node takes.
const WAIT_MAX: Duration = Duration::from_secs(600);

/// Things with replicas, such as the deployments of a cluster. There are real and simulated ones.
pub trait Workloads {
    /// How one stands.
    ///
    /// # Errors
    /// When it cannot be asked, or is not there.
    fn standing(&self, which: &Which, stop: &Stop) -> Result<Standing, Trouble>;

    /// Makes one have so many replicas. `before` is durably written down at it first; without, what was
    /// written down is removed afterwards.
    ///
    /// # Errors
    /// When it cannot be changed; it may be half done then.
    fn scale(
        &self,
        which: &Which,
        replicas: u32,
        before: Option<u32>,
        stop: &Stop,
    ) -> Result<(), Trouble>;
}

/// Opens the way to things with replicas, as a run reaches them; in words why it cannot.
pub type Connect = Arc<dyn Fn(&Place) -> Result<Box<dyn Workloads>, String> + Send + Sync>;

/// Something with replicas, by the names that it has there.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct Which {
    /// Its kind and name.
    pub object: String,
    /// Its namespace.
    pub namespace: Option<String>,
}

impl fmt::Display for Which {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match &self.namespace {
            Some(namespace) => write!(f, "{namespace}/{}", self.object),
            None => f.write_str(&self.object),
        }
    }
}

/// How something with replicas stands.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Standing {
    /// How many it is to have.
    pub wanted: u32,
    /// How many work.
    pub ready: u32,
    /// What was written down at it.
    pub noted: Option<u32>,
    /// What of it still runs, in words; none: it stands still.
    pub left: Option<String>,
    /// Why some do not work, in words.
    pub ails: Option<String>,
}

/// Why something could not be asked or changed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Trouble {
    /// In words.
    pub why: String,
    /// It may be gone in a moment, such as a server that is started again.
    pub passes: bool,
}

/// The steps `quiesce` and `resume`.
pub struct Quiesce {
    tools: Tools,
    connect: Connect,
    look_every: Duration,
}

impl Quiesce {
    /// Steps that run scripts with these tools and reach the rest by `connect`.
    #[must_use]
    pub fn new(tools: Tools, connect: Connect) -> Self {
        Self { tools, connect, look_every: LOOK_EVERY }
    }
}

impl Action for Quiesce {
    fn carries_out(&self, step: &Step) -> bool {
        matches!(step.action, procedure::Action::Quiesce(_) | procedure::Action::Resume(_))
    }

    fn work(&self, attempt: &Attempt, place: &Place) -> Option<Result<Work, String>> {
        let (services, is_hold) = match &attempt.step.action {
            procedure::Action::Quiesce(services) => (services, true),
            procedure::Action::Resume(services) => (services, false),
            _ => return None,
        };
        let silent: Vec<&str> = services
            .iter()
            .filter(|one| one.runs_as.is_empty())
            .map(|one| one.service.as_str())
            .collect();
        if !silent.is_empty() {
            let why = format!("the plan does not say what runs as {}", silent.join(", "));
            return Some(Err(format!("{why}: add `runs_as` to the service")));
        }
        let directory = place.attempt(&attempt.step.id, attempt.number);
        let (tools, connect) = (self.tools.clone(), Arc::clone(&self.connect));
        let (attempt, services, look_every) = (attempt.clone(), services.clone(), self.look_every);
        Some(Ok(Work::Led(Box::new(move |lead| {
            let (lead, is_unknown) = (lead.clone(), Cell::new(false));
            let crew = Crew { tools, attempt, connect, directory, look_every, lead, is_unknown };
            let outcome = if is_hold {
                hold::all(&crew, &services, crew.lead.stop())
            } else {
                release::all(&crew, &services, crew.lead.stop())
            };
            // What was left is looked at anew by the engine that comes later.
            (!crew.lead.is_left() || matches!(outcome, Outcome::Done { .. })).then_some(outcome)
        }))))
    }

    fn answer(&self, _: &Asking, _: &Place) -> Option<Reply> {
        None
    }

    fn capture(&self, _: &Attempt, _: &Place) -> Option<Result<Vec<Captured>, String>> {
        None
    }
}

/// What an attempt has at hand.
struct Crew {
    tools: Tools,
    attempt: Attempt,
    connect: Connect,
    directory: PathBuf,
    look_every: Duration,
    lead: Lead,
    /// Whether nobody knows how one of the scripts ended.
    is_unknown: Cell<bool>,
}

impl Crew {
    /// A line for whoever watches. It is worth no failure.
    fn say(&self, line: &str) {
        self.tools.children.say(&self.directory, line).ok();
    }

    fn cover(&self, text: &str) -> String {
        self.tools.place.redactor(&self.attempt.parameters).cover_text(text)
    }

    fn which(&self, object: &str, namespace: Option<&str>) -> Result<Which, String> {
        let fill =
            |text: &str| self.attempt.parameters.fill(text).map_err(|error| error.to_string());
        Ok(Which { object: fill(object)?, namespace: namespace.map(fill).transpose()? })
    }

    /// Runs a script of a service, or takes up what an engine before this one began of it.
    fn run(&self, name: &str, on: Option<&str>, script: &str) -> Result<(), String> {
        let part = Part { name, on, script };
        match run_part(&self.tools, &self.attempt, &part, &self.lead) {
            Ok(words) => {
                words.iter().for_each(|line| self.say(&format!("  {line}")));
                Ok(())
            }
            Err(NotDone::Failed(why)) => Err(why),
            Err(NotDone::Unknown(why)) => {
                self.is_unknown.set(true);
                Err(why)
            }
            Err(NotDone::Left) => Err("goes on".to_owned()),
        }
    }

    /// The way to things with replicas; asked for only where a service runs as one.
    fn workloads(&self, services: &[Stoppable]) -> Result<Option<Box<dyn Workloads>>, String> {
        let mut parts = services.iter().flat_map(|service| &service.runs_as);
        if !parts.any(|part| matches!(part, procedure::RunsAs::Kubernetes { .. })) {
            return Ok(None);
        }
        (self.connect)(&self.tools.place).map(Some)
    }

    /// Waits a moment; false when the attempt's time is over.
    fn may_go_on(&self, since: Duration, stop: &Stop) -> bool {
        let is_over = self.attempt.step.timeout.is_none()
            && self.tools.clock.monotonic().saturating_sub(since) > WAIT_MAX;
        !is_over && !stop.wait(self.look_every)
    }

    /// What a run hears. Words of others are covered.
    fn failed(&self, why: &[String]) -> Outcome {
        let why = self.cover(&why.join("; "));
        if self.is_unknown.get() { Outcome::Unknown(why) } else { Outcome::Failed(why) }
    }
}

/// How many replicas of which things a service had, as a step gives it.
fn given(parameters: &Parameters, service: &str) -> BTreeMap<String, u32> {
    let value =
        parameters.get(&format!("{REPLICAS}{service}")).map(Given::expose).unwrap_or_default();
    let parts = value.split_whitespace().filter_map(|part| part.rsplit_once('='));
    parts.filter_map(|(which, number)| Some((which.to_owned(), number.parse().ok()?))).collect()
}

/// The value that says it.
fn as_value(numbers: &BTreeMap<String, u32>) -> String {
    let parts: Vec<String> =
        numbers.iter().map(|(which, number)| format!("{which}={number}")).collect();
    parts.join(" ")
}
