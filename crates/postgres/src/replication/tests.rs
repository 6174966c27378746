//! The protocol against a server made of bytes: what is understood, and that nothing else harms.
//!
//! The `real_` tests do the same with PostgreSQL.

mod real;

use std::io::Write;
use std::os::unix::net::UnixStream;
use std::time::Duration;

use proptest::prelude::*;
use soter_world::sim::cases;
use soter_world::{Clock, Stop, SystemClock};

use super::frame::{Frame, FrameBuffer};
use super::*;
use crate::connection::{ConnectionInfo, Stream};
use crate::lsn::{Lsn, Timeline};

fn message(tag: u8, body: &[u8]) -> Vec<u8> {
    let length = u32::try_from(body.len() + 4).unwrap();
    [&[tag], &length.to_be_bytes()[..], body].concat()
}

fn row(values: &[Option<&str>]) -> Vec<u8> {
    let mut body = u16::try_from(values.len()).unwrap().to_be_bytes().to_vec();
    for value in values {
        let length = value.map_or(-1, |value| i32::try_from(value.len()).unwrap());
        body.extend(length.to_be_bytes());
        body.extend(value.unwrap_or_default().bytes());
    }
    message(b'D', &body)
}

fn greeting() -> Vec<u8> {
    let version = message(b'S', b"server_version\x0015.20 (Debian)\0");
    [message(b'R', &[0; 4]), version, message(b'Z', b"I")].concat()
}

fn wal(start: u64, data: &[u8]) -> Vec<u8> {
    let header = [&b"w"[..], &start.to_be_bytes(), &u64::MAX.to_be_bytes(), &[0; 8]].concat();
    message(b'd', &[&header, data].concat())
}

fn keepalive(end: u64, reply: u8) -> Vec<u8> {
    message(b'd', &[&b"k"[..], &end.to_be_bytes(), &[0; 8], &[reply]].concat())
}

fn error(fields: &[&str]) -> Vec<u8> {
    message(b'E', format!("{}\0\0", fields.join("\0")).as_bytes())
}

fn complete() -> Vec<u8> {
    message(b'C', b"START_STREAMING\0")
}

fn ready() -> Vec<u8> {
    message(b'Z', b"I")
}

fn both() -> Vec<u8> {
    message(b'W', &[0; 3])
}

/// A client whose server has said all it will ever say.
fn client(script: &[Vec<u8>]) -> Result<(ReplicationClient, UnixStream), Error> {
    let (ours, mut theirs) = UnixStream::pair().unwrap();
    theirs.write_all(&script.concat()).unwrap();
    theirs.shutdown(std::net::Shutdown::Write).unwrap();
    let info = ConnectionInfo::parse("user=soter password=secret").unwrap();
    ReplicationClient::over(Stream::Unix(ours), &info, &Stop::new()).map(|client| (client, theirs))
}

fn start(position: u64) -> Start {
    Start { slot: None, position: Lsn(position), timeline: Timeline(3) }
}

/// All that a stream gives, in words; the last line says how it ended.
fn events(client: &mut ReplicationClient, position: u64) -> Vec<String> {
    let mut stream = match client.stream(&start(position)) {
        Ok(stream) => stream,
        Err(error) => return vec![chain(&error)],
    };
    let mut seen = Vec::new();
    loop {
        let is_last = match stream.next_event() {
            Ok(Event::Quiet) => false,
            Ok(Event::Wal { start, data, .. }) => {
                seen.push(format!("{start} {}", String::from_utf8_lossy(data)));
                false
            }
            Ok(Event::Keepalive { end_of_wal, reply_requested, .. }) => {
                seen.push(format!("alive {end_of_wal} {reply_requested}"));
                false
            }
            Ok(last) => {
                seen.push(format!("{last:?}"));
                true
            }
            Err(error) => {
                seen.push(chain(&error));
                true
            }
        };
        if is_last {
            let after = stream.next_event().unwrap_err();
            assert!(matches!(after, Error::NotReady { .. }), "{after:?}");
            return seen;
        }
    }
}

fn chain(error: &dyn std::error::Error) -> String {
    error.source().map_or(error.to_string(), |source| format!("{error}: {}", chain(source)))
}

