//! Sealed, signed and chained objects that belong to no store: published plans and pieces of runs.
//!
//! `SOTD · u32 head length · u32 frames length · u32 0 · salt 16 · JSON head · frames · Ed25519`. The
//! rule kept here: nothing of an object is used before its signature was checked, and whether its
//! signer may direct recoveries is asked of two trust lists, the one it names and the newest one.

use jiff::Timestamp;
use soter_world::{Clock, Random};

use crate::crypto::{ObjectKey, Place, Purpose, SymmetricKey};
use crate::frame::{Compression, FrameError, FrameReader, FrameType, FrameWriter, RAW_LENGTH_MAX};
use crate::ids::{Digest, Salt, SessionId, StoreId, VaultId};
use crate::keys::{Identity, KeyError, PublicKey, SIGNATURE_LENGTH, Signer, Trust, Wrapped};
use crate::objects::{ObjectError, ObjectErrorKind};
use crate::pack::OBJECT_LENGTH_MAX;
use crate::record::{FORMAT, RecordError, Versioned};

/// The longest content: with its seals it is still an object.
pub const CONTENT_LENGTH_MAX: usize = 48 << 20;

/// How many taken names a writer steps over: the name itself and its repairs.
pub(crate) const TRIES_MAX: u8 = crate::names::REPAIRS_MAX;

const MAGIC: [u8; 4] = *b"SOTD";

const PREFIX_LENGTH: usize = 32;

/// Before what is signed, so that no other signed object of a vault can be taken for one of these.
const SIGNATURE_CONTEXT: &[u8] = b"soter vault v1 document";

/// zstd's default: plans and journals are text and small.
const COMPRESSION: Compression = Compression::Zstd(3);

/// What an object says in clear.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Head {
    /// The vault's format.
    pub format: u32,
    /// Features that a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// The vault it was made for.
    pub vault: VaultId,
    /// BLAKE3 of the object before it; none for the first.
    pub previous: Option<Digest>,
    /// The trust list under which it was signed.
    pub trust: u32,
    /// Who signed it.
    pub signer: PublicKey,
    /// When, by the clock of who made it.
    pub claimed: Timestamp,
    /// Commitment to the key of its contents.
    pub commitment: Digest,
    /// The key, wrapped to the operators; of a run only in its first object.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub key: Option<Wrapped>,
    /// The program that made it.
    pub tool: String,
}

/// Why an object is not believed.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Fault {
    /// Cut, or something else.
    #[error("it is no plan and no piece of a run, or damaged")]
    NotADocument,
    /// Nobody signed these bytes for this name.
    #[error("the signature of {0} is wrong: it is damaged, forged, or was copied here")]
    BadSignature(PublicKey),
    /// Properly signed for another vault: somebody copied it here.
    #[error("it is of vault {0}")]
    OtherVault(VaultId),
    /// Signed by somebody whom no trust list lets do this.
    #[error("{0} may not sign plans and runs")]
    Stranger(PublicKey),
    /// Signed by somebody who might then and may no longer: sign it anew if it is still meant.
    #[error("{0} signed it, and may no longer sign plans and runs")]
    Ended(PublicKey),
    /// This version cannot read it: use a newer Soter.
    #[error("it is of format {format} with {needs:?}: this Soter reads format {FORMAT}")]
    Newer {
        /// Its format.
        format: u32,
        /// What it needs that this version does not know.
        needs: Vec<String>,
    },
    /// It does not follow the object before it.
    #[error("it does not follow the one before it: one is missing or was exchanged")]
    BrokenChain,
    /// The signature is right, and it does not open all the same.
    #[error("its signer sealed something that does not open")]
    Senseless,
}

/// An object that is not believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// Its name.
    pub name: String,
    /// What is wrong with it.
    pub fault: Fault,
}

impl std::fmt::Display for Finding {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        write!(f, "{}: {}", self.name, self.fault)
    }
}

