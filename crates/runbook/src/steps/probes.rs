//! Questions with three answers.
//!
//! The rule it keeps: what could not be asked, or was not answered in time, is unknown. Only the exit
//! codes 0 and 1 of a script, and an answer that has come, are yes and no.

use soter_world::exec::{Command, Finished, Input, Status};
use soter_world::random;

use super::attempts::{in_words, redactor, there};
use super::elsewhere::{self, Mark, Word};
use super::expect::Expectation;
use super::real::Tools;
use super::redact::Redactor;
use super::request;
use crate::driver::{Answer, Asked, Asking, Reply};
use crate::procedure::Http;

/// How much evidence is kept of an answer.
const EVIDENCE_BYTES_MAX: usize = 2 << 10;

/// Longest script that fits into an argument; a question that needs more is a program.
const SCRIPT_BYTES_MAX: usize = 100 << 10;

/// Nobody can tell, and why.
pub(super) fn unknown(why: &str) -> Reply {
    Reply { answer: Answer::Unknown, evidence: why.to_owned() }
}

/// Asks by a script.
pub(super) fn run(tools: &Tools, asking: &Asking, script: &str) -> Reply {
    ask_script(tools, asking, script).0
}

/// Asks by a script; also everything it wrote, uncovered.
pub(crate) fn ask_script(tools: &Tools, asking: &Asking, script: &str) -> (Reply, String) {
    let silent = |reply: Reply| (reply, String::new());
    let redactor = redactor(&asking.parameters, tools.place.bindings.secrets());
    let expectation = match expectation(asking) {
        Ok(expectation) => expectation,
        Err(why) => return silent(unknown(&why)),
    };
    let mark = Mark(hex::encode(random::bytes::<8>(&*tools.random)));
    let command = match command(tools, asking, script, &mark) {
        Ok(command) => command,
        Err(why) => return silent(unknown(&redactor.cover_text(&why))),
    };
    let mut child = match command.spawn() {
        Ok(child) => child,
        Err(error) => return silent(reply(Answer::Unknown, &in_words(&error), &redactor)),
    };
    let Some(finished) = child.wait_timeout(asking.limit) else {
        // With all it started: a question changes nothing, so nothing needs to end tidily.
        child.kill();
        let said = String::from_utf8_lossy(&child.wait().stderr).into_owned();
        let why = format!("no answer within {:?}\n{said}", asking.limit);
        return silent(reply(Answer::Unknown, &why, &redactor));
    };
    let is_there = asking.on.is_some();
    let (code, output) = read(&finished, is_there.then_some(&mark));
    let answer = match (code, &expectation) {
        // `grep -c` ends with 1 when it counts none: the output is what was asked for.
        (Some(0 | 1), Some(expectation)) => expectation.answer(&output),
        (Some(0), None) => Answer::Yes,
        (Some(1), None) => Answer::No,
        _ => Answer::Unknown,
    };
    let said = String::from_utf8_lossy(&finished.stderr);
    let ending = match (code, finished.status) {
        (Some(0), _) => String::new(),
        (Some(code), _) => format!("exit code {code}\n"),
        (None, status) => format!("{status}\n"),
    };
    (reply(answer, &format!("{ending}{output}{said}"), &redactor), output)
}

/// Asks by a request: whether the status is the one, or with an expectation what the body says.
pub(super) fn http(tools: &Tools, asking: &Asking, http: &Http) -> Reply {
    let filled = match request::fill(tools, http, &asking.parameters) {
        Ok(filled) => filled,
        Err(why) => return unknown(&why),
    };
    let secrets = tools.place.bindings.secrets().chain(filled.secrets());
    let redactor = redactor(&asking.parameters, secrets);
    let expectation = match expectation(asking) {
        Ok(expectation) => expectation,
        Err(why) => return unknown(&why),
    };
    let response = match filled.send(tools, asking.limit) {
        Ok(response) => response,
        Err(error) => return reply(Answer::Unknown, &in_words(&error), &redactor),
    };
    let answer = match (filled.is_success(response.status), &expectation) {
        (true, Some(expectation)) => expectation.answer(&response.body),
        (true, None) => Answer::Yes,
        (false, None) => Answer::No,
        // Another status says nothing about what the body would have been.
        (false, Some(_)) => Answer::Unknown,
    };
    reply(answer, &format!("{} {}", filled.title(), filled.answered(&response)), &redactor)
}

fn expectation(asking: &Asking) -> Result<Option<Expectation>, String> {
    let Some(written) = &asking.probe.expect else { return Ok(None) };
    Expectation::parse(written)
        .fill(&asking.parameters)
        .map(Some)
        .map_err(|error| error.to_string())
}

fn command(tools: &Tools, asking: &Asking, script: &str, mark: &Mark) -> Result<Command, String> {
    let place = &tools.place;
    let step = match &asking.about {
        Asked::Phase(_) => "",
        Asked::Step { step, .. } => step.as_str(),
    };
    let told = place.told((&asking.run, step), asking.kind, &asking.parameters);
    let mut command = match &asking.on {
        Some(host) => {
            let (program, arguments, input) =
                there(host, script, &told, place, &asking.parameters, mark)?;
            Command::new(program)
                .args(arguments)
                .stdin(Input::Bytes(input.into_bytes()))
                .env_clear()
        }
        None if script.len() > SCRIPT_BYTES_MAX => {
            return Err(format!(
                "a question of {} bytes is too long: make it a program",
                script.len()
            ));
        }
        None => {
            let mut command =
                Command::new("bash").args(["-euo", "pipefail", "-c", script]).env_clear();
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

/// The exit code of the script and what it wrote; no code if it is not known.
fn read(finished: &Finished, mark: Option<&Mark>) -> (Option<i32>, String) {
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

/// With the end of what was seen, its secrets covered: there stands what matters.
fn reply(answer: Answer, seen: &str, redactor: &Redactor) -> Reply {
    let seen = redactor.cover_text(seen);
    let seen = seen.trim_end();
    let cut = seen.len().saturating_sub(EVIDENCE_BYTES_MAX);
    let from = (cut..=seen.len()).find(|at| seen.is_char_boundary(*at)).unwrap_or(0);
    Reply { answer, evidence: seen.get(from..).unwrap_or_default().to_owned() }
}
