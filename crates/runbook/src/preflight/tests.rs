use std::sync::Arc;

use soter_plan::target::Target;

use super::*;
use crate::driver::{Asking, Attempt, Captured, Kind, Reply};
use crate::ids::RunId;
use crate::journal::FORMAT_VERSION;
use crate::procedure::{Notify, Phase, Probe, Restore, Sql, Stoppable, Terraform, Way};
use crate::state::{Begun, Entry, Event, MirrorState, Moment, State};
use crate::steps::{self, Work};
use crate::target::Bindings;

/// Machines that have these programs, and paths where something is.
struct Known {
    programs: BTreeMap<Option<String>, &'static [&'static str]>,
    taken: &'static str,
    actions: Vec<Arc<dyn steps::Action>>,
}

impl Surroundings for Known {
    fn missing_programs(
        &self,
        host: Option<&str>,
        names: &BTreeSet<String>,
    ) -> Result<BTreeSet<String>, String> {
        let has = self.programs.get(&host.map(str::to_owned)).ok_or("no route to it")?;
        Ok(names.iter().filter(|name| !has.contains(&name.as_str())).cloned().collect())
    }

    fn credential(&self, name: &str) -> Result<(), String> {
        if name == "api" { Ok(()) } else { Err("the file is not there".to_owned()) }
    }

    fn is_free(&self, path: &Path) -> Result<(), String> {
        let is_taken = path == Path::new(self.taken);
        if is_taken { Err("3 things are in it".to_owned()) } else { Ok(()) }
    }

    fn unable(&self, procedure: &Procedure, place: &Place) -> Vec<Objection> {
        kinds::unable(&self.actions, procedure, place)
    }
}

/// Carries out restores, of which something is in the way.
struct Restorer;

impl steps::Action for Restorer {
    fn carries_out(&self, step: &Step) -> bool {
        matches!(step.action, Action::Restore(_) | Action::Quiesce(_) | Action::Resume(_))
    }

    fn objections(&self, procedure: &Procedure, _: &Place) -> Vec<Objection> {
        let is_nowhere =
            |step: &&Step| matches!(&step.action, Action::Restore(of) if of.store == "nowhere");
        let found = procedure.steps.iter().filter(is_nowhere).map(|step| Objection {
            weight: Weight::Remark,
            what: format!("`{}` restores a store without a vault", step.id),
            hint: String::new(),
        });
        found.collect()
    }

    fn work(&self, _: &Attempt, _: &Place) -> Option<Result<Work, String>> {
        None
    }

    fn answer(&self, _: &Asking, _: &Place) -> Option<Reply> {
        None
    }

    fn capture(&self, _: &Attempt, _: &Place) -> Option<Result<Vec<Captured>, String>> {
        None
    }
}

fn step(number: usize, action: Action) -> Step {
    Step::plain(StepId::counted(0, number), action)
}

fn run(script: &str) -> Action {
    Action::Run(script.to_owned())
}

fn procedure(actions: Vec<Action>) -> Procedure {
    let phase = Phase { title: String::new(), budget: None, after: Vec::new(), only_if: None };
    let steps = actions.into_iter().enumerate().map(|(number, action)| step(number, action));
    Procedure {
        scenario: "loss".to_owned(),
        title: "Loss".to_owned(),
        severity: None,
        rto: None,
        rpo: None,
        prerequisites: Vec::new(),
        parameters: Vec::new(),
        phases: vec![phase],
        steps: steps.collect(),
        services: Vec::new(),
        stores: BTreeMap::new(),
        teams: BTreeMap::from([("leads".to_owned(), vec!["ada".to_owned(), "grace".to_owned()])]),
        approvals: BTreeMap::new(),
        signers: BTreeMap::new(),
        credentials: BTreeMap::new(),
        done_when: None,
    }
}

fn parameter(name: &str, kind: ParameterKind, from: ParameterSource) -> Parameter {
    Parameter {
        name: name.to_owned(),
        about: None,
        kind,
        from,
        source: None,
        value: None,
        example: None,
    }
}

