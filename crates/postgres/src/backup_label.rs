//! `backup_label` and `tablespace_map`: the two small files without which a base backup is not one.
//!
//! They come out of `pg_backup_stop` and go into the backup byte for byte; here they are only
//! understood. A map is also written, because a restore must give tablespaces new places: those of
//! the original may hold the living cluster.

use std::ffi::OsString;
use std::os::unix::ffi::{OsStrExt, OsStringExt};
use std::path::PathBuf;

use thiserror::Error;

use crate::lsn::{Lsn, Timeline};
use crate::relation::TablespaceId;

/// What `backup_label` says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupLabel {
    /// Replay begins here: WAL from here on is needed.
    pub start: Lsn,
    /// The segment file that holds `start`, as the server named it.
    pub start_file: String,
    /// The checkpoint's record.
    pub checkpoint: Lsn,
    /// `streamed`, whatever made the backup; older exclusive ones said `pg_start_backup`.
    pub method: String,
    /// Whether it was taken from a standby.
    pub from_standby: bool,
    /// When it began, in the server's `log_timezone`: for people, not for arithmetic.
    pub start_time: String,
    /// What the backup was called.
    pub label: String,
    /// The timeline of `start`.
    pub timeline: Timeline,
    /// Set in PostgreSQL's own incremental backups (17 on), which cannot be started as they are.
    pub incremental_from: Option<Lsn>,
}

/// The label is not one that a server writes; the backup cannot be restored with it.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum BackupLabelError {
    /// A line is missing.
    #[error("backup_label has no line {key:?}")]
    Missing {
        /// How the line begins.
        key: &'static str,
    },
    /// A line is there twice, so it is unclear which counts.
    #[error("backup_label has two lines {key:?}")]
    Twice {
        /// How the lines begin.
        key: &'static str,
    },
    /// A line says something impossible.
    #[error("backup_label says {key}: {value:?}")]
    Value {
        /// How the line begins.
        key: &'static str,
        /// How it goes on.
        value: String,
    },
}

impl BackupLabel {
    /// Reads the label file.
    pub fn parse(file: &[u8]) -> Result<Self, BackupLabelError> {
        let text = String::from_utf8_lossy(file);
        let lines = Lines { text: &text };
        let key = "START WAL LOCATION";
        let start = lines.required(key)?;
        let (start, start_file) = parse_start(start).ok_or_else(|| value_error(key, start))?;
        Ok(Self {
            start,
            start_file: start_file.to_owned(),
            checkpoint: lines.parsed("CHECKPOINT LOCATION")?,
            method: lines.required("BACKUP METHOD")?.to_owned(),
            from_standby: match lines.required("BACKUP FROM")? {
                "primary" => false,
                "standby" => true,
                other => return Err(value_error("BACKUP FROM", other)),
            },
            start_time: lines.required("START TIME")?.to_owned(),
            label: lines.required("LABEL")?.to_owned(),
            timeline: Timeline(lines.parsed("START TIMELINE")?),
            incremental_from: match lines.optional("INCREMENTAL FROM LSN")? {
                Some(_) => Some(lines.parsed("INCREMENTAL FROM LSN")?),
                None => None,
            },
        })
    }
}

/// `0/2000028 (file 000000010000000000000002)`.
fn parse_start(value: &str) -> Option<(Lsn, &str)> {
    let (lsn, file) = value.split_once(" (file ")?;
    Some((lsn.parse().ok()?, file.strip_suffix(')')?))
}

fn value_error(key: &'static str, value: &str) -> BackupLabelError {
    BackupLabelError::Value { key, value: value.to_owned() }
}

struct Lines<'a> {
    text: &'a str,
}

impl<'a> Lines<'a> {
    fn optional(&self, key: &'static str) -> Result<Option<&'a str>, BackupLabelError> {
        let mut values =
            self.text.lines().filter_map(|line| line.strip_prefix(key)?.strip_prefix(": "));
        let first = values.next();
        match values.next() {
            Some(_) => Err(BackupLabelError::Twice { key }),
            None => Ok(first),
        }
    }

    fn required(&self, key: &'static str) -> Result<&'a str, BackupLabelError> {
        self.optional(key)?.ok_or(BackupLabelError::Missing { key })
    }

    fn parsed<T: std::str::FromStr>(&self, key: &'static str) -> Result<T, BackupLabelError> {
        let value = self.required(key)?;
        value.parse().map_err(|_| value_error(key, value))
    }
}

/// A line of `tablespace_map`: a tablespace and the directory that held it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TablespacePlace {
    /// Its name under `pg_tblspc`.
    pub tablespace: TablespaceId,
    /// Where its files are.
    pub directory: PathBuf,
}

/// The map is not one that a server writes.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum TablespaceMapError {
    /// A line is not a number and a path.
    #[error("line {line} of tablespace_map is not a tablespace and a path: {text:?}")]
    Line {
        /// Counted from one.
        line: usize,
        /// What it says, escapes removed.
        text: String,
    },
    /// The file was cut off.
    #[error("tablespace_map ends within a line")]
    Unfinished,
}

