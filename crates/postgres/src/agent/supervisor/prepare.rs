//! Prepare: a session in the vault, a slot in the server, and where to go on.

use std::sync::Arc;

use super::super::engine::{Engine, Writer, chain};
use super::super::machine::{Event, Trouble};
use super::super::resume::{Beginning, Decision, Found, Held, Offered, decide};
use super::super::spool::Recovered;
use super::super::stored::{self, Elsewhere, Stored};
use super::super::writer::Life;
use super::probe::{replication_trouble, sql_trouble};
use super::{Supervisor, spool_trouble};
use crate::control::ControlFile;
use crate::lsn::{Lsn, SegmentNumber, SegmentSize, Timeline};
use crate::replication::ReplicationClient;
use crate::server::{Error as ServerError, SlotState};
use crate::timeline::TimelineHistory;
use crate::wal::name::SegmentName;

/// The control file is one sector, padded to a page.
const CONTROL_FILE_BYTES_MAX: usize = 64 << 10;

impl Supervisor<'_, '_> {
    pub(super) fn prepare(&mut self) -> Event {
        match self.make_ready() {
            Ok(event) => event,
            Err(trouble) => Event::Failed(trouble),
        }
    }

    fn make_ready(&mut self) -> Result<Event, Trouble> {
        let writer = self.writer()?;
        let kept_from = match self.begins_anew {
            // What was probed is older than this slot.
            Some(at) => at,
            None => self.slot()?,
        };
        let timeline = self.probed()?.identity.timeline;
        let history = self.history(&writer, timeline)?;
        let (held, beginning) = self.held(&writer, kept_from)?;
        // Asked after the vault was: another agent may have stored what was written meanwhile.
        let identity = self.client()?.identify_system();
        let identity = identity.map_err(|error| replication_trouble(&error))?;
        if identity.timeline != timeline {
            return Err(Trouble::Passing("the server is changing its timeline".to_owned()));
        }
        let (flushed, is_standby) = (identity.flushed, self.probed()?.facts.in_recovery);
        let offered = Offered { timeline, history, flushed, is_standby, kept_from };
        match decide(&offered, held) {
            Decision::Stream { timeline, from } => {
                self.engine_for(&writer, timeline, from, beginning)?;
                Ok(Event::Prepared { timeline, from })
            }
            Decision::Wait { flushed, held } => Err(Trouble::Passing(format!(
                "the standby has WAL up to {flushed} only; the vault has it up to {held}"
            ))),
            Decision::Fork(fork) => Ok(Event::Forked(fork)),
        }
    }

    /// The session, opened once in the process's life; who replaces it tells the engine.
    fn writer(&mut self) -> Result<Arc<Writer>, Trouble> {
        if let Some(crew) = &self.crew {
            self.writer = Some(crew.engine.writer());
        }
        self.check_data_directory()?;
        let facts = &self.probed()?.facts;
        if let Some(writer) = &self.writer {
            // The directory may have been replaced by a restored one while the server was away.
            self.shared.check_marker(writer, facts.system_identifier)?;
            return Ok(Arc::clone(writer));
        }
        let life = Life::OfServer(facts.system_identifier, facts.version);
        let writer = Arc::new(self.shared.open_writer(life, facts.wal_segment_size)?);
        self.writer = Some(Arc::clone(&writer));
        Ok(writer)
    }

    /// The data directory must be that of the server we are connected to.
    fn check_data_directory(&self) -> Result<(), Trouble> {
        let path = self.shared.settings.data_directory.join("global/pg_control");
        let disk = &*self.shared.around.world.disk;
        let read = soter_world::durable::read(disk, &path, CONTROL_FILE_BYTES_MAX);
        let bytes = read.map_err(|error| {
            Trouble::Input(format!(
                "cannot read {}: {error}; run as the server's user, and look at the plan's \
                 data_directory",
                path.display()
            ))
        })?;
        // Read while it is written it may be torn; the next probe reads it again.
        let control = ControlFile::parse(&bytes).map_err(|e| Trouble::Passing(chain(&e)))?;
        let server = self.probed()?.facts.system_identifier;
        if control.system_identifier == server {
            return Ok(());
        }
        Err(Trouble::Input(format!(
            "the server is cluster {server}, the data directory is of cluster {}",
            control.system_identifier
        )))
    }

