//! A cluster has several lives: lost, restored, adopted, lost again.

use std::fs;
use std::path::Path;

use serde_json::Value;
use soter_postgres::testing::{Shutdown, TestCluster, wait_until};

use crate::lab::Lab;

fn parsed(said: &str) -> Value {
    serde_json::from_str(said).unwrap()
}

/// Restores into a new directory and starts it; it waits to be promoted.
fn restored(lab: &Lab, name: &str, more: &[&str]) -> TestCluster {
    let (url, identity, target) = (lab.url(), lab.path("keys/operator-1.key"), lab.path(name));
    let restore = ["--json", "restore", "--vault", &url, "--identity", &identity, "--target-dir"];
    let said = parsed(&lab.ok(&[&restore[..], &[&target], more].concat()));
    let mut cluster = TestCluster::over(Path::new(&target)).unwrap();
    cluster.start().unwrap();
    let end = said["end"].as_str().unwrap();
    let state = "SELECT pg_get_wal_replay_pause_state(), pg_last_wal_replay_lsn()";
    wait_until("the replay ends", || {
        let state = cluster.psql(state).unwrap();
        state == format!("not paused|{end}") || state.starts_with("paused|")
    })
    .unwrap();
    cluster
}

fn promote(cluster: &TestCluster) {
    cluster.psql("SELECT pg_promote()").unwrap();
    assert_eq!(cluster.psql("SELECT pg_is_in_recovery()").unwrap(), "f");
}

fn rows(cluster: &TestCluster) -> String {
    cluster.psql("SELECT string_agg(life, ' ' ORDER BY life) FROM t").unwrap()
}

/// The incarnations of the backups that are there, oldest first, without repetition.
fn lives(lab: &Lab) -> Vec<String> {
    let listed = parsed(&lab.ok(&["--json", "backups", "orders"]));
    let listed = listed.get("backups").unwrap_or(&listed);
    let lives = listed.as_array().unwrap().iter().map(|row| row["incarnation"].as_str().unwrap());
    let mut lives: Vec<String> = lives.map(str::to_owned).collect();
    lives.dedup();
    lives
}

#[test]
fn real_a_restored_cluster_is_adopted_protected_and_lost_again() {
    let waits = "synchronous_standby_names = 'soter_orders'";
    let settings = [waits, "archive_mode = on", "archive_command = '/bin/true'"];
    let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    cluster.configure(&settings).unwrap();
    let lines = Lab::wal_lines(cluster.directory(), "synchronous");
    let mut lab = Lab::around(cluster, &lines);
    let mut first_agent = lab.streaming_agent();
    lab.cluster.psql("CREATE TABLE t (life text)").unwrap();
    lab.ok(&["backup", "orders"]);
    lab.cluster.psql("INSERT INTO t VALUES ('first')").unwrap();
    lab.cluster.kill().unwrap();
    fs::remove_dir_all(lab.cluster.data_directory()).unwrap();

    // The agent is still there, and waits for its server.
    let second = restored(&lab, "second", &[]);
    let gone = std::mem::replace(&mut lab.cluster, second);
    lab.write_plan("soter.yaml", &lines);
    lab.fails(&["adopt", "orders"], 2, "still in recovery");
    promote(&lab.cluster);
    assert_eq!(lab.cluster.psql("SHOW archive_mode").unwrap(), "off");
    lab.fails(&["wal", "push", "pg_wal/00000002.history"], 2, "not in the cluster's pg_wal");
    let adopted = parsed(&lab.ok(&["--json", "adopt", "orders", "--configure"]));
    assert_eq!(first_agent.ended(), 4, "{}", first_agent.log());
    let first = lives(&lab).pop().unwrap();
    assert_eq!(adopted["replaced"], first.as_str());
    let set_again = format!("ALTER SYSTEM SET {waits}");
    assert_eq!(adopted["afterwards"], serde_json::json!([set_again]));
    assert_eq!(adopted["needs_restart"], true);
    lab.cluster.stop(Shutdown::Fast).unwrap();
    lab.cluster.start().unwrap();
    let shown = lab.cluster.psql("SHOW archive_mode; SHOW archive_command").unwrap();
    assert_eq!(shown, "on\n/bin/true");
    assert_eq!(lab.cluster.psql("SHOW recovery_target_timeline").unwrap(), "latest");
    let again = parsed(&lab.ok(&["--json", "adopt", "orders"]));
    assert_eq!(
        (&again["incarnation"], &again["replaced"]),
        (&adopted["incarnation"], &Value::Null)
    );

    let agent = lab.streaming_agent();
    lab.wait(&agent, "it makes a backup of the new life", |_| {
        lives(&lab).last().map(String::as_str) == adopted["incarnation"].as_str()
    });
    assert_eq!(lives(&lab), [first.as_str(), adopted["incarnation"].as_str().unwrap()]);
    lab.cluster.psql(&set_again).unwrap();
    lab.cluster.psql("SELECT pg_reload_conf()").unwrap();
    lab.cluster.psql("INSERT INTO t VALUES ('second')").unwrap();
    lab.cluster.kill().unwrap();
    agent.kill();
    fs::remove_dir_all(lab.root.join("state")).unwrap();

    let third = restored(&lab, "third", &[]);
    assert_eq!(rows(&third), "first second");
    promote(&third);
    assert!(third.data_directory().join("pg_wal/00000003.history").exists());
    // What was before the adoption is there as it was.
    assert_eq!(rows(&restored(&lab, "back", &["--incarnation", &first])), "first");

    // The life that is about to be cut off is still there.
    let directory = lab.path("third");
    let words = ["adopt", "orders", "--data-dir", &directory];
    lab.fails(&words, 2, "the store's present cluster is still there");
    lab.ok(&[&words[..], &["--take-over"]].concat());
    lab.fails(&["adopt", "orders"], 2, "an earlier life");
    drop((third, gone));
}

#[test]
fn real_a_cluster_without_an_agent_is_adopted_with_a_backup_at_once() {
    let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    let root = cluster.directory().join("soter").display().to_string();
    let push = format!("archive_command = '{root}/soter --plan {root}/soter.yaml wal push %p'");
    cluster.configure(&["archive_mode = on", &push]).unwrap();
    let mut lab = Lab::around(cluster, "");
    lab.cluster.psql("CREATE TABLE t AS SELECT 'first' AS life").unwrap();
    lab.ok(&["backup", "orders"]);
    let second = restored(&lab, "second", &["--to", "immediate"]);
    let first = std::mem::replace(&mut lab.cluster, second);
    lab.write_plan("soter.yaml", "");
    promote(&lab.cluster);
    lab.ok(&["adopt", "orders", "--configure"]);
    lab.cluster.stop(Shutdown::Fast).unwrap();
    lab.cluster.start().unwrap();
    lab.ok(&["adopt", "orders", "--backup"]);
    lab.cluster.psql("INSERT INTO t VALUES ('second')").unwrap();
    lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
    wait_until("the WAL is archived", || {
        let last = "SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1048576)
                    FROM pg_stat_archiver";
        lab.cluster.psql(last).unwrap() == "t"
    })
    .unwrap();
    // The original still runs, and must not write into the new history.
    let archived = "SELECT count(*) FROM pg_stat_archiver WHERE last_failed_wal > ''";
    first.psql("INSERT INTO t VALUES ('of the original')").unwrap();
    first.psql("SELECT pg_switch_wal()").unwrap();
    wait_until("its archiver is refused", || first.psql(archived).unwrap() == "1").unwrap();
    let third = restored(&lab, "third", &[]);
    assert_eq!(rows(&third), "first second");
}
