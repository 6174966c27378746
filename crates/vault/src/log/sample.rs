//! A store in a vault in memory, with writers and collectors, for tests of everything above a log.

use std::sync::Arc;
use std::time::Duration;

use soter_world::Clock;
use soter_world::sim::{SeededRandom, SimClock};

use crate::crypto::SymmetricKey;
use crate::frame::Compression;
use crate::ids::{BackupId, Digest, IncarnationId, Salt, VaultId};
use crate::keys::sample::Sample;
use crate::keys::{Pins, Signer};
use crate::log::{
    Author, BackupDraft, Draft, Duty, Event, Incarnation, Log, LogError, LogHead, LogPlace,
    Opening, PackRows, PackSet, Retire, Session, TakeOver, WalRange,
};
use crate::names::{Name, PackClass, VAULT_RECORD};
use crate::objects::{Created, MemoryStore, ObjectStore};
use crate::pack::{PackId, PackPlace, PackRow};
use crate::record::Record;
use crate::vault::Vault;
use crate::wal::{Archive, Sealer, Segment, SegmentSize, WalBytes, WalFacts, WalVault};

/// The vault's id, which the sample's trust list names.
pub(crate) const VAULT: VaultId = VaultId([1; 16]);

/// The smallest there are, which are quick to seal.
pub(crate) const SEGMENT_BYTES: u32 = 1 << 20;

/// A store with one agent and one collector.
pub(crate) struct Bench {
    pub(crate) keys: Sample,
    pub(crate) memory: Arc<MemoryStore>,
    pub(crate) clock: Arc<SimClock>,
    pub(crate) vault: Vault,
}

impl Bench {
    pub(crate) fn new(seed: u8) -> Self {
        let clock = Arc::new(SimClock::new());
        let memory = Arc::new(MemoryStore::new(Arc::<SimClock>::clone(&clock)));
        let roots = vec![Signer::from_seed([0xff; 32]).public()];
        let record = Record::new(VAULT, roots.clone(), clock.now());
        assert_eq!(memory.create(VAULT_RECORD, &record.to_bytes()).unwrap(), Created::New);
        let vault = Vault {
            objects: Arc::<MemoryStore>::clone(&memory),
            clock: Arc::<SimClock>::clone(&clock),
            random: Arc::new(SeededRandom::new(u64::from(seed))),
            pins: Pins { vault: VAULT, roots },
        };
        Self { keys: Sample::new(seed), memory, clock, vault }
    }

    pub(crate) fn place(&self) -> LogPlace {
        LogPlace { vault: VAULT, store: self.keys.writer.store }
    }

    pub(crate) fn log(&self) -> Log {
        let store = self.keys.writer.store;
        Log::open(&self.vault, store, self.keys.trust.clone(), None).unwrap()
    }

    pub(crate) fn author(&self) -> Author {
        Author::of(&self.keys.writer)
    }

    /// Signs everything that agents do not, and holds no `K_meta`.
    pub(crate) fn collector(&self) -> Author {
        let signer = self.keys.collector.clone();
        Author { signer, metadata: None, trust_number: 1 }
    }

    pub(crate) fn metadata(&self) -> &SymmetricKey {
        &self.keys.writer.metadata
    }

    pub(crate) fn open(&self, duty: Duty) -> Session {
        Session::open(self.log(), &self.keys.writer, opening(duty)).unwrap()
    }

    /// Lets go of all sessions so far: another one adopts them and commits an empty backup, so that
    /// the next has nothing of them to adopt.
    pub(crate) fn move_on(&self) -> Session {
        self.back_up(&self.open(Duty::Wal), 0, PackSet::default());
        self.open(Duty::Wal)
    }

    /// Stores a small object as a pack.
    pub(crate) fn store_pack(&self, session: &Session, class: PackClass) -> (PackId, PackRow) {
        let id =
            PackId { session: session.id(), number: session.pack_numbers().next(class).unwrap() };
        let place = PackPlace { class, store: self.keys.writer.store, id };
        let bytes = place.name().into_bytes();
        assert_eq!(self.vault.objects.create(&place.name(), &bytes).unwrap(), Created::New);
        let length = u32::try_from(bytes.len()).unwrap();
        (id, PackRow { salt: Salt([0; 16]), length, hash: Digest::of(&bytes) })
    }

    pub(crate) fn archive(&self) -> Archive {
        let segment_size = SegmentSize::new(SEGMENT_BYTES).unwrap();
        let incarnation = incarnation(1).id;
        Archive { store: self.keys.writer.store, incarnation, segment_size }
    }

