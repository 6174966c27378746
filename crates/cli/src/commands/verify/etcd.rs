//! `soter verify --level restored`: a backup of an etcd tried on a scratch member.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde::Serialize;
use soter_stores::etcd::EtcdRecord;
use soter_stores::etcd::restore::RestoreTarget;
use soter_stores::etcd::scratch::{Scratch, Tried};
use soter_vault::ids::BackupId;
use soter_vault::keys::ReaderKeys;
use soter_vault::log::{Author, Log};
use soter_vault::map::NoProgress;
use soter_vault::verify::{attest_restored, restored};
use soter_world::{Disk, Stop, random};

use super::report::Report as Objects;
use super::{VerifyArgs, look, selected};
use crate::context::{Context, log_failure};
use crate::etcd::{is_etcd, nobody, records, restore_failure};
use crate::failure::{Ending, Failure};
use crate::onlooker::Onlooker;
use crate::output::{human_duration, table};

/// Where and with what a backup is tried.
#[derive(Debug, Clone, clap::Args)]
pub(super) struct ScratchArgs {
    /// Where an etcd is made of a backup to be counted; else the place for temporary files. It must
    /// have room for the database twice.
    #[arg(long, value_name = "DIR")]
    scratch_dir: Option<PathBuf>,
    /// Where etcd and etcdutl are, if not where programs are.
    #[arg(long, value_name = "DIR")]
    bin_dir: Option<PathBuf>,
}

/// What is said.
#[derive(Serialize)]
struct Report {
    store: String,
    passed: bool,
    attested: bool,
    backups: Vec<Line>,
}

/// A backup that was tried.
#[derive(Serialize)]
struct Line {
    id: BackupId,
    level: &'static str,
    passed: bool,
    /// The revision that was recorded.
    revision: u64,
    /// How many keys were recorded at it.
    keys: u64,
    seconds: f64,
    tried: Tried,
}

pub(super) fn run(
    context: &Context,
    args: &VerifyArgs,
    (onlooker, author): (&Onlooker, Option<&Author>),
    log: &mut Log,
) -> Result<(), Failure> {
    let (Some(metadata), Some(keys)) = (&onlooker.metadata, &onlooker.reader) else {
        let what = "a backup can be tried only with an operator's key";
        return Err(Failure::new(Ending::Input, what)
            .hint("give it with --identity FILE; --collector beside it signs what was found"));
    };
    if !is_etcd(log, metadata)? {
        let what = format!("{} has no backup of an etcd to be tried", onlooker.name);
        return Err(Failure::new(Ending::Input, what).hint(
            "a PostgreSQL cluster is tried by restoring it: soter restore --start --target-dir DIR",
        ));
    }
    let newest = log.catalogue().live().next_back().map(|backup| backup.id);
    let wanted = selected(log, &args.backups)?.unwrap_or_else(|| newest.into_iter().collect());
    let found = look(context, args, onlooker, log, Some(wanted.clone()))?;
    if found.backups.iter().any(|checked| !checked.passed()) {
        // What is damaged need not be tried: it is named, with what to do.
        let report = Objects::of(&onlooker.name, log.catalogue(), &found, false);
        context.output.data(&report, Objects::in_words);
        return report.verdict();
    }
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let trial = Trial { context, args: &args.scratch, log, keys, stop: &stop };
    let lines = trial.all(&records(log, metadata)?, &wanted)?;
    if let Some(author) = author {
        for line in &lines {
            let checked = found.backups.iter().find(|checked| checked.backup == line.id);
            let attest = checked.map(|checked| restored(checked, line.passed));
            if let Some(attest) = attest {
                attest_restored(log, author, &attest).map_err(|error| log_failure(&error))?;
            }
        }
    }
    let report = Report {
        store: onlooker.name.clone(),
        passed: lines.iter().all(|line| line.passed),
        attested: author.is_some(),
        backups: lines,
    };
    context.output.data(&report, in_words);
    verdict(&report)
}

struct Trial<'a> {
    context: &'a Context,
    args: &'a ScratchArgs,
    log: &'a Log,
    keys: &'a ReaderKeys,
    stop: &'a Stop,
}

