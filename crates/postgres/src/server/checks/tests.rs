//! Every finding, made by one change to a healthy server; on that itself there is none.

use super::*;
use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::lsn::{SegmentSize, Timeline};
use crate::relation::DatabaseId;
use crate::server::facts::{
    DatabaseFacts, FileFacts, LibraryVersions, Privilege, ReceiverFacts, RoleFacts, SlotFacts,
    SlotState, SynchronousCommitOverride, WalLevel,
};

/// What the checks look at, healthy until a test changes it.
struct Case {
    facts: ServerFacts,
    probe: ReplicationProbe,
    desired: Desired,
}

impl Case {
    fn set(&mut self, name: &str, value: &str) {
        self.facts.settings.insert(name.to_owned(), value.to_owned());
    }

    fn add_slot(&mut self, name: &str, state: SlotState) {
        self.slot(name, state);
    }

    fn slot(&mut self, name: &str, state: SlotState) -> &mut SlotFacts {
        self.facts.slots.push(SlotFacts {
            name: name.to_owned(),
            physical: true,
            active_process: None,
            restart: None,
            state,
            safe_wal_bytes: None,
        });
        self.facts.slots.last_mut().unwrap()
    }

    fn over(&mut self, role: Option<&str>, database: Option<&str>, value: &str) {
        self.facts.synchronous_commit_overrides.push(SynchronousCommitOverride {
            database: database.map(str::to_owned),
            role: role.map(str::to_owned),
            value: value.to_owned(),
        });
    }
}

fn healthy() -> Case {
    let settings = [
        ("archive_command", ""),
        ("archive_library", ""),
        ("archive_mode", "off"),
        ("fsync", "on"),
        ("full_page_writes", "on"),
        ("max_replication_slots", "2"),
        ("max_slot_wal_keep_size", "65536"),
        ("max_wal_senders", "2"),
        ("synchronous_commit", "on"),
        ("synchronous_standby_names", ""),
        ("wal_sender_timeout", "60000"),
    ];
    let facts = ServerFacts {
        version: MajorVersion::V15,
        build: "PostgreSQL 15.20".to_owned(),
        system_identifier: SystemIdentifier(7),
        database: "postgres".to_owned(),
        timeline: Timeline(1),
        in_recovery: false,
        wal_level: WalLevel::Replica,
        wal_segment_size: SegmentSize::DEFAULT,
        block_size: 8192,
        data_checksums: true,
        settings: settings.map(|(name, value)| (name.to_owned(), value.to_owned())).into(),
        files: FileFacts { hba_file: Some("/etc/pg_hba.conf".into()), ..FileFacts::default() },
        tablespaces: Vec::new(),
        slots: Vec::new(),
        receivers: Vec::new(),
        synchronous_commit_overrides: Vec::new(),
        databases: vec![DatabaseFacts {
            id: DatabaseId(5),
            name: "app".to_owned(),
            connectable: true,
            encoding: "UTF8".to_owned(),
            collate: "de_DE.UTF-8".to_owned(),
            ctype: "de_DE.UTF-8".to_owned(),
            locale_provider: Some("c".to_owned()),
            locale: None,
            collation_version: Some("2.36".to_owned()),
            collation_version_now: Some("2.36".to_owned()),
        }],
        libraries: LibraryVersions::default(),
        role: RoleFacts {
            name: "soter".to_owned(),
            superuser: false,
            lacks: Vec::new(),
            connection_limit: None,
        },
    };
    let slot = SlotName::new("soter").unwrap();
    let application_name = "soter".to_owned();
    let desired = Desired { slot, application_name, protection: Protection::Asynchronous };
    Case { facts, probe: ReplicationProbe::Works, desired }
}

