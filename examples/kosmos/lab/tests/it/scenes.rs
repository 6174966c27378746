//! The four disasters of the laboratory's plan, recovered for real: each once without anybody dying, and
//! with engines that are killed while they carry it out.

use serde_json::Value;
use soter_world::exec::{Command, Status};
use soter_world::sim::seeds;

use crate::scene::{Deaths, Ended, Scene, Word};
use crate::support::{Bench, TIMEOUT, wait_until};

/// Engines die everywhere, not only at some points.
const EVERYWHERE: &str = "SOTER_SCENES_EVERYWHERE";

/// Work that is acknowledged before something is broken.
const WORK_MIN: u64 = 10;

#[test]
fn real_scene_a_node_is_replaced_and_nobody_notices() {
    on_a_laboratory(node_replacement, &Deaths::None);
}

#[test]
fn real_scene_the_cluster_comes_back_with_all_that_was_acknowledged() {
    on_a_laboratory(cluster_loss, &Deaths::None);
}

#[test]
fn real_scene_the_database_goes_back_twice() {
    on_a_laboratory(postgres_corruption, &Deaths::None);
}

#[test]
fn real_scene_after_a_breach_everything_is_new_but_the_data() {
    on_a_laboratory(breach, &Deaths::None);
}

#[test]
fn real_killed_node_replacement() {
    with_killed_engines(node_replacement, 3);
}

#[test]
fn real_killed_cluster_loss() {
    with_killed_engines(cluster_loss, 10);
}

#[test]
fn real_killed_postgres_corruption() {
    with_killed_engines(postgres_corruption, 7);
}

#[test]
fn real_killed_breach() {
    with_killed_engines(breach, 12);
}

