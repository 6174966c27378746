//! `soter restore --once NAME`: a restore that takes up what was cut off.

use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::{Value, json};
use soter_postgres::backup::record::BackupRecord;
use soter_postgres::lsn::Lsn;
use soter_postgres::restore::RestoreError;
use soter_postgres::restore::claim::{Claim, Found};
use soter_postgres::restore::start::{end_in, running_in};
use soter_postgres::restore::write::RestoreTarget;
use soter_world::{Stop, durable};

use super::start::{StartArgs, Starting};
use super::{Plan, RestoreArgs, describe, failure};
use crate::context::Context;
use crate::failure::{Ending, Failure};

/// A restore with a name.
#[derive(Debug, clap::Args)]
pub(super) struct AgainArgs {
    /// A name for this restore, such as a ticket's. Run again by the same name, it takes up what was
    /// cut off, and does nothing again that is done.
    #[arg(long, value_name = "NAME")]
    once: Option<String>,
    /// The directory of the attempt that this is the work of; for the engine of a run alone.
    #[arg(long, value_name = "DIR", hide = true)]
    attempt: Option<PathBuf>,
}

/// What it takes to find out how far an earlier try came.
pub(super) struct Taking<'a> {
    pub(super) context: &'a Context,
    pub(super) args: &'a RestoreArgs,
    pub(super) claim: &'a Claim,
    pub(super) restore: &'a RestoreTarget<'a>,
    pub(super) record: &'a BackupRecord,
    pub(super) stop: &'a Stop,
}

impl AgainArgs {
    /// A name is given to a restore of PostgreSQL only if it starts the server.
    pub(super) fn check(&self, start: &StartArgs) -> Result<(), Failure> {
        if self.once.is_none() || start.is_start() {
            return Ok(());
        }
        let what = "a restore with a name starts its server";
        Err(Failure::new(Ending::Input, what).hint("add --start, or leave --once out"))
    }

    /// The name.
    pub(super) fn once(&self) -> Option<&str> {
        self.once.as_deref()
    }

    /// Whose the restore is, if it has a name.
    pub(super) fn claim(&self, args: &RestoreArgs, plan: &Plan, vault: &str) -> Option<Claim> {
        let life = args.incarnation.map(|life| format!(" of incarnation {life}"));
        let without = if args.exclusive { ", what is exactly there left out" } else { "" };
        Some(Claim {
            once: self.once.clone()?,
            store: plan.store.clone(),
            vault: vault.to_owned(),
            to: format!("{}{without}{}", plan.target, life.unwrap_or_default()),
        })
    }

    /// Leaves what came of it where the engine of a run looks for it.
    pub(super) fn leave(&self, context: &Context, report: &Value) -> Result<(), Failure> {
        self.leave_values(context, report, &values(report))
    }

    /// The same with other values for the parameters of a run.
    pub(super) fn leave_values(
        &self,
        context: &Context,
        report: &Value,
        values: &str,
    ) -> Result<(), Failure> {
        let Some(attempt) = &self.attempt else { return Ok(()) };
        let evidence = attempt.join("evidence");
        let page = serde_json::to_vec_pretty(report).map_err(std::io::Error::other);
        let disk = &*context.disk;
        page.and_then(|page| {
            durable::create_dir_all_durable(disk, &evidence)?;
            durable::write_durable(disk, &evidence.join("restore.json"), &page)?;
            let results = attempt.join(soter_runbook::steps::RESULTS);
            durable::write_durable(disk, &results, values.as_bytes())
        })
        .map_err(|error| {
            Failure::of(Ending::Failed, &error)
                .during(&format!("say in {} what came of it", attempt.display()))
        })
    }
}

/// What came of it as `name=value` lines, for the parameters of a run.
fn values(report: &Value) -> String {
    let started = &report["started"];
    let named = [
        ("backup", &report["backup"]),
        ("directory", &report["target_dir"]),
        ("bytes", &report["total_bytes"]),
        ("end", &started["end_reached"]),
        ("timeline", &started["timeline"]),
        ("seconds", &started["rto_seconds"]),
        ("last_commit", &started["last_commit_at"]),
        ("last_canary", &started["canary"]["last_at"]),
        ("socket_directory", &started["socket_directory"]),
        ("port", &started["port"]),
    ];
    let line = |(name, value): (&str, &Value)| match value {
        Value::Null => String::new(),
        Value::String(text) => format!("{name}={text}\n"),
        other => format!("{name}={other}\n"),
    };
    named.into_iter().map(line).collect()
}

