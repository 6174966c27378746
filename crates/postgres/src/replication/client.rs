//! A replication connection between streams: starting it, and its commands.

use std::str::FromStr;
use std::time::Duration;

use bytes::BytesMut;
use postgres_protocol::message::frontend;
use soter_world::Stop;

use super::authentication::{self, Authenticator, Next};
use super::error::{Error, ProtocolError, ServerError};
use super::message::{Message, row_values};
use super::slot::SlotName;
use super::stream::{Start, WalStream};
use super::wire::{Reader, SharedWriter, split};
use crate::cluster::{MajorVersion, SystemIdentifier};
use crate::connection::{ConnectionInfo, Stream};
use crate::lsn::{Lsn, Timeline};

/// How long a command may take until its answer begins. Creating a slot waits for nothing, but a
/// server under load may be slow.
const ANSWER_TIMEOUT: Duration = Duration::from_secs(60);

/// No command that we give answers with more rows; more would be a server out of its mind.
const ROWS_MAX: usize = 16;

/// A connection that speaks the replication protocol, ready for a command or streaming.
#[derive(Debug)]
pub struct ReplicationClient {
    pub(super) reader: Reader,
    pub(super) writer: SharedWriter,
    pub(super) state: State,
    stop: Stop,
    version: MajorVersion,
}

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum State {
    Ready,
    Streaming,
    Broken,
}

/// What `IDENTIFY_SYSTEM` says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SystemIdentity {
    /// Which cluster it is.
    pub system_identifier: SystemIdentifier,
    /// The timeline the server is on.
    pub timeline: Timeline,
    /// Up to where WAL can be streamed now: flushed, or on a standby received or replayed.
    pub flushed: Lsn,
}

/// What `READ_REPLICATION_SLOT` says of a physical slot.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct SlotPosition {
    /// From where WAL is kept; none if the slot never reserved any, or lost it.
    pub restart: Option<Lsn>,
    /// The timeline of that position.
    pub timeline: Option<Timeline>,
}

/// A timeline history file, byte for byte.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryFile {
    /// Its name, such as `00000002.history`.
    pub name: String,
    /// What is in it.
    pub content: Vec<u8>,
}

pub(super) type Row = Vec<Option<Vec<u8>>>;

impl ReplicationClient {
    /// Connects and authenticates. `stop` ends this and every later wait for an answer.
    pub fn connect(info: &ConnectionInfo, stop: &Stop) -> Result<Self, Error> {
        Self::over(info.open_stream().map_err(Error::Open)?, info, stop)
    }

    pub(super) fn over(stream: Stream, info: &ConnectionInfo, stop: &Stop) -> Result<Self, Error> {
        let (mut reader, writer) =
            split(stream).map_err(|source| Error::Io { during: "connecting", source })?;
        let version = handshake(&mut reader, &writer, info, stop)?;
        let version = MajorVersion::try_from(version).map_err(Error::Version)?;
        Ok(Self { reader, writer, state: State::Ready, stop: stop.clone(), version })
    }

    /// The server's major version.
    pub fn version(&self) -> MajorVersion {
        self.version
    }

    /// Which cluster this is and how far its WAL goes.
    pub fn identify_system(&mut self) -> Result<SystemIdentity, Error> {
        const COMMAND: &str = "IDENTIFY_SYSTEM";
        let row = self.one_row(COMMAND, COMMAND)?;
        Ok(SystemIdentity {
            system_identifier: value(COMMAND, &row, 0, "a system identifier")?,
            timeline: Timeline(value(COMMAND, &row, 1, "a timeline")?),
            flushed: value(COMMAND, &row, 2, "a position")?,
        })
    }

    /// The value of a server setting.
    pub fn show(&mut self, setting: &str) -> Result<String, Error> {
        let is_allowed = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'.';
        if setting.is_empty() || !setting.bytes().all(is_allowed) {
            return Err(Error::Name { what: "name of a setting", name: setting.to_owned() });
        }
        let row = self.one_row("SHOW", &format!("SHOW {setting}"))?;
        value("SHOW", &row, 0, "a value")
    }

