//! `soter restore --start`: the server on what was restored.

use std::cell::Cell;
use std::path::{Path, PathBuf};
use std::time::Duration;

use jiff::Timestamp;
use serde::Serialize;
use soter_postgres::backup::record::BackupRecord;
use soter_postgres::lsn::{Lsn, Timeline};
use soter_postgres::postmaster::{PostmasterError, ProgramSearch, Programs};
use soter_postgres::restore::RestoreError;
use soter_postgres::restore::checks::{Finding, Severity};
use soter_postgres::restore::claim::Claim;
use soter_postgres::restore::feed::Feeder;
use soter_postgres::restore::start::{Again, Doors, LOG_NAME, Start, Started};
use soter_postgres::restore::write::RestoreTarget;
use soter_world::{Stop, exec, random};

use super::failure;
use crate::context::Context;
use crate::failure::{Ending, Failure};
use crate::output::human_duration;

/// How the server is started, and how clients reach it.
#[derive(Debug, clap::Args)]
pub(super) struct StartArgs {
    /// Start the server, wait until it stands at the target, compare, promote.
    #[arg(long)]
    start: bool,
    /// Listen on this port of localhost too; without, only on a Unix socket. Nobody gets in before
    /// the recovery is over.
    #[arg(long, value_name = "PORT", requires = "start")]
    port: Option<u16>,
    /// Where the Unix socket goes; else the data directory, which only its owner may enter.
    #[arg(long, value_name = "DIR", requires = "start")]
    socket_dir: Option<PathBuf>,
    /// Where PostgreSQL's programs are, or etcd's, if not in one of the usual places.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
    /// A superuser of the cluster; else the one that took the backup, or postgres.
    #[arg(long, value_name = "ROLE", requires = "start")]
    role: Option<String>,
    /// A setting for as long as this server runs, such as shared_buffers=4GB. May be repeated.
    #[arg(long, value_name = "NAME=VALUE", requires = "start", value_parser = setting)]
    set: Vec<(String, String)>,
}

/// The port in the name of a socket when none is given: the one that clients try first.
const PORT_DEFAULT: u16 = 5432;

/// How a server will be started.
pub(super) struct Starting<'a> {
    args: &'a StartArgs,
    programs: Programs,
    doors: Doors,
    owner: soter_world::disk::Owner,
    directory: PathBuf,
}

/// When what was done, on the clock's monotonic scale.
#[derive(Debug, Clone, Copy)]
pub(super) struct Times {
    /// The command began.
    pub(super) begun: Duration,
    /// It knew what to do.
    pub(super) gathered_at: Duration,
    /// Everything was written.
    pub(super) written_at: Duration,
}

/// A server that is back.
#[derive(Debug, Serialize)]
pub(super) struct StartedReport {
    socket_directory: PathBuf,
    port: u16,
    pid: u32,
    end_reached: Lsn,
    timeline: Timeline,
    phases: Vec<Phase>,
    rto_seconds: f64,
    canary: CanaryReport,
    /// When the last transaction was committed that came back.
    last_commit_at: Option<Timestamp>,
    /// Databases whose indexes on texts are to be rebuilt.
    sorts_otherwise: Vec<String>,
}

#[derive(Debug, Serialize)]
struct Phase {
    name: &'static str,
    seconds: f64,
}

#[derive(Debug, Serialize)]
struct CanaryReport {
    /// When the youngest canary that came back was written.
    last_at: Option<Timestamp>,
    /// How long ago that was when the server was back: the disaster, the time until somebody acted,
    /// and the recovery are in it.
    age_seconds: Option<f64>,
}

fn setting(text: &str) -> Result<(String, String), String> {
    let (name, value) = text.split_once('=').ok_or("write NAME=VALUE")?;
    Ok((name.trim().to_owned(), value.trim().to_owned()))
}

impl StartArgs {
    /// Whether a server is to be started.
    pub(super) fn is_start(&self) -> bool {
        self.start
    }

    /// Where programs are.
    pub(super) fn bin_dir(&self) -> Option<&Path> {
        self.bin_dir.as_deref()
    }

