//! `soter backup` of an etcd: one snapshot, by whichever member answers.

use serde::Serialize;
use soter_plan::{Etcd, Plan, Store, StoreName};
use soter_stores::etcd::EtcdRecord;
use soter_stores::etcd::backup::{
    BackupError, BackupSetup, ClusterPolicy, FinishedRun, FullPolicy, run as back_up,
};
use soter_vault::frame::Compression;
use soter_vault::ids::BackupId;
use soter_vault::keys::ErrorKind;
use soter_vault::log::TakeOver;
use soter_vault::map::Progress;
use soter_world::Stop;

use crate::context::{Context, Writer};
use crate::etcd::access;
use crate::failure::{Ending, Failure};
use crate::output::{human_bytes, human_duration};

use super::{BackupArgs, Shown};

/// A backup that was made.
#[derive(Serialize)]
struct Made {
    id: BackupId,
    #[serde(flatten)]
    record: EtcdRecord,
}

/// What a backup is made of.
#[derive(Clone, Copy)]
pub(in crate::commands) struct Patient<'a> {
    pub(in crate::commands) plan: &'a Plan,
    pub(in crate::commands) name: &'a StoreName,
    pub(in crate::commands) store: &'a Store,
    pub(in crate::commands) etcd: &'a Etcd,
}

/// How it is made.
#[derive(Clone, Copy)]
pub(in crate::commands) struct Policy<'a> {
    pub(in crate::commands) agent: &'a str,
    pub(in crate::commands) full: FullPolicy,
    pub(in crate::commands) cluster: ClusterPolicy,
    pub(in crate::commands) take_over: TakeOver,
}

pub(super) fn run(
    context: &Context,
    args: &BackupArgs,
    patient: Patient<'_>,
) -> Result<(), Failure> {
    let begun = context.clock.monotonic();
    let stop = Stop::on_signals().map_err(|error| Failure::of(Ending::Failed, &error))?;
    let shown = Shown::new(context, patient.name);
    let full = match args.full {
        true => FullPolicy::Always,
        false => FullPolicy::OlderThan(patient.store.backup.full_every),
    };
    let cluster = if args.new_cluster { ClusterPolicy::Any } else { ClusterPolicy::Same };
    let policy = Policy { agent: "soter backup", full, cluster, take_over: TakeOver::OwnOnly };
    let done = take(context, patient, policy, (&shown, &stop));
    shown.meter.finish();
    let done = done?;
    let took = human_duration(context.clock.monotonic().saturating_sub(begun));
    for remark in &done.record.remarks {
        context.output.warn(remark);
    }
    let made = Made { id: done.id, record: done.record };
    context.output.data(&made, |made| format!("{}, in {took}", in_words(patient.name, made)));
    Ok(())
}

/// Takes a backup and commits it.
pub(in crate::commands) fn take(
    context: &Context,
    patient: Patient<'_>,
    policy: Policy<'_>,
    (progress, stop): (&dyn Progress, &Stop),
) -> Result<FinishedRun, Failure> {
    let access = access(context, patient.etcd)?;
    let Writer { vault: open, keys, pins } =
        context.writer(patient.plan, patient.name, patient.store)?;
    let vault = context.vault(&open, pins);
    let setup = BackupSetup {
        disk: &*context.disk,
        access: &access,
        files: &patient.etcd.files,
        vault: &vault,
        trust: open.trust(),
        keys: &keys,
        agent: policy.agent,
        take_over: policy.take_over,
        full: policy.full,
        cluster: policy.cluster,
        compression: Compression::Zstd(patient.store.compression.level),
    };
    back_up(&setup, progress, stop).map_err(|error| failure(&error))
}

fn in_words(name: &StoreName, made: &Made) -> String {
    let record = &made.record;
    let counters = &record.counters;
    let files = match record.files.len() {
        0 => String::new(),
        1 => ", with a file".to_owned(),
        count => format!(", with {count} files"),
    };
    format!(
        "backup {} ({:?}) of {name}: revision {} of cluster {} from {}, {} keys, {} read, {} \
         stored{files}",
        made.id,
        record.kind,
        record.revision,
        record.cluster,
        record.endpoint,
        record.keys.keys,
        human_bytes(counters.read_bytes),
        human_bytes(counters.stored_bytes),
    )
}

/// A failed backup in words.
fn failure(error: &BackupError) -> Failure {
    let ending = match error.kind() {
        ErrorKind::Input => Ending::Input,
        ErrorKind::Superseded => Ending::Superseded,
        _ => Ending::Failed,
    };
    let failure = Failure::of(ending, error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
