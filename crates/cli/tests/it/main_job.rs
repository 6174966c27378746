//! The main job with the binary itself: protect a cluster, lose it, bring it back.

use std::fs;
use std::path::Path;

use crate::lab::Lab;

#[test]
fn real_a_cluster_is_protected_lost_and_brought_back() {
    let mut lab = Lab::archiving();
    let identity = lab.path("keys/operator-1.key");
    let url = lab.url();
    lab.fails(&["backups", "--vault", &url, "--identity", &identity], 1, "has no backup");

    lab.cluster.psql("CREATE TABLE t (id int PRIMARY KEY)").unwrap();
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 1000)").unwrap();
    lab.ok(&["backup", "orders"]);
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1001, 20000)").unwrap();
    let increment: serde_json::Value =
        serde_json::from_str(&lab.ok(&["--json", "backup", "orders"])).unwrap();
    assert_eq!(increment["kind"], "increment");
    lab.cluster.psql("INSERT INTO t SELECT generate_series(20001, 30000)").unwrap();
    lab.wait_archived();
    let listed = lab.ok(&["backups", "orders"]);
    let kinds: Vec<_> = listed.lines().filter_map(|line| line.split_whitespace().nth(1)).collect();
    assert_eq!(kinds[..3], ["kind", "full", "increment"], "{listed}");
    assert!(listed.contains("\nrecoverable: "), "{listed}");
    lab.cluster.kill().unwrap();
    fs::remove_dir_all(lab.cluster.data_directory()).unwrap();

    let target = lab.path("restored");
    let restore = ["restore", "--vault", &url, "--identity", &identity, "--target-dir", &target];
    lab.fails(&[&restore[..], &["--to", "time:2026-01-01 08:00"]].concat(), 2, "has no zone");
    lab.fails(&[&restore[..], &["--to", "lsn:FF/0"]].concat(), 2, "nearest point is");
    lab.fails(&["restore", "--target-dir", &target], 2, "only with an operator's key");
    let agent = lab.path("keys/agent.key");
    lab.fails(
        &["restore", "--vault", &url, "--identity", &agent, "--target-dir", &target],
        2,
        "key file",
    );
    assert!(lab.ok(&[&restore[..], &["--dry-run"]].concat()).contains("would restore"));
    assert!(!Path::new(&target).exists(), "nothing was written");
    lab.ok(&restore);
    lab.fails(&restore, 2, "is not empty");

    let (restored, said) = lab.recover("started", &["--to", "latest"]);
    assert_eq!(said["started"]["end_reached"], said["end"], "{said}");
    assert_eq!(restored.psql("SELECT count(*) FROM t").unwrap(), "30000");
    restored.psql("INSERT INTO t VALUES (0)").unwrap();
    assert_eq!(restored.psql("SHOW archive_mode").unwrap(), "off");
}
