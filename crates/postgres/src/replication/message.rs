//! What the messages of the server mean: bodies of frames parsed into values that borrow from them.
//!
//! Every byte is the server's word and is checked: a body too short, a text without its end or a
//! count that does not fit is a [`ProtocolError`], never a panic.

use super::error::{ProtocolError, ServerError};
use super::frame::Frame;
use crate::lsn::Lsn;

/// A message from the server, as far as a physical replication connection can meet it.
#[derive(Debug)]
pub(super) enum Message<'a> {
    Authentication(&'a [u8]),
    Error(ServerError),
    ParameterStatus {
        name: String,
        value: String,
    },
    DataRow(&'a [u8]),
    CommandComplete,
    ReadyForQuery,
    CopyBoth,
    CopyData(&'a [u8]),
    CopyDone,
    /// Sent along without being asked for, and without a meaning for us: notices, keys, names of
    /// columns, the protocol version offered instead.
    Aside,
}

impl<'a> Message<'a> {
    pub(super) fn parse(frame: &Frame<'a>) -> Result<Self, ProtocolError> {
        let body = frame.body;
        Ok(match frame.tag {
            b'R' => Self::Authentication(body),
            b'E' => Self::Error(ServerError::parse(body)?),
            b'S' => {
                let mut fields = Fields::new("ParameterStatus", body);
                Self::ParameterStatus { name: fields.text()?, value: fields.text()? }
            }
            b'D' => Self::DataRow(body),
            b'C' => Self::CommandComplete,
            b'Z' => Self::ReadyForQuery,
            b'W' => Self::CopyBoth,
            b'd' => Self::CopyData(body),
            b'c' => Self::CopyDone,
            b'N' | b'K' | b'T' | b'A' | b'v' => Self::Aside,
            tag => return Err(ProtocolError::Unknown { tag }),
        })
    }

    /// The error that this message is where it is not expected.
    pub(super) fn out_of_place(&self) -> ProtocolError {
        let message = match self {
            Self::Authentication(_) => "Authentication",
            Self::Error(_) => "ErrorResponse",
            Self::ParameterStatus { .. } => "ParameterStatus",
            Self::DataRow(_) => "DataRow",
            Self::CommandComplete => "CommandComplete",
            Self::ReadyForQuery => "ReadyForQuery",
            Self::CopyBoth => "CopyBothResponse",
            Self::CopyData(_) => "CopyData",
            Self::CopyDone => "CopyDone",
            Self::Aside => "notice",
        };
        ProtocolError::OutOfPlace { message }
    }
}

/// What comes before the bytes of WAL in a `CopyData` message: `w`, two positions and a time.
pub(super) const WAL_HEADER_LENGTH: usize = 25;

/// What a `CopyData` message of a WAL stream says. The bytes of WAL are the rest of its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Streamed {
    Wal { start: Lsn, end_of_wal: Lsn, end: Lsn },
    Keepalive { end_of_wal: Lsn, sent_micros: i64, reply_requested: bool },
}

impl Streamed {
    pub(super) fn parse(body: &[u8]) -> Result<Self, ProtocolError> {
        let mut fields = Fields::new("CopyData", body);
        match fields.u8()? {
            b'w' => {
                let (start, end_of_wal) = (Lsn(fields.u64()?), Lsn(fields.u64()?));
                fields.u64()?;
                let end = start.checked_add(fields.rest().len() as u64);
                end.map(|end| Self::Wal { start, end_of_wal, end })
                    .ok_or(ProtocolError::Malformed { message: "XLogData" })
            }
            b'k' => Ok(Self::Keepalive {
                end_of_wal: Lsn(fields.u64()?),
                sent_micros: fields.i64()?,
                reply_requested: fields.u8()? != 0,
            }),
            tag => Err(ProtocolError::Unknown { tag }),
        }
    }
}

/// The values of one `DataRow`: raw bytes, `None` for NULL.
pub(super) fn row_values(body: &[u8]) -> Result<Vec<Option<Vec<u8>>>, ProtocolError> {
    let mut fields = Fields::new("DataRow", body);
    let count = fields.u16()?;
    let mut values = Vec::new();
    for _ in 0..count {
        values.push(match fields.i32()? {
            -1 => None,
            length => {
                let length = usize::try_from(length).map_err(|_| fields.malformed())?;
                Some(fields.bytes(length)?.to_vec())
            }
        });
    }
    Ok(values)
}

/// Takes one field after the other off the front of a body.
pub(super) struct Fields<'a> {
    message: &'static str,
    rest: &'a [u8],
}

impl<'a> Fields<'a> {
    pub(super) fn new(message: &'static str, body: &'a [u8]) -> Self {
        Self { message, rest: body }
    }

    pub(super) fn bytes(&mut self, count: usize) -> Result<&'a [u8], ProtocolError> {
        let (taken, rest) = self.rest.split_at_checked(count).ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(taken)
    }

    fn array<const N: usize>(&mut self) -> Result<[u8; N], ProtocolError> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or_else(|| self.malformed())?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn u8(&mut self) -> Result<u8, ProtocolError> {
        Ok(u8::from_be_bytes(self.array()?))
    }

    pub(super) fn u16(&mut self) -> Result<u16, ProtocolError> {
        Ok(u16::from_be_bytes(self.array()?))
    }

    pub(super) fn i32(&mut self) -> Result<i32, ProtocolError> {
        Ok(i32::from_be_bytes(self.array()?))
    }

    pub(super) fn u64(&mut self) -> Result<u64, ProtocolError> {
        Ok(u64::from_be_bytes(self.array()?))
    }

    pub(super) fn i64(&mut self) -> Result<i64, ProtocolError> {
        Ok(i64::from_be_bytes(self.array()?))
    }

    /// A text that ends with a zero byte. Bytes that are not UTF-8 are replaced: the text is for
    /// people, and the server's encoding is not known before it has told us.
    pub(super) fn text(&mut self) -> Result<String, ProtocolError> {
        let end = self.rest.iter().position(|&byte| byte == 0).ok_or_else(|| self.malformed())?;
        let text = String::from_utf8_lossy(&self.rest[..end]).into_owned();
        self.rest = &self.rest[end + 1..];
        Ok(text)
    }

    pub(super) fn rest(self) -> &'a [u8] {
        self.rest
    }

    pub(super) fn malformed(&self) -> ProtocolError {
        ProtocolError::Malformed { message: self.message }
    }
}
