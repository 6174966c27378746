//! The demonstration as a stranger runs it, small: nothing is lost, everything compares equal, and
//! nothing is left of it, however it ends.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use serde_json::Value;
use soter_postgres::testing::{Turn, wait_until};
use soter_world::exec::{Child, Command, Output, Signal, Status};

/// Longer than it takes in a debug build on a busy machine.
const TIMEOUT: Duration = Duration::from_secs(280);

/// A demonstration that runs.
struct Demo {
    child: Child,
    parent: tempfile::TempDir,
    /// It starts servers of its own.
    _turn: Turn,
}

impl Demo {
    /// Starts one in a directory of its own.
    fn start(arguments: &[&str]) -> Self {
        let turn = Turn::wait().unwrap();
        let parent = tempfile::tempdir().unwrap();
        // The server's user has to get through.
        fs::set_permissions(parent.path(), fs::Permissions::from_mode(0o755)).unwrap();
        let said = fs::File::create(parent.path().join("said")).unwrap();
        let demo = Command::new(env!("CARGO_BIN_EXE_soter"))
            .args(["demo", "--scale=1", "--load-seconds=1", "--json", "--directory"])
            .arg(parent.path())
            .args(arguments)
            .stderr(Output::File(said));
        Self { child: demo.spawn().unwrap(), parent, _turn: turn }
    }

    fn said(&self) -> String {
        fs::read_to_string(self.parent.path().join("said")).unwrap()
    }

    /// Waits until an act has begun.
    fn wait_for_act(&self, number: u32) {
        let heading = format!("\n{number}  ");
        let reached = wait_until("the act begins", || {
            assert!(self.child.try_wait().is_none(), "it ended: {}", self.said());
            self.said().contains(&heading)
        });
        assert!(reached.is_ok(), "{}", self.said());
    }

    /// What is left of it: its directory, and who works there.
    fn left(&self) -> Vec<PathBuf> {
        let entries = fs::read_dir(self.parent.path()).unwrap().flatten().map(|entry| entry.path());
        let mut left: Vec<PathBuf> = entries.filter(|path| !path.ends_with("said")).collect();
        left.extend(working_below(self.parent.path()));
        left
    }
}

/// The processes that work below a directory, as directories of `/proc`.
fn working_below(directory: &Path) -> Vec<PathBuf> {
    let directory = directory.canonicalize().unwrap();
    let processes = fs::read_dir("/proc").unwrap().flatten().map(|entry| entry.path());
    let works_there = |process: &PathBuf| {
        fs::read_link(process.join("cwd")).is_ok_and(|place| place.starts_with(&directory))
    };
    processes.filter(works_there).collect()
}

#[test]
fn real_demo_loses_nothing_and_leaves_nothing() {
    let mut demo = Demo::start(&[]);
    let finished = demo.child.wait_timeout(TIMEOUT).expect("it ends");
    assert_eq!(finished.status, Status::Exited(0), "{}", demo.said());
    assert_eq!(demo.left(), Vec::<PathBuf>::new());

    let report: Value = serde_json::from_slice(&finished.stdout).unwrap();
    assert_eq!(report["differences"], Value::Array(Vec::new()));
    for commits in [&report["commits"], &report["machine"]["commits"], &report["table"]["commits"]]
    {
        assert!(commits["acknowledged"].as_u64().unwrap() > 100, "{commits}");
        assert_eq!(commits["recovered"], commits["acknowledged"]);
        assert_eq!(commits["lost"], 0);
    }
    let positive = |value: &Value| value.as_f64().is_some_and(|number| number > 0.0);
    let machine = &report["machine"];
    for measured in ["rpo_by_canary_seconds", "outage_seconds"] {
        assert!(machine[measured].as_f64().is_some_and(|it| it >= 0.0), "{measured}: {machine}");
    }
    let table = &report["table"];
    assert_eq!(table["is_equal"], true);
    assert_eq!(table["rows"], table["rows_recovered"]);
    // All that came back from the first disaster was in the table that was lost in the second.
    assert!(table["rows"].as_u64() > report["machine"]["commits"]["recovered"].as_u64());
    for recovery in [&report["machine"]["recovery"], &table["recovery"]] {
        assert!(recovery["bytes_read"].as_u64().unwrap() > 0, "{recovery}");
        assert!(positive(&recovery["rto_seconds"]), "{recovery}");
    }
    let protection = &report["protection"];
    for latency in [&protection["latency_without"], &protection["latency_with"]] {
        assert!(["median_ms", "p99_ms"].iter().all(|name| positive(&latency[*name])), "{latency}");
    }
    for stored in ["backup", "wal_segments", "wal_parts"] {
        let bytes = protection[format!("{stored}_stored_bytes")].as_u64();
        assert!(bytes.is_some_and(|bytes| bytes > 0), "{protection}");
    }
    for act in 1..=7 {
        assert!(demo.said().contains(&format!("\n{act}  ")), "{}", demo.said());
    }
}

#[test]
fn real_an_interrupted_demo_leaves_nothing() {
    for act in [2, 4] {
        let mut demo = Demo::start(&[]);
        demo.wait_for_act(act);
        demo.child.signal(Signal::Interrupt);
        let finished = demo.child.wait_timeout(TIMEOUT).expect("it ends");
        let said = demo.said();
        assert_eq!(finished.status, Status::Exited(3), "{said}");
        assert!(said.contains("interrupted; no process is left, and no data"), "{said}");
        assert_eq!(finished.stdout, b"");
        assert_eq!(demo.left(), Vec::<PathBuf>::new(), "in act {act}");
    }
}

/// Its guard outlives it.
#[test]
fn real_a_killed_demo_leaves_nothing() {
    let mut demo = Demo::start(&[]);
    demo.wait_for_act(5);
    assert!(!working_below(demo.parent.path()).is_empty());
    demo.child.signal(Signal::Kill);
    assert_eq!(demo.child.wait_timeout(TIMEOUT).unwrap().status, Status::Signaled(9));
    let gone = wait_until("nothing is left", || demo.left().is_empty());
    assert!(gone.is_ok(), "{:?}", demo.left());
}

#[test]
fn a_machine_without_postgresql_is_told_what_to_install() {
    let nothing = tempfile::tempdir().unwrap();
    let demo = Command::new(env!("CARGO_BIN_EXE_soter")).args(["demo", "--directory"]);
    let demo = demo.arg(nothing.path()).env("SOTER_PG_BIN", nothing.path());
    let finished = demo.run(TIMEOUT).unwrap();
    assert_eq!(finished.status, Status::Exited(2));
    let said = String::from_utf8(finished.stderr).unwrap();
    assert!(
        said.contains("needs PostgreSQL 14 to 18") && said.contains("apt-get install"),
        "{said}"
    );
    assert_eq!(fs::read_dir(nothing.path()).unwrap().count(), 0);
}

/// It removes what it has made, and so it must have made it.
#[test]
fn the_guard_touches_no_directory_that_was_there() {
    let there = tempfile::tempdir().unwrap();
    let kept = there.path().join("kept");
    fs::File::create(&kept).unwrap();
    let guard = Command::new(env!("CARGO_BIN_EXE_soter")).args(["demo", "--guard"]);
    let finished = guard.arg(there.path()).run(TIMEOUT).unwrap();
    assert_eq!(finished.status, Status::Exited(3));
    assert!(kept.exists());
}
