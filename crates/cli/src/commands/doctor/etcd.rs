//! What keeps an etcd from being protected: its members, what they raise the alarm about, how full they
//! are, what is to be taken along, the vault, and the agent.

use std::path::Path;

use soter_plan::{Etcd, VaultUrl};
use soter_postgres::server::checks::Severity;
use soter_stores::etcd::{Client, Endpoint, EtcdRecord, Status, check_files};
use soter_vault::keys::{AgentKey, KeyFile};
use soter_vault::log::Log;

use super::places::{existing, one_vault_only, try_to_write};
use super::{Patient, Row};
use crate::context::{Writer, file_failure, log_failure};
use crate::etcd::{access, is_etcd, records};
use crate::failure::Failure;
use crate::output::human_bytes;
use crate::presence::Presence;

/// From so many hundredths of its quota on a database is nearly full.
const FULL_PERCENT: u64 = 80;

/// All that there is to say.
pub(super) fn look(patient: &Patient<'_>, etcd: &Etcd) -> Vec<Row> {
    let mut rows = Vec::new();
    let answers = members(patient, etcd, &mut rows);
    taken_along(patient, etcd, &mut rows);
    one_vault_only(patient, &mut rows);
    if let Some((writer, directory)) = vault(patient, &mut rows) {
        match newest(patient, &writer) {
            Ok(Some(newest)) => {
                room(patient, directory, newest.snapshot_bytes, &mut rows);
                kept_so_far(patient, &newest.cluster, &answers, &mut rows);
            }
            Ok(None) => {}
            Err(failure) => rows.push(Row::of("log-unreadable", failure)),
        }
        agent(patient, &writer, &mut rows);
    }
    rows
}

/// Asks each member; what those say that answer.
fn members(patient: &Patient<'_>, etcd: &Etcd, rows: &mut Vec<Row>) -> Vec<(Endpoint, Status)> {
    let access = match access(patient.context, etcd) {
        Ok(access) => access,
        Err(failure) => {
            rows.push(Row::of("files-of-tls", failure));
            return Vec::new();
        }
    };
    let client = match Client::new(&access) {
        Ok(client) => client,
        Err(error) => {
            let hint = "the plan's ca_file, certificate_file and key_file are PEM files";
            rows.push(Row::error("files-of-tls", error.to_string()).hint(hint));
            return Vec::new();
        }
    };
    let (mut answers, mut silent) = (Vec::new(), Vec::new());
    for endpoint in &access.endpoints {
        match client.status_of(endpoint) {
            Ok(status) => answers.push((endpoint.clone(), status)),
            Err(error) => silent.push(error.to_string()),
        }
    }
    let (severity, hint) = match answers.is_empty() {
        true => (
            Severity::Error,
            "see that one of them runs, and that its certificate is signed by the plan's ca_file",
        ),
        false => (Severity::Warning, "the others are asked instead; see why it is away"),
    };
    let of_silent = |what| Row::error("member-unreachable", what).severity(severity).hint(hint);
    rows.extend(silent.into_iter().map(of_silent));
    if !answers.is_empty() {
        agreement(&answers, rows);
        alarms(&client, rows);
        answers.iter().for_each(|(endpoint, status)| fullness(&client, endpoint, status, rows));
    }
    answers
}

