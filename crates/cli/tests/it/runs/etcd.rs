//! A run that brings an etcd back, whose engine dies around the restore: when it is only meant, when it is
//! half done, and when it is done and nobody has written that down. Another engine ends it.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

use serde_json::Value;
use soter_stores::etcd::{Access, Client};
use soter_stores::testing::{TestEtcd, ports, programs};
use soter_world::exec::{Command, Identity, Signal, Status};

use super::{Desk, TIMEOUT, expect};
use crate::lab::text;

/// Keys that are in the etcd when it is lost.
const KEYS: usize = 50;

/// The restore is over before the run has made so many appends.
const APPENDS_MAX: u64 = 12;

/// So often all of them are tried.
const ROUNDS_MAX: u64 = 5;

/// The restore, and what a plan does with what it gives.
const SCENARIO: &str = r#"
scenarios:
  lost:
    parameters:
      snapshot: { from: step, name: back }
    phases:
      - title: Back
        steps:
          - { id: before, run: 'echo before >> "$DESK_FILE"' }
          - id: back
            restore: { store: cluster, to: latest, target: /srv/back, bump_revision: yes }
          - id: member
            run: |
              rm -rf "$DESK_DATA"
              etcdutl snapshot restore "$snapshot" --data-dir "$DESK_DATA"
              echo member >> "$DESK_FILE"
            verify: [{ title: it has its data, run: 'test -e "$DESK_DATA/member/snap/db"' }]
"#;

/// A lost etcd, a backup of it in a vault, and a plan that brings it back.
struct Lost {
    desk: Desk,
    programs: PathBuf,
}

impl Lost {
    /// None without programs of etcd.
    fn new() -> Option<Self> {
        let programs = programs()?;
        let desk = Desk::new("");
        let servers = PathBuf::from(desk.path("servers"));
        fs::create_dir(&servers).unwrap();
        let etcd = TestEtcd::start(&programs, &servers, 1).unwrap();
        etcd.put((0..KEYS).map(|key| (format!("/a/b/{key}"), b"value".to_vec()))).unwrap();
        let (url, keys) = (desk.url(), desk.path("keys"));
        let init = ["vault", "init", "--url", &url, "--keys", &keys, "--store", "cluster:etcd"];
        let made = desk.json(&init);
        let plan = format!(
            "vaults:\n  near: {{ url: \"{url}\", keys: {{ root: \"{root}\", agent: {keys}/agent.key }} }}\n\
             stores:\n  cluster:\n    kind: etcd\n    endpoints: [\"{endpoint}\"]\n    \
             ca_file: {there}/ca.crt\n    certificate_file: {there}/n.crt\n    \
             key_file: {there}/n.key\n    vaults: [near]\n{SCENARIO}",
            root = made["root"].as_str().unwrap(),
            endpoint = etcd.endpoints[0],
            there = servers.display(),
        );
        desk.put("soter.yaml", &plan);
        assert_eq!(desk.json(&["backup", "cluster"])["keys"]["keys"], KEYS);
        let target = format!(
            "name: lab\nkind: drill\npath: [{bin}, {programs}]\n\
             stores: {{ cluster: {{ data_directory: {lost}, vault: \"{url}\" }} }}\n\
             environment: {{ DESK_FILE: {effects}, DESK_DATA: {data} }}\n",
            bin = desk.path("bin"),
            programs = programs.display(),
            lost = desk.path("etcd/lost"),
            effects = desk.path("effects"),
            data = desk.path("data"),
        );
        desk.put("drill.yaml", &target);
        Some(Self { desk, programs })
    }

    fn recover(&self) -> Command {
        let key = self.desk.path("keys/operator-1.key");
        let words = ["recover", "lost", "--target", "drill.yaml", "--identity", &key];
        self.desk.command("here", &words)
    }

    /// Kills engines at one append after the other, until what one has left is so. Whatever else they
    /// left is taken away.
    fn die(&self, moment: &str, is_so: impl Fn(&[Value]) -> bool) {
        // What is recorded in one append is not the same in each run, so that the place may be missed.
        for append in (0..ROUNDS_MAX).flat_map(|_| 2..APPENDS_MAX) {
            let fate = format!("{append}:{moment}");
            let done = self.recover().env("SOTER_TEST_KILL_ENGINE", &fate).run(TIMEOUT).unwrap();
            let is_killed = done.status == Status::Signaled(9);
            assert!(
                is_killed || done.status == Status::Exited(0),
                "{fate}: {}",
                text(&done.stderr)
            );
            if is_killed && is_so(&self.records()) {
                println!("killed at append {fate}");
                return;
            }
            self.forget();
        }
        panic!("no engine died there");
    }

    /// A run that died elsewhere: its commands may still be at work.
    fn forget(&self) {
        for file in super::files(Path::new(&self.desk.path("here"))) {
            if file.file_name().is_none_or(|name| name != "pid") {
                continue;
            }
            let begun: Value = serde_json::from_slice(&fs::read(&file).unwrap()).unwrap();
            let number = |key: &str| begun[key].as_u64().unwrap();
            let process = u32::try_from(number("pid")).unwrap();
            Identity { process, start_ticks: number("start_ticks") }.signal(Signal::Kill);
        }
        for place in ["here", "etcd"] {
            fs::remove_dir_all(self.desk.path(place)).ok();
        }
        fs::remove_file(self.desk.path("effects")).ok();
    }

