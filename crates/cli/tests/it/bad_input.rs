//! What cannot work is said in words with the right exit code, and nothing is lost by it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_postgres::testing::{TestCluster, hand_over, wait_until};
use soter_world::exec::{self, Command, Status};

use crate::lab::{Lab, files_named, overwrite, text};

/// A cluster with a table, not archived.
fn cluster(settings: &[&str]) -> TestCluster {
    let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    cluster.configure(settings).unwrap();
    cluster
}

/// A lab whose vault has one backup with the WAL it needs.
fn backed_up() -> Lab {
    let cluster = cluster(&[]);
    let lines = Lab::wal_lines(cluster.directory(), "asynchronous");
    let lab = Lab::around(cluster, &lines);
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 20000) AS id").unwrap();
    let agent = lab.streaming_agent();
    lab.ok(&["backup", "orders"]);
    lab.wait_durable(&agent);
    assert_eq!(agent.stop(), 0);
    lab
}

/// The files of a class of objects.
fn objects(directory: &Path) -> Vec<PathBuf> {
    let Ok(entries) = fs::read_dir(directory) else { return Vec::new() };
    let paths = entries.flatten().map(|entry| entry.path());
    let mut found: Vec<PathBuf> =
        paths.flat_map(|path| if path.is_dir() { objects(&path) } else { vec![path] }).collect();
    found.sort();
    found
}

/// Objects are read-only.
fn writable(path: &Path) {
    fs::set_permissions(path, PermissionsExt::from_mode(0o600)).unwrap();
}

fn restore<'a>(url: &'a str, identity: &'a str, target: &'a str) -> [&'a str; 7] {
    ["restore", "--vault", url, "--identity", identity, "--target-dir", target]
}

#[test]
fn real_a_key_that_does_not_fit_opens_nothing() {
    let lab = backed_up();
    let (url, target) = (lab.url(), lab.path("restored"));
    let elsewhere = format!("file://{}/elsewhere", lab.root.display());
    let keys = lab.path("other-keys");
    lab.ok(&["vault", "init", "--url", &elsewhere, "--keys", &keys, "--store", "orders"]);

    lab.fails(&restore(&url, &lab.path("nowhere.key"), &target), 2, "nowhere.key");
    // Another vault's operator: what it is told by this vault it does not believe.
    let other = format!("{keys}/operator-1.key");
    let done = lab.soter(&restore(&url, &other, &target));
    assert_eq!(done.status, Status::Exited(2), "{}", text(&done.stderr));
    let said = text(&done.stderr);
    assert!(said.contains("the key file is for vault"), "{said}");
    assert!(!Path::new(&target).exists());
    // The true key still works.
    lab.ok(&restore(&url, &lab.path("keys/operator-1.key"), &target));
}

#[test]
fn real_damage_of_any_object_is_named_and_never_restored() {
    let lab = backed_up();
    let (url, identity, target) =
        (lab.url(), lab.path("keys/operator-1.key"), lab.path("restored"));
    for class in ["data", "map", "trust", "log"] {
        let objects = objects(&lab.root.join("vault").join(class));
        let path = objects.last().unwrap_or_else(|| panic!("there is no object of {class}"));
        let whole = fs::read(path).unwrap();
        let mut damaged = whole.clone();
        let middle = damaged.len() / 2;
        damaged[middle] ^= 4;
        writable(path);
        overwrite(path, &damaged);
        let done = lab.soter(&restore(&url, &identity, &target));
        if done.status == Status::Exited(0) {
            // It was not needed, as the newest entry is not when there is an older backup.
            assert_same_rows(Path::new(&target), class);
        } else {
            let (name, said) = (path.file_name().unwrap().to_str().unwrap(), text(&done.stderr));
            assert!(said.contains(name), "{class} {name}: {said}");
            assert_not_startable(Path::new(&target));
        }
        overwrite(path, &whole);
        if Path::new(&target).exists() {
            fs::remove_dir_all(&target).unwrap();
        }
    }
    // The last segment, sealed and streamed: whatever else comes back would not be all of it.
    let last = |class: &str| objects(&lab.root.join("vault").join(class)).pop().unwrap();
    let sealed = last("wal");
    let mut damaged = fs::read(&sealed).unwrap();
    let middle = damaged.len() / 2;
    damaged[middle] ^= 4;
    writable(&sealed);
    overwrite(&sealed, &damaged);
    let name = sealed.file_name().unwrap().to_str().unwrap();
    let done = lab.soter(&restore(&url, &identity, &target));
    let said = text(&done.stderr);
    assert_eq!(done.status, Status::Exited(2), "{said}");
    assert!(said.contains(name) && said.contains("signature"), "{said}");
    assert!(said.contains("--to lsn:"), "it says what can be had: {said}");
    assert!(!Path::new(&target).exists());
}

/// Puts the newest object of a class of another vault under the next free name of ours.
fn forge(class: &str, ours: &Lab, theirs: &Lab) -> PathBuf {
    let newest = |lab: &Lab| objects(&lab.root.join("vault").join(class)).pop().unwrap();
    let last = newest(ours);
    let name = last.file_name().unwrap().to_str().unwrap();
    let next = u128::from_str_radix(name, 16).unwrap() + 1;
    let next = format!("{next:0width$X}", width = name.len());
    let next = if class == "wal" { next } else { next.to_lowercase() };
    let path = last.with_file_name(next);
    fs::copy(newest(theirs), &path).unwrap();
    hand_over(&path, ours.cluster.owner()).unwrap();
    path
}