/// Why a plan or a run cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum DocumentError {
    /// Keys or trust.
    #[error(transparent)]
    Key(#[from] KeyError),
    /// The place.
    #[error(transparent)]
    Store(#[from] ObjectError),
    /// This key may not sign plans and runs: enrol it, or give another.
    #[error("{signer} may not sign plans and runs")]
    NotEnrolled {
        /// The key.
        signer: PublicKey,
    },
    /// There is none that can be believed.
    #[error("there is no {what} in this vault that can be believed{}", listed(.findings))]
    Missing {
        /// What was looked for.
        what: String,
        /// What was found instead.
        findings: Vec<Finding>,
    },
    /// The vault shows an older state than was seen before: ask another vault of the plan.
    #[error("the newest plan here is number {newest}, but number {remembered} was seen before")]
    RolledBack {
        /// What was seen before.
        remembered: u32,
        /// What is here now; 0 if nothing.
        newest: u32,
    },
    /// Somebody else was first: look again.
    #[error("{name} was made by somebody else meanwhile")]
    Superseded {
        /// The object.
        name: String,
    },
    /// An object in the middle is damaged, missing or exchanged: ask another vault of the plan.
    #[error("{finding}")]
    Damaged {
        /// Which, and how.
        finding: Finding,
    },
    /// The pieces before this one are not in the vault: append them first.
    #[error("record {found} cannot follow: the next in the vault is {next}")]
    Gap {
        /// The number that comes next.
        next: u64,
        /// The number that was given.
        found: u64,
    },
    /// Somebody with the write credential takes the names: take it away from them.
    #[error("{name} and its repairs are taken by objects that cannot be believed")]
    Squatted {
        /// The name.
        name: String,
    },
    /// What is to be stored cannot be: too long, empty, or with impossible names.
    #[error("it cannot be stored: {reason}")]
    Unfit {
        /// Why.
        reason: String,
    },
}

/// What a caller can do about an error.
pub use crate::keys::ErrorKind;

impl DocumentError {
    /// What to do about it.
    pub fn kind(&self) -> ErrorKind {
        match self {
            Self::Key(error) => error.kind(),
            Self::Store(error) if error.kind() == ObjectErrorKind::Retry => ErrorKind::Retry,
            Self::Store(_) | Self::Squatted { .. } => ErrorKind::Failed,
            Self::NotEnrolled { .. } | Self::Gap { .. } | Self::Unfit { .. } => ErrorKind::Input,
            Self::Missing { .. } => ErrorKind::NotFound,
            Self::Superseded { .. } => ErrorKind::Superseded,
            Self::RolledBack { .. } | Self::Damaged { .. } => ErrorKind::Damaged,
        }
    }
}

fn listed(findings: &[Finding]) -> String {
    findings.iter().map(|finding| format!("; {finding}")).collect()
}

/// An object that a root's people signed and this version cannot read must stop a reader: to go on
/// without it would be to go on with something older.
pub(crate) fn step_over(
    findings: &mut Vec<Finding>,
    name: &str,
    fault: Fault,
) -> Result<(), DocumentError> {
    if let Fault::Newer { format, needs } = fault {
        return Err(KeyError::from(RecordError::Newer { format, needs }).into());
    }
    findings.push(Finding { name: name.to_owned(), fault });
    Ok(())
}

/// An object that is believed.
#[derive(Debug, Clone)]
pub(crate) struct Document {
    pub(crate) head: Head,
    pub(crate) hash: Digest,
    salt: Salt,
    frames_at: usize,
    bytes: Vec<u8>,
}

/// What is needed to make an object.
pub(crate) struct Draft<'a> {
    pub(crate) name: &'a str,
    pub(crate) vault: VaultId,
    pub(crate) previous: Option<Digest>,
    pub(crate) trust: &'a Trust,
    pub(crate) key: &'a SymmetricKey,
    pub(crate) wrapped: Option<Wrapped>,
}

/// The key, wrapped to everybody who reads.
pub(crate) fn wrap_to_operators(key: &SymmetricKey, trust: &Trust) -> Wrapped {
    let operators = trust.newest().operators.iter().map(|row| row.recipient.clone());
    Wrapped::new(key.expose(), operators.collect())
}

/// Unwraps the key of an object, and checks that it is the one it was sealed with.
pub(crate) fn unwrap(
    head: &Head,
    identity: &Identity,
    name: &str,
) -> Result<SymmetricKey, KeyError> {
    let what = format!("the key of {name}");
    let damaged = || KeyError::Damaged { what: what.clone() };
    let opened = head.key.as_ref().ok_or_else(damaged)?.open(identity, &what)?;
    let bytes = <[u8; 32]>::try_from(opened.expose().as_slice()).map_err(|_| damaged())?;
    let key = SymmetricKey::from_bytes(bytes);
    if Digest(key.commitment()) == head.commitment { Ok(key) } else { Err(damaged()) }
}

impl Draft<'_> {
    /// The object's bytes, sealed under a new salt and signed.
    pub(crate) fn seal(
        self,
        clock: &dyn Clock,
        random: &dyn Random,
        signer: &Signer,
        content: &[u8],
    ) -> Result<Vec<u8>, DocumentError> {
        if content.is_empty() || content.len() > CONTENT_LENGTH_MAX {
            let reason = format!("it has {} bytes, not 1 to {CONTENT_LENGTH_MAX}", content.len());
            return Err(DocumentError::Unfit { reason });
        }
        let head = Head {
            format: FORMAT,
            needs: Vec::new(),
            vault: self.vault,
            previous: self.previous,
            trust: self.trust.newest().number,
            signer: signer.public(),
            claimed: clock.now(),
            commitment: Digest(self.key.commitment()),
            key: self.wrapped,
            tool: concat!("soter ", env!("CARGO_PKG_VERSION")).to_owned(),
        };
        let head = serde_json::to_vec(&head).expect("a head is plain JSON");
        let salt = Salt::random(random);
        let mut bytes = Vec::with_capacity(PREFIX_LENGTH + head.len() + content.len() / 2);
        bytes.extend_from_slice(&MAGIC);
        bytes.extend_from_slice(&length_of(head.len()));
        bytes.extend_from_slice(&[0; 8]);
        bytes.extend_from_slice(&salt.0);
        bytes.extend_from_slice(&head);
        let (start, key) = (bytes.len(), object_key(self.key, self.name, salt));
        let mut frames = FrameWriter::new(COMPRESSION);
        for piece in content.chunks(RAW_LENGTH_MAX) {
            frames.append(&mut bytes, &key, FrameType::Document, piece);
        }
        let frames_length = length_of(bytes.len() - start);
        bytes[8..12].copy_from_slice(&frames_length);
        let signature = signer.sign(&signed_bytes(self.name, &bytes));
        bytes.extend_from_slice(&signature);
        Ok(bytes)
    }
}