    /// Makes a physical slot that keeps WAL from now on.
    pub fn create_physical_slot(&mut self, slot: &SlotName) -> Result<(), Error> {
        let command = format!("CREATE_REPLICATION_SLOT {slot} PHYSICAL RESERVE_WAL");
        self.query("CREATE_REPLICATION_SLOT", &command).map(drop)
    }

    /// Where a physical slot stands, or `None` if there is none of this name. From 15 on; for 14,
    /// and for whether it is lost, ask by SQL.
    pub fn read_slot(&mut self, slot: &SlotName) -> Result<Option<SlotPosition>, Error> {
        const COMMAND: &str = "READ_REPLICATION_SLOT";
        if self.version < MajorVersion::V15 {
            return Err(Error::Unsupported { command: COMMAND, version: self.version });
        }
        let row = self.one_row(COMMAND, &format!("{COMMAND} {slot}"))?;
        let is_null = |index: usize| row.get(index).is_some_and(Option::is_none);
        if is_null(0) {
            return Ok(None);
        }
        let restart = if is_null(1) { None } else { Some(value(COMMAND, &row, 1, "a position")?) };
        let timeline = if is_null(2) { None } else { Some(value(COMMAND, &row, 2, "a timeline")?) };
        Ok(Some(SlotPosition { restart, timeline: timeline.map(Timeline) }))
    }

    /// Removes a slot, and with it the hold on WAL. An active slot is refused.
    pub fn drop_slot(&mut self, slot: &SlotName) -> Result<(), Error> {
        let command = format!("DROP_REPLICATION_SLOT {slot}");
        self.query("DROP_REPLICATION_SLOT", &command).map(drop)
    }

    /// The history file of a timeline. Timeline 1 has none.
    pub fn timeline_history(&mut self, timeline: Timeline) -> Result<HistoryFile, Error> {
        const COMMAND: &str = "TIMELINE_HISTORY";
        let row = self.one_row(COMMAND, &format!("{COMMAND} {timeline}"))?;
        let expected = format!("{:08X}.history", timeline.0);
        let name: String = value(COMMAND, &row, 0, "a file name")?;
        match row.into_iter().nth(1).flatten() {
            Some(content) if name == expected => Ok(HistoryFile { name, content }),
            _ => Err(protocol(
                COMMAND,
                ProtocolError::Answer { command: COMMAND, missing: "the file that was asked for" },
            )),
        }
    }

    /// Begins to stream WAL. When the stream has ended the client takes commands again.
    pub fn stream(&mut self, start: &Start) -> Result<WalStream<'_>, Error> {
        WalStream::begin(self, start)
    }

    fn one_row(&mut self, during: &'static str, command: &str) -> Result<Row, Error> {
        let mut rows = self.query(during, command)?;
        match (rows.pop(), rows.pop()) {
            (Some(row), None) => Ok(row),
            _ => Err(protocol(
                during,
                ProtocolError::Answer { command: during, missing: "its one row" },
            )),
        }
    }

    /// Gives a command and waits for its whole answer.
    fn query(&mut self, during: &'static str, command: &str) -> Result<Vec<Row>, Error> {
        self.begin_command(during, command)?;
        let mut rows = Vec::new();
        let mut refused: Option<ServerError> = None;
        loop {
            match self.receive(during, &mut refused)? {
                Message::DataRow(body) if rows.len() < ROWS_MAX => {
                    let row = row_values(body).map_err(|source| protocol(during, source))?;
                    rows.push(row);
                }
                Message::Error(error) => refused = Some(error),
                Message::ReadyForQuery => break,
                Message::CommandComplete | Message::ParameterStatus { .. } | Message::Aside => {}
                other => return Err(protocol(during, other.out_of_place())),
            }
        }
        self.state = State::Ready;
        refused.map_or(Ok(rows), |source| Err(Error::refused(during, source)))
    }

    /// Sends a command. Until its answer is complete the connection counts as broken.
    pub(super) fn begin_command(
        &mut self,
        during: &'static str,
        command: &str,
    ) -> Result<(), Error> {
        match self.state {
            State::Ready => self.state = State::Broken,
            State::Streaming => return Err(Error::NotReady { state: "streaming" }),
            State::Broken => return Err(Error::NotReady { state: "broken" }),
        }
        let mut message = BytesMut::new();
        frontend::query(command, &mut message).map_err(|source| Error::Io { during, source })?;
        self.writer.send(during, &message)
    }

    /// The next message of an answer. A server that reports an error and then hangs up has given
    /// its answer: the error is returned rather than the end of the connection.
    pub(super) fn receive(
        &mut self,
        during: &'static str,
        refused: &mut Option<ServerError>,
    ) -> Result<Message<'_>, Error> {
        let frame = match self.reader.receive(during, ANSWER_TIMEOUT, &self.stop) {
            Err(Error::Closed { .. }) if refused.is_some() => {
                let source = refused.take().ok_or(Error::Closed { during })?;
                return Err(Error::refused(during, source));
            }
            other => other?,
        };
        Message::parse(&frame).map_err(|source| protocol(during, source))
    }
}

