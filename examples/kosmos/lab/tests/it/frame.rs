//! Up, twice; work; down, which leaves nothing, whoever was killed before.

use serde_json::Value;
use soter_world::exec::{self, Signal, Status};

use crate::support::{Bench, wait_until};

fn words(finished: &exec::Finished) -> String {
    String::from_utf8_lossy(&finished.stderr).into_owned()
}

/// Whether a process has left shared memory behind, as PostgreSQL does when it is killed.
fn has_left_memory(process: u32) -> bool {
    let table = std::fs::read_to_string("/proc/sysvipc/shm").unwrap();
    let makers = table.lines().skip(1).filter_map(|line| line.split_whitespace().nth(4));
    makers.into_iter().any(|maker| maker == process.to_string())
}

#[test]
fn real_laboratory_works_stops_and_leaves_nothing() {
    let bench = Bench::new();
    let without = "--without=etcd,kubernetes,objects,prometheus,git,terraform";
    let made = bench.json(&["up", without]);
    assert_eq!(made["done"], "made");
    let status = bench.json(&["status"]);
    assert_eq!(status["well"], true, "{status:#}");

    // Work is a row that is committed, and a message.
    let (code, answer) = bench.ask("POST", "gateway", "/api/v1/work", "hello");
    assert_eq!(code, 200, "{answer}");
    let answer: Value = serde_json::from_str(&answer).unwrap();
    let find = format!("SELECT text FROM conversations WHERE id = {}", answer["conversation"]);
    assert_eq!(bench.sql(&find), "hello");
    assert_eq!(answer["message"], 1);
    assert_eq!(bench.sql("SELECT sync_state FROM pg_stat_replication"), "sync");

    users(&bench);
    edge(&bench);

    // Up again: nothing is started twice, and what has ended is started again.
    let agent = bench.process("agent");
    assert_eq!(bench.json(&["up"])["done"], "was_up");
    let zeus = bench.process("zeus");
    exec::signal_process(zeus, Signal::Kill).unwrap();
    wait_until("zeus has ended", || bench.status()["well"] == false);
    assert_eq!(bench.run(&["status"]).status, Status::Exited(1));
    assert_eq!(bench.json(&["up"])["done"], "started_again");
    assert_eq!(bench.process("agent"), agent);
    assert_ne!(bench.process("zeus"), zeus);

    // Without what they need the services say so.
    exec::signal_process(bench.process("nats"), Signal::Kill).unwrap();
    wait_until("zeus misses NATS", || bench.ask("GET", "zeus", "/health", "").0 == 503);
    let (code, answer) = bench.ask("POST", "gateway", "/api/v1/work", "lost");
    assert_eq!(code, 503);
    assert!(answer.contains("NATS"), "{answer}");
    assert_eq!(bench.sql("SELECT count(*) FROM conversations"), "1");
    let postgres = bench.process("postgres");
    assert!(has_left_memory(postgres));
    exec::signal_process(postgres, Signal::Kill).unwrap();
    wait_until("the gateway misses PostgreSQL", || {
        let (code, answer) = bench.ask("GET", "gateway", "/health", "");
        code == 503 && answer.contains("PostgreSQL")
    });

    let name = bench.description()["name"].as_str().unwrap().to_owned();
    assert!(!Bench::marked(&name).is_empty());
    let down = bench.json(&["down"]);
    assert!(down["ended"].as_u64().unwrap() >= 3, "{down}");
    assert_eq!(Bench::marked(&name), Vec::<u32>::new());
    assert!(!has_left_memory(postgres));
    assert!(!bench.root().exists());
    assert_eq!(bench.json(&["down"])["ended"], Value::Null);
    let said = words(&bench.run(&["status"]));
    assert!(said.contains("kosmos-lab up"), "{said}");
}

/// Users are told what is durable, and what is there is counted.
fn users(bench: &Bench) {
    bench.json(&["load", "start"]);
    let counted = || bench.json(&["load", "count"]);
    wait_until("some work was acknowledged", || counted()["acknowledged"].as_u64().unwrap() > 3);
    bench.json(&["load", "stop"]);
    let count = counted();
    assert_eq!((count["lost"].as_u64(), count["doubled"].as_u64()), (Some(0), Some(0)), "{count}");
    assert_eq!(count["there"], count["acknowledged"]);
    bench.sql("DELETE FROM conversations WHERE text = 'load 2'");
    let count = counted();
    assert_eq!(count["lost_texts"], serde_json::json!(["load 2"]), "{count}");
    bench.sql("DELETE FROM conversations WHERE text LIKE 'load %'");
}

