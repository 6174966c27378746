//! Stream: bytes from the connection into the engine, signs of life back.
//!
//! The reader does nothing that waits for the vault. It gathers what has arrived into a batch, so
//! that a system call is paid for each batch and not for each message.

use std::sync::Arc;
use std::time::Duration;

use soter_world::durable;

use super::super::engine::Engine;
use super::super::facts::FactsKeeper;
use super::super::flow::Mode;
use super::super::intake::Intake;
use super::super::machine::{Event, Trouble};
use super::super::shared::{LOOK, Shared};
use super::probe::replication_trouble;
use super::{Supervisor, spool_trouble};
use crate::lsn::{Lsn, Timeline};
use crate::replication::{Error, Event as Arrival, Refusal, ReplicationClient, Start, WalStream};
use crate::wal::header::WalIdentity;

/// How much is gathered at most before it is written to the spool.
const BATCH_BYTES_MAX: usize = 256 << 10;

/// A sign of life at least this often; more often if the server waits for less.
const STATUS_INTERVAL_MAX: Duration = Duration::from_secs(10);

/// A server that is stopping asks again with every answer; this often is enough.
const REPLY_INTERVAL: Duration = Duration::from_millis(10);

/// How long a stopping server waits for the vault before the spool stands in for it.
const STOPPING_SPOOL: Duration = Duration::from_millis(300);

/// How long it waits when nothing may stand in for the vault. Then the connection is closed: the
/// server ends, and keeps what we do not have.
const STOPPING_MAX: Duration = Duration::from_secs(5);

/// How long to wait for the server to end the stream that we have ended.
const FAREWELL_MAX: Duration = Duration::from_secs(2);

/// A server that has not answered for so long is taken for gone: as long as its own default for us.
const SILENCE_MAX: Duration = Duration::from_secs(60);

/// Segments that may wait in the spool without a limit in the plan.
const SPOOL_FILES_DEFAULT: u64 = 4;

/// What the reader keeps in mind during one stream.
struct Reading<'a, 'env> {
    shared: &'a Shared<'env>,
    engine: &'a Engine,
    batch: Vec<u8>,
    batch_at: Lsn,
    spool_files_max: usize,
    status_interval: Duration,
    status_at: Duration,
    looked_at: Duration,
    owes_reply: bool,
    stopping_since: Option<Duration>,
    /// There is no room for more, so that nothing is read that the server says.
    is_full: bool,
    /// When the server was heard of last, as far as anybody listened.
    heard_at: Duration,
}

impl Supervisor<'_, '_> {
    /// Streams until something ends it; whether WAL has flowed, and what ended it.
    pub(super) fn stream(&mut self, timeline: Timeline, from: Lsn) -> (bool, Event) {
        let gone = || Event::Failed(Trouble::Passing("there is no connection".to_owned()));
        let Some(crew) = &self.crew else { return (false, gone()) };
        let engine = Arc::clone(&crew.engine);
        let Some(mut client) = self.client.take() else { return (false, gone()) };
        let Ok(probed) = self.probed() else { return (false, gone()) };
        let third = probed.sender_timeout.map_or(STATUS_INTERVAL_MAX, |timeout| timeout / 3);
        let identity = WalIdentity {
            system_identifier: probed.facts.system_identifier,
            version: probed.facts.version,
            segment_size: probed.facts.wal_segment_size,
        };
        let mut facts = self.facts.take().unwrap_or_else(|| FactsKeeper::new(identity, timeline));
        let now = self.shared.now();
        let mut reading = Reading {
            shared: self.shared,
            engine: &engine,
            batch: Vec::with_capacity(BATCH_BYTES_MAX),
            batch_at: from,
            spool_files_max: spool_files_max(self.shared, identity.segment_size.bytes_u64()),
            status_interval: third.min(STATUS_INTERVAL_MAX),
            status_at: now,
            looked_at: now,
            owes_reply: false,
            stopping_since: None,
            is_full: false,
            heard_at: now,
        };
        let slot = Some(self.shared.settings.slot.clone());
        let start = Start { slot, position: from, timeline };
        self.shared.note_heard(now);
        let event = reading.run(&mut client, &start, &mut facts);
        let has_flowed = engine.received_end() > from;
        engine.detach();
        self.facts = Some(facts);
        if crew.is_broken() && !self.shared.stop.is_stopped() {
            let died = Trouble::Lasting("a thread of the agent has ended".to_owned());
            return (has_flowed, Event::Failed(engine.fatal().unwrap_or(died)));
        }
        let event = match event {
            Ended::TimelineLeft { next, switch } => {
                self.follow = Some((next, switch));
                Event::StreamEnded(format!("timeline {timeline} ends at {switch}"))
            }
            Ended::Event(event) => event,
        };
        (has_flowed, event)
    }
}

