//! Plans in a vault: published, signed and sealed, so that a recovery needs no other place.
//!
//! `plan/<n>`: the highest number whose object is believed counts. What is published is never
//! changed; another plan is another number.

use std::collections::{BTreeMap, BTreeSet};

use crate::crypto::SymmetricKey;
use crate::document::{self, Document, DocumentError, Draft, Fault, Finding, wrap_to_operators};
use crate::ids::Digest;
use crate::keys::{Identity, PublicKey, Signer, Trust};
use crate::names::{Name, PLAN_PREFIX, split_repair};
use crate::objects::{ObjectErrorKind, ObjectStore, Once, create_once};
use crate::vault::Vault;

/// More files than that are not a plan.
pub const FILES_MAX: usize = 10_000;

/// A longer name of a file is refused.
const FILE_NAME_LENGTH_MAX: usize = 512;

/// How many names a list call asks for: what S3 gives at once.
const LIST_PAGE: usize = 1000;

/// How many taken numbers a publisher steps over, as for trust lists.
const SQUATTED_MAX: u32 = 64;

/// A file of a plan.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PlanFile {
    /// Its name, relative to the plan's directory, parts divided by `/`.
    pub name: String,
    /// What is in it.
    pub bytes: Vec<u8>,
}

/// A published plan that is believed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Published {
    /// Its number.
    pub number: u32,
    /// Who signed it.
    pub signer: PublicKey,
    /// When, by the clock of who signed it.
    pub claimed: jiff::Timestamp,
    /// BLAKE3 of its content: equal plans have equal digests.
    pub digest: Digest,
    /// Its files, sorted by name.
    pub files: Vec<PlanFile>,
}

/// What lies under `plan/`, judged.
#[derive(Debug, Clone)]
pub struct Plans {
    valid: BTreeMap<u32, Document>,
    /// What is there and is not believed.
    pub findings: Vec<Finding>,
}

/// What became of a publication.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Publication {
    /// It has this number.
    New(u32),
    /// The newest plan is this one already.
    Unchanged(u32),
}

impl Plans {
    /// Looks at every object under `plan/`.
    ///
    /// # Errors
    /// The place's. What is not believed is a finding.
    pub fn load(vault: &Vault, trust: &Trust) -> Result<Self, DocumentError> {
        let mut plans = Self { valid: BTreeMap::new(), findings: Vec::new() };
        let mut judged = BTreeSet::new();
        let mut after: Option<String> = None;
        loop {
            let page = vault.objects.list(PLAN_PREFIX, after.as_deref(), LIST_PAGE)?;
            for info in &page {
                plans.judge(vault, trust, &info.name)?;
                judged.insert(info.name.clone());
            }
            let is_last = page.len() < LIST_PAGE;
            after = page.last().map(|info| info.name.clone());
            if is_last {
                break;
            }
        }
        // What a stale listing does not show.
        let mut number = plans.newest().map_or(1, |number| number.saturating_add(1));
        loop {
            let name = Name::Plan(number).to_string();
            if !judged.contains(&name) && !plans.judge(vault, trust, &name)? {
                break;
            }
            number = number.saturating_add(1);
        }
        plans.check_chain();
        Ok(plans)
    }

    /// The numbers of all plans that are believed.
    pub fn numbers(&self) -> impl Iterator<Item = u32> {
        self.valid.keys().copied()
    }

    /// The number of the plan that counts.
    #[must_use]
    pub fn newest(&self) -> Option<u32> {
        self.valid.keys().next_back().copied()
    }

    /// Opens the plan that counts. `number_min` is the highest number that the caller has seen
    /// before, 0 if none.
    ///
    /// # Errors
    /// [`DocumentError::RolledBack`], [`DocumentError::Missing`], or a key that does not fit.
    pub fn open_newest(
        &self,
        identity: &Identity,
        number_min: u32,
    ) -> Result<Published, DocumentError> {
        let newest = self.newest().unwrap_or(0);
        if newest < number_min {
            return Err(DocumentError::RolledBack { remembered: number_min, newest });
        }
        self.open(newest, identity)
    }

