//! An SQL session whose answers are read as they come, with TLS if the connection string demands it.
//!
//! The rule it keeps: an answer is handed over row by row and never gathered here, and no message of it
//! may be longer than [a bound](super::bounded). Who calls waits, as everywhere in this crate: the
//! client's tasks run inside of the call.

use std::io;
use std::time::Duration;

use futures_util::TryStreamExt;
use soter_world::Disk;
use thiserror::Error;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::runtime::{Builder, Runtime};
use tokio::task::JoinHandle;
use tokio_postgres::config::SslMode;
use tokio_postgres::{CancelToken, Client, Config, NoTls, SimpleQueryMessage};

use super::bounded::Bounded;
use super::stream::Stream;
use super::tls::Connector;
use super::{ConnectionInfo, OpenError, TlsError};

/// A session, open until it is dropped.
pub struct Session {
    runtime: Runtime,
    client: Client,
    /// What moves bytes, until it was asked why it ended.
    moving: Option<Moving>,
    way: Way,
}

/// What moves the bytes of a session; it says why if it ends before that.
type Moving = JoinHandle<Result<(), tokio_postgres::Error>>;

/// Ends what a session does, from another thread.
pub struct Canceller {
    token: CancelToken,
    way: Way,
}

/// Why there is no session.
#[derive(Debug, Error)]
#[non_exhaustive]
pub enum SessionError {
    /// TLS as it was demanded cannot be had.
    #[error(transparent)]
    Tls(#[from] TlsError),
    /// Nothing answers there.
    #[error(transparent)]
    Open(#[from] OpenError),
    /// The server refused it, or the two did not agree on TLS.
    #[error(transparent)]
    Refused(#[from] tokio_postgres::Error),
    /// It did not say anything in time.
    #[error("the server did not let us in within {} s", .0.as_secs())]
    Silent(Duration),
    /// This machine does not have what a session needs.
    #[error("this machine has no room for a session")]
    Machine(#[source] io::Error),
}

/// How long a server may take to hear a goodbye.
const GOODBYE: Duration = Duration::from_secs(1);

/// How the server is reached.
#[derive(Clone)]
struct Way {
    info: ConnectionInfo,
    connector: Option<Connector>,
}

/// A connection of either kind.
trait Wire: AsyncRead + AsyncWrite + Unpin + Send {}

impl<W: AsyncRead + AsyncWrite + Unpin + Send> Wire for W {}

impl Session {
    /// Opens a session. Files of certificates are read from `disk`.
    ///
    /// # Errors
    /// When there is none; then nothing was asked.
    pub fn open(info: &ConnectionInfo, disk: &dyn Disk) -> Result<Self, SessionError> {
        let connector = match &info.host {
            // As everywhere: what stays on this machine is plain.
            super::Host::Directory(_) => None,
            super::Host::Name(name) => info.tls.connector(name, disk)?,
        };
        let way = Way { info: info.clone(), connector };
        let runtime = runtime().map_err(SessionError::Machine)?;
        let (client, moving) = runtime.block_on(way.connect())?;
        Ok(Self { runtime, client, moving: Some(moving), way })
    }

    /// Carries out statements whose rows are nobody's concern.
    ///
    /// # Errors
    /// What the server or the way to it says.
    pub fn execute(&mut self, text: &str) -> Result<(), tokio_postgres::Error> {
        let done = self.runtime.block_on(self.client.batch_execute(text));
        done.map_err(|error| self.reason(error))
    }

    /// Puts statements and hands over what comes back, piece by piece.
    ///
    /// # Errors
    /// What the server or the way to it says; pieces may have come before.
    pub fn ask(
        &mut self,
        text: &str,
        mut each: impl FnMut(SimpleQueryMessage),
    ) -> Result<(), tokio_postgres::Error> {
        let client = &self.client;
        let asked = self.runtime.block_on(async {
            let mut pieces = std::pin::pin!(client.simple_query_raw(text).await?);
            while let Some(piece) = pieces.try_next().await? {
                each(piece);
            }
            Ok(())
        });
        asked.map_err(|error| self.reason(error))
    }

    /// What ends a statement of this session.
    #[must_use]
    pub fn canceller(&self) -> Canceller {
        Canceller { token: self.client.cancel_token(), way: self.way.clone() }
    }

    /// The client only knows that the connection is gone; what moves its bytes knows why.
    fn reason(&mut self, error: tokio_postgres::Error) -> tokio_postgres::Error {
        if !error.is_closed() {
            return error;
        }
        match self.moving.take().map(|moving| self.runtime.block_on(moving)) {
            Some(Ok(Err(reason))) => reason,
            _ => error,
        }
    }

    /// Says goodbye, so that the server's log has no connection that was lost.
    pub fn close(self) {
        drop(self.client);
        let Some(moving) = self.moving else { return };
        // Whatever comes of it: nobody asks anything any more.
        drop(self.runtime.block_on(async { tokio::time::timeout(GOODBYE, moving).await }));
    }
}

impl Canceller {
    /// Asks the server to end what the session does.
    ///
    /// # Errors
    /// When it cannot be asked.
    pub fn cancel(&self) -> Result<(), SessionError> {
        let runtime = runtime().map_err(SessionError::Machine)?;
        runtime.block_on(async {
            let wire = self.way.wire()?;
            let asked = async {
                match &self.way.connector {
                    Some(connector) => self.token.cancel_query_raw(wire, connector.clone()).await,
                    None => self.token.cancel_query_raw(wire, NoTls).await,
                }
            };
            self.way.in_time(asked).await
        })
    }
}

impl Way {
    async fn connect(&self) -> Result<(Client, Moving), SessionError> {
        let (config, wire) = (self.config(), self.wire()?);
        Ok(match &self.connector {
            Some(connector) => {
                let connecting = config.connect_raw(wire, connector.clone());
                let (client, connection) = self.in_time(connecting).await?;
                (client, tokio::spawn(connection))
            }
            None => {
                let connecting = config.connect_raw(Bounded::new(wire), NoTls);
                let (client, connection) = self.in_time(connecting).await?;
                (client, tokio::spawn(connection))
            }
        })
    }

    /// A socket to the server.
    fn wire(&self) -> Result<Box<dyn Wire>, SessionError> {
        let machine = SessionError::Machine;
        Ok(match self.info.open_stream()? {
            Stream::Unix(stream) => {
                stream.set_nonblocking(true).map_err(machine)?;
                Box::new(tokio::net::UnixStream::from_std(stream).map_err(machine)?)
            }
            Stream::Tcp(stream) => {
                stream.set_nonblocking(true).map_err(machine)?;
                Box::new(tokio::net::TcpStream::from_std(stream).map_err(machine)?)
            }
        })
    }

    fn config(&self) -> Config {
        let mut config = Config::new();
        let mode = if self.connector.is_some() { SslMode::Require } else { SslMode::Disable };
        config
            .user(&self.info.user)
            .dbname(&self.info.database)
            .application_name(&self.info.application_name)
            .ssl_mode(mode);
        if let Some(password) = &self.info.password {
            config.password(password.expose());
        }
        config
    }

    /// Waits as long as the connection string allows.
    async fn in_time<T>(
        &self,
        connecting: impl Future<Output = Result<T, tokio_postgres::Error>>,
    ) -> Result<T, SessionError> {
        let limit = self.info.connect_timeout;
        match tokio::time::timeout(limit, connecting).await {
            Ok(done) => Ok(done?),
            Err(_) => Err(SessionError::Silent(limit)),
        }
    }
}

fn runtime() -> io::Result<Runtime> {
    Builder::new_current_thread().enable_all().build()
}
