//! Users who work all the time, and what they were told, written down where no disaster reaches it.
//!
//! The rule it keeps: a piece of work counts as acknowledged when the answer 200 has arrived, and that
//! is written down before the next one is asked for. What was acknowledged and is not in the database
//! is lost; nothing else is.

use std::collections::BTreeMap;
use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::time::Duration;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use soter_world::{Clock, SystemClock};

use crate::failure::{Ending, Failure, failed};
use crate::http;
use crate::lab::Lab;
use crate::parts::connect;
use crate::place::OUTSIDE;
use crate::processes::Spec;

/// The process, and the directory of what it was told.
const NAME: &str = "load";

/// What was asked for and answered, one line each.
const FILE: &str = "outside/load/answers.jsonl";

/// What every piece of work of it begins with.
const PREFIX: &str = "load ";

/// How long between an answer and the next piece of work.
const PAUSE: Duration = Duration::from_millis(100);

/// How long a user waits; longer than the edge does.
const PATIENCE: Duration = Duration::from_secs(10);

/// How many of what is lost are named.
const NAMED_MAX: usize = 20;

/// What is done with it.
#[derive(Debug, Clone, clap::Subcommand)]
pub(crate) enum What {
    /// Begin to work.
    Start,
    /// Stop.
    Stop,
    /// Say what was acknowledged, and what of it is there.
    Count {
        /// Only what was acknowledged before this moment: after a recovery to an earlier one, what
        /// came later was given up.
        #[arg(long, value_name = "TIME")]
        until: Option<Timestamp>,
    },
    /// Be the users.
    #[command(hide = true)]
    Run,
}

/// One piece of work.
#[derive(Debug, Serialize, Deserialize)]
struct Answer {
    /// What was written.
    text: String,
    /// When it was sent.
    sent: Timestamp,
    /// When the answer came.
    answered: Timestamp,
    /// The row, if it was acknowledged.
    conversation: Option<i64>,
    /// Why not, else.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    why: Option<String>,
}

/// What has become of all of them.
#[derive(Debug, Default, Serialize, PartialEq)]
pub(crate) struct Count {
    /// How many were asked for.
    pub(crate) asked: usize,
    /// How many of these were acknowledged, and looked for.
    pub(crate) acknowledged: usize,
    /// How many of these are there.
    pub(crate) there: usize,
    /// How many are not.
    pub(crate) lost: usize,
    /// Some of them.
    pub(crate) lost_texts: Vec<String>,
    /// How many are there more than once.
    pub(crate) doubled: usize,
    /// The longest time without an acknowledgement between two, in seconds.
    pub(crate) longest_silence_seconds: f64,
    /// The newest acknowledgement.
    pub(crate) newest: Option<Timestamp>,
}

/// Does it. What is to be shown, and in words.
pub(crate) fn run(lab: &Lab, what: &What) -> Result<(Value, String), Failure> {
    match what {
        What::Start => {
            let us = std::env::current_exe().map_err(failed("find this program"))?;
            let root = lab.root().display().to_string();
            let spec = Spec::new(NAME, OUTSIDE, &us, lab.directory("outside/load")?);
            lab.start(&spec.args(["--directory", &root, "load", "run"]))?;
            Ok((serde_json::json!({"load": "started"}), "users are at work".to_owned()))
        }
        What::Stop => {
            lab.table().end(NAME)?;
            Ok((serde_json::json!({"load": "stopped"}), "users have stopped".to_owned()))
        }
        What::Count { until } => {
            let answers = answers(lab, *until)?;
            let count = count(&answers, &texts(lab)?);
            let shown = serde_json::to_value(&count).map_err(failed("show the count"))?;
            Ok((shown, count.in_words()))
        }
        What::Run => work(lab).map(|()| (Value::Null, String::new())),
    }
}

/// Works for ever.
fn work(lab: &Lab) -> Result<(), Failure> {
    let port = lab.port("edge")?;
    let path = lab.root().join(FILE);
    let mut number = answers(lab, None)?.len();
    let mut file = File::options()
        .create(true)
        .append(true)
        .open(&path)
        .map_err(failed(&format!("open {}", path.display())))?;
    loop {
        number += 1;
        let answer = ask(port, format!("{PREFIX}{number}"));
        let mut line = serde_json::to_string(&answer).map_err(failed("write an answer down"))?;
        line.push('\n');
        file.write_all(line.as_bytes()).map_err(failed("write an answer down"))?;
        SystemClock.sleep(PAUSE);
    }
}

