//! What runs beside the stream: the fence, the session's age, the spool while the vault is away,
//! what is remembered, backups when they are due.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use soter_vault::keys::ErrorKind as VaultErrorKind;
use soter_vault::log::{Duty, FENCE_CHECK_INTERVAL, LogError, WalRange};
use soter_vault::map::{Progress, Step};
use soter_vault::wal::{WalError, WalVault};

use super::engine::{Engine, chain};
use super::flow::Mode;
use super::machine::Trouble;
use super::memory::Stand;
use super::shared::{LOOK, Shared, WantedBackup};
use super::writer::Life;
use crate::backup::BackupError;
use crate::backup::run::{BackupSetup, FullPolicy, WAL_WAIT_MAX, run, wal_missing};
use crate::incarnation;
use crate::lsn::Lsn;

/// How old a byte is that is not in the vault when the vault counts as away.
const AWAY_AFTER: Duration = Duration::from_secs(10);

/// How often the spool is synced while it stands in for the vault.
const SPOOL_SYNC_INTERVAL: Duration = Duration::from_secs(1);

/// How often what is remembered is saved: it saves a listing, no more.
const REMEMBER_INTERVAL: Duration = Duration::from_secs(10);

/// How often the vault is asked for a backup's WAL when it does not answer, and the pause between:
/// a backup that is complete but for an answer is worth half a minute.
const VAULT_LOOKS_MAX: u32 = 30;
const VAULT_LOOK_PAUSE: Duration = Duration::from_secs(1);

/// How long a backup that failed waits before it is tried again.
const BACKUP_RETRY: Duration = Duration::from_secs(60);

