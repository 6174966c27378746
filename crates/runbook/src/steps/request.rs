//! A step that is a request.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use soter_world::Secret;

use super::attempts::{Work, in_words, redactor};
use super::http::{HttpError, Request, Response};
use super::real::Tools;
use crate::driver::{Attempt, Outcome};
use crate::procedure::{Http, Parameters};

/// How long a request has if its step does not say. Longer than any proxy waits by itself.
const TIMEOUT_DEFAULT: Duration = Duration::from_secs(120);

/// How much of an answer stands in a message.
const SHOWN_BYTES: usize = 300;

/// A request with everything filled in.
pub(super) struct Filled {
    method: String,
    url: String,
    body: Option<String>,
    right: Option<Secret<String>>,
    status: Option<u32>,
}

/// Fills in what a request leaves open.
pub(super) fn fill(tools: &Tools, http: &Http, parameters: &Parameters) -> Result<Filled, String> {
    let text = |text: &str| parameters.fill(text).map_err(|error| error.to_string());
    let right = http.with.as_deref().map(|name| (tools.credential)(name)).transpose()?;
    Ok(Filled {
        method: http.method.clone(),
        url: tools.place.bindings.url(&text(&http.url)?),
        body: http.body.as_deref().map(text).transpose()?,
        right,
        status: http.status,
    })
}

impl Filled {
    pub(super) fn send(&self, tools: &Tools, timeout: Duration) -> Result<Response, HttpError> {
        let looks_like_json = |body: &String| body.trim_start().starts_with(['{', '[']);
        let content_type = self.body.as_ref().map(|body| {
            if looks_like_json(body) { "application/json" } else { "text/plain; charset=utf-8" }
        });
        tools.requests.send(&Request {
            method: &self.method,
            url: &self.url,
            body: self.body.as_deref(),
            content_type,
            right: self.right.as_ref(),
            timeout,
        })
    }

    /// Whether a status is a success.
    pub(super) fn is_success(&self, status: u16) -> bool {
        match self.status {
            Some(wanted) => u32::from(status) == wanted,
            None => (200..300).contains(&status),
        }
    }

    /// `answered 503, not 200: beginning of the answer`
    pub(super) fn answered(&self, response: &Response) -> String {
        let wanted =
            self.status.map_or_else(|| "200 to 299".to_owned(), |status| status.to_string());
        let body: String = response.body.trim().chars().take(SHOWN_BYTES).collect();
        let body = if body.is_empty() { body } else { format!(": {body}") };
        if self.is_success(response.status) {
            format!("answered {}{body}", response.status)
        } else {
            format!("answered {}, not {wanted}{body}", response.status)
        }
    }

    /// What may not be shown of it.
    pub(super) fn secrets(&self) -> impl Iterator<Item = &str> {
        self.right.iter().map(|right| right.expose().as_str())
    }

    /// `POST https://…`, without what stands behind `?`, where keys are put.
    pub(super) fn title(&self) -> String {
        let url = self.url.split(['?', '#']).next().unwrap_or_default();
        format!("{} {url}", self.method)
    }
}

/// How a request is carried out.
pub(super) fn work(tools: &Tools, attempt: &Attempt, http: &Http) -> Result<Work, String> {
    let filled = fill(tools, http, &attempt.parameters)?;
    let timeout = attempt.step.timeout.unwrap_or(TIMEOUT_DEFAULT);
    let (tools, parameters) = (tools.clone(), Arc::clone(&attempt.parameters));
    Ok(Work::Here(Box::new(move |_| {
        let sent = filled.send(&tools, timeout);
        let secrets = tools.place.bindings.secrets().chain(filled.secrets());
        let redactor = redactor(&parameters, secrets);
        let words = |words: &str| redactor.cover_text(&format!("{} {words}", filled.title()));
        match sent {
            Ok(response) if filled.is_success(response.status) => {
                Outcome::Done { outputs: BTreeMap::new(), captured: Vec::new() }
            }
            Ok(response) => Outcome::Failed(words(&filled.answered(&response))),
            Err(error @ HttpError::NoAnswer(_)) => Outcome::Unknown(words(&in_words(&error))),
            Err(error) => Outcome::Failed(words(&format!("was not sent: {}", in_words(&error)))),
        }
    })))
}
