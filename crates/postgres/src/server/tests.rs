//! The same against PostgreSQL.

use std::time::Duration;

use soter_world::{Clock, Stop, SystemClock};

use super::checks::{Code, Desired, Finding, Protection, ReplicationProbe, checks};
use super::*;
use crate::backup_label::BackupLabel;
use crate::connection::ConnectionInfo;
use crate::error::ErrorKind;
use crate::lsn::{SegmentSize, Timeline};
use crate::replication::{Event, Refusal, ReplicationClient, SlotName, Start};
use crate::testing::{TestCluster, wait_until};

fn started(settings: &[&str]) -> TestCluster {
    let mut cluster = TestCluster::initdb(&["--wal-segsize=1"]).unwrap();
    cluster.configure(settings).unwrap();
    cluster.start().unwrap();
    cluster
}

fn info(cluster: &TestCluster) -> ConnectionInfo {
    ConnectionInfo::parse(&cluster.connection_string()).unwrap()
}

fn desired(protection: Protection) -> Desired {
    let slot = SlotName::new("soter").unwrap();
    Desired { slot, application_name: "soter".to_owned(), protection }
}

#[test]
fn real_facts_are_those_of_the_server() {
    let cluster = started(&["shared_preload_libraries = ''"]);
    let place = cluster.directory().join("space");
    std::fs::create_dir(&place).unwrap();
    crate::testing::hand_over(&place, cluster.owner()).unwrap();
    let sql = format!(
        "create tablespace space location '{}'; create database \"Other\" tablespace space;
         create role etl; alter role etl in database \"Other\" set synchronous_commit = remote_apply;
         select pg_create_physical_replication_slot('standby', true)",
        place.display()
    );
    for statement in sql.split(';') {
        cluster.psql(statement).unwrap();
    }
    let mut client = info(&cluster).connect_sql().unwrap();
    let facts = ServerFacts::read(&mut client).unwrap();
    assert_eq!(facts.version, cluster.binaries().version());
    assert_eq!(facts.timeline, Timeline::FIRST);
    assert_eq!(facts.database, "postgres");
    assert!(!facts.in_recovery && facts.data_checksums && facts.role.superuser);
    assert_eq!((facts.wal_level, facts.block_size), (WalLevel::Replica, 8192));
    assert_eq!(facts.wal_segment_size, SegmentSize::new(1 << 20).unwrap());
    assert_eq!(facts.setting("max_connections"), Some("30"));
    assert_eq!(facts.setting("primary_conninfo"), None, "it may hold a password");
    let data = cluster.data_directory();
    assert_eq!(facts.files.data_directory.as_deref(), Some(data));
    assert_eq!(facts.files.hba_file, Some(data.join("pg_hba.conf")));
    assert!(facts.files.sources.contains(&data.join("postgresql.conf")), "{:?}", facts.files);
    let [space] = facts.tablespaces.as_slice() else { panic!("{:?}", facts.tablespaces) };
    assert_eq!((space.name.as_str(), space.path.as_deref()), ("space", Some(place.as_path())));
    let slot = facts.slot("standby").unwrap();
    assert_eq!((slot.physical, slot.state), (true, SlotState::Reserved));
    let [over] = facts.synchronous_commit_overrides.as_slice() else { panic!() };
    let place = (over.role.as_deref(), over.database.as_deref(), over.value.as_str());
    assert_eq!(place, (Some("etl"), Some("Other"), "remote_apply"));
    let names: Vec<&str> = facts.databases.iter().map(|d| d.name.as_str()).collect();
    assert!(names.contains(&"Other") && names.contains(&"template0"), "{names:?}");

    let json = serde_json::to_string(&facts).unwrap();
    assert_eq!(serde_json::from_str::<ServerFacts>(&json).unwrap(), facts);
    let content = DatabaseContent::read(&mut client).unwrap();
    assert!(content.extensions.iter().any(|extension| extension.name == "plpgsql"));
}