impl Shared<'_> {
    /// Looks after the spool and the memory until the agent ends.
    pub(crate) fn keep_house(&self) {
        let mut remembered_at = self.now();
        while !self.stop.wait(SPOOL_SYNC_INTERVAL) {
            let Some(engine) = self.engine() else { continue };
            self.stand_in(&engine);
            if self.now().saturating_sub(remembered_at) >= REMEMBER_INTERVAL {
                remembered_at = self.now();
                self.measure_queue();
                self.remember(&engine);
            }
        }
        if let Some(engine) = self.engine() {
            self.remember(&engine);
        }
    }

    /// While the vault is away the spool may take its place, if commits do not wait for the vault
    /// and the plan gives it room.
    fn stand_in(&self, engine: &Engine) {
        let standing = engine.standing();
        let is_away = standing.lag >= AWAY_AFTER;
        let was_away = std::mem::replace(&mut self.desk().is_vault_away, is_away);
        let may = matches!(engine.mode(), Mode::Asynchronous { .. })
            && self.settings.spool_bytes_max.is_some();
        if was_away && !is_away {
            (self.around.say)("the vault takes WAL again");
        }
        if !is_away {
            return;
        }
        if !was_away {
            let why = standing.vault_trouble.unwrap_or_else(|| "it is slow".to_owned());
            let and = if may { "; it waits in the spool" } else { "; the server keeps it" };
            (self.around.say)(&format!("the vault does not take WAL: {why}{and}"));
        }
        if may && let Err(error) = engine.sync_spool() {
            self.find(&chain(&error));
        }
    }

    fn remember(&self, engine: &Engine) {
        let writer = engine.writer();
        let stand = Stand {
            session: writer.session.id(),
            incarnation: writer.archive.incarnation,
            timeline: engine.timeline(),
            unsealed: engine.first_unsealed(),
            durable: engine.standing().durable,
        };
        let head = writer.session.log().catalogue().head();
        let mut desk = self.desk();
        let is_news = desk.memory.stand != Some(stand) || desk.memory.head != head;
        desk.memory.stand = Some(stand);
        desk.memory.head = head;
        drop(desk);
        if is_news {
            self.save_memory();
        }
    }

    /// Looks again and again whether the session was superseded, and opens another when it is old or
    /// goes by an old trust list.
    pub(crate) fn keep_fence(&self) {
        while !self.stop.wait(FENCE_CHECK_INTERVAL) {
            let Some(engine) = self.engine() else { continue };
            let writer = engine.writer();
            match writer.session.check_fence() {
                Ok(()) => {}
                // Nobody writes under it, and nobody else would: go on under a third one.
                Err(LogError::Superseded { .. }) if self.is_superseded_by_own_attempt(&writer) => {
                    self.rotate(&engine);
                    continue;
                }
                Err(error @ LogError::Superseded { .. }) => {
                    self.fail(self.superseded(&engine, &error));
                    return;
                }
                // Nothing is known while the vault is away.
                Err(error) if error.kind() == VaultErrorKind::Retry => continue,
                Err(error) => {
                    self.find(&format!("the log cannot be looked at: {}", chain(&error)));
                    continue;
                }
            }
            let trust = writer.session.log().trust().newest().number;
            if writer.session.is_old() || trust > writer.trust.newest().number {
                self.rotate(&engine);
            }
        }
    }

    fn superseded(&self, engine: &Engine, error: &LogError) -> Trouble {
        let writer = engine.writer();
        let log = writer.session.log();
        let by = log.catalogue().newest_session(Duty::Wal).map(|session| session.agent.clone());
        let by = by.map_or_else(String::new, |agent| format!(" by agent {agent:?}"));
        Trouble::Superseded(format!("{}{by}", chain(error)))
    }

    /// Opens a new session; the old one's parts stay its own.
    fn rotate(&self, engine: &Engine) {
        let writer = engine.writer();
        let log = writer.session.log();
        let own = log.catalogue().session(writer.session.id());
        let bound = own.and_then(|session| session.incarnation.as_ref());
        let cluster = bound.and_then(|life| incarnation::bound_cluster(&life.bound_to));
        drop(log);
        let Some(cluster) = cluster else { return };
        let (identifier, version) = cluster;
        match self.open_writer(Life::OfServer(identifier, version), engine.ground().size) {
            Ok(writer) => {
                engine.replace_writer(Arc::new(writer));
                self.remember(engine);
            }
            Err(trouble @ (Trouble::Superseded(_) | Trouble::Input(_))) => self.fail(trouble),
            Err(Trouble::Passing(why) | Trouble::Lasting(why)) => {
                self.find(&format!("the session is old, and no other can be opened: {why}"));
            }
        }
    }

    /// Makes backups when they are due or wanted.
    pub(crate) fn keep_backups(&self) {
        let mut timetable = Timetable::new(self.around.world.clock.now(), self.around.next_backup);
        self.desk().backup.next_at = timetable.next;
        let mut not_before = Duration::ZERO;
        while !self.stop.is_stopped() {
            self.wait_for_change(LOOK);
            let now = self.around.world.clock.now();
            if timetable.is_due(now, self.around.next_backup) {
                self.want_backup("it is due".to_owned(), false);
            }
            self.desk().backup.next_at = timetable.next;
            let Some(engine) = self.streaming_engine() else { continue };
            if self.now() < not_before {
                continue;
            }
            self.want_first_backup(&engine);
            let Some(wanted) = self.desk().wanted_backup.take() else { continue };
            if let Err(error) = self.back_up(&engine, &wanted) {
                not_before = self.now() + BACKUP_RETRY;
                self.want_backup(wanted.reason, wanted.is_full);
                if !self.stop.is_stopped() {
                    self.find(&format!("no backup was made: {}", chain(&error)));
                }
            }
        }
    }

    /// WAL alone brings nothing back, nor does a backup from before a gap; who found the gap may not
    /// have lived long enough to make another.
    fn want_first_backup(&self, engine: &Engine) {
        let gap_end = self.gap_end();
        let writer = engine.writer();
        let log = writer.session.log();
        let of_this_life = log.catalogue().live().any(|backup| {
            backup.wal.is_some_and(|wal| {
                wal.incarnation == writer.archive.incarnation && Lsn(wal.from) >= gap_end
            })
        });
        drop(log);
        if !of_this_life && self.desk().backup.last_id.is_none() {
            self.want_backup("there is none yet".to_owned(), false);
        }
    }

    /// Makes one backup. What it needs of the WAL this agent streams.
    pub(crate) fn back_up(
        &self,
        engine: &Engine,
        wanted: &WantedBackup,
    ) -> Result<crate::backup::run::FinishedRun, BackupError> {
        let _turn = self.backup_turn();
        let writer = engine.writer();
        let settings = self.settings;
        let full = if wanted.is_full {
            FullPolicy::Always
        } else {
            FullPolicy::OlderThan(settings.full_every)
        };
        let setup = BackupSetup {
            disk: &*self.around.world.disk,
            connection: &settings.connection,
            data_directory: &settings.data_directory,
            vault: writer.session.vault(),
            trust: &writer.trust,
            keys: writer.session.keys(),
            agent: &settings.agent,
            take_over: settings.take_over,
            full,
            workers: settings.backup_workers,
            compression: settings.compression,
        };
        self.desk().backup.running = Some(wanted.reason.clone());
        (self.around.say)(&format!("making a base backup: {}", wanted.reason));
        let mut wait = |wal: &WalRange| self.wait_for_wal(engine, wal);
        let done = run(&setup, &mut wait, &Quietly, &self.stop);
        let now: Timestamp = self.around.world.clock.now();
        let mut desk = self.desk();
        desk.backup.running = None;
        match &done {
            Ok(done) => {
                desk.backup.last_id = Some(done.id.to_string());
                desk.backup.last_at = Some(now);
                desk.backup.failed = None;
            }
            Err(error) => desk.backup.failed = Some(chain(error)),
        }
        drop(desk);
        if let Ok(done) = &done {
            // The status shows what this session has seen of the log; the keeper of the fence looks
            // again soon if this look fails.
            drop(engine.writer().session.check_fence());
            (self.around.say)(&format!("backup {} is in the vault", done.id));
            for page in &done.record.bad_pages {
                self.find(&format!(
                    "damaged page: {} block {}: {}",
                    page.path, page.block, page.what
                ));
            }
        }
        done
    }

    fn wait_for_wal(&self, engine: &Engine, wal: &WalRange) -> Result<(), BackupError> {
        self.wait_durable(wal, WAL_WAIT_MAX).map_err(|reached: Option<Lsn>| {
            if self.stop.is_stopped() { BackupError::Stopped } else { wal_missing(wal, reached) }
        })?;
        // The stream may have been lost and begun anew behind a gap meanwhile.
        let writer = engine.writer();
        let clock = &*self.around.world.clock;
        let mut looks = 0;
        loop {
            match reached_from(&writer.wal(clock), wal) {
                Ok(reached) if reached.0 >= wal.to => return Ok(()),
                Ok(reached) => return Err(wal_missing(wal, Some(reached))),
                Err(error) if looks == VAULT_LOOKS_MAX => {
                    return Err(BackupError::WalUnknown(error));
                }
                Err(_) => looks += 1,
            }
            if self.stop.wait(VAULT_LOOK_PAUSE) {
                return Err(BackupError::Stopped);
            }
        }
    }
}

