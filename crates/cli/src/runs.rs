//! Runs on this machine: where they are, which one is meant, and who carries them on.
//!
//! The rule it keeps: what is known of a run is in its directory, `STATE/runs/RUN/`, and only its
//! engine writes there, but for requests that wait in its inbox.

pub(crate) mod actions;
pub(crate) mod approvers;
pub(crate) mod carry;
pub(crate) mod copy;
#[cfg(debug_assertions)]
pub(crate) mod doom;
pub(crate) mod follow;
pub(crate) mod prompt;
pub(crate) mod screen;
pub(crate) mod since;
pub(crate) mod stage;
pub(crate) mod values;
pub(crate) mod words;
mod workloads;

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_runbook::RunId;
use soter_runbook::driver::Lock;
use soter_runbook::journal::Refused;
use soter_runbook::state::{LoadError, Loaded, load};
use soter_world::{Disk, durable};

use crate::context::Context;
use crate::failure::{Ending, Failure};

/// Where runs are when root carries them out and nobody says anything else.
const STATE_OF_ROOT: &str = "/var/lib/soter";

/// Below the home of everybody else.
const STATE_BELOW_HOME: &str = ".local/state/soter";

/// The word for the run that began last.
const LATEST: &str = "latest";

/// A run of a million records has less.
const JOURNAL_BYTES_MAX: usize = 1 << 30;

/// So often it is looked whether an engine has a run's lock, before that is believed.
const LOOKS: u32 = 3;

/// A look takes microseconds.
const LOOK_AGAIN: Duration = Duration::from_millis(5);

/// Where runs are kept on this machine.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct StateArgs {
    /// Where runs are kept on this machine: else $SOTER_STATE, else /var/lib/soter for root and
    /// ~/.local/state/soter for others.
    #[arg(long, value_name = "DIR")]
    pub(crate) state: Option<PathBuf>,
}

/// Who acts.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct PersonArgs {
    /// Who you are, by your name in the plan; else $SOTER_AS, else the name you are logged in by.
    #[arg(long = "as", value_name = "PERSON")]
    pub(crate) person: Option<String>,
}

/// A run on this machine.
#[derive(Debug, Clone)]
pub(crate) struct Found {
    /// What it is called.
    pub(crate) run: RunId,
    /// Its directory.
    pub(crate) directory: PathBuf,
}

impl StateArgs {
    /// The directory, which need not be there.
    pub(crate) fn directory(&self) -> Result<PathBuf, Failure> {
        if let Some(named) = self.state.clone().or_else(|| variable("SOTER_STATE").map(Into::into))
        {
            return std::path::absolute(&named)
                .map_err(|error| Failure::of(Ending::Input, &error).during("find --state"));
        }
        if rustix::process::geteuid().is_root() {
            return Ok(STATE_OF_ROOT.into());
        }
        let home = variable("HOME").filter(|home| !home.is_empty()).ok_or_else(|| {
            Failure::new(Ending::Input, "nobody says where runs are kept, and there is no $HOME")
                .hint("name a directory: --state DIR")
        })?;
        Ok(Path::new(&home).join(STATE_BELOW_HOME))
    }

    /// Where agents of this machine may have said that they are there: where our own would, and where those
    /// of root do and of ourselves, whose environment is another one.
    pub(crate) fn of_agents() -> Vec<PathBuf> {
        let ours = Self { state: None }.directory().ok();
        let home = variable("HOME").map(|home| Path::new(&home).join(STATE_BELOW_HOME));
        ours.into_iter().chain([STATE_OF_ROOT.into()]).chain(home).collect()
    }

    /// All runs, the one that began last first.
    pub(crate) fn runs(&self, context: &Context) -> Result<Vec<Found>, Failure> {
        let place = self.directory()?.join("runs");
        let entries = match context.disk.list(&place) {
            Ok(entries) => entries,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
            Err(error) => {
                let doing = format!("list the runs in {}", place.display());
                return Err(Failure::of(Ending::Failed, &error).during(&doing));
            }
        };
        let names = entries.into_iter().filter_map(|entry| entry.name.into_string().ok());
        let mut found: Vec<(String, Found)> = names
            .filter_map(|name| RunId::parse(&name).ok())
            .map(|run| Found { directory: place.join(run.as_str()), run })
            .map(|found| (began(&*context.disk, &found.directory), found))
            .collect();
        found.sort_by(|(one, a), (other, b)| (other, &b.run).cmp(&(one, &a.run)));
        Ok(found.into_iter().map(|(_, found)| found).collect())
    }

