//! Live parts in a vault: put one, and read a segment as far as it is known.

use super::archive::{Fetched, Outcome, WalVault, names};
use super::error::{Fault, Finding, WalError};
use super::part::{SealedPart, open_part};
use super::place::Segment;
use super::stitch::{Part, Stitched, stitch};
use crate::crypto::SymmetricKey;
use crate::ids::SessionId;
use crate::keys::{PublicKey, ReaderKeys, WalPlace};
use crate::log::Catalogue;
use crate::names::{LivePart, Name, live_prefix, split_repair};
use crate::objects::{ObjectInfo, Once, create_once};

/// How many names are asked for at once; S3 gives no more.
pub(crate) const LIST_PAGE: usize = 1000;

/// A part that is in the vault.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct PutPart {
    /// By this call or before.
    pub outcome: Outcome,
    /// The object that holds it: its name or a repair of it.
    pub object: String,
    /// Objects under its name that do not count. Each is an attack or damage: alarm.
    pub findings: Vec<Finding>,
}

/// What a reader of WAL holds.
#[derive(Clone, Copy)]
pub struct WalReader<'a> {
    /// Opens sealed files.
    pub keys: &'a ReaderKeys,
    /// The keys of sessions and who opened them, from the log's `open` entries.
    pub sessions: &'a dyn Fn(SessionId) -> Option<SessionAccess>,
    /// Threads that decompress.
    pub workers: usize,
}

/// What reads the parts of a session, and decides whether they count.
#[derive(Debug, Clone)]
pub struct SessionAccess {
    /// `K_session`.
    pub key: SymmetricKey,
    /// Who opened the session. Parts are sealed, not signed: who has the key can make more of them.
    pub signer: PublicKey,
}

impl SessionAccess {
    /// Of a session of a store's log, if the log has it and `keys` open it.
    pub fn of(catalogue: &Catalogue, keys: &ReaderKeys, session: SessionId) -> Option<Self> {
        let row = catalogue.session(session)?;
        let key = keys.unwrap(&row.wrapped, &row.commitment).ok()?;
        Some(Self { key, signer: row.signer })
    }
}

/// A segment as far as the vault knows it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SegmentBytes {
    /// All of it, from a sealed segment.
    Sealed(Fetched),
    /// Its beginning, from parts. If it is the whole segment, nobody has sealed it yet.
    Parts(Stitched, Vec<Finding>),
}

impl SegmentBytes {
    /// The bytes from the segment's first one on.
    pub fn bytes(&self) -> &[u8] {
        match self {
            Self::Sealed(fetched) => &fetched.bytes,
            Self::Parts(stitched, _) => &stitched.bytes,
        }
    }

    /// The same, to keep.
    pub fn into_bytes(self) -> Vec<u8> {
        match self {
            Self::Sealed(fetched) => fetched.bytes,
            Self::Parts(stitched, _) => stitched.bytes,
        }
    }

    /// Objects that do not count.
    pub fn findings(&self) -> &[Finding] {
        match self {
            Self::Sealed(fetched) => &fetched.findings,
            Self::Parts(_, findings) => findings,
        }
    }
}