    /// Makes sure that the slot is there and keeps WAL; the beginning of the first segment it keeps.
    fn slot(&mut self) -> Result<Lsn, Trouble> {
        let name = self.shared.settings.slot.clone();
        let facts = &self.probed()?.facts;
        let size = facts.wal_segment_size;
        let known = facts.slot(name.as_str()).map(|slot| (slot.state, slot.restart));
        match known {
            Some((SlotState::Reserved | SlotState::Extended | SlotState::Unreserved, Some(at))) => {
                return Ok(at.start_of_segment(size));
            }
            Some((state, _)) => {
                let what = if state == SlotState::Lost { "was lost" } else { "keeps no WAL" };
                self.shared.find(&format!("slot {name} {what}; it is made anew"));
                self.client()?.drop_slot(&name).map_err(|error| replication_trouble(&error))?;
            }
            None => {}
        }
        let created = self.client()?.create_physical_slot(&name);
        created.map_err(|error| replication_trouble(&error))?;
        self.restart_of_slot().map(|at| at.start_of_segment(size))
    }

    /// From where the slot keeps WAL now.
    fn restart_of_slot(&self) -> Result<Lsn, Trouble> {
        let keeps_none = || Trouble::Passing("the slot keeps no WAL".to_owned());
        self.live_slot()?.map(|(restart, _)| restart).ok_or_else(keeps_none)
    }

    /// From where the slot keeps WAL now, and whether it is sure to.
    fn live_slot(&self) -> Result<Option<(Lsn, bool)>, Trouble> {
        let settings = self.shared.settings;
        let cannot = |source| sql_trouble(&ServerError::Sql { action: "look at the slot", source });
        let mut sql = settings.connection.connect_sql().map_err(cannot)?;
        let query = "SELECT restart_lsn::text, wal_status IN ('reserved', 'extended') \
                     FROM pg_catalog.pg_replication_slots WHERE slot_name = $1";
        let row = sql.query_opt(query, &[&settings.slot.as_str()]).map_err(cannot)?;
        let Some(row) = row else { return Ok(None) };
        let text: Option<String> = row.try_get(0).map_err(cannot)?;
        let is_sure: Option<bool> = row.try_get(1).map_err(cannot)?;
        let restart = text.and_then(|text| text.parse().ok());
        Ok(restart.map(|restart| (restart, is_sure == Some(true))))
    }

    /// Where the server's WAL begins again behind a gap that begins at `from`; the slot is made anew
    /// for it, unless it keeps WAL from behind the gap on already: then an agent before this one has
    /// made it, and what it keeps must not be given up.
    pub(super) fn way_round_gap(&mut self, from: Lsn) -> Result<Lsn, Trouble> {
        let settings = self.shared.settings;
        let size = self.probed()?.facts.wal_segment_size;
        self.client = None;
        let client = ReplicationClient::connect(&settings.connection, &self.shared.stop);
        let mut client = client.map_err(|error| replication_trouble(&error))?;
        match self.live_slot()? {
            Some((restart, true)) if restart.start_of_segment(size) > from => {}
            _ => {
                // If it cannot be dropped it cannot be made either.
                drop(client.drop_slot(&settings.slot));
                let created = client.create_physical_slot(&settings.slot);
                created.map_err(|error| replication_trouble(&error))?;
            }
        }
        self.client = Some(client);
        self.restart_of_slot().map(|at| at.start_of_segment(size))
    }

    /// How a timeline came about. Its history file is in the vault before any of its WAL.
    fn history(&mut self, writer: &Writer, timeline: Timeline) -> Result<TimelineHistory, Trouble> {
        if timeline == Timeline::FIRST {
            return Ok(TimelineHistory::first());
        }
        let history = self.client()?.timeline_history(timeline);
        let history = history.map_err(|error| replication_trouble(&error))?;
        self.shared.push_history(writer, &history.name, &history.content)?;
        TimelineHistory::parse(timeline, &history.content)
            .map_err(|error| Trouble::Lasting(chain(&error)))
    }

