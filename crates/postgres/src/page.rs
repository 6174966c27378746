//! Pages of relations: their checksum, and whether they can be what a server wrote.
//!
//! The checksum is PostgreSQL's own (`checksum_impl.h`): 32 sums side by side over the page's words,
//! in a shape the compiler turns into vector code, folded together and mixed with the block number,
//! so that a page in the wrong place is noticed as well.
//!
//! What a finding means is for the caller to judge: a page that a server writes right now is torn
//! when read from below, and replay repairs it. Read again, or look at its LSN.

use crate::little_endian::{u16_at, u32_at};
use crate::lsn::Lsn;
use crate::relation::BlockNumber;

/// Pages are made of rows of words, one for each of the sums; every page size is a multiple.
const SUMS: usize = 32;
const ROW_BYTES: usize = SUMS * 4;

const FNV_PRIME: u32 = 16_777_619;

/// Where each sum begins: random numbers, so that zeros count.
const SUMS_BEGIN: [u32; SUMS] = [
    0x5B1F_36E9,
    0xB852_5960,
    0x02AB_50AA,
    0x1DE6_6D2A,
    0x79FF_467A,
    0x9BB9_F8A3,
    0x217E_7CD2,
    0x83E1_3D2C,
    0xF8D4_474F,
    0xE39E_B970,
    0x42C6_AE16,
    0x9932_16FA,
    0x7B09_3B5D,
    0x98DA_FF3C,
    0xF718_902A,
    0x0B1C_9CDB,
    0xE58F_764B,
    0x1876_36BC,
    0x5D7B_3BB1,
    0xE73D_E7DE,
    0x92BE_C979,
    0xCCA6_C0B2,
    0x304A_0979,
    0x85AA_43D4,
    0x7831_25BB,
    0x6CA8_EAA2,
    0xE407_EAC6,
    0x4B5C_FC3E,
    0x9FBF_8C76,
    0x15CA_20BE,
    0xF2CA_9FD3,
    0x959B_D756,
];

/// Bytes before the first line pointer; a page cannot be shorter.
const HEADER_BYTES: usize = 24;

/// `PD_VALID_FLAG_BITS`: all flags there are.
const FLAGS_KNOWN: u16 = 0x0007;

/// Whether a cluster's pages carry checksums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageChecksums {
    /// They do; see [`crate::control::ControlFile::page_checksums`].
    On,
    /// They do not: the field may hold anything.
    Off,
}

/// What can be said of a page by itself.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum PageState {
    /// A server would accept it.
    Valid,
    /// Nothing but zeros: added to the relation and not yet used. Legal.
    AllZero,
    /// Its header says it was never used, yet it is not empty. A server refuses such a page.
    New,
    /// Its bytes do not give its checksum: torn by a write under way, or damaged.
    BadChecksum {
        /// What the page says.
        found: u16,
        /// What its bytes give.
        expected: u16,
        /// What its header says was the last change; after the start of a backup, replay writes
        /// the page anew.
        lsn: Lsn,
    },
    /// Its header contradicts itself (or this is not a page's length).
    BadHeader,
}

/// Judges a page by the rules that the server applies when it reads one.
pub fn check_page(page: &[u8], block: BlockNumber, checksums: PageChecksums) -> PageState {
    let (Some(header), Some(lsn)) = (Header::parse(page), page_lsn(page)) else {
        return PageState::BadHeader;
    };
    if header.upper == 0 {
        return if is_zero(page) { PageState::AllZero } else { PageState::New };
    }
    if checksums == PageChecksums::On {
        let expected = page_checksum(page, block);
        if header.checksum != expected {
            return PageState::BadChecksum { found: header.checksum, expected, lsn };
        }
    }
    if header.is_sane(page.len()) { PageState::Valid } else { PageState::BadHeader }
}

