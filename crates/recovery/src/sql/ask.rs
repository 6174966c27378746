//! Putting a query to a server, in the time it has.
//!
//! The rule it keeps: it is told apart whether a query was never put, was refused by the server, or was
//! put and not answered. Whoever waits is not held up by a server that is silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use postgres::error::Severity;
use postgres::{CancelToken, Client, Config, NoTls, SimpleQueryMessage};
use soter_world::{Clock, Stop};

/// How often it is looked whether to go on waiting.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a server has to end a query it was told to end, before nobody waits any more.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// A query with everything filled in.
#[derive(Clone)]
pub(super) struct Query {
    /// The server.
    pub(super) config: Config,
    /// The text, of one statement or several.
    pub(super) text: String,
    /// Whether it may change nothing.
    pub(super) is_question: bool,
}

/// What came back: of the last statement that gives rows, if one did.
#[derive(Debug, Default, Clone, PartialEq, Eq)]
pub(super) struct Rows {
    /// The names of columns; none if no statement gives rows.
    pub(super) columns: Vec<String>,
    /// The rows, as texts; none is NULL.
    pub(super) rows: Vec<Vec<Option<String>>>,
    /// How many rows the last statement gave or changed.
    pub(super) count: u64,
}

/// Why nothing came back.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum NoRows {
    /// It was not put: nothing happened.
    NotPut(String),
    /// The server refused it, or ended it: what it would have changed is as it was.
    Refused(String),
    /// It was put, and no whole answer came.
    NoAnswer(String),
}

impl NoRows {
    /// In words, whatever it was.
    pub(super) fn words(&self) -> &str {
        match self {
            Self::NotPut(words) | Self::Refused(words) | Self::NoAnswer(words) => words,
        }
    }
}

enum Heard {
    Put(CancelToken),
    Over(Result<Rows, NoRows>),
}

/// Puts a query and waits for the answer, for so long at most, or until it is told to stop.
pub(super) fn put(
    query: Query,
    limit: Option<Duration>,
    stop: &Stop,
    clock: &dyn Clock,
) -> Result<Rows, NoRows> {
    let (say, heard) = sync_channel(2);
    let decided = Arc::new(AtomicBool::new(false));
    let waiting_decided = Arc::clone(&decided);
    let spawned = thread::Builder::new().name("sql".to_owned()).spawn(move || {
        let may_put = |token| {
            // Before it is decided: who finds it decided has the token to come.
            drop(say.send(Heard::Put(token)));
            !decided.swap(true, Ordering::AcqRel)
        };
        let over = carry_out(&query, limit, may_put);
        drop(say.send(Heard::Over(over)));
    });
    if spawned.is_err() {
        return Err(NoRows::NotPut("this machine has no room for another thread".to_owned()));
    }
    let until = limit.map(|limit| clock.monotonic() + limit);
    let mut waiting = Waiting { heard, put: None, decided: waiting_decided };
    loop {
        if let Some(over) = waiting.listen() {
            return over;
        }
        if stop.is_stopped() {
            return waiting.give_up("it was told to stop", clock);
        }
        if until.is_some_and(|until| clock.monotonic() >= until) {
            return waiting.give_up("there was no answer in time", clock);
        }
    }
}

struct Waiting {
    heard: Receiver<Heard>,
    put: Option<CancelToken>,
    /// Whether it is decided that the query is put, or that it never is.
    decided: Arc<AtomicBool>,
}

impl Waiting {
    fn listen(&mut self) -> Option<Result<Rows, NoRows>> {
        match self.heard.recv_timeout(LOOK_EVERY) {
            Ok(Heard::Over(over)) => Some(over),
            Ok(Heard::Put(token)) => {
                self.put = Some(token);
                None
            }
            Err(RecvTimeoutError::Timeout) => None,
            Err(RecvTimeoutError::Disconnected) => {
                Some(Err(NoRows::NoAnswer("the one who asked is gone".to_owned())))
            }
        }
    }

    /// Has the server end it, and waits a little for what it says to that.
    fn give_up(mut self, why: &str, clock: &dyn Clock) -> Result<Rows, NoRows> {
        if !self.decided.swap(true, Ordering::AcqRel) {
            return Err(NoRows::NotPut(why.to_owned()));
        }
        let until = clock.monotonic() + CANCEL_GRACE;
        while clock.monotonic() < until {
            if let Some(token) = self.put.take() {
                drop(thread::Builder::new().spawn(move || token.cancel_query(NoTls).is_ok()));
            }
            match self.listen() {
                Some(Err(NoRows::Refused(said))) => {
                    return Err(NoRows::Refused(format!("{why}: {said}")));
                }
                Some(over) => return over,
                None => {}
            }
        }
        Err(NoRows::NoAnswer(why.to_owned()))
    }
}

fn carry_out(
    query: &Query,
    limit: Option<Duration>,
    may_put: impl FnOnce(CancelToken) -> bool,
) -> Result<Rows, NoRows> {
    let mut config = query.config.clone();
    let connect = config.get_connect_timeout().copied();
    let shorter = [connect, limit].into_iter().flatten().min();
    if let Some(shorter) = shorter {
        config.connect_timeout(shorter);
    }
    let mut client = config.connect(NoTls).map_err(|error| NoRows::NotPut(in_words(&error)))?;
    let milliseconds = limit.map_or(0, |limit| limit.as_millis().clamp(1, 1 << 30));
    let mut begin =
        format!("SET standard_conforming_strings = on; SET statement_timeout = {milliseconds};");
    if query.is_question {
        // The second word holds for what a question might begin by itself.
        begin.push_str("SET default_transaction_read_only = on; BEGIN READ ONLY");
    }
    client.batch_execute(&begin).map_err(|error| NoRows::NotPut(in_words(&error)))?;
    if !may_put(client.cancel_token()) {
        return Err(NoRows::NotPut("nobody waits for it any more".to_owned()));
    }
    let said = client.simple_query(&query.text).map_err(|error| match error.as_db_error() {
        // A session that is ended may have committed: while it waited for a standby, for instance.
        Some(said) if said.parsed_severity() == Some(Severity::Error) => {
            NoRows::Refused(in_words(&error))
        }
        _ => NoRows::NoAnswer(in_words(&error)),
    })?;
    if query.is_question {
        // It has answered; what a question began is given up with the connection in any case.
        drop(client.batch_execute("ROLLBACK"));
    }
    drop(Client::close(client));
    Ok(rows(said))
}

fn rows(said: Vec<SimpleQueryMessage>) -> Rows {
    let mut found = Rows::default();
    for message in said {
        match message {
            SimpleQueryMessage::RowDescription(columns) => {
                found.columns = columns.iter().map(|column| column.name().to_owned()).collect();
                found.rows.clear();
            }
            SimpleQueryMessage::Row(row) => {
                let values = (0..row.len()).map(|at| row.get(at).map(str::to_owned));
                found.rows.push(values.collect());
            }
            SimpleQueryMessage::CommandComplete(count) => found.count = count,
            _ => {}
        }
    }
    found
}

/// What a server or the way to it says, with where in the query and what it rests on.
pub(super) fn in_words(error: &postgres::Error) -> String {
    let Some(said) = error.as_db_error() else {
        let cause = std::error::Error::source(error);
        return cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"));
    };
    let mut words = format!("{}: {}", said.severity(), said.message());
    for more in [said.detail(), said.hint()].into_iter().flatten() {
        words.push_str(&format!("; {more}"));
    }
    words
}
