//! Starting what was restored, and not calling it back before it has shown that it is.
//!
//! The server runs as a standby, which never ends its recovery by itself: whatever is missing, it
//! waits. We compare where its replay stands with where the plan said it would, and only then
//! promote. Until that is over nobody but us gets in ([`doors`]): a client that found the address of
//! the lost cluster must not read, or even write, something half recovered.
//!
//! A failure, a difference or a Ctrl-C stops the server; the directory is kept, and stays marked as
//! unfinished.

mod again;
mod doors;
mod watch;

use std::path::Path;
use std::time::Duration;

use jiff::Timestamp;
use postgres::Client;
use soter_world::disk::Owner;
use soter_world::{Clock, Disk, Stop, durable};

pub use again::{Again, end_in, running_in};
pub use doors::{Doors, NAMES_NAME, RULES_NAME};

use super::choice::Choice;
use super::claim::{Claim, Stage};
use super::error::RestoreError;
use super::feed::{Feed, Feeder};
use crate::agent::{CANARY_SCHEMA, CANARY_TABLE};
use crate::backup::record::BackupRecord;
use crate::backup_label::BackupLabel;
use crate::cluster::MajorVersion;
use crate::connection::{ConnectionInfo, Host, Tls};
use crate::lsn::{Lsn, Timeline};
use crate::postmaster::{Launch, Postmaster, Programs};
use crate::server::{self, Canary};
use watch::Watch;

/// Where the server's words go, in the data directory.
pub const LOG_NAME: &str = "soter.log";

/// Who we say we are.
const APPLICATION_NAME: &str = "soter restore";

/// A standby refuses to start with less of these than the primary had when it wrote the WAL.
const AT_LEAST_AS_THE_SOURCE: [&str; 5] = [
    "max_connections",
    "max_worker_processes",
    "max_wal_senders",
    "max_prepared_transactions",
    "max_locks_per_transaction",
];

/// Longest backup label that is read: it has ten short lines.
const LABEL_LENGTH_MAX: usize = 64 << 10;

/// Long enough for a program that reads the configuration and prints a setting.
const SETTING_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a promotion may take. It ends recovery without a checkpoint, so it takes moments; on a
/// slow disk with a great many prepared transactions, minutes.
const PROMOTION_TIMEOUT: Duration = Duration::from_secs(600);

/// How a restored cluster is started.
pub struct Start<'a> {
    /// Files.
    pub disk: &'a dyn Disk,
    /// Time.
    pub clock: &'a dyn Clock,
    /// When to give up.
    pub stop: &'a Stop,
    /// The programs, of the cluster's version.
    pub programs: &'a Programs,
    /// Whose the files are.
    pub owner: Owner,
    /// The data directory.
    pub directory: &'a Path,
    /// How clients will reach it.
    pub doors: &'a Doors,
    /// A superuser; else the role that took the backup, if it is one, else `postgres`.
    pub role: Option<&'a str>,
    /// Settings of a person's, stronger than ours, as long as this server runs.
    pub settings: &'a [(String, String)],
    /// The name of the restore, if it is to be taken up again by it.
    pub claim: Option<&'a Claim>,
}

/// A cluster that is back.
#[derive(Debug)]
pub struct Started {
    /// Its server. It is stopped with this value unless it is released.
    pub server: Postmaster,
    /// Up to where it has replayed.
    pub end_reached: Lsn,
    /// The timeline it now writes.
    pub timeline: Timeline,
    /// From its start until it stood at the target.
    pub replay: Duration,
    /// From there until it had answered a query that writes.
    pub promote: Duration,
    /// When it had answered, on the clock's monotonic scale.
    pub back_at: Duration,
    /// When the youngest canary in it was written.
    pub last_canary_at: Option<Timestamp>,
    /// When the last transaction that it replayed was committed; none if it replayed none.
    pub last_commit_at: Option<Timestamp>,
    /// Databases whose library for sorting is of another version here than when their indexes were
    /// built; 15 on.
    pub sorts_otherwise: Vec<String>,
}