fn ask(port: u16, text: String) -> Answer {
    let sent = SystemClock.now();
    let asked = http::ask(port, "POST", "/api/v1/work", &text, PATIENCE);
    let answered = SystemClock.now();
    let (conversation, why) = match asked {
        Ok((200, body)) => {
            let body: Value = serde_json::from_str(&body).unwrap_or_default();
            (Some(body["conversation"].as_i64().unwrap_or_default()), None)
        }
        Ok((status, body)) => (None, Some(format!("{status}: {}", body.trim()))),
        Err(error) => (None, Some(error.to_string())),
    };
    Answer { text, sent, answered, conversation, why }
}

/// What is written down, up to a moment. A last line that was cut is no answer.
fn answers(lab: &Lab, until: Option<Timestamp>) -> Result<Vec<Answer>, Failure> {
    let path = lab.root().join(FILE);
    let file = match File::open(&path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(failed(&format!("read {}", path.display()))(error)),
    };
    let lines = BufReader::new(file).lines().map_while(Result::ok);
    let all = lines.filter_map(|line| serde_json::from_str::<Answer>(&line).ok());
    Ok(all.filter(|answer| until.is_none_or(|until| answer.answered < until)).collect())
}

/// What is in the database, and how often.
fn texts(lab: &Lab) -> Result<BTreeMap<String, usize>, Failure> {
    let mut client = connect(&lab.address("postgres-admin")?)
        .map_err(|why| Failure::new(Ending::Failed, why).during("ask the database"))?;
    let find = format!("SELECT text FROM conversations WHERE text LIKE '{PREFIX}%'");
    let rows = client.query(find.as_str(), &[]).map_err(failed("read the conversations"))?;
    let mut found = BTreeMap::new();
    for row in rows {
        *found.entry(row.get::<_, String>(0)).or_default() += 1;
    }
    Ok(found)
}

/// What of the answers is there.
fn count(answers: &[Answer], texts: &BTreeMap<String, usize>) -> Count {
    let mut count = Count { asked: answers.len(), ..Count::default() };
    for answer in answers.iter().filter(|answer| answer.conversation.is_some()) {
        count.acknowledged += 1;
        match texts.get(&answer.text) {
            None => {
                count.lost += 1;
                if count.lost_texts.len() < NAMED_MAX {
                    count.lost_texts.push(answer.text.clone());
                }
            }
            Some(times) => {
                count.there += 1;
                count.doubled += usize::from(*times > 1);
            }
        }
        let silence = count.newest.map(|newest| answer.answered.duration_since(newest));
        let silence = silence.map_or(0.0, |silence| silence.as_secs_f64());
        count.longest_silence_seconds = count.longest_silence_seconds.max(silence);
        count.newest = Some(answer.answered);
    }
    count
}

impl Count {
    fn in_words(&self) -> String {
        let mut words = format!(
            "{} of {} were acknowledged; of these {} are there, {} lost; the longest silence was {:.1} s",
            self.acknowledged, self.asked, self.there, self.lost, self.longest_silence_seconds
        );
        if self.doubled > 0 {
            words.push_str(&format!("; {} are there more than once", self.doubled));
        }
        if !self.lost_texts.is_empty() {
            words.push_str(&format!("\nlost: {}", self.lost_texts.join(", ")));
        }
        words
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lost_is_what_was_acknowledged_and_is_not_there() {
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let answer = |text: &str, second: i64, conversation: Option<i64>| Answer {
            text: text.to_owned(),
            sent: at(second),
            answered: at(second),
            conversation,
            why: None,
        };
        let answers = [
            answer("load 1", 10, Some(1)),
            answer("load 2", 11, None),
            answer("load 3", 30, Some(3)),
            answer("load 4", 31, Some(4)),
        ];
        let texts = BTreeMap::from([("load 1".to_owned(), 1), ("load 4".to_owned(), 2)]);
        let expect = Count {
            asked: 4,
            acknowledged: 3,
            there: 2,
            lost: 1,
            lost_texts: vec!["load 3".to_owned()],
            doubled: 1,
            longest_silence_seconds: 20.0,
            newest: Some(at(31)),
        };
        assert_eq!(count(&answers, &texts), expect);
    }
}
