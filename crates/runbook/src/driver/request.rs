//! What people ask of a run, from the engine's own terminal or another one.
//!
//! The rule it keeps: a request of another terminal is a durable file, and is removed only when what
//! became of it is durable too. A request does nothing by itself: it becomes events, or is refused in
//! words.

use std::io;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_world::disk::FileKind;
use soter_world::{Clock, Disk, Random, durable, random};

use super::effects::{Answer, Asked};
use crate::approval::Signed;
use crate::ids::StepId;
use crate::procedure::Step;
use crate::state::{Resolution, RetryFrom};

/// A larger request is none.
const REQUEST_BYTES_MAX: usize = 1 << 20;

/// Nobody waits for an answer so long.
const STALE_AFTER: Duration = Duration::from_mins(5);

/// Who asks for what.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Request {
    /// The person.
    pub by: String,
    /// What they ask for.
    pub wish: Wish,
}

/// What is asked for.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Wish {
    /// Say yes to a step.
    Approve {
        /// The step.
        step: StepId,
        /// How it is known that it is them.
        proof: Proof,
    },
    /// Say no to a step.
    Refuse {
        /// The step.
        step: StepId,
        /// Why.
        why: String,
    },
    /// Answer a question, or say that something was done by hand.
    Answer {
        /// The step.
        step: StepId,
        /// The answer; for something by hand that cannot be taken back, the target's name.
        value: String,
    },
    /// Give a parameter a value.
    Give {
        /// Which.
        name: String,
        /// The value.
        value: String,
    },
    /// Say what is seen.
    Look {
        /// What was looked at.
        about: Asked,
        /// What is seen.
        answer: Answer,
        /// In words.
        evidence: String,
    },
    /// Leave a step out.
    Skip {
        /// The step.
        step: StepId,
        /// Why.
        why: String,
    },
    /// Say that a step was done by other means.
    MarkDone {
        /// The step.
        step: StepId,
        /// What proves it.
        why: String,
    },
    /// Take another way in place of a step.
    Branch {
        /// The step.
        step: StepId,
        /// Why.
        why: String,
    },
    /// Have a step taken back.
    Undo {
        /// The step.
        step: StepId,
        /// It was taken back already, by hand.
        by_hand: bool,
        /// Why, or how it was.
        why: String,
    },
    /// Change a step that has not begun.
    Amend {
        /// The whole step, as it shall be.
        step: Box<Step>,
        /// Why.
        why: String,
    },
    /// Try a step again.
    Retry {
        /// The step.
        step: StepId,
        /// From where.
        from: RetryFrom,
    },
    /// Say what nobody else knows of a step.
    Resolve {
        /// The step.
        step: StepId,
        /// What is said.
        resolution: Resolution,
        /// What it rests on.
        why: String,
    },
    /// Say that a temporary measure is over.
    Lift {
        /// Its name.
        name: String,
        /// How that is known.
        why: String,
    },
    /// Begin nothing new.
    Pause {
        /// Why.
        why: String,
    },
    /// Go on.
    Continue {
        /// Why.
        why: String,
    },
    /// Go on without the second place of the journal.
    Local {
        /// Why.
        why: String,
    },
    /// Give it up.
    Abort {
        /// Why.
        why: String,
    },
}

/// How it is known who approves.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Proof {
    /// A code that only they can make, and say on the telephone.
    Code(String),
    /// What only their key signs.
    Signature(Signed),
    /// Nobody who may is there: it leaves an obligation.
    BreakGlass,
    /// Their word, which is enough for a drill only.
    Word,
}

/// What became of a request: the contents of its file in `outbox/`.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Reception {
    /// It is in the journal.
    Accepted,
    /// It is not: why, and what to do.
    Refused(String),
}

/// The directory for requests of other terminals.
#[must_use]
pub fn inbox(run: &Path) -> PathBuf {
    run.join("inbox")
}

/// The directory for what became of them.
#[must_use]
pub fn outbox(run: &Path) -> PathBuf {
    run.join("outbox")
}

/// Hands a request to the engine of a run, whichever process that is. Its name, by which the outbox
/// has what became of it.
///
/// # Errors
/// When the disk fails.
pub fn send(
    disk: &dyn Disk,
    run: &Path,
    (clock, chance): (&dyn Clock, &dyn Random),
    request: &Request,
) -> io::Result<String> {
    let unique = hex::encode(random::bytes::<4>(chance));
    let name = format!("{:013}-{unique}.json", clock.now().as_millisecond());
    durable::create_dir_all_durable(disk, &inbox(run))?;
    let bytes = serde_json::to_vec(request).map_err(io::Error::other)?;
    durable::write_durable(disk, &inbox(run).join(&name), &bytes)?;
    Ok(name)
}

/// What became of a request; none: nothing yet.
///
/// # Errors
/// When the disk fails.
pub fn reception(disk: &dyn Disk, run: &Path, name: &str) -> io::Result<Option<Reception>> {
    match durable::read(disk, &outbox(run).join(name), REQUEST_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).map(Some).map_err(io::Error::other),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// The requests that wait, by name in the order in which they were made; or what is wrong with one. One
/// that whoever made it has long stopped waiting for is not carried out: it was about another hour.
pub(super) fn waiting(
    disk: &dyn Disk,
    run: &Path,
    now: Timestamp,
) -> io::Result<Vec<(String, Result<Request, String>)>> {
    let mut found = Vec::new();
    for entry in disk.list(&inbox(run))? {
        let Ok(name) = entry.name.into_string() else { continue };
        // What somebody else put there is no request, and nobody waits for an answer to it.
        if durable::is_temporary(name.as_ref()) || entry.kind != FileKind::File {
            continue;
        }
        if let Some(age) = age(&name, now).filter(|age| *age > STALE_AFTER) {
            let minutes = age.as_secs() / 60;
            let why = format!("it was asked {minutes} minutes before an engine read it: ask again");
            found.push((name, Err(why)));
            continue;
        }
        let request = match durable::read(disk, &inbox(run).join(&name), REQUEST_BYTES_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes)
                .map_err(|error| format!("the request is not understood: {error}")),
            Err(error) if error.kind() == io::ErrorKind::FileTooLarge => {
                Err("the request is larger than 1 MiB".to_owned())
            }
            // Taken back by who made it.
            Err(error) if error.kind() == io::ErrorKind::NotFound => continue,
            Err(error) if error.kind() == io::ErrorKind::PermissionDenied => {
                Err("the request cannot be read: ask as the user who carries the run on".to_owned())
            }
            Err(error) => return Err(error),
        };
        found.push((name, request));
    }
    Ok(found)
}

/// How long ago a request was made, as its name says; none: that is not known, or lies ahead.
fn age(name: &str, now: Timestamp) -> Option<Duration> {
    let made = name.split_once('-')?.0.parse().ok()?;
    let made = Timestamp::from_millisecond(made).ok()?;
    now.duration_since(made).try_into().ok()
}

/// Says what became of a request, and removes it.
pub(super) fn answer(
    disk: &dyn Disk,
    run: &Path,
    name: &str,
    reception: &Reception,
) -> io::Result<()> {
    let bytes = serde_json::to_vec(reception).map_err(io::Error::other)?;
    durable::write_durable(disk, &outbox(run).join(name), &bytes)?;
    disk.remove_file(&inbox(run).join(name))?;
    disk.sync_dir(&inbox(run))
}
