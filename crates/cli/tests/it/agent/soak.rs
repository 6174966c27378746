//! A cluster that streams synchronously, under load, while everything around it is killed, and that
//! is lost in the end with its machine: what came back is compared with what was acknowledged.

use std::collections::BTreeMap;
use std::fmt;
use std::fs;
use std::path::Path;

use soter_postgres::testing::{Shutdown, TestCluster, output_of, wait_until};
use soter_world::exec::{Signal, Status as ExitStatus, is_running, signal_process};
use soter_world::sim::{SeededRandom, seeds};

use super::clients::{Acknowledged, Clients, Row};
use super::lab_with;
use crate::lab::{Agent, Lab, files_named};

/// Faults of one seed, the loss of the machine left out.
const FAULTS: usize = 11;

/// What was done in one run.
#[derive(Debug, Default)]
struct Counts {
    agent: usize,
    server: usize,
    both: usize,
    backup: usize,
    restore: usize,
    stopped: usize,
    vault_away: usize,
    acknowledged: usize,
    recovered: usize,
}

impl Counts {
    /// How often something was killed, the loss of the machine included, which kills both.
    fn kills(&self) -> usize {
        self.agent + self.server + 2 * self.both + self.backup + self.restore + 2
    }
}

impl fmt::Display for Counts {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { agent, server, both, backup, restore, stopped, vault_away, .. } = self;
        write!(
            f,
            "kills {} (agent {agent}, server {server}, both {both}, backup {backup}, restore {restore}, \
             machine 1), \
             stops {stopped}, vault away {vault_away}, acknowledged {}, recovered {}, lost 0",
            self.kills(),
            self.acknowledged,
            self.recovered
        )
    }
}

struct Soak {
    lab: Lab,
    random: SeededRandom,
    clients: Clients,
    agent: Option<Agent>,
    counts: Counts,
}

impl Soak {
    fn start(seed: u64) -> Self {
        let settings = ["synchronous_standby_names = 'soter_orders'", "checkpoint_timeout = 30s"];
        let lab = lab_with("synchronous", &settings, "    canary: { every: 1 s }\n");
        let agent = lab.streaming_agent();
        lab.cluster.psql("CREATE TABLE t (client int, n bigint)").unwrap();
        lab.wait(&agent, "a first backup is there", |status| status.backup.last_id.is_some());
        let clients = Clients::start(&lab, 4);
        lab.cluster.psql("CHECKPOINT").unwrap();
        let random = SeededRandom::new(seed);
        Self { lab, random, clients, agent: Some(agent), counts: Counts::default() }
    }

    fn kill_agent(&mut self) {
        self.agent.take().expect("it runs between two faults").kill();
    }

    /// Starts the agent, most often to be killed a second time while it is about to begin.
    fn start_agent(&mut self) {
        for _ in 0..self.random.below(3) {
            let agent = self.lab.agent();
            if self.random.chance(50) {
                agent.wait_for_line("streaming");
            }
            agent.kill();
            self.counts.agent += 1;
        }
        self.agent = Some(self.lab.streaming_agent());
    }

    fn restart_server(&mut self) {
        self.lab.cluster.kill().unwrap();
        self.lab.cluster.start().unwrap();
    }

    fn fault(&mut self) {
        self.clients.wait_for_more(self.random.index(60));
        match self.random.below(7) {
            0 => {
                self.counts.server += 1;
                self.restart_server();
            }
            1 => {
                self.counts.both += 1;
                self.kill_agent();
                self.restart_server();
                self.start_agent();
            }
            2 => {
                self.counts.both += 1;
                self.lab.cluster.kill().unwrap();
                self.kill_agent();
                self.start_agent_before_server();
            }
            3 => {
                self.counts.stopped += 1;
                self.lab.cluster.stop(Shutdown::Fast).unwrap();
                self.lab.cluster.start().unwrap();
            }
            4 => {
                self.counts.vault_away += 1;
                self.counts.agent += 1;
                self.lab.vault_away(true);
                self.kill_agent();
                let early = self.lab.agent();
                early.wait_for_line("try again");
                self.lab.vault_away(false);
                self.agent = Some(early);
            }
            5 => {
                self.counts.backup += 1;
                let backup = self.lab.spawn(&["backup", "orders"]);
                self.clients.wait_for_more(self.random.index(20));
                self.kill_agent();
                // The agent makes it; without one it would make it by itself, and wait for WAL.
                backup.kill();
                drop(backup.wait());
                self.start_agent();
            }
            _ => {
                self.counts.agent += 1;
                self.kill_agent();
                self.start_agent();
            }
        }
    }

    /// The agent looks for a server that is not there yet.
    fn start_agent_before_server(&mut self) {
        let agent = self.lab.agent();
        agent.wait_for_line("try again");
        self.lab.cluster.start().unwrap();
        self.agent = Some(agent);
    }

