//! What each side holds: a writer cannot read contents, a reader cannot sign.

use crate::crypto::{ContentIdKey, SymmetricKey};
use crate::ids::StoreId;
use crate::keys::identity::{NotOpened, decrypt};
use crate::keys::{
    Identity, KeyError, MetadataRow, Recipient, Signer, StoreKeyRow, StoreRow, TrustList,
};

/// What a writer of one store has: an agent, or a tool on the operator's side that signs.
#[derive(Debug, Clone)]
pub struct StoreKeys {
    /// The store.
    pub store: StoreId,
    /// `K_meta`: opens and seals maps, directories and bodies of log entries.
    pub metadata: SymmetricKey,
    /// `K_id`: names contents.
    pub content_ids: ContentIdKey,
    /// The public half of the store key: `K_session` and `K_wal` are wrapped to it.
    pub recipient: Recipient,
    /// Signs log entries and WAL files.
    pub signer: Signer,
    /// Number of the trust list this was taken from; log entries name it.
    pub trust_number: u32,
}

/// What an operator has: everything of one store, and no right to sign.
#[derive(Debug, Clone)]
pub struct ReaderKeys {
    /// The store.
    pub store: StoreId,
    /// `K_meta`.
    pub metadata: SymmetricKey,
    /// `K_id`.
    pub content_ids: ContentIdKey,
    /// The secret halves of the store key, oldest version first.
    pub secrets: Vec<Identity>,
}

impl ReaderKeys {
    /// Opens a `K_session` or `K_wal` and checks that it is the key its writer committed to.
    ///
    /// # Errors
    /// [`KeyError::WrongKey`] when it was wrapped to another store's key, [`KeyError::Damaged`] when
    /// the bytes were changed or the commitment is another's.
    pub fn unwrap(&self, wrapped: &[u8], commitment: &[u8; 32]) -> Result<SymmetricKey, KeyError> {
        let what = || format!("a wrapped key of store {}", self.store);
        let secret = decrypt(wrapped, &self.secrets).map_err(|reason| match reason {
            NotOpened::Damaged => KeyError::Damaged { what: what() },
            NotOpened::WrongKey => {
                let found = self.secrets.iter().map(Identity::recipient).collect();
                KeyError::WrongKey { what: what(), found, needed: Vec::new() }
            }
        })?;
        let bytes = <[u8; 32]>::try_from(secret.expose().as_slice());
        match bytes.map(SymmetricKey::from_bytes) {
            Ok(key) if key.commitment() == *commitment => Ok(key),
            _ => Err(KeyError::Damaged { what: what() }),
        }
    }
}

impl TrustList {
    /// What a writer of the store has, whose `identity` opens `K_meta` and who signs as `signer`.
    ///
    /// # Errors
    /// See [`KeyError`]; [`KeyError::NotEnrolled`] when nobody would believe the signer.
    pub fn store_keys(
        &self,
        store: StoreId,
        identity: &Identity,
        signer: Signer,
    ) -> Result<StoreKeys, KeyError> {
        let row = self.store(store).ok_or(KeyError::UnknownStore { store })?;
        let enrolled = self.signers.iter().any(|signers| {
            let stores = &signers.stores;
            signers.key == signer.public()
                && stores.iter().any(|it| it.store == store && it.until.is_none())
        });
        if !enrolled {
            return Err(KeyError::NotEnrolled { signer: signer.public(), store });
        }
        let (metadata, first) = row.open_metadata(identity)?;
        let keys = row.keys.last().ok_or(KeyError::UnknownStore { store })?;
        Ok(StoreKeys {
            store,
            content_ids: first.content_id_key(),
            metadata,
            recipient: keys.recipient.clone(),
            signer,
            trust_number: self.number,
        })
    }

    /// What an operator has of the store.
    ///
    /// # Errors
    /// See [`KeyError`].
    pub fn reader_keys(&self, store: StoreId, operator: &Identity) -> Result<ReaderKeys, KeyError> {
        let row = self.store(store).ok_or(KeyError::UnknownStore { store })?;
        let secrets = row.keys.iter().map(|key| key.open(store, operator));
        let secrets = secrets.collect::<Result<Vec<_>, _>>()?;
        let (metadata, first) = row.open_metadata(operator)?;
        Ok(ReaderKeys { store, content_ids: first.content_id_key(), metadata, secrets })
    }
}

impl StoreRow {
    /// `K_meta` as writers use it, and its first version, from which contents are named.
    fn open_metadata(&self, identity: &Identity) -> Result<(SymmetricKey, SymmetricKey), KeyError> {
        let (Some(first), Some(last)) = (self.metadata.first(), self.metadata.last()) else {
            return Err(KeyError::UnknownStore { store: self.id });
        };
        Ok((last.open(self.id, identity)?, first.open(self.id, identity)?))
    }
}

impl MetadataRow {
    /// Opens this version of `K_meta`.
    pub(crate) fn open(
        &self,
        store: StoreId,
        identity: &Identity,
    ) -> Result<SymmetricKey, KeyError> {
        let what = format!("K_meta of store {store} (version {})", self.version);
        let secret = self.key.open(identity, &what)?;
        let bytes = <[u8; 32]>::try_from(secret.expose().as_slice());
        match bytes.map(SymmetricKey::from_bytes) {
            Ok(key) if key.commitment() == self.commitment.0 => Ok(key),
            _ => Err(KeyError::Damaged { what }),
        }
    }
}

impl StoreKeyRow {
    /// Opens the secret half of this version of the store key.
    fn open(&self, store: StoreId, operator: &Identity) -> Result<Identity, KeyError> {
        let what = format!("the key of store {store} (version {})", self.version);
        let secret = self.secret.open(operator, &what)?;
        let text = std::str::from_utf8(secret.expose()).ok();
        let identity = text.and_then(|text| text.parse::<Identity>().ok());
        identity
            .filter(|identity| identity.recipient() == self.recipient)
            .ok_or(KeyError::Damaged { what })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::keys::{sample, wrap};

    #[test]
    fn a_session_key_comes_back_only_whole_and_committed() {
        let sample = sample::Sample::new(1);
        let key = SymmetricKey::from_bytes([5; 32]);
        let wrapped = wrap(&key, &sample.writer.recipient);
        assert!(sample.reader.unwrap(&wrapped, &key.commitment()).unwrap() == key);
        let other = sample.reader.unwrap(&wrapped, &[0; 32]);
        assert!(matches!(other, Err(KeyError::Damaged { .. })));
        let stranger = sample::Sample::new(2).reader.unwrap(&wrapped, &key.commitment());
        assert!(matches!(stranger, Err(KeyError::WrongKey { .. })));
        let cut = sample.reader.unwrap(&wrapped[..wrapped.len() - 1], &key.commitment());
        assert!(matches!(cut, Err(KeyError::Damaged { .. })));
    }
}
