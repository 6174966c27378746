//! Which files of a cluster belong into a backup: a walk over the data directory, its tablespaces
//! and the configuration files that lie elsewhere.
//!
//! Left out is what the server makes anew at every start, and what a restored cluster must not
//! have: WAL (it comes from the vault), slots, statistics in the making, temporary and unlogged
//! relations except their `_init` forks, `postmaster.*`. The directories stay, empty. The rules are
//! those of PostgreSQL's own base backup (`src/backend/backup/basebackup.c`).

use std::collections::BTreeSet;
use std::io;
use std::path::{Path, PathBuf};

use soter_world::Disk;
use soter_world::disk::{FileKind, Metadata};

use crate::cluster::MajorVersion;
use crate::relation::{Fork, RelationSegment};

/// In a backup, paths of the data directory begin with this.
pub const DATA_PREFIX: &str = "data";

/// In a backup, paths of tablespaces begin with this; the tablespace's OID follows.
pub const TABLESPACES_PREFIX: &str = "tablespaces";

/// In a backup, paths of configuration files outside the data directory begin with this; their
/// absolute path follows.
pub const CONFIGURATION_PREFIX: &str = "configuration";

/// Directories whose contents are left out.
const EMPTIED: [&str; 8] = [
    "pg_wal",
    "pg_replslot",
    "pg_dynshmem",
    "pg_notify",
    "pg_serial",
    "pg_snapshots",
    "pg_stat_tmp",
    "pg_subtrans",
];

/// Files at the top of the data directory that are left out. `backup_label` and `tablespace_map`
/// there are leftovers: this backup's come from the server at its end. Without the marker a restored
/// cluster cannot write into its parent's history; what is ours is made by each restore.
const LEFT_OUT: [&str; 14] = [
    crate::incarnation::MARKER_NAME,
    crate::incarnation::SEEN_NAME,
    "postmaster.pid",
    "postmaster.opts",
    "current_logfiles.tmp",
    "postgresql.auto.conf.tmp",
    "backup_label",
    "tablespace_map",
    "backup_manifest",
    "standby.signal",
    "recovery.signal",
    crate::restore::start::LOG_NAME,
    crate::restore::start::RULES_NAME,
    crate::restore::start::NAMES_NAME,
];

/// A restored server's Unix socket and its lock file, until it is started elsewhere, are here.
const SOCKET_PREFIX: &str = ".s.PGSQL.";

/// Where the control file is.
pub const CONTROL_FILE: &str = "data/global/pg_control";

/// Directories nest no deeper than this in a cluster; a deeper one is a loop of links.
const DEPTH_MAX: usize = 16;

/// A tablespace outside the data directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Tablespace {
    /// Its OID, the name of its link in `pg_tblspc`.
    pub oid: u32,
    /// Where it lies.
    pub location: PathBuf,
}

/// What a cluster consists of on disk.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ClusterFiles {
    /// The data directory.
    pub data_directory: PathBuf,
    /// The server's version, which names the directory of a tablespace that is its own.
    pub version: MajorVersion,
    /// Tablespaces.
    pub tablespaces: Vec<Tablespace>,
    /// Configuration files as the server names them; those inside the data directory are found
    /// there anyway.
    pub configuration: Vec<PathBuf>,
}

/// Something that belongs into the backup.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TreeEntry {
    /// Its path in the backup.
    pub path: String,
    /// Where it is read from.
    pub source: PathBuf,
    /// What the file system says of it; of links that were followed, what they point to.
    pub metadata: Metadata,
    /// Set for files that consist of pages.
    pub relation: Option<RelationSegment>,
}

/// The outcome of a walk.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Tree {
    /// Directories and files, sorted by path.
    pub entries: Vec<TreeEntry>,
    /// What was left out although it is unusual: named so that a person can judge.
    pub remarks: Vec<String>,
}

