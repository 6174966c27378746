//! The edge: what users reach, and before what a rule can be put that turns them away. It stands for
//! Cloudflare: the API of its rules, as far as the plan of KOSMOS calls it, and what follows from them.
//!
//! ```text
//! user ─▶ edge ─▶ gateway          403 while there is a rule that blocks
//! plan ─▶ edge: /client/v4/zones/ZONE/firewall/custom_rules    with a token
//! ```
//!
//! Its rules lie in a file outside of the cluster, so that they outlive everything else.

use std::path::PathBuf;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use serde_json::{Value, json};
use soter_world::{OsDisk, durable};

use crate::failure::{Failure, failed};
use crate::http::{self, Request, Response};
use crate::lab::Lab;
use crate::place::secret;

/// Where its API begins.
pub(crate) const API: &str = "/client/v4/zones/";

/// What follows the zone.
const RULES: &str = "/firewall/custom_rules";

/// The zone of KOSMOS.
pub(crate) const ZONE: &str = "kosmos";

/// How long the gateway may take; longer than the gateway waits for Zeus.
const GATEWAY_TIMEOUT: Duration = Duration::from_secs(9);

/// Longest list of rules.
const RULES_BYTES_MAX: usize = 64 << 10;

/// The edge of one laboratory.
struct Edge {
    token: String,
    gateway_port: u16,
    file: PathBuf,
    rules: Mutex<Vec<Value>>,
}

/// Answers for ever.
pub(super) fn run(lab: &Lab) -> Result<(), Failure> {
    let port = lab.port("edge")?;
    let file = lab.directory("outside/edge")?.join("rules.json");
    let rules = match durable::read(&OsDisk, &file, RULES_BYTES_MAX) {
        Ok(bytes) => serde_json::from_slice(&bytes).map_err(failed("understand the rules"))?,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Vec::new(),
        Err(error) => return Err(failed("read the rules")(error)),
    };
    let gateway_port = lab.port("gateway")?;
    let token = lab.secret("edge-token")?;
    let edge = Edge { token, gateway_port, file, rules: Mutex::new(rules) };
    let listener = http::listen(port).map_err(failed(&format!("listen on port {port}")))?;
    http::serve(&listener, |request| edge.answer(request))
}

impl Edge {
    fn answer(&self, request: &Request) -> Response {
        match request.path.strip_prefix(API) {
            // As the real one: a wrong token learns nothing of what there is.
            Some(_) if !self.knows(request) => refuse(403, "Authentication error"),
            Some(rest) => self.manage(request, rest),
            None if self.is_closed() => Response::text(403, "closed by a rule of the edge"),
            None => self.pass_on(request),
        }
    }

    fn knows(&self, request: &Request) -> bool {
        request.authorization.as_deref() == Some(&format!("Bearer {}", self.token))
    }

    fn manage(&self, request: &Request, rest: &str) -> Response {
        let Some(rest) = rest.strip_prefix(ZONE).and_then(|rest| rest.strip_prefix(RULES)) else {
            return refuse(404, "there is no such zone, or nothing there");
        };
        let id = rest.strip_prefix('/');
        let mut rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        match (request.method.as_str(), id) {
            ("GET", None) => success(&json!(*rules)),
            ("POST", None) => {
                let Ok(mut rule) = serde_json::from_slice::<Value>(&request.body) else {
                    return refuse(400, "a rule is JSON");
                };
                rule["id"] = json!(secret::<8>());
                rules.push(rule.clone());
                self.keep(&rules, &rule)
            }
            ("DELETE", Some(id)) => {
                let Some(place) = rules.iter().position(|rule| rule["id"] == id) else {
                    return refuse(404, "there is no such rule");
                };
                let rule = rules.remove(place);
                self.keep(&rules, &json!({"id": rule["id"]}))
            }
            _ => refuse(404, "there is nothing here"),
        }
    }

    /// Answers when the rules are durable.
    fn keep(&self, rules: &[Value], answer: &Value) -> Response {
        match durable::write_durable(&OsDisk, &self.file, json!(rules).to_string().as_bytes()) {
            Ok(()) => success(answer),
            Err(error) => refuse(503, &error.to_string()),
        }
    }

    fn is_closed(&self) -> bool {
        let rules = self.rules.lock().unwrap_or_else(PoisonError::into_inner);
        rules.iter().any(|rule| rule["action"] == "block" && rule["expression"] == "true")
    }

    fn pass_on(&self, request: &Request) -> Response {
        let body = String::from_utf8_lossy(&request.body);
        let (method, path) = (&request.method, &request.path);
        match http::ask(self.gateway_port, method, path, &body, GATEWAY_TIMEOUT) {
            Ok((status, body)) => Response { status, kind: "application/json", body },
            Err(error) => Response::text(503, &format!("the gateway does not answer: {error}")),
        }
    }
}

fn success(result: &Value) -> Response {
    Response::json(200, &json!({"success": true, "errors": [], "result": result}))
}

fn refuse(status: u16, why: &str) -> Response {
    let errors = json!([{"code": status, "message": why}]);
    Response::json(status, &json!({"success": false, "errors": errors, "result": null}))
}
