//! `soter restore` of an etcd: the snapshot and what was taken along in a new directory, and new
//! members made of it.

use std::path::PathBuf;
use std::time::Duration;

use serde::Serialize;
use soter_stores::etcd::restore::{MadeMember, RestoreTarget, Restored, Target};
use soter_stores::etcd::{Bump, EtcdRecord, NewCluster, NewMember};
use soter_vault::ids::BackupId;
use soter_vault::log::Log;
use soter_world::{Stop, exec};

use super::{RestoreArgs, Shown, absolute, look_up};
use crate::context::{Context, Reader, log_failure};
use crate::etcd::{records, restore_failure};
use crate::failure::{Ending, Failure};
use crate::output::{human_bytes, human_duration};

/// The kind of store in a trust list.
const KIND: &str = "etcd";

/// Where K3s keeps what it is.
const K3S: &str = "/var/lib/rancher/k3s";

/// What is made of a snapshot of an etcd, beside the directory with it.
#[derive(Debug, clap::Args)]
#[command(next_help_heading = "An etcd")]
pub(super) struct EtcdArgs {
    /// A member of the new cluster, and where other members reach it. Repeated for each; every machine
    /// is told all of them, in the same words.
    #[arg(long, value_name = "NAME=URL")]
    member: Vec<NewMember>,
    /// Make only this member here; may be repeated. Without, all are made.
    #[arg(long, value_name = "NAME", requires = "member")]
    here: Vec<String>,
    /// Tells the new cluster from the lost one; the same on all machines. Without, the store's name and
    /// the backup's.
    #[arg(long, value_name = "WORD", requires = "member")]
    token: Option<String>,
    /// Move revisions on by so much, and mark all before as compacted. Whoever watches from a revision
    /// of the lost cluster, as all controllers do, would else wait for changes it has missed. Without
    /// --member the snapshot itself is made so, for K3s, which makes its members of that.
    #[arg(long, value_name = "NUMBER", num_args = 0..=1, default_missing_value = BUMP_WORD)]
    bump_revision: Option<u64>,
    /// Put the files that were taken along below this directory, too, each by its old path: / for where
    /// they were. What is there is never overwritten.
    #[arg(long, value_name = "DIR")]
    files_to: Option<PathBuf>,
}

/// [`soter_stores::etcd::BUMP_DEFAULT`] as it is written.
const BUMP_WORD: &str = "1000000000";

/// What would be done.
#[derive(Serialize)]
struct Plan<'a> {
    store: &'a str,
    backup: BackupId,
    taken_at: jiff::Timestamp,
    revision: u64,
    keys: u64,
    total_bytes: u64,
    target_dir: PathBuf,
    members: Vec<MadeMember>,
    files: usize,
}

/// What was done.
#[derive(Serialize)]
struct Done<'a> {
    store: &'a str,
    #[serde(flatten)]
    restored: &'a Restored,
    /// It had been done before, by the same name.
    was_there: bool,
    seconds: f64,
}

impl EtcdArgs {
    fn is_given(&self) -> bool {
        !self.member.is_empty() || self.files_to.is_some() || self.bump_revision.is_some()
    }

    /// Whether the store is an etcd, by the word of the trust list or of who asks.
    pub(super) fn is_meant(&self, reader: &Reader) -> bool {
        let row = reader.vault.trust().newest().store(reader.keys.store);
        self.is_given() || row.is_some_and(|row| row.kind == KIND)
    }

    /// By the same name something else may not be taken for done.
    fn mark(&self, once: Option<&str>, what: &str) -> Option<String> {
        let moved = self.bump_revision.map(|by| format!(", revisions moved on by {by}"));
        Some(format!("{}: {what}{}", once?, moved.unwrap_or_default()))
    }

