use jiff::Timestamp;
use soter_world::SystemRandom;

use super::*;
use crate::ids::VaultId;
use crate::keys::{OperatorKey, Pins, ReaderKeys, Signer, StoreKeys, wrap};
use crate::record::FORMAT;

/// A list with one operator and one collector, and what belongs to it.
struct Desk {
    list: TrustList,
    operator: Identity,
    agent: (Signer, Identity),
}

impl Desk {
    fn new() -> Self {
        let operator = Identity::generate();
        let mut list = TrustList {
            format: FORMAT,
            needs: Vec::new(),
            number: 1,
            previous: None,
            root: Signer::from_seed([9; 32]).public(),
            vaults: vec![VaultId([1; 16])],
            claimed_time: Timestamp::UNIX_EPOCH,
            operators: vec![Operator {
                name: "alice".into(),
                recipient: operator.recipient(),
                signer: None,
            }],
            stores: Vec::new(),
            signers: Vec::new(),
        };
        let collector = Signer::from_seed([8; 32]).public();
        list.add_signer("collector", collector, &[Role::Collector], &BTreeMap::new());
        Self { list, operator, agent: (Signer::from_seed([7; 32]), Identity::generate()) }
    }

    fn agent_draft(&self) -> AgentDraft {
        AgentDraft {
            name: "db1".into(),
            key: self.agent.0.public(),
            recipient: self.agent.1.recipient(),
        }
    }

    fn add_store(&mut self, name: &str) -> StoreId {
        let agents = vec![self.agent_draft()];
        let draft = StoreDraft { name: name.into(), kind: "postgres".into(), agents };
        self.list.add_store(&SystemRandom, &draft).unwrap()
    }

    fn writer(&self, store: StoreId) -> Result<StoreKeys, KeyError> {
        self.list.store_keys(store, &self.agent.1, self.agent.0.clone())
    }

    fn reader(&self, store: StoreId) -> Result<ReaderKeys, KeyError> {
        self.list.reader_keys(store, &self.operator)
    }
}

#[test]
fn what_an_agent_writes_an_operator_reads_and_nobody_else() {
    let mut desk = Desk::new();
    let store = desk.add_store("orders");
    let (writer, reader) = (desk.writer(store).unwrap(), desk.reader(store).unwrap());
    assert!(writer.metadata == reader.metadata);
    assert_eq!(writer.content_ids.id(b"block"), reader.content_ids.id(b"block"));
    let session = SymmetricKey::from_bytes([4; 32]);
    let wrapped = wrap(&session, &writer.recipient);
    assert!(reader.unwrap(&wrapped, &session.commitment()).unwrap() == session);

    let as_reader = desk.list.reader_keys(store, &desk.agent.1).unwrap_err();
    assert!(matches!(as_reader, KeyError::WrongKey { .. }), "{as_reader}");
    let stranger = Signer::from_seed([1; 32]);
    let as_writer = desk.list.store_keys(store, &desk.agent.1, stranger).unwrap_err();
    assert!(matches!(as_writer, KeyError::NotEnrolled { .. }), "{as_writer}");
    let nowhere = desk.reader(StoreId([0; 8])).unwrap_err();
    assert!(matches!(nowhere, KeyError::UnknownStore { .. }), "{nowhere}");
}

#[test]
fn the_collector_serves_every_store_and_the_agent_its_own() {
    let mut desk = Desk::new();
    let first = desk.add_store("orders");
    let second = desk.add_store("billing");
    let (collector, agent) = (Signer::from_seed([8; 32]).public(), desk.agent.0.public());
    for store in [first, second] {
        assert!(desk.list.may(&collector, Role::Collector, store));
        assert!(desk.list.may(&agent, Role::Agent, store));
    }
    assert_eq!(desk.list.signers.len(), 2, "one row for one agent");
    let again = StoreDraft { name: "orders".into(), kind: "etcd".into(), agents: vec![] };
    let taken = desk.list.add_store(&SystemRandom, &again).unwrap_err();
    assert_eq!(taken.to_string(), "there is a store \"orders\" already");
}

#[test]
fn a_new_operator_opens_old_backups() {
    let mut desk = Desk::new();
    let store = desk.add_store("orders");
    let before = desk.writer(store).unwrap();
    let bob = Identity::generate();
    let row = Operator { name: "bob".into(), recipient: bob.recipient(), signer: None };
    desk.list.add_operator(row, &desk.operator.clone()).unwrap();
    let session = SymmetricKey::from_bytes([4; 32]);
    let wrapped = wrap(&session, &before.recipient);
    let reader = desk.list.reader_keys(store, &bob).unwrap();
    assert!(reader.unwrap(&wrapped, &session.commitment()).is_ok());
    assert!(desk.reader(store).is_ok() && desk.writer(store).is_ok(), "the others keep theirs");
}