#[test]
fn commands_are_answered() {
    let identity = row(&[Some("7123456789012345678"), Some("3"), Some("1/AB"), None]);
    let (mut client, _server) = client(&[
        greeting(),
        [message(b'T', b""), identity, complete(), ready()].concat(),
        [row(&[Some("16MB")]), complete(), ready()].concat(),
        [row(&[Some("physical"), Some("0/2000000"), Some("1")]), complete(), ready()].concat(),
        [row(&[None, None, None]), complete(), ready()].concat(),
        [error(&["SERROR", "C55006", "Mslot is active\u{1b}[2J"]), ready()].concat(),
        [row(&[Some("00000003.history"), Some("2\t0/5\tx")]), complete(), ready()].concat(),
        [row(&[Some("../passwd"), Some("")]), complete(), ready()].concat(),
    ])
    .unwrap();
    let identity = client.identify_system().unwrap();
    assert_eq!(identity.system_identifier.0, 7_123_456_789_012_345_678);
    assert_eq!((identity.timeline, identity.flushed), (Timeline(3), Lsn(0x1_0000_00AB)));
    assert_eq!(client.show("wal_segment_size").unwrap(), "16MB");
    let slot = SlotName::new("soter").unwrap();
    let position = SlotPosition { restart: Some(Lsn(0x200_0000)), timeline: Some(Timeline(1)) };
    assert_eq!(client.read_slot(&slot).unwrap(), Some(position));
    assert_eq!(client.read_slot(&slot).unwrap(), None);
    let error = client.drop_slot(&slot).unwrap_err();
    assert_eq!(error.refusal(), Some(Refusal::SlotActive));
    let said = "PostgreSQL refused DROP_REPLICATION_SLOT: slot is active [2J (SQLSTATE 55006)";
    assert_eq!(chain(&error), said);
    assert_eq!(client.timeline_history(Timeline(3)).unwrap().content, b"2\t0/5\tx");
    let error = client.timeline_history(Timeline(3)).unwrap_err();
    assert!(chain(&error).ends_with("lacks the file that was asked for"), "{}", chain(&error));
    assert!(client.show("x; DROP").is_err());
}

#[test]
fn an_error_before_the_end_of_the_connection_is_the_answer() {
    let full = error(&["SFATAL", "C53300", "Mtoo many"]);
    let said = client(&[full]).unwrap_err();
    assert_eq!(said.refusal(), Some(Refusal::Unavailable));
    let said = client(&[]).unwrap_err();
    assert!(matches!(said, Error::Closed { .. }), "{said:?}");

    let (mut client, _server) = client(&[greeting(), error(&["C57P01", "Mgone"])]).unwrap();
    let said = client.identify_system().unwrap_err();
    assert_eq!(said.refusal(), Some(Refusal::Unavailable));
    let said = client.identify_system().unwrap_err();
    assert!(matches!(said, Error::NotReady { state: "broken" }), "{said:?}");
}

#[test]
fn versions_not_known_are_refused_by_name() {
    let old = message(b'S', b"server_version\x0013.11\0");
    let said = client(&[message(b'R', &[0; 4]), old, ready()]).unwrap_err();
    let expected = "the server cannot be protected: PostgreSQL 13 is not supported (14 to 18 are)";
    assert_eq!(chain(&said), expected);
}

#[test]
fn a_stream_ends_with_its_timeline() {
    let end = [
        message(b'c', b""),
        message(b'T', b""),
        row(&[Some("4"), Some("0/108")]),
        complete(),
        complete(),
        ready(),
    ];
    let stream = [both(), wal(0x100, b"12345678"), keepalive(0x108, 1), end.concat()];
    let again = [row(&[Some("4"), Some("0/108")]), complete(), complete(), ready()];
    let refused = [error(&["CXX000", "Mahead", "RStartReplication"]), ready()];
    let (mut client, _server) =
        client(&[greeting(), stream.concat(), again.concat(), refused.concat()]).unwrap();
    let last = "EndOfTimeline { next_timeline: Timeline(4), switch_point: Lsn(0/108) }";
    assert_eq!(events(&mut client, 0x100), ["0/100 12345678", "alive 0/108 true", last]);
    assert_eq!(events(&mut client, 0x108), [last], "a start at the very end is not streamed");
    let refused = "PostgreSQL refused START_REPLICATION: ahead (SQLSTATE XX000)";
    assert_eq!(events(&mut client, 0x200), [refused], "and the client still takes commands");
}