#[test]
fn real_objects_of_another_vault_change_nothing_that_comes_back() {
    let (lab, other) = (backed_up(), backed_up());
    let (url, identity, target) =
        (lab.url(), lab.path("keys/operator-1.key"), lab.path("restored"));
    for class in ["trust", "log", "wal"] {
        let forged = forge(class, &lab, &other);
        let name = forged.file_name().unwrap().to_str().unwrap();
        let verify = lab.soter(&["vault", "verify", "--vault", &url, "--key", &identity]);
        let found = text(&verify.stdout) + &text(&verify.stderr);
        assert_eq!(verify.status, Status::Exited(1), "{class} {name}: {found}");
        assert!(found.contains(name), "nobody is told of {class} {name}: {found}");
        let whole = restore(&url, &identity, &target);
        if class == "wal" {
            // It could be the next segment, damaged: nobody but a person may leave it out.
            lab.fails(&whole, 2, name);
            let said = text(&lab.soter(&whole).stderr);
            let end = said.split("--to ").nth(1).unwrap().split(';').next().unwrap();
            lab.ok(&[&whole[..], &["--to", end]].concat());
        } else {
            lab.ok(&whole);
        }
        assert_same_rows(Path::new(&target), class);
        fs::remove_dir_all(&target).unwrap();
        fs::remove_file(forged).unwrap();
    }
}

/// A target that a restore gave up on says so, or does not exist.
fn assert_not_startable(target: &Path) {
    if target.exists() {
        assert!(target.join("soter.restoring").exists(), "it is marked as unfinished");
    }
}

/// What came back in spite of the damage is whole.
fn assert_same_rows(target: &Path, damaged: &str) {
    let mut restored = TestCluster::over(target).unwrap();
    restored.start().unwrap();
    let count = || restored.psql("SELECT count(*), sum(id) FROM t");
    wait_until(damaged, || count().is_ok_and(|rows| rows == "20000|200010000")).unwrap();
}

#[test]
fn real_a_format_of_another_version_is_refused_by_name() {
    let lab = backed_up();
    let record = lab.root.join("vault/soter.vault");
    let text = fs::read_to_string(&record).unwrap();
    let newer = text.replacen("\"format\": 1", "\"format\": 9", 1);
    assert_ne!(text, newer, "{text}");
    writable(&record);
    overwrite(&record, newer.as_bytes());
    let (url, identity, target) =
        (lab.url(), lab.path("keys/operator-1.key"), lab.path("restored"));
    lab.fails(&restore(&url, &identity, &target), 2, "format 9");
    lab.fails(&["backup", "orders"], 2, "format 9");
    assert!(!Path::new(&target).exists());
}

#[test]
fn real_a_server_that_cannot_be_protected_is_told_so() {
    // Its only slot is somebody else's.
    let full = cluster(&["max_replication_slots = 1"]);
    let lines = Lab::wal_lines(full.directory(), "asynchronous");
    let lab = Lab::around(full, &lines);
    lab.cluster.psql("SELECT pg_create_physical_replication_slot('theirs')").unwrap();
    lab.fails(&["agent", "orders"], 2, "drop one that nobody uses (theirs)");
    lab.cluster.psql("SELECT pg_drop_replication_slot('theirs')").unwrap();
    assert_eq!(lab.streaming_agent().stop(), 0);

    let cluster = cluster(&["wal_level = minimal", "max_wal_senders = 0"]);
    let lines = Lab::wal_lines(cluster.directory(), "asynchronous");
    let lab = Lab::around(cluster, &lines);
    lab.fails(&["agent", "orders"], 2, "wal_level");
    lab.fails(&["backup", "orders"], 2, "wal_level");
    assert_eq!(lab.wal_objects(), 0);
    assert_eq!(files_named(&lab.root.join("vault/data"), |_| true), 0);
}

#[test]
fn real_a_role_without_privilege_is_told_so() {
    let cluster = cluster(&[]);
    let lines = Lab::wal_lines(cluster.directory(), "asynchronous");
    let lab = Lab::around(cluster, &lines);
    lab.cluster.psql("CREATE ROLE nobody LOGIN").unwrap();
    let plan = fs::read_to_string(lab.root.join("soter.yaml")).unwrap();
    let plan = plan.replace("user=postgres", "user=nobody");
    assert!(plan.contains("user=nobody"), "{plan}");
    overwrite(&lab.root.join("soter.yaml"), format!("{plan}\n").as_bytes());
    lab.fails(&["agent", "orders"], 2, "ALTER ROLE \"nobody\" REPLICATION;");
    lab.fails(&["backup", "orders"], 2, "GRANT EXECUTE ON FUNCTION");
}

#[test]
fn real_a_full_disk_on_either_side_loses_nothing() {
    let cluster = cluster(&[]);
    let lines = Lab::wal_lines(cluster.directory(), "asynchronous");
    let lab = Lab::around(cluster, &lines);
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 20000) AS id").unwrap();
    // Root of a namespace of its own may mount; nobody else sees it, and it ends with the script.
    // Who is not root outside is so inside, under the same name as the server.
    let owner = lab.cluster.owner();
    let (namespace, user, group) = match exec::current_owner().user {
        0 => (&["--mount"][..], owner.user, owner.group),
        _ => (&["--mount", "--map-root-user"][..], 0, 0),
    };
    let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/it/full_disk.sh");
    let done = Command::new("unshare")
        .args(namespace)
        .args(["sh", script])
        .arg(&lab.root)
        .args([user.to_string(), group.to_string()])
        .run(Duration::from_secs(150))
        .unwrap();
    let said = format!("{}{}", text(&done.stdout), text(&done.stderr));
    assert_eq!(done.status, Status::Exited(0), "{said}");
    assert_same_rows(&lab.root.join("restored"), "restored");
    assert!(said.contains("make room on that disk"), "{said}");
}