/// The edge turns everybody away while a rule says so, and lets nobody but the owner make one.
fn edge(bench: &Bench) {
    let rules = "https://api.cloudflare.com/client/v4/zones/kosmos/firewall/custom_rules";
    let token = bench.description()["secrets"]["edge-token"].as_str().unwrap().to_owned();
    let curl = |token: &str, arguments: &[&str]| {
        let program = bench.root().join("bin/curl");
        let header = format!("Authorization: Bearer {token}");
        let curl = exec::Command::new(program).args(["-sS", "-H", &header]);
        let said = curl.args(arguments).run(crate::support::TIMEOUT).unwrap().checked().unwrap();
        serde_json::from_slice::<Value>(&said.stdout).unwrap()
    };
    assert_eq!(curl("wrong", &[rules])["success"], false);
    assert_eq!(bench.ask("GET", "edge", "/health", "").0, 200);
    let block = r#"{"action":"block","expression":"true","description":"a test"}"#;
    let made = curl(&token, &["-X", "POST", "--data", block, rules]);
    let rule = made["result"]["id"].as_str().unwrap().to_owned();
    assert_eq!(bench.ask("GET", "edge", "/health", "").0, 403);
    // It outlives the process.
    exec::signal_process(bench.process("edge"), Signal::Kill).unwrap();
    wait_until("the edge has ended", || bench.status()["well"] == false);
    assert_eq!(bench.json(&["up"])["done"], "started_again");
    assert_eq!(bench.ask("POST", "edge", "/api/v1/work", "hello").0, 403);
    assert_eq!(curl(&token, &["-X", "DELETE", &format!("{rules}/{rule}")])["success"], true);
    assert_eq!(bench.ask("GET", "edge", "/health", "").0, 200);
}

#[test]
fn real_laboratory_whose_tool_was_killed_goes_down_and_comes_up() {
    let bench = Bench::new();
    let without = "--without=etcd,kubernetes,objects,prometheus,git,terraform,services";
    let up = bench.command(&["up", without]).spawn().unwrap();
    let table = bench.root().join("processes");
    wait_until("something was started", || table.join("postgres.json").exists());
    up.kill();
    assert_eq!(up.wait().status, Status::Signaled(9));
    let name = bench.description()["name"].as_str().unwrap().to_owned();
    bench.json(&["down"]);
    assert_eq!(Bench::marked(&name), Vec::<u32>::new());
    assert!(!bench.root().exists());

    // Interrupted by a person it clears up by itself.
    let up = bench.command(&["up", without]).spawn().unwrap();
    wait_until("something was started", || table.join("postgres.json").exists());
    up.signal(Signal::Interrupt);
    let finished = up.wait();
    assert_eq!(finished.status, Status::Exited(3));
    assert!(words(&finished).contains("no process is left"), "{}", words(&finished));
    assert!(!bench.root().exists());

    // Killed, and begun anew by the next one.
    let up = bench.command(&["up", without]).spawn().unwrap();
    wait_until("something was started", || table.join("postgres.json").exists());
    up.kill();
    drop(up.wait());
    let first = bench.description()["name"].as_str().unwrap().to_owned();
    assert_eq!(bench.json(&["up", without])["done"], "made");
    assert_eq!(Bench::marked(&first), Vec::<u32>::new());
    bench.json(&["down"]);
}

#[test]
fn a_directory_of_somebody_else_is_left_alone() {
    let bench = Bench::new();
    std::fs::create_dir(bench.root()).unwrap();
    let thesis = bench.root().join("thesis.tex");
    std::fs::File::create(&thesis).unwrap();
    for command in ["up", "down", "status"] {
        let finished = bench.run(&[command]);
        assert_eq!(finished.status, Status::Exited(2), "{command}");
        assert!(words(&finished).contains("is not a laboratory"), "{}", words(&finished));
    }
    assert!(thesis.exists());
}
