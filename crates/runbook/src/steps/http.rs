//! Requests over HTTP and HTTPS.
//!
//! The rule it keeps: a request ends in the time it has, whatever the other side does, and what is read
//! of an answer has a limit. Servers are believed by certificates that were named, else by those of
//! this machine; never without.

use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use soter_world::{Disk, Secret, durable};
use thiserror::Error;
use ureq::Agent;
use ureq::http;
use ureq::tls::{Certificate, PemItem, RootCerts, TlsConfig, parse_pem};

/// Where systems keep the certificates of those they trust; the first that is there is taken.
const BUNDLES: &[&str] = &[
    "/etc/ssl/certs/ca-certificates.crt",
    "/etc/pki/tls/certs/ca-bundle.crt",
    "/etc/ssl/ca-bundle.pem",
    "/etc/ssl/cert.pem",
];

/// A bundle of a system has about 250 KiB.
const BUNDLE_BYTES_MAX: usize = 16 << 20;

/// How much of an answer is read: what a probe compares is short, and evidence is shorter.
const BODY_BYTES_MAX: u64 = 64 << 10;

/// A machine that lets nobody connect for so long is not there; then nothing was sent.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// How often a question is sent on to another address. What changes something is never sent on.
const REDIRECTS_MAX: u32 = 5;

/// What is asked.
#[derive(Debug)]
pub struct Request<'r> {
    /// GET, POST, …
    pub method: &'r str,
    /// Where.
    pub url: &'r str,
    /// What is sent.
    pub body: Option<&'r str>,
    /// What the body is.
    pub content_type: Option<&'r str>,
    /// With which right: a token, or a whole value of `Authorization` with its scheme.
    pub right: Option<&'r Secret<String>>,
    /// It ends after so long.
    pub timeout: Duration,
}

/// What was answered.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Response {
    /// The status.
    pub status: u16,
    /// The beginning of the body.
    pub body: String,
    /// Whether that is all of it.
    pub is_whole: bool,
}

/// Why there is no answer.
#[derive(Debug, Error)]
pub enum HttpError {
    /// The certificates to believe cannot be read.
    #[error("cannot read the certificates in {}", path.display())]
    Certificates {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: std::io::Error,
    },
    /// There are none.
    #[error("{} holds no certificate: name a file in PEM", .0.display())]
    NoCertificate(PathBuf),
    /// This machine has no certificates to believe.
    #[error("this machine has no list of certificates to believe: name a file with `ca_file`")]
    NoBundle,
    /// The request cannot be one.
    #[error("it is no request")]
    NoRequest(#[source] Box<ureq::Error>),
    /// Nothing was sent: nobody answers there, or they are not who they should be.
    #[error("{0}")]
    NotSent(String),
    /// It may have been carried out: it was sent, and no whole answer came.
    #[error("{0}; whether it was carried out is unknown")]
    NoAnswer(String),
}

/// Sends requests.
pub struct Requests {
    disk: Arc<dyn Disk>,
    ca_file: Option<PathBuf>,
    agent: OnceLock<Agent>,
}

impl Requests {
    /// Believes those that the file vouches for, else this machine's own. They are read with the first
    /// request that needs them.
    #[must_use]
    pub fn new(disk: Arc<dyn Disk>, ca_file: Option<PathBuf>) -> Self {
        Self { disk, ca_file, agent: OnceLock::new() }
    }

    /// Sends one and waits for the answer.
    ///
    /// # Errors
    /// When none came. [`HttpError::NoAnswer`] if it may have been carried out all the same.
    pub fn send(&self, request: &Request<'_>) -> Result<Response, HttpError> {
        let is_question = matches!(request.method, "GET" | "HEAD" | "OPTIONS");
        let mut builder = http::Request::builder().method(request.method).uri(request.url);
        if let Some(kind) = request.content_type {
            builder = builder.header("content-type", kind);
        }
        if let Some(right) = request.right {
            builder = builder.header("authorization", authorization(right.expose()));
        }
        let body = request.body.unwrap_or_default().to_owned();
        let no_request = |error: http::Error| HttpError::NoRequest(Box::new(error.into()));
        let agent = self.agent(request.url.starts_with("https:"))?;
        let sent = if request.body.is_some() {
            let request_ = builder.body(body).map_err(no_request)?;
            agent.run(configured(&agent, request_, request.timeout, is_question))
        } else {
            let request_ = builder.body(()).map_err(no_request)?;
            agent.run(configured(&agent, request_, request.timeout, is_question))
        };
        let mut response = sent.map_err(|error| classify(error, is_question))?;
        let status = response.status().as_u16();
        let mut bytes = Vec::new();
        let read = response.body_mut().as_reader().take(BODY_BYTES_MAX + 1).read_to_end(&mut bytes);
        // The status has come: what is missing of the body does not make that unknown.
        let is_whole = read.is_ok_and(|length| length as u64 <= BODY_BYTES_MAX);
        bytes.truncate(usize::try_from(BODY_BYTES_MAX).unwrap_or(usize::MAX));
        Ok(Response { status, body: String::from_utf8_lossy(&bytes).into_owned(), is_whole })
    }