/// The findings after a change, a line each: how bad, which, and what to run.
#[track_caller]
fn check(change: impl FnOnce(&mut Case), expected: &[&str]) {
    let mut case = healthy();
    change(&mut case);
    let found = checks(&case.facts, &case.probe, &case.desired);
    let line = |finding: &Finding| {
        assert!(![&finding.what, &finding.why, &finding.hint].iter().any(|text| text.is_empty()));
        let code = serde_json::to_value(finding.code).unwrap();
        let code = code.as_str().unwrap().to_owned();
        format!("{:?} {code} {}", finding.severity, finding.commands.join(" ")).trim().to_owned()
    };
    assert_eq!(found.iter().map(line).collect::<Vec<_>>(), expected);
}

fn synchronous(case: &mut Case) {
    case.desired.protection = Protection::Synchronous;
    case.set("synchronous_standby_names", "soter");
}

const RELOAD: &str = "SELECT pg_reload_conf();";

#[test]
fn healthy_servers_have_no_findings() {
    check(|_| {}, &[]);
    check(synchronous, &[]);
    check(|case| case.add_slot("soter", SlotState::Extended), &[]);
    let by_command = |case: &mut Case| {
        case.desired.protection = Protection::ArchiveCommand("soter push".to_owned());
        case.set("archive_mode", "on");
        case.set("archive_command", "soter push");
        case.facts.role.lacks = vec![Privilege::Replicate];
        case.set("max_slot_wal_keep_size", "-1");
    };
    check(by_command, &[]);
}

#[test]
fn versions() {
    let version = MajorVersion::from_server_version_number(130_011).unwrap_err();
    let finding = unsupported_version(version);
    assert_eq!(finding.what, "PostgreSQL 13 is not supported (14 to 18 are)");
}

#[test]
fn roles() {
    check(
        |case| case.facts.role.lacks = vec![Privilege::Replicate],
        &["Error role-cannot-replicate ALTER ROLE \"soter\" REPLICATION;"],
    );
    check(
        |case| case.facts.role.lacks = vec![Privilege::ReadAllSettings],
        &["Error role-cannot-read-settings GRANT pg_read_all_settings TO \"soter\";"],
    );
    check(
        |case| case.facts.role.lacks = vec![Privilege::BackUp],
        &["Error role-cannot-back-up \
           GRANT EXECUTE ON FUNCTION pg_backup_start(text, boolean) TO \"soter\"; \
           GRANT EXECUTE ON FUNCTION pg_backup_stop(boolean) TO \"soter\";"],
    );
    let on_14 = |case: &mut Case| {
        case.facts.version = MajorVersion::V14;
        case.facts.role.lacks = vec![Privilege::BackUp];
    };
    check(
        on_14,
        &["Error role-cannot-back-up \
           GRANT EXECUTE ON FUNCTION pg_start_backup(text, boolean, boolean) TO \"soter\"; \
           GRANT EXECUTE ON FUNCTION pg_stop_backup(boolean, boolean) TO \"soter\";"],
    );
    check(
        |case| case.facts.role.connection_limit = Some(1),
        &["Warning role-connection-limit ALTER ROLE \"soter\" CONNECTION LIMIT 4;"],
    );
}

#[test]
fn replication_connections() {
    let refused = |host: &str, sqlstate: &str| ReplicationProbe::Refused {
        host: if host.starts_with('/') {
            Host::Directory(host.into())
        } else {
            Host::Name(host.to_owned())
        },
        sqlstate: sqlstate.to_owned(),
        message: "no".to_owned(),
    };
    let line = |rule: &str| format!("Error replication-refused {rule} scram-sha-256 {RELOAD}");
    for (host, rule) in [
        ("/run/postgresql", "local replication \"soter\""),
        ("localhost", "host replication \"soter\" localhost"),
        ("db.example", "host replication \"soter\" samenet"),
    ] {
        check(|case| case.probe = refused(host, "28000"), &[&line(rule)]);
    }
    check(|case| case.probe = refused("db", "28P01"), &["Error replication-refused"]);
    check(|case| case.probe = refused("db", "53300"), &["Error replication-refused"]);
    let failed = ReplicationProbe::Failed { message: "closed".to_owned() };
    check(|case| case.probe = failed, &["Error replication-failed"]);
    check(|case| case.probe = ReplicationProbe::NotTried, &[]);
}

