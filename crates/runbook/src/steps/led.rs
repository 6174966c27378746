//! An attempt that an engine leads: scripts, one after the other, that outlive it as other commands do.
//!
//! ```text
//! children/STEP.ATTEMPT/parts/NAME/1/   a script, with everything about it
//!                              /2/   the same again, after it was cut off
//! ```
//!
//! The rule it keeps: of one part no second script is begun while a first one lives, whoever began that:
//! this engine, one before it, or an attempt that could not end it. What has ended in an attempt is not
//! done again in it. What an engine leaves goes on, and the next one leads the same attempt on.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use soter_world::Stop;

use super::attempts::{self, in_words};
use super::real::Tools;
use crate::child::{ChildError, Condition};
use crate::driver::{Attempt, Outcome};
use crate::procedure::Step;

/// Where the parts of an attempt are, in its directory.
const PARTS: &str = "parts";

/// How many lines that a part wrote are shown with it.
const SHOWN_LINES: usize = 5;

/// What the thread that leads an attempt looks at.
#[derive(Debug, Clone)]
pub struct Lead {
    stop: Stop,
    left: Stop,
}

/// A script of an attempt.
#[derive(Debug, Clone, Copy)]
pub struct Part<'p> {
    /// What it is called in this step: whoever leads the attempt on finds it by that.
    pub name: &'p str,
    /// The machine it runs on, if that is not the one of the run; may name parameters.
    pub on: Option<&'p str>,
    /// The script.
    pub script: &'p str,
}

/// Why a part is not known to be done. Secrets are covered in its words.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum NotDone {
    /// It failed, could not be begun, or was ended.
    Failed(String),
    /// Nobody knows whether it was done, and it is not to be done on hope.
    Unknown(String),
    /// The engine left it: it goes on by itself.
    Left,
}

impl Lead {
    /// By the token that ends the attempt, and the one that says that the engine leaves, which is
    /// stopped before the other.
    #[must_use]
    pub fn new(stop: Stop, left: Stop) -> Self {
        Self { stop, left }
    }

    /// Stopped when the attempt is to end, and when the engine leaves it.
    #[must_use]
    pub fn stop(&self) -> &Stop {
        &self.stop
    }

    /// Whether the engine leaves: nothing new is begun, nothing is ended.
    #[must_use]
    pub fn is_left(&self) -> bool {
        self.left.is_stopped()
    }
}

/// Runs a part of an attempt, or takes up what was begun of it, and waits for its end. Answers the last
/// lines it wrote, secrets covered.
///
/// # Errors
/// When it is not known to have ended well.
pub fn run_part(
    tools: &Tools,
    attempt: &Attempt,
    part: &Part<'_>,
    lead: &Lead,
) -> Result<Vec<String>, NotDone> {
    let runner = Runner { tools, attempt: &as_part(attempt, part), part, lead };
    let step = &attempt.step;
    // What an attempt before this one began and could not end: how it ends is nothing to this one.
    for number in 1..attempt.number {
        if let Some((_, directory)) = runner.last(&runner.place_of(number))? {
            runner.wait(&directory)?;
        }
    }
    let place = runner.place_of(attempt.number);
    let tried = match runner.last(&place)? {
        None => 0,
        Some((tried, directory)) => match runner.wait(&directory)? {
            Condition::Ended(_) => return runner.read(&directory),
            Condition::Vanished if step.destructive => return Err(runner.vanished()),
            Condition::Vanished | Condition::NeverBegan | Condition::Running(_) => tried,
        },
    };
    if lead.stop().is_stopped() {
        return Err(runner.stopped());
    }
    let directory = place.join((tried + 1).to_string());
    let (place, children) = (&tools.place, &tools.children);
    let (random, script) = (&*tools.random, part.script);
    let (spec, hidden) =
        attempts::script(runner.attempt, &directory, place, children, random, script)
            .map_err(|why| runner.failed(&why))?;
    children.start(&directory, &spec, &hidden).map_err(|error| runner.error(&error))?;
    match runner.wait(&directory)? {
        Condition::Ended(_) => runner.read(&directory),
        _ => Err(runner.vanished()),
    }
}

