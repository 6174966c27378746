//! All of KOSMOS, broken in every way there is, each seen by what it does to the servers.

use std::fs;
use std::path::PathBuf;

use serde_json::{Value, json};
use soter_world::exec::{Command, Status};

use crate::support::{Bench, TIMEOUT, wait_until};

/// What a server of K3s keeps besides etcd, on a node.
const SERVER_FILES: &str = "files/var/lib/rancher/k3s/server";

#[test]
fn real_whole_kosmos_is_broken_in_every_way() {
    let bench = Bench::new();
    bench.json(&["up"]);
    let status = bench.json(&["status"]);
    assert_eq!(status["well"], true, "{status:#}");
    let work = || bench.ask("POST", "gateway", "/api/v1/work", "hello").0;
    assert_eq!(work(), 200);

    target(&bench);
    writers_stop_and_start(&bench);
    units(&bench);
    migration(&bench);
    pages(&bench);
    host(&bench);
    node(&bench);
    replacement(&bench);
    snapshot(&bench);
    // Sound rows: the damaged pages are the disk's, not the vault's.
    let rows = bench.sql("SELECT count(*), max(id) FROM agent_sessions");
    cluster(&bench);
    cluster_from_the_vault(&bench);
    data_from_the_vault(&bench, &rows);

    let name = bench.description()["name"].as_str().unwrap().to_owned();
    bench.json(&["down"]);
    assert_eq!(Bench::marked(&name), Vec::<u32>::new());
    assert!(!bench.root().exists());
}

fn terraform(bench: &Bench, variable: &str) -> String {
    let terraform = Command::new("terraform")
        .args(["apply", "-auto-approve", "-input=false", "-no-color", "-var", variable])
        .env("TF_CLI_CONFIG_FILE", "/dev/null")
        .current_dir(bench.root().join("laptop/infrastructure/terraform/alibaba"));
    let applied = terraform.run(TIMEOUT).unwrap().checked().unwrap();
    String::from_utf8_lossy(&applied.stdout).into_owned()
}

/// On a node: what it prints.
fn on(bench: &Bench, node: &str, command: &[&str]) -> String {
    let done = bench.run(&[&["exec", node, "--"], command].concat());
    let said = String::from_utf8_lossy(&done.stderr).into_owned();
    assert_eq!(done.status, Status::Exited(0), "{command:?}: {said}");
    String::from_utf8(done.stdout).unwrap()
}

/// A target binds the names of the plan to the laboratory.
fn target(bench: &Bench) {
    let text = fs::read_to_string(bench.root().join("laptop/target.yaml")).unwrap();
    let lines = text.lines().filter(|line| !line.starts_with('#'));
    let target: Value = lines
        .map(|line| {
            let (key, value) = line.split_once(": ").unwrap();
            (key.to_owned(), serde_json::from_str::<Value>(value).unwrap())
        })
        .collect::<serde_json::Map<_, _>>()
        .into();
    assert_eq!(target["kind"], "drill");
    let host: Vec<&str> =
        target["hosts"]["node-2"].as_array().unwrap().iter().map(|w| w.as_str().unwrap()).collect();
    let beacon = Command::new(host[0]).args(&host[1..]).arg("sbin/beacon");
    let beacon = beacon.run(TIMEOUT).unwrap().checked().unwrap();
    assert_eq!(beacon.stdout, b"node-2 is here\n");
    let connection = target["stores"]["postgres"]["connection"].as_str().unwrap();
    let psql = Command::new("psql").args(["-XAtqd", connection, "-c", "SELECT 1"]);
    assert_eq!(psql.run(TIMEOUT).unwrap().checked().unwrap().stdout, b"1\n");
    // What steps call is found, and asks the laboratory.
    let bin = target["path"][0].as_str().unwrap();
    let ssh = Command::new(format!("{bin}/ssh")).args(["-o", "BatchMode=yes", "root@node-3"]);
    let said = ssh.arg("printf %s \"$KOSMOS_NODE\" | tr a-z A-Z").run(TIMEOUT).unwrap();
    assert_eq!(said.checked().unwrap().stdout, b"NODE-3");
    let count = |generation: &str| {
        let asked = Command::new(format!("{bin}/aliyun"))
            .args(["ecs", "DescribeInstances", "--Status", "Running"])
            .args(["--Tag.1.Key", "generation", "--Tag.1.Value", generation])
            .run(TIMEOUT);
        let said = asked.unwrap().checked().unwrap().stdout;
        serde_json::from_slice::<Value>(&said).unwrap()["TotalCount"].clone()
    };
    assert_eq!((count("old"), count("new")), (json!(3), json!(0)));
}

