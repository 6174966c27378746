//! Collecting what the plan does not keep, and replacing an agent: with a real cluster.

use std::fs;
use std::path::Path;
use std::time::{Duration, SystemTime};

use serde_json::Value;
use soter_world::exec::Status;

use super::{flip, objects};
use crate::lab::{self, Lab};

const KEEP_A_WEEK: &str = "    retention: { keep_for: 7 days, keep_last: 1 }\n";
const DAY: Duration = Duration::from_secs(24 * 3600);

/// Makes every object of the vault this much older.
fn age(lab: &Lab, days: u32) {
    fn walk(path: &Path, days: u32) {
        if path.is_dir() {
            fs::read_dir(path).unwrap().for_each(|entry| walk(&entry.unwrap().path(), days));
        } else {
            let file = fs::OpenOptions::new().append(true).open(path).unwrap();
            let at: SystemTime = file.metadata().unwrap().modified().unwrap();
            file.set_modified(at - DAY * days).unwrap();
        }
    }
    walk(&lab.root.join("vault"), days);
}

/// The objects that backups are made of.
fn contents(lab: &Lab) -> [Vec<String>; 2] {
    ["data", "map"].map(|class| objects(lab, class))
}

fn json(lab: &Lab, arguments: &[&str]) -> Value {
    serde_json::from_str(&lab.ok(&[&["--json"], arguments].concat())).unwrap()
}

#[test]
fn real_what_the_plan_does_not_keep_goes_in_two_steps_and_nothing_else() {
    let lab = Lab::archiving();
    lab.write_plan("soter.yaml", KEEP_A_WEEK);
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id").unwrap();
    let first = json(&lab, &["backup", "orders"]);
    assert_eq!(first["kind"], "full");
    lab.ok(&["backup", "orders"]);
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 20000)").unwrap();
    lab.ok(&["backup", "orders", "--full"]);
    lab.wait_archived();
    let listed = json(&lab, &["backups", "orders"]);
    let id = |row: usize| listed["backups"][row]["id"].as_str().unwrap().to_owned();
    let collector = lab.path("keys/collector.key");
    let collect = ["vault", "collect", "orders", "--collector", &collector];
    let dry = [&collect[..], &["--dry-run"]].concat();

    // Whoever may not.
    lab.fails(&["vault", "collect", "orders"], 2, "only the collector's key");
    let agent = lab.path("keys/agent.key");
    lab.fails(&["vault", "collect", "orders", "--collector", &agent], 2, "needed is \"collector\"");

    // Young backups stay.
    let entries = objects(&lab, "log").len();
    let foreseen = json(&lab, &dry);
    let kept = |report: &Value| {
        let lines = report["backups"].as_array().unwrap();
        lines.iter().map(|line| line["kept"].as_bool().unwrap()).collect::<Vec<_>>()
    };
    assert_eq!(kept(&foreseen), [true, true, true]);
    age(&lab, 40);
    // Nobody has written since: ages are counted up to the newest object.
    assert_eq!(kept(&json(&lab, &dry)), [true, true, true]);
    let contents_before = contents(&lab);
    lab.ok(&["verify", "orders", "--collector", &collector, "--backup", &id(2)]);
    let foreseen = json(&lab, &dry);
    assert_eq!(kept(&foreseen), [false, false, true], "{foreseen:#}");
    assert_eq!(objects(&lab, "log").len(), entries + 1, "nothing but the attest entry");
    assert_eq!(contents(&lab), contents_before);

    // Retired, and not deleted yet.
    let done = json(&lab, &collect);
    assert_eq!(kept(&done), [false, false, true]);
    assert_eq!(contents(&lab), contents_before, "only WAL from before all backups goes at once");
    assert_eq!(json(&lab, &["backups", "orders"])["backups"].as_array().unwrap().len(), 1);
    let again = json(&lab, &collect);
    assert_eq!((kept(&again), &again["deleted_after"]), (vec![true], &Value::Null));

    // Three days later.
    age(&lab, 4);
    lab.ok(&["verify", "orders", "--collector", &collector]);
    let before = objects(&lab, "");
    let foreseen = json(&lab, &dry);
    assert!(foreseen["delete"]["objects"].as_u64() > Some(2), "{foreseen:#}");
    assert_eq!(objects(&lab, ""), before);
    let done = json(&lab, &collect);
    assert_eq!(done["delete"], foreseen["delete"], "what was foreseen is what is done");
    let left = objects(&lab, "");
    let gone: Vec<_> = before.iter().filter(|name| !left.contains(name)).collect();
    assert_eq!(gone.len() as u64, done["delete"]["objects"].as_u64().unwrap());
    assert!(gone.iter().any(|name| name.starts_with("data/")), "{gone:?}");
    assert!(gone.iter().any(|name| name.starts_with("wal/")), "{gone:?}");

    // What is left is whole, and can be restored.
    lab.ok(&["verify", "orders"]);
    let (url, identity) = (lab.url(), lab.path("keys/operator-1.key"));
    let target = lab.path("restored");
    lab.ok(&["restore", "--vault", &url, "--identity", &identity, "--target-dir", &target]);
    lab.ok(&["backup", "orders"]);

    // Where the place promises nothing, nothing is deleted by a rule.
    let record = lab.root.join("vault/soter.vault");
    let text = fs::read_to_string(&record).unwrap();
    let single = text.replace("\"single_writer\": false", "\"single_writer\": true ");
    lab::overwrite(&record, single.as_bytes());
    lab.fails(&collect, 2, "cannot create an object only if it is absent");
    lab.fails(&dry, 2, "cannot create an object only if it is absent");
}

