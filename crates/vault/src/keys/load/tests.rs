//! What a thief with the credential to write, or the operator of the bucket, can do to trust lists.

use std::collections::BTreeMap;

use proptest::prelude::*;
use soter_world::sim::{SeededRandom, cases};

use super::*;
use crate::keys::sample::SampleVault;
use crate::keys::{AgentDraft, Identity, Role, Signer, StoreDraft};
use crate::objects::Created;

/// A vault with lists 1 to 3, in each a store more.
fn three_lists() -> SampleVault {
    let mut vault = SampleVault::new(1);
    for (seed, name) in [(11, "billing"), (12, "search")] {
        let mut list = vault.loaded.trust.newest().clone();
        let draft = StoreDraft { name: name.into(), kind: "postgres".into(), agents: vec![] };
        list.add_store(&SeededRandom::new(seed), &draft).unwrap();
        vault.loaded.trust =
            publish_trust(&vault.objects, &*vault.clock, &vault.root, &vault.loaded.trust, list)
                .unwrap();
    }
    vault
}

impl SampleVault {
    fn put(&self, name: &str, bytes: &[u8]) {
        assert_eq!(self.objects.create(name, bytes).unwrap(), Created::New, "{name}");
    }

    /// Loads, and says which number counts and what was found.
    fn load(&self, number_min: u32) -> Result<(u32, Vec<String>), KeyError> {
        let loaded = load_trust(&self.objects, &self.operator.pins, number_min)?;
        let findings = loaded.findings.iter().map(TrustFinding::to_string).collect();
        Ok((loaded.trust.newest().number, findings))
    }

    /// The list a thief would like to have: its own agent is enrolled.
    fn forged(&self, root: PublicKey, number: u32) -> TrustList {
        let mut list = self.loaded.trust.newest().clone();
        let heads = BTreeMap::new();
        list.add_signer("thief", Signer::from_seed([66; 32]).public(), &[Role::Agent], &heads);
        list.number = number;
        list.previous = Some(self.loaded.trust.newest_hash());
        list.root = root;
        list
    }
}

const BAD: &str = "its signature is wrong: it is damaged or forged";

#[test]
fn the_newest_list_counts_and_all_are_kept() {
    let vault = three_lists();
    assert_eq!(vault.load(3).unwrap(), (3, vec![]));
    let trust = load_trust(&vault.objects, &vault.operator.pins, 0).unwrap().trust;
    let stores = |number| trust.at(number).map(|list: &TrustList| list.stores.len());
    assert_eq!([stores(1), stores(2), stores(3), stores(4)], [Some(1), Some(2), Some(3), None]);
}

#[test]
fn a_forged_list_is_a_finding() {
    let vault = three_lists();
    let bytes = sign_list(&vault.forged(vault.root.signer.public(), 4), &vault.agent.signer);
    vault.put("trust/00000004", &bytes);
    assert_eq!(vault.load(3).unwrap(), (3, vec![format!("trust/00000004: {BAD}")]));
}

#[test]
fn a_list_by_an_agent_or_by_another_root_is_a_finding_that_names_it() {
    let vault = three_lists();
    let other_root = Signer::from_seed([77; 32]);
    for (number, signer) in [(4, &vault.agent.signer), (5, &other_root)] {
        let list = vault.forged(signer.public(), number);
        vault.put(&Name::Trust(number).to_string(), &sign_list(&list, signer));
    }
    let stranger = |number: u32, key: PublicKey| {
        format!(
            "trust/0000000{number}: it is signed by {key}, which is no root that the key file names"
        )
    };
    let expected = vec![stranger(4, vault.agent.signer.public()), stranger(5, other_root.public())];
    assert_eq!(vault.load(3).unwrap(), (3, expected));
}

#[test]
fn an_old_list_under_a_new_number_is_a_finding() {
    let vault = three_lists();
    let old = vault.objects.read("trust/00000001").unwrap();
    vault.put("trust/00000004", &old);
    let expected = vec!["trust/00000004: it is the list number 1".to_owned()];
    assert_eq!(vault.load(3).unwrap(), (3, expected));
}

#[test]
fn an_old_state_of_the_vault_is_refused_by_who_remembers() {
    let vault = three_lists();
    vault.objects.delete("trust/00000003").unwrap();
    let error = vault.load(3).unwrap_err();
    assert!(matches!(error, KeyError::RolledBack { remembered: 3, newest: 2 }), "{error}");
    assert_eq!(vault.load(0).unwrap(), (2, vec![]), "who remembers nothing cannot know");
}

#[test]
fn another_vault_in_its_place_is_refused() {
    let (mine, other) = (three_lists(), SampleVault::new(2));
    let error = load_trust(&other.objects, &mine.operator.pins, 0).unwrap_err();
    let (expected, found) = (mine.root.vault, other.root.vault);
    assert!(
        matches!(error, KeyError::OtherVault { expected: e, found: f } if e == expected && f == found),
        "{error}"
    );

    // A vault of the same root, whose id is that of another.
    let vault = three_lists();
    let mut record = vault.loaded.record.clone().unwrap();
    record.vault = VaultId([9; 16]);
    vault.objects.overwrite(VAULT_RECORD, &record.to_bytes());
    let error = vault.load(0).unwrap_err();
    assert!(matches!(error, KeyError::OtherVault { .. }), "{error}");

    // A list of that root for another vault.
    let vault = three_lists();
    let mut list = vault.forged(vault.root.signer.public(), 4);
    list.vaults = vec![VaultId([9; 16])];
    vault.put("trust/00000004", &sign_list(&list, &vault.root.signer));
    let expected =
        format!("trust/00000004: it is a list of other vaults, not of {}", vault.root.vault);
    assert_eq!(vault.load(3).unwrap(), (3, vec![expected]));
}