#[test]
fn what_is_written() {
    check(
        |case| case.facts.wal_level = WalLevel::Minimal,
        &["Error wal-level-minimal ALTER SYSTEM SET wal_level = 'replica';"],
    );
    let expected = format!("Error fsync-off ALTER SYSTEM SET fsync = 'on'; {RELOAD}");
    check(|case| case.set("fsync", "off"), &[&expected]);
    let expected = "Warning full-page-writes-off ALTER SYSTEM SET full_page_writes = 'on';";
    check(|case| case.set("full_page_writes", "off"), &[&format!("{expected} {RELOAD}")]);
    check(
        |case| case.facts.data_checksums = false,
        &["Notice checksums-off pg_checksums --enable --progress -D 'DATA-DIRECTORY'"],
    );
    check(
        |case| case.facts.databases[0].collation_version_now = Some("2.41".to_owned()),
        &["Warning collation-changed REINDEX DATABASE \"app\"; \
           ALTER DATABASE \"app\" REFRESH COLLATION VERSION;"],
    );
    check(|case| case.facts.databases[0].collation_version_now = None, &[]);
    check(|case| case.facts.in_recovery = true, &["Notice server-is-standby"]);
}

#[test]
fn archiving() {
    let off = "ALTER SYSTEM SET archive_mode = 'off';";
    let by_other = |case: &mut Case| {
        case.set("archive_mode", "on");
        case.set("archive_command", "other %p");
    };
    check(by_other, &[&format!("Notice archived-elsewhere {off}")]);
    check(|case| case.set("archive_mode", "on"), &[&format!("Error archive-command-empty {off}")]);
    let ours = |case: &mut Case| {
        case.desired.protection = Protection::ArchiveCommand("soter push '%p'".to_owned());
    };
    let set = format!(
        "ALTER SYSTEM SET archive_command = 'soter push ''%p'''; \
         ALTER SYSTEM SET archive_library = ''; {RELOAD}"
    );
    check(
        ours,
        &[
            "Error archive-mode-off ALTER SYSTEM SET archive_mode = 'on';",
            &format!("Error archive-command-foreign {set}"),
        ],
    );
    let on_standby = |case: &mut Case| {
        ours(case);
        case.set("archive_mode", "on");
        case.set("archive_command", "soter push '%p'");
        case.facts.in_recovery = true;
    };
    check(
        on_standby,
        &[
            "Error archive-mode-off ALTER SYSTEM SET archive_mode = 'always';",
            "Notice server-is-standby",
        ],
    );
}

#[test]
fn places_for_receivers() {
    let receiver = |name: &str| ReceiverFacts {
        application_name: name.to_owned(),
        sync_state: Some("async".to_owned()),
    };
    check(
        |case| case.facts.receivers = vec![receiver("a"), receiver("b")],
        &["Error wal-senders-exhausted ALTER SYSTEM SET max_wal_senders = '6';"],
    );
    check(|case| case.facts.receivers = vec![receiver("a"), receiver("soter")], &[]);
    // The server says the same when it is asked for a connection, and that is not said twice.
    check(
        |case| {
            case.facts.receivers = vec![receiver("a"), receiver("b")];
            case.probe = ReplicationProbe::Refused {
                host: Host::Name("db".to_owned()),
                sqlstate: "53300".to_owned(),
                message: "no".to_owned(),
            };
        },
        &["Error wal-senders-exhausted ALTER SYSTEM SET max_wal_senders = '6';"],
    );
    let expected = format!("ALTER SYSTEM SET wal_sender_timeout = '60s'; {RELOAD}");
    check(
        |case| case.set("wal_sender_timeout", "0"),
        &[&format!("Warning wal-sender-timeout-off {expected}")],
    );
}

