use soter_plan::check::{Input, Loaded, load};
use soter_world::Secret;

use super::*;
use crate::testing::example;

fn plan(scenario: &str) -> Loaded {
    let text = format!("scenarios:\n  lost:\n{scenario}");
    let loaded = load(&[Input { name: "plan.yaml".to_owned(), bytes: text.into_bytes() }]);
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    loaded
}

fn complaints(scenario: &str) -> Vec<String> {
    let loaded = plan(scenario);
    let complaints = compile(&loaded.plan, "lost").unwrap_err();
    let shown = complaints.iter().map(|complaint| {
        let line = complaint.origin.map_or(0, |origin| {
            let file = loaded.sources.file(origin.file).unwrap();
            file.place(origin.range().start).line
        });
        format!("{line}: {}", complaint.what)
    });
    shown.collect()
}

fn step<'p>(procedure: &'p Procedure, id: &str) -> &'p Step {
    procedure.step(&StepId::parse(id).unwrap()).unwrap_or_else(|| panic!("{id}"))
}

fn after(procedure: &Procedure, id: &str) -> Vec<String> {
    step(procedure, id).after.iter().map(ToString::to_string).collect()
}

#[test]
fn every_scenario_of_the_examples_compiles_and_survives_its_journal() {
    let mut count = 0;
    for name in ["kosmos", "kosmos-lab", "shop"] {
        let loaded = example(name);
        for scenario in loaded.plan.scenarios.names() {
            let procedure = compile(&loaded.plan, scenario)
                .unwrap_or_else(|complaints| panic!("{name} {scenario}: {complaints:#?}"));
            let text = serde_json::to_string(&procedure).unwrap();
            let again: Procedure = serde_json::from_str(&text).unwrap();
            assert_eq!(again, procedure);
            assert_eq!(again.digest(), procedure.digest());
            count += 1;
        }
    }
    assert!(count > 8, "{count}");
}

#[test]
fn a_cluster_that_is_lost_comes_back_in_the_order_of_its_plan() {
    let loaded = example("kosmos");
    let procedure = compile(&loaded.plan, "cluster-loss").unwrap();
    assert_eq!(after(&procedure, "agreed"), Vec::<String>::new());
    assert_eq!(after(&procedure, "etcd"), ["fenced", "snapshot"]);
    assert_eq!(after(&procedure, "streams"), Vec::<String>::new());
    assert_eq!(procedure.phases[1].after, [0]);
    assert_eq!(
        step(&procedure, "nodes").gives,
        ["first_node", "second_node", "third_node"].map(str::to_owned)
    );
    let Action::Quiesce(held) = &step(&procedure, "held").action else { panic!("held") };
    let names: Vec<&str> = held.iter().map(|one| one.service.as_str()).collect();
    assert!(names.contains(&"zeus") && !names.contains(&"postgresql"), "{names:?}");
    assert!(held.iter().all(|one| !one.runs_as.is_empty()), "{held:?}");
    let agents = held.iter().find(|one| one.service == "agents").unwrap();
    assert_eq!(agents.needs, ["zeus"]);
    assert_eq!(step(&procedure, "held").obliges, ["writers-held"]);
    let zeus = procedure.services.iter().find(|service| service.name == "zeus").unwrap();
    assert_eq!(zeus.steps, [StepId::parse("core").unwrap()]);
    assert!(zeus.rto.is_some() && zeus.planned.is_some(), "{zeus:?}");
}

#[test]
fn a_small_plan_counts_its_steps_and_knows_who_approves() {
    let loaded = example("shop");
    let procedure = compile(&loaded.plan, "server-loss").unwrap();
    let ids: Vec<&str> = procedure.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["p1s1", "p1s2", "p1s3", "p1s4"]);
    let Action::Approve { by, count, within, .. } = &procedure.steps[0].action else { panic!() };
    assert_eq!((by.as_slice(), *count), (["second".to_owned()].as_slice(), 1));
    assert_eq!(*within, Some(Duration::from_mins(5)));
    assert!(procedure.is_one_of("second", "second") && !procedure.is_one_of("first", "second"));
}

