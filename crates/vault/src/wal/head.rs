//! The head of a WAL file's object: everything but the frames.
//!
//! It is read alone, with one small request: it says whose and which file this is, carries the hash
//! of the frames and is signed for the object's name. Whoever has no key to the contents can still
//! tell that the file is there, whole, and the same as another. The byte table is in
//! `docs/format/vault.md`, section 9.

use jiff::Timestamp;

use super::error::Fault;
use super::place::ArchiveFile;
use crate::crypto::{ObjectKey, Place, Purpose, SymmetricKey};
use crate::frame::{Compression, FrameReader, FrameType, FrameWriter};
use crate::header::{HEADER_LENGTH, Header, ObjectClass};
use crate::ids::{ContentId, Digest, IncarnationId, Salt, SessionId};
use crate::keys::{PublicKey, Role, SIGNATURE_LENGTH, Signer, StoreKeys, Trust, WalPlace};

/// No head is longer than this in bytes.
pub(crate) const HEAD_LENGTH_MAX: usize = 16 << 10;

/// No wrapped key is longer than this in bytes.
const WRAP_LENGTH_MAX: usize = 8 << 10;

/// The file's key is wrapped in its head. There is no other way yet.
const FLAG_KEY_INSIDE: u32 = 1;

/// Where the wrap begins.
const FIXED_LENGTH: usize = 228;

/// PostgreSQL's largest segment.
pub(crate) const PLAINTEXT_LENGTH_MAX: u64 = 1 << 30;

/// Plaintext of the facts frame, which is not compressed, so that its length is known.
const FACTS_LENGTH: usize = 64;
const FACTS_FRAME_LENGTH: usize =
    crate::frame::FRAME_HEADER_LENGTH + FACTS_LENGTH + crate::crypto::TAG_LENGTH;

const SIGNATURE_CONTEXT: &[u8] = b"soter vault v1 signature";

/// What the caller knows about the WAL in a file; sealed under the store's metadata key.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
pub struct WalFacts {
    /// Earliest and latest commit time in the file.
    pub commit_times: Option<CommitTimes>,
    /// Records that end in the file.
    pub records: u64,
    /// Commits among them.
    pub commits: u64,
    /// Position after the last complete record; none if nobody looked.
    pub records_end: Option<u64>,
}

/// Earliest and latest of some commit times. They need not be the first's and the last's: a server's
/// clock may be set back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct CommitTimes {
    /// The earliest.
    pub earliest: Timestamp,
    /// The latest.
    pub latest: Timestamp,
}

/// What the head of an object says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Head {
    pub(crate) header: Header,
    /// The timeline the file belongs to.
    pub timeline: u32,
    /// The trust list under which its signer signed.
    pub trust_number: u32,
    /// For a whole segment, positions of its first byte and after its last.
    pub span: Option<(u64, u64)>,
    /// Length of the file in bytes.
    pub length: u64,
    /// Length of the sealed frames in bytes.
    pub frames_length: u64,
    /// Keyed hash of the file: equal files of a store have equal ids.
    pub content: ContentId,
    /// BLAKE3 of the sealed frames.
    pub frames_hash: Digest,
    /// Commitment to the file's key.
    pub commitment: [u8; 32],
    /// Who signed it.
    pub signer: PublicKey,
    /// The file's key, wrapped to the store key.
    pub wrapped: Vec<u8>,
    /// The head's own bytes.
    bytes: Vec<u8>,
}

/// What a writer knows once the frames are sealed.
pub(crate) struct HeadFields {
    pub(crate) length: u64,
    pub(crate) frames_length: u64,
    pub(crate) content: ContentId,
    pub(crate) frames_hash: Digest,
    pub(crate) facts: WalFacts,
}

/// What a writer decides before the first frame.
pub(crate) struct HeadStart {
    pub(crate) salt: Salt,
    pub(crate) commitment: [u8; 32],
    pub(crate) wrapped: Vec<u8>,
}

impl HeadStart {
    /// Length of the head, and so the offset of the first frame.
    pub(crate) fn head_length(&self) -> usize {
        FIXED_LENGTH + self.wrapped.len() + FACTS_FRAME_LENGTH + SIGNATURE_LENGTH
    }

