//! A bare connection to a server: bytes both ways, over a Unix socket or TCP.
//!
//! Reads give up after a set time so that whoever reads can look at a stop token; both directions
//! can be owned apart by [`Stream::try_clone`], which is the same connection.

use std::io::{self, Read, Write};
use std::net::{Shutdown, TcpStream, ToSocketAddrs};
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::time::Duration;

use rustix::net::sockopt;

use super::{Host, KEEPALIVE_IDLE, KEEPALIVE_INTERVAL, KEEPALIVE_RETRIES, OpenError};

#[derive(Debug)]
pub(crate) enum Stream {
    Unix(UnixStream),
    Tcp(TcpStream),
}

impl Stream {
    pub(super) fn open(host: &Host, port: u16, timeout: Duration) -> Result<Self, OpenError> {
        match host {
            Host::Directory(directory) => Self::open_unix(directory, port),
            Host::Name(name) => Self::open_tcp(name, port, timeout),
        }
    }

    fn open_unix(directory: &Path, port: u16) -> Result<Self, OpenError> {
        let path = directory.join(format!(".s.PGSQL.{port}"));
        UnixStream::connect(&path)
            .map(Self::Unix)
            .map_err(|source| OpenError::Connect { address: path.display().to_string(), source })
    }

    /// Tries every address of a name, as one of them may be of a family the server does not serve.
    fn open_tcp(host: &str, port: u16, timeout: Duration) -> Result<Self, OpenError> {
        let addresses = (host, port)
            .to_socket_addrs()
            .map_err(|source| OpenError::Resolve { host: host.to_owned(), source })?;
        let mut last = io::Error::from(io::ErrorKind::AddrNotAvailable);
        for address in addresses {
            match TcpStream::connect_timeout(&address, timeout).and_then(prepared) {
                Ok(stream) => return Ok(Self::Tcp(stream)),
                Err(error) => last = error,
            }
        }
        Err(OpenError::Connect { address: format!("{host} port {port}"), source: last })
    }

    /// Another handle of the same connection.
    pub(crate) fn try_clone(&self) -> io::Result<Self> {
        Ok(match self {
            Self::Unix(stream) => Self::Unix(stream.try_clone()?),
            Self::Tcp(stream) => Self::Tcp(stream.try_clone()?),
        })
    }

    /// How long a read or a write may take until it fails; on all handles of the connection.
    pub(crate) fn set_timeouts(&self, read: Duration, write: Duration) -> io::Result<()> {
        match self {
            Self::Unix(stream) => {
                stream.set_read_timeout(Some(read))?;
                stream.set_write_timeout(Some(write))
            }
            Self::Tcp(stream) => {
                stream.set_read_timeout(Some(read))?;
                stream.set_write_timeout(Some(write))
            }
        }
    }

    /// Ends the connection on all its handles: a reader sees its end.
    pub(crate) fn shut_down(&self) {
        // It fails only if the connection is gone already.
        drop(match self {
            Self::Unix(stream) => stream.shutdown(Shutdown::Both),
            Self::Tcp(stream) => stream.shutdown(Shutdown::Both),
        });
    }
}

/// Status updates are small and must leave at once; a peer that is gone must be noticed.
fn prepared(stream: TcpStream) -> io::Result<TcpStream> {
    stream.set_nodelay(true)?;
    sockopt::set_socket_keepalive(&stream, true)?;
    sockopt::set_tcp_keepidle(&stream, KEEPALIVE_IDLE)?;
    sockopt::set_tcp_keepintvl(&stream, KEEPALIVE_INTERVAL)?;
    sockopt::set_tcp_keepcnt(&stream, KEEPALIVE_RETRIES)?;
    Ok(stream)
}

impl Read for Stream {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.read(buffer),
            Self::Tcp(stream) => stream.read(buffer),
        }
    }
}

impl Write for Stream {
    fn write(&mut self, bytes: &[u8]) -> io::Result<usize> {
        match self {
            Self::Unix(stream) => stream.write(bytes),
            Self::Tcp(stream) => stream.write(bytes),
        }
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}
