//! A script beside an attempt: a question.
//!
//! The rule it keeps: it is ended when nobody waits for it any more, with all that it started. What must
//! outlive its engine is an attempt, or a part of one, not this.

use soter_world::exec::{Command, Finished, Input, Status};

use super::attempts::there;
use super::elsewhere::{self, Mark, Word};
use super::real::Tools;
use crate::driver::Kind;
use crate::ids::RunId;
use crate::procedure::Parameters;

/// Longest script that fits into an argument; one that is longer is a program.
const SCRIPT_BYTES_MAX: usize = 100 << 10;

/// A script, and for whom it runs.
pub(super) struct Aside<'a> {
    /// The run and the step; the step is empty if it is none's.
    pub(super) whose: (&'a RunId, &'a str),
    /// Whether it is the real thing.
    pub(super) kind: Kind,
    /// What it is told.
    pub(super) parameters: &'a Parameters,
    /// The machine it runs on, if that is not the one of the run.
    pub(super) on: Option<&'a str>,
    /// The script.
    pub(super) script: &'a str,
}

impl Aside<'_> {
    /// The command that runs it.
    pub(super) fn command(&self, tools: &Tools, mark: &Mark) -> Result<Command, String> {
        let place = &tools.place;
        let told = place.told(self.whose, self.kind, self.parameters);
        let mut command = match self.on {
            Some(host) => {
                let (program, arguments, input) =
                    there(host, self.script, &told, place, self.parameters, mark)?;
                Command::new(program)
                    .args(arguments)
                    .stdin(Input::Bytes(input.into_bytes()))
                    .env_clear()
            }
            None if self.script.len() > SCRIPT_BYTES_MAX => {
                return Err(format!(
                    "a script of {} bytes is too long for this: make it a program",
                    self.script.len()
                ));
            }
            None => {
                let arguments = ["-euo", "pipefail", "-c", self.script];
                let mut command = Command::new("bash").args(arguments).env_clear();
                for (name, value) in told.plain {
                    command = command.env(name, value);
                }
                for (name, value) in told.hidden {
                    command = command.env(name, value.expose());
                }
                command
            }
        };
        for (name, value) in place.handed_on() {
            command = command.env(name, value);
        }
        let work = place.work_directory();
        Ok(command.current_dir(if work.is_dir() { work } else { "/".into() }))
    }
}

/// The exit code of a script and what it wrote; no code if it is not known. With a mark it ran on
/// another machine.
pub(super) fn read(finished: &Finished, mark: Option<&Mark>) -> (Option<i32>, String) {
    let output = String::from_utf8_lossy(&finished.stdout).into_owned();
    let Some(mark) = mark else {
        let code = match finished.status {
            Status::Exited(code) => Some(code),
            Status::Signaled(_) => None,
        };
        return (code, output);
    };
    let code = match elsewhere::word(&output, &output, mark) {
        Word::Ended { code, .. } => Some(code),
        Word::Begun | Word::Nothing => None,
    };
    (code, elsewhere::shown(&output, mark))
}

/// The end of a text: there stands what matters.
pub(super) fn end_of(text: &str, bytes_max: usize) -> String {
    let text = text.trim_end();
    let cut = text.len().saturating_sub(bytes_max);
    let from = (cut..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    text.get(from..).unwrap_or_default().to_owned()
}
