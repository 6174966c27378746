//! A stream on which a server sends messages of a bounded length.
//!
//! The rule it keeps: a message is refused by its head, before the rest of it is read into memory. A
//! server says in four bytes how long its next message is, and one value may have a gigabyte.

use std::io;
use std::pin::Pin;
use std::task::{Context, Poll, ready};

use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tokio_postgres::tls::{ChannelBinding, TlsStream};

/// The longest message that is read: longer than any row a person or a comparison can use.
pub(super) const MESSAGE_BYTES_MAX: u32 = 16 << 20;

/// The kind of a message and its length, which counts itself.
const HEAD_BYTES: usize = 5;

/// A stream of messages of a bounded length.
pub(super) struct Bounded<S> {
    stream: S,
    messages: Messages,
}

/// Where in the messages of a server the reader is.
#[derive(Debug, Default)]
struct Messages {
    head: [u8; HEAD_BYTES],
    /// How much of a head is there.
    known: usize,
    /// How much of the message behind it is to come.
    left: usize,
}

impl Messages {
    /// Goes on by what was read. In words why it is refused.
    fn pass(&mut self, mut bytes: &[u8]) -> Result<(), String> {
        while !bytes.is_empty() {
            if self.left > 0 {
                let part = self.left.min(bytes.len());
                self.left -= part;
                bytes = bytes.get(part..).unwrap_or_default();
                continue;
            }
            let part = (HEAD_BYTES - self.known).min(bytes.len());
            let (head, rest) = bytes.split_at(part);
            self.head[self.known..self.known + part].copy_from_slice(head);
            self.known += part;
            bytes = rest;
            if self.known == HEAD_BYTES {
                let [_, length @ ..] = self.head;
                let length = u32::from_be_bytes(length);
                if length > MESSAGE_BYTES_MAX {
                    let most = MESSAGE_BYTES_MAX >> 20;
                    return Err(format!(
                        "a row of the answer has {} MiB, and at most {most} are read: ask for less \
                         of it, such as its length or a sum",
                        length >> 20
                    ));
                }
                let own = u32::try_from(HEAD_BYTES - 1).unwrap_or(u32::MAX);
                self.left = usize::try_from(length.saturating_sub(own)).unwrap_or(usize::MAX);
                self.known = 0;
            }
        }
        Ok(())
    }
}

impl<S> Bounded<S> {
    /// From the first message of a server on.
    pub(super) fn new(stream: S) -> Self {
        Self { stream, messages: Messages::default() }
    }
}

impl<S: AsyncRead + Unpin> AsyncRead for Bounded<S> {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        let before = buffer.filled().len();
        ready!(Pin::new(&mut self.stream).poll_read(context, buffer))?;
        let read = buffer.filled().get(before..).unwrap_or_default();
        Poll::Ready(self.messages.pass(read).map_err(io::Error::other))
    }
}

impl<S: AsyncWrite + Unpin> AsyncWrite for Bounded<S> {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.stream).poll_write(context, bytes)
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.stream).poll_shutdown(context)
    }
}

impl<S: AsyncRead + AsyncWrite + Unpin> TlsStream for Bounded<S> {
    /// None: the password is proved without being tied to the connection, as it is without TLS.
    fn channel_binding(&self) -> ChannelBinding {
        ChannelBinding::none()
    }
}

#[cfg(test)]
mod tests {
    use soter_world::random;
    use soter_world::sim::{SeededRandom, seeds};

    use super::*;

    fn message(bytes: usize) -> Vec<u8> {
        let length = u32::try_from(bytes + 4).unwrap();
        [&b"D"[..], &length.to_be_bytes(), &vec![7; bytes]].concat()
    }

    #[test]
    fn messages_pass_in_any_pieces_and_a_long_one_is_refused_by_its_head() {
        for seed in seeds(20) {
            let chance = SeededRandom::new(seed);
            let pick = |below: u64| {
                usize::try_from(u64::from_le_bytes(random::bytes::<8>(&chance)) % below).unwrap()
            };
            let mut all: Vec<u8> = (0..20).flat_map(|_| message(pick(40))).collect();
            let before = all.len();
            all.extend(b"D");
            all.extend((MESSAGE_BYTES_MAX + 1).to_be_bytes());
            let (mut messages, mut at) = (Messages::default(), 0);
            while at < before {
                let end = (at + 1 + pick(12)).min(before);
                messages.pass(&all[at..end]).unwrap_or_else(|why| panic!("seed {seed}: {why}"));
                at = end;
            }
            messages.pass(&all[before..before + 4]).unwrap();
            let why = messages.pass(&all[before + 4..]).unwrap_err();
            assert!(why.starts_with("a row of the answer has 16 MiB"), "seed {seed}: {why}");
        }
    }
}
