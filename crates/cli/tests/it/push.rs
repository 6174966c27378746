//! `soter wal push` without an agent, as the `archive_command` of real servers that have fallen
//! behind: what the first call leaves behind must never say more than what is in the vault.

use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::PathBuf;
use std::time::Duration;

use soter_postgres::testing::{TestCluster, hand_over, wait_until};
use soter_world::exec::{Command, Signal, Status as ExitStatus, signal_process};
use soter_world::sim::{SeededRandom, seeds};
use soter_world::{Clock, SystemClock};

use crate::lab::{Lab, files_named, overwrite, run, text};

/// Some twenty segments of 1 MiB.
const FILL: &str =
    "INSERT INTO t SELECT n, repeat(md5(n::text), 20) FROM generate_series(1, 28000) n";

/// A cluster whose WAL waits for an `archive_command`, and stays when it is archived.
struct Waiting {
    lab: Lab,
    names: Vec<String>,
}

impl Waiting {
    fn new() -> Self {
        let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
        let lines = ["archive_mode = on", "archive_command = ''", "wal_keep_size = 512MB"];
        cluster.configure(&lines).unwrap();
        let lab = Lab::around(cluster, "");
        lab.cluster.psql("CREATE TABLE t (n int, filler text)").unwrap();
        lab.cluster.psql(FILL).unwrap();
        lab.cluster.psql("SELECT pg_switch_wal()").unwrap();
        let mut waiting = Self { lab, names: Vec::new() };
        let status = waiting.wal().join("archive_status");
        for entry in fs::read_dir(status).unwrap() {
            let name = entry.unwrap().file_name().into_string().unwrap();
            waiting.names.extend(name.strip_suffix(".ready").map(str::to_owned));
        }
        waiting.names.sort();
        assert!(waiting.names.len() > 15, "{:?}", waiting.names);
        waiting
    }

    fn wal(&self) -> PathBuf {
        self.lab.cluster.data_directory().join("pg_wal")
    }

    fn notes(&self) -> Vec<PathBuf> {
        let mut found = Vec::new();
        for life in fs::read_dir(self.wal().join("soter.push")).into_iter().flatten().flatten() {
            let entries = fs::read_dir(life.path()).into_iter().flatten().flatten();
            found.extend(entries.map(|entry| entry.path()));
        }
        found.retain(|path| path.extension().is_some_and(|end| end == "note"));
        found.sort();
        found
    }

    /// The processes that run this laboratory's binary for archiving, by this word.
    fn processes(&self, word: &str) -> Vec<u32> {
        let binary = self.lab.path("soter");
        let mut found = Vec::new();
        for entry in fs::read_dir("/proc").unwrap().flatten() {
            let line = fs::read(entry.path().join("cmdline")).unwrap_or_default();
            let mut words = line.split(|byte| *byte == 0);
            if words.next() == Some(binary.as_bytes()) && words.any(|it| it == word.as_bytes()) {
                found.extend(entry.file_name().to_str().and_then(|name| name.parse::<u32>().ok()));
            }
        }
        found
    }

    /// What an operator gets back is what the server has.
    fn all_come_back(&self) {
        let (lab, out) = (&self.lab, self.lab.path("fetched"));
        for name in &self.names {
            let words = ["wal", "fetch", name, &out, "--vault", &lab.url(), "--identity"];
            let command = Command::new(lab.path("soter")).args(words);
            let command = command.arg(lab.path("keys/operator-1.key"));
            // There the marker says whose WAL it is: there is no backup that would.
            run(command.current_dir(lab.cluster.data_directory()).run_as(lab.cluster.owner()));
            let (fetched, ours) = (fs::read(&out), fs::read(self.wal().join(name)));
            assert!(fetched.unwrap() == ours.unwrap(), "{name}");
        }
    }
}

