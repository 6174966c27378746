//! `sql`: a query as a step, and as a question.
//!
//! The rule it keeps: a question changes nothing, and is answered by one value. NULL, no row, and more
//! than one value say neither yes nor no. A step whose answer never came is unknown, not failed.

mod ask;
mod quote;

#[cfg(test)]
mod tests;

use std::collections::BTreeMap;
use std::time::Duration;

use soter_runbook::driver::{Answer, Asking, Attempt, Captured, Outcome, Reply};
use soter_runbook::procedure::{self, Parameters, Question, Sql, Step};
use soter_runbook::steps::{Action, Expectation, Place, Redactor, Work};
use soter_world::{Stop, SystemClock};

use self::ask::{NoRows, Query, Rows};
use crate::stores::Stores;

/// How many rows of an answer are shown.
const SHOWN_ROWS: usize = 10;

/// How much of an answer is shown: evidence is short.
const SHOWN_BYTES: usize = 1 << 10;

/// How much of one value is shown, so that what is said behind the rows is seen, too.
const SHOWN_VALUE_BYTES: usize = 200;

/// Queries, put to the stores of a run.
pub(crate) struct Queries {
    pub(crate) stores: Stores,
}

impl Action for Queries {
    fn carries_out(&self, step: &Step) -> bool {
        matches!(step.action, procedure::Action::Sql(_))
    }

    fn can_answer(&self, question: &Question) -> bool {
        matches!(question, Question::Sql(_))
    }

    fn work(&self, attempt: &Attempt, place: &Place) -> Option<Result<Work, String>> {
        let procedure::Action::Sql(sql) = &attempt.step.action else { return None };
        Some(self.step(attempt, place, sql))
    }

    fn answer(&self, asking: &Asking, place: &Place) -> Option<Reply> {
        let Question::Sql(sql) = &asking.probe.question else { return None };
        let secrets = self.redactor(sql, &asking.parameters, place);
        let (answer, evidence) = self.question(asking, place, sql);
        Some(Reply { answer, evidence: shortened(&secrets.cover_text(&evidence)) })
    }

    fn capture(&self, _: &Attempt, _: &Place) -> Option<Result<Vec<Captured>, String>> {
        None
    }
}

impl Queries {
    fn step(&self, attempt: &Attempt, place: &Place, sql: &Sql) -> Result<Work, String> {
        let query = self.query(sql, &attempt.parameters, place, false)?;
        let expectation = expectation([sql.expect.as_ref()], &attempt.parameters)?;
        let secrets = self.redactor(sql, &attempt.parameters, place);
        let (gives, limit) = (attempt.step.gives.clone(), attempt.step.timeout);
        Ok(Work::Here(Box::new(move |stop| {
            let covered = |words: &str| shortened(&secrets.cover_text(words));
            match ask::put(query, limit, stop, &SystemClock) {
                Ok(rows) => match judge_step(&rows, expectation.as_ref(), &gives) {
                    Ok(outputs) => Outcome::Done { outputs, captured: Vec::new() },
                    Err(why) => Outcome::Failed(covered(&why)),
                },
                Err(NoRows::NotPut(why)) => {
                    Outcome::Failed(covered(&format!("the query was not put: {why}")))
                }
                Err(NoRows::Refused(why)) => Outcome::Failed(covered(&why)),
                Err(NoRows::NoAnswer(why)) => Outcome::Unknown(covered(&format!(
                    "the query was put, and whether it was carried out is unknown: {why}"
                ))),
            }
        })))
    }

    fn question(&self, asking: &Asking, place: &Place, sql: &Sql) -> (Answer, String) {
        let unknown = |why: String| (Answer::Unknown, why);
        let expected = [asking.probe.expect.as_ref(), sql.expect.as_ref()];
        let expectation = match expectation(expected, &asking.parameters) {
            Ok(expectation) => expectation,
            Err(why) => return unknown(why),
        };
        let query = match self.query(sql, &asking.parameters, place, true) {
            Ok(query) => query,
            Err(why) => return unknown(why),
        };
        match ask::put(query, Some(asking.limit), &Stop::new(), &SystemClock) {
            Ok(rows) => judge(&rows, expectation.as_ref()),
            Err(no_rows) => unknown(no_rows.words().to_owned()),
        }
    }

    /// A query to a store, with everything filled in.
    fn query(
        &self,
        sql: &Sql,
        parameters: &Parameters,
        place: &Place,
        is_question: bool,
    ) -> Result<Query, String> {
        let store = sql.store.as_deref().ok_or("it is not said which store is asked")?;
        let mut reached = self.stores.connection(store, place)?;
        if let Some(database) = &sql.database {
            reached.database = parameters.fill(database).map_err(|error| error.to_string())?;
        }
        reached.application_name = "soter run".to_owned();
        let text = quote::fill(parameters, &sql.query).map_err(|error| error.0)?;
        Ok(Query { server: reached, disk: self.stores.disk(), text, is_question })
    }

    /// Covers what may not be shown of a query's answer.
    fn redactor(&self, sql: &Sql, parameters: &Parameters, place: &Place) -> Redactor {
        let store = sql.store.as_deref().unwrap_or_default();
        let password = self.stores.connection(store, place).ok().and_then(|of| of.password);
        place.redactor_and(parameters, password.iter().map(|password| password.expose().as_str()))
    }
}

/// The first that is there, with its parameters filled in.
fn expectation<const N: usize>(
    written: [Option<&String>; N],
    parameters: &Parameters,
) -> Result<Option<Expectation>, String> {
    let Some(written) = written.into_iter().flatten().next() else { return Ok(None) };
    Expectation::parse(written).fill(parameters).map(Some).map_err(|error| error.to_string())
}

