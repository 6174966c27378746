//! Trust lists in a vault: finding the one that counts, and publishing the next.
//!
//! The bucket is not believed. What lies under `trust/` is judged object by object; what is not a
//! list by a pinned root for this vault is reported and stepped over, since anybody who can write to
//! the bucket can put something there. Only a list that is valid and not understood stops a reader,
//! and one that is older than what the reader has seen before.

use std::collections::BTreeSet;
use std::fmt;

use soter_world::Clock;

use crate::ids::{Digest, VaultId};
use crate::keys::{
    Expected, KeyError, Pins, PublicKey, RootKey, TRUST_LIST_LENGTH_MAX, Trust, TrustFault,
    TrustList, read_list, sign_list, signed,
};
use crate::names::{Name, TRUST_PREFIX, VAULT_RECORD, split_repair};
use crate::objects::{ObjectError, ObjectErrorKind, ObjectStore, Once, create_once};
use crate::record::{RECORD_LENGTH_MAX, Record, RecordError};

/// How many names a list call is asked for: what S3 gives at once.
const LIST_PAGE: usize = 1000;

/// How many taken names a publisher steps over. Only a thief with the write credential makes any;
/// this many need a person.
const SQUATTED_MAX: u32 = 64;

/// The vault's record and its trust lists, judged.
#[derive(Debug, Clone)]
pub struct LoadedTrust {
    /// The record, if it is there and whole. Reading works without.
    pub record: Option<Record>,
    /// The lists that are believed.
    pub trust: Trust,
    /// What is there and is not believed, or is missing.
    pub findings: Vec<TrustFinding>,
}

/// Something in the vault that is not as it should be.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TrustFinding {
    /// The object.
    pub name: String,
    /// What is wrong with it.
    pub reason: FindingReason,
}

/// What is wrong with an object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum FindingReason {
    /// The record is not there.
    NoRecord,
    /// The record is not readable.
    Record(RecordError),
    /// A trust list is not believed.
    List(TrustFault),
}

impl fmt::Display for TrustFinding {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}: ", self.name)?;
        match &self.reason {
            FindingReason::NoRecord => f.write_str("it is missing"),
            FindingReason::Record(error) => error.fmt(f),
            FindingReason::List(fault) => fault.fmt(f),
        }
    }
}

/// Loads the trust lists that are signed by one of the pinned roots for the pinned vault.
/// `number_min` is the highest number that the caller remembers, 0 if none.
///
/// # Errors
/// See [`KeyError`]. A list that is not valid is a finding, not an error, while another one is.
pub fn load_trust(
    objects: &dyn ObjectStore,
    pins: &Pins,
    number_min: u32,
) -> Result<LoadedTrust, KeyError> {
    let mut search = Search::new(objects, pins)?;
    search.judge_listed()?;
    search.judge_unlisted()?;
    let Search { record, mut findings, valid, .. } = search;
    let Some(trust) = Trust::from_lists(valid) else {
        return Err(nobody_to_believe(record.as_ref(), pins, findings));
    };
    let newest = trust.newest().number;
    if newest < number_min {
        return Err(KeyError::RolledBack { remembered: number_min, newest });
    }
    findings.extend(broken_chains(&trust));
    Ok(LoadedTrust { record, trust, findings })
}

/// Signs `list` as the one after the newest of `trust` and publishes it. Number, predecessor, root
/// and time are filled in.
///
/// # Errors
/// [`KeyError::Superseded`] when somebody else published a list meanwhile: load, change that one,
/// publish again. After an error of the store the list may be there: load, and look.
pub fn publish_trust(
    objects: &dyn ObjectStore,
    clock: &dyn Clock,
    root: &RootKey,
    trust: &Trust,
    mut list: TrustList,
) -> Result<Trust, KeyError> {
    if root.signer.public() != trust.newest().root {
        return Err(KeyError::NotTheRoot { root: root.signer.public() });
    }
    list.number = trust.newest().number;
    list.previous = Some(trust.newest_hash());
    list.claimed_time = clock.now();
    publish(objects, clock, root, list).map(|row| trust.with(row))
}

/// Publishes `list` under the first number above its own whose name is not squatted.
pub(crate) fn publish(
    objects: &dyn ObjectStore,
    clock: &dyn Clock,
    root: &RootKey,
    mut list: TrustList,
) -> Result<(TrustList, Digest), KeyError> {
    list.root = root.signer.public();
    if let Some(reason) = signed::contradiction(&list) {
        return Err(KeyError::Senseless { reason });
    }
    for _ in 0..SQUATTED_MAX {
        list.number += 1;
        let bytes = sign_list(&list, &root.signer);
        let name = Name::Trust(list.number).to_string();
        let expected = Expected { roots: &[list.root], vaults: &[root.vault], number: list.number };
        match create_once(objects, clock, &name, &bytes)? {
            Once::New | Once::Same => return Ok((list, Digest::of(&bytes))),
            Once::Taken(other) if read_list(&other, expected).is_ok() => {
                return Err(KeyError::Superseded { number: list.number });
            }
            Once::Taken(_) => {}
        }
    }
    Err(KeyError::Squatted { names: SQUATTED_MAX })
}