/// Why a tree cannot be walked.
#[derive(Debug, thiserror::Error)]
pub enum TreeError {
    /// The directory cannot be read: is this the server's user?
    #[error("cannot read {path}")]
    Read {
        /// Where.
        path: PathBuf,
        /// Why.
        #[source]
        source: io::Error,
    },
    /// A name that is not UTF-8: PostgreSQL makes none.
    #[error("the name {path:?} is not UTF-8")]
    Name {
        /// Where.
        path: PathBuf,
    },
    /// Links that lead in circles.
    #[error("{path} nests deeper than {DEPTH_MAX} directories: a loop of links?")]
    Depth {
        /// Where.
        path: PathBuf,
    },
}

/// Walks a cluster. Files that vanish meanwhile are as if never there: the server dropped them, and
/// WAL replay does not need them.
///
/// # Errors
/// See [`TreeError`].
pub fn walk(disk: &dyn Disk, cluster: &ClusterFiles) -> Result<Tree, TreeError> {
    let mut walk = Walk { disk, version: cluster.version, tree: Tree::default() };
    walk.directory(&cluster.data_directory, DATA_PREFIX, 0)?;
    for tablespace in &cluster.tablespaces {
        let place = format!("{TABLESPACES_PREFIX}/{}", tablespace.oid);
        let own = cluster.version.tablespace_directory();
        walk.bare_directory(&tablespace.location, &place)?;
        walk.directory(&tablespace.location.join(&own), &format!("{place}/{own}"), 1)?;
    }
    walk.configuration(cluster)?;
    let mut tree = walk.tree;
    tree.entries.sort_by(|left, right| left.path.cmp(&right.path));
    Ok(tree)
}

struct Walk<'a> {
    disk: &'a dyn Disk,
    version: MajorVersion,
    tree: Tree,
}

