//! A cluster's write-ahead log in the vault.
//!
//! It arrives twice: as parts, seconds after the server wrote it, and as sealed segments once they
//! are complete. The vault knows positions, segment numbers and file names; what is in the bytes is
//! the caller's business.

pub mod place;
pub mod stitch;
