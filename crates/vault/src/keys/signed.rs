//! The bytes of a trust list: `SOTT · u32 length · JSON · Ed25519 by a root over all before`.
//!
//! The signature is checked before the JSON is believed; what is signed are the stored bytes, so
//! there is no canonical form to agree on.

use std::collections::BTreeSet;

use crate::ids::VaultId;
use crate::keys::{PublicKey, SIGNATURE_LENGTH, Signer, TrustList};
use crate::record::{FORMAT, Versioned};

/// A longer list is refused unread: room for about 3,000 stores.
pub const TRUST_LIST_LENGTH_MAX: usize = 8 << 20;

const MAGIC: [u8; 4] = *b"SOTT";

const PREFIX_LENGTH: usize = 8;

/// Why an object under `trust/` is not a list to believe.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum TrustFault {
    /// No trust list at all, or cut.
    #[error("it is not a trust list, or damaged")]
    NotAList,
    /// Somebody signed it properly who is no root of the key file.
    #[error("it is signed by {0}, which is no root that the key file names")]
    Stranger(PublicKey),
    /// Nobody signed these bytes.
    #[error("its signature is wrong: it is damaged or forged")]
    BadSignature,
    /// A root signed it for another name: somebody copied it here.
    #[error("it is the list number {0}")]
    OtherNumber(u32),
    /// A root signed it for other vaults: somebody copied it here.
    #[error("it is a list of other vaults, not of {0}")]
    OtherVault(VaultId),
    /// A root signed it, and this version cannot read it: use a newer Soter.
    #[error("it is of format {format} with {needs:?}: this Soter reads format {FORMAT}")]
    Newer {
        /// Its format.
        format: u32,
        /// What it needs that this version does not know.
        needs: Vec<String>,
    },
    /// A root signed it, and it contradicts itself: the tool that made it is wrong.
    #[error("a root signed it, but it makes no sense: {0}")]
    Senseless(String),
    /// It is believed, but the list that it follows is another than the one that is here.
    #[error("it does not follow the valid list before it: a list is missing or was exchanged")]
    BrokenChain,
}

/// What a list must be to be believed.
#[derive(Debug, Clone, Copy)]
pub struct Expected<'a> {
    /// The roots that may have signed it.
    pub roots: &'a [PublicKey],
    /// The vaults it must hold for: that of the key file, and that of the record.
    pub vaults: &'a [VaultId],
    /// The number in its name.
    pub number: u32,
}

/// The object's bytes.
///
/// # Panics
/// Never: a list is plain JSON, far below 4 GiB.
pub fn sign_list(list: &TrustList, root: &Signer) -> Vec<u8> {
    let json = serde_json::to_vec(list).expect("a list is plain JSON");
    let length = u32::try_from(json.len()).expect("a list is far below 4 GiB");
    let mut bytes = Vec::with_capacity(PREFIX_LENGTH + json.len() + SIGNATURE_LENGTH);
    bytes.extend_from_slice(&MAGIC);
    bytes.extend_from_slice(&length.to_le_bytes());
    bytes.extend_from_slice(&json);
    let signature = root.sign(&bytes);
    bytes.extend_from_slice(&signature);
    bytes
}

/// Reads and judges the object's bytes.
///
/// # Errors
/// See [`TrustFault`].
pub fn read_list(bytes: &[u8], expected: Expected<'_>) -> Result<TrustList, TrustFault> {
    let (signed, json, signature) = split(bytes).ok_or(TrustFault::NotAList)?;
    let Some(root) = expected.roots.iter().find(|root| root.verify(signed, signature)) else {
        return Err(unsigned(signed, json, signature));
    };
    let senseless = |error: serde_json::Error| TrustFault::Senseless(error.to_string());
    let versioned: Versioned = serde_json::from_slice(json).map_err(senseless)?;
    if !versioned.is_known() {
        let Versioned { format, needs } = versioned;
        return Err(TrustFault::Newer { format, needs });
    }
    let list: TrustList = serde_json::from_slice(json).map_err(senseless)?;
    if list.number != expected.number {
        return Err(TrustFault::OtherNumber(list.number));
    }
    if let Some(vault) = expected.vaults.iter().find(|vault| !list.vaults.contains(vault)) {
        return Err(TrustFault::OtherVault(*vault));
    }
    if list.root != *root {
        return Err(TrustFault::Senseless("it names another root than the one that signed".into()));
    }
    match contradiction(&list) {
        Some(reason) => Err(TrustFault::Senseless(reason)),
        None => Ok(list),
    }
}

/// Splits the bytes into what is signed, the JSON in it, and the signature.
fn split(bytes: &[u8]) -> Option<(&[u8], &[u8], &[u8; SIGNATURE_LENGTH])> {
    if bytes.len() > TRUST_LIST_LENGTH_MAX {
        return None;
    }
    let (signed, signature) = bytes.split_last_chunk::<SIGNATURE_LENGTH>()?;
    let (prefix, json) = signed.split_first_chunk::<PREFIX_LENGTH>()?;
    let [m0, m1, m2, m3, l0, l1, l2, l3] = *prefix;
    let whole =
        [m0, m1, m2, m3] == MAGIC && u32::from_le_bytes([l0, l1, l2, l3]) as usize == json.len();
    whole.then_some((signed, json, signature))
}