    /// Finds what it takes, before anything is written. `None` if the server is not to be started.
    pub(super) fn prepare(
        &self,
        context: &Context,
        record: &BackupRecord,
        target: &RestoreTarget<'_>,
    ) -> Result<Option<Starting<'_>>, Failure> {
        let directory = target.directory;
        if !self.start {
            return Ok(None);
        }
        let owner = target.owner.unwrap_or_else(exec::current_owner);
        if owner.user == 0 {
            return Err(failure(&RestoreError::Postmaster(PostmasterError::Root)));
        }
        // The server works elsewhere.
        let whole = |path: &PathBuf| super::absolute(path);
        let named = self.bin_dir.as_ref().map(whole).transpose()?;
        let search = ProgramSearch { directory: named, path: search_path() };
        let programs = Programs::find(&*context.disk, record.version, &search);
        let programs = programs.map_err(|error| failure(&RestoreError::Postmaster(error)))?;
        let mut doors = Doors {
            socket_directory: match &self.socket_dir {
                Some(named) => super::absolute(named)?,
                None => directory.to_owned(),
            },
            port: self.port.unwrap_or(PORT_DEFAULT),
            on_localhost: self.port.is_some(),
        };
        if !doors.fit() && self.socket_dir.is_none() {
            let unique = hex::encode(random::bytes::<6>(&*context.random));
            doors.socket_directory = std::env::temp_dir().join(format!("soter-{unique}"));
        }
        if !doors.fit() {
            let what = "the path of the Unix socket would be longer than such a path may be";
            return Err(Failure::new(Ending::Input, what).hint("name another with --socket-dir"));
        }
        let directory = directory.to_owned();
        Ok(Some(Starting { args: self, programs, doors, owner, directory }))
    }
}

fn search_path() -> Option<std::ffi::OsString> {
    std::env::var_os("PATH")
}

