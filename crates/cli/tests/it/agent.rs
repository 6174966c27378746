//! The agent, as the process that users run, on real servers.

mod clients;
mod lost;
mod plan;
mod soak;

use std::time::Duration;

use clients::Clients;
use soter_postgres::agent::Status;
use soter_postgres::lsn::{Lsn, Timeline};
use soter_postgres::testing::{Shutdown, TestCluster, wait_until};
use soter_world::exec::Command;
use soter_world::{Clock, SystemClock};

use crate::lab::{self, Lab};

const FIRST: Timeline = Timeline::FIRST;

/// A lab whose store streams in this mode.
fn lab(mode: &str, settings: &[&str]) -> Lab {
    lab_with(mode, settings, "")
}

/// The same, with more lines in the plan.
fn lab_with(mode: &str, settings: &[&str], more: &str) -> Lab {
    let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    cluster.configure(settings).unwrap();
    let lines = Lab::wal_lines(cluster.directory(), mode) + more;
    Lab::around(cluster, &lines)
}

fn elapsed(since: Duration) -> Duration {
    SystemClock.monotonic() - since
}

#[test]
fn real_wal_arrives_while_the_server_works_and_nothing_when_it_rests() {
    let mut lab = lab("asynchronous", &[]);
    let agent = lab.streaming_agent();
    lab.wait(&agent, "a first backup is there", |status| status.backup.last_id.is_some());
    lab.cluster.pgbench(&["--initialize", "--quiet"]).unwrap();
    lab.cluster.pgbench(&["--client=4", "--time=2"]).unwrap();
    let end = lab.wait_durable(&agent);
    lab.wait(&agent, "whole segments are sealed", |status| {
        status.wal.as_ref().is_some_and(|wal| wal.spooled_segments <= 1)
    });
    let stored = lab.stored_wal(FIRST);
    assert!(stored.end() >= end, "{} {end}", stored.end());
    let count = |sql| lab.cluster.psql(sql).unwrap();
    let transactions: usize = count("SELECT count(*) FROM pgbench_history").parse().unwrap();
    assert!(stored.commits(FIRST).len() >= transactions);

    let objects = lab.wal_objects();
    let before = lab.status().unwrap().wal.unwrap();
    let since = SystemClock.monotonic();
    wait_until("twenty intervals have passed", || elapsed(since) > Duration::from_secs(1)).unwrap();
    assert_eq!(lab.status().unwrap().wal.unwrap().server, before.server, "the server rests");
    assert_eq!(lab.wal_objects(), objects, "nothing new, nothing sent");

    let began = SystemClock.monotonic();
    lab.cluster.stop(Shutdown::Fast).unwrap();
    assert!(elapsed(began) < Duration::from_secs(10), "{:?}", elapsed(began));
    lab.cluster.start().unwrap();
    lab.cluster.psql("CREATE TABLE after_restart AS SELECT 1").unwrap();
    lab.wait_durable(&agent);
    assert_eq!(agent.stop(), 0);
    lab.cluster.psql("INSERT INTO after_restart VALUES (2)").unwrap();
    let agent = lab.streaming_agent();
    let end = lab.wait_durable(&agent);
    assert!(lab.stored_wal(FIRST).end() >= end);
    assert_eq!(agent.stop(), 0);
}

