//! Journals of runs in a vault: the second place of a journal, and the fence between two engines.
//!
//! `run/<run>/<n>` holds whole lines, the first of them record number `n`; the next piece begins
//! where it ends, so the next name is known to everybody and creating it if absent decides whose run
//! it is. What lines mean is not known here, only how many there are.

use std::fmt;

use crate::crypto::SymmetricKey;
use crate::document::{
    self, Document, DocumentError, Draft, Fault, Finding, TRIES_MAX, wrap_to_operators,
};
use crate::ids::Digest;
use crate::keys::{Identity, PublicKey, Signer, Trust};
use crate::names::{Name, RunName, repair_of, run_prefix, split_repair};
use crate::objects::{Once, create_once};
use crate::plans::read;
use crate::vault::Vault;

/// How many names a list call asks for: what S3 gives at once.
const LIST_PAGE: usize = 1000;

/// How many objects behind the end of a run are looked into, as for logs.
const BEHIND_THE_END_MAX: usize = 256;

/// What became of an append.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Appended {
    /// The piece was created.
    Created,
    /// The piece with exactly these lines was there: an earlier try had succeeded.
    AlreadySame,
    /// Somebody else's lines are there: this run is another engine's now.
    Superseded,
}

/// A piece of a run's journal.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Piece {
    /// The number of its first record.
    pub n: u64,
    /// Its lines, each with its newline.
    pub lines: Vec<u8>,
    /// Who signed it.
    pub signer: PublicKey,
}

/// A run's journal in a vault.
pub struct RunLog {
    vault: Vault,
    trust: Trust,
    run: RunName,
    key: SymmetricKey,
    pieces: Vec<Piece>,
    last: Option<Digest>,
    /// What is there and is not believed.
    pub findings: Vec<Finding>,
}

impl fmt::Debug for RunLog {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("RunLog").field("run", &self.run).field("next", &self.next()).finish()
    }
}

/// The names of all runs in a vault, as far as names tell: who believes them opens them.
///
/// # Errors
/// The place's.
pub fn list(vault: &Vault) -> Result<Vec<RunName>, DocumentError> {
    let mut runs: Vec<RunName> = Vec::new();
    let mut after: Option<String> = None;
    loop {
        let page = vault.objects.list(&run_prefix(None), after.as_deref(), LIST_PAGE)?;
        for info in &page {
            if let Some(Name::Run(run, _)) = Name::parse(split_repair(&info.name).0)
                && runs.last() != Some(&run)
            {
                runs.push(run);
            }
        }
        let is_last = page.len() < LIST_PAGE;
        after = page.last().map(|info| info.name.clone());
        if is_last {
            runs.sort();
            runs.dedup();
            return Ok(runs);
        }
    }
}

impl RunLog {
    /// A run that begins: nothing is written before its first append.
    #[must_use]
    pub fn create(vault: &Vault, trust: &Trust, run: RunName) -> Self {
        let key = SymmetricKey::random(&*vault.random);
        Self::empty(vault, trust, run, key)
    }

    /// Reads a run, to look at it or to go on with it.
    ///
    /// # Errors
    /// [`DocumentError::Missing`] when there is none, [`DocumentError::Damaged`] when a piece in the
    /// middle is missing, exchanged or does not open, or a key that does not fit.
    pub fn open(
        vault: &Vault,
        trust: &Trust,
        identity: &Identity,
        run: RunName,
    ) -> Result<Self, DocumentError> {
        // Replaced by the run's own key, which the first piece holds.
        let mut log = Self::empty(vault, trust, run, SymmetricKey::from_bytes([0; 32]));
        let first = log.name(1);
        let Some(found) = log.believed(&first)? else {
            let what = format!("run {}", log.run);
            return Err(DocumentError::Missing { what, findings: log.findings });
        };
        log.key = document::unwrap(&found.head, identity, &first)?;
        log.take(found)?;
        loop {
            while log.take_next()? {}
            // An engine may go on meanwhile: then the end is there by now.
            if !log.is_more_behind_the_end()? {
                return Ok(log);
            }
            if !log.take_next()? {
                let finding = Finding { name: log.name(log.next()), fault: Fault::BrokenChain };
                return Err(DocumentError::Damaged { finding });
            }
        }
    }

    /// Its pieces, in order.
    #[must_use]
    pub fn pieces(&self) -> &[Piece] {
        &self.pieces
    }

    /// The number of the record that comes next.
    #[must_use]
    pub fn next(&self) -> u64 {
        self.pieces.last().map_or(1, |piece| piece.n + lines_in(&piece.lines))
    }

    /// Creates the piece that begins with record `n`, if nobody else has. `lines` are whole.
    ///
    /// # Errors
    /// [`DocumentError::Gap`] when pieces before it are missing; the place's, after which the piece
    /// may be there or not: call it again with the same lines.
    pub fn append(
        &mut self,
        signer: &Signer,
        n: u64,
        lines: &[u8],
    ) -> Result<Appended, DocumentError> {
        if !self.trust.newest().may_direct(&signer.public()) {
            return Err(DocumentError::NotEnrolled { signer: signer.public() });
        }
        if lines.last() != Some(&b'\n') {
            let reason = "a piece of a journal is whole lines".to_owned();
            return Err(DocumentError::Unfit { reason });
        }
        if n > self.next() || n == 0 {
            return Err(DocumentError::Gap { next: self.next(), found: n });
        }
        if n < self.next() {
            let same = self.pieces.iter().any(|piece| piece.n == n && piece.lines == lines);
            return Ok(if same { Appended::AlreadySame } else { Appended::Superseded });
        }
        self.create_next(signer, lines)
    }

