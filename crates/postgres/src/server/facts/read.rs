//! The queries behind the facts. Each asks for one kind of fact and knows what changed from version
//! to version.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::str::FromStr;

use postgres::types::FromSql;
use postgres::{Client, Row};

use super::{
    CollationFacts, DatabaseContent, DatabaseFacts, ExtensionFacts, FileFacts, LibraryVersions,
    Privilege, ReceiverFacts, RoleFacts, ServerFacts, SlotFacts, SlotState,
    SynchronousCommitOverride, TablespaceFacts, WalLevel,
};
use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::lsn::{SegmentSize, Timeline};
use crate::relation::{DatabaseId, TablespaceId};
use crate::server::error::{Error, cannot};
use crate::server::position::{is_in_recovery, parse_lsn};

const ACTION: &str = "read what the server says about itself";

/// The settings that are read: what decides whether a server can be protected and how, and what a
/// restored server needs to start and to mean the same. No others: they may hold secrets.
const SETTINGS: &str = "archive_command archive_library archive_mode archive_timeout block_size \
     checkpoint_timeout cluster_name config_file data_checksums data_directory \
     data_directory_mode fsync full_page_writes hba_file hot_standby ident_file lc_collate \
     lc_ctype lc_messages lc_monetary lc_numeric lc_time listen_addresses log_timezone \
     max_connections max_locks_per_transaction max_prepared_transactions max_replication_slots \
     max_slot_wal_keep_size max_wal_senders max_wal_size max_worker_processes port segment_size \
     server_encoding shared_preload_libraries summarize_wal synchronous_commit \
     synchronous_standby_names TimeZone unix_socket_directories wal_compression wal_keep_size \
     wal_level wal_log_hints wal_segment_size wal_sender_timeout wal_summary_keep_time";

/// The server's major version, if it can be protected.
pub(in crate::server) fn major_version(client: &mut Client) -> Result<MajorVersion, Error> {
    let text: String = one(client, "SHOW server_version_num")?;
    let number = parsed("server_version_num", &text)?;
    MajorVersion::from_server_version_number(number).map_err(Error::Version)
}

pub(super) fn server_facts(client: &mut Client) -> Result<ServerFacts, Error> {
    use_system_names(client)?;
    let version = major_version(client)?;
    let in_recovery = is_in_recovery(client)?;
    let settings = settings(client)?;
    let get = |name: &'static str| {
        let missing = || Error::Answer { what: name, text: String::new() };
        settings.get(name).map(String::as_str).ok_or_else(missing)
    };
    let segment_bytes = parsed("wal_segment_size", get("wal_segment_size")?)?;
    let wal_segment_size = SegmentSize::new(segment_bytes)
        .map_err(|error| Error::Answer { what: "wal_segment_size", text: error.to_string() })?;
    // The number has no sign; SQL has no type for that.
    let system_identifier: i64 = one(client, "SELECT system_identifier FROM pg_control_system()")?;
    Ok(ServerFacts {
        version,
        build: one(client, "SELECT version()")?,
        system_identifier: SystemIdentifier(system_identifier.cast_unsigned()),
        database: one(client, "SELECT current_database()::text")?,
        timeline: timeline(client, in_recovery)?,
        in_recovery,
        wal_level: wal_level(get("wal_level")?)?,
        wal_segment_size,
        block_size: parsed("block_size", get("block_size")?)?,
        data_checksums: get("data_checksums")? == "on",
        files: files(client, &settings, version)?,
        tablespaces: tablespaces(client)?,
        slots: slots(client)?,
        receivers: receivers(client)?,
        synchronous_commit_overrides: synchronous_commit_overrides(client)?,
        databases: databases(client, version)?,
        libraries: libraries(client)?,
        role: role(client, version)?,
        settings,
    })
}

