//! Indexes of folders, and the search for a commit time.
//!
//! An index repeats what the heads of a folder's segments say, so that a search reads one object
//! instead of 256. It is made from heads that were checked, and signed; where there is none, or only
//! one that is damaged, the heads are read. Nothing is lost with it.

use jiff::Timestamp;
use soter_world::Random;

use super::archive::{Outcome, WalVault, first_that_counts, names};
use super::error::{Fault, Finding, WalError};
use super::head::{CommitTimes, Signed, array, number_u32, session_field, sign};
use super::place::Segment;
use crate::crypto::{ObjectKey, Place, Purpose, SymmetricKey};
use crate::frame::{FrameReader, FrameType, FrameWriter};
use crate::header::{HEADER_LENGTH, Header, ObjectClass};
use crate::ids::{ContentId, Digest, Salt, StoreId};
use crate::keys::{PublicKey, SIGNATURE_LENGTH, StoreKeys, WalPlace};
use crate::names::Name;
use crate::objects::{Once, create_once};
use crate::pack::METADATA_COMPRESSION;

/// A folder of the smallest segments.
const ROWS_MAX: usize = 4096;

const FIXED_LENGTH: usize = 112;
const ROW_LENGTH: usize = 56;
const TIMES_LENGTH: usize = 16;

/// What an index says of a segment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct IndexRow {
    /// Which segment.
    pub segment: u64,
    /// Length of its object in bytes.
    pub object_length: u32,
    /// Its content id.
    pub content: ContentId,
    /// BLAKE3 of its object's head, which carries the hash of the rest.
    pub head_hash: Digest,
    /// When the commits in it were made.
    pub commit_times: Option<CommitTimes>,
}

/// A folder of a timeline.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
struct Folder {
    timeline: u32,
    number: u32,
}