/// Locks of objects run from their creation: what a new backup needs must be young.
#[test]
fn real_what_is_old_is_stored_anew_and_what_is_young_is_shared() {
    let lab = Lab::archiving();
    let counters = || json(&lab, &["backup", "orders"])["counters"].clone();
    let first = counters();
    let second = counters();
    let stored = |counters: &Value| counters["stored_bytes"].as_u64().unwrap();
    assert!(stored(&second) * 4 < stored(&first), "{second:#}");
    age(&lab, 31);
    let third = json(&lab, &["backup", "orders"]);
    assert_eq!(third["kind"], "increment", "its contents are the base's, and stored anew");
    assert!(stored(&third["counters"]) * 2 > stored(&first), "{third:#}");
    let fourth = counters();
    assert!(stored(&fourth) * 4 < stored(&first), "{fourth:#}");
    lab.ok(&["verify", "orders"]);
}

#[test]
fn real_an_agent_is_replaced_and_what_the_old_one_wrote_stays_believed() {
    let lab = Lab::archiving();
    lab.write_plan("soter.yaml", &Lab::wal_lines(lab.cluster.directory(), "asynchronous"));
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id").unwrap();
    lab.ok(&["backup", "orders"]);
    lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
    lab.wait_archived();
    let (url, root, identity) =
        (lab.url(), lab.path("keys/root.key"), lab.path("keys/operator-1.key"));
    let old = lab.path("keys/agent.key");
    let trust = ["vault", "trust"];
    let by_root = ["--vault", &url, "--root", &root];
    lab.ok(&[&trust[..], &["remove-signer", "agent"], &by_root].concat());
    lab.fails(&["backup", "orders"], 2, "is not enrolled");
    lab.ok(&["verify", "--vault", &url, "--identity", &identity]);

    // The new one takes its place, with a key made on its own machine.
    let new = lab.path("keys/db2.key");
    let made = json(&lab, &["vault", "keygen", "agent", "--out", &new, "--like", &old]);
    let (signer, recipient) =
        (made["signer"].as_str().unwrap(), made["recipient"].as_str().unwrap());
    let add = ["add-agent", "db2", "--store", "orders", "--signer", signer, "--recipient"];
    let add = [&trust[..], &add, &[recipient, "--identity", &identity], &by_root].concat();
    lab.ok(&add);
    lab.fails(&add, 2, "enrolled for orders already");
    let plan = fs::read_to_string(lab.root.join("soter.yaml")).unwrap();
    let mut file = fs::File::create(lab.root.join("soter.yaml")).unwrap();
    std::io::Write::write_all(&mut file, plan.replace(&old, &new).as_bytes()).unwrap();
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 1000)").unwrap();
    lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
    lab.wait_archived();
    let agent = lab.streaming_agent();
    lab.ok(&["backup", "orders"]);
    lab.wait_durable(&agent);
    assert_eq!(agent.stop(), 0);
    let report = json(&lab, &["verify", "--vault", &url, "--identity", &identity]);
    assert_eq!(report["passed"], true, "{report:#}");
}

