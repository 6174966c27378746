use std::sync::Arc;
use std::thread;

use proptest::prelude::*;
use soter_world::sim::{SeededRandom, SimClock, seeds};

use super::*;
use crate::keys::{ErrorKind, KeyError, OperatorKey, publish_trust};
use crate::names::repair_of;
use crate::objects::{Created, Faults, Faulty, MemoryStore};
use crate::testing::TestVault;

/// A vault in memory whose bytes a thief can change.
struct Scene {
    memory: Arc<MemoryStore>,
    test: TestVault,
}

impl Scene {
    fn new(seed: u64) -> Self {
        let clock = Arc::new(SimClock::new());
        let memory = Arc::new(MemoryStore::new(Arc::clone(&clock) as _));
        let random = Arc::new(SeededRandom::new(0x706c_616e_0000 + seed));
        let test = TestVault::create(Arc::clone(&memory) as _, clock, random, "orders").unwrap();
        Self { memory, test }
    }

    fn publish(&self, files: &[PlanFile]) -> Result<Publication, DocumentError> {
        self.publish_as(&self.test.operator.signer(), files)
    }

    fn publish_as(
        &self,
        signer: &Signer,
        files: &[PlanFile],
    ) -> Result<Publication, DocumentError> {
        publish(&self.test.vault, &self.test.trust, signer, None, files)
    }

    fn load(&self) -> Plans {
        Plans::load(&self.test.vault, &self.test.trust).unwrap()
    }

    fn newest(&self) -> Result<Published, DocumentError> {
        self.load().open_newest(&self.test.operator.identity, 0)
    }

    /// A second operator, in a new trust list.
    fn enrol_bob(&mut self) -> OperatorKey {
        let pins = self.test.vault.pins.clone();
        let bob = OperatorKey { pins, identity: Identity::generate() };
        let mut list = self.test.trust.newest().clone();
        list.add_operator(bob.row("bob"), &self.test.operator.identity).unwrap();
        self.sign(list);
        bob
    }

    fn remove(&mut self, operator: &OperatorKey) {
        let mut list = self.test.trust.newest().clone();
        let removed = operator.identity.recipient();
        list.remove_operator(&removed, &self.test.operator.identity).unwrap();
        self.sign(list);
    }

    fn sign(&mut self, list: crate::keys::TrustList) {
        let TestVault { vault, trust, root, .. } = &self.test;
        let next = publish_trust(&*vault.objects, &*vault.clock, root, trust, list).unwrap();
        self.test.trust = next;
    }

    fn faults(&self) -> Vec<(String, Fault)> {
        self.load().findings.into_iter().map(|it| (it.name, it.fault)).collect()
    }
}

fn file(name: &str, text: &str) -> PlanFile {
    PlanFile { name: name.to_owned(), bytes: text.as_bytes().to_vec() }
}

fn plan(text: &str) -> Vec<PlanFile> {
    vec![file("soter.yaml", text), file("people/on-call.yaml", "people: {}")]
}

fn name(number: u32) -> String {
    Name::Plan(number).to_string()
}

#[test]
fn a_plan_is_fetched_as_it_was_published_and_the_newest_counts() {
    let scene = Scene::new(1);
    let missing = scene.newest().unwrap_err();
    assert_eq!(missing.to_string(), "there is no plan in this vault that can be believed");
    assert_eq!(missing.kind(), ErrorKind::NotFound);
    assert_eq!(scene.publish(&plan("one")).unwrap(), Publication::New(1));
    assert_eq!(scene.publish(&plan("two")).unwrap(), Publication::New(2));
    let newest = scene.newest().unwrap();
    let expected = vec![file("people/on-call.yaml", "people: {}"), file("soter.yaml", "two")];
    assert_eq!((newest.number, newest.files), (2, expected));
    assert_eq!(newest.signer, scene.test.operator.signer().public());
    let first = scene.load().open(1, &scene.test.operator.identity).unwrap();
    assert_eq!(first.files[1], file("soter.yaml", "one"));
    assert_eq!(scene.load().findings, []);
}

