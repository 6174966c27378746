//! WAL as it arrives: one event after the other, borrowed from the receive buffer.
//!
//! The stream checks that WAL is contiguous, and knows the four ways it can end:
//!
//! | who ends it | what comes | event |
//! |---|---|---|
//! | we, by [`Acknowledger::finish`] | `CopyDone`, `CommandComplete`s, `ReadyForQuery` | [`Event::Stopped`] |
//! | the timeline | `CopyDone`, one row, `CommandComplete`s, `ReadyForQuery` | [`Event::EndOfTimeline`] |
//! | the server's shutdown | `CommandComplete`, end of connection | [`Event::Closed`] |
//! | a crash, the network | end of connection | [`Error::Closed`] |

use jiff::Timestamp;

use super::client::{ReplicationClient, Row, State, value};
use super::error::{Error, ProtocolError, ServerError};
use super::message::{Message, Streamed, WAL_HEADER_LENGTH, row_values};
use super::slot::SlotName;
use super::wire::{Acknowledger, Filled, from_postgres_micros};
use crate::lsn::{Lsn, Timeline};

const DURING: &str = "streaming";
const COMMAND: &str = "START_REPLICATION";

/// Where to begin to stream.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Start {
    /// The slot that holds WAL for us. Without one the server may remove what we have not read.
    pub slot: Option<SlotName>,
    /// The first byte that is wanted: the start of a segment, unless the rest is there already.
    pub position: Lsn,
    /// The timeline to follow, to its end if the server has left it.
    pub timeline: Timeline,
}

/// What came.
#[derive(Debug, PartialEq, Eq)]
pub enum Event<'a> {
    /// WAL, following without a gap on what came before. It may reach into the next segment.
    Wal {
        /// The position of the first byte.
        start: Lsn,
        /// Up to where the server has WAL that it could send.
        end_of_wal: Lsn,
        /// The bytes.
        data: &'a [u8],
    },
    /// The server is alive.
    Keepalive {
        /// Up to where the server has sent WAL.
        end_of_wal: Lsn,
        /// The time of day at the server.
        sent_at: Timestamp,
        /// Whether it wants a status update at once, or will think that we are dead.
        reply_requested: bool,
    },
    /// Nothing came for a moment: time to look at a stop token.
    Quiet,
    /// The timeline has ended and all its WAL was sent. The client takes commands again: fetch the
    /// history of the next timeline and stream it.
    EndOfTimeline {
        /// The timeline that follows.
        next_timeline: Timeline,
        /// Where it begins. What was received beyond it is not part of the server's history.
        switch_point: Lsn,
    },
    /// The stream ended as we asked. The client takes commands again.
    Stopped,
    /// The server has shut down, after it knew all WAL to be flushed here. The connection is gone.
    Closed,
}

/// A running stream: the read half.
#[derive(Debug)]
pub struct WalStream<'a> {
    client: &'a mut ReplicationClient,
    acknowledger: Acknowledger,
    timeline: Timeline,
    /// Where the next bytes must begin.
    position: Lsn,
    phase: Phase,
}

#[derive(Debug)]
enum Phase {
    /// WAL may come.
    Copying,
    /// No WAL will come any more; the end is being told.
    Ending { next: Option<Row>, is_complete: bool },
    /// The end has been told.
    Over,
}

impl<'a> WalStream<'a> {
    pub(super) fn begin(client: &'a mut ReplicationClient, start: &Start) -> Result<Self, Error> {
        let slot = start.slot.as_ref().map_or(String::new(), |slot| format!("SLOT {slot} "));
        let Start { position, timeline, .. } = *start;
        let command = format!("{COMMAND} {slot}PHYSICAL {position} TIMELINE {timeline}");
        client.begin_command(COMMAND, &command)?;
        let phase = first_phase(client)?;
        let acknowledger = client.writer.begin_copy();
        if !matches!(phase, Phase::Copying) {
            client.writer.abandon_copy();
        }
        client.state = State::Streaming;
        Ok(Self { client, acknowledger, timeline, position, phase })
    }

    /// What acknowledges the WAL of this stream, to be given to whoever makes it durable.
    pub fn acknowledger(&self) -> Acknowledger {
        self.acknowledger.clone()
    }

    /// The timeline that is streamed.
    pub fn timeline(&self) -> Timeline {
        self.timeline
    }

    /// The end of what has arrived.
    pub fn position(&self) -> Lsn {
        self.position
    }

    /// Whether the next event has arrived already, so that [`Self::next_event`] does not wait.
    pub fn is_event_ready(&self) -> bool {
        self.client.reader.is_frame_ready().unwrap_or(true)
    }

