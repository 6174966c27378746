//! The two services of the laboratory, and the edge before them. They keep nothing: what they need is
//! PostgreSQL, NATS, and one the other; without it they say 503 and which it is.
//!
//! ```text
//! client ─▶ edge ─▶ gateway ─▶ zeus ─▶ PostgreSQL: conversations
//!                      │         └──▶ NATS: stream agents
//!                      └─▶ PostgreSQL: agent_sessions
//! ```
//!
//! An answer 200 to work means that its row is committed, which with a synchronous agent means: in
//! the vault. A commit that waits longer than the client does was never acknowledged.

mod database;
pub(crate) mod edge;
mod gateway;
mod zeus;

use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use serde_json::json;

use self::database::Database;
use self::gateway::Gateway;
use self::zeus::Zeus;
use crate::failure::{Failure, failed};
use crate::http::{self, Request, Response};
use crate::lab::Lab;

/// How long a part that a service needs may take to answer.
const NEED_TIMEOUT: Duration = Duration::from_secs(3);

/// How long a commit may take, which the vault may have to confirm.
const WORK_TIMEOUT: Duration = Duration::from_secs(8);

/// Which service to be.
#[derive(Debug, Clone, Copy, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Service {
    /// Takes work: a row in PostgreSQL, a message in NATS.
    Zeus,
    /// The way in for users: a row of its own, then Zeus.
    Gateway,
    /// What stands before it: somebody else's, outside of the cluster.
    Edge,
}

/// Something that a service needs does not work. The sentence names it.
#[derive(Debug)]
struct Unavailable(String);

/// What was asked how often, for Prometheus.
#[derive(Debug, Default)]
struct Counters {
    answered: AtomicU64,
    unavailable: AtomicU64,
}

/// What a service does.
trait Serve: Sync {
    /// Whether all works that it needs.
    fn health(&self) -> Result<(), Unavailable>;

    /// Does what a request asks for; `None` when it has no such place.
    fn work(&self, request: &Request) -> Option<Result<Response, Unavailable>>;
}

/// Runs a service for ever.
pub(crate) fn run(lab: &Lab, which: Service) -> Result<(), Failure> {
    if which == Service::Edge {
        return edge::run(lab);
    }
    let database = Database::new(&lab.address("postgres")?, which.name())?;
    let port = lab.port(which.name())?;
    let listener = http::listen(port).map_err(failed(&format!("listen on port {port}")))?;
    let counters = Counters::default();
    match which {
        Service::Zeus => {
            let zeus = Zeus::new(database, lab.port("nats")?);
            http::serve(&listener, |request| answer(which, &zeus, &counters, request))
        }
        Service::Gateway | Service::Edge => {
            let gateway = Gateway::new(database, lab.port("zeus")?);
            http::serve(&listener, |request| answer(which, &gateway, &counters, request))
        }
    }
}

impl Service {
    /// Its name in the laboratory.
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Zeus => "zeus",
            Self::Gateway => "gateway",
            Self::Edge => "edge",
        }
    }
}

fn answer(
    which: Service,
    service: &impl Serve,
    counters: &Counters,
    request: &Request,
) -> Response {
    let outcome = match (request.method.as_str(), request.path.as_str()) {
        ("GET", "/metrics") => return counters.show(which),
        ("GET", "/health") => service
            .health()
            .map(|()| Response::json(200, &json!({"service": which.name(), "status": "healthy"}))),
        _ => match service.work(request) {
            Some(outcome) => outcome,
            None => return Response::text(404, "there is nothing here"),
        },
    };
    match outcome {
        Ok(response) => {
            counters.answered.fetch_add(1, Ordering::Relaxed);
            response
        }
        Err(Unavailable(why)) => {
            counters.unavailable.fetch_add(1, Ordering::Relaxed);
            let says = json!({"service": which.name(), "status": "unavailable", "why": why});
            Response::json(503, &says)
        }
    }
}

impl Counters {
    fn show(&self, which: Service) -> Response {
        let name = which.name();
        let line = |code: &str, count: &AtomicU64| {
            let count = count.load(Ordering::Relaxed);
            format!("kosmos_requests_total{{service=\"{name}\",answer=\"{code}\"}} {count}\n")
        };
        let mut text = "# HELP kosmos_requests_total Requests that were answered.\n\
                        # TYPE kosmos_requests_total counter\n"
            .to_owned();
        text.push_str(&line("done", &self.answered));
        text.push_str(&line("unavailable", &self.unavailable));
        Response { status: 200, kind: "text/plain; version=0.0.4", body: text }
    }
}
