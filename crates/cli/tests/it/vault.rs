//! Looking after a vault with the binary: verify, and what a thief or a bad disk leaves.

mod collect;
mod keys;
mod plans;

use std::fs;
use std::path::{Path, PathBuf};

use serde_json::Value;
use soter_world::exec::Status;

use crate::lab::{self, Lab};

/// Two backups of a cluster, with WAL between them and behind.
fn two_backups() -> Lab {
    let lab = Lab::archiving();
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id").unwrap();
    lab.ok(&["backup", "orders"]);
    for _ in 0..3 {
        lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 20000)").unwrap();
        lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
    }
    lab.ok(&["backup", "orders"]);
    for _ in 0..2 {
        lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 1000)").unwrap();
        lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
    }
    lab.wait_archived();
    lab
}

/// The objects of a class of the lab's vault, by their full names, the oldest first.
fn objects(lab: &Lab, class: &str) -> Vec<String> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { walk(&path, found) } else { found.push(path) }
        }
    }
    let vault = lab.root.join("vault");
    let mut found = Vec::new();
    walk(&vault.join(class), &mut found);
    let name = |path: &PathBuf| path.strip_prefix(&vault).unwrap().display().to_string();
    let age = |path: &PathBuf| (fs::metadata(path).unwrap().modified().unwrap(), name(path));
    found.sort_by_key(age);
    found.iter().map(name).collect()
}

/// Flips a bit in the middle of an object; the same again mends it.
fn flip(lab: &Lab, object: &str) {
    let path = lab.root.join("vault").join(object);
    let mut bytes = fs::read(&path).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 0x10;
    lab::overwrite(&path, &bytes);
}

/// What `verify` says about one damaged object, found with exit code 1.
fn damaged(lab: &Lab, arguments: &[&str], object: &str) -> Value {
    let done = lab.soter(&[&["--json", "verify"], arguments].concat());
    let said = lab::text(&done.stderr);
    assert_eq!(done.status, Status::Exited(1), "{object}: {said}");
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let named = report["damaged"].as_array().unwrap();
    let found = named.iter().find(|it| it["object"] == object);
    found.unwrap_or_else(|| panic!("{object} is not named: {report:#}")).clone()
}

#[test]
fn real_damage_of_every_kind_is_named_with_what_it_costs() {
    let lab = two_backups();
    let whole: Value = serde_json::from_str(&lab.ok(&["--json", "verify", "orders"])).unwrap();
    assert_eq!(whole["passed"], true, "{whole:#}");
    let backups = whole["backups"].as_array().unwrap();
    assert_eq!(backups.len(), 2);
    assert!(backups.iter().all(|it| it["level"] == "hashed" && it["bytes"].as_u64() > Some(0)));
    lab.ok(&["verify", "orders", "--level", "present"]);

    // A pack that both backups share; the listing does not show it.
    let shared = objects(&lab, "data")[0].clone();
    let collector = lab.path("keys/collector.key");
    flip(&lab, &shared);
    lab.ok(&["verify", "orders", "--level", "present"]);
    let found = damaged(&lab, &["orders"], &shared);
    assert!(found["what"].as_str().unwrap().contains("not those that were stored"));
    assert_eq!(found["backups"].as_array().unwrap().len(), 2);
    assert!(found["files_count"].as_u64().unwrap() > 0);
    assert!(found["files"][0].as_str().unwrap().starts_with("data/"), "{found:#}");
    let keyless = damaged(&lab, &["--collector", &collector], &shared);
    assert_eq!(keyless["files_count"], Value::Null, "the collector reads no map");
    let said = lab::text(&lab.soter(&["verify", "orders"]).stdout);
    assert!(said.contains("soter backup orders --full"), "{said}");
    flip(&lab, &shared);

    // One that only the second needs.
    let second = backups[1]["id"].as_str().unwrap();
    let map = objects(&lab, "map").last().unwrap().clone();
    flip(&lab, &map);
    let found = damaged(&lab, &["orders"], &map);
    assert_eq!(found["backups"], serde_json::json!([second]));
    lab.ok(&["verify", "orders", "--backup", backups[0]["id"].as_str().unwrap()]);
    lab.fails(&["verify", "orders", "--backup", "0011223344556677"], 1, "no live backup");
    flip(&lab, &map);

    // WAL between the backups: the backups are good, moments between them are lost.
    let segments = objects(&lab, "wal");
    let segments: Vec<_> =
        segments.iter().filter(|name| name.rsplit('/').next().unwrap().len() == 24).collect();
    let wal = segments[segments.len() - 1].clone();
    flip(&lab, &wal);
    let found = damaged(&lab, &["orders"], &wal);
    assert_eq!((&found["backups"], &found["lost"]["to"]), (&serde_json::json!([]), &Value::Null));
    let file = wal.rsplit('/').next().unwrap();
    assert!(
        found["do"].as_str().unwrap().contains(&format!("soter wal push --mend pg_wal/{file}"))
    );
    // The server still has it: what is pushed again stands in for the damaged one.
    lab.ok(&["wal", "push", "--mend", &format!("pg_wal/{file}")]);
    let report: Value = serde_json::from_str(&lab.ok(&["--json", "verify", "orders"])).unwrap();
    assert_eq!(report["damaged"][0]["repaired"], true, "{report:#}");
    fs::remove_file(lab.root.join("vault").join(format!("{wal}.r1"))).unwrap();
    flip(&lab, &wal);

    a_gap_says_where_recovery_ends(&lab, &segments);
}

