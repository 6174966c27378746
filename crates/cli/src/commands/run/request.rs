//! What people ask of a run from another terminal: each a request that the engine accepts or refuses.
//!
//! The rule it keeps: nothing is decided here. Where no engine carries the run on, nothing is asked:
//! a request that is found weeks later would be a surprise.

use std::io;
use std::path::PathBuf;
use std::time::Duration;

use clap::ValueEnum;
use soter_plan::check;
use soter_runbook::StepId;
use soter_runbook::approval::{Signed, Subject};
use soter_runbook::driver::{
    Answer, Asked, Kind, Proof, Reception, Request, Which, Wish, inbox, outbox, reception, send,
};
use soter_runbook::procedure::{Action, Step, compile};
use soter_runbook::state::{Needed, Resolution, RetryFrom, State, StepState};
use soter_world::durable;

use super::code::signed;
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::plans;
use crate::runs::{Found, PersonArgs, StateArgs, prompt};

/// An engine looks for requests several times a second, but may wait for its vault meanwhile.
const ANSWER_WITHIN: Duration = Duration::from_secs(45);

/// How often the answer is looked for.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// A longer script is a program.
const SCRIPT_BYTES_MAX: usize = 1 << 20;

/// A run, and who asks something of it.
#[derive(Debug, clap::Args)]
pub(crate) struct RunArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// Why, for those who read the journal.
    #[arg(long, default_value = "", value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AbortArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// Why, for those who read the journal.
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// A step of a run, and why.
#[derive(Debug, clap::Args)]
pub(crate) struct StepArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// The step.
    step: String,
    /// Why, or what proves it, for those who read the journal.
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// Say yes to a step. In a drill your word is enough; else sign it with your key, give the code or the
/// signature that `soter run code` makes elsewhere, or break the glass, which leaves an obligation.
#[derive(Debug, clap::Args)]
pub(crate) struct ApproveArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// The step.
    step: String,
    /// The code, as it was made or heard.
    #[arg(long, value_name = "CODE", conflicts_with = "break_glass")]
    code: Option<String>,
    /// Your key file, of which the plan has the public key (`signs_with`): sign it.
    #[arg(long, value_name = "FILE", conflicts_with_all = ["break_glass", "code"])]
    key: Option<PathBuf>,
    /// Nobody who may is there: say yes alone. It must be looked at before the run can be closed.
    #[arg(long)]
    break_glass: bool,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RefuseArgs {
    #[command(flatten)]
    of: StepArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct AnswerArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// The step.
    step: String,
    /// The answer; for what is done by hand and cannot be taken back, the target's name. Asked for at
    /// the terminal if it is left out.
    answer: Option<String>,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct GiveArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// The parameter.
    name: String,
    /// Its value; asked for at the terminal if it is left out.
    value: Option<String>,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LookArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// The step, or `phase:2`.
    step: String,
    /// What is seen.
    #[arg(value_enum)]
    answer: Seen,
    /// Which of its questions, if several are open: only-if, already-done, verify:1.
    #[arg(long, value_name = "QUESTION")]
    probe: Option<String>,
    /// What you saw, in words.
    #[arg(long, default_value = "", value_name = "TEXT")]
    evidence: String,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Seen {
    Yes,
    No,
    Unknown,
}

/// Change a step: by an edited plan (--plan PATH), from which the step is taken as it stands there, or by
/// another script.
#[derive(Debug, clap::Args)]
pub(crate) struct AmendArgs {
    #[command(flatten)]
    of: StepArgs,
    /// The file with the new script of the step; else the step is taken from --plan.
    #[arg(long, value_name = "FILE")]
    script: Option<PathBuf>,
}

#[derive(Debug, clap::Args)]
pub(crate) struct RetryArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// The step.
    step: String,
    /// Only ask again whether it is done.
    #[arg(long)]
    verification: bool,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, clap::Args)]
