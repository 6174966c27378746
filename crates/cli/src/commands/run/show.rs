//! `soter run show`: how a run stands, once or as long as somebody watches.

use std::time::Duration;

use jiff::SignedDuration;
use soter_runbook::state::{Closing, Life, State};
use soter_world::Stop;

use crate::board::{Attended, Board, Extent, lines};
use crate::context::{Access, Context};
use crate::failure::{Ending, Failure};
use crate::output::paper;
use crate::runs::copy::{self, Copies, RunCopy};
use crate::runs::screen::{self, Boards, Screen, Standing};
use crate::runs::{Found, StateArgs};

/// How often a journal is looked at that somebody watches.
const LOOK_EVERY: Duration = Duration::from_millis(250);

/// How often a copy in a vault is looked at that somebody watches.
const COPY_EVERY: SignedDuration = SignedDuration::from_secs(copy::LOOK_SECONDS);

/// How often it is looked whether an engine is at work: to look holds its lock for a moment.
const ENGINE_EVERY: Duration = Duration::from_secs(2);

/// Say how a run stands: what is needed of whom, whether it makes it, and what runs.
///
/// With --json everything of it, for programs. Lengths of time are in milliseconds under keys that end
/// in `_ms`; what ends in `words` is for people and may change. With --vault and --identity it is the copy
/// that is kept in that vault, from any machine: it says how old it is, and nothing is changed from there.
#[derive(Debug, clap::Args)]
pub(crate) struct ShowArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// A step: its log, its probes with what they saw, and what it does.
    #[arg(conflicts_with_all = ["watch", "all"])]
    step: Option<String>,
    /// Watch it until it is over: on a terminal a screen with keys, else lines.
    #[arg(long, short, conflicts_with = "all")]
    watch: bool,
    /// All there is, also of steps that are over or wait.
    #[arg(long)]
    all: bool,
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    access: Access,
}

pub(super) fn run(context: &Context, args: &ShowArgs) -> Result<(), Failure> {
    if let Some(copies) = Copies::of(context, &args.access)? {
        return show_copy(context, args, &copies.run(context, &args.run)?);
    }
    let found = args.state.run(context, &args.run)?;
    let loaded = found.load(context)?;
    if args.watch && !context.output.is_json() {
        return watch(context, &found, loaded.state);
    }
    let attended = attended(context, &found)?;
    if loaded.torn.is_some() && attended == Attended::Nobody {
        context.output.warn("the end of the journal is torn: the next engine puts it aside");
    }
    let now = screen::moment(context, &screen::machine()?);
    let state = &loaded.state;
    let boards = Boards::new(context, &found.directory, state)?;
    let standing = Standing { state, now: &now, attended, redactor: None, copy: None };
    show_board(context, args, &boards.board(standing))
}

fn show_board(context: &Context, args: &ShowArgs, board: &Board) -> Result<(), Failure> {
    let extent = if args.all { Extent::All } else { Extent::Now };
    match &args.step {
        None => context.output.data(board, |board| screen::show(board, extent)),
        Some(step) => show_step(context, board, step)?,
    }
    Ok(())
}

/// Shows what a vault has of a run, once or again and again.
fn show_copy(context: &Context, args: &ShowArgs, copy: &RunCopy) -> Result<(), Failure> {
    let machine = screen::machine()?;
    let directory = args.state.directory()?.join("runs").join(copy.run.as_str());
    let mut state = copy.load(context)?.state;
    let mut read = context.clock.now();
    let attended = Attended::Elsewhere;
    if !args.watch || context.output.is_json() {
        let now = screen::moment(context, &machine);
        let words = copy.words(&state, &now, read);
        let boards = Boards::new(context, &directory, &state)?;
        let copy = Some(words.as_str());
        let standing = Standing { state: &state, now: &now, attended, redactor: None, copy };
        return show_board(context, args, &boards.board(standing));
    }
    let stop = stop()?;
    let mut screen = Screen::new(context, &directory, &state)?;
    let on_screen = screen.is_watched();
    let mut outcome = Ok(());
    loop {
        let now = screen::moment(context, &machine);
        let words = copy.words(&state, &now, read);
        let copy_words = Some(words.as_str());
        let standing =
            Standing { state: &state, now: &now, attended, redactor: None, copy: copy_words };
        if screen.is_due(context, &state) {
            screen.show(context, standing);
        }
        let is_over = matches!(state.life, Life::Closed(_));
        let is_left = on_screen && !screen.is_watched();
        if is_left || (!on_screen && is_over) || outcome.is_err() || stop.wait(LOOK_EVERY) {
            screen.end(context, standing);
            return outcome;
        }
        if context.clock.now().duration_since(read) > COPY_EVERY {
            match copy.load(context) {
                Ok(loaded) => (state, read) = (loaded.state, context.clock.now()),
                Err(failure) => outcome = Err(failure),
            }
        }
    }
}

