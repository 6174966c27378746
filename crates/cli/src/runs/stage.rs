//! What a run is carried out with: the ways to its world, its second place, who is known.
//!
//! The rule it keeps: how this machine reaches a run's target and vault lies beside its journal, as
//! names of files and addresses, so that the run is resumed without saying them again. No secret does.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use soter_plan::target::Target;
use soter_recovery::Means;
use soter_recovery::mirror::VaultMirror;
use soter_runbook::RunId;
use soter_runbook::child::Children;
use soter_runbook::driver::{Effects, World};
use soter_runbook::journal::Mirror;
use soter_runbook::procedure::Procedure;
use soter_runbook::steps::{Place, RealEffects, Requests, Tools};
use soter_runbook::target::Bindings;
use soter_vault::Vault;
use soter_vault::keys::{KeyFile, OperatorKey};
use soter_vault::objects::open_url;
use soter_world::{Clock, Disk, Machine, Random, durable};

use super::{actions, values, variable};
use crate::commands::launcher;
use crate::context::{Context, file_failure, look_up};
use crate::failure::{Ending, Failure};

/// A target's file is written by hand.
const TARGET_BYTES_MAX: usize = 1 << 20;

/// What [`Reach`] is kept in.
const REACH: &str = "reach.json";

/// How this machine reaches what a run needs.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Reach {
    /// The target's file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) target: Option<PathBuf>,
    /// The address of the vault with the second place of the journal.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) vault: Option<String>,
    /// The operator's key file.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) identity: Option<PathBuf>,
    /// Where directories of the plan that are not absolute count from: where the run was begun.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) directory: Option<PathBuf>,
}

/// What a run is carried out with.
pub(crate) struct Stage {
    /// The ways to the world of its steps.
    pub(crate) tools: Tools,
    /// What steps on stores and services take from outside.
    pub(crate) means: Means,
    /// The second place of its journal.
    pub(crate) mirror: Option<VaultMirror>,
    /// This machine, and where on it.
    machine: Machine,
    disk: Arc<dyn Disk>,
    clock: Arc<dyn Clock>,
    random: Arc<dyn Random>,
}

impl Reach {
    /// As it was left beside a journal; nothing if it was not.
    pub(crate) fn read(context: &Context, directory: &Path) -> Self {
        let bytes = durable::read(&*context.disk, &directory.join(REACH), TARGET_BYTES_MAX);
        bytes.ok().and_then(|bytes| serde_json::from_slice(&bytes).ok()).unwrap_or_default()
    }

    /// Leaves it beside a journal.
    pub(crate) fn write(&self, context: &Context, directory: &Path) -> Result<(), Failure> {
        let bytes = serde_json::to_vec_pretty(self).unwrap_or_default();
        durable::write_durable(&*context.disk, &directory.join(REACH), &bytes).map_err(|error| {
            Failure::of(Ending::Failed, &error)
                .during(&format!("write into {}", directory.display()))
        })
    }

    /// What the target's file binds.
    pub(crate) fn bindings(&self, context: &Context) -> Result<Bindings, Failure> {
        let Some(path) = &self.target else { return Ok(Bindings::real()) };
        let shown = path.display().to_string();
        let bytes = durable::read(&*context.disk, path, TARGET_BYTES_MAX).map_err(|error| {
            Failure::of(Ending::Input, &error).during(&format!("read the target {shown}"))
        })?;
        let refused = |lines: Vec<String>| {
            let mut failure =
                Failure::new(Ending::Input, format!("the target {shown} cannot be taken"));
            failure.causes = lines;
            failure
        };
        let target = Target::read(&shown, &bytes)
            .map_err(|found| refused(found.iter().map(ToString::to_string).collect()))?;
        let look = |reference: &_| {
            look_up(&*context.disk, reference).map_err(|failure| failure.in_one_line())
        };
        Bindings::of(&target, durable::parent(path), look).map_err(refused)
    }

    /// The operator's key.
    pub(crate) fn key(&self, context: &Context) -> Result<Option<OperatorKey>, Failure> {
        let load = |path: &PathBuf| OperatorKey::load(&*context.disk, path);
        self.identity.as_ref().map(load).transpose().map_err(|error| file_failure(&error))
    }
}

/// The file of an option, wherever this process works later.
pub(crate) fn absolute(path: &Path) -> Result<PathBuf, Failure> {
    std::path::absolute(path).map_err(|error| {
        Failure::of(Ending::Input, &error).during(&format!("find {}", path.display()))
    })
}

