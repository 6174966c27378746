//! What commands about an etcd have in common: how it is reached, and whether a store is one.

use std::path::Path;

use soter_plan::Etcd;
use soter_stores::etcd::restore::RestoreError;
use soter_stores::etcd::{Access, Endpoint, EndpointError, EtcdRecord, KIND, kind_of};
use soter_vault::crypto::SymmetricKey;
use soter_vault::log::{BackupRow, Log};
use soter_world::disk::Owner;
use soter_world::{Secret, durable, exec};

use crate::context::{Context, log_failure};
use crate::failure::{Ending, Failure};

/// Longest file of certificates, or of a key.
const PEM_LENGTH_MAX: usize = 1 << 20;

/// How the etcd of the plan is reached: its files are read now.
pub(crate) fn access(context: &Context, etcd: &Etcd) -> Result<Access, Failure> {
    let endpoints: Result<Vec<Endpoint>, EndpointError> =
        etcd.endpoints.iter().map(|text| text.parse()).collect();
    let endpoints = endpoints.map_err(|error| Failure::of(Ending::Input, &error))?;
    let read = |path: &Path| {
        durable::read(&*context.disk, path, PEM_LENGTH_MAX).map_err(|error| {
            Failure::of(Ending::Input, &error)
                .during(&format!("read {}", path.display()))
                .hint("the plan names it; run as root, or as its owner")
        })
    };
    let ca = etcd.ca_file.as_deref().map(read).transpose()?.unwrap_or_default();
    let client = match &etcd.client {
        Some(files) => Some((read(&files.certificate)?, Secret::new(read(&files.key)?))),
        None => None,
    };
    Ok(Access { endpoints, ca, client })
}

/// Whether the newest live backup of a store is of an etcd. Its own record says so, whatever a plan or
/// a trust list calls the store.
pub(crate) fn is_etcd(log: &Log, metadata: &SymmetricKey) -> Result<bool, Failure> {
    let Some(newest) = log.catalogue().live().next_back() else { return Ok(false) };
    let body = log.body(newest.id, metadata).map_err(|error| log_failure(&error))?;
    Ok(kind_of(&body.content).as_deref() == Some(KIND))
}

/// The live backups of an etcd with what they say, oldest first.
pub(crate) fn records(
    log: &Log,
    metadata: &SymmetricKey,
) -> Result<Vec<(BackupRow, EtcdRecord)>, Failure> {
    let mut records = Vec::new();
    for row in log.catalogue().live() {
        let body = log.body(row.id, metadata).map_err(|error| log_failure(&error))?;
        let record = EtcdRecord::parse(&body.content).map_err(|error| {
            Failure::of(Ending::Failed, &error)
                .during(&format!("read the record of backup {}", row.id))
                .hint("a newer Soter may have written it: use that one")
        })?;
        records.push((row.clone(), record));
    }
    Ok(records)
}

/// Whose process a scratch member is to be: nobody's in particular, if we may give it away.
pub(crate) fn nobody(context: &Context) -> Option<Owner> {
    if exec::current_owner().user != 0 {
        return None;
    }
    let passwd = durable::read(&*context.disk, Path::new("/etc/passwd"), PEM_LENGTH_MAX).ok()?;
    exec::owner_in_passwd(&String::from_utf8_lossy(&passwd), "nobody")
}

/// A restore that failed, in words.
pub(crate) fn restore_failure(error: &RestoreError) -> Failure {
    let ending = match error {
        RestoreError::NothingThere => Ending::No,
        error if error.is_input() => Ending::Input,
        _ => Ending::Failed,
    };
    let failure = Failure::of(ending, error);
    match error.hint() {
        Some(hint) => failure.hint(hint),
        None => failure,
    }
}
