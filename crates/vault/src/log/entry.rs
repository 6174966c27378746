//! The bytes of an entry: `prelude · JSON head · clear tables · sealed body · signature`.
//!
//! The signature is over the bytes as stored, so nothing is made canonical and no value of
//! [`Entry`] exists whose signature was not checked. Who the signer is, and whether it may, is the
//! fold's question.

use jiff::Timestamp;
use serde::{Deserialize, Serialize};

use crate::crypto::{ObjectKey, Place, Purpose, SymmetricKey};
use crate::frame::{FrameError, FrameReader, FrameType, FrameWriter, RAW_LENGTH_MAX};
use crate::ids::{BackupId, Digest, Salt, SessionId, StoreId, VaultId};
use crate::keys::{PublicKey, SIGNATURE_LENGTH, Signer, StoreKeys};
use crate::log::event::{
    Backup, Duty, Event, Head, Import, Incarnation, LogPlace, Open, Sweep, WalRange, Witness,
};
use crate::log::packs::{Cursor, PackRows, PackSet, TableError};
use crate::names::Name;
use crate::pack::{METADATA_COMPRESSION, OBJECT_LENGTH_MAX};

const MAGIC: [u8; 4] = *b"SOTL";
const SUITE: u8 = 1;
const VERSION: u16 = 1;
const PRELUDE_LENGTH: usize = 40;

/// A head is names and numbers; the longest list in one is of retired backups.
const HEAD_LENGTH_MAX: usize = 1 << 20;

/// No body is longer unpacked: what a reader must be able to hold.
const BODY_LENGTH_MAX: usize = 64 << 20;

/// Features of the format that this version knows by the name in `needs`.
const FEATURES: [&str; 0] = [];

/// What an entry says that is yet to be written.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Draft {
    /// What it does.
    pub event: Event,
    /// What is sealed.
    pub body: Body,
    /// Heads of this store's logs in other vaults.
    pub witness: Vec<Witness>,
}

/// The sealed part of an entry. Its bytes mean something to those who write backups of one kind of
/// store, nothing to the log.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Body {
    /// What the kind of store says about the backup.
    pub content: Vec<u8>,
    /// Root of the map.
    pub map_root: Vec<u8>,
}

/// Who writes an entry.
#[derive(Debug, Clone)]
pub struct Author {
    /// Signs it.
    pub signer: Signer,
    /// `K_meta`, which seals bodies. Those who do not hold it write entries without one.
    pub metadata: Option<SymmetricKey>,
    /// Number of the trust list it goes by.
    pub trust_number: u32,
}

/// Where and when an entry is written.
#[derive(Debug, Clone, Copy)]
pub struct Position {
    /// Whose log.
    pub place: LogPlace,
    /// The slot.
    pub sequence: u64,
    /// The linked entry before.
    pub previous: Option<Digest>,
    /// The author's clock.
    pub claimed: Timestamp,
    /// Fresh random bytes.
    pub salt: Salt,
}

/// An entry whose signature is right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Entry {
    /// What it says about itself.
    pub head: Head,
    /// What it does.
    pub event: Event,
    /// BLAKE3 of its bytes.
    pub hash: Digest,
    salt: Salt,
    sealed: Vec<u8>,
    sealed_offset: u64,
}