/// Up to where the vault has all WAL of a backup from its beginning on.
fn reached_from(vault: &WalVault<'_>, wal: &WalRange) -> Result<Lsn, WalError> {
    Ok(Lsn(vault.contiguous_end(wal.timeline, wal.from)?.hinted))
}

/// When the next backup is due, by a clock that may be set.
struct Timetable {
    next: Option<Timestamp>,
    looked_at: Timestamp,
}

/// When the first backup after a moment is due.
type NextAfter<'a> = &'a dyn Fn(Timestamp) -> Option<Timestamp>;

impl Timetable {
    fn new(now: Timestamp, next_after: NextAfter<'_>) -> Self {
        Self { next: next_after(now), looked_at: now }
    }

    /// Whether one is due; once for each that is. A clock that was ahead and is set right must not
    /// leave the next one in what was thought to be the future.
    fn is_due(&mut self, now: Timestamp, next_after: NextAfter<'_>) -> bool {
        if now < self.looked_at {
            self.next = next_after(now);
        }
        self.looked_at = now;
        let is_due = self.next.is_some_and(|at| at <= now);
        if is_due {
            self.next = next_after(now);
        }
        is_due
    }
}

/// Nobody watches how far a backup of the agent is.
struct Quietly;

impl Progress for Quietly {
    fn advance(&self, _step: Step) {}
}

#[cfg(test)]
mod tests {
    use soter_vault::frame::Compression;
    use soter_vault::wal::{PartSealer, Segment};

    use soter_world::{Clock, Stop};