#[test]
fn what_only_another_way_lacks_is_a_remark() {
    let mut procedure = procedure(vec![run("cp a b"), run("aliyun oss"), run("mc mirror")]);
    let way = vec![StepId::counted(0, 1)];
    procedure.steps[0].instead = Some(Way { title: "from London".to_owned(), steps: way });
    let found = check(&procedure, "", &[]);
    let of = |name: &str| {
        let found = found.iter().find(|line| line.contains(name));
        found.unwrap_or_else(|| panic!("{name}: {found:?}")).starts_with('!')
    };
    assert!(!of("`aliyun`") && of("`mc`"), "{found:?}");
    assert!(of("`cp`") && found.len() == 3, "{found:?}");
}

/// What is in the way, a line each, with `!` if the run would fail.
fn check(procedure: &Procedure, target: &str, given: &[(&str, &str)]) -> Vec<String> {
    let kind = if target.starts_with("kind:") { "" } else { "kind: drill\n" };
    let target = format!("name: lab\n{kind}{target}");
    let target = Target::read("lab", target.as_bytes()).unwrap();
    let bindings = Bindings::of(&target, Path::new("/"), |_| Err("?".to_owned())).unwrap();
    let place = Place::new("/run".into(), bindings, []);
    let mut parameters = Parameters::default();
    for (name, value) in given {
        parameters.insert(name, Given::Plain((*value).to_owned()));
    }
    let beginning = Beginning { parameters: &parameters, can_ask: false, requester: "ada" };
    let known = Known {
        programs: BTreeMap::from([
            (None, &["bash", "psql", "ssh", "sudo"] as &[_]),
            (Some("node-1".to_owned()), &["systemctl"]),
        ]),
        taken: "/data/new",
        actions: vec![Arc::new(Restorer)],
    };
    let found = preflight(procedure, &place, &beginning, &known);
    let line = |found: &Objection| {
        let sign = if found.weight == Weight::Blocking { "! " } else { "" };
        format!("{sign}{}", found.what)
    };
    found.iter().map(line).collect()
}

fn restore(store: &str, target: Option<&str>) -> Action {
    Action::Restore(Restore {
        store: store.to_owned(),
        to: "latest".to_owned(),
        target: target.map(str::to_owned),
        from: None,
        bump_revision: false,
    })
}

#[test]
fn what_steps_call_on_other_machines_is_looked_for_there() {
    let restore = Action::Restore(Restore {
        store: "orders".to_owned(),
        to: "latest".to_owned(),
        target: Some("/data/new".to_owned()),
        from: None,
        bump_revision: true,
    });
    let terraform = Action::Terraform(Terraform {
        directory: "/srv".to_owned(),
        action: "apply".to_owned(),
        variables: Vec::new(),
    });
    let mut procedure = procedure(vec![restore, terraform]);
    for step in &mut procedure.steps {
        step.on = Some("node-1".to_owned());
    }
    let found = check(&procedure, "hosts: { node-1: [env] }\n", &[]);
    let about = |words: &str| found.iter().filter(|line| line.contains(words)).count();
    assert_eq!(
        about("! `node-1` has no program `soter`, which the step `p1s1` needs"),
        1,
        "{found:?}"
    );
    assert_eq!(about("! `node-1` has no program `terraform`, which the step `p1s2` needs"), 1);
    assert_eq!(about("! `node-1` has no program `etcdutl`, which the step `p1s1` needs"), 1);
    // What is at that place on this machine says nothing about the other.
    assert_eq!(about("3 things are in it"), 0, "{found:?}");
    procedure.steps[0].on = None;
    let found = check(
        &procedure,
        "hosts: { node-1: [env] }\nstores: { orders: { data_directory: /data/x } }\n",
        &[],
    );
    assert!(found.iter().any(|line| line.contains("3 things are in it")), "{found:?}");
}