/// The record as it is stored, if it is there.
pub(crate) fn read_record(objects: &dyn ObjectStore) -> Result<Option<Vec<u8>>, ObjectError> {
    read_short(objects, VAULT_RECORD, RECORD_LENGTH_MAX)
}

/// An object, or the first `length_max + 1` bytes of a longer one, which its parser then refuses.
fn read_short(
    objects: &dyn ObjectStore,
    name: &str,
    length_max: usize,
) -> Result<Option<Vec<u8>>, ObjectError> {
    match objects.read_range(name, 0, length_max + 1) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ObjectErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

/// Lists found so far.
struct Search<'a> {
    objects: &'a dyn ObjectStore,
    roots: &'a [PublicKey],
    vaults: Vec<VaultId>,
    record: Option<Record>,
    findings: Vec<TrustFinding>,
    valid: Vec<(TrustList, Digest)>,
    judged: BTreeSet<String>,
}

impl<'a> Search<'a> {
    fn new(objects: &'a dyn ObjectStore, pins: &'a Pins) -> Result<Self, KeyError> {
        let (mut vaults, mut findings) = (vec![pins.vault], Vec::new());
        let mut finding = |reason| {
            findings.push(TrustFinding { name: VAULT_RECORD.to_owned(), reason });
            None
        };
        let record = match read_record(objects)?.map(|bytes| Record::parse(&bytes)) {
            Some(Ok(record)) => Some(record),
            Some(Err(newer @ RecordError::Newer { .. })) => return Err(newer.into()),
            Some(Err(fault)) => finding(FindingReason::Record(fault)),
            None => finding(FindingReason::NoRecord),
        };
        vaults.extend(record.as_ref().map(|record| record.vault));
        Ok(Self {
            objects,
            roots: &pins.roots,
            vaults,
            record,
            findings,
            valid: Vec::new(),
            judged: BTreeSet::new(),
        })
    }

    /// Everything that a listing shows.
    fn judge_listed(&mut self) -> Result<(), KeyError> {
        let mut after: Option<String> = None;
        loop {
            let page = self.objects.list(TRUST_PREFIX, after.as_deref(), LIST_PAGE)?;
            for info in &page {
                self.judge(&info.name)?;
            }
            after = page.last().map(|info| info.name.clone());
            if page.len() < LIST_PAGE {
                return Ok(());
            }
        }
    }

    /// What a stale listing does not show: the numbers after the highest valid one, until one is
    /// not there.
    fn judge_unlisted(&mut self) -> Result<(), KeyError> {
        let mut number = self.newest().map_or(1, |newest| newest.saturating_add(1));
        while self.judge(&Name::Trust(number).to_string())? && number < u32::MAX {
            number += 1;
        }
        Ok(())
    }

    fn newest(&self) -> Option<u32> {
        self.valid.iter().map(|(list, _)| list.number).max()
    }

    /// Judges one object; `false` if it is not there. The first valid object of a number counts,
    /// and its repairs come behind it in every listing.
    fn judge(&mut self, name: &str) -> Result<bool, KeyError> {
        if self.judged.contains(name) {
            return Ok(true);
        }
        let fault = match Name::parse(split_repair(name).0) {
            Some(Name::Trust(number)) if self.valid.iter().any(|it| it.0.number == number) => {
                return Ok(true);
            }
            Some(Name::Trust(number)) => {
                let Some(bytes) = read_short(self.objects, name, TRUST_LIST_LENGTH_MAX)? else {
                    return Ok(false);
                };
                let expected = Expected { roots: self.roots, vaults: &self.vaults, number };
                match read_list(&bytes, expected) {
                    Ok(list) => {
                        self.valid.push((list, Digest::of(&bytes)));
                        return Ok(true);
                    }
                    Err(TrustFault::Newer { format, needs }) => {
                        return Err(RecordError::Newer { format, needs }.into());
                    }
                    Err(fault) => fault,
                }
            }
            _ => TrustFault::NotAList,
        };
        let reason = FindingReason::List(fault);
        self.findings.push(TrustFinding { name: name.to_owned(), reason });
        self.judged.insert(name.to_owned());
        Ok(true)
    }
}

fn nobody_to_believe(
    record: Option<&Record>,
    pins: &Pins,
    findings: Vec<TrustFinding>,
) -> KeyError {
    let only_the_record_is_missing =
        matches!(findings.as_slice(), [only] if only.reason == FindingReason::NoRecord);
    match record {
        Some(record) if record.vault != pins.vault => {
            KeyError::OtherVault { expected: pins.vault, found: record.vault }
        }
        None if only_the_record_is_missing => KeyError::NoVault,
        _ => KeyError::NoTrust { findings },
    }
}

/// Valid lists whose predecessor is not the valid list before them.
fn broken_chains(trust: &Trust) -> Vec<TrustFinding> {
    let mut before = None;
    let mut findings = Vec::new();
    for (list, hash) in trust.all() {
        if list.previous != before {
            let reason = FindingReason::List(TrustFault::BrokenChain);
            findings.push(TrustFinding { name: Name::Trust(list.number).to_string(), reason });
        }
        before = Some(*hash);
    }
    findings
}

#[cfg(test)]
mod tests;
