//! How the commands about a whole vault reach it: by any of its keys, or by the plan.

use std::path::PathBuf;
use std::sync::Arc;

use soter_vault::keys::{AgentKey, AnyKey, KeyFile, Pins, PublicKey};
use soter_vault::log::Log;

use crate::context::{Context, OpenVault, file_failure, log_failure};
use crate::failure::{Ending, Failure};

/// Which vault.
#[derive(Debug, Clone, clap::Args)]
pub(in crate::commands) struct VaultAccess {
    /// The vault, such as file:///srv/soter; else the plan's.
    #[arg(long, value_name = "URL")]
    vault: Option<String>,
    /// Any key file of the vault: it says which vault and root to believe. Else the plan's root and
    /// agent's key.
    #[arg(long, value_name = "FILE")]
    key: Option<PathBuf>,
}

/// A vault without any store opened.
pub(super) struct WholeVault {
    pub(super) open: OpenVault,
    pub(super) pins: Pins,
}

impl VaultAccess {
    /// Opens the vault. `pins` are of a key that was given for another reason.
    pub(super) fn open(
        &self,
        context: &Context,
        pins: Option<Pins>,
    ) -> Result<WholeVault, Failure> {
        let by_key = match &self.key {
            Some(path) => {
                Some(AnyKey::load(&*context.disk, path).map_err(|e| file_failure(&e))?.pins())
            }
            None => pins,
        };
        let (url, pins) = match (&self.vault, by_key) {
            (Some(url), Some(pins)) => (url.clone(), pins),
            (Some(_), None) => {
                return Err(Failure::new(Ending::Input, "--vault needs --key")
                    .hint("any key file of the vault says which vault and root to believe"));
            }
            (None, by_key) => planned(context, by_key)?,
        };
        Ok(WholeVault { open: context.open_vault(&url, &pins)?, pins })
    }
}

/// The only vault of the plan.
fn planned(context: &Context, by_key: Option<Pins>) -> Result<(String, Pins), Failure> {
    let plan = context.plan()?;
    let mut vaults = plan.vaults.iter();
    let (Some((_, vault)), None) = (vaults.next(), vaults.next()) else {
        let names: Vec<_> = plan.vaults.values().map(|vault| vault.url.to_string()).collect();
        return Err(Failure::new(Ending::Input, "the plan has several vaults")
            .hint(format!("name one with --vault and --key: {}", names.join(", "))));
    };
    let pins = match by_key {
        Some(pins) => pins,
        None => {
            let key = AgentKey::load(&*context.disk, &vault.agent_key)
                .map_err(|error| file_failure(&error))?;
            let roots = vault.root_keys.iter().map(|key| PublicKey(key.0)).collect();
            Pins { vault: key.pins.vault, roots }
        }
    };
    Ok((vault.url.to_string(), pins))
}

impl WholeVault {
    /// Reads the log of each store, with the store's name.
    pub(super) fn logs(&self, context: &Context) -> Result<Vec<(String, Log)>, Failure> {
        let vault = context.vault(&self.open, self.pins.clone());
        let trust = self.open.trust();
        let stores = trust.newest().stores.iter();
        let read = |row: &soter_vault::keys::StoreRow| {
            Log::open(&vault, row.id, trust.clone(), None)
                .map(|log| (row.name.clone(), log))
                .map_err(|error| {
                    log_failure(&error).during(&format!("read the log of {}", row.name))
                })
        };
        stores.map(read).collect()
    }

    /// Its objects.
    pub(super) fn objects(&self) -> Arc<soter_vault::objects::Metered> {
        Arc::clone(&self.open.objects)
    }
}
