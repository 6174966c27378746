//! A cluster, a vault, a plan, and the agent as the process that users run.

use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use soter_postgres::agent::{Status, ask_status};
use soter_postgres::incarnation;
use soter_postgres::lsn::{Lsn, SegmentNumber, SegmentSize, Timeline};
use soter_postgres::testing::{TestCluster, hand_over, wait_until};
use soter_postgres::wal::decoder::WalDecoder;
use soter_postgres::wal::header::SegmentHeader;
use soter_postgres::wal::meaning::Meaning;
use soter_vault::keys::{KeyFile, OperatorKey, load_trust};
use soter_vault::log::Log;
use soter_vault::objects::open_url;
use soter_vault::vault::Vault;
use soter_vault::wal::{
    Archive, Segment, SegmentSize as VaultSegmentSize, SessionAccess, WalReader, WalVault,
};
use soter_world::exec::{Child, Command, Finished, Output, Signal, Status as ExitStatus};
use soter_world::{OsDisk, SystemClock, SystemRandom};

/// Longer than a backup waits for its WAL, so that its own words are seen.
const TIMEOUT: Duration = Duration::from_secs(180);

/// Everything about one store.
pub(crate) struct Lab {
    pub(crate) cluster: TestCluster,
    pub(crate) root: PathBuf,
    binary: PathBuf,
    root_key: String,
}

/// A running agent. It is killed when this goes away.
pub(crate) struct Agent {
    child: Child,
    log: PathBuf,
    /// Where its own lines begin: the agents of a lab write one log.
    log_begin: u64,
}

/// A timeline's WAL as an operator reads it from the vault.
pub(crate) struct StoredWal {
    pub(crate) start: Lsn,
    pub(crate) bytes: Vec<u8>,
}

impl Lab {
    /// A vault and a plan for a cluster with segments of 1 MiB; its store has these lines more.
    pub(crate) fn around(cluster: TestCluster, store_lines: &str) -> Self {
        let root = cluster.directory().join("soter");
        fs::create_dir(&root).unwrap();
        let binary = root.join("soter");
        // By another process: a file that this one has open for writing, be it in a child that was
        // forked for another test, cannot be run.
        run(Command::new("cp").arg(env!("CARGO_BIN_EXE_soter")).arg(&binary));
        hand_over(&root, cluster.owner()).unwrap();
        let mut lab = Self { cluster, root, binary, root_key: String::new() };
        let (url, keys) = (lab.url(), lab.path("keys"));
        let init = ["--json", "vault", "init", "--url", &url, "--keys", &keys, "--store", "orders"];
        let made: serde_json::Value = serde_json::from_str(&lab.ok(&init)).unwrap();
        made["root"].as_str().unwrap().clone_into(&mut lab.root_key);
        lab.write_plan("soter.yaml", store_lines);
        if !lab.cluster.is_running() {
            lab.cluster.start().unwrap();
        }
        lab
    }

    /// A cluster that archives its WAL by command, without an agent.
    pub(crate) fn archiving() -> Self {
        let cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
        let root = cluster.directory().join("soter").display().to_string();
        let push = format!("archive_command = '{root}/soter --plan {root}/soter.yaml wal push %p'");
        cluster.configure(&["archive_mode = on", &push]).unwrap();
        Self::around(cluster, "")
    }

    /// Completes the segment in use, and waits until all WAL is archived.
    pub(crate) fn wait_archived(&self) {
        // When nothing was written since the last switch this is the beginning of a segment, which
        // newer versions of PostgreSQL name by the segment that is still empty.
        let last = self.cluster.psql("SELECT pg_walfile_name(pg_switch_wal() - 1)").unwrap();
        wait_until("the WAL is archived", || {
            let archived = "SELECT coalesce(last_archived_wal, '') FROM pg_stat_archiver";
            self.cluster.psql(archived).unwrap() >= last
        })
        .unwrap();
    }

    /// Writes a plan. The agent keeps its state in `state`, with a spool.
    pub(crate) fn write_plan(&self, name: &str, store_lines: &str) {
        let (url, keys, root_key) = (self.url(), self.path("keys"), &self.root_key);
        let plan = format!(
            "vaults:\n  main: {{ url: \"{url}\", keys: {{ root: \"{root_key}\", agent: \"{keys}/agent.key\" }} }}\n\
             stores:\n  orders:\n    kind: postgres\n    connection: \"{}\"\n    \
             data_directory: {}\n    vaults: [main]\n{store_lines}",
            self.cluster.connection_string(),
            self.cluster.data_directory().display()
        );
        let path = self.root.join(name);
        let mut file = fs::File::create(path).unwrap();
        std::io::Write::write_all(&mut file, plan.as_bytes()).unwrap();
    }

