//! A cluster is protected, lost and brought back; the server itself says whether it is the same.

use std::path::Path;
use std::sync::Arc;

use soter_vault::frame::Compression;
use soter_vault::ids::BackupId;
use soter_vault::log::{Log, TakeOver};
use soter_vault::map::NoProgress;
use soter_vault::objects::DirectoryStore;
use soter_vault::testing::TestVault;
use soter_vault::wal::{Archive, Sealer, SegmentSize, WalBytes, WalFacts, WalVault};
use soter_world::{OsDisk, Stop, SystemClock, SystemRandom};

use super::RestoreError;
use super::choice::{Choice, Refusal, choose};
use super::feed::{Feed, Feeder, SEGMENTS_AHEAD_MAX};
use super::gather::StoreReader;
use super::start::{Doors, Start, Started};
use super::target::Target;
use super::write::RestoreTarget;
use crate::backup::run::{BackupSetup, FullPolicy, run};
use crate::connection::ConnectionInfo;
use crate::incarnation;
use crate::lsn::Lsn;
use crate::testing::{Shutdown, TestCluster, hand_over, output_of, wait_until};

/// A cluster, and a vault for it in a directory.
struct Lab {
    cluster: TestCluster,
    vault: TestVault,
    directory: tempfile::TempDir,
}

impl Lab {
    fn new() -> Self {
        let mut cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
        cluster.configure(&["wal_keep_size = 1GB", "synchronous_standby_names = ''"]).unwrap();
        cluster.start().unwrap();
        let directory = tempfile::tempdir_in(cluster.directory()).unwrap();
        let objects = DirectoryStore::create(Arc::new(OsDisk), &directory.path().join("vault"));
        let objects = Arc::new(objects.unwrap());
        let (clock, random) = (Arc::new(SystemClock), Arc::new(SystemRandom));
        let vault = TestVault::create(objects, clock, random, "orders").unwrap();
        Self { cluster, vault, directory }
    }

    fn back_up(&self) -> BackupId {
        let connection = ConnectionInfo::parse(&self.cluster.connection_string()).unwrap();
        let setup = BackupSetup {
            disk: &OsDisk,
            connection: &connection,
            data_directory: self.cluster.data_directory(),
            vault: &self.vault.vault,
            trust: &self.vault.trust,
            keys: &self.vault.writer_keys().unwrap(),
            agent: "test",
            take_over: TakeOver::OwnOnly,
            full: FullPolicy::Always,
            workers: 2,
            compression: Compression::Zstd(1),
        };
        run(&setup, &mut |_| Ok(()), &NoProgress, &Stop::new()).unwrap().id
    }

    /// Pushes what is in `pg_wal`, as `archive_command` would.
    fn push_wal(&self) {
        self.push_wal_as(|_, bytes| bytes);
    }