#[test]
fn real_a_flipped_bit_in_any_object_of_a_vault_is_named() {
    let cluster = soter_postgres::testing::TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    let lines = Lab::wal_lines(cluster.directory(), "asynchronous");
    let lab = Lab::around(cluster, &lines);
    let agent = lab.streaming_agent();
    lab.wait(&agent, "a first backup is there", |status| status.backup.last_id.is_some());
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000) AS id").unwrap();
    lab.wait_durable(&agent);
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 100)").unwrap();
    lab.wait_durable(&agent);
    agent.kill();
    let (url, identity) = (lab.url(), lab.path("keys/operator-1.key"));
    let whole = ["vault", "verify", "--vault", &url, "--key", &identity, "--level", "hashed"];
    let store = ["verify", "--vault", &url, "--identity", &identity];
    lab.ok(&whole);
    lab.ok(&store);
    let mut flipped = 0;
    for object in objects(&lab, "") {
        // A part is sealed, not signed: it takes an operator's key to look into it.
        let command = if object.starts_with("live/") { &store[..] } else { &whole[..] };
        // Parts behind a sealed segment are of no use any more, and not looked at. The record is not
        // signed, and believed in nothing; see below.
        if object == "soter.vault" || object.starts_with("live/") && !is_needed(&lab, &object) {
            continue;
        }
        flip(&lab, &object);
        let done = lab.soter(command);
        flip(&lab, &object);
        let said = lab::text(&done.stdout) + &lab::text(&done.stderr);
        let named = said.contains(&object);
        assert!(named, "{object}: {said}");
        // Without the list that counts nobody can be believed, and nothing is looked at.
        let code = if object.starts_with("trust/") { 3 } else { 1 };
        assert_eq!(done.status, Status::Exited(code), "{object}: {said}");
        flipped += 1;
    }
    let classes = ["soter.vault", "trust/", "log/", "data/", "map/", "wal/", "live/"];
    let is_there = |class: &&str| objects(&lab, "").iter().any(|name| name.starts_with(class));
    assert!(classes.iter().all(is_there), "{:?}", objects(&lab, ""));
    assert!(flipped >= classes.len());
    lab.ok(&whole);
    let record = lab.root.join("vault/soter.vault");
    let text = fs::read_to_string(&record).unwrap();
    let place = text.find("ed25519:").unwrap() + 12;
    let mut bytes = text.into_bytes();
    bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
    lab::overwrite(&record, &bytes);
    lab.fails(&whole, 1, "1 findings");
}

/// Whether the segment of a part is not sealed.
fn is_needed(lab: &Lab, part: &str) -> bool {
    let segment = part.split('/').nth(4).unwrap();
    let number = u64::from_str_radix(segment, 16).unwrap();
    let file = format!("{:08X}{:08X}{:08X}", 1, number >> 12, number & 0xfff);
    !objects(lab, "wal").iter().any(|name| name.ends_with(&file))
}
