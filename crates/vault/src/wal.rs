//! A cluster's write-ahead log in the vault.
//!
//! It arrives twice: as parts, seconds after the server wrote it, and as sealed segments once they
//! are complete. The vault knows positions, segment numbers and file names; what is in the bytes is
//! the caller's business.
//!
//! ```text
//! Sealer::seal     file ──▶ object      WalVault::push, put, fetch, locate
//! PartSealer::seal bytes ─▶ object      WalVault::put_part, read_parts ──▶ stitch
//! ```

mod archive;
mod coverage;
mod error;
mod head;
mod index;
mod live;
mod part;
mod place;
#[cfg(test)]
mod sample;
mod seal;
mod sealed;
mod stitch;
mod stored;
mod stretch;

pub use archive::{Fetched, Located, Outcome, Pushed, WalVault};
pub use coverage::{Behind, ContiguousEnd, Range, Span};
pub use error::{Fault, Finding, WalError};
pub use head::{CommitTimes, Head, WalFacts};
pub use index::IndexRow;
pub use live::{PutPart, SegmentBytes, SessionAccess, WalReader};
pub use part::{PartSealer, SealedPart, open_part};
pub use place::{Archive, ArchiveFile, Segment, SegmentSize};
pub use seal::SealedSegment;
pub use sealed::{OpenError, SealError, SealedFile, Sealer, WalBytes, WalSource, check, open};
pub use stitch::{Divergence, Island, Part, Stitched, stitch, zero_filled};
pub use stored::stored_wal;
pub use stretch::{Stretch, stretches};