    /// The lines of a store's `wal` section with a spool in this lab.
    pub(crate) fn wal_lines(root: &Path, mode: &str) -> String {
        let spool = root.join("soter/state");
        format!(
            "    wal: {{ mode: {mode}, part_interval: 50 ms, spool: {{ directory: {}, limit: 64 MiB }} }}\n",
            spool.display()
        )
    }

    pub(crate) fn url(&self) -> String {
        format!("file://{}/vault", self.root.display())
    }

    pub(crate) fn path(&self, name: &str) -> String {
        self.root.join(name).display().to_string()
    }

    fn command<S: AsRef<str>>(&self, plan: &str, arguments: &[S]) -> Command {
        let plan = self.root.join(plan);
        let words = arguments.iter().map(AsRef::as_ref);
        let command = Command::new(&self.binary).arg("--plan").arg(plan).args(words);
        command.current_dir(&self.root).run_as(self.cluster.owner())
    }

    /// Runs the binary as the server's user.
    pub(crate) fn soter<S: AsRef<str>>(&self, arguments: &[S]) -> Finished {
        self.command("soter.yaml", arguments).run(TIMEOUT).unwrap()
    }

    /// The same with a variable in its environment.
    pub(crate) fn soter_with<S: AsRef<str>>(
        &self,
        (name, value): (&str, &str),
        arguments: &[S],
    ) -> Finished {
        self.command("soter.yaml", arguments).env(name, value).run(TIMEOUT).unwrap()
    }

    /// The same, which must succeed.
    pub(crate) fn ok<S: AsRef<str>>(&self, arguments: &[S]) -> String {
        let done = self.soter(arguments);
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        assert_eq!(done.status, ExitStatus::Exited(0), "{words:?}: {}", text(&done.stderr));
        text(&done.stdout)
    }

    /// The same, which must end with this code and say this.
    pub(crate) fn fails<S: AsRef<str>>(&self, arguments: &[S], code: i32, says: &str) {
        let done = self.soter(arguments);
        let said = text(&done.stderr);
        let words: Vec<&str> = arguments.iter().map(AsRef::as_ref).collect();
        assert_eq!(done.status, ExitStatus::Exited(code), "{words:?}: {said}");
        assert!(said.contains(says), "{words:?}: {said}");
    }

    /// Starts the binary as the server's user.
    pub(crate) fn start<S: AsRef<str>>(&self, arguments: &[S]) -> Child {
        self.command("soter.yaml", arguments).spawn().unwrap()
    }

    /// Restores into a directory of this lab and has the server started; the cluster that is back,
    /// and what the command said.
    pub(crate) fn recover(
        &self,
        name: &str,
        arguments: &[&str],
    ) -> (TestCluster, serde_json::Value) {
        let said = self.ok(&self.start_arguments(name, arguments));
        let said: serde_json::Value = serde_json::from_str(&said).unwrap();
        let started = &said["started"];
        let sockets = PathBuf::from(started["socket_directory"].as_str().unwrap());
        let process = u32::try_from(started["pid"].as_u64().unwrap()).unwrap();
        let port = u16::try_from(started["port"].as_u64().unwrap()).unwrap();
        let data = self.root.join(name);
        let restored = TestCluster::attach(&data, (&sockets, port), process).unwrap();
        assert_eq!(restored.psql("SELECT pg_is_in_recovery()").unwrap(), "f");
        (restored, said)
    }

    /// The command line that restores and starts.
    pub(crate) fn start_arguments(&self, name: &str, more: &[&str]) -> Vec<String> {
        let (url, identity, target) =
            (self.url(), self.path("keys/operator-1.key"), self.path(name));
        let programs = self.cluster.binaries().directory().display().to_string();
        let fixed = ["--json", "restore", "--start", "--vault", &url, "--identity", &identity];
        let places = ["--target-dir", &target];
        let found = ["--bin-dir", &programs];
        let found = if more.contains(&"--bin-dir") { &found[..0] } else { &found[..] };
        let words = fixed.iter().chain(&places).chain(found).chain(more);
        words.map(|word| (*word).to_owned()).collect()
    }