/// Tells a list of somebody else from bytes that nobody signed.
fn unsigned(signed: &[u8], json: &[u8], signature: &[u8]) -> TrustFault {
    #[derive(serde::Deserialize)]
    struct Claim {
        root: PublicKey,
    }
    match serde_json::from_slice::<Claim>(json) {
        Ok(claim) if claim.root.verify(signed, signature) => TrustFault::Stranger(claim.root),
        _ => TrustFault::BadSignature,
    }
}

/// What must hold of every list, whoever signed it: readers rely on it.
pub(crate) fn contradiction(list: &TrustList) -> Option<String> {
    let mut ids = BTreeSet::new();
    let mut names = BTreeSet::new();
    for store in &list.stores {
        let ascending = |versions: &[u32]| {
            versions.first() == Some(&1) && versions.windows(2).all(|pair| pair[0] < pair[1])
        };
        let keys: Vec<u32> = store.keys.iter().map(|row| row.version).collect();
        let metadata: Vec<u32> = store.metadata.iter().map(|row| row.version).collect();
        if !ids.insert(store.id) || !names.insert(&store.name) {
            return Some(format!("store {} ({}) is there twice", store.id, store.name));
        }
        if !ascending(&keys) || !ascending(&metadata) {
            return Some(format!("the versions of the keys of store {} do not ascend", store.id));
        }
    }
    if list.operators.is_empty() {
        return Some("nobody could read the backups".to_owned());
    }
    let enrolments = list.signers.iter().flat_map(|signer| &signer.stores);
    enrolments
        .map(|enrolment| enrolment.store)
        .find(|store| !ids.contains(store))
        .map(|store| format!("a signer is enrolled for store {store}, which it does not list"))
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::sample::Sample;

    fn root() -> Signer {
        Signer::from_seed([0xff; 32])
    }

    fn check(bytes: &[u8], expected: Result<(), TrustFault>) {
        let (roots, vaults) = ([root().public()], [VaultId([1; 16])]);
        let outcome = read_list(bytes, Expected { roots: &roots, vaults: &vaults, number: 1 });
        assert_eq!(outcome.map(|_| ()), expected);
    }

    #[test]
    fn a_list_is_read_back_as_it_was_written() {
        let list = Sample::new(1).trust.newest().clone();
        let bytes = sign_list(&list, &root());
        let (roots, vaults) = ([root().public()], [VaultId([1; 16])]);
        let expected = Expected { roots: &roots, vaults: &vaults, number: 1 };
        assert_eq!(read_list(&bytes, expected), Ok(list));
    }

    #[test]
    fn a_list_of_somebody_else_is_refused_by_name() {
        let sample = Sample::new(2);
        let mut list = sample.trust.newest().clone();
        check(&sign_list(&list, &root()), Ok(()));

        let agent = &sample.writer.signer;
        check(&sign_list(&list, agent), Err(TrustFault::BadSignature));
        list.root = agent.public();
        check(&sign_list(&list, agent), Err(TrustFault::Stranger(agent.public())));
        let other = Signer::from_seed([0xfe; 32]);
        list.root = other.public();
        check(&sign_list(&list, &other), Err(TrustFault::Stranger(other.public())));
        let senseless = "it names another root than the one that signed".to_owned();
        check(&sign_list(&list, &root()), Err(TrustFault::Senseless(senseless)));
    }

    #[test]
    fn a_list_in_another_place_is_refused() {
        let mut list = Sample::new(3).trust.newest().clone();
        list.number = 2;
        check(&sign_list(&list, &root()), Err(TrustFault::OtherNumber(2)));
        list.number = 1;
        list.vaults = vec![VaultId([7; 16])];
        check(&sign_list(&list, &root()), Err(TrustFault::OtherVault(VaultId([1; 16]))));
    }

    #[test]
    fn a_newer_list_is_named_and_a_senseless_one_refused() {
        let mut list = Sample::new(4).trust.newest().clone();
        list.needs = vec!["threshold".to_owned()];
        let newer = TrustFault::Newer { format: 1, needs: list.needs.clone() };
        check(&sign_list(&list, &root()), Err(newer));
        list.needs.clear();
        list.stores.push(list.stores[0].clone());
        let twice = "store 0404040404040404 (orders) is there twice".to_owned();
        check(&sign_list(&list, &root()), Err(TrustFault::Senseless(twice)));
        list.stores.clear();
        let unknown = "a signer is enrolled for store 0404040404040404, which it does not list";
        check(&sign_list(&list, &root()), Err(TrustFault::Senseless(unknown.to_owned())));
    }

    #[test]
    fn every_damaged_byte_is_noticed() {
        let bytes = sign_list(Sample::new(5).trust.newest(), &root());
        let (roots, vaults) = ([root().public()], [VaultId([1; 16])]);
        let expected = Expected { roots: &roots, vaults: &vaults, number: 1 };
        for at in (0..bytes.len()).step_by(7) {
            let mut damaged = bytes.clone();
            damaged[at] ^= 0x10;
            assert!(read_list(&damaged, expected).is_err(), "byte {at}");
            assert!(read_list(&bytes[..at], expected).is_err(), "length {at}");
        }
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(json in "\\PC{0,200}", signed: bool) {
            let mut bytes = MAGIC.to_vec();
            bytes.extend_from_slice(&u32::try_from(json.len()).unwrap().to_le_bytes());
            bytes.extend_from_slice(json.as_bytes());
            let signature = if signed { root().sign(&bytes) } else { [0; 64] };
            bytes.extend_from_slice(&signature);
            let roots = [root().public()];
            let expected = Expected { roots: &roots, vaults: &[], number: 1 };
            prop_assert!(read_list(&bytes, expected).is_err());
        }
    }
}
