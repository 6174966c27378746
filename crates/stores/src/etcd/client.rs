//! Asking an etcd: one member after the other until one answers.

use std::io::{self, Read};
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use base64::Engine;
use base64::engine::general_purpose::STANDARD as BASE64;
use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};
use soter_world::Secret;
use ureq::Agent;
use ureq::tls::{Certificate, ClientCert, PemItem, PrivateKey, RootCerts, TlsConfig, TlsProvider};

use crate::etcd::gateway::{self, Complaint};
use crate::etcd::socket::{NoNames, ToSocket};
use crate::etcd::{Access, CheckedSnapshot, Endpoint, EtcdError, SnapshotStream};

/// A member that does not answer within this is asked no more: another one is next.
const CONNECT_TIMEOUT: Duration = Duration::from_secs(5);

/// A plain answer takes a member milliseconds; one that hangs is as good as down.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(30);

/// How long a snapshot may pause between two reads. The whole may take what it takes.
const READ_TIMEOUT: Duration = Duration::from_secs(60);

/// A longer plain answer is refused: a list of members has a few KiB.
const ANSWER_LENGTH_MAX: u64 = 1 << 20;

/// A longer page of measurements is refused: etcd's has about 150 KiB.
const METRICS_LENGTH_MAX: u64 = 4 << 20;

/// How large a member's database may become, as its measurements name it.
const QUOTA: &str = "etcd_server_quota_backend_bytes ";

/// A snapshot is handed on in pieces of this length.
const PIECE_LENGTH: usize = 1 << 20;

/// The member that was asked, as it describes itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Status {
    /// Version of its program.
    pub version: String,
    /// Size of its database, with what is free in it.
    pub database_bytes: u64,
    /// Revision of the newest change it knows.
    pub revision: u64,
    /// The cluster.
    pub cluster: u64,
    /// The member.
    pub member: u64,
    /// The member that leads; 0 if none does, and then nothing can be changed.
    pub leader: u64,
}

/// A member of the cluster.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Member {
    /// Its number.
    #[serde(rename = "ID", deserialize_with = "gateway::number")]
    pub id: u64,
    /// Its name; empty before it has started.
    #[serde(default)]
    pub name: String,
    /// Where other members reach it.
    #[serde(rename = "peerURLs", default)]
    pub peer_urls: Vec<String>,
    /// Where clients reach it.
    #[serde(rename = "clientURLs", default)]
    pub client_urls: Vec<String>,
}

/// Something that an etcd raises the alarm about; it says so until somebody disarms it.
#[derive(Debug, Clone, PartialEq, Eq, Deserialize)]
pub struct Alarm {
    /// The member it is about.
    #[serde(rename = "memberID", default, deserialize_with = "gateway::number")]
    pub member: u64,
    /// `NOSPACE`: the database is as large as it may become, and takes no writes. `CORRUPT`: members
    /// have different data.
    #[serde(rename = "alarm", default)]
    pub kind: String,
}

/// An etcd.
pub struct Client {
    agent: Agent,
    endpoints: Vec<Endpoint>,
}

impl std::fmt::Debug for Client {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.debug_struct("Client").field("endpoints", &self.endpoints).finish_non_exhaustive()
    }
}

#[derive(Deserialize)]
struct Header {
    #[serde(deserialize_with = "gateway::number")]
    cluster_id: u64,
    #[serde(deserialize_with = "gateway::number")]
    member_id: u64,
    #[serde(default, deserialize_with = "gateway::number")]
    revision: u64,
}

#[derive(Deserialize)]
struct StatusAnswer {
    header: Header,
    version: String,
    #[serde(rename = "dbSize", default, deserialize_with = "gateway::number")]
    database_bytes: u64,
    #[serde(default, deserialize_with = "gateway::number")]
    leader: u64,
}

#[derive(Deserialize)]
struct MembersAnswer {
    members: Vec<Member>,
}

#[derive(Deserialize)]
struct AlarmsAnswer {
    #[serde(default)]
    alarms: Vec<Alarm>,
}

#[derive(Deserialize)]
struct KeysAnswer {
    #[serde(default)]
    kvs: Vec<KeyAnswer>,
}

#[derive(Deserialize)]
struct KeyAnswer {
    key: String,
}