    /// The run that somebody means: its name, the beginning of it, or `latest`.
    pub(crate) fn run(&self, context: &Context, meant: &str) -> Result<Found, Failure> {
        let runs = self.runs(context)?;
        if let Some(exact) = runs.iter().find(|found| found.run.as_str() == meant) {
            return Ok(exact.clone());
        }
        if meant == LATEST {
            return runs.into_iter().next().ok_or_else(|| self.no_run("there is no run here"));
        }
        let fits = |found: &&Found| found.run.as_str().starts_with(meant) && !meant.is_empty();
        let fitting: Vec<&Found> = runs.iter().filter(fits).collect();
        match fitting.as_slice() {
            [only] => Ok((*only).clone()),
            [] => {
                let failure = self.no_run(&format!("there is no run {meant} here"));
                let known = runs.iter().map(|found| found.run.as_str());
                Err(match soter_plan::nearest(meant, known) {
                    Some(near) => failure.hint(format!("did you mean {near}?")),
                    None => failure,
                })
            }
            several => {
                let names: Vec<&str> = several.iter().map(|found| found.run.as_str()).collect();
                let what = format!("{meant} is the beginning of {} runs", several.len());
                Err(Failure::new(Ending::Input, what).hint(format!("one of: {}", names.join(", "))))
            }
        }
    }

    fn no_run(&self, what: &str) -> Failure {
        let place = self.directory().map(|path| path.display().to_string()).unwrap_or_default();
        Failure::new(Ending::Input, what).hint(format!(
            "`soter runs` lists those in {place}; --state DIR looks elsewhere, and `soter run resume \
             RUN --from-vault` takes one that another machine began, `--vault URL` shows it"
        ))
    }
}

impl PersonArgs {
    /// Their name.
    pub(crate) fn name(&self) -> Result<String, Failure> {
        let named = self.person.clone().or_else(|| variable("SOTER_AS"));
        let name = named.or_else(|| variable("USER")).or_else(|| variable("LOGNAME"));
        let name = name.map(|name| name.trim().to_owned()).filter(|name| !name.is_empty());
        name.ok_or_else(|| {
            Failure::new(Ending::Input, "nobody says who you are")
                .hint("name yourself as the plan does: --as PERSON")
        })
    }
}

impl Found {
    /// The journal's file.
    pub(crate) fn journal(&self) -> PathBuf {
        self.directory.join("journal")
    }

    /// What its journal says.
    pub(crate) fn load(&self, context: &Context) -> Result<Loaded, Failure> {
        let path = self.journal();
        let bytes = durable::read(&*context.disk, &path, JOURNAL_BYTES_MAX).map_err(|error| {
            Failure::of(Ending::Failed, &error).during(&format!("read {}", path.display()))
        })?;
        loaded(&bytes).map_err(|failure| failure.during(&format!("read {}", path.display())))
    }

    /// Whether an engine carries it on, on this machine.
    pub(crate) fn is_live(&self, context: &Context) -> Result<bool, Failure> {
        // Somebody else who looks holds the lock for a moment; an engine holds it all the time.
        for look in 0..LOOKS {
            if look > 0 {
                context.clock.sleep(LOOK_AGAIN);
            }
            let lock = Lock::take(&self.directory).map_err(|error| {
                Failure::of(Ending::Failed, &error).during("look for its engine")
            })?;
            if lock.is_some() {
                return Ok(false);
            }
        }
        Ok(true)
    }
}

/// What a journal's bytes say, or why not, in words.
pub(crate) fn loaded(bytes: &[u8]) -> Result<Loaded, Failure> {
    load(bytes).map_err(|error| {
        let (ending, hint) = match &error {
            LoadError::Refused(Refused::Damaged(_)) => (
                Ending::Failed,
                "`soter run resume RUN --from-vault --state DIR` goes on from the vault's copy",
            ),
            LoadError::Refused(Refused::Newer { .. }) | LoadError::Unfollowed(_) => {
                (Ending::Input, "take the newest soter")
            }
            LoadError::Refused(Refused::NotBegun) => (Ending::Input, "begin the run again"),
        };
        Failure::of(ending, &error).hint(hint)
    })
}

/// When a run began, as its first record says; empty if that cannot be read.
fn began(disk: &dyn Disk, directory: &Path) -> String {
    /// The time stands in front of the procedure.
    const HEAD_BYTES: usize = 512;
    let mut head = vec![0; HEAD_BYTES];
    let read = disk.open(&directory.join("journal")).and_then(|file| file.read_at(0, &mut head));
    let head = head.get(..read.unwrap_or(0)).unwrap_or_default();
    let text = String::from_utf8_lossy(head);
    let at = text.split_once("\"at\":\"").and_then(|(_, rest)| rest.split_once('"'));
    at.map(|(at, _)| at.to_owned()).unwrap_or_default()
}

/// A variable of this process.
pub(crate) fn variable(name: &str) -> Option<String> {
    #[expect(clippy::disallowed_methods, reason = "the environment is read in this crate only")]
    std::env::var(name).ok()
}
