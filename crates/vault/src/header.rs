//! The 64 clear bytes every binary object begins with.

use crate::ids::{Salt, SessionId, StoreId};

/// Length of the header in bytes.
pub const HEADER_LENGTH: usize = 64;

/// The format version this code writes, and the newest it reads.
pub const FORMAT_VERSION: u16 = 1;

const MAGIC: [u8; 4] = *b"SOTR";

/// The only suite: zstd, AES-256-GCM, BLAKE3, Ed25519, age v1.
const SUITE: u8 = 1;

/// What kind of object follows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub enum ObjectClass {
    /// A pack of contents.
    DataPack = 1,
    /// A pack of maps.
    MapPack = 2,
    /// A sealed WAL segment or another file of the WAL archive.
    Wal = 3,
    /// A streamed part of a WAL segment.
    LivePart = 4,
    /// A checkpoint of a log's fold.
    Checkpoint = 5,
    /// An index of a folder of WAL segments.
    WalIndex = 6,
}

/// The header.
///
/// | offset | length | field |
/// |---|---|---|
/// | 0 | 4 | magic `SOTR` |
/// | 4 | 1 | class |
/// | 5 | 1 | suite, 1 |
/// | 6 | 2 | format version |
/// | 8 | 8 | store |
/// | 16 | 8 | session; for WAL objects the incarnation |
/// | 24 | 8 | number |
/// | 32 | 16 | salt |
/// | 48 | 4 | flags |
/// | 52 | 8 | reserved, zero |
/// | 60 | 4 | CRC32C of bytes 0 to 59 |
///
/// Numbers are little endian.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Header {
    /// What kind of object this is.
    pub class: ObjectClass,
    /// The store it belongs to.
    pub store: StoreId,
    /// The session that wrote it; for WAL objects the incarnation's bytes.
    pub session: SessionId,
    /// Number of the pack, the segment or the entry.
    pub number: u64,
    /// Random bytes that make this object's key its own.
    pub salt: Salt,
    /// Bits whose meaning the class gives.
    pub flags: u32,
}

/// Why bytes are not a header this version can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum HeaderError {
    /// Too short, or other magic: not an object of a vault.
    #[error("not an object of a Soter vault")]
    NotOurs,
    /// The checksum is wrong.
    #[error("the object's header is damaged")]
    Damaged,
    /// Written by a newer Soter: use that one.
    #[error("format version {version}, suite {suite}: this Soter reads version 1, suite 1")]
    OtherVersion {
        /// The version found.
        version: u16,
        /// The suite found.
        suite: u8,
    },
    /// A class or a reserved bit this version does not know.
    #[error("the object's class {0} or its reserved bytes are unknown to this version")]
    Unknown(u8),
}

impl Header {
    /// The header's bytes.
    pub fn to_bytes(self) -> [u8; HEADER_LENGTH] {
        let mut bytes = [0; HEADER_LENGTH];
        bytes[0..4].copy_from_slice(&MAGIC);
        bytes[4] = self.class as u8;
        bytes[5] = SUITE;
        bytes[6..8].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
        bytes[8..16].copy_from_slice(&self.store.0);
        bytes[16..24].copy_from_slice(&self.session.0);
        bytes[24..32].copy_from_slice(&self.number.to_le_bytes());
        bytes[32..48].copy_from_slice(&self.salt.0);
        bytes[48..52].copy_from_slice(&self.flags.to_le_bytes());
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        bytes
    }

    /// Reads the header at the start of `bytes`.
    ///
    /// # Errors
    /// See [`HeaderError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, HeaderError> {
        let bytes: &[u8; HEADER_LENGTH] = bytes.first_chunk().ok_or(HeaderError::NotOurs)?;
        if bytes[0..4] != MAGIC {
            return Err(HeaderError::NotOurs);
        }
        if crc32c::crc32c(&bytes[..60]).to_le_bytes() != bytes[60..64] {
            return Err(HeaderError::Damaged);
        }
        let version = u16::from_le_bytes(array(bytes, 6));
        if version != FORMAT_VERSION || bytes[5] != SUITE {
            return Err(HeaderError::OtherVersion { version, suite: bytes[5] });
        }
        let class = match bytes[4] {
            1 => ObjectClass::DataPack,
            2 => ObjectClass::MapPack,
            3 => ObjectClass::Wal,
            4 => ObjectClass::LivePart,
            5 => ObjectClass::Checkpoint,
            6 => ObjectClass::WalIndex,
            other => return Err(HeaderError::Unknown(other)),
        };
        if bytes[52..60] != [0; 8] {
            return Err(HeaderError::Unknown(bytes[4]));
        }
        Ok(Self {
            class,
            store: StoreId(array(bytes, 8)),
            session: SessionId(array(bytes, 16)),
            number: u64::from_le_bytes(array(bytes, 24)),
            salt: Salt(array(bytes, 32)),
            flags: u32::from_le_bytes(array(bytes, 48)),
        })
    }
}

/// `N` bytes of the header at `offset`; both are constants of the table above.
fn array<const N: usize>(bytes: &[u8; HEADER_LENGTH], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[offset..offset + N]);
    field
}

#[cfg(test)]
mod tests {
    use super::*;

    fn header() -> Header {
        Header {
            class: ObjectClass::DataPack,
            store: StoreId([1; 8]),
            session: SessionId([2; 8]),
            number: 3,
            salt: Salt([4; 16]),
            flags: 5,
        }
    }

    #[test]
    fn a_header_is_read_back_as_it_was_written() {
        assert_eq!(Header::parse(&header().to_bytes()), Ok(header()));
    }

    #[test]
    fn every_flipped_bit_is_noticed() {
        for bit in 0..HEADER_LENGTH * 8 {
            let mut bytes = header().to_bytes();
            bytes[bit / 8] ^= 1 << (bit % 8);
            assert!(Header::parse(&bytes).is_err(), "bit {bit}");
        }
    }

    #[test]
    fn another_version_is_named() {
        let mut bytes = header().to_bytes();
        bytes[6] = 2;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        let expected = HeaderError::OtherVersion { version: 2, suite: 1 };
        assert_eq!(Header::parse(&bytes), Err(expected));
    }

    #[test]
    fn reserved_bytes_must_be_zero() {
        let mut bytes = header().to_bytes();
        bytes[55] = 1;
        let crc = crc32c::crc32c(&bytes[..60]);
        bytes[60..64].copy_from_slice(&crc.to_le_bytes());
        assert_eq!(Header::parse(&bytes), Err(HeaderError::Unknown(1)));
    }
}
