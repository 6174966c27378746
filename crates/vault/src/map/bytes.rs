//! Numbers and texts as root, shards and leaves spell them. Reading is total: any bytes are read or
//! refused, and nothing is allocated that the bytes do not pay for.

use std::collections::BTreeMap;

use crate::crypto::TAG_LENGTH;
use crate::frame::{FRAME_HEADER_LENGTH, FrameRange, RAW_LENGTH_MAX};
use crate::header::HEADER_LENGTH;
use crate::ids::{ContentId, SessionId};
use crate::pack::{OBJECT_LENGTH_MAX, PACK_NUMBER_LIMIT, PackId};

/// Bytes that no writer of this version makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("{0}")]
pub struct Malformed(pub &'static str);

/// Appends a number.
pub(super) fn put_number(bytes: &mut Vec<u8>, mut number: u64) {
    loop {
        let [low, ..] = number.to_le_bytes();
        number >>= 7;
        if number == 0 {
            bytes.push(low & 0x7f);
            return;
        }
        bytes.push(low | 0x80);
    }
}

/// Appends a length or a count.
pub(super) fn put_count(bytes: &mut Vec<u8>, count: usize) {
    put_number(bytes, count as u64);
}

/// Appends a signed number.
pub(super) fn put_signed(bytes: &mut Vec<u8>, number: i64) {
    put_number(bytes, ((number << 1) ^ (number >> 63)).cast_unsigned());
}

/// Appends a text.
pub(super) fn put_text(bytes: &mut Vec<u8>, text: &[u8]) {
    put_count(bytes, text.len());
    bytes.extend_from_slice(text);
}

/// Reads what the functions above append.
pub(super) struct Bytes<'a> {
    rest: &'a [u8],
}

impl<'a> Bytes<'a> {
    pub(super) fn new(bytes: &'a [u8]) -> Self {
        Self { rest: bytes }
    }

    pub(super) fn is_empty(&self) -> bool {
        self.rest.is_empty()
    }

    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], Malformed> {
        let (taken, rest) = self.rest.split_at_checked(length).ok_or(Malformed("it ends early"))?;
        self.rest = rest;
        Ok(taken)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], Malformed> {
        let (taken, rest) = self.rest.split_first_chunk().ok_or(Malformed("it ends early"))?;
        self.rest = rest;
        Ok(*taken)
    }

    pub(super) fn byte(&mut self) -> Result<u8, Malformed> {
        self.array::<1>().map(|[byte]| byte)
    }

    pub(super) fn number(&mut self) -> Result<u64, Malformed> {
        let mut number = 0;
        for place in 0..10 {
            let byte = self.byte()?;
            let bits = u64::from(byte & 0x7f);
            if place == 9 && bits > 1 {
                return Err(Malformed("a number is too large"));
            }
            number |= bits << (7 * place);
            if byte & 0x80 == 0 {
                let shortest = byte != 0 || place == 0;
                return shortest.then_some(number).ok_or(Malformed("a number is not shortest"));
            }
        }
        Err(Malformed("a number is too long"))
    }

    pub(super) fn number_u32(&mut self) -> Result<u32, Malformed> {
        u32::try_from(self.number()?).map_err(|_| Malformed("a number is too large"))
    }

    pub(super) fn signed(&mut self) -> Result<i64, Malformed> {
        let number = self.number()?;
        Ok((number >> 1).cast_signed() ^ -(number & 1).cast_signed())
    }

    /// A count of things of which each takes at least a byte of what follows.
    pub(super) fn count(&mut self, count_max: usize) -> Result<usize, Malformed> {
        let count = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if count > count_max || count > self.rest.len() {
            return Err(Malformed("a count is too large"));
        }
        Ok(count)
    }

    /// An index into a table of `length` rows.
    pub(super) fn index(&mut self, length: usize) -> Result<usize, Malformed> {
        let index = usize::try_from(self.number()?).unwrap_or(usize::MAX);
        if index < length { Ok(index) } else { Err(Malformed("an index is outside its table")) }
    }

    pub(super) fn text(&mut self, length_max: usize) -> Result<&'a [u8], Malformed> {
        let length = self.count(length_max)?;
        self.take(length)
    }

    pub(super) fn string(&mut self, length_max: usize) -> Result<&'a str, Malformed> {
        str::from_utf8(self.text(length_max)?).map_err(|_| Malformed("a name is not UTF-8"))
    }

    pub(super) fn content_id(&mut self) -> Result<ContentId, Malformed> {
        self.array().map(ContentId)
    }

    pub(super) fn version(&mut self) -> Result<(), Malformed> {
        match self.byte()? {
            VERSION => Ok(()),
            _ => Err(Malformed("it is of a version this Soter does not know")),
        }
    }

    /// Everything must have been read.
    pub(super) fn end(&self) -> Result<(), Malformed> {
        if self.is_empty() { Ok(()) } else { Err(Malformed("it is too long")) }
    }
}

