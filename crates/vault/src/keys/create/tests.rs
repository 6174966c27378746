use std::sync::Arc;

use soter_world::OsDisk;
use soter_world::sim::{SeededRandom, SimClock};

use super::*;
use crate::keys::sample::{SampleVault, draft};
use crate::keys::{Identity, Signer};
use crate::log::sample::{Bench, opening};
use crate::log::{Duty, LogError, Session};
use crate::objects::{DirectoryStore, Faults, Faulty, MemoryStore, ObjectInfo};

#[test]
fn a_new_vault_can_be_written_by_its_agent_and_read_by_its_operator() {
    let vault = SampleVault::new(1);
    let list = vault.loaded.trust.newest();
    let store = list.store_named("orders").unwrap().id;
    let writer = list.store_keys(store, &vault.agent.identity, vault.agent.signer.clone()).unwrap();
    let reader = list.reader_keys(store, &vault.operator.identity).unwrap();
    assert!(writer.metadata == reader.metadata);
    assert!(list.may(&vault.collector.signer.public(), Role::Collector, store));
    assert_eq!(vault.loaded.findings, []);
    assert_eq!(vault.loaded.record.unwrap().vault, vault.root.vault);
    probe(&vault.objects).unwrap();
}

#[test]
fn a_vault_is_never_replaced() {
    let vault = SampleVault::new(1);
    let mut root = vault.root.clone();
    root.vault = VaultId([9; 16]);
    let mut operator = vault.operator.clone();
    operator.pins.vault = root.vault;
    let other = draft(&operator, &vault.agent, &vault.collector);
    let random = SeededRandom::new(1);
    let error = create_vault(&vault.objects, &*vault.clock, &random, &root, &other).unwrap_err();
    assert!(matches!(error, KeyError::AlreadyAVault { .. }), "{error}");
}

#[test]
fn one_operator_must_be_wished_for() {
    let vault = SampleVault::new(1);
    let mut draft = draft(&vault.operator, &vault.agent, &vault.collector);
    draft.operator_count = OperatorCount::AtLeastTwo;
    let empty = MemoryStore::new(Arc::clone(&vault.clock) as _);
    let random = SeededRandom::new(1);
    let error = create_vault(&empty, &*vault.clock, &random, &vault.root, &draft).unwrap_err();
    assert!(matches!(error, KeyError::OneOperator));
    let recipient = Identity::generate().recipient();
    let second = Operator { name: "bob".into(), recipient, signer: None };
    draft.operators.push(second);
    create_vault(&empty, &*vault.clock, &random, &vault.root, &draft).unwrap();
}

#[test]
fn a_directory_keeps_its_promise() {
    let vault = SampleVault::new(1);
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("vault");
    let objects = DirectoryStore::create(Arc::new(OsDisk), &path).unwrap();
    let draft = draft(&vault.operator, &vault.agent, &vault.collector);
    let random = SeededRandom::new(1);
    create_vault(&objects, &*vault.clock, &random, &vault.root, &draft).unwrap();
    probe(&objects).unwrap();
}

/// Whatever operation the store dies in, the same draft makes the vault when it is back.
#[test]
fn making_a_vault_can_be_repeated_after_a_crash_anywhere() {
    let sample = SampleVault::new(1);
    let draft = draft(&sample.operator, &sample.agent, &sample.collector);
    let make = |objects: &dyn ObjectStore, clock: &SimClock| {
        create_vault(objects, clock, &SeededRandom::new(1), &sample.root, &draft)
    };
    for seed in 0..4 {
        let mut operation = 0;
        loop {
            let clock = Arc::new(SimClock::new());
            let memory = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
            let objects = Faulty::new(memory, Faults::NONE, seed);
            objects.crash_at(operation);
            let first = make(&objects, &clock);
            let crashed = objects.has_crashed();
            objects.revive();
            let made = make(&objects, &clock).unwrap();
            assert_eq!(made.trust.newest().number, 1, "seed {seed}, operation {operation}");
            if !crashed {
                first.unwrap();
                break;
            }
            operation += 1;
        }
        assert!(operation > RACERS as u64, "the race is in it");
    }
}