/// Why bytes are no entry.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum EntryError {
    /// Too short or other magic.
    #[error("it is no log entry")]
    NotOurs,
    /// Written by a newer Soter: use that one.
    #[error("format version {version}, suite {suite}: this Soter reads version 1, suite 1")]
    OtherVersion {
        /// The version found.
        version: u16,
        /// The suite found.
        suite: u8,
    },
    /// The lengths do not add up.
    #[error("its lengths do not add up")]
    Lengths,
    /// The head is not what this kind's head must be.
    #[error("its head is damaged: {0}")]
    Head(String),
    /// The tables are not what this kind's tables must be.
    #[error(transparent)]
    Tables(#[from] TableError),
    /// The signature is not the named signer's, or the bytes were changed.
    #[error("its signature is wrong")]
    Signature,
    /// The body does not open.
    #[error("its body does not open")]
    Body(#[from] FrameError),
    /// The body opens, and is not what a body is.
    #[error("its body is damaged")]
    BodyContent,
}

/// An entry would be too long: 64 MiB, its head 1 MiB.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the entry would be {bytes} bytes, more than the format allows")]
pub struct TooLong {
    /// How long it would be.
    pub bytes: usize,
}

impl Author {
    /// The writer with these keys.
    pub fn of(keys: &StoreKeys) -> Self {
        Self {
            signer: keys.signer.clone(),
            metadata: Some(keys.metadata.clone()),
            trust_number: keys.trust_number,
        }
    }
}

impl Draft {
    /// An entry without a body.
    pub fn of(event: Event) -> Self {
        Self { event, body: Body::default(), witness: Vec::new() }
    }

    /// The bytes of the entry.
    ///
    /// # Errors
    /// [`TooLong`].
    ///
    /// # Panics
    /// When there is a body and the author holds no `K_meta`.
    pub fn seal(&self, author: &Author, at: &Position) -> Result<Vec<u8>, TooLong> {
        let head = serde_json::to_vec(&HeadJson::of(self, author, at))
            .expect("ids, numbers and texts are JSON");
        let mut bytes = vec![0; PRELUDE_LENGTH];
        bytes.extend_from_slice(&head);
        write_tables(&self.event, &mut bytes);
        let tables_length = bytes.len() - PRELUDE_LENGTH - head.len();
        let too_long = |bytes| Err(TooLong { bytes });
        let body_length = self.body.content.len().saturating_add(self.body.map_root.len());
        let bound = bytes.len().saturating_add(body_length);
        if head.len() > HEAD_LENGTH_MAX {
            return too_long(head.len());
        }
        if bound > BODY_LENGTH_MAX - PRELUDE_LENGTH - SIGNATURE_LENGTH {
            return too_long(bound);
        }
        let sealed_offset = bytes.len();
        if body_length > 0 {
            let metadata = author.metadata.as_ref().expect("a body is sealed under K_meta");
            let key = body_key(metadata, at, self.event.session());
            self.body.seal(&key, &mut bytes);
        }
        let sealed_length = bytes.len() - sealed_offset;
        write_prelude(&mut bytes, [head.len(), tables_length, sealed_length], at.salt);
        let signature = author.signer.sign(&bytes);
        bytes.extend_from_slice(&signature);
        if bytes.len() > OBJECT_LENGTH_MAX { too_long(bytes.len()) } else { Ok(bytes) }
    }
}

fn write_prelude(bytes: &mut [u8], lengths: [usize; 3], salt: Salt) {
    bytes[0..4].copy_from_slice(&MAGIC);
    bytes[4] = SUITE;
    bytes[6..8].copy_from_slice(&VERSION.to_le_bytes());
    for (field, length) in bytes[8..20].chunks_exact_mut(4).zip(lengths) {
        let length = u32::try_from(length).expect("it was compared with a limit before");
        field.copy_from_slice(&length.to_le_bytes());
    }
    bytes[24..40].copy_from_slice(&salt.0);
}

fn write_tables(event: &Event, bytes: &mut Vec<u8>) {
    match event {
        Event::Open(open) => {
            bytes.extend_from_slice(&open.commitment);
            bytes.extend_from_slice(&open.wrapped);
        }
        Event::Backup(backup) => {
            backup.rows.write(bytes);
            backup.referenced.write(bytes);
        }
        Event::Sweep(sweep) => sweep.packs.write(bytes),
        Event::Import(import) => {
            for entry in [&import.open, &import.backup] {
                let length = u32::try_from(entry.len()).expect("an entry is at most 64 MiB");
                bytes.extend_from_slice(&length.to_le_bytes());
                bytes.extend_from_slice(entry);
            }
            import.rows.write(bytes);
        }
        Event::Retire(_)
        | Event::Hold(_)
        | Event::Unhold(_)
        | Event::Attest(_)
        | Event::Unknown(_) => {}
    }
}

fn body_key(metadata: &SymmetricKey, at: &Position, session: Option<SessionId>) -> ObjectKey {
    let name = Name::Log(at.place.store, at.sequence).to_string();
    let session = session.unwrap_or(SessionId([0; 8]));
    let place = Place { store: at.place.store, session, name: &name };
    metadata.object_key(Purpose::Metadata, place, at.salt)
}

impl Body {
    fn seal(&self, key: &ObjectKey, bytes: &mut Vec<u8>) {
        let length = u32::try_from(self.content.len()).expect("it was compared with a limit");
        let raw = [&length.to_le_bytes(), &self.content[..], &self.map_root].concat();
        let mut frames = FrameWriter::new(METADATA_COMPRESSION);
        for chunk in raw.chunks(RAW_LENGTH_MAX) {
            frames.append(bytes, key, FrameType::Body, chunk);
        }
    }

    fn open(key: &ObjectKey, sealed: &[u8], offset: u64) -> Result<Self, EntryError> {
        let (mut reader, mut raw, mut all) = (FrameReader::new(), Vec::new(), Vec::new());
        let (mut rest, mut offset) = (sealed, offset);
        while !rest.is_empty() {
            let (kind, length) = reader.open(key, offset, rest, &mut raw)?;
            if kind != FrameType::Body || all.len() + raw.len() > BODY_LENGTH_MAX {
                return Err(EntryError::BodyContent);
            }
            all.extend_from_slice(&raw);
            rest = &rest[length..];
            offset += length as u64;
        }
        if all.is_empty() {
            return Ok(Self::default());
        }
        let mut cursor = Cursor(&all);
        let length = cursor.length().map_err(|_| EntryError::BodyContent)?;
        let content = cursor.take(length).map_err(|_| EntryError::BodyContent)?.to_vec();
        Ok(Self { content, map_root: cursor.0.to_vec() })
    }
}

impl Entry {
    /// Reads an entry and checks its signature against the signer it names.
    ///
    /// # Errors
    /// See [`EntryError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, EntryError> {
        let parts = Parts::split(bytes)?;
        let json: HeadJson = serde_json::from_slice(parts.head).map_err(head_error)?;
        if !json.signer.verify(parts.signed, parts.signature) {
            return Err(EntryError::Signature);
        }
        let event = json.event(parts.tables)?;
        Ok(Self {
            head: json.head(),
            event,
            hash: Digest::of(bytes),
            salt: parts.salt,
            sealed: parts.sealed.to_vec(),
            sealed_offset: (parts.signed.len() - parts.sealed.len()) as u64,
        })
    }

    /// What this version would have to know to interpret the entry, and does not.
    pub fn unknown(&self) -> Option<&str> {
        match &self.event {
            Event::Unknown(kind) => Some(unknown_feature(&self.head.needs).unwrap_or(kind)),
            _ => None,
        }
    }

    /// Opens the body.
    ///
    /// # Errors
    /// [`EntryError::Body`] when the key is not the one it was sealed under.
    pub fn body(&self, metadata: &SymmetricKey) -> Result<Body, EntryError> {
        let at = Position {
            place: self.head.place,
            sequence: self.head.sequence,
            previous: self.head.previous,
            claimed: self.head.claimed,
            salt: self.salt,
        };
        let key = body_key(metadata, &at, self.event.session());
        Body::open(&key, &self.sealed, self.sealed_offset)
    }
}