/// Whether those that answer are members of one cluster that has a leader.
fn agreement(answers: &[(Endpoint, Status)], rows: &mut Vec<Row>) {
    let (first, others) = (&answers[0], &answers[1..]);
    for (endpoint, status) in others.iter().filter(|(_, it)| it.cluster != first.1.cluster) {
        let what = format!(
            "{} is a member of cluster {:016x}, {endpoint} of {:016x}",
            first.0, first.1.cluster, status.cluster
        );
        rows.push(
            Row::error("clusters-mixed", what)
                .why("nothing is stored of either")
                .hint("correct the plan's endpoints: all are to be of one cluster"),
        );
    }
    for (endpoint, _) in answers.iter().filter(|(_, status)| status.leader == 0) {
        rows.push(
            Row::error("no-leader", format!("{endpoint} knows no leader"))
                .why("the cluster takes no writes, and says nothing that all agree on")
                .hint("bring members back until more than half of them run"),
        );
    }
    let versions: std::collections::BTreeSet<&str> =
        answers.iter().map(|(_, status)| status.version.as_str()).collect();
    let versions: Vec<&str> = versions.into_iter().collect();
    let what = format!("{} members answer, of etcd {}", answers.len(), versions.join(" and "));
    rows.push(
        Row::error("versions", what)
            .severity(Severity::Notice)
            .hint("etcdutl of that version brings it back: see that it is at hand"),
    );
}

fn alarms(client: &Client, rows: &mut Vec<Row>) {
    let raised = match client.alarms() {
        Ok(raised) => raised,
        Err(error) => {
            let what = format!("nobody says whether there are alarms: {error}");
            rows.push(Row::error("alarms-unknown", what).severity(Severity::Warning));
            return;
        }
    };
    for alarm in raised {
        let (why, hint, command) = match alarm.kind.as_str() {
            "NOSPACE" => (
                "the database is as large as it may become: nothing can be changed any more",
                "compact and defragment it, or raise its quota; then lift the alarm",
                "etcdctl compact \"$(etcdctl endpoint status --write-out=json | jq .[0].Status.header.revision)\" && etcdctl defrag --cluster && etcdctl alarm disarm",
            ),
            "CORRUPT" => (
                "members have different data: which of them a snapshot is of is chance",
                "take the member out and let it join anew; verify the newest backups",
                "etcdctl endpoint hashkv --cluster",
            ),
            _ => ("", "see what etcd says of it", "etcdctl alarm list"),
        };
        let what = format!("etcd raises the alarm {} of member {:016x}", alarm.kind, alarm.member);
        rows.push(Row::error("alarm", what).why(why).hint(hint).command(command));
    }
}

fn fullness(client: &Client, endpoint: &Endpoint, status: &Status, rows: &mut Vec<Row>) {
    let size = status.database_bytes;
    let row = match client.quota_bytes(endpoint) {
        Ok(Some(quota)) if quota > 0 => {
            let percent = size.saturating_mul(100) / quota;
            let (size, quota) = (human_bytes(size), human_bytes(quota));
            let what = format!("the database of {endpoint} has {size} of {quota}, {percent} %");
            let row = Row::error("database-size", what);
            match percent >= FULL_PERCENT {
                true => row
                    .severity(Severity::Warning)
                    .why("when it is full, nothing can be changed any more")
                    .hint("compact and defragment it, or raise --quota-backend-bytes"),
                false => row.severity(Severity::Notice),
            }
        }
        _ => {
            let what = format!(
                "the database of {endpoint} has {}, its quota is not said",
                human_bytes(size)
            );
            Row::error("database-size", what).severity(Severity::Notice)
        }
    };
    rows.push(row);
}

/// Whether what a snapshot opens with is there.
fn taken_along(patient: &Patient<'_>, etcd: &Etcd, rows: &mut Vec<Row>) {
    match check_files(&*patient.context.disk, &etcd.files) {
        Ok(0) => rows.push(
            Row::error("nothing-taken-along", "the plan names no files to be taken along")
                .severity(Severity::Warning)
                .why("the secrets of Kubernetes are sealed with a key that lies in a file, and a snapshot of K3s opens only with the server's token")
                .hint("name them under `files`: of K3s /var/lib/rancher/k3s/server/token, tls and cred"),
        ),
        Ok(count) => rows.push(
            Row::error("taken-along", format!("{count} files are taken along"))
                .severity(Severity::Notice),
        ),
        Err(error) => {
            let what = match std::error::Error::source(&error) {
                Some(cause) => format!("{error}: {cause}"),
                None => error.to_string(),
            };
            rows.push(
                Row::error("files-missing", what)
                    .why("no backup is made without them")
                    .hint("run as root, on a server that has them; or correct the plan's `files`"),
            );
        }
    }
}

