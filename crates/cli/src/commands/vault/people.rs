//! Who may do what, as a trust list says it.

use serde::Serialize;
use soter_vault::keys::{PublicKey, Recipient, Role, TrustList};

use crate::output::table;

/// A trust list, without its keys.
#[derive(Serialize)]
pub(super) struct People {
    trust_list: u32,
    made: jiff::Timestamp,
    root: PublicKey,
    operators: Vec<Reads>,
    signers: Vec<Signs>,
    stores: Vec<StoreKeys>,
}

#[derive(Serialize)]
struct Reads {
    name: String,
    recipient: Recipient,
    #[serde(skip_serializing_if = "Option::is_none")]
    signer: Option<PublicKey>,
}

#[derive(Serialize)]
struct Signs {
    name: String,
    signer: PublicKey,
    roles: Vec<Role>,
    stores: Vec<Served>,
}

#[derive(Serialize)]
struct Served {
    store: String,
    from: u64,
    until: Option<u64>,
}

#[derive(Serialize)]
struct StoreKeys {
    name: String,
    key_version: u32,
    metadata_version: u32,
}

/// What a list says.
pub(super) fn people(list: &TrustList) -> People {
    let name_of = |id| list.store(id).map_or_else(|| id.to_string(), |row| row.name.clone());
    let signer = |row: &soter_vault::keys::SignerRow| Signs {
        name: row.name.clone(),
        signer: row.key,
        roles: row.roles.clone(),
        stores: row
            .stores
            .iter()
            .map(|it| Served { store: name_of(it.store), from: it.from, until: it.until })
            .collect(),
    };
    People {
        trust_list: list.number,
        made: list.claimed_time,
        root: list.root,
        operators: list
            .operators
            .iter()
            .map(|row| Reads {
                name: row.name.clone(),
                recipient: row.recipient.clone(),
                signer: row.signer,
            })
            .collect(),
        signers: list.signers.iter().map(signer).collect(),
        stores: list
            .stores
            .iter()
            .map(|row| StoreKeys {
                name: row.name.clone(),
                key_version: row.keys.last().map_or(0, |key| key.version),
                metadata_version: row.metadata.last().map_or(0, |key| key.version),
            })
            .collect(),
    }
}

impl People {
    /// For a person to read.
    pub(super) fn in_words(&self) -> String {
        let head =
            format!("trust list {}, signed {} by root {}", self.trust_list, self.made, self.root);
        let readers = self.operators.iter().map(|row| {
            let (name, key) = (row.name.clone(), row.recipient.to_string());
            let may = match row.signer {
                Some(_) => "reads everything, signs plans and runs",
                None => "reads everything",
            };
            vec![name, may.to_owned(), "all".to_owned(), key]
        });
        let signers = self.signers.iter().map(|row| {
            let roles: Vec<_> =
                row.roles.iter().map(|role| format!("{role:?}").to_lowercase()).collect();
            let stores: Vec<_> = row.stores.iter().map(Served::in_words).collect();
            let signs = format!("signs as {}", roles.join(", "));
            vec![row.name.clone(), signs, stores.join(", "), row.signer.to_string()]
        });
        let rows: Vec<_> = readers.chain(signers).collect();
        format!("{head}\n{}", table(&["who", "may", "stores", "key"], &rows))
    }
}

impl Served {
    fn in_words(&self) -> String {
        match self.until {
            Some(until) => format!("{} (ended at log entry {until})", self.store),
            None => self.store.clone(),
        }
    }
}
