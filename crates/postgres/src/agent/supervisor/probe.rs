//! Probe: is there a server, can it be protected, does somebody else stream from our slot?

use std::time::Duration;

use postgres::Client;

use super::super::engine::chain;
use super::super::findings::Noted;
use super::super::flow::Mode;
use super::super::machine::{Event, Trouble};
use super::super::shared::Shared;
use super::super::status::ServerStatus;
use super::Supervisor;
use crate::error::ErrorKind;
use crate::replication::{self, ReplicationClient};
use crate::server::checks::{
    Code, Desired, Finding, Protection, ReplicationProbe, Severity, checks,
};
use crate::server::{Error as ServerError, ServerFacts};

/// How long another receiver of our slot may stay without a sign of life until we say that we are
/// superseded, at least: longer than the server's default for giving up on a dead one.
const SLOT_PATIENCE_MIN: Duration = Duration::from_secs(90);

/// How often the server's settings are looked at while WAL flows.
const WATCH_INTERVAL: Duration = Duration::from_secs(10);

/// What makes streaming impossible or worthless until a person has changed it.
const PREVENTING: &[Code] = &[
    Code::VersionUnsupported,
    Code::RoleCannotReplicate,
    Code::WalLevelMinimal,
    Code::SlotsExhausted,
    Code::SlotNotPhysical,
    Code::RemoteApply,
];

/// What the server said.
pub(super) struct Probed {
    pub(super) facts: ServerFacts,
    pub(super) identity: replication::SystemIdentity,
    /// How long the server waits for a sign of life.
    pub(super) sender_timeout: Option<Duration>,
}

/// Watches who else streams from our slot.
#[derive(Debug, Default)]
pub(super) struct SlotWatch(Option<Holder>);

#[derive(Debug, PartialEq, Eq)]
struct Holder {
    process: u32,
    /// When it was last heard of, as the server says.
    heard: Option<String>,
    since: Duration,
}

/// What follows from who holds the slot.
#[derive(Debug, PartialEq, Eq)]
enum Verdict {
    Free,
    Wait,
    Alive,
}

impl SlotWatch {
    /// `sender_timeout` is how long the server waits for a sign of life itself. If it does so for
    /// ever, a receiver that died with its machine stays for hours, and silence proves nothing.
    fn look(
        &mut self,
        holder: Option<(u32, Option<String>)>,
        sender_timeout: Option<Duration>,
        now: Duration,
    ) -> Verdict {
        let Some((process, heard)) = holder else {
            self.0 = None;
            return Verdict::Free;
        };
        let Some(known) = self.0.as_ref().filter(|known| known.process == process) else {
            self.0 = Some(Holder { process, heard, since: now });
            return Verdict::Wait;
        };
        let was_heard = heard.is_some() && heard != known.heard;
        let patience = sender_timeout.map(|timeout| (timeout * 3 / 2).max(SLOT_PATIENCE_MIN));
        let waited = now.saturating_sub(known.since);
        if was_heard || patience.is_some_and(|patience| waited > patience) {
            Verdict::Alive
        } else {
            Verdict::Wait
        }
    }
}

impl Supervisor<'_, '_> {
    pub(super) fn probe(&mut self) -> Event {
        match self.ask_server() {
            Ok(()) => Event::Probed,
            Err(trouble) => Event::Failed(trouble),
        }
    }

    fn ask_server(&mut self) -> Result<(), Trouble> {
        let settings = self.shared.settings;
        self.client = None;
        let cannot = |source| sql_trouble(&ServerError::Sql { action: "connect", source });
        let mut sql = settings.connection.connect_sql().map_err(cannot)?;
        let facts = ServerFacts::read(&mut sql).map_err(|error| sql_trouble(&error))?;
        self.shared.note_findings(&facts)?;
        self.look_at_slot(&facts, &mut sql)?;
        drop(sql);
        let client = ReplicationClient::connect(&settings.connection, &self.shared.stop);
        let mut client = client.map_err(|error| replication_trouble(&error))?;
        let identity = client.identify_system().map_err(|error| replication_trouble(&error))?;
        self.shared.desk().server = Some(ServerStatus {
            version: facts.version,
            timeline: identity.timeline,
            is_standby: facts.in_recovery,
        });
        self.shared.note_server_end(identity.flushed);
        let sender_timeout = sender_timeout(&facts);
        self.client = Some(client);
        self.probed = Some(Probed { facts, identity, sender_timeout });
        Ok(())
    }

    fn look_at_slot(&mut self, facts: &ServerFacts, sql: &mut Client) -> Result<(), Trouble> {
        let slot = facts.slot(self.shared.settings.slot.as_str());
        let process = slot.and_then(|slot| slot.active_process);
        let holder = process.map(|process| (process, last_heard(sql, process)));
        let name = &self.shared.settings.slot;
        let what =
            |process| format!("another receiver (process {process}) streams from slot {name}");
        let verdict = self.slot_watch.look(holder, sender_timeout(facts), self.shared.now());
        match (verdict, process) {
            (Verdict::Wait, Some(process)) => Err(Trouble::Passing(what(process))),
            (Verdict::Alive, Some(process)) => Err(Trouble::Superseded(what(process))),
            _ => Ok(()),
        }
    }
}