#[test]
fn real_findings_are_gone_after_their_commands() {
    let cluster = started(&["max_replication_slots = 1", "synchronous_commit = remote_apply"]);
    cluster.psql("create role \"so ter\" login connection limit 2").unwrap();
    let mut info = info(&cluster);
    "so ter".clone_into(&mut info.user);
    let desired = desired(Protection::Synchronous);
    let find = || {
        let mut client = info.connect_sql().unwrap();
        let facts = ServerFacts::read(&mut client).unwrap();
        drop(client);
        checks(&facts, &ReplicationProbe::try_now(&info, &Stop::new()), &desired)
    };
    let found = find();
    let codes: Vec<Code> = found.iter().map(|finding| finding.code).collect();
    let expected = [
        Code::RoleCannotReplicate,
        Code::RoleCannotReadSettings,
        Code::RoleCannotBackUp,
        Code::FsyncOff,
        Code::SynchronousNotNamed,
        Code::RemoteApply,
        Code::RoleConnectionLimit,
        Code::SlotKeepUnlimited,
    ];
    assert_eq!(codes, expected, "{found:#?}");
    // From the last command on every commit waits for the agent, which is not there.
    let is_last = |finding: &&Finding| finding.code == Code::SynchronousNotNamed;
    let (last, first): (Vec<&Finding>, Vec<&Finding>) = found.iter().partition(is_last);
    for command in first.iter().chain(&last).flat_map(|finding| &finding.commands) {
        cluster.psql(command).unwrap();
    }
    wait_until("the server has taken over the settings", || find().is_empty()).unwrap();

    // A rule that is missing in pg_hba.conf, for SQL works and for replication does not.
    let hba = cluster.data_directory().join("pg_hba.conf");
    let rule = "local all all trust\n";
    std::io::Write::write_all(&mut std::fs::File::create(&hba).unwrap(), rule.as_bytes()).unwrap();
    cluster.psql("select pg_reload_conf()").unwrap();
    wait_until("the rule counts", || !find().is_empty()).unwrap();
    let found = find();
    assert_eq!(found[0].code, Code::ReplicationRefused);
    assert_eq!(found[0].commands[0], "local replication \"so ter\" scram-sha-256");
    assert!(found[0].hint.contains(hba.to_str().unwrap()), "{}", found[0].hint);
}

#[test]
fn real_base_backup_session() {
    let cluster = started(&[]);
    cluster.psql("create role idler superuser login").unwrap();
    cluster.psql("alter role idler set idle_session_timeout = '200ms'").unwrap();
    let mut info = info(&cluster);
    "idler".clone_into(&mut info.user);
    let stop = Stop::new();
    for label in ["", "two\nlines", "ä", &"x".repeat(1001)] {
        let error = BackupSession::start(&info, label, Checkpoint::Fast, &stop).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input);
    }
    let place = cluster.directory().join("space");
    std::fs::create_dir(&place).unwrap();
    crate::testing::hand_over(&place, cluster.owner()).unwrap();
    let create = format!("create tablespace space location '{}'", place.display());
    cluster.psql(&create).unwrap();

    let mut session = BackupSession::start(&info, "it's me", Checkpoint::Fast, &stop).unwrap();
    let start = session.start_position();
    cluster.psql("create table t as select generate_series(1, 1000)").unwrap();
    let idle = "select count(*) from pg_stat_activity
                where usename = 'idler' and clock_timestamp() > state_change + interval '300ms'";
    wait_until("the session was idle for long", || cluster.psql(idle).unwrap() == "1").unwrap();
    session.check().unwrap();
    let finished = session.stop().unwrap();
    assert!(finished.stop > start);
    let label = BackupLabel::parse(&finished.backup_label).unwrap();
    assert_eq!((label.start, label.timeline), (start, Timeline::FIRST));
    assert_eq!((label.label.as_str(), label.from_standby), ("it's me", false));
    let map = String::from_utf8(finished.tablespace_map).unwrap();
    assert!(map.contains(place.to_str().unwrap()), "{map}");

    // The checkpoint of a spread start would take minutes; whoever waits can be told to stop.
    cluster.psql("create table u as select generate_series(1, 100000)").unwrap();
    stop.stop();
    let error = BackupSession::start(&info, "stopped", Checkpoint::Spread, &stop).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Stopped, "{error:?}");
}

#[test]
fn real_a_backup_ends_with_its_session() {
    let cluster = started(&[]);
    let info = info(&cluster);
    let begin = || BackupSession::start(&info, "lost", Checkpoint::Fast, &Stop::new()).unwrap();
    let mut session = begin();
    cluster
        .psql(
            "select pg_terminate_backend(pid) from pg_stat_activity where pid <> pg_backend_pid()",
        )
        .unwrap();
    let error = session.check().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error:?}");
    assert_eq!(session.stop().unwrap_err().kind(), ErrorKind::Retry);
    drop(begin());
    begin().stop().unwrap();
}

