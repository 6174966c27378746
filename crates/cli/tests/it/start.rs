//! A restore that starts the server: who gets in when, and what becomes of a server that does not
//! come back.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_postgres::testing::{Shutdown, TestCluster, hand_over, output_of, wait_until};
use soter_world::exec::{Signal, Status, is_running};

use crate::lab::{Lab, files_named, text};

const LONG: Duration = Duration::from_secs(120);

/// A store with a backup and some WAL behind it, whose cluster is gone.
fn lost_lab() -> Lab {
    let mut lab = Lab::archiving();
    lab.cluster
        .psql(
            "CREATE ROLE app LOGIN; CREATE TABLE t AS SELECT 1 AS n;
                      GRANT SELECT ON t TO app",
        )
        .unwrap();
    lab.cluster.psql("CREATE SCHEMA soter").unwrap();
    let canary = "CREATE TABLE soter.canary (id bigint, written_at timestamptz, writer text);
                  INSERT INTO soter.canary VALUES (7, '2026-11-23 08:00:00Z', 'test')";
    lab.cluster.psql(canary).unwrap();
    lab.ok(&["backup", "orders"]);
    lab.cluster.psql("INSERT INTO t VALUES (2)").unwrap();
    lab.wait_archived();
    lab.cluster.kill().unwrap();
    fs::remove_dir_all(lab.cluster.data_directory()).unwrap();
    lab
}

