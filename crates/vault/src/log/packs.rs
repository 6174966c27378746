//! Sets of packs, and the rows that describe packs: the clear tables of log entries.
//!
//! Packs are numbered within their session, so a set of them is a bitmap for each session. Whoever
//! parses does not believe a length before the bytes are there.

use std::collections::BTreeMap;

use crate::ids::{Digest, Salt, SessionId};
use crate::names::PackClass;
use crate::pack::{PACK_NUMBER_LIMIT, PackId, PackRow};

const CLASSES: [PackClass; 2] = [PackClass::Data, PackClass::Map];

/// salt 16, length 4, hash 32.
const ROW_LENGTH: usize = 52;

/// Tables that no writer of this version makes.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tables are damaged: {0}")]
pub struct TableError(pub &'static str);

/// A set of packs of one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackSet {
    data: BTreeMap<SessionId, Numbers>,
    map: BTreeMap<SessionId, Numbers>,
}

/// Rows of packs of one store.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct PackRows(BTreeMap<(PackClass, PackId), PackRow>);

/// A set of numbers; the last word is never zero, so that equal sets are equal values.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Numbers(Vec<u64>);

impl PackSet {
    /// Adds a pack.
    ///
    /// # Panics
    /// When the number is not below [`PACK_NUMBER_LIMIT`]: no pack can have such a name.
    pub fn insert(&mut self, class: PackClass, pack: PackId) {
        assert!(pack.number < PACK_NUMBER_LIMIT, "pack numbers have six hex digits");
        self.of_mut(class).entry(pack.session).or_default().insert(pack.number);
    }

    /// Whether the pack is in the set.
    pub fn contains(&self, class: PackClass, pack: PackId) -> bool {
        self.of(class).get(&pack.session).is_some_and(|numbers| numbers.contains(pack.number))
    }

    /// Whether there is no pack in it.
    pub fn is_empty(&self) -> bool {
        self.data.is_empty() && self.map.is_empty()
    }

    /// How many packs.
    pub fn count(&self) -> u64 {
        CLASSES.into_iter().flat_map(|class| self.of(class).values()).map(Numbers::count).sum()
    }

    /// The packs: data packs first, by session and number.
    pub fn iter(&self) -> impl Iterator<Item = (PackClass, PackId)> {
        CLASSES.into_iter().flat_map(move |class| {
            self.of(class).iter().flat_map(move |(&session, numbers)| {
                numbers.iter().map(move |number| (class, PackId { session, number }))
            })
        })
    }

    /// Adds all packs of the other set.
    pub fn add(&mut self, other: &Self) {
        for class in CLASSES {
            for (session, numbers) in other.of(class) {
                self.of_mut(class).entry(*session).or_default().add(numbers);
            }
        }
    }

    /// Takes out all packs of the other set.
    pub fn remove(&mut self, other: &Self) {
        for class in CLASSES {
            let mine = self.of_mut(class);
            for (session, numbers) in other.of(class) {
                if let Some(left) = mine.get_mut(session) {
                    left.remove(numbers);
                }
            }
            mine.retain(|_, numbers| !numbers.0.is_empty());
        }
    }

    /// Keeps only packs of sessions for which `keep` says so.
    pub fn retain_sessions(&mut self, mut keep: impl FnMut(SessionId) -> bool) {
        for class in CLASSES {
            self.of_mut(class).retain(|session, _| keep(*session));
        }
    }

    /// The first pack that is in both sets.
    pub fn common(&self, other: &Self) -> Option<(PackClass, PackId)> {
        CLASSES.into_iter().find_map(|class| {
            self.of(class).iter().find_map(|(&session, mine)| {
                let number = mine.common(other.of(class).get(&session)?)?;
                Some((class, PackId { session, number }))
            })
        })
    }

    /// The sessions that packs of the set belong to, in ascending order.
    pub fn sessions(&self) -> std::collections::BTreeSet<SessionId> {
        self.data.keys().chain(self.map.keys()).copied().collect()
    }

    fn of(&self, class: PackClass) -> &BTreeMap<SessionId, Numbers> {
        match class {
            PackClass::Data => &self.data,
            PackClass::Map => &self.map,
        }
    }

    fn of_mut(&mut self, class: PackClass) -> &mut BTreeMap<SessionId, Numbers> {
        match class {
            PackClass::Data => &mut self.data,
            PackClass::Map => &mut self.map,
        }
    }

