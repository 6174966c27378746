//! Questions with three answers.
//!
//! The rule it keeps: what could not be asked, or was not answered in time, is unknown. Only the exit
//! codes 0 and 1 of a script, and an answer that has come, are yes and no.

use soter_world::random;

use super::aside::{self, Aside};
use super::attempts::{in_words, redactor};
use super::elsewhere::Mark;
use super::expect::Expectation;
use super::real::Tools;
use super::redact::Redactor;
use super::request;
use crate::driver::{Answer, Asked, Asking, Reply};
use crate::procedure::Http;

/// How much evidence is kept of an answer.
const EVIDENCE_BYTES_MAX: usize = 2 << 10;

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
    let step = match &asking.about {
        Asked::Phase(_) => "",
        Asked::Step { step, .. } => step.as_str(),
    };
    let aside = Aside {
        whose: (&asking.run, step),
        kind: asking.kind,
        parameters: &asking.parameters,
        on: asking.on.as_deref(),
        script,
    };
    let command = match aside.command(tools, &mark) {
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
    let (code, output) = aside::read(&finished, is_there.then_some(&mark));
    let answer = match (code, &expectation) {
        (Some(0), Some(expectation)) => expectation.answer(&output),
        // `grep -c` ends with 1 when it counts none: the output is what was asked for. Of what has
        // failed without a word it is not known what it would have said.
        (Some(1), Some(expectation)) => match expectation.answer(&output) {
            Answer::Yes if output.trim().is_empty() && !expectation.is_empty() => Answer::Unknown,
            answer => answer,
        },
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
        // The beginning of an answer may be what the whole of it is not.
        (true, Some(_)) if !response.is_whole => Answer::Unknown,
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

/// With the end of what was seen, its secrets covered: there stands what matters.
fn reply(answer: Answer, seen: &str, redactor: &Redactor) -> Reply {
    let evidence = aside::end_of(&redactor.cover_text(seen), EVIDENCE_BYTES_MAX);
    Reply { answer, evidence }
}
