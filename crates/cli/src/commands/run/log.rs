//! `soter run log`: what happened in a run, in order.

use std::time::Duration;

use soter_runbook::procedure::Procedure;
use soter_runbook::state::Event;

use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::runs::follow::{Follower, Line};
use crate::runs::{StateArgs, words};

/// How often a journal is looked at that somebody follows.
const LOOK_EVERY: Duration = Duration::from_millis(200);

#[derive(Debug, clap::Args)]
pub(crate) struct LogArgs {
    /// The run: its name, the beginning of it, or `latest`.
    run: String,
    /// Go on until the run is over, or Ctrl-C.
    #[arg(long, short)]
    follow: bool,
    #[command(flatten)]
    state: StateArgs,
}

pub(super) fn run(context: &Context, args: &LogArgs) -> Result<(), Failure> {
    let found = args.state.run(context, &args.run)?;
    let mut follower = Follower::new(found.journal());
    let mut procedure: Option<Procedure> = None;
    loop {
        let lines = follower.more(&*context.disk).map_err(|error| {
            Failure::of(Ending::Failed, &error)
                .during(&format!("read the journal of {}", found.run))
        })?;
        for line in &lines {
            if let Some(Event::Begun(begun)) = &line.event {
                procedure = Some(begun.procedure.clone());
            }
            context.output.text(&shown(context, line, procedure.as_ref()));
        }
        let is_over = lines.iter().any(|line| matches!(line.event, Some(Event::Closed { .. })));
        if is_over || !args.follow {
            return Ok(());
        }
        context.clock.sleep(LOOK_EVERY);
    }
}

fn shown(context: &Context, line: &Line, procedure: Option<&Procedure>) -> String {
    if context.output.is_json() {
        return line.text.clone();
    }
    format!("{:>5}  {}", line.n, words::line(line, procedure))
}