fn stop() -> Result<Stop, Failure> {
    Stop::on_signals()
        .map_err(|error| Failure::of(Ending::Failed, &error).during("listen to signals"))
}

fn show_step(context: &Context, board: &Board, id: &str) -> Result<(), Failure> {
    let paper = paper();
    let layout = lines::Layout { columns: paper.width, colour: paper.colour };
    let text = lines::show_step(board, id, layout).ok_or_else(|| {
        let failure = Failure::new(Ending::Input, format!("the run has no step {id:?}"));
        let known = board.steps.iter().map(|step| step.id.as_str());
        match soter_plan::nearest(id, known) {
            Some(near) => failure.hint(format!("did you mean {near}?")),
            None => failure.hint(format!("soter run show {} lists them", board.run)),
        }
    })?;
    let step = board.steps.iter().find(|step| step.id == id);
    context.output.data(&step, |_| text);
    Ok(())
}

/// Shows a run again and again, until it is over or somebody leaves.
fn watch(context: &Context, found: &Found, mut state: State) -> Result<(), Failure> {
    let stop = stop()?;
    let machine = screen::machine()?;
    let mut screen = Screen::new(context, &found.directory, &state)?;
    let on_screen = screen.is_watched();
    let (mut attended, mut looked) = (attended(context, found)?, context.clock.monotonic());
    let mut length = journal_length(context, found);
    let (mut reading, mut outcome) = (Duration::ZERO, Ok(()));
    loop {
        if screen.is_due(context, &state) {
            let now = screen::moment(context, &machine);
            let standing =
                Standing { state: &state, now: &now, attended, redactor: None, copy: None };
            screen.show(context, standing);
        }
        let is_over = matches!(state.life, Life::Closed(_));
        // On a screen somebody may still want to look around.
        if (on_screen && !screen.is_watched()) || (!on_screen && is_over) {
            break;
        }
        // A long journal is read less often: whoever watches takes little from the engine.
        if stop.wait(LOOK_EVERY.max(reading * 4)) {
            break;
        }
        if context.clock.monotonic() > looked + ENGINE_EVERY {
            (attended, looked) = (self::attended(context, found)?, context.clock.monotonic());
        }
        let now_long = journal_length(context, found);
        if now_long != length {
            length = now_long;
            let before = context.clock.monotonic();
            let loaded = found.load(context);
            reading = context.clock.monotonic().saturating_sub(before);
            match loaded {
                Ok(loaded) => state = loaded.state,
                Err(failure) => {
                    outcome = Err(failure);
                    break;
                }
            }
        }
    }
    let now = screen::moment(context, &machine);
    let standing = Standing { state: &state, now: &now, attended, redactor: None, copy: None };
    screen.end(context, standing);
    outcome
}

fn journal_length(context: &Context, found: &Found) -> Option<u64> {
    context.disk.open(&found.journal()).and_then(|file| file.len()).ok()
}

fn attended(context: &Context, found: &Found) -> Result<Attended, Failure> {
    Ok(if found.is_live(context)? { Attended::Here } else { Attended::Nobody })
}

const SUCCEEDED: &str = "over: success";

const GIVEN_UP: &str = "over: given up";

/// Whether a run goes on, in words.
pub(crate) fn life(life: &Life) -> String {
    match life {
        Life::Running => "it goes on".to_owned(),
        Life::Paused { why, .. } => format!("PAUSED: {why}"),
        Life::Aborting => "it is being given up".to_owned(),
        Life::Closed(Closing::Success) => SUCCEEDED.to_owned(),
        Life::Closed(Closing::Aborted) => GIVEN_UP.to_owned(),
    }
}
