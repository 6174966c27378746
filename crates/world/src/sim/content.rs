//! The bytes of one simulated file: what is read, and what a power cut would leave of them.

use super::random::SeededRandom;

/// What a disk writes at once. A larger write can be cut short at any multiple of it.
const SECTOR_BYTES: usize = 512;

/// A file's bytes as the kernel shows them and as the disk holds them.
#[derive(Debug, Default)]
pub(super) struct Content {
    current: Vec<u8>,
    durable: Vec<u8>,
    /// What leads from `durable` to `current`, in order.
    unsynced: Vec<Change>,
}

#[derive(Debug)]
enum Change {
    Write { offset: usize, bytes: Vec<u8> },
    SetLength(usize),
}

impl Content {
    pub(super) fn current(&self) -> &[u8] {
        &self.current
    }

    pub(super) fn write(&mut self, offset: usize, bytes: &[u8]) {
        self.change(Change::Write { offset, bytes: bytes.to_vec() });
    }

    pub(super) fn set_length(&mut self, length: usize) {
        self.change(Change::SetLength(length));
    }

    pub(super) fn sync(&mut self) {
        for change in self.unsynced.drain(..) {
            change.apply(&mut self.durable);
        }
    }

    /// A sync that failed: Linux marks the pages clean all the same, so that no later sync writes
    /// them, while reads go on showing them.
    pub(super) fn fail_to_sync(&mut self) {
        self.unsynced.clear();
    }

    /// The power fails: of each unsynced change all, some sectors or nothing reached the disk.
    pub(super) fn crash(&mut self, random: &SeededRandom) {
        for change in self.unsynced.drain(..) {
            match random.below(3) {
                0 => {}
                1 => change.apply(&mut self.durable),
                _ => change.tear(&mut self.durable, random),
            }
        }
        self.current.clone_from(&self.durable);
    }

    fn change(&mut self, change: Change) {
        change.apply(&mut self.current);
        self.unsynced.push(change);
    }
}

impl Change {
    fn apply(&self, file: &mut Vec<u8>) {
        match self {
            // As fast as it may be without optimisation: many tests write nothing but new files.
            Self::SetLength(length) if file.is_empty() => *file = vec![0; *length],
            Self::SetLength(length) => file.resize(*length, 0),
            Self::Write { offset, bytes } => {
                if file.len() < *offset {
                    file.resize(*offset, 0);
                }
                let known = bytes.len().min(file.len() - offset);
                file[*offset..offset + known].copy_from_slice(&bytes[..known]);
                file.extend_from_slice(&bytes[known..]);
            }
        }
    }

    /// The length arrives; of the sectors each one does or does not.
    fn tear(&self, file: &mut Vec<u8>, random: &SeededRandom) {
        let Self::Write { offset, bytes } = self else { return };
        let end = offset + bytes.len();
        if file.len() < end {
            file.resize(end, 0);
        }
        let mut at = *offset;
        while at < end {
            let sector_end = end.min((at / SECTOR_BYTES + 1) * SECTOR_BYTES);
            if random.chance(50) {
                file[at..sector_end].copy_from_slice(&bytes[at - offset..sector_end - offset]);
            }
            at = sector_end;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn synced_bytes_survive_and_unsynced_ones_are_torn_at_sectors() {
        let mut outcomes = std::collections::BTreeSet::new();
        for seed in 0..200 {
            let mut content = Content::default();
            content.write(0, &[1; 1024]);
            content.sync();
            content.write(256, &[2; 1024]);
            assert_eq!(content.current().len(), 1280);
            content.crash(&SeededRandom::new(seed));
            let left = content.current().to_vec();
            assert_eq!(left[..256], [1; 256], "seed {seed}");
            for sector in left.chunks(512) {
                let last = sector[sector.len() - 1];
                assert!(sector[256.min(sector.len() - 1)..].iter().all(|byte| *byte == last));
            }
            outcomes.insert(left);
        }
        // Nothing arrived, or any subset of three sectors with the new length.
        assert_eq!(outcomes.len(), 9);
    }

    #[test]
    fn after_a_failed_sync_a_second_one_saves_nothing() {
        let mut content = Content::default();
        content.write(0, b"lost");
        content.fail_to_sync();
        assert_eq!(content.current(), b"lost");
        content.sync();
        content.crash(&SeededRandom::new(1));
        assert_eq!(content.current(), b"");
    }
}
