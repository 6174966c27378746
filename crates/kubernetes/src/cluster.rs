//! A cluster that is spoken to: its client, and the runtime that the client needs.
//!
//! The rule it keeps: every request ends: with an answer, after [`ANSWER_MAX`], or when the token says so.
//! Nothing is tried again here; whoever asked knows whether it may be.

use std::pin::pin;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use http::{Method, Request};
use kube::{Client, core::Status};
use serde_json::Value;
use soter_world::Stop;
use tokio::runtime::{Builder, Runtime};

use crate::access::Access;
use crate::error::{Deed, KubernetesError};
use crate::kinds::Kinds;

/// How often a request that waits for its answer looks whether it is still wanted.
const LOOK_EVERY: Duration = Duration::from_millis(100);

/// An API server that takes longer for an answer will not give one. With the time that a program takes
/// which logs in for us.
const ANSWER_MAX: Duration = Duration::from_secs(60);

/// How long a connection may take to be there.
const CONNECT_MAX: Duration = Duration::from_secs(10);

/// A cluster.
pub struct Cluster {
    runtime: Runtime,
    client: Client,
    address: String,
    from: String,
    namespace: String,
    kinds: Mutex<Option<Arc<Kinds>>>,
}

/// One request.
pub(crate) struct Ask {
    pub(crate) method: Method,
    /// With what stands behind `?`.
    pub(crate) path: String,
    /// What is sent, and what kind of text it is.
    pub(crate) body: Option<(&'static str, Value)>,
    pub(crate) deed: Deed,
}

impl Cluster {
    /// A cluster that can be spoken to. Nothing is sent yet.
    ///
    /// # Errors
    /// When it is not known how.
    pub fn connect(access: &Access) -> Result<Self, KubernetesError> {
        let refused = |why: String| KubernetesError::Access { from: access.words(), why };
        let runtime = Builder::new_current_thread()
            .enable_all()
            .build()
            .map_err(|error| refused(error.to_string()))?;
        let (client, address, namespace) = runtime.block_on(async {
            let mut config = access.config().await?;
            config.connect_timeout = Some(CONNECT_MAX);
            config.read_timeout = Some(ANSWER_MAX);
            config.reset_reader_on_write = true;
            config.default_retry = false;
            let address = config.cluster_url.to_string().trim_end_matches('/').to_owned();
            let namespace = config.default_namespace.clone();
            let client = Client::try_from(config).map_err(|error| refused(chain(&error)))?;
            Ok((client, address, namespace))
        })?;
        let from = access.words();
        Ok(Self { runtime, client, address, from, namespace, kinds: Mutex::new(None) })
    }

    /// Where its API server is.
    #[must_use]
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The namespace of what names none.
    #[must_use]
    pub fn namespace(&self) -> &str {
        &self.namespace
    }

    /// Whether it answers, is ready, and accepts who we are.
    ///
    /// # Errors
    /// Why not.
    pub fn greet(&self, stop: &Stop) -> Result<(), KubernetesError> {
        // While it begins it answers, and does not know all of its kinds yet.
        let deed = reading("whether it is ready");
        let path = "/readyz".to_owned();
        let ask = Ask { method: Method::GET, path, body: None, deed };
        match self.ask_text(ask, stop) {
            Err(KubernetesError::Busy { deed, said }) => {
                let missing = said.lines().filter_map(|line| line.strip_prefix("[-]"));
                let missing: Vec<&str> = missing.collect();
                let said = if missing.is_empty() { said } else { missing.join(", ") };
                return Err(KubernetesError::Busy { deed, said });
            }
            // What stands before an API server may not let this through.
            Ok(_) | Err(KubernetesError::Forbidden { .. } | KubernetesError::NotFound { .. }) => {}
            Err(error) => return Err(error),
        }
        self.read("/api/v1", "the kinds of objects", stop).map(drop)
    }

    /// The kinds of objects it has; asked for until all have been told.
    pub(crate) fn kinds(&self, stop: &Stop) -> Result<Arc<Kinds>, KubernetesError> {
        let known = self.kinds.lock().unwrap_or_else(PoisonError::into_inner).clone();
        if let Some(known) = known {
            return Ok(known);
        }
        self.greet(stop)?;
        let found = Arc::new(Kinds::discover(self, stop)?);
        if found.is_whole() {
            *self.kinds.lock().unwrap_or_else(PoisonError::into_inner) = Some(Arc::clone(&found));
        }
        Ok(found)
    }

    /// What is at a path that belongs to no object.
    pub(crate) fn read(
        &self,
        path: &str,
        what: &str,
        stop: &Stop,
    ) -> Result<Value, KubernetesError> {
        let (path, deed) = (path.to_owned(), reading(what));
        self.ask(Ask { method: Method::GET, path, body: None, deed }, stop)
    }