impl Taking<'_> {
    /// Takes up what an earlier try left; whether that was all there was to do. If not, the directory
    /// is free.
    pub(super) fn take_up(&self, plan: &mut Plan, begun: Duration) -> Result<bool, Failure> {
        let (disk, directory) = (self.restore.disk, self.restore.directory);
        let found = self.claim.find(disk, directory).map_err(|error| failure(&error))?;
        match found {
            Found::Nothing => Ok(false),
            Found::Begun => {
                self.begin_anew("nobody had got in")?;
                Ok(false)
            }
            Found::Done(report) => self.done(report).map(|()| true),
            Found::Promoting { end_reached } => self.promoting(plan, end_reached, begun),
        }
    }

    fn begin_anew(&self, why: &str) -> Result<(), Failure> {
        let (context, directory) = (self.context, self.restore.directory);
        context.output.say(&format!(
            "an earlier try in {} was cut off, and {why}: it is emptied and begun anew",
            directory.display()
        ));
        let directories: Vec<&Path> = self.restore.directories().collect();
        end_in(self.restore.disk, &*context.clock, directory)
            .and_then(|()| self.claim.clear(self.restore.disk, &directories))
            .map_err(|error| failure(&error))
    }

    /// It was done: only its server may have to be brought up again.
    fn done(&self, mut report: Value) -> Result<(), Failure> {
        let server = running_in(self.restore.disk, self.restore.directory);
        match server {
            // Whoever runs it now: it is not ours any more.
            Some((server, _)) => report["started"]["pid"] = json!(server.process),
            None => {
                let (_, again) = self.bring_up()?;
                let again = again.ok_or_else(|| {
                    let what = "its server is a standby now, which a restore does not leave behind";
                    Failure::new(Ending::Failed, what)
                })?;
                report["started"]["pid"] = json!(again.process);
                report["started"]["port"] = json!(again.doors.port);
                report["started"]["socket_directory"] = json!(again.doors.socket_directory);
            }
        }
        self.restore.finish().map_err(|error| failure(&error))?;
        let context = self.context;
        context.output.data(&report, |report| {
            let directory = self.restore.directory.display();
            format!(
                "{} was restored to {} in {directory} before: backup {}, replayed up to {}; its server \
                 runs as process {}",
                self.claim.store,
                self.claim.to,
                report["backup"].as_str().unwrap_or_default(),
                report["started"]["end_reached"].as_str().unwrap_or_default(),
                report["started"]["pid"],
            )
        });
        self.args.again.leave(context, &report)
    }

    /// Whether it was promoted says its server.
    fn promoting(
        &self,
        plan: &mut Plan,
        end_reached: Option<Lsn>,
        begun: Duration,
    ) -> Result<bool, Failure> {
        let (starting, again) = self.bring_up()?;
        let Some(again) = again else {
            // What says that somebody may have got in is taken back first.
            let stage = soter_postgres::restore::claim::Stage::Recovering;
            let (disk, directory) = (self.restore.disk, self.restore.directory);
            self.claim.write(disk, directory, stage, None).map_err(|error| failure(&error))?;
            self.begin_anew("its server had not been promoted")?;
            return Ok(false);
        };
        plan.started = Some(starting.report_again(self.context, &again, (end_reached, begun)));
        let report = self.keep(plan)?;
        self.context.output.data(&*plan, |plan| describe(plan, "had restored"));
        self.args.again.leave(self.context, &report)?;
        Ok(true)
    }

    /// Writes down what came of it, and takes away what says that it is unfinished.
    fn keep(&self, plan: &Plan) -> Result<Value, Failure> {
        keep(self.claim, self.restore, plan)
    }

    fn bring_up(
        &self,
    ) -> Result<(Starting<'_>, Option<soter_postgres::restore::start::Again>), Failure> {
        let prepared = self.args.start.prepare(self.context, self.record, self.restore)?;
        let starting = prepared.ok_or_else(|| {
            Failure::new(Ending::Input, "a restore with a name starts its server: add --start")
        })?;
        let again = starting
            .make_socket_directory(self.context)
            .and_then(|()| starting.how(self.context, self.stop, None).again(self.record))
            .map_err(|error: RestoreError| failure(&error))?;
        Ok((starting, again))
    }
}

/// Writes down what came of a restore with a name, and takes away what says that it is unfinished.
pub(super) fn keep(
    claim: &Claim,
    restore: &RestoreTarget<'_>,
    plan: &Plan,
) -> Result<Value, Failure> {
    let report = serde_json::to_value(plan).map_err(|e| Failure::of(Ending::Failed, &e))?;
    claim
        .done(restore.disk, restore.directory, report.clone())
        .and_then(|()| restore.finish())
        .map_err(|error| failure(&error))?;
    Ok(report)
}