pub(crate) struct ResolveArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// The step.
    step: String,
    /// What it rests on, for those who read the journal.
    #[arg(long, value_name = "TEXT")]
    why: String,
    /// `run`: it was not done, or is safe to do again; `done`: it was done; `skip`: leave it out; `failed`:
    /// it was not done, or not whole, and nothing of it runs any more: what follows is decided then.
    #[arg(value_enum)]
    resolution: Said,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Said {
    Run,
    Done,
    Skip,
    Failed,
}

#[derive(Debug, clap::Args)]
pub(crate) struct LiftArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// The temporary measure.
    name: String,
    /// How it is known that it is over.
    #[arg(long, value_name = "TEXT")]
    why: String,
    #[command(flatten)]
    person: PersonArgs,
    #[command(flatten)]
    state: StateArgs,
}

/// A run that an engine carries on, and the person who asks.
struct Asking<'c> {
    context: &'c Context,
    found: Found,
    by: String,
}

impl<'c> Asking<'c> {
    fn of(
        context: &'c Context,
        run: &str,
        (state, person): (&StateArgs, &PersonArgs),
    ) -> Result<Self, Failure> {
        let (found, by) = (state.run(context, run)?, person.name()?);
        let asking = Self { context, found, by };
        if !asking.found.is_live(context)? {
            return Err(asking.no_engine());
        }
        Ok(asking)
    }

    fn no_engine(&self) -> Failure {
        let run = &self.found.run;
        Failure::new(
            Ending::Input,
            format!("no engine carries {run} on here, so nobody would answer"),
        )
        .hint(format!("soter run resume {run}; then ask again from another terminal"))
    }

    fn state(&self) -> Result<State, Failure> {
        Ok(self.found.load(self.context)?.state)
    }

    /// Hands a wish to the engine, and says what became of it.
    fn send(&self, wish: Wish) -> Result<(), Failure> {
        let Self { context, found, by } = self;
        let failed = |doing: &'static str| {
            move |error: io::Error| Failure::of(Ending::Failed, &error).during(doing)
        };
        let request = Request { by: by.clone(), wish };
        let chance = (&*context.clock, &*context.random);
        let name = send(&*context.disk, &found.directory, chance, &request)
            .map_err(failed("put the request where the engine looks"))?;
        let until = context.clock.monotonic() + ANSWER_WITHIN;
        loop {
            let received = reception(&*context.disk, &found.directory, &name)
                .map_err(failed("read what became of the request"))?;
            if let Some(received) = received {
                drop(context.disk.remove_file(&outbox(&found.directory).join(&name)));
                return self.received(received);
            }
            if !found.is_live(context)? {
                // It is gone, and has not taken it; or it has answered with its last word.
                if context.disk.remove_file(&inbox(&found.directory).join(&name)).is_ok() {
                    return Err(self.no_engine());
                }
            }
            if context.clock.monotonic() > until {
                let what =
                    format!("the engine has not answered within {} s", ANSWER_WITHIN.as_secs());
                return Err(Failure::new(Ending::Failed, what).hint(format!(
                    "the request counts once it is read: soter run log {} shows it then",
                    found.run
                )));
            }
            context.clock.sleep(LOOK_EVERY);
        }
    }

    fn received(&self, received: Reception) -> Result<(), Failure> {
        match received {
            Reception::Accepted => {
                self.context.output.text(&format!("{}: it is in the journal", self.found.run));
                Ok(())
            }
            Reception::Refused(why) => {
                Err(Failure::new(Ending::No, format!("the engine refused: {why}"))
                    .hint(format!("soter run show {} says what is needed", self.found.run)))
            }
        }
    }
}

fn step(name: &str) -> Result<StepId, Failure> {
    StepId::parse(name).map_err(|error| Failure::of(Ending::Input, &error))
}

impl StepArgs {
    fn asking<'c>(&self, context: &'c Context) -> Result<Asking<'c>, Failure> {
        Asking::of(context, &self.run, (&self.state, &self.person))
    }
}

