//! A run as it is in a vault: what another machine has written of it, to look at.
//!
//! The rule it keeps: nothing is written, neither here nor there, and whatever is shown says that it
//! is a copy and how old. Whether an engine is at work cannot be told from a vault.

use std::cmp::Reverse;
use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use soter_recovery::mirror::VaultMirror;
use soter_runbook::RunId;
use soter_runbook::forecast::spoken;
use soter_runbook::journal::Mirror;
use soter_runbook::state::{Loaded, Moment, State};
use soter_vault::Vault;
use soter_vault::keys::{KeyFile, OperatorKey};
use soter_vault::objects::open_url;

use super::stage::{self, identity};
use super::{LATEST, loaded};
use crate::context::{Access, Context, file_failure};
use crate::failure::{Ending, Failure};

/// How often a vault is looked at that somebody watches: each look asks it for what is new.
pub(crate) const LOOK_SECONDS: i64 = 3;

/// The same.
pub(crate) const LOOK_EVERY: Duration = Duration::from_secs(LOOK_SECONDS.unsigned_abs());

/// A vault with runs, and the key that opens them.
pub(crate) struct Copies {
    /// Its address.
    pub(crate) url: String,
    key: OperatorKey,
}

/// One run in a vault.
pub(crate) struct RunCopy {
    /// What it is called.
    pub(crate) run: RunId,
    /// The address of the vault.
    pub(crate) url: String,
    mirror: VaultMirror,
}

impl Copies {
    /// The vault that was named; none: none was.
    pub(crate) fn of(context: &Context, access: &Access) -> Result<Option<Self>, Failure> {
        let Some(url) = access.vault.clone() else { return Ok(None) };
        let file = identity(access.identity.as_deref())?.ok_or_else(|| {
            Failure::new(Ending::Input, "a run in a vault is sealed")
                .hint("--identity operator.key")
        })?;
        let key = OperatorKey::load(&*context.disk, &file).map_err(|error| file_failure(&error))?;
        Ok(Some(Self { url, key }))
    }

    /// All runs in it, the one that began last first.
    pub(crate) fn runs(&self, context: &Context) -> Result<Vec<RunId>, Failure> {
        let failed = |error: &(dyn std::error::Error + 'static)| {
            Failure::of(Ending::Failed, error).during(&format!("list the runs in {}", self.url))
        };
        let objects =
            open_url(&self.url, Arc::clone(&context.disk)).map_err(|error| failed(&error))?;
        let clock = Arc::clone(&context.clock);
        let random = Arc::clone(&context.random);
        let vault = Vault { objects, clock, random, pins: self.key.pins.clone() };
        let names = soter_vault::runs::list(&vault).map_err(|error| failed(&error))?;
        let named = names.iter().filter_map(|name| RunId::parse(&name.to_string()).ok());
        let mut runs: Vec<RunId> = named.collect();
        runs.sort_by_key(|run| Reverse(minute_of(run)));
        Ok(runs)
    }

    /// The run that somebody means: its name, the beginning of it, or `latest`.
    pub(crate) fn run(&self, context: &Context, meant: &str) -> Result<RunCopy, Failure> {
        let run = self.meant(context, meant)?;
        let mirror = stage::mirror(context, &run, &self.url, &self.key)?;
        Ok(RunCopy { run, url: self.url.clone(), mirror })
    }

    fn meant(&self, context: &Context, meant: &str) -> Result<RunId, Failure> {
        let runs = self.runs(context)?;
        if let Some(exact) = runs.iter().find(|run| run.as_str() == meant) {
            return Ok(exact.clone());
        }
        let none = |what: String| {
            let hint = format!("`soter runs --vault {}` lists those in it", self.url);
            Failure::new(Ending::Input, what).hint(hint)
        };
        if meant == LATEST {
            let latest = runs.into_iter().next();
            return latest.ok_or_else(|| none(format!("there is no run in {}", self.url)));
        }
        let fits = |run: &&RunId| !meant.is_empty() && run.as_str().starts_with(meant);
        let mut fitting: Vec<RunId> = runs.iter().filter(fits).cloned().collect();
        match (fitting.pop(), fitting.is_empty()) {
            (Some(only), true) => Ok(only),
            (None, _) => Err(none(format!("the vault has no run {meant}"))),
            (Some(_), false) => Err(none(format!("{meant} is the beginning of several runs"))),
        }
    }
}

impl RunCopy {
    /// The lines of its journal that are in the vault now.
    pub(crate) fn lines(&self, context: &Context) -> Result<Vec<u8>, Failure> {
        let slots = self.mirror.read_all();
        let slots = slots.map_err(|error| {
            Failure::of(Ending::Failed, &error)
                .during(&format!("read {} in {}", self.run, self.url))
        })?;
        for finding in self.mirror.findings() {
            context.output.warn(&format!("in the vault: {finding}"));
        }
        if slots.is_empty() {
            let what = format!("nothing of {} in the vault is believed", self.run);
            return Err(Failure::new(Ending::No, what)
                .hint("it was signed by nobody who may, or with a key that was removed"));
        }
        Ok(slots.into_iter().flat_map(|slot| slot.lines).collect())
    }

    /// What its journal says there.
    pub(crate) fn load(&self, context: &Context) -> Result<Loaded, Failure> {
        loaded(&self.lines(context)?)
    }

    /// That it is a copy, and how old.
    pub(crate) fn words(&self, state: &State, now: &Moment, read: Timestamp) -> String {
        let age = spoken(now.since(&state.last));
        let read = super::words::time(read);
        format!(
            "A COPY, read at {read}Z in the vault {}; its last record is {age} old. Nothing is changed \
             from here: what stands here to be typed is typed on {}, only `soter run code` anywhere",
            self.url, state.host
        )
    }
}

/// The minute in which a run began, as its name says it, and its name.
fn minute_of(run: &RunId) -> (String, String) {
    let mut parts = run.as_str().rsplitn(4, '-').skip(1);
    let (time, day) = (parts.next().unwrap_or_default(), parts.next().unwrap_or_default());
    (format!("{day}-{time}"), run.to_string())
}
