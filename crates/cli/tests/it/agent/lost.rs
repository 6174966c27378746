//! The promise itself: a cluster that streams synchronously is killed under load and deleted, with
//! its agent and the agent's spool, and comes back without having lost an acknowledged commit.

use std::collections::BTreeSet;
use std::fs;

use soter_postgres::testing::{Shutdown, TestCluster, output_of};

use super::clients::Clients;
use super::lab;

/// The transactions whose rows a cluster has.
fn transactions(cluster: &TestCluster) -> BTreeSet<u32> {
    let rows = cluster.psql("SELECT DISTINCT xmin::text FROM t").unwrap();
    rows.lines().map(|row| row.parse().unwrap()).collect()
}

/// What the vault has changes while it is looked at: more of it must not look like a gap.
#[test]
fn real_all_of_it_can_be_restored_elsewhere_while_an_agent_stores_more() {
    let lab = lab("asynchronous", &[]);
    let agent = lab.streaming_agent();
    lab.cluster.psql("CREATE TABLE t (client int, n bigint)").unwrap();
    lab.ok(&["backup", "orders"]);
    let clients = Clients::start(&lab, 4);
    clients.wait_for_more(2000);
    for _ in 0..20 {
        lab.ok(&lab.start_arguments("never", &["--to", "latest", "--dry-run"]));
    }
    let counted: i64 = lab.cluster.psql("SELECT count(*) FROM t").unwrap().parse().unwrap();
    lab.wait_durable(&agent);
    let restored = lab.recover("beside", &["--to", "latest"]).0;
    clients.stop();
    let there: i64 = restored.psql("SELECT count(*) FROM t").unwrap().parse().unwrap();
    assert!(there >= counted, "{there} of {counted}");
    assert_eq!(agent.stop(), 0);
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

    let mut restored = lab.recover("restored", &["--to", "latest"]).0;
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
    let (before, said) = lab.recover("before", &["--to", &to, "--exclusive"]);
    assert_eq!(said["started"]["timeline"], 2, "{said}");
    assert_eq!(before.psql("SELECT count(*) FROM precious").unwrap(), "5000");
    assert!(transactions(&before).len() < recovered.len());
}
