//! From what lies on disk to the plan that the map's writer works off.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use soter_vault::map::{
    Attributes, Content, EntryKind, FileEntry, FileOwner, FilePath, PathError, SourceFile,
    SourceKind,
};
use soter_world::disk::{FileKind, Metadata};

use super::tree::{CONFIGURATION_PREFIX, CONTROL_FILE, TABLESPACES_PREFIX, Tree, TreeEntry};

/// Where the backup's label goes.
pub const LABEL_FILE: &str = "data/backup_label";

/// Where the map of tablespaces goes.
pub const TABLESPACE_MAP_FILE: &str = "data/tablespace_map";

/// What is backed up, in the order of paths, and from where each file is read.
#[derive(Debug, Default)]
pub struct CopyPlan {
    /// For the map's writer.
    pub files: Vec<SourceFile>,
    /// Of the n-th file: what was found on disk; none for directories that only lead to others.
    pub entries: Vec<Option<TreeEntry>>,
    /// Bytes of all files.
    pub total_bytes: u64,
}

/// Makes the plan. The control file is left out: it is read last.
///
/// # Errors
/// A path that cannot be in a backup.
pub fn copy_plan(tree: Tree) -> Result<CopyPlan, PathError> {
    let mut rows: Vec<(FilePath, Option<TreeEntry>)> = Vec::with_capacity(tree.entries.len());
    for place in missing_directories(&tree.entries) {
        rows.push((FilePath::new(place.as_bytes())?, None));
    }
    for entry in tree.entries {
        if entry.path != CONTROL_FILE {
            rows.push((FilePath::new(entry.path.as_bytes())?, Some(entry)));
        }
    }
    rows.sort_by(|(a, _), (b, _)| a.cmp(b));
    let mut plan = CopyPlan::default();
    for (path, entry) in rows {
        let (attributes, kind) = match &entry {
            Some(entry) => (attributes(&entry.metadata), source_kind(&entry.metadata)),
            None => (bare_attributes(), SourceKind::Directory),
        };
        if let SourceKind::File { size } = kind {
            plan.total_bytes += size;
        }
        plan.files.push(SourceFile { path, attributes, kind });
        plan.entries.push(entry);
    }
    Ok(plan)
}

/// A file whose bytes are kept in the map's root.
///
/// # Errors
/// A path that cannot be in a backup.
pub fn late_file(path: &str, bytes: Vec<u8>, like: &Metadata) -> Result<FileEntry, PathError> {
    let kind = EntryKind::File { size: bytes.len() as u64, content: Content::Inline(bytes) };
    let mut attributes = attributes(like);
    attributes.mode &= 0o666;
    Ok(FileEntry { path: FilePath::new(path.as_bytes())?, attributes, kind })
}

/// Directories above what lies outside the data directory: the walk does not see them.
fn missing_directories(entries: &[TreeEntry]) -> BTreeSet<String> {
    let known: BTreeSet<&str> = entries.iter().map(|entry| entry.path.as_str()).collect();
    let mut missing = BTreeSet::new();
    for entry in entries {
        let outside = [TABLESPACES_PREFIX, CONFIGURATION_PREFIX];
        if !outside.iter().any(|prefix| entry.path.starts_with(prefix)) {
            continue;
        }
        for directory in Path::new(&entry.path).ancestors().skip(1) {
            let Some(text) = directory.to_str().filter(|text| !text.is_empty()) else { continue };
            if !known.contains(text) {
                missing.insert(text.to_owned());
            }
        }
    }
    missing
}

fn attributes(metadata: &Metadata) -> Attributes {
    let owner = FileOwner {
        user: metadata.owner.user,
        group: metadata.owner.group,
        ..FileOwner::default()
    };
    Attributes { mode: metadata.mode & 0o7777, owner: Arc::new(owner), modified: metadata.modified }
}

fn bare_attributes() -> Attributes {
    Attributes {
        mode: 0o700,
        owner: Arc::new(FileOwner::default()),
        modified: jiff::Timestamp::UNIX_EPOCH,
    }
}

fn source_kind(metadata: &Metadata) -> SourceKind {
    match metadata.kind {
        FileKind::Directory => SourceKind::Directory,
        FileKind::File | FileKind::Symlink | FileKind::Other => {
            SourceKind::File { size: metadata.size }
        }
    }
}
