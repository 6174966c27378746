//! A run on the screen, while an engine carries it on or somebody watches one that does.
//!
//! The rule it keeps: what is shown is a [`Board`]. On a terminal it is a screen until somebody leaves
//! it; then, and everywhere else, it is lines. To show costs little: a board is made when something
//! was recorded, and once a second.

use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use soter_runbook::child::Children;
use soter_runbook::forecast::{History, forecast};
use soter_runbook::state::{Begun, Entry, Event, Moment, State, Status, load};
use soter_runbook::steps::{Redactor, keep_shown, last_lines, shown_lines};
use soter_runbook::{RunId, StepId};
use soter_world::{Disk, Machine, durable};

use crate::board::lines::{COLUMNS_MAX, Layout, Lines};
use crate::board::terminal::{self, Watch};
use crate::board::{Attended, Board, Extent, Seen, lines, quoted};
use crate::commands::launcher;
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::output::error_paper;

/// Time passes on a screen once a second.
const AGAIN: Duration = Duration::from_secs(1);

/// Nobody reads faster than this.
const SOONEST: Duration = Duration::from_millis(100);

/// To show takes at most one part in so many of the time: a run of thousands of steps is not held up
/// by being looked at.
const SHARE: u32 = 10;

/// So many of the newest runs say how long steps take: older ones tell of another plan.
const HISTORY_RUNS_MAX: usize = 20;

/// A longer journal is of a run of tens of thousands of steps; to read it would hold up this one.
const HISTORY_BYTES_MAX: usize = 32 << 20;

/// So many lines of what a step writes.
const LOG_LINES: usize = 8;

/// What boards of one run are made with.
pub(crate) struct Boards {
    directory: PathBuf,
    options: String,
    history: History,
    children: Children,
}

/// Shows one run, again and again.
pub(crate) struct Screen {
    boards: Boards,
    watch: Option<Watch>,
    lines: Lines,
    /// When it is shown again at the soonest, and when though nothing was recorded.
    soonest: Duration,
    next: Duration,
    records: u64,
    /// What was to be said while a screen hid it.
    notes: Vec<String>,
}

/// A run as it is now, and who carries it on.
#[derive(Clone, Copy)]
pub(crate) struct Standing<'s> {
    /// The run.
    pub(crate) state: &'s State,
    /// Now.
    pub(crate) now: &'s Moment,
    /// Whether an engine is at work.
    pub(crate) attended: Attended,
    /// What covers the run's secrets; none: they are not known here.
    pub(crate) redactor: Option<&'s Redactor>,
    /// That it is a copy, in words; none: it is the run's own journal.
    pub(crate) copy: Option<&'s str>,
}

impl Boards {
    /// For the run of a directory, `STATE/runs/RUN`. `options` are what every command about it needs.
    pub(crate) fn new(context: &Context, directory: &Path, state: &State) -> Result<Self, Failure> {
        let machine = machine()?;
        let runs = directory.parent().unwrap_or(directory);
        let scenario = &state.begun.procedure.scenario;
        let (disk, clock) = (Arc::clone(&context.disk), Arc::clone(&context.clock));
        Ok(Self {
            directory: directory.to_owned(),
            options: options(runs),
            history: history(&*context.disk, runs, scenario, Some(state.run())),
            children: Children::new(disk, clock, launcher(), machine.boot),
        })
    }

    /// The run at a moment.
    pub(crate) fn board(&self, standing: Standing<'_>) -> Board {
        let Standing { state, now, attended, copy, .. } = standing;
        let forecast = forecast(state, now, &self.history);
        Board::of(&Seen {
            state,
            now,
            forecast: &forecast,
            attended,
            tail: &|step, attempt| self.tail(standing, step, attempt),
            options: &self.options,
            copy,
        })
    }

    /// The end of what an attempt has written, as the engine may show it, which keeps that for others.
    /// These know none of its secrets, and so look at nothing else.
    fn tail(&self, standing: Standing<'_>, step: &StepId, attempt: u32) -> Vec<String> {
        let directory = self.directory.join("children").join(format!("{step}.{attempt}"));
        let Some(redactor) = standing.redactor else {
            return self.kept_tail(standing, &directory);
        };
        let is_unseen = standing.state.step(step).is_some_and(|step| {
            // What it makes is known when it has given it.
            let is_given = matches!(step.status, Status::Verifying);
            !is_given && standing.state.makes_secret(step)
        });
        let blind = Redactor::blind();
        let redactor = if is_unseen { &blind } else { redactor };
        let lines = last_lines(&self.children, &directory, redactor, LOG_LINES);
        // The directory may not be there yet; and a full disk keeps nobody from watching here.
        keep_shown(&self.children, &directory, &lines).ok();
        lines
    }

    fn kept_tail(&self, standing: Standing<'_>, directory: &Path) -> Vec<String> {
        let Some(lines) = shown_lines(&self.children, directory) else { return Vec::new() };
        let is_left = standing.attended == Attended::Nobody;
        let note = is_left.then(|| "(as it was when the last engine looked)".to_owned());
        lines.into_iter().chain(note).collect()
    }
}

impl Screen {
    /// For the run of a directory. With a terminal to show it on it takes that.
    pub(crate) fn new(context: &Context, directory: &Path, state: &State) -> Result<Self, Failure> {
        let boards = Boards::new(context, directory, state)?;
        let paper = error_paper();
        let layout = Layout { columns: paper.width.min(COLUMNS_MAX), colour: paper.colour };
        let is_watched = context.output.is_live() && terminal::is_possible();
        // Without a screen there are still lines.
        let watch = is_watched.then(|| Watch::begin(paper.colour).ok()).flatten();
        let (soonest, next) = (Duration::ZERO, Duration::ZERO);
        let (lines, notes) = (Lines::new(layout), Vec::new());
        Ok(Self { boards, watch, lines, soonest, next, records: 0, notes })
    }