#[test]
fn of_a_run_that_has_begun_only_what_is_left_is_looked_at() {
    let procedure = procedure(vec![
        run("first-tool"),
        run("second-tool"),
        restore("orders", Some("/data/new")),
        run("third-tool"),
        restore("orders", Some("/data/new")),
    ]);
    let begun = Begun {
        journal: FORMAT_VERSION,
        run: RunId::parse("loss-20300101-0000-7q2x").unwrap(),
        kind: Kind::Drill,
        target: "lab".to_owned(),
        requester: "ada".to_owned(),
        disaster: None,
        host: "laptop".to_owned(),
        plan: String::new(),
        procedure,
        parameters: BTreeMap::new(),
        mirror: MirrorState::Local,
    };
    let at = "2030-01-01T00:00:00Z".parse().unwrap();
    let at = Moment { boot: "a".into(), up: std::time::Duration::ZERO, at };
    let say = |event| Entry { by: "ada".to_owned(), epoch: 1, at: at.clone(), event };
    let mut state = State::begin(&say(Event::Begun(Box::new(begun)))).unwrap();
    let id = |number| StepId::counted(0, number);
    let amended = Step { action: run("better-tool"), ..step(3, run("")) };
    let why = || "it was".to_owned();
    for event in [
        Event::MarkedDone { step: id(0), why: why() },
        Event::StepStarted { step: id(1), attempt: 1, destructive: false },
        Event::StepStarted { step: id(2), attempt: 1, destructive: false },
        Event::Amended { step: Box::new(amended), why: why() },
    ] {
        state.next(&say(event)).unwrap();
    }
    let place = Place::new("/run".into(), Bindings::real(), []);
    let programs = BTreeMap::from([(None, &["bash"] as &[_])]);
    let known = Known { programs, taken: "/data/new", actions: Vec::new() };
    let found = preflight_again(&state, &place, &Parameters::default(), &known);
    let found: Vec<&str> = found.iter().map(|found| found.what.as_str()).collect();
    // The first is over, and the restore that was begun has its directory.
    assert_eq!(
        found,
        [
            "the step `p1s5` restores to /data/new, and 3 things are in it",
            "this machine has no program `better-tool`, which the step `p1s4` needs",
            "this machine has no program `second-tool`, which the step `p1s2` needs",
        ]
    );
}

#[test]
fn everything_that_is_missing_is_said_at_once() {
    let mut procedure = procedure(vec![
        run("psql -c 'SELECT 1' && pg_wal_replay now\nsudo k3s check-config"),
        run("systemctl stop k3s; k3s server"),
        run("kubectl get pods"),
        Action::Notify(Notify {
            by: vec!["pager".to_owned(), "chat".to_owned()],
            to: Vec::new(),
            text: String::new(),
        }),
        Action::Approve {
            by: vec!["leads".to_owned()],
            count: 2,
            text: String::new(),
            within: None,
        },
        restore("orders", Some("/data/${where}")),
        Action::Http(Http {
            method: "GET".to_owned(),
            url: String::new(),
            status: None,
            body: None,
            with: Some("root".to_owned()),
        }),
    ]);
    procedure.steps[1].on = Some("${node}".to_owned());
    procedure.steps[2].on = Some("node-9".to_owned());
    procedure.steps[3].verify = vec![Probe {
        title: String::new(),
        question: Question::Run("etcdctl endpoint health".to_owned()),
        expect: None,
        stable_for: None,
        within: None,
    }];
    procedure.parameters = vec![
        parameter("node", ParameterKind::Host, ParameterSource::Ask),
        parameter("where", ParameterKind::Text, ParameterSource::Ask),
        parameter("moment", ParameterKind::Time, ParameterSource::Environment),
        parameter("when", ParameterKind::Time, ParameterSource::Ask),
        parameter("PATH", ParameterKind::Text, ParameterSource::Value),
        parameter("position", ParameterKind::Text, ParameterSource::Step),
    ];
    let given = [("node", "node-1"), ("where", "new"), ("when", "yesterday"), ("PATH", "/")];
    let found = check(
        &procedure,
        "channels: { chat: { command: [cat] } }\nstores: { orders: { data_directory: /data/main } }\n\
         hosts: { node-1: [env], node-9: [env] }\n",
        &given,
    );
    let expected = [
        "! `node-1` has no program `k3s`, which the step `p1s2` needs",
        "! no message of the step `p1s4` gets through `pager`",
        "! no step gives the parameter `position`",
        "! the credential `root` of the step `p1s7` cannot be read: the file is not there",
        "! the parameter `PATH` cannot reach a script",
        "! the parameter `moment` has no value",
        "! the parameter `when`: `yesterday` is not a moment with its zone, such as \
         2026-01-15T14:30:00Z",
        "! the step `p1s5` waits for 2 to say yes, and 1 can: who begins a run does not approve it",
        "! the step `p1s6` restores to /data/new, and 3 things are in it",
        "! this machine has no program `etcdctl`, which the step `p1s4` needs",
        "! this machine has no program `k3s`, which the step `p1s1` needs",
        "! this machine has no program `pg_wal_replay`, which the step `p1s1` needs",
        "`node-9` cannot be asked which programs it has: no route to it",
    ];
    assert_eq!(found, expected, "{found:#?}");
}

