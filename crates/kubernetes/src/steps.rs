//! Steps of the kind `kubernetes`: what is written becomes work, and what went wrong becomes words.
//!
//! The rule it keeps: each of them may be done again after an interruption. Only where a change was sent
//! and no answer came is the outcome unknown.

mod preflight;
mod work;

use std::collections::BTreeMap;
use std::sync::Arc;

use soter_runbook::child::Children;
use soter_runbook::driver::{Asking, Attempt, Captured, Outcome, Reply};
use soter_runbook::preflight::Objection;
use soter_runbook::procedure::{self, Kubernetes, Parameters, Procedure, Step};
use soter_runbook::steps::{Action, Place, Work};
use soter_world::{Clock, Stop};

use crate::access::Access;
use crate::cluster::Cluster;
use crate::condition::Condition;
use crate::error::{ErrorKind, KubernetesError};
use crate::manifest;
use crate::objects::Object;

/// Steps of the kind `kubernetes`.
pub struct KubernetesSteps {
    children: Children,
    clock: Arc<dyn Clock>,
}

/// What a step does, with everything filled in.
#[derive(Debug, Clone, PartialEq)]
pub(crate) enum Deed {
    /// The object is there; what it is goes to the output.
    Get(Object),
    /// Until a condition holds.
    Wait(Object, Condition),
    /// So many replicas, and what that leads to.
    Scale(Object, u32),
    /// These objects, as they are written, and the namespace of those that name none.
    Apply(Vec<serde_json::Value>, Option<String>),
    /// The object is gone.
    Delete(Object),
    /// What its containers wrote goes to the output, and is kept as evidence.
    Logs(Object),
}

/// The words of a step's `action`.
pub(crate) const WORDS: &[&str] = &["get", "wait", "scale", "apply", "delete", "logs"];

impl KubernetesSteps {
    /// Steps that write what they see to the output of their attempts.
    #[must_use]
    pub fn new(children: Children, clock: Arc<dyn Clock>) -> Self {
        Self { children, clock }
    }
}

impl Action for KubernetesSteps {
    fn carries_out(&self, step: &Step) -> bool {
        matches!(step.action, procedure::Action::Kubernetes(_))
    }

    fn objections(&self, procedure: &Procedure, place: &Place) -> Vec<Objection> {
        preflight::objections(procedure, place, &Stop::new())
    }

    fn work(&self, attempt: &Attempt, place: &Place) -> Option<Result<Work, String>> {
        let procedure::Action::Kubernetes(written) = &attempt.step.action else { return None };
        let redactor = place.redactor(&attempt.parameters);
        let deed = match Deed::read(written, &attempt.parameters) {
            Ok(deed) => deed,
            Err(why) => return Some(Err(redactor.cover_text(&why))),
        };
        let access = Access::of(place);
        let mut worker = work::Worker {
            children: self.children.clone(),
            clock: Arc::clone(&self.clock),
            directory: place.attempt(&attempt.step.id, attempt.number),
            has_timeout: attempt.step.timeout.is_some(),
            said: String::new(),
        };
        Some(Ok(Work::Here(Box::new(move |stop| {
            let done = Cluster::connect(&access)
                .and_then(|cluster| worker.carry_out(&cluster, &deed, stop));
            outcome(done, |text| redactor.cover_text(text))
        }))))
    }

    fn answer(&self, _: &Asking, _: &Place) -> Option<Reply> {
        None
    }

    fn capture(&self, _: &Attempt, _: &Place) -> Option<Result<Vec<Captured>, String>> {
        None
    }
}

impl Deed {
    /// Reads what is written.
    ///
    /// # Errors
    /// In words, when it cannot be done as it is written.
    pub(crate) fn read(written: &Kubernetes, parameters: &Parameters) -> Result<Self, String> {
        let fill = |text: &Option<String>| {
            let filled = text.as_deref().map(|text| parameters.fill(text)).transpose();
            filled.map_err(|error| error.to_string())
        };
        let (object, namespace) = (fill(&written.object)?, fill(&written.namespace)?);
        let object = || {
            let name = object.as_deref().ok_or("no object is named: add `object: deployment/…`")?;
            Object::parse(name, namespace.as_deref()).map_err(|error| error.to_string())
        };
        match written.action.as_str() {
            "get" => Ok(Self::Get(object()?)),
            "wait" => Ok(Self::Wait(object()?, Condition::parse(written.condition.as_deref())?)),
            "scale" => {
                let replicas =
                    written.replicas.ok_or("it is not said how many: add `replicas: …`")?;
                Ok(Self::Scale(object()?, replicas))
            }
            "apply" => {
                let text = written
                    .manifest
                    .as_deref()
                    .ok_or("nothing is to be applied: add `manifest`")?;
                Ok(Self::Apply(manifest::read(text, parameters)?, namespace))
            }
            "delete" => Ok(Self::Delete(object()?)),
            "logs" => Ok(Self::Logs(object()?)),
            other => Err(format!("`{other}` is none of {}", WORDS.join(", "))),
        }
    }
}

/// What a run hears of it.
fn outcome(done: Result<(), KubernetesError>, cover: impl Fn(&str) -> String) -> Outcome {
    match done {
        Ok(()) => Outcome::Done { outputs: BTreeMap::new(), captured: Vec::new() },
        Err(error) if error.kind() == ErrorKind::Unknown => {
            Outcome::Unknown(cover(&error.to_string()))
        }
        Err(error) => Outcome::Failed(cover(&error.to_string())),
    }
}