/// The end of the last WAL record that changed the page. Zero in pages that no record has changed.
pub fn page_lsn(page: &[u8]) -> Option<Lsn> {
    let (high, low) = (u32_at(page, 0)?, u32_at(page, 4)?);
    Some(Lsn(u64::from(high) << 32 | u64::from(low)))
}

/// The checksum of a page at this block of its fork, counted through all segments of the fork.
pub fn page_checksum(page: &[u8], block: BlockNumber) -> u16 {
    let mut sums = SUMS_BEGIN;
    let (rows, _) = page.as_chunks::<ROW_BYTES>();
    for (index, row) in rows.iter().enumerate() {
        let mut words = words(row);
        if index == 0 {
            // The checksum itself counts as zero; it shares its word with the flags.
            words[2] &= 0xFFFF_0000;
        }
        add_row(&mut sums, &words);
    }
    add_row(&mut sums, &[0; SUMS]);
    add_row(&mut sums, &[0; SUMS]);
    let sum = sums.iter().fold(0, |all, sum| all ^ sum) ^ block.0;
    u16::try_from(sum % 65_535 + 1).expect("a remainder of 65535 plus one fits")
}

fn words(row: &[u8; ROW_BYTES]) -> [u32; SUMS] {
    let (bytes, _) = row.as_chunks::<4>();
    std::array::from_fn(|index| u32::from_le_bytes(bytes[index]))
}

fn add_row(sums: &mut [u32; SUMS], words: &[u32; SUMS]) {
    for (sum, word) in sums.iter_mut().zip(words) {
        let mixed = *sum ^ word;
        *sum = mixed.wrapping_mul(FNV_PRIME) ^ (mixed >> 17);
    }
}

fn is_zero(page: &[u8]) -> bool {
    let (rows, rest) = page.as_chunks::<ROW_BYTES>();
    let row_is_zero = |row: &[u8; ROW_BYTES]| row.iter().fold(0, |all, byte| all | byte) == 0;
    rows.iter().all(row_is_zero) && rest.iter().all(|&byte| byte == 0)
}

struct Header {
    checksum: u16,
    flags: u16,
    lower: u16,
    upper: u16,
    special: u16,
}

impl Header {
    fn parse(page: &[u8]) -> Option<Self> {
        if page.len() < HEADER_BYTES || !page.len().is_multiple_of(ROW_BYTES) {
            return None;
        }
        Some(Self {
            checksum: u16_at(page, 8)?,
            flags: u16_at(page, 10)?,
            lower: u16_at(page, 12)?,
            upper: u16_at(page, 14)?,
            special: u16_at(page, 16)?,
        })
    }

