//! Putting a query to a server, in the time it has.
//!
//! The rule it keeps: it is told apart whether a query was never put, was refused by the server, or was
//! put and not answered. Whoever waits is not held up by a server that is silent.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::thread;
use std::time::Duration;

use postgres::SimpleQueryMessage;
use postgres::error::Severity;
use soter_postgres::connection::{Canceller, ConnectionInfo, Session, SessionError};
use soter_world::{Clock, Disk, Stop};

/// How often it is looked whether to go on waiting.
const LOOK_EVERY: Duration = Duration::from_millis(20);

/// How long a server has to end a query it was told to end, before nobody waits any more.
const CANCEL_GRACE: Duration = Duration::from_secs(5);

/// How many rows of an answer are kept. People see ten, and one is compared.
const ROWS_MAX: usize = 1_000;

/// How much of an answer is kept, but for its first row, which may be as long as a message of the
/// server: 16 MiB.
const ROWS_BYTES_MAX: usize = 1 << 20;

/// A query with everything filled in.
#[derive(Clone)]
pub(super) struct Query {
    /// The server.
    pub(super) server: ConnectionInfo,
    /// Where the files of certificates are.
    pub(super) disk: Arc<dyn Disk>,
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
    /// How many more there were, and were not kept.
    pub(super) left_out: usize,
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
    Put(Box<Canceller>),
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
    put: Option<Box<Canceller>>,
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
            if let Some(canceller) = self.put.take() {
                drop(thread::Builder::new().spawn(move || canceller.cancel().is_ok()));
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
    may_put: impl FnOnce(Box<Canceller>) -> bool,
) -> Result<Rows, NoRows> {
    let mut server = query.server.clone();
    server.connect_timeout =
        limit.map_or(server.connect_timeout, |it| it.min(server.connect_timeout));
    let mut session = Session::open(&server, &*query.disk)
        .map_err(|error| NoRows::NotPut(session_words(&error)))?;
    let milliseconds = limit.map_or(0, |limit| limit.as_millis().clamp(1, 1 << 30));
    let mut begin =
        format!("SET standard_conforming_strings = on; SET statement_timeout = {milliseconds};");
    if query.is_question {
        // The second word holds for what a question might begin by itself.
        begin.push_str("SET default_transaction_read_only = on; BEGIN READ ONLY");
    }
    session.execute(&begin).map_err(|error| NoRows::NotPut(in_words(&error)))?;
    if !may_put(Box::new(session.canceller())) {
        return Err(NoRows::NotPut("nobody waits for it any more".to_owned()));
    }
    let mut rows = Rows::default();
    let mut bytes = 0;
    let asked = session.ask(&query.text, |piece| rows.take(piece, &mut bytes));
    asked.map_err(|error| match error.as_db_error() {
        // A session that is ended may have committed: while it waited for a standby, for instance.
        Some(said) if said.parsed_severity() == Some(Severity::Error) => {
            NoRows::Refused(in_words(&error))
        }
        _ => NoRows::NoAnswer(in_words(&error)),
    })?;
    if query.is_question {
        // It has answered; what a question began is given up with the connection in any case.
        drop(session.execute("ROLLBACK"));
    }
    session.close();
    Ok(rows)
}

impl Rows {
    /// Goes on by a piece of an answer. What is too much is counted and let go.
    fn take(&mut self, piece: SimpleQueryMessage, bytes: &mut usize) {
        match piece {
            SimpleQueryMessage::RowDescription(columns) => {
                let columns = columns.iter().map(|column| column.name().to_owned()).collect();
                *self = Self { columns, count: self.count, ..Self::default() };
                *bytes = 0;
            }
            SimpleQueryMessage::Row(row) => {
                let values = || (0..row.len()).map(|at| row.get(at));
                let length = values().flatten().map(str::len).sum::<usize>();
                let is_first = self.rows.is_empty();
                let has_room = self.rows.len() < ROWS_MAX && *bytes + length <= ROWS_BYTES_MAX;
                if is_first || (has_room && self.left_out == 0) {
                    *bytes += length;
                    self.rows.push(values().map(|value| value.map(str::to_owned)).collect());
                } else {
                    self.left_out += 1;
                }
            }
            SimpleQueryMessage::CommandComplete(count) => self.count = count,
            _ => {}
        }
    }
}

/// Why there is no session.
fn session_words(error: &SessionError) -> String {
    if let SessionError::Refused(error) = error {
        return in_words(error);
    }
    let cause = std::error::Error::source(error);
    cause.map_or_else(|| error.to_string(), |cause| format!("{error}: {cause}"))
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