#[test]
fn what_is_there_is_not_objected_to() {
    let mut procedure = procedure(vec![
        run("psql --version"),
        run("systemctl start etcd"),
        Action::Approve {
            by: vec!["leads".to_owned()],
            count: 1,
            text: String::new(),
            within: None,
        },
        restore("orders", Some("/data/other")),
    ]);
    procedure.steps[1].on = Some("node-1".to_owned());
    procedure.steps[0].gives = vec!["position".to_owned()];
    procedure.parameters = vec![parameter("position", ParameterKind::Text, ParameterSource::Step)];
    assert_eq!(check(&procedure, "hosts: { node-1: [env] }\n", &[]), Vec::<String>::new());
}

#[test]
fn who_is_to_stand_still_says_how() {
    let stoppable = |service: &str, runs_as| Stoppable {
        service: service.to_owned(),
        needs: Vec::new(),
        runs_as,
    };
    let scripts = RunsAs::Scripts {
        stop: "systemctl stop api".to_owned(),
        start: "initctl start api".to_owned(),
        on: Some("node-1".to_owned()),
    };
    let services = vec![stoppable("api", vec![scripts]), stoppable("web", Vec::new())];
    let procedure = procedure(vec![Action::Quiesce(services.clone()), Action::Resume(services)]);
    let expect = [
        "! `node-1` has no program `initctl`, which the step `p1s1` needs",
        "! the step `p1s1` stops or starts `web`, and the plan does not say how",
    ];
    assert_eq!(check(&procedure, "hosts: { node-1: [env] }\n", &[]), expect);
}

#[test]
fn what_nobody_here_does_is_found_before_the_first_effect() {
    let sql = Sql { store: None, database: None, query: "SELECT 1".to_owned(), expect: None };
    let question = Probe {
        title: "is it there?".to_owned(),
        question: Question::Sql(sql.clone()),
        expect: None,
        stable_for: None,
        within: None,
    };
    let actions =
        vec![restore("orders", None), restore("nowhere", None), Action::Sql(sql), Action::Capture];
    let mut procedure = procedure(actions);
    procedure.steps[0].capture = vec!["/var/log/postgresql".to_owned()];
    procedure.steps[0].verify = vec![question.clone()];
    procedure.phases[0].title = "Assess".to_owned();
    procedure.phases[0].only_if = Some(question);
    let expected = [
        "! nothing here carries out the step `p1s3`, which is of the kind `sql`",
        "! nothing here carries out the step `p1s4`, which is of the kind `capture`",
        "! nothing here keeps the evidence that the step `p1s1` names",
        "! nothing here puts the question `is it there?` of the phase Assess",
        "! nothing here puts the question `is it there?` of the step `p1s1`",
        "`p1s2` restores a store without a vault",
    ];
    assert_eq!(check(&procedure, "", &[]), expected);
}