    use super::*;
    use crate::agent::memory::Memory;
    use crate::agent::scene::{Scene, wal_bytes};
    use crate::agent::settings::Surroundings;
    use crate::testing::wait_until;

    #[test]
    fn a_clock_that_is_set_neither_stops_backups_nor_repeats_them() {
        // Due at every full hour.
        let hourly =
            |after: Timestamp| Timestamp::from_second((after.as_second() / 3600 + 1) * 3600).ok();
        let at = |second: i64| Timestamp::from_second(second).unwrap();
        let mut timetable = Timetable::new(at(100 * 3600 + 10), &hourly);
        let mut due = |second: i64| timetable.is_due(at(second), &hourly);
        assert!(!due(100 * 3600 + 3599));
        assert!(due(101 * 3600));
        assert!(!due(101 * 3600 + 1));
        // A year ahead for a moment: one backup, not one for each hour.
        assert!(due(9000 * 3600));
        assert!(!due(9000 * 3600 + 60));
        assert!(!due(101 * 3600 + 300));
        assert!(due(102 * 3600 + 5));
        assert!(!due(102 * 3600 + 6));
    }

    #[test]
    fn a_backup_is_wanted_whenever_one_is_due() {
        let scene = Scene::new(2);
        let directory = tempfile::tempdir().unwrap();
        let settings = Scene::settings(directory.path());
        let hourly = |after: Timestamp| after.checked_add(Duration::from_secs(3600)).ok();
        let open = |_| Err(Trouble::Lasting("nobody opens it".to_owned()));
        let around =
            Surroundings { world: scene.world(), open: &open, next_backup: &hourly, say: &|_| () };
        let stop = Stop::new();
        let shared = Shared::new(&settings, &around, Memory::default(), stop.clone());
        let wanted = |what: &str| {
            wait_until(what, || {
                shared.notify();
                shared.desk().wanted_backup.take().is_some_and(|it| it.reason == "it is due")
            })
        };
        std::thread::scope(|scope| {
            scope.spawn(|| shared.keep_backups());
            // Whatever happens, the keeper must end.
            let seen = wait_until("it has looked at the clock", || {
                shared.desk().backup.next_at == hourly(scene.clock.now())
            });
            scene.clock.advance(Duration::from_secs(3599));
            shared.notify();
            let early = shared.desk().wanted_backup.clone();
            let seen = seen.and_then(|()| {
                for _ in 0..3 {
                    scene.clock.advance(Duration::from_secs(3600));
                    wanted("the backup of this hour is wanted")?;
                }
                Ok(())
            });
            stop.stop();
            seen.unwrap();
            assert_eq!(early, None);
        });
    }

    #[test]
    fn a_backup_whose_wal_is_in_a_gap_is_none() {
        const MIB: u32 = 1 << 20;
        let scene = Scene::new(1);
        let writer = scene.writer().unwrap();
        let key = writer.session.key();
        let wal = writer.wal(&*scene.clock);
        let put = |number: u64, from: u32, to: u32| {
            let segment = Segment { timeline: 1, number };
            let part = scene.archive.live_part(segment, (from, to), writer.session.id());
            let at = Lsn(number * u64::from(MIB) + u64::from(from));
            let bytes = wal_bytes(at, (to - from) as usize);
            let random = &*scene.random;
            let mut sealer = PartSealer::new(key.clone(), random, Compression::Zstd(1));
            wal.put_part(&sealer.seal(part, &bytes), key).unwrap();
        };
        put(3, 0, 500_000);
        put(6, 0, 100);
        let needs = |from: u64, to: u64| WalRange {
            incarnation: scene.archive.incarnation,
            timeline: 1,
            from,
            to,
            segment_bytes: MIB,
        };
        let start = 3 * u64::from(MIB);
        // The stream goes on in segment 6: what lies before is not its business.
        let in_the_gap = needs(start + 40, start + 600_000);
        assert_eq!(reached_from(&wal, &in_the_gap).unwrap(), Lsn(start + 500_000));
        put(3, 500_000, MIB);
        put(4, 0, 7);
        let end = 4 * u64::from(MIB) + 7;
        assert_eq!(reached_from(&wal, &needs(start + 40, end)).unwrap(), Lsn(end));
    }
}
