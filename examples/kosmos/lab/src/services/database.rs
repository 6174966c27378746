//! A service's connections to PostgreSQL: kept while they work, made anew when they do not.

use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use postgres::{Client, Config, NoTls};

use super::{NEED_TIMEOUT, Unavailable};
use crate::failure::{Ending, Failure};

/// Connections that are kept for later; PostgreSQL has room for them all.
const IDLE_MAX: usize = 8;

/// A connection whose server does not answer any more is given up after this time.
const SILENCE_MAX: Duration = Duration::from_secs(5);

/// The database of a service.
pub(super) struct Database {
    config: Config,
    idle: Mutex<Vec<Client>>,
}

impl Database {
    /// By a connection string; nothing is connected yet.
    pub(super) fn new(connection: &str, service: &str) -> Result<Self, Failure> {
        let mut config: Config = connection.parse().map_err(|error: postgres::Error| {
            Failure::of(Ending::Input, &error).during("understand the address of PostgreSQL")
        })?;
        config
            .application_name(service)
            .connect_timeout(NEED_TIMEOUT)
            .tcp_user_timeout(SILENCE_MAX)
            .keepalives_idle(SILENCE_MAX);
        Ok(Self { config, idle: Mutex::default() })
    }

    /// Whether it can be asked and written to.
    pub(super) fn check(&self) -> Result<(), Unavailable> {
        let read_only = self.with(|client| {
            client.query_one("SELECT pg_is_in_recovery()", &[]).map(|row| row.get::<_, bool>(0))
        })?;
        if read_only {
            return Err(Unavailable("PostgreSQL can only be read".to_owned()));
        }
        Ok(())
    }

    /// Does something with a connection, which is kept if it went well.
    pub(super) fn with<T>(
        &self,
        run: impl FnOnce(&mut Client) -> Result<T, postgres::Error>,
    ) -> Result<T, Unavailable> {
        let mut client = self.take()?;
        match run(&mut client) {
            Ok(value) => {
                let mut idle = self.idle.lock().unwrap_or_else(PoisonError::into_inner);
                if idle.len() < IDLE_MAX {
                    idle.push(client);
                }
                Ok(value)
            }
            Err(error) => Err(unavailable(&error)),
        }
    }

    fn take(&self) -> Result<Client, Unavailable> {
        loop {
            let kept = self.idle.lock().unwrap_or_else(PoisonError::into_inner).pop();
            let Some(mut client) = kept else {
                return self.config.connect(NoTls).map_err(|error| unavailable(&error));
            };
            // Asked before it is used, so that no work is done twice.
            if client.is_valid(NEED_TIMEOUT).is_ok() {
                return Ok(client);
            }
        }
    }
}

fn unavailable(error: &postgres::Error) -> Unavailable {
    let mut why = format!("PostgreSQL: {error}");
    let mut source = std::error::Error::source(error);
    while let Some(cause) = source {
        why.push_str(": ");
        why.push_str(&cause.to_string());
        source = cause.source();
    }
    Unavailable(why)
}