#[test]
fn a_shutdown_is_an_end_and_a_crash_an_error() {
    let (mut shut_down, _server) =
        client(&[greeting(), both(), wal(8, b"x"), message(b'C', b"COPY 0\0")]).unwrap();
    assert_eq!(events(&mut shut_down, 8), ["0/8 x", "Closed"]);
    let (mut crashed, _server) = client(&[greeting(), both(), wal(8, b"x")]).unwrap();
    let lost = "the server closed the replication connection during streaming";
    assert_eq!(events(&mut crashed, 8), ["0/8 x", lost]);
}

#[test]
fn wal_must_be_contiguous_and_timelines_grow() {
    let broken = "the server broke the replication protocol during streaming: ";
    let (mut gap, _server) = client(&[greeting(), both(), wal(8, b"xx"), wal(11, b"y")]).unwrap();
    let said = format!("{broken}WAL was expected at 0/A, but 0/B came");
    assert_eq!(events(&mut gap, 8), ["0/8 xx", said.as_str()]);
    let (mut over, _server) = client(&[greeting(), both(), wal(u64::MAX, b"xx")]).unwrap();
    assert_eq!(events(&mut over, u64::MAX), [format!("{broken}a malformed XLogData message")]);
    let back = [message(b'c', b""), row(&[Some("3"), Some("0/8")]), complete(), ready()].concat();
    let (mut back, _server) = client(&[greeting(), both(), back]).unwrap();
    assert_eq!(
        events(&mut back, 8),
        [format!("{broken}timeline 3 cannot follow timeline 3 at 0/8")]
    );
}

#[test]
fn status_updates_never_go_back_and_end_with_the_stream() {
    use std::io::Read;
    let script = [greeting(), both(), message(b'c', b""), complete(), ready()];
    let (mut client, mut server) = client(&script).unwrap();
    let mut stream = client.stream(&start(8)).unwrap();
    let acknowledger = stream.acknowledger();
    let update = |written: u64, flushed: u64| StatusUpdate {
        written: Lsn(written),
        flushed: Lsn(flushed),
        applied: None,
        reply_requested: true,
        sent_at: "2000-01-01T00:00:01Z".parse().unwrap(),
    };
    acknowledger.report(&update(0x20, 0x10)).unwrap();
    acknowledger.report(&update(0x18, 0x18)).unwrap();
    assert_eq!(acknowledger.reported_flushed(), Lsn(0x18));
    acknowledger.finish().unwrap();
    acknowledger.finish().unwrap();
    acknowledger.report(&update(0x30, 0x30)).unwrap();
    while stream.next_event().unwrap() != Event::Stopped {}
    acknowledger.report(&update(0x40, 0x40)).unwrap();
    drop(client);

    let mut sent = Vec::new();
    server.read_to_end(&mut sent).unwrap();
    let position = |value: u8| [0, 0, 0, 0, 0, 0, 0, value];
    let status = |written, flushed| {
        let body =
            [&b"r"[..], &position(written), &position(flushed), &position(0), &[0, 0, 0, 0, 0]];
        [message(b'd', &[&body.concat()[..], &[0xf, 0x42, 0x40, 1]].concat())].concat()
    };
    let command = b"START_REPLICATION PHYSICAL 0/8 TIMELINE 3\0";
    let expected = [
        message(b'Q', command),
        status(0x20, 0x10),
        status(0x20, 0x18),
        message(b'c', b""),
        message(b'X', b""),
    ];
    assert!(sent.ends_with(&expected.concat()), "{}", sent.escape_ascii());
}

#[test]
fn a_silent_server_does_not_hold_a_stopped_client() {
    let (ours, _theirs) = UnixStream::pair().unwrap();
    let info = ConnectionInfo::parse("user=soter connect_timeout=3600").unwrap();
    let stop = Stop::new();
    let waiting = std::thread::spawn({
        let stop = stop.clone();
        move || ReplicationClient::over(Stream::Unix(ours), &info, &stop).map(drop)
    });
    let before = SystemClock.monotonic();
    stop.stop();
    let error = waiting.join().unwrap().unwrap_err();
    assert!(matches!(error, Error::Stopped { .. }), "{error:?}");
    assert!(SystemClock.monotonic() - before < Duration::from_secs(60));
}

