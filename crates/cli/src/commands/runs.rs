//! `soter runs`: the runs of this machine.

use serde::Serialize;
use soter_runbook::state::Life;

use super::run::life;
use crate::context::Context;
use crate::failure::Failure;
use crate::output::table;
use crate::runs::{Found, StateArgs};

#[derive(Debug, clap::Args)]
pub(crate) struct RunsArgs {
    #[command(flatten)]
    state: StateArgs,
}

#[derive(Serialize)]
struct Row {
    run: String,
    kind: Option<String>,
    target: Option<String>,
    began: Option<jiff::Timestamp>,
    status: String,
    engine: bool,
}

pub(super) fn run(context: &Context, args: &RunsArgs) -> Result<(), Failure> {
    let runs = args.state.runs(context)?;
    let rows = runs.iter().map(|found| row(context, found)).collect::<Result<Vec<Row>, _>>()?;
    context.output.data(&rows, |rows| in_words(rows));
    Ok(())
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
            Row {
                run,
                kind: Some(state.begun.kind.to_string()),
                target: Some(state.begun.target.clone()),
                began: Some(state.since.at),
                status,
                engine,
            }
        }
        Err(failure) => {
            let status = failure.in_one_line();
            Row { run, kind: None, target: None, began: None, status, engine }
        }
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