    /// The signed head.
    pub(crate) fn finish(
        &self,
        file: &ArchiveFile,
        keys: &StoreKeys,
        fields: &HeadFields,
    ) -> Vec<u8> {
        let header = header_of(file, self.salt);
        let (from, to) = file.span.unwrap_or((0, 0));
        let mut bytes = Vec::with_capacity(self.head_length());
        bytes.extend_from_slice(&header.to_bytes());
        for number in [
            length_u32(self.head_length()),
            file.object.timeline,
            keys.trust_number,
            length_u32(FACTS_FRAME_LENGTH),
        ] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        for number in [from, to, fields.length, fields.frames_length] {
            bytes.extend_from_slice(&number.to_le_bytes());
        }
        bytes.extend_from_slice(&fields.content.0);
        bytes.extend_from_slice(&fields.frames_hash.0);
        bytes.extend_from_slice(&self.commitment);
        bytes.extend_from_slice(&keys.signer.public().0);
        bytes.extend_from_slice(&length_u32(self.wrapped.len()).to_le_bytes());
        bytes.extend_from_slice(&self.wrapped);
        let key = facts_key(file, &keys.metadata, self.salt);
        let facts = fields.facts.to_bytes();
        FrameWriter::new(Compression::None).append(&mut bytes, &key, FrameType::WalFacts, &facts);
        sign(&keys.signer, &file.name(), &mut bytes);
        bytes
    }
}

impl Head {
    /// Reads the head at the start of an object's bytes, of which there may be too few: see
    /// [`Head::length_of`]. Nothing it says may be believed before [`Head::check`].
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn parse(bytes: &[u8]) -> Result<Self, Fault> {
        let header = Header::parse(bytes)?;
        if header.class != ObjectClass::Wal || header.flags != FLAG_KEY_INSIDE {
            return Err(Fault::Elsewhere);
        }
        let bytes = bytes.get(..Self::length_of(bytes)?).ok_or(Fault::Field("head"))?;
        let fixed: &[u8; FIXED_LENGTH] = bytes.first_chunk().ok_or(Fault::Field("head"))?;
        let wrap_length = number_u32(fixed, 224) as usize;
        let facts_length = number_u32(fixed, 76) as usize;
        let fits = wrap_length <= WRAP_LENGTH_MAX
            && facts_length == FACTS_FRAME_LENGTH
            && bytes.len() == FIXED_LENGTH + wrap_length + facts_length + SIGNATURE_LENGTH;
        if !fits {
            return Err(Fault::Field("head"));
        }
        let span = match (number_u64(fixed, 80), number_u64(fixed, 88)) {
            (0, 0) => None,
            (from, to) if from < to => Some((from, to)),
            _ => return Err(Fault::Field("range of positions")),
        };
        let length = number_u64(fixed, 96);
        if length > PLAINTEXT_LENGTH_MAX || span.is_some_and(|(from, to)| to - from != length) {
            return Err(Fault::Field("length"));
        }
        Ok(Self {
            header,
            timeline: number_u32(fixed, 68),
            trust_number: number_u32(fixed, 72),
            span,
            length,
            frames_length: number_u64(fixed, 104),
            content: ContentId(array(fixed, 112)),
            frames_hash: Digest(array(fixed, 128)),
            commitment: array(fixed, 160),
            signer: PublicKey(array(fixed, 192)),
            wrapped: bytes[FIXED_LENGTH..FIXED_LENGTH + wrap_length].to_vec(),
            bytes: bytes.to_vec(),
        })
    }

    /// How many bytes the head at the start of `bytes` needs.
    ///
    /// # Errors
    /// [`Fault::Field`] when the bytes end before they say so, or say too much.
    pub fn length_of(bytes: &[u8]) -> Result<usize, Fault> {
        let field = bytes.get(HEADER_LENGTH..).and_then(|rest| rest.first_chunk::<4>());
        let length = u32::from_le_bytes(*field.ok_or(Fault::Field("head"))?) as usize;
        if (FIXED_LENGTH..=HEAD_LENGTH_MAX).contains(&length) {
            Ok(length)
        } else {
            Err(Fault::Field("head"))
        }
    }

