use proptest::prelude::*;
use soter_world::sim::cases;

use super::*;
use crate::ids::IncarnationId;
use crate::log::event::{Attest, Hold, HoldPurpose, Level, LogHead, Retire, Unhold};
use crate::names::PackClass;
use crate::pack::{PackId, PackRow};

const ID: &str = "0123456789abcdef";

fn author() -> Author {
    Author {
        signer: Signer::from_seed([1; 32]),
        metadata: Some(SymmetricKey::from_bytes([2; 32])),
        trust_number: 3,
    }
}

fn position(salt: Salt) -> Position {
    Position {
        place: LogPlace { vault: VaultId([4; 16]), store: StoreId([5; 8]) },
        sequence: 6,
        previous: Some(Digest([7; 32])),
        claimed: Timestamp::constant(1_893_456_000, 0),
        salt,
    }
}

fn rows(count: u8) -> PackRows {
    let mut rows = PackRows::default();
    for number in 0..count {
        let pack = PackId { session: SessionId([9; 8]), number: u32::from(number) * 3 / 2 };
        let row = PackRow { salt: Salt([number; 16]), length: 99, hash: Digest([number; 32]) };
        rows.insert(PackClass::Data, pack, row);
        rows.insert(PackClass::Map, pack, row);
    }
    rows
}

fn wal() -> WalRange {
    let incarnation = IncarnationId([8; 8]);
    WalRange { incarnation, timeline: 1, from: u64::MAX - 7, to: u64::MAX, segment_bytes: 1 << 24 }
}

fn any_event() -> impl Strategy<Value = Event> {
    let backup = BackupId([1; 8]);
    let open = any::<(bool, bool, Vec<u8>)>().prop_map(|(wal, bound, wrapped)| {
        let duty = if wal { Duty::Wal } else { Duty::Base };
        let incarnation = Incarnation { id: IncarnationId([8; 8]), bound_to: "a\"b".to_owned() };
        Event::Open(Open {
            session: SessionId([9; 8]),
            duty,
            agent: "host ✓".to_owned(),
            incarnation: bound.then_some(incarnation),
            adopts: vec![SessionId([2; 8]); wrapped.len() % 3],
            commitment: [3; 32],
            wrapped,
        })
    });
    let commit = any::<(u8, bool)>().prop_map(move |(count, has_wal)| {
        Event::Backup(Backup {
            id: backup,
            session: SessionId([9; 8]),
            wal: has_wal.then(wal),
            rows: rows(count % 16),
            referenced: rows(count % 5).packs(),
        })
    });
    let sweep = any::<u8>().prop_map(|count| {
        Event::Sweep(Sweep { packs: rows(count % 9).packs(), wal: vec![wal()], parts: vec![] })
    });
    let import = any::<(Vec<u8>, Vec<u8>)>().prop_map(|(open, backup)| {
        Event::Import(Import { source: VaultId([6; 16]), open, backup, rows: rows(2) })
    });
    let until = Some(Timestamp::constant(1_893_456_001, 5));
    let attest = Attest {
        backup,
        level: Level::Hashed,
        passed: false,
        objects: 3,
        bytes: u64::MAX,
        damaged: vec!["data/x".to_owned()],
    };
    prop_oneof![
        open,
        commit,
        sweep,
        import,
        Just(Event::Retire(Retire {
            backups: vec![backup],
            reason: "old".to_owned(),
            policy: Some(Digest([1; 32])),
        })),
        Just(Event::Hold(Hold { backup, until, purpose: HoldPurpose::Mount })),
        Just(Event::Unhold(Unhold { hold: u64::MAX })),
        Just(Event::Attest(attest)),
        Just(Event::Unknown("leap".to_owned())),
    ]
}

fn any_draft() -> impl Strategy<Value = Draft> {
    (any_event(), any::<(Vec<u8>, Vec<u8>)>(), any::<bool>()).prop_map(
        |(event, (content, map_root), seen)| {
            let head = LogHead { sequence: 1, hash: Digest([1; 32]) };
            let witness = Witness { vault: VaultId([7; 16]), head };
            let witness = if seen { vec![witness] } else { Vec::new() };
            Draft { event, body: Body { content, map_root }, witness }
        },
    )
}