/// Servers are stopped and started on their nodes, and a node writes to a view of its own.
fn units(bench: &Bench) {
    let postgres = bench.process("postgres");
    on(bench, "node-1", &["systemctl", "restart", "postgresql"]);
    assert_ne!(bench.process("postgres"), postgres);
    on(bench, "node-1", &["systemctl", "restart", "soter-agent"]);
    wait_until("the agent protects", || part(&bench.status(), "protection")["works"] == true);
    on(bench, "node-2", &["systemctl", "stop", "nats"]);
    let inactive = bench.run(&["exec", "node-2", "--", "systemctl", "is-active", "nats"]);
    assert_eq!(String::from_utf8(inactive.stdout).unwrap(), "inactive\n");
    on(bench, "node-2", &["systemctl", "start", "nats"]);
    assert_eq!(part(&bench.status(), "nats")["works"], true);
    if soter_world::exec::current_owner().user == 0 {
        on(bench, "node-2", &["sh", "-c", "echo here > /var/lib/kosmos-lab-test"]);
        assert!(!std::path::Path::new("/var/lib/kosmos-lab-test").exists());
        assert!(bench.root().join("node-2/files/var/lib/kosmos-lab-test").exists());
        assert_eq!(on(bench, "node-2", &["cat", "/var/lib/kosmos-lab-test"]), "here\n");
    }
}

/// A node that was lost is made anew, and joins those that are left.
fn replacement(bench: &Bench) {
    if bench.description()["without"]["terraform"].is_string() {
        on_new_node(bench);
    } else {
        terraform(bench, "replace=node-3");
    }
    for part_name in ["etcd", "kubernetes"] {
        if bench.description()["without"][part_name].is_null() {
            wait_until(&format!("{part_name} works again"), || {
                part(&bench.status(), part_name)["works"] == true
            });
        }
    }
}