impl RunArgs {
    fn asking<'c>(&self, context: &'c Context) -> Result<Asking<'c>, Failure> {
        Asking::of(context, &self.run, (&self.state, &self.person))
    }
}

pub(super) fn approve(context: &Context, args: &ApproveArgs) -> Result<(), Failure> {
    let asking = Asking::of(context, &args.run, (&args.state, &args.person))?;
    let (state, step) = (asking.state()?, step(&args.step)?);
    if let Some(Action::Approve { text, .. }) = state.step(&step).map(|one| &one.step.action) {
        let text = state.shown(text);
        context.output.say(&format!("{} says yes to: {}", asking.by, text.trim()));
    }
    if let Some(key) = &args.key {
        let signed = signed(context, key, &Subject::of(&state, &step))?;
        return asking.send(Wish::Approve { step, proof: Proof::Signature(signed) });
    }
    let proof = match (&args.code, args.break_glass, state.begun.kind) {
        (Some(code), _, _) => match Signed::parse(code) {
            Some(signed) => Proof::Signature(signed),
            None => Proof::Code(code.clone()),
        },
        (None, true, _) => Proof::BreakGlass,
        (None, false, Kind::Drill) => Proof::Word,
        (None, false, Kind::Real) if prompt::can_ask() => {
            Proof::Code(prompt::line(&format!("The code of {}:", asking.by))?)
        }
        (None, false, Kind::Real) => {
            return Err(Failure::new(Ending::Input, "a REAL run is approved with a code").hint(
                "--key FILE signs it; --code CODE is what `soter run code` makes from your secret; or \
                 --break-glass",
            ));
        }
    };
    asking.send(Wish::Approve { step, proof })
}

pub(super) fn refuse(context: &Context, args: &RefuseArgs) -> Result<(), Failure> {
    let (step, why) = (step(&args.of.step)?, args.of.why.clone());
    args.of.asking(context)?.send(Wish::Refuse { step, why })
}

pub(super) fn answer(context: &Context, args: &AnswerArgs) -> Result<(), Failure> {
    let asking = Asking::of(context, &args.run, (&args.state, &args.person))?;
    let step = step(&args.step)?;
    let value = match &args.answer {
        Some(answer) => answer.clone(),
        None => {
            let state = asking.state()?;
            let known = state.step(&step).map(|one| &one.step.action);
            let (text, names) = match known {
                Some(Action::Ask { text, gives }) => (state.shown(text), gives.clone()),
                Some(Action::Manual(text)) => (state.shown(text), Vec::new()),
                _ => (format!("The answer to {step}:"), Vec::new()),
            };
            prompted(&text, is_secret(&state, &names))?
        }
    };
    asking.send(Wish::Answer { step, value })
}

pub(super) fn give(context: &Context, args: &GiveArgs) -> Result<(), Failure> {
    let asking = Asking::of(context, &args.run, (&args.state, &args.person))?;
    let name = args.name.clone();
    let value = match &args.value {
        Some(value) => value.clone(),
        None => {
            let is_secret = is_secret(&asking.state()?, std::slice::from_ref(&name));
            prompted(&format!("The value of {name}:"), is_secret)?
        }
    };
    asking.send(Wish::Give { name, value })
}

fn is_secret(state: &State, names: &[String]) -> bool {
    let parameters = state.begun.procedure.parameters.iter();
    let mut secret = parameters.filter(|parameter| parameter.is_hidden());
    secret.any(|parameter| names.contains(&parameter.name))
}

fn prompted(question: &str, is_secret: bool) -> Result<String, Failure> {
    if !prompt::can_ask() {
        return Err(Failure::new(Ending::Input, "there is no terminal to ask at")
            .hint("write it behind the name"));
    }
    if is_secret { prompt::secret(question) } else { prompt::line(question) }
}