    /// Appends the set's bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        for class in CLASSES {
            let sessions = self.of(class);
            write_length(bytes, sessions.len());
            for (session, numbers) in sessions {
                bytes.extend_from_slice(&session.0);
                let bitmap = numbers.to_bytes();
                write_length(bytes, bitmap.len());
                bytes.extend_from_slice(&bitmap);
            }
        }
    }

    /// Reads a set.
    pub(super) fn read(bytes: &mut Cursor<'_>) -> Result<Self, TableError> {
        let mut set = Self::default();
        for class in CLASSES {
            let mut before = None;
            for _ in 0..bytes.u32()? {
                let session = bytes.session_after(&mut before)?;
                let length = bytes.length()?;
                if length > PACK_NUMBER_LIMIT as usize / 8 {
                    return Err(TableError("a bitmap is too long"));
                }
                let numbers = Numbers::from_bytes(bytes.take(length)?);
                if !numbers.0.is_empty() {
                    set.of_mut(class).insert(session, numbers);
                }
            }
        }
        Ok(set)
    }
}

impl Extend<(PackClass, PackId)> for PackSet {
    fn extend<T: IntoIterator<Item = (PackClass, PackId)>>(&mut self, packs: T) {
        for (class, pack) in packs {
            self.insert(class, pack);
        }
    }
}

impl FromIterator<(PackClass, PackId)> for PackSet {
    fn from_iter<T: IntoIterator<Item = (PackClass, PackId)>>(packs: T) -> Self {
        let mut set = Self::default();
        set.extend(packs);
        set
    }
}

impl PackRows {
    /// Adds a row. A pack is written once, so a second row for it is the same one.
    ///
    /// # Panics
    /// When the number is not below [`PACK_NUMBER_LIMIT`]: no pack can have such a name.
    pub fn insert(&mut self, class: PackClass, pack: PackId, row: PackRow) {
        assert!(pack.number < PACK_NUMBER_LIMIT, "pack numbers have six hex digits");
        self.0.insert((class, pack), row);
    }

    /// The pack's row.
    pub fn get(&self, class: PackClass, pack: PackId) -> Option<&PackRow> {
        self.0.get(&(class, pack))
    }

    /// The rows: data packs first, by session and number.
    pub fn iter(&self) -> impl Iterator<Item = (PackClass, PackId, &PackRow)> {
        self.0.iter().map(|((class, pack), row)| (*class, *pack, row))
    }

    /// Whether there is no row.
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// How many rows.
    pub fn len(&self) -> usize {
        self.0.len()
    }

    /// The packs described.
    pub fn packs(&self) -> PackSet {
        self.0.keys().copied().collect()
    }

    pub(super) fn extend(&mut self, rows: Self) {
        self.0.extend(rows.0);
    }

    pub(super) fn forget(&mut self, packs: &PackSet) {
        for pack in packs.iter() {
            self.0.remove(&pack);
        }
    }

    /// Appends the rows' bytes.
    pub(super) fn write(&self, bytes: &mut Vec<u8>) {
        for class in CLASSES {
            let mut sessions: BTreeMap<SessionId, Vec<(u32, &PackRow)>> = BTreeMap::new();
            for (_, pack, row) in self.iter().filter(|(of, _, _)| *of == class) {
                sessions.entry(pack.session).or_default().push((pack.number, row));
            }
            write_length(bytes, sessions.len());
            for (session, rows) in sessions {
                bytes.extend_from_slice(&session.0);
                write_runs(bytes, &rows);
            }
        }
    }

    /// Reads rows.
    pub(super) fn read(bytes: &mut Cursor<'_>) -> Result<Self, TableError> {
        let mut rows = Self::default();
        for class in CLASSES {
            let mut before = None;
            for _ in 0..bytes.u32()? {
                let session = bytes.session_after(&mut before)?;
                for _ in 0..bytes.u32()? {
                    rows.read_run(bytes, class, session)?;
                }
            }
        }
        Ok(rows)
    }