fn unknown_feature(needs: &[String]) -> Option<&str> {
    needs.iter().map(String::as_str).find(|feature| !FEATURES.contains(feature))
}

/// An entry's bytes, cut at the lengths of the prelude.
struct Parts<'a> {
    salt: Salt,
    head: &'a [u8],
    tables: &'a [u8],
    sealed: &'a [u8],
    signed: &'a [u8],
    signature: &'a [u8],
}

impl<'a> Parts<'a> {
    fn split(bytes: &'a [u8]) -> Result<Self, EntryError> {
        let (prelude, rest) =
            bytes.split_first_chunk::<PRELUDE_LENGTH>().ok_or(EntryError::NotOurs)?;
        if prelude[0..4] != MAGIC {
            return Err(EntryError::NotOurs);
        }
        let mut fields = Cursor(&prelude[4..]);
        let [suite, zero, version_low, version_high] = fields.array()?;
        let version = u16::from_le_bytes([version_low, version_high]);
        if suite != SUITE || version != VERSION {
            return Err(EntryError::OtherVersion { version, suite });
        }
        let lengths = [fields.length()?, fields.length()?, fields.length()?];
        let reserved = fields.u32()?;
        let salt = Salt(fields.array()?);
        let total = lengths.iter().fold(SIGNATURE_LENGTH, |sum, part| sum.saturating_add(*part));
        let fits = total == rest.len()
            && lengths[0] <= HEAD_LENGTH_MAX
            && bytes.len() <= OBJECT_LENGTH_MAX
            && zero == 0
            && reserved == 0;
        if !fits {
            return Err(EntryError::Lengths);
        }
        let mut rest = Cursor(rest);
        Ok(Self {
            salt,
            head: rest.take(lengths[0])?,
            tables: rest.take(lengths[1])?,
            sealed: rest.take(lengths[2])?,
            signed: &bytes[..bytes.len() - SIGNATURE_LENGTH],
            signature: rest.0,
        })
    }
}

fn head_error(error: serde_json::Error) -> EntryError {
    EntryError::Head(error.to_string())
}

/// The head as it is stored.
#[derive(Serialize, Deserialize)]
struct HeadJson {
    vault: VaultId,
    store: StoreId,
    sequence: u64,
    previous: Option<Digest>,
    kind: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    session: Option<SessionId>,
    trust: u32,
    signer: PublicKey,
    claimed: Timestamp,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    needs: Vec<String>,
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    witness: Vec<Witness>,
    tool: String,
    about: serde_json::Value,
}

#[derive(Serialize, Deserialize)]
struct OpenJson {
    duty: Duty,
    agent: String,
    #[serde(default)]
    incarnation: Option<Incarnation>,
    #[serde(default)]
    adopts: Vec<SessionId>,
}

#[derive(Serialize, Deserialize)]
struct BackupJson {
    id: BackupId,
    #[serde(default)]
    wal: Option<WalRange>,
}

