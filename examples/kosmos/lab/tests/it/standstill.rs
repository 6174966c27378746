//! Services that stand still by a run of Soter, on real pods with real sessions, and come back as many,
//! though the engine dies in between.

use std::fs;
use std::io::Write;
use std::path::{Path, PathBuf};

use serde_json::Value;
use soter_world::exec::{self, Child, Command, Output, Signal, Status};

use crate::support::{Bench, TIMEOUT, wait_until};

const NODES: [&str; 3] = ["node-1", "node-2", "node-3"];

const PLAN: &str = "stores: { postgres: { kind: postgres } }
services:
  zeus:
    writes: [postgres]
    runs_as: { kubernetes: { object: deployment/zeus-orchestrator, namespace: kosmos-core } }
  gateway:
    needs: [zeus]
    writes: [postgres]
    runs_as: { kubernetes: { object: deploy/api-gateway, namespace: kosmos-core } }
scenarios:
  held:
    phases:
      - steps:
          - { id: held, quiesce: [writers of postgres], obliges: [still], timeout: 2 min }
          - { id: look, run: 'psql -XAtqd \"$ADDRESS\" -c \"$QUESTION\" > sessions; kubectl get pods -n kosmos-core -o name > pods' }
          - { id: back, resume: [writers of postgres], lifts: [still], timeout: 2 min }
";

/// The sessions of the services.
const QUESTION: &str = "SELECT count(*) FROM pg_stat_activity WHERE usename = 'kosmos'";

#[test]
fn real_services_stand_still_and_come_back_though_the_engine_dies() {
    let bench = Bench::new();
    bench.json(&["up", "--without=terraform,objects,git,prometheus,protection"]);
    let description = bench.description();
    if let Some(why) = description["without"]["kubernetes"].as_str() {
        eprintln!("not tried on Kubernetes: {why}");
        return;
    }
    let work = || bench.ask("POST", "gateway", "/api/v1/work", "hello").0;
    assert_eq!(work(), 200);
    assert_ne!(bench.sql(QUESTION), "0");
    let soter = Soter::new(&bench);
    // The nodes say nothing for a while: what is to be gone is there.
    for node in NODES {
        exec::signal_process(bench.process(&format!("kubelet-{node}")), Signal::Stop).unwrap();
    }
    let engine = soter.recover();
    let attempt = |name: &str| soter.run_directory().join("children").join(name);
    let said = |name: &str| fs::read_to_string(attempt(name).join("output")).unwrap_or_default();
    wait_until("both wait for their pods", || {
        let said = said("held.1");
        ["gateway: ", "zeus: "].iter().all(|service| {
            said.lines().any(|line| line.starts_with(service) && line.contains("to be gone by"))
        })
    });
    assert_ne!(bench.sql(QUESTION), "0", "a pod that ends writes as far as anybody knows");
    engine.signal(Signal::Kill);
    drop(engine.wait());
    for node in NODES {
        exec::signal_process(bench.process(&format!("kubelet-{node}")), Signal::Continue).unwrap();
    }
    let finished = soter.resume();
    let words = String::from_utf8_lossy(&finished.stderr).into_owned();
    assert_eq!(finished.status, Status::Exited(0), "{words}");
    assert!(!said("held.2").contains("had 2"), "they were told once: {}", said("held.2"));
    let seen =
        |name: &str| fs::read_to_string(soter.run_directory().join("work").join(name)).unwrap();
    assert_eq!((seen("sessions").as_str(), seen("pods").as_str()), ("0\n", ""));
    assert!(said("back.1").contains("zeus-orchestrator goes back to 2"), "{}", said("back.1"));
    let at = |what: &str| {
        said("back.1").find(what).unwrap_or_else(|| panic!("{what}: {}", said("back.1")))
    };
    assert!(at("zeus: kosmos-core/deployment/zeus-orchestrator: 2 work") < at("gateway: "));
    wait_until("it works again", || work() == 200);
}

/// Runs of Soter at a laboratory.
struct Soter<'b> {
    bench: &'b Bench,
    program: PathBuf,
}

impl<'b> Soter<'b> {
    fn new(bench: &'b Bench) -> Self {
        let description: Value = bench.description();
        let program = Path::new(env!("CARGO_BIN_EXE_kosmos-lab")).with_file_name("soter");
        let file = fs::File::create(bench.root().join("laptop/held.yaml"));
        file.unwrap().write_all(PLAN.as_bytes()).unwrap();
        let target = fs::read_to_string(bench.root().join("laptop/target.yaml")).unwrap();
        let address = description["addresses"]["postgres-admin"].as_str().unwrap();
        let variables =
            format!("environment: {{\"ADDRESS\":\"{address}\",\"QUESTION\":\"{QUESTION}\",");
        let target = target.replace("environment: {", &variables);
        let file = fs::File::create(bench.root().join("laptop/held-target.yaml"));
        file.unwrap().write_all(target.as_bytes()).unwrap();
        Self { bench, program }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let command = Command::new(&self.program).args(arguments);
        command.env("SOTER_STATE", self.bench.root().join("laptop/state"))
    }

    fn recover(&self) -> Child {
        let path = |name: &str| self.bench.root().join("laptop").join(name).display().to_string();
        let log = || Output::append_to(&self.bench.root().join("laptop/recover.log")).unwrap();
        let (plan, target) = (path("held.yaml"), path("held-target.yaml"));
        let arguments = ["recover", "held", "--plan", &plan, "--target", &target];
        let command = self.command(&arguments).args(["--local", "--as", "tester", "--yes"]);
        command.stdout(log()).stderr(log()).spawn().unwrap()
    }

    fn resume(&self) -> exec::Finished {
        self.command(&["run", "resume", "latest", "--local"]).run(TIMEOUT).unwrap()
    }

    /// The directory of the one run.
    fn run_directory(&self) -> PathBuf {
        let runs = fs::read_dir(self.bench.root().join("laptop/state/runs"));
        let first = runs.ok().and_then(|mut runs| runs.next()).and_then(Result::ok);
        first.map(|run| run.path()).unwrap_or_default()
    }
}