    fn read_run(
        &mut self,
        bytes: &mut Cursor<'_>,
        class: PackClass,
        session: SessionId,
    ) -> Result<(), TableError> {
        let (first, count) = (bytes.u32()?, bytes.u32()?);
        let end = first.checked_add(count).filter(|end| *end <= PACK_NUMBER_LIMIT);
        let end = end.ok_or(TableError("a pack's number is too large"))?;
        for number in first..end {
            let row = PackRow {
                salt: Salt(bytes.array()?),
                length: bytes.u32()?,
                hash: Digest(bytes.array()?),
            };
            if self.0.insert((class, PackId { session, number }), row).is_some() {
                return Err(TableError("two rows for one pack"));
            }
        }
        Ok(())
    }
}

fn write_runs(bytes: &mut Vec<u8>, rows: &[(u32, &PackRow)]) {
    let runs: Vec<_> = rows.chunk_by(|left, right| left.0 + 1 == right.0).collect();
    write_length(bytes, runs.len());
    for run in runs {
        bytes.extend_from_slice(&run[0].0.to_le_bytes());
        write_length(bytes, run.len());
        bytes.reserve(run.len() * ROW_LENGTH);
        for (_, row) in run {
            bytes.extend_from_slice(&row.salt.0);
            bytes.extend_from_slice(&row.length.to_le_bytes());
            bytes.extend_from_slice(&row.hash.0);
        }
    }
}

impl Numbers {
    fn insert(&mut self, number: u32) {
        let (word, bit) = (number as usize / 64, number % 64);
        if self.0.len() <= word {
            self.0.resize(word + 1, 0);
        }
        self.0[word] |= 1 << bit;
    }

    fn contains(&self, number: u32) -> bool {
        self.0.get(number as usize / 64).is_some_and(|word| word >> (number % 64) & 1 == 1)
    }

    fn count(&self) -> u64 {
        self.0.iter().map(|word| u64::from(word.count_ones())).sum()
    }

    fn iter(&self) -> impl Iterator<Item = u32> {
        (0u32..).zip(&self.0).filter(|(_, word)| **word != 0).flat_map(|(index, &word)| {
            // A word's bits from the lowest on: each step takes the lowest away.
            let rests = std::iter::successors(Some(word), |rest| Some(rest & rest.wrapping_sub(1)));
            rests.take_while(|rest| *rest != 0).map(move |rest| index * 64 + rest.trailing_zeros())
        })
    }

    fn add(&mut self, other: &Self) {
        if self.0.len() < other.0.len() {
            self.0.resize(other.0.len(), 0);
        }
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine |= theirs;
        }
    }

    fn remove(&mut self, other: &Self) {
        for (mine, theirs) in self.0.iter_mut().zip(&other.0) {
            *mine &= !theirs;
        }
        self.trim();
    }

    fn common(&self, other: &Self) -> Option<u32> {
        (0u32..).zip(self.0.iter().zip(&other.0)).find_map(|(index, (mine, theirs))| {
            let both = mine & theirs;
            (both != 0).then(|| index * 64 + both.trailing_zeros())
        })
    }

    fn trim(&mut self) {
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
    }

    fn to_bytes(&self) -> Vec<u8> {
        let mut bytes: Vec<u8> = self.0.iter().flat_map(|word| word.to_le_bytes()).collect();
        while bytes.last() == Some(&0) {
            bytes.pop();
        }
        bytes
    }

    fn from_bytes(bytes: &[u8]) -> Self {
        let words = bytes.chunks(8).map(|chunk| {
            let mut word = [0; 8];
            word[..chunk.len()].copy_from_slice(chunk);
            u64::from_le_bytes(word)
        });
        let mut numbers = Self(words.collect());
        numbers.trim();
        numbers
    }
}

fn write_length(bytes: &mut Vec<u8>, length: usize) {
    let length = u32::try_from(length).expect("an entry is at most 64 MiB");
    bytes.extend_from_slice(&length.to_le_bytes());
}

/// Reads tables from front to back.
pub(super) struct Cursor<'a>(pub(super) &'a [u8]);