    /// Starts the binary as the server's user, and does not wait for it.
    pub(crate) fn spawn(&self, arguments: &[&str]) -> Child {
        self.command("soter.yaml", arguments).spawn().unwrap()
    }

    /// Starts an agent.
    pub(crate) fn agent(&self) -> Agent {
        self.agent_of("soter.yaml")
    }

    /// Starts an agent with another plan.
    pub(crate) fn agent_of(&self, plan: &str) -> Agent {
        let log = self.root.join("agent.log");
        let open = || fs::OpenOptions::new().create(true).append(true).open(&log).unwrap();
        let log_begin = open().metadata().unwrap().len();
        let command = self.command(plan, &["agent", "orders"]);
        let command = command.stdout(Output::File(open())).stderr(Output::File(open()));
        Agent { child: command.spawn().unwrap(), log, log_begin }
    }

    /// Starts an agent and waits until it streams.
    pub(crate) fn streaming_agent(&self) -> Agent {
        let agent = self.agent();
        self.wait(&agent, "it streams", |status| {
            status.wal.is_some() && status.doing.contains("streaming")
        });
        agent
    }

    fn socket(&self) -> PathBuf {
        self.root.join("state/agent.sock")
    }

    /// What the agent says of itself, if it runs.
    pub(crate) fn status(&self) -> Option<Status> {
        ask_status(&self.socket()).ok().flatten()
    }

    /// Waits until the agent says something; it must not end meanwhile.
    pub(crate) fn wait(
        &self,
        agent: &Agent,
        what: &str,
        mut reached: impl FnMut(&Status) -> bool,
    ) -> Status {
        let mut last = None;
        let waited = wait_until(what, || {
            assert!(agent.child.try_wait().is_none(), "the agent ended: {}", agent.log());
            last = self.status();
            last.as_ref().is_some_and(&mut reached)
        });
        assert!(waited.is_ok(), "{what}: {last:#?}\n{}\n{}", agent.log(), self.cluster.log());
        last.unwrap()
    }

    /// Waits until everything the server has written by now is durable in the vault.
    pub(crate) fn wait_durable(&self, agent: &Agent) -> Lsn {
        let query = "SELECT CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() \
                     ELSE pg_current_wal_flush_lsn() END";
        let end: Lsn = self.cluster.psql(query).unwrap().parse().unwrap();
        self.wait(agent, "all is durable", |status| {
            status.wal.as_ref().is_some_and(|wal| wal.durable >= end)
        });
        end
    }

    /// How many objects the vault has besides those of backups.
    pub(crate) fn wal_objects(&self) -> usize {
        let count = |class: &str| files_named(&self.root.join("vault").join(class), |_| true);
        count("wal") + count("live")
    }

    /// Moves the vault away or back.
    pub(crate) fn vault_away(&self, away: bool) {
        let (here, there) = (self.root.join("vault"), self.root.join("vault-away"));
        let (from, to) = if away { (&here, &there) } else { (&there, &here) };
        #[expect(clippy::disallowed_methods, reason = "this is the fault")]
        fs::rename(from, to).unwrap();
    }

    /// All WAL of a timeline that an operator can read, from its beginning as far as it has no gap.
    pub(crate) fn stored_wal(&self, timeline: Timeline) -> StoredWal {
        self.stored_wal_from(timeline, None)
    }

    /// The same from a position on.
    pub(crate) fn stored_wal_from(&self, timeline: Timeline, from: Option<Lsn>) -> StoredWal {
        let key = OperatorKey::load(&OsDisk, Path::new(&self.path("keys/operator-1.key"))).unwrap();
        let objects = open_url(&self.url(), Arc::new(OsDisk)).unwrap();
        let trust = load_trust(&*objects, &key.pins, 0).unwrap().trust;
        let store = trust.newest().store_named("orders").unwrap().id;
        let keys = trust.newest().reader_keys(store, &key.identity).unwrap();
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let vault = Vault { objects, clock, random, pins: key.pins };
        let log = Log::open(&vault, store, trust.clone(), None).unwrap();
        let sessions = |session| SessionAccess::of(log.catalogue(), &keys, session);
        let reader = WalReader { keys: &keys, sessions: &sessions, workers: 1 };
        let incarnation = incarnation::current(log.catalogue()).unwrap().id;
        let segment_size = VaultSegmentSize::new(1 << 20).unwrap();
        let archive = Archive { store, incarnation, segment_size };
        let (objects, clock) = (&*vault.objects, &*vault.clock);
        let wal = WalVault { store: objects, clock, trust: &trust, archive };
        let ranges = wal.ranges().unwrap();
        let range = ranges.iter().find(|range| range.timeline == timeline.0).unwrap();
        let begin = from.map_or(range.from, |from| from.0);
        let mut bytes = Vec::new();
        for number in archive.segment_at(begin).. {
            let segment = Segment { timeline: timeline.0, number };
            let Some(found) = wal.read_segment(segment, reader).unwrap() else { break };
            assert_eq!(found.findings(), [], "{segment}");
            let length = found.bytes().len();
            bytes.extend(found.into_bytes());
            if length < 1 << 20 {
                break;
            }
        }
        StoredWal { start: Lsn(begin), bytes }
    }
}

