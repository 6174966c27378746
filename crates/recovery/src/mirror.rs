//! A run's journal in a vault: its second place, and the fence between two engines.
//!
//! The rule it keeps: what another engine wrote is seen. Whoever asks for all slots gets them from the
//! vault as it is now, with the trust lists of now. A vault that cannot be opened is asked again with
//! each call: it may be back.

use std::sync::{Mutex, MutexGuard, PoisonError};

use soter_runbook::RunId;
use soter_runbook::journal::{Mirror, MirrorError, Slot, Stored};
use soter_vault::Vault;
use soter_vault::document::DocumentError;
use soter_vault::keys::{ErrorKind, OperatorKey, Trust, load_trust};
use soter_vault::names::RunName;
use soter_vault::runs::{Appended, RunLog};

/// Opens the vault, or says why that cannot be done now.
pub type Open = Box<dyn Fn() -> Result<Vault, String> + Send + Sync>;

/// A run's journal in a vault, as an operator reads and signs it.
pub struct VaultMirror {
    open: Open,
    key: OperatorKey,
    run: RunName,
    held: Mutex<Held>,
}

#[derive(Default)]
struct Held {
    log: Option<RunLog>,
    /// What is odd in the vault, as far as nobody has asked for it yet.
    findings: Vec<String>,
    /// What was said already.
    said: Vec<String>,
}

impl VaultMirror {
    /// The journal of a run in the vault that `open` opens. Nothing is opened before it is needed.
    ///
    /// # Errors
    /// In words, when a vault cannot have a run of that name.
    pub fn new(open: Open, key: OperatorKey, run: &RunId) -> Result<Self, String> {
        let name = RunName::parse(run.as_str());
        let run = name.ok_or_else(|| format!("a vault keeps no run of the name {run}"))?;
        Ok(Self { open, key, run, held: Mutex::new(Held::default()) })
    }

    /// What is odd in the vault and was not asked for before: objects that are not believed.
    pub fn findings(&self) -> Vec<String> {
        let mut held = self.held();
        let new = std::mem::take(&mut held.findings);
        held.said.extend(new.iter().cloned());
        new
    }

    /// Whether the key may write there; in words why not.
    ///
    /// # Errors
    /// When it may not, or the vault cannot be opened.
    pub fn may_write(&self) -> Result<(), MirrorError> {
        let (_, trust) = self.vault()?;
        let signer = self.key.signer().public();
        if trust.newest().may_direct(&signer) {
            return Ok(());
        }
        Err(error(&DocumentError::NotEnrolled { signer }))
    }

    fn held(&self) -> MutexGuard<'_, Held> {
        self.held.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn vault(&self) -> Result<(Vault, Trust), MirrorError> {
        let vault = (self.open)().map_err(MirrorError)?;
        let trust = load_trust(&*vault.objects, &vault.pins, 0);
        let trust = trust.map_err(|error| MirrorError(in_words(&error)))?;
        let findings = trust.findings.iter().map(ToString::to_string).collect();
        self.held().note(findings);
        Ok((vault, trust.trust))
    }

    /// The log as it is in the vault now; one that begins if there is none.
    fn read(&self) -> Result<RunLog, MirrorError> {
        let (vault, trust) = self.vault()?;
        match RunLog::open(&vault, &trust, &self.key.identity, self.run.clone()) {
            Ok(log) => Ok(log),
            Err(DocumentError::Missing { findings, .. }) => {
                self.held().note(findings.iter().map(ToString::to_string).collect());
                Ok(RunLog::create(&vault, &trust, self.run.clone()))
            }
            Err(failed) => Err(error(&failed)),
        }
    }
}

impl Held {
    fn note(&mut self, findings: Vec<String>) {
        for finding in findings {
            if !self.findings.contains(&finding) && !self.said.contains(&finding) {
                self.findings.push(finding);
            }
        }
    }

    fn keep(&mut self, log: RunLog) -> &mut RunLog {
        self.note(log.findings.iter().map(ToString::to_string).collect());
        self.log.insert(log)
    }
}

impl Mirror for VaultMirror {
    fn append(&self, n: u64, lines: &[u8]) -> Result<Stored, MirrorError> {
        let known = self.held().log.is_some();
        if !known {
            let log = self.read()?;
            self.held().keep(log);
        }
        let mut held = self.held();
        let Some(log) = held.log.as_mut() else {
            return Err(MirrorError("its journal was not opened".to_owned()));
        };
        let outcome = log.append(&self.key.signer(), n, lines);
        let findings = log.findings.iter().map(ToString::to_string).collect();
        held.note(findings);
        match outcome {
            Ok(Appended::Created) => Ok(Stored::Created),
            Ok(Appended::AlreadySame) => Ok(Stored::AlreadySame),
            Ok(Appended::Superseded) => Ok(Stored::Superseded),
            Err(failed) => {
                if failed.kind() != ErrorKind::Retry {
                    // Whether it helps or not: next time the vault is read as it is then.
                    held.log = None;
                }
                Err(error(&failed))
            }
        }
    }

    fn read_all(&self) -> Result<Vec<Slot>, MirrorError> {
        let log = self.read()?;
        let mut held = self.held();
        let pieces = held.keep(log).pieces();
        Ok(pieces.iter().map(|piece| Slot { n: piece.n, lines: piece.lines.clone() }).collect())
    }
}

fn error(failed: &DocumentError) -> MirrorError {
    MirrorError(in_words(failed))
}

/// An error with all it came from.
fn in_words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words.push_str(&format!(": {cause}"));
        source = cause.source();
    }
    words
}

#[cfg(test)]
mod tests;
