//! `soter run log`: what happened in a run, in order.

use std::time::Duration;

use soter_runbook::state::Event;

use crate::context::{Access, Context};
use crate::failure::{Ending, Failure};
use crate::runs::copy::{self, Copies, RunCopy};
use crate::runs::follow::{Follower, Line, lines_behind};
use crate::runs::words::{self, Told};
use crate::runs::{Found, StateArgs};

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
    /// With --vault the copy that is kept there is read, whatever is on this machine.
    #[command(flatten)]
    access: Access,
}

/// Where records come from.
enum Source {
    Here(Found, Follower),
    /// A vault, and the number of the last record that was read.
    Copy(Box<RunCopy>, u64),
}

pub(super) fn run(context: &Context, args: &LogArgs) -> Result<(), Failure> {
    let mut source = match Copies::of(context, &args.access)? {
        Some(copies) => {
            let copy = copies.run(context, &args.run)?;
            let words = format!("a copy of {}, as it is in the vault {}", copy.run, copy.url);
            context.output.say(&words);
            Source::Copy(Box::new(copy), 0)
        }
        None => {
            let found = args.state.run(context, &args.run)?;
            let follower = Follower::new(found.journal());
            Source::Here(found, follower)
        }
    };
    let mut told = Told::default();
    loop {
        let lines = source.more(context)?;
        for line in &lines {
            if let Some(event) = &line.event {
                told.learn(event);
            }
            context.output.text(&shown(context, line, &told));
        }
        let is_over = lines.iter().any(|line| matches!(line.event, Some(Event::Closed { .. })));
        if is_over || !args.follow {
            return Ok(());
        }
        context.clock.sleep(source.every());
    }
}

impl Source {
    /// The records that were added since.
    fn more(&mut self, context: &Context) -> Result<Vec<Line>, Failure> {
        match self {
            Self::Here(found, follower) => follower.more(&*context.disk).map_err(|error| {
                Failure::of(Ending::Failed, &error)
                    .during(&format!("read the journal of {}", found.run))
            }),
            Self::Copy(copy, last) => {
                let lines = lines_behind(&copy.lines(context)?, *last);
                *last = lines.last().map_or(*last, |line| line.n);
                Ok(lines)
            }
        }
    }

    fn every(&self) -> Duration {
        match self {
            Self::Here(..) => LOOK_EVERY,
            Self::Copy(..) => copy::LOOK_EVERY,
        }
    }
}

fn shown(context: &Context, line: &Line, told: &Told) -> String {
    if context.output.is_json() {
        return line.text.clone();
    }
    format!("{:>5}  {}", line.n, words::line(line, told))
}