    /// Whether this is the head of `file`, signed by somebody who may.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn check(&self, file: &ArchiveFile, trust: &Trust) -> Result<(), Fault> {
        let belongs = self.header == header_of(file, self.header.salt)
            && self.timeline == file.object.timeline
            && self.span == file.span;
        if !belongs {
            return Err(Fault::Elsewhere);
        }
        let place = WalPlace {
            store: self.header.store,
            incarnation: file.object.incarnation,
            timeline: self.timeline,
            span: self.span,
        };
        let signed = Signed { signer: self.signer, trust_number: self.trust_number };
        signed.check(&file.name(), &self.bytes, &place, trust)
    }

    /// What the writer knew about the WAL in the file.
    ///
    /// # Errors
    /// See [`Fault`].
    pub fn facts(&self, file: &ArchiveFile, metadata: &SymmetricKey) -> Result<WalFacts, Fault> {
        let key = facts_key(file, metadata, self.header.salt);
        let offset = FIXED_LENGTH + self.wrapped.len();
        let frame = &self.bytes[offset..offset + FACTS_FRAME_LENGTH];
        let mut raw = Vec::new();
        FrameReader::new().open_as(FrameType::WalFacts, &key, offset as u64, frame, &mut raw)?;
        WalFacts::from_bytes(&raw).ok_or(Fault::Field("facts"))
    }

    /// Length of the head in bytes, and so the offset of the first frame.
    pub fn head_length(&self) -> usize {
        self.bytes.len()
    }

    /// Length of the whole object in bytes.
    pub fn object_length(&self) -> u64 {
        (self.bytes.len() as u64).saturating_add(self.frames_length)
    }

    /// BLAKE3 of the head; since it carries the hash of the frames, it stands for the whole object.
    pub fn hash(&self) -> Digest {
        Digest::of(&self.bytes)
    }

    /// The key of the frames, from the file's own key.
    pub(crate) fn frames_key(&self, file: &ArchiveFile, key: &SymmetricKey) -> ObjectKey {
        frames_key(file, key, self.header.salt)
    }
}

/// Whose signature ends some bytes.
pub(crate) struct Signed {
    pub(crate) signer: PublicKey,
    pub(crate) trust_number: u32,
}

impl Signed {
    /// Whether `bytes` end in the signature for `name` of an agent of the store.
    pub(crate) fn check(
        &self,
        name: &str,
        bytes: &[u8],
        place: &WalPlace,
        trust: &Trust,
    ) -> Result<(), Fault> {
        let Self { signer, trust_number } = *self;
        let (message, signature) =
            bytes.split_last_chunk::<SIGNATURE_LENGTH>().ok_or(Fault::Field("signature"))?;
        if !signer.verify(&signed_bytes(name, message), signature) {
            return Err(Fault::Signature(signer));
        }
        match trust.at(trust_number) {
            Some(list) if !list.may(&signer, Role::Agent, place.store) => {
                Err(Fault::Signer { signer, trust_number })
            }
            Some(_) if trust.may_wal(&signer, place) => Ok(()),
            Some(_) => Err(Fault::Ended { signer }),
            None => Err(Fault::Signer { signer, trust_number }),
        }
    }
}

/// Appends the signature of `bytes` for the object `name`.
pub(crate) fn sign(signer: &Signer, name: &str, bytes: &mut Vec<u8>) {
    let signature = signer.sign(&signed_bytes(name, bytes));
    bytes.extend_from_slice(&signature);
}

fn signed_bytes(name: &str, message: &[u8]) -> Vec<u8> {
    let length = length_u32(name.len()).to_le_bytes();
    [SIGNATURE_CONTEXT, &length, name.as_bytes(), message].concat()
}

