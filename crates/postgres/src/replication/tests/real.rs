//! The protocol against PostgreSQL.

use std::fs;
use std::path::Path;
use std::sync::mpsc;
use std::thread::{self, ScopedJoinHandle};

use soter_world::SystemRandom;
use soter_world::random;

use super::*;
use crate::cluster::MajorVersion;
use crate::error::ErrorKind;
use crate::lsn::SegmentSize;
use crate::testing::{Shutdown, TestCluster, wait_until};
use crate::timeline::TimelineHistory;
use crate::wal::name::SegmentName;

/// Segments of 1 MiB, so that messages cross their ends often.
const SEGMENT_ARGUMENT: &str = "--wal-segsize=1";

const TIMEOUT: Duration = Duration::from_secs(60);

fn segment_size() -> SegmentSize {
    SegmentSize::new(1 << 20).unwrap()
}

fn started(settings: &[&str]) -> TestCluster {
    let mut cluster = TestCluster::initdb(&[SEGMENT_ARGUMENT]).unwrap();
    cluster.configure(settings).unwrap();
    cluster.start().unwrap();
    cluster
}

fn connection_info(cluster: &TestCluster) -> ConnectionInfo {
    ConnectionInfo::parse(&cluster.connection_string()).unwrap()
}

fn connect(cluster: &TestCluster) -> ReplicationClient {
    ReplicationClient::connect(&connection_info(cluster), &Stop::new()).unwrap()
}

fn lsn(cluster: &TestCluster, sql: &str) -> Lsn {
    cluster.psql(sql).unwrap().parse().unwrap()
}

fn flushed(at: Lsn) -> StatusUpdate {
    StatusUpdate {
        written: at,
        flushed: at,
        applied: None,
        reply_requested: false,
        sent_at: SystemClock.now(),
    }
}

/// Reads until `enough`, without acknowledging anything; the bytes that came.
fn read_until(stream: &mut WalStream<'_>, mut enough: impl FnMut(Lsn) -> bool) -> Vec<u8> {
    let mut received = Vec::new();
    while !enough(stream.position()) {
        if let Event::Wal { data, .. } = stream.next_event().unwrap() {
            received.extend_from_slice(data);
        }
    }
    received
}

/// What the server has in its files from the start of a segment on.
fn files(data: &Path, timeline: Timeline, from: Lsn, length: usize) -> Vec<u8> {
    let size = segment_size();
    assert_eq!(from.offset_in_segment(size), 0);
    let mut bytes = Vec::new();
    let mut segment = from.segment(size);
    while bytes.len() < length {
        let name = SegmentName { timeline, segment }.to_file_name(size);
        bytes.extend(fs::read(data.join("pg_wal").join(name)).unwrap());
        segment = segment.next();
    }
    bytes.truncate(length);
    bytes
}

