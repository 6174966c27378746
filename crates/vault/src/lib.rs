//! The repository in which recovery points are kept.
//!
//! Objects are written once and never changed; every commit is a signed entry of a store's log;
//! contents are sealed so that the machine that wrote them cannot read them again. The format is
//! described byte by byte in `docs/format/vault.md`.

pub mod contents;
pub mod crypto;
pub mod document;
pub mod frame;
pub mod header;
pub mod ids;
pub mod keys;
pub mod log;
pub mod map;
pub mod names;
pub mod objects;
pub mod pack;
pub mod plans;
pub mod record;
pub mod refresh;
pub mod retention;
pub mod runs;
pub mod survey;
pub mod sweep;
pub mod testing;
pub mod vault;
pub mod verify;
pub mod wal;

pub use vault::Vault;

#[cfg(test)]
mod fixture;
#[cfg(test)]
mod vectors;
