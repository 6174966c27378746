//! An etcd with TLS as a protected store, by the commands that users run. Real servers, on loopback.

mod guide;
mod standing;

use std::fs;
use std::io::Write;
use std::os::unix::fs::PermissionsExt;
use std::path::Path;
use std::time::Duration;

use serde_json::Value;
use soter_stores::etcd::{Access, Client};
use soter_stores::testing::{TestEtcd, ports, programs, wait_until};
use soter_world::Secret;
use soter_world::exec::{Child, Command, Finished, Signal, Status};

use crate::lab::{overwrite, text};

const TIMEOUT: Duration = Duration::from_secs(120);

/// What an object of Kubernetes is about as long as.
const VALUE_BYTES: usize = 2000;

/// An etcd, a vault, a plan, and files to be taken along.
struct Keep {
    programs: String,
    etcd: TestEtcd,
    place: tempfile::TempDir,
}

impl Keep {
    /// One for each member; none without programs of etcd.
    fn new(members: usize) -> Option<Self> {
        let programs = programs()?;
        let place = tempfile::tempdir().unwrap();
        let servers = place.path().join("servers");
        fs::create_dir(&servers).unwrap();
        let etcd = TestEtcd::start(&programs, &servers, members).unwrap();
        let keep = Self { programs: programs.display().to_string(), etcd, place };
        let (url, keys) = (keep.url(), keep.path("keys"));
        let init = ["vault", "init", "--url", &url, "--keys", &keys, "--store", "cluster:etcd"];
        let made = keep.json(&init);
        keep.write("k3s/token", "K10secret::server:word");
        keep.write("k3s/tls/server-ca.key", "the authority's key");
        keep.write_plan(made["root"].as_str().unwrap(), &keep.path("servers/ca.crt"));
        Some(keep)
    }

    fn write_plan(&self, root_key: &str, ca_file: &str) {
        let endpoints: Vec<String> = self.etcd.endpoints.iter().map(ToString::to_string).collect();
        let (url, place) = (self.url(), self.place.path().display());
        let plan = format!(
            "vaults:\n  main: {{ url: \"{url}\", keys: {{ root: \"{root_key}\", agent: {place}/keys/agent.key }} }}\n\
             stores:\n  cluster:\n    kind: etcd\n    endpoints: [{}]\n    ca_file: {ca_file}\n    \
             certificate_file: {place}/servers/n.crt\n    key_file: {place}/servers/n.key\n    \
             files: [{place}/k3s/token, {place}/k3s/tls/*.key]\n    vaults: [main]\n",
            endpoints.join(", "),
        );
        self.write("soter.yaml", &plan);
    }

    fn write(&self, name: &str, content: &str) {
        let path = self.place.path().join(name);
        fs::create_dir_all(path.parent().unwrap()).unwrap();
        fs::File::create(&path).unwrap().write_all(content.as_bytes()).unwrap();
    }

    fn path(&self, name: &str) -> String {
        self.place.path().join(name).display().to_string()
    }

    fn url(&self) -> String {
        format!("file://{}", self.path("vault"))
    }

    fn put(&self, prefix: &str, count: usize) {
        let keys = (0..count).map(|it| (format!("{prefix}{it:05}"), value(it)));
        self.etcd.put(keys).unwrap();
    }

    fn soter(&self, arguments: &[&str]) -> Finished {
        self.command(arguments).run(TIMEOUT).unwrap()
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let command = Command::new(env!("CARGO_BIN_EXE_soter")).args(arguments);
        let command = command.current_dir(self.place.path()).env("HOME", self.path("home"));
        command.env("SOTER_STATE", self.path("state"))
    }

    /// It has the state of a home, as that of somebody who is not root.
    fn agent(&self) -> Child {
        let state = self.path("home/.local/state/soter");
        let agent = self.command(&["agent", "cluster"]).env("SOTER_STATE", state);
        agent.spawn().unwrap()
    }

