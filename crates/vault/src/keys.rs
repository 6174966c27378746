//! Keys, and whom to believe.
//!
//! The root signs trust lists; a trust list says who may sign what and carries, wrapped, the keys of
//! every store. An operator's identity opens a store's secret, that opens the key of every session
//! and WAL file. An agent's identity opens only the store's metadata key. Encrypting to a public key
//! proves nothing about the author, so nothing here is used before its signature was checked.

mod any;
mod create;
mod edit;
mod error;
mod files;
mod holders;
mod identity;
mod load;
#[cfg(test)]
pub(crate) mod sample;
mod sign;
mod signed;
mod trust;

pub use any::AnyKey;
pub use create::{OperatorCount, SignerDraft, VaultDraft, Writers, create_vault, probe};
pub use edit::{AgentDraft, StoreDraft, StoreEnd};
pub use error::{ErrorKind, KeyError};
pub use files::{
    AgentKey, CollectorKey, KeyFile, KeyFileError, KeyFileFault, OperatorKey, Pins, RootKey,
};
pub use holders::{ReaderKeys, StoreKeys};
pub use identity::{Identity, ParseAgeKeyError, Recipient, Wrapped, wrap};
pub(crate) use load::read_record;
pub use load::{FindingReason, LoadedTrust, TrustFinding, load_trust, publish_trust};
pub use sign::{ParsePublicKeyError, PublicKey, SIGNATURE_LENGTH, Signer};
pub use signed::{Expected, TRUST_LIST_LENGTH_MAX, TrustFault, read_list, sign_list};
pub use trust::{
    Enrolment, MetadataRow, Operator, Role, SignerRow, StoreKeyRow, StoreRow, Trust, TrustList,
    WalPlace,
};
