//! Where a server is and who we are there, as people write it for `psql`: one value for both kinds
//! of connection, SQL and replication.
//!
//! TLS is there for [sessions](Session), and for nothing else yet. A connection string that demands it
//! is refused elsewhere rather than quietly served without; `prefer`, the default as in libpq, is a
//! plain connection.

mod bounded;
mod parse;
mod session;
mod stream;
mod tls;

use std::fmt;
use std::io;
use std::path::PathBuf;
use std::time::Duration;

use postgres::NoTls;
use soter_world::Secret;
use thiserror::Error;

use crate::error::ErrorKind;

pub use parse::ConnectionStringError;
pub use session::{Canceller, Session, SessionError};
pub(crate) use stream::Stream;
pub use tls::{Authorities, Demand, Tls, TlsError};

/// Where the server listens.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Host {
    /// The directory of its Unix socket.
    Directory(PathBuf),
    /// A name or an address.
    Name(String),
}

impl fmt::Display for Host {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Directory(path) => path.display().fmt(f),
            Self::Name(name) => name.fmt(f),
        }
    }
}

/// A parsed connection string. `Debug` and `Display` do not show the password.
#[derive(Debug, Clone)]
pub struct ConnectionInfo {
    /// Where the server listens; `/var/run/postgresql` when left out.
    pub host: Host,
    /// The port, which is also part of the Unix socket's name; 5432 when left out.
    pub port: u16,
    /// The role. It must be given: libpq's default depends on who runs it.
    pub user: String,
    /// The password, if the string has one.
    pub password: Option<Secret<String>>,
    /// The database for SQL; `postgres` when left out, since ours need not exist.
    pub database: String,
    /// What we call ourselves in `pg_stat_replication` and `synchronous_standby_names`.
    pub application_name: String,
    /// How long to wait for a connection, and for each answer until it is ready.
    pub connect_timeout: Duration,
    /// What is demanded of TLS.
    pub tls: Tls,
}

/// What the server sees as our name when the connection string gives none.
pub const APPLICATION_NAME_DEFAULT: &str = "soter";

/// When the connection string does not say: long enough for a server under load, short enough that
/// an agent which cannot reach its server says so within a monitoring interval.
const CONNECT_TIMEOUT_DEFAULT: Duration = Duration::from_secs(10);

/// Idle time until TCP asks whether the peer is alive, and the pause between its questions. A dead
/// peer is noticed after about a minute, as the server does with its `wal_sender_timeout`.
const KEEPALIVE_IDLE: Duration = Duration::from_secs(30);
const KEEPALIVE_INTERVAL: Duration = Duration::from_secs(10);
const KEEPALIVE_RETRIES: u32 = 3;

impl ConnectionInfo {
    /// Reads `host=… user=…` or `postgres://user@host:port/database`. One that demands TLS is refused.
    pub fn parse(text: &str) -> Result<Self, ConnectionStringError> {
        parse::parse_plain(text)
    }

    /// Reads the same for a [`Session`], which has TLS.
    pub fn parse_for_session(text: &str) -> Result<Self, ConnectionStringError> {
        parse::parse(text)
    }

    /// The configuration of an SQL connection to the same server.
    pub fn sql_config(&self) -> postgres::Config {
        let mut config = postgres::Config::new();
        match &self.host {
            Host::Directory(path) => config.host_path(path),
            Host::Name(name) => config.host(name),
        };
        config
            .port(self.port)
            .user(&self.user)
            .dbname(&self.database)
            .application_name(&self.application_name)
            .connect_timeout(self.connect_timeout)
            .ssl_mode(postgres::config::SslMode::Disable)
            .keepalives(true)
            .keepalives_idle(KEEPALIVE_IDLE)
            .keepalives_interval(KEEPALIVE_INTERVAL)
            .keepalives_retries(KEEPALIVE_RETRIES);
        if let Some(password) = &self.password {
            config.password(password.expose());
        }
        config
    }

    /// Opens an SQL connection.
    pub fn connect_sql(&self) -> Result<postgres::Client, postgres::Error> {
        self.sql_config().connect(NoTls)
    }

    /// Opens a bare stream to the server, for the replication protocol.
    pub(crate) fn open_stream(&self) -> Result<Stream, OpenError> {
        Stream::open(&self.host, self.port, self.connect_timeout)
    }
}

impl fmt::Display for ConnectionInfo {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{} on {} port {}", self.user, self.host, self.port)
    }
}

/// No connection to the server came about.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum OpenError {
    /// The name is not known to the resolver.
    #[error("the host name {host:?} cannot be resolved")]
    Resolve {
        /// The name.
        host: String,
        /// What the resolver said.
        #[source]
        source: io::Error,
    },
    /// Nothing answers there; check that the server runs, and its `listen_addresses` and
    /// `unix_socket_directories`.
    #[error("nothing answers at {address}")]
    Connect {
        /// Where.
        address: String,
        /// What the operating system said.
        #[source]
        source: io::Error,
    },
}

impl OpenError {
    /// What to do about it: a server that is away may come back.
    pub fn kind(&self) -> ErrorKind {
        ErrorKind::Retry
    }
}