#[test]
fn real_stream_equals_the_server_files() {
    let cluster = started(&[]);
    let slot = SlotName::new("soter").unwrap();
    let mut client = connect(&cluster);
    assert_eq!(client.version(), cluster.binaries().version());
    assert_eq!(client.show("wal_segment_size").unwrap(), "1MB");
    let identity = client.identify_system().unwrap();
    let id = cluster.psql("select system_identifier from pg_control_system()").unwrap();
    assert_eq!(identity.system_identifier.to_string(), id);

    let is_14 = client.version() == MajorVersion::V14;
    assert!(is_14 || client.read_slot(&slot).unwrap().is_none());
    client.create_physical_slot(&slot).unwrap();
    let again = client.create_physical_slot(&slot).unwrap_err();
    assert_eq!(again.refusal(), Some(Refusal::SlotExists));
    let restart = lsn(&cluster, "select restart_lsn from pg_replication_slots");
    assert!(is_14 || client.read_slot(&slot).unwrap().unwrap().restart == Some(restart));

    let position = restart.start_of_segment(segment_size());
    let start = Start { slot: Some(slot.clone()), position, timeline: identity.timeline };
    let mut stream = client.stream(&start).unwrap();
    let received = thread::scope(|scope| {
        let mut load = Some(scope.spawn(|| {
            cluster.pgbench(&["--initialize", "--quiet"]).unwrap();
            cluster.pgbench(&["--client=4", "--transactions=100"]).unwrap();
            lsn(&cluster, "select pg_current_wal_flush_lsn()")
        }));
        let mut end = None;
        read_until(&mut stream, |position| {
            if load.as_ref().is_some_and(ScopedJoinHandle::is_finished) {
                end = load.take().map(|load| load.join().unwrap());
            }
            end.is_some_and(|end| position >= end)
        })
    });
    let end = stream.position();
    assert_eq!(end.bytes_since(position), Some(received.len() as u64));
    assert!(received.len() > 4 << 20, "{} bytes", received.len());
    let expected = files(cluster.data_directory(), identity.timeline, position, received.len());
    assert!(received == expected, "the stream differs from the files in pg_wal");

    stream.acknowledger().report(&flushed(end)).unwrap();
    wait_until("the slot follows the flush position", || {
        lsn(&cluster, "select restart_lsn from pg_replication_slots") >= end
    })
    .unwrap();
    stream.acknowledger().finish().unwrap();
    while stream.next_event().unwrap() != Event::Stopped {}
    client.drop_slot(&slot).unwrap();
    let gone = client.drop_slot(&slot).unwrap_err();
    assert_eq!(gone.refusal(), Some(Refusal::Missing));
}

#[test]
fn real_commit_waits_until_its_wal_is_reported_flushed() {
    let cluster = started(&[]);
    cluster.psql("create table t (i int)").unwrap();
    cluster.psql("alter system set synchronous_standby_names = '\"Soter 1\"'").unwrap();
    let mut info = connection_info(&cluster);
    "soter 1".clone_into(&mut info.application_name);
    let mut client = ReplicationClient::connect(&info, &Stop::new()).unwrap();
    let identity = client.identify_system().unwrap();
    let position = identity.flushed.start_of_segment(segment_size());
    let start = Start { slot: None, position, timeline: identity.timeline };
    let mut stream = client.stream(&start).unwrap();
    let acknowledger = stream.acknowledger();
    acknowledger.report(&flushed(position)).unwrap();
    cluster.psql("select pg_reload_conf()").unwrap();
    let sync_state = "select sync_state from pg_stat_replication";
    read_until(&mut stream, |_| cluster.psql(sync_state).unwrap() == "sync");
    thread::scope(|scope| {
        let commit = scope.spawn(|| cluster.psql("insert into t values (1)").unwrap());
        let waiting = "select count(*) from pg_stat_activity where wait_event = 'SyncRep'";
        read_until(&mut stream, |_| cluster.psql(waiting).unwrap() == "1");
        assert_eq!(cluster.psql("select count(*) from t").unwrap(), "0", "seen before it is safe");
        // Bytes written but not durable do not let it through.
        let written = Lsn(stream.position().0 + (1 << 30));
        let update = StatusUpdate { written, reply_requested: true, ..flushed(position) };
        acknowledger.report(&update).unwrap();
        while !matches!(stream.next_event().unwrap(), Event::Keepalive { .. }) {}
        assert_eq!(cluster.psql(waiting).unwrap(), "1");
        assert!(!commit.is_finished());
        acknowledger.report(&flushed(stream.position())).unwrap();
        commit.join().unwrap();
    });
    assert_eq!(cluster.psql("select count(*) from t").unwrap(), "1");
}