    fn is_sane(&self, page_bytes: usize) -> bool {
        self.flags & !FLAGS_KNOWN == 0
            && self.lower <= self.upper
            && self.upper <= self.special
            && usize::from(self.special) <= page_bytes
            && self.special.is_multiple_of(8)
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::relation::RelationSegment;
    use crate::testing::{Shutdown, TestCluster};
    use proptest::prelude::*;
    use std::path::{Path, PathBuf};

    const PAGE_BYTES: usize = 8192;
    const BLOCK: BlockNumber = BlockNumber(131_072 + 7);

    /// A page as a server would write it: header, something at both ends, checksum.
    fn page() -> Vec<u8> {
        let mut page = vec![0; PAGE_BYTES];
        page[..8].copy_from_slice(&[1, 0, 0, 0, 0x80, 0, 0, 0]);
        for (at, value) in [(12, 28_u16), (14, 8000), (16, 8192), (18, 8196)] {
            page[at..at + 2].copy_from_slice(&value.to_le_bytes());
        }
        page[8000..].fill(0x5A);
        seal(page)
    }

    fn seal(mut page: Vec<u8>) -> Vec<u8> {
        let checksum = page_checksum(&page, BLOCK);
        page[8..10].copy_from_slice(&checksum.to_le_bytes());
        page
    }

    fn check(page: &[u8]) -> PageState {
        check_page(page, BLOCK, PageChecksums::On)
    }

    #[test]
    fn judges_like_a_server() {
        assert_eq!(check(&page()), PageState::Valid);
        assert_eq!(check(&[0; PAGE_BYTES]), PageState::AllZero);
        let mut new = vec![0; PAGE_BYTES];
        new[PAGE_BYTES - 1] = 1;
        assert_eq!(check(&new), PageState::New);
        for (at, value) in [(10, 8_u8), (13, 0xFF), (15, 0xFF), (17, 0x30), (16, 1)] {
            let mut bad = page();
            bad[at] = value;
            assert_eq!(check(&seal(bad)), PageState::BadHeader, "byte {at}");
        }
        for length in [0, 1, 23, 24, PAGE_BYTES - 1] {
            assert_eq!(check(&page()[..length]), PageState::BadHeader);
        }
    }

    #[test]
    fn any_flipped_bit_is_noticed() {
        for bit in (0..PAGE_BYTES * 8).step_by(13).chain(0..HEADER_BYTES * 8) {
            let mut damaged = page();
            damaged[bit / 8] ^= 1 << (bit % 8);
            assert!(matches!(check(&damaged), PageState::BadChecksum { .. }), "bit {bit}");
        }
    }

    #[test]
    fn a_page_in_the_wrong_place_is_noticed() {
        let elsewhere = check_page(&page(), BlockNumber(8), PageChecksums::On);
        let PageState::BadChecksum { found, expected, lsn } = elsewhere else {
            panic!("{elsewhere:?}");
        };
        assert_ne!(found, expected);
        assert_eq!(lsn, Lsn(0x1_0000_0080));
        let unknowing = check_page(&page(), BlockNumber(8), PageChecksums::Off);
        assert_eq!(unknowing, PageState::Valid);
    }

    proptest! {
        #[test]
        fn any_bytes_are_judged(bytes in proptest::collection::vec(any::<u8>(), 0..600)) {
            check_page(&bytes, BLOCK, PageChecksums::On);
        }
    }

    fn files_under(directory: &Path, found: &mut Vec<PathBuf>) {
        for entry in std::fs::read_dir(directory).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() { files_under(&path, found) } else { found.push(path) }
        }
    }

    #[test]
    fn real_cluster_has_only_valid_pages_until_a_bit_flips() {
        let mut cluster = TestCluster::initdb(&[]).unwrap();
        cluster.start().unwrap();
        let sql = "create table t as select i, md5(i::text) from generate_series(1, 5000) i;
            create index on t using gin ((array[i])); vacuum t";
        cluster.psql(sql).unwrap();
        cluster.stop(Shutdown::Fast).unwrap();
        let version = cluster.binaries().version();
        let (mut paths, mut pages, mut unnoticed) = (Vec::new(), 0, 0);
        files_under(cluster.data_directory(), &mut paths);
        for path in paths {
            let name = path.strip_prefix(cluster.data_directory()).unwrap().to_str().unwrap();
            if RelationSegment::parse(name, version).is_none() {
                continue;
            }
            for (block, page) in (0..).zip(std::fs::read(&path).unwrap().chunks(PAGE_BYTES)) {
                let check = |page| check_page(page, BlockNumber(block), PageChecksums::On);
                let state = check(page);
                let is_good = matches!(state, PageState::Valid | PageState::AllZero);
                assert!(is_good, "{name} block {block}: {state:?}");
                let mut damaged = page.to_vec();
                damaged[(pages * 37) % PAGE_BYTES] ^= 0x10;
                unnoticed += u32::from(check(&damaged) == PageState::Valid);
                pages += 1;
            }
        }
        assert!(pages > 500, "{pages} pages");
        // Sixteen bits miss one damage in 65536; the pages differ from run to run.
        assert!(unnoticed <= 2, "{unnoticed} of {pages} damages");
    }
}