    /// Waits for the next event, a moment at most. After an error or after one of the three events
    /// that end a stream there is nothing more to come: then it is [`Error::NotReady`].
    pub fn next_event(&mut self) -> Result<Event<'_>, Error> {
        match self.advance() {
            Ok(Event::Wal { start, end_of_wal, .. }) => {
                let body = self.client.reader.last_body();
                let data = body.get(WAL_HEADER_LENGTH..).unwrap_or_default();
                Ok(Event::Wal { start, end_of_wal, data })
            }
            Ok(event) => Ok(event),
            Err(error) => {
                if !matches!(self.phase, Phase::Over) {
                    self.end(State::Broken);
                }
                Err(error)
            }
        }
    }

    /// The next event, without the bytes of WAL: what borrows from the buffer cannot be looked at
    /// for errors and returned as well.
    fn advance(&mut self) -> Result<Event<'static>, Error> {
        if matches!(self.phase, Phase::Over) {
            return Err(Error::NotReady { state: "at the end of its stream" });
        }
        loop {
            while !self.client.reader.is_frame_ready().map_err(protocol)? {
                match self.client.reader.fill(DURING)? {
                    Filled::Bytes => {}
                    Filled::Nothing => return Ok(Event::Quiet),
                    Filled::End => return self.connection_ended(),
                }
            }
            if let Some(event) = self.step()? {
                return Ok(event);
            }
        }
    }

    /// Takes one message; an event, unless the message is only a part of one.
    fn step(&mut self) -> Result<Option<Event<'static>>, Error> {
        let Some(frame) = self.client.reader.take_frame().map_err(protocol)? else {
            return Ok(None);
        };
        let message = Message::parse(&frame).map_err(protocol)?;
        match (&mut self.phase, message) {
            (_, Message::Error(source)) => Err(Error::refused(DURING, source)),
            (_, Message::Aside | Message::ParameterStatus { .. }) => Ok(Some(Event::Quiet)),
            (Phase::Copying, Message::CopyData(body)) => {
                streamed(body, &mut self.position).map(Some).map_err(protocol)
            }
            (Phase::Copying, Message::CopyDone) => {
                self.client.writer.end_copy()?;
                self.phase = Phase::Ending { next: None, is_complete: false };
                Ok(None)
            }
            (Phase::Copying, Message::CommandComplete) => {
                self.client.writer.abandon_copy();
                self.phase = Phase::Ending { next: None, is_complete: true };
                Ok(None)
            }
            (Phase::Ending { next, .. }, Message::DataRow(body)) => {
                *next = Some(row_values(body).map_err(protocol)?);
                Ok(None)
            }
            (Phase::Ending { is_complete, .. }, Message::CommandComplete) => {
                *is_complete = true;
                Ok(None)
            }
            (Phase::Ending { next, .. }, Message::ReadyForQuery) => {
                let event = last_event(next.take(), self.timeline)?;
                self.end(State::Ready);
                Ok(Some(event))
            }
            (_, other) => Err(protocol(other.out_of_place())),
        }
    }

    /// Only after it has said that the stream is complete may the server hang up.
    fn connection_ended(&mut self) -> Result<Event<'static>, Error> {
        let is_orderly = matches!(self.phase, Phase::Ending { next: None, is_complete: true });
        self.end(State::Broken);
        if is_orderly { Ok(Event::Closed) } else { Err(Error::Closed { during: DURING }) }
    }

    fn end(&mut self, state: State) {
        self.phase = Phase::Over;
        self.client.state = state;
        self.client.writer.abandon_copy();
    }
}

/// Waits until the server streams, or says that there is nothing to stream: a start exactly at the
/// end of a timeline is answered as if everything had been streamed.
fn first_phase(client: &mut ReplicationClient) -> Result<Phase, Error> {
    let mut refused: Option<ServerError> = None;
    loop {
        match client.receive(COMMAND, &mut refused)? {
            Message::CopyBoth => return Ok(Phase::Copying),
            Message::DataRow(body) => {
                let row = row_values(body)
                    .map_err(|source| Error::Protocol { during: COMMAND, source })?;
                return Ok(Phase::Ending { next: Some(row), is_complete: false });
            }
            Message::Error(error) => refused = Some(error),
            Message::ReadyForQuery => {
                client.state = State::Ready;
                let nothing = ProtocolError::Answer { command: COMMAND, missing: "a stream" };
                return Err(match refused {
                    Some(source) => Error::refused(COMMAND, source),
                    None => Error::Protocol { during: COMMAND, source: nothing },
                });
            }
            Message::CommandComplete | Message::Aside | Message::ParameterStatus { .. } => {}
            other => {
                return Err(Error::Protocol { during: COMMAND, source: other.out_of_place() });
            }
        }
    }
}

/// One message of the stream; moves `position` to its end.
fn streamed(body: &[u8], position: &mut Lsn) -> Result<Event<'static>, ProtocolError> {
    match Streamed::parse(body)? {
        Streamed::Wal { start, end_of_wal, end } => {
            if start != *position {
                return Err(ProtocolError::Discontinuous { expected: *position, received: start });
            }
            *position = end;
            Ok(Event::Wal { start, end_of_wal, data: &[] })
        }
        Streamed::Keepalive { end_of_wal, sent_micros, reply_requested } => {
            let sent_at = from_postgres_micros(sent_micros)?;
            Ok(Event::Keepalive { end_of_wal, sent_at, reply_requested })
        }
    }
}

/// Why the stream ended: a row says that the timeline did.
fn last_event(row: Option<Row>, current: Timeline) -> Result<Event<'static>, Error> {
    let Some(row) = row else { return Ok(Event::Stopped) };
    let next_timeline = Timeline(value(COMMAND, &row, 0, "the next timeline")?);
    let switch_point = value(COMMAND, &row, 1, "the end of the timeline")?;
    if next_timeline <= current {
        let next = next_timeline;
        return Err(protocol(ProtocolError::Timeline { current, next, switch_point }));
    }
    Ok(Event::EndOfTimeline { next_timeline, switch_point })
}

fn protocol(source: ProtocolError) -> Error {
    Error::Protocol { during: DURING, source }
}