/// When the server last heard of a receiver; `None` if we may not know.
fn last_heard(sql: &mut Client, process: u32) -> Option<String> {
    let query = "SELECT reply_time::text FROM pg_catalog.pg_stat_replication WHERE pid = $1";
    let process = i32::try_from(process).ok()?;
    let row = sql.query_opt(query, &[&process]).ok()??;
    row.try_get(0).ok()?
}

impl Shared<'_> {
    /// Keeps what the checks found for the status; some of it prevents all work.
    pub(crate) fn note_findings(&self, facts: &ServerFacts) -> Result<(), Trouble> {
        let settings = self.settings;
        let desired = Desired {
            slot: settings.slot.clone(),
            application_name: settings.connection.application_name.clone(),
            protection: match settings.mode {
                Mode::Synchronous => Protection::Synchronous,
                Mode::Asynchronous { .. } => Protection::Asynchronous,
            },
        };
        let found = checks(facts, &ReplicationProbe::NotTried, &desired);
        let shown = found.iter().filter(|finding| finding.severity != Severity::Notice);
        let at = self.around.world.clock.now();
        let shown = shown.map(|finding| Noted { what: finding.in_one_line(), at }).collect();
        let errors = found.iter().filter(|finding| finding.severity == Severity::Error);
        let errors = errors.map(Finding::in_one_line).collect();
        {
            let mut desk = self.desk();
            (desk.server_findings, desk.server_errors) = (shown, errors);
        }
        let prevents = |finding: &&Finding| PREVENTING.contains(&finding.code);
        match found.iter().filter(|f| f.severity == Severity::Error).find(prevents) {
            Some(finding) => Err(Trouble::Input(finding.in_one_line())),
            None => Ok(()),
        }
    }

    /// Looks at the server's settings again and again while WAL flows: they may be changed so that
    /// commits wait for us no more, or for ever.
    pub(crate) fn keep_watch(&self) {
        let mut client = None;
        while !self.stop.wait(WATCH_INTERVAL) {
            if self.streaming_engine().is_none() {
                client = None;
                continue;
            }
            client = self.watch(client.take()).ok();
        }
    }

    /// Whoever cannot be asked now is asked again; that the stream has ended is seen elsewhere.
    fn watch(&self, client: Option<Client>) -> Result<Client, ServerError> {
        let mut client = match client {
            Some(client) => client,
            None => self
                .settings
                .connection
                .connect_sql()
                .map_err(|source| ServerError::Sql { action: "connect", source })?,
        };
        let facts = ServerFacts::read(&mut client)?;
        // What would prevent a start does not end what runs: it is in the status.
        drop(self.note_findings(&facts));
        Ok(client)
    }
}

/// How long the server waits for a sign of life; none if for ever.
fn sender_timeout(facts: &ServerFacts) -> Option<Duration> {
    let millis = facts.setting("wal_sender_timeout").and_then(|text| text.parse::<u64>().ok());
    millis.filter(|millis| *millis > 0).map(Duration::from_millis)
}

/// What follows from an error of an SQL connection.
pub(super) fn sql_trouble(error: &ServerError) -> Trouble {
    trouble(error.kind(), chain(error))
}

/// What follows from an error of the replication connection.
pub(super) fn replication_trouble(error: &replication::Error) -> Trouble {
    trouble(error.kind(), chain(error))
}

/// A server that is away or confused may come back, and whether another receiver is alive is asked
/// again; what a person has set stays as it is.
fn trouble(kind: ErrorKind, said: String) -> Trouble {
    match kind {
        ErrorKind::Input => Trouble::Input(said),
        ErrorKind::Retry
        | ErrorKind::NotFound
        | ErrorKind::Superseded
        | ErrorKind::Damaged
        | ErrorKind::Failed
        | ErrorKind::Stopped => Trouble::Passing(said),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_receiver_that_answers_is_alive_and_a_silent_one_is_given_time() {
        let at = Duration::from_secs;
        let heard = |text: &str| Some((7, Some(text.to_owned())));
        let mut watch = SlotWatch::default();
        let mut look = |holder, now| watch.look(holder, Some(at(60)), at(now));
        assert_eq!(look(None, 0), Verdict::Free);
        assert_eq!(look(heard("10:00"), 1), Verdict::Wait);
        assert_eq!(look(heard("10:00"), 5), Verdict::Wait);
        assert_eq!(look(heard("10:07"), 8), Verdict::Alive);
        // Another process is looked at anew.
        assert_eq!(look(Some((8, None)), 9), Verdict::Wait);
        assert_eq!(look(Some((8, None)), 60), Verdict::Wait);
        assert_eq!(look(Some((8, None)), 100), Verdict::Alive);
        assert_eq!(look(None, 101), Verdict::Free);
        assert_eq!(look(Some((8, None)), 102), Verdict::Wait);
    }

    #[test]
    fn a_dead_receiver_is_not_taken_for_a_successor_before_the_server_drops_it() {
        let at = Duration::from_secs;
        for (timeout, alive_after) in [(None, None), (Some(at(600)), Some(901))] {
            let mut watch = SlotWatch::default();
            for now in 0..10_000 {
                let verdict = watch.look(Some((7, Some("10:00".to_owned()))), timeout, at(now));
                let is_alive = alive_after.is_some_and(|after| now >= after);
                assert_eq!(verdict == Verdict::Alive, is_alive, "{timeout:?} {now}");
            }
        }
    }
}