/// Reads `tablespace_map`, the way the server does: a backslash makes the next byte ordinary.
pub fn parse_tablespace_map(file: &[u8]) -> Result<Vec<TablespacePlace>, TablespaceMapError> {
    let mut places = Vec::new();
    let mut line = Vec::new();
    let mut after_backslash = false;
    for &byte in file {
        match byte {
            b'\n' | b'\r' if !after_backslash => {
                if !line.is_empty() {
                    places.push(parse_place(&line, places.len() + 1)?);
                    line.clear();
                }
            }
            b'\\' if !after_backslash => after_backslash = true,
            _ => {
                line.push(byte);
                after_backslash = false;
            }
        }
    }
    if line.is_empty() && !after_backslash {
        Ok(places)
    } else {
        Err(TablespaceMapError::Unfinished)
    }
}

fn parse_place(bytes: &[u8], line: usize) -> Result<TablespacePlace, TablespaceMapError> {
    let error =
        || TablespaceMapError::Line { line, text: String::from_utf8_lossy(bytes).into_owned() };
    let space = bytes.iter().position(|&byte| byte == b' ').ok_or_else(error)?;
    let (number, path) = bytes.split_at(space);
    let number = std::str::from_utf8(number).ok().and_then(|text| text.parse().ok());
    let path = path.get(1..).filter(|path| !path.is_empty()).ok_or_else(error)?;
    Ok(TablespacePlace {
        tablespace: TablespaceId(number.ok_or_else(error)?),
        directory: PathBuf::from(OsString::from_vec(path.to_owned())),
    })
}

/// Writes `tablespace_map`, for a restore that gives tablespaces new places.
pub fn format_tablespace_map(places: &[TablespacePlace]) -> Vec<u8> {
    let mut file = Vec::new();
    for place in places {
        file.extend_from_slice(place.tablespace.to_string().as_bytes());
        file.push(b' ');
        for &byte in place.directory.as_os_str().as_bytes() {
            if matches!(byte, b'\n' | b'\r' | b'\\') {
                file.push(b'\\');
            }
            file.push(byte);
        }
        file.push(b'\n');
    }
    file
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const LABEL: &str = "START WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n\
        CHECKPOINT LOCATION: 0/2000060\n\
        BACKUP METHOD: streamed\n\
        BACKUP FROM: standby\n\
        START TIME: 2024-03-01 10:00:00 CET\n\
        LABEL: soter: nightly\n\
        START TIMELINE: 3\n";

    #[test]
    fn reads_a_label() {
        let label = BackupLabel::parse(LABEL.as_bytes()).unwrap();
        assert_eq!(
            label,
            BackupLabel {
                start: Lsn(0x200_0028),
                start_file: "000000010000000000000002".into(),
                checkpoint: Lsn(0x200_0060),
                method: "streamed".into(),
                from_standby: true,
                start_time: "2024-03-01 10:00:00 CET".into(),
                label: "soter: nightly".into(),
                timeline: Timeline(3),
                incremental_from: None,
            }
        );
        let incremental = format!("{LABEL}INCREMENTAL FROM LSN: 0/28\nINCREMENTAL FROM TLI: 1\n");
        let label = BackupLabel::parse(incremental.as_bytes()).unwrap();
        assert_eq!(label.incremental_from, Some(Lsn(0x28)));
    }

    #[test]
    fn refuses_what_is_not_a_label() {
        let parse = |text: String| BackupLabel::parse(text.as_bytes());
        let missing = parse(LABEL.replace("CHECKPOINT", "CHECK"));
        assert_eq!(missing, Err(BackupLabelError::Missing { key: "CHECKPOINT LOCATION" }));
        let smuggled = parse(LABEL.replace("nightly", "x\nSTART TIMELINE: 9"));
        assert_eq!(smuggled, Err(BackupLabelError::Twice { key: "START TIMELINE" }));
        for (good, bad) in [("standby", "tape"), ("0/2000060", "there"), (" (file ", " ")] {
            let error = parse(LABEL.replace(good, bad)).unwrap_err();
            assert!(matches!(error, BackupLabelError::Value { .. }), "{error}");
        }
    }

    #[test]
    fn reads_a_map_with_odd_paths() {
        let map = b"16385 /srv/fast disk\n16386 /srv/a\\\\b\\\nc\r\n";
        let places = parse_tablespace_map(map).unwrap();
        let found: Vec<_> = places
            .iter()
            .map(|place| (place.tablespace.0, place.directory.to_str().unwrap()))
            .collect();
        assert_eq!(found, [(16385, "/srv/fast disk"), (16386, "/srv/a\\b\nc")]);
        assert_eq!(parse_tablespace_map(b""), Ok(Vec::new()));
    }

    #[test]
    fn refuses_what_is_not_a_map() {
        assert_eq!(parse_tablespace_map(b"16385 /srv"), Err(TablespaceMapError::Unfinished));
        assert_eq!(parse_tablespace_map(b"1 /a\n\\"), Err(TablespaceMapError::Unfinished));
        for map in ["/srv\n", "x /srv\n", "16385\n", "16385 \n", "-1 /srv\n"] {
            let error = parse_tablespace_map(map.as_bytes()).unwrap_err();
            assert!(matches!(error, TablespaceMapError::Line { line: 1, .. }), "{map:?}");
        }
    }

    fn place() -> impl Strategy<Value = TablespacePlace> {
        let path = proptest::collection::vec(1_u8.., 1..40);
        (any::<u32>(), path).prop_map(|(number, path)| TablespacePlace {
            tablespace: TablespaceId(number),
            directory: PathBuf::from(OsString::from_vec(path)),
        })
    }

    proptest! {
        #[test]
        fn maps_round_trip(places in proptest::collection::vec(place(), 0..5)) {
            prop_assert_eq!(parse_tablespace_map(&format_tablespace_map(&places)), Ok(places));
        }
    }
}