#[test]
fn real_a_segment_is_pushed_beside_the_stream() {
    let lab = lab("asynchronous", &["wal_keep_size = 64MB"]);
    let agent = lab.streaming_agent();
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000)").unwrap();
    let name = lab.cluster.psql("SELECT pg_walfile_name(pg_current_wal_lsn())").unwrap();
    lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
    lab.wait_durable(&agent);
    let file = format!("pg_wal/{name}");
    let stored = || lab.status().unwrap().wal.unwrap().segments;
    lab.wait(&agent, "the segment is sealed", |_| stored() > 0);
    let said = lab.soter(&["wal", "push", &file]);
    assert!(lab::text(&said.stderr).contains("byte for byte"), "{}", lab::text(&said.stderr));
    let stored = lab::files_named(&lab.root.join("vault"), |file| file.starts_with(&name));
    assert_eq!(stored, 1, "it was compared, not stored");
    lab.fails(&["wal", "push", "pg_wal/nonsense"], 2, "not a file of a WAL archive");
    lab.fails(&["wal", "push", "global/pg_control"], 2, "not in the cluster's pg_wal");
    lab.fails(&["wal", "push", "/etc/passwd"], 2, "not in the cluster's pg_wal");

    // Other bytes under the same name, by the agent and without it.
    let path = lab.cluster.data_directory().join(&file);
    let mut bytes = std::fs::read(&path).unwrap();
    bytes[700_000] ^= 1;
    lab::overwrite(&path, &bytes);
    lab.fails(&["wal", "push", &file], 2, "holds another file");
    assert_eq!(agent.stop(), 0);
    lab.fails(&["wal", "push", &file], 2, "holds another file");
    bytes[700_000] ^= 1;
    lab::overwrite(&path, &bytes);
    lab.ok(&["wal", "push", &file]);
}

#[test]
fn real_there_is_one_agent_and_a_store_can_be_let_go() {
    let lab = lab("asynchronous", &["wal_sender_timeout = 3s", "fsync = on"]);
    let agent = lab.streaming_agent();
    assert_eq!(lab.agent().ended(), 4, "the same state directory");
    let other = Lab::wal_lines(lab.cluster.directory(), "asynchronous").replace("/state", "/other");
    lab.write_plan("other.yaml", &other);
    let mut second = lab.agent_of("other.yaml");
    assert_eq!(second.ended(), 4, "the same slot: {}", second.log());
    assert!(second.log().contains("another receiver"), "{}", second.log());
    lab.wait(&agent, "the first one goes on", |status| status.doing.contains("streaming"));

    lab.wait(&agent, "it is protected", |status| status.problems.is_empty());
    let shown = lab.ok(&["status", "orders"]);
    assert!(shown.contains("durable in the vault up to"), "{shown}");
    lab.fails(&["store", "remove", "orders"], 2, "its agent runs");
    assert_eq!(agent.stop(), 0);
    lab.fails(&["status", "orders"], 1, "no agent runs");
    let removed = lab.ok(&["store", "remove", "orders"]);
    assert!(removed.contains("slot soter_orders is dropped"), "{removed}");
    assert_eq!(lab.cluster.psql("SELECT count(*) FROM pg_replication_slots").unwrap(), "0");
    assert!(lab.ok(&["store", "remove", "orders"]).contains("was not there"));
}

#[test]
fn real_an_agent_that_was_superseded_in_the_vault_says_so() {
    let lab = lab("asynchronous", &[]);
    let mut agent = lab.streaming_agent();
    let wal = Lab::wal_lines(lab.cluster.directory(), "asynchronous");
    let other = wal.replace("/state", "/other").replace("wal: {", "wal: { slot: soter_other,");
    lab.write_plan("other.yaml", &other);
    let second = lab.agent_of("other.yaml");
    assert_eq!(agent.ended(), 4, "{}", agent.log());
    assert!(agent.log().contains("was superseded by log entry"), "{}", agent.log());
    assert_eq!(second.stop(), 0, "{}", agent.log());
}

