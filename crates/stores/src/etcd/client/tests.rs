use std::fs;
use std::io::Write;
use std::net::{TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::thread;

use soter_world::exec::{Child, Command, Finished};
use soter_world::{Clock, SystemClock};

use super::*;
use crate::etcd::{ErrorKind, HASH_LENGTH};

const TIMEOUT: Duration = Duration::from_secs(60);

/// How often a server that starts is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

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

/// The programs of etcd, or the sentence why there are none.
fn tools() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no other way to be told")]
    let variable = |name: &str| std::env::var(name).ok().map(PathBuf::from);
    let named = variable("SOTER_LAB_TOOLS");
    let cache = || Some(variable("HOME")?.join(".cache/soter/lab-tools"));
    let found = named.or_else(cache)?.join("bin");
    if found.join("etcd").exists() && found.join("etcdutl").exists() {
        return Some(found);
    }
    eprintln!("skipped: no etcd in {}; scripts/install-lab-tools gets it", found.display());
    None
}

/// Three members on loopback that believe one authority, of theirs and of their clients.
struct Cluster {
    tools: PathBuf,
    directory: tempfile::TempDir,
    endpoints: Vec<Endpoint>,
    members: Vec<Child>,
}

fn ran(command: Command) -> Finished {
    command.run(TIMEOUT).unwrap().checked().unwrap()
}

/// Ports that are free now.
fn ports<const N: usize>() -> [u16; N] {
    let listeners: [TcpListener; N] =
        std::array::from_fn(|_| TcpListener::bind("127.0.0.1:0").unwrap());
    listeners.map(|listener| listener.local_addr().unwrap().port())
}

/// An authority, and a certificate of it that is good for all.
fn make_certificates(directory: &Path) {
    let script = "openssl ecparam -name prime256v1 -genkey -noout -out ca.key
        openssl req -x509 -new -key ca.key -subj /CN=test-ca -days 2 -out ca.crt
        openssl ecparam -name prime256v1 -genkey -noout -out n.ec
        openssl pkcs8 -topk8 -nocrypt -in n.ec -out n.key
        openssl req -new -key n.key -subj /CN=etcd -out n.csr
        printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' > ext
        openssl x509 -req -in n.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \\
            -extfile ext -out n.crt";
    ran(Command::new("bash").args(["-euc", script]).current_dir(directory));
}

impl Cluster {
    fn start(tools: PathBuf) -> Self {
        let directory = tempfile::tempdir().unwrap();
        make_certificates(directory.path());
        let ports: [u16; 6] = ports();
        let url = |index: usize| format!("https://127.0.0.1:{}", ports[index]);
        let all: Vec<String> = (0..3).map(|it| format!("m{it}={}", url(it + 3))).collect();
        let members = (0..3).map(|index| {
            let (client, peer, name) = (url(index), url(index + 3), format!("m{index}"));
            let command = Command::new(tools.join("etcd"))
                .args(["--name", &name, "--data-dir", &name])
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &all.join(","), "--initial-cluster-state", "new"])
                .args(["--cert-file", "n.crt", "--key-file", "n.key", "--client-cert-auth"])
                .args(["--trusted-ca-file", "ca.crt", "--peer-trusted-ca-file", "ca.crt"])
                .args(["--peer-cert-file", "n.crt", "--peer-key-file", "n.key"])
                .args(["--peer-client-cert-auth", "--unsafe-no-fsync"]);
            command.current_dir(directory.path()).spawn().unwrap()
        });
        let members = members.collect();
        let endpoints = (0..3).map(|index| url(index).parse().unwrap()).collect();
        let cluster = Self { tools, directory, endpoints, members };
        let client = cluster.client();
        for endpoint in &cluster.endpoints {
            wait_for(|| client.status_of(endpoint).is_ok_and(|status| status.leader != 0));
        }
        cluster
    }

    fn read(&self, name: &str) -> Vec<u8> {
        fs::read(self.directory.path().join(name)).unwrap()
    }

    fn access(&self) -> Access {
        let client = Some((self.read("n.crt"), Secret::new(self.read("n.key"))));
        Access { endpoints: self.endpoints.clone(), ca: self.read("ca.crt"), client }
    }

    fn client(&self) -> Client {
        Client::new(&self.access()).unwrap()
    }
}

