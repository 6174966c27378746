//! A step that tells somebody: through a program that reads the message, or an address that takes it.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use soter_world::Stop;
use soter_world::exec::{Command, Input};

use super::attempts::{Work, in_words, redactor_of_known};
use super::http::Request;
use super::real::Tools;
use crate::driver::{Attempt, Outcome};
use crate::procedure::Notify;
use crate::target::Way;

/// A message that is not taken in so long does not get through; somebody must be told otherwise.
const TIMEOUT: Duration = Duration::from_secs(30);

/// How a message is sent: through each of its channels, and it has been when all took it.
pub(super) fn work(tools: &Tools, attempt: &Attempt, message: &Notify) -> Result<Work, String> {
    if message.by.is_empty() {
        return Err("it names no channel: `by` says through which somebody is told".to_owned());
    }
    let text = attempt.parameters.fill(&message.text).map_err(|error| error.to_string())?;
    let mut ways = Vec::new();
    for name in &message.by {
        let Some(way) = tools.place.bindings.channels.get(name) else {
            return Err(format!(
                "nobody knows how a message gets through `{name}`: give it a command or a webhook \
                 under `channels` of the target"
            ));
        };
        ways.push((name.clone(), way.clone()));
    }
    let heading = format!("[{}] {}", attempt.kind, attempt.run);
    let to = message.to.join(", ");
    let (tools, parameters) = (tools.clone(), Arc::clone(&attempt.parameters));
    Ok(Work::Here(Box::new(move |stop| {
        let redactor = redactor_of_known(&parameters, tools.place.bindings.secrets());
        // A message leaves the house: nothing secret does with it.
        let text = redactor.cover_text(&text);
        let message = Message { heading, to, text };
        let mut failed = Vec::new();
        for (name, way) in ways {
            if let Err(why) = send(&tools, &way, &message, stop) {
                failed.push(redactor.cover_text(&format!("`{name}`: {why}")));
            }
        }
        if failed.is_empty() {
            Outcome::Done { outputs: BTreeMap::new(), captured: Vec::new() }
        } else {
            Outcome::Failed(format!("it did not get through {}", failed.join("; ")))
        }
    })))
}

struct Message {
    heading: String,
    to: String,
    text: String,
}

fn send(tools: &Tools, way: &Way, message: &Message, stop: &Stop) -> Result<(), String> {
    if stop.is_stopped() {
        return Err("the run was told to stop before".to_owned());
    }
    let Message { heading, to, text } = message;
    match way {
        Way::Command(words) => {
            let (program, arguments) = words.split_first().ok_or("it has no program")?;
            let mut command = Command::new(program)
                .args(arguments)
                .env_clear()
                .env("SOTER_TO", to)
                .env("SOTER_TITLE", heading)
                .stdin(Input::Bytes(format!("{heading}\n{text}\n").into_bytes()));
            for (name, value) in tools.place.handed_on() {
                command = command.env(name, value);
            }
            let finished = command.run(TIMEOUT).and_then(soter_world::exec::Finished::checked);
            finished.map(drop).map_err(|error| in_words(&error))
        }
        Way::Webhook(address) => {
            let behind = if to.is_empty() { String::new() } else { format!("\n({to})") };
            let body = serde_json::json!({ "text": format!("{heading}\n{text}{behind}") });
            let sent = tools.requests.send(&Request {
                method: "POST",
                url: address.expose(),
                body: Some(&body.to_string()),
                content_type: Some("application/json"),
                right: None,
                timeout: TIMEOUT,
            });
            let response = sent.map_err(|error| in_words(&error))?;
            let is_taken = (200..300).contains(&response.status);
            if is_taken { Ok(()) } else { Err(format!("answered {}", response.status)) }
        }
    }
}
