//! How an attempt is carried out, and what its end says.
//!
//! The rule it keeps: the end of an attempt is read from its directory and nothing else, so that an
//! engine that comes later reads the same.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use serde::{Deserialize, Serialize};
use soter_world::exec::Status;
use soter_world::{Disk, Random, Stop, durable, random};

use super::elsewhere::{self, Mark, Word};
use super::led::Lead;
use super::place::{Place, Variables};
use super::redact::Redactor;
use crate::child::{self, ChildError, Children, Ended, Hidden, Spec};
use crate::driver::{Asking, Attempt, Captured, Outcome, Reply};
use crate::preflight::Objection;
use crate::procedure::{Given, Parameters, Procedure, Question, Step};

/// What a crate that knows more than scripts and requests adds: steps and questions of its own.
///
/// What it says it can do is asked before a run begins: a step that nobody carries out, or a question
/// that nobody puts, keeps the run from beginning.
pub trait Action: Send + Sync {
    /// Whether it carries out this step, if all that the step needs is there. Changes nothing.
    fn carries_out(&self, step: &Step) -> bool {
        let _ = step;
        false
    }

    /// Whether it puts this question.
    fn can_answer(&self, question: &Question) -> bool {
        let _ = question;
        false
    }

    /// Whether it keeps the evidence that steps name.
    fn keeps_evidence(&self) -> bool {
        false
    }

    /// What is in the way of the steps and questions that are its own. Changes nothing.
    fn objections(&self, procedure: &Procedure, place: &Place) -> Vec<Objection> {
        let _ = (procedure, place);
        Vec::new()
    }

    /// How a step is carried out; none if it is no step of this kind. Nothing has an effect before
    /// the work is begun.
    fn work(&self, attempt: &Attempt, place: &Place) -> Option<Result<Work, String>>;

    /// Answers a question, once, within its limit; none if it is no question of this kind.
    fn answer(&self, asking: &Asking, place: &Place) -> Option<Reply>;

    /// Keeps the evidence that a step names, and what its attempt left as such, when it is done; none
    /// if there is none, or this is left to others. It may be asked again about what it has kept
    /// already.
    fn capture(&self, attempt: &Attempt, place: &Place) -> Option<Result<Vec<Captured>, String>>;
}

/// How an attempt is carried out.
pub enum Work {
    /// By a command that outlives the engine.
    Command {
        /// How it is started.
        spec: Spec,
        /// What nobody may read of it.
        hidden: Hidden,
    },
    /// By this process, in a thread; interrupted if the process ends. It looks at the token.
    Here(Box<dyn FnOnce(&Stop) -> Outcome + Send>),
    /// By this process, in a thread, with scripts that [outlive it](super::run_part). An engine that
    /// comes later leads the same attempt on: the work begins anew then, and finds what was done. None:
    /// it was left to that.
    Led(LedWork),
}

/// Work that is led; nothing comes of it where it was left.
pub type LedWork = Box<dyn FnOnce(&Lead) -> Option<Outcome> + Send>;

/// What must be known to read the end of a script.
#[derive(Debug, Default, Serialize, Deserialize)]
struct Reading {
    /// The word of its marks, if it ran elsewhere.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    mark: Option<String>,
    /// Whether parts of what it wrote are evidence.
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    leaves_evidence: bool,
}

/// An outcome as it lies in a file.
#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Kept {
    Done { outputs: BTreeMap<String, String>, captured: Vec<Captured> },
    Failed(String),
    Unknown(String),
}

/// Where the command of an attempt puts `name=value` lines, in the attempt's directory.
pub const RESULTS: &str = "results";

/// The variable by which a script says what of its output is evidence.
const MARK: &str = "SOTER_MARK";

/// Where evidence is put that an attempt leaves, in the attempt's directory.
const EVIDENCE: &str = "evidence";

/// How much of an output is looked through for evidence.
const EVIDENCE_BYTES_MAX: usize = 64 << 20;

/// How an attempt of this process ended.
const OUTCOME: &str = "outcome";

/// An outcome is as long as what it gives.
const OUTCOME_BYTES_MAX: usize = 1 << 20;

/// The lines around a script's end, its results included.
const END_BYTES_MAX: usize = elsewhere::RESULTS_BYTES_MAX + (64 << 10);

/// What a connection says before a script begins.
const BEGINNING_BYTES_MAX: usize = 64 << 10;

/// How much of what it wrote stands in a message.
const LAST_WORDS_BYTES: usize = 1 << 10;