    /// A request that is answered with JSON.
    pub(crate) fn ask(&self, ask: Ask, stop: &Stop) -> Result<Value, KubernetesError> {
        let deed = ask.deed.clone();
        let text = self.ask_text(ask, stop)?;
        serde_json::from_str(&text).map_err(|error| KubernetesError::Unreadable {
            deed: Box::new(deed),
            why: error.to_string(),
        })
    }

    /// A request that is answered with a text.
    pub(crate) fn ask_text(&self, ask: Ask, stop: &Stop) -> Result<String, KubernetesError> {
        let Ask { method, path, body, deed } = ask;
        let mut request = Request::builder().method(method).uri(path);
        let mut bytes = Vec::new();
        if let Some((kind, value)) = body {
            request = request.header(http::header::CONTENT_TYPE, kind);
            bytes = value.to_string().into_bytes();
        }
        let request = request
            .body(bytes)
            .map_err(|error| KubernetesError::Input(format!("cannot {deed}: {error}")))?;
        let answered = self.runtime.block_on(async {
            let mut asked = pin!(self.client.request_text(request));
            let mut waited = Duration::ZERO;
            loop {
                match tokio::time::timeout(LOOK_EVERY, asked.as_mut()).await {
                    Ok(answer) => return Some(answer),
                    Err(_) if stop.is_stopped() || waited > ANSWER_MAX => return None,
                    Err(_) => waited += LOOK_EVERY,
                }
            }
        });
        match answered {
            Some(Ok(text)) => Ok(text),
            Some(Err(error)) => Err(self.understood(error, deed)),
            None if stop.is_stopped() => Err(KubernetesError::Stopped(deed.to_string())),
            None => {
                let why = format!("{} seconds have passed", ANSWER_MAX.as_secs());
                Err(self.no_answer(deed, why))
            }
        }
    }

    fn no_answer(&self, deed: Deed, why: String) -> KubernetesError {
        KubernetesError::NoAnswer { address: self.address.clone(), deed: Box::new(deed), why }
    }

    fn understood(&self, error: kube::Error, deed: Deed) -> KubernetesError {
        match error {
            kube::Error::Api(status) => self.refused(&status, deed),
            kube::Error::FromUtf8(error) => {
                KubernetesError::Unreadable { deed: Box::new(deed), why: error.to_string() }
            }
            kube::Error::Auth(_) => KubernetesError::Unknown {
                address: self.address.clone(),
                from: self.from.clone(),
                said: chain(&error),
            },
            error if was_not_sent(&error) => {
                KubernetesError::Unreachable { address: self.address.clone(), why: chain(&error) }
            }
            error => self.no_answer(deed, chain(&error)),
        }
    }

    fn refused(&self, status: &Status, deed: Deed) -> KubernetesError {
        let said = match status.message.trim() {
            "" => format!("status {}", status.code),
            message => message.to_owned(),
        };
        match status.code {
            401 => KubernetesError::Unknown {
                address: self.address.clone(),
                from: self.from.clone(),
                said,
            },
            403 => {
                KubernetesError::Forbidden { deed: Box::new(deed), from: self.from.clone(), said }
            }
            404 => KubernetesError::NotFound { what: format!("cannot {deed}: {said}"), near: None },
            408 | 409 | 425 | 429 | 500..=599 => {
                KubernetesError::Busy { deed: Box::new(deed), said }
            }
            _ => KubernetesError::Refused { deed: Box::new(deed), said },
        }
    }
}

/// To read something that is no object.
pub(crate) fn reading(what: &str) -> Deed {
    let what = what.to_owned();
    Deed { verb: "read", what, name: None, namespace: None, changes: false }
}

/// Whether the connection never came to be, so that nothing can have been done.
fn was_not_sent(error: &kube::Error) -> bool {
    let mut source: Option<&(dyn std::error::Error + 'static)> = Some(error);
    while let Some(error) = source {
        if let Some(error) = error.downcast_ref::<hyper_util::client::legacy::Error>() {
            return error.is_connect();
        }
        source = error.source();
    }
    false
}

/// An error and all it came from, each said once.
fn chain(error: &dyn std::error::Error) -> String {
    let mut words: Vec<String> = Vec::new();
    let mut source = Some(error);
    while let Some(error) = source {
        let said = error.to_string();
        source = error.source();
        // Errors of the client repeat their cause; the innermost says it without a preface.
        if source.is_none() || !source.is_some_and(|cause| said.contains(&cause.to_string())) {
            words.push(said);
        }
    }
    words.dedup();
    words.join(": ")
}