impl WalVault<'_> {
    /// Stores a part. It is durable once this returns. `key` is the session's: it tells an object
    /// of our own session from one that a stranger put under our name.
    ///
    /// # Errors
    /// See [`WalError`]. After an error the same [`SealedPart`] is to be put again.
    pub fn put_part(&self, sealed: &SealedPart, key: &SymmetricKey) -> Result<PutPart, WalError> {
        let mut findings = Vec::new();
        for object in names(&sealed.name) {
            let fault = match create_once(self.store, self.clock, &object, &sealed.bytes) {
                Ok(Once::New | Once::Same) => {
                    return Ok(PutPart { outcome: Outcome::New, object, findings });
                }
                Ok(Once::Taken(theirs)) => match open_part(sealed.part, key, &theirs) {
                    // Sealed anew, with another salt: the same bytes of the segment all the same.
                    Ok(theirs)
                        if Ok(&theirs) == open_part(sealed.part, key, &sealed.bytes).as_ref() =>
                    {
                        return Ok(PutPart { outcome: Outcome::AlreadyThere, object, findings });
                    }
                    Ok(_) => return Err(WalError::PartConflict { object }),
                    Err(fault) => fault,
                },
                Err(error) => self.too_long(&object, error)?,
            };
            findings.push(Finding { object, fault });
        }
        Err(WalError::Taken { name: sealed.name.clone(), findings })
    }

    /// Reads a segment: the sealed one if it is there, else what its parts say. `None` when there
    /// is neither. A sealed one that is damaged is not used; its parts are, if they are still there.
    ///
    /// # Errors
    /// [`WalError::Damaged`] when the sealed one is and no part can be used; [`WalError::Key`],
    /// [`WalError::Store`].
    pub fn read_segment(
        &self,
        segment: Segment,
        reader: WalReader<'_>,
    ) -> Result<Option<SegmentBytes>, WalError> {
        let file = self.archive.segment_file(segment);
        let (damage, mut findings) = match self.fetch(&file, reader.keys, reader.workers) {
            Ok(Some(fetched)) => return Ok(Some(SegmentBytes::Sealed(fetched))),
            Ok(None) => (None, Vec::new()),
            Err(WalError::Damaged { name, findings }) => {
                (Some(WalError::Damaged { name, findings: findings.clone() }), findings)
            }
            Err(error) => return Err(error),
        };
        let (stitched, found) = self.read_parts(segment, reader)?;
        match damage {
            Some(damage) if stitched.bytes.is_empty() => return Err(damage),
            None if stitched.bytes.is_empty()
                && found.is_empty()
                && stitched.islands.is_empty() =>
            {
                return Ok(None);
            }
            _ => findings.extend(found),
        }
        Ok(Some(SegmentBytes::Parts(stitched, findings)))
    }

    /// Reads and puts together the parts of a segment, whether it is sealed or not.
    ///
    /// # Errors
    /// [`WalError::Store`].
    pub fn read_parts(
        &self,
        segment: Segment,
        reader: WalReader<'_>,
    ) -> Result<(Stitched, Vec<Finding>), WalError> {
        let (mut parts, mut findings) = (Vec::new(), Vec::new());
        let place = Some((segment.timeline, Some(segment.number)));
        let prefix = live_prefix(self.archive.store, self.archive.incarnation, place);
        for info in self.list(&prefix)? {
            let object = info.name.clone();
            match self.read_part(&info, reader)? {
                Some(Ok(part)) => parts.push(part),
                Some(Err(fault)) => findings.push(Finding { object, fault }),
                None => {}
            }
        }
        Ok((stitch(self.archive.segment_size, parts), findings))
    }

    fn read_part(
        &self,
        info: &ObjectInfo,
        reader: WalReader<'_>,
    ) -> Result<Option<Result<Part, Fault>>, WalError> {
        let Some(part) = self.part_named(&info.name) else { return Ok(Some(Err(Fault::Name))) };
        let Some(SessionAccess { key, signer }) = (reader.sessions)(part.session) else {
            return Ok(Some(Err(Fault::UnknownSession(part.session))));
        };
        if !self.trust.may_wal(&signer, &self.place_of(&part)) {
            return Ok(Some(Err(Fault::Ended { signer })));
        }
        let bytes = match self.read(&info.name)? {
            None => return Ok(None),
            Some(Err(fault)) => return Ok(Some(Err(fault))),
            Some(Ok(bytes)) => open_part(part, &key, &bytes),
        };
        let object = info.name.clone();
        Ok(Some(bytes.map(|bytes| Part { from: part.from, bytes, object })))
    }

    fn place_of(&self, part: &LivePart) -> WalPlace {
        let start = self.archive.start_of(part.segment);
        let at = |offset: u32| start.saturating_add(u64::from(offset));
        WalPlace {
            store: part.store,
            incarnation: part.incarnation,
            timeline: part.timeline,
            span: Some((at(part.from), at(part.to))),
        }
    }

    /// Whether an object that does not count may have held more of its segment than its first
    /// `length` bytes.
    pub fn may_hold_more(&self, finding: &Finding, length: usize) -> bool {
        match self.part_named(&finding.object) {
            Some(part) => part.to as usize > length,
            // A name that no writer makes holds nothing; the segment's own would hold all of it.
            None => finding.fault != Fault::Name,
        }
    }

    /// The part that an object is by its name, or would be if it is a repair.
    pub fn part_named(&self, object: &str) -> Option<LivePart> {
        match Name::parse(split_repair(object).0) {
            Some(Name::Live(part))
                if part.from < part.to && part.to <= self.archive.segment_size.bytes() =>
            {
                Some(part)
            }
            _ => None,
        }
    }

    /// All objects whose names begin so.
    pub(crate) fn list(&self, prefix: &str) -> Result<Vec<ObjectInfo>, WalError> {
        let mut found = Vec::new();
        self.scan(prefix, None, |info| {
            found.push(info);
            true
        })?;
        Ok(found)
    }

    /// Hands over objects whose names begin so and come behind `after`, page by page, until it is
    /// told to stop.
    pub(crate) fn scan(
        &self,
        prefix: &str,
        after: Option<&str>,
        mut take: impl FnMut(ObjectInfo) -> bool,
    ) -> Result<(), WalError> {
        let mut after = after.map(str::to_owned);
        loop {
            let page = self.store.list(prefix, after.as_deref(), LIST_PAGE)?;
            let is_last = page.len() < LIST_PAGE;
            after = page.last().map(|info| info.name.clone());
            for info in page {
                if !take(info) {
                    return Ok(());
                }
            }
            if is_last {
                return Ok(());
            }
        }
    }
}

#[cfg(test)]
mod tests;
