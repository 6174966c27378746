//! A restore with a name: cut off anywhere, it is taken up, and nothing is done twice.

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::{Value, json};
use soter_postgres::restore::start::running_in;
use soter_postgres::testing::{Shutdown, output_of, wait_until};
use soter_world::exec::{Child, Signal, is_running};
use soter_world::sim::{SeededRandom, seeds};
use soter_world::{Clock, OsDisk, SystemClock};

use crate::lab::{Lab, text};

const NAME: &str = "loss-20300102-0304-abcd/back";

/// A store that is lost, and where it comes back.
pub(crate) struct Lost {
    pub(crate) lab: Lab,
    pub(crate) directory: PathBuf,
}

impl Lost {
    /// With 1,000 rows in the backup and 500 behind it.
    pub(crate) fn new() -> Self {
        let mut lab = Lab::archiving();
        let make =
            "CREATE TABLE t (n int PRIMARY KEY); INSERT INTO t SELECT generate_series(1, 1000)";
        lab.cluster.psql(make).unwrap();
        lab.ok(&["backup", "orders"]);
        lab.cluster.psql("INSERT INTO t SELECT generate_series(1001, 1500)").unwrap();
        lab.wait_archived();
        lab.cluster.kill().unwrap();
        fs::remove_dir_all(lab.cluster.data_directory()).unwrap();
        let directory = lab.root.join("back");
        Self { lab, directory }
    }

    fn arguments(&self, more: &[&str]) -> Vec<String> {
        self.lab.start_arguments("back", &[&["--once", NAME], more].concat())
    }

    fn restore(&self) -> Value {
        serde_json::from_str(&self.lab.ok(&self.arguments(&[]))).unwrap()
    }

    fn begin(&self, more: &[&str]) -> Child {
        self.lab.start(&self.arguments(more))
    }

    pub(crate) fn server(&self) -> Option<u32> {
        running_in(&OsDisk, &self.directory).map(|(server, _)| server.process)
    }

    pub(crate) fn psql(&self, sql: &str) -> String {
        let (_, doors) = running_in(&OsDisk, &self.directory).expect("its server runs");
        let psql = self.lab.cluster.client("psql").env("PGHOST", &doors.socket_directory);
        let psql = psql.env("PGPORT", doors.port.to_string()).args(["-XAtqc", sql]);
        output_of("psql", psql).unwrap().trim().to_owned()
    }

    fn rows(&self) -> String {
        self.psql("SELECT count(*) FROM t")
    }

    fn stage(&self) -> Option<String> {
        let restoring: Value = read(&self.directory.join("soter.restoring"))?;
        restoring["stage"].as_str().map(str::to_owned)
    }

    /// As if it had been cut off right after the promotion, before anything said that it is done.
    fn back_to_promoting(&self) {
        let restored = self.directory.join("soter.restored");
        let done: Value = read(&restored).unwrap();
        let restoring = json!({
            "once": done["once"], "store": done["store"], "vault": done["vault"], "to": done["to"],
            "stage": "promoting", "end_reached": done["report"]["started"]["end_reached"],
            "process": 1, "start_ticks": 0, "boot": "an earlier one",
        });
        put(&self.directory.join("soter.restoring"), &restoring);
        fs::remove_file(restored).unwrap();
    }

    /// Ends its server as a machine that loses its power does.
    pub(crate) fn kill_server(&self) {
        let Some((server, _)) = running_in(&OsDisk, &self.directory) else { return };
        server.signal(Signal::Kill);
        wait_until("the server is gone", || !server.is_alive()).unwrap();
        wait_until("all of it is gone", || {
            fs::read_dir("/proc").unwrap().flatten().all(|entry| {
                fs::read_link(entry.path().join("cwd")).ok() != Some(self.directory.clone())
            })
        })
        .unwrap();
    }
}

impl Drop for Lost {
    fn drop(&mut self) {
        if let Some((server, _)) = running_in(&OsDisk, &self.directory) {
            server.signal(Signal::Kill);
        }
    }
}

fn read(path: &Path) -> Option<Value> {
    serde_json::from_slice(&fs::read(path).ok()?).ok()
}

fn put(path: &Path, value: &Value) {
    let mut file = fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, value.to_string().as_bytes()).unwrap();
}

/// The file that no restore replaces once it is there: its number, which a later one may be given again,
/// and its times.
fn birth(lost: &Lost) -> (u64, i64, i64) {
    use std::os::unix::fs::MetadataExt;
    let file = fs::metadata(lost.directory.join("PG_VERSION")).unwrap();
    (file.ino(), file.ctime(), file.ctime_nsec())
}

#[test]
fn real_what_is_done_is_not_done_again() {
    let lost = Lost::new();
    let first = lost.restore();
    assert_eq!(lost.rows(), "1500");
    assert!(first["started"]["last_commit_at"].is_string(), "{first}");
    let (born, server) = (birth(&lost), lost.server());
    lost.psql("INSERT INTO t VALUES (0)");
    let again = lost.restore();
    assert_eq!((birth(&lost), lost.server()), (born, server), "{again}");
    assert_eq!(again["started"]["end_reached"], first["started"]["end_reached"]);
    // The machine crashed: the server comes up again, with what was written to it.
    lost.kill_server();
    let again = lost.restore();
    assert_eq!(lost.rows(), "1501");
    assert_eq!(
        (birth(&lost), again["started"]["pid"].as_u64()),
        (born, lost.server().map(u64::from))
    );
    // Another moment by the same name, or another name, is another restore.
    let refused = |arguments: &[String], says: &str| lost.lab.fails(arguments, 2, says);
    refused(&lost.arguments(&["--to", "immediate"]), "has brought back to latest");
    let other = lost.lab.start_arguments("back", &["--once", "another"]);
    refused(&other, "is not empty");
    assert_eq!(lost.rows(), "1501");
}