#[test]
fn a_damaged_list_leaves_the_one_before_and_its_repair_counts() {
    let vault = three_lists();
    let good = vault.objects.read("trust/00000003").unwrap();
    let mut damaged = good.clone();
    damaged[100] ^= 1;
    vault.objects.overwrite("trust/00000003", &damaged);
    let finding = format!("trust/00000003: {BAD}");
    assert_eq!(vault.load(0).unwrap(), (2, vec![finding.clone()]));
    vault.put("trust/00000003.r1", &good);
    assert_eq!(vault.load(3).unwrap(), (3, vec![finding]));
}

#[test]
fn a_missing_list_breaks_the_chain_and_no_more() {
    let vault = three_lists();
    vault.objects.delete("trust/00000002").unwrap();
    let expected = "trust/00000003: it does not follow the valid list before it: a list is missing \
                    or was exchanged";
    assert_eq!(vault.load(3).unwrap(), (3, vec![expected.to_owned()]));
}

#[test]
fn junk_is_a_finding_and_the_record_is_not_needed() {
    let vault = three_lists();
    vault.put("trust/readme", b"hello");
    vault.put("trust/00000009", &[]);
    vault.objects.overwrite(VAULT_RECORD, b"hello");
    let (number, findings) = vault.load(3).unwrap();
    assert_eq!(number, 3);
    assert_eq!(findings.len(), 3, "{findings:?}");
    vault.objects.delete(VAULT_RECORD).unwrap();
    assert_eq!(vault.load(3).unwrap().1[0], "soter.vault: it is missing");
}

#[test]
fn nothing_to_believe_says_why() {
    let vault = three_lists();
    for number in 1..=3 {
        vault.objects.overwrite(&Name::Trust(number).to_string(), b"SOTT");
    }
    let error = vault.load(0).unwrap_err();
    assert!(matches!(&error, KeyError::NoTrust { findings } if findings.len() == 3), "{error}");
    for info in vault.objects.list("", None, 100).unwrap() {
        vault.objects.delete(&info.name).unwrap();
    }
    assert!(matches!(vault.load(0), Err(KeyError::NoVault)));
}

#[test]
fn a_list_that_is_valid_and_not_understood_stops_the_reader() {
    let vault = three_lists();
    let mut list = vault.loaded.trust.newest().clone();
    list.number = 4;
    list.needs = vec!["threshold".to_owned()];
    vault.put("trust/00000004", &sign_list(&list, &vault.root.signer));
    let error = vault.load(0).unwrap_err();
    assert!(matches!(error, KeyError::Record(RecordError::Newer { .. })), "{error}");
}

#[test]
fn a_publisher_steps_over_squatted_names() {
    let vault = three_lists();
    vault.put("trust/00000004", b"squatted");
    let list = vault.loaded.trust.newest().clone();
    let trust =
        publish_trust(&vault.objects, &*vault.clock, &vault.root, &vault.loaded.trust, list)
            .unwrap();
    assert_eq!(trust.newest().number, 5);
    let findings = vec!["trust/00000004: it is not a trust list, or damaged".to_owned()];
    assert_eq!(vault.load(5).unwrap(), (5, findings));
}

#[test]
fn of_two_publishers_one_must_look_again() {
    let vault = three_lists();
    let publish = |agent: &str| {
        let mut list = vault.loaded.trust.newest().clone();
        let store = list.store_named("orders").unwrap().id;
        let (key, recipient) = (Signer::from_seed([50; 32]).public(), Identity::generate());
        let agent = AgentDraft { name: agent.into(), key, recipient: recipient.recipient() };
        list.add_agent(&agent, store, 0, &vault.operator.identity).unwrap();
        publish_trust(&vault.objects, &*vault.clock, &vault.root, &vault.loaded.trust, list)
    };
    publish("first").unwrap();
    let error = publish("second").unwrap_err();
    assert!(matches!(error, KeyError::Superseded { number: 4 }), "{error}");
    assert_eq!(error.kind(), crate::keys::ErrorKind::Superseded);
}

#[test]
fn only_the_root_publishes() {
    let vault = three_lists();
    let root = RootKey { vault: vault.root.vault, signer: vault.agent.signer.clone() };
    let list = vault.loaded.trust.newest().clone();
    let outcome = publish_trust(&vault.objects, &*vault.clock, &root, &vault.loaded.trust, list);
    assert!(matches!(outcome, Err(KeyError::NotTheRoot { .. })));
}

proptest! {
    #![proptest_config(ProptestConfig::with_cases(cases(32)))]

    /// Whatever lies there beside the true lists, they count.
    #[test]
    fn junk_never_hides_the_true_list(
        junk in proptest::collection::vec(
            (2..40u32, 0..3u8, proptest::collection::vec(any::<u8>(), 0..200)),
            0..6,
        ),
    ) {
        let vault = SampleVault::new(3);
        for (number, repair, bytes) in junk {
            let mut name = Name::Trust(number).to_string();
            if repair > 0 {
                name = format!("{name}.r{repair}");
            }
            vault.objects.overwrite(&name, &bytes);
        }
        prop_assert_eq!(vault.load(1).unwrap().0, 1);
    }
}