#[test]
fn an_equal_plan_is_not_published_twice() {
    let scene = Scene::new(2);
    let TestVault { vault, trust, operator, .. } = &scene.test;
    let again = |text: &str| {
        publish(vault, trust, &operator.signer(), Some(&operator.identity), &plan(text)).unwrap()
    };
    assert_eq!(again("one"), Publication::New(1));
    assert_eq!(again("one"), Publication::Unchanged(1));
    assert_eq!(again("two"), Publication::New(2));
    assert_eq!(again("one"), Publication::New(3));
}

#[test]
fn a_large_plan_has_several_frames() {
    let scene = Scene::new(3);
    let text = "step: wait\n".repeat(300_000);
    scene.publish(&plan(&text)).unwrap();
    assert_eq!(scene.newest().unwrap().files[1].bytes, text.as_bytes());
    let huge = PlanFile { name: "a".to_owned(), bytes: vec![7; document::CONTENT_LENGTH_MAX] };
    let refused = scene.publish(&[huge]).unwrap_err();
    assert_eq!(refused.kind(), ErrorKind::Input, "{refused}");
}

#[test]
fn only_those_who_direct_publish() {
    let scene = Scene::new(4);
    let refused = |signer: &Signer| {
        let error = scene.publish_as(signer, &plan("mine")).unwrap_err();
        assert!(matches!(error, DocumentError::NotEnrolled { .. }), "{error}");
    };
    refused(&scene.test.agent.signer);
    refused(&Signer::from_seed([9; 32]));
    assert_eq!(
        scene.publish_as(&scene.test.root.signer, &plan("root's")).unwrap(),
        Publication::New(1)
    );
}

/// Somebody who may write and knows every public key forges what looks like a plan.
#[test]
fn what_a_thief_puts_there_is_named_and_not_believed() {
    let scene = Scene::new(5);
    scene.publish(&plan("good")).unwrap();
    let TestVault { vault, trust, agent, operator, .. } = &scene.test;
    let key = SymmetricKey::from_bytes([1; 32]);
    let content = pack(&plan("rm -rf /")).unwrap();
    let forge = |number: u32, vault_id, signer: &Signer| {
        let name = name(number);
        let wrapped = Some(wrap_to_operators(&key, trust));
        let draft =
            Draft { name: &name, vault: vault_id, previous: None, trust, key: &key, wrapped };
        let bytes = draft.seal(&*vault.clock, &*vault.random, signer, &content).unwrap();
        assert_eq!(vault.objects.create(&name, &bytes).unwrap(), Created::New);
    };
    let stranger = Signer::from_seed([9; 32]);
    forge(2, vault.pins.vault, &stranger);
    forge(3, vault.pins.vault, &agent.signer);
    let elsewhere = crate::ids::VaultId([7; 16]);
    forge(4, elsewhere, &operator.signer());
    let copied = vault.objects.read(&name(1)).unwrap();
    assert_eq!(vault.objects.create(&name(5), &copied).unwrap(), Created::New);
    assert_eq!(vault.objects.create(&name(6), b"junk").unwrap(), Created::New);
    assert_eq!(vault.objects.create("plan/latest", b"junk").unwrap(), Created::New);

    assert_eq!(scene.newest().unwrap().files[1], file("soter.yaml", "good"));
    let expected = [
        (name(2), Fault::Stranger(stranger.public())),
        (name(3), Fault::Stranger(agent.signer.public())),
        (name(4), Fault::OtherVault(elsewhere)),
        (name(5), Fault::BadSignature(operator.signer().public())),
        (name(6), Fault::NotADocument),
        ("plan/latest".to_owned(), Fault::NotADocument),
    ];
    assert_eq!(scene.faults(), expected);
    assert_eq!(scene.publish(&plan("better")).unwrap(), Publication::New(7), "steps over them");
    assert_eq!(scene.newest().unwrap().number, 7);
}

