//! `soter runs`: the runs of this machine.

use serde::Serialize;
use soter_runbook::forecast::spoken;
use soter_runbook::state::{Life, Loaded, Moment, State};

use super::run::life;
use crate::context::{Access, Context};
use crate::failure::Failure;
use crate::output::table;
use crate::runs::copy::Copies;
use crate::runs::{Found, StateArgs, screen, words};

/// List the runs of this machine; with --vault and --identity those that a vault has copies of.
#[derive(Debug, clap::Args)]
pub(crate) struct RunsArgs {
    #[command(flatten)]
    state: StateArgs,
    #[command(flatten)]
    access: Access,
}

#[derive(Serialize)]
struct Row {
    run: String,
    kind: Option<String>,
    target: Option<String>,
    began: Option<jiff::Timestamp>,
    status: String,
    /// Whether one carries it on; of a copy nobody can tell.
    #[serde(skip_serializing_if = "Option::is_none")]
    engine: Option<bool>,
    /// When its last record was made, of a copy.
    #[serde(skip_serializing_if = "Option::is_none")]
    last_record_at: Option<jiff::Timestamp>,
}

pub(super) fn run(context: &Context, args: &RunsArgs) -> Result<(), Failure> {
    if let Some(copies) = Copies::of(context, &args.access)? {
        return show_copies(context, &copies);
    }
    let runs = args.state.runs(context)?;
    let rows = runs.iter().map(|found| row(context, found)).collect::<Result<Vec<Row>, _>>()?;
    context.output.data(&rows, |rows| in_words(rows));
    Ok(())
}

/// The runs that a vault has, as far as they are believed.
fn show_copies(context: &Context, copies: &Copies) -> Result<(), Failure> {
    let now = screen::moment(context, &screen::machine()?);
    let runs = copies.runs(context)?;
    let loaded = runs.iter().map(|run| {
        let loaded = copies.run(context, run.as_str()).and_then(|copy| copy.load(context));
        copied_row(run.to_string(), loaded, &now)
    });
    let rows: Vec<Row> = loaded.collect();
    let read = words::time(context.clock.now());
    context.output.say(&format!("copies, read at {read}Z in the vault {}", copies.url));
    context.output.data(&rows, |rows| in_words(rows));
    Ok(())
}

fn copied_row(run: String, loaded: Result<Loaded, Failure>, now: &Moment) -> Row {
    let loaded = match loaded {
        Ok(loaded) => loaded,
        Err(failure) => return unread(run, &failure, None),
    };
    let state = loaded.state;
    let mut status = life(&state.life);
    if !matches!(state.life, Life::Closed(_)) {
        let age = spoken(now.since(&state.last));
        status = format!("{status}, when its last record was made on {}, {age} ago", state.host);
    }
    Row { last_record_at: Some(state.last.at), ..begun_row(run, &state, status) }
}

/// A run of which the journal is read; whether an engine has it is not said.
fn begun_row(run: String, state: &State, status: String) -> Row {
    Row {
        run,
        kind: Some(state.begun.kind.to_string()),
        target: Some(state.begun.target.clone()),
        began: Some(state.since.at),
        status,
        engine: None,
        last_record_at: None,
    }
}

fn unread(run: String, failure: &Failure, engine: Option<bool>) -> Row {
    let status = failure.in_one_line();
    Row { run, kind: None, target: None, began: None, status, engine, last_record_at: None }
}

fn row(context: &Context, found: &Found) -> Result<Row, Failure> {
    let engine = found.is_live(context)?;
    let run = found.run.to_string();
    Ok(match found.load(context) {
        Ok(loaded) => {
            let state = loaded.state;
            let is_closed = matches!(state.life, Life::Closed(_));
            let status = match is_closed || engine {
                true => life(&state.life),
                false => format!("no engine: soter run resume {run}"),
            };
            Row { engine: Some(engine), ..begun_row(run, &state, status) }
        }
        Err(failure) => unread(run, &failure, Some(engine)),
    })
}

fn in_words(rows: &[Row]) -> String {
    if rows.is_empty() {
        return "there is no run here".to_owned();
    }
    let cells = |row: &Row| {
        let kind = row.kind.clone().unwrap_or_else(|| "?".to_owned());
        let target = row.target.clone().unwrap_or_else(|| "?".to_owned());
        vec![row.run.clone(), kind, target, row.status.clone()]
    };
    let cells: Vec<Vec<String>> = rows.iter().map(cells).collect();
    table(&["run", "kind", "target", "status"], &cells)
}