impl WalVault<'_> {
    /// Writes the index of a folder, if its last segment is there and none is missing since its
    /// first. `None` when it is not complete yet.
    ///
    /// # Errors
    /// See [`WalError`].
    pub fn write_index(
        &self,
        keys: &StoreKeys,
        random: &dyn Random,
        timeline: u32,
        folder: u32,
    ) -> Result<Option<Outcome>, WalError> {
        let folder = Folder { timeline, number: folder };
        let name = self.index_name(folder);
        if let Ok(Some(_)) = self.find_index(folder, &keys.metadata) {
            return Ok(Some(Outcome::AlreadyThere));
        }
        let (rows, is_complete) = self.rows_of_heads(folder, &keys.metadata)?;
        if !is_complete {
            return Ok(None);
        }
        let header = self.index_header(folder, Salt::random(random));
        let bytes = index_bytes(keys, &name, (header, timeline, self.first_of(folder)), &rows);
        let mut findings = Vec::new();
        for object in names(&name) {
            let fault = match create_once(self.store, self.clock, &object, &bytes) {
                Ok(Once::New | Once::Same) => return Ok(Some(Outcome::New)),
                Ok(Once::Taken(theirs)) => match self.parse(folder, &keys.metadata, &theirs) {
                    Ok(_) => return Ok(Some(Outcome::AlreadyThere)),
                    Err(fault) => fault,
                },
                Err(error) => self.too_long(&object, error)?,
            };
            findings.push(Finding { object, fault });
        }
        Err(WalError::Taken { name, findings })
    }

    /// What a folder's index says. `None` when there is none.
    ///
    /// # Errors
    /// [`WalError::Damaged`], [`WalError::Store`].
    pub fn read_index(
        &self,
        metadata: &SymmetricKey,
        timeline: u32,
        folder: u32,
    ) -> Result<Option<Vec<IndexRow>>, WalError> {
        self.find_index(Folder { timeline, number: folder }, metadata)
    }

    /// The first segment, from `from` to before `to`, with a commit later than `time`: recovery to
    /// that time ends in it. `None` when there is none: the time is at or after the last commit, or
    /// nobody noted when the commits were made.
    ///
    /// Whole folders are halved by their indexes, as far as there are indexes; so a server whose
    /// clock was set back by more than a folder's span may have an earlier one, too. The server
    /// decides by itself where it stops; this is for choosing where to begin and for telling what
    /// cannot be reached.
    ///
    /// # Errors
    /// [`WalError::Store`].
    pub fn first_commit_after(
        &self,
        metadata: &SymmetricKey,
        timeline: u32,
        (from, to): (u64, u64),
        time: Timestamp,
    ) -> Result<Option<Segment>, WalError> {
        let first = self.archive.folder_of(from);
        let end = if from < to { self.archive.folder_of(to - 1) + 1 } else { first };
        let (mut low, mut high) = (first, end);
        // Folders before `low` have no later commit; `high` and those behind it begin later.
        while low < high {
            let middle = low + (high - low) / 2;
            let Ok(Some(rows)) = self.read_index(metadata, timeline, middle) else { break };
            let times = rows.iter().fold(None, |t, row| CommitTimes::join(t, row.commit_times));
            match times {
                Some(times) if times.latest > time => high = middle,
                Some(_) => low = middle + 1,
                None => break,
            }
        }
        for number in low..end {
            let rows = self.rows(Folder { timeline, number }, metadata)?;
            let found = rows.into_iter().find(|row| {
                (from..to).contains(&row.segment)
                    && row.commit_times.is_some_and(|times| times.latest > time)
            });
            if let Some(row) = found {
                return Ok(Some(Segment { timeline, number: row.segment }));
            }
        }
        Ok(None)
    }

    /// Earliest and latest commit in the segments from `from` to before `to`.
    ///
    /// # Errors
    /// [`WalError::Store`].
    pub fn commit_times(
        &self,
        metadata: &SymmetricKey,
        timeline: u32,
        (from, to): (u64, u64),
    ) -> Result<Option<CommitTimes>, WalError> {
        let mut times = None;
        let mut segment = from;
        while segment < to {
            let number = self.archive.folder_of(segment);
            for row in self.rows(Folder { timeline, number }, metadata)? {
                if (from..to).contains(&row.segment) {
                    times = CommitTimes::join(times, row.commit_times);
                }
            }
            segment = (u64::from(number) + 1) * u64::from(self.archive.segment_size.per_folder());
        }
        Ok(times)
    }

    fn rows(&self, folder: Folder, metadata: &SymmetricKey) -> Result<Vec<IndexRow>, WalError> {
        match self.find_index(folder, metadata) {
            Ok(Some(rows)) => Ok(rows),
            Ok(None) | Err(WalError::Damaged { .. }) => {
                self.rows_of_heads(folder, metadata).map(|(rows, _)| rows)
            }
            Err(error) => Err(error),
        }
    }

    /// The rows of the segments that are there, and whether they are complete.
    fn rows_of_heads(
        &self,
        folder: Folder,
        metadata: &SymmetricKey,
    ) -> Result<(Vec<IndexRow>, bool), WalError> {
        let mut numbers = Vec::new();
        self.scan(&self.archive.folder_prefix(folder.timeline, folder.number), None, |info| {
            numbers.extend(self.segment_named(&info.name).map(|segment| segment.number));
            true
        })?;
        numbers.sort_unstable();
        numbers.dedup();
        let mut rows: Vec<IndexRow> = Vec::new();
        for number in numbers {
            let file = self.archive.segment_file(Segment { timeline: folder.timeline, number });
            let located = match self.locate(&file) {
                Ok(Some(located)) => located,
                Ok(None) | Err(WalError::Damaged { .. }) => continue,
                Err(error) => return Err(error),
            };
            // Facts that do not open cost the search some precision, not the segment.
            let facts = located.head.facts(&file, metadata).unwrap_or_default();
            rows.push(IndexRow {
                segment: number,
                object_length: u32::try_from(located.head.object_length()).unwrap_or(u32::MAX),
                content: located.head.content,
                head_hash: located.head.hash(),
                commit_times: facts.commit_times,
            });
        }
        let is_dense = rows.windows(2).all(|pair| pair[0].segment + 1 == pair[1].segment);
        let per_folder = u64::from(self.archive.segment_size.per_folder());
        let has_last = rows.last().is_some_and(|row| row.segment % per_folder == per_folder - 1);
        Ok((rows, is_dense && has_last))
    }

    fn find_index(
        &self,
        folder: Folder,
        metadata: &SymmetricKey,
    ) -> Result<Option<Vec<IndexRow>>, WalError> {
        let found = first_that_counts(&self.index_name(folder), |object| {
            let read = self.read(object)?;
            Ok(read.map(|read| read.and_then(|bytes| self.parse(folder, metadata, &bytes))))
        })?;
        Ok(found.map(|(_, rows, _)| rows))
    }

    /// The first segment of a folder, whether it is there or not.
    fn first_of(&self, folder: Folder) -> u64 {
        u64::from(folder.number) * u64::from(self.archive.segment_size.per_folder())
    }

    fn index_name(&self, folder: Folder) -> String {
        let (store, incarnation) = (self.archive.store, self.archive.incarnation);
        Name::WalIndex(store, incarnation, folder.timeline, folder.number).to_string()
    }

    fn index_header(&self, folder: Folder, salt: Salt) -> Header {
        Header {
            class: ObjectClass::WalIndex,
            store: self.archive.store,
            session: session_field(self.archive.incarnation),
            number: u64::from(folder.number),
            salt,
            flags: 0,
        }
    }

    fn parse(
        &self,
        folder: Folder,
        metadata: &SymmetricKey,
        bytes: &[u8],
    ) -> Result<Vec<IndexRow>, Fault> {
        let header = Header::parse(bytes)?;
        let fixed: &[u8; FIXED_LENGTH] = bytes.first_chunk().ok_or(Fault::Field("index"))?;
        let belongs = header == self.index_header(folder, header.salt)
            && number_u32(fixed, 64) == folder.timeline;
        if !belongs {
            return Err(Fault::Elsewhere);
        }
        let (count, times_length) =
            (number_u32(fixed, 104) as usize, number_u32(fixed, 108) as usize);
        let table_end = FIXED_LENGTH + count.min(ROWS_MAX) * ROW_LENGTH;
        let times_end = table_end.saturating_add(times_length);
        if count > ROWS_MAX || times_end.saturating_add(SIGNATURE_LENGTH) != bytes.len() {
            return Err(Fault::Field("index"));
        }
        let name = self.index_name(folder);
        let signer = PublicKey(array(fixed, 72));
        let signed = Signed { signer, trust_number: number_u32(fixed, 68) };
        // It is there once the folder's last segment is.
        let last = self.first_of(folder) + u64::from(self.archive.segment_size.per_folder()) - 1;
        let place = WalPlace {
            store: header.store,
            incarnation: self.archive.incarnation,
            timeline: folder.timeline,
            span: Some((self.archive.start_of(last), self.archive.end_of(last))),
        };
        signed.check(&name, bytes, &place, self.trust)?;
        let key = times_key(header.store, &name, header, metadata);
        let (mut times, offset) = (Vec::new(), table_end as u64);
        let frame = &bytes[table_end..times_end];
        FrameReader::new().open_as(FrameType::Body, &key, offset, frame, &mut times)?;
        if times.len() != count * TIMES_LENGTH {
            return Err(Fault::Field("index"));
        }
        let first = self.first_of(folder);
        bytes[FIXED_LENGTH..table_end]
            .chunks_exact(ROW_LENGTH)
            .zip(times.chunks_exact(TIMES_LENGTH))
            .map(|(row, times)| row_of(first, row, times))
            .collect()
    }
}