/// How a stream ended.
enum Ended {
    TimelineLeft { next: Timeline, switch: Lsn },
    Event(Event),
}

impl From<Trouble> for Ended {
    fn from(trouble: Trouble) -> Self {
        Self::Event(Event::Failed(trouble))
    }
}

fn spool_files_max(shared: &Shared<'_>, segment_bytes: u64) -> usize {
    let limit = shared.settings.spool_bytes_max.map_or(0, |bytes| bytes / segment_bytes);
    usize::try_from(limit.max(SPOOL_FILES_DEFAULT)).unwrap_or(usize::MAX)
}

impl Reading<'_, '_> {
    fn run(
        &mut self,
        client: &mut ReplicationClient,
        start: &Start,
        facts: &mut FactsKeeper,
    ) -> Ended {
        let mut wal = match client.stream(start) {
            Ok(wal) => wal,
            Err(error) => return refused(&error, start),
        };
        self.engine.attach(wal.acknowledger());
        let engine = self.engine;
        let mut intake = Intake::new(engine, facts);
        loop {
            if self.shared.stop.is_stopped() {
                self.farewell(&mut wal);
                return Ended::Event(Event::StopRequested);
            }
            match self.step(&mut wal, &mut intake, start) {
                Ok(None) => {}
                Ok(Some(ended)) => return ended,
                Err(trouble) => return trouble.into(),
            }
        }
    }

    /// Takes one event, or waits until there is room for what it may bring.
    fn step(
        &mut self,
        wal: &mut WalStream<'_>,
        intake: &mut Intake<'_>,
        start: &Start,
    ) -> Result<Option<Ended>, Trouble> {
        self.is_full = !self.engine.has_room(self.spool_files_max);
        if self.is_full {
            self.engine.wait_for_progress(LOOK);
            self.hear();
            return self.look(intake);
        }
        match wal.next_event() {
            Ok(Arrival::Wal { start: at, end_of_wal, data }) => {
                self.hear();
                if self.batch.is_empty() {
                    self.batch_at = at;
                }
                self.batch.extend_from_slice(data);
                self.shared.note_server_end(end_of_wal);
                if self.batch.len() >= BATCH_BYTES_MAX || !wal.is_event_ready() {
                    self.flush(intake)?;
                    return self.look(intake);
                }
                Ok(None)
            }
            Ok(Arrival::Keepalive { end_of_wal, reply_requested, .. }) => {
                self.hear();
                self.flush(intake)?;
                self.shared.note_server_end(end_of_wal);
                if reply_requested {
                    self.reply(end_of_wal);
                }
                self.look(intake)
            }
            Ok(Arrival::Quiet) => {
                self.flush(intake)?;
                self.check_silence()?;
                self.look(intake)
            }
            Ok(Arrival::EndOfTimeline { next_timeline, switch_point }) => {
                self.flush(intake)?;
                Ok(Some(Ended::TimelineLeft { next: next_timeline, switch: switch_point }))
            }
            Ok(Arrival::Stopped) => {
                Ok(Some(Ended::Event(Event::StreamEnded("the stream has ended".to_owned()))))
            }
            Ok(Arrival::Closed) => {
                self.flush(intake)?;
                let why = "the server has shut down".to_owned();
                Ok(Some(Ended::Event(Event::StreamEnded(why))))
            }
            Err(error) => {
                // What had come is worth keeping.
                self.flush(intake)?;
                Ok(Some(refused(&error, start)))
            }
        }
    }

    fn hear(&mut self) {
        self.heard_at = self.shared.now();
        self.shared.note_heard(self.heard_at);
    }

    /// A server answers our signs of life. One that does not is gone or stuck, and what it has we
    /// do not know.
    fn check_silence(&self) -> Result<(), Trouble> {
        let silent = self.shared.now().saturating_sub(self.heard_at);
        if silent < SILENCE_MAX {
            return Ok(());
        }
        let seconds = silent.as_secs();
        Err(Trouble::Passing(format!("the server has said nothing for {seconds} seconds")))
    }

    fn flush(&mut self, intake: &mut Intake<'_>) -> Result<(), Trouble> {
        if !self.batch.is_empty() {
            let taken = intake.take(self.batch_at, &self.batch);
            self.batch.clear();
            taken.map_err(spool_trouble)?;
        }
        Ok(())
    }