impl WalFacts {
    fn to_bytes(self) -> [u8; FACTS_LENGTH] {
        let mut bytes = [0; FACTS_LENGTH];
        bytes[0..16].copy_from_slice(&CommitTimes::to_bytes(self.commit_times));
        bytes[16..24].copy_from_slice(&self.records.to_le_bytes());
        bytes[24..32].copy_from_slice(&self.commits.to_le_bytes());
        bytes[32..40].copy_from_slice(&self.records_end.unwrap_or(0).to_le_bytes());
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Option<Self> {
        let bytes: &[u8; FACTS_LENGTH] = bytes.try_into().ok()?;
        let records_end = Some(number_u64(bytes, 32)).filter(|end| *end != 0);
        (bytes[40..] == [0; 24]).then_some(Self {
            commit_times: CommitTimes::from_bytes(&array(bytes, 0))?,
            records: number_u64(bytes, 16),
            commits: number_u64(bytes, 24),
            records_end,
        })
    }
}

impl CommitTimes {
    /// Two signed numbers of microseconds since 1970; both the least number if there are none.
    pub(crate) fn to_bytes(times: Option<Self>) -> [u8; 16] {
        let (earliest, latest) = times.map_or((i64::MIN, i64::MIN), |times| {
            (times.earliest.as_microsecond(), times.latest.as_microsecond())
        });
        let mut bytes = [0; 16];
        bytes[..8].copy_from_slice(&earliest.to_le_bytes());
        bytes[8..].copy_from_slice(&latest.to_le_bytes());
        bytes
    }

    /// Outer `None`: no writer makes these bytes.
    #[expect(clippy::option_option, reason = "absent is a value of the field, unlike damaged")]
    pub(crate) fn from_bytes(bytes: &[u8; 16]) -> Option<Option<Self>> {
        let earliest = i64::from_le_bytes(array(bytes, 0));
        let latest = i64::from_le_bytes(array(bytes, 8));
        if (earliest, latest) == (i64::MIN, i64::MIN) {
            return Some(None);
        }
        let earliest = Timestamp::from_microsecond(earliest).ok()?;
        let latest = Timestamp::from_microsecond(latest).ok()?;
        (earliest <= latest).then_some(Some(Self { earliest, latest }))
    }

    /// The times of both.
    pub fn join(one: Option<Self>, other: Option<Self>) -> Option<Self> {
        match (one, other) {
            (Some(one), Some(other)) => Some(Self {
                earliest: one.earliest.min(other.earliest),
                latest: one.latest.max(other.latest),
            }),
            (one, other) => one.or(other),
        }
    }
}

fn header_of(file: &ArchiveFile, salt: Salt) -> Header {
    Header {
        class: ObjectClass::Wal,
        store: file.object.store,
        session: session_field(file.object.incarnation),
        number: file.segment.unwrap_or(0),
        salt,
        flags: FLAG_KEY_INSIDE,
    }
}

/// In WAL objects the header's session field holds the incarnation.
pub(crate) fn session_field(incarnation: IncarnationId) -> SessionId {
    SessionId(incarnation.0)
}

fn facts_key(file: &ArchiveFile, metadata: &SymmetricKey, salt: Salt) -> ObjectKey {
    object_key(file, metadata, Purpose::Metadata, salt)
}

/// The key of a file's frames.
pub(crate) fn frames_key(file: &ArchiveFile, key: &SymmetricKey, salt: Salt) -> ObjectKey {
    object_key(file, key, Purpose::Wal, salt)
}

fn object_key(file: &ArchiveFile, key: &SymmetricKey, purpose: Purpose, salt: Salt) -> ObjectKey {
    let name = file.name();
    let session = session_field(file.object.incarnation);
    key.object_key(purpose, Place { store: file.object.store, session, name: &name }, salt)
}

fn length_u32(length: usize) -> u32 {
    u32::try_from(length).expect("heads and names are short")
}

/// `N` bytes at `offset`; both are constants of the format page's tables.
pub(crate) fn array<const N: usize>(bytes: &[u8], offset: usize) -> [u8; N] {
    let mut field = [0; N];
    field.copy_from_slice(&bytes[offset..offset + N]);
    field
}

pub(crate) fn number_u32(bytes: &[u8], offset: usize) -> u32 {
    u32::from_le_bytes(array(bytes, offset))
}

fn number_u64(bytes: &[u8], offset: usize) -> u64 {
    u64::from_le_bytes(array(bytes, offset))
}
