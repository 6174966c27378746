//! `soter wal fetch` as the `restore_command` of real servers that end their recovery by themselves.

use std::fs;
use std::path::{Path, PathBuf};

use soter_postgres::testing::{Shutdown, TestCluster, wait_until};
use soter_world::exec::{Signal, Status as ExitStatus, signal_process};

use crate::lab::{Lab, overwrite, text};

/// Enough that a helper fetches ahead, in segments of 1 MiB.
const FILL: &str =
    "INSERT INTO t SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 30000) n";

/// A cluster that streamed and was killed and deleted, with a backup at its beginning.
fn lost_lab() -> Lab {
    let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    let lines = Lab::wal_lines(cluster.directory(), "asynchronous");
    let mut lab = Lab::around(cluster, &lines);
    let agent = lab.streaming_agent();
    lab.cluster.psql("CREATE TABLE t (n int, filler text)").unwrap();
    lab.ok(&["backup", "orders"]);
    lab.cluster.psql(FILL).unwrap();
    lab.cluster.psql("INSERT INTO t VALUES (0, 'the last one')").unwrap();
    lab.wait_durable(&agent);
    lab.wait(&agent, "whole segments are sealed", |status| {
        status.wal.as_ref().is_some_and(|wal| wal.spooled_segments <= 1)
    });
    lab.cluster.kill().unwrap();
    agent.kill();
    fs::remove_dir_all(lab.cluster.data_directory()).unwrap();
    lab
}

/// How an operator without a plan calls it.
fn fetch(lab: &Lab) -> Vec<String> {
    let access = ["--vault", &lab.url(), "--identity", &lab.path("keys/operator-1.key")];
    let words = ["wal", "fetch", "--store", "orders"].into_iter().chain(access);
    words.map(str::to_owned).collect()
}

/// A restored cluster that has no WAL, gets it by `restore_command`, and promotes when it is told
/// that there is no more.
fn recovering(lab: &Lab, name: &str, more: &str) -> TestCluster {
    let (url, identity, target) = (lab.url(), lab.path("keys/operator-1.key"), lab.path(name));
    let restore = ["restore", "--vault", &url, "--identity", &identity, "--target-dir", &target];
    lab.ok(&restore);
    let target = Path::new(&target);
    for entry in fs::read_dir(target.join("pg_wal")).unwrap() {
        let entry = entry.unwrap();
        if entry.file_type().unwrap().is_file() {
            fs::remove_file(entry.path()).unwrap();
        }
    }
    fs::remove_file(target.join("standby.signal")).unwrap();
    fs::File::create(target.join("recovery.signal")).unwrap();
    let command = fetch(lab).join(" ");
    let command = format!("{} {command} {more} %f %p", lab.path("soter"));
    let restored = TestCluster::over(target).unwrap();
    let path = target.join("postgresql.auto.conf");
    let mut file = fs::OpenOptions::new().append(true).open(path).unwrap();
    let lines = format!("restore_command = '{command}'\nrecovery_target_action = 'promote'\n");
    std::io::Write::write_all(&mut file, lines.as_bytes()).unwrap();
    restored
}

/// The sealed segments of the vault, in order.
fn sealed_segments(lab: &Lab) -> Vec<PathBuf> {
    fn walk(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            match path.is_dir() {
                true => walk(&path, found),
                false => found.push(path),
            }
        }
    }
    let mut found = Vec::new();
    walk(&lab.root.join("vault/wal"), &mut found);
    found.retain(|path| path.file_name().unwrap().len() == 24);
    found.sort();
    found
}

fn wait_for_promotion(restored: &TestCluster) {
    let waited = wait_until("the recovery ends", || {
        let answer = restored.psql("SELECT pg_is_in_recovery()");
        !restored.is_running() || answer.is_ok_and(|answer| answer == "f")
    });
    assert!(waited.is_ok() && restored.is_running(), "{}", restored.log());
}

