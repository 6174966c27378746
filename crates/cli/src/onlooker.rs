//! A store as somebody sees it who need not read it: its log and its objects, and more with each key.

use std::path::{Path, PathBuf};

use soter_vault::Vault;
use soter_vault::crypto::SymmetricKey;
use soter_vault::ids::StoreId;
use soter_vault::keys::{CollectorKey, KeyFile, Pins, ReaderKeys, Role};
use soter_vault::log::{Author, Log};

use crate::context::{
    Access, Context, Observer, OpenVault, Reader, file_failure, log_failure, store_id,
};
use crate::failure::{Ending, Failure};

/// The key that signs on the operators' side.
#[derive(Debug, Clone, clap::Args)]
pub(crate) struct Signing {
    /// The collector's key file. It says which vault and root to believe, and reads nothing.
    #[arg(long, value_name = "FILE")]
    pub(crate) collector: Option<PathBuf>,
}

/// A store that can be looked at.
pub(crate) struct Onlooker {
    /// The vault.
    pub(crate) vault: OpenVault,
    /// The store's name.
    pub(crate) name: String,
    /// The store.
    pub(crate) store: StoreId,
    /// `K_meta`: with an operator's key or the agent's.
    pub(crate) metadata: Option<SymmetricKey>,
    /// What opens contents: with an operator's key.
    pub(crate) reader: Option<ReaderKeys>,
    /// Which vault, and which roots.
    pub(crate) pins: Pins,
}

impl Signing {
    /// The key, if one is given.
    pub(crate) fn key(&self, context: &Context) -> Result<Option<CollectorKey>, Failure> {
        let load = |path: &Path| CollectorKey::load(&*context.disk, path);
        self.collector.as_deref().map(load).transpose().map_err(|error| file_failure(&error))
    }
}

impl Context {
    /// Opens a store with the best key there is: an operator's, else the collector's, else the
    /// agent's that the plan names.
    pub(crate) fn onlooker(
        &self,
        access: &Access,
        collector: Option<&CollectorKey>,
        store: Option<&str>,
    ) -> Result<Onlooker, Failure> {
        if access.identity.is_some() {
            let Reader { vault, name, keys, pins } = self.reader(access, store)?;
            let (store, metadata) = (keys.store, Some(keys.metadata.clone()));
            return Ok(Onlooker { vault, name, store, metadata, reader: Some(keys), pins });
        }
        if let Some(key) = collector {
            let pins = key.pins.clone();
            let (vault, name) = self.vault_and_name(access, store, &pins)?;
            let store = store_id(&vault, &name)?;
            return Ok(Onlooker { vault, name, store, metadata: None, reader: None, pins });
        }
        let Observer { vault, name, store, metadata, pins } = self.observer(access, store)?;
        Ok(Onlooker { vault, name, store, metadata: Some(metadata), reader: None, pins })
    }
}

impl Onlooker {
    /// Reads the store's log.
    pub(crate) fn log(&self, context: &Context) -> Result<Log, Failure> {
        let vault: Vault = context.vault(&self.vault, self.pins.clone());
        Log::open(&vault, self.store, self.vault.trust().clone(), None)
            .map_err(|error| log_failure(&error).during(&format!("read the log of {}", self.name)))
    }

    /// Who signs entries of the store's log in this role.
    pub(crate) fn author(&self, key: &CollectorKey, role: Role) -> Result<Author, Failure> {
        let list = self.vault.trust().newest();
        let public = key.signer.public();
        if !list.may(&public, role, self.store) {
            let role = format!("{role:?}").to_lowercase();
            let what = format!("{public} may not sign as {role} of {}", self.name);
            return Err(Failure::new(Ending::Input, what)
                .hint("`soter vault trust` shows who may, and enrols others with the root's key"));
        }
        let signer = key.signer.clone();
        Ok(Author { signer, metadata: self.metadata.clone(), trust_number: list.number })
    }
}