#[derive(Deserialize)]
struct CountAnswer {
    #[serde(default, deserialize_with = "gateway::number")]
    count: u64,
}

impl Client {
    /// For asking an etcd so. Nothing is asked yet.
    ///
    /// # Errors
    /// [`EtcdError::Certificate`].
    pub fn new(access: &Access) -> Result<Self, EtcdError> {
        let config = Agent::config_builder()
            .tls_config(tls(access)?)
            // A proxy of the environment is for the internet, not for the cluster beside us.
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .timeout_connect(Some(CONNECT_TIMEOUT))
            .timeout_recv_response(Some(ANSWER_TIMEOUT))
            .timeout_per_read(Some(READ_TIMEOUT))
            .build();
        Ok(Self { agent: config.new_agent(), endpoints: access.endpoints.clone() })
    }

    /// For asking one member over a Unix socket.
    pub(in crate::etcd) fn over_socket(path: &Path) -> Self {
        let config = Agent::config_builder()
            .proxy(None)
            .max_redirects(0)
            .http_status_as_error(false)
            .build();
        let agent = Agent::with_parts(config, ToSocket(path.to_owned()), NoNames);
        let endpoint = "http://scratch:1".parse().expect("it is a scheme, a host and a port");
        Self { agent, endpoints: vec![endpoint] }
    }

    /// The first member that answers describes itself.
    ///
    /// # Errors
    /// [`EtcdError::NoMember`].
    pub fn status(&self) -> Result<(Endpoint, Status), EtcdError> {
        self.first(|endpoint| self.status_of(endpoint))
    }

