//! Where a recovery is to end, as a person says it.

use std::fmt;
use std::str::FromStr;

use jiff::{Timestamp, Zoned, civil};
use soter_vault::ids::BackupId;

use crate::lsn::Lsn;

/// Where a recovery is to end.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Target {
    /// At the last byte of WAL there is.
    Latest,
    /// As soon as the newest backup is consistent.
    Immediate,
    /// As soon as this backup is consistent.
    Backup(BackupId),
    /// After the last commit at or before this time.
    Time(Timestamp),
    /// After everything that ends at or before this position.
    Lsn(Lsn),
    /// After the commit of this transaction.
    Xid(u32),
    /// At this restore point, made by `pg_create_restore_point`.
    Name(String),
}

/// What is wrong with a target as typed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TargetError {
    /// None of the words that begin a target.
    #[error("{0:?} is not a target")]
    Unknown(String),
    /// A time that could be anywhere on earth.
    #[error("the time {0:?} has no zone")]
    NoZone(String),
    /// Not a time.
    #[error("{0:?} is not a time")]
    Time(String),
    /// Not a position in the WAL.
    #[error("{0:?} is not a WAL position")]
    Lsn(String),
    /// Not a transaction id.
    #[error("{0:?} is not a transaction id")]
    Xid(String),
    /// A restore point's name may have 1 to 63 bytes.
    #[error("{0:?} cannot be the name of a restore point")]
    Name(String),
    /// Not a backup's id.
    #[error("{0:?} is not the id of a backup")]
    Backup(String),
}

impl TargetError {
    /// What to type instead.
    pub fn hint(&self) -> &'static str {
        match self {
            Self::Unknown(_) => "one of latest, immediate, time:…, lsn:…, xid:…, name:…, backup:ID",
            Self::NoZone(_) | Self::Time(_) => {
                "write the zone: time:2026-11-23T08:30:00Z, time:2026-11-23 08:30:00+01 or \
                 time:2026-11-23T08:30:00[Europe/Berlin]"
            }
            Self::Lsn(_) => "as pg_current_wal_lsn() prints it: lsn:16/B374D848",
            Self::Xid(_) => "the 32-bit number of the transaction: xid:74565",
            Self::Name(_) => "as given to pg_create_restore_point: name:before_migration",
            Self::Backup(_) => "`soter backups` lists them",
        }
    }
}

impl FromStr for Target {
    type Err = TargetError;

    fn from_str(text: &str) -> Result<Self, TargetError> {
        let (word, value) = text.split_once(':').unwrap_or((text, ""));
        let owned = || value.to_owned();
        match word {
            "latest" if value.is_empty() => Ok(Self::Latest),
            "immediate" if value.is_empty() => Ok(Self::Immediate),
            "time" => parse_time(value).map(Self::Time),
            "lsn" => value.parse().map(Self::Lsn).map_err(|_| TargetError::Lsn(owned())),
            "xid" => match value.parse() {
                Ok(xid) if xid >= 3 => Ok(Self::Xid(xid)),
                _ => Err(TargetError::Xid(owned())),
            },
            "name" if (1..=63).contains(&value.len()) && !value.contains(['\0', '\n']) => {
                Ok(Self::Name(owned()))
            }
            "name" => Err(TargetError::Name(owned())),
            "backup" => value.parse().map(Self::Backup).map_err(|_| TargetError::Backup(owned())),
            _ => Err(TargetError::Unknown(text.to_owned())),
        }
    }
}

/// Reads a time that says its zone, by offset, by `Z` or `UTC`, or by name in brackets.
fn parse_time(text: &str) -> Result<Timestamp, TargetError> {
    let text = text.trim();
    let with_offset = match text.strip_suffix("UTC") {
        Some(rest) => format!("{}Z", rest.trim_end()),
        None => text.to_owned(),
    };
    if let Ok(timestamp) = with_offset.parse::<Timestamp>() {
        return Ok(timestamp);
    }
    if let Ok(zoned) = text.parse::<Zoned>() {
        return Ok(zoned.timestamp());
    }
    match text.parse::<civil::DateTime>() {
        Ok(_) => Err(TargetError::NoZone(text.to_owned())),
        Err(_) => Err(TargetError::Time(text.to_owned())),
    }
}

impl fmt::Display for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Latest => f.write_str("latest"),
            Self::Immediate => f.write_str("immediate"),
            Self::Backup(id) => write!(f, "backup:{id}"),
            Self::Time(time) => write!(f, "time:{time}"),
            Self::Lsn(lsn) => write!(f, "lsn:{lsn}"),
            Self::Xid(xid) => write!(f, "xid:{xid}"),
            Self::Name(name) => write!(f, "name:{name}"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn targets_are_read_as_they_print() {
        for text in [
            "latest",
            "immediate",
            "time:2026-11-23T08:30:00.123456Z",
            "lsn:16/B374D848",
            "xid:74565",
            "name:before the migration: 2",
            "backup:0123456789abcdef",
        ] {
            assert_eq!(text.parse::<Target>().unwrap().to_string(), text);
        }
    }

    #[test]
    fn a_time_may_say_its_zone_in_several_ways() {
        for text in [
            "2026-11-23T08:30:00Z",
            "2026-11-23 09:30:00+01",
            "2026-11-23 09:30:00+01:00",
            "2026-11-23T09:30:00+01:00[Europe/Berlin]",
            "2026-11-23T09:30[Europe/Berlin]",
            "2026-11-23 08:30:00 UTC",
        ] {
            let target = format!("time:{text}").parse::<Target>();
            assert_eq!(target.unwrap().to_string(), "time:2026-11-23T08:30:00Z", "{text}");
        }
    }

    #[test]
    fn what_is_no_target_is_refused() {
        let check = |text: &str, expected: TargetError| {
            assert_eq!(text.parse::<Target>(), Err(expected));
        };
        let text = |text: &str| text.to_owned();
        check("time:2026-11-23 08:30:00", TargetError::NoZone(text("2026-11-23 08:30:00")));
        check("time:yesterday", TargetError::Time(text("yesterday")));
        check("lsn:16", TargetError::Lsn(text("16")));
        check("xid:2", TargetError::Xid(text("2")));
        check("xid:-7", TargetError::Xid(text("-7")));
        check("name:", TargetError::Name(text("")));
        check("backup:newest", TargetError::Backup(text("newest")));
        check("now", TargetError::Unknown(text("now")));
        check("latest:1", TargetError::Unknown(text("latest:1")));
    }
}