#[test]
fn real_synchronous_commits_wait_for_a_vault_that_is_away() {
    let named = ["synchronous_standby_names = 'soter_orders'", "fsync = on"];
    let lab = lab_with("synchronous", &named, "    canary: { every: 1 s }\n");
    let agent = lab.streaming_agent();
    let age = |status: &Status| status.canary.and_then(|canary| canary.age_seconds);
    lab.wait(&agent, "a canary has arrived", |status| age(status).is_some());
    lab.cluster.psql("CREATE TABLE t (client int, n bigint)").unwrap();
    let clients = Clients::start(&lab, 2);
    clients.wait_for_more(20);
    lab.vault_away(true);
    wait_until("commits hang", || {
        let waiting = "SELECT count(*) FROM pg_stat_activity WHERE wait_event = 'SyncRep'";
        lab.cluster.psql(waiting).unwrap() == "2"
    })
    .unwrap();
    lab.wait(&agent, "it is said why", |status| {
        status.problems.iter().any(|problem| problem.contains("the vault does not take WAL"))
    });
    lab.fails(&["status", "orders"], 1, "is not protected as the plan says");
    lab.wait(&agent, "the loss is measured", |status| age(status).is_some_and(|age| age > 2.5));
    lab.vault_away(false);
    clients.wait_for_more(20);
    lab.wait(&agent, "canaries arrive again", |status| age(status).is_some_and(|age| age < 1.5));
    lab.wait(&agent, "it is protected again", |status| status.problems.is_empty());
    let acknowledged = clients.stop();
    assert_eq!(agent.stop(), 0);
    let stored = lab.stored_wal(FIRST).commits(FIRST);
    assert!(acknowledged.keys().all(|transaction| stored.contains(transaction)));
}

#[test]
fn real_a_server_that_does_not_wait_any_more_is_noticed_while_wal_flows() {
    let lab = lab("synchronous", &["synchronous_standby_names = 'soter_orders'", "fsync = on"]);
    let agent = lab.streaming_agent();
    lab.wait(&agent, "it is protected", |status| status.problems.is_empty());
    let forget = "ALTER SYSTEM SET synchronous_standby_names = ''";
    lab.cluster.psql(forget).unwrap();
    lab.cluster.psql("SELECT pg_reload_conf()").unwrap();
    let status = lab.wait(&agent, "it is noticed", |status| !status.problems.is_empty());
    assert!(status.problems[0].contains("does not name soter_orders"), "{:?}", status.problems);
    assert!(status.doing.contains("streaming"), "{}", status.doing);
    assert_eq!(agent.stop(), 0);
}

#[test]
fn real_a_server_can_stop_although_the_vault_is_away() {
    let mut lab = lab("asynchronous", &[]);
    let agent = lab.streaming_agent();
    lab.wait(&agent, "a first backup is there", |status| status.backup.last_id.is_some());
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) n").unwrap();
    lab.wait_durable(&agent);
    lab.vault_away(true);
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 100000)").unwrap();
    let inserted = lab.cluster.psql("SELECT xmin FROM t WHERE n = 100000").unwrap();
    let inserted: u32 = inserted.parse().unwrap();
    let began = SystemClock.monotonic();
    lab.cluster.stop(Shutdown::Fast).unwrap();
    assert!(elapsed(began) < Duration::from_secs(5), "{:?}", elapsed(began));
    // What was acknowledged is in the spool alone; the agent that knows it is killed.
    agent.kill();
    lab.vault_away(false);
    let agent = lab.agent();
    let is_stored = |status: &Status| status.wal.as_ref().is_some_and(|wal| wal.lag_bytes == 0);
    let status = lab.wait(&agent, "the spool is stored without a server", is_stored);
    let without_server = lab.stored_wal(FIRST);
    assert_eq!(without_server.end(), status.wal.unwrap().received);
    assert!(without_server.commits(FIRST).contains(&inserted));
    lab.cluster.start().unwrap();
    lab.wait(&agent, "it streams again", |status| status.doing.contains("streaming"));
    let end = lab.wait_durable(&agent);
    assert!(lab.status().unwrap().gaps.is_empty());
    assert!(lab.stored_wal(FIRST).end() >= end);
    assert_eq!(agent.stop(), 0);
}