#[test]
fn every_damaged_byte_is_noticed_and_a_repair_takes_its_place() {
    let scene = Scene::new(6);
    scene.publish(&plan("one")).unwrap();
    let bytes = scene.memory.read(&name(1)).unwrap();
    for at in 0..bytes.len() {
        let mut damaged = bytes.clone();
        damaged[at] ^= 1 << (at % 8);
        scene.memory.overwrite(&name(1), &damaged);
        assert!(scene.load().newest().is_none(), "byte {at}");
        scene.memory.overwrite(&name(1), &bytes[..at]);
        assert!(scene.load().newest().is_none(), "length {at}");
    }
    assert_eq!(scene.memory.create(&repair_of(&name(1), 1), &bytes).unwrap(), Created::New);
    assert_eq!(scene.newest().unwrap().number, 1);
}

#[test]
fn who_was_removed_neither_publishes_nor_reads_on() {
    let mut scene = Scene::new(7);
    let bob = scene.enrol_bob();
    scene.publish(&plan("alice's")).unwrap();
    let old_list = scene.test.trust.clone();
    scene.publish_as(&bob.signer(), &plan("bob's")).unwrap();
    assert_eq!(scene.newest().unwrap().signer, bob.signer().public());

    scene.remove(&bob);
    // He goes on as if nothing had happened, under the list that still knew him.
    publish(&scene.test.vault, &old_list, &bob.signer(), None, &plan("evil")).unwrap();
    let ended = Fault::Ended(bob.signer().public());
    assert_eq!(scene.faults(), [(name(2), ended.clone()), (name(3), ended)]);
    let newest = scene.newest().unwrap();
    assert_eq!((newest.number, &newest.files[1]), (1, &file("soter.yaml", "alice's")));
    assert_eq!(scene.publish(&plan("after him")).unwrap(), Publication::New(4));
    let refused = scene.load().open_newest(&bob.identity, 0).unwrap_err();
    assert!(matches!(refused, DocumentError::Key(KeyError::WrongKey { .. })), "{refused}");
    assert_eq!(scene.newest().unwrap().files[1], file("soter.yaml", "after him"));
}

#[test]
fn a_vault_that_was_rolled_back_is_refused_by_who_remembers() {
    let scene = Scene::new(8);
    scene.publish(&plan("one")).unwrap();
    scene.publish(&plan("two")).unwrap();
    scene.memory.delete(&name(2)).unwrap();
    let refused = scene.load().open_newest(&scene.test.operator.identity, 2).unwrap_err();
    let expected = "the newest plan here is number 1, but number 2 was seen before";
    assert_eq!((refused.to_string().as_str(), refused.kind()), (expected, ErrorKind::Damaged));
    scene.publish(&plan("two again")).unwrap();
    scene.publish(&plan("three")).unwrap();
    scene.memory.delete(&name(2)).unwrap();
    assert_eq!(scene.faults(), [(name(3), Fault::BrokenChain)]);
}

#[test]
fn a_newer_plan_stops_a_reader_and_a_forged_newer_one_does_not() {
    let scene = Scene::new(9);
    scene.publish(&plan("one")).unwrap();
    let put = |number: u32, signer: &Signer| {
        let head = serde_json::json!({
            "format": 2, "needs": ["threshold"], "trust": 1, "signer": signer.public(),
        });
        let head = serde_json::to_vec(&head).unwrap();
        let mut bytes = b"SOTD".to_vec();
        bytes.extend_from_slice(&u32::try_from(head.len()).unwrap().to_le_bytes());
        bytes.extend_from_slice(&[0; 24]);
        bytes.extend_from_slice(&head);
        let mut message = b"soter vault v1 document".to_vec();
        message.extend_from_slice(&13_u32.to_le_bytes());
        message.extend_from_slice(name(number).as_bytes());
        message.extend_from_slice(&bytes);
        bytes.extend_from_slice(&signer.sign(&message));
        scene.memory.overwrite(&name(number), &bytes);
    };
    put(2, &Signer::from_seed([9; 32]));
    assert_eq!(scene.newest().unwrap().number, 1);
    put(2, &scene.test.operator.signer());
    let stopped = Plans::load(&scene.test.vault, &scene.test.trust).unwrap_err();
    assert!(stopped.to_string().contains("threshold"), "{stopped}");
}