/// A gap between the backups, as `verify` and `backups` tell it.
fn a_gap_says_where_recovery_ends(lab: &Lab, segments: &[&String]) {
    let listed: Value = serde_json::from_str(&lab.ok(&["--json", "backups", "orders"])).unwrap();
    let position = |row: usize, field: &str| {
        let text = listed["backups"][row][field].as_str().unwrap();
        text.parse::<soter_postgres::lsn::Lsn>().unwrap().0
    };
    let between = segments.iter().find(|name| {
        let start = segment_start(name);
        position(0, "stop") <= start && start + (1 << 20) <= position(1, "start")
    });
    fs::remove_file(lab.root.join("vault").join(between.unwrap())).unwrap();
    let done = lab.soter(&["--json", "verify", "orders", "--level", "present"]);
    assert_eq!(done.status, Status::Exited(1), "{}", lab::text(&done.stderr));
    let report: Value = serde_json::from_slice(&done.stdout).unwrap();
    let lost = &report["gaps"][0]["lost"];
    let (first, second) = (&listed["backups"][0], &listed["backups"][1]);
    assert_eq!((&lost["from"], &lost["to"]), (&report["gaps"][0]["from"], &second["stop"]));

    // `soter backups` says the same of it: two stretches instead of one.
    let whole = listed["recoverable"].as_array().unwrap();
    assert_eq!((whole.len(), &whole[0]["from"]), (1, &first["stop"]), "{listed:#}");
    assert!(whole[0]["newest_commit"].is_string());
    let broken: Value = serde_json::from_str(&lab.ok(&["--json", "backups", "orders"])).unwrap();
    let ends = |row: usize| {
        let stretch = &broken["recoverable"][row];
        (stretch["from"].clone(), stretch["to"].clone())
    };
    assert_eq!(ends(0), (first["stop"].clone(), lost["from"].clone()));
    assert_eq!(ends(1), (second["stop"].clone(), whole[0]["to"].clone()));
    assert_eq!(broken["gaps"][0]["recoverable_again_from"], second["stop"]);
}

/// Where a segment of 1 MiB begins, by its name.
fn segment_start(object: &str) -> u64 {
    let file = object.rsplit('/').next().unwrap();
    let number = |digits| u64::from_str_radix(file.get(digits).unwrap(), 16).unwrap();
    (number(8..16) << 32) + (number(16..24) << 20)
}

#[test]
fn real_what_was_verified_is_signed_by_whom_the_root_trusts() {
    let lab = Lab::archiving();
    let (url, collector) = (lab.url(), lab.path("keys/collector.key"));
    let with_collector = ["--vault", &url, "--collector", &collector];
    let verify = [&["verify"][..], &with_collector].concat();
    lab.fails(&verify, 1, "has no backup");
    lab.ok(&["backup", "orders"]);
    let verified = || {
        let listed: Value =
            serde_json::from_str(&lab.ok(&["--json", "backups", "orders"])).unwrap();
        listed["backups"][0]["verified"].clone()
    };
    assert_eq!(verified(), Value::Null);
    assert!(lab.ok(&verify).contains("signed into the log"));
    assert_eq!((&verified()["level"], &verified()["passed"]), (&"hashed".into(), &true.into()));
    let object = objects(&lab, "data")[0].clone();
    flip(&lab, &object);
    lab.fails(&verify, 1, "is not whole");
    assert_eq!(verified()["passed"], false);
    assert!(lab.ok(&["backups", "orders"]).contains("DAMAGED (hashed)"));
    flip(&lab, &object);
    lab.ok(&verify);
    assert_eq!(verified()["passed"], true, "the last word counts");

    let agent = lab.path("keys/agent.key");
    lab.fails(&["verify", "orders", "--collector", &agent], 2, "needed is \"collector\"");
    lab.fails(&["verify", "orders", "--collector", "/nowhere/key"], 2, "there is no /nowhere/key");
    lab.fails(&["verify", "--vault", &url], 2, "--vault needs --identity");

    // Another vault's keys are nobody's here.
    let (other, keys) = (lab.path("other"), lab.path("other-keys"));
    let there = format!("file://{other}");
    lab.ok(&["vault", "init", "--url", &there, "--keys", &keys, "--store", "orders"]);
    let stranger = format!("{keys}/collector.key");
    let strange = ["verify", "--vault", &url, "--collector", &stranger];
    lab.fails(&strange, 2, "the key file is for vault");
    // One that was copied into the right file is still not enrolled.
    let ours = fs::read_to_string(&collector).unwrap();
    let theirs = fs::read_to_string(&stranger).unwrap();
    let secret = |line: &&str| line.starts_with("# signer") || line.starts_with("SOTER-SIGNING");
    let pins = ours.lines().filter(|line| !secret(line));
    let forged: Vec<_> = pins.chain(theirs.lines().filter(secret)).collect();
    let mut file = fs::File::create(&stranger).unwrap();
    std::io::Write::write_all(&mut file, forged.join("\n").as_bytes()).unwrap();
    lab.fails(&strange, 2, "may not sign as verifier");
}