impl Document {
    /// Judges bytes that were found under `name`, without a repair suffix.
    pub(crate) fn judge(
        bytes: Vec<u8>,
        name: &str,
        vault: VaultId,
        trust: &Trust,
    ) -> Result<Self, Fault> {
        let parts = split(&bytes).ok_or(Fault::NotADocument)?;
        let versioned: Versioned =
            serde_json::from_slice(parts.head).map_err(|_| Fault::NotADocument)?;
        let claim: Claim = serde_json::from_slice(parts.head).map_err(|_| Fault::NotADocument)?;
        if !claim.signer.verify(&signed_bytes(name, parts.signed), parts.signature) {
            return Err(Fault::BadSignature(claim.signer));
        }
        // Whoever is not to be believed is not asked what a newer version would read.
        if !trust.newest().may_direct(&claim.signer) {
            let once = trust.at(claim.trust).is_some_and(|list| list.may_direct(&claim.signer));
            return Err(if once { Fault::Ended } else { Fault::Stranger }(claim.signer));
        }
        if !trust.may_direct(claim.trust, &claim.signer) {
            return Err(Fault::Stranger(claim.signer));
        }
        if !versioned.is_known() {
            let Versioned { format, needs } = versioned;
            return Err(Fault::Newer { format, needs });
        }
        let head: Head = serde_json::from_slice(parts.head).map_err(|_| Fault::Senseless)?;
        if head.vault != vault {
            return Err(Fault::OtherVault(head.vault));
        }
        let (salt, frames_at) = (parts.salt, PREFIX_LENGTH + parts.head.len());
        Ok(Self { head, hash: Digest::of(&bytes), salt, frames_at, bytes })
    }

    /// What it holds.
    pub(crate) fn open(&self, name: &str, key: &SymmetricKey) -> Result<Vec<u8>, Fault> {
        if Digest(key.commitment()) != self.head.commitment {
            return Err(Fault::Senseless);
        }
        let key = object_key(key, name, self.salt);
        let (mut content, mut raw, mut reader) = (Vec::new(), Vec::new(), FrameReader::new());
        let mut at = self.frames_at;
        let end = self.bytes.len() - SIGNATURE_LENGTH;
        while at < end {
            let offset = u64::try_from(at).map_err(|_| Fault::Senseless)?;
            let opened = reader.open(&key, offset, &self.bytes[at..end], &mut raw);
            let (kind, length) = opened.map_err(|_: FrameError| Fault::Senseless)?;
            if kind != FrameType::Document || content.len() + raw.len() > CONTENT_LENGTH_MAX {
                return Err(Fault::Senseless);
            }
            content.extend_from_slice(&raw);
            at += length;
        }
        Ok(content)
    }
}

/// What must be known of a head before it can be believed.
#[derive(serde::Deserialize)]
struct Claim {
    signer: PublicKey,
    trust: u32,
}

/// An object's bytes, apart.
struct Parts<'a> {
    signed: &'a [u8],
    head: &'a [u8],
    salt: Salt,
    signature: &'a [u8],
}

fn split(bytes: &[u8]) -> Option<Parts<'_>> {
    if bytes.len() > OBJECT_LENGTH_MAX {
        return None;
    }
    let (signed, signature) = bytes.split_last_chunk::<SIGNATURE_LENGTH>()?;
    let (prefix, rest) = signed.split_first_chunk::<PREFIX_LENGTH>()?;
    let word = |at: usize| {
        u32::from_le_bytes([prefix[at], prefix[at + 1], prefix[at + 2], prefix[at + 3]])
    };
    let (head_length, frames_length) = (word(4) as usize, word(8) as usize);
    let fits = prefix[..4] == MAGIC
        && word(12) == 0
        && head_length.checked_add(frames_length) == Some(rest.len());
    let salt = Salt(prefix[16..].try_into().ok()?);
    fits.then(|| Parts { signed, head: &rest[..head_length], salt, signature })
}

fn object_key(key: &SymmetricKey, name: &str, salt: Salt) -> ObjectKey {
    let place = Place { store: StoreId([0; 8]), session: SessionId([0; 8]), name };
    key.object_key(Purpose::Document, place, salt)
}

fn signed_bytes(name: &str, message: &[u8]) -> Vec<u8> {
    [SIGNATURE_CONTEXT, &length_of(name.len()), name.as_bytes(), message].concat()
}

fn length_of(length: usize) -> [u8; 4] {
    u32::try_from(length).expect("an object has at most 64 MiB").to_le_bytes()
}
