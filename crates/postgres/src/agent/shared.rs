//! What the threads of an agent share: where it stands, and what was found.

use std::collections::VecDeque;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use soter_vault::ids::SessionId;
use soter_vault::log::WalRange;
use soter_world::{Clock, Stop};

use super::canary::Canaries;
use super::engine::Engine;
use super::findings::{Findings, Noted};
use super::flow::Mode;
use super::machine::{Phase, State, Trouble};
use super::memory::{Gap, Memory};
use super::queue::{Rate, measure};
use super::settings::{Settings, Surroundings};
use super::status::{
    BackupStatus, QueueStatus, ServerStatus, Status, VaultView, WalStatus, seconds,
};
use crate::lsn::{Lsn, Timeline};
use crate::wal::name::SegmentName;

/// How often a thread that waits for something else looks whether the agent ends.
pub(crate) const LOOK: Duration = Duration::from_millis(200);

/// An agent at work.
pub(crate) struct Shared<'a> {
    pub(crate) settings: &'a Settings,
    pub(crate) around: &'a Surroundings<'a>,
    /// Asks everybody to end.
    pub(crate) stop: Stop,
    /// Asks those who still try to reach the vault to give up.
    pub(crate) abandon: Stop,
    desk: Mutex<Desk>,
    changed: Condvar,
    /// Up to where the server has WAL; written with every batch.
    server_end: AtomicU64,
    /// When the server was heard of last, in milliseconds of the monotonic clock.
    heard_millis: AtomicU64,
    /// Held while a backup is made.
    backup_turn: Mutex<()>,
}

/// What changes.
pub(crate) struct Desk {
    phase: Phase,
    since: Timestamp,
    said: String,
    pub(crate) engine: Option<Arc<Engine>>,
    /// The latest commit time and the end of the last record that came.
    pub(crate) last_commit: Option<Timestamp>,
    pub(crate) records_end: Option<Lsn>,
    pub(crate) server: Option<ServerStatus>,
    /// Findings of the last look at the server.
    pub(crate) server_findings: Vec<Noted>,
    /// Those without whose remedy the plan's promise does not hold.
    pub(crate) server_errors: Vec<String>,
    findings: Findings,
    /// Whether people were told that the vault does not take WAL.
    pub(crate) is_vault_away: bool,
    pub(crate) canaries: Canaries,
    pub(crate) backup: BackupStatus,
    /// Why a backup shall be made at once, and whether a full one.
    pub(crate) wanted_backup: Option<WantedBackup>,
    pub(crate) memory: Memory,
    /// Sessions that we tried to open and do not know to have opened.
    pub(crate) attempts: VecDeque<SessionId>,
    pub(crate) queue: Option<QueueStatus>,
    pub(crate) rate: Rate,
    /// What another thread found that ends the agent.
    trouble: Option<Trouble>,
}

/// A backup that somebody wants.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) struct WantedBackup {
    pub(crate) reason: String,
    pub(crate) is_full: bool,
}

impl<'a> Shared<'a> {
    pub(crate) fn new(
        settings: &'a Settings,
        around: &'a Surroundings<'a>,
        memory: Memory,
        stop: Stop,
    ) -> Self {
        let desk = Desk {
            phase: Phase::Probe,
            since: around.world.clock.now(),
            said: String::new(),
            engine: None,
            last_commit: None,
            records_end: None,
            server: None,
            server_findings: Vec::new(),
            server_errors: Vec::new(),
            findings: Findings::default(),
            is_vault_away: false,
            canaries: Canaries::default(),
            backup: BackupStatus::default(),
            wanted_backup: None,
            memory,
            attempts: VecDeque::new(),
            queue: None,
            rate: Rate::default(),
            trouble: None,
        };
        Self {
            settings,
            around,
            stop,
            abandon: Stop::new(),
            desk: Mutex::new(desk),
            changed: Condvar::new(),
            server_end: AtomicU64::new(0),
            heard_millis: AtomicU64::new(0),
            backup_turn: Mutex::new(()),
        }
    }

    pub(crate) fn desk(&self) -> MutexGuard<'_, Desk> {
        self.desk.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Waits until no other backup is being made.
    pub(crate) fn backup_turn(&self) -> MutexGuard<'_, ()> {
        self.backup_turn.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(crate) fn now(&self) -> Duration {
        self.around.world.clock.monotonic()
    }

    pub(crate) fn engine(&self) -> Option<Arc<Engine>> {
        self.desk().engine.clone()
    }

