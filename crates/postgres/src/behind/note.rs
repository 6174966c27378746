//! The note that a segment is durable in the vault.
//!
//! It is text that both sides make of what they know: the one that has stored the file, and the one
//! that is asked for it. The rule: it holds only if both are equal byte for byte, so that a note of
//! another vault, life or file, and one that is damaged, are all the same: no note.

use serde::Serialize;
use soter_vault::ids::{IncarnationId, StoreId};

use crate::cluster::SystemIdentifier;
use crate::identity::Identity;

/// A note is one line; a longer file is something else.
pub(super) const NOTE_LENGTH_MAX: usize = 4096;

/// Where a file was stored: in which vault, for which life of which cluster.
#[derive(Debug, Clone, PartialEq, Eq, Serialize)]
pub struct Place {
    /// The vault's address.
    pub vault: String,
    /// The root keys that the plan believes there: a vault that was made anew has others.
    pub roots: Vec<String>,
    /// The store.
    pub store: StoreId,
    /// The life of the cluster, which with the file's name says which object it is.
    pub incarnation: IncarnationId,
    /// The cluster.
    pub system_identifier: SystemIdentifier,
}

#[derive(Serialize)]
struct Note<'a> {
    file: &'a str,
    #[serde(flatten)]
    place: &'a Place,
    identity: &'a Identity,
}

/// The note for a file of this name.
pub(super) fn text(place: &Place, file: &str, identity: &Identity) -> Vec<u8> {
    let note = Note { file, place, identity };
    let mut text = serde_json::to_vec(&note).expect("names, ids and numbers can be written");
    text.push(b'\n');
    text
}