    /// The same, with what another has made of a segment's bytes. What was recycled for later is
    /// not WAL yet: its pages have other addresses than its name says.
    fn push_wal_as(&self, change: impl Fn(&str, Vec<u8>) -> Vec<u8>) {
        let TestVault { vault, trust, store, .. } = &self.vault;
        let keys = self.vault.writer_keys().unwrap();
        let log = Log::open(vault, *store, trust.clone(), None).unwrap();
        let incarnation = incarnation::current(log.catalogue()).unwrap().id;
        let segment_size = SegmentSize::new(1 << 20).unwrap();
        let archive = Archive { store: *store, incarnation, segment_size };
        let wal = WalVault { store: &*vault.objects, clock: &*vault.clock, trust, archive };
        let sealer = Sealer::new(&keys, &*vault.random, Compression::Zstd(1), 1);
        let directory = self.cluster.data_directory().join("pg_wal");
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            let name = path.file_name().unwrap().to_str().unwrap().to_owned();
            if let Some(file) = archive.file(&name) {
                let bytes = std::fs::read(&path).unwrap();
                let address = u64::from_le_bytes(bytes[8..16].try_into().unwrap());
                if file.span.is_some_and(|(start, _)| start != address) {
                    continue;
                }
                let bytes = change(&name, bytes);
                let mut source = WalBytes { bytes: &bytes, facts: WalFacts::default() };
                wal.push(&sealer, &file, &mut source).unwrap();
            }
        }
    }

    fn restore(&self, target: &Target, directory: &Path) -> Result<Choice, RestoreError> {
        let restoring = |feeder: &Feeder<'_>| {
            let (reader, choice) = (feeder.reader, feeder.choice);
            let stop = Stop::new();
            feeder.target.write(reader, feeder.gathered, choice, &NoProgress, &stop)?;
            Ok(choice.clone())
        };
        self.with_feeder(target, directory, restoring)
    }

    fn target<'a>(&self, directory: &'a Path) -> RestoreTarget<'a> {
        let owner = Some(self.cluster.owner());
        RestoreTarget { disk: &OsDisk, directory, owner, workers: 2, tablespaces: &[], claim: None }
    }

    /// Decides, and does something with the decision.
    fn with_feeder<T>(
        &self,
        target: &Target,
        directory: &Path,
        act: impl FnOnce(&Feeder<'_>) -> Result<T, RestoreError>,
    ) -> Result<T, RestoreError> {
        let keys = self.vault.reader_keys().unwrap();
        let TestVault { vault, trust, .. } = &self.vault;
        let reader = StoreReader { vault, trust, keys: &keys };
        let gathered = reader.gather(target)?;
        let choice = choose(&gathered.recoverable, target, true)?;
        let target = self.target(directory);
        let (reader, gathered, choice, target) = (&reader, &gathered, &choice, &target);
        act(&Feeder { reader, gathered, choice, target })
    }

    /// Restores and starts, with these settings; `replayed` sees how far it is.
    fn start(
        &self,
        directory: &Path,
        settings: &[(&str, &str)],
        stop: &Stop,
        replayed: &dyn Fn(Lsn),
    ) -> Result<Started, RestoreError> {
        let settings: Vec<(String, String)> = settings
            .iter()
            .map(|(name, value)| ((*name).to_owned(), (*value).to_owned()))
            .collect();
        let doors = doors(directory);
        let start = Start { settings: &settings, ..self.how_to_start(directory, &doors, stop) };
        self.with_feeder(&Target::Latest, directory, |feeder| {
            feeder.write_unfinished()?;
            start.run_fed(feeder, replayed)
        })
    }

    fn how_to_start<'a>(
        &'a self,
        directory: &'a Path,
        doors: &'a Doors,
        stop: &'a Stop,
    ) -> Start<'a> {
        Start {
            disk: &OsDisk,
            clock: &SystemClock,
            stop,
            programs: self.cluster.binaries(),
            owner: self.cluster.owner(),
            directory,
            doors,
            role: None,
            settings: &[],
            claim: None,
        }
    }

    /// Restores, starts as a standby, waits for the target, promotes.
    fn recover(&self, name: &str, target: &Target) -> TestCluster {
        let directory = self.cluster.directory().join(name);
        let choice = self.restore(target, &directory).unwrap();
        let mut restored = TestCluster::over(&directory).unwrap();
        restored.start().unwrap();
        wait_until("the target is reached", || {
            let state = "SELECT pg_get_wal_replay_pause_state(), pg_last_wal_replay_lsn()";
            let state = restored.psql(state).unwrap();
            state == format!("not paused|{}", choice.end) || state.starts_with("paused|")
        })
        .unwrap();
        restored.psql("SELECT pg_promote()").unwrap();
        assert_eq!(restored.psql("SELECT pg_is_in_recovery()").unwrap(), "f");
        restored
    }
}

impl Feeder<'_> {
    fn write_unfinished(&self) -> Result<(), RestoreError> {
        let (reader, gathered, choice) = (self.reader, self.gathered, self.choice);
        let stop = Stop::new();
        self.target.write_unfinished(reader, gathered, choice, &NoProgress, &stop)?;
        Ok(())
    }
}

