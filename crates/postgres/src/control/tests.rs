//! The oracle is `pg_controldata`: of each version as fixtures (clusters with unusual settings, in
//! the middle of recovering a backup), and of a live server.

use std::collections::HashMap;
use std::fs::OpenOptions;
use std::io::Write;
use std::path::Path;
use std::time::Duration;

use super::*;
use crate::postmaster::PostmasterError;
use crate::testing::{Shutdown, TestCluster, TestingError};

const FIXTURES: [(MajorVersion, &[u8], &str); 5] = [
    (
        MajorVersion::V14,
        include_bytes!("../../fixtures/control/14.pg_control"),
        include_str!("../../fixtures/control/14.pg_controldata.txt"),
    ),
    (
        MajorVersion::V15,
        include_bytes!("../../fixtures/control/15.pg_control"),
        include_str!("../../fixtures/control/15.pg_controldata.txt"),
    ),
    (
        MajorVersion::V16,
        include_bytes!("../../fixtures/control/16.pg_control"),
        include_str!("../../fixtures/control/16.pg_controldata.txt"),
    ),
    (
        MajorVersion::V17,
        include_bytes!("../../fixtures/control/17.pg_control"),
        include_str!("../../fixtures/control/17.pg_controldata.txt"),
    ),
    (
        MajorVersion::V18,
        include_bytes!("../../fixtures/control/18.pg_control"),
        include_str!("../../fixtures/control/18.pg_controldata.txt"),
    ),
];

/// What `pg_controldata` (with TZ=UTC and LC_ALL=C) prints for the fields that we read.
fn as_pg_controldata(control: &ControlFile) -> Vec<(&'static str, String)> {
    let time = |time: Timestamp| time.strftime("%a %b %e %H:%M:%S %Y").to_string();
    let lsn = |lsn: Option<Lsn>| lsn.unwrap_or(Lsn::INVALID).to_string();
    let on_off = |flag| if flag { "on" } else { "off" }.to_owned();
    let state = match control.state {
        ClusterState::StartingUp => "starting up",
        ClusterState::ShutDown => "shut down",
        ClusterState::ShutDownInRecovery => "shut down in recovery",
        ClusterState::ShuttingDown => "shutting down",
        ClusterState::InCrashRecovery => "in crash recovery",
        ClusterState::InArchiveRecovery => "in archive recovery",
        ClusterState::InProduction => "in production",
    };
    let settings = control.standby_settings;
    let checkpoint = &control.checkpoint;
    let wal_level = format!("{:?}", control.wal_level).to_lowercase();
    let end_required = if control.backup_end_required { "yes" } else { "no" };
    vec![
        ("Database system identifier", control.system_identifier.to_string()),
        ("Catalog version number", control.version.catalog_version().to_string()),
        ("Database cluster state", state.to_owned()),
        ("pg_control last modified", time(control.modified)),
        ("Latest checkpoint location", checkpoint.lsn.to_string()),
        ("Latest checkpoint's REDO location", checkpoint.redo.to_string()),
        ("Latest checkpoint's TimeLineID", checkpoint.timeline.to_string()),
        ("Latest checkpoint's PrevTimeLineID", checkpoint.previous_timeline.to_string()),
        ("Time of latest checkpoint", time(checkpoint.time)),
        ("Minimum recovery ending location", lsn(control.min_recovery_point)),
        (
            "Min recovery ending loc's timeline",
            control.min_recovery_timeline.map_or(0, |t| t.0).to_string(),
        ),
        ("Backup start location", lsn(control.backup_start)),
        ("Backup end location", lsn(control.backup_end)),
        ("End-of-backup record required", end_required.to_owned()),
        ("wal_level setting", wal_level),
        ("wal_log_hints setting", on_off(control.wal_log_hints)),
        ("max_connections setting", settings.max_connections.to_string()),
        ("max_worker_processes setting", settings.max_worker_processes.to_string()),
        ("max_wal_senders setting", settings.max_wal_senders.to_string()),
        ("max_prepared_xacts setting", settings.max_prepared_transactions.to_string()),
        ("max_locks_per_xact setting", settings.max_locks_per_transaction.to_string()),
        ("track_commit_timestamp setting", on_off(control.track_commit_timestamp)),
        ("Database block size", control.block_size_bytes.to_string()),
        ("Blocks per segment of large relation", control.relation_segment_blocks.to_string()),
        ("WAL block size", control.wal_block_size_bytes.to_string()),
        ("Bytes per WAL segment", control.wal_segment_size.bytes().to_string()),
        ("Data page checksum version", control.data_checksum_version.to_string()),
    ]
}

fn check(file: &[u8], expected: &str) {
    let expected: HashMap<&str, &str> = expected
        .lines()
        .filter_map(|line| line.split_once(':'))
        .map(|(key, value)| (key, value.trim()))
        .collect();
    for (key, value) in as_pg_controldata(&ControlFile::parse(file).unwrap()) {
        let found = value.split_whitespace().collect::<Vec<_>>();
        let wanted = expected[key].split_whitespace().collect::<Vec<_>>();
        assert_eq!(found, wanted, "{key}");
    }
}

#[test]
fn reads_what_pg_controldata_prints_of_every_version() {
    for (version, file, expected) in FIXTURES {
        check(file, expected);
        assert_eq!(ControlFile::parse(file).unwrap().version, version);
    }
}

