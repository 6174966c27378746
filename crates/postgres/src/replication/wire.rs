//! The two halves of a replication connection: bytes in, which become frames, and bytes out.
//!
//! The write half is shared by whoever acknowledges WAL and by the reader, which answers the
//! server's end of the stream. It knows which stream is running, so that an acknowledgement that
//! comes too late is dropped instead of breaking the next command.

use std::io::{self, Read, Write};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use soter_world::Stop;

use super::error::{Error, ProtocolError};
use super::frame::{Frame, FrameBuffer};
use crate::connection::Stream;
use crate::lsn::Lsn;

/// How long a read waits at most before the stop token is looked at: short for people who wait for
/// an agent to end, long enough to cost nothing on an idle server.
pub(super) const READ_TIMEOUT: Duration = Duration::from_millis(100);

/// How long a write may wait for a server that does not read. Our messages are small: then the
/// server is gone, and its own `wal_sender_timeout` is 60 seconds.
const WRITE_TIMEOUT: Duration = Duration::from_secs(30);

/// PostgreSQL counts time from 2000-01-01, in microseconds; this is that day in Unix time.
const POSTGRES_EPOCH_MICROS: i64 = 946_684_800_000_000;

/// The time of a message as PostgreSQL writes it.
pub(super) fn to_postgres_micros(time: Timestamp) -> i64 {
    time.as_microsecond().saturating_sub(POSTGRES_EPOCH_MICROS)
}

pub(super) fn from_postgres_micros(micros: i64) -> Result<Timestamp, ProtocolError> {
    let unix = micros.checked_add(POSTGRES_EPOCH_MICROS);
    unix.and_then(|micros| Timestamp::from_microsecond(micros).ok())
        .ok_or(ProtocolError::Malformed { message: "keepalive" })
}

/// What a read brought.
pub(super) enum Filled {
    Bytes,
    /// Nothing came within [`READ_TIMEOUT`].
    Nothing,
    /// The server will send no more.
    End,
}

/// The read half.
#[derive(Debug)]
pub(super) struct Reader {
    stream: Stream,
    buffer: FrameBuffer,
}

impl Reader {
    pub(super) fn is_frame_ready(&self) -> Result<bool, ProtocolError> {
        self.buffer.is_frame_ready()
    }

    pub(super) fn take_frame(&mut self) -> Result<Option<Frame<'_>>, ProtocolError> {
        self.buffer.take_frame()
    }

    pub(super) fn last_body(&self) -> &[u8] {
        self.buffer.last_body()
    }

    /// One read of as much as there is.
    pub(super) fn fill(&mut self, during: &'static str) -> Result<Filled, Error> {
        let space = self.buffer.space().map_err(|source| Error::Protocol { during, source })?;
        match self.stream.read(space) {
            Ok(0) => Ok(Filled::End),
            Ok(count) => {
                self.buffer.filled(count);
                Ok(Filled::Bytes)
            }
            Err(error) => match error.kind() {
                io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut => Ok(Filled::Nothing),
                io::ErrorKind::Interrupted => Ok(Filled::Bytes),
                // How a socket tells that the other end closed with something of ours unread.
                io::ErrorKind::ConnectionReset => Ok(Filled::End),
                _ => Err(Error::Io { during, source: error }),
            },
        }
    }

    /// Waits for a whole frame, but not for longer than `limit` of silence and not after `stop`.
    pub(super) fn receive(
        &mut self,
        during: &'static str,
        limit: Duration,
        stop: &Stop,
    ) -> Result<Frame<'_>, Error> {
        let protocol = |source| Error::Protocol { during, source };
        let mut waited = Duration::ZERO;
        while !self.buffer.is_frame_ready().map_err(protocol)? {
            if stop.is_stopped() {
                return Err(Error::Stopped { during });
            }
            match self.fill(during)? {
                Filled::Bytes => {}
                Filled::Nothing => {
                    waited += READ_TIMEOUT;
                    if waited >= limit {
                        return Err(Error::Silent { during, waited });
                    }
                }
                Filled::End => return Err(Error::Closed { during }),
            }
        }
        self.buffer.take_frame().map_err(protocol)?.ok_or(Error::Closed { during })
    }
}

/// Makes both halves of a connection.
pub(super) fn split(stream: Stream) -> io::Result<(Reader, SharedWriter)> {
    stream.set_timeouts(READ_TIMEOUT, WRITE_TIMEOUT)?;
    let writer =
        Writer { stream: stream.try_clone()?, number: 0, copying: false, reported: [Lsn(0); 3] };
    let shared = SharedWriter(Arc::new(Mutex::new(writer)));
    Ok((Reader { stream, buffer: FrameBuffer::new() }, shared))
}

