//! Which relation, which fork, which block: how WAL names pages, and the files that hold them.
//!
//! File names are made and parsed only here. What is not a permanent relation's file (temporary
//! relations, `pg_filenode.map`, anything else in those directories) has no [`RelationSegment`].

use std::fmt;

use serde::{Deserialize, Serialize};

use crate::cluster::MajorVersion;

macro_rules! object_number {
    ($name:ident, $doc:literal) => {
        #[doc = $doc]
        #[derive(
            Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize,
        )]
        #[serde(transparent)]
        pub struct $name(pub u32);

        impl fmt::Display for $name {
            fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                self.0.fmt(f)
            }
        }
    };
}

object_number!(TablespaceId, "The object identifier of a tablespace.");
object_number!(DatabaseId, "The object identifier of a database; zero for what all share.");
object_number!(RelationNumber, "The file number of a relation: not its identifier, it changes.");
object_number!(BlockNumber, "A page of a fork, counted from zero through all its files.");

impl TablespaceId {
    /// `base`: where relations are unless told otherwise.
    pub const DEFAULT: Self = Self(1663);
    /// `global`: relations that all databases share.
    pub const GLOBAL: Self = Self(1664);
}

/// The files of a relation, all forks and segments of them: `RelFileLocator`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
pub struct RelationFile {
    /// In which tablespace.
    pub tablespace: TablespaceId,
    /// Of which database.
    pub database: DatabaseId,
    /// Which relation of it.
    pub relation: RelationNumber,
}

impl fmt::Display for RelationFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}/{}", self.tablespace, self.database, self.relation)
    }
}

/// A relation's parallel files.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Fork {
    /// The data.
    Main,
    /// Where there is room. Not logged: take it whole.
    FreeSpaceMap,
    /// Which pages all transactions see.
    VisibilityMap,
    /// What an unlogged relation becomes after a crash.
    Init,
}

impl Fork {
    /// All forks, in the order of their numbers.
    pub const ALL: [Self; 4] = [Self::Main, Self::FreeSpaceMap, Self::VisibilityMap, Self::Init];

    /// The fork of a number as found in WAL.
    pub fn from_number(number: u8) -> Option<Self> {
        Self::ALL.get(usize::from(number)).copied()
    }

    /// The number WAL uses.
    pub fn number(self) -> u8 {
        match self {
            Self::Main => 0,
            Self::FreeSpaceMap => 1,
            Self::VisibilityMap => 2,
            Self::Init => 3,
        }
    }

    /// What a file name ends with before the segment's number.
    pub fn suffix(self) -> &'static str {
        match self {
            Self::Main => "",
            Self::FreeSpaceMap => "_fsm",
            Self::VisibilityMap => "_vm",
            Self::Init => "_init",
        }
    }
}

/// One file of a relation: forks of over 1 GiB are cut into segments.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RelationSegment {
    /// The relation.
    pub file: RelationFile,
    /// Which of its forks.
    pub fork: Fork,
    /// Which segment of the fork.
    pub segment: u32,
}

impl RelationSegment {
    /// Reads a path relative to the data directory, such as `base/5/16384_vm.1`, of a cluster of
    /// this version: others may keep their files in the same tablespace directory.
    pub fn parse(path: &str, version: MajorVersion) -> Option<Self> {
        let (directory, name) = path.rsplit_once('/')?;
        let (tablespace, database) = parse_directory(directory, version)?;
        let (name, segment) = match name.split_once('.') {
            Some((name, segment)) => (name, decimal(segment).filter(|&segment| segment > 0)?),
            None => (name, 0),
        };
        let (relation, fork) = match name.find('_') {
            Some(at) => {
                let (relation, suffix) = name.split_at(at);
                (relation, Fork::ALL.into_iter().find(|fork| fork.suffix() == suffix)?)
            }
            None => (name, Fork::Main),
        };
        let relation = RelationNumber(decimal(relation)?);
        Some(Self { file: RelationFile { tablespace, database, relation }, fork, segment })
    }

    /// The path relative to the data directory.
    pub fn to_path(self, version: MajorVersion) -> String {
        let RelationFile { tablespace, database, relation } = self.file;
        let directory = match tablespace {
            TablespaceId::GLOBAL => "global".to_owned(),
            TablespaceId::DEFAULT => format!("base/{database}"),
            other => format!("pg_tblspc/{other}/{}/{database}", version.tablespace_directory()),
        };
        let suffix = self.fork.suffix();
        match self.segment {
            0 => format!("{directory}/{relation}{suffix}"),
            segment => format!("{directory}/{relation}{suffix}.{segment}"),
        }
    }
}

fn parse_directory(path: &str, version: MajorVersion) -> Option<(TablespaceId, DatabaseId)> {
    if path == "global" {
        return Some((TablespaceId::GLOBAL, DatabaseId(0)));
    }
    if let Some(database) = path.strip_prefix("base/") {
        return Some((TablespaceId::DEFAULT, DatabaseId(decimal(database)?)));
    }
    let (tablespace, rest) = path.strip_prefix("pg_tblspc/")?.split_once('/')?;
    let database = rest.strip_prefix(&version.tablespace_directory())?.strip_prefix('/')?;
    Some((TablespaceId(decimal(tablespace)?), DatabaseId(decimal(database)?)))
}

/// A number as PostgreSQL prints it: no sign, no leading zeros.
fn decimal(text: &str) -> Option<u32> {
    let is_plain = text.bytes().all(|byte| byte.is_ascii_digit());
    let has_leading_zero = text.len() > 1 && text.starts_with('0');
    if is_plain && !has_leading_zero { text.parse().ok() } else { None }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn reads_paths_of_a_data_directory() {
        let parse = |path| RelationSegment::parse(path, MajorVersion::V15);
        let found = parse("base/5/16384_vm.1").unwrap();
        assert_eq!(found.file.to_string(), "1663/5/16384");
        assert_eq!((found.fork, found.segment), (Fork::VisibilityMap, 1));
        assert_eq!(parse("global/1260").unwrap().file.to_string(), "1664/0/1260");
        let path = "pg_tblspc/16390/PG_15_202209061/5/16391_init";
        assert_eq!(parse(path).unwrap().file.to_string(), "16390/5/16391");
        assert_eq!(parse(path).unwrap().fork, Fork::Init);
        for path in [
            "16384",
            "global/pg_control",
            "global/pg_filenode.map",
            "base/5/pg_internal.init",
            "base/5/t3_16384",
            "base/5/16384.0",
            "base/5/16384.01",
            "base/5/16384_old",
            "base/5/+16384",
            "base/5/",
            "base/5/16384_fsm.1.2",
            "base/16384",
            "pg_tblspc/16390/PG_14_202107181/5/16391",
            "pg_xact/0000",
        ] {
            assert_eq!(parse(path), None, "{path}");
        }
    }

    proptest! {
        #[test]
        fn paths_round_trip(
            tablespace in prop_oneof![Just(1663_u32), Just(1664), 16384_u32..],
            database: u32, relation: u32, fork in 0_u8..4, segment: u32,
        ) {
            let tablespace = TablespaceId(tablespace);
            let is_global = tablespace == TablespaceId::GLOBAL;
            let file = RelationFile {
                tablespace,
                database: DatabaseId(if is_global { 0 } else { database }),
                relation: RelationNumber(relation),
            };
            let fork = Fork::from_number(fork).unwrap();
            let name = RelationSegment { file, fork, segment };
            for version in MajorVersion::ALL {
                prop_assert_eq!(RelationSegment::parse(&name.to_path(version), version), Some(name));
            }
        }
    }
}