    fn ok(&self, arguments: &[&str]) -> String {
        let done = self.soter(arguments);
        assert_eq!(done.status, Status::Exited(0), "{arguments:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    fn json(&self, arguments: &[&str]) -> Value {
        serde_json::from_str(&self.ok(&[&["--json"], arguments].concat())).unwrap()
    }

    fn fails(&self, arguments: &[&str], code: i32, says: &str) {
        let done = self.soter(arguments);
        let said = text(&done.stderr);
        assert_eq!(done.status, Status::Exited(code), "{arguments:?}: {said}");
        assert!(said.contains(says), "{arguments:?}: {said}");
    }
}

/// Bytes that no other number has.
fn value(number: usize) -> Vec<u8> {
    let line = format!("{number} of a value that is about as long as an object; ");
    line.bytes().cycle().take(VALUE_BYTES).collect()
}

fn object_named(directory: &Path, part: &str) -> Option<std::path::PathBuf> {
    let mut left = vec![directory.to_owned()];
    while let Some(path) = left.pop() {
        for entry in fs::read_dir(&path).unwrap() {
            let found = entry.unwrap().path();
            match found.is_dir() {
                true => left.push(found),
                false if found.display().to_string().contains(part) => return Some(found),
                false => {}
            }
        }
    }
    None
}

#[test]
fn real_an_etcd_is_backed_up_listed_and_verified() {
    let Some(mut keep) = Keep::new(3) else { return };
    keep.fails(&["backups"], 1, "cluster has no backup");
    keep.put("/registry/pods/default/", 300);
    keep.put("/registry/secrets/default/", 20);
    let first = keep.json(&["backup"]);
    assert_eq!(first["kind"], "full");
    assert_eq!(first["keys"]["keys"], 320);
    assert_eq!(first["keys"]["groups"]["/registry/pods/"], 300);
    assert_eq!(first["revision"], first["revision_max"], "nobody wrote meanwhile");
    assert_eq!(first["files"].as_array().unwrap().len(), 2);
    assert_eq!(first["members"].as_array().unwrap().len(), 3);

    // The first member is gone: the next one is asked, and that is said.
    keep.put("/registry/pods/default/", 10);
    keep.etcd.kill(0);
    let second = keep.json(&["backup", "cluster"]);
    assert_eq!((&second["kind"], &second["base"]), (&"increment".into(), &first["id"]));
    assert_ne!(second["endpoint"], first["endpoint"]);
    assert_eq!(second["cluster"], first["cluster"]);
    let remark = second["remarks"][0].as_str().unwrap();
    assert!(remark.contains("does not answer"), "{remark}");

    let listed = keep.json(&["backups"]);
    let rows = listed["backups"].as_array().unwrap();
    assert_eq!(
        rows.iter().map(|row| &row["id"]).collect::<Vec<_>>(),
        [&first["id"], &second["id"]]
    );
    let key = keep.path("keys/operator-1.key");
    let (url, collector) = (keep.url(), keep.path("keys/collector.key"));
    let words = keep.ok(&["backups", "--vault", &url, "--identity", &key]);
    assert!(words.contains("revision") && words.contains(second["cluster"].as_str().unwrap()));
    keep.ok(&["verify", "--vault", &url, "--collector", &collector]);
    assert_eq!(keep.json(&["backups"])["backups"][1]["verified"]["level"], "hashed");

    // Tried on a scratch member, which leaves nothing behind.
    let scratch = keep.path("scratch");
    fs::create_dir(&scratch).unwrap();
    let open_to_all = fs::Permissions::from_mode(0o711);
    fs::set_permissions(keep.place.path(), open_to_all.clone()).unwrap();
    fs::set_permissions(&scratch, open_to_all).unwrap();
    let of_us = ["--vault", &url, "--identity", &key, "--collector", &collector];
    let at = ["--level", "restored", "--scratch-dir", &scratch, "--bin-dir", &keep.programs];
    let tried = keep.json(&[&["verify", "cluster"][..], &of_us, &at].concat());
    assert_eq!(tried["backups"].as_array().unwrap().len(), 1, "the newest: {tried}");
    assert_eq!(tried["backups"][0]["tried"]["keys"], second["keys"]);
    assert_eq!(fs::read_dir(&scratch).unwrap().count(), 0);
    assert_eq!(keep.json(&["backups"])["backups"][1]["verified"]["level"], "restored");
    keep.fails(&["verify", "--level", "restored"], 2, "only with an operator's key");

    keep.ok(&["vault", "collect", "--collector", &collector, "--dry-run"]);
    keep.fails(&["wal", "push", "x"], 2, "cluster is an etcd");

    // An object of the first backup that is damaged is named.
    let pack = object_named(&Path::new(&keep.path("vault")).join("data"), "000000").unwrap();
    let mut bytes = fs::read(&pack).unwrap();
    let middle = bytes.len() / 2;
    bytes[middle] ^= 1;
    overwrite(&pack, &bytes);
    let found = keep.soter(&["verify", "--vault", &url, "--identity", &key]);
    assert_eq!(found.status, Status::Exited(1), "{}", text(&found.stderr));
    let (said, name) = (text(&found.stdout), pack.file_name().unwrap().to_str().unwrap());
    assert!(said.contains(name) && said.contains("snapshot.db"), "{said}");
}

#[test]
fn real_what_keeps_an_etcd_from_being_backed_up_is_said() {
    let Some(keep) = Keep::new(1) else { return };
    keep.put("/a/b/", 3);
    let first = keep.json(&["backup"]);
    let plan = fs::read_to_string(keep.path("soter.yaml")).unwrap();
    let with = |from: &str, to: &str| keep.write("soter.yaml", &plan.replace(from, to));
    with("k3s/token", "k3s/tokens");
    keep.fails(&["backup"], 2, "there is nothing at");
    with("servers/ca.crt", "k3s/token");
    keep.fails(&["backup"], 2, "the ca cannot be used");
    with(&keep.etcd.endpoints[0].to_string(), "https://127.0.0.1:1");
    keep.fails(&["backup"], 3, "no member of the etcd answers");
    with("servers/n.key", "servers/no.key");
    keep.fails(&["backup"], 2, "no.key");
    with("kind: etcd", "kind: etcd\n    wal: { mode: synchronous }");
    keep.fails(&["backup"], 2, "`wal` is a key of a PostgreSQL cluster");

    // Another etcd at the same address is not taken for this one, until somebody says so.
    let Some(other) = Keep::new(1) else { return };
    other.put("/x/y/", 1);
    let mut text =
        plan.replace(&keep.etcd.endpoints[0].to_string(), &other.etcd.endpoints[0].to_string());
    for name in ["ca.crt", "n.crt", "n.key"] {
        let (from, to) = (format!("servers/{name}"), format!("servers/{name}"));
        text = text.replace(&keep.path(&from), &other.path(&to));
    }
    keep.write("soter.yaml", &text);
    keep.fails(&["backup"], 2, "the backups so far are of cluster");
    assert!(standing::findings(&keep).contains(&"another-cluster".to_owned()));
    let taken = keep.json(&["backup", "--new-cluster"]);
    assert_ne!(taken["cluster"], first["cluster"]);
    assert_eq!(taken["keys"]["keys"], 1);
}

/// A client of members that believe the authority of the tests.
fn client_at(servers: &Path, endpoints: &[String]) -> Client {
    let read = |name: &str| fs::read(servers.join(name)).unwrap();
    let endpoints = endpoints.iter().map(|endpoint| endpoint.parse().unwrap()).collect();
    let client = Some((read("n.crt"), Secret::new(read("n.key"))));
    Client::new(&Access { endpoints, ca: read("ca.crt"), client }).unwrap()
}

#[test]
fn real_a_lost_etcd_comes_back_as_three_new_members() {
    let Some(mut keep) = Keep::new(3) else { return };
    keep.put("/registry/pods/default/", 500);
    keep.put("/registry/secrets/default/", 50);
    let made = keep.json(&["backup"]);
    keep.put("/registry/later/", 1);
    for member in 0..3 {
        keep.etcd.kill(member);
    }
    let (url, key) = (keep.url(), keep.path("keys/operator-1.key"));
    let ports: [u16; 6] = ports().unwrap();
    let peer = |index: usize| format!("https://127.0.0.1:{}", ports[index + 3]);
    let members: Vec<String> = (0..3).map(|it| format!("n{it}={}", peer(it))).collect();
    let (place, root) = (keep.path("back"), keep.path("root"));
    let mut line = vec!["restore", "--vault", &url, "--identity", &key, "--target-dir", &place];
    line.extend(members.iter().flat_map(|member| ["--member", member.as_str()]));
    line.extend(["--bump-revision", "--files-to", &root, "--bin-dir", &keep.programs]);

    // First what would be done, and what is in the way.
    let plan = keep.json(&[&line[..], &["--dry-run"]].concat());
    assert_eq!((&plan["backup"], &plan["keys"]), (&made["id"], &550.into()));
    assert!(!Path::new(&place).exists());
    keep.fails(&[&line[..], &["--start"]].concat(), 2, "--start is said of a PostgreSQL cluster");
    keep.fails(&[&line[..], &["--to", "time:2020-01-01T00:00:00Z"]].concat(), 2, "no backup time:");
    let token = format!("{root}{}", keep.path("k3s/token"));
    keep.write(token.strip_prefix(&keep.path("")).unwrap(), "another");
    keep.fails(&line, 2, "is not what was taken along");
    fs::remove_file(&token).unwrap();

    // By a name it is done once, and what came of it is left for the engine of a run.
    let attempt = keep.path("attempt");
    line.extend(["--once", "run/step", "--attempt", &attempt]);
    let done = keep.json(&line);
    let results = fs::read_to_string(format!("{attempt}/results")).unwrap();
    assert!(results.contains(&format!("snapshot={place}/snapshot.db\n")), "{results}");
    assert!(results.contains("keys=550\n"), "{results}");
    assert_eq!(keep.json(&line)["was_there"], true);
    let line = &line[..line.len() - 4];
    assert_eq!((&done["revision"], &done["keys"]), (&made["revision"], &550.into()));
    assert_eq!(fs::read(&token).unwrap(), b"K10secret::server:word");
    keep.fails(line, 2, "is not empty");
    let mut running = Vec::new();
    for (index, member) in done["members"].as_array().unwrap().iter().enumerate() {
        let url = format!("https://127.0.0.1:{}", ports[index]);
        let words: Vec<&str> = member["start"].as_str().unwrap().split(' ').skip(1).collect();
        let etcd = Command::new(Path::new(&keep.programs).join("etcd"))
            .args(words)
            .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
            .args(["--cert-file", "n.crt", "--key-file", "n.key", "--client-cert-auth"])
            .args(["--trusted-ca-file", "ca.crt", "--peer-trusted-ca-file", "ca.crt"])
            .args(["--peer-cert-file", "n.crt", "--peer-key-file", "n.key"])
            .args(["--peer-client-cert-auth", "--unsafe-no-fsync"]);
        running.push(etcd.current_dir(keep.path("servers")).spawn().unwrap());
    }
    let urls: Vec<String> = (0..3).map(|it| format!("https://127.0.0.1:{}", ports[it])).collect();
    let client = client_at(keep.etcd.directory(), &urls);
    wait_until("the new cluster answers", || client.count_keys(b"").is_ok()).unwrap();
    assert_eq!(client.count_keys(b"").unwrap(), 550, "the later key is not in it");
    assert_eq!(client.count_keys(b"/registry/secrets/").unwrap(), 50);
    assert_eq!(client.members().unwrap().len(), 3);
    // Who watches from an old revision is told that it is gone.
    let (endpoint, status) = client.status().unwrap();
    assert!(status.revision > 1_000_000_000, "{status:?}");
    let gone = client.count_at(&endpoint, (&[0], &[0]), made["revision"].as_u64().unwrap());
    assert!(gone.unwrap_err().is_compacted());
    drop(running);
}

#[test]
fn real_an_agent_takes_a_snapshot_when_one_is_due() {
    let Some(keep) = Keep::new(1) else { return };
    keep.put("/a/b/", 3);
    let agent = keep.agent();
    let listed = || keep.soter(&["--json", "backups"]).status == Status::Exited(0);
    wait_until("the agent has taken a snapshot", listed).unwrap();
    agent.signal(Signal::Terminate);
    let ended = agent.wait();
    assert_eq!(ended.status, Status::Exited(0), "{}", text(&ended.stderr));
    assert!(text(&ended.stderr).contains("3 keys"), "{}", text(&ended.stderr));
    assert_eq!(keep.json(&["backups"])["backups"][0]["keys"], 3);
}

#[test]
fn real_a_restore_with_a_name_that_is_killed_is_done_by_the_next() {
    let Some(keep) = Keep::new(1) else { return };
    keep.put("/registry/pods/default/", 2000);
    keep.json(&["backup"]);
    let (url, key, place) = (keep.url(), keep.path("keys/operator-1.key"), keep.path("back"));
    let line = ["restore", "--vault", &url, "--identity", &key, "--target-dir", &place];
    let named = [&line[..], &["--once", "run/step"]].concat();
    let partial = keep.place.path().join(".back.soter-restoring");
    let attempt = Command::new(env!("CARGO_BIN_EXE_soter")).args(&named);
    let attempt = attempt.current_dir(keep.place.path()).spawn().unwrap();
    let has_begun = || partial.join("snapshot.db").exists() || Path::new(&place).exists();
    wait_until("the restore has begun", has_begun).unwrap();
    attempt.signal(Signal::Kill);
    drop(attempt.wait());
    // Whatever moment that was: without a name nobody touches it, by the same name it is done.
    assert_eq!(keep.soter(&line).status, Status::Exited(2));
    let done = keep.json(&named);
    assert_eq!(done["keys"], 2000);
    assert!(!partial.exists());
    assert_eq!(keep.json(&named)["was_there"], true);
}