#[test]
fn real_a_server_can_stop_although_vault_and_spool_take_nothing_more() {
    let mut lab = lab("asynchronous", &[]);
    let agent = lab.streaming_agent();
    lab.wait(&agent, "a first backup is there", |status| status.backup.last_id.is_some());
    lab.vault_away(true);
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1400000) n").unwrap();
    lab.wait(&agent, "the spool is full", |status| {
        let wal = status.wal.as_ref();
        wal.is_some_and(|wal| wal.spooled_segments >= 64 && wal.server > wal.received)
    });
    let began = SystemClock.monotonic();
    lab.cluster.stop(Shutdown::Fast).unwrap();
    assert!(elapsed(began) < Duration::from_secs(20), "{:?}", elapsed(began));
    lab.vault_away(false);
    lab.cluster.start().unwrap();
    lab.wait(&agent, "it streams again", |status| status.doing.contains("streaming"));
    let end = lab.wait_durable(&agent);
    assert!(lab.stored_wal(FIRST).end() >= end);
    assert_eq!(agent.stop(), 0);
}

#[test]
fn real_a_gap_is_said_and_followed_by_a_backup() {
    let lab = lab("asynchronous", &["max_slot_wal_keep_size = 1MB", "max_wal_size = 2MB"]);
    let agent = lab.streaming_agent();
    lab.wait(&agent, "a first backup is there", |status| status.backup.last_id.is_some());
    let before = lab.wait_durable(&agent);
    assert_eq!(agent.stop(), 0);
    for _ in 0..8 {
        lab.cluster.psql("SELECT pg_switch_wal(); CREATE TABLE t(); DROP TABLE t").unwrap();
        lab.cluster.psql("CHECKPOINT").unwrap();
    }
    let state = "SELECT wal_status FROM pg_replication_slots";
    assert_eq!(lab.cluster.psql(state).unwrap(), "lost");
    // The one that finds the gap does not live to see the backup behind it.
    let agent = lab.agent();
    let status = lab.wait(&agent, "the gap is said", |status| status.gaps.len() == 1);
    agent.kill();
    let gap = &status.gaps[0];
    assert!(gap.from <= before && before < gap.to, "{gap:?} {before}");
    assert!(status.findings.iter().any(|finding| finding.what.contains("was lost")), "{status:?}");
    lab.cluster.psql("CREATE TABLE kept_by_the_slot AS SELECT generate_series(1, 2000)").unwrap();
    let restart = "SELECT restart_lsn FROM pg_replication_slots";
    let kept: Lsn = lab.cluster.psql(restart).unwrap().parse().unwrap();
    let agent = lab.streaming_agent();
    let end = lab.wait_durable(&agent);
    let status = lab.wait(&agent, "there is a backup behind the gap", |status| {
        let range = status.vault.as_ref().and_then(|vault| vault.recoverable);
        range.is_some_and(|range| range.from >= gap.to)
    });
    // It may have died before it had written the gap down.
    assert!(status.gaps.iter().all(|found| found.to == gap.to), "{:?} {gap:?}", status.gaps);
    assert!(kept >= gap.to, "{kept} {gap:?}");
    assert!(lab.stored_wal_from(FIRST, Some(gap.to)).end() >= end);
    assert!(lab.stored_wal(FIRST).end() <= gap.to);
    assert_eq!(agent.stop(), 0);
}

#[test]
fn real_settings_that_would_hang_every_commit_are_refused() {
    let settings = ["synchronous_standby_names = 'soter_orders'", "synchronous_commit = local"];
    let lab = lab("synchronous", &settings);
    lab.cluster.psql("CREATE ROLE hasty LOGIN").unwrap();
    lab.cluster.psql("ALTER ROLE hasty SET synchronous_commit = remote_apply").unwrap();
    let mut agent = lab.agent();
    assert_eq!(agent.ended(), 2, "{}", agent.log());
    assert!(agent.log().contains("remote_apply"), "{}", agent.log());
}