pub(super) fn database_content(client: &mut Client) -> Result<DatabaseContent, Error> {
    use_system_names(client)?;
    let collations = "SELECT n.nspname || '.' || c.collname, c.collversion,
            pg_collation_actual_version(c.oid)
        FROM pg_collation c JOIN pg_namespace n ON n.oid = c.collnamespace
        WHERE c.collversion IS NOT NULL
          AND (c.oid >= 16384
            OR c.collversion IS DISTINCT FROM pg_collation_actual_version(c.oid))
        ORDER BY 1";
    let collations = rows(client, collations, |row| {
        Ok(CollationFacts { name: get(row, 0)?, version: get(row, 1)?, version_now: get(row, 2)? })
    })?;
    let extensions = "SELECT extname::text, extversion FROM pg_extension ORDER BY 1";
    let extensions = rows(client, extensions, |row| {
        Ok(ExtensionFacts { name: get(row, 0)?, version: get(row, 1)? })
    })?;
    Ok(DatabaseContent { collations, extensions })
}

/// Our queries shall mean the system's tables and functions, whatever an owner of the database has
/// put before them.
fn use_system_names(client: &mut Client) -> Result<(), Error> {
    client.batch_execute("SET search_path = pg_catalog").map_err(cannot(ACTION))
}

fn settings(client: &mut Client) -> Result<BTreeMap<String, String>, Error> {
    let names: Vec<&str> = SETTINGS.split_whitespace().collect();
    let query = "SELECT name, setting FROM pg_settings WHERE name = ANY ($1)";
    let found = client.query(query, &[&names]).map_err(cannot(ACTION))?;
    let pair = |row: &Row| Ok((get(row, 0)?, get::<Option<String>>(row, 1)?.unwrap_or_default()));
    found.iter().map(pair).collect()
}

fn wal_level(text: &str) -> Result<WalLevel, Error> {
    match text {
        "minimal" => Ok(WalLevel::Minimal),
        "replica" => Ok(WalLevel::Replica),
        "logical" => Ok(WalLevel::Logical),
        other => Err(Error::Answer { what: "wal_level", text: other.to_owned() }),
    }
}

/// On a primary the one it writes. A standby may follow a newer one than its last restart point
/// says; who receives its WAL knows.
fn timeline(client: &mut Client, in_recovery: bool) -> Result<Timeline, Error> {
    if in_recovery {
        let query = "SELECT greatest(timeline_id, (SELECT received_tli FROM pg_stat_wal_receiver),
                (SELECT min_recovery_end_timeline FROM pg_control_recovery()))
            FROM pg_control_checkpoint()";
        let timeline: i32 = one(client, query)?;
        return Ok(Timeline(timeline.cast_unsigned()));
    }
    let name: String = one(client, "SELECT pg_walfile_name(pg_current_wal_lsn())")?;
    let digits = name.get(..8).and_then(|digits| u32::from_str_radix(digits, 16).ok());
    digits.map(Timeline).ok_or(Error::Answer { what: "WAL file name", text: name })
}

fn files(
    client: &mut Client,
    settings: &BTreeMap<String, String>,
    version: MajorVersion,
) -> Result<FileFacts, Error> {
    let path = |name: &str| settings.get(name).filter(|text| !text.is_empty()).map(PathBuf::from);
    // Files that are included appear only in views that few may read.
    let mut views = vec![("pg_file_settings", "pg_show_all_file_settings()", "sourcefile")];
    if version >= MajorVersion::V16 {
        views.push(("pg_hba_file_rules", "pg_hba_file_rules()", "file_name"));
        views.push(("pg_ident_file_mappings", "pg_ident_file_mappings()", "file_name"));
    }
    let mut queries = vec!["SELECT sourcefile FROM pg_settings".to_owned()];
    for (view, function, column) in views {
        let may_read = format!(
            "SELECT has_table_privilege('{view}', 'SELECT')
                AND has_function_privilege('{function}', 'EXECUTE')"
        );
        if one(client, &may_read)? {
            queries.push(format!("SELECT {column} FROM {view}"));
        }
    }
    let query = format!(
        "SELECT DISTINCT source FROM ({}) AS sources (source)
            WHERE source IS NOT NULL ORDER BY 1",
        queries.join(" UNION ALL ")
    );
    Ok(FileFacts {
        data_directory: path("data_directory"),
        config_file: path("config_file"),
        hba_file: path("hba_file"),
        ident_file: path("ident_file"),
        sources: rows(client, &query, |row| get::<String>(row, 0).map(PathBuf::from))?,
    })
}

