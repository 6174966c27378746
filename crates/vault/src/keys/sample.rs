//! A store with its keys, for tests of everything that needs some.

use jiff::Timestamp;

use crate::crypto::SymmetricKey;
use crate::ids::{Digest, StoreId, VaultId};
use crate::keys::{
    Enrolment, Identity, MetadataRow, Operator, ReaderKeys, Role, Signer, SignerRow, StoreKeyRow,
    StoreKeys, StoreRow, Trust, TrustList, Wrapped,
};
use crate::record::FORMAT;

/// One store, enrolled in one trust list.
pub(crate) struct Sample {
    pub(crate) writer: StoreKeys,
    pub(crate) reader: ReaderKeys,
    pub(crate) collector: Signer,
    pub(crate) trust: Trust,
}

impl Sample {
    /// Samples of different seeds have nothing in common; age's keys differ each time.
    pub(crate) fn new(seed: u8) -> Self {
        let secret = Identity::generate();
        let metadata = SymmetricKey::from_bytes([seed; 32]);
        let store = StoreId([seed; 8]);
        let writer = StoreKeys {
            store,
            content_ids: metadata.content_id_key(),
            metadata: metadata.clone(),
            recipient: secret.recipient(),
            signer: Signer::from_seed([seed; 32]),
            trust_number: 1,
        };
        let collector = Signer::from_seed([seed ^ 0x80; 32]);
        let trust = Trust::from_lists([(list(&writer, &secret, &collector), Digest([0; 32]))]);
        let reader = ReaderKeys {
            store,
            content_ids: metadata.content_id_key(),
            metadata,
            secrets: vec![secret],
        };
        Self { writer, reader, collector, trust: trust.unwrap() }
    }
}

fn list(writer: &StoreKeys, secret: &Identity, collector: &Signer) -> TrustList {
    let operator = Identity::generate().recipient();
    let stores = vec![Enrolment { store: writer.store, from: 0, until: None }];
    TrustList {
        format: FORMAT,
        needs: Vec::new(),
        claimed_time: Timestamp::UNIX_EPOCH,
        number: 1,
        previous: None,
        root: Signer::from_seed([0xff; 32]).public(),
        vaults: vec![VaultId([1; 16])],
        operators: vec![Operator { name: "alice".to_owned(), recipient: operator.clone() }],
        stores: vec![StoreRow {
            id: writer.store,
            name: "orders".to_owned(),
            kind: "postgres".to_owned(),
            keys: vec![StoreKeyRow {
                version: 1,
                recipient: secret.recipient(),
                secret: Wrapped::new(secret.to_text().expose().as_bytes(), vec![operator.clone()]),
            }],
            metadata: vec![MetadataRow {
                version: 1,
                commitment: Digest(writer.metadata.commitment()),
                key: Wrapped::new(writer.metadata.expose(), vec![operator]),
            }],
        }],
        signers: vec![
            SignerRow {
                name: "agent".to_owned(),
                key: writer.signer.public(),
                recipient: None,
                roles: vec![Role::Agent],
                stores: stores.clone(),
            },
            SignerRow {
                name: "collector".to_owned(),
                key: collector.public(),
                recipient: None,
                roles: vec![Role::Collector, Role::Verifier, Role::Copier, Role::Operator],
                stores,
            },
        ],
    }
}