fn doors(directory: &Path) -> Doors {
    Doors { socket_directory: directory.to_owned(), port: 5432, on_localhost: false }
}

fn count(cluster: &TestCluster) -> String {
    cluster.psql("SELECT count(*) FROM t").unwrap()
}

fn assert_sound(mut cluster: TestCluster) {
    let check = cluster.client("pg_amcheck").args(["--install-missing", "--heapallindexed", "-a"]);
    output_of("pg_amcheck", check).unwrap();
    cluster.stop(Shutdown::Fast).unwrap();
    let check = cluster.server_program("pg_checksums").arg("--check").arg("-D");
    output_of("pg_checksums", check.arg(cluster.data_directory())).unwrap();
}

#[test]
fn real_a_killed_cluster_comes_back_to_its_last_commit() {
    let mut lab = Lab::new();
    lab.cluster.psql("CREATE TABLE t (id int PRIMARY KEY)").unwrap();
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1, 1000)").unwrap();
    let backup = lab.back_up();
    lab.cluster.psql("INSERT INTO t SELECT generate_series(1001, 50000)").unwrap();
    let statements = "BEGIN; INSERT INTO t VALUES (0); SELECT pg_current_xact_id(); COMMIT";
    let xid = lab.cluster.psql(statements).unwrap();
    lab.cluster.psql("DELETE FROM t WHERE id = 0").unwrap();
    lab.cluster.psql("SELECT pg_create_restore_point('before the drop')").unwrap();
    let before = lab.cluster.psql("SELECT pg_current_wal_lsn()").unwrap();
    // The commit before this moment is in, the one behind it is not; microseconds tell them apart.
    let moment =
        "SELECT to_char(clock_timestamp() AT TIME ZONE 'UTC', 'YYYY-MM-DD\"T\"HH24:MI:SS.US\"Z\"')";
    let moment = lab.cluster.psql(moment).unwrap();
    lab.cluster.psql("DELETE FROM t WHERE id > 7").unwrap();
    lab.cluster.kill().unwrap();
    lab.push_wal();
    std::fs::remove_dir_all(lab.cluster.data_directory()).unwrap();

    let latest = lab.recover("latest", &Target::Latest);
    assert_eq!(count(&latest), "7");
    latest.psql("INSERT INTO t VALUES (8)").unwrap();
    assert_eq!(latest.psql("SHOW archive_mode").unwrap(), "off");
    assert_sound(latest);

    let named = lab.recover("named", &Target::Name("before the drop".to_owned()));
    assert_eq!(count(&named), "50000");
    assert_sound(named);
    let at_lsn = lab.recover("lsn", &Target::Lsn(before.parse().unwrap()));
    assert_eq!(count(&at_lsn), "50000");
    let at_xid = lab.recover("xid", &format!("xid:{xid}").parse().unwrap());
    assert_eq!(count(&at_xid), "50001");
    let immediate = lab.recover("immediate", &Target::Immediate);
    assert_eq!(count(&immediate), "1000");
    let at_time = lab.recover("time", &format!("time:{moment}").parse().unwrap());
    assert_eq!(count(&at_time), "50000");
    let at_backup = lab.recover("backup", &format!("backup:{backup}").parse().unwrap());
    assert_eq!(count(&at_backup), "1000");
}