    fn records(&self) -> Vec<Value> {
        let journal = self.desk.journal("here");
        journal.lines().map_while(|line| serde_json::from_str(line).ok()).collect()
    }

    /// Another engine ends the run: each thing was done, and what comes back is an etcd as it was lost,
    /// where whoever watched it is told that their revision is gone.
    fn ends_well(&self) {
        let key = self.desk.path("keys/operator-1.key");
        expect(self.desk.soter(&["run", "resume", "latest", "--identity", &key]), 0, "");
        assert_eq!(self.desk.lines("effects"), ["before", "member"]);
        let left = fs::read_dir(self.desk.path("etcd")).unwrap().map(|it| it.unwrap().file_name());
        assert_eq!(left.collect::<Vec<_>>(), ["back"]);
        let journal = self.desk.run_directory("here").join("journal").display().to_string();
        assert_eq!(self.desk.json(&["journal", "verify", &journal])["whole"], true);
        let restored = fs::read(self.desk.path("etcd/back/restored.json")).unwrap();
        let restored: Value = serde_json::from_slice(&restored).unwrap();
        let [port, peer] = ports().unwrap();
        let [url, peer] = [port, peer].map(|port| format!("http://127.0.0.1:{port}"));
        let member = Command::new(self.programs.join("etcd"))
            .args(["--data-dir", &self.desk.path("data"), "--listen-client-urls", &url])
            .args(["--advertise-client-urls", &url, "--listen-peer-urls", &peer])
            .current_dir(self.desk.path(""))
            .spawn()
            .unwrap();
        let access = Access { endpoints: vec![url.parse().unwrap()], ca: Vec::new(), client: None };
        let client = Client::new(&access).unwrap();
        let counts = || client.count_keys(b"").is_ok_and(|count| count == KEYS as u64);
        soter_stores::testing::wait_until("the member has the keys", counts).unwrap();
        let (endpoint, status) = client.status().unwrap();
        let revision = restored["revision"].as_u64().unwrap();
        assert!(status.revision > revision + 999_999_999, "{status:?}");
        let gone = client.count_at(&endpoint, (&[0], &[0]), revision).unwrap_err();
        assert!(gone.is_compacted(), "{gone}");
        drop(member);
    }
}

/// Whether the step has such a record.
fn has(records: &[Value], kind: &str, step: &str) -> bool {
    records.iter().any(|one| one["type"] == kind && one["body"]["step"] == step)
}

#[test]
fn real_a_restore_of_an_etcd_that_was_only_meant_is_begun_by_the_next_engine() {
    let Some(lost) = Lost::new() else { return };
    lost.die("durable", |records| {
        has(records, "step_started", "back") && !has(records, "child_started", "back")
    });
    assert!(!Path::new(&lost.desk.path("etcd/back")).exists());
    lost.ends_well();
}

#[test]
fn real_a_restore_of_an_etcd_that_is_half_done_is_begun_anew() {
    let Some(lost) = Lost::new() else { return };
    // The machine dies when the first member is made of which the snapshot is to be: the engine, whoever
    // watches the restore, and the restore.
    let tool = lost.programs.join("etcdutl").display().to_string();
    let (died, engine) = (lost.desk.path("died"), lost.desk.path("engine"));
    fs::create_dir(lost.desk.path("bin")).unwrap();
    lost.desk.put(
        "bin/etcdutl",
        &format!(
            "#!/bin/sh\nif mkdir '{died}' 2>/dev/null; then\n  '{tool}' \"$@\"\n  \
             until [ -s '{engine}' ]; do sleep 0.05; done\n  \
             read -r _ _ _ above _ < \"/proc/$PPID/stat\"\n  \
             kill -9 \"$above\" \"$PPID\" \"$(cat '{engine}')\"\n  exit 1\nfi\n\
             exec '{tool}' \"$@\"\n"
        ),
    );
    let program = lost.desk.path("bin/etcdutl");
    fs::set_permissions(program, fs::Permissions::from_mode(0o755)).unwrap();
    let running = lost.recover().spawn().unwrap();
    lost.desk.put("engine", &running.id().to_string());
    assert_eq!(running.wait().status, Status::Signaled(9));
    let half = PathBuf::from(lost.desk.path("etcd/.back.soter-restoring"));
    assert!(half.join("snapshot.db").exists() && half.join(".moved/member/snap/db").exists());
    assert!(!has(&lost.records(), "step_ended", "back"));
    lost.ends_well();
}

#[test]
fn real_a_restore_of_an_etcd_that_is_done_and_not_written_down_is_found() {
    let Some(lost) = Lost::new() else { return };
    let restored = PathBuf::from(lost.desk.path("etcd/back/restored.json"));
    lost.die("before", |records| {
        let begun = has(records, "child_started", "back") && !has(records, "step_ended", "back");
        begun && restored.exists()
    });
    let is_there = || fs::metadata(&restored).unwrap().modified().unwrap();
    let before = is_there();
    lost.ends_well();
    assert_eq!(is_there(), before, "it was not done again");
}
