//! `nats stream info STREAM --json`, for the one stream there is.

use std::io::{self, Write};
use std::time::Duration;

use serde_json::json;

use crate::failure::{Ending, Failure, failed};
use crate::lab::Lab;
use crate::nats::{Nats, STREAM};

/// How long an answer may take.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(5);

pub(super) fn run(lab: &Lab, arguments: &[String]) -> Result<(), Failure> {
    let words: Vec<&str> = arguments.iter().map(String::as_str).collect();
    let (["stream", "info", name, "--json"] | ["stream", "info", "--json", name]) =
        words.as_slice()
    else {
        let what = format!("nats {} has no stand-in here", words.join(" "));
        return Err(Failure::new(Ending::Input, what).hint("there is stream info STREAM --json"));
    };
    if *name != STREAM {
        return Err(Failure::new(Ending::No, format!("there is no stream {name}"))
            .hint(format!("there is {STREAM}")));
    }
    let asked =
        Nats::connect(lab.port("nats")?, ANSWER_TIMEOUT).and_then(|mut nats| nats.messages());
    let messages = asked.map_err(failed("ask NATS"))?;
    let shown = json!({"config": {"name": name}, "state": {"messages": messages}});
    writeln!(io::stdout(), "{shown}").map_err(failed("write the result"))
}