#[test]
fn refusals_are_told_apart_in_any_language() {
    let check = |fields: &[&str], expected: Refusal| {
        let body = format!("{}\0\0", fields.join("\0"));
        assert_eq!(ServerError::parse(body.as_bytes()).unwrap().refusal(), expected, "{fields:?}");
    };
    check(&["C28P01", "MPasswort falsch"], Refusal::NotPermitted);
    check(&["C42501", "M-"], Refusal::NotPermitted);
    check(&["C57P03", "M-"], Refusal::Unavailable);
    check(&["C53300", "M-"], Refusal::Unavailable);
    check(&["C53400", "M-"], Refusal::NoFreeSlot);
    check(&["C55000", "M-"], Refusal::SlotUnusable);
    check(&["C42704", "M-"], Refusal::Missing);
    check(&["C42710", "M-"], Refusal::SlotExists);
    check(&["C58P01", "M-"], Refusal::WalRemoved);
    check(&["CXX000", "M-", "RStartReplication"], Refusal::StartAhead);
    check(&["CXX000", "M-", "Dforked", "RStartReplication"], Refusal::NotInHistory);
    check(&["CXX000", "M-", "Rother"], Refusal::Other);
}

/// Cuts bytes into frames, giving them in the pieces that `cuts` says, and then the rest.
fn frames(bytes: &[u8], cuts: &[usize]) -> Result<Vec<(u8, Vec<u8>)>, ProtocolError> {
    let mut buffer = FrameBuffer::new();
    let mut found = Vec::new();
    let mut rest = bytes;
    let mut cuts = cuts.iter();
    while !rest.is_empty() {
        let space = buffer.space()?;
        let wanted = cuts.next().copied().unwrap_or(usize::MAX);
        let count = wanted.clamp(1, rest.len()).min(space.len());
        let (now, later) = rest.split_at(count);
        space[..count].copy_from_slice(now);
        buffer.filled(count);
        rest = later;
        while let Some(Frame { tag, body }) = buffer.take_frame()? {
            let body = body.to_vec();
            assert_eq!(body, buffer.last_body());
            found.push((tag, body));
        }
    }
    Ok(found)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(64)))]

    #[test]
    fn frames_do_not_depend_on_how_bytes_arrive(
        bodies in prop::collection::vec((any::<u8>(), 0_usize..300_000), 1..6),
        cuts in prop::collection::vec(1_usize..100_000, 0..20),
    ) {
        let expected: Vec<(u8, Vec<u8>)> = bodies
            .iter()
            .map(|&(tag, length)| (tag, (0..=250).cycle().take(length).collect()))
            .collect();
        let bytes: Vec<u8> = expected.iter().flat_map(|(tag, body)| message(*tag, body)).collect();
        prop_assert_eq!(&frames(&bytes, &cuts).unwrap(), &expected);
        prop_assert_eq!(&frames(&bytes, &vec![1; 40]).unwrap(), &expected);
    }

    #[test]
    fn no_bytes_make_it_panic_or_wait(
        prefix in 0_usize..4,
        messages in prop::collection::vec(
            (prop::sample::select(&b"REDSCZWdcTNKvx"[..]), prop::collection::vec(any::<u8>(), 0..40)),
            0..8,
        ),
        garbage in prop::collection::vec(any::<u8>(), 0..40),
    ) {
        let mut script = match prefix {
            0 => vec![],
            1 => vec![greeting()],
            2 => vec![greeting(), both()],
            _ => vec![greeting(), both(), message(b'c', b"")],
        };
        script.extend(messages.iter().map(|(tag, body)| message(*tag, body)));
        script.push(garbage);
        if let Ok((mut client, _server)) = client(&script) {
            match prefix {
                1 => drop((client.identify_system(), client.timeline_history(Timeline(1)))),
                _ => drop(events(&mut client, 8)),
            }
        }
    }

    #[test]
    fn damaged_streams_are_noticed_or_harmless(at in 0_usize..200, bit in 0_u8..8) {
        let mut script = [
            greeting(), both(), wal(8, b"abcdefgh"), keepalive(16, 0), message(b'c', b""),
            row(&[Some("4"), Some("0/10")]), complete(), ready(),
        ].concat();
        let at = at % script.len();
        script[at] ^= 1 << bit;
        if let Ok((mut client, _server)) = client(&[script]) {
            drop(events(&mut client, 8));
        }
    }
}

#[test]
fn lengths_are_not_believed() {
    for length in [0, 3, u32::MAX, (4 << 20) + 1] {
        let bytes = [&b"d"[..], &length.to_be_bytes()].concat();
        let said = frames(&bytes, &[]).unwrap_err();
        assert_eq!(said, ProtocolError::FrameLength { tag: b'd', length });
    }
}
