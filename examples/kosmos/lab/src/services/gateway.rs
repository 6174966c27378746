//! The gateway: opens a session for each piece of work, and hands the work to Zeus.

use serde_json::{Value, json};

use super::{Database, Serve, Unavailable, WORK_TIMEOUT};
use crate::http::{self, Request, Response};

/// The service.
pub(super) struct Gateway {
    database: Database,
    zeus_port: u16,
}

impl Gateway {
    /// With what it needs.
    pub(super) fn new(database: Database, zeus_port: u16) -> Self {
        Self { database, zeus_port }
    }

    fn hand_over(&self, body: &[u8]) -> Result<Response, Unavailable> {
        let text = String::from_utf8_lossy(body);
        let asked = http::ask(self.zeus_port, "POST", "/work", &text, WORK_TIMEOUT);
        let (status, answer) = asked.map_err(unavailable)?;
        if status != 200 {
            return Err(Unavailable(format!("Zeus: {}", answer.trim())));
        }
        let session: i64 = self.database.with(|client| {
            let insert = "INSERT INTO agent_sessions (agent) VALUES ('zeus') RETURNING id";
            client.query_one(insert, &[]).map(|row| row.get(0))
        })?;
        let mut answer: Value = serde_json::from_str(&answer)
            .map_err(|error| Unavailable(format!("Zeus answers oddly: {error}")))?;
        answer["session"] = json!(session);
        Ok(Response::json(200, &answer))
    }

    fn agents(&self) -> Result<Response, Unavailable> {
        let (sessions, conversations): (i64, i64) = self.database.with(|client| {
            let count = "SELECT (SELECT count(*) FROM agent_sessions), \
                                (SELECT count(*) FROM conversations)";
            client.query_one(count, &[]).map(|row| (row.get(0), row.get(1)))
        })?;
        let agents = json!([{"name": "zeus", "sessions": sessions}]);
        Ok(Response::json(200, &json!({"agents": agents, "conversations": conversations})))
    }
}

impl Serve for Gateway {
    fn health(&self) -> Result<(), Unavailable> {
        self.database.check()?;
        match http::ask(self.zeus_port, "GET", "/health", "", WORK_TIMEOUT) {
            Ok((200, _)) => Ok(()),
            Ok((_, answer)) => Err(Unavailable(format!("Zeus: {}", answer.trim()))),
            Err(error) => Err(unavailable(error)),
        }
    }

    fn work(&self, request: &Request) -> Option<Result<Response, Unavailable>> {
        match (request.method.as_str(), request.path.as_str()) {
            ("POST", "/api/v1/work") => Some(self.hand_over(&request.body)),
            ("GET", "/api/v1/agents") => Some(self.agents()),
            _ => None,
        }
    }
}

fn unavailable(error: std::io::Error) -> Unavailable {
    Unavailable(format!("Zeus: {error}"))
}