/// Whether the vault takes what is written; where it is.
fn vault<'p>(patient: &Patient<'p>, rows: &mut Vec<Row>) -> Option<(Writer, &'p Path)> {
    let described = patient.store.vault().and_then(|name| patient.plan.vaults.get(name))?;
    let (context, disk) = (patient.context, &*patient.context.disk);
    if let Err(error) = AgentKey::load(disk, &described.agent_key) {
        rows.push(Row::of("key-unusable", file_failure(&error)));
        return None;
    }
    let writer = match context.writer(patient.plan, patient.name, patient.store) {
        Ok(writer) => writer,
        Err(failure) => {
            rows.push(Row::of("vault-unusable", failure));
            return None;
        }
    };
    let VaultUrl::File(directory) = &described.url;
    if let Err(error) = try_to_write(disk, directory, &writer) {
        let what = format!("cannot write to the vault in {}: {error}", directory.display());
        rows.push(
            Row::error("vault-not-writable", what)
                .hint("it must be writable for the agent's user, and have room"),
        );
    }
    Some((writer, directory))
}

fn room(patient: &Patient<'_>, vault: &Path, bytes: u64, rows: &mut Vec<Row>) {
    let disk = &*patient.context.disk;
    let Ok(free) = disk.available_bytes(&existing(disk, vault)) else { return };
    if free < bytes {
        let (free, bytes) = (human_bytes(free), human_bytes(bytes));
        let what = format!("the vault's disk has {free} free, a snapshot {bytes}");
        rows.push(
            Row::error("vault-space", what)
                .severity(Severity::Warning)
                .hint("make room, or put the vault on a larger disk"),
        );
    }
}

/// The newest backup.
fn newest(patient: &Patient<'_>, writer: &Writer) -> Result<Option<EtcdRecord>, Failure> {
    let vault = patient.context.vault(&writer.vault, writer.pins.clone());
    let log = Log::open(&vault, writer.keys.store, writer.vault.trust().clone(), None)
        .map_err(|error| log_failure(&error))?;
    if !is_etcd(&log, &writer.keys.metadata)? {
        return Ok(None);
    }
    Ok(records(&log, &writer.keys.metadata)?.pop().map(|(_, record)| record))
}

/// Whether the cluster that answers is the one that is kept.
fn kept_so_far(
    patient: &Patient<'_>,
    kept: &str,
    answers: &[(Endpoint, Status)],
    rows: &mut Vec<Row>,
) {
    let Some((endpoint, status)) = answers.first() else { return };
    let found = format!("{:016x}", status.cluster);
    if found != kept {
        let what = format!("{endpoint} is of cluster {found}, the backups so far are of {kept}");
        rows.push(
            Row::error("another-cluster", what)
                .why("nothing of it is stored in the place of the other until somebody says so")
                .hint("if it was recovered or made anew")
                .command(patient.command(&format!("backup {} --new-cluster", patient.name))),
        );
    }
}

fn agent(patient: &Patient<'_>, writer: &Writer, rows: &mut Vec<Row>) {
    match Presence::of(patient.context, writer.keys.store) {
        None => rows.push(
            Row::error("agent-not-running", "no agent runs on this machine")
                .why("no snapshot is taken when it is due, unless a timer does it")
                .hint("start it, as a service")
                .command(patient.command(&format!("agent {}", patient.name))),
        ),
        Some(agent) => rows.extend(agent.failed.map(|failed| {
            let what =
                format!("the agent's last attempt failed at {:.0}: {}", failed.at, failed.why);
            Row::error("backup-failed", what)
                .severity(Severity::Warning)
                .hint("it is tried again by itself; what is above may say why")
        })),
    }
}
