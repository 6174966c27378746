//! What runs beside the stream: the fence, the session's age, the spool while the vault is away,
//! what is remembered, backups when they are due.

use std::sync::Arc;
use std::time::Duration;

use jiff::Timestamp;
use soter_vault::log::{Duty, FENCE_CHECK_INTERVAL, LogError, WalRange};
use soter_vault::map::{Progress, Step};

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
                Err(error @ LogError::Superseded { .. }) => {
                    self.fail(self.superseded(&engine, &error));
                    return;
                }
                // Nothing is known while the vault is away.
                Err(_) => continue,
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
        let mut next = (self.around.next_backup)(self.around.world.clock.now());
        self.desk().backup.next_at = next;
        let mut not_before = Duration::ZERO;
        while !self.stop.is_stopped() {
            self.wait_for_change(LOOK);
            let now = self.around.world.clock.now();
            if next.is_some_and(|at| at <= now) {
                self.want_backup("it is due".to_owned(), false);
                next = (self.around.next_backup)(now);
                self.desk().backup.next_at = next;
            }
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

    /// WAL alone brings nothing back.
    fn want_first_backup(&self, engine: &Engine) {
        let writer = engine.writer();
        let log = writer.session.log();
        let of_this_life = log.catalogue().live().any(|backup| {
            backup.wal.is_some_and(|wal| wal.incarnation == writer.archive.incarnation)
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
        let mut wait = |wal: &WalRange| self.wait_for_wal(wal);
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

    fn wait_for_wal(&self, wal: &WalRange) -> Result<(), BackupError> {
        self.wait_durable(wal, WAL_WAIT_MAX).map_err(|reached: Option<Lsn>| {
            if self.stop.is_stopped() { BackupError::Stopped } else { wal_missing(wal, reached) }
        })
    }
}

/// Nobody watches how far a backup of the agent is.
struct Quietly;

impl Progress for Quietly {
    fn advance(&self, _step: Step) {}
}
