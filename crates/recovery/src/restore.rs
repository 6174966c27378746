//! `restore` of a PostgreSQL store: a command of this same binary, so that it outlives the engine.
//!
//! The rules it keeps: nothing is overwritten; the restore goes to a new directory and says in it whose
//! it is. Its name is that of the run and the step, so that another attempt takes up what was cut off,
//! and does nothing again that is done. The server it leaves answers where the store is reached, if
//! that is on this machine: what comes after it asks the store as always. It archives nowhere, and gets
//! a life of its own only by `soter adopt`, which is a step of its own: a drill must never do that.
//! With `on` the command runs on that machine, and reads the operator's key from this one.

use std::path::{Path, PathBuf};

use soter_postgres::connection::{ConnectionInfo, Host};
use soter_postgres::restore::target::Target;
use soter_runbook::child::{Hidden, Spec};
use soter_runbook::driver::{Asking, Attempt, Captured, Reply};
use soter_runbook::procedure::{self, Parameters, Restore, Step};
use soter_runbook::steps::{Action, Place, Work};

use crate::actions::Means;
use crate::stores::Stores;
use crate::there::{self, KEY_IS_READ};

/// Brings PostgreSQL stores back.
pub(crate) struct Restores {
    pub(crate) stores: Stores,
    pub(crate) means: Means,
}

/// A restore with everything filled in.
#[derive(Debug, Clone)]
pub(crate) struct Filled {
    pub(crate) store: String,
    pub(crate) to: Target,
    pub(crate) vault: String,
    pub(crate) directory: PathBuf,
    pub(crate) identity: PathBuf,
    pub(crate) door: Option<Door>,
}

/// Where the server is to answer.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct Door {
    socket_directory: Option<PathBuf>,
    port: u16,
}

impl Action for Restores {
    fn carries_out(&self, step: &Step) -> bool {
        let stores = &self.stores;
        matches!(&step.action, procedure::Action::Restore(of) if stores.is_postgres(&of.store))
    }

    fn work(&self, attempt: &Attempt, place: &Place) -> Option<Result<Work, String>> {
        let procedure::Action::Restore(restore) = &attempt.step.action else { return None };
        if !self.stores.is_postgres(&restore.store) {
            return None;
        }
        Some(self.command(attempt, place, restore))
    }

    fn answer(&self, _: &Asking, _: &Place) -> Option<Reply> {
        None
    }

    fn capture(&self, _: &Attempt, _: &Place) -> Option<Result<Vec<Captured>, String>> {
        None
    }
}

impl Restores {
    fn command(&self, attempt: &Attempt, place: &Place, restore: &Restore) -> Result<Work, String> {
        let on = attempt.step.on.as_deref();
        let filled = fill(&self.stores, &self.means, restore, on, (&attempt.parameters, place))?;
        let directory = place.attempt(&attempt.step.id, attempt.number);
        let once = format!("{}/{}", attempt.run, attempt.step.id);
        if on.is_some() {
            let words = filled.arguments(&once, Path::new(KEY_IS_READ));
            return there::restore(attempt, place, &self.means, &words, &filled.identity);
        }
        let mut arguments = filled.arguments(&once, &filled.identity);
        arguments.extend(["--attempt".to_owned(), directory.display().to_string()]);
        let spec = Spec {
            program: self.means.program.display().to_string(),
            arguments,
            directory: PathBuf::from("/"),
            environment: place.handed_on().clone(),
            ..Spec::default()
        };
        Ok(Work::Command { spec, hidden: Hidden::default() })
    }
}

impl Filled {
    fn arguments(&self, once: &str, identity: &Path) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let to = self.to.to_string();
        let mut words = vec!["--json", "restore", &self.store, "--vault", &self.vault, "--to", &to]
            .into_iter()
            .map(str::to_owned)
            .collect::<Vec<_>>();
        words.extend(["--identity".to_owned(), text(identity)]);
        words.extend(["--target-dir".to_owned(), text(&self.directory), "--start".to_owned()]);
        if let Some(Door { socket_directory, port }) = &self.door {
            words.extend(["--port".to_owned(), port.to_string()]);
            if let Some(directory) = socket_directory {
                words.extend(["--socket-dir".to_owned(), text(directory)]);
            }
        }
        words.extend(["--once".to_owned(), once.to_owned()]);
        words
    }
}

/// Fills in what a restore leaves open.
pub(crate) fn fill(
    stores: &Stores,
    means: &Means,
    restore: &Restore,
    on: Option<&str>,
    (parameters, place): (&Parameters, &Place),
) -> Result<Filled, String> {
    let text = |text: &str| parameters.fill(text).map_err(|error| error.to_string());
    let to = moment(&text(&restore.to)?)?;
    let written = restore.target.as_deref().map(text).transpose()?;
    let written = written.as_deref().map(Path::new);
    let from = restore.from.as_deref().map(text).transpose()?;
    let identity = means.identity.clone().ok_or(
        "a backup is opened with an operator's key, and none was given: name its file with \
         --identity FILE",
    )?;
    let on = on.map(text).transpose()?;
    let door = match stores.connection_text(&restore.store, place)? {
        Some(_) => door(&stores.connection(&restore.store, place)?, on.as_deref())?,
        None => None,
    };
    Ok(Filled {
        store: restore.store.clone(),
        to,
        vault: stores.vault(&restore.store, from.as_deref(), &place.bindings)?,
        directory: stores.restored_to(&restore.store, written, &place.bindings)?,
        identity,
        door,
    })
}

/// A moment as `soter restore --to` takes it. A plain time, as parameters have it, is one too.
pub(crate) fn moment(text: &str) -> Result<Target, String> {
    let text = text.trim();
    text.parse::<Target>().or_else(|error| {
        let as_time = format!("time:{text}").parse::<Target>();
        as_time.map_err(|_| format!("{error}; write {}", error.hint()))
    })
}

/// Where a store's server answers, if that is on the machine it is restored on.
fn door(connection: &ConnectionInfo, on: Option<&str>) -> Result<Option<Door>, String> {
    let port = connection.port;
    match &connection.host {
        Host::Directory(directory) => {
            Ok(Some(Door { socket_directory: Some(directory.clone()), port }))
        }
        Host::Name(name)
            if ["localhost", "127.0.0.1", "::1"].contains(&name.as_str())
                || on == Some(name.as_str()) =>
        {
            Ok(Some(Door { socket_directory: None, port }))
        }
        Host::Name(name) => Err(format!(
            "the store is reached at `{name}`, and a restore leaves its server on {}: bind its \
             connection in a target, with localhost or the directory of a socket as host, or restore \
             it `on` that machine",
            on.map_or_else(|| "this machine".to_owned(), |on| format!("`{on}`"))
        )),
    }
}

#[cfg(test)]
mod tests;