/// How many lines of it.
const LAST_WORDS_LINES: usize = 5;

/// A script as a command that is started in this directory, here or on the machine of the step.
pub(super) fn script(
    attempt: &Attempt,
    directory: &Path,
    place: &Place,
    children: &Children,
    chance: &dyn Random,
    script: &str,
) -> Result<(Spec, Hidden), String> {
    let told =
        place.told((&attempt.run, attempt.step.id.as_str()), attempt.kind, &attempt.parameters);
    let say = |error: ChildError| in_words(&error);
    let path = child::write_script(children.disk(), directory, script).map_err(say)?;
    durable::create_dir_all_durable(children.disk(), &place.work_directory())
        .map_err(|error| format!("cannot make the directory that scripts work in: {error}"))?;
    let mut spec = Spec { directory: place.work_directory(), ..Spec::default() };
    spec.environment.clone_from(place.handed_on());
    let mut hidden = Hidden::default();
    let Some(host) = &attempt.step.on else {
        spec.program = "bash".to_owned();
        let path = path.display().to_string();
        spec.arguments = ["-euo", "pipefail", &path].map(str::to_owned).to_vec();
        let results = directory.join(RESULTS).display().to_string();
        spec.environment.extend(told.plain);
        spec.environment.insert("SOTER_OUTPUT".to_owned(), results);
        hidden.environment = told.hidden;
        return Ok((spec, hidden));
    };
    let mark = Mark(hex::encode(random::bytes::<8>(chance)));
    let (program, arguments, input) =
        there(host, script, &told, place, &attempt.parameters, &mark)?;
    (spec.program, spec.arguments) = (program, arguments);
    hidden.input = Some(input.into());
    spec.reading = serde_json::json!(Reading { mark: Some(mark.0), leaves_evidence: false });
    Ok((spec, hidden))
}

/// A script of another crate on the machine of an attempt's step, as a command that outlives the engine.
/// It is told `more` than a plan's own script, and `SOTER_MARK`, by which it says what of its output is
/// [evidence](elsewhere::evidence).
///
/// # Errors
/// In words, when it cannot be begun there; nothing was done.
pub fn script_there(
    attempt: &Attempt,
    place: &Place,
    (disk, chance): (&dyn Disk, &dyn Random),
    script: &str,
    more: Variables,
) -> Result<(Spec, Hidden), String> {
    let host = attempt.step.on.as_deref().ok_or("the step says no machine")?;
    let directory = place.attempt(&attempt.step.id, attempt.number);
    let step = (&attempt.run, attempt.step.id.as_str());
    let mut told = place.told(step, attempt.kind, &attempt.parameters);
    told.plain.extend(more.plain);
    told.hidden.extend(more.hidden);
    let mark = Mark(hex::encode(random::bytes::<8>(chance)));
    told.plain.insert(MARK.to_owned(), mark.0.clone());
    child::write_script(disk, &directory, script).map_err(|error| in_words(&error))?;
    let (program, arguments, input) =
        there(host, script, &told, place, &attempt.parameters, &mark)?;
    let spec = Spec {
        program,
        arguments,
        directory: PathBuf::from("/"),
        environment: place.handed_on().clone(),
        reading: serde_json::json!(Reading { mark: Some(mark.0), leaves_evidence: true }),
    };
    Ok((spec, Hidden { input: Some(input.into()), ..Hidden::default() }))
}

/// The command that runs a script on another machine, and what it reads.
pub(super) fn there(
    host: &str,
    script: &str,
    told: &Variables,
    place: &Place,
    parameters: &Parameters,
    mark: &Mark,
) -> Result<(String, Vec<String>, String), String> {
    let host = parameters.fill(host).map_err(|error| error.to_string())?;
    let bound = place.bindings.hosts.get(&host);
    // Directories of the target are on this machine, and on those that a command here stands for.
    let path: &[String] = if bound.is_some() { &place.bindings.path } else { &[] };
    let mut words = elsewhere::command(&host, bound)?.into_iter();
    let program = words.next().unwrap_or_default();
    Ok((program, words.collect(), elsewhere::input(script, told, path, mark)))
}

/// What the end of a command says that was started in this directory.
pub(super) fn outcome(
    attempt: &Attempt,
    directory: &Path,
    place: &Place,
    children: &Children,
    ended: &Ended,
) -> Outcome {
    read_outcome(attempt, directory, place, children, ended)
        .unwrap_or_else(|error| Outcome::Unknown(in_words(&error)))
}

