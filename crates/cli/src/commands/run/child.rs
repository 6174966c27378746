//! `soter run child`: the process that watches over a command of a run. For the engine alone.

use std::path::PathBuf;

use soter_runbook::child::{self, ChildError, Launcher};
use soter_world::{Machine, OsDisk, SystemClock};

use crate::failure::{Ending, Failure};

#[derive(Debug, clap::Args)]
pub(crate) struct ChildArgs {
    /// The directory of the attempt.
    directory: PathBuf,
    /// The process that waits for the end: take the slot and become the command.
    supervisor: Option<u32>,
}

/// The words of the hidden command.
const CHILD_WORDS: [&str; 2] = ["run", "child"];

/// Runs the command.
pub(super) fn run(args: &ChildArgs) -> Result<(), Failure> {
    child(args).map_err(|error| Failure::of(Ending::Failed, &error))
}

fn child(args: &ChildArgs) -> Result<(), ChildError> {
    let directory = &args.directory;
    match args.supervisor {
        Some(supervisor) => {
            let machine = Machine::this().map_err(ChildError::Processes)?;
            child::begin(&OsDisk, &machine.boot, directory, supervisor)
        }
        None => child::supervise(&OsDisk, &SystemClock, &launcher(), directory),
    }
}

/// How this binary starts itself as a supervisor. By this name it is the same binary even when its
/// file was replaced by a newer one meanwhile.
pub(crate) fn launcher() -> Launcher {
    let arguments = CHILD_WORDS.map(Into::into).to_vec();
    Launcher { program: "/proc/self/exe".into(), arguments }
}