/// An attempt of nothing but the part: where it runs, and that it gives nothing.
fn as_part(attempt: &Attempt, part: &Part<'_>) -> Attempt {
    let on = part.on.map(str::to_owned);
    let step = Step { on, gives: Vec::new(), ..(*attempt.step).clone() };
    Attempt { step: Arc::new(step), ..attempt.clone() }
}

struct Runner<'r> {
    tools: &'r Tools,
    attempt: &'r Attempt,
    part: &'r Part<'r>,
    lead: &'r Lead,
}

impl Runner<'_> {
    fn place_of(&self, number: u32) -> PathBuf {
        let attempt = self.tools.place.attempt(&self.attempt.step.id, number);
        attempt.join(PARTS).join(file_name(self.part.name))
    }

    /// The last script of a part that was begun there, and how manieth it is.
    fn last(&self, place: &Path) -> Result<Option<(u32, PathBuf)>, NotDone> {
        let entries = match self.tools.children.disk().list(place) {
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            entries => entries.map_err(|error| {
                self.failed(&format!("cannot look into {}: {error}", place.display()))
            })?,
        };
        let numbers = entries.iter().filter_map(|entry| entry.name.to_str()?.parse::<u32>().ok());
        Ok(numbers.max().map(|number| (number, place.join(number.to_string()))))
    }

    /// Waits for the end of what was begun in a directory. If it was not begun yet, nobody will.
    fn wait(&self, directory: &Path) -> Result<Condition, NotDone> {
        let children = &self.tools.children;
        let condition = children.wait(directory, self.lead.stop());
        let condition = condition.map_err(|error| self.error(&error))?;
        if !matches!(condition, Condition::Running(_)) {
            return Ok(condition);
        }
        if !self.lead.is_left() {
            let condition = children.cancel(directory).map_err(|error| self.error(&error))?;
            if let Condition::Running(process) = condition {
                let number = process.process;
                return Err(self.failed(&format!("was told to end, and goes on: process {number}")));
            }
        }
        Err(self.stopped())
    }

    /// How a script ended.
    fn read(&self, directory: &Path) -> Result<Vec<String>, NotDone> {
        let (place, children) = (&self.tools.place, &self.tools.children);
        let Condition::Ended(ended) =
            children.look(directory).map_err(|error| self.error(&error))?
        else {
            return Err(self.vanished());
        };
        match attempts::outcome(self.attempt, directory, place, children, &ended) {
            Outcome::Done { .. } => {
                let redactor = place.redactor(&self.attempt.parameters);
                Ok(attempts::last_lines(children, directory, &redactor, SHOWN_LINES))
            }
            Outcome::Unknown(why) if self.attempt.step.destructive => Err(NotDone::Unknown(why)),
            Outcome::Failed(why) | Outcome::Unknown(why) => Err(NotDone::Failed(why)),
        }
    }

    fn failed(&self, why: &str) -> NotDone {
        let redactor = self.tools.place.redactor(&self.attempt.parameters);
        NotDone::Failed(redactor.cover_text(why))
    }

    fn error(&self, error: &ChildError) -> NotDone {
        self.failed(&in_words(error))
    }

    fn stopped(&self) -> NotDone {
        if self.lead.is_left() {
            NotDone::Left
        } else {
            NotDone::Failed("was ended before its time".to_owned())
        }
    }

    fn vanished(&self) -> NotDone {
        let why = "is gone, and left no word how it ended".to_owned();
        if self.attempt.step.destructive { NotDone::Unknown(why) } else { NotDone::Failed(why) }
    }
}

/// A name as that of a file: letters, digits, `-` and `.` stay, all else is `_` and its digits.
fn file_name(name: &str) -> String {
    let mut file = String::new();
    for byte in name.bytes() {
        if byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'.') {
            file.push(char::from(byte));
        } else {
            file.push_str(&format!("_{byte:02x}"));
        }
    }
    file
}