    fn client(&mut self) -> Result<&mut ReplicationClient, Trouble> {
        let gone = || Trouble::Passing("there is no connection".to_owned());
        self.client.as_mut().ok_or_else(gone)
    }

    /// What we hold, and where an engine would begin that is yet to be made.
    fn held(
        &mut self,
        writer: &Writer,
        kept_from: Lsn,
    ) -> Result<(Option<Held>, Option<Beginning>), Trouble> {
        let size = self.probed()?.facts.wal_segment_size;
        if self.begins_anew.is_some() {
            return Ok((None, None));
        }
        if let Some((timeline, switch)) = self.follow {
            let start = switch.start_of_segment(size);
            let begin = Beginning { start, received: start };
            return Ok((Some(Held { timeline, start, end: switch }), Some(begin)));
        }
        if let Some(held) = self.held_by_engine() {
            return Ok((Some(held), None));
        }
        self.spool(size)?;
        let Some(stored) = self.stored(writer, size, kept_from)? else {
            return Ok((None, None));
        };
        let timeline = stored.timeline;
        let spooled = self.recovered.filter(|recovered| recovered.timeline == timeline);
        let found = Found {
            unsealed: stored.unsealed,
            stored: stored.end,
            spooled: spooled.map(|recovered| (recovered.start, recovered.end)),
            available: self.available(timeline, stored.unsealed, kept_from, size),
        };
        let beginning = found.beginning(size);
        let start = beginning.received.start_of_segment(size);
        let end = stored.known.max(beginning.received);
        Ok((Some(Held { timeline, start, end }), Some(beginning)))
    }

    /// The first segment that the server has: what its slot keeps, and what happens to be there.
    fn available(&self, timeline: Timeline, from: Lsn, kept: Lsn, size: SegmentSize) -> Lsn {
        let mut segment = kept.segment(size);
        while segment.start(size) > from
            && let Some(before) = segment.0.checked_sub(1).map(SegmentNumber)
            && self.shared.server_has(SegmentName { timeline, segment: before }, size)
        {
            segment = before;
        }
        segment.start(size)
    }

    /// Where the vault's WAL ends.
    fn stored(
        &self,
        writer: &Writer,
        size: SegmentSize,
        kept_from: Lsn,
    ) -> Result<Option<Stored>, Trouble> {
        let wal = writer.wal(&*self.shared.around.world.clock);
        let (stand, gap) = {
            let memory = &self.shared.desk().memory;
            (memory.stand, memory.gaps.last().map(|gap| (gap.timeline, gap.to)))
        };
        let spooled_from = self.recovered.map(|recovered| (recovered.timeline, recovered.start));
        let elsewhere = Elsewhere { kept_from, spooled_from, gap };
        stored::find(&wal, &writer.session, size, elsewhere, stand)
            .map_err(|error| Trouble::Passing(chain(&error)))
    }

    /// Makes sure that there is an engine for this timeline.
    fn engine_for(
        &mut self,
        writer: &Arc<Writer>,
        timeline: Timeline,
        from: Lsn,
        beginning: Option<Beginning>,
    ) -> Result<(), Trouble> {
        let is_there = self.crew.as_ref().is_some_and(|crew| crew.engine.timeline() == timeline);
        if is_there && self.follow.is_none() && self.begins_anew.is_none() {
            return Ok(());
        }
        let goes_on = |recovered: Recovered| recovered.timeline == timeline && beginning.is_some();
        if self.crew.is_some() || !self.recovered.is_some_and(goes_on) {
            self.settle_engine()?;
        }
        self.history(writer, timeline)?;
        let size = self.probed()?.facts.wal_segment_size;
        let ground = self.ground(size)?;
        let beginning = beginning.unwrap_or(Beginning { start: from, received: from });
        let mode = self.shared.settings.mode;
        let writer = Arc::clone(writer);
        let engine =
            Engine::new(ground, timeline, writer, mode, beginning).map_err(spool_trouble)?;
        self.open_crew(engine);
        (self.follow, self.begins_anew, self.recovered) = (None, None, None);
        Ok(())
    }
}