    /// Seals a segment of timeline 1 into the archive; returns its object's name.
    pub(crate) fn push_wal(&self, number: u64) -> String {
        let archive = self.archive();
        let file = archive.segment_file(Segment { timeline: 1, number });
        let (store, clock) = (&*self.vault.objects, &*self.vault.clock);
        let wal = WalVault { store, clock, trust: &self.keys.trust, archive };
        let compression = Compression::Zstd(1);
        let sealer = Sealer::new(&self.keys.writer, &*self.vault.random, compression, 1);
        let bytes = vec![u8::try_from(number % 251).unwrap(); SEGMENT_BYTES as usize];
        let mut source = WalBytes { bytes: &bytes, facts: WalFacts::default() };
        wal.push(&sealer, &file, &mut source).unwrap();
        file.name()
    }

    /// Stores something under a part's name; returns the name.
    pub(crate) fn put_part(&self, session: &Session, number: u64, from: u32) -> String {
        let segment = Segment { timeline: 1, number };
        let part = self.archive().live_part(segment, (from, from + 100), session.id());
        let name = Name::Live(part).to_string();
        assert_eq!(self.vault.objects.create(&name, b"part").unwrap(), Created::New);
        name
    }

    pub(crate) fn has(&self, name: &str) -> bool {
        self.memory.head(name).unwrap().is_some()
    }

    /// Commits a backup of one new pack that needs these segments.
    pub(crate) fn back_up_with_wal(&self, session: &Session, first: u64, last: u64) -> BackupId {
        let mut rows = PackRows::default();
        let (id, row) = self.store_pack(session, PackClass::Map);
        rows.insert(PackClass::Map, id, row);
        let mut draft = draft(BackupId::random(&*self.vault.random), rows, PackSet::default());
        draft.wal = Some(wal(first, last));
        session.commit_backup(&draft).unwrap();
        draft.id
    }

    /// Commits a backup of `packs` new data packs and what is `referenced`.
    pub(crate) fn back_up(&self, session: &Session, packs: u32, referenced: PackSet) -> BackupId {
        self.try_back_up(session, packs, referenced).unwrap()
    }

    /// The same, when the log may refuse it.
    pub(crate) fn try_back_up(
        &self,
        session: &Session,
        packs: u32,
        referenced: PackSet,
    ) -> Result<BackupId, LogError> {
        let mut rows = PackRows::default();
        for _ in 0..packs {
            let (id, row) = self.store_pack(session, PackClass::Data);
            rows.insert(PackClass::Data, id, row);
        }
        let draft = draft(BackupId::random(&*self.vault.random), rows, referenced);
        session.commit_backup(&draft)?;
        Ok(draft.id)
    }

    pub(crate) fn append(&self, author: &Author, event: Event) -> Result<LogHead, LogError> {
        let appended = self.log().append(author, &mut |_| Ok(Some(Draft::of(event.clone()))))?;
        Ok(appended.unwrap())
    }

    pub(crate) fn retire(&self, backups: &[BackupId]) -> Result<LogHead, LogError> {
        let backups = backups.to_vec();
        let retire = Retire { backups, reason: "policy".to_owned(), policy: None };
        self.append(&self.collector(), Event::Retire(retire))
    }

    pub(crate) fn days_pass(&self, days: u64) {
        self.clock.advance(Duration::from_secs(days * 24 * 3600));
    }
}

pub(crate) fn opening(duty: Duty) -> Opening {
    Opening {
        duty,
        agent: "db1".to_owned(),
        incarnation: Some(incarnation(1)),
        take_over: TakeOver::OwnOnly,
        content: b"host".to_vec(),
    }
}

pub(crate) fn incarnation(number: u8) -> Incarnation {
    let bound_to = format!("postgres {number}");
    Incarnation { id: IncarnationId([number; 8]), bound_to }
}

pub(crate) fn draft(id: BackupId, rows: PackRows, referenced: PackSet) -> BackupDraft {
    let (content, map_root) = (b"content".to_vec(), b"root".to_vec());
    BackupDraft { id, rows, referenced, wal: None, content, map_root }
}

/// Segments `first` to `last` of timeline 1.
pub(crate) fn wal(first: u64, last: u64) -> WalRange {
    let size = u64::from(SEGMENT_BYTES);
    WalRange {
        incarnation: incarnation(1).id,
        timeline: 1,
        from: first * size,
        to: (last + 1) * size,
        segment_bytes: SEGMENT_BYTES,
    }
}