fn wait_for(mut is_so: impl FnMut() -> bool) {
    let until = SystemClock.monotonic() + TIMEOUT;
    while !is_so() {
        assert!(SystemClock.monotonic() < until, "it did not come about");
        SystemClock.sleep(LOOK_EVERY);
    }
}

fn put(client: &Client, endpoint: &Endpoint, key: &str, value: &str) {
    let question = json!({ "key": BASE64.encode(key), "value": BASE64.encode(value) });
    let _: Value = client.ask(endpoint, "/v3/kv/put", &question).unwrap();
}

#[test]
fn real_snapshot_over_tls_comes_back_with_every_key() {
    let Some(tools) = tools() else { return };
    let mut cluster = Cluster::start(tools);
    let client = cluster.client();
    let (endpoint, status) = client.status().unwrap();
    assert_eq!((&endpoint, client.members().unwrap().len()), (&cluster.endpoints[0], 3));
    assert!(status.version.starts_with("3."), "{status:?}");
    let value = "v".repeat(2000);
    for number in 0..300 {
        put(&client, &endpoint, &format!("/registry/{number}"), &value);
    }
    put(&client, &endpoint, "/other", "1");
    assert_eq!(client.count_keys(b"/registry/").unwrap(), 300);
    assert_eq!(client.count_keys(b"").unwrap(), 301);
    let keyless = client.ask::<Value>(&endpoint, "/v3/kv/range", &json!({})).unwrap_err();
    assert!(keyless.to_string().ends_with("key is not provided"), "{keyless}");

    let path = cluster.directory.path().join("snapshot.db");
    let mut file = fs::File::create(&path).unwrap();
    let last = cluster.endpoints[2].clone();
    let checked = client.snapshot(&last, &mut |bytes| file.write_all(bytes)).unwrap();
    assert_eq!(checked.bytes, fs::metadata(&path).unwrap().len());
    assert!(checked.bytes > 600_000 + HASH_LENGTH as u64, "{checked:?}");
    put(&client, &endpoint, "/registry/later", "1");

    // A member that is gone costs a look at the next one.
    cluster.members.remove(0);
    let (answered, _) = client.status().unwrap();
    assert_eq!(answered, cluster.endpoints[1]);

    // etcd's own tool takes it, and a scratch member has what was there then.
    let [port, peer] = ports();
    let (url, peer) = (format!("http://127.0.0.1:{port}"), format!("http://127.0.0.1:{peer}"));
    let all = format!("scratch={peer}");
    let restore = Command::new(cluster.tools.join("etcdutl"))
        .args(["snapshot", "restore", "snapshot.db", "--data-dir", "scratch"])
        .args(["--name", "scratch", "--initial-cluster", &all])
        .args(["--initial-advertise-peer-urls", &peer]);
    ran(restore.current_dir(cluster.directory.path()));
    let member = Command::new(cluster.tools.join("etcd"))
        .args(["--name", "scratch", "--data-dir", "scratch", "--unsafe-no-fsync"])
        .args(["--listen-client-urls", &url, "--advertise-client-urls", &url])
        .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
        .args(["--initial-cluster", &all]);
    let member = member.current_dir(cluster.directory.path()).spawn().unwrap();
    let scratch = plain(vec![url.parse().unwrap()]);
    wait_for(|| scratch.count_keys(b"").is_ok());
    assert_eq!(scratch.count_keys(b"").unwrap(), 301, "the later key is not in it");
    drop(member);
}

#[test]
fn real_strangers_are_refused_before_anything_is_said() {
    let Some(tools) = tools() else { return };
    let cluster = Cluster::start(tools);
    let nobody = Access { client: None, ..cluster.access() };
    let error = Client::new(&nobody).unwrap().status().unwrap_err();
    assert!(matches!(error, EtcdError::NoMember(_)), "{error}");
    let elsewhere = tempfile::tempdir().unwrap();
    make_certificates(elsewhere.path());
    let other = fs::read(elsewhere.path().join("ca.crt")).unwrap();
    let error = Client::new(&Access { ca: other, ..cluster.access() }).unwrap().status();
    let said = error.unwrap_err().to_string();
    assert!(said.contains("certificate"), "{said}");
    for broken in [&b"junk"[..], b"", &cluster.read("n.crt")] {
        let client = Some((cluster.read("n.crt"), Secret::new(broken.to_vec())));
        let error = Client::new(&Access { client, ..cluster.access() }).unwrap_err();
        assert_eq!(error.kind(), ErrorKind::Input, "{error}");
    }
}