impl Walk<'_> {
    fn directory(&mut self, source: &Path, place: &str, depth: usize) -> Result<(), TreeError> {
        if depth > DEPTH_MAX {
            return Err(TreeError::Depth { path: source.to_owned() });
        }
        if !self.bare_directory(source, place)? || is_emptied(place) {
            return Ok(());
        }
        let listed = self.disk.list(source).map_err(read_error(source))?;
        let mut names = Vec::with_capacity(listed.len());
        for entry in listed {
            let Some(name) = entry.name.to_str() else {
                return Err(TreeError::Name { path: source.join(&entry.name) });
            };
            names.push(name.to_owned());
        }
        let unlogged = unlogged_relations(&names);
        for name in &names {
            if !self.is_left_out(place, name, &unlogged) {
                self.entry(&source.join(name), &format!("{place}/{name}"), depth)?;
            }
        }
        Ok(())
    }

    /// Adds a directory without its contents; `false` when it has vanished.
    fn bare_directory(&mut self, source: &Path, place: &str) -> Result<bool, TreeError> {
        let Some(metadata) = self.follow(source)? else { return Ok(false) };
        self.push(place, source, metadata, None);
        Ok(true)
    }

    fn entry(&mut self, source: &Path, place: &str, depth: usize) -> Result<(), TreeError> {
        let Some(own) = self.look(source)? else { return Ok(()) };
        if own.kind == FileKind::Symlink && is_tablespace_link(place) {
            // The tablespace is walked by its OID; its link is made anew by the restore.
            return Ok(());
        }
        let Some(metadata) = self.follow(source)? else {
            self.tree.remarks.push(format!("{}: a link to nothing, left out", source.display()));
            return Ok(());
        };
        if own.kind == FileKind::Symlink && place != "data/pg_wal" {
            self.tree
                .remarks
                .push(format!("{}: a link, kept as what it leads to", source.display()));
        }
        match metadata.kind {
            FileKind::Directory => self.directory(source, place, depth + 1)?,
            FileKind::File => {
                let relation = relation_of(place, self.version);
                self.push(place, source, metadata, relation);
            }
            FileKind::Symlink | FileKind::Other => {
                self.tree.remarks.push(format!("{}: a special file, left out", source.display()));
            }
        }
        Ok(())
    }

    fn is_left_out(&self, directory: &str, name: &str, unlogged: &BTreeSet<&str>) -> bool {
        let made_anew = (name.starts_with("pgsql_tmp") && name != "pgsql_tmp")
            || name == "pg_internal.init"
            || name.starts_with("pg_internal.init.")
            || (directory == DATA_PREFIX
                && (LEFT_OUT.contains(&name) || name.starts_with(SOCKET_PREFIX)));
        let relation = relation_of(&format!("{directory}/{name}"), self.version);
        let is_unlogged = relation.is_some_and(|segment| {
            let number = segment.file.relation.to_string();
            segment.fork != Fork::Init && unlogged.contains(number.as_str())
        });
        made_anew || is_unlogged || is_temporary(name)
    }

    fn configuration(&mut self, cluster: &ClusterFiles) -> Result<(), TreeError> {
        let outside: BTreeSet<&PathBuf> = cluster
            .configuration
            .iter()
            .filter(|path| !path.starts_with(&cluster.data_directory))
            .collect();
        for path in outside {
            let Some(text) = path.to_str() else {
                return Err(TreeError::Name { path: path.clone() });
            };
            if let Some(metadata) = self.follow(path)? {
                self.push(&format!("{CONFIGURATION_PREFIX}{text}"), path, metadata, None);
            }
        }
        Ok(())
    }

    fn push(
        &mut self,
        place: &str,
        source: &Path,
        metadata: Metadata,
        relation: Option<RelationSegment>,
    ) {
        let path = place.to_owned();
        self.tree.entries.push(TreeEntry { path, source: source.to_owned(), metadata, relation });
    }

    fn look(&self, path: &Path) -> Result<Option<Metadata>, TreeError> {
        match self.disk.metadata(path) {
            Ok(metadata) => Ok(Some(metadata)),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(read_error(path)(error)),
        }
    }

    /// What is at the end of a chain of links.
    fn follow(&self, path: &Path) -> Result<Option<Metadata>, TreeError> {
        let mut path = path.to_owned();
        for _ in 0..DEPTH_MAX {
            let Some(metadata) = self.look(&path)? else { return Ok(None) };
            if metadata.kind != FileKind::Symlink {
                return Ok(Some(metadata));
            }
            let target = self.disk.read_link(&path).map_err(read_error(&path))?;
            path = path.parent().unwrap_or(Path::new("/")).join(target);
        }
        Err(TreeError::Depth { path })
    }
}

fn read_error(path: &Path) -> impl FnOnce(io::Error) -> TreeError {
    let path = path.to_owned();
    |source| TreeError::Read { path, source }
}

fn is_emptied(place: &str) -> bool {
    let inside = place.strip_prefix("data/").unwrap_or_default();
    EMPTIED.contains(&inside) || place.rsplit('/').next().is_some_and(|name| name == "pgsql_tmp")
}

fn is_tablespace_link(place: &str) -> bool {
    place.strip_prefix("data/pg_tblspc/").is_some_and(|name| !name.contains('/'))
}

/// Relations of this directory that have an `_init` fork: unlogged, so only that fork is kept.
fn unlogged_relations(names: &[String]) -> BTreeSet<&str> {
    names.iter().filter_map(|name| name.strip_suffix("_init")).filter(|r| is_number(r)).collect()
}

/// The relation that the file at this path of a backup belongs to.
pub fn relation_of(place: &str, version: MajorVersion) -> Option<RelationSegment> {
    let inside = match place.split_once('/')? {
        (DATA_PREFIX, inside) => inside.to_owned(),
        (TABLESPACES_PREFIX, inside) => format!("pg_tblspc/{inside}"),
        _ => return None,
    };
    RelationSegment::parse(&inside, version)
}

