//! Zeus: each piece of work is a row in PostgreSQL, then a message for the agents.

use serde_json::json;

use super::{Database, NEED_TIMEOUT, Serve, Unavailable};
use crate::http::{Request, Response};
use crate::nats::Nats;

/// The service.
pub(super) struct Zeus {
    database: Database,
    nats_port: u16,
}

impl Zeus {
    /// With what it needs.
    pub(super) fn new(database: Database, nats_port: u16) -> Self {
        Self { database, nats_port }
    }

    fn nats(&self) -> Result<Nats, Unavailable> {
        Nats::connect(self.nats_port, NEED_TIMEOUT).map_err(unavailable)
    }

    fn take(&self, text: &str) -> Result<Response, Unavailable> {
        // Before the row: work that no agent will hear of is not begun.
        let mut nats = self.nats()?;
        let id: i64 = self.database.with(|client| {
            let insert = "INSERT INTO conversations (text) VALUES ($1) RETURNING id";
            client.query_one(insert, &[&text]).map(|row| row.get(0))
        })?;
        let message = json!({"conversation": id}).to_string();
        let sequence = nats.publish(message.as_bytes()).map_err(unavailable)?;
        Ok(Response::json(200, &json!({"conversation": id, "message": sequence})))
    }
}

impl Serve for Zeus {
    fn health(&self) -> Result<(), Unavailable> {
        self.database.check()?;
        // A stream that is gone is as bad as a server that is gone.
        self.nats()?.messages().map_err(unavailable).map(drop)
    }

    fn work(&self, request: &Request) -> Option<Result<Response, Unavailable>> {
        let wanted = (request.method.as_str(), request.path.as_str());
        (wanted == ("POST", "/work")).then(|| self.take(&String::from_utf8_lossy(&request.body)))
    }
}

fn unavailable(error: std::io::Error) -> Unavailable {
    Unavailable(format!("NATS: {error}"))
}