/// What an answer says to a question, and what was seen.
///
/// With an expectation one value is compared with it. Without, a truth value says it itself, and no
/// row at all says no; whatever else comes back says nothing.
fn judge(rows: &Rows, expectation: Option<&Expectation>) -> (Answer, String) {
    let seen = shown(rows);
    let answer = match (single(rows), expectation) {
        (Ok(value), Some(expectation)) => expectation.answer(value),
        (Ok("t"), None) => Answer::Yes,
        (Ok("f"), None) => Answer::No,
        (Ok(_), None) => {
            let hint = "say with `expect` what it must be, or ask for a truth value";
            return (Answer::Unknown, format!("{seen}\n{hint}"));
        }
        (Err(Several::NoRow), None) => Answer::No,
        (Err(several), _) => {
            return (Answer::Unknown, format!("{seen}\n{}", several.words()));
        }
    };
    (answer, seen)
}

/// Whether a step did what it should, and the values it gives: the columns of one row, by their names.
fn judge_step(
    rows: &Rows,
    expectation: Option<&Expectation>,
    gives: &[String],
) -> Result<BTreeMap<String, String>, String> {
    if expectation.is_some() {
        let (answer, seen) = judge(rows, expectation);
        match answer {
            Answer::Yes => {}
            Answer::No => return Err(format!("it answered something else: {seen}")),
            Answer::Unknown => return Err(format!("its answer cannot be compared: {seen}")),
        }
    }
    let mut outputs = BTreeMap::new();
    for name in gives {
        let ([row], 0) = (rows.rows.as_slice(), rows.left_out) else {
            let count = rows.rows.len() + rows.left_out;
            return Err(format!("it gives `{name}` from one row, and {count} came back"));
        };
        let at = rows.columns.iter().position(|column| column == name);
        let Some(at) = at else {
            let columns = rows.columns.join(", ");
            return Err(format!(
                "it does not give `{name}`: its columns are {columns}; write `… AS {name}`"
            ));
        };
        let value = row.get(at).and_then(Option::as_ref);
        let value = value.ok_or_else(|| format!("it gives NULL for `{name}`"))?;
        outputs.insert(name.clone(), value.clone());
    }
    Ok(outputs)
}

/// Why an answer is not one value.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Several {
    NoStatement,
    NoRow,
    Null,
    Rows(usize),
    Columns(usize),
}

impl Several {
    fn words(self) -> String {
        match self {
            Self::NoStatement => "no statement of it gives rows".to_owned(),
            Self::NoRow => "no row came back, so there is nothing to compare".to_owned(),
            Self::Null => "NULL is no value to compare; `coalesce` makes one of it".to_owned(),
            Self::Rows(count) => format!("{count} rows came back: ask for one value"),
            Self::Columns(count) => format!("{count} columns came back: ask for one value"),
        }
    }
}

fn single(rows: &Rows) -> Result<&str, Several> {
    match rows.rows.as_slice() {
        [] if rows.columns.is_empty() => Err(Several::NoStatement),
        [] => Err(Several::NoRow),
        [row] if rows.left_out == 0 => match row.as_slice() {
            [value] => value.as_deref().ok_or(Several::Null),
            values => Err(Several::Columns(values.len())),
        },
        kept => Err(Several::Rows(kept.len() + rows.left_out)),
    }
}

/// `count: 12`, or a table with its head.
fn shown(rows: &Rows) -> String {
    let text = |value: &Option<String>| cut(value.as_deref().unwrap_or("NULL"), SHOWN_VALUE_BYTES);
    if let ([column], [row], 0) = (rows.columns.as_slice(), rows.rows.as_slice(), rows.left_out) {
        return format!("{column}: {}", row.first().map(text).unwrap_or_default());
    }
    let line = |row: &Vec<Option<String>>| row.iter().map(text).collect::<Vec<_>>().join(" | ");
    let mut lines: Vec<String> = Vec::new();
    if !rows.columns.is_empty() {
        lines.push(rows.columns.join(" | "));
    }
    lines.extend(rows.rows.iter().take(SHOWN_ROWS).map(line));
    let left_out = match rows.left_out {
        0 => String::new(),
        left_out => format!(", of which {left_out} were not kept: an answer is to be short"),
    };
    lines.push(format!("({} rows{left_out})", rows.count));
    lines.join("\n")
}

fn shortened(text: &str) -> String {
    cut(text, SHOWN_BYTES)
}

fn cut(text: &str, bytes_max: usize) -> String {
    if text.len() <= bytes_max {
        return text.to_owned();
    }
    let cut = (0..=bytes_max).rev().find(|at| text.is_char_boundary(*at)).unwrap_or(0);
    format!("{}…", text.get(..cut).unwrap_or_default())
}

/// How long a question may take that only finds out whether a store answers.
pub(crate) const LOOK_LIMIT: Duration = Duration::from_secs(5);

/// Whether a store answers, as an objection wants to know it; in words why not.
pub(crate) fn answers(stores: &Stores, store: &str, place: &Place) -> Result<(), String> {
    let (server, disk) = (stores.connection(store, place)?, stores.disk());
    let query = Query { server, disk, text: "SELECT 1".to_owned(), is_question: true };
    let asked = ask::put(query, Some(LOOK_LIMIT), &Stop::new(), &SystemClock);
    asked.map(drop).map_err(|no_rows| no_rows.words().to_owned())
}
