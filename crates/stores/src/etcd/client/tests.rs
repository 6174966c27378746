use std::fs;
use std::io::Write;
use std::io::{BufRead, BufReader};
use std::net::{TcpListener, TcpStream};
use std::thread;

use soter_world::exec::Command;

use super::*;
use crate::etcd::gateway::LINE_LENGTH_MAX;
use crate::etcd::{ErrorKind, HASH_LENGTH};
use crate::testing::{TestEtcd, make_certificates, ports, programs, wait_until};

const TIMEOUT: Duration = Duration::from_secs(60);

/// A server that answers every request with these bytes, behind a head that says nothing of their
/// length, and then hangs up.
fn fake(answer: Vec<u8>) -> Endpoint {
    let listener = TcpListener::bind("127.0.0.1:0").unwrap();
    let endpoint = format!("http://{}", listener.local_addr().unwrap()).parse().unwrap();
    thread::spawn(move || {
        for stream in listener.incoming().take(3) {
            answer_one(stream.unwrap(), &answer);
        }
    });
    endpoint
}

fn answer_one(mut stream: TcpStream, answer: &[u8]) {
    let mut reader = BufReader::new(stream.try_clone().unwrap());
    let mut line = String::new();
    let mut length = 0;
    while reader.read_line(&mut line).unwrap() > 2 {
        if let Some(value) = line.to_ascii_lowercase().strip_prefix("content-length:") {
            length = value.trim().parse().unwrap();
        }
        line.clear();
    }
    reader.read_exact(&mut vec![0; length]).unwrap();
    // Whoever has seen enough hangs up first.
    stream.write_all(answer).ok();
}

fn ok(body: &[u8]) -> Vec<u8> {
    [b"HTTP/1.1 200 OK\r\nConnection: close\r\n\r\n", body].concat()
}

fn plain(endpoints: Vec<Endpoint>) -> Client {
    Client::new(&Access { endpoints, ca: Vec::new(), client: None }).unwrap()
}

/// A snapshot as the gateway sends it, in three pieces.
fn lines(database: &[u8]) -> Vec<u8> {
    let hash = aws_lc_rs::digest::digest(&aws_lc_rs::digest::SHA256, database);
    let (first, second) = database.split_at(512);
    let pieces = [(first, second.len()), (second, 0), (hash.as_ref(), 0)];
    let line = |(bytes, remaining): (&[u8], usize)| {
        let blob = BASE64.encode(bytes);
        let remaining = remaining.to_string();
        format!("{}\n", json!({"result": {"remaining_bytes": remaining, "blob": blob}}))
    };
    pieces.into_iter().map(line).collect::<String>().into_bytes()
}

fn take(body: &[u8]) -> Result<(CheckedSnapshot, Vec<u8>), EtcdError> {
    let endpoint = fake(ok(body));
    let mut taken = Vec::new();
    let mut sink = |bytes: &[u8]| taken.write_all(bytes);
    plain(vec![endpoint.clone()]).snapshot(&endpoint, &mut sink).map(|checked| (checked, taken))
}