/// What `psql` says to a role at a place.
fn ask(lab: &Lab, host: &Path, port: u16, role: &str) -> Result<String, String> {
    let psql = lab.cluster.client("psql").env("PGHOST", host).env("PGPORT", port.to_string());
    let psql = psql.env("PGUSER", role).args(["-XAtqc", "SELECT count(*) FROM t"]);
    output_of("psql", psql).map_err(|error| error.to_string())
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

fn marker(directory: &Path) -> PathBuf {
    directory.join("soter.restoring")
}

#[test]
fn real_nobody_gets_in_before_the_recovery_is_over() {
    let lab = lost_lab();
    let port = free_port();
    let port_text = port.to_string();
    let localhost = Path::new("127.0.0.1");
    let target = lab.root.join("held");
    // A replay that takes an hour, so that one can look at it.
    let held = ["--port", &port_text, "--set", "recovery_min_apply_delay=1h"];
    let mut restore = lab.start(&lab.start_arguments("held", &held));
    wait_until("the server accepts connections", || {
        assert_eq!(restore.try_wait(), None);
        ask(&lab, &target, port, "postgres").is_ok()
    })
    .unwrap();
    assert_eq!(ask(&lab, &target, port, "postgres").unwrap().trim(), "1", "one row is delayed");
    let refused = ask(&lab, &target, port, "app").unwrap_err();
    assert!(refused.contains("no pg_hba.conf entry"), "{refused}");
    let refused = ask(&lab, localhost, port, "postgres").unwrap_err();
    assert!(refused.contains("no pg_hba.conf entry"), "{refused}");

    let lock_file = fs::read_to_string(target.join("postmaster.pid")).unwrap();
    let server = lock_file.lines().next().unwrap().parse().unwrap();
    restore.signal(Signal::Interrupt);
    let ended = restore.wait_timeout(LONG).unwrap();
    let said = text(&ended.stderr);
    assert_eq!(ended.status, Status::Exited(3), "{said}");
    assert!(said.contains("interrupted; the restored server is stopped"), "{said}");
    assert!(!is_running(server), "the server goes on");
    assert!(marker(&target).exists(), "the directory does not say that it is unfinished");
    lab.fails(&lab.start_arguments("held", &[]), 2, "an unfinished restore is in it");

    let (back, said) = lab.recover("back", &["--port", &port_text]);
    assert!(!marker(back.data_directory()).exists());
    assert_eq!(said["started"]["port"], port);
    assert_eq!(said["started"]["timeline"], 2);
    assert_eq!(said["started"]["canary"]["last_at"], "2026-11-23T08:00:00Z");
    assert!(said["bytes_read"].as_u64().unwrap() > 0);
    let phases = said["started"]["phases"].as_array().unwrap();
    let seconds: f64 = phases.iter().map(|phase| phase["seconds"].as_f64().unwrap()).sum();
    assert!((seconds - said["started"]["rto_seconds"].as_f64().unwrap()).abs() < 0.01, "{said}");
    let of_app = || ask(&lab, localhost, port, "app");
    // The server reads its rules a moment after it was told to.
    wait_until("the restored rules hold", || of_app().is_ok()).unwrap();
    assert_eq!(of_app().unwrap().trim(), "2");
    let auto = fs::read_to_string(back.data_directory().join("postgresql.auto.conf")).unwrap();
    assert!(!auto.lines().any(|line| line.starts_with("recovery_target")), "{auto}");
}

#[test]
fn real_a_server_that_does_not_come_back_is_stopped_and_explained() {
    let lab = lost_lab();
    let start = |name: &str, more: &[&str]| lab.start_arguments(name, more);
    lab.fails(&start("locale", &["--set", "lc_messages=nowhere"]), 3, "lc_messages");
    assert!(marker(&lab.root.join("locale")).exists());
    // Nobody of that name: the server runs, but not for us.
    lab.fails(&start("role", &["--role", "nobody"]), 3, "name a superuser of the cluster: --role");
    let lock_file = lab.root.join("role/postmaster.pid");
    assert!(!lock_file.exists(), "the server goes on");
    lab.fails(&start("nowhere", &["--bin-dir", "/nowhere"]), 2, "cannot start /nowhere/postgres");
    let deep = format!("{}/{}", lab.path("sockets"), "x".repeat(100));
    lab.fails(&start("nowhere", &["--socket-dir", &deep]), 2, "longer than such a path may be");
    // Everything that is in the way is said at once.
    let both = lab.soter(&start("locale", &["--bin-dir", "/nowhere"]));
    let said = text(&both.stderr);
    assert_eq!(both.status, Status::Exited(2), "{said}");
    assert!(said.contains("2 things are in the way, nothing was written"), "{said}");
    assert!(said.contains("is not empty") && said.contains("/nowhere/postgres"), "{said}");
    lab.fails(&start("nowhere", &["--owner", "no such user"]), 2, "there is no user");
    let forecast = lab.ok(&start("nowhere", &["--dry-run"]));
    let forecast: serde_json::Value = serde_json::from_str(&forecast).unwrap();
    let bytes = |value: &serde_json::Value| value.as_u64().unwrap();
    assert!(bytes(&forecast["forecast"]["measured_bytes"]) > 1 << 20, "{forecast}");
    assert!(forecast["forecast"]["read_seconds"].as_f64().unwrap() > 0.0, "{forecast}");
    assert!(!lab.root.join("nowhere").exists(), "something was written");
    // A data directory too deep for a socket gets one elsewhere.
    let long = "x".repeat(90);
    let (_back, said) = lab.recover(&long, &[]);
    let sockets = said["started"]["socket_directory"].as_str().unwrap();
    assert!(!sockets.contains(&long), "{sockets}");
    let mode = fs::metadata(sockets).unwrap().permissions().mode();
    assert_eq!(mode & 0o777, 0o700);
    fs::remove_dir_all(sockets).unwrap();
}

/// A machine on which the locales of the original were never made.
#[test]
fn real_a_machine_without_the_locales_is_told_before_anything_is_written() {
    let cluster = TestCluster::initdb(&["--wal-segsize=1", "--locale=C.UTF-8"]).unwrap();
    let lines = Lab::wal_lines(cluster.directory(), "asynchronous");
    let lab = Lab::around(cluster, &lines);
    let agent = lab.streaming_agent();
    lab.ok(&["backup", "orders"]);
    lab.wait_durable(&agent);
    assert_eq!(agent.stop(), 0);
    let (url, identity, target) =
        (lab.url(), lab.path("keys/operator-1.key"), lab.path("restored"));
    let restore = ["restore", "--vault", &url, "--identity", &identity, "--target-dir", &target];
    let programs = lab.root.join("programs");
    fs::create_dir(&programs).unwrap();
    let locale = programs.join("locale");
    let mut file = fs::File::create(&locale).unwrap();
    std::io::Write::write_all(&mut file, b"#!/bin/sh\necho C\necho POSIX\n").unwrap();
    drop(file);
    fs::set_permissions(&locale, fs::Permissions::from_mode(0o755)).unwrap();
    let path = format!("{}:/usr/bin:/bin", programs.display());
    let done = lab.soter_with(("PATH", &path), &restore);
    let said = text(&done.stderr);
    assert_eq!(done.status, Status::Exited(2), "{said}");
    assert!(said.contains("lacks locales that the cluster was made with: C.UTF-8"), "{said}");
    assert!(!Path::new(&target).exists(), "something was written");
    lab.ok(&restore);
}

#[test]
fn real_tablespaces_get_new_places() {
    let mut lab = Lab::archiving();
    let (old, kept) = (lab.root.join("old space"), lab.root.join("kept"));
    for place in [&old, &kept] {
        fs::create_dir(place).unwrap();
        hand_over(place, lab.cluster.owner()).unwrap();
    }
    for (name, place) in [("mapped", &old), ("kept", &kept)] {
        let make = format!("CREATE TABLESPACE {name} LOCATION '{}'", place.display());
        lab.cluster.psql(&make).unwrap();
        let fill = format!(
            "CREATE TABLE t_{name} (n int PRIMARY KEY USING INDEX TABLESPACE {name}) \
             TABLESPACE {name}; INSERT INTO t_{name} SELECT generate_series(1, 5000)"
        );
        lab.cluster.psql(&fill).unwrap();
    }
    // As if its indexes had been built with another version of the library that sorts.
    let make = "CREATE DATABASE sorted TEMPLATE template0 LOCALE_PROVIDER icu ICU_LOCALE 'en'";
    let has_icu = match lab.cluster.psql(make) {
        Ok(_) => true,
        Err(error) => {
            // Not every build can, and 14 does not know the words.
            let said = error.to_string();
            assert!(said.contains("ICU is not supported") || said.contains("not recognized"));
            false
        }
    };
    let other = "UPDATE pg_database SET datcollversion = '0' WHERE datname = 'sorted'";
    if has_icu {
        lab.cluster.psql(other).unwrap();
    }
    lab.ok(&["backup", "orders"]);
    lab.cluster.psql("INSERT INTO t_mapped VALUES (0); INSERT INTO t_kept VALUES (0)").unwrap();
    lab.wait_archived();
    lab.cluster.kill().unwrap();
    fs::remove_dir_all(lab.cluster.data_directory()).unwrap();

    // The old places are not empty; what was forgotten there is not touched.
    let new = lab.path("new space");
    let mapping = format!("{}={new}", old.display());
    let arguments = |name: &str, more: &[&str]| lab.start_arguments(name, more);
    lab.fails(&arguments("refused", &["--tablespace", &mapping]), 2, "kept is not empty");
    lab.fails(&arguments("refused", &["--tablespace", "x=/y"]), 2, "means no tablespace");
    assert!(!lab.root.join("refused").exists(), "something was written");
    fs::remove_dir_all(&kept).unwrap();
    let old_files = files_named(&old, |_| true);
    let (mut back, said) = lab.recover("back", &["--tablespace", &mapping]);
    let otherwise = said["started"]["sorts_otherwise"].as_array().unwrap();
    assert_eq!(otherwise.len(), usize::from(has_icu), "{said}");
    assert!(otherwise.iter().all(|database| database == "sorted"), "{said}");
    for name in ["mapped", "kept"] {
        let count = format!("SELECT count(*) FROM t_{name}");
        assert_eq!(back.psql(&count).unwrap(), "5001", "{name}");
    }
    let places =
        "SELECT pg_tablespace_location(oid) FROM pg_tablespace WHERE oid > 9999 ORDER BY oid";
    let kept = kept.display().to_string();
    assert_eq!(back.psql(places).unwrap(), format!("{new}\n{kept}"));
    assert_eq!(files_named(&old, |_| true), old_files, "the original's files were touched");
    assert_eq!(files_named(Path::new(&new), |name| name == "soter.restoring"), 0);
    let check = back.client("pg_amcheck").args(["--install-missing", "--heapallindexed", "-a"]);
    output_of("pg_amcheck", check).unwrap();
    back.stop(Shutdown::Fast).unwrap();
    let check = back.server_program("pg_checksums").args(["--check", "-D"]);
    output_of("pg_checksums", check.arg(back.data_directory())).unwrap();
}
