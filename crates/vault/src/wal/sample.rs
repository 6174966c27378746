//! An archive in a vault with its keys, for tests.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use soter_world::sim::{SeededRandom, SimClock};

use super::archive::{Pushed, WalVault};
use super::error::WalError;
use super::head::{CommitTimes, WalFacts};
use super::live::{PutPart, SessionAccess, WalReader};
use super::part::{PartSealer, SealedPart};
use super::place::{Archive, ArchiveFile, Segment, SegmentSize};
use super::sealed::{SealedFile, Sealer, WalBytes};
use crate::crypto::SymmetricKey;
use crate::frame::Compression;
use crate::ids::{IncarnationId, SessionId};
use crate::keys::sample::Sample;
use crate::objects::{MemoryStore, ObjectStore};

/// Length of the segments of a [`Scene`].
pub(crate) const SEGMENT: usize = 1 << 20;

/// A store of the vault, one archive, and everybody's keys. Every session's key is made from its id.
pub(crate) struct Scene {
    pub(crate) keys: Sample,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) clock: SimClock,
    pub(crate) random: SeededRandom,
    pub(crate) archive: Archive,
    sessions: Box<dyn Fn(SessionId) -> Option<SessionAccess>>,
}

/// Sessions whose keys the log knows.
pub(crate) const SESSIONS: [SessionId; 3] =
    [SessionId([0xa1; 8]), SessionId([0xa2; 8]), SessionId([0xa3; 8])];

/// The keys of the known sessions.
pub(crate) fn session_key(session: SessionId) -> Option<SymmetricKey> {
    SESSIONS.contains(&session).then(|| SymmetricKey::from_bytes([session.0[0]; 32]))
}

/// Two scenes must not draw the same salts, for they seal different bytes with the same keys.
static SCENES: AtomicU64 = AtomicU64::new(1 << 32);

impl Scene {
    /// Scenes of different seeds have nothing in common.
    pub(crate) fn new(seed: u8) -> Self {
        let keys = Sample::new(seed);
        let segment_size = SegmentSize::new(1 << 20).unwrap();
        let incarnation = IncarnationId([seed; 8]);
        let archive = Archive { store: keys.writer.store, incarnation, segment_size };
        let clock = SimClock::new();
        let memory = Arc::new(MemoryStore::new(Arc::new(SimClock::new())));
        let random = SeededRandom::new(SCENES.fetch_add(1, Ordering::Relaxed));
        // The known sessions are the agent's.
        let signer = keys.writer.signer.public();
        let sessions = move |id| session_key(id).map(|key| SessionAccess { key, signer });
        Self { keys, memory, clock, random, archive, sessions: Box::new(sessions) }
    }

    pub(crate) fn vault(&self) -> WalVault<'_> {
        self.vault_in(&*self.memory)
    }

    pub(crate) fn vault_in<'a>(&'a self, store: &'a dyn ObjectStore) -> WalVault<'a> {
        WalVault { store, clock: &self.clock, trust: &self.keys.trust, archive: self.archive }
    }

    pub(crate) fn sealer(&self) -> Sealer<'_> {
        Sealer::new(&self.keys.writer, &self.random, Compression::Zstd(1), 1)
    }

    pub(crate) fn reader(&self) -> WalReader<'_> {
        WalReader { keys: &self.keys.reader, sessions: &*self.sessions, workers: 1 }
    }

    pub(crate) fn file(&self, name: &str) -> ArchiveFile {
        self.archive.file(name).unwrap()
    }

    pub(crate) fn segment(&self, timeline: u32, number: u64) -> ArchiveFile {
        self.archive.segment_file(Segment { timeline, number })
    }

    pub(crate) fn seal(&self, file: &ArchiveFile, bytes: &[u8]) -> SealedFile {
        let mut source = WalBytes { bytes, facts: WalFacts::default() };
        self.sealer().seal(file, &mut source).unwrap()
    }

    pub(crate) fn push(&self, file: &ArchiveFile, bytes: &[u8]) -> Result<Pushed, WalError> {
        self.push_with(file, bytes, WalFacts::default())
    }

    pub(crate) fn push_with(
        &self,
        file: &ArchiveFile,
        bytes: &[u8],
        facts: WalFacts,
    ) -> Result<Pushed, WalError> {
        self.vault().push(&self.sealer(), file, &mut WalBytes { bytes, facts })
    }

    /// Pushes a whole segment whose commits were made in these seconds.
    pub(crate) fn push_segment(&self, timeline: u32, number: u64, seconds: Option<(i64, i64)>) {
        let at = |second| jiff::Timestamp::from_second(second).unwrap();
        let commit_times =
            seconds.map(|(from, to)| CommitTimes { earliest: at(from), latest: at(to) });
        let facts = WalFacts { commit_times, ..WalFacts::default() };
        let bytes = content(number);
        self.push_with(&self.segment(timeline, number), &bytes, facts).unwrap();
    }

    pub(crate) fn seal_part(
        &self,
        session: usize,
        (timeline, number): (u32, u64),
        from: usize,
        bytes: &[u8],
    ) -> SealedPart {
        let session = SESSIONS[session];
        let offset = |at: usize| u32::try_from(at).unwrap();
        let span = (offset(from), offset(from + bytes.len()));
        let part = self.archive.live_part(Segment { timeline, number }, span, session);
        let key = session_key(session).unwrap();
        PartSealer::new(key, &self.random, Compression::Zstd(1)).seal(part, bytes)
    }

    pub(crate) fn put_part(&self, sealed: &SealedPart) -> Result<PutPart, WalError> {
        self.vault().put_part(sealed, &session_key(sealed.part.session).unwrap())
    }

    /// Puts the bytes of a segment's [`content`] from one offset to another as a part.
    pub(crate) fn part(
        &self,
        session: usize,
        (timeline, number): (u32, u64),
        from: usize,
        to: usize,
    ) -> String {
        let bytes = &content(number)[from..to];
        let sealed = self.seal_part(session, (timeline, number), from, bytes);
        self.put_part(&sealed).unwrap().object
    }

    pub(crate) fn names(&self) -> Vec<String> {
        self.memory.list("", None, 1000).unwrap().into_iter().map(|info| info.name).collect()
    }
}

/// What a segment of this number holds.
pub(crate) fn content(number: u64) -> Vec<u8> {
    let mut bytes = vec![0; SEGMENT];
    for (at, chunk) in bytes.chunks_exact_mut(16).enumerate() {
        chunk[..8].copy_from_slice(&number.to_le_bytes());
        chunk[8..].copy_from_slice(&(at as u64).to_le_bytes());
    }
    bytes
}
