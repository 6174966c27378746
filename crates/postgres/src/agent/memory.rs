//! What an agent remembers between its runs, beside the vault: so that a vault which shows less than
//! it once did is noticed, and WAL is not looked for from its beginning.

use std::io;
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use soter_vault::ids::{IncarnationId, SessionId};
use soter_vault::log::LogHead;
use soter_world::{Disk, durable};

use crate::lsn::{Lsn, Timeline};

/// A memory is a few lines; more is another file.
const LENGTH_MAX: usize = 1 << 20;

/// How many gaps are remembered: they are in the vault's listing too, these are for people.
const GAPS_MAX: usize = 100;

/// What is remembered.
#[derive(Debug, Clone, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Memory {
    /// The highest trust list seen.
    #[serde(default)]
    pub(crate) trust_number: u32,
    /// The newest entry of the log that was seen.
    #[serde(default)]
    pub(crate) head: Option<LogHead>,
    /// Where this agent stood.
    #[serde(default)]
    pub(crate) stand: Option<Stand>,
    /// WAL that was never received.
    #[serde(default)]
    pub(crate) gaps: Vec<Gap>,
}

/// Where an agent stood. It counts only while no other session has written since.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Stand {
    pub(crate) session: SessionId,
    pub(crate) incarnation: IncarnationId,
    pub(crate) timeline: Timeline,
    /// The beginning of the first segment that was not sealed.
    pub(crate) unsealed: Lsn,
    /// The end of what was durable in the vault.
    pub(crate) durable: Lsn,
}

/// WAL that was never received and is gone from the server.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Gap {
    /// The timeline.
    pub timeline: Timeline,
    /// The first byte that is missing.
    pub from: Lsn,
    /// The first byte that is there again.
    pub to: Lsn,
    /// When it was noticed.
    pub noticed_at: Timestamp,
    /// Why.
    pub reason: String,
}

impl Memory {
    /// What was remembered in a state directory; nothing if it is the first time.
    pub(crate) fn load(disk: &dyn Disk, directory: &Path) -> io::Result<Self> {
        match durable::read(disk, &file(directory), LENGTH_MAX) {
            Ok(bytes) => serde_json::from_slice(&bytes).map_err(io::Error::other),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Self::default()),
            Err(error) => Err(error),
        }
    }

    /// Remembers it durably.
    pub(crate) fn save(&self, disk: &dyn Disk, directory: &Path) -> io::Result<()> {
        let bytes = serde_json::to_vec_pretty(self).map_err(io::Error::other)?;
        durable::write_durable(disk, &file(directory), &bytes)
    }

    /// Notes a gap.
    pub(crate) fn note_gap(&mut self, gap: Gap) {
        if self.gaps.len() == GAPS_MAX {
            self.gaps.remove(0);
        }
        self.gaps.push(gap);
    }
}

fn file(directory: &Path) -> PathBuf {
    directory.join("memory.json")
}

#[cfg(test)]
mod tests {
    use soter_vault::ids::Digest;
    use soter_world::sim::SimDisk;

    use super::*;

    #[test]
    fn what_is_remembered_survives_a_power_cut() {
        let disk = SimDisk::new(1);
        let directory = Path::new("/state");
        disk.create_dir(directory).unwrap();
        disk.sync_dir(Path::new("/")).unwrap();
        assert_eq!(Memory::load(&disk, directory).unwrap(), Memory::default());
        let stand = Stand {
            session: SessionId([1; 8]),
            incarnation: IncarnationId([2; 8]),
            timeline: Timeline(3),
            unsealed: Lsn(4),
            durable: Lsn(5),
        };
        let head = Some(LogHead { sequence: 6, hash: Digest([8; 32]) });
        let mut memory = Memory { trust_number: 7, head, stand: Some(stand), gaps: Vec::new() };
        memory.note_gap(Gap {
            timeline: Timeline(1),
            from: Lsn(1),
            to: Lsn(2),
            noticed_at: Timestamp::UNIX_EPOCH,
            reason: "the slot was lost".to_owned(),
        });
        memory.save(&disk, directory).unwrap();
        disk.reboot();
        assert_eq!(Memory::load(&disk, directory).unwrap(), memory);
    }

    #[test]
    fn what_cannot_be_read_is_not_taken_for_nothing() {
        let disk = SimDisk::new(1);
        disk.create_dir(Path::new("/state")).unwrap();
        disk.create(&file(Path::new("/state"))).unwrap().write_at(0, b"{").unwrap();
        assert!(Memory::load(&disk, Path::new("/state")).is_err());
    }
}
