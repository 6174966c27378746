//! Checking the pages of a file while it is copied.
//!
//! A page that a server writes at this moment reads torn, and replay repairs it: full-page images
//! are forced on while a backup runs. So a bad checksum is looked at again: the page is fine if it
//! changed meanwhile or if its LSN is not before the backup's start, since then WAL holds it whole.
//! What remains is damage on disk. It is reported, with relation and block, and copied as it is: a
//! backup with one bad page is worth more than none.

use std::io;

use crate::lsn::Lsn;
use crate::page::{PageChecksums, PageState, check_page, page_lsn};
use crate::relation::BlockNumber;

/// How often a bad page is read again before it is called damaged.
const READS_MAX: usize = 3;

/// A page that is not what a server wrote.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BadPage {
    /// The file's path in the backup.
    pub path: String,
    /// The block within the relation's fork.
    pub block: u32,
    /// What is wrong with it.
    pub what: String,
}

/// How the pages of one file are checked.
#[derive(Debug, Clone, Copy)]
pub struct PageCheck {
    /// Bytes in a page.
    pub page_length: usize,
    /// The file's first block within its fork.
    pub first_block: u32,
    /// Whether the cluster has checksums.
    pub checksums: PageChecksums,
    /// Where the backup began.
    pub backup_start: Lsn,
}

impl PageCheck {
    /// Checks the pages in `bytes`, which were read at `offset`. `read_again` fills its buffer from
    /// an offset of the file and says how much it got. Bytes that do not make a whole page are not
    /// checked: the file is being extended.
    ///
    /// Pages that changed meanwhile are replaced in `bytes` by what was read last.
    ///
    /// # Errors
    /// What `read_again` says.
    pub fn check(
        &self,
        offset: u64,
        bytes: &mut [u8],
        mut read_again: impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
        mut bad: impl FnMut(u32, String),
    ) -> io::Result<()> {
        let before = offset / self.page_length as u64;
        for (index, page) in bytes.chunks_exact_mut(self.page_length).enumerate() {
            let number = u32::try_from(before + index as u64).unwrap_or(u32::MAX);
            let block = self.first_block.saturating_add(number);
            if self.is_fine(page, block) {
                continue;
            }
            let at = offset + (index * self.page_length) as u64;
            if let Some(what) = self.look_again(at, page, block, &mut read_again)? {
                bad(block, what);
            }
        }
        Ok(())
    }

    fn is_fine(&self, page: &[u8], block: u32) -> bool {
        matches!(
            check_page(page, BlockNumber(block), self.checksums),
            PageState::Valid | PageState::AllZero
        )
    }

    /// Reads a page again until it is fine, or says what is wrong with it.
    fn look_again(
        &self,
        offset: u64,
        page: &mut [u8],
        block: u32,
        read_again: &mut impl FnMut(u64, &mut [u8]) -> io::Result<usize>,
    ) -> io::Result<Option<String>> {
        let mut fresh = vec![0; page.len()];
        for _ in 0..READS_MAX {
            if read_again(offset, &mut fresh)? < fresh.len() {
                // Cut off meanwhile: replay will truncate it as well.
                return Ok(None);
            }
            let changed = fresh != page;
            page.copy_from_slice(&fresh);
            let is_new = page_lsn(page).is_some_and(|lsn| lsn >= self.backup_start);
            if changed || is_new || self.is_fine(page, block) {
                return Ok(None);
            }
        }
        Ok(Some(format!("{:?}", check_page(page, BlockNumber(block), self.checksums))))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::page::page_checksum;

    const CHECK: PageCheck = PageCheck {
        page_length: 8192,
        first_block: 131_072,
        checksums: PageChecksums::On,
        backup_start: Lsn(0x5000),
    };

    /// A page with this LSN and a right checksum for `block`.
    fn page(lsn: u32, block: u32) -> Vec<u8> {
        let mut page = vec![7; 8192];
        page[..24].fill(0);
        page[4..8].copy_from_slice(&lsn.to_le_bytes());
        page[12..14].copy_from_slice(&24u16.to_le_bytes());
        page[14..16].copy_from_slice(&8192u16.to_le_bytes());
        page[16..18].copy_from_slice(&8192u16.to_le_bytes());
        page[18..20].copy_from_slice(&(8192u16 | 4).to_le_bytes());
        let checksum = page_checksum(&page, BlockNumber(block));
        page[8..10].copy_from_slice(&checksum.to_le_bytes());
        page
    }

    /// Checks a file that reads as `second` when it is read again; the bad blocks.
    fn bad_blocks(first: &[u8], second: &[u8]) -> Vec<u32> {
        let mut bytes = first.to_vec();
        let mut bad = Vec::new();
        let again = |offset: u64, buffer: &mut [u8]| {
            let rest = second.get(usize::try_from(offset).unwrap()..).unwrap_or_default();
            let length = rest.len().min(buffer.len());
            buffer[..length].copy_from_slice(&rest[..length]);
            Ok(length)
        };
        CHECK.check(0, &mut bytes, again, |block, _| bad.push(block)).unwrap();
        bad
    }

    #[test]
    fn whole_pages_and_zeros_are_fine() {
        let file = [page(1, 131_072), vec![0; 8192], page(1, 131_074), vec![9; 100]].concat();
        assert_eq!(bad_blocks(&file, &file), [] as [u32; 0]);
    }

    #[test]
    fn damage_is_named_by_its_block_in_the_relation() {
        let mut file = [page(1, 131_072), page(1, 131_073)].concat();
        file[9000] ^= 1;
        assert_eq!(bad_blocks(&file, &file), [131_073]);
    }

    #[test]
    fn a_page_of_another_block_is_damage() {
        let file = page(1, 5);
        assert_eq!(bad_blocks(&file, &file), [131_072]);
    }

    #[test]
    fn a_torn_page_that_is_whole_when_read_again_is_fine() {
        let whole = page(1, 131_072);
        let mut torn = whole.clone();
        torn[4096..].fill(3);
        assert_eq!(bad_blocks(&torn, &whole), [] as [u32; 0]);
        let mut changing = torn.clone();
        changing[8191] = 4;
        assert_eq!(bad_blocks(&torn, &changing), [] as [u32; 0], "it changes: replay repairs it");
    }

    #[test]
    fn a_torn_page_from_after_the_start_is_fine() {
        let mut torn = page(0x5000, 131_072);
        torn[4096..].fill(3);
        assert_eq!(bad_blocks(&torn, &torn), [] as [u32; 0]);
    }

    #[test]
    fn a_page_that_is_cut_off_meanwhile_is_fine() {
        let mut torn = page(1, 131_072);
        torn[4096..].fill(3);
        assert_eq!(bad_blocks(&torn, &torn[..4096]), [] as [u32; 0]);
    }
}