#[test]
fn real_passwords_over_tcp() {
    let mut cluster = TestCluster::initdb(&[]).unwrap();
    // An address of this machine that no other test uses.
    let [a, b, c] = random::bytes::<3>(&SystemRandom);
    let address = format!("127.{}.{b}.{c}", a.max(1));
    let rules = "host replication scram_user all scram-sha-256\n\
                 host replication md5_user all md5\n\
                 host replication clear_user all password\n\
                 host postgres scram_user all scram-sha-256\n\
                 local all postgres trust\n";
    let hba = cluster.data_directory().join("pg_hba.conf");
    fs::File::create(hba).unwrap().write_all(rules.as_bytes()).unwrap();
    cluster.start_with(&[("listen_addresses", &address)]).unwrap();
    let password = hex::encode(random::bytes::<12>(&SystemRandom));
    for (user, encryption) in
        [("scram_user", "scram-sha-256"), ("md5_user", "md5"), ("clear_user", "scram-sha-256")]
    {
        let sql = format!(
            "set password_encryption = '{encryption}'; \
             create role {user} login replication password '{password}'"
        );
        cluster.psql(&sql).unwrap();
        let try_with = |password: &str| {
            let text = format!("postgres://{user}{password}@{address}/postgres");
            ReplicationClient::connect(&ConnectionInfo::parse(&text).unwrap(), &Stop::new())
        };
        let mut client = try_with(&format!(":{password}")).unwrap();
        client.identify_system().unwrap();
        let wrong = try_with(":wrong").unwrap_err();
        assert_eq!(wrong.refusal(), Some(Refusal::NotPermitted), "{wrong:?}");
        let missing = try_with("").unwrap_err();
        let expected = Error::Authentication(AuthenticationError::PasswordMissing);
        assert_eq!(chain(&missing), chain(&expected));
    }
    let text = format!("host={address} user=scram_user password={password}");
    let mut sql = ConnectionInfo::parse(&text).unwrap().connect_sql().unwrap();
    assert_eq!(sql.query_one("select 1", &[]).unwrap().get::<_, i32>(0), 1);
    let unknown = ConnectionInfo::parse(&format!("host={address} user=nobody")).unwrap();
    let unknown = ReplicationClient::connect(&unknown, &Stop::new()).unwrap_err();
    assert_eq!(unknown.refusal(), Some(Refusal::NotPermitted), "no rule in pg_hba.conf");
}

#[test]
fn real_refusals_to_stream() {
    let cluster = started(&[]);
    let slot = SlotName::new("soter").unwrap();
    let mut client = connect(&cluster);
    client.create_physical_slot(&slot).unwrap();
    let identity = client.identify_system().unwrap();
    let timeline = identity.timeline;
    let begin = identity.flushed.start_of_segment(segment_size());
    let refused = |slot: &SlotName, position: Lsn, timeline: Timeline| {
        let start = Start { slot: Some(slot.clone()), position, timeline };
        let mut client = connect(&cluster);
        // Whether the WAL is still there is found out only when it is to be sent.
        let streamed: Result<(), Error> = client.stream(&start).and_then(|mut stream| {
            loop {
                stream.next_event()?;
            }
        });
        let error = streamed.unwrap_err();
        error.refusal().unwrap()
    };
    let ahead = Lsn(identity.flushed.0 + (1 << 30));
    assert_eq!(refused(&slot, ahead, timeline), Refusal::StartAhead);
    assert_eq!(refused(&slot, begin, Timeline(7)), Refusal::NotInHistory);
    assert_eq!(refused(&slot, Lsn(segment_size().bytes_u64()), timeline), Refusal::WalRemoved);
    let other = SlotName::new("other").unwrap();
    assert_eq!(refused(&other, begin, timeline), Refusal::Missing);

    let start = Start { slot: Some(slot.clone()), position: begin, timeline };
    let acknowledger = client.stream(&start).unwrap().acknowledger();
    assert_eq!(refused(&slot, begin, timeline), Refusal::SlotActive);
    let busy = client.identify_system().unwrap_err();
    assert!(matches!(busy, Error::NotReady { state: "streaming" }), "{busy:?}");
    drop(client);
    // The connection is gone although an acknowledger is left, and the slot free for the next.
    wait_until("the slot is free", || connect(&cluster).stream(&start).is_ok()).unwrap();
    acknowledger.report(&flushed(begin)).unwrap();
}

