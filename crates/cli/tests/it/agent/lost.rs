//! The promise itself: a cluster that streams synchronously is killed under load and deleted, with
//! its agent and the agent's spool, and comes back without having lost an acknowledged commit.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

use soter_postgres::testing::{Shutdown, TestCluster, output_of, wait_until};

use super::clients::Clients;
use super::lab;
use crate::lab::Lab;

/// Restores, starts, waits until the replay is where the restore says it ends, promotes.
pub(super) fn recover(lab: &Lab, name: &str, to: &[&str]) -> TestCluster {
    let (url, identity, target) = (lab.url(), lab.path("keys/operator-1.key"), lab.path(name));
    let restore = ["--json", "restore", "--vault", &url, "--identity", &identity];
    let whither = ["--target-dir", &target, "--to"];
    let said = lab.ok(&[&restore[..], &whither[..], to].concat());
    let said: serde_json::Value = serde_json::from_str(&said).unwrap();
    let end = said["end"].as_str().unwrap();
    let mut restored = TestCluster::over(Path::new(&target)).unwrap();
    restored.start().unwrap();
    let state = "SELECT pg_get_wal_replay_pause_state(), pg_last_wal_replay_lsn()";
    wait_until("the replay ends", || {
        let state = restored.psql(state).unwrap();
        state == format!("not paused|{end}") || state.starts_with("paused|")
    })
    .unwrap();
    restored.psql("SELECT pg_promote()").unwrap();
    assert_eq!(restored.psql("SELECT pg_is_in_recovery()").unwrap(), "f");
    restored
}

/// The transactions whose rows a cluster has.
fn transactions(cluster: &TestCluster) -> BTreeSet<u32> {
    let rows = cluster.psql("SELECT DISTINCT xmin::text FROM t").unwrap();
    rows.lines().map(|row| row.parse().unwrap()).collect()
}

#[test]
fn real_no_acknowledged_commit_is_lost_with_the_machine() {
    let mut lab = lab("synchronous", &["synchronous_standby_names = 'soter_orders'"]);
    let agent = lab.streaming_agent();
    lab.cluster.psql("CREATE TABLE t (client int, n bigint)").unwrap();
    lab.cluster.psql("CREATE TABLE precious AS SELECT generate_series(1, 5000) AS n").unwrap();
    lab.ok(&["backup", "orders"]);
    let clients = Clients::start(&lab, 6);
    clients.wait_for_more(400);
    let dropping = "BEGIN; DROP TABLE precious; SELECT pg_current_xact_id(); COMMIT";
    let dropped_by = lab.cluster.psql(dropping).unwrap();
    clients.wait_for_more(400);
    // Under load; nothing is flushed, switched or asked before.
    lab.cluster.kill().unwrap();
    let acknowledged = clients.stop();
    agent.kill();
    fs::remove_dir_all(lab.cluster.data_directory()).unwrap();
    fs::remove_dir_all(lab.root.join("state")).unwrap();

    let mut restored = recover(&lab, "restored", &["latest"]);
    let recovered = transactions(&restored);
    let lost: Vec<_> = acknowledged.keys().filter(|xid| !recovered.contains(xid)).collect();
    assert!(acknowledged.len() >= 800, "only {} commits", acknowledged.len());
    assert!(lost.is_empty(), "of {} commits these are lost: {lost:?}", acknowledged.len());
    restored.psql("INSERT INTO t VALUES (0, 0)").unwrap();
    let check = restored.client("pg_amcheck").args(["--install-missing", "--heapallindexed", "-a"]);
    output_of("pg_amcheck", check).unwrap();
    restored.stop(Shutdown::Fast).unwrap();
    let check = restored.server_program("pg_checksums").args(["--check", "-D"]);
    output_of("pg_checksums", check.arg(restored.data_directory())).unwrap();

    // The other disaster: just before the transaction that dropped a table. Its lock is held until
    // the promotion lets go of it, so nobody may ask for the table before.
    let to = format!("xid:{dropped_by}");
    let before = recover(&lab, "before", &[&to, "--exclusive"]);
    assert_eq!(before.psql("SELECT count(*) FROM precious").unwrap(), "5000");
    assert!(transactions(&before).len() < recovered.len());
}