impl StoredWal {
    pub(crate) fn end(&self) -> Lsn {
        Lsn(self.start.0 + self.bytes.len() as u64)
    }

    /// The transactions whose commits are in it; all of it must be readable.
    pub(crate) fn commits(&self, timeline: Timeline) -> std::collections::BTreeSet<u32> {
        let identity = SegmentHeader::parse(&self.bytes).unwrap().identity;
        let size = SegmentSize::new(1 << 20).unwrap();
        let mut decoder = WalDecoder::new(identity, timeline, SegmentNumber(self.start.0 >> 20));
        assert_eq!(self.start.start_of_segment(size), self.start);
        let mut commits = std::collections::BTreeSet::new();
        let fed = decoder.feed(&self.bytes, &mut |record| {
            if let Meaning::Commit(commit) = record.meaning {
                commits.insert(commit.transaction.0);
            }
        });
        fed.unwrap();
        commits
    }
}

impl Agent {
    /// What it and those before it have said.
    pub(crate) fn log(&self) -> String {
        fs::read_to_string(&self.log).unwrap_or_default()
    }

    /// Waits until it has said something; it must not end meanwhile.
    pub(crate) fn wait_for_line(&self, what: &str) {
        let said = || {
            let log = fs::read(&self.log).unwrap_or_default();
            let own = usize::try_from(self.log_begin).unwrap();
            text(log.get(own..).unwrap_or_default()).contains(what)
        };
        let waited = wait_until(what, || {
            assert!(self.child.try_wait().is_none(), "the agent ended: {}", self.log());
            said()
        });
        assert!(waited.is_ok(), "the agent does not say {what:?}: {}", self.log());
    }

    /// Asks it to end, and waits; its exit code.
    pub(crate) fn stop(mut self) -> i32 {
        self.child.signal(Signal::Terminate);
        self.ended()
    }

    /// Waits for its end; its exit code.
    pub(crate) fn ended(&mut self) -> i32 {
        let log = self.log.clone();
        let finished = self.child.wait_timeout(TIMEOUT).unwrap_or_else(|| {
            panic!("the agent does not end: {}", fs::read_to_string(log).unwrap_or_default())
        });
        match finished.status {
            ExitStatus::Exited(code) => code,
            other @ ExitStatus::Signaled(_) => panic!("the agent died: {other:?}"),
        }
    }

    /// Kills it at once.
    pub(crate) fn kill(mut self) {
        self.child.kill();
        self.child.wait_timeout(TIMEOUT).unwrap();
    }
}

impl Drop for Agent {
    fn drop(&mut self) {
        if self.child.try_wait().is_none() {
            self.child.kill();
        }
    }
}

pub(crate) fn text(bytes: &[u8]) -> String {
    String::from_utf8_lossy(bytes).into_owned()
}

/// Replaces what is in a file, in place.
pub(crate) fn overwrite(path: &Path, bytes: &[u8]) {
    let mut file = fs::OpenOptions::new().write(true).open(path).unwrap();
    std::io::Write::write_all(&mut file, bytes).unwrap();
}

/// Runs a program that must succeed.
pub(crate) fn run(command: Command) {
    let done = command.run(TIMEOUT).unwrap();
    assert_eq!(done.status, ExitStatus::Exited(0), "{}", text(&done.stderr));
}

/// How many files below a directory have such names.
pub(crate) fn files_named(directory: &Path, fits: impl Fn(&str) -> bool + Copy) -> usize {
    let Ok(entries) = fs::read_dir(directory) else { return 0 };
    let count = |entry: fs::DirEntry| match entry.path() {
        path if path.is_dir() => files_named(&path, fits),
        _ => usize::from(entry.file_name().to_str().is_some_and(fits)),
    };
    entries.flatten().map(count).sum()
}
