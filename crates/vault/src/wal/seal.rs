//! From the parts of a segment, or its bytes in a successor's memory, to the sealed segment.

use super::archive::{Pushed, WalVault};
use super::error::{Fault, Finding, WalError};
use super::head::WalFacts;
use super::live::WalReader;
use super::place::Segment;
use super::sealed::{SealedFile, Sealer, WalBytes};

/// A segment that was sealed from its parts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SealedSegment {
    /// The sealed segment.
    pub pushed: Pushed,
    /// The names of its parts, which are not needed any more: what the sweep may remove.
    pub covered: Vec<String>,
    /// Parts that could not be used.
    pub findings: Vec<Finding>,
}

impl WalVault<'_> {
    /// Stores a sealed file and looks whether it is there: the object as long as it must be, its
    /// head read again and equal.
    ///
    /// # Errors
    /// See [`WalError`]; [`WalError::Damaged`] when the store did not keep what it was given.
    pub fn put_verified(&self, sealed: &SealedFile) -> Result<Pushed, WalError> {
        let pushed = self.put(sealed)?;
        let fault = match self.head_at(&sealed.file, &pushed.object)? {
            Some(Ok(head)) if head.content == sealed.content => return Ok(pushed),
            Some(Ok(_)) => Fault::Content,
            Some(Err(fault)) => fault,
            None => Fault::Length { found: 0, expected: sealed.bytes.len() as u64 },
        };
        let findings = vec![Finding { object: pushed.object, fault }];
        Err(WalError::Damaged { name: sealed.file.name(), findings })
    }

    /// Seals a segment whose parts are complete, for a session that cannot do it any more. `facts`
    /// looks at the bytes.
    ///
    /// # Errors
    /// [`WalError::Incomplete`] when a part is missing or two disagree; else see [`WalError`].
    pub fn seal_parts(
        &self,
        segment: Segment,
        reader: WalReader<'_>,
        sealer: &Sealer<'_>,
        facts: impl FnOnce(&[u8]) -> WalFacts,
    ) -> Result<SealedSegment, WalError> {
        let (stitched, findings) = self.read_parts(segment, reader)?;
        let end = stitched.end();
        if end < self.archive.segment_size.bytes() {
            return Err(WalError::Incomplete { segment, end, divergence: stitched.divergence });
        }
        let bytes = &stitched.bytes;
        let mut source = WalBytes { bytes, facts: facts(bytes) };
        let sealed = sealer.seal(&self.archive.segment_file(segment), &mut source)?;
        let pushed = self.put_verified(&sealed)?;
        let covered = self.covered_parts(segment)?;
        Ok(SealedSegment { pushed, covered, findings })
    }
}

#[cfg(test)]
mod tests;