/// The first byte of roots, shards and leaves.
pub(super) const VERSION: u8 = 1;

/// Rows numbered in the order of their first use, each once.
pub(super) struct Table<T> {
    rows: Vec<T>,
    indexes: BTreeMap<T, usize>,
}

impl<T> Default for Table<T> {
    fn default() -> Self {
        Self { rows: Vec::new(), indexes: BTreeMap::new() }
    }
}

impl<T: Ord + Clone> Table<T> {
    /// The row's index; the row is added if it is new.
    pub(super) fn index(&mut self, row: &T) -> usize {
        if let Some(index) = self.indexes.get(row) {
            return *index;
        }
        self.rows.push(row.clone());
        self.indexes.insert(row.clone(), self.rows.len() - 1);
        self.rows.len() - 1
    }

    pub(super) fn rows(&self) -> &[T] {
        &self.rows
    }
}

/// Appends the table of sessions and the tables of packs that refer to it.
pub(super) fn put_packs(bytes: &mut Vec<u8>, tables: &[&[PackId]]) {
    let mut sessions = Table::default();
    let mut rows = Vec::new();
    for packs in tables {
        put_count(&mut rows, packs.len());
        for pack in *packs {
            put_count(&mut rows, sessions.index(&pack.session));
            put_number(&mut rows, u64::from(pack.number));
        }
    }
    put_count(bytes, sessions.rows().len());
    for session in sessions.rows() {
        bytes.extend_from_slice(&session.0);
    }
    bytes.extend_from_slice(&rows);
}

/// Reads what [`put_packs`] appended.
pub(super) fn packs<const N: usize>(bytes: &mut Bytes<'_>) -> Result<[Vec<PackId>; N], Malformed> {
    let mut sessions = Vec::new();
    for _ in 0..bytes.count(usize::MAX)? {
        sessions.push(bytes.array().map(SessionId)?);
    }
    let mut tables = [const { Vec::new() }; N];
    for packs in &mut tables {
        for _ in 0..bytes.count(usize::MAX)? {
            let session = sessions[bytes.index(sessions.len())?];
            let number = bytes.number_u32()?;
            if number >= PACK_NUMBER_LIMIT {
                return Err(Malformed("a pack's number is too large"));
            }
            packs.push(PackId { session, number });
        }
    }
    Ok(tables)
}

/// Reads a frame's range and checks that it lies in an object.
pub(super) fn frame_range(offset: u64, length: u64) -> Result<FrameRange, Malformed> {
    let fits = offset >= HEADER_LENGTH as u64
        && length >= FRAME_LENGTH_MIN as u64
        && length <= FRAME_LENGTH_MAX as u64
        && offset.checked_add(length).is_some_and(|end| end <= OBJECT_LENGTH_MAX as u64);
    match (u32::try_from(offset), u32::try_from(length)) {
        (Ok(offset), Ok(length)) if fits => Ok(FrameRange { offset, length }),
        _ => Err(Malformed("a frame lies outside its pack")),
    }
}

const FRAME_LENGTH_MIN: usize = FRAME_HEADER_LENGTH + TAG_LENGTH;
const FRAME_LENGTH_MAX: usize = FRAME_LENGTH_MIN + RAW_LENGTH_MAX;

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    proptest! {
        #[test]
        fn numbers_come_back(number: u64, signed: i64, text in ".{0,300}") {
            let mut bytes = Vec::new();
            put_number(&mut bytes, number);
            put_signed(&mut bytes, signed);
            put_text(&mut bytes, text.as_bytes());
            let mut read = Bytes::new(&bytes);
            prop_assert_eq!(read.number(), Ok(number));
            prop_assert_eq!(read.signed(), Ok(signed));
            prop_assert_eq!(read.string(2000), Ok(text.as_str()));
            prop_assert_eq!(read.end(), Ok(()));
        }

        #[test]
        fn a_number_has_one_spelling(bytes in proptest::collection::vec(any::<u8>(), 0..12)) {
            let mut read = Bytes::new(&bytes);
            if let Ok(number) = read.number() {
                let mut again = Vec::new();
                put_number(&mut again, number);
                prop_assert!(bytes.starts_with(&again));
                prop_assert_eq!(read.rest.len(), bytes.len() - again.len());
            }
        }
    }

    #[test]
    fn what_is_too_large_is_refused() {
        let too_large = [0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2];
        assert!(Bytes::new(&too_large).number().is_err());
        assert!(Bytes::new(&[0x80, 0]).number().is_err(), "not shortest");
        assert!(Bytes::new(&[5, 1, 2]).text(100).is_err(), "longer than what follows");
        assert!(frame_range(63, 100).is_err());
        assert!(frame_range(64, 27).is_err());
        assert!(frame_range(64 << 20, 28).is_err());
        assert!(frame_range(u64::MAX, 28).is_err());
    }
}
