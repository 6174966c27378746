//! What identifies a cluster: its system identifier and PostgreSQL's major version.
//!
//! A system identifier alone is not enough to key WAL by: `pg_upgrade` makes a new one, but a
//! restored clone keeps it.

use std::fmt;

use serde::{Deserialize, Serialize};
use thiserror::Error;

/// The number `initdb` gives to a cluster; all its copies share it.
///
/// Stored as decimal text: most exceed what JSON readers keep exact.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct SystemIdentifier(pub u64);

impl fmt::Display for SystemIdentifier {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl std::str::FromStr for SystemIdentifier {
    type Err = std::num::ParseIntError;

    fn from_str(text: &str) -> Result<Self, Self::Err> {
        text.parse().map(Self)
    }
}

impl Serialize for SystemIdentifier {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_str(self)
    }
}

impl<'de> Deserialize<'de> for SystemIdentifier {
    fn deserialize<D: serde::Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = String::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

/// A major version of PostgreSQL that Soter knows the formats of.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "u16", into = "u16")]
#[expect(missing_docs, reason = "the names say it all")]
pub enum MajorVersion {
    V14,
    V15,
    V16,
    V17,
    V18,
}

impl MajorVersion {
    /// All of them, oldest first.
    pub const ALL: [Self; 5] = [Self::V14, Self::V15, Self::V16, Self::V17, Self::V18];

    /// The number users say: 14 to 18.
    pub fn number(self) -> u16 {
        match self {
            Self::V14 => 14,
            Self::V15 => 15,
            Self::V16 => 16,
            Self::V17 => 17,
            Self::V18 => 18,
        }
    }

    /// From the number that `SHOW server_version_num` prints, such as 150020.
    pub fn from_server_version_number(number: u32) -> Result<Self, UnknownVersion> {
        let major = u16::try_from(number / 10_000).unwrap_or(u16::MAX);
        Self::try_from(major)
    }

    /// The catalogue version, by which `pg_control` and directories of tablespaces tell versions.
    pub fn catalog_version(self) -> u32 {
        match self {
            Self::V14 => 202_107_181,
            Self::V15 => 202_209_061,
            Self::V16 => 202_307_071,
            Self::V17 => 202_406_281,
            Self::V18 => 202_506_291,
        }
    }

    /// The number that every page of WAL begins with.
    pub fn wal_page_magic(self) -> u16 {
        match self {
            Self::V14 => 0xD10D,
            Self::V15 => 0xD110,
            Self::V16 => 0xD113,
            Self::V17 => 0xD116,
            Self::V18 => 0xD118,
        }
    }

    /// The name of the directory a tablespace keeps this version's files in.
    pub fn tablespace_directory(self) -> String {
        format!("PG_{}_{}", self.number(), self.catalog_version())
    }
}

impl fmt::Display for MajorVersion {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.number().fmt(f)
    }
}

/// Soter does not know the formats of this version; it protects 14 to 18.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Error)]
#[error("PostgreSQL {number} is not supported (14 to 18 are)")]
pub struct UnknownVersion {
    /// The major version found.
    pub number: u16,
}

impl TryFrom<u16> for MajorVersion {
    type Error = UnknownVersion;

    fn try_from(number: u16) -> Result<Self, UnknownVersion> {
        let known = Self::ALL.into_iter().find(|version| version.number() == number);
        known.ok_or(UnknownVersion { number })
    }
}

impl From<MajorVersion> for u16 {
    fn from(version: MajorVersion) -> Self {
        version.number()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_are_those_of_the_server() {
        assert_eq!(MajorVersion::from_server_version_number(150_020), Ok(MajorVersion::V15));
        let too_old = MajorVersion::from_server_version_number(130_011);
        assert_eq!(too_old, Err(UnknownVersion { number: 13 }));
        assert_eq!(MajorVersion::V18.tablespace_directory(), "PG_18_202506291");
        assert_eq!(serde_json::to_string(&MajorVersion::V17).unwrap(), "17");
        assert!(serde_json::from_str::<MajorVersion>("19").is_err());
    }

    #[test]
    fn identifiers_are_stored_as_text() {
        let id = SystemIdentifier(7_711_287_236_059_140_427);
        let json = serde_json::to_string(&id).unwrap();
        assert_eq!(json, "\"7711287236059140427\"");
        assert_eq!(serde_json::from_str::<SystemIdentifier>(&json).unwrap(), id);
    }
}