type Play = fn(&Bench, &Scene<'_>, &Deaths);

/// `span`: about a tenth of the appends that the run has.
fn with_killed_engines(play: Play, span: u8) {
    #[expect(clippy::disallowed_methods, reason = "tests have no other way to be told")]
    let everywhere = std::env::var(EVERYWHERE).is_ok();
    if everywhere {
        return on_a_laboratory(play, &Deaths::Everywhere);
    }
    for seed in seeds(1) {
        println!("seed {seed}");
        on_a_laboratory(play, &Deaths::Seeded(seed, span));
    }
}

fn on_a_laboratory(play: Play, deaths: &Deaths) {
    let bench = Bench::new();
    bench.json(&["up", "--without=prometheus"]);
    let Some(scene) = Scene::new(&bench) else { return };
    bench.json(&["load", "start"]);
    work(&bench);
    play(&bench, &scene, deaths);
    bench.json(&["down"]);
}

/// Waits until some more work was acknowledged.
fn work(bench: &Bench) {
    let acknowledged = || bench.json(&["load", "count"])["acknowledged"].as_u64().unwrap();
    let before = acknowledged();
    wait_until("work is acknowledged", || acknowledged() >= before + WORK_MIN);
}

fn now() -> String {
    use soter_world::{Clock, SystemClock};
    SystemClock.now().to_string()
}

/// What was acknowledged is there, once; the longest time without an acknowledgement.
fn nothing_is_lost(bench: &Bench, until: Option<&str>) -> f64 {
    let until: Vec<&str> = until.into_iter().flat_map(|until| ["--until", until]).collect();
    let count = bench.json(&[&["load", "count"], until.as_slice()].concat());
    println!("acknowledged {}, lost {}", count["acknowledged"], count["lost"]);
    assert_eq!((count["lost"].as_u64(), count["doubled"].as_u64()), (Some(0), Some(0)), "{count}");
    count["longest_silence_seconds"].as_f64().unwrap()
}

fn node_replacement(bench: &Bench, scene: &Scene<'_>, deaths: &Deaths) {
    bench.json(&["break", "node", "node-3"]);
    let words = [Word::Approve("agreed", "engineer-2")];
    scene.run("node-replacement", &["node=node-3"], &words, deaths);
    work(bench);
    bench.json(&["load", "stop"]);
    let silence = nothing_is_lost(bench, None);
    println!("users waited {silence:.1} s at most");
    assert!(bench.root().join("node-3/etcd/data").exists());
}

fn cluster_loss(bench: &Bench, scene: &Scene<'_>, deaths: &Deaths) {
    bench.json(&["break", "everything"]);
    let words = [Word::Approve("agreed", "team-lead")];
    let ended = scene.run("cluster-loss", &["generation=new"], &words, deaths);
    work(bench);
    bench.json(&["load", "stop"]);
    let silence = nothing_is_lost(bench, None);
    println!("users waited {silence:.1} s; the run took {:.1} s", ended.seconds);
    let deployed =
        kubectl(bench, &["get", "deployments", "-A", "-o", "jsonpath={.items[*].spec.replicas}"]);
    let mut replicas: Vec<&str> = deployed.split_whitespace().collect();
    replicas.sort_unstable();
    assert_eq!(replicas, ["1", "2"]);
    // What was etcd's came out of the vault, with revisions no watcher of the lost one has seen, and goes
    // on in it; nothing of it lies in clear any more.
    let nodes: Value =
        serde_json::from_str(&kubectl(bench, &["get", "--raw", "/api/v1/nodes"])).unwrap();
    let revision = nodes["metadata"]["resourceVersion"].as_str().unwrap();
    assert!(revision.parse::<u64>().unwrap() > 1_000_000_000, "{revision}");
    let kept = bench.root().join("laptop/etcd");
    assert_eq!(std::fs::read_dir(kept).unwrap().count(), 0);
    // What stood still did so until its data was there.
    assert!(place(&ended, "held") < place(&ended, "postgres"));
    assert!(place(&ended, "server") < place(&ended, "core"));
}

fn postgres_corruption(bench: &Bench, scene: &Scene<'_>, deaths: &Deaths) {
    let before = now();
    work(bench);
    bench.json(&["break", "migration"]);
    go_back(scene, "restored", &before, deaths);
    nothing_is_lost(bench, Some(&before));
    assert_eq!(bench.sql("SELECT count(*) FROM conversations WHERE text = ''"), "0");
    // The damaged one is as it was, for those who look into it.
    assert!(bench.root().join("node-1/postgres/data/PG_VERSION").exists());
    // Again, on the timeline that this has begun: right rows, and not those of the first life.
    work(bench);
    let (second, rows) =
        (now(), "SELECT md5(string_agg(text, ',' ORDER BY id)) FROM conversations");
    let expected = bench.sql(&format!("{rows} WHERE updated_at <= '{second}'"));
    work(bench);
    bench.json(&["break", "pages"]);
    go_back(scene, "restored-again", &second, &Deaths::None);
    bench.json(&["load", "stop"]);
    assert_eq!(bench.sql(&format!("{rows} WHERE updated_at <= '{second}'")), expected);
    assert!(bench.root().join("node-1/postgres/restored/PG_VERSION").exists());
}

fn go_back(scene: &Scene<'_>, directory: &str, before: &str, deaths: &Deaths) {
    let words = [Word::Answer("moment", before.to_owned()), Word::Approve("agreed", "team-lead")];
    let directory = format!("directory={directory}");
    scene.run("postgres-corruption", &[&directory, "expected=10"], &words, deaths);
}

fn breach(bench: &Bench, scene: &Scene<'_>, deaths: &Deaths) {
    let before = now();
    work(bench);
    bench.json(&["break", "host", "node-2"]);
    let old = bench.description()["addresses"]["postgres"].as_str().unwrap().to_owned();
    let words = [
        Word::Approve("agreed", "security-lead"),
        Word::Answer("judged", before.clone()),
        Word::Approve("clean", "cto"),
        Word::Approve("judged-clean", "security-lead"),
    ];
    let ended = scene.run("breach", &["generation=clean"], &words, deaths);
    work(bench);
    bench.json(&["load", "stop"]);
    nothing_is_lost(bench, Some(&before));
    let strangers = "SELECT count(*) FROM pg_roles WHERE rolsuper AND rolname <> 'postgres'";
    assert_eq!(bench.sql(strangers), "0");
    let refused =
        Command::new("psql").args(["-XAtqd", &old, "-c", "SELECT 1"]).run(TIMEOUT).unwrap();
    assert_ne!(refused.status, Status::Exited(0), "the old password opens the database");
    assert!(!bench.root().join("node-2/tmp/kworkerd").exists());
    // Each measure was written down before it was put in place, and is over.
    for (measure, step) in
        [("edge-closed", "closed"), ("pods-isolated", "isolated"), ("writers-disabled", "disowned")]
    {
        let at = |kind: &str, key: &str, value: &str| {
            ended.records.iter().position(|one| one["type"] == kind && one["body"][key] == value)
        };
        let obliged = at("obliged", "name", measure).expect(measure);
        assert!(Some(obliged) < at("step_started", "step", step), "{measure}");
        assert!(at("lifted", "name", measure) > Some(obliged), "{measure}");
    }
    let evidence = ended.records.iter().filter(|one| one["body"]["step"] == "evidence");
    let kept = evidence.filter_map(|one| one["body"]["captured"].as_array()).flatten();
    let kept: Vec<&str> = kept.filter_map(|file| file["path"].as_str()).collect();
    for file in ["state.yaml", "rights.yaml", "audit.log", "node-2.txt", "roles.csv"] {
        assert!(kept.iter().any(|path| path.ends_with(file)), "{file} is not in {kept:?}");
    }
}

/// Where in a journal a step was done.
fn place(ended: &Ended, step: &str) -> usize {
    let done = |one: &Value| one["type"] == "step_ended" && one["body"]["step"] == step;
    ended.records.iter().rposition(done).expect(step)
}

fn kubectl(bench: &Bench, arguments: &[&str]) -> String {
    let kubeconfig = bench.root().join("laptop/kubeconfig");
    let kubectl = Command::new("kubectl").arg("--kubeconfig").arg(kubeconfig).args(arguments);
    String::from_utf8(kubectl.run(TIMEOUT).unwrap().checked().unwrap().stdout).unwrap()
}