#[test]
fn real_fast_shutdown_ends_the_stream_cleanly() {
    let mut cluster = started(&[]);
    let info = connection_info(&cluster);
    let end = stream_while_stopping(&mut cluster, &info, Shutdown::Fast).unwrap();
    let control = cluster.server_program("pg_controldata").arg(cluster.data_directory());
    let control = String::from_utf8(control.run(TIMEOUT).unwrap().stdout).unwrap();
    let checkpoint = control.lines().find_map(|l| l.strip_prefix("Latest checkpoint location:"));
    let checkpoint: Lsn = checkpoint.unwrap().trim().parse().unwrap();
    assert!(end > checkpoint, "the shutdown checkpoint at {checkpoint} came, up to {end}");

    cluster.start().unwrap();
    let error = stream_while_stopping(&mut cluster, &info, Shutdown::Immediate).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Retry, "{error:?}");
}

/// Streams and acknowledges all there is while the server stops: where the stream ended.
fn stream_while_stopping(
    cluster: &mut TestCluster,
    info: &ConnectionInfo,
    how: Shutdown,
) -> Result<Lsn, Error> {
    let (streaming, is_streaming) = mpsc::sync_channel(1);
    thread::scope(|scope| {
        let reader = scope.spawn(move || {
            let mut client = ReplicationClient::connect(info, &Stop::new()).unwrap();
            let identity = client.identify_system().unwrap();
            let position = identity.flushed.start_of_segment(segment_size());
            let start = Start { slot: None, position, timeline: identity.timeline };
            let mut stream = client.stream(&start).unwrap();
            streaming.send(()).unwrap();
            let acknowledger = stream.acknowledger();
            while stream.next_event()? != Event::Closed {
                // What is sent while the server goes away may fail; the stream says why.
                drop(acknowledger.report(&flushed(stream.position())));
            }
            Ok(stream.position())
        });
        is_streaming.recv().unwrap();
        cluster.psql("create table if not exists t as select 1").unwrap();
        cluster.stop(how).unwrap();
        reader.join().unwrap()
    })
}

#[test]
fn real_stream_follows_a_promotion() {
    let primary = started(&[]);
    let standby = primary.standby().unwrap();
    let mut client = connect(&standby);
    let first = client.identify_system().unwrap();
    let position = first.flushed.start_of_segment(segment_size());
    let mut stream =
        client.stream(&Start { slot: None, position, timeline: first.timeline }).unwrap();
    primary.psql("create table before_promotion as select 1").unwrap();
    let end = lsn(&primary, "select pg_current_wal_flush_lsn()");
    read_until(&mut stream, |position| position >= end);
    standby.psql("select pg_promote()").unwrap();
    let (next_timeline, switch_point) = loop {
        if let Event::EndOfTimeline { next_timeline, switch_point } = stream.next_event().unwrap() {
            break (next_timeline, switch_point);
        }
    };
    assert_eq!((first.timeline, next_timeline), (Timeline(1), Timeline(2)));
    assert_eq!(stream.position(), switch_point);

    let history = client.timeline_history(next_timeline).unwrap();
    let file = standby.data_directory().join("pg_wal").join(&history.name);
    assert_eq!(history.content, fs::read(file).unwrap());
    let parsed = TimelineHistory::parse(next_timeline, &history.content).unwrap();
    assert_eq!(parsed.switch_point(first.timeline), Some(switch_point));

    let at_end = Start { slot: None, position: switch_point, timeline: first.timeline };
    let mut nothing_left = client.stream(&at_end).unwrap();
    let expected = Event::EndOfTimeline { next_timeline, switch_point };
    assert_eq!(nothing_left.next_event().unwrap(), expected);
    let beyond = Start { position: Lsn(switch_point.0 + 8), ..at_end };
    let beyond = client.stream(&beyond).unwrap_err();
    assert_eq!(beyond.refusal(), Some(Refusal::NotInHistory), "{beyond:?}");

    standby.psql("create table after_promotion as select 1").unwrap();
    let end = lsn(&standby, "select pg_current_wal_flush_lsn()");
    let position = switch_point.start_of_segment(segment_size());
    let mut stream =
        client.stream(&Start { slot: None, position, timeline: next_timeline }).unwrap();
    let received = read_until(&mut stream, |position| position >= end);
    let expected = files(standby.data_directory(), next_timeline, position, received.len());
    assert!(received == expected, "the stream differs from the files in pg_wal");
}