#[test]
fn what_a_run_would_have_to_guess_is_a_complaint_at_its_place() {
    let found = complaints(
        "    phases:
      - title: One
        steps:
          - { id: a, run: 'true', manual: do it }
          - { id: a, run: 'true', after: [later] }
          - { id: ../b, run: 'true' }
          - { id: later, title: nothing }
          - { id: r, restore: { store: orders, to: \"${when}\" } }
          - { id: q, quiesce: [nobody] }
          - { id: o, run: 'true', obliges: [door-closed] }
          - { id: v, verify: [{ title: both, run: 'true', manual: look }] }
          - { id: p, approve: { text: Go } }
",
    );
    let expect = [
        "6: `a` does more than one thing: run, manual",
        "7: two steps are called `a`",
        "7: no step before this one is called `later`",
        "8: `../b` is no name",
        "9: `later` neither does nor asks anything",
        "10: `r` names `${when}`, and nothing gives it a value",
        "10: the plan has no store `orders`",
        "11: `nobody` is no service of the plan",
        "12: no step lifts `door-closed`, so the run could never be closed",
        "13: a probe asks one thing, and this one asks none or several",
        "14: nobody is named who may approve this",
    ];
    for expected in expect {
        assert!(found.iter().any(|one| one.starts_with(expected)), "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    assert_eq!(complaints("    title: Nothing\n"), ["2: `lost` has no steps"]);
    let loaded = plan("    title: Nothing\n");
    let unknown = compile(&loaded.plan, "found").unwrap_err();
    assert_eq!(unknown[0].hint, "take one of: lost");
}

#[test]
fn another_way_gives_all_that_its_step_gives() {
    let found = complaints(
        "    parameters:
      copy: { from: step, name: a }
    phases:
      - steps:
          - id: a
            run: 'true'
            starts: [web]
            restores: [orders]
            writes: [list]
            lifts: [door]
            instead: { steps: [{ id: b, run: 'true', obliges: [gate] }] }
          - { id: c, run: 'true', after: [b] }
          - { id: p, approve: { by: [ada], text: Go }, instead: { steps: [{ run: 'true' }] } }
          - { id: e, run: 'true', instead: { title: nothing } }
          - { id: f, run: 'true', obliges: [window],
              instead: { steps: [{ id: g, run: 'true', lifts: [window] }, { id: a, run: x }] } }
",
    );
    let expect = [
        "7: `a` starts `web`, and its other way does not",
        "7: `a` restores `orders`, and its other way does not",
        "7: `a` writes `list`, and its other way does not",
        "7: `a` lifts `door`, and its other way does not",
        "7: `a` gives `copy` its value, and its other way does not",
        "13: no step lifts `gate`",
        "14: `b` is a step of another way, which may never be taken",
        "15: `p` is an approval, and there is no way past one",
        "16: the other way of `e` has no steps",
        "17: no step lifts `window`",
        "18: two steps are called `a`",
    ];
    for expected in expect {
        assert!(found.iter().any(|one| one.starts_with(expected)), "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), expect.len(), "{found:#?}");
}

#[test]
fn what_undoes_a_step_lifts_its_measures_and_stands_alone() {
    let found = complaints(
        "    phases:
      - steps:
          - { id: first, run: 'true' }
          - { id: a, run: 'true', obliges: [door], undo: { steps: [{ id: b, run: 'true', after: [first] }] } }
          - { id: c, run: 'true', lifts: [door], undo: { title: nothing } }
          - { id: d, wait: 1 s, undo: { steps: [{ run: 'true' }] } }
          - id: e
            run: 'true'
            undo: { steps: [{ id: f, run: 'true', undo: { steps: [{ id: g, run: 'true' }] } }] }
",
    );
    let expect = [
        "6: what undoes a step does not wait for others, such as `first`",
        "6: `a` obliges `door`, and what undoes it does not lift it",
        "7: what undoes `c` has no steps",
        "8: `d` leaves nothing that could be taken back",
        "9: what undoes `e` has another way, or an undoing, itself",
    ];
    for expected in expect {
        assert!(found.iter().any(|one| one.starts_with(expected)), "{expected}: {found:#?}");
    }
    assert_eq!(found.len(), expect.len(), "{found:#?}");
    let loaded = plan(
        "    phases:
      - steps:
          - id: a
            run: 'true'
            obliges: [door]
            instead: { steps: [{ id: b, run: 'true', undo: { steps: [{ run: 'true' }] } }] }
            undo: { title: Open, steps: [{ run: 'true' }, { id: z, run: 'true', lifts: [door] }] }
          - { id: c, run: 'true', lifts: [door] }
",
    );
    let procedure = compile(&loaded.plan, "lost").unwrap();
    let ids: Vec<&str> = procedure.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["a", "b", "b-undo1", "a-undo1", "z", "c"]);
    assert_eq!(after(&procedure, "z"), ["a-undo1"]);
    assert_eq!(after(&procedure, "c"), ["a"]);
    assert_eq!(procedure.without_ways().steps.len(), 2);
}

#[test]
fn another_way_stands_behind_its_step_and_gives_its_values() {
    let loaded = plan(
        "    parameters:
      copy: { from: step, name: a }
      rule: { from: step, name: q }
    phases:
      - steps:
          - { id: first, run: 'true' }
          - id: a
            run: 'true'
            restores: [orders]
            instead:
              title: From London
              steps:
                - { run: 'true', writes: [copy] }
                - { id: late, run: 'true', restores: [orders], after: [first] }
          - { id: q, ask: 'Which?', instead: { steps: [{ id: r, ask: 'Really?', writes: [rule] }] } }
",
    );
    let procedure = compile(&loaded.plan, "lost").unwrap();
    let ids: Vec<&str> = procedure.steps.iter().map(|step| step.id.as_str()).collect();
    assert_eq!(ids, ["first", "a", "a-instead1", "late", "q", "r"]);
    assert_eq!(after(&procedure, "a-instead1"), Vec::<String>::new());
    assert_eq!(after(&procedure, "late"), ["a-instead1", "first"]);
    assert_eq!(after(&procedure, "q"), ["a"]);
    assert_eq!(step(&procedure, "a-instead1").gives, ["copy"]);
    let Action::Ask { gives, .. } = &step(&procedure, "r").action else { panic!("r") };
    assert_eq!((gives, &step(&procedure, "r").gives), (&vec!["rule".to_owned()], gives));
    let way = step(&procedure, "a").instead.as_ref().unwrap();
    assert_eq!((way.title.as_str(), way.steps.len()), ("From London", 2));
    let sure = procedure.without_ways();
    assert_eq!(sure.steps.len(), 3);
    assert!(sure.steps_of_ways().is_empty() && procedure.steps_of_ways().len() == 3);
}

#[test]
fn revisions_are_moved_on_in_an_etcd_and_nowhere_else() {
    let text = "stores: { orders: { kind: postgres }, cluster: { kind: etcd } }
scenarios:
  lost: { phases: [{ steps: [{ id: a, restore: { store: cluster, bump_revision: yes } }] }] }
  wrong: { phases: [{ steps: [{ id: a, restore: { store: orders, bump_revision: yes } }] }] }
";
    let loaded = load(&[Input { name: "plan.yaml".to_owned(), bytes: text.into() }]);
    let procedure = compile(&loaded.plan, "lost").unwrap();
    assert!(matches!(&step(&procedure, "a").action, Action::Restore(of) if of.bump_revision));
    let complaints = compile(&loaded.plan, "wrong").unwrap_err();
    assert_eq!(complaints[0].what, "revisions are moved on in an etcd, and this is none");
}

#[test]
fn who_stands_still_is_in_the_order_of_needs_with_all_it_takes() {
    let loaded = load(&[Input {
        name: "plan.yaml".to_owned(),
        bytes: b"stores: { orders: { kind: postgres } }
services:
  web: { needs: [cache], writes: [orders], runs_as: { kubernetes: { object: \"deployment/${web}\",
         namespace: shop, replicas: 3 } } }
  cache: { needs: [api] }
  api: { writes: [orders], runs_as: [ { stop: systemctl stop api, start: systemctl start api,
         on: node-1 }, { kubernetes: { object: statefulset/api } } ] }
  import: { runs_as: { stop: systemctl stop import } }
scenarios:
  lost:
    parameters: { web: { from: ask } }
    phases:
      - steps:
          - { id: held, quiesce: [writers of orders, web] }
          - { id: back, resume: [writers of orders] }
  wrong: { phases: [ { steps: [ { quiesce: import } ] } ] }
"
        .to_vec(),
    }]);
    assert!(loaded.findings.is_empty(), "{:?}", loaded.findings);
    let procedure = compile(&loaded.plan, "lost").unwrap();
    let (Action::Quiesce(held), Action::Resume(back)) =
        (&step(&procedure, "held").action, &step(&procedure, "back").action)
    else {
        panic!("{procedure:?}")
    };
    assert_eq!(held, back);
    let named = |one: &Stoppable| (one.service.clone(), one.needs.clone());
    let expect = [("api", vec![]), ("web", vec!["api".to_owned()])];
    let expect = expect.map(|(name, needs)| (name.to_owned(), needs));
    assert_eq!(held.iter().map(named).collect::<Vec<_>>(), expect);
    let scripts = RunsAs::Scripts {
        stop: "systemctl stop api".to_owned(),
        start: "systemctl start api".to_owned(),
        on: Some("node-1".to_owned()),
    };
    assert_eq!(held[0].runs_as[0], scripts);
    assert_eq!(
        step(&procedure, "held").action.texts(),
        ["node-1", "statefulset/api", "deployment/${web}", "shop"]
    );
    assert!(step(&procedure, "held").keeps("replicas.web"));
    assert!(
        !step(&procedure, "held").keeps("web") && !step(&procedure, "back").keeps("replicas.web")
    );
    let complaints = compile(&loaded.plan, "wrong").unwrap_err();
    assert_eq!(complaints[0].what, "it is not said how `import` stands still");
}

#[test]
fn an_answer_goes_where_the_plan_says() {
    let loaded = plan(
        "    parameters:
      before: { from: step, name: judged, type: time }
      rule: { from: ask }
    phases:
      - steps:
          - { id: judged, ask: Since when? }
          - { id: number, ask: Which rule?, writes: [rule] }
          - { id: word, ask: Which word? }
          - { id: done, run: 'echo \"${word} ${unheard}\"', on: \"${word}\" }
",
    );
    let procedure = compile(&loaded.plan, "lost").unwrap();
    let gives = |id| step(&procedure, id).gives.clone();
    assert_eq!(
        (gives("judged"), gives("number")),
        (vec!["before".to_owned()], vec!["rule".to_owned()])
    );
    assert_eq!(gives("word"), ["word"]);
}

#[test]
fn where_secrets_are_found_is_known_without_the_plan() {
    let loaded = plan(
        "    parameters:
      token: { from: credential, name: edge, type: secret }
    phases:
      - steps:
          - { id: agreed, approve: { by: [leads, cleo], text: Go } }
          - { id: told, http: { url: 'http://x/', with: page } }
people:
  ada: { approves_with: \"${file:/keys/ada}\" }
  bea: { title: Bea }
  cleo: { approves_with: \"${env:CLEO}\" }
  dora: { approves_with: \"${env:DORA}\" }
teams:
  leads: { members: [ada, bea] }
credentials:
  edge: { read_from: \"${env:EDGE}\" }
  page: { read_from: \"${file:/keys/page}\" }
  other: { read_from: \"${file:/keys/other}\" }
",
    );
    let procedure = compile(&loaded.plan, "lost").unwrap();
    let pairs = |found: &BTreeMap<String, String>| {
        found.iter().map(|(name, place)| format!("{name} {place}")).collect::<Vec<_>>()
    };
    assert_eq!(pairs(&procedure.approvals), ["ada ${file:/keys/ada}", "cleo ${env:CLEO}"]);
    assert_eq!(pairs(&procedure.credentials), ["edge ${env:EDGE}", "page ${file:/keys/page}"]);
}

#[test]
fn values_are_filled_into_texts_and_checked_by_their_kind() {
    let mut parameters = Parameters::default();
    parameters.insert("host", Given::Plain("node-1".to_owned()));
    parameters.insert("token", Given::Hidden(Secret::new("hunter2".to_owned())));
    let filled = parameters.fill("https://${host}/${token}?${env:HOME}=$host");
    assert_eq!(filled.unwrap(), "https://node-1/hunter2?${env:HOME}=$host");
    assert_eq!(parameters.fill("${nothing}"), Err(UnknownName("nothing".to_owned())));
    assert!(!format!("{parameters:?}").contains("hunter2"));
    for (kind, good, bad) in [
        (ParameterKind::Time, "2026-01-15T14:30:00Z", "2026-01-15 14:30"),
        (ParameterKind::Number, "12.5", "twelve"),
        (ParameterKind::Host, "node-1.example", "-oProxyCommand=x"),
    ] {
        assert_eq!(kind.check(good), Ok(()));
        assert!(kind.check(bad).unwrap_err().starts_with(&format!("`{bad}` is not ")));
    }
}

#[test]
fn stores_are_known_without_the_plan_and_a_query_goes_to_the_only_one() {
    let procedure = compile(&example("kosmos").plan, "postgres-corruption").unwrap();
    let postgres = &procedure.stores["postgres"];
    assert_eq!(postgres.kind, "postgres");
    let vaults: Vec<&str> = postgres.vaults.iter().map(|vault| vault.name.as_str()).collect();
    assert_eq!(vaults, ["vault-dublin", "vault-london"]);
    let scenario = "scenarios:\n  lost:\n    phases:\n      - steps:\n          \
                    - { id: a, sql: { query: SELECT 1 } }\n";
    let compiled = |stores: &str| {
        let bytes = format!("stores: {{ {stores} }}\n{scenario}").into_bytes();
        let plan = load(&[Input { name: "plan".to_owned(), bytes }]).plan;
        compile(&plan, "lost")
    };
    let one = compiled(
        "orders: { kind: postgres, connection: host=/run user=soter, data_directory: /srv/pg }, \
         cache: { kind: other }",
    );
    let one = one.unwrap();
    let Action::Sql(sql) = &step(&one, "a").action else { panic!("{one:?}") };
    assert_eq!(sql.store.as_deref(), Some("orders"));
    assert_eq!(one.stores["orders"].connection.as_deref(), Some("host=/run user=soter"));
    assert_eq!(one.stores["orders"].data_directory, Some(PathBuf::from("/srv/pg")));
    let two = compiled("orders: { kind: postgres }, books: { kind: postgres }").unwrap_err();
    assert!(two[0].hint.contains("one of: orders, books"), "{two:?}");
    assert!(compiled("cache: { kind: other }").is_err());
}
