//! A key file of whatever kind: for those who need to know only whom it believes.

use std::path::Path;

use soter_world::Disk;

use crate::keys::files::read_private;
use crate::keys::{
    AgentKey, CollectorKey, KeyFile, KeyFileError, KeyFileFault, OperatorKey, Pins, RootKey, Signer,
};

/// A key file, by its kind.
#[derive(Debug, Clone)]
pub enum AnyKey {
    /// `root.key`.
    Root(RootKey),
    /// `operator.key`.
    Operator(OperatorKey),
    /// `agent.key`.
    Agent(AgentKey),
    /// `collector.key`.
    Collector(CollectorKey),
}

impl AnyKey {
    /// Reads the key at `path`.
    ///
    /// # Errors
    /// See [`KeyFileError`]; a file that others can read is refused.
    pub fn load(disk: &dyn Disk, path: &Path) -> Result<Self, KeyFileError> {
        let fail = |fault| KeyFileError { path: path.to_owned(), fault };
        let text = read_private(disk, path).map_err(fail)?;
        Self::parse(text.expose()).map_err(fail)
    }

    /// Which vault it was made for, and which roots it believes. A root believes itself.
    pub fn pins(&self) -> Pins {
        match self {
            Self::Root(key) => Pins { vault: key.vault, roots: vec![key.signer.public()] },
            Self::Operator(key) => key.pins.clone(),
            Self::Agent(key) => key.pins.clone(),
            Self::Collector(key) => key.pins.clone(),
        }
    }

    /// What signs for whoever has it.
    pub fn signer(&self) -> Signer {
        match self {
            Self::Root(key) => key.signer.clone(),
            Self::Operator(key) => key.signer(),
            Self::Agent(key) => key.signer.clone(),
            Self::Collector(key) => key.signer.clone(),
        }
    }

    fn parse(text: &str) -> Result<Self, KeyFileFault> {
        match OperatorKey::parse(text) {
            Ok(key) => Ok(Self::Operator(key)),
            Err(KeyFileFault::OtherKind { found, needed }) => match found.as_str() {
                RootKey::KIND => RootKey::parse(text).map(Self::Root),
                AgentKey::KIND => AgentKey::parse(text).map(Self::Agent),
                CollectorKey::KIND => CollectorKey::parse(text).map(Self::Collector),
                _ => Err(KeyFileFault::OtherKind { found, needed }),
            },
            Err(fault) => Err(fault),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::ids::VaultId;
    use crate::keys::Identity;

    #[test]
    fn every_kind_is_told_by_its_first_line() {
        let (vault, signer) = (VaultId([1; 16]), Signer::from_seed([2; 32]));
        let pins = Pins { vault, roots: vec![signer.public()] };
        let identity = Identity::generate();
        let texts = [
            RootKey { vault, signer: signer.clone() }.to_text(),
            OperatorKey { pins: pins.clone(), identity: identity.clone() }.to_text(),
            AgentKey { pins: pins.clone(), signer: signer.clone(), identity }.to_text(),
            CollectorKey { pins: pins.clone(), signer }.to_text(),
        ];
        let kinds = texts.map(|text| {
            let key = AnyKey::parse(text.expose()).unwrap();
            assert_eq!(key.pins(), pins);
            match key {
                AnyKey::Root(_) => "root",
                AnyKey::Operator(_) => "operator",
                AnyKey::Agent(_) => "agent",
                AnyKey::Collector(_) => "collector",
            }
        });
        assert_eq!(kinds, ["root", "operator", "agent", "collector"]);
        assert!(AnyKey::parse("a letter").is_err());
    }
}
