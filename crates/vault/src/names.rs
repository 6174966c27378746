//! Every name in a vault is made and read here.
//!
//! Names are fixed-width, so that listing order is the order of the numbers in them. A name may
//! carry a repair suffix `.r1` to `.r9`: a second object with the same meaning, written because
//! the first one is damaged or was put there by a stranger; readers try it after the first.

use std::fmt;

use crate::ids::{IncarnationId, SessionId, StoreId};

/// The record that makes a place a vault.
pub const VAULT_RECORD: &str = "soter.vault";

/// How many repairs of one object there may be.
pub const REPAIRS_MAX: u8 = 9;

/// What a pack holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum PackClass {
    /// Contents, sealed under the session's key.
    Data,
    /// Maps, sealed under the store's metadata key.
    Map,
}

/// A file of a cluster's WAL archive: a segment, or one of the small files beside them.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct WalFile {
    /// The store it belongs to.
    pub store: StoreId,
    /// The life of the cluster that wrote it.
    pub incarnation: IncarnationId,
    /// Timeline.
    pub timeline: u32,
    /// The file's own name, as PostgreSQL gives it: 24 hex digits and perhaps a suffix, or
    /// `XXXXXXXX.history`.
    pub file: String,
}

/// A part of a WAL segment that has been streamed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct LivePart {
    /// The store it belongs to.
    pub store: StoreId,
    /// The life of the cluster that wrote it.
    pub incarnation: IncarnationId,
    /// Timeline.
    pub timeline: u32,
    /// Number of the segment: position divided by the segment size.
    pub segment: u64,
    /// First byte within the segment.
    pub from: u32,
    /// One after the last byte within the segment.
    pub to: u32,
    /// Who wrote it.
    pub session: SessionId,
}

/// The name of a run, as the engine gives it: part of its objects' names.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct RunName(String);

/// A run's name is at most this long.
pub const RUN_NAME_LENGTH_MAX: usize = 96;

impl RunName {
    /// The name, if it can be one: letters, digits, `-`, `_` and `.`, the first a letter or a digit.
    pub fn parse(text: &str) -> Option<Self> {
        let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
        let first = text.bytes().next().is_some_and(|byte| byte.is_ascii_alphanumeric());
        (first && text.len() <= RUN_NAME_LENGTH_MAX && text.bytes().all(fits))
            .then(|| Self(text.to_owned()))
    }
}

impl fmt::Display for RunName {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

/// The name of an object.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Name {
    /// The vault's record.
    VaultRecord,
    /// A signed trust list.
    Trust(u32),
    /// An entry of a store's log.
    Log(StoreId, u64),
    /// A checkpoint of the log's fold up to and with this entry.
    Checkpoint(StoreId, u64),
    /// A pack.
    Pack(PackClass, StoreId, SessionId, u32),
    /// A sealed file of the WAL archive.
    Wal(WalFile),
    /// The index of a complete folder of WAL segments, by the folder's number.
    WalIndex(StoreId, IncarnationId, u32, u32),
    /// A streamed part of a segment.
    Live(LivePart),
    /// A published plan.
    Plan(u32),
    /// A piece of a run's journal, by the number of its first record.
    Run(RunName, u64),
}

impl PackClass {
    fn folder(self) -> &'static str {
        match self {
            Self::Data => "data",
            Self::Map => "map",
        }
    }
}

impl fmt::Display for Name {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::VaultRecord => f.write_str(VAULT_RECORD),
            Self::Trust(number) => write!(f, "trust/{number:08x}"),
            Self::Log(store, sequence) => write!(f, "log/{store}/{sequence:016x}"),
            Self::Checkpoint(store, sequence) => {
                write!(f, "cat/{store}/{:016x}", u64::MAX - sequence)
            }
            Self::Pack(class, store, session, number) => {
                write!(f, "{}/{store}/{session}/{number:06x}", class.folder())
            }
            Self::Plan(number) => write!(f, "plan/{number:08x}"),
            Self::Run(run, number) => write!(f, "run/{run}/{number:016x}"),
            Self::Wal(wal) => {
                let folder = wal_folder(&wal.file);
                let WalFile { store, incarnation, timeline, file } = wal;
                write!(f, "wal/{store}/{incarnation}/{timeline:08x}/{folder:08x}/{file}")
            }
            Self::WalIndex(store, incarnation, timeline, folder) => {
                write!(f, "wal/{store}/{incarnation}/{timeline:08x}/{folder:08x}/idx")
            }
            Self::Live(part) => {
                let LivePart { store, incarnation, timeline, segment, from, to, session } = part;
                write!(
                    f,
                    "live/{store}/{incarnation}/{timeline:08x}/{segment:016x}/{from:08x}-{to:08x}.{session}"
                )
            }
        }
    }
}