#[test]
fn real_what_may_have_been_written_to_is_finished_not_made_anew() {
    let lost = Lost::new();
    lost.restore();
    let (born, server) = (birth(&lost), lost.server());
    lost.psql("INSERT INTO t VALUES (0)");
    // Cut off when clients had got in; its server goes on.
    lost.back_to_promoting();
    let again = lost.restore();
    assert_eq!((birth(&lost), lost.server()), (born, server), "{again}");
    assert_eq!(lost.stage(), None);
    // The same, and the machine with it.
    lost.back_to_promoting();
    lost.kill_server();
    let again = lost.restore();
    assert_eq!((birth(&lost), lost.rows().as_str()), (born, "1501"), "{again}");
    assert_eq!(again["started"]["phases"][0]["name"], "bring up again");
    assert_eq!(lost.stage(), None);
    // A mark that nobody of this name made.
    put(&lost.directory.join("soter.restoring"), &json!({}));
    lost.lab.fails(&lost.arguments(&[]), 2, "an unfinished restore is in it");
    assert_eq!(lost.rows(), "1501");
}

#[test]
fn real_what_nobody_got_into_is_made_anew() {
    let lost = Lost::new();
    let held = ["--set", "recovery_min_apply_delay=1h"];
    let cut_off = || {
        let child = lost.begin(&held);
        wait_until("it replays", || {
            assert_eq!(child.try_wait(), None);
            lost.stage().as_deref() == Some("recovering") && lost.server().is_some()
        })
        .unwrap();
        // A second one by the same name does not come into its way.
        lost.lab.fails(&lost.arguments(&[]), 3, "still works in");
        let process = child.id();
        child.signal(Signal::Kill);
        wait_until("it is gone", || !is_running(process)).unwrap();
        birth(&lost)
    };
    // Its server goes on, and waits for WAL that nobody brings.
    let born = cut_off();
    assert!(lost.server().is_some());
    let said = lost.lab.soter(&lost.arguments(&[]));
    assert!(text(&said.stderr).contains("nobody had got in: it is emptied"), "{said:?}");
    assert_eq!(lost.rows(), "1500");
    assert_ne!(birth(&lost), born);
    end_and_remove(&lost);

    // The same with the machine, and with a mark that says it was about to be promoted.
    for is_alive in [false, true] {
        cut_off();
        let path = lost.directory.join("soter.restoring");
        let mut restoring = read(&path).unwrap();
        restoring["stage"] = json!("promoting");
        put(&path, &restoring);
        if !is_alive {
            lost.kill_server();
        }
        let said = lost.lab.soter(&lost.arguments(&[]));
        let words = text(&said.stderr);
        assert!(words.contains("its server had not been promoted: it is emptied"), "{words}");
        assert_eq!((lost.rows().as_str(), lost.stage()), ("1500", None));
        end_and_remove(&lost);
    }
}

fn end_and_remove(lost: &Lost) {
    lost.kill_server();
    fs::remove_dir_all(&lost.directory).unwrap();
}

#[test]
fn real_a_restore_killed_at_any_moment_is_taken_up() {
    let lost = Lost::new();
    let begun = SystemClock.monotonic();
    lost.restore();
    let takes_ms = u64::try_from((SystemClock.monotonic() - begun).as_millis()).unwrap();
    end_and_remove(&lost);
    for seed in seeds(3) {
        let random = SeededRandom::new(seed);
        for attempt in 0..2 {
            let child = lost.begin(&[]);
            let until = SystemClock.monotonic()
                + std::time::Duration::from_millis(random.below(takes_ms + takes_ms / 4));
            while SystemClock.monotonic() < until {
                SystemClock.sleep(std::time::Duration::from_millis(1));
            }
            let stage = lost.stage();
            child.kill();
            drop(child.wait());
            if random.chance(50) {
                lost.kill_server();
            }
            println!("seed {seed}, attempt {attempt}: killed at {stage:?}");
        }
        let said = lost.restore();
        assert_eq!(lost.rows(), "1500", "seed {seed}: {said}");
        assert_eq!(lost.psql("SELECT pg_is_in_recovery()"), "f", "seed {seed}");
        assert_eq!((lost.stage(), said["store"].as_str()), (None, Some("orders")), "seed {seed}");
        end_and_remove(&lost);
    }
}

#[test]
fn real_a_place_where_another_answers_is_refused_before_anything_is_written() {
    let mut lab = Lab::archiving();
    lab.ok(&["backup", "orders"]);
    lab.wait_archived();
    let sockets = lab.cluster.directory().display().to_string();
    let taken = lab.start_arguments("back", &["--socket-dir", &sockets]);
    lab.fails(&taken, 2, "another server answers at");
    assert!(!lab.root.join("back").exists(), "something was written");
    lab.cluster.stop(Shutdown::Fast).unwrap();
}
