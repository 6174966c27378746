//! All of KOSMOS, broken in every way there is, each seen by what it does to the servers.

use std::fs;

use serde_json::{Value, json};
use soter_world::exec::{Command, Status};

use crate::support::{Bench, TIMEOUT, wait_until};

#[test]
fn real_whole_kosmos_is_broken_in_every_way() {
    let bench = Bench::new();
    bench.json(&["up"]);
    let status = bench.json(&["status"]);
    assert_eq!(status["well"], true, "{status:#}");
    let work = || bench.ask("POST", "gateway", "/api/v1/work", "hello").0;
    assert_eq!(work(), 200);

    writers_stop_and_start(&bench);
    migration(&bench);
    pages(&bench);
    host(&bench);
    node(&bench);
    cluster(&bench);

    let name = bench.description()["name"].as_str().unwrap().to_owned();
    bench.json(&["down"]);
    assert_eq!(Bench::marked(&name), Vec::<u32>::new());
    assert!(!bench.root().exists());
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
    let description = bench.description();
    let url = format!(
        "{}/apis/apps/v1/namespaces/kosmos-core/deployments/{deployment}/scale",
        description["addresses"]["kubernetes"].as_str().unwrap()
    );
    let pki = bench.root().join("laptop/pki");
    let scale = json!({"spec": {"replicas": replicas}}).to_string();
    let curl = Command::new("curl")
        .args(["-sSf", "--noproxy", "*", "-X", "PATCH", "--data-binary", &scale, "-H"])
        .args(["Content-Type: application/merge-patch+json", &url, "--cacert"])
        .arg(pki.join("ca.crt"))
        .arg("--cert")
        .arg(pki.join("admin.crt"))
        .arg("--key")
        .arg(pki.join("admin.key"));
    curl.run(TIMEOUT).unwrap().checked().unwrap();
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
    let infrastructure = bench.root().join("laptop/infrastructure/terraform/alibaba");
    let apply = || {
        let terraform = Command::new("terraform")
            .args(["apply", "-auto-approve", "-input=false", "-var", "generation=new"])
            .env("TF_CLI_CONFIG_FILE", "/dev/null")
            .current_dir(&infrastructure);
        let applied = terraform.run(TIMEOUT).unwrap().checked().unwrap();
        String::from_utf8_lossy(&applied.stdout).into_owned()
    };
    let said = apply();
    assert!(said.contains("first_node = \"node-1\""), "{said}");
    for node in ["node-1", "node-2", "node-3"] {
        let file = bench.root().join(format!("laptop/images/{node}.json"));
        let image: Value = serde_json::from_slice(&fs::read(file).unwrap()).unwrap();
        assert_eq!(image["files"]["sbin/beacon"], hash(bench, node));
        assert!(!bench.root().join(node).join("postgres").exists());
    }
    // The same again changes nothing.
    fs::File::create(bench.root().join("node-1/kept")).unwrap();
    apply();
    assert!(bench.root().join("node-1/kept").exists());
}