/// The folder of a WAL file: the middle eight digits of a segment's name (its `hi` part), which
/// gathers 256 segments at 16 MiB; history files are in folder 0.
fn wal_folder(file: &str) -> u32 {
    file.get(8..16).and_then(|middle| u32::from_str_radix(middle, 16).ok()).unwrap_or(0)
}

impl Name {
    /// Reads a name. `None` for anything this version would not have written.
    pub fn parse(text: &str) -> Option<Self> {
        let parts: Vec<&str> = text.split('/').collect();
        let name = match parts.as_slice() {
            [VAULT_RECORD] => Self::VaultRecord,
            ["trust", number] => Self::Trust(hex_u32(number)?),
            ["plan", number] => Self::Plan(hex_u32(number)?),
            ["run", run, number] => Self::Run(RunName::parse(run)?, hex_u64(number)?),
            ["log", store, sequence] => Self::Log(store.parse().ok()?, hex_u64(sequence)?),
            ["cat", store, inverse] => {
                Self::Checkpoint(store.parse().ok()?, u64::MAX - hex_u64(inverse)?)
            }
            [class @ ("data" | "map"), store, session, number] if number.len() == 6 => {
                let class = if *class == "data" { PackClass::Data } else { PackClass::Map };
                let number = u32::from_str_radix(number, 16).ok()?;
                Self::Pack(class, store.parse().ok()?, session.parse().ok()?, number)
            }
            ["wal", store, incarnation, timeline, folder, "idx"] => Self::WalIndex(
                store.parse().ok()?,
                incarnation.parse().ok()?,
                hex_u32(timeline)?,
                hex_u32(folder)?,
            ),
            ["wal", store, incarnation, timeline, _, file] => Self::Wal(WalFile {
                store: store.parse().ok()?,
                incarnation: incarnation.parse().ok()?,
                timeline: hex_u32(timeline)?,
                file: wal_file_name(file)?,
            }),
            ["live", store, incarnation, timeline, segment, range] => {
                Self::Live(live_part(store, incarnation, timeline, segment, range)?)
            }
            _ => return None,
        };
        // One spelling for each name: whatever does not print as it was read is not ours.
        (name.to_string() == text).then_some(name)
    }
}

fn live_part(
    store: &str,
    inc: &str,
    timeline: &str,
    segment: &str,
    range: &str,
) -> Option<LivePart> {
    let (positions, session) = range.split_once('.')?;
    let (from, to) = positions.split_once('-')?;
    Some(LivePart {
        store: store.parse().ok()?,
        incarnation: inc.parse().ok()?,
        timeline: hex_u32(timeline)?,
        segment: hex_u64(segment)?,
        from: hex_u32(from)?,
        to: hex_u32(to)?,
        session: session.parse().ok()?,
    })
}

/// A file of PostgreSQL's WAL directory that may be archived: letters, digits and dots only.
fn wal_file_name(file: &str) -> Option<String> {
    let fits = file.len() >= 16
        && file.len() <= 64
        && file.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'.')
        && split_repair(file).1.is_none();
    fits.then(|| file.to_owned())
}

fn hex_u32(text: &str) -> Option<u32> {
    (text.len() == 8).then(|| u32::from_str_radix(text, 16).ok()).flatten()
}

fn hex_u64(text: &str) -> Option<u64> {
    (text.len() == 16).then(|| u64::from_str_radix(text, 16).ok()).flatten()
}

/// The name of repair `number` (1 to [`REPAIRS_MAX`]) of the object `name`.
pub fn repair_of(name: &str, number: u8) -> String {
    format!("{name}.r{number}")
}

/// Splits a name into the object's own name and the repair's number.
pub fn split_repair(name: &str) -> (&str, Option<u8>) {
    if let Some((base, suffix)) = name.rsplit_once(".r")
        && let [digit @ b'1'..=b'9'] = suffix.as_bytes()
    {
        return (base, Some(digit - b'0'));
    }
    (name, None)
}

/// The prefix of all entries of a store's log.
pub fn log_prefix(store: StoreId) -> String {
    format!("log/{store}/")
}

/// The prefix of all checkpoints of a store.
pub fn checkpoint_prefix(store: StoreId) -> String {
    format!("cat/{store}/")
}