    /// Whether there is something new to be seen.
    pub(crate) fn is_due(&self, context: &Context, state: &State) -> bool {
        let up = context.clock.monotonic();
        let is_new = state.records != self.records && up >= self.soonest;
        is_new || up >= self.next || self.has_left()
    }

    /// Shows the run.
    pub(crate) fn show(&mut self, context: &Context, standing: Standing<'_>) {
        self.records = standing.state.records;
        let before = context.clock.monotonic();
        if self.has_left() {
            self.leave(context);
        }
        let board = self.boards.board(standing);
        match &self.watch {
            Some(watch) => watch.show(board),
            None => say(context, &self.lines.update(board)),
        }
        let after = context.clock.monotonic();
        self.soonest = after + SOONEST.max(after.saturating_sub(before) * (SHARE - 1));
        self.next = self.soonest.max(after + AGAIN);
    }

    /// Whether it is on a screen that nobody has left.
    pub(crate) fn is_watched(&self) -> bool {
        self.watch.as_ref().is_some_and(|watch| !watch.is_left())
    }

    fn has_left(&self) -> bool {
        self.watch.as_ref().is_some_and(Watch::is_left)
    }

    /// Something that must be seen: at once, or when the screen is gone.
    pub(crate) fn warn(&mut self, context: &Context, sentence: String) {
        if self.watch.is_some() {
            self.notes.push(sentence);
        } else {
            context.output.warn(&sentence);
        }
    }

    fn leave(&mut self, context: &Context) {
        if let Some(watch) = self.watch.take()
            && let Err(error) = watch.end()
        {
            context.output.warn(&format!("the screen ended: {error}"));
        }
        for note in self.notes.drain(..) {
            context.output.warn(&note);
        }
    }

    /// Gives the terminal back, and says once more how the run stands.
    pub(crate) fn end(mut self, context: &Context, standing: Standing<'_>) {
        let was_watched = self.watch.is_some();
        self.leave(context);
        let lines = self.lines.update(self.boards.board(standing));
        // Whoever read lines has read all but the last ones.
        if !was_watched {
            say(context, &lines);
        }
        context.output.say(&self.lines.end());
    }
}

fn say(context: &Context, lines: &[String]) {
    for line in lines {
        context.output.say(line);
    }
}

/// A board of a moment, for the one who asks once.
pub(crate) fn show(board: &Board, extent: Extent) -> String {
    let paper = crate::output::paper();
    let columns = paper.width.min(COLUMNS_MAX);
    lines::show(board, extent, Layout { columns, colour: paper.colour })
}

/// Whether it will be back in time, alone.
pub(crate) fn show_services(board: &Board) -> String {
    let paper = crate::output::paper();
    let layout = Layout { columns: paper.width.min(COLUMNS_MAX), colour: paper.colour };
    lines::show_services(board, layout)
}

/// A run that has not begun, as it would look at its beginning; nothing is written. The directory
/// is the one it would have.
pub(crate) fn before_it_begins(
    context: &Context,
    (directory, begun): (&Path, Begun),
) -> Result<Board, Failure> {
    let now = moment(context, &machine()?);
    let by = begun.requester.clone();
    let event = Event::Begun(Box::new(begun));
    let entry = Entry { by, epoch: 1, at: now.clone(), event };
    let state = State::begin(&entry).map_err(|error| Failure::of(Ending::Input, &error))?;
    let boards = Boards::new(context, directory, &state)?;
    let attended = Attended::Nobody;
    let standing = Standing { state: &state, now: &now, attended, redactor: None, copy: None };
    Ok(boards.board(standing))
}

/// This machine.
pub(crate) fn machine() -> Result<Machine, Failure> {
    Machine::this()
        .map_err(|error| Failure::of(Ending::Failed, &error).during("say which machine this is"))
}

/// Now, as a run counts it.
pub(crate) fn moment(context: &Context, machine: &Machine) -> Moment {
    let (at, up) = (context.clock.now(), context.clock.uptime());
    Moment { boot: machine.boot.as_str().into(), at, up }
}

/// Where runs are, as an option, if that is not where everybody looks.
pub(crate) fn options(runs: &Path) -> String {
    let state = runs.parent().unwrap_or(runs);
    let usual = super::StateArgs { state: None }.directory().ok();
    if usual.as_deref() == Some(state) {
        return String::new();
    }
    format!("--state {}", quoted(&state.display().to_string()))
}

/// How long the steps of a scenario took in runs here that are over. What cannot be read tells
/// nothing, and is in nobody's way.
pub(crate) fn history(
    disk: &dyn Disk,
    runs: &Path,
    scenario: &str,
    except: Option<&RunId>,
) -> History {
    let mut history = History::of(scenario);
    let names = disk.list(runs).unwrap_or_default().into_iter();
    let names = names.filter_map(|entry| RunId::parse(&entry.name.into_string().ok()?).ok());
    let of_scenario =
        |run: &RunId| run.as_str().rsplitn(4, '-').last().is_some_and(|name| name == scenario);
    let mut names: Vec<RunId> =
        names.filter(|run| Some(run) != except && of_scenario(run)).collect();
    // The end of a name but for four letters is the minute in which it began.
    names.sort_by(|one, other| other.as_str().cmp(one.as_str()));
    for run in names.iter().take(HISTORY_RUNS_MAX) {
        let path = runs.join(run.as_str()).join("journal");
        if let Ok(bytes) = durable::read(disk, &path, HISTORY_BYTES_MAX)
            && let Ok(loaded) = load(&bytes)
        {
            history.learn(&loaded.state);
        }
    }
    history
}