    fn agent(&self, needs_certificates: bool) -> Result<Agent, HttpError> {
        if let Some(agent) = self.agent.get() {
            return Ok(agent.clone());
        }
        let certificates = match self.certificates() {
            Ok(certificates) => certificates,
            Err(error) if needs_certificates => return Err(error),
            // Sent on to https it believes nobody; the next one tries to read them again.
            Err(_) => return Ok(agent_with(Vec::new())),
        };
        Ok(self.agent.get_or_init(|| agent_with(certificates)).clone())
    }

    fn certificates(&self) -> Result<Vec<Certificate<'static>>, HttpError> {
        if let Some(path) = &self.ca_file {
            return self.read_certificates(path);
        }
        let is_there = |path: &&&str| self.disk.open(Path::new(path)).is_ok();
        let bundle = BUNDLES.iter().find(is_there).ok_or(HttpError::NoBundle)?;
        self.read_certificates(Path::new(bundle))
    }

    fn read_certificates(&self, path: &Path) -> Result<Vec<Certificate<'static>>, HttpError> {
        let pem = durable::read(&*self.disk, path, BUNDLE_BYTES_MAX)
            .map_err(|source| HttpError::Certificates { path: path.to_owned(), source })?;
        let certificates: Vec<_> = parse_pem(&pem)
            .filter_map(|item| match item {
                Ok(PemItem::Certificate(certificate)) => Some(certificate),
                _ => None,
            })
            .collect();
        if certificates.is_empty() {
            return Err(HttpError::NoCertificate(path.to_owned()));
        }
        Ok(certificates)
    }
}

fn agent_with(certificates: Vec<Certificate<'static>>) -> Agent {
    let provider = rustls::crypto::aws_lc_rs::default_provider();
    let tls = TlsConfig::builder()
        .root_certs(RootCerts::from(certificates))
        .unversioned_rustls_crypto_provider(Arc::new(provider))
        .build();
    // No proxy from the environment: what a run does must not depend on a shell's settings.
    let config = Agent::config_builder()
        .http_status_as_error(false)
        .max_redirects_will_error(false)
        .allow_non_standard_methods(true)
        .user_agent("soter")
        .proxy(None)
        // A connection that was kept may be to a server that is gone.
        .max_idle_connections(0)
        .tls_config(tls);
    config.build().into()
}

fn configured<B: ureq::AsSendBody>(
    agent: &Agent,
    request: http::Request<B>,
    timeout: Duration,
    is_question: bool,
) -> http::Request<B> {
    let redirects = if is_question { REDIRECTS_MAX } else { 0 };
    agent
        .configure_request(request)
        .timeout_global(Some(timeout))
        .timeout_connect(Some(timeout.min(CONNECT_MAX)))
        .max_redirects(redirects)
        .build()
}

/// Before a connection stood nothing was sent; a question changes nothing either way.
fn classify(error: ureq::Error, is_question: bool) -> HttpError {
    use ureq::Error::{
        BadUri, ConnectionFailed, HostNotFound, Http, Io, Pem, Rustls, Timeout, Tls,
    };
    let words = match &error {
        Io(source) => source.to_string(),
        HostNotFound => "no machine of that name is found".to_owned(),
        Timeout(_) => "no answer in time".to_owned(),
        other => other.to_string(),
    };
    let before = match &error {
        BadUri(_) | Http(_) => return HttpError::NoRequest(Box::new(error)),
        HostNotFound | ConnectionFailed | Tls(_) | Rustls(_) | Pem(_) => true,
        Timeout(ureq::Timeout::Resolve | ureq::Timeout::Connect) => true,
        Io(source) => source.kind() == std::io::ErrorKind::ConnectionRefused,
        _ => false,
    };
    if before || is_question { HttpError::NotSent(words) } else { HttpError::NoAnswer(words) }
}

/// A value with its scheme (`Basic …`) is sent as it is, any other as a token.
fn authorization(right: &str) -> String {
    let right = right.trim();
    let has_scheme = right.split_once(' ').is_some_and(|(scheme, _)| {
        ["basic", "bearer", "digest", "token"].contains(&scheme.to_ascii_lowercase().as_str())
    });
    if has_scheme { right.to_owned() } else { format!("Bearer {right}") }
}

#[cfg(test)]
pub(super) mod tests;