    /// A member describes itself.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub fn status_of(&self, endpoint: &Endpoint) -> Result<Status, EtcdError> {
        let answer: StatusAnswer = self.ask(endpoint, "/v3/maintenance/status", &json!({}))?;
        Ok(Status {
            version: answer.version,
            database_bytes: answer.database_bytes,
            revision: answer.header.revision,
            cluster: answer.header.cluster_id,
            member: answer.header.member_id,
            leader: answer.leader,
        })
    }

    /// The members of the cluster.
    ///
    /// # Errors
    /// [`EtcdError::NoMember`].
    pub fn members(&self) -> Result<Vec<Member>, EtcdError> {
        let ask = |endpoint: &Endpoint| {
            self.ask::<MembersAnswer>(endpoint, "/v3/cluster/member/list", &json!({}))
        };
        self.first(ask).map(|(_, answer)| answer.members)
    }

    /// What the cluster raises the alarm about.
    ///
    /// # Errors
    /// [`EtcdError::NoMember`].
    pub fn alarms(&self) -> Result<Vec<Alarm>, EtcdError> {
        let question = json!({ "action": "GET" });
        let ask = |endpoint: &Endpoint| {
            self.ask::<AlarmsAnswer>(endpoint, "/v3/maintenance/alarm", &question)
        };
        self.first(ask).map(|(_, answer)| answer.alarms)
    }

    /// How large a member's database may become; none if the member does not say. It stands in no
    /// answer but among its measurements.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub fn quota_bytes(&self, endpoint: &Endpoint) -> Result<Option<u64>, EtcdError> {
        let response = self.agent.get(format!("{endpoint}/metrics")).call();
        let mut page = String::new();
        let body = answered(endpoint, response)?;
        let read = body.take(METRICS_LENGTH_MAX).read_to_string(&mut page);
        read.map_err(|error| broken(endpoint, &error))?;
        Ok(page.lines().find_map(|line| line.strip_prefix(QUOTA)).and_then(whole_number))
    }

    /// How many keys begin so; with an empty prefix, all.
    ///
    /// # Errors
    /// [`EtcdError::NoMember`].
    pub fn count_keys(&self, prefix: &[u8]) -> Result<u64, EtcdError> {
        let (from, to) = range_of(prefix);
        let question = json!({
            "key": BASE64.encode(from), "range_end": BASE64.encode(to), "count_only": true,
        });
        let ask =
            |endpoint: &Endpoint| self.ask::<CountAnswer>(endpoint, "/v3/kv/range", &question);
        self.first(ask).map(|(_, answer)| answer.count)
    }

    /// Takes a snapshot of one member and hands it on piece by piece. What was handed on counts only
    /// when this returns without an error.
    ///
    /// # Errors
    /// See [`EtcdError`]: [`EtcdError::Damaged`] when the server's hash is not that of what arrived.
    pub fn snapshot(
        &self,
        endpoint: &Endpoint,
        sink: &mut dyn FnMut(&[u8]) -> io::Result<()>,
    ) -> Result<CheckedSnapshot, EtcdError> {
        let mut stream = self.open_snapshot(endpoint)?;
        let mut buffer = vec![0; PIECE_LENGTH];
        loop {
            let length = stream.read(&mut buffer)?;
            sink(&buffer[..length]).map_err(EtcdError::Disk)?;
            if length < buffer.len() {
                return stream.finish();
            }
        }
    }

    /// Has one member begin a snapshot: what it has committed when this returns is in it.
    ///
    /// # Errors
    /// See [`EtcdError`].
    pub fn open_snapshot(&self, endpoint: &Endpoint) -> Result<SnapshotStream, EtcdError> {
        let body = self.post(endpoint, "/v3/maintenance/snapshot", &json!({}))?;
        SnapshotStream::begin(endpoint.clone(), body)
    }

    /// How many keys lie in a range at a revision, by what this member has.
    ///
    /// # Errors
    /// See [`EtcdError`]; [`EtcdError::is_compacted`] when the revision is not there any more.
    pub fn count_at(
        &self,
        endpoint: &Endpoint,
        (from, to): (&[u8], &[u8]),
        revision: u64,
    ) -> Result<u64, EtcdError> {
        let question = json!({
            "key": BASE64.encode(from), "range_end": BASE64.encode(to), "count_only": true,
            "revision": revision.to_string(), "serializable": true,
        });
        let answer: CountAnswer = self.ask(endpoint, "/v3/kv/range", &question)?;
        Ok(answer.count)
    }

    /// The first key at or behind this one at a revision, by what this member has.
    ///
    /// # Errors
    /// See [`EtcdError`]; [`EtcdError::is_compacted`] when the revision is not there any more.
    pub fn key_at(
        &self,
        endpoint: &Endpoint,
        from: &[u8],
        revision: u64,
    ) -> Result<Option<Vec<u8>>, EtcdError> {
        let question = json!({
            "key": BASE64.encode(from), "range_end": BASE64.encode([0]), "keys_only": true,
            "limit": "1", "revision": revision.to_string(), "serializable": true,
        });
        let answer: KeysAnswer = self.ask(endpoint, "/v3/kv/range", &question)?;
        let Some(first) = answer.kvs.into_iter().next() else { return Ok(None) };
        let key = BASE64.decode(&first.key);
        key.map(Some).map_err(|error| senseless(endpoint, error.to_string()))
    }

    /// Tells the first member that answers to do something.
    pub(crate) fn say(&self, path: &str, order: &Value) -> Result<(), EtcdError> {
        self.first(|endpoint| self.ask::<Value>(endpoint, path, order)).map(drop)
    }

    /// What the first member that answers says.
    fn first<T>(
        &self,
        mut ask: impl FnMut(&Endpoint) -> Result<T, EtcdError>,
    ) -> Result<(Endpoint, T), EtcdError> {
        let mut tried = Vec::new();
        for endpoint in &self.endpoints {
            match ask(endpoint) {
                Ok(answer) => return Ok((endpoint.clone(), answer)),
                Err(error) => tried.push((endpoint.clone(), Box::new(error))),
            }
        }
        Err(EtcdError::NoMember(tried))
    }

    fn ask<T: DeserializeOwned>(
        &self,
        endpoint: &Endpoint,
        path: &str,
        question: &Value,
    ) -> Result<T, EtcdError> {
        let mut bytes = Vec::new();
        let answer = self.post(endpoint, path, question)?;
        let read = answer.take(ANSWER_LENGTH_MAX).read_to_end(&mut bytes);
        read.map_err(|error| broken(endpoint, &error))?;
        serde_json::from_slice(&bytes).map_err(|error| senseless(endpoint, error.to_string()))
    }

    /// The answer's bytes, if the member does not refuse.
    fn post(
        &self,
        endpoint: &Endpoint,
        path: &str,
        question: &Value,
    ) -> Result<impl Read + Send + use<>, EtcdError> {
        let request = self.agent.post(format!("{endpoint}{path}"));
        answered(endpoint, request.content_type("application/json").send(question.to_string()))
    }
}