fn tablespaces(client: &mut Client) -> Result<Vec<TablespaceFacts>, Error> {
    let query = "SELECT oid, spcname::text, nullif(pg_tablespace_location(oid), '')
        FROM pg_tablespace WHERE spcname NOT IN ('pg_default', 'pg_global') ORDER BY oid";
    rows(client, query, |row| {
        let path: Option<String> = get(row, 2)?;
        let id = TablespaceId(get(row, 0)?);
        Ok(TablespaceFacts { id, name: get(row, 1)?, path: path.map(PathBuf::from) })
    })
}

fn slots(client: &mut Client) -> Result<Vec<SlotFacts>, Error> {
    let query = "SELECT slot_name::text, slot_type = 'physical', active_pid, restart_lsn::text,
            wal_status, safe_wal_size
        FROM pg_replication_slots ORDER BY slot_name";
    rows(client, query, |row| {
        let restart: Option<String> = get(row, 3)?;
        let state: Option<String> = get(row, 4)?;
        Ok(SlotFacts {
            name: get(row, 0)?,
            physical: get(row, 1)?,
            active_process: get::<Option<i32>>(row, 2)?.map(i32::cast_unsigned),
            restart: restart.map(parse_lsn).transpose()?,
            state: slot_state(state.as_deref())?,
            safe_wal_bytes: get(row, 5)?,
        })
    })
}

fn slot_state(text: Option<&str>) -> Result<SlotState, Error> {
    match text {
        None => Ok(SlotState::Idle),
        Some("reserved") => Ok(SlotState::Reserved),
        Some("extended") => Ok(SlotState::Extended),
        Some("unreserved") => Ok(SlotState::Unreserved),
        Some("lost") => Ok(SlotState::Lost),
        Some(other) => Err(Error::Answer { what: "wal_status", text: other.to_owned() }),
    }
}

fn receivers(client: &mut Client) -> Result<Vec<ReceiverFacts>, Error> {
    let query = "SELECT coalesce(application_name, ''), sync_state FROM pg_stat_replication
        ORDER BY 1";
    rows(client, query, |row| {
        Ok(ReceiverFacts { application_name: get(row, 0)?, sync_state: get(row, 1)? })
    })
}

fn synchronous_commit_overrides(
    client: &mut Client,
) -> Result<Vec<SynchronousCommitOverride>, Error> {
    let query = "SELECT d.datname::text, r.rolname::text, split_part(setting, '=', 2)
        FROM pg_db_role_setting s CROSS JOIN unnest(s.setconfig) AS setting
        LEFT JOIN pg_database d ON d.oid = s.setdatabase
        LEFT JOIN pg_roles r ON r.oid = s.setrole
        WHERE split_part(setting, '=', 1) = 'synchronous_commit' ORDER BY 1, 2";
    rows(client, query, |row| {
        let (database, role, value) = (get(row, 0)?, get(row, 1)?, get(row, 2)?);
        Ok(SynchronousCommitOverride { database, role, value })
    })
}

