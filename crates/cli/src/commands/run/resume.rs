//! `soter run resume`: going on with a run whose engine is gone, here or on another machine.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use soter_recovery::mirror::VaultMirror;
use soter_runbook::RunId;
use soter_runbook::driver::{Engine, Lock, Resuming};
use soter_runbook::journal::Mirror;
use soter_runbook::procedure::Given;
use soter_runbook::state::{Recorded, State};
use soter_runbook::target::Bindings;
use soter_world::{Secret, Stop, durable};

use super::again;
use crate::context::{Access, Context};
use crate::failure::{Ending, Failure};
use crate::runs::approvers::Approvers;
use crate::runs::carry::{self, engine_failure};
use crate::runs::stage::{self, Reach, Stage};
use crate::runs::values::{self, Typed, Values};
use crate::runs::{Found, StateArgs, loaded, prompt};

/// Somebody who only looks whether an engine lives holds its lock for a moment.
const LOCK_WITHIN: Duration = Duration::from_secs(2);

/// How often it is tried.
const LOCK_AGAIN: Duration = Duration::from_millis(50);

/// Go on with a run whose engine is gone. What runs still is adopted, not begun a second time; what was
/// interrupted and cannot be taken back waits for a probe or a person. Exit codes as of `soter recover`.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
pub(crate) struct ResumeArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// Also if the vault has more of it than this machine: the engine that wrote that is dead, or is
    /// kept from going on by this.
    #[arg(long)]
    take_over: bool,
    /// Take the journal from the vault, because the machine that began the run is gone.
    #[arg(long, conflicts_with = "local")]
    from_vault: bool,
    /// Without the second place of the journal.
    #[arg(long)]
    local: bool,
    /// Also if something is in the way here, such as a program that is missing: it is said, and steps that
    /// need it fail.
    #[arg(long)]
    pub(super) anyway: bool,
    /// The file that says where it happens, if it is not where it was.
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
    /// The value of a secret parameter; may be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = values::typed)]
    parameters: Vec<Typed>,
    #[command(flatten)]
    access: Access,
    #[command(flatten)]
    state: StateArgs,
}

/// A run that is to be gone on with, and what that is done with here.
pub(super) struct Again<'a> {
    pub(super) state: &'a State,
    pub(super) stage: &'a Stage,
    pub(super) approvers: &'a Approvers,
    pub(super) secrets: &'a BTreeMap<String, Secret<String>>,
    /// The address of the vault with its journal; empty if there is none.
    pub(super) vault: &'a str,
}

pub(super) fn run(context: &Context, args: &ResumeArgs) -> Result<(), Failure> {
    let found = found(context, args)?;
    // An engine that lives is spoken of before anything else that is in the way.
    let early = context.disk.metadata(&found.directory).is_ok();
    let early = early.then(|| lock(context, &found)).transpose()?;
    let mut reach = Reach::read(context, &found.directory);
    take(args, &mut reach)?;
    let mirror = mirror(context, &found.run, &reach, args)?;
    let state = match &mirror {
        Some(mirror) if args.from_vault => from_vault(&found.run, mirror)?,
        _ => found.load(context)?.state,
    };
    let procedure = &state.begun.procedure;
    let bindings = reach.bindings(context)?;
    let (kind, title) = (bindings.kind, bindings.title().to_owned());
    if (kind, title.as_str()) != (state.begun.kind, state.begun.target.as_str()) {
        let what = format!(
            "the run is {} on {}, and this would be {kind} on {title}",
            state.begun.kind, state.begun.target
        );
        return Err(Failure::new(Ending::Input, what).hint("name the target's file: --target FILE"));
    }
    let secrets = secrets(context, args, &bindings, &state)?;
    let approvers = Approvers::of(&*context.disk, procedure);
    let directory = found.directory.clone();
    let stage = Stage::new(context, &directory, (procedure, bindings), &reach, mirror)?;
    let vault = reach.vault.as_deref().unwrap_or_default();
    let again =
        Again { state: &state, stage: &stage, approvers: &approvers, secrets: &secrets, vault };
    again::look(context, args, &again)?;
    let make = |error: std::io::Error| {
        Failure::of(Ending::Failed, &error).during(&format!("make {}", directory.display()))
    };
    durable::create_dir_all_durable(&*context.disk, &directory).map_err(make)?;
    context.disk.set_mode(&directory, 0o700).map_err(make)?;
    let lock = early.map_or_else(|| lock(context, &found), Ok)?;
    reach.write(context, &directory)?;
    let stop = Stop::on_signals()
        .map_err(|error| Failure::of(Ending::Failed, &error).during("listen to signals"))?;
    let effects = stage.effects();
    let resuming = Resuming {
        take_over: args.take_over || args.from_vault,
        local: args.local,
        secrets,
        approvers: approvers.known,
    };
    let run = found.run.as_str();
    let mut engine = Engine::resume(stage.world(&effects), (&directory, lock), resuming)
        .map_err(|error| engine_failure(&error, run))?;
    if let Some(torn) = engine.torn() {
        let what = "the end of the journal was torn by a crash; it was put aside as";
        context.output.warn(&format!("{what} {}", torn.display()));
    }
    let missing: Vec<&str> = engine.missing_secrets().collect();
    if !missing.is_empty() {
        context.output.warn(&format!(
            "no value is known of: {}; steps that need one fail. soter run give {run} NAME",
            missing.join(", ")
        ));
    }
    carry::carry(context, &mut engine, &stage, &directory, &stop)
}

