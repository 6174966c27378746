//! A script beside an attempt: a question, or a part of what a step does in this process.
//!
//! The rule it keeps: it is ended when nobody waits for it any more, with all that it started. What must
//! outlive its engine is an attempt of its own, not this.

use std::time::Duration;

use soter_world::exec::{Command, Finished, Input, Status};
use soter_world::{Stop, random};

use super::attempts::{in_words, there};
use super::elsewhere::{self, Mark, Word};
use super::real::Tools;
use crate::driver::{Attempt, Kind};
use crate::ids::RunId;
use crate::procedure::Parameters;

/// Longest script that fits into an argument; one that is longer is a program.
const SCRIPT_BYTES_MAX: usize = 100 << 10;

/// How often it is looked whether somebody wants a script to end.
const LOOK_EVERY: Duration = Duration::from_millis(50);

/// How much of what a script wrote stands in a message.
const WORDS_BYTES_MAX: usize = 1 << 10;

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

/// Runs a script as a part of what an attempt does, and waits for its end. Answers what it wrote,
/// secrets covered.
///
/// # Errors
/// In words, when it did not end with 0 or was ended by `stop`. Nothing of it goes on, but on another
/// machine it may.
pub fn run_script(
    tools: &Tools,
    attempt: &Attempt,
    (on, script): (Option<&str>, &str),
    stop: &Stop,
) -> Result<String, String> {
    let redactor = tools.place.redactor(&attempt.parameters);
    let cover = |text: &str| redactor.cover_text(text);
    let mark = Mark(hex::encode(random::bytes::<8>(&*tools.random)));
    let whose = (&attempt.run, attempt.step.id.as_str());
    let aside = Aside { whose, kind: attempt.kind, parameters: &attempt.parameters, on, script };
    let command = aside.command(tools, &mark).map_err(|why| cover(&why))?;
    let mut child = command.spawn().map_err(|error| cover(&in_words(&error)))?;
    let finished = loop {
        if let Some(finished) = child.wait_timeout(LOOK_EVERY) {
            break finished;
        }
        if stop.is_stopped() {
            child.kill();
            drop(child.wait());
            return Err("it was ended before its time".to_owned());
        }
    };
    let (code, output) = read(&finished, on.is_some().then_some(&mark));
    let said = cover(&format!("{output}{}", String::from_utf8_lossy(&finished.stderr)));
    match code {
        Some(0) => Ok(said),
        Some(code) => Err(with_words(&format!("ended with exit code {code}"), &said)),
        None if on.is_some() => Err(with_words("no word of its end has come", &said)),
        None => Err(with_words(&format!("ended with {}", finished.status), &said)),
    }
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

fn with_words(what: &str, said: &str) -> String {
    let said = end_of(said, WORDS_BYTES_MAX);
    if said.is_empty() { what.to_owned() } else { format!("{what}: {said}") }
}