    fn empty(vault: &Vault, trust: &Trust, run: RunName, key: SymmetricKey) -> Self {
        Self {
            vault: vault.clone(),
            trust: trust.clone(),
            run,
            key,
            pieces: Vec::new(),
            last: None,
            findings: Vec::new(),
        }
    }

    fn create_next(&mut self, signer: &Signer, lines: &[u8]) -> Result<Appended, DocumentError> {
        let name = self.name(self.next());
        let is_first = self.last.is_none();
        let draft = Draft {
            name: &name,
            vault: self.vault.pins.vault,
            previous: self.last,
            trust: &self.trust,
            key: &self.key,
            wrapped: is_first.then(|| wrap_to_operators(&self.key, &self.trust)),
        };
        let bytes = draft.seal(&*self.vault.clock, &*self.vault.random, signer, lines)?;
        for repair in 0..=TRIES_MAX {
            let object = if repair == 0 { name.clone() } else { repair_of(&name, repair) };
            let once = create_once(&*self.vault.objects, &*self.vault.clock, &object, &bytes)?;
            let (found, outcome) = match once {
                Once::New | Once::Same => (bytes.clone(), Appended::Created),
                Once::Taken(other) => (other, Appended::AlreadySame),
            };
            match Document::judge(found, &name, self.vault.pins.vault, &self.trust) {
                Ok(document) => return self.decide(document, signer, lines, outcome),
                // A stranger's: it is in the way, and no more.
                Err(fault) => document::step_over(&mut self.findings, &object, fault)?,
            }
        }
        Err(DocumentError::Squatted { name })
    }

    /// What the piece in the wanted slot means for who wanted it.
    fn decide(
        &mut self,
        document: Document,
        signer: &Signer,
        lines: &[u8],
        outcome: Appended,
    ) -> Result<Appended, DocumentError> {
        let name = self.name(self.next());
        let is_ours = document.head.signer == signer.public()
            && document.head.previous == self.last
            && document.open(&name, &self.key).is_ok_and(|found| found == lines);
        if !is_ours {
            return Ok(Appended::Superseded);
        }
        self.take(document)?;
        Ok(outcome)
    }

    fn take_next(&mut self) -> Result<bool, DocumentError> {
        let name = self.name(self.next());
        match self.believed(&name)? {
            Some(document) => self.take(document).map(|()| true),
            None => Ok(false),
        }
    }

    fn take(&mut self, document: Document) -> Result<(), DocumentError> {
        let n = self.next();
        let name = self.name(n);
        let damaged =
            |fault| DocumentError::Damaged { finding: Finding { name: name.clone(), fault } };
        if document.head.previous != self.last {
            return Err(damaged(Fault::BrokenChain));
        }
        let lines = document.open(&name, &self.key).map_err(damaged)?;
        if lines.last() != Some(&b'\n') || n.checked_add(lines_in(&lines)).is_none() {
            return Err(damaged(Fault::Senseless));
        }
        self.last = Some(document.hash);
        self.pieces.push(Piece { n, lines, signer: document.head.signer });
        Ok(())
    }

    /// The first object of this name that is believed, among it and its repairs.
    fn believed(&mut self, name: &str) -> Result<Option<Document>, DocumentError> {
        for repair in 0..=TRIES_MAX {
            let object = if repair == 0 { name.to_owned() } else { repair_of(name, repair) };
            let Some(bytes) = read(&*self.vault.objects, &object)? else { return Ok(None) };
            match Document::judge(bytes, name, self.vault.pins.vault, &self.trust) {
                Ok(document) => {
                    // What a read shows may be gone after a crash; what is built upon must not.
                    let is_durable = self.vault.objects.head(&object)?.is_some();
                    return Ok(is_durable.then_some(document));
                }
                Err(fault) => document::step_over(&mut self.findings, &object, fault)?,
            }
        }
        Ok(None)
    }

    /// Whether a piece behind the end is believed: then the end is missing, or was not there yet.
    fn is_more_behind_the_end(&mut self) -> Result<bool, DocumentError> {
        // Repairs of the end's own name have been looked at.
        let after = repair_of(&self.name(self.next()), TRIES_MAX);
        let prefix = run_prefix(Some(&self.run));
        let page = self.vault.objects.list(&prefix, Some(&after), BEHIND_THE_END_MAX)?;
        for info in page {
            let name = split_repair(&info.name).0;
            let Some(bytes) = read(&*self.vault.objects, &info.name)? else { continue };
            match Document::judge(bytes, name, self.vault.pins.vault, &self.trust) {
                Ok(_) => return Ok(true),
                Err(fault) => document::step_over(&mut self.findings, &info.name, fault)?,
            }
        }
        Ok(false)
    }

    fn name(&self, n: u64) -> String {
        Name::Run(self.run.clone(), n).to_string()
    }
}

fn lines_in(lines: &[u8]) -> u64 {
    let count = lines.iter().filter(|byte| **byte == b'\n').count();
    u64::try_from(count).unwrap_or(u64::MAX)
}

#[cfg(test)]
mod tests;