fn count(cluster: &TestCluster) -> Option<String> {
    cluster.psql("SELECT count(*), max(filler) FILTER (WHERE n = 0) FROM t").ok()
}

/// Waits until the server has given up; it must not have promoted.
fn has_given_up(restored: &mut TestCluster, object: &str) {
    drop(restored.start());
    wait_until("the server gives up", || !restored.is_running()).unwrap();
    let log = restored.log();
    assert!(log.contains(object) && log.contains("hint:"), "{log}");
    assert!(log.contains("FATAL"), "{log}");
    assert!(!log.contains("archive recovery complete"), "{log}");
    assert!(restored.data_directory().join("recovery.signal").exists());
    let history = restored.data_directory().join("pg_wal/00000002.history");
    assert!(!history.exists(), "no new timeline was begun");
}

#[test]
fn real_a_server_recovers_by_restore_command_though_it_is_killed_in_the_middle() {
    let lab = lost_lab();
    let mut restored = recovering(&lab, "restored", "");
    // Killed when it has fetched some, and everything with it that is about to end by itself.
    let fetched = restored.data_directory().join("pg_wal/soter.fetch");
    let killed = std::thread::scope(|scope| {
        let starting = scope.spawn(|| drop(restored.start()));
        let pid = lab.root.join("restored/postmaster.pid");
        wait_until("a helper fetches ahead", || fetched.exists()).unwrap();
        let process = fs::read_to_string(pid).unwrap().lines().next().unwrap().parse().unwrap();
        let killed = signal_process(process, Signal::Kill);
        starting.join().unwrap();
        killed
    });
    killed.unwrap();
    if restored.is_running() {
        restored.kill().unwrap();
    }
    wait_until("the server's processes are gone", || restored.start().is_ok()).unwrap();
    wait_for_promotion(&restored);
    assert_eq!(count(&restored).as_deref(), Some("30001|the last one"));
    restored.psql("INSERT INTO t VALUES (-1, '')").unwrap();
    wait_until("what was fetched ahead is gone", || !fetched.exists()).unwrap();
    restored.stop(Shutdown::Fast).unwrap();
}

#[test]
fn real_a_recovery_never_ends_at_damage_or_at_a_hole() {
    let lab = lost_lab();
    let segments = sealed_segments(&lab);
    assert!(segments.len() > 10, "{}", segments.len());
    let victim = &segments[segments.len() / 2];
    let object = victim.strip_prefix(lab.root.join("vault")).unwrap().to_str().unwrap();
    let whole = fs::read(victim).unwrap();
    let mut damaged = whole.clone();
    damaged[whole.len() / 2] ^= 1;
    // The restore itself looks at the end of the WAL; the recovery will not get there.
    let mut restored = recovering(&lab, "restored", "--ahead 4");
    overwrite(victim, &damaged);
    has_given_up(&mut restored, object);

    fs::remove_file(victim).unwrap();
    let name = victim.file_name().unwrap().to_str().unwrap();
    let next = segments[segments.len() / 2 + 1].file_name().unwrap().to_str().unwrap();
    has_given_up(&mut restored, &format!("segment {next} is there"));
    let mut words = fetch(&lab);
    words.extend([name.to_owned(), lab.path("somewhere")]);
    let words: Vec<&str> = words.iter().map(String::as_str).collect();
    lab.fails(&words, 203, "WAL is missing");
    assert!(!lab.root.join("somewhere").exists());

    // It is back: the same server goes on to the end.
    fs::File::create_new(victim).unwrap();
    overwrite(victim, &whole);
    restored.start().unwrap();
    wait_for_promotion(&restored);
    assert_eq!(count(&restored).as_deref(), Some("30001|the last one"));
}