    /// What is done now and then, whatever comes.
    fn look(&mut self, intake: &mut Intake<'_>) -> Result<Option<Ended>, Trouble> {
        let now = self.shared.now();
        let since_status = now.saturating_sub(self.status_at);
        if since_status >= self.status_interval {
            self.engine.give_sign_of_life();
            (self.status_at, self.owes_reply) = (now, false);
        } else if self.owes_reply && since_status >= REPLY_INTERVAL {
            self.engine.acknowledge();
            (self.status_at, self.owes_reply) = (now, false);
        }
        if let Some(since) = self.stopping_since
            && let Some(ended) = self.let_server_stop(now.saturating_sub(since))
        {
            return Ok(Some(ended));
        }
        if now.saturating_sub(self.looked_at) < LOOK {
            return Ok(None);
        }
        self.looked_at = now;
        if self.is_full && self.stopping_since.is_none() && self.is_server_stopping() {
            self.stopping_since = Some(now);
            self.engine.hurry();
        }
        let (last_commit, records_end, problem) = intake.facts();
        if let Some(problem) = problem {
            let problem = super::super::engine::chain(&problem);
            self.shared.find(&format!("WAL is kept that cannot be decoded: {problem}"));
        }
        {
            let mut desk = self.shared.desk();
            (desk.last_commit, desk.records_end) = (last_commit, records_end);
        }
        match self.shared.trouble() {
            Some(trouble) => Err(trouble),
            None => Ok(None),
        }
    }

    /// The server wants to hear from us: it has not for a while, or it is stopping.
    fn reply(&mut self, end_of_wal: Lsn) {
        self.owes_reply = true;
        let is_behind = self.engine.standing().flushed < end_of_wal;
        let is_caught_up = self.engine.received_end() >= end_of_wal;
        if self.stopping_since.is_none() && is_behind && is_caught_up && self.is_server_stopping() {
            self.stopping_since = Some(self.shared.now());
            self.engine.hurry();
        }
    }

    /// The last line of the server's lock file says what it is doing.
    fn is_server_stopping(&self) -> bool {
        const LOCK_FILE_BYTES_MAX: usize = 8192;
        const STATUS_LINE: usize = 7;
        let path = self.shared.settings.data_directory.join("postmaster.pid");
        let Ok(text) = durable::read(&*self.shared.around.world.disk, &path, LOCK_FILE_BYTES_MAX)
        else {
            return false;
        };
        let text = String::from_utf8_lossy(&text);
        text.lines().nth(STATUS_LINE).is_some_and(|status| status.trim() == "stopping")
    }

    /// A server ends when all its WAL is acknowledged. It must not wait for a vault that is away.
    fn let_server_stop(&mut self, waited: Duration) -> Option<Ended> {
        let standing = self.engine.standing();
        if standing.flushed >= standing.received && !self.is_full {
            return None;
        }
        match self.engine.mode() {
            Mode::Asynchronous { .. } if waited >= STOPPING_SPOOL => {
                if let Err(error) = self.engine.sync_spool() {
                    self.shared.find(&super::super::engine::chain(&error));
                }
            }
            _ => {}
        }
        let standing = self.engine.standing();
        let is_behind = standing.flushed < standing.received || self.is_full;
        if is_behind && waited >= STOPPING_MAX {
            let why = "the server is stopping and the vault does not take its WAL; it keeps it";
            return Some(Ended::Event(Event::StreamEnded(why.to_owned())));
        }
        None
    }

    /// Ends the stream in order, when what has come is safe or a stop may take no longer.
    fn farewell(&self, wal: &mut WalStream<'_>) {
        (self.shared.around.say)("stopping: sending what has come");
        self.engine.drain(super::DRAIN_MAX);
        self.engine.acknowledge();
        if wal.acknowledger().finish().is_err() {
            return;
        }
        let until = self.shared.now() + FAREWELL_MAX;
        while self.shared.now() < until {
            match wal.next_event() {
                Ok(Arrival::Stopped | Arrival::Closed | Arrival::EndOfTimeline { .. }) | Err(_) => {
                    return;
                }
                Ok(Arrival::Wal { .. } | Arrival::Keepalive { .. } | Arrival::Quiet) => {}
            }
        }
    }
}

/// What follows from an error of the stream.
fn refused(error: &Error, start: &Start) -> Ended {
    match error.refusal() {
        Some(Refusal::WalRemoved) => {
            let Start { position: from, timeline, .. } = *start;
            Ended::Event(Event::WalRemoved { from, timeline })
        }
        _ => replication_trouble(error).into(),
    }
}
