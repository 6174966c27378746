//! Steps that do recovery work, as an engine carries them out: through the binary, on real servers.

use std::fs;
use std::net::TcpListener;
use std::os::unix::fs::{MetadataExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use soter_plan::check::{Input, load};
use soter_plan::target::Target;
use soter_postgres::testing::{hand_over, wait_until};
use soter_recovery::{Means, actions, capture, objections};
use soter_runbook::RunId;
use soter_runbook::child::{Children, Launcher};
use soter_runbook::driver::{
    Adopted, Answer, Asked, Asking, Attempt, Captured, Completion, Effects, Kind, Outcome, Which,
};
use soter_runbook::preflight::Weight;
use soter_runbook::procedure::{Given, Parameters, Procedure, compile};
use soter_runbook::steps::{Place, RealEffects, Requests, Tools};
use soter_runbook::target::Bindings;
use soter_world::exec::{Command, Identity, Signal, Status};
use soter_world::sim::{SeededRandom, seeds};
use soter_world::{Clock, Disk, Machine, OsDisk, Secret, SystemClock, SystemRandom};

use crate::lab::text;
use crate::once::Lost;

const LONG: Duration = Duration::from_secs(180);

const SECRET: &str = "hunter2-and-more";

/// A run of a plan at a target.
struct Run {
    place: tempfile::TempDir,
    procedure: Procedure,
    target: String,
    identity: Option<PathBuf>,
    parameters: Parameters,
}

impl Run {
    fn new(plan: &str, target: &str) -> Self {
        let input = Input { name: "soter.yaml".to_owned(), bytes: plan.as_bytes().to_vec() };
        let procedure = compile(&load(&[input]).plan, "loss").unwrap();
        let mut parameters = Parameters::default();
        parameters.insert("secret", Given::Hidden(Secret::new(SECRET.to_owned())));
        let place = tempfile::tempdir().unwrap();
        let target = format!("name: lab\nkind: drill\n{target}");
        Self { place, procedure, target, identity: None, parameters }
    }

    fn directory(&self) -> PathBuf {
        self.place.path().join("run")
    }

    fn target_lines(&self) -> &str {
        self.target.split_once("drill\n").unwrap().1
    }

    fn work_place(&self) -> Place {
        let target = Target::read("lab.yaml", self.target.as_bytes()).unwrap();
        let bindings = Bindings::of(&target, self.place.path(), |_| Err("?".to_owned())).unwrap();
        Place::new(self.directory(), bindings, std::env::vars())
    }

    fn means(&self) -> Means {
        Means {
            disk: Arc::new(OsDisk),
            clock: Arc::new(SystemClock),
            random: Arc::new(SystemRandom),
            program: env!("CARGO_BIN_EXE_soter").into(),
            identity: self.identity.clone(),
            directory: self.place.path().to_owned(),
            look_up: Arc::new(|reference| Err(format!("{reference:?}"))),
        }
    }

    fn effects(&self) -> RealEffects {
        let launcher = Launcher {
            program: env!("CARGO_BIN_EXE_soter").into(),
            arguments: ["run", "child"].map(Into::into).to_vec(),
        };
        let disk: Arc<dyn Disk> = Arc::new(OsDisk);
        let clock: Arc<dyn Clock> = Arc::new(SystemClock);
        let boot = Machine::this().unwrap().boot;
        RealEffects::new(Tools {
            children: Children::new(Arc::clone(&disk), Arc::clone(&clock), launcher, boot),
            clock,
            random: Arc::new(SystemRandom),
            place: Arc::new(self.work_place()),
            requests: Arc::new(Requests::new(disk, None)),
            credential: Arc::new(|name| Err(format!("there is no credential `{name}`"))),
            actions: actions(&self.procedure, &self.means()),
        })
    }

    fn attempt(&self, step: &str, number: u32) -> Attempt {
        let step = self.procedure.steps.iter().find(|one| one.id.as_str() == step).unwrap();
        Attempt {
            run: RunId::parse("loss-20300102-0304-abcd").unwrap(),
            kind: Kind::Drill,
            step: Arc::new(step.clone()),
            number,
            parameters: Arc::new(self.parameters.clone()),
        }
    }

    fn carry_out(&self, step: &str, number: u32) -> Outcome {
        let effects = self.effects();
        effects.start(self.attempt(step, number));
        end(&effects)
    }

    /// Begins it; its process.
    fn begin(&self, effects: &RealEffects, step: &str, number: u32) -> Identity {
        effects.start(self.attempt(step, number));
        match effects.next(LONG).unwrap() {
            Completion::Begun { child, .. } => {
                Identity { process: child.pid, start_ticks: child.start_ticks }
            }
            other => panic!("{other:?}"),
        }
    }

    /// Ends everything of an attempt as a machine that crashes does, but for released servers.
    fn kill(&self, step: &str, number: u32) {
        let slot = self.directory().join(format!("children/{step}.{number}/pid"));
        let slot: serde_json::Value = serde_json::from_slice(&fs::read(slot).unwrap()).unwrap();
        let number = |name: &str| slot[name].as_u64().unwrap();
        let supervisor = Identity {
            process: u32::try_from(number("supervisor")).unwrap(),
            start_ticks: number("supervisor_start_ticks"),
        };
        // The one that watches first, or it would write down how the other ended.
        supervisor.signal(Signal::Kill);
        let mut members = supervisor.session();
        members.extend(Identity::of(u32::try_from(number("pid")).unwrap()).ok());
        for _ in 0..3 {
            for member in &members {
                member.signal(Signal::Kill);
            }
            members.extend(supervisor.session());
        }
        wait_until("all of it is gone", || members.iter().all(|member| !member.is_alive()))
            .unwrap();
    }

    /// All that the run has written down, in one.
    fn everything_written(&self) -> Vec<u8> {
        let mut all = Vec::new();
        let mut waiting = vec![self.directory()];
        while let Some(directory) = waiting.pop() {
            for entry in fs::read_dir(directory).unwrap().flatten() {
                match entry.file_type().unwrap() {
                    kind if kind.is_dir() => waiting.push(entry.path()),
                    _ => all.extend(fs::read(entry.path()).unwrap()),
                }
            }
        }
        all
    }
}

fn end(effects: &RealEffects) -> Outcome {
    loop {
        if let Completion::Ended { outcome, .. } = effects.next(LONG).expect("it ends") {
            return outcome;
        }
    }
}

fn done(outcome: Outcome) -> (std::collections::BTreeMap<String, String>, Vec<Captured>) {
    match outcome {
        Outcome::Done { outputs, captured } => (outputs, captured),
        other => panic!("{other:?}"),
    }
}

fn failed(outcome: Outcome) -> String {
    match outcome {
        Outcome::Failed(why) => why,
        other => panic!("{other:?}"),
    }
}

fn free_port() -> u16 {
    TcpListener::bind("127.0.0.1:0").unwrap().local_addr().unwrap().port()
}

const RECOVERY_PLAN: &str = "
stores: { orders: { kind: postgres } }
scenarios:
  loss:
    parameters:
      end: { from: step, name: back }
      bytes: { from: step, name: back }
      last_commit: { from: step, name: back }
    phases:
      - steps:
          - id: back
            restore: { store: orders, to: latest, target: /srv/back }
            verify: [{ sql: { query: SELECT count(*) FROM t }, expect: \"= 1500\" }]
";

/// A step that can never be done.
const NEVER: &str =
    "          - { id: never, restore: { store: orders, to: \"time:2001-01-01T00:00:00Z\", \
                     target: /srv/never } }
";

/// Another machine, as far as a step can tell: where it keeps what is there for a while.
fn another_machine(place: &Path) -> String {
    let temporary = place.join("machine");
    fs::create_dir_all(&temporary).unwrap();
    format!("hosts: {{ there: [env, TMPDIR={}] }}\n", temporary.display())
}

/// Whether such bytes are in it.
fn contains(bytes: &[u8], what: &str) -> bool {
    bytes.windows(what.len()).any(|window| window == what.as_bytes())
}

/// A run that brings the store of a laboratory back.
fn recovery(lost: &Lost) -> Run {
    let lab = &lost.lab;
    let sockets = lab.root.join("sockets");
    fs::create_dir(&sockets).unwrap();
    hand_over(&sockets, lab.cluster.owner()).unwrap();
    let target = format!(
        "path: [{}]\nstores: {{ orders: {{ connection: host={} port={} user=postgres, \
         data_directory: {}, vault: \"{}\" }} }}\n",
        lab.cluster.binaries().directory().display(),
        sockets.display(),
        free_port(),
        lab.root.join("data").display(),
        lab.url()
    );
    let mut run = Run::new(&format!("{RECOVERY_PLAN}{NEVER}"), &target);
    run.identity = Some(lab.path("keys/operator-1.key").into());
    run
}

fn ask_verify(run: &Run, effects: &RealEffects) -> (Answer, String) {
    let attempt = run.attempt("back", 1);
    effects.probe(Asking {
        run: attempt.run.clone(),
        kind: Kind::Drill,
        about: Asked::Step { step: attempt.step.id.clone(), which: Which::Verify(0) },
        token: 7,
        probe: Arc::new(attempt.step.verify[0].clone()),
        on: None,
        parameters: Arc::clone(&attempt.parameters),
        limit: Duration::from_secs(30),
    });
    match effects.next(LONG).unwrap() {
        Completion::Answered { reply, .. } => (reply.answer, reply.evidence),
        other => panic!("{other:?}"),
    }
}

#[test]
fn real_a_store_comes_back_and_answers_where_it_is_reached() {
    let lost = Lost::new();
    let run = recovery(&lost);
    let parameters = Parameters::default();
    let in_the_way = objections(&run.procedure, &run.work_place(), &parameters, &run.means());
    let words: Vec<&str> = in_the_way.iter().map(|one| one.what.as_str()).collect();
    assert_eq!(words.len(), 2, "{words:?}");
    assert!(words[0].contains("the step `never`") && words[0].contains("cannot be brought back"));
    assert!(words[1].contains("does not answer"), "{words:?}");
    let effects = run.effects();
    assert_eq!(ask_verify(&run, &effects).0, Answer::Unknown);
    assert!(failed(run.carry_out("never", 1)).contains("exit code 2"));
    assert!(!lost.lab.root.join("never").exists(), "something was written");

    let (outputs, captured) = done(run.carry_out("back", 1));
    assert_eq!(ask_verify(&run, &effects), (Answer::Yes, "count: 1500".to_owned()));
    assert!(outputs["bytes"].parse::<u64>().unwrap() > 1 << 20, "{outputs:?}");
    assert!(outputs["end"].contains('/') && outputs["last_commit"].ends_with('Z'), "{outputs:?}");
    let paths: Vec<&str> = captured.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["back.1/restore.json", "back.1/custody.json"]);
    assert_eq!(capture::verify(&OsDisk, &run.directory(), &captured), Vec::<String>::new());

    let in_the_way = objections(&run.procedure, &run.work_place(), &parameters, &run.means());
    let words: Vec<&str> = in_the_way.iter().map(|one| one.what.as_str()).collect();
    assert!(words.iter().any(|words| words.contains("a server of `orders` answers now")));

    // The engine and the machine crashed before that was heard: another attempt of the same step.
    let born = fs::metadata(lost.directory.join("PG_VERSION")).unwrap().ino();
    lost.psql("INSERT INTO t VALUES (0)");
    lost.kill_server();
    let (again, _) = done(run.carry_out("back", 2));
    assert_eq!(again["end"], outputs["end"]);
    assert_eq!(lost.psql("SELECT count(*) FROM t"), "1501");
    assert_eq!(fs::metadata(lost.directory.join("PG_VERSION")).unwrap().ino(), born);
}

#[test]
fn real_a_store_comes_back_on_another_machine_and_no_key_stays_there() {
    let lost = Lost::new();
    let here = recovery(&lost);
    let plan = RECOVERY_PLAN.replace("restore: {", "on: there\n            restore: {");
    let soter = Path::new(env!("CARGO_BIN_EXE_soter")).parent().unwrap().display().to_string();
    let target = here.target_lines().replace("path: [", &format!("path: [{soter}, "));
    let machine = another_machine(&lost.lab.root);
    let mut run = Run::new(&plan, &format!("{target}{machine}"));
    run.identity.clone_from(&here.identity);
    let parameters = Parameters::default();
    let in_the_way = objections(&run.procedure, &run.work_place(), &parameters, &run.means());
    assert!(in_the_way.iter().all(|one| one.weight == Weight::Remark), "{in_the_way:?}");

    // Its engine leaves, and the next one finds it, under way or done.
    let effects = run.effects();
    run.begin(&effects, "back", 1);
    drop(effects);
    let effects = run.effects();
    let outcome = match effects.adopt(run.attempt("back", 1)) {
        Adopted::Live => end(&effects),
        Adopted::Ended(outcome) => outcome,
        other => panic!("{other:?}"),
    };
    let (outputs, captured) = done(outcome);
    assert_eq!(ask_verify(&run, &effects), (Answer::Yes, "count: 1500".to_owned()));
    assert!(outputs["end"].contains('/') && outputs["last_commit"].ends_with('Z'), "{outputs:?}");
    let paths: Vec<&str> = captured.iter().map(|one| one.path.as_str()).collect();
    assert_eq!(paths, ["back.1/restore.json", "back.1/custody.json"]);
    assert_eq!(capture::verify(&OsDisk, &run.directory(), &captured), Vec::<String>::new());

    // The key came and went in memory: it is in no file, and the server was not told it.
    let key = fs::read_to_string(run.identity.as_ref().unwrap()).unwrap();
    let key = key.lines().find(|line| line.starts_with("AGE-SECRET-KEY-")).unwrap();
    assert!(!contains(&run.everything_written(), key), "the key lies in the run's directory");
    let left: Vec<_> = fs::read_dir(lost.lab.root.join("machine")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let server = lost.server().unwrap();
    let environment = fs::read(format!("/proc/{server}/environ")).unwrap();
    assert!(contains(&environment, "PATH=") && !contains(&environment, "AGE-SECRET"));

    // All there crashed, and nobody had heard: another attempt of the same name finds what is done.
    lost.psql("INSERT INTO t VALUES (0)");
    lost.kill_server();
    let (again, _) = done(run.carry_out("back", 2));
    assert_eq!(
        (&again["end"], lost.psql("SELECT count(*) FROM t")),
        (&outputs["end"], "1501".into())
    );
}

#[test]
fn real_a_store_comes_back_by_one_command() {
    let lost = Lost::new();
    let run = recovery(&lost);
    let file = |name: &str, text: &str| {
        let path = run.place.path().join(name);
        write(&path, text);
        path.display().to_string()
    };
    let target = file("target.yaml", &format!("name: lab\nkind: drill\n{}", run.target_lines()));
    let soter = |plan: &str, more: &[&str]| {
        let state = run.place.path().join("state").display().to_string();
        let identity = lost.lab.path("keys/operator-1.key");
        let words = ["--plan", plan, "recover", "loss", "--target", &target, "--state", &state];
        let more = [&["--identity", &identity, "--local", "--yes", "--as", "ada"], more].concat();
        let command = Command::new(env!("CARGO_BIN_EXE_soter")).args(words).args(more);
        command.current_dir(run.place.path()).run(LONG).unwrap()
    };
    let never = file("never.yaml", &format!("{RECOVERY_PLAN}{NEVER}"));
    let refused = soter(&never, &[]);
    let said = text(&refused.stderr);
    assert_eq!(refused.status, Status::Exited(2), "{said}");
    assert!(said.contains("the step `never`: `orders` cannot be brought back"), "{said}");
    assert!(!lost.directory.exists(), "something was written");
    let plan = file("soter.yaml", RECOVERY_PLAN);
    let done = soter(&plan, &[]);
    assert_eq!(done.status, Status::Exited(0), "{}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(lost.psql("SELECT count(*) FROM t"), "1500");
}

#[test]
fn evidence_is_proved_by_the_journal_beside_it() {
    let plan = "
scenarios:
  loss:
    phases:
      - steps: [{ id: seen, run: \"echo seen; echo damage > damage.txt\", capture: [damage.txt] }]
";
    let place = tempfile::tempdir().unwrap();
    let file = |name: &str, text: &str| {
        let path = place.path().join(name);
        write(&path, text);
        path.display().to_string()
    };
    let (plan, target) = (file("soter.yaml", plan), file("lab.yaml", "name: lab\nkind: drill\n"));
    let state = place.path().join("state");
    let shown = state.display().to_string();
    let soter = |words: &[&str]| {
        let command = Command::new(env!("CARGO_BIN_EXE_soter")).args(words.iter().copied());
        let done = command.current_dir(place.path()).run(LONG).unwrap();
        (done.status, text(&done.stdout) + &text(&done.stderr))
    };
    let begin = ["--plan", &plan, "recover", "loss", "--target", &target, "--state", &shown];
    let (status, said) = soter(&[&begin[..], &["--local", "--yes", "--as", "ada"]].concat());
    assert_eq!(status, Status::Exited(0), "{said}");
    let run = fs::read_dir(state.join("runs")).unwrap().next().unwrap().unwrap().path();
    let journal = run.join("journal").display().to_string();
    let verify = || soter(&["journal", "verify", &journal, "--captures"]);
    let (status, said) = verify();
    assert_eq!(status, Status::Exited(0), "{said}");
    assert!(said.contains("3 files of evidence, each as it was recorded"), "{said}");
    let kept = run.join("captures/seen.1");
    assert_eq!(fs::read_to_string(kept.join("output.txt")).unwrap(), "seen\n");
    let damaged = kept.join("files/damage.txt");
    for path in [&kept, &damaged] {
        fs::set_permissions(path, fs::Permissions::from_mode(0o700)).unwrap();
    }
    write(&damaged, "famage\n");
    let (status, said) = verify();
    assert_eq!(status, Status::Exited(1), "{said}");
    assert!(said.contains("files/damage.txt: it has 7 bytes"), "{said}");
}

#[test]
fn real_a_restore_outlives_its_engine_and_is_taken_up_when_it_is_killed() {
    let lost = Lost::new();
    let run = recovery(&lost);
    // The engine goes, the restore goes on; the next engine hears how it ended.
    let effects = run.effects();
    run.begin(&effects, "back", 1);
    drop(effects);
    let next = run.effects();
    let (outputs, captured) = match next.adopt(run.attempt("back", 1)) {
        Adopted::Live => done(end(&next)),
        Adopted::Ended(outcome) => done(outcome),
        other => panic!("{other:?}"),
    };
    assert!(outputs.contains_key("end") && captured.len() == 2, "{outputs:?} {captured:?}");
    assert_eq!(lost.psql("SELECT count(*) FROM t"), "1500");
    for seed in seeds(3) {
        let random = SeededRandom::new(seed);
        lost.kill_server();
        fs::remove_dir_all(&lost.directory).unwrap();
        let number = 10 + 10 * u32::try_from(seed).unwrap();
        let effects = run.effects();
        run.begin(&effects, "back", number);
        SystemClock.sleep(Duration::from_millis(random.below(4000)));
        run.kill("back", number);
        drop(effects);
        let found = run.effects().adopt(run.attempt("back", number));
        assert!(matches!(found, Adopted::Gone | Adopted::Ended(_)), "seed {seed}: {found:?}");
        done(run.carry_out("back", number + 1));
        assert_eq!(lost.psql("SELECT count(*) FROM t"), "1500", "seed {seed}");
        assert!(!lost.directory.join("soter.restoring").exists(), "seed {seed}");
    }
}

/// A configuration that writes down each thing it does, outside of its state.
fn infrastructure(run: &Run) -> PathBuf {
    let directory = run.place.path().join("infrastructure");
    fs::create_dir(&directory).unwrap();
    write(
        &directory.join("main.tf"),
        r#"
variable "generation" { type = number }
variable "password" { sensitive = true }
resource "terraform_data" "first" {
  input            = var.generation
  triggers_replace = [var.generation, sha256(var.password)]
  provisioner "local-exec" { command = "echo first ${var.generation} >> trace; ${file("do")}" }
}
resource "terraform_data" "second" {
  input            = terraform_data.first.output
  triggers_replace = var.generation
  provisioner "local-exec" { command = "echo second >> trace" }
}
output "node" { value = "node-${terraform_data.second.output}" }
"#,
    );
    write(&directory.join("do"), "true");
    directory
}

fn write(path: &Path, text: &str) {
    let mut file = fs::File::create(path).unwrap();
    std::io::Write::write_all(&mut file, text.as_bytes()).unwrap();
}

const TERRAFORM_PLAN: &str = "
scenarios:
  loss:
    parameters: { node: { from: step, name: apply }, secret: { from: ask, type: secret } }
    phases:
      - steps:
          - { id: apply, terraform: { directory: infrastructure, variables: [generation=2, \"password=${secret}\"] } }
          - { id: broken, terraform: { directory: infrastructure, variables: [generation=two, \"password=${secret}\"] } }
          - { id: destroy, terraform: { directory: infrastructure, action: destroy, variables: [generation=2, \"password=x\"] } }
";

fn terraform() -> Option<Run> {
    let has = std::env::split_paths(&std::env::var_os("PATH").unwrap())
        .any(|directory| directory.join("terraform").exists());
    if !has {
        println!("there is no terraform on this machine: nothing was tried");
        return None;
    }
    let offline = "environment: { TF_CLI_CONFIG_FILE: /dev/null, CHECKPOINT_DISABLE: \"1\" }\n";
    Some(Run::new(TERRAFORM_PLAN, offline))
}

#[test]
fn real_terraform_does_what_it_has_shown_and_nothing_twice() {
    let Some(run) = terraform() else { return };
    let directory = infrastructure(&run);
    let trace = || fs::read_to_string(directory.join("trace")).unwrap_or_default();
    // What cannot be planned is not applied.
    let why = failed(run.carry_out("broken", 1));
    assert!(why.contains("no plan was made, so nothing was done"), "{why}");
    assert_eq!(trace(), "");
    let (outputs, captured) = done(run.carry_out("apply", 1));
    assert_eq!(outputs["node"], "node-2");
    assert_eq!(trace(), "first 2\nsecond\n");
    assert_eq!(captured[0].path, "apply.1/terraform-plan.txt");
    let shown = run.directory().join("captures/apply.1/terraform-plan.txt");
    let shown = fs::read_to_string(shown).unwrap();
    assert!(shown.contains("Plan: 2 to add, 0 to change, 0 to destroy"), "{shown}");
    let written = run.everything_written();
    let is_secret = |window: &[u8]| window == SECRET.as_bytes();
    assert!(!written.windows(SECRET.len()).any(is_secret), "the secret lies somewhere");
    assert!(!run.directory().join("children/apply.1/plan").exists(), "a plan holds values");
    // Nothing is left to be done.
    let (outputs, _) = done(run.carry_out("apply", 2));
    assert_eq!((outputs["node"].as_str(), trace().as_str()), ("node-2", "first 2\nsecond\n"));
    done(run.carry_out("destroy", 1));
    let state = fs::read_to_string(directory.join("terraform.tfstate")).unwrap();
    assert!(state.contains("\"resources\": []"), "{state}");
}

#[test]
fn real_terraform_on_another_machine_does_the_same_and_leaves_nothing_secret_there() {
    let Some(here) = terraform() else { return };
    let directory = infrastructure(&here);
    let root = here.place.path();
    let plan = TERRAFORM_PLAN
        .replace("directory: infrastructure", &format!("directory: {}", directory.display()))
        .replace("\"password=${secret}\"] }", "\"password=${secret}\"] }, on: there");
    let run = Run::new(&plan, &format!("{}{}", here.target_lines(), another_machine(root)));
    let trace = || fs::read_to_string(directory.join("trace")).unwrap_or_default();
    let why = failed(run.carry_out("broken", 1));
    assert!(why.contains("no plan was made, so nothing was done"), "{why}");
    assert_eq!(trace(), "");
    let effects = run.effects();
    run.begin(&effects, "apply", 1);
    drop(effects);
    let effects = run.effects();
    let outcome = match effects.adopt(run.attempt("apply", 1)) {
        Adopted::Live => end(&effects),
        Adopted::Ended(outcome) => outcome,
        other => panic!("{other:?}"),
    };
    let (outputs, captured) = done(outcome);
    assert_eq!((outputs["node"].as_str(), trace().as_str()), ("node-2", "first 2\nsecond\n"));
    assert_eq!(captured[0].path, "apply.1/terraform-plan.txt");
    let shown = run.directory().join("captures/apply.1/terraform-plan.txt");
    let shown = fs::read_to_string(shown).unwrap();
    assert!(shown.contains("Plan: 2 to add, 0 to change, 0 to destroy"), "{shown}");
    assert!(!contains(&run.everything_written(), SECRET), "the secret lies somewhere");
    let left: Vec<_> = fs::read_dir(root.join("machine")).unwrap().flatten().collect();
    assert!(left.is_empty(), "{left:?}");
    let (outputs, _) = done(run.carry_out("apply", 2));
    assert_eq!((outputs["node"].as_str(), trace().as_str()), ("node-2", "first 2\nsecond\n"));
}

#[test]
fn real_terraform_killed_at_any_moment_is_taken_up() {
    let Some(mut run) = terraform() else { return };
    for seed in seeds(3) {
        let random = SeededRandom::new(seed);
        let directory = infrastructure(&run);
        write(&directory.join("do"), "sleep 1");
        let number = 10 + 10 * u32::try_from(seed).unwrap();
        let effects = run.effects();
        run.begin(&effects, "apply", number);
        SystemClock.sleep(Duration::from_millis(random.below(4000)));
        run.kill("apply", number);
        let then = fs::read_to_string(directory.join("trace")).unwrap_or_default();
        println!("seed {seed}: killed when it had done {then:?}");
        drop(effects);
        let found = run.effects().adopt(run.attempt("apply", number));
        assert!(matches!(found, Adopted::Gone | Adopted::Ended(_)), "seed {seed}: {found:?}");
        write(&directory.join("do"), "true");
        let (outputs, _) = done(run.carry_out("apply", number + 1));
        assert_eq!(outputs["node"], "node-2", "seed {seed}");
        let state = fs::read_to_string(directory.join("terraform.tfstate")).unwrap();
        assert!(state.contains("\"first\"") && state.contains("\"second\""), "seed {seed}");
        run = Run::new(TERRAFORM_PLAN, run.target_lines());
    }
}

#[test]
fn real_terraform_that_is_told_to_stop_saves_what_it_has_done() {
    let Some(run) = terraform() else { return };
    let directory = infrastructure(&run);
    write(&directory.join("do"), "sleep 3");
    let effects = run.effects();
    run.begin(&effects, "apply", 1);
    wait_until("it applies", || directory.join("trace").exists()).unwrap();
    effects.cancel(&run.attempt("apply", 1).step.id, 1);
    let why = failed(end(&effects));
    assert!(why.contains("exit code 1"), "{why}");
    // The state knows the first, and its lock is free.
    write(&directory.join("do"), "true");
    done(run.carry_out("apply", 2));
    let trace = fs::read_to_string(directory.join("trace")).unwrap();
    assert!(trace.ends_with("second\n"), "{trace}");
}