#[test]
fn real_only_a_proven_absence_ends_with_one() {
    let lab = lost_lab();
    let there = sealed_segments(&lab).pop().unwrap();
    let there = there.file_name().unwrap().to_str().unwrap();
    let run = |more: &[&str]| {
        let mut words = fetch(&lab);
        words.extend(more.iter().map(|&word| word.to_owned()));
        let words: Vec<&str> = words.iter().map(String::as_str).collect();
        let done = lab.soter(&words);
        let ExitStatus::Exited(code) = done.status else { panic!("{:?}", done.status) };
        (code, text(&done.stderr))
    };
    let out = lab.path("file");
    assert_eq!(run(&[there, &out]), (0, String::new()));
    assert_eq!(fs::metadata(&out).unwrap().len(), 1 << 20);
    let beyond = "0000000100000000000000F0";
    assert_eq!(run(&[beyond, &out]).0, 1);
    assert_eq!(run(&["00000002.history", &out]).0, 1);
    let checks: [(&[&str], i32, &str); 8] = [
        (&[beyond], 202, "required"),
        (&[beyond, &out, "--nonsense"], 202, "unexpected"),
        (&["--help"], 202, ""),
        (&["pg_control", &out], 202, "not a file of a WAL archive"),
        (&[beyond, &out, "--store", "stock"], 202, "cannot be used multiple times"),
        (&[beyond, &out, "--incarnation", "0011223344556677"], 202, "no backup of this life"),
        (&[there, "/nowhere/file"], 203, "cannot write /nowhere/file"),
        (&[beyond, &out, "--end", "F0/0"], 203, "known to go up to F0/0"),
    ];
    for (more, code, says) in checks {
        let (ended, said) = run(more);
        assert_eq!(ended, code, "{more:?}: {said}");
        assert!(said.contains(says), "{more:?}: {said}");
    }
    let agent = lab.path("keys/agent.key");
    let url = lab.url();
    let with = |identity: &str, vault: &str, code, says: &str| {
        let words = ["wal", "fetch", beyond, &out, "--vault", vault, "--identity", identity];
        lab.fails(&words, code, says);
    };
    with(&agent, &url, 202, "key file");
    with(&lab.path("keys/nobody.key"), &url, 202, "key file");
    with(&lab.path("keys/operator-1.key"), "file:///nowhere", 202, "open the vault");
    lab.vault_away(true);
    with(&lab.path("keys/operator-1.key"), &url, 202, "open the vault");
    lab.vault_away(false);
    assert_eq!(run(&[beyond, &out]).0, 1);
}

#[test]
fn real_an_agent_hands_out_what_it_has_not_sealed_and_nothing_else_without_a_key() {
    let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    let lines = Lab::wal_lines(cluster.directory(), "asynchronous");
    let lab = Lab::around(cluster, &lines);
    let agent = lab.streaming_agent();
    lab.wait(&agent, "a first backup is there", |status| status.backup.last_id.is_some());
    lab.vault_away(true);
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 1000)").unwrap();
    let name = lab.cluster.psql("SELECT pg_walfile_name(pg_current_wal_lsn())").unwrap();
    lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
    let out = lab.path("fetched");
    let fetch = |name: &str| lab.soter(&["wal", "fetch", name, &out]);
    wait_until("the agent has the segment", || fetch(&name).status == ExitStatus::Exited(0))
        .unwrap();
    let original = lab.cluster.data_directory().join("pg_wal").join(&name);
    assert!(fs::read(&out).unwrap() == fs::read(original).unwrap(), "another segment came");
    // Of what nobody has, nobody knows while the vault is away.
    let beyond = "0000000100000000000000F0";
    lab.fails(&["wal", "fetch", beyond, &out], 202, "open the vault");
    lab.vault_away(false);
    wait_until("the segment is sealed", || fetch(&name).status == ExitStatus::Exited(202)).unwrap();
    lab.fails(&["wal", "fetch", &name, &out], 202, "cannot be had without an operator's key");
    lab.fails(&["wal", "fetch", beyond, &out], 1, "nothing that could follow it");
    lab.fails(&["wal", "fetch", beyond, &out, "--vault", &lab.url()], 202, "needs --identity");
    assert_eq!(agent.stop(), 0);
}