/// The operator's key file: the named one, else $SOTER_IDENTITY.
pub(crate) fn identity(named: Option<&Path>) -> Result<Option<PathBuf>, Failure> {
    let named = named.map(Path::to_owned).or_else(|| variable("SOTER_IDENTITY").map(PathBuf::from));
    named.as_deref().map(absolute).transpose()
}

/// The second place of a run's journal in the vault of this address.
pub(crate) fn mirror(
    context: &Context,
    run: &RunId,
    url: &str,
    key: &OperatorKey,
) -> Result<VaultMirror, Failure> {
    let (disk, clock, random) =
        (Arc::clone(&context.disk), Arc::clone(&context.clock), Arc::clone(&context.random));
    let (url, pins) = (url.to_owned(), key.pins.clone());
    let open = move || {
        let objects = open_url(&url, Arc::clone(&disk))
            .map_err(|error| Failure::of(Ending::Failed, &error).in_one_line())?;
        let (clock, random, pins) = (Arc::clone(&clock), Arc::clone(&random), pins.clone());
        Ok(Vault { objects, clock, random, pins })
    };
    VaultMirror::new(Box::new(open), key.clone(), run)
        .map_err(|what| Failure::new(Ending::Input, what))
}

impl Stage {
    /// What a run is carried out with in its directory, which need not be there yet.
    pub(crate) fn new(
        context: &Context,
        directory: &Path,
        (procedure, bindings): (&Procedure, Bindings),
        reach: &Reach,
        mirror: Option<VaultMirror>,
    ) -> Result<Self, Failure> {
        let machine = Machine::this().map_err(|error| {
            Failure::of(Ending::Failed, &error).during("say which machine this is")
        })?;
        let environment = environment();
        let ca_file = bindings.ca_file.clone();
        let place = Place::new(directory.to_owned(), bindings, environment);
        let children = Children::new(
            Arc::clone(&context.disk),
            Arc::clone(&context.clock),
            launcher(),
            machine.boot.clone(),
        );
        let means = actions::means(context, reach);
        let (disk, known) = (Arc::clone(&context.disk), procedure.clone());
        let place = Arc::new(place);
        let of_run = Arc::clone(&place);
        let mut tools = Tools {
            children,
            clock: Arc::clone(&context.clock),
            random: Arc::clone(&context.random),
            place,
            requests: Arc::new(Requests::new(Arc::clone(&context.disk), ca_file)),
            credential: Arc::new(move |name| {
                values::credential(&*disk, &known, &of_run.bindings, name)
            }),
            actions: actions::actions(procedure, &means),
        };
        tools.actions.extend(actions::with_tools(&tools));
        // Who has another directory on the same machine knows as little of its children as another
        // machine does.
        let state = directory.parent().and_then(Path::parent).unwrap_or(directory);
        let host = format!("{}:{}", machine.host, state.display());
        let machine = Machine { host, ..machine };
        #[cfg(debug_assertions)]
        let disk = super::doom::disk(&context.disk);
        #[cfg(not(debug_assertions))]
        let disk = Arc::clone(&context.disk);
        let clock = Arc::clone(&context.clock);
        let random = Arc::clone(&context.random);
        Ok(Self { tools, means, mirror, machine, disk, clock, random })
    }

    /// The world outside, as it is.
    pub(crate) fn effects(&self) -> RealEffects {
        RealEffects::new(self.tools.clone())
    }

    /// As an engine takes it.
    pub(crate) fn world<'w>(&'w self, effects: &'w dyn Effects) -> World<'w> {
        World {
            disk: &*self.disk,
            clock: &*self.clock,
            random: &*self.random,
            effects,
            mirror: self.mirror.as_ref().map(|mirror| mirror as &dyn Mirror),
            machine: self.machine.clone(),
        }
    }
}

/// What is handed on to scripts. They find this program where none of its name is installed: on a
/// laptop there is nothing but the binary.
fn environment() -> Vec<(String, String)> {
    let variables = std::env::vars_os()
        .filter_map(|(name, value)| Some((name.into_string().ok()?, value.into_string().ok()?)));
    let program = std::env::current_exe().ok();
    let directory = program.as_deref().and_then(Path::parent).and_then(Path::to_str);
    let mut variables: Vec<(String, String)> = variables.collect();
    for (name, value) in &mut variables {
        if let Some(directory) = directory.filter(|_| name == "PATH") {
            value.push_str(&format!(":{directory}"));
        }
    }
    variables
}
