use super::*;
use crate::testing::{self, Desk};
use soter_runbook::procedure::Given;

const PLAN: &str = "vaults: { near: { url: \"file:///near\" } }
stores:
  orders: { kind: postgres, connection: host=db.example user=ada, data_directory: /srv/pg, vaults: [near] }
  etcd: { kind: etcd }
";

fn restore(to: &str) -> Restore {
    Restore {
        store: "orders".to_owned(),
        to: to.to_owned(),
        target: Some("/srv/restored".to_owned()),
        from: Some("near".to_owned()),
        bump_revision: false,
    }
}

fn restores(desk: &Desk) -> Restores {
    let mut means = desk.means();
    means.identity = Some("/keys/operator.key".into());
    Restores { stores: desk.stores(), means }
}

#[test]
fn a_moment_is_a_target_or_a_plain_time() {
    let check = |text: &str, expect: &str| {
        assert_eq!(moment(text).unwrap().to_string(), expect, "{text}");
    };
    check("latest", "latest");
    check(" lsn:16/B374D848 ", "lsn:16/B374D848");
    check("2026-01-15T14:30:00Z", "time:2026-01-15T14:30:00Z");
    check("2026-01-15 15:30:00+01", "time:2026-01-15T14:30:00Z");
    let why = moment("yesterday").unwrap_err();
    assert!(why.contains("\"yesterday\" is not a target; write one of latest"), "{why}");
    assert!(moment("time:2026-01-15 14:30").unwrap_err().contains("has no zone"));
}

#[test]
fn the_command_says_everything_and_whose_it_is() {
    let target = "kind: drill\nstores: { orders: { connection: host=/lab/run port=5444 user=eva, \
                  data_directory: pg/data, vault: \"file:///lab/vault\" } }\n";
    let desk = Desk::new(PLAN, target);
    let attempt = testing::attempt(procedure::Action::Restore(restore("${before}")), |_| {});
    let mut parameters = Parameters::default();
    parameters.insert("before", Given::Plain("2026-01-15T14:30:00Z".to_owned()));
    let attempt = Attempt { parameters: parameters.into(), ..attempt };
    let work = restores(&desk).work(&attempt, &desk.place()).unwrap().unwrap();
    let Work::Command { spec, .. } = work else { panic!("it must outlive the engine") };
    let root = desk.root().display();
    let expect = format!(
        "--json restore orders --vault file:///lab/vault --to time:2026-01-15T14:30:00Z \
         --identity /keys/operator.key --target-dir {root}/pg/restored --start --port 5444 \
         --socket-dir /lab/run --once loss-20300102-0304-abcd/step --attempt {root}/run/children/step.1"
    );
    assert_eq!(spec.arguments.join(" "), expect);
    assert_eq!(spec.program, "/proc/self/exe");
    let etcd = Restore { store: "etcd".to_owned(), ..restore("latest") };
    let attempt = testing::attempt(procedure::Action::Restore(etcd), |_| {});
    assert!(restores(&desk).work(&attempt, &desk.place()).is_none(), "left to others");
}

#[test]
fn what_cannot_be_restored_is_said_before_anything_begins() {
    let desk = Desk::new(PLAN, "kind: real\n");
    let says = |restores: &Restores, change: fn(&mut Step), words: &str| {
        let attempt = testing::attempt(procedure::Action::Restore(restore("latest")), change);
        let work = restores.work(&attempt, &desk.place()).unwrap();
        let why = work.err().expect("it cannot be begun");
        assert!(why.contains(words), "{why}");
    };
    let mut restores = restores(&desk);
    says(&restores, |_| {}, "`db.example`, and a restore leaves its server on this machine");
    let elsewhere = |step: &mut Step| step.on = Some("other.example".to_owned());
    says(&restores, elsewhere, "`db.example`, and a restore leaves its server on `other.example`");
    // On its own machine it would be begun, if there were a key.
    let there = |step: &mut Step| step.on = Some("db.example".to_owned());
    says(&restores, there, "the key file /keys/operator.key cannot be used");
    restores.means.identity = None;
    says(&restores, |_| {}, "an operator's key");
    assert_eq!(
        door(&ConnectionInfo::parse("host=127.0.0.1 port=6000 user=a").unwrap(), None).unwrap(),
        Some(Door { socket_directory: None, port: 6000 })
    );
}