    /// The engine, while WAL flows through it.
    pub(crate) fn streaming_engine(&self) -> Option<Arc<Engine>> {
        let desk = self.desk();
        let streams = matches!(desk.phase, Phase::Stream { .. });
        desk.engine.clone().filter(|_| streams)
    }

    /// Tells people, once for each new thing.
    pub(crate) fn show(&self, state: &State) {
        let now = self.around.world.clock.now();
        let mut desk = self.desk();
        if desk.phase != state.phase {
            desk.since = now;
            desk.phase = state.phase.clone();
        }
        let line = state.phase.to_string();
        let is_passing = matches!(state.phase, Phase::Probe | Phase::Prepare);
        let is_news = !is_passing && line != desk.said;
        if is_news {
            desk.said.clone_from(&line);
        }
        drop(desk);
        self.changed.notify_all();
        if is_news {
            (self.around.say)(&line);
        }
    }

    /// Something that a person should see: said once, and in the status from now on.
    pub(crate) fn find(&self, finding: &str) {
        let now = self.around.world.clock.now();
        if self.desk().findings.note(finding, now) {
            (self.around.say)(finding);
        }
    }

    /// Something ends the agent.
    pub(crate) fn fail(&self, trouble: Trouble) {
        self.desk().trouble.get_or_insert(trouble);
        self.changed.notify_all();
    }

    /// What ends the agent.
    pub(crate) fn trouble(&self) -> Option<Trouble> {
        let desk = self.desk();
        desk.trouble.clone().or_else(|| desk.engine.as_ref().and_then(|engine| engine.fatal()))
    }

    /// The server has WAL up to here.
    pub(crate) fn note_server_end(&self, end: Lsn) {
        self.server_end.fetch_max(end.0, Ordering::Relaxed);
    }

    pub(crate) fn server_end(&self) -> Lsn {
        Lsn(self.server_end.load(Ordering::Relaxed))
    }

    /// The server was heard of.
    pub(crate) fn note_heard(&self, at: Duration) {
        let millis = u64::try_from(at.as_millis()).unwrap_or(u64::MAX);
        self.heard_millis.fetch_max(millis, Ordering::Relaxed);
    }

    fn silent_for(&self) -> Duration {
        let heard = Duration::from_millis(self.heard_millis.load(Ordering::Relaxed));
        self.now().saturating_sub(heard)
    }

    /// Asks for a backup as soon as one can be made.
    pub(crate) fn want_backup(&self, reason: String, is_full: bool) {
        let mut desk = self.desk();
        let is_full = is_full || desk.wanted_backup.as_ref().is_some_and(|wanted| wanted.is_full);
        desk.wanted_backup = Some(WantedBackup { reason, is_full });
        drop(desk);
        self.changed.notify_all();
    }

    /// Waits until something has changed or the time is over.
    pub(crate) fn wait_for_change(&self, timeout: Duration) {
        let desk = self.desk();
        drop(self.changed.wait_timeout(desk, timeout));
    }

    pub(crate) fn notify(&self) {
        self.changed.notify_all();
    }

    /// Notes a gap and remembers it.
    pub(crate) fn note_gap(&self, gap: Gap) {
        self.find(&format!(
            "WAL of timeline {} from {} to {} was never received: {}",
            gap.timeline, gap.from, gap.to, gap.reason
        ));
        {
            let memory = &mut self.desk().memory;
            memory.note_gap(gap);
            // It is before the gap: who goes on from there would meet the gap once more.
            memory.stand = None;
        }
        self.save_memory();
    }

    /// The end of the last gap: what was copied before it cannot be brought up to now.
    pub(crate) fn gap_end(&self) -> Lsn {
        self.desk().memory.gaps.last().map_or(Lsn::INVALID, |gap| gap.to)
    }

    /// Saves what is remembered.
    pub(crate) fn save_memory(&self) {
        let memory = self.desk().memory.clone();
        let directory = &self.settings.state_directory;
        if let Err(error) = memory.save(&*self.around.world.disk, directory) {
            self.find(&format!("cannot remember anything in {}: {error}", directory.display()));
        }
    }

    /// Waits until WAL up to `to` is durable in the vault. An error says how far it is.
    pub(crate) fn wait_durable(
        &self,
        wal: &WalRange,
        timeout: Duration,
    ) -> Result<(), Option<Lsn>> {
        let deadline = self.now() + timeout;
        let (timeline, to) = (Timeline(wal.timeline), Lsn(wal.to));
        loop {
            let reached = match self.engine() {
                // A timeline is left only when all of it is durable.
                Some(engine) if engine.timeline() > timeline => return Ok(()),
                Some(engine) => {
                    if engine.wait_durable(to, LOOK) {
                        return Ok(());
                    }
                    Some(engine.standing().durable)
                }
                None => {
                    self.wait_for_change(LOOK);
                    None
                }
            };
            if self.stop.is_stopped() || self.now() >= deadline {
                return Err(reached);
            }
        }
    }