#[derive(Serialize, Deserialize)]
struct SweepJson {
    #[serde(default)]
    wal: Vec<WalRange>,
    #[serde(default)]
    parts: Vec<WalRange>,
}

#[derive(Serialize, Deserialize)]
struct ImportJson {
    source: VaultId,
}

impl HeadJson {
    fn of(draft: &Draft, author: &Author, at: &Position) -> Self {
        Self {
            vault: at.place.vault,
            store: at.place.store,
            sequence: at.sequence,
            previous: at.previous,
            kind: draft.event.kind().to_owned(),
            session: draft.event.session(),
            trust: author.trust_number,
            signer: author.signer.public(),
            claimed: at.claimed,
            needs: Vec::new(),
            witness: draft.witness.clone(),
            tool: concat!("soter ", env!("CARGO_PKG_VERSION")).to_owned(),
            about: about(&draft.event),
        }
    }

    fn head(self) -> Head {
        Head {
            place: LogPlace { vault: self.vault, store: self.store },
            sequence: self.sequence,
            previous: self.previous,
            trust: self.trust,
            signer: self.signer,
            claimed: self.claimed,
            needs: self.needs,
            witness: self.witness,
            tool: self.tool,
        }
    }

    fn event(&self, tables: &[u8]) -> Result<Event, EntryError> {
        if unknown_feature(&self.needs).is_some() {
            return Ok(Event::Unknown(self.kind.clone()));
        }
        let mut tables = Cursor(tables);
        let event = match self.kind.as_str() {
            "open" => Event::Open(self.open(&mut tables)?),
            "backup" => Event::Backup(self.backup(&mut tables)?),
            "retire" => Event::Retire(self.about()?),
            "sweep" => {
                let SweepJson { wal, parts } = self.about()?;
                Event::Sweep(Sweep { packs: PackSet::read(&mut tables)?, wal, parts })
            }
            "hold" => Event::Hold(self.about()?),
            "unhold" => Event::Unhold(self.about()?),
            "attest" => Event::Attest(self.about()?),
            "import" => Event::Import(self.import(&mut tables)?),
            unknown => return Ok(Event::Unknown(unknown.to_owned())),
        };
        tables.end()?;
        Ok(event)
    }

    fn open(&self, tables: &mut Cursor<'_>) -> Result<Open, EntryError> {
        let OpenJson { duty, agent, incarnation, adopts } = self.about()?;
        let commitment = tables.array()?;
        let wrapped = tables.take(tables.0.len())?.to_vec();
        let session = self.session()?;
        Ok(Open { session, duty, agent, incarnation, adopts, commitment, wrapped })
    }

    fn backup(&self, tables: &mut Cursor<'_>) -> Result<Backup, EntryError> {
        let BackupJson { id, wal } = self.about()?;
        let rows = PackRows::read(tables)?;
        let referenced = PackSet::read(tables)?;
        Ok(Backup { id, session: self.session()?, wal, rows, referenced })
    }

    fn import(&self, tables: &mut Cursor<'_>) -> Result<Import, EntryError> {
        let ImportJson { source } = self.about()?;
        let mut entry = || {
            let length = tables.length()?;
            tables.take(length).map(<[u8]>::to_vec)
        };
        let (open, backup) = (entry()?, entry()?);
        Ok(Import { source, open, backup, rows: PackRows::read(tables)? })
    }

    fn session(&self) -> Result<SessionId, EntryError> {
        self.session.ok_or_else(|| EntryError::Head("it names no session".to_owned()))
    }

    fn about<'a, T: Deserialize<'a>>(&'a self) -> Result<T, EntryError> {
        T::deserialize(&self.about).map_err(head_error)
    }
}

fn about(event: &Event) -> serde_json::Value {
    let value = match event {
        Event::Open(open) => serde_json::to_value(OpenJson {
            duty: open.duty,
            agent: open.agent.clone(),
            incarnation: open.incarnation.clone(),
            adopts: open.adopts.clone(),
        }),
        Event::Backup(backup) => {
            serde_json::to_value(BackupJson { id: backup.id, wal: backup.wal })
        }
        Event::Retire(retire) => serde_json::to_value(retire),
        Event::Sweep(sweep) => {
            serde_json::to_value(SweepJson { wal: sweep.wal.clone(), parts: sweep.parts.clone() })
        }
        Event::Hold(hold) => serde_json::to_value(hold),
        Event::Unhold(unhold) => serde_json::to_value(unhold),
        Event::Attest(attest) => serde_json::to_value(attest),
        Event::Import(import) => serde_json::to_value(ImportJson { source: import.source }),
        Event::Unknown(_) => Ok(serde_json::Value::Object(serde_json::Map::new())),
    };
    value.expect("ids, numbers and texts are JSON")
}

#[cfg(test)]
mod tests;