#[test]
fn real_standbys_are_backed_up_and_promoted() {
    let primary = started(&[]);
    let canary = Canary::new("so ter", "can\"ary");
    let mut client = info(&primary).connect_sql().unwrap();
    canary.create(&mut client).unwrap();
    canary.create(&mut client).unwrap();
    assert_eq!(canary.latest(&mut client).unwrap(), None);
    let first = canary.write(&mut client, "agent").unwrap();
    let before = SystemClock.now();
    let second = canary.write(&mut client, "agent").unwrap();
    assert!(second.id > first.id && second.written_at >= before);
    assert!(!is_in_recovery(&mut client).unwrap());
    assert_eq!(replay_position(&mut client).unwrap(), None);

    let standby = primary.standby().unwrap();
    let mut copy = info(&standby).connect_sql().unwrap();
    assert!(is_in_recovery(&mut copy).unwrap());
    assert!(flush_position(&mut copy).is_err());
    let session = BackupSession::start(&info(&standby), "standby", Checkpoint::Fast, &Stop::new());
    let session = session.unwrap();
    let third = canary.write(&mut client, "agent").unwrap();
    let end = flush_position(&mut client).unwrap();
    wait_until("the standby has replayed", || {
        replay_position(&mut copy).unwrap().is_some_and(|position| position >= end)
    })
    .unwrap();
    assert_eq!(canary.latest(&mut copy).unwrap(), Some(third));
    let finished = session.stop().unwrap();
    assert!(BackupLabel::parse(&finished.backup_label).unwrap().from_standby);
    let facts = ServerFacts::read(&mut copy).unwrap();
    assert_eq!((facts.in_recovery, facts.timeline), (true, Timeline(1)));

    let interrupted = BackupSession::start(&info(&standby), "x", Checkpoint::Fast, &Stop::new());
    let interrupted = interrupted.unwrap();
    promote(&mut copy, Duration::from_secs(60)).unwrap();
    assert!(!is_in_recovery(&mut copy).unwrap());
    assert!(replay_position(&mut copy).unwrap().unwrap() >= end);
    let error = interrupted.stop().unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed, "the server was promoted: {error:?}");
    let facts = ServerFacts::read(&mut copy).unwrap();
    assert_eq!((facts.in_recovery, facts.timeline), (false, Timeline(2)));
    assert_eq!(promote(&mut copy, Duration::from_secs(1)).unwrap_err().kind(), ErrorKind::Failed);
}

#[test]
fn real_lost_slots_are_seen() {
    let cluster = started(&["max_slot_wal_keep_size = 2MB", "wal_keep_size = 0"]);
    let info = info(&cluster);
    let desired = desired(Protection::Asynchronous);
    let mut replication = ReplicationClient::connect(&info, &Stop::new()).unwrap();
    let identity = replication.identify_system().unwrap();
    replication.create_physical_slot(&desired.slot).unwrap();
    let mut client = info.connect_sql().unwrap();
    let restart = ServerFacts::read(&mut client).unwrap().slot("soter").unwrap().restart;
    for _ in 0..6 {
        cluster.psql("create table if not exists t (i int); select pg_switch_wal()").unwrap();
        cluster.psql("insert into t values (1); select pg_switch_wal(); checkpoint").unwrap();
    }
    let facts = ServerFacts::read(&mut client).unwrap();
    let slot = facts.slot("soter").unwrap();
    assert_eq!((slot.state, slot.restart), (SlotState::Lost, None));
    let found = checks(&facts, &ReplicationProbe::NotTried, &desired);
    let lost = found.iter().find(|finding| finding.code == Code::SlotLost).unwrap();

    // Whatever the version makes of the slot, WAL from our own position is refused.
    let start = Start {
        slot: Some(desired.slot.clone()),
        position: restart.unwrap(),
        timeline: identity.timeline,
    };
    let streamed: Result<(), crate::replication::Error> =
        replication.stream(&start).and_then(|mut stream| {
            loop {
                if let Event::Wal { start, .. } = stream.next_event()? {
                    panic!("WAL at {start}");
                }
            }
        });
    let refusal = streamed.unwrap_err().refusal();
    let gap = [Some(Refusal::WalRemoved), Some(Refusal::SlotUnusable)];
    assert!(gap.contains(&refusal), "{refusal:?}");
    drop(replication);
    wait_until("the slot is dropped", || cluster.psql(&lost.commands[0]).is_ok()).unwrap();
    assert!(ServerFacts::read(&mut client).unwrap().slots.is_empty());
}