#[test]
fn a_snapshot_arrives_whole_or_not_at_all() {
    let database = vec![7; 1024];
    let good = lines(&database);
    let (checked, taken) = take(&good).unwrap();
    assert_eq!(checked.bytes, 1024 + 32);
    assert_eq!(taken[..1024], database);

    let ends: Vec<usize> = (0..good.len()).filter(|at| good[*at] == b'\n').collect();
    for cut in [&good[..0], &good[..ends[0] + 1], &good[..ends[1] + 1], &good[..ends[1] - 9]] {
        let error = take(cut).unwrap_err();
        let expected = matches!(error, EtcdError::Damaged(_) | EtcdError::Senseless { .. });
        assert!(expected, "{} bytes: {error}", cut.len());
    }
    let swapped = [&good[ends[0] + 1..=ends[1]], &good[..=ends[0]], &good[ends[1] + 1..]].concat();
    assert!(matches!(take(&swapped).unwrap_err(), EtcdError::Damaged(_)));
    let forged = lines(&[8; 1024]);
    let mixed = [&good[..=ends[1]], &forged[ends[1] + 1..]].concat();
    let error = take(&mixed).unwrap_err();
    assert!(error.to_string().contains("the server's hash is"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Retry);
}

#[test]
fn a_server_that_gives_up_hangs_up_or_is_no_etcd_is_named() {
    let good = lines(&[7; 1024]);
    let first_line = good.iter().position(|byte| *byte == b'\n').unwrap() + 1;
    let refusal = br#"{"error":{"grpc_code":14,"message":"etcdserver: server stopped"}}"#;
    let error = take(&[&good[..first_line], &refusal[..]].concat()).unwrap_err();
    assert!(error.to_string().ends_with("refuses: etcdserver: server stopped"), "{error}");
    assert_eq!(error.kind(), ErrorKind::Retry);
    let error = take(b"<html>sign in</html>").unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    assert!(take(&vec![b' '; LINE_LENGTH_MAX * 2]).is_err(), "a line without an end");

    let forbidden = b"HTTP/1.1 403 Forbidden\r\nConnection: close\r\n\r\n\
        {\"error\":\"denied\",\"code\":7,\"message\":\"etcdserver: permission denied\" }";
    let endpoint = fake(forbidden.to_vec());
    let error = plain(vec![endpoint.clone()]).status_of(&endpoint).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    assert!(error.to_string().contains("permission denied"), "{error}");
    let none = plain(Vec::new()).status().unwrap_err();
    assert_eq!(none.to_string(), "no member of the etcd answers: none is named");
}

#[test]
fn the_sink_ends_a_snapshot() {
    let endpoint = fake(ok(&lines(&[7; 1024])));
    let full = &mut |_: &[u8]| Err(io::ErrorKind::StorageFull.into());
    let error = plain(vec![endpoint.clone()]).snapshot(&endpoint, full).unwrap_err();
    assert_eq!(error.kind(), ErrorKind::Failed, "{error}");
}

#[test]
fn a_prefix_is_a_range_of_keys() {
    let check = |prefix: &[u8], from: &[u8], to: &[u8]| {
        assert_eq!(range_of(prefix), (from.to_vec(), to.to_vec()), "{prefix:?}");
    };
    check(b"", &[0], &[0]);
    check(b"/registry/", b"/registry/", b"/registry0");
    check(&[1, 255], &[1, 255], &[2]);
    check(&[255, 255], &[255, 255], &[0]);
}

#[test]
fn real_snapshot_over_tls_comes_back_with_every_key() {
    let Some(tools) = programs() else { return };
    let place = tempfile::tempdir().unwrap();
    let mut cluster = TestEtcd::start(&tools, place.path(), 3).unwrap();
    let client = Client::new(&cluster.access().unwrap()).unwrap();
    let (endpoint, status) = client.status().unwrap();
    assert_eq!((&endpoint, client.members().unwrap().len()), (&cluster.endpoints[0], 3));
    assert!(status.version.starts_with("3."), "{status:?}");
    let value = vec![b'v'; 2000];
    let many = (0..300).map(|number| (format!("/registry/{number}"), value.clone()));
    cluster.put(many).unwrap();
    cluster.put([("/other".to_owned(), b"1".to_vec())]).unwrap();
    assert_eq!(client.count_keys(b"/registry/").unwrap(), 300);
    assert_eq!(client.count_keys(b"").unwrap(), 301);
    let keyless = client.ask::<Value>(&endpoint, "/v3/kv/range", &json!({})).unwrap_err();
    assert!(keyless.to_string().ends_with("key is not provided"), "{keyless}");

    let path = cluster.directory().join("snapshot.db");
    let mut file = fs::File::create(&path).unwrap();
    let last = cluster.endpoints[2].clone();
    let checked = client.snapshot(&last, &mut |bytes| file.write_all(bytes)).unwrap();
    assert_eq!(checked.bytes, fs::metadata(&path).unwrap().len());
    assert!(checked.bytes > 600_000 + HASH_LENGTH as u64, "{checked:?}");
    cluster.put([("/registry/later".to_owned(), b"1".to_vec())]).unwrap();

    // A member that is gone costs a look at the next one.
    cluster.kill(0);
    let (answered, _) = client.status().unwrap();
    assert_eq!(answered, cluster.endpoints[1]);

    // etcd's own tool takes it, and a scratch member has what was there then.
    let [port, peer] = ports().unwrap();
    let (url, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    let all = format!("scratch={peer}");
    let restore = Command::new(tools.join("etcdutl"))
        .args(["snapshot", "restore", "snapshot.db", "--data-dir", "scratch"])
        .args(["--name", "scratch", "--initial-cluster", &all])
        .args(["--initial-advertise-peer-urls", &peer]);
    restore.current_dir(cluster.directory()).run(TIMEOUT).unwrap().checked().unwrap();
    let member = Command::new(tools.join("etcd"))
        .args(["--name", "scratch", "--data-dir", "scratch", "--unsafe-no-fsync"])
        .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &all]);
    let member = member.current_dir(cluster.directory()).spawn().unwrap();
    let scratch = plain(vec![url.parse().unwrap()]);
    wait_until("the scratch member answers", || scratch.count_keys(b"").is_ok()).unwrap();
    assert_eq!(scratch.count_keys(b"").unwrap(), 301, "the later key is not in it");
    drop(member);
}

#[test]
fn real_strangers_are_refused_before_anything_is_said() {
    let Some(tools) = programs() else { return };
    let place = tempfile::tempdir().unwrap();
    let cluster = TestEtcd::start(&tools, place.path(), 3).unwrap();
    let read = |name: &str| fs::read(cluster.directory().join(name)).unwrap();
    let access = cluster.access().unwrap();
    let nobody = Access { client: None, ..access.clone() };
    let error = Client::new(&nobody).unwrap().status().unwrap_err();
    assert!(matches!(error, EtcdError::NoMember(_)), "{error}");
    let elsewhere = tempfile::tempdir().unwrap();
    make_certificates(elsewhere.path()).unwrap();
    let other = fs::read(elsewhere.path().join("ca.crt")).unwrap();
    let error = Client::new(&Access { ca: other, ..access.clone() }).unwrap().status();
    let said = error.unwrap_err().to_string();
    assert!(said.contains("certificate"), "{said}");
    for broken in [&b"junk"[..], b"", &read("n.crt")] {
        let client = Some((read("n.crt"), Secret::new(broken.to_vec())));
        let error = Client::new(&Access { client, ..access.clone() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
}