#[test]
fn real_what_cannot_be_restored_is_refused_before_anything_is_written() {
    let mut lab = Lab::new();
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 10)").unwrap();
    let early = lab.cluster.psql("SELECT pg_current_wal_lsn()").unwrap();
    lab.back_up();
    lab.cluster.psql("INSERT INTO t VALUES (11)").unwrap();
    lab.cluster.kill().unwrap();
    lab.push_wal();
    let target = lab.directory.path().join("target");
    let refused = |target_text: &str| {
        let outcome = lab.restore(&target_text.parse().unwrap(), &target);
        match outcome {
            Err(RestoreError::Refused(refusal)) => refusal,
            other => panic!("{target_text}: {other:?}"),
        }
    };
    assert!(matches!(refused(&format!("lsn:{early}")), Refusal::TooEarly { .. }));
    assert!(matches!(refused("lsn:FF/0"), Refusal::TooLate { .. }));
    assert!(matches!(refused("xid:4000000"), Refusal::NotFound { .. }));
    assert!(matches!(refused("time:2200-01-01T00:00:00Z"), Refusal::TooLate { .. }));
    assert!(!target.exists(), "nothing was written");
    let data = lab.cluster.data_directory().to_owned();
    let outcome = lab.restore(&Target::Latest, &data);
    assert!(matches!(outcome, Err(RestoreError::NotEmpty { .. })), "{outcome:?}");
}

#[test]
fn real_wal_that_breaks_off_in_the_middle_is_not_taken_for_all_of_it() {
    let mut lab = Lab::new();
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 10)").unwrap();
    lab.back_up();
    let broken = "SELECT pg_walfile_name(pg_switch_wal() + 1)";
    let broken = lab.cluster.psql(broken).unwrap();
    lab.cluster.psql("INSERT INTO t SELECT generate_series(11, 60000)").unwrap();
    lab.cluster.kill().unwrap();
    lab.push_wal_as(|name, mut bytes| {
        if name == broken {
            bytes[512 << 10] ^= 0xff;
        }
        bytes
    });
    let target = lab.directory.path().join("target");
    let outcome = lab.restore(&Target::Latest, &target);
    let Err(RestoreError::Refused(Refusal::Unreadable(unreadable))) = outcome else {
        panic!("{outcome:?}");
    };
    assert!(unreadable.from < unreadable.to && !target.exists());
    let before = lab.recover("before", &Target::Lsn(unreadable.from));
    assert_eq!(count(&before), "10", "the insert did not commit before the break");
}

#[test]
fn real_configuration_from_outside_the_data_directory_comes_back() {
    let mut lab = Lab::new();
    let etc = lab.directory.path().join("etc");
    let elsewhere = lab.directory.path().join("rules");
    for directory in [&etc, &elsewhere] {
        std::fs::create_dir(directory).unwrap();
    }
    let data = lab.cluster.data_directory().to_owned();
    let main = etc.join("postgresql.conf");
    std::fs::copy(data.join("postgresql.conf"), &main).unwrap();
    let hba = elsewhere.join("hba.conf");
    std::fs::copy(data.join("pg_hba.conf"), &hba).unwrap();
    hand_over(lab.directory.path(), lab.cluster.owner()).unwrap();
    lab.cluster.stop(Shutdown::Fast).unwrap();
    std::fs::remove_file(data.join("postgresql.conf")).unwrap();
    let (main_file, hba_file) = (main.display().to_string(), hba.display().to_string());
    lab.cluster.start_with(&[("config_file", &main_file), ("hba_file", &hba_file)]).unwrap();
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 10)").unwrap();
    lab.back_up();
    lab.cluster.kill().unwrap();
    lab.push_wal();

    let restored = lab.recover("restored", &Target::Latest);
    assert_eq!(count(&restored), "10");
    let directory = restored.data_directory();
    let conf = std::fs::read_to_string(directory.join("postgresql.conf")).unwrap();
    assert!(conf.contains("max_connections = 30"), "{conf}");
    let kept = directory.join("soter.configuration").join(hba.strip_prefix("/").unwrap());
    assert_eq!(std::fs::read(kept).unwrap(), std::fs::read(&hba).unwrap());
}