fn databases(client: &mut Client, version: MajorVersion) -> Result<Vec<DatabaseFacts>, Error> {
    let (provider, locale, recorded, now) = match version {
        MajorVersion::V14 => ("NULL::text", "NULL::text", "NULL::text", "NULL::text"),
        version => (
            "datlocprovider::text",
            if version >= MajorVersion::V17 { "datlocale" } else { "daticulocale" },
            "datcollversion",
            "pg_database_collation_actual_version(oid)",
        ),
    };
    let query = format!(
        "SELECT oid, datname::text, datallowconn, pg_encoding_to_char(encoding)::text,
            datcollate::text, datctype::text, {provider}, {locale}, {recorded}, {now}
        FROM pg_database ORDER BY oid"
    );
    rows(client, &query, |row| {
        Ok(DatabaseFacts {
            id: DatabaseId(get(row, 0)?),
            name: get(row, 1)?,
            connectable: get(row, 2)?,
            encoding: get(row, 3)?,
            collate: get(row, 4)?,
            ctype: get(row, 5)?,
            locale_provider: get(row, 6)?,
            locale: get(row, 7)?,
            collation_version: get(row, 8)?,
            collation_version_now: get(row, 9)?,
        })
    })
}

/// Any collation of a library tells its version; those of the C library tell it only if they are
/// neither C nor POSIX.
fn libraries(client: &mut Client) -> Result<LibraryVersions, Error> {
    let query = "SELECT (SELECT pg_collation_actual_version(oid) FROM pg_collation
            WHERE collprovider = 'c' AND pg_collation_actual_version(oid) IS NOT NULL LIMIT 1),
        (SELECT pg_collation_actual_version(oid) FROM pg_collation
            WHERE collprovider = 'i' AND pg_collation_actual_version(oid) IS NOT NULL LIMIT 1)";
    let row = client.query_one(query, &[]).map_err(cannot(ACTION))?;
    Ok(LibraryVersions { libc: get(&row, 0)?, icu: get(&row, 1)? })
}

fn role(client: &mut Client, version: MajorVersion) -> Result<RoleFacts, Error> {
    let [start, stop] = backup_functions(version);
    let query = format!(
        "SELECT rolname::text, rolsuper, nullif(rolconnlimit, -1),
            rolsuper OR rolreplication,
            pg_has_role(oid, 'pg_read_all_settings', 'USAGE'),
            has_function_privilege(oid, '{start}', 'EXECUTE')
                AND has_function_privilege(oid, '{stop}', 'EXECUTE')
        FROM pg_roles WHERE rolname = current_user"
    );
    let row = client.query_one(&query, &[]).map_err(cannot(ACTION))?;
    let limit: Option<i32> = get(&row, 2)?;
    let mut lacks = Vec::new();
    for (index, privilege) in
        [(3, Privilege::Replicate), (4, Privilege::ReadAllSettings), (5, Privilege::BackUp)]
    {
        if !get::<bool>(&row, index)? {
            lacks.push(privilege);
        }
    }
    Ok(RoleFacts {
        name: get(&row, 0)?,
        superuser: get(&row, 1)?,
        lacks,
        connection_limit: limit.and_then(|limit| u32::try_from(limit).ok()),
    })
}

/// The functions that start and stop a base backup, with their arguments' types.
pub(in crate::server) fn backup_functions(version: MajorVersion) -> [&'static str; 2] {
    match version {
        MajorVersion::V14 => {
            ["pg_start_backup(text, boolean, boolean)", "pg_stop_backup(boolean, boolean)"]
        }
        _ => ["pg_backup_start(text, boolean)", "pg_backup_stop(boolean)"],
    }
}

fn one<T: for<'a> FromSql<'a>>(client: &mut Client, query: &str) -> Result<T, Error> {
    let row = client.query_one(query, &[]).map_err(cannot(ACTION))?;
    get(&row, 0)
}

fn rows<T>(
    client: &mut Client,
    query: &str,
    read: impl Fn(&Row) -> Result<T, Error>,
) -> Result<Vec<T>, Error> {
    client.query(query, &[]).map_err(cannot(ACTION))?.iter().map(read).collect()
}

fn get<T: for<'a> FromSql<'a>>(row: &Row, index: usize) -> Result<T, Error> {
    row.try_get(index).map_err(cannot(ACTION))
}

fn parsed<T: FromStr>(what: &'static str, text: &str) -> Result<T, Error> {
    text.parse().map_err(|_| Error::Answer { what, text: text.to_owned() })
}