fn row_of(first: u64, row: &[u8], times: &[u8]) -> Result<IndexRow, Fault> {
    Ok(IndexRow {
        segment: first + u64::from(number_u32(row, 0)),
        object_length: number_u32(row, 4),
        content: ContentId(array(row, 8)),
        head_hash: Digest(array(row, 24)),
        commit_times: CommitTimes::from_bytes(&array(times, 0)).ok_or(Fault::Field("times"))?,
    })
}

/// The index; `first` is the folder's first segment, whether it is there or not.
fn index_bytes(
    keys: &StoreKeys,
    name: &str,
    (header, timeline, first): (Header, u32, u64),
    rows: &[IndexRow],
) -> Vec<u8> {
    let mut times = Vec::with_capacity(rows.len() * TIMES_LENGTH);
    let mut bytes = header.to_bytes().to_vec();
    bytes.extend_from_slice(&timeline.to_le_bytes());
    bytes.extend_from_slice(&keys.trust_number.to_le_bytes());
    bytes.extend_from_slice(&keys.signer.public().0);
    let count = u32::try_from(rows.len()).expect("a folder has at most 4096 segments");
    bytes.extend_from_slice(&count.to_le_bytes());
    bytes.extend_from_slice(&[0; 4]);
    for row in rows {
        let low = u32::try_from(row.segment - first).expect("a folder has at most 4096 segments");
        bytes.extend_from_slice(&low.to_le_bytes());
        bytes.extend_from_slice(&row.object_length.to_le_bytes());
        bytes.extend_from_slice(&row.content.0);
        bytes.extend_from_slice(&row.head_hash.0);
        times.extend_from_slice(&CommitTimes::to_bytes(row.commit_times));
    }
    let key = times_key(header.store, name, header, &keys.metadata);
    let mut frames = FrameWriter::new(METADATA_COMPRESSION);
    let range = frames.append(&mut bytes, &key, FrameType::Body, &times);
    bytes[HEADER_LENGTH + 44..FIXED_LENGTH].copy_from_slice(&range.length.to_le_bytes());
    sign(&keys.signer, name, &mut bytes);
    bytes
}

fn times_key(store: StoreId, name: &str, header: Header, metadata: &SymmetricKey) -> ObjectKey {
    let place = Place { store, session: header.session, name };
    metadata.object_key(Purpose::Metadata, place, header.salt)
}

#[cfg(test)]
mod tests;
