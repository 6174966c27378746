//! `soter recover`: a scenario of the plan, carried out.

mod prepare;
mod preview;

pub(super) use preview::objections as listed;

use std::path::PathBuf;

use soter_runbook::driver::{Beginning, Engine, Kind, Lock};
use soter_runbook::preflight::{Objection, Weight};
use soter_world::{Stop, durable};

use crate::context::{Access, Context};
use crate::failure::{Ending, Failure};
use crate::runs::carry::{self, engine_failure};
use crate::runs::values::{self, Typed};
use crate::runs::{PersonArgs, StateArgs, prompt, screen};
use prepare::Prepared;

/// Recover from a disaster as a scenario of the plan says, or try that on another target.
///
/// What is in the way is said before anything is done; --dry-run says it and what would be done, and
/// writes nothing. The run survives this process: Ctrl-C leaves it, `soter run resume` goes on with it,
/// and any other terminal watches, approves and answers with `soter run`. Exit codes: 0 the run succeeded,
/// 1 it was given up (or, with --dry-run, something is in the way), 2 it cannot begin, 3 this engine
/// failed, 4 another engine has the run, 5 the run was left and is not over.
#[derive(Debug, clap::Args)]
#[expect(clippy::struct_excessive_bools, reason = "each is a word of the command line")]
pub(crate) struct RecoverArgs {
    /// The scenario, by its name in the plan.
    scenario: String,
    /// A value of a parameter; may be repeated.
    #[arg(long = "param", value_name = "NAME=VALUE", value_parser = values::typed)]
    parameters: Vec<Typed>,
    /// The file that says where it happens: a drill's laboratory, another site; else the plan's own
    /// places, REAL.
    #[arg(long, value_name = "FILE")]
    target: Option<PathBuf>,
    /// Say what would be done and what is in the way; write nothing.
    #[arg(long)]
    dry_run: bool,
    /// When the disaster happened: 2026-01-15T14:30:00Z, 14:30Z, or "20 minutes ago". What was promised
    /// counts from then; else from the beginning of the run.
    #[arg(long, value_name = "TIME")]
    since: Option<String>,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    access: Access,
    /// Keep the journal on this machine alone: nothing then keeps a second engine out.
    #[arg(long)]
    local: bool,
    /// Begin a REAL run although too few of its approvers can be heard here, because their codes cannot be
    /// checked: such a step then waits for `soter run approve --break-glass`, which leaves an obligation.
    #[arg(long)]
    break_glass: bool,
    /// Ask nothing at the terminal.
    #[arg(long)]
    yes: bool,
    /// The target's name, for a REAL run that nobody is asked about at the terminal.
    #[arg(long, value_name = "TITLE")]
    confirm: Option<String>,
}

pub(super) fn run(context: &Context, args: &RecoverArgs) -> Result<(), Failure> {
    let can_ask = prompt::can_ask() && !args.yes;
    let mut prepared = Prepared::new(context, args)?;
    let mut objections = prepared.preflight(context, can_ask)?;
    if args.dry_run {
        return preview::show(context, &prepared, &objections);
    }
    refuse(&objections)?;
    if can_ask && prepared.ask()? {
        let before = objections;
        objections = prepared.preflight(context, can_ask)?;
        refuse(&objections)?;
        objections.extend(before);
        objections.sort();
        objections.dedup();
    }
    for objection in &objections {
        context.output.warn(&format!("{}\n  hint: {}", objection.what, objection.hint));
    }
    confirm(args, can_ask, &prepared)?;
    begin(context, prepared)
}

/// Nothing is begun as long as something would make it fail.
fn refuse(objections: &[Objection]) -> Result<(), Failure> {
    let blocking = objections.iter().filter(|one| one.weight == Weight::Blocking).count();
    if blocking == 0 {
        return Ok(());
    }
    let what = match blocking {
        1 => "the run cannot begin: one thing is in the way".to_owned(),
        many => format!("the run cannot begin: {many} things are in the way"),
    };
    let mut failure = Failure::new(Ending::Input, what);
    failure.rendered =
        Some(format!("error: {}\n{}", failure.what, preview::objections(objections)));
    Err(failure)
}

/// The real thing is begun by somebody who says which.
fn confirm(args: &RecoverArgs, can_ask: bool, prepared: &Prepared) -> Result<(), Failure> {
    let bindings = &prepared.stage.tools.place.bindings;
    if bindings.kind != Kind::Real {
        return Ok(());
    }
    let title = bindings.title();
    let other = |said: &str| {
        let what = format!("`{said}` is not the name of the target, `{title}`: nothing was begun");
        Failure::new(Ending::Input, what)
    };
    match &args.confirm {
        Some(said) if said.trim() == title => Ok(()),
        Some(said) => Err(other(said)),
        None if can_ask => {
            let question = format!("This is REAL. Type the target's name, `{title}`, to begin:");
            let said = prompt::line(&question)?;
            if said.trim() == title { Ok(()) } else { Err(other(said.trim())) }
        }
        None => Err(Failure::new(Ending::Input, "a REAL run is not begun without a word")
            .hint(format!("--confirm \"{title}\", or --target FILE for a drill"))),
    }
}

fn begin(context: &Context, prepared: Prepared) -> Result<(), Failure> {
    let Prepared {
        run,
        requester,
        disaster,
        digest,
        procedure,
        values,
        approvers,
        reach,
        stage,
        ..
    } = prepared;
    let directory = stage.tools.place.run_directory.clone();
    let failed = |doing: &str| {
        let doing = format!("{doing} {}", directory.display());
        move |error: std::io::Error| Failure::of(Ending::Failed, &error).during(&doing)
    };
    durable::create_dir_all_durable(&*context.disk, &directory).map_err(failed("make"))?;
    // What steps write may be anything; it is for the one who carries them out.
    context.disk.set_mode(&directory, 0o700).map_err(failed("close to others"))?;
    let lock = Lock::take(&directory).map_err(failed("lock"))?;
    let lock = lock.ok_or_else(|| Failure::new(Ending::Failed, "the run's name is taken"))?;
    reach.write(context, &directory)?;
    let stop = Stop::on_signals()
        .map_err(|error| Failure::of(Ending::Failed, &error).during("listen to signals"))?;
    let bindings = &stage.tools.place.bindings;
    let beginning = Beginning {
        run: run.clone(),
        kind: bindings.kind,
        target: bindings.title().to_owned(),
        requester,
        disaster,
        plan: digest,
        procedure,
        parameters: values.given,
        approvers: approvers.known,
    };
    let effects = stage.effects();
    let mut engine = Engine::begin(stage.world(&effects), (&directory, lock), beginning)
        .map_err(|error| engine_failure(&error, run.as_str()))?;
    let options = screen::options(directory.parent().unwrap_or(&directory));
    let show = format!("soter run show {run} {options}");
    context.output.say(&format!(
        "any other terminal watches and answers: {}\nCtrl-C leaves the run: commands that run go on by \
         themselves, nothing new is begun, and `soter run resume` goes on with it",
        show.trim_end()
    ));
    carry::carry(context, &mut engine, &stage, &directory, &stop)
}
