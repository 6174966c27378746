//! The main job with the binary itself: protect a cluster, lose it, bring it back.

use std::fs;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_postgres::testing::{TestCluster, hand_over, wait_until};
use soter_world::exec::{Command, Finished, Status};

/// Longer than a backup waits for its WAL, so that its own words are seen.
const TIMEOUT: Duration = Duration::from_secs(180);

/// A cluster, a vault and a plan, all under the server's user.
struct Lab {
    cluster: TestCluster,
    binary: PathBuf,
    root: PathBuf,
}

impl Lab {
    fn new() -> Self {
        let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
        let root = cluster.directory().join("soter");
        fs::create_dir(&root).unwrap();
        let binary = root.join("soter");
        fs::copy(env!("CARGO_BIN_EXE_soter"), &binary).unwrap();
        hand_over(&root, cluster.owner()).unwrap();
        let push = format!(
            "archive_command = '{} --plan {}/soter.yaml wal push %p'",
            binary.display(),
            root.display()
        );
        cluster.configure(&["archive_mode = on", &push]).unwrap();
        let lab = Self { binary, root, cluster };
        let url = format!("file://{}/vault", lab.root.display());
        let keys = lab.path("keys");
        let made = lab.soter(&[
            "--json", "vault", "init", "--url", &url, "--keys", &keys, "--store", "orders",
        ]);
        assert_eq!(made.status, Status::Exited(0), "{}", text(&made.stderr));
        let made: serde_json::Value = serde_json::from_slice(&made.stdout).unwrap();
        let plan = format!(
            "vaults:\n  main: {{ url: \"{url}\", keys: {{ root: \"{}\", agent: \"{keys}/agent.key\" }} }}\n\
             stores:\n  orders:\n    kind: postgres\n    connection: \"{}\"\n    \
             data_directory: {}\n    vaults: [main]\n",
            made["root"].as_str().unwrap(),
            lab.cluster.connection_string(),
            lab.cluster.data_directory().display()
        );
        write(&lab.root.join("soter.yaml"), &plan);
        let mut lab = lab;
        lab.cluster.start().unwrap();
        lab
    }

    fn path(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }

    /// Runs the binary as the server's user.
    fn soter(&self, arguments: &[&str]) -> Finished {
        let plan = self.root.join("soter.yaml");
        let command = Command::new(&self.binary).arg("--plan").arg(plan).args(arguments);
        command.current_dir(&self.root).run_as(self.cluster.owner()).run(TIMEOUT).unwrap()
    }

    /// The same, which must succeed.
    fn ok(&self, arguments: &[&str]) -> String {
        let done = self.soter(arguments);
        assert_eq!(done.status, Status::Exited(0), "{arguments:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// The same, which must end with this code and say this.
    fn fails(&self, arguments: &[&str], code: i32, says: &str) {
        let done = self.soter(arguments);
        let said = text(&done.stderr);
        assert_eq!(done.status, Status::Exited(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

fn write(path: &Path, contents: &str) {
    std::io::Write::write_all(&mut fs::File::create(path).unwrap(), contents.as_bytes()).unwrap();
}

#[test]
fn real_a_cluster_is_protected_lost_and_brought_back() {
    let mut lab = Lab::new();
    let identity = lab.path("keys/operator-1.key");
    let url = format!("file://{}/vault", lab.root.display());
    lab.fails(&["backups", "--vault", &url, "--identity", &identity], 1, "has no backup");

    lab.cluster.psql("CREATE TABLE t (id int PRIMARY KEY)").unwrap();
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 1000)").unwrap();
    lab.ok(&["backup", "orders"]);
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1001, 20000)").unwrap();
    let increment: serde_json::Value =
        serde_json::from_str(&lab.ok(&["--json", "backup", "orders"])).unwrap();
    assert_eq!(increment["kind"], "increment");
    lab.cluster.psql("INSERT INTO t SELECT generate_series(20001, 30000)").unwrap();
    lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
    wait_until("the WAL is archived", || {
        let last = "SELECT last_archived_wal >= pg_walfile_name(pg_current_wal_lsn() - 1048576)
                    FROM pg_stat_archiver";
        lab.cluster.psql(last).unwrap() == "t"
    })
    .unwrap();
    let listed = lab.ok(&["backups", "orders"]);
    assert_eq!(listed.lines().count(), 3, "{listed}");
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

    let mut restored = TestCluster::over(Path::new(&target)).unwrap();
    restored.start().unwrap();
    wait_until("all rows are replayed", || {
        restored.psql("SELECT count(*) FROM t").is_ok_and(|count| count == "30000")
    })
    .unwrap();
    restored.psql("SELECT pg_promote()").unwrap();
    assert_eq!(restored.psql("SELECT pg_is_in_recovery()").unwrap(), "f");
    restored.psql("INSERT INTO t VALUES (0)").unwrap();
    assert_eq!(restored.psql("SHOW archive_mode").unwrap(), "off");
}