    fn cluster(
        &self,
        args: &RestoreArgs,
        (store, backup): (&str, BackupId),
    ) -> Result<Option<NewCluster>, Failure> {
        if self.member.is_empty() {
            return Ok(None);
        }
        let is_member = |name: &&String| self.member.iter().any(|member| member.name == **name);
        if let Some(stranger) = self.here.iter().find(|name| !is_member(name)) {
            let what = format!("{stranger:?} is to be made here and is no member");
            return Err(Failure::new(Ending::Input, what).hint("name it with --member NAME=URL"));
        }
        let mut names: Vec<&String> = self.member.iter().map(|member| &member.name).collect();
        names.sort_unstable();
        if let Some(twice) = names.windows(2).find(|pair| pair[0] == pair[1]) {
            let what = format!("the member {:?} is named twice", twice[0]);
            return Err(Failure::new(Ending::Input, what));
        }
        let all = || self.member.iter().map(|member| member.name.clone()).collect();
        Ok(Some(NewCluster {
            members: self.member.clone(),
            here: if self.here.is_empty() { all() } else { self.here.clone() },
            token: self.token.clone().unwrap_or_else(|| format!("{store}-{backup}")),
            programs: args.start.bin_dir().map(PathBuf::from),
        }))
    }
}

pub(super) fn run(context: &Context, args: &RestoreArgs, reader: &Reader) -> Result<(), Failure> {
    let begun = context.clock.monotonic();
    refuse_what_is_of_postgres(args)?;
    let wanted: Target =
        args.to.parse().map_err(|error: soter_stores::etcd::restore::TargetError| {
            Failure::of(Ending::Input, &error)
        })?;
    let vault = context.vault(&reader.vault, reader.pins.clone());
    let log = Log::open(&vault, reader.keys.store, reader.vault.trust().clone(), None)
        .map_err(|error| log_failure(&error))?;
    let backups = records(&log, &reader.keys.metadata)?;
    let (row, record) =
        wanted.choose(&backups, |row| row.id).map_err(|error| restore_failure(&error))?;
    let directory = absolute(&args.target_dir)?;
    let cluster = args.etcd.cluster(args, (&reader.name, row.id))?;
    let programs = args.start.bin_dir().map(PathBuf::from);
    let bump = args.etcd.bump_revision.map(|by| Bump { by, programs });
    let mark = args.etcd.mark(args.again.once(), &format!("{} to {wanted}", reader.name));
    let target = RestoreTarget {
        disk: &*context.disk,
        directory: &directory,
        mark: mark.as_deref(),
        files_to: args.etcd.files_to.as_deref(),
        cluster: cluster.as_ref(),
        bump: bump.as_ref(),
        owner: args.owner.as_deref().map(look_up).transpose()?,
        keeps_owners: exec::current_owner().user == 0,
    };
    check(&target, record)?;
    if args.dry_run {
        let plan = Plan {
            store: &reader.name,
            backup: row.id,
            taken_at: record.taken_at,
            revision: record.revision,
            keys: record.keys.keys,
            total_bytes: record.snapshot_bytes,
            members: cluster.as_ref().map(|it| it.made(&directory)).unwrap_or_default(),
            target_dir: directory.clone(),
            files: record.files.len(),
        };
        context.output.data(&plan, |plan| plan.in_words());
        return Ok(());
    }
    let was_there = target.is_done().map_err(|error| restore_failure(&error))?;
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let shown = Shown::new(context, &reader.name, record.snapshot_bytes);
    let restored = target.write((&log, &reader.keys), (row.id, record), &shown, &stop);
    shown.meter.finish();
    let restored = restored.map_err(|error| restore_failure(&error))?;
    let took = context.clock.monotonic().saturating_sub(begun);
    let seconds = took.as_secs_f64();
    let done = Done { store: &reader.name, restored: &restored, was_there, seconds };
    context.output.data(&done, |done| done.in_words());
    context.output.say(&next_steps(&restored, record, cluster.is_some()));
    let report = serde_json::to_value(&done).map_err(|e| Failure::of(Ending::Failed, &e))?;
    args.again.leave_values(context, &report, &done.values())
}

/// All that is in the way, at once.
fn check(target: &RestoreTarget<'_>, record: &EtcdRecord) -> Result<(), Failure> {
    let mut failures: Vec<Failure> = target.obstacles(record).iter().map(restore_failure).collect();
    if failures.len() <= 1 {
        return failures.pop().map_or(Ok(()), Err);
    }
    let what = format!("{} things are in the way, nothing was written", failures.len());
    let mut failure = Failure::new(Ending::Input, what);
    failure.causes = failures.iter().map(Failure::in_one_line).collect();
    Err(failure)
}