impl Start<'_> {
    /// Starts the server, feeds it the WAL, waits until it stands at the target, compares, promotes,
    /// and opens it. `replayed` is told how far it is.
    ///
    /// # Errors
    /// When anything is not as it should be; the server is stopped then.
    pub fn run_fed(
        &self,
        feeder: &Feeder<'_>,
        replayed: &dyn Fn(Lsn),
    ) -> Result<Started, RestoreError> {
        let record = feeder.gathered.record(feeder.choice)?;
        let feed = Feed::new(feeder.choice, record);
        std::thread::scope(|scope| {
            scope.spawn(|| feeder.run(&feed));
            // However this ends, those who feed are not to wait for ever.
            let _ending = feed.ending();
            self.run(feeder.choice, record, &feed, replayed)
        })
    }

    /// The same, while somebody else feeds.
    ///
    /// # Errors
    /// When anything is not as it should be; the server is stopped then.
    pub fn run(
        &self,
        choice: &Choice,
        record: &BackupRecord,
        feed: &Feed,
        replayed: &dyn Fn(Lsn),
    ) -> Result<Started, RestoreError> {
        let begun = self.clock.monotonic();
        let role = self.role.unwrap_or_else(|| superuser(record)).to_owned();
        self.doors.close(self, &role)?;
        let settings = self.all_settings(record);
        let log = self.directory.join(LOG_NAME);
        self.wait_for_first_wal(feed, record)?;
        self.advance(Stage::Recovering, None)?;
        let launch = Launch {
            programs: self.programs,
            data_directory: self.directory,
            owner: self.owner,
            log: &log,
            settings: &settings,
        };
        let postmaster = launch.start(self.disk)?;
        let connection = self.connection(role, record);
        let watch = Watch { start: self, postmaster: &postmaster, choice, record, feed };
        let (mut client, end_reached) = watch.until_it_stands(&connection, replayed)?;
        let arrived = self.clock.monotonic();
        let last_commit_at = last_commit(&mut client)?;
        self.advance(Stage::Promoting, Some(end_reached))?;
        self.promote(&postmaster, &mut client)?;
        // What a standby could not do: to take a number for a transaction, and to commit it.
        let write = "BEGIN; SELECT pg_catalog.pg_current_xact_id(); COMMIT";
        client.batch_execute(write).map_err(cannot("write for the first time"))?;
        let back_at = self.clock.monotonic();
        let timeline = timeline(&mut client)?;
        let last_canary_at = last_canary(&mut client);
        let sorts_otherwise = sorts_otherwise(&mut client, record.version)?;
        self.doors.open(self)?;
        postmaster.check(self.disk)?;
        postmaster.reload();
        Ok(Started {
            server: postmaster,
            end_reached,
            timeline,
            replay: arrived.saturating_sub(begun),
            promote: back_at.saturating_sub(arrived),
            back_at,
            last_canary_at,
            last_commit_at,
            sorts_otherwise,
        })
    }

    /// Says how far it has come, to whoever takes it up again.
    fn advance(&self, stage: Stage, end_reached: Option<Lsn>) -> Result<(), RestoreError> {
        let Some(claim) = self.claim else { return Ok(()) };
        claim.write(self.disk, self.directory, stage, end_reached)
    }

    /// Ours, and those of a person behind them, since the last one counts.
    fn all_settings(&self, record: &BackupRecord) -> Vec<(String, String)> {
        let mut settings = self.doors.settings(self.directory);
        settings.extend(for_recovery(record).map(|(name, value)| (name.to_owned(), value)));
        if record.version >= MajorVersion::V15 {
            // WAL that was just fetched is in memory, and so is most of what was just written.
            settings.push(("recovery_prefetch".to_owned(), "off".to_owned()));
        }
        settings.extend(AT_LEAST_AS_THE_SOURCE.iter().filter_map(|name| {
            let had = record.server.setting(name)?;
            let number = |text: &str| text.trim().parse::<u64>().ok();
            let is_less = number(&self.configured(name)?)? < number(had)?;
            is_less.then(|| ((*name).to_owned(), had.to_owned()))
        }));
        settings.extend(self.settings.iter().cloned());
        settings
    }

    /// What the restored configuration says. If it cannot be read, the server will say why.
    fn configured(&self, name: &str) -> Option<String> {
        let program = self.programs.command("postgres").args(["-C", name, "-D"]);
        let program = program.arg(self.directory).current_dir(self.directory).run_as(self.owner);
        let finished = program.run(SETTING_TIMEOUT).ok()?.checked().ok()?;
        String::from_utf8(finished.stdout).ok()
    }

    fn connection(&self, user: String, record: &BackupRecord) -> ConnectionInfo {
        ConnectionInfo {
            host: Host::Directory(self.doors.socket_directory.clone()),
            port: self.doors.port,
            user,
            password: None,
            database: record.server.database.clone(),
            application_name: APPLICATION_NAME.to_owned(),
            connect_timeout: Duration::from_secs(10),
            tls: Tls::default(),
        }
    }

    fn promote(&self, postmaster: &Postmaster, client: &mut Client) -> Result<(), RestoreError> {
        let ask = "SELECT pg_catalog.pg_promote(false)";
        client.query_one(ask, &[]).map_err(cannot("promote the server"))?;
        let deadline = self.clock.monotonic() + PROMOTION_TIMEOUT;
        while server::is_in_recovery(client)? {
            self.go_on(postmaster)?;
            if self.clock.monotonic() > deadline {
                let seconds = PROMOTION_TIMEOUT.as_secs();
                return Err(server::Error::NotPromoted { seconds }.into());
            }
            self.clock.sleep(watch::POLL);
        }
        Ok(())
    }

    /// A server looks for the checkpoint that the backup began with before anything else.
    fn wait_for_first_wal(&self, feed: &Feed, record: &BackupRecord) -> Result<(), RestoreError> {
        let path = self.directory.join("backup_label");
        let label = durable::read(self.disk, &path, LABEL_LENGTH_MAX);
        let label = label.map_err(|source| RestoreError::File { path, source })?;
        let checkpoint = BackupLabel::parse(&label).map_or(record.stop, |label| label.checkpoint);
        feed.needed(checkpoint);
        while !feed.is_complete() && feed.fed_to() <= checkpoint {
            self.go_on_feeding(feed)?;
            self.clock.sleep(watch::POLL);
        }
        Ok(())
    }

    /// Whether there is a reason not to wait for more WAL.
    fn go_on_feeding(&self, feed: &Feed) -> Result<(), RestoreError> {
        match feed.take_failure() {
            Some(error) => Err(error),
            None if self.stop.is_stopped() => Err(RestoreError::Interrupted),
            None => Ok(()),
        }
    }

    /// Whether there is a reason not to wait on.
    fn go_on(&self, postmaster: &Postmaster) -> Result<(), RestoreError> {
        postmaster.check(self.disk)?;
        if self.stop.is_stopped() { Err(RestoreError::Interrupted) } else { Ok(()) }
    }
}