/// A place that ignores conditions.
struct Liar(MemoryStore);

impl ObjectStore for Liar {
    fn create(&self, name: &str, bytes: &[u8]) -> Result<Created, ObjectError> {
        self.0.overwrite(name, bytes);
        Ok(Created::New)
    }

    fn read(&self, name: &str) -> Result<Vec<u8>, ObjectError> {
        self.0.read(name)
    }

    fn read_range(&self, name: &str, offset: u64, length: usize) -> Result<Vec<u8>, ObjectError> {
        self.0.read_range(name, offset, length)
    }

    fn head(&self, name: &str) -> Result<Option<ObjectInfo>, ObjectError> {
        self.0.head(name)
    }

    fn list(
        &self,
        prefix: &str,
        after: Option<&str>,
        limit: usize,
    ) -> Result<Vec<ObjectInfo>, ObjectError> {
        self.0.list(prefix, after, limit)
    }

    fn delete(&self, name: &str) -> Result<(), ObjectError> {
        self.0.delete(name)
    }
}

/// A vault that was made where names are taken once, and has since moved to where they are not.
#[test]
fn a_session_is_not_opened_in_a_place_that_lies() {
    let mut bench = Bench::new(9);
    bench.open(Duty::Wal);
    let lies = Arc::new(Liar(MemoryStore::new(Arc::clone(&bench.clock) as _)));
    for info in bench.memory.list("", None, 1000).unwrap() {
        lies.0.overwrite(&info.name, &bench.memory.read(&info.name).unwrap());
    }
    bench.vault.objects = lies;
    let outcome = Session::open(bench.log(), &bench.keys.writer, opening(Duty::Wal));
    let Err(LogError::Key(KeyError::NotExclusive { .. })) = outcome else {
        panic!("{outcome:?}");
    };
}

#[test]
fn a_place_that_lies_is_refused_unless_one_writer_is_wished_for() {
    let vault = SampleVault::new(1);
    let random = SeededRandom::new(1);
    let mut draft = draft(&vault.operator, &vault.agent, &vault.collector);
    let liar = Liar(MemoryStore::new(Arc::clone(&vault.clock) as _));
    let error = create_vault(&liar, &*vault.clock, &random, &vault.root, &draft).unwrap_err();
    assert!(matches!(error, KeyError::NotExclusive { winners: 8, tries: 8 }), "{error}");
    assert!(matches!(probe(&liar), Err(KeyError::NotExclusive { .. })));
    liar.delete(VAULT_RECORD).unwrap();
    assert!(matches!(probe(&liar), Err(KeyError::NoVault)));

    draft.writers = Writers::One;
    let made = create_vault(&liar, &*vault.clock, &random, &vault.root, &draft).unwrap();
    assert!(made.record.unwrap().single_writer);
    probe(&liar).unwrap();
}

#[test]
fn two_who_make_one_vault_at_once_make_one() {
    let sample = SampleVault::new(1);
    let objects = MemoryStore::new(Arc::clone(&sample.clock) as _);
    let outcomes: Vec<_> = thread::scope(|scope| {
        let make = |seed: u8| {
            let (sample, objects) = (&sample, &objects);
            scope.spawn(move || {
                let signer = Signer::from_seed([seed; 32]);
                let root = RootKey { vault: VaultId([seed; 16]), signer };
                let mut draft = draft(&sample.operator, &sample.agent, &sample.collector);
                draft.vault = root.vault;
                let random = SeededRandom::new(u64::from(seed));
                create_vault(objects, &*sample.clock, &random, &root, &draft)
            })
        };
        [make(1), make(2)].map(|thread| thread.join().unwrap()).into_iter().collect()
    });
    let made = outcomes.iter().filter(|outcome| outcome.is_ok()).count();
    assert_eq!(made, 1, "{outcomes:?}");
}