/// The write half.
#[derive(Debug)]
struct Writer {
    stream: Stream,
    /// Counts the streams of this connection.
    number: u64,
    /// Whether a stream is running and we have not ended it.
    copying: bool,
    /// The positions last reported in this stream: written, flushed, applied.
    reported: [Lsn; 3],
}

#[derive(Debug, Clone)]
pub(super) struct SharedWriter(Arc<Mutex<Writer>>);

impl SharedWriter {
    fn lock(&self) -> MutexGuard<'_, Writer> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    pub(super) fn send(&self, during: &'static str, message: &[u8]) -> Result<(), Error> {
        self.lock().send(during, message)
    }

    /// Ends the connection for all who hold it.
    pub(super) fn shut_down(&self) {
        let mut writer = self.lock();
        writer.copying = false;
        writer.stream.shut_down();
    }

    /// A stream begins; its acknowledger.
    pub(super) fn begin_copy(&self) -> Acknowledger {
        let mut writer = self.lock();
        writer.number += 1;
        writer.copying = true;
        writer.reported = [Lsn(0); 3];
        Acknowledger { number: writer.number, writer: self.clone() }
    }

    /// The stream has ended, whoever ended it: says so to the server, once.
    pub(super) fn end_copy(&self) -> Result<(), Error> {
        self.lock().end_copy()
    }

    /// The server ended the stream without asking: nothing more may be said.
    pub(super) fn abandon_copy(&self) {
        self.lock().copying = false;
    }
}

impl Writer {
    /// Half a message would garble all that follows, so a failed write ends the connection, and the
    /// reader learns of it as well.
    fn send(&mut self, during: &'static str, message: &[u8]) -> Result<(), Error> {
        self.stream.write_all(message).map_err(|source| {
            self.copying = false;
            self.stream.shut_down();
            Error::Io { during, source }
        })
    }

    fn end_copy(&mut self) -> Result<(), Error> {
        if !self.copying {
            return Ok(());
        }
        self.copying = false;
        self.send("the end of streaming", b"c\0\0\0\x04")
    }
}

/// How far received WAL has come, told to the server.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct StatusUpdate {
    /// What a commit with `synchronous_commit = remote_write` waits for.
    pub written: Lsn,
    /// What a commit with `synchronous_commit = on` waits for, and what lets the server remove WAL:
    /// everything before it is durable.
    pub flushed: Lsn,
    /// What a commit with `synchronous_commit = remote_apply` waits for. We apply nothing.
    pub applied: Option<Lsn>,
    /// Whether the server shall answer with a keepalive at once.
    pub reply_requested: bool,
    /// The time of day, which the server shows as `reply_time`.
    pub sent_at: Timestamp,
}

/// The right to acknowledge WAL of one stream. Clones share it; any thread may use it.
#[derive(Debug, Clone)]
pub struct Acknowledger {
    number: u64,
    writer: SharedWriter,
}

impl Acknowledger {
    /// Reports how far the WAL has come.
    ///
    /// Positions never go back: of several threads that report, the furthest counts. After the end
    /// of the stream nothing is sent.
    pub fn report(&self, update: &StatusUpdate) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        if !writer.copying || writer.number != self.number {
            return Ok(());
        }
        let positions = [update.written, update.flushed, update.applied.unwrap_or(Lsn::INVALID)];
        for (reported, position) in writer.reported.iter_mut().zip(positions) {
            *reported = position.max(*reported);
        }
        let message = status_message(writer.reported, update);
        writer.send("a status update", &message)
    }

    /// What the server was last told to be flushed.
    pub fn reported_flushed(&self) -> Lsn {
        self.writer.lock().reported[1]
    }

    /// Asks the server to end the stream. WAL on its way still arrives, then
    /// [`Event::Stopped`](super::Event::Stopped).
    pub fn finish(&self) -> Result<(), Error> {
        let mut writer = self.writer.lock();
        if writer.number == self.number { writer.end_copy() } else { Ok(()) }
    }
}

/// `r`, the three positions, the time, and whether to reply, as a `CopyData` message.
fn status_message(positions: [Lsn; 3], update: &StatusUpdate) -> Vec<u8> {
    let mut message = Vec::with_capacity(39);
    message.extend_from_slice(b"d\0\0\0\x26r");
    for position in positions {
        message.extend_from_slice(&position.0.to_be_bytes());
    }
    message.extend_from_slice(&to_postgres_micros(update.sent_at).to_be_bytes());
    message.push(u8::from(update.reply_requested));
    message
}