impl Trial<'_> {
    fn all(
        &self,
        records: &[(soter_vault::log::BackupRow, EtcdRecord)],
        wanted: &BTreeSet<BackupId>,
    ) -> Result<Vec<Line>, Failure> {
        let mut lines = Vec::new();
        for (row, record) in records.iter().filter(|(row, _)| wanted.contains(&row.id)) {
            let begun = self.context.clock.monotonic();
            self.context.output.say(&format!("trying backup {} on a scratch member", row.id));
            let tried = self.one(row.id, record)?;
            let took = self.context.clock.monotonic().saturating_sub(begun);
            lines.push(Line {
                id: row.id,
                level: "restored",
                passed: tried.passed(),
                revision: record.revision,
                keys: record.keys.keys,
                seconds: took.as_secs_f64(),
                tried,
            });
        }
        Ok(lines)
    }

    fn one(&self, backup: BackupId, record: &EtcdRecord) -> Result<Tried, Failure> {
        let context = self.context;
        let place = ScratchDirectory::make(context, self.args.scratch_dir.as_deref())?;
        let target = RestoreTarget {
            disk: &*context.disk,
            directory: &place.path.join("restored"),
            mark: None,
            files_to: None,
            cluster: None,
            bump: None,
            owner: None,
            keeps_owners: false,
        };
        let from = (self.log, self.keys);
        let restored = target.write(from, (backup, record), &NoProgress, self.stop);
        let restored = restored.map_err(|error| restore_failure(&error))?;
        let scratch = Scratch {
            disk: &*context.disk,
            clock: &*context.clock,
            programs: self.args.bin_dir.as_deref(),
            directory: &place.path,
            owner: nobody(context),
        };
        scratch.try_snapshot(&restored.snapshot, record, self.stop).map_err(|error| {
            if error.lacks_program() {
                return Failure::of(Ending::Input, &error)
                    .hint("install etcd and etcdutl, or name their directory with --bin-dir");
            }
            Failure::of(Ending::Failed, &error).hint("nothing is said about the backup by this")
        })
    }
}

/// A directory that goes with everything in it.
struct ScratchDirectory {
    path: PathBuf,
}

impl ScratchDirectory {
    fn make(context: &Context, above: Option<&Path>) -> Result<Self, Failure> {
        let above = above.map_or_else(std::env::temp_dir, Path::to_owned);
        let name = format!("soter-scratch-{}", hex::encode(random::bytes::<4>(&*context.random)));
        let path = above.join(name);
        Disk::create_dir(&*context.disk, &path).map_err(|error| {
            Failure::of(Ending::Input, &error)
                .during(&format!("make {}", path.display()))
                .hint("--scratch-dir DIR takes another place")
        })?;
        Ok(Self { path })
    }
}

impl Drop for ScratchDirectory {
    fn drop(&mut self) {
        // Whatever is left of it the next look at the disk shows by its name.
        drop(std::fs::remove_dir_all(&self.path));
    }
}

fn in_words(report: &Report) -> String {
    let cells = |line: &Line| {
        vec![
            line.id.to_string(),
            if line.passed { "good" } else { "DIFFERS" }.to_owned(),
            line.level.to_owned(),
            line.revision.to_string(),
            line.tried.keys.keys.to_string(),
            line.tried.version.clone(),
            human_duration(Duration::from_secs_f64(line.seconds)),
        ]
    };
    let rows: Vec<_> = report.backups.iter().map(cells).collect();
    let header = ["backup", "result", "level", "revision", "keys", "etcd", "took"];
    let mut lines = vec![table(&header, &rows)];
    for line in &report.backups {
        let told = |what: &str, words: &String| format!("{what} ({}): {words}", line.id);
        lines.extend(line.tried.differences.iter().map(|words| told("differs", words)));
        lines.extend(line.tried.remarks.iter().map(|words| told("remark", words)));
    }
    if report.attested {
        lines.push("signed into the log".to_owned());
    }
    lines.join("\n")
}

fn verdict(report: &Report) -> Result<(), Failure> {
    if report.passed {
        return Ok(());
    }
    let what = format!("{} does not come back as it was recorded", report.store);
    Err(Failure::new(Ending::No, what)
        .hint("restore an earlier backup, and make a new one: soter backup --full"))
}