/// Settings of a server that only recovers, whatever the restored configuration says.
fn for_recovery(record: &BackupRecord) -> impl Iterator<Item = (&'static str, String)> {
    // Replayed WAL goes with the restart points, one about every 64 segments.
    let max_wal_bytes = 128 * record.segment_size.bytes_u64();
    let max_wal = format!("{}MB", max_wal_bytes >> 20);
    let settings = [
        ("hot_standby", "on"),
        ("archive_mode", "off"),
        ("restore_command", ""),
        ("primary_conninfo", ""),
        ("synchronous_standby_names", ""),
        // One log, which can be shown when something goes wrong.
        ("logging_collector", "off"),
        ("log_destination", "stderr"),
        ("wal_retrieve_retry_interval", "50ms"),
        // Everything was made durable a moment ago; looking at each file again takes long.
        ("recovery_init_sync_method", "syncfs"),
        ("wal_recycle", "off"),
        ("wal_keep_size", "0"),
        ("max_wal_size", &max_wal),
        ("update_process_title", "on"),
    ];
    settings.map(|(name, value)| (name, value.to_owned())).into_iter()
}

/// A role that may promote: whoever took the backup, if it could do everything.
fn superuser(record: &BackupRecord) -> &str {
    let role = &record.server.role;
    if role.superuser { &role.name } else { "postgres" }
}

fn timeline(client: &mut Client) -> Result<Timeline, RestoreError> {
    const ACTION: &str = "ask for the timeline";
    let ask = "SELECT pg_catalog.pg_walfile_name(pg_catalog.pg_current_wal_lsn())";
    let row = client.query_one(ask, &[]).map_err(cannot(ACTION))?;
    let name: String = row.try_get(0).map_err(cannot(ACTION))?;
    let number = name.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    let answer = || server::Error::Answer { what: "name of a WAL segment", text: name.clone() };
    Ok(Timeline(number.ok_or_else(answer)?))
}

/// When the last transaction was committed that was replayed, by the clock of the lost server.
fn last_commit(client: &mut Client) -> Result<Option<Timestamp>, RestoreError> {
    const ACTION: &str = "ask for the last commit";
    let ask =
        "SELECT (extract(epoch FROM pg_catalog.pg_last_xact_replay_timestamp()) * 1000000)::int8";
    let row = client.query_one(ask, &[]).map_err(cannot(ACTION))?;
    let microseconds: Option<i64> = row.try_get(0).map_err(cannot(ACTION))?;
    Ok(microseconds.and_then(|at| Timestamp::from_microsecond(at).ok()))
}

/// The time of the youngest canary, if canaries were kept in this database.
fn last_canary(client: &mut Client) -> Option<Timestamp> {
    let canary = Canary::new(CANARY_SCHEMA, CANARY_TABLE);
    canary.latest(client).ok().flatten().map(|row| row.written_at)
}

fn sorts_otherwise(
    client: &mut Client,
    version: MajorVersion,
) -> Result<Vec<String>, RestoreError> {
    const ACTION: &str = "compare the versions of collations";
    if version < MajorVersion::V15 {
        return Ok(Vec::new());
    }
    let ask = "SELECT datname::text FROM pg_catalog.pg_database WHERE datallowconn
        AND datcollversion <> pg_catalog.pg_database_collation_actual_version(oid) ORDER BY 1";
    let rows = client.query(ask, &[]).map_err(cannot(ACTION))?;
    rows.iter().map(|row| row.try_get(0).map_err(cannot(ACTION))).collect()
}

/// Names what was to be done when a statement fails.
fn cannot(action: &'static str) -> impl Fn(postgres::Error) -> RestoreError {
    move |source| RestoreError::Server(server::Error::Sql { action, source })
}