#[test]
fn real_a_promotion_is_followed() {
    let mut primary = {
        let mut cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
        cluster.start().unwrap();
        cluster
    };
    primary.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) n").unwrap();
    let copy = primary.directory().join("standby");
    let backup =
        primary.client("pg_basebackup").args(["--write-recovery-conf", "--checkpoint=fast"]);
    lab::run(backup.arg("--pgdata").arg(&copy));
    let standby = TestCluster::over(&copy).unwrap();
    let lines = Lab::wal_lines(standby.directory(), "asynchronous");
    let lab = Lab::around(standby, &lines);
    let agent = lab.streaming_agent();
    primary.psql("INSERT INTO t SELECT generate_series(1, 10000)").unwrap();
    let end = primary.psql("SELECT pg_current_wal_lsn()").unwrap();
    let has_all = format!("SELECT pg_last_wal_replay_lsn() >= '{end}'");
    wait_until("the standby has it", || lab.cluster.psql(&has_all).unwrap() == "t").unwrap();
    lab.wait_durable(&agent);
    primary.kill().unwrap();
    lab.cluster.psql("SELECT pg_promote()").unwrap();
    lab.cluster.psql("CREATE TABLE after_promotion AS SELECT 1").unwrap();
    let second = Timeline(2);
    lab.wait(&agent, "the new timeline streams", |status| {
        status.wal.as_ref().is_some_and(|wal| wal.timeline == second)
    });
    let end = lab.wait_durable(&agent);
    assert_eq!(agent.stop(), 0);
    let stored = lab.stored_wal(second);
    assert!(stored.end() >= end);
    assert!(!stored.commits(second).is_empty());
    let histories = lab::files_named(&lab.root.join("vault"), |file| file == "00000002.history");
    assert_eq!(histories, 1);
}

#[test]
fn real_what_the_spool_alone_has_of_a_timeline_that_was_left_is_stored_first() {
    let mut lab = lab("asynchronous", &[]);
    let agent = lab.streaming_agent();
    lab.wait(&agent, "a first backup is there", |status| status.backup.last_id.is_some());
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) n").unwrap();
    lab.wait_durable(&agent);
    lab.vault_away(true);
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 50000)").unwrap();
    lab.cluster.stop(Shutdown::Fast).unwrap();
    let data = lab.cluster.data_directory().to_owned();
    let behind = lab.root.join("behind");
    lab::run(Command::new("cp").arg("--archive").arg(&data).arg(&behind));
    lab.cluster.start().unwrap();
    lab.wait(&agent, "it streams again", |status| status.doing.contains("streaming"));
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 50001)").unwrap();
    let lost = lab.cluster.psql("SELECT xmin FROM t WHERE n = 50001").unwrap().parse().unwrap();
    lab.cluster.stop(Shutdown::Fast).unwrap();
    // The agent dies with the machine's server, and a copy that was behind is promoted.
    agent.kill();
    std::fs::remove_dir_all(&data).unwrap();
    lab::run(Command::new("cp").arg("--archive").arg(&behind).arg(&data));
    lab::run(Command::new("touch").arg(data.join("standby.signal")));
    lab.cluster.start().unwrap();
    lab.cluster.psql("SELECT pg_promote()").unwrap();
    lab.vault_away(false);
    let agent = lab.agent();
    let status = lab.wait(&agent, "the new timeline streams", |status| {
        status.wal.as_ref().is_some_and(|wal| wal.timeline == Timeline(2))
    });
    let said = |finding: &str| finding.contains("the server left timeline 1");
    assert!(status.findings.iter().any(|finding| said(&finding.what)), "{status:?}");
    lab.wait_durable(&agent);
    assert_eq!(agent.stop(), 0);
    let first = lab.stored_wal(FIRST);
    let second = lab.stored_wal(Timeline(2));
    assert!(first.end() > second.start, "{} {}", first.end(), second.start);
    assert!(first.commits(FIRST).contains(&lost), "the only copy was in the spool");
}

#[test]
fn real_an_agent_can_be_stopped_although_its_server_answers_nothing() {
    let lab = lab("asynchronous", &[]);
    let server = lab.cluster.postmaster_id().unwrap().to_string();
    let signal = |name: &str| lab::run(Command::new("kill").args([name, &server]));
    signal("-STOP");
    let agent = lab.agent();
    wait_until("it asks the server", || lab.status().is_some()).unwrap();
    let began = SystemClock.monotonic();
    assert_eq!(agent.stop(), 3);
    assert!(elapsed(began) < Duration::from_secs(60), "{:?}", elapsed(began));
    signal("-CONT");
}