    /// Opens a plan.
    ///
    /// # Errors
    /// [`DocumentError::Missing`], or a key that does not fit.
    pub fn open(&self, number: u32, identity: &Identity) -> Result<Published, DocumentError> {
        let Some(found) = self.valid.get(&number) else {
            let what = if number == 0 { "plan".to_owned() } else { format!("plan {number}") };
            return Err(DocumentError::Missing { what, findings: self.findings.clone() });
        };
        let name = Name::Plan(number).to_string();
        let key = document::unwrap(&found.head, identity, &name)?;
        let damaged =
            |fault| DocumentError::Damaged { finding: Finding { name: name.clone(), fault } };
        let content = found.open(&name, &key).map_err(damaged)?;
        let files = unpack(&content).ok_or_else(|| damaged(Fault::Senseless))?;
        let head = &found.head;
        let (signer, claimed) = (head.signer, head.claimed);
        Ok(Published { number, signer, claimed, digest: Digest::of(&content), files })
    }

    fn judge(&mut self, vault: &Vault, trust: &Trust, name: &str) -> Result<bool, DocumentError> {
        let base = split_repair(name).0;
        let number = match Name::parse(base) {
            Some(Name::Plan(number)) if self.valid.contains_key(&number) => return Ok(true),
            Some(Name::Plan(number)) if number > 0 => number,
            _ => {
                self.finding(name, Fault::NotADocument);
                return Ok(true);
            }
        };
        let Some(bytes) = read(&*vault.objects, name)? else { return Ok(false) };
        match Document::judge(bytes, base, vault.pins.vault, trust) {
            Ok(document) => {
                self.valid.insert(number, document);
            }
            Err(fault) => document::step_over(&mut self.findings, name, fault)?,
        }
        Ok(true)
    }

    fn finding(&mut self, name: &str, fault: Fault) {
        self.findings.push(Finding { name: name.to_owned(), fault });
    }

    /// A plan whose predecessor is not the believed one before it: one was taken away, or is not
    /// believed any more.
    fn check_chain(&mut self) {
        let mut before = None;
        let mut broken = Vec::new();
        for (number, document) in &self.valid {
            if document.head.previous != before {
                broken.push(Name::Plan(*number).to_string());
            }
            before = Some(document.hash);
        }
        for name in broken {
            self.finding(&name, Fault::BrokenChain);
        }
    }
}

/// Publishes a plan as the next number. With an identity, the plan that is published already is
/// opened, and an equal one is not published twice.
///
/// # Errors
/// [`DocumentError::NotEnrolled`] when this key may not; [`DocumentError::Superseded`] when somebody
/// else published meanwhile: look at theirs first; [`DocumentError::Unfit`] for impossible files.
pub fn publish(
    vault: &Vault,
    trust: &Trust,
    signer: &Signer,
    identity: Option<&Identity>,
    files: &[PlanFile],
) -> Result<Publication, DocumentError> {
    if !trust.newest().may_direct(&signer.public()) {
        return Err(DocumentError::NotEnrolled { signer: signer.public() });
    }
    let content = pack(files)?;
    let plans = Plans::load(vault, trust)?;
    let newest = plans.newest();
    if let (Some(number), Some(identity)) = (newest, identity) {
        // One that this key does not open is another plan, or was sealed for others.
        if plans.open(number, identity).is_ok_and(|plan| plan.digest == Digest::of(&content)) {
            return Ok(Publication::Unchanged(number));
        }
    }
    let previous = newest.and_then(|number| plans.valid.get(&number)).map(|found| found.hash);
    let key = SymmetricKey::random(&*vault.random);
    let wrapped = wrap_to_operators(&key, trust);
    let mut number = newest.unwrap_or(0);
    for _ in 0..SQUATTED_MAX {
        number = number.saturating_add(1);
        let name = Name::Plan(number).to_string();
        let wrapped = Some(wrapped.clone());
        let draft =
            Draft { name: &name, vault: vault.pins.vault, previous, trust, key: &key, wrapped };
        let bytes = draft.seal(&*vault.clock, &*vault.random, signer, &content)?;
        match create_once(&*vault.objects, &*vault.clock, &name, &bytes)? {
            Once::New | Once::Same => return Ok(Publication::New(number)),
            Once::Taken(other) => {
                if Document::judge(other, &name, vault.pins.vault, trust).is_ok() {
                    return Err(DocumentError::Superseded { name });
                }
            }
        }
    }
    Err(DocumentError::Squatted { name: Name::Plan(number).to_string() })
}