#[test]
fn real_a_server_that_is_behind_is_archived_though_processes_are_killed() {
    for seed in seeds(1) {
        println!("seed {seed}");
        let random = SeededRandom::new(seed);
        let waiting = Waiting::new();
        let lab = &waiting.lab;
        let has_come_back = std::cell::Cell::new(0);
        // By hand first: each call may be killed, and the worker behind it.
        let by_hand = waiting.names.len() / 2;
        for name in &waiting.names[..by_hand] {
            let file = format!("pg_wal/{name}");
            loop {
                let mut call = lab.start(&["wal", "push", &file]);
                let patience = Duration::from_millis(random.below(60));
                let ended = call.wait_timeout(patience);
                match random.below(4) {
                    0 => waiting.processes("behind").into_iter().for_each(kill),
                    1 if ended.is_none() => call.signal(Signal::Kill),
                    _ => {}
                }
                let ended = ended.unwrap_or_else(|| call.wait());
                match ended.status {
                    ExitStatus::Exited(0) => break,
                    ExitStatus::Signaled(9) => has_come_back.set(has_come_back.get() + 1),
                    other => panic!("seed {seed}: {other}: {}", text(&ended.stderr)),
                }
            }
            let there = files_named(&lab.root.join("vault/wal"), |file| file == name);
            assert_eq!(there, 1, "seed {seed}: {name} was said to be there");
        }
        println!("{} calls were killed", has_come_back.get());
        // Then by the server, whose archiver stays.
        let command =
            format!("{} --plan {} wal push %p", lab.path("soter"), lab.path("soter.yaml"));
        lab.cluster.psql(&format!("ALTER SYSTEM SET archive_command = '{command}'")).unwrap();
        lab.cluster.psql("SELECT pg_reload_conf()").unwrap();
        let last = waiting.names.last().unwrap();
        wait_until("the WAL is archived", || {
            if random.chance(30) {
                waiting.processes("behind").into_iter().for_each(kill);
            }
            let archived = "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver";
            lab.cluster.psql(archived).unwrap() >= *last
        })
        .unwrap();
        waiting.all_come_back();
        wait_until("the worker ends", || waiting.processes("behind").is_empty()).unwrap();
    }
}

#[test]
fn real_a_clone_does_not_take_the_notes_for_its_own() {
    let waiting = Waiting::new();
    let (lab, names) = (&waiting.lab, &waiting.names);
    lab.ok(&["wal", "push", &format!("pg_wal/{}", names[0])]);
    let is_stored = || waiting.notes().len() == names.len() - 1;
    wait_until("all that waits is stored", is_stored).unwrap();

    // A clone has the notes and the times, but other files; one of them is not even equal.
    let clone = lab.root.join("clone");
    run(Command::new("cp").arg("-a").arg(lab.cluster.data_directory()).arg(&clone));
    let (ours, theirs) = (waiting.wal().join(&names[1]), clone.join("pg_wal").join(&names[1]));
    overwrite(&theirs, b"something else");
    run(Command::new("touch").arg("-r").arg(&ours).arg(&theirs));
    // Nor has it a worker of its own that would make other notes.
    fs::remove_dir_all(clone.join("pg_wal/archive_status")).unwrap();
    let times = |path| fs::metadata(path).map(|it| (it.mtime(), it.mtime_nsec())).unwrap();
    assert_eq!(times(&ours), times(&theirs));
    let plan = fs::read_to_string(lab.root.join("soter.yaml")).unwrap();
    let data = lab.cluster.data_directory().display().to_string();
    let plan = plan.replace(&data, &clone.display().to_string());
    fs::File::create_new(lab.root.join("clone.yaml")).unwrap();
    overwrite(&lab.root.join("clone.yaml"), plan.as_bytes());
    hand_over(&lab.root.join("clone.yaml"), lab.cluster.owner()).unwrap();
    let push = |plan: &str, name: &str| {
        let file = format!("pg_wal/{name}");
        let words = ["--plan", &lab.path(plan), "wal", "push", &file].map(str::to_owned);
        let command = Command::new(lab.path("soter")).args(words).run_as(lab.cluster.owner());
        let done = command.run(Duration::from_secs(60)).unwrap();
        (done.status, text(&done.stderr))
    };
    let (status, said) = push("clone.yaml", &names[1]);
    assert_ne!(status, ExitStatus::Exited(0), "{said}");
    assert!(said.contains("holds another file"), "{said}");
    let (status, said) = push("clone.yaml", &names[2]);
    assert_eq!(status, ExitStatus::Exited(0), "{said}");
    assert!(said.contains("was in the vault already"), "it was read: {said}");

    // The server's own calls find theirs, without reading anything.
    let began = SystemClock.monotonic();
    for name in &names[1..] {
        let (status, said) = push("soter.yaml", name);
        assert_eq!((status, said.as_str()), (ExitStatus::Exited(0), ""), "{name}");
    }
    println!("{:?} for {} notes", SystemClock.monotonic() - began, names.len() - 1);
    assert_eq!(waiting.notes(), Vec::<PathBuf>::new());
    // Again, now that there are none; and mending never asks for one.
    let (_, said) = push("soter.yaml", &names[1]);
    assert!(said.contains("was in the vault already"), "{said}");
    waiting.all_come_back();
    // Should the first worker have ended by then, that call left another, with notes of its own.
    fs::remove_dir_all(waiting.wal().join("archive_status")).unwrap();
    names.iter().for_each(|name| drop(push("soter.yaml", name)));
    wait_until("nothing stays", || !waiting.wal().join("soter.push").exists()).unwrap();
}

fn kill(process: u32) {
    // It may have ended by itself.
    drop(signal_process(process, Signal::Kill));
}