fn fresh_salt() -> Salt {
    Salt::random(&soter_world::SystemRandom)
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(128)))]

    #[test]
    fn an_entry_is_read_back_as_it_was_written(draft in any_draft()) {
        let (author, at) = (author(), position(fresh_salt()));
        let bytes = draft.seal(&author, &at).unwrap();
        let entry = Entry::parse(&bytes).unwrap();
        prop_assert_eq!(&entry.event, &draft.event);
        prop_assert_eq!(&entry.head.witness, &draft.witness);
        prop_assert_eq!((entry.head.place, entry.head.sequence), (at.place, at.sequence));
        prop_assert_eq!((entry.head.previous, entry.head.claimed), (at.previous, at.claimed));
        prop_assert_eq!((entry.head.trust, entry.head.signer), (3, author.signer.public()));
        prop_assert_eq!(entry.hash, Digest::of(&bytes));
        prop_assert_eq!(entry.body(author.metadata.as_ref().unwrap()), Ok(draft.body));
    }

    #[test]
    fn any_change_is_noticed(draft in any_draft(), place: prop::sample::Index, bit in 0..8u8) {
        let mut bytes = draft.seal(&author(), &position(fresh_salt())).unwrap();
        let at = place.index(bytes.len());
        bytes[at] ^= 1 << bit;
        prop_assert!(Entry::parse(&bytes).is_err());
        bytes[at] ^= 1 << bit;
        bytes.truncate(at);
        prop_assert!(Entry::parse(&bytes).is_err());
    }

    #[test]
    fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..300)) {
        prop_assert!(Entry::parse(&bytes).is_err());
    }

    /// Behind a good signature too nothing is believed: a signer may be a thief.
    #[test]
    fn any_head_and_tables_are_read_or_refused(
        kind in prop::sample::select(vec!["open", "backup", "sweep", "import", "hold", "attest"]),
        about in prop_oneof![
            "\\{(\"[a-z]{1,6}\":[0-9\"a-z\\[\\]]{0,6},?){0,4}\\}",
            Just(format!(r#"{{"id":"{ID}","source":"{ID}{ID}","duty":"wal","agent":""}}"#)),
        ],
        tables in proptest::collection::vec(0..3u8, 0..200),
        sealed in proptest::collection::vec(any::<u8>(), 0..100),
    ) {
        let head = format!(
            r#"{{"vault":"{ID}{ID}","store":"{ID}","sequence":1,"previous":null,"kind":"{kind}",
            "session":"{ID}","trust":1,"signer":"{}","claimed":"2030-01-01T00:00:00Z","tool":"",
            "about":{about}}}"#,
            author().signer.public()
        );
        let mut bytes = vec![0; PRELUDE_LENGTH];
        bytes.extend_from_slice(head.as_bytes());
        bytes.extend_from_slice(&tables);
        bytes.extend_from_slice(&sealed);
        write_prelude(&mut bytes, [head.len(), tables.len(), sealed.len()], Salt([0; 16]));
        let signature = author().signer.sign(&bytes);
        bytes.extend_from_slice(&signature);
        if let Ok(entry) = Entry::parse(&bytes) {
            let body = entry.body(&SymmetricKey::from_bytes([0; 32]));
            prop_assert_eq!(body.is_ok(), sealed.is_empty());
        }
    }
}

#[test]
fn a_body_opens_in_its_place_only() {
    let (author, at) = (author(), position(Salt([0x77; 16])));
    let body = Body { content: vec![1; 3_000_000], map_root: b"root".to_vec() };
    let event = Event::Unhold(Unhold { hold: 1 });
    let draft = Draft { event, body: body.clone(), witness: Vec::new() };
    let entry = Entry::parse(&draft.seal(&author, &at).unwrap()).unwrap();
    let metadata = author.metadata.unwrap();
    assert_eq!(entry.body(&metadata), Ok(body));
    let stranger = SymmetricKey::from_bytes([3; 32]);
    assert!(matches!(entry.body(&stranger), Err(EntryError::Body(_))));
    let mut elsewhere = entry.clone();
    elsewhere.head.sequence += 1;
    assert!(matches!(elsewhere.body(&metadata), Err(EntryError::Body(_))));
    let mut cut = entry;
    cut.sealed.pop();
    assert!(matches!(cut.body(&metadata), Err(EntryError::Body(FrameError::Short))));
}

#[test]
fn a_feature_that_is_not_known_is_named_and_the_rest_not_interpreted() {
    let draft = Draft::of(Event::Unhold(Unhold { hold: 1 }));
    let mut json = HeadJson::of(&draft, &author(), &position(Salt([1; 16])));
    json.needs = vec!["time travel".to_owned()];
    assert_eq!(json.event(b"tables of the future"), Ok(Event::Unknown("unhold".to_owned())));
    assert_eq!(unknown_feature(&json.needs), Some("time travel"));
}

#[test]
fn what_is_too_long_is_not_written() {
    let event = Event::Unhold(Unhold { hold: 1 });
    let body = Body { content: vec![0; OBJECT_LENGTH_MAX], map_root: Vec::new() };
    let draft = Draft { event, body, witness: Vec::new() };
    assert!(draft.seal(&author(), &position(Salt([2; 16]))).is_err());
    let backups = vec![BackupId([1; 8]); 100_000];
    let retire = Retire { backups, reason: String::new(), policy: None };
    let draft = Draft::of(Event::Retire(retire));
    assert!(draft.seal(&author(), &position(Salt([3; 16]))).is_err());
}
