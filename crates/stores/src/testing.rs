//! Real etcds for tests; nothing that protects data uses this.
//!
//! A [`TestEtcd`] lives in a directory that is given to it, on loopback, believes one authority of its
//! own, and its servers end when it is dropped. Its programs are those of `scripts/install-lab-tools`.

use std::fs;
use std::io;
use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde_json::{Value, json};
use soter_world::exec::{Child, Command, ExecError};
use soter_world::{Clock, Secret, SystemClock};

use crate::etcd::{Access, Client, Endpoint, EtcdError};

/// Far longer than anything takes on a slow machine: it bounds a test that hangs.
const TIMEOUT: Duration = Duration::from_secs(60);

/// How often a server that starts is looked at.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// Keys that are put at once; etcd takes 128.
const PUT_AT_ONCE: usize = 100;

/// An etcd did not do what a test needs.
#[derive(Debug, thiserror::Error)]
#[expect(missing_docs, reason = "the messages say what to do")]
pub enum TestingError {
    #[error(transparent)]
    Exec(#[from] ExecError),
    #[error("a file of the test")]
    File(#[from] io::Error),
    #[error(transparent)]
    Etcd(#[from] EtcdError),
    #[error("gave up waiting until {0}")]
    Wait(&'static str),
}

/// The directory of etcd's programs; without them it says how to get them.
#[must_use]
pub fn programs() -> Option<PathBuf> {
    #[expect(clippy::disallowed_methods, reason = "tests have no other way to be told")]
    let variable = |name: &str| std::env::var(name).ok().map(PathBuf::from);
    let named = variable("SOTER_LAB_TOOLS");
    let cache = || Some(variable("HOME")?.join(".cache/soter/lab-tools"));
    let found = named.or_else(cache)?.join("bin");
    if found.join("etcd").exists() && found.join("etcdutl").exists() {
        return Some(found);
    }
    #[expect(clippy::print_stderr, reason = "a test that tests nothing must say so")]
    {
        eprintln!("skipped: no etcd in {}; scripts/install-lab-tools gets it", found.display());
    }
    None
}

/// Ports that are free now.
///
/// # Errors
/// When there are none.
pub fn ports<const N: usize>() -> io::Result<[u16; N]> {
    // All are held until all are known, so that none comes twice.
    let listeners: Vec<TcpListener> =
        (0..N).map(|_| TcpListener::bind("127.0.0.1:0")).collect::<io::Result<_>>()?;
    let mut ports = [0; N];
    for (port, listener) in ports.iter_mut().zip(&listeners) {
        *port = listener.local_addr()?.port();
    }
    Ok(ports)
}

/// An authority, and a certificate of it that is good for members and their clients: `ca.crt`,
/// `n.crt`, `n.key`.
///
/// # Errors
/// What `openssl` says.
pub fn make_certificates(directory: &Path) -> Result<(), TestingError> {
    let script = "openssl ecparam -name prime256v1 -genkey -noout -out ca.key
        openssl req -x509 -new -key ca.key -subj /CN=test-ca -days 2 -out ca.crt
        openssl ecparam -name prime256v1 -genkey -noout -out n.ec
        openssl pkcs8 -topk8 -nocrypt -in n.ec -out n.key
        openssl req -new -key n.key -subj /CN=etcd -out n.csr
        printf 'subjectAltName=IP:127.0.0.1\\nextendedKeyUsage=serverAuth,clientAuth\\n' > ext
        openssl x509 -req -in n.csr -CA ca.crt -CAkey ca.key -CAcreateserial -days 2 \\
            -extfile ext -out n.crt";
    let command = Command::new("bash").args(["-euc", script]).current_dir(directory);
    command.run(TIMEOUT)?.checked()?;
    Ok(())
}

/// Up to three members on loopback that believe one authority, of theirs and of their clients.
pub struct TestEtcd {
    directory: PathBuf,
    /// Where the members answer clients.
    pub endpoints: Vec<Endpoint>,
    members: Vec<Option<Child>>,
    client: Client,
}

impl TestEtcd {
    /// Starts so many members, at most three, and waits until each knows a leader.
    ///
    /// # Errors
    /// See [`TestingError`].
    pub fn start(programs: &Path, directory: &Path, count: usize) -> Result<Self, TestingError> {
        make_certificates(directory)?;
        let ports: [u16; 6] = ports()?;
        let url = |index: usize| format!("https://127.0.0.1:{}", ports[index]);
        let all: Vec<String> = (0..count).map(|it| format!("m{it}={}", url(it + 3))).collect();
        let mut members = Vec::new();
        for index in 0..count {
            let (client, peer, name) = (url(index), url(index + 3), format!("m{index}"));
            let command = Command::new(programs.join("etcd"))
                .args(["--name", &name, "--data-dir", &name])
                .args(["--listen-client-urls", &client, "--advertise-client-urls", &client])
                .args(["--listen-peer-urls", &peer, "--initial-advertise-peer-urls", &peer])
                .args(["--initial-cluster", &all.join(","), "--initial-cluster-state", "new"])
                .args(["--cert-file", "n.crt", "--key-file", "n.key", "--client-cert-auth"])
                .args(["--trusted-ca-file", "ca.crt", "--peer-trusted-ca-file", "ca.crt"])
                .args(["--peer-cert-file", "n.crt", "--peer-key-file", "n.key"])
                .args(["--peer-client-cert-auth", "--unsafe-no-fsync"]);
            members.push(Some(command.current_dir(directory).spawn()?));
        }
        let endpoints: Vec<Endpoint> =
            (0..count).filter_map(|index| url(index).parse().ok()).collect();
        let client = Client::new(&access(directory, &endpoints)?)?;
        let etcd = Self { directory: directory.to_owned(), endpoints, members, client };
        for endpoint in &etcd.endpoints {
            let leads = || etcd.client.status_of(endpoint).is_ok_and(|status| status.leader != 0);
            wait_until("a member knows a leader", leads)?;
        }
        Ok(etcd)
    }

    /// Where its files are: certificates, and a directory for each member.
    #[must_use]
    pub fn directory(&self) -> &Path {
        &self.directory
    }

    /// How it is asked.
    ///
    /// # Errors
    /// When its certificates cannot be read.
    pub fn access(&self) -> Result<Access, TestingError> {
        access(&self.directory, &self.endpoints)
    }

    /// Asks it.
    #[must_use]
    pub fn client(&self) -> &Client {
        &self.client
    }

    /// The process of a member.
    #[must_use]
    pub fn process(&self, member: usize) -> Option<u32> {
        self.members[member].as_ref().map(Child::id)
    }

    /// Kills a member.
    pub fn kill(&mut self, member: usize) {
        self.members[member] = None;
    }

    /// Puts keys, at the first member that answers.
    ///
    /// # Errors
    /// What the member says.
    pub fn put(
        &self,
        keys: impl IntoIterator<Item = (String, Vec<u8>)>,
    ) -> Result<(), TestingError> {
        let keys: Vec<_> = keys.into_iter().collect();
        for some in keys.chunks(PUT_AT_ONCE) {
            let puts: Vec<Value> = some
                .iter()
                .map(|(key, value)| {
                    let put = json!({ "key": BASE64.encode(key), "value": BASE64.encode(value) });
                    json!({ "request_put": put })
                })
                .collect();
            self.client.say("/v3/kv/txn", &json!({ "success": puts }))?;
        }
        Ok(())
    }

    /// Lets go of all values before a revision.
    ///
    /// # Errors
    /// What the member says.
    pub fn compact(&self, revision: u64) -> Result<(), TestingError> {
        let question = json!({ "revision": revision.to_string(), "physical": true });
        Ok(self.client.say("/v3/kv/compaction", &question)?)
    }
}

fn access(directory: &Path, endpoints: &[Endpoint]) -> Result<Access, TestingError> {
    let read = |name: &str| fs::read(directory.join(name));
    let client = Some((read("n.crt")?, Secret::new(read("n.key")?)));
    Ok(Access { endpoints: endpoints.to_vec(), ca: read("ca.crt")?, client })
}

/// Looks until it is so.
///
/// # Errors
/// [`TestingError::Wait`] after a minute.
pub fn wait_until(what: &'static str, mut is_so: impl FnMut() -> bool) -> Result<(), TestingError> {
    let until = SystemClock.monotonic() + TIMEOUT;
    while !is_so() {
        if SystemClock.monotonic() >= until {
            return Err(TestingError::Wait(what));
        }
        SystemClock.sleep(LOOK_EVERY);
    }
    Ok(())
}