/// An object, if it is there.
pub(crate) fn read(
    objects: &dyn ObjectStore,
    name: &str,
) -> Result<Option<Vec<u8>>, DocumentError> {
    match objects.read(name) {
        Ok(bytes) => Ok(Some(bytes)),
        Err(error) if error.kind() == ObjectErrorKind::NotFound => Ok(None),
        Err(error) => Err(error.into()),
    }
}

/// The files as bytes: `u32 count`, then for each, sorted by name, `u32 length · name · u32 length ·
/// bytes`.
fn pack(files: &[PlanFile]) -> Result<Vec<u8>, DocumentError> {
    let unfit = |reason: String| DocumentError::Unfit { reason };
    if files.is_empty() || files.len() > FILES_MAX {
        return Err(unfit(format!("a plan has 1 to {FILES_MAX} files, not {}", files.len())));
    }
    let sorted: BTreeMap<&str, &[u8]> =
        files.iter().map(|file| (file.name.as_str(), file.bytes.as_slice())).collect();
    if sorted.len() != files.len() {
        return Err(unfit("two of its files have one name".to_owned()));
    }
    let mut content = length(files.len())?.to_vec();
    for (name, bytes) in sorted {
        if !is_file_name(name) {
            return Err(unfit(format!("{name:?} cannot be the name of a plan's file")));
        }
        content.extend_from_slice(&length(name.len())?);
        content.extend_from_slice(name.as_bytes());
        content.extend_from_slice(&length(bytes.len())?);
        content.extend_from_slice(bytes);
    }
    Ok(content)
}

fn length(length: usize) -> Result<[u8; 4], DocumentError> {
    let reason = "it is longer than 4 GiB".to_owned();
    u32::try_from(length).map(u32::to_le_bytes).map_err(|_| DocumentError::Unfit { reason })
}

fn unpack(mut content: &[u8]) -> Option<Vec<PlanFile>> {
    let count = take_length(&mut content)?;
    if count == 0 || count > FILES_MAX {
        return None;
    }
    let mut files: Vec<PlanFile> = Vec::new();
    for _ in 0..count {
        let name = String::from_utf8(take_text(&mut content)?).ok()?;
        let ascends = files.last().is_none_or(|before| before.name < name);
        if !ascends || !is_file_name(&name) {
            return None;
        }
        files.push(PlanFile { name, bytes: take_text(&mut content)? });
    }
    content.is_empty().then_some(files)
}

fn take_length(content: &mut &[u8]) -> Option<usize> {
    let (length, rest) = content.split_first_chunk::<4>()?;
    *content = rest;
    usize::try_from(u32::from_le_bytes(*length)).ok()
}

fn take_text(content: &mut &[u8]) -> Option<Vec<u8>> {
    let length = take_length(content)?;
    let (text, rest) = content.split_at_checked(length)?;
    *content = rest;
    Some(text.to_vec())
}

/// A name that cannot leave the directory it is written to.
fn is_file_name(name: &str) -> bool {
    name.len() <= FILE_NAME_LENGTH_MAX
        && !name.contains(['\0', '\\'])
        && name.split('/').all(|part| !part.is_empty() && part != "." && part != "..")
}

#[cfg(test)]
mod tests;
