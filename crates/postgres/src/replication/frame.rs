//! Messages of the PostgreSQL protocol cut out of a stream of bytes, without doing any IO.
//!
//! A message from the server is one tag byte, a length of four bytes that counts itself but not the
//! tag, and a body. The buffer is filled by whole reads, however large, and gives out one message
//! after the other as a borrowed slice: no allocation and no system call per message.
//!
//! The length comes from the other side and is believed only up to [`FRAME_LENGTH_MAX`].

use std::fmt;

use super::error::ProtocolError;

/// The longest message that is accepted, with its tag and length.
///
/// WAL arrives in messages of at most 16 pages (128 KiB, 1 MiB with the largest page size). The only
/// thing that can be longer is a timeline history file, of some 50 bytes for each promotion ever.
pub(super) const FRAME_LENGTH_MAX: usize = 4 << 20;

/// How much one read takes at most: two of the longest WAL messages of an ordinary server, so that
/// the bytes moved to the front after a read are few in proportion.
const BUFFER_LENGTH: usize = 256 << 10;

/// The tag and the length.
const HEADER_LENGTH: usize = 5;

/// One message: what kind, and its body.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Frame<'a> {
    pub(super) tag: u8,
    pub(super) body: &'a [u8],
}

/// Bytes received and not yet given out.
pub(super) struct FrameBuffer {
    bytes: Vec<u8>,
    begin: usize,
    end: usize,
    /// Where the body of the message given out last begins; it ends at `begin`.
    last_body: usize,
}

impl fmt::Debug for FrameBuffer {
    /// How much, not what: there is other people's data in it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "FrameBuffer({} bytes)", self.end - self.begin)
    }
}

impl FrameBuffer {
    pub(super) fn new() -> Self {
        Self { bytes: vec![0; BUFFER_LENGTH], begin: 0, end: 0, last_body: 0 }
    }

    /// Whether [`Self::take_frame`] would return a message. A length that cannot be is an error.
    pub(super) fn is_frame_ready(&self) -> Result<bool, ProtocolError> {
        Ok(self.frame_length()?.is_some_and(|length| self.end - self.begin >= length))
    }

    /// The next whole message, or `None` until more bytes have come.
    pub(super) fn take_frame(&mut self) -> Result<Option<Frame<'_>>, ProtocolError> {
        let Some(length) = self.frame_length()? else { return Ok(None) };
        if self.end - self.begin < length {
            return Ok(None);
        }
        let frame = &self.bytes[self.begin..self.begin + length];
        self.last_body = self.begin + HEADER_LENGTH;
        self.begin += length;
        Ok(Some(Frame { tag: frame[0], body: &frame[HEADER_LENGTH..] }))
    }

    /// The body of the message that was taken last, until [`Self::space`] is called.
    pub(super) fn last_body(&self) -> &[u8] {
        &self.bytes[self.last_body..self.begin]
    }

    /// Where to put the next bytes: never empty, and large enough for the rest of a message whose
    /// length is known. To be called when no message is ready.
    pub(super) fn space(&mut self) -> Result<&mut [u8], ProtocolError> {
        let wanted = self.frame_length()?.unwrap_or(HEADER_LENGTH).max(self.end - self.begin + 1);
        if self.begin > 0 {
            // What is left is the beginning of one message: less than the message itself.
            self.bytes.copy_within(self.begin..self.end, 0);
            self.end -= self.begin;
            self.begin = 0;
            self.last_body = 0;
        }
        if self.bytes.len() < wanted {
            self.bytes.resize(wanted, 0);
        }
        Ok(&mut self.bytes[self.end..])
    }

    /// Says how many bytes were put into [`Self::space`].
    pub(super) fn filled(&mut self, count: usize) {
        self.end = (self.end + count).min(self.bytes.len());
    }

    /// The whole length of the first message, once its header is there.
    fn frame_length(&self) -> Result<Option<usize>, ProtocolError> {
        let Some((header, _)) = self.bytes[self.begin..self.end].split_first_chunk::<5>() else {
            return Ok(None);
        };
        let [tag, a, b, c, d] = *header;
        let declared = u32::from_be_bytes([a, b, c, d]);
        match usize::try_from(declared) {
            Ok(length) if (4..FRAME_LENGTH_MAX).contains(&length) => Ok(Some(length + 1)),
            _ => Err(ProtocolError::FrameLength { tag, length: declared }),
        }
    }
}
