//! Where the tablespaces of a restored cluster go.
//!
//! A tablespace is a link to a directory outside the data directory. The links in a backup lead to
//! the original's directories, which may be in use by a server that still lives: each tablespace
//! goes where a person has said, or to its old place if nothing is there.

use std::fmt;
use std::path::{Path, PathBuf};
use std::str::FromStr;

use super::error::RestoreError;
use crate::backup_label::TablespacePlace;
use crate::server::TablespaceFacts;

/// `OLD=NEW`, as a person says where a tablespace goes.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablespaceMapping {
    /// Its OID, its name, or the directory it had.
    pub old: String,
    /// The directory it gets.
    pub new: PathBuf,
}

/// What is wrong with a mapping as typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is not OLD=NEW, with a whole path as NEW")]
pub struct MappingError(String);

impl FromStr for TablespaceMapping {
    type Err = MappingError;

    fn from_str(text: &str) -> Result<Self, MappingError> {
        let (old, new) = text.split_once('=').ok_or_else(|| MappingError(text.to_owned()))?;
        let new = PathBuf::from(new);
        if old.is_empty() || !new.is_absolute() {
            return Err(MappingError(text.to_owned()));
        }
        Ok(Self { old: old.to_owned(), new })
    }
}

impl fmt::Display for TablespaceMapping {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}={}", self.old, self.new.display())
    }
}

impl TablespaceMapping {
    fn means(&self, tablespace: &TablespaceFacts) -> bool {
        let by_path = tablespace.path.as_deref() == Some(Path::new(self.old.trim_end_matches('/')));
        by_path || self.old == tablespace.id.to_string() || self.old == tablespace.name
    }
}

/// Decides where each tablespace of a backup goes, when the data directory is `directory`.
///
/// # Errors
/// When a mapping means nothing, a tablespace has no place, or two would share one.
pub fn tablespace_places(
    tablespaces: &[TablespaceFacts],
    mappings: &[TablespaceMapping],
    directory: &Path,
) -> Result<Vec<TablespacePlace>, RestoreError> {
    for mapping in mappings {
        let meant = tablespaces.iter().filter(|tablespace| mapping.means(tablespace));
        if meant.count() != 1 {
            let known = tablespaces.iter().map(describe).collect::<Vec<_>>().join(", ");
            return Err(RestoreError::UnknownTablespace { mapping: mapping.to_string(), known });
        }
    }
    let mut places: Vec<TablespacePlace> = Vec::new();
    for tablespace in tablespaces {
        let mapping = mappings.iter().find(|mapping| mapping.means(tablespace));
        let place = mapping.map(|mapping| &mapping.new).or(tablespace.path.as_ref());
        let Some(place) = place.filter(|place| place.is_absolute()) else {
            return Err(RestoreError::Tablespace { tablespace: describe(tablespace) });
        };
        let taken = places.iter().map(|place| place.directory.as_path()).chain([directory]);
        let touches = |other: &Path| place.starts_with(other) || other.starts_with(place);
        if taken.into_iter().any(touches) {
            let (tablespace, path) = (describe(tablespace), place.clone());
            return Err(RestoreError::SharedPlace { tablespace, path });
        }
        places.push(TablespacePlace { tablespace: tablespace.id, directory: place.clone() });
    }
    Ok(places)
}

fn describe(tablespace: &TablespaceFacts) -> String {
    let path = tablespace.path.as_ref().map(|path| format!(" in {}", path.display()));
    format!("{} {:?}{}", tablespace.id, tablespace.name, path.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relation::TablespaceId;

    fn facts(id: u32, name: &str, path: &str) -> TablespaceFacts {
        TablespaceFacts { id: TablespaceId(id), name: name.to_owned(), path: Some(path.into()) }
    }

    fn places(mappings: &[&str]) -> Result<Vec<String>, String> {
        let tablespaces = [facts(16384, "fast", "/ssd/pg"), facts(16385, "big", "/disk/pg")];
        let mappings: Vec<TablespaceMapping> =
            mappings.iter().map(|text| text.parse().unwrap()).collect();
        let places = tablespace_places(&tablespaces, &mappings, Path::new("/data"));
        let show = |place: TablespacePlace| place.directory.display().to_string();
        places.map(|places| places.into_iter().map(show).collect()).map_err(|e| e.to_string())
    }

    #[test]
    fn a_tablespace_goes_where_it_was_or_where_it_is_told() {
        let check = |mappings: &[&str], expected: [&str; 2]| {
            assert_eq!(places(mappings).unwrap(), expected);
        };
        check(&[], ["/ssd/pg", "/disk/pg"]);
        check(&["16384=/a"], ["/a", "/disk/pg"]);
        check(&["/disk/pg/=/b", "fast=/a"], ["/a", "/b"]);
    }

    #[test]
    fn what_would_go_wrong_is_refused() {
        let check = |mappings: &[&str], says: &str| {
            let said = places(mappings).unwrap_err();
            assert!(said.contains(says), "{said}");
        };
        check(&["slow=/a"], "\"slow=/a\" means no tablespace of the backup");
        check(&["fast=/data/inside"], "cannot be in /data/inside");
        check(&["fast=/"], "cannot be in /");
        check(&["fast=/disk/pg"], "16385 \"big\" in /disk/pg cannot be in /disk/pg");
        assert!("fast".parse::<TablespaceMapping>().is_err());
        assert!("fast=relative".parse::<TablespaceMapping>().is_err());
        assert!("=/a".parse::<TablespaceMapping>().is_err());
    }
}