/// The body of an answer that is no refusal.
fn answered(
    endpoint: &Endpoint,
    response: Result<ureq::http::Response<ureq::Body>, ureq::Error>,
) -> Result<impl Read + Send + use<>, EtcdError> {
    let response = response.map_err(|error| EtcdError::Connection {
        endpoint: endpoint.clone(),
        reason: error.to_string(),
    })?;
    let status = response.status();
    let mut body = response.into_body().into_reader();
    if status.is_success() {
        return Ok(body);
    }
    let mut bytes = Vec::new();
    // What cannot be read any more is a refusal without words.
    drop(body.by_ref().take(ANSWER_LENGTH_MAX).read_to_end(&mut bytes));
    let complaint = serde_json::from_slice(&bytes).unwrap_or_else(|_| Complaint {
        code: i64::from(status.as_u16()),
        message: format!("HTTP {status}"),
    });
    let Complaint { code, message } = complaint;
    Err(EtcdError::Refused { endpoint: endpoint.clone(), code, message })
}

/// A number of bytes as measurements have it: `2.147483648e+09`.
fn whole_number(text: &str) -> Option<u64> {
    let (digits, exponent) = text.trim().split_once("e+").unwrap_or((text.trim(), "0"));
    let (whole, part) = digits.split_once('.').unwrap_or((digits, ""));
    let exponent: usize = exponent.parse().ok()?;
    let part = if part.chars().all(|digit| digit == '0') { "" } else { part };
    let zeros = exponent.checked_sub(part.len())?;
    let digits = format!("{whole}{part}{}", "0".repeat(zeros.min(20)));
    digits.parse().ok()
}

fn broken(endpoint: &Endpoint, error: &io::Error) -> EtcdError {
    EtcdError::Connection { endpoint: endpoint.clone(), reason: error.to_string() }
}

fn senseless(endpoint: &Endpoint, reason: String) -> EtcdError {
    EtcdError::Senseless { endpoint: endpoint.clone(), reason }
}

/// The first key that begins so, and the first behind all that do; one zero byte each stands for the
/// beginning and the end of everything.
fn range_of(prefix: &[u8]) -> (Vec<u8>, Vec<u8>) {
    let mut end = prefix.to_vec();
    while end.last() == Some(&u8::MAX) {
        end.pop();
    }
    match end.last_mut() {
        Some(last) => *last += 1,
        None => end.push(0),
    }
    let from = if prefix.is_empty() { vec![0] } else { prefix.to_vec() };
    (from, end)
}

fn tls(access: &Access) -> Result<TlsConfig, EtcdError> {
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let client = match &access.client {
        Some((chain, key)) => {
            let chain = certificates("client's certificate", chain)?;
            Some(ClientCert::new_with_certs(&chain, private_key(key)?))
        }
        None => None,
    };
    let roots = if access.ca.is_empty() { Vec::new() } else { certificates("ca", &access.ca)? };
    Ok(TlsConfig::builder()
        .provider(TlsProvider::Rustls)
        .unversioned_rustls_crypto_provider(provider)
        .root_certs(RootCerts::new_with_certs(&roots))
        .client_cert(client)
        .build())
}

fn certificates(what: &'static str, pem: &[u8]) -> Result<Vec<Certificate<'static>>, EtcdError> {
    let wrong = |reason: String| EtcdError::Certificate { what, reason };
    let mut found = Vec::new();
    for item in ureq::tls::parse_pem(pem) {
        if let PemItem::Certificate(certificate) = item.map_err(|error| wrong(error.to_string()))? {
            found.push(certificate);
        }
    }
    if found.is_empty() {
        Err(wrong("there is no certificate in it".to_owned()))
    } else {
        Ok(found)
    }
}

fn private_key(pem: &Secret<Vec<u8>>) -> Result<PrivateKey<'static>, EtcdError> {
    PrivateKey::from_pem(pem.expose())
        .map_err(|error| EtcdError::Certificate { what: "client's key", reason: error.to_string() })
}

#[cfg(test)]
mod tests;