fn on_new_node(bench: &Bench) {
    bench.run(&["node", "make", "node-3"]).checked().unwrap();
    let refused = bench.run(&["exec", "node-3", "--", "systemctl", "start", "k3s"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("does not know the cluster's token"), "{said}");
    give_token(bench, "node-3");
    on(bench, "node-3", &["systemctl", "start", "k3s"]);
}

/// What lets a new node in.
fn give_token(bench: &Bench, node: &str) {
    let there = bench.root().join(node).join("files/etc/rancher/k3s/token");
    fs::copy(bench.root().join("laptop/k3s/token"), there).unwrap();
}

/// What a server of K3s keeps besides etcd, of a node or aside.
fn server_files(from: &std::path::Path, to: &std::path::Path) {
    fs::create_dir_all(to.parent().unwrap()).unwrap();
    let copy = Command::new("cp").args(["--archive", "--no-target-directory"]).arg(from).arg(to);
    copy.run(TIMEOUT).unwrap().checked().unwrap();
}

/// A snapshot of etcd as it is now is in the vault.
fn snapshot(bench: &Bench) {
    on(bench, "node-1", &["soter", "backup", "etcd"]);
    let status = bench.status();
    assert_eq!(part(&status, "snapshots")["works"], true, "{status:#}");
}

/// The newest snapshot, and what opens it, in a new directory outside: both.
fn restored(bench: &Bench) -> (PathBuf, PathBuf) {
    let description = bench.description();
    let text = |value: &Value| value.as_str().unwrap().to_owned();
    let (addresses, programs) = (&description["addresses"], &description["programs"]);
    let place = bench.root().join("outside/etcd");
    let etcdutl = PathBuf::from(text(&programs["etcdutl"]));
    let restore = Command::new(text(&programs["soter"]))
        .args(["restore", "etcd", "--vault", &text(&addresses["vault"]), "--identity"])
        .args([&text(&addresses["vault-identity"]), "--bump-revision", "--bin-dir"])
        .arg(etcdutl.parent().unwrap())
        .arg("--target-dir")
        .arg(&place);
    restore.run(TIMEOUT).unwrap().checked().unwrap();
    // Without root the agent saw the node's directory by its own path.
    let is_root = soter_world::exec::current_owner().user == 0;
    let seen = bench.root().join("node-1").join(SERVER_FILES);
    let seen = if is_root { SERVER_FILES.into() } else { seen.display().to_string() };
    let files = place.join("files").join(seen.trim_start_matches("files/").trim_start_matches('/'));
    (place.join("snapshot.db"), files)
}

/// The cluster comes back from its snapshot on one new node, and the others join.
fn cluster_from_the_vault(bench: &Bench) {
    if bench.description()["without"]["terraform"].is_string() {
        bench.run(&["node", "make", "node-1", "node-2", "node-3"]).checked().unwrap();
    }
    let (snapshot, kept) = restored(bench);
    let refused = bench.run(&["exec", "node-1", "--", "systemctl", "start", "k3s"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("there is no cluster to join"), "{said}");
    let path = format!("--cluster-reset-restore-path={}", snapshot.display());
    let refused = bench.run(&["exec", "node-1", "--", "k3s", "server", "--cluster-reset", &path]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("node-1 has no token"), "{said}");
    server_files(&kept, &bench.root().join("node-1").join(SERVER_FILES));
    on(bench, "node-1", &["k3s", "server", "--cluster-reset", &path]);
    give_token(bench, "node-2");
    give_token(bench, "node-3");
    for node in ["node-1", "node-2", "node-3"] {
        on(bench, node, &["systemctl", "start", "k3s"]);
    }
    let status = bench.status();
    assert_eq!(part(&status, "etcd")["works"], true, "{status:#}");
    // Another cluster is kept in the place of the lost one only when somebody says so.
    let refused = bench.run(&["exec", "node-1", "--", "soter", "backup", "etcd"]);
    let said = String::from_utf8(refused.stderr).unwrap();
    assert!(said.contains("the backups so far are of cluster"), "{said}");
    on(bench, "node-1", &["soter", "backup", "etcd", "--new-cluster"]);
    on(bench, "node-1", &["systemctl", "start", "soter-agent-etcd"]);
    assert_eq!(part(&bench.status(), "snapshots")["works"], true);
    if bench.description()["without"]["kubernetes"].is_null() {
        // What is sealed in etcd opens again with the key that came along.
        let secret = kubernetes_says(bench, "/api/v1/namespaces/kosmos-core/secrets/database");
        assert!(secret["data"]["password"].is_string(), "{secret}");
        // The objects are back, and so Zeus is started, though it has nothing to work with.
        wait_until("Zeus has its processes again", || {
            let processes = bench.status()["processes"].as_array().unwrap().clone();
            let zeus = |one: &&Value| one["name"].as_str().unwrap().contains("zeus");
            processes.iter().filter(zeus).count() == 3
        });
        assert_eq!(bench.ask("GET", "zeus", "/health", "").0, 503);
    }
}

/// PostgreSQL comes back from the vault, damaged pages whole, and everything works again.
fn data_from_the_vault(bench: &Bench, rows: &str) {
    let description = bench.description();
    let address = |name: &str| description["addresses"][name].as_str().unwrap().to_owned();
    let (data, plan) =
        (bench.root().join("node-1/postgres/data"), bench.root().join("laptop/soter.yaml"));
    fs::create_dir_all(data.parent().unwrap()).unwrap();
    let soter = || Command::new(description["programs"]["soter"].as_str().unwrap());
    let programs = description["programs"]["postgres"].as_str().unwrap();
    let restore = soter()
        .args(["restore", "postgres", "--vault", &address("vault"), "--identity"])
        .args([&address("vault-identity"), "--start", "--bin-dir", programs, "--target-dir"])
        .arg(&data);
    // Its server's user must get there before the server is the laboratory's.
    let owner = description["server_owner"].as_array().unwrap();
    let number = |place: usize| u32::try_from(owner[place].as_u64().unwrap()).unwrap();
    std::os::unix::fs::chown(data.parent().unwrap(), Some(number(0)), Some(number(1))).unwrap();
    restore.run(TIMEOUT).unwrap().checked().unwrap();
    // The server of the restore makes way for the laboratory's own.
    on(bench, "node-1", &["systemctl", "start", "postgresql"]);
    assert_eq!(bench.sql("SELECT count(*), max(id) FROM agent_sessions"), rows);
    assert_ne!(bench.sql("SELECT count(*) FROM conversations WHERE text = ''"), "0");
    let adopt =
        soter().arg("--plan").arg(plan).args(["adopt", "postgres", "--data-dir"]).arg(&data);
    adopt.run(TIMEOUT).unwrap().checked().unwrap();
    bench.sql("ALTER SYSTEM SET synchronous_standby_names = 'soter_postgres'");
    bench.sql("SELECT pg_reload_conf()");
    on(bench, "node-1", &["systemctl", "start", "soter-agent"]);
    on(bench, "node-2", &["systemctl", "start", "nats"]);
    if description["without"]["kubernetes"].is_string() {
        on(bench, "node-2", &["systemctl", "start", "zeus"]);
        on(bench, "node-3", &["systemctl", "start", "gateway"]);
    }
    wait_until("all works again", || {
        let status = bench.status();
        let parts = status["parts"].as_array().unwrap();
        parts.iter().all(|part| part["works"] == true)
    });
}

/// Scaled to nothing, Zeus has no process left; scaled up again it works.
fn writers_stop_and_start(bench: &Bench) {
    let description = bench.description();
    if let Some(why) = description["without"]["kubernetes"].as_str() {
        assert!(why.contains("scripts/install-lab-tools"), "{why}");
        return;
    }
    let processes = || {
        let listed = bench.status()["processes"].as_array().unwrap().clone();
        let named = listed.iter().filter(|one| one["name"].as_str().unwrap().contains("zeus"));
        named.count()
    };
    assert_eq!(processes(), 2);
    kubernetes(bench, "zeus-orchestrator", 0);
    wait_until("Zeus has no process", || processes() == 0);
    assert_eq!(bench.ask("POST", "gateway", "/api/v1/work", "nobody takes it").0, 503);
    kubernetes(bench, "zeus-orchestrator", 3);
    wait_until("Zeus has three processes", || processes() == 3);
    wait_until("Zeus works", || bench.ask("POST", "gateway", "/api/v1/work", "again").0 == 200);
    // More than one node runs them.
    let listed = bench.status()["processes"].as_array().unwrap().clone();
    let pods = listed.iter().filter(|one| one["name"].as_str().unwrap().starts_with("pod-"));
    let nodes: std::collections::BTreeSet<&str> =
        pods.map(|one| one["node"].as_str().unwrap()).collect();
    assert!(nodes.len() > 1, "{nodes:?}");
}

/// Scales a deployment through the API.
fn kubernetes(bench: &Bench, deployment: &str, replicas: u32) {
    let path = format!("/apis/apps/v1/namespaces/kosmos-core/deployments/{deployment}/scale");
    let scale = json!({"spec": {"replicas": replicas}}).to_string();
    let kind = "Content-Type: application/merge-patch+json";
    let curl = ask_kubernetes(bench, &path).args(["-X", "PATCH", "--data-binary", &scale]);
    curl.args(["-H", kind]).run(TIMEOUT).unwrap().checked().unwrap();
}

/// What the API server has at a path.
fn kubernetes_says(bench: &Bench, path: &str) -> Value {
    let said = ask_kubernetes(bench, path).run(TIMEOUT).unwrap().checked().unwrap();
    serde_json::from_slice(&said.stdout).unwrap()
}

fn ask_kubernetes(bench: &Bench, path: &str) -> Command {
    let description = bench.description();
    let pki = bench.root().join("laptop/pki");
    let server = description["addresses"]["kubernetes"].as_str().unwrap();
    Command::new("curl")
        .args(["-sSf", "--noproxy", "*", &format!("{server}{path}"), "--cacert"])
        .arg(pki.join("ca.crt"))
        .arg("--cert")
        .arg(pki.join("admin.crt"))
        .arg("--key")
        .arg(pki.join("admin.key"))
}

fn migration(bench: &Bench) {
    assert_ne!(bench.sql("SELECT count(*) FROM conversations WHERE text <> ''"), "0");
    let damage = bench.json(&["break", "migration"]);
    assert!(damage["details"]["rows"].as_u64().unwrap() > 0);
    assert_eq!(bench.sql("SELECT count(*) FROM conversations WHERE text <> ''"), "0");
    let columns = "SELECT count(*) FROM information_schema.columns \
                   WHERE table_name = 'agent_sessions' AND column_name = 'agent'";
    assert_eq!(bench.sql(columns), "0");
    let before: jiff::Timestamp = damage["details"]["before"].as_str().unwrap().parse().unwrap();
    let changed: jiff::Timestamp = bench
        .sql("SET timezone = 'UTC'; SELECT min(updated_at) FROM conversations")
        .parse()
        .unwrap();
    assert!(before < changed);
}

fn pages(bench: &Bench) {
    let damage = bench.json(&["break", "pages", "--seed", "7"]);
    let flipped = damage["details"]["flipped"].as_array().unwrap();
    assert_eq!(flipped.len(), 3);
    for flip in flipped {
        let page = flip["page"].as_u64().unwrap();
        let read = format!("SELECT ctid FROM conversations WHERE ctid = '({page},1)'");
        let said = bench.sql_error(&read);
        assert!(said.contains("invalid page in block"), "{said}");
    }
    // What is not damaged is still there, and commits still wait for the vault.
    assert_ne!(bench.sql("SELECT count(*) FROM agent_sessions"), "0");
}

fn host(bench: &Bench) {
    let image: Value =
        serde_json::from_slice(&fs::read(bench.root().join("laptop/images/node-2.json")).unwrap())
            .unwrap();
    let hash = || hash(bench, "node-2");
    assert_eq!(image["files"]["sbin/beacon"], hash());
    let damage = bench.json(&["break", "host", "node-2"]);
    assert_ne!(image["files"]["sbin/beacon"], hash());
    assert_eq!(damage["details"]["superuser"], "support");
    let supers = "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname <> 'postgres'";
    assert_eq!(bench.sql(supers), "1");
    let stranger = bench.process("stranger-node-2");
    let program = fs::read_link(format!("/proc/{stranger}/exe")).unwrap();
    assert!(program.ends_with("node-2/tmp/kworkerd"), "{}", program.display());
}

fn hash(bench: &Bench, node: &str) -> String {
    let program = bench.root().join(node).join("sbin/beacon");
    let sum = Command::new("sha256sum").arg(program).run(TIMEOUT).unwrap().checked().unwrap();
    String::from_utf8(sum.stdout).unwrap().split_whitespace().next().unwrap().to_owned()
}

fn node(bench: &Bench) {
    let said = bench.run(&["exec", "node-3", "--", "sbin/beacon"]);
    assert_eq!(String::from_utf8(said.stdout).unwrap(), "node-3 is here\n");
    bench.json(&["break", "node", "node-3"]);
    assert!(!bench.root().join("node-3").exists());
    assert_eq!(bench.run(&["exec", "node-3", "--", "true"]).status, Status::Exited(255));
    let status = bench.status();
    let etcd = part(&status, "etcd");
    assert_eq!(etcd["works"], false, "{etcd}");
    assert!(etcd["says"].as_str().unwrap().contains("node-3"), "{etcd}");
    let said = String::from_utf8(bench.run(&["up"]).stderr).unwrap();
    assert!(said.contains("broken on purpose"), "{said}");
}

fn part(status: &Value, name: &str) -> Value {
    let parts = status["parts"].as_array().unwrap();
    parts.iter().find(|part| part["name"] == name).unwrap().clone()
}

fn cluster(bench: &Bench) {
    bench.json(&["break", "cluster"]);
    let status = bench.status();
    let left = status["processes"].as_array().unwrap();
    assert!(left.iter().all(|one| one["node"] == "outside" && one["alive"] == true), "{left:?}");
    assert_eq!(part(&status, "postgres")["works"], false);
    assert_eq!(part(&status, "services")["works"], false);
    // What recovery begins from is outside.
    for kept in ["outside/vault", "laptop/keys/operator-1.key", "outside/git/kosmos-config.git"] {
        assert!(bench.root().join(kept).exists(), "{kept}");
    }
    assert_eq!(part(&status, "objects")["works"], true);
    if bench.description()["without"]["terraform"].is_string() {
        return;
    }
    // New nodes are as the image says, and empty.
    let said = terraform(bench, "generation=new");
    assert!(said.contains("first_node = \"node-1\""), "{said}");
    for node in ["node-1", "node-2", "node-3"] {
        let file = bench.root().join(format!("laptop/images/{node}.json"));
        let image: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert_eq!(image["files"]["sbin/beacon"], hash(bench, node));
        assert_eq!(image["generation"], "new");
        assert!(!bench.root().join(node).join("postgres/data").exists());
    }
    // The same again changes nothing.
    fs::File::create(bench.root().join("node-1/kept")).unwrap();
    terraform(bench, "patched=today");
    assert!(bench.root().join("node-1/kept").exists());
}