impl Drop for ReplicationClient {
    /// Ends the connection even if an acknowledger still holds it, so that the slot is free for the
    /// next one. A word of goodbye keeps the server's log free of "unexpected EOF".
    fn drop(&mut self) {
        if self.state == State::Ready {
            drop(self.writer.send("the end of the connection", b"X\0\0\0\x04"));
        }
        self.writer.shut_down();
    }
}

/// Startup and authentication, until the server takes commands. Returns its major version.
fn handshake(
    reader: &mut Reader,
    writer: &SharedWriter,
    info: &ConnectionInfo,
    stop: &Stop,
) -> Result<u16, Error> {
    const DURING: &str = authentication::DURING;
    let mut startup = BytesMut::new();
    let parameters = [
        ("user", info.user.as_str()),
        ("replication", "true"),
        ("application_name", info.application_name.as_str()),
    ];
    frontend::startup_message(parameters, &mut startup)
        .map_err(|source| Error::Io { during: DURING, source })?;
    writer.send(DURING, &startup)?;
    let mut authenticator = Authenticator::new(&info.user, info.password.as_ref());
    let mut is_accepted = false;
    let mut version = None;
    loop {
        let frame = reader.receive(DURING, info.connect_timeout, stop)?;
        match Message::parse(&frame).map_err(|source| protocol(DURING, source))? {
            Message::Authentication(body) => match authenticator.step(body)? {
                Next::Send(message) => writer.send(DURING, &message)?,
                Next::Wait => {}
                Next::Accepted => is_accepted = true,
            },
            Message::Error(source) => return Err(Error::refused(DURING, source)),
            Message::ParameterStatus { name, value } if name == "server_version" => {
                version = major_version(&value);
            }
            Message::ParameterStatus { .. } | Message::Aside => {}
            Message::ReadyForQuery if is_accepted => {
                let missing = ProtocolError::Answer { command: "startup", missing: "a version" };
                return version.ok_or_else(|| protocol(DURING, missing));
            }
            other => return Err(protocol(DURING, other.out_of_place())),
        }
    }
}

/// 15 of `15.18 (Debian 15.18-0+deb12u1)`, and 19 of `19beta1`.
fn major_version(text: &str) -> Option<u16> {
    let end = text.find(|c: char| !c.is_ascii_digit()).unwrap_or(text.len());
    text.get(..end)?.parse().ok()
}

/// A value of an answer's row, parsed from its text.
pub(super) fn value<T: FromStr>(
    command: &'static str,
    row: &Row,
    index: usize,
    missing: &'static str,
) -> Result<T, Error> {
    row.get(index)
        .and_then(Option::as_deref)
        .and_then(|bytes| str::from_utf8(bytes).ok())
        .and_then(|text| text.parse().ok())
        .ok_or_else(|| protocol(command, ProtocolError::Answer { command, missing }))
}

fn protocol(during: &'static str, source: ProtocolError) -> Error {
    Error::Protocol { during, source }
}