#[test]
fn any_flipped_bit_is_noticed() {
    for (version, file, _) in FIXTURES {
        for bit in 0..(crc_at(version) + 4) * 8 {
            let mut damaged = file.to_vec();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(ControlFile::parse(&damaged).is_err(), "bit {bit} of {version}");
        }
    }
}

#[test]
fn says_what_is_wrong() {
    let (_, good, _) = FIXTURES[1];
    for length in 0..292 {
        let error = ControlFile::parse(&good[..length]).unwrap_err();
        assert_eq!(error, ControlFileError::Short { length });
    }
    let mut swapped = good.to_vec();
    swapped[8..12].reverse();
    swapped[12..16].reverse();
    assert_eq!(ControlFile::parse(&swapped), Err(ControlFileError::ForeignByteOrder));
    let nothing = ControlFile::parse(&[0; CONTROL_FILE_BYTES]);
    assert_eq!(nothing, Err(ControlFileError::Version { layout: 0, catalogue: 0 }));
    let sealed = |at: usize, value: u32| {
        let mut file = good.to_vec();
        file[at..at + 4].copy_from_slice(&value.to_le_bytes());
        let crc = crc32c::crc32c(&file[..288]);
        file[288..292].copy_from_slice(&crc.to_le_bytes());
        ControlFile::parse(&file).unwrap_err()
    };
    assert_eq!(sealed(16, 7), ControlFileError::Field { field: "cluster state", value: 7 });
    assert_eq!(
        sealed(180, u32::MAX),
        ControlFileError::Field { field: "max_connections", value: -1 }
    );
    assert_eq!(sealed(212, 0), ControlFileError::FloatFormat);
    assert!(matches!(sealed(228, 3), ControlFileError::SegmentSize(_)));
}

#[test]
fn a_guarded_file_differs_only_in_its_checkpoint() {
    for (_, file, _) in FIXTURES {
        let mut guarded = file.to_vec();
        require_backup_label(&mut guarded).unwrap();
        let mut control = ControlFile::parse(&guarded).unwrap();
        assert_eq!(control.checkpoint.lsn, Lsn(CHECKPOINT_NOWHERE));
        let original = ControlFile::parse(file).unwrap();
        control.checkpoint.lsn = original.checkpoint.lsn;
        assert_eq!(control, original);
    }
    assert!(require_backup_label(&mut [0; 100]).is_err());
}

fn read(data: &Path) -> Vec<u8> {
    std::fs::read(data.join("global/pg_control")).unwrap()
}

#[test]
fn real_pg_control_is_read_running_and_stopped() {
    let mut cluster = TestCluster::initdb(&["--wal-segsize=64"]).unwrap();
    cluster.configure(&["max_connections = 41", "max_prepared_transactions = 3"]).unwrap();
    let check_now = |cluster: &TestCluster| {
        let program = cluster.server_program("pg_controldata").arg(cluster.data_directory());
        let program = program.env("TZ", "UTC").env("LC_ALL", "C");
        let output = program.run(Duration::from_secs(30)).unwrap().checked().unwrap().stdout;
        let file = read(cluster.data_directory());
        assert_eq!(file.len(), CONTROL_FILE_BYTES);
        check(&file, &String::from_utf8(output).unwrap());
    };
    check_now(&cluster);
    cluster.start().unwrap();
    check_now(&cluster);
    cluster.stop(Shutdown::Fast).unwrap();
    check_now(&cluster);
}

/// A base backup with its WAL in `pg_wal` and a guarded `pg_control`.
fn guarded_backup(source: &TestCluster, target: &Path) {
    let program = source.server_program("pg_basebackup").arg("-h").arg(source.directory());
    let program = program
        .args(["-U", "postgres", "-X", "stream", "-c", "fast", "--no-sync", "-D"])
        .arg(target);
    program.run(Duration::from_secs(60)).unwrap().checked().unwrap();
    let mut file = read(target);
    require_backup_label(&mut file).unwrap();
    let path = target.join("global/pg_control");
    OpenOptions::new().write(true).open(path).unwrap().write_all(&file).unwrap();
}

#[test]
fn real_server_refuses_a_guarded_backup_without_its_label() {
    let mut source = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    source.start().unwrap();
    source.psql("create table t as select generate_series(1, 100) i").unwrap();
    let target = source.directory().join("backup");
    guarded_backup(&source, &target);
    let label = target.join("backup_label");
    let parsed = crate::backup_label::BackupLabel::parse(&std::fs::read(&label).unwrap()).unwrap();
    assert_eq!(parsed.timeline, Timeline::FIRST);
    assert!(parsed.start < parsed.checkpoint && !parsed.from_standby);
    assert_eq!(parsed.label, "pg_basebackup base backup");

    let kept = std::fs::read(&label).unwrap();
    std::fs::remove_file(&label).unwrap();
    let mut without = TestCluster::over(&target).unwrap();
    let error = without.start().unwrap_err();
    assert!(matches!(error, TestingError::Server(PostmasterError::Ended { .. })), "{error}");
    let expected = "could not locate a valid checkpoint record";
    assert!(without.log().contains(expected), "{}", without.log());
    drop(without);

    std::fs::File::create(&label).unwrap().write_all(&kept).unwrap();
    let mut with = TestCluster::over(&target).unwrap();
    with.start().unwrap();
    assert_eq!(with.psql("select count(*) from t").unwrap(), "100");
}
