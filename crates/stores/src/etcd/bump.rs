//! Revisions moved on, so that whoever watched the lost cluster is told that its revision is gone.
//!
//! The members of etcd's own tools are made so at once. K3s makes its members itself, of a snapshot, and
//! knows no such thing: for it the snapshot is made anew with the revisions moved, by etcd's own
//! `etcdutl` and nobody else, and what this one says of the outcome is compared with what was asked for.

use std::io;
use std::path::{Path, PathBuf};

use aws_lc_rs::digest::{Context, SHA256};
use serde::Deserialize;
use soter_world::exec::{Command, Finished};
use soter_world::{Disk, DiskFile};

use crate::etcd::SNAPSHOT_FILE;
use crate::etcd::members::{TIMEOUT, program};
use crate::etcd::restore::{RestoreError, remove_all};

/// How far revisions are moved on, if nobody says: more than are written in the time that a snapshot is
/// old, also by a busy cluster.
pub const BUMP_DEFAULT: u64 = 1_000_000_000;

/// How far revisions are moved on, with everything before marked as compacted: whoever watches from a
/// revision of the lost cluster is told that it is gone, and lists anew.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Bump {
    /// By so much.
    pub by: u64,
    /// Where `etcdutl` is, if not where programs are.
    pub programs: Option<PathBuf>,
}

impl Bump {
    pub(super) fn arguments(&self) -> [String; 3] {
        ["--bump-revision".to_owned(), self.by.to_string(), "--mark-compacted".to_owned()]
    }
}

/// Where the member is made whose database becomes the snapshot.
const SCRATCH: &str = ".moved";

/// Of the member that is made: it is never started.
const NOWHERE: &str = "http://localhost:1";

/// How much is read at once.
const CHUNK_BYTES: usize = 1 << 20;

/// What `etcdutl snapshot status` says.
#[derive(Deserialize)]
struct Status {
    revision: u64,
}

/// Makes the snapshot of a directory anew, with its revisions moved on from the recorded one.
pub(super) fn snapshot(
    disk: &dyn Disk,
    bump: &Bump,
    directory: &Path,
    revision: u64,
) -> Result<(), RestoreError> {
    let (snapshot, scratch) = (directory.join(SNAPSHOT_FILE), directory.join(SCRATCH));
    let etcdutl = || Command::new(program(bump.programs.as_deref(), "etcdutl"));
    let run = |command: Command| {
        command.run(TIMEOUT).and_then(Finished::checked).map_err(RestoreError::Bump)
    };
    let make = etcdutl()
        .args(["snapshot", "restore"])
        .arg(&snapshot)
        .arg("--data-dir")
        .arg(&scratch)
        .args(["--name", "moved", "--initial-cluster", &format!("moved={NOWHERE}")])
        .args(["--initial-advertise-peer-urls", NOWHERE])
        .args(bump.arguments());
    run(make)?;
    let database = scratch.join("member/snap/db");
    append_hash(disk, &database)
        .and_then(|()| disk.set_mode(&database, 0o600))
        .and_then(|()| disk.rename(&database, &snapshot))
        .and_then(|()| remove_all(disk, &scratch))
        .map_err(|source| RestoreError::File { path: snapshot.clone(), source })?;
    let look = etcdutl().args(["snapshot", "status", "--write-out", "json"]).arg(&snapshot);
    let said = run(look)?.stdout;
    let expected = revision.saturating_add(bump.by);
    match serde_json::from_slice::<Status>(&said) {
        Ok(status) if status.revision >= expected => Ok(()),
        _ => {
            let said = String::from_utf8_lossy(&said).trim().to_owned();
            Err(RestoreError::Unmoved { expected, said })
        }
    }
}

/// Puts the hash behind a database that makes a snapshot of it.
fn append_hash(disk: &dyn Disk, path: &Path) -> io::Result<()> {
    let file = disk.open_write(path)?;
    let hash = hash_of(&*file)?;
    file.write_at(file.len()?, &hash)?;
    file.sync()
}

fn hash_of(file: &dyn DiskFile) -> io::Result<Vec<u8>> {
    let (mut context, mut buffer, mut offset) = (Context::new(&SHA256), vec![0; CHUNK_BYTES], 0);
    loop {
        let length = file.read_at(offset, &mut buffer)?;
        if length == 0 {
            return Ok(context.finish().as_ref().to_vec());
        }
        context.update(&buffer[..length]);
        offset += length as u64;
    }
}
