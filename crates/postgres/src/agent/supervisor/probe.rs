//! Probe: is there a server, can it be protected, does somebody else stream from our slot?

use std::time::Duration;

use postgres::Client;

use super::super::engine::chain;
use super::super::findings::Noted;
use super::super::flow::Mode;
use super::super::machine::{Event, Trouble};
use super::super::status::ServerStatus;
use super::Supervisor;
use crate::error::ErrorKind;
use crate::replication::{self, ReplicationClient};
use crate::server::checks::{
    Code, Desired, Finding, Protection, ReplicationProbe, Severity, checks,
};
use crate::server::{Error as ServerError, ServerFacts};

/// How long another receiver of our slot may stay without a sign of life until we say that we are
/// superseded: longer than the server's default for giving up on a dead one.
const SLOT_PATIENCE: Duration = Duration::from_secs(90);

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
    fn look(&mut self, holder: Option<(u32, Option<String>)>, now: Duration) -> Verdict {
        let Some((process, heard)) = holder else {
            self.0 = None;
            return Verdict::Free;
        };
        let Some(known) = self.0.as_ref().filter(|known| known.process == process) else {
            self.0 = Some(Holder { process, heard, since: now });
            return Verdict::Wait;
        };
        let was_heard = heard.is_some() && heard != known.heard;
        if was_heard || now.saturating_sub(known.since) > SLOT_PATIENCE {
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
        self.note_findings(&facts)?;
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
        let millis = facts.setting("wal_sender_timeout").and_then(|text| text.parse::<u64>().ok());
        let sender_timeout = millis.filter(|millis| *millis > 0).map(Duration::from_millis);
        self.client = Some(client);
        self.probed = Some(Probed { facts, identity, sender_timeout });
        Ok(())
    }

    /// Keeps what the checks found for the status; some of it prevents all work.
    fn note_findings(&self, facts: &ServerFacts) -> Result<(), Trouble> {
        let settings = self.shared.settings;
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
        let at = self.shared.around.world.clock.now();
        let shown = shown.map(|finding| Noted { what: finding.in_one_line(), at }).collect();
        self.shared.desk().server_findings = shown;
        let prevents = |finding: &&Finding| PREVENTING.contains(&finding.code);
        match found.iter().filter(|f| f.severity == Severity::Error).find(prevents) {
            Some(finding) => Err(Trouble::Input(finding.in_one_line())),
            None => Ok(()),
        }
    }

    fn look_at_slot(&mut self, facts: &ServerFacts, sql: &mut Client) -> Result<(), Trouble> {
        let slot = facts.slot(self.shared.settings.slot.as_str());
        let process = slot.and_then(|slot| slot.active_process);
        let holder = process.map(|process| (process, last_heard(sql, process)));
        let name = &self.shared.settings.slot;
        let what =
            |process| format!("another receiver (process {process}) streams from slot {name}");
        match (self.slot_watch.look(holder, self.shared.now()), process) {
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
        assert_eq!(watch.look(None, at(0)), Verdict::Free);
        assert_eq!(watch.look(heard("10:00"), at(1)), Verdict::Wait);
        assert_eq!(watch.look(heard("10:00"), at(5)), Verdict::Wait);
        assert_eq!(watch.look(heard("10:07"), at(8)), Verdict::Alive);
        // Another process is looked at anew.
        assert_eq!(watch.look(Some((8, None)), at(9)), Verdict::Wait);
        assert_eq!(watch.look(Some((8, None)), at(60)), Verdict::Wait);
        assert_eq!(watch.look(Some((8, None)), at(100)), Verdict::Alive);
        assert_eq!(watch.look(None, at(101)), Verdict::Free);
        assert_eq!(watch.look(Some((8, None)), at(102)), Verdict::Wait);
    }
}