#[test]
fn real_a_server_that_replays_less_than_the_plan_says_is_not_promoted() {
    let mut lab = Lab::new();
    lab.cluster.psql("CREATE TABLE t AS SELECT generate_series(1, 10)").unwrap();
    lab.back_up();
    lab.cluster.psql("INSERT INTO t SELECT generate_series(11, 60000)").unwrap();
    lab.cluster.kill().unwrap();
    lab.push_wal();
    let directory = lab.cluster.directory().join("less");
    let (doors, stop) = (doors(&directory), Stop::new());
    let start = lab.how_to_start(&directory, &doors, &stop);
    let outcome = lab.with_feeder(&Target::Latest, &directory, |feeder| {
        feeder.write_unfinished()?;
        let record = feeder.gathered.record(feeder.choice)?;
        let feed = Feed::whole(feeder.choice, record);
        feeder.run(&feed);
        // The last segment is lost between the vault and the server.
        let files = std::fs::read_dir(directory.join("pg_wal")).unwrap().map(|e| e.unwrap().path());
        std::fs::remove_file(files.filter(|path| path.is_file()).max().unwrap()).unwrap();
        let error = start.run(feeder.choice, record, &feed, &|_| ()).unwrap_err();
        Ok((error, feeder.choice.end))
    });
    let (error, end) = outcome.unwrap();
    let RestoreError::Astray { expected, reached, .. } = error else { panic!("{error:?}") };
    assert_eq!(expected, end.to_string());
    assert!(reached.parse::<Lsn>().unwrap() < end, "{reached}");
    assert!(!directory.join("postmaster.pid").exists(), "the server goes on");
    assert!(directory.join("standby.signal").exists(), "it was promoted");
}

/// How many WAL segments are in a data directory.
fn segments_in(directory: &Path) -> u64 {
    let names = std::fs::read_dir(directory.join("pg_wal")).unwrap();
    let names = names.map(|entry| entry.unwrap().file_name().into_string().unwrap());
    names.filter(|name| name.len() == 24).count() as u64
}

#[test]
fn real_wal_is_fed_while_it_is_replayed_and_never_far_ahead() {
    let mut lab = Lab::new();
    lab.cluster.psql("CREATE TABLE t (id int, filler text)").unwrap();
    lab.back_up();
    // A replay that is delayed stands still at the first commit.
    lab.cluster.psql("INSERT INTO t VALUES (0)").unwrap();
    for batch in 0..16 {
        let rows = "SELECT i, repeat('x', 900) FROM generate_series(1, 10000) i";
        lab.cluster.psql(&format!("INSERT INTO t {rows}; CHECKPOINT -- {batch}")).unwrap();
    }
    lab.cluster.kill().unwrap();
    lab.push_wal();
    let total = segments_in(lab.cluster.data_directory());
    assert!(total > 2 * SEGMENTS_AHEAD_MAX, "only {total} segments");

    // A replay that stands still: what is fed comes to its limit and not beyond.
    let directory = lab.cluster.directory().join("held");
    let (stop, looks) = (Stop::new(), std::cell::Cell::new(0));
    let look = |_| {
        // Often enough for a feeder that knows no limit to go on.
        looks.set(looks.get() + u32::from(segments_in(&directory) > SEGMENTS_AHEAD_MAX));
        if looks.get() > 100 {
            stop.stop();
        }
    };
    let outcome = lab.start(&directory, &[("recovery_min_apply_delay", "1h")], &stop, &look);
    assert!(matches!(outcome, Err(RestoreError::Interrupted)), "{outcome:?}");
    let held = segments_in(&directory);
    // The first commit may be in the segment behind the backup's.
    assert!(held <= SEGMENTS_AHEAD_MAX + 2, "{held} segments for a replay that stands still");

    // The whole way: replayed WAL goes.
    let directory = lab.cluster.directory().join("fed");
    let most = std::cell::Cell::new(0);
    let count_files = |_| most.set(segments_in(&directory).max(most.get()));
    let small = [("max_wal_size", "16MB"), ("checkpoint_completion_target", "0")];
    let started = lab.start(&directory, &small, &Stop::new(), &count_files).unwrap();
    assert!(most.get() < total - 20, "{} of {total} segments at once", most.get());
    let process = started.server.release();
    let restored = TestCluster::attach(&directory, (&directory, 5432), process).unwrap();
    assert_eq!(count(&restored), "160001");
}