/// The run, which is not here yet if it comes from the vault.
fn found(context: &Context, args: &ResumeArgs) -> Result<Found, Failure> {
    let here = args.state.run(context, &args.run);
    match here {
        Err(_) if args.from_vault => {
            let run =
                RunId::parse(&args.run).map_err(|error| Failure::of(Ending::Input, &error))?;
            let directory = args.state.directory()?.join("runs").join(run.as_str());
            Ok(Found { run, directory })
        }
        other => other,
    }
}

/// What was said on the command line counts more than what lies beside the journal.
fn take(args: &ResumeArgs, reach: &mut Reach) -> Result<(), Failure> {
    if let Some(target) = &args.target {
        reach.target = Some(stage::absolute(target)?);
    }
    if let Some(identity) = stage::identity(args.access.identity.as_deref())? {
        reach.identity = Some(identity);
    }
    if let Some(vault) = &args.access.vault {
        reach.vault = Some(vault.clone());
    }
    Ok(())
}

fn mirror(
    context: &Context,
    run: &RunId,
    reach: &Reach,
    args: &ResumeArgs,
) -> Result<Option<VaultMirror>, Failure> {
    if args.local {
        return Ok(None);
    }
    match (&reach.vault, reach.key(context)?) {
        (Some(url), Some(key)) => stage::mirror(context, run, url, &key).map(Some),
        (None, _) if !args.from_vault => Ok(None),
        _ => Err(Failure::new(Ending::Input, "the run's journal is in a vault, and sealed")
            .hint("--vault URL --identity operator.key; or --local to go on without")),
    }
}

fn from_vault(run: &RunId, mirror: &VaultMirror) -> Result<State, Failure> {
    let slots = mirror.read_all().map_err(|error| Failure::of(Ending::Failed, &error))?;
    if slots.is_empty() {
        return Err(Failure::new(Ending::No, format!("the vault has no run {run}"))
            .hint("give the whole name, as it stood on the other screen"));
    }
    let bytes: Vec<u8> = slots.into_iter().flat_map(|slot| slot.lines).collect();
    Ok(loaded(&bytes)?.state)
}

/// The values of secrets, which are in no journal: from where they were before, or from the person at
/// the terminal.
fn secrets(
    context: &Context,
    args: &ResumeArgs,
    bindings: &Bindings,
    state: &State,
) -> Result<BTreeMap<String, Secret<String>>, Failure> {
    let is_hidden =
        |name: &String| matches!(state.parameters.get(name), Some(Recorded::Fingerprint(_)));
    let procedure = &state.begun.procedure;
    let mut values = Values::gather(context, procedure, bindings, &args.parameters)?;
    if prompt::can_ask() {
        values.ask(procedure.parameters.iter().filter(|one| is_hidden(&one.name)))?;
    }
    let hidden = values.given.into_iter().filter(|(name, _)| is_hidden(name));
    let secrets = hidden.filter_map(|(name, given)| match given {
        Given::Hidden(secret) => Some((name, secret)),
        Given::Plain(_) => None,
    });
    Ok(secrets.collect())
}

fn lock(context: &Context, found: &Found) -> Result<Lock, Failure> {
    let until = context.clock.monotonic() + LOCK_WITHIN;
    loop {
        let taken = Lock::take(&found.directory)
            .map_err(|error| Failure::of(Ending::Failed, &error).during("lock the run"))?;
        if let Some(lock) = taken {
            return Ok(lock);
        }
        if context.clock.monotonic() > until {
            let what = format!("another engine carries {} on, on this machine", found.run);
            return Err(Failure::new(Ending::Input, what)
                .hint(format!("watch it: soter run log {} --follow", found.run)));
        }
        context.clock.sleep(LOCK_AGAIN);
    }
}