#[test]
fn slots() {
    let raise = "Error slots-exhausted ALTER SYSTEM SET max_replication_slots = '6';";
    let full = |case: &mut Case| {
        case.slot("a", SlotState::Reserved).active_process = Some(1);
        case.slot("b", SlotState::Reserved);
        let found = checks(&case.facts, &case.probe, &case.desired);
        let hint = "raise it and restart PostgreSQL, or drop one that nobody uses (b)";
        assert_eq!(found[0].hint, hint);
    };
    check(full, &[raise]);
    let full_with_ours = |case: &mut Case| {
        case.slot("soter", SlotState::Reserved);
        case.slot("b", SlotState::Reserved);
    };
    check(full_with_ours, &[]);
    check(
        |case| case.add_slot("soter", SlotState::Lost),
        &["Error slot-lost SELECT pg_drop_replication_slot('soter');"],
    );
    let keep = format!("ALTER SYSTEM SET max_slot_wal_keep_size = '32GB'; {RELOAD}");
    check(
        |case| case.add_slot("soter", SlotState::Unreserved),
        &[&format!("Error slot-in-danger {keep}")],
    );
    check(
        |case| case.slot("soter", SlotState::Reserved).physical = false,
        &["Error slot-not-physical"],
    );
    check(
        |case| case.set("max_slot_wal_keep_size", "-1"),
        &[&format!("Warning slot-keep-unlimited {keep}")],
    );
    check(
        |case| case.set("max_slot_wal_keep_size", "64"),
        &[&format!("Warning slot-keep-small {keep}")],
    );
}

#[test]
fn who_commits_wait_for() {
    let names = |value: &str| {
        let quoted = value.replace('\'', "''");
        format!("ALTER SYSTEM SET synchronous_standby_names = '{quoted}'; {RELOAD}")
    };
    let desire = |value: &'static str| {
        move |case: &mut Case| {
            synchronous(case);
            case.set("synchronous_standby_names", value);
        }
    };
    check(desire(""), &[&format!("Error synchronous-not-named {}", names("\"soter\""))]);
    check(
        desire("replica"),
        &[&format!("Error synchronous-not-named {}", names("FIRST 2 (\"soter\", \"replica\")"))],
    );
    check(
        desire("ANY 1 (soter, replica)"),
        &[&format!("Error synchronous-not-always {}", names("FIRST 2 (\"soter\", \"replica\")"))],
    );
    check(desire("2 (replica, SOTER)"), &[]);
    let on_standby = |case: &mut Case| {
        synchronous(case);
        case.facts.in_recovery = true;
    };
    check(on_standby, &["Error synchronous-on-standby", "Notice server-is-standby"]);
    check(
        |case| case.set("synchronous_standby_names", "ANY 2 (soter, replica)"),
        &[&format!("Error synchronous-undesired {}", names("ANY 1 (\"replica\")"))],
    );
    check(|case| case.set("synchronous_standby_names", "replica"), &[]);
}

#[test]
fn what_commits_wait_for() {
    let level = format!("ALTER SYSTEM SET synchronous_commit = 'on'; {RELOAD}");
    let apply = |case: &mut Case| {
        synchronous(case);
        case.set("synchronous_commit", "remote_apply");
        case.over(Some("etl"), Some("app"), "remote_apply");
        case.over(None, Some("app"), "on");
    };
    check(
        apply,
        &[
            &format!("Error remote-apply {level}"),
            "Error remote-apply ALTER ROLE \"etl\" IN DATABASE \"app\" RESET synchronous_commit;",
        ],
    );
    check(|case| case.set("synchronous_commit", "remote_apply"), &[]);
    let weak = |case: &mut Case| {
        synchronous(case);
        case.set("synchronous_commit", "local");
        case.over(None, Some("app"), "off");
        case.over(Some("etl"), None, "off");
    };
    check(
        weak,
        &[
            &format!("Error synchronous-commit-weak {level}"),
            "Warning synchronous-commit-weak ALTER DATABASE \"app\" RESET synchronous_commit;",
            "Warning synchronous-commit-weak ALTER ROLE \"etl\" RESET synchronous_commit;",
        ],
    );
    check(|case| case.set("synchronous_commit", "off"), &[]);
}
