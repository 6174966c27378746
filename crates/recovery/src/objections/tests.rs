use std::fs;

use soter_runbook::procedure::Given;

use super::*;
use crate::testing::Desk;

const PLAN: &str = "vaults: { near: { url: \"file:///nowhere/near\" } }
stores:
  orders: { kind: postgres, vaults: [near] }
  etcd: { kind: etcd }
scenarios:
  loss:
    parameters: { before: { from: ask, type: time } }
    phases:
      - steps:
          - { id: nodes, terraform: { directory: infrastructure } }
          - id: back
            restore: { store: orders, to: \"${before}\", target: /srv/restored }
            verify: [{ sql: { store: orders, query: SELECT 1 }, expect: \"1\" }]
          - { id: odd, sql: { store: etcd, query: SELECT 1 } }
          - { id: gone, terraform: { directory: infrastructure, action: plan }, on: node-1 }
";

/// What is in the way, a line each, with `!` if the run would fail.
fn check(desk: &Desk, change: impl FnOnce(&mut Means)) -> Vec<String> {
    let mut means = desk.means();
    change(&mut means);
    let mut parameters = Parameters::default();
    parameters.insert("other", Given::Plain("x".to_owned()));
    let found = objections(&desk.procedure(), &desk.place(), &parameters, &means);
    let line = |found: Objection| {
        let sign = if found.weight == Weight::Blocking { "! " } else { "" };
        format!("{sign}{}", found.what.replace(&desk.root().display().to_string(), "ROOT"))
    };
    found.into_iter().map(line).collect()
}

#[test]
fn everything_that_is_in_the_way_is_said_at_once() {
    let found = check(&Desk::new(PLAN, "kind: drill\n"), |_| {});
    let expected = [
        "! the step `back` cannot ask `orders`: it is not said how the store `orders` is reached: give \
         `orders` a `connection` under `stores` of the target `lab`",
        "! the step `back` cannot restore `orders`: a backup is opened with an operator's key, and none \
         was given: name its file with --identity FILE",
        "! the step `gone`: `plan` is no action of Terraform here: write apply or destroy",
        "! the step `gone`: the directory `infrastructure` is on `node-1`, where nothing says from where \
         it counts: write its whole path",
        "! the step `nodes` needs the directory ROOT/infrastructure, which is not there",
        "! the step `odd` puts a query to `etcd`",
    ];
    let found: Vec<&str> =
        found.iter().map(String::as_str).filter(|line| !line.contains("no program")).collect();
    assert_eq!(found, expected, "{found:#?}");
}

#[test]
fn what_may_come_about_by_then_is_a_remark() {
    let target = "kind: drill\nstores: { orders: { connection: host=/nowhere user=ada, data_directory: \
                  pg/data } }\n";
    let plan = PLAN.split("          - { id: odd").next().unwrap();
    let desk = Desk::new(plan, target);
    fs::create_dir(desk.root().join("infrastructure")).unwrap();
    let key = desk.root().join("no.key");
    let found = check(&desk, |means| means.identity = Some(key));
    let about = |words: &str| found.iter().find(|line| line.contains(words));
    assert!(about("does not answer").unwrap().starts_with("`orders`, which the step `back`"));
    // Not which moment is wrong, which nobody knows yet, but that no vault answers.
    assert!(about("no vault of `orders` answers: near").unwrap().starts_with("! "), "{found:#?}");
}