/// The prefix of all trust lists.
pub const TRUST_PREFIX: &str = "trust/";

/// The prefix of all published plans.
pub const PLAN_PREFIX: &str = "plan/";

/// The prefix of all runs, or of one of them.
pub fn run_prefix(run: Option<&RunName>) -> String {
    run.map_or_else(|| "run/".to_owned(), |run| format!("run/{run}/"))
}

/// The prefix of a store's packs of one class; with a session, of that session's packs.
pub fn pack_prefix(class: PackClass, store: StoreId, session: Option<SessionId>) -> String {
    match session {
        Some(session) => format!("{}/{store}/{session}/", class.folder()),
        None => format!("{}/{store}/", class.folder()),
    }
}

/// The prefix of the sealed WAL of one incarnation, or of one of its timelines.
pub fn wal_prefix(store: StoreId, incarnation: IncarnationId, timeline: Option<u32>) -> String {
    match timeline {
        Some(timeline) => format!("wal/{store}/{incarnation}/{timeline:08x}/"),
        None => format!("wal/{store}/{incarnation}/"),
    }
}

/// The prefix of the streamed parts of one incarnation, one timeline, or one segment of it.
pub fn live_prefix(
    store: StoreId,
    incarnation: IncarnationId,
    place: Option<(u32, Option<u64>)>,
) -> String {
    match place {
        None => format!("live/{store}/{incarnation}/"),
        Some((timeline, None)) => format!("live/{store}/{incarnation}/{timeline:08x}/"),
        Some((timeline, Some(segment))) => {
            format!("live/{store}/{incarnation}/{timeline:08x}/{segment:016x}/")
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn store() -> StoreId {
        StoreId([1, 2, 3, 4, 5, 6, 7, 8])
    }

    fn any_name() -> impl Strategy<Value = Name> {
        let ids = (any::<[u8; 8]>(), any::<[u8; 8]>(), any::<[u8; 8]>());
        (0..10u8, ids, any::<(u32, u32, u64)>()).prop_map(|(kind, (a, b, c), (x, y, z))| {
            let (store, session, incarnation) = (StoreId(a), SessionId(b), IncarnationId(c));
            match kind {
                0 => Name::VaultRecord,
                1 => Name::Trust(x),
                2 => Name::Log(store, z),
                3 => Name::Checkpoint(store, z),
                4 => Name::Pack(PackClass::Data, store, session, x % 0x0100_0000),
                5 => Name::Wal(WalFile {
                    store,
                    incarnation,
                    timeline: x,
                    file: format!("{x:08X}{y:08X}{:08X}", z % 256),
                }),
                6 => Name::WalIndex(store, incarnation, x, y),
                7 => Name::Plan(x),
                8 => Name::Run(RunName::parse(&format!("loss-20301102-0910-{y}")).unwrap(), z),
                _ => Name::Live(LivePart {
                    store,
                    incarnation,
                    timeline: x,
                    segment: z,
                    from: y,
                    to: x,
                    session,
                }),
            }
        })
    }

    proptest! {
        #[test]
        fn a_name_is_read_back_as_it_was_written(name in any_name()) {
            prop_assert_eq!(Name::parse(&name.to_string()), Some(name));
        }

        #[test]
        fn any_text_is_a_name_or_refused(text in ".{0,80}") {
            if let Some(name) = Name::parse(&text) {
                prop_assert_eq!(name.to_string(), text);
            }
        }
    }

    #[test]
    fn newer_checkpoints_list_first() {
        let old = Name::Checkpoint(store(), 1).to_string();
        let new = Name::Checkpoint(store(), 2).to_string();
        assert!(new < old);
    }

    #[test]
    fn small_files_of_the_archive_have_names() {
        for file in ["00000002.history", "000000010000000000000003.00000028.backup"] {
            let wal = WalFile {
                store: store(),
                incarnation: IncarnationId([9; 8]),
                timeline: 2,
                file: file.to_owned(),
            };
            let name = Name::Wal(wal);
            assert_eq!(Name::parse(&name.to_string()), Some(name));
        }
    }

    #[test]
    fn a_repair_is_told_from_its_object() {
        let name = Name::Log(store(), 7).to_string();
        assert_eq!(split_repair(&repair_of(&name, 3)), (name.as_str(), Some(3)));
        assert_eq!(split_repair(&name), (name.as_str(), None));
        assert_eq!(split_repair("a.r0"), ("a.r0", None));
    }
}