pub(super) fn look(context: &Context, args: &LookArgs) -> Result<(), Failure> {
    let asking = Asking::of(context, &args.run, (&args.state, &args.person))?;
    let about = asked_about(&asking.state()?, &args.step, args.probe.as_deref())?;
    let answer = match args.answer {
        Seen::Yes => Answer::Yes,
        Seen::No => Answer::No,
        Seen::Unknown => Answer::Unknown,
    };
    asking.send(Wish::Look { about, answer, evidence: args.evidence.clone() })
}

/// The question that is meant: the only open one of the step, or the named one.
fn asked_about(state: &State, place: &str, probe: Option<&str>) -> Result<Asked, Failure> {
    let number = |text: &str| text.parse::<usize>().ok().and_then(|number| number.checked_sub(1));
    if let Some(phase) = place.strip_prefix("phase:").and_then(number) {
        return Ok(Asked::Phase(phase));
    }
    let step = step(place)?;
    let which = match probe {
        Some("only-if") => Some(Which::OnlyIf),
        Some("already-done") => Some(Which::AlreadyDone),
        Some(named) => {
            let verify = named.strip_prefix("verify:").and_then(number).map(Which::Verify);
            Some(verify.ok_or_else(|| {
                Failure::new(Ending::Input, format!("there is no question {named:?}"))
                    .hint("one of: only-if, already-done, verify:1")
            })?)
        }
        None => None,
    };
    if let Some(which) = which {
        return Ok(Asked::Step { step, which });
    }
    let open = state.questions().into_iter().filter_map(|question| match question.needed {
        Needed::Look(about @ Asked::Step { .. }) if question.step.as_ref() == Some(&step) => {
            Some(about)
        }
        _ => None,
    });
    let mut open: Vec<Asked> = open.collect();
    match (open.pop(), open.is_empty()) {
        (Some(only), true) => Ok(only),
        (None, _) => {
            Err(Failure::new(Ending::Input, format!("nobody is asked to look at {step} now"))
                .hint("`soter run show` says what is needed"))
        }
        (Some(_), false) => Err(Failure::new(Ending::Input, "several of its questions are open")
            .hint("say which: --probe verify:1")),
    }
}

pub(super) fn skip(context: &Context, args: &StepArgs) -> Result<(), Failure> {
    args.asking(context)?.send(Wish::Skip { step: step(&args.step)?, why: args.why.clone() })
}

pub(super) fn mark_done(context: &Context, args: &StepArgs) -> Result<(), Failure> {
    args.asking(context)?.send(Wish::MarkDone { step: step(&args.step)?, why: args.why.clone() })
}

pub(super) fn branch(context: &Context, args: &StepArgs) -> Result<(), Failure> {
    args.asking(context)?.send(Wish::Branch { step: step(&args.step)?, why: args.why.clone() })
}

/// Have a step that is done, has failed or is in doubt taken back, by the steps that the plan has for that.
/// Whatever waits for it waits again; what depends on it and is done is undone before it. While it is
/// undone nothing else is begun, and afterwards somebody decides: retry, branch, skip or abort.
#[derive(Debug, clap::Args)]
pub(crate) struct UndoArgs {
    #[command(flatten)]
    of: StepArgs,
    /// It was taken back already, by hand.
    #[arg(long)]
    by_hand: bool,
}

pub(super) fn undo(context: &Context, args: &UndoArgs) -> Result<(), Failure> {
    let (step, why) = (step(&args.of.step)?, args.of.why.clone());
    args.of.asking(context)?.send(Wish::Undo { step, by_hand: args.by_hand, why })
}

pub(super) fn amend(context: &Context, args: &AmendArgs) -> Result<(), Failure> {
    let asking = args.of.asking(context)?;
    let (id, state) = (step(&args.of.step)?, asking.state()?);
    let known = state.step(&id).map(|one| (*one.step).clone()).ok_or_else(|| {
        Failure::new(Ending::Input, format!("the run has no step `{id}`"))
            .hint("`soter run show` lists them")
    })?;
    let changed = match &args.script {
        Some(file) => with_script(context, known, file)?,
        None => from_plan(context, &state, &id)?,
    };
    asking.send(Wish::Amend { step: Box::new(changed), why: args.of.why.clone() })
}