/// Whether a name is a temporary relation's file: `t`, the backend's number, `_`, the relation.
fn is_temporary(name: &str) -> bool {
    let rest = name.strip_prefix('t').and_then(|rest| rest.split_once('_'));
    rest.is_some_and(|(backend, relation)| {
        is_number(backend) && relation.starts_with(|first: char| first.is_ascii_digit())
    })
}

fn is_number(text: &str) -> bool {
    !text.is_empty() && text.bytes().all(|b| b.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use soter_world::OsDisk;

    use super::*;

    /// Makes files (names that end in `/` are directories) and says what a walk keeps.
    fn kept(files: &[&str]) -> (Vec<String>, Vec<String>) {
        let root = tempfile::tempdir().unwrap();
        for file in files {
            let path = root.path().join(file);
            if file.ends_with('/') {
                std::fs::create_dir_all(path).unwrap();
            } else {
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::File::create(path).unwrap();
            }
        }
        std::fs::create_dir_all(root.path().join("data/pg_tblspc")).unwrap();
        std::os::unix::fs::symlink("/nowhere", root.path().join("data/pg_tblspc/16999")).unwrap();
        let cluster = ClusterFiles {
            data_directory: root.path().join("data"),
            version: MajorVersion::V15,
            tablespaces: vec![Tablespace { oid: 16999, location: root.path().join("space") }],
            configuration: vec![root.path().join("etc/postgresql.conf")],
        };
        let tree = walk(&OsDisk, &cluster).unwrap();
        let root = root.path().to_str().unwrap();
        let paths = tree.entries.into_iter().map(|entry| entry.path.replace(root, ""));
        (paths.collect(), tree.remarks)
    }

    #[test]
    fn what_the_server_makes_anew_is_left_out() {
        let (paths, remarks) = kept(&[
            "data/PG_VERSION",
            "data/postmaster.pid",
            "data/soter.incarnation",
            "data/soter.hba.conf",
            "data/soter.log",
            "data/.s.PGSQL.5432",
            "data/backup_label",
            "data/base/1/1259",
            "data/base/1/1259_fsm",
            "data/base/1/pg_internal.init",
            "data/base/1/t3_16500",
            "data/base/pgsql_tmp/pgsql_tmp1.0",
            "data/pg_wal/000000010000000000000001",
            "data/pg_wal/archive_status/x.ready",
            "data/pg_replslot/soter/state",
            "data/pg_stat_tmp/global.stat",
            "space/PG_15_202209061/5/16600",
            "space/PG_14_202107181/5/16600",
            "etc/postgresql.conf",
        ]);
        assert_eq!(
            paths,
            [
                "configuration/etc/postgresql.conf",
                "data",
                "data/PG_VERSION",
                "data/base",
                "data/base/1",
                "data/base/1/1259",
                "data/base/1/1259_fsm",
                "data/base/pgsql_tmp",
                "data/pg_replslot",
                "data/pg_stat_tmp",
                "data/pg_tblspc",
                "data/pg_wal",
                "tablespaces/16999",
                "tablespaces/16999/PG_15_202209061",
                "tablespaces/16999/PG_15_202209061/5",
                "tablespaces/16999/PG_15_202209061/5/16600",
            ]
        );
        assert_eq!(remarks, [] as [&str; 0]);
    }

    #[test]
    fn of_unlogged_relations_only_the_init_fork_is_kept() {
        let (paths, _) = kept(&[
            "data/base/1/16400",
            "data/base/1/16400.1",
            "data/base/1/16400_fsm",
            "data/base/1/16400_init",
            "data/base/1/164",
            "data/base/1/16401",
        ]);
        let kept: Vec<&str> = paths.iter().filter_map(|p| p.strip_prefix("data/base/1/")).collect();
        assert_eq!(kept, ["164", "16400_init", "16401"]);
    }
}