#[test]
fn a_drill_does_not_get_out_of_its_fence() {
    let http = |method: &str, url: &str| {
        let (method, url) = (method.to_owned(), url.to_owned());
        Action::Http(Http { method, url, status: None, body: None, with: None })
    };
    let kubernetes =
        RunsAs::Kubernetes { object: "deployment/api".to_owned(), namespace: None, replicas: None };
    let service =
        Stoppable { service: "api".to_owned(), needs: Vec::new(), runs_as: vec![kubernetes] };
    let mut procedure = procedure(vec![
        run("psql --version"),
        run("psql --version"),
        http("DELETE", "https://api.test/orders"),
        http("GET", "https://api.test/health"),
        http("POST", "http://127.0.0.1:8080/x"),
        Action::Quiesce(vec![service]),
    ]);
    procedure.steps[0].on = Some("${node}".to_owned());
    procedure.steps[1].on = Some("${other}".to_owned());
    let fenced = |target: &str| {
        let found = check(&procedure, target, &[("node", "node-1")]);
        let is_ours = |line: &String| line.contains("lab") && !line.contains("carries out");
        found.into_iter().filter(is_ours).collect::<Vec<_>>()
    };
    let out = |what: &str| {
        format!("{what}, which the target `lab` does not bind: it would be the plan's own")
    };
    let expect = [
        format!("! {} machine", out("the step `p1s1` of this drill goes to `node-1`")),
        format!("! {}", out("the step `p1s3` of this drill asks api.test")),
        "! the step `p1s6` of this drill changes a Kubernetes that the target `lab` does not name: it \
         would be the one of whoever begins the run"
            .to_owned(),
        "the step `p1s2` goes to a machine whose name `${other}` is not known yet: if the target \
         `lab` does not bind it, it is the plan's own"
            .to_owned(),
        out("the step `p1s4` of this drill asks api.test"),
    ];
    assert_eq!(fenced(""), expect);
    let bound = "hosts: { node-1: [env] }\nkubeconfig: k\nendpoints: { \"https://api.test\": \"http://[::1]\" }\n";
    assert_eq!(fenced(bound), expect[3..4]);
    // At the real thing the plan's own places are meant.
    assert_eq!(fenced("kind: real\n"), [""; 0]);
}

#[test]
fn what_a_step_installs_is_a_remark() {
    let procedure = procedure(vec![run("sudo apt-get install -y jq"), run("jq . /etc/x")]);
    let found = check(&procedure, "", &[]);
    assert_eq!(
        found,
        [
            "! this machine has no program `apt-get`, which the step `p1s1` needs",
            "this machine has no program `jq`, which the step `p1s2` needs",
        ]
    );
}

#[test]
fn only_what_the_script_itself_calls_is_needed() {
    let check = |script: &str, expect: &[&str]| {
        let found = needs(script).programs;
        let found: Vec<&str> = found.iter().map(String::as_str).collect();
        assert_eq!(found, expect, "{script}");
    };
    check("cd /x && echo $(date) | tee y > z", &["date", "tee"]);
    check("sudo -u postgres timeout 5m psql -c 'SELECT 1'", &["psql", "sudo", "timeout"]);
    check("ssh node-1 'systemctl stop k3s'", &["ssh"]);
    check("kubectl exec pod -- pg_dump x", &["kubectl"]);
    check("bash -c 'jq . x'", &["bash", "jq"]);
    check("helper() { jq .; }; helper", &["jq"]);
    check("command -v jq > /dev/null && jq . || python3 -c x", &["python3"]);
    check("$TOOL run; ./local.sh; /opt/soter/bin/tool x", &["/opt/soter/bin/tool"]);
    check("if [[ -f x ]]; then exit 1; fi; for i in a b; do :; done", &[]);
    check("A=b; B=$(mktemp) cat <<END\nrm -rf /\nEND", &["cat", "mktemp"]);
    check("", &[]);
}