fn with_script(context: &Context, known: Step, file: &std::path::Path) -> Result<Step, Failure> {
    let Action::Run(_) = known.action else {
        return Err(Failure::new(Ending::Input, format!("`{}` is no script", known.id))
            .hint("change the plan, and take the step from there: --plan PATH"));
    };
    let doing = format!("read {}", file.display());
    let bytes = durable::read(&*context.disk, file, SCRIPT_BYTES_MAX)
        .map_err(|error| Failure::of(Ending::Input, &error).during(&doing))?;
    let script = String::from_utf8(bytes)
        .map_err(|_| Failure::new(Ending::Input, format!("{} is not text", file.display())))?;
    Ok(Step { action: Action::Run(script), ..known })
}

/// The step as it stands in the plan now.
fn from_plan(context: &Context, state: &State, id: &StepId) -> Result<Step, Failure> {
    let found = plans::find(&*context.disk, std::slice::from_ref(&context.plan_path))?;
    let files = found.first().ok_or_else(|| Failure::new(Ending::Input, "there is no plan"))?;
    let loaded = check::load(&files.read(&*context.disk)?);
    let scenario = &state.begun.procedure.scenario;
    let procedure = compile(&loaded.plan, scenario).map_err(|complaints| {
        let first = complaints.first().map(|one| one.what.clone()).unwrap_or_default();
        Failure::new(Ending::Input, format!("{scenario} cannot be run as the plan is now: {first}"))
            .hint("soter recover --dry-run says all that is wrong")
    })?;
    procedure.step(id).cloned().ok_or_else(|| {
        Failure::new(Ending::Input, format!("the plan's {scenario} has no step `{id}`"))
            .hint("give the step the same `id`")
    })
}

pub(super) fn retry(context: &Context, args: &RetryArgs) -> Result<(), Failure> {
    let asking = Asking::of(context, &args.run, (&args.state, &args.person))?;
    let from = if args.verification { RetryFrom::Verification } else { RetryFrom::Beginning };
    asking.send(Wish::Retry { step: step(&args.step)?, from })
}

pub(super) fn resolve(context: &Context, args: &ResolveArgs) -> Result<(), Failure> {
    let asking = Asking::of(context, &args.run, (&args.state, &args.person))?;
    let resolution = match args.resolution {
        Said::Run => Resolution::Run,
        Said::Done => Resolution::Done,
        Said::Skip => Resolution::Skip,
        Said::Failed => Resolution::Failed,
    };
    asking.send(Wish::Resolve { step: step(&args.step)?, resolution, why: args.why.clone() })
}

pub(super) fn lift(context: &Context, args: &LiftArgs) -> Result<(), Failure> {
    let asking = Asking::of(context, &args.run, (&args.state, &args.person))?;
    asking.send(Wish::Lift { name: args.name.clone(), why: args.why.clone() })
}

pub(super) fn pause(context: &Context, args: &RunArgs) -> Result<(), Failure> {
    args.asking(context)?.send(Wish::Pause { why: args.why.clone() })
}

pub(super) fn go_on(context: &Context, args: &RunArgs) -> Result<(), Failure> {
    args.asking(context)?.send(Wish::Continue { why: args.why.clone() })
}

pub(super) fn abort(context: &Context, args: &AbortArgs) -> Result<(), Failure> {
    let asking = Asking::of(context, &args.run, (&args.state, &args.person))?;
    let state = asking.state()?;
    let may = |step: &&StepState| state.may_undo(&step.step.id, false).is_ok();
    let left: Vec<String> =
        state.steps().filter(may).map(|step| format!("`{}`", step.step.id)).collect();
    asking.send(Wish::Abort { why: args.why.clone() })?;
    if !left.is_empty() {
        let left = left.join(", ");
        context.output.say(&format!("left as it is, though the plan says how to undo it: {left}"));
    }
    Ok(())
}
