//! Making a vault, and finding out whether its place keeps its promise.
//!
//! A log is only as good as the place's "create if absent". So eight writers race to create the
//! record when the vault is made, and whoever opens a session later creates it once more. All of
//! them write the same bytes: a place that lies overwrites equal with equal, and is found out.

use std::collections::BTreeMap;
use std::thread;

use soter_world::{Clock, Random};

use crate::ids::VaultId;
use crate::keys::load::{publish, read_record};
use crate::keys::{
    KeyError, LoadedTrust, Operator, Pins, PublicKey, Role, RootKey, StoreDraft, TrustList,
    load_trust,
};
use crate::names::VAULT_RECORD;
use crate::objects::{Created, ObjectError, ObjectStore};
use crate::record::{FORMAT, Record};

/// How many race: enough for a check-then-write to lose.
const RACERS: usize = 8;

/// What a new vault is to have.
#[derive(Debug, Clone)]
pub struct VaultDraft {
    /// Its id, which the key files carry already: they are made first.
    pub vault: VaultId,
    /// Who can read.
    pub operators: Vec<Operator>,
    /// Whether one operator is enough.
    pub operator_count: OperatorCount,
    /// Who signs on the operators' side.
    pub signers: Vec<SignerDraft>,
    /// The first stores, with their agents.
    pub stores: Vec<StoreDraft>,
    /// How many may write to the place.
    pub writers: Writers,
}

/// A signer of the operators' side.
#[derive(Debug, Clone)]
pub struct SignerDraft {
    /// A name for people.
    pub name: String,
    /// The public half.
    pub key: PublicKey,
    /// What it may do.
    pub roles: Vec<Role>,
}

/// How many operators a vault must have.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum OperatorCount {
    /// Two: one key file may get lost.
    AtLeastTwo,
    /// One, by wish: if its key file gets lost, so is every backup.
    OneAccepted,
}

/// How many may write to the place at one time.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Writers {
    /// Any number: the place must keep its promise.
    Many,
    /// One, by wish, on a place that cannot promise anything.
    One,
}

/// Makes a vault: record, then trust list 1. Can be repeated after a crash with the same draft.
///
/// # Errors
/// See [`KeyError`]: [`KeyError::AlreadyAVault`] when another is here, [`KeyError::NotExclusive`]
/// when the place breaks its promise; remove its `soter.vault` by hand then, nothing else is there.
pub fn create_vault(
    objects: &dyn ObjectStore,
    clock: &dyn Clock,
    random: &dyn Random,
    root: &RootKey,
    draft: &VaultDraft,
) -> Result<LoadedTrust, KeyError> {
    if draft.operators.len() < 2 && draft.operator_count == OperatorCount::AtLeastTwo {
        return Err(KeyError::OneOperator);
    }
    let pins = Pins { vault: draft.vault, roots: vec![root.signer.public()] };
    let list = first_list(clock, random, root, draft)?;
    create_record(objects, clock, &pins, draft.writers)?;
    match publish(objects, clock, root, list) {
        // An earlier try, which died after this, has made the list.
        Ok(_) | Err(KeyError::Superseded { .. }) => load_trust(objects, &pins, 1),
        Err(error) => Err(error),
    }
}

/// Creates the record once more, which must fail: else the place has lost it, or lets several
/// writers create one name. To be called before a session is opened.
///
/// # Errors
/// [`KeyError::NotExclusive`], [`KeyError::NoVault`], or the store's.
pub fn probe(objects: &dyn ObjectStore) -> Result<(), KeyError> {
    let bytes = read_record(objects)?.ok_or(KeyError::NoVault)?;
    if Record::parse(&bytes)?.single_writer {
        return Ok(());
    }
    match objects.create(VAULT_RECORD, &bytes)? {
        Created::Exists => Ok(()),
        Created::New => Err(KeyError::NotExclusive { winners: 2, tries: 2 }),
    }
}

fn first_list(
    clock: &dyn Clock,
    random: &dyn Random,
    root: &RootKey,
    draft: &VaultDraft,
) -> Result<TrustList, KeyError> {
    let mut list = TrustList {
        format: FORMAT,
        needs: Vec::new(),
        number: 0,
        previous: None,
        root: root.signer.public(),
        vaults: vec![draft.vault],
        claimed_time: clock.now(),
        operators: draft.operators.clone(),
        stores: Vec::new(),
        signers: Vec::new(),
    };
    for signer in &draft.signers {
        list.add_signer(&signer.name, signer.key, &signer.roles, &BTreeMap::new());
    }
    for store in &draft.stores {
        list.add_store(random, store)?;
    }
    Ok(list)
}

fn create_record(
    objects: &dyn ObjectStore,
    clock: &dyn Clock,
    pins: &Pins,
    writers: Writers,
) -> Result<(), KeyError> {
    if is_ours(objects, pins)? {
        return Ok(());
    }
    let mut record = Record::new(pins.vault, pins.roots.clone(), clock.now());
    record.single_writer = writers == Writers::One;
    let bytes = record.to_bytes();
    let tries = match writers {
        Writers::Many => RACERS,
        Writers::One => 1,
    };
    let outcomes = race(objects, &bytes, tries).into_iter().collect::<Result<Vec<_>, _>>()?;
    let winners = outcomes.into_iter().filter(|outcome| *outcome == Created::New).count();
    match winners {
        1 => Ok(()),
        // Somebody was faster; is_ours says with what.
        0 => is_ours(objects, pins).map(|_| ()),
        _ => Err(KeyError::NotExclusive { winners, tries }),
    }
}

/// Whether the record is there, from an earlier try with the same keys.
fn is_ours(objects: &dyn ObjectStore, pins: &Pins) -> Result<bool, KeyError> {
    let Some(bytes) = read_record(objects)? else { return Ok(false) };
    let record = Record::parse(&bytes)?;
    if record.vault == pins.vault && record.roots == pins.roots {
        Ok(true)
    } else {
        Err(KeyError::AlreadyAVault { vault: record.vault })
    }
}

fn race(
    objects: &dyn ObjectStore,
    bytes: &[u8],
    tries: usize,
) -> Vec<Result<Created, ObjectError>> {
    thread::scope(|scope| {
        let racers: Vec<_> =
            (0..tries).map(|_| scope.spawn(|| objects.create(VAULT_RECORD, bytes))).collect();
        let outcomes = racers.into_iter().map(|racer| racer.join());
        outcomes.map(|outcome| outcome.expect("a store does not panic")).collect()
    })
}

#[cfg(test)]
mod tests;
