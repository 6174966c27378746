//! From the bytes of a terminal to keys.
//!
//! The rule it keeps: a key may come in pieces. An escape alone is the key of that name only once
//! nothing has followed it for a while; what is not known is left out.

/// A key.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Key {
    /// The arrow.
    Up,
    /// The arrow.
    Down,
    /// A screen up.
    PageUp,
    /// A screen down.
    PageDown,
    /// To the beginning.
    Home,
    /// To the end.
    End,
    /// Into something.
    Enter,
    /// Out of something.
    Escape,
    /// To the next.
    Tab,
    /// A letter.
    Letter(char),
}

/// What has come of a key that is not whole.
#[derive(Default)]
pub(super) struct Keys {
    held: Vec<u8>,
}

/// No sequence is longer.
const SEQUENCE_BYTES_MAX: usize = 16;

impl Keys {
    /// The keys that are whole with these bytes. No bytes: some time has passed without any.
    pub(super) fn read(&mut self, bytes: &[u8]) -> Vec<Key> {
        if bytes.is_empty() {
            let is_escape = self.held == [0x1b];
            self.held.clear();
            return if is_escape { vec![Key::Escape] } else { Vec::new() };
        }
        self.held.extend_from_slice(bytes);
        let mut found = Vec::new();
        while let Some((key, length)) = first(&self.held) {
            self.held.drain(..length);
            found.extend(key);
        }
        if self.held.len() > SEQUENCE_BYTES_MAX {
            self.held.clear();
        }
        found
    }
}

/// The first key and its bytes; none: it is not whole. A key of none is one that is not known.
fn first(bytes: &[u8]) -> Option<(Option<Key>, usize)> {
    let (byte, rest) = bytes.split_first()?;
    match byte {
        0x1b => sequence(rest).map(|(key, length)| (key, length + 1)),
        b'\r' | b'\n' => Some((Some(Key::Enter), 1)),
        b'\t' => Some((Some(Key::Tab), 1)),
        0x7f | 0x08 => Some((Some(Key::Escape), 1)),
        letter @ b' '..=b'~' => Some((Some(Key::Letter(char::from(*letter))), 1)),
        _ => Some((None, 1)),
    }
}

/// What follows an escape.
fn sequence(rest: &[u8]) -> Option<(Option<Key>, usize)> {
    match rest.first()? {
        b'[' => {
            let end = rest.iter().skip(1).position(|byte| (0x40..=0x7e).contains(byte))? + 1;
            let key = match (rest.get(1..end)?, rest.get(end)?) {
                (_, b'A') => Some(Key::Up),
                (_, b'B') => Some(Key::Down),
                (_, b'H') | (b"1" | b"7", b'~') => Some(Key::Home),
                (_, b'F') | (b"4" | b"8", b'~') => Some(Key::End),
                (b"5", b'~') => Some(Key::PageUp),
                (b"6", b'~') => Some(Key::PageDown),
                _ => None,
            };
            Some((key, end + 1))
        }
        b'O' => {
            let key = match rest.get(1)? {
                b'A' => Some(Key::Up),
                b'B' => Some(Key::Down),
                b'H' => Some(Key::Home),
                b'F' => Some(Key::End),
                b'M' => Some(Key::Enter),
                _ => None,
            };
            Some((key, 2))
        }
        // Another key came before the time of an escape alone was over.
        0x1b => Some((Some(Key::Escape), 0)),
        _ => Some((None, 1)),
    }
}