    /// Looks at WAL on the server's disk.
    pub(crate) fn measure_queue(&self) {
        let (now, end) = (self.now(), self.server_end());
        let rate = {
            let mut desk = self.desk();
            if end.is_valid() {
                desk.rate.note(now, end);
            }
            desk.rate.clone()
        };
        let flushed = self.engine().map_or(end, |engine| engine.standing().flushed);
        let kept = end.bytes_since(flushed).unwrap_or(0);
        let disk = &*self.around.world.disk;
        let measured = measure(disk, &self.settings.data_directory, kept, &rate);
        self.desk().queue = measured.ok();
    }

    /// How everything stands.
    pub(crate) fn status(&self) -> Status {
        self.measure_queue();
        let wal = self.wal_status();
        let vault = self.vault_view();
        let now = self.now();
        let durable = self.engine().map(|engine| engine.standing().durable);
        let mut desk = self.desk();
        let canary =
            self.settings.canary_every.map(|every| desk.canaries.status(every, durable, now));
        let mut findings = desk.server_findings.clone();
        findings.extend(desk.findings.all());
        if let Some(engine) = &desk.engine {
            findings.extend(engine.standing().findings);
        }
        let mut status = Status {
            store: self.settings.store.clone(),
            process: std::process::id(),
            phase: desk.phase.name(),
            doing: desk.phase.to_string(),
            since: desk.since,
            server: desk.server,
            wal,
            canary,
            backup: desk.backup.clone(),
            vault,
            queue: desk.queue,
            gaps: desk.memory.gaps.clone(),
            problems: Vec::new(),
            findings,
        };
        let known = [&self.settings.shortfalls[..], &desk.server_errors].concat();
        status.problems = status.find_problems(&known, self.around.world.clock.now());
        status
    }

    fn vault_view(&self) -> Option<VaultView> {
        let engine = self.engine()?;
        let durable = engine.standing().durable;
        let begin = self.gap_end();
        let end_from = |from: Lsn| (from >= begin && from <= durable).then_some(durable);
        let writer = engine.writer();
        let log = writer.session.log();
        let incarnation = Some(writer.archive.incarnation);
        let timeline = engine.timeline();
        Some(VaultView::of(log.catalogue(), incarnation, Some((timeline, &end_from))))
    }

    fn wal_status(&self) -> Option<WalStatus> {
        let engine = self.engine()?;
        let standing = engine.standing();
        let desk = self.desk();
        let server = self.server_end().max(standing.received);
        Some(WalStatus {
            mode: match engine.mode() {
                Mode::Synchronous => "synchronous".to_owned(),
                Mode::Asynchronous { .. } => "asynchronous".to_owned(),
            },
            timeline: engine.timeline(),
            server,
            received: standing.received,
            durable: standing.durable,
            flushed: standing.flushed,
            lag_bytes: server.bytes_since(standing.durable).unwrap_or(0),
            lag_seconds: seconds(standing.lag),
            silent_seconds: seconds(self.silent_for()),
            last_commit: desk.last_commit,
            records_end: desk.records_end,
            write_seconds: standing.write_time.map(|took| took.as_secs_f64()),
            parts: standing.counts.parts,
            part_bytes: standing.counts.part_bytes,
            segments: standing.counts.segments,
            stored_bytes: standing.counts.stored_bytes,
            spooled_segments: standing.spool_files,
            vault_trouble: standing.vault_trouble,
        })
    }

    /// Whether a segment's file is in the server's `pg_wal`.
    pub(crate) fn server_has(&self, name: SegmentName, size: crate::lsn::SegmentSize) -> bool {
        let path = self.settings.data_directory.join("pg_wal").join(name.to_file_name(size));
        self.around.world.disk.metadata(&path).is_ok()
    }
}

/// A clock whose sleep ends when nobody needs it any more.
pub(crate) struct PatientClock {
    pub(crate) clock: Arc<dyn Clock>,
    pub(crate) abandon: Stop,
}

impl Clock for PatientClock {
    fn now(&self) -> Timestamp {
        self.clock.now()
    }

    fn monotonic(&self) -> Duration {
        self.clock.monotonic()
    }

    fn sleep(&self, duration: Duration) {
        // Whether it was cut short, the caller looks by itself.
        let _was_stopped = self.abandon.wait(duration);
    }
}
