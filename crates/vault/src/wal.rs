//! A cluster's write-ahead log in the vault.
//!
//! It arrives twice: as parts, seconds after the server wrote it, and as sealed segments once they
//! are complete. The vault knows positions, segment numbers and file names; what is in the bytes is
//! the caller's business.

mod error;
mod head;
mod part;
mod place;
mod sealed;
mod stitch;

pub use error::Fault;
pub use head::{CommitTimes, Head, WalFacts};
pub use part::{PartSealer, SealedPart, open_part};
pub use place::{Archive, ArchiveFile, Segment, SegmentSize};
pub use sealed::{OpenError, SealError, SealedFile, Sealer, WalBytes, WalSource, open};
pub use stitch::{Divergence, Island, Part, Stitched, stitch, zero_filled};