#[test]
fn a_removed_operator_cannot_open_what_comes_after() {
    let mut desk = Desk::new();
    let store = desk.add_store("orders");
    let bob = Identity::generate();
    let row = Operator { name: "bob".into(), recipient: bob.recipient(), signer: None };
    desk.list.add_operator(row, &desk.operator.clone()).unwrap();
    let before = desk.writer(store).unwrap();
    let of_bob = desk.list.reader_keys(store, &bob).unwrap();
    desk.list.remove_operator(&bob.recipient(), &desk.operator.clone()).unwrap();

    let after = desk.writer(store).unwrap();
    assert_ne!(before.recipient, after.recipient);
    let session = SymmetricKey::from_bytes([4; 32]);
    let wrapped = wrap(&session, &after.recipient);
    assert!(of_bob.unwrap(&wrapped, &session.commitment()).is_err());
    assert!(matches!(desk.list.reader_keys(store, &bob), Err(KeyError::WrongKey { .. })));
    let alice = desk.reader(store).unwrap();
    assert!(alice.unwrap(&wrapped, &session.commitment()).is_ok(), "new");
    let old = wrap(&session, &before.recipient);
    assert!(alice.unwrap(&old, &session.commitment()).is_ok(), "old");

    let last = desk.list.remove_operator(&desk.operator.recipient(), &desk.operator.clone());
    assert!(matches!(last, Err(KeyError::LastOperator)));
}

#[test]
fn an_agent_comes_and_goes() {
    let mut desk = Desk::new();
    let store = desk.add_store("orders");
    let (signer, identity) = (Signer::from_seed([6; 32]), Identity::generate());
    let new =
        AgentDraft { name: "db2".into(), key: signer.public(), recipient: identity.recipient() };
    desk.list.add_agent(&new, store, 40, &desk.operator.clone()).unwrap();
    let keys = desk.list.store_keys(store, &identity, signer.clone()).unwrap();
    assert!(keys.metadata == desk.writer(store).unwrap().metadata);
    assert!(!desk.list.may_at(&signer.public(), Role::Agent, store, 39));
    assert!(desk.list.may_at(&signer.public(), Role::Agent, store, 40));

    let wal = vec![crate::log::sample::wal(3, 5)];
    let heads = BTreeMap::from([(store, StoreEnd { entries: 50, wal: wal.clone() })]);
    let old = desk.agent.0.public();
    desk.list.remove_signer(&old, &heads).unwrap();
    assert!(matches!(desk.writer(store), Err(KeyError::NotEnrolled { .. })));
    assert!(desk.list.may_at(&old, Role::Agent, store, 49), "what it signed stays believed");
    assert!(!desk.list.may_at(&old, Role::Agent, store, 50));
    let trust = crate::keys::Trust::from_lists([(desk.list.clone(), Digest([0; 32]))]).unwrap();
    let place = |timeline, span| crate::keys::WalPlace {
        store,
        incarnation: wal[0].incarnation,
        timeline,
        span,
    };
    let believed = |timeline, span| trust.may_wal(&old, &place(timeline, span));
    assert!(believed(1, Some((3 << 20, 4 << 20))) && believed(1, None), "what was there");
    assert!(!believed(1, Some((5 << 20, 7 << 20))), "what reaches behind it");
    assert!(!believed(1, Some((2 << 20, 3 << 20))), "what was not there");
    assert!(!believed(2, Some((3 << 20, 4 << 20))) && !believed(2, None));
    assert!(trust.may_wal(&signer.public(), &place(9, None)), "who is enrolled");
    let unknown = desk.list.remove_signer(&PublicKey([0; 32]), &heads);
    assert!(matches!(unknown, Err(KeyError::UnknownSigner { .. })));

    // It keeps what it had, but a later wrapping leaves it out.
    let bob =
        Operator { name: "bob".into(), recipient: Identity::generate().recipient(), signer: None };
    desk.list.add_operator(bob, &desk.operator.clone()).unwrap();
    let to = &desk.list.store(store).unwrap().metadata[0].key.to;
    assert!(!to.contains(&desk.agent.1.recipient()) && to.contains(&identity.recipient()));
}

#[test]
fn a_damaged_wrap_is_told_from_a_wrong_key() {
    let mut desk = Desk::new();
    let store = desk.add_store("orders");
    let wrong = desk.list.reader_keys(store, &Identity::generate()).unwrap_err();
    assert!(matches!(wrong, KeyError::WrongKey { .. }), "{wrong}");
    let secret = &mut desk.list.stores[0].keys[0].secret.age;
    let last = secret.len() - 1;
    secret[last] ^= 1;
    let damaged = desk.reader(store).unwrap_err();
    assert!(matches!(damaged, KeyError::Damaged { .. }), "{damaged}");
    assert!(desk.writer(store).is_ok(), "the agent does not need it");
}

#[test]
fn another_key_under_the_right_wrap_is_damage() {
    let mut desk = Desk::new();
    let store = desk.add_store("orders");
    let to = desk.list.stores[0].metadata[0].key.to.clone();
    desk.list.stores[0].metadata[0].key = Wrapped::new(&[1; 32], to.clone());
    assert!(matches!(desk.writer(store), Err(KeyError::Damaged { .. })), "the commitment");
    let other = Identity::generate().to_text();
    desk.list.stores[0].keys[0].secret = Wrapped::new(other.expose().as_bytes(), to);
    assert!(matches!(desk.reader(store), Err(KeyError::Damaged { .. })), "the public half");
}

#[test]
fn nothing_secret_is_printed() {
    let mut desk = Desk::new();
    let store = desk.add_store("orders");
    let pins = Pins { vault: VaultId([1; 16]), roots: vec![desk.list.root] };
    let key = OperatorKey { pins, identity: desk.operator.clone() };
    let printed =
        format!("{:?} {:?} {key:?}", desk.writer(store).unwrap(), desk.reader(store).unwrap());
    assert!(!printed.contains("AGE-SECRET-KEY"), "{printed}");
    assert!(printed.contains("SymmetricKey(****)") && printed.contains("Identity(****)"));
}
