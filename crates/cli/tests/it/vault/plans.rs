//! The plan in a vault: published by one who may, found again with the binary, the vault and a key.

use std::fs;

use serde_json::Value;
use soter_world::exec::Status;
use soter_world::{OsDisk, durable};

use super::keys::Place;
use crate::lab::{overwrite, text};

const SERVICES: &str = "services:\n  shop: { tier: 1, rto: 30m, needs: [ghost] }\n";

/// A directory with a plan in two files.
fn plan(place: &Place, services: &str) -> String {
    let directory = place.path("plan");
    fs::create_dir_all(format!("{directory}/parts")).unwrap();
    let plan = "plan: { title: shop, owner: sre, version: 1 }\n";
    let put = |name: &str, text: &str| {
        let path = format!("{directory}/{name}");
        durable::write_durable(&OsDisk, path.as_ref(), text.as_bytes()).unwrap();
    };
    put("soter.yaml", plan);
    put("parts/services.yaml", services);
    directory
}

fn publish(place: &Place, key: &str) -> Value {
    let (directory, url, key) = (place.path("plan"), place.url(), place.key(key));
    place.json(&["--plan", &directory, "plan", "publish", "--vault", &url, "--key", &key])
}

#[test]
fn a_laptop_with_a_key_finds_the_plan_and_checks_it() {
    let place = Place::new();
    let directory = plan(&place, SERVICES);
    let (url, key) = (place.url(), place.key("operator-2"));
    let read = ["--vault", &url, "--identity", &key];
    place.fails(&[&["plan", "show"], &read[..]].concat(), 1, "soter plan publish");
    let first = publish(&place, "operator-1");
    assert_eq!((&first["vaults"][0]["number"], &first["files"]), (&1.into(), &2.into()));
    let again = publish(&place, "operator-1");
    assert_eq!(again["vaults"][0], serde_json::json!({ "vault": url, "number": 1, "new": false }));

    let shown = place.json(&[&["plan", "show"], &read[..]].concat());
    assert_eq!((&shown["number"], &shown["signer"]), (&1.into(), &"operator-1".into()));
    assert_eq!(shown["digest"], first["digest"]);
    assert_eq!(shown["files"][0]["name"], "parts/services.yaml");
    let printed: Value = place.json(&["doc", &directory]);
    assert_eq!(printed["digest"], first["digest"], "the paper names the same plan");

    let local = place.soter(&["--json", "check", &directory]);
    let far = place.soter(&[&["--json", "check"], &read[..]].concat());
    let codes = |report: &[u8]| {
        let report: Value = serde_json::from_slice(report).unwrap();
        let findings = report["findings"].as_array().unwrap().clone();
        findings.iter().map(|it| it["code"].as_str().unwrap().to_owned()).collect::<Vec<_>>()
    };
    assert!(text(&far.stderr).contains("signed"), "{}", text(&far.stderr));
    assert_eq!((local.status, codes(&local.stdout)), (far.status, codes(&far.stdout)));
    assert!(!codes(&far.stdout).is_empty());

    let copy = place.path("copy");
    place.ok(&[&["plan", "fetch", &copy], &read[..]].concat());
    for file in ["soter.yaml", "parts/services.yaml"] {
        let (was, is) = (format!("{directory}/{file}"), format!("{copy}/{file}"));
        assert_eq!(fs::read(was).unwrap(), fs::read(is).unwrap(), "{file}");
    }
    place.fails(&[&["plan", "fetch", &copy], &read[..]].concat(), 2, "is not empty");
}

#[test]
fn the_newest_plan_of_those_who_may_counts() {
    let place = Place::new();
    let url = place.url();
    let directory = plan(&place, SERVICES);
    publish(&place, "operator-1");
    plan(&place, &SERVICES.replace("30m", "20m"));
    assert_eq!(publish(&place, "collector")["vaults"][0]["number"], 2);
    plan(&place, &SERVICES.replace("30m", "10m"));
    assert_eq!(publish(&place, "root")["vaults"][0]["number"], 3);
    let key = place.key("agent");
    let agent = ["--plan", &directory, "plan", "publish", "--vault", &url, "--key", &key];
    place.fails(&agent, 2, "an agent's key signs no plans");
    let key = place.key("operator-1");
    let show = ["plan", "show", "--vault", &url, "--identity", &key];
    assert_eq!(place.json(&show)["signer"], "the root");

    // Damaged: said, and the one before it counts.
    let object = place.path("vault/plan/00000003");
    let mut bytes = fs::read(&object).unwrap();
    *bytes.last_mut().unwrap() ^= 1;
    overwrite(object.as_ref(), &bytes);
    let done = place.soter(&[&["--json"], &show[..]].concat());
    assert_eq!(done.status, Status::Exited(0));
    assert!(text(&done.stderr).contains("plan/00000003: the signature of"));
    let shown: Value = serde_json::from_slice(&done.stdout).unwrap();
    assert_eq!((&shown["number"], &shown["signer"]), (&2.into(), &"collector".into()));
}

#[test]
fn a_plan_that_cannot_be_read_is_not_published() {
    let place = Place::new();
    plan(&place, "services: [\n");
    let (directory, url, key) = (place.path("plan"), place.url(), place.key("operator-1"));
    let line = ["--plan", &directory, "plan", "publish", "--vault", &url, "--key", &key];
    place.fails(&line, 2, "a part of the plan cannot be read");
    place.fails(&["plan", "show", "--vault", &url], 2, "--identity operator.key");
    place.fails(&["check"], 2, "required");
}
