//! Whether what the server writes is what a recovery needs.

use super::{Code, Context, Finding, Protection, Severity, set, set_and_reload};
use crate::server::facts::WalLevel;
use crate::server::quote::quote_identifier;

pub(super) fn wal_level(context: &Context<'_>, found: &mut Vec<Finding>) {
    if context.facts.wal_level != WalLevel::Minimal {
        return;
    }
    found.push(Finding {
        code: Code::WalLevelMinimal,
        severity: Severity::Error,
        what: "wal_level is minimal".to_owned(),
        why: "WAL lacks what a backup needs to become consistent".to_owned(),
        hint: "change it and restart PostgreSQL".to_owned(),
        commands: set("wal_level", "replica"),
    });
}

pub(super) fn fsync(context: &Context<'_>, found: &mut Vec<Finding>) {
    if !context.is_off("fsync") {
        return;
    }
    found.push(Finding {
        code: Code::FsyncOff,
        severity: Severity::Error,
        what: "fsync is off".to_owned(),
        why: "a crash can leave the server behind the WAL that it has already given away"
            .to_owned(),
        hint: "turn it on".to_owned(),
        commands: set_and_reload("fsync", "on"),
    });
}

pub(super) fn full_page_writes(context: &Context<'_>, found: &mut Vec<Finding>) {
    if !context.is_off("full_page_writes") {
        return;
    }
    found.push(Finding {
        code: Code::FullPageWritesOff,
        severity: Severity::Warning,
        what: "full_page_writes is off".to_owned(),
        why: "a crash can tear pages for good, and no standby can be the source of a backup"
            .to_owned(),
        hint: "turn it on".to_owned(),
        commands: set_and_reload("full_page_writes", "on"),
    });
}

pub(super) fn checksums(context: &Context<'_>, found: &mut Vec<Finding>) {
    if context.facts.data_checksums {
        return;
    }
    let data = context.facts.files.data_directory.as_ref();
    let data = data.map_or("DATA-DIRECTORY".to_owned(), |path| path.display().to_string());
    found.push(Finding {
        code: Code::ChecksumsOff,
        severity: Severity::Notice,
        what: "pages have no checksums".to_owned(),
        why: "a page that the disk has damaged is backed up as it is".to_owned(),
        hint: "stop PostgreSQL, add them, and start it again".to_owned(),
        commands: vec![format!("pg_checksums --enable --progress -D '{data}'")],
    });
}

pub(super) fn collations(context: &Context<'_>, found: &mut Vec<Finding>) {
    for database in &context.facts.databases {
        let (Some(then), Some(now)) =
            (&database.collation_version, &database.collation_version_now)
        else {
            continue;
        };
        if then == now {
            continue;
        }
        let name = quote_identifier(&database.name);
        found.push(Finding {
            code: Code::CollationChanged,
            severity: Severity::Warning,
            what: format!(
                "the sorting library of the database {} was {then} and is {now}",
                database.name
            ),
            why: "indexes on texts may be wrong: rows are not found, or come twice".to_owned(),
            hint: "rebuild the indexes in it, then accept the new version".to_owned(),
            commands: vec![
                format!("REINDEX DATABASE {name};"),
                format!("ALTER DATABASE {name} REFRESH COLLATION VERSION;"),
            ],
        });
    }
}

pub(super) fn standby(context: &Context<'_>, found: &mut Vec<Finding>) {
    if !context.facts.in_recovery {
        return;
    }
    found.push(Finding {
        code: Code::ServerIsStandby,
        severity: Severity::Notice,
        what: "the server is a standby".to_owned(),
        why: "its WAL comes as late as it gets it; a slot here does not follow a failover"
            .to_owned(),
        hint: "stream from the primary if WAL is to be as fresh as can be".to_owned(),
        commands: Vec::new(),
    });
}

pub(super) fn archiving(context: &Context<'_>, found: &mut Vec<Finding>) {
    let setting = |name: &str| context.facts.setting(name).unwrap_or_default();
    let (mode, command, library) =
        (setting("archive_mode"), setting("archive_command"), setting("archive_library"));
    match &context.desired.protection {
        Protection::ArchiveCommand(ours) => by_command(context, ours, found),
        _ if mode == "off" || mode.is_empty() => {}
        _ if command.is_empty() && library.is_empty() => found.push(Finding {
            code: Code::ArchiveCommandEmpty,
            severity: Severity::Error,
            what: "archive_mode is on, but there is no archive_command".to_owned(),
            why: "the server keeps all WAL for ever, until its disk is full".to_owned(),
            hint: "turn it off, as WAL is streamed, and restart PostgreSQL".to_owned(),
            commands: set("archive_mode", "off"),
        }),
        _ => found.push(Finding {
            code: Code::ArchivedElsewhere,
            severity: Severity::Notice,
            what: "WAL is archived by something else as well".to_owned(),
            why: "if that falls behind, the server keeps WAL until its disk is full".to_owned(),
            hint: "once backups here are trusted, turn it off and restart PostgreSQL".to_owned(),
            commands: set("archive_mode", "off"),
        }),
    }
}

/// On a standby only `always` archives.
fn by_command(context: &Context<'_>, ours: &str, found: &mut Vec<Finding>) {
    let wanted = if context.facts.in_recovery { "always" } else { "on" };
    let mode = context.facts.setting("archive_mode").unwrap_or("off");
    if mode != wanted && mode != "always" {
        found.push(Finding {
            code: Code::ArchiveModeOff,
            severity: Severity::Error,
            what: format!("archive_mode is {mode}"),
            why: "the server hands over no WAL".to_owned(),
            hint: "change it and restart PostgreSQL".to_owned(),
            commands: set("archive_mode", wanted),
        });
    }
    let is_ours = context.facts.setting("archive_command") == Some(ours)
        && context.facts.setting("archive_library").unwrap_or_default().is_empty();
    if !is_ours {
        let mut commands = set("archive_command", ours);
        if context.facts.setting("archive_library").is_some() {
            commands.extend(set("archive_library", ""));
        }
        commands.push("SELECT pg_reload_conf();".to_owned());
        found.push(Finding {
            code: Code::ArchiveCommandForeign,
            severity: Severity::Error,
            what: "archive_command is not the one of this store".to_owned(),
            why: "WAL goes somewhere else, or nowhere".to_owned(),
            hint: "set it".to_owned(),
            commands,
        });
    }
}