impl<'a> Cursor<'a> {
    pub(super) fn take(&mut self, length: usize) -> Result<&'a [u8], TableError> {
        let (head, rest) = self.0.split_at_checked(length).ok_or(TableError("they end early"))?;
        self.0 = rest;
        Ok(head)
    }

    pub(super) fn array<const N: usize>(&mut self) -> Result<[u8; N], TableError> {
        let (head, rest) = self.0.split_first_chunk().ok_or(TableError("they end early"))?;
        self.0 = rest;
        Ok(*head)
    }

    pub(super) fn u32(&mut self) -> Result<u32, TableError> {
        Ok(u32::from_le_bytes(self.array()?))
    }

    pub(super) fn length(&mut self) -> Result<usize, TableError> {
        Ok(self.u32()? as usize)
    }

    pub(super) fn end(self) -> Result<(), TableError> {
        if self.0.is_empty() { Ok(()) } else { Err(TableError("something follows them")) }
    }

    fn session_after(&mut self, before: &mut Option<SessionId>) -> Result<SessionId, TableError> {
        let session = SessionId(self.array()?);
        if before.replace(session).is_some_and(|before| before >= session) {
            return Err(TableError("sessions are out of order"));
        }
        Ok(session)
    }
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeSet;

    use proptest::prelude::*;
    use soter_world::sim::cases;

    use super::*;

    type Model = BTreeSet<(PackClass, PackId)>;

    fn any_pack() -> impl Strategy<Value = (PackClass, PackId)> {
        let number = prop_oneof![0..200u32, 4000..4010u32];
        (any::<bool>(), 0..3u8, number).prop_map(|(data, session, number)| {
            let class = if data { PackClass::Data } else { PackClass::Map };
            (class, PackId { session: SessionId([session; 8]), number })
        })
    }

    fn any_model() -> impl Strategy<Value = Model> {
        proptest::collection::btree_set(any_pack(), 0..40)
    }

    fn set(model: &Model) -> PackSet {
        model.iter().copied().collect()
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(cases(64)))]

        #[test]
        fn a_set_of_packs_is_a_set(left in any_model(), right in any_model()) {
            let (mut sum, mut rest) = (set(&left), set(&left));
            sum.add(&set(&right));
            rest.remove(&set(&right));
            prop_assert_eq!(&sum, &set(&left.union(&right).copied().collect()));
            prop_assert_eq!(&rest, &set(&left.difference(&right).copied().collect()));
            prop_assert_eq!(sum.iter().collect::<Model>(), left.union(&right).copied().collect());
            prop_assert_eq!(sum.count(), left.union(&right).count() as u64);
            let common = set(&left).common(&set(&right));
            prop_assert_eq!(common, left.intersection(&right).next().copied());
            for (class, pack) in &right {
                prop_assert_eq!(set(&left).contains(*class, *pack), left.contains(&(*class, *pack)));
            }
        }

        #[test]
        fn sets_and_rows_come_back(left in any_model(), salt: u8) {
            let mut rows = PackRows::default();
            for (class, pack) in &left {
                let hash = Digest([salt; 32]);
                rows.insert(*class, *pack, PackRow { salt: Salt([salt; 16]), length: 7, hash });
            }
            let mut bytes = Vec::new();
            set(&left).write(&mut bytes);
            rows.write(&mut bytes);
            let mut cursor = Cursor(&bytes);
            prop_assert_eq!(PackSet::read(&mut cursor), Ok(set(&left)));
            prop_assert_eq!(PackRows::read(&mut cursor), Ok(rows.clone()));
            prop_assert_eq!(cursor.end(), Ok(()));
            prop_assert_eq!(rows.packs(), set(&left));
        }

        #[test]
        fn any_bytes_are_read_or_refused(bytes in proptest::collection::vec(0..4u8, 0..200)) {
            let mut cursor = Cursor(&bytes);
            drop(PackSet::read(&mut cursor).map(|_| PackRows::read(&mut cursor)));
        }
    }

    #[test]
    fn the_highest_number_fits() {
        let mut set = PackSet::default();
        let highest = PackId { session: SessionId([1; 8]), number: PACK_NUMBER_LIMIT - 1 };
        set.insert(PackClass::Map, highest);
        let mut bytes = Vec::new();
        set.write(&mut bytes);
        assert_eq!(PackSet::read(&mut Cursor(&bytes)), Ok(set.clone()));
        assert_eq!(set.iter().collect::<Vec<_>>(), [(PackClass::Map, highest)]);
    }

    #[test]
    fn lengths_are_not_believed() {
        let huge = [1, 0, 0, 0, 9, 9, 9, 9, 9, 9, 9, 9, 0xff, 0xff, 0xff, 0xff];
        assert!(PackSet::read(&mut Cursor(&huge)).is_err());
        assert!(PackRows::read(&mut Cursor(&huge)).is_err());
        assert!(PackRows::read(&mut Cursor(&[0xff; 4])).is_err());
    }
}