fn read_outcome(
    attempt: &Attempt,
    directory: &Path,
    place: &Place,
    children: &Children,
    ended: &Ended,
) -> Result<Outcome, ChildError> {
    let redactor = redactor(&attempt.parameters, place.bindings.secrets());
    let spec = children.spec(directory)?;
    let reading: Reading = serde_json::from_value(spec.reading).unwrap_or_default();
    let Some(mark) = reading.mark.clone().map(Mark) else {
        let words = || last_words(&redactor, directory, children, None);
        return Ok(match ended.status {
            Status::Exited(0) => given(&attempt.step, &read_results(children, directory)?),
            status => Outcome::Failed(format!("ended with {status}{}", words())),
        });
    };
    let text = |bytes: Vec<u8>| String::from_utf8_lossy(&bytes).into_owned();
    let end = text(children.tail(directory, END_BYTES_MAX)?);
    let beginning = text(children.head(directory, BEGINNING_BYTES_MAX)?);
    let words = || last_words(&redactor, directory, children, Some(&mark));
    Ok(match elsewhere::word(&beginning, &end, &mark) {
        Word::Ended { code: 0, results } => {
            if reading.leaves_evidence {
                put_evidence(children, directory, &mark)?;
            }
            given(&attempt.step, &results)
        }
        Word::Ended { code, .. } => {
            Outcome::Failed(format!("ended with exit code {code}{}", words()))
        }
        Word::Begun => Outcome::Unknown(format!(
            "it was begun on the other machine, and no word of its end has come{}",
            words()
        )),
        Word::Nothing => Outcome::Failed(format!(
            "it was not begun on the other machine: the way there ended with {}{}",
            ended.status,
            words()
        )),
    })
}

/// Puts what a script elsewhere left as evidence where that of scripts here is.
fn put_evidence(children: &Children, directory: &Path, mark: &Mark) -> Result<(), ChildError> {
    let output = children.head(directory, EVIDENCE_BYTES_MAX)?;
    let place = directory.join(EVIDENCE);
    for (name, text) in elsewhere::evidence(&String::from_utf8_lossy(&output), mark) {
        let path = place.join(name);
        durable::create_dir_all_durable(children.disk(), &place)
            .and_then(|()| durable::write_durable(children.disk(), &path, text.as_bytes()))
            .map_err(|source| ChildError::File { what: "write", path, source })?;
    }
    Ok(())
}

/// What a script gave, if it is all that its step says it gives.
fn given(step: &Step, results: &str) -> Outcome {
    let mut outputs = BTreeMap::new();
    for (name, value) in results.lines().filter_map(|line| line.split_once('=')) {
        if step.gives.iter().any(|gives| gives == name.trim()) {
            outputs.insert(name.trim().to_owned(), value.trim_end_matches('\r').to_owned());
        }
    }
    let missing: Vec<&str> =
        step.gives.iter().map(String::as_str).filter(|name| !outputs.contains_key(*name)).collect();
    if let Some(first) = missing.first() {
        return Outcome::Failed(format!(
            "it ended well, but did not give {}: a script gives a value by \
             `echo {first}=… >> \"$SOTER_OUTPUT\"`",
            missing.join(", ")
        ));
    }
    Outcome::Done { outputs, captured: Vec::new() }
}