    /// The machine is gone: server, agent, data directory and spool. Nothing is flushed before.
    fn lose_machine(mut self) -> Counts {
        self.clients.wait_for_more(100);
        self.lab.cluster.kill().unwrap();
        let acknowledged = self.clients.stop();
        self.agent.take().expect("it runs").kill();
        fs::remove_dir_all(self.lab.cluster.data_directory()).unwrap();
        fs::remove_dir_all(self.lab.root.join("state")).unwrap();
        for number in 0..=self.random.below(3) {
            kill_restore(&self.lab, &self.random, &format!("killed{number}"));
            self.counts.restore += 1;
        }
        let restored = self.lab.recover("restored", &["--to", "latest"]).0;
        self.counts.acknowledged = acknowledged.len();
        self.counts.recovered = compare(&restored, &acknowledged);
        check_soundness(restored);
        self.counts
    }
}

/// A restore is killed while it writes, or when its server has begun to replay. What is left says
/// that it is not a cluster, whoever looks; the server, if there is one already, is a standby that
/// nobody gets into, and goes on until somebody stops it.
fn kill_restore(lab: &Lab, random: &SeededRandom, name: &str) {
    let target = lab.root.join(name);
    let lock_file = target.join("postmaster.pid");
    let arguments = lab.start_arguments(name, &["--to", "latest"]);
    let restore = lab.start(&arguments);
    let (files, to_the_start) = (random.index(1200), random.chance(40));
    wait_until("the restore is on its way", || {
        let has_files = || files_named(&target, |_| true) >= files;
        let is_there = if to_the_start { lock_file.exists() } else { has_files() };
        is_there || restore.try_wait().is_some()
    })
    .unwrap();
    restore.kill();
    let ended = restore.wait().status;
    let is_over = ended == ExitStatus::Exited(0);
    assert!(is_over || ended == ExitStatus::Signaled(9), "{ended:?}");
    let is_marked = target.join("soter.restoring").exists();
    assert!(is_over || is_marked || files_named(&target, |_| true) == 0, "{name}");
    if is_marked {
        lab.fails(&arguments, 2, "an unfinished restore is in it");
    }
    stop_server_of(&lock_file);
}

fn stop_server_of(lock_file: &Path) {
    // Its first line may not be written yet.
    let process = || fs::read_to_string(lock_file).ok()?.lines().next()?.parse().ok();
    let is_gone = || process().is_none_or(|process| !is_running(process));
    if lock_file.exists() {
        drop(wait_until("the lock file says who", || process().is_some()));
    }
    if let Some(process) = process().filter(|process| is_running(*process)) {
        drop(signal_process(process, Signal::Quit));
    }
    wait_until("the server of a killed restore is gone", is_gone).unwrap();
}

/// Every row that was acknowledged is there, once, and says what was written; what else is there was
/// written by the same clients and not acknowledged. Returns how many there are.
fn compare(restored: &TestCluster, acknowledged: &Acknowledged) -> usize {
    let rows = restored.psql("SELECT xmin, client, n FROM t").unwrap();
    let mut recovered: BTreeMap<u32, Row> = BTreeMap::new();
    let mut tries: BTreeMap<Row, u32> = BTreeMap::new();
    for row in rows.lines() {
        let fields: Vec<&str> = row.split('|').collect();
        let [transaction, client, n] = fields[..] else { panic!("{row}") };
        let (transaction, row) =
            (transaction.parse().unwrap(), (client.parse().unwrap(), n.parse().unwrap()));
        assert_eq!(recovered.insert(transaction, row), None, "{transaction} has two rows");
        assert_eq!(tries.insert(row, transaction), None, "{row:?} is there twice");
    }
    let lost: Vec<_> =
        acknowledged.iter().filter(|(key, row)| recovered.get(key) != Some(row)).collect();
    assert!(lost.is_empty(), "of {} commits these are lost: {lost:?}", acknowledged.len());
    recovered.len()
}

fn check_soundness(mut restored: TestCluster) {
    restored.psql("INSERT INTO t VALUES (-1, -1)").unwrap();
    let check = restored.client("pg_amcheck").args(["--install-missing", "--heapallindexed", "-a"]);
    output_of("pg_amcheck", check).unwrap();
    restored.stop(Shutdown::Fast).unwrap();
}

#[test]
fn real_no_acknowledged_commit_is_lost_whatever_is_killed() {
    for seed in seeds(1) {
        let told = format!("seed {seed}");
        let outcome = std::panic::catch_unwind(|| {
            let mut soak = Soak::start(seed);
            for _ in 0..FAULTS {
                soak.fault();
            }
            soak.lose_machine()
        });
        match outcome {
            Ok(counts) => println!("soak seed {seed}: {counts}"),
            Err(_) => panic!("{told}"),
        }
    }
}