fn refuse_what_is_of_postgres(args: &RestoreArgs) -> Result<(), Failure> {
    let given = [
        ("--start", args.start.is_start()),
        ("--incarnation", args.incarnation.is_some()),
        ("--exclusive", args.exclusive),
        ("--tablespace", !args.tablespace.is_empty()),
    ];
    match given.iter().find(|(_, given)| *given) {
        None => Ok(()),
        Some((name, _)) => {
            let what = format!("{name} is said of a PostgreSQL cluster, and this is an etcd");
            Err(Failure::new(Ending::Input, what).hint("leave it out"))
        }
    }
}

impl Plan<'_> {
    fn in_words(&self) -> String {
        format!(
            "would restore {}: backup {} of {}, revision {}, {} keys, {} into {}, {} files with it",
            self.store,
            self.backup,
            self.taken_at,
            self.revision,
            self.keys,
            human_bytes(self.total_bytes),
            self.target_dir.display(),
            self.files
        )
    }
}

impl Done<'_> {
    fn in_words(&self) -> String {
        let Restored { backup, taken_at, revision, keys, snapshot, files, .. } = self.restored;
        let was = if self.was_there { "had been restored" } else { "restored" };
        format!(
            "{was} {}: backup {backup} of {taken_at}, revision {revision}, {keys} keys, in {} ({} \
             files with it), in {}",
            self.store,
            snapshot.display(),
            files.len(),
            human_duration(Duration::from_secs_f64(self.seconds)),
        )
    }
}

impl Done<'_> {
    /// As `name=value` lines, for the parameters of a run.
    fn values(&self) -> String {
        let Restored { backup, directory, snapshot, revision, keys, members, .. } = self.restored;
        let mut lines = format!(
            "backup={backup}\ndirectory={}\nsnapshot={}\nrevision={revision}\nkeys={keys}\n\
             seconds={:.3}\n",
            directory.display(),
            snapshot.display(),
            self.seconds
        );
        if let [only] = members.as_slice() {
            lines.push_str(&format!("data_directory={}\n", only.data_directory.display()));
        }
        lines
    }
}

/// What to do with what is there.
fn next_steps(restored: &Restored, record: &EtcdRecord, has_members: bool) -> String {
    let snapshot = restored.snapshot.display();
    let mut lines = Vec::new();
    for member in &restored.members {
        lines.push(format!("start {} with its certificates: {}", member.name, member.start));
    }
    if !has_members {
        lines.push(format!(
            "next, of etcd: the same with --member NAME=URL for each new member makes their data; or, \
             by hand: etcdutl snapshot restore {snapshot}"
        ));
        if record.files.iter().any(|file| file.path.starts_with(K3S)) {
            lines.extend(k3s(&snapshot.to_string()));
        }
    }
    if restored.bumped_by.is_none() {
        lines.push(
            "revisions go on from that of the snapshot: restart whatever watches it (API servers, \
             controllers, kubelets), or restore with --bump-revision"
                .to_owned(),
        );
    }
    lines.join("\n")
}

/// What K3s wants, by its own manual.
fn k3s(snapshot: &str) -> Vec<String> {
    let lines = [
        "next, of K3s, on the first server, where the files that were taken along are at their places \
         (--files-to /):"
            .to_owned(),
        "  systemctl stop k3s".to_owned(),
        format!("  k3s server --cluster-reset --cluster-reset-restore-path={snapshot}"),
        "  systemctl start k3s".to_owned(),
        "then on every other server, one after the other:".to_owned(),
        format!("  systemctl stop k3s && mv {K3S}/server/db {K3S}/server/db.lost && systemctl start k3s"),
    ];
    lines.to_vec()
}

#[cfg(test)]
mod tests {
    use soter_stores::etcd::BUMP_DEFAULT;

    use super::*;

    #[test]
    fn what_help_says_is_what_is_done() {
        assert_eq!(BUMP_WORD.parse::<u64>().unwrap(), BUMP_DEFAULT);
    }
}