fn read_results(children: &Children, directory: &Path) -> Result<String, ChildError> {
    let path = directory.join(RESULTS);
    match durable::read(children.disk(), &path, elsewhere::RESULTS_BYTES_MAX) {
        Ok(bytes) => Ok(String::from_utf8_lossy(&bytes).into_owned()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(String::new()),
        Err(source) => Err(ChildError::File { what: "read", path, source }),
    }
}

/// The last lines of what it wrote, its secrets covered, to be put behind a message.
fn last_words(
    redactor: &Redactor,
    directory: &Path,
    children: &Children,
    mark: Option<&Mark>,
) -> String {
    let wanted = LAST_WORDS_BYTES + END_BYTES_MAX * usize::from(mark.is_some());
    let text = shown_tail(children, directory, wanted, redactor, mark).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let kept = lines.get(lines.len().saturating_sub(LAST_WORDS_LINES)..).unwrap_or(&[]).join("\n");
    let cut = kept.len().saturating_sub(LAST_WORDS_BYTES);
    let from = (cut..=kept.len()).find(|at| kept.is_char_boundary(*at)).unwrap_or(0);
    let kept = kept.get(from..).unwrap_or_default();
    if kept.is_empty() { String::new() } else { format!(": {kept}") }
}

/// The end of what a child wrote, as it may be shown: about `bytes` of it.
pub(super) fn shown_tail(
    children: &Children,
    directory: &Path,
    bytes: usize,
    redactor: &Redactor,
    mark: Option<&Mark>,
) -> Result<String, ChildError> {
    // A secret that begins before what is shown must be seen whole to be known.
    let raw = children.tail(directory, bytes.saturating_add(redactor.longest_bytes()))?;
    let text = String::from_utf8_lossy(&redactor.cover(&raw)).into_owned();
    let text = mark.map_or_else(|| text.clone(), |mark| elsewhere::shown(&text, mark));
    let cut = text.len().saturating_sub(bytes);
    let from = (cut..=text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    Ok(text.get(from..).unwrap_or_default().to_owned())
}

/// The last lines of what a child wrote so far, at most so many, as they may be shown; none if it has
/// written nothing, or cannot be read.
#[must_use]
pub fn last_lines(
    children: &Children,
    directory: &Path,
    redactor: &Redactor,
    lines_max: usize,
) -> Vec<String> {
    let mark = mark_of(children, directory);
    let bytes = LAST_WORDS_BYTES.saturating_mul(lines_max);
    let text = shown_tail(children, directory, bytes, redactor, mark.as_ref()).unwrap_or_default();
    let lines: Vec<&str> = text.lines().filter(|line| !line.trim().is_empty()).collect();
    let from = lines.len().saturating_sub(lines_max);
    lines.into_iter().skip(from).map(str::to_owned).collect()
}

/// The mark of the child of a directory, if it ran elsewhere.
pub(super) fn mark_of(children: &Children, directory: &Path) -> Option<Mark> {
    let spec = children.spec(directory).ok()?;
    serde_json::from_value::<Reading>(spec.reading).ok()?.mark.map(Mark)
}

/// Covers the secrets among parameters, and others; all, if some are not known.
pub(super) fn redactor<'s>(
    parameters: &'s Parameters,
    others: impl IntoIterator<Item = &'s str>,
) -> Redactor {
    if parameters.has_unseen_secrets() {
        return Redactor::blind();
    }
    redactor_of_known(parameters, others)
}

/// Covers the secrets among parameters, and others, in a text that can have no others in it: a plan's.
pub(super) fn redactor_of_known<'s>(
    parameters: &'s Parameters,
    others: impl IntoIterator<Item = &'s str>,
) -> Redactor {
    let hidden = parameters.iter().filter_map(|(_, value)| match value {
        Given::Hidden(secret) => Some(secret.expose().as_str()),
        Given::Plain(_) => None,
    });
    Redactor::new(hidden.chain(others))
}

/// Writes down how an attempt of this process ended.
pub(super) fn keep(
    children: &Children,
    directory: &Path,
    outcome: &Outcome,
) -> Result<(), ChildError> {
    let path = directory.join(OUTCOME);
    let kept = match outcome.clone() {
        Outcome::Done { outputs, captured } => Kept::Done { outputs, captured },
        Outcome::Failed(why) => Kept::Failed(why),
        Outcome::Unknown(why) => Kept::Unknown(why),
    };
    let bytes = serde_json::to_vec(&kept).expect("only texts are keys here");
    durable::write_durable(children.disk(), &path, &bytes).map_err(|source| ChildError::File {
        what: "write",
        path,
        source,
    })
}

/// How an attempt of an earlier process ended, if it wrote that down.
pub(super) fn kept(children: &Children, directory: &Path) -> Option<Outcome> {
    let bytes = durable::read(children.disk(), &directory.join(OUTCOME), OUTCOME_BYTES_MAX).ok()?;
    Some(match serde_json::from_slice(&bytes).ok()? {
        Kept::Done { outputs, captured } => Outcome::Done { outputs, captured },
        Kept::Failed(why) => Outcome::Failed(why),
        Kept::Unknown(why) => Outcome::Unknown(why),
    })
}

/// An error with all it came from.
pub(super) fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(error) = source {
        words.push_str(&format!(": {error}"));
        source = error.source();
    }
    words
}

/// All actions that were added, asked in order.
pub(super) fn first<T>(
    actions: &[Arc<dyn Action>],
    ask: impl Fn(&dyn Action) -> Option<T>,
) -> Option<T> {
    actions.iter().find_map(|action| ask(&**action))
}
