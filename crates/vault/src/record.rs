//! The record that makes a place a vault: `soter.vault`.
//!
//! It is not signed, and nothing is believed because it is written here: a reader trusts the vault
//! id and the roots in its own key file, and the record only says whether this is that vault.

use jiff::Timestamp;

use crate::ids::VaultId;
use crate::keys::PublicKey;

/// The format that this code writes, and the newest it reads.
pub const FORMAT: u32 = 1;

/// A longer record is refused unread.
pub const RECORD_LENGTH_MAX: usize = 64 << 10;

/// No vault has more roots; a reader tries each.
pub const ROOTS_MAX: usize = 3;

/// The record.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct Record {
    /// Format of the vault.
    pub format: u32,
    /// Features that a reader must know.
    #[serde(default, skip_serializing_if = "Vec::is_empty")]
    pub needs: Vec<String>,
    /// The vault.
    pub vault: VaultId,
    /// The roots at its creation.
    pub roots: Vec<PublicKey>,
    /// The place cannot create an object only if it is absent: one writer, no automatic sweep.
    pub single_writer: bool,
    /// When it was created, by the clock of who did it.
    pub created: Timestamp,
}

/// Why bytes are not a record this version can use.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum RecordError {
    /// Not a record: this place is no vault, or `soter.vault` is damaged.
    #[error("soter.vault is not the record of a vault: {0}")]
    NotARecord(String),
    /// A newer Soter made it: use that one.
    #[error("the vault is of format {format} with {needs:?}: this Soter reads format {FORMAT}")]
    Newer {
        /// Its format.
        format: u32,
        /// What it needs that this version does not know.
        needs: Vec<String>,
    },
}

/// What every version's document has, so that a newer one is named and not called damaged.
#[derive(serde::Deserialize)]
pub(crate) struct Versioned {
    pub(crate) format: u32,
    #[serde(default)]
    pub(crate) needs: Vec<String>,
}

impl Versioned {
    /// Whether this version of Soter can read the document.
    pub(crate) fn is_known(&self) -> bool {
        self.format <= FORMAT && self.needs.is_empty()
    }
}

impl Record {
    /// The record of a new vault of this version.
    pub fn new(vault: VaultId, roots: Vec<PublicKey>, created: Timestamp) -> Self {
        Self { format: FORMAT, needs: Vec::new(), vault, roots, single_writer: false, created }
    }

    /// The object's bytes.
    ///
    /// # Panics
    /// Never: the record has no value that JSON lacks.
    pub fn to_bytes(&self) -> Vec<u8> {
        let mut bytes = serde_json::to_vec_pretty(self).expect("a record is plain JSON");
        bytes.push(b'\n');
        bytes
    }

    /// Reads the object's bytes.
    ///
    /// # Errors
    /// See [`RecordError`].
    pub fn parse(bytes: &[u8]) -> Result<Self, RecordError> {
        let not_a_record = |reason: String| RecordError::NotARecord(reason);
        if bytes.len() > RECORD_LENGTH_MAX {
            return Err(not_a_record(format!("longer than {RECORD_LENGTH_MAX} bytes")));
        }
        let versioned: Versioned =
            serde_json::from_slice(bytes).map_err(|error| not_a_record(error.to_string()))?;
        if !versioned.is_known() {
            let Versioned { format, needs } = versioned;
            return Err(RecordError::Newer { format, needs });
        }
        let record: Self =
            serde_json::from_slice(bytes).map_err(|error| not_a_record(error.to_string()))?;
        if record.roots.is_empty() || record.roots.len() > ROOTS_MAX {
            return Err(not_a_record(format!("a vault has 1 to {ROOTS_MAX} roots")));
        }
        Ok(record)
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::keys::Signer;

    fn record() -> Record {
        let root = Signer::from_seed([1; 32]).public();
        Record::new(VaultId([2; 16]), vec![root], Timestamp::UNIX_EPOCH)
    }

    #[test]
    fn a_record_is_read_back_as_it_was_written() {
        assert_eq!(Record::parse(&record().to_bytes()), Ok(record()));
    }

    #[test]
    fn a_newer_vault_is_named_and_an_unknown_field_is_ignored() {
        let mut newer = record();
        newer.needs = vec!["erasure".to_owned()];
        let expected = RecordError::Newer { format: 1, needs: newer.needs.clone() };
        assert_eq!(Record::parse(&newer.to_bytes()), Err(expected));
        let format_2 = RecordError::Newer { format: 2, needs: vec![] };
        assert_eq!(Record::parse(br#"{"format":2,"shape":"other"}"#), Err(format_2));
        let text = String::from_utf8(record().to_bytes()).unwrap();
        let more = text.replacen('{', "{\"colour\": \"blue\",", 1);
        assert_eq!(Record::parse(more.as_bytes()), Ok(record()));
    }

    proptest! {
        #[test]
        fn any_bytes_are_refused(bytes in proptest::collection::vec(any::<u8>(), 0..200)) {
            prop_assert!(Record::parse(&bytes).is_err());
        }
    }
}