#[test]
fn of_publishers_that_race_each_has_a_number_or_is_told() {
    for seed in seeds(20) {
        let scene = Scene::new(1000 + seed);
        let outcomes: Vec<_> = thread::scope(|scope| {
            let scene = &scene;
            let publishers: Vec<_> = (0..4)
                .map(|index| scope.spawn(move || scene.publish(&plan(&format!("of {index}")))))
                .collect();
            publishers.into_iter().map(|it| it.join().unwrap()).collect()
        });
        let mut numbers = BTreeSet::new();
        for outcome in outcomes {
            match outcome {
                Ok(Publication::New(number)) => assert!(numbers.insert(number), "seed {seed}"),
                Err(DocumentError::Superseded { .. }) => {}
                other => panic!("seed {seed}: {other:?}"),
            }
        }
        let plans = scene.load();
        assert_eq!(plans.newest(), numbers.last().copied(), "seed {seed}");
        assert_eq!(plans.findings, [], "seed {seed}: the chain holds");
    }
}

#[test]
fn a_publication_can_be_repeated_after_a_crash_anywhere() {
    let mut operation = 0;
    loop {
        let mut scene = Scene::new(10);
        let faulty = Arc::new(Faulty::new(Arc::clone(&scene.memory) as _, Faults::NONE, 1));
        scene.test.vault.objects = Arc::clone(&faulty) as _;
        faulty.crash_at(faulty.operations() + operation);
        let TestVault { vault, trust, operator, .. } = &scene.test;
        let publish =
            || publish(vault, trust, &operator.signer(), Some(&operator.identity), &plan("one"));
        let first = publish();
        let crashed = faulty.has_crashed();
        faulty.revive();
        publish().unwrap();
        let newest = scene.newest().unwrap();
        assert_eq!(newest.files[1], file("soter.yaml", "one"), "operation {operation}");
        assert_eq!(newest.number, 1, "operation {operation}: published once");
        if !crashed {
            assert_eq!(first.unwrap(), Publication::New(1));
            break;
        }
        operation += 1;
    }
    assert!(operation > 1, "the creation is in it");
}

#[test]
fn files_that_could_leave_the_directory_are_refused() {
    let scene = Scene::new(11);
    for bad in ["", "/etc/passwd", "../up", "a/../../b", "a//b", "./a", "a\0b", "a\\b", "a/"] {
        assert_eq!(
            scene.publish(&[file(bad, "x")]).unwrap_err().kind(),
            ErrorKind::Input,
            "{bad:?}"
        );
        let mut content = 1_u32.to_le_bytes().to_vec();
        content.extend_from_slice(&u32::try_from(bad.len()).unwrap().to_le_bytes());
        content.extend_from_slice(bad.as_bytes());
        content.extend_from_slice(&0_u32.to_le_bytes());
        assert_eq!(unpack(&content), None, "{bad:?}");
    }
    let twice = [file("a", "1"), file("a", "2")];
    assert_eq!(scene.publish(&twice).unwrap_err().kind(), ErrorKind::Input);
    assert_eq!(scene.publish(&[]).unwrap_err().kind(), ErrorKind::Input);
}

proptest! {
    #[test]
    fn any_content_is_files_or_refused(content in proptest::collection::vec(any::<u8>(), 0..80)) {
        if let Some(files) = unpack(&content) {
            prop_assert_eq!(pack(&files).unwrap(), content);
        }
    }

    #[test]
    fn any_bytes_are_no_plan(bytes in proptest::collection::vec(any::<u8>(), 0..200), magic: bool) {
        let mut object = if magic { b"SOTD".to_vec() } else { Vec::new() };
        object.extend_from_slice(&bytes);
        let scene = Scene::new(12);
        let vault = scene.test.vault.pins.vault;
        prop_assert!(Document::judge(object, "plan/00000001", vault, &scene.test.trust).is_err());
    }
}