impl Starting<'_> {
    /// Starts the server and waits until it is back.
    pub(super) fn run(
        &self,
        context: &Context,
        stop: &Stop,
        feeder: &Feeder<'_>,
    ) -> Result<Started, RestoreError> {
        let begin = feeder.gathered.record(feeder.choice)?.start;
        self.make_socket_directory(context)?;
        let start = self.how(context, stop, feeder.target.claim);
        let meter = context.output.progress(&*context.clock, "replaying");
        let total = feeder.choice.end.bytes_since(begin).unwrap_or(0);
        let furthest = Cell::new(0);
        let replayed = |position: Lsn| {
            furthest.set(position.bytes_since(begin).unwrap_or(0).max(furthest.get()));
            meter.bytes(furthest.get(), total.max(furthest.get()));
        };
        let outcome = start.run_fed(feeder, &replayed);
        meter.finish();
        outcome
    }

    /// How the server is started.
    pub(super) fn how<'s>(
        &'s self,
        context: &'s Context,
        stop: &'s Stop,
        claim: Option<&'s Claim>,
    ) -> Start<'s> {
        Start {
            disk: &*context.disk,
            clock: &*context.clock,
            stop,
            programs: &self.programs,
            owner: self.owner,
            directory: &self.directory,
            doors: &self.doors,
            role: self.args.role.as_deref(),
            settings: &self.args.set,
            claim,
        }
    }

    /// Whoever answers already where the server would listen.
    pub(super) fn taken(&self) -> Option<Finding> {
        let what = self.doors.taken()?;
        let hint = "stop it, or name another place with --port or --socket-dir".to_owned();
        Some(Finding { severity: Severity::Refusal, what, hint })
    }

    /// One of our own is made; the data directory is there, as is one that was named.
    pub(super) fn make_socket_directory(&self, context: &Context) -> Result<(), RestoreError> {
        let path = &self.doors.socket_directory;
        if path == &self.directory || self.args.socket_dir.is_some() || path.is_dir() {
            return Ok(());
        }
        let disk = &*context.disk;
        let made = disk.create_dir(path).and_then(|()| disk.set_owner(path, self.owner));
        made.map_err(|source| RestoreError::File { path: path.clone(), source })
    }

    /// What a person has to do before the cluster can be trusted with texts.
    pub(super) fn warn(&self, context: &Context, started: &Started) {
        for database in &started.sorts_otherwise {
            context.output.warn(&format!(
                "the database {database} sorts texts otherwise here than where it was made: its \
                 indexes on texts may be silently wrong\n  hint: in {database}: REINDEX DATABASE; \
                 ALTER DATABASE {database} REFRESH COLLATION VERSION"
            ));
        }
    }

    /// What came of it.
    pub(super) fn report(
        &self,
        context: &Context,
        started: &Started,
        times: Times,
    ) -> StartedReport {
        let phase = |name, took: Duration| Phase { name, seconds: took.as_secs_f64() };
        let age = |at: Timestamp| context.clock.now().duration_since(at).as_secs_f64();
        StartedReport {
            socket_directory: self.doors.socket_directory.clone(),
            port: self.doors.port,
            pid: started.server.id(),
            end_reached: started.end_reached,
            timeline: started.timeline,
            phases: vec![
                phase("read the vault", times.gathered_at.saturating_sub(times.begun)),
                phase("write", times.written_at.saturating_sub(times.gathered_at)),
                phase("replay", started.replay),
                phase("promote", started.promote),
            ],
            rto_seconds: started.back_at.saturating_sub(times.begun).as_secs_f64(),
            canary: CanaryReport {
                last_at: started.last_canary_at,
                age_seconds: started.last_canary_at.map(age),
            },
            last_commit_at: started.last_commit_at,
            sorts_otherwise: started.sorts_otherwise.clone(),
        }
    }

    /// What came of one that was taken up when its server had been promoted.
    pub(super) fn report_again(
        &self,
        context: &Context,
        again: &Again,
        (end_reached, begun): (Option<Lsn>, Duration),
    ) -> StartedReport {
        let age = |at: Timestamp| context.clock.now().duration_since(at).as_secs_f64();
        let took = again.back_at.saturating_sub(begun).as_secs_f64();
        StartedReport {
            socket_directory: again.doors.socket_directory.clone(),
            port: again.doors.port,
            pid: again.process,
            end_reached: end_reached.unwrap_or_default(),
            timeline: again.timeline,
            phases: vec![Phase { name: "bring up again", seconds: took }],
            rto_seconds: took,
            canary: CanaryReport {
                last_at: again.last_canary_at,
                age_seconds: again.last_canary_at.map(age),
            },
            last_commit_at: None,
            sorts_otherwise: again.sorts_otherwise.clone(),
        }
    }
}

impl StartedReport {
    /// For people: how long it took, where the server is, and what comes next.
    pub(super) fn words(&self, directory: &str) -> String {
        let duration = |seconds: f64| human_duration(Duration::from_secs_f64(seconds.max(0.0)));
        let phases = self.phases.iter().map(|p| format!("{} {}", p.name, duration(p.seconds)));
        let phases = phases.collect::<Vec<_>>().join(", ");
        let canary = match (self.canary.last_at, self.canary.age_seconds) {
            (Some(at), Some(age)) => {
                format!("; its youngest canary is of {at}, {} ago", duration(age))
            }
            _ => String::new(),
        };
        format!(
            "back after {} ({phases}): replayed up to {}, on timeline {}, and answers queries that \
             write{canary}\n\
             it runs as process {}: psql -h {} -p {}; its log is {directory}/{LOG_NAME}. To take it \
             into service with its own configuration, stop it and start it as any server on \
             {directory}; it archives nowhere until `soter adopt`",
            duration(self.rto_seconds),
            self.end_reached,
            self.timeline,
            self.pid,
            self.socket_directory.display(),
            self.port
        )
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_setting_has_a_name_and_a_value() {
        let pair = |name: &str, value: &str| Ok((name.to_owned(), value.to_owned()));
        assert_eq!(setting("work_mem=1MB"), pair("work_mem", "1MB"));
        assert_eq!(setting("a.b = c=d"), pair("a.b", "c=d"));
        assert_eq!(setting("work_mem"), Err("write NAME=VALUE".to_owned()));
    }
}
