//! How commands end that somebody interrupts, overtakes, or that have a defect: the exit code says it.

use std::time::Duration;

use soter_postgres::testing::{TestCluster, wait_until};
use soter_world::exec::{Child, Command, Finished, Signal, Status};

use crate::lab::{Lab, files_named, text};

const LONG: Duration = Duration::from_secs(120);

/// A store whose WAL nobody hands over, so that a backup without an agent waits for it.
fn lab_without_archiver() -> Lab {
    let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    cluster.configure(&["wal_keep_size = 1GB"]).unwrap();
    Lab::around(cluster, "")
}

/// How many entries the log has.
fn entries(lab: &Lab) -> usize {
    files_named(&lab.root.join("vault/log"), |_| true)
}

/// Starts a backup, and waits until it has opened its session.
fn backup_that_waits(lab: &Lab) -> Child {
    let before = entries(lab);
    let backup = lab.spawn(&["backup", "orders"]);
    wait_until("the backup has a session", || {
        assert_eq!(backup.try_wait(), None);
        entries(lab) > before
    })
    .unwrap();
    backup
}

/// Hands over WAL by hand until a backup has ended.
fn hand_over_wal_until_ended(lab: &Lab, backup: &mut Child) -> Finished {
    wait_until("the backup ends", || {
        lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
        let complete =
            "SELECT name FROM pg_ls_waldir() WHERE name < pg_walfile_name(pg_current_wal_lsn())
                        AND name ~ '^[0-9A-F]{24}$' ORDER BY name";
        for name in lab.cluster.psql(complete).unwrap().lines() {
            lab.ok(&["wal", "push", &format!("pg_wal/{name}")]);
        }
        backup.try_wait().is_some()
    })
    .unwrap();
    backup.wait_timeout(LONG).unwrap()
}

#[test]
fn real_an_interrupted_backup_says_so_and_the_next_one_succeeds() {
    let lab = lab_without_archiver();
    let mut interrupted = backup_that_waits(&lab);
    interrupted.signal(Signal::Interrupt);
    let ended = interrupted.wait_timeout(LONG).unwrap();
    let said = text(&ended.stderr);
    assert_eq!(ended.status, Status::Exited(3), "{said}");
    assert!(said.contains("stopped"), "{said}");
    lab.fails(&["backups", "orders"], 1, "has no backup");
    let mut next = backup_that_waits(&lab);
    let ended = hand_over_wal_until_ended(&lab, &mut next);
    assert_eq!(ended.status, Status::Exited(0), "{}", text(&ended.stderr));
    lab.ok(&["verify", "orders"]);
}

#[test]
fn real_a_backup_that_another_one_overtakes_ends_as_superseded() {
    let lab = lab_without_archiver();
    let mut first = backup_that_waits(&lab);
    let mut second = backup_that_waits(&lab);
    let ended = hand_over_wal_until_ended(&lab, &mut first);
    let said = text(&ended.stderr);
    assert_eq!(ended.status, Status::Exited(4), "{said}");
    assert!(said.contains("superseded"), "{said}");
    let ended = hand_over_wal_until_ended(&lab, &mut second);
    assert_eq!(ended.status, Status::Exited(0), "{}", text(&ended.stderr));
}

#[test]
fn real_an_interrupted_restore_says_so_and_leaves_nothing_that_starts() {
    let lab = Lab::archiving();
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 200000) AS n").unwrap();
    lab.ok(&["backup", "orders"]);
    let (url, identity, target) =
        (lab.url(), lab.path("keys/operator-1.key"), lab.root.join("restored"));
    let place = lab.path("restored");
    let arguments = ["restore", "--vault", &url, "--identity", &identity, "--target-dir", &place];
    let mut restore = lab.spawn(&arguments);
    let marker = target.join("soter.restoring");
    wait_until("it writes", || {
        assert_eq!(restore.try_wait(), None);
        marker.exists()
    })
    .unwrap();
    restore.signal(Signal::Interrupt);
    let ended = restore.wait_timeout(LONG).unwrap();
    let said = text(&ended.stderr);
    assert_eq!(ended.status, Status::Exited(3), "{said}");
    assert!(said.contains("stopped"), "{said}");
    assert!(marker.exists() && !target.join("global/pg_control").exists());
    lab.fails(&arguments, 2, "an unfinished restore is in it");
}

/// A defect is a failure; for the server that asks for WAL it must not look like "no more WAL". The
/// switch that makes one is in no released binary.
#[test]
fn a_panic_ends_with_a_code_that_means_nothing_else() {
    let code = |arguments: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_soter")).args(arguments);
        command.env("SOTER_TEST_PANIC", "1").run(LONG).unwrap().status
    };
    assert_eq!(code(&["version"]), Status::Exited(3));
    let fetch = code(&["wal", "fetch", "000000010000000000000001", "x"]);
    assert!(matches!(fetch, Status::Exited(126..)), "{fetch:?}");
}
