use std::io;
use std::ops::Range;
use std::sync::{Arc, Mutex};

use proptest::prelude::*;
use soter_world::Stop;
use soter_world::sim::SeededRandom;

use super::*;
use crate::frame::FrameRange;
use crate::ids::SessionId;
use crate::map::entry::{FileEntry, FrameRef, LEAF_LENGTH};
use crate::map::restore::{RestoreOptions, Sink, SinkFile, restore};
use crate::map::testing::{Backup, Options, Vault, attributes, path};
use crate::map::write::{Source, SourceFile, SourceKind};
use crate::map::{NoProgress, SessionKeys};
use crate::pack::PackId;

fn page_ref(number: u32, mask: u16) -> PageRef {
    let frame = FrameRef {
        pack: PackId { session: SessionId([1; 8]), number },
        range: FrameRange { offset: 64, length: 100 },
    };
    PageRef { frame, mask, slot: 0 }
}

proptest! {
    #[test]
    fn a_block_stays_cheap_to_read(changes in proptest::collection::vec(0..=u16::MAX, 1..40)) {
        let mut block = Block::default();
        // Which change each page must come from; none: from the base.
        let mut newest: [Option<u32>; PAGES_PER_BLOCK] = [None; PAGES_PER_BLOCK];
        for (change, wide) in (0..).zip(changes) {
            let mask = wide & wide.rotate_left(3) & wide.rotate_left(7);
            for (page, of_page) in newest.iter_mut().enumerate() {
                if mask >> page & 1 == 1 {
                    *of_page = Some(change);
                }
            }
            match plan_block(&block, mask) {
                BlockPlan::Same => prop_assert_eq!(mask, 0),
                BlockPlan::Whole => {
                    prop_assert!(newest.iter().flatten().count() > UNION_PAGES_MAX as usize);
                    block = Block::default();
                    newest = [None; PAGES_PER_BLOCK];
                }
                BlockPlan::Pages { mut kept, mask: stored } => {
                    prop_assert!(stored & mask == mask && stored.count_ones() <= UNION_PAGES_MAX);
                    kept.push(page_ref(change, stored));
                    block.pages = kept;
                }
            }
            prop_assert!(block.pages.len() <= PAGE_FRAMES_MAX);
            for placed in block.placed_pages() {
                // A union takes pages from the source too, where they are what they last were.
                let from = block.pages[placed.source].frame.pack.number;
                prop_assert!(newest[placed.page].is_some_and(|newest| newest <= from));
            }
            let found = block.placed_pages().len();
            prop_assert_eq!(found, newest.iter().flatten().count());
        }
    }
}

/// A file in memory that knows which of its pages changed since the last backup.
struct PageFile {
    bytes: Vec<u8>,
    changed: Vec<u32>,
    /// Whether it tells.
    tells: bool,
    /// What was read.
    read_bytes: Mutex<usize>,
    /// How long it is found to be.
    found: usize,
}

struct PageReader<'f>(&'f PageFile);

impl Source for PageFile {
    fn open(&self, _: usize, _: Range<u64>) -> io::Result<Option<Box<dyn SourceReader + '_>>> {
        Ok(Some(Box::new(PageReader(self))))
    }

    fn changed_pages(&self, _: usize, range: Range<u64>) -> Option<Vec<u32>> {
        let page = |page: &&u32| range.contains(&(u64::from(**page) * PAGE_LENGTH as u64));
        self.tells.then(|| self.changed.iter().filter(page).copied().collect())
    }
}

impl SourceReader for PageReader<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let offset = usize::try_from(offset).unwrap();
        assert!(offset.is_multiple_of(PAGE_LENGTH));
        let bytes = self.0.bytes.get(offset..self.0.found).unwrap_or_default();
        let length = bytes.len().min(buffer.len());
        buffer[..length].copy_from_slice(&bytes[..length]);
        *self.0.read_bytes.lock().unwrap() += length;
        Ok(length)
    }
}

impl PageFile {
    fn new(bytes: Vec<u8>) -> Self {
        let found = bytes.len();
        Self { bytes, changed: Vec::new(), tells: true, read_bytes: Mutex::default(), found }
    }

    fn change(&mut self, page: usize, random: &SeededRandom) {
        let start = page * PAGE_LENGTH;
        let end = self.bytes.len().min(start + PAGE_LENGTH);
        soter_world::Random::fill(random, &mut self.bytes[start..end]);
        self.changed.push(u32::try_from(page).unwrap());
        self.changed.sort_unstable();
        self.changed.dedup();
    }

    fn resize(&mut self, size: usize, random: &SeededRandom) {
        let before = self.bytes.len();
        self.bytes.resize(size, 0);
        self.found = size;
        for page in before / PAGE_LENGTH..size.div_ceil(PAGE_LENGTH) {
            self.change(page, random);
        }
    }

    fn plan(&self) -> Vec<SourceFile> {
        let kind = SourceKind::File { size: self.bytes.len() as u64 };
        vec![SourceFile { path: path("file"), attributes: attributes(), kind }]
    }

    fn backup(&mut self, vault: &Vault, base: Option<&Backup>, all: bool) -> Backup {
        let everything = |_, _| true;
        let base = base.map(|base| {
            let chosen: Option<crate::map::testing::Choice<'_>> =
                if all { None } else { Some(&everything) };
            (base, chosen)
        });
        let options = Options { base, ..Options::FULL };
        *self.read_bytes.lock().unwrap() = 0;
        let written = vault.write(&vault.session(), &self.plan(), self, options).unwrap();
        self.changed.clear();
        vault.commit(written)
    }
}

#[derive(Default, Clone)]
struct Flat(Arc<Mutex<Vec<u8>>>);

impl Sink for Flat {
    fn directory(&self, _: &FileEntry) -> io::Result<()> {
        Ok(())
    }

    fn link(&self, _: &FileEntry, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn file(&self, _: &FileEntry, size: u64) -> io::Result<Box<dyn SinkFile>> {
        *self.0.lock().unwrap() = vec![0; usize::try_from(size).unwrap()];
        Ok(Box::new(self.clone()))
    }
}

impl SinkFile for Flat {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        let offset = usize::try_from(offset).unwrap();
        self.0.lock().unwrap()[offset..offset + bytes.len()].copy_from_slice(bytes);
        Ok(())
    }

    fn finish(&self) -> io::Result<()> {
        Ok(())
    }
}

fn check(vault: &Vault, backup: &Backup, expected: &[u8]) {
    let (sink, options) = (Flat::default(), RestoreOptions { workers: 1, select: &|_| true });
    let act = |map: &crate::map::LoadedMap<'_>, keys: SessionKeys<'_>| {
        restore(map, keys, &sink, options, &NoProgress, &Stop::new()).unwrap()
    };
    vault.with_map(backup, act).unwrap();
    assert!(*sink.0.lock().unwrap() == expected);
    assert_eq!(vault.verify(backup).unwrap(), []);
}

#[test]
fn increments_of_pages_are_what_the_file_was() {
    for seed in soter_world::sim::seeds(4) {
        println!("seed {seed}");
        let random = SeededRandom::new(seed);
        let vault = Vault::new(seed);
        let mut file = PageFile::new(Vec::new());
        file.resize((2 << 20) + random.index(3) * 1000, &random);
        let mut made: Vec<(Backup, Vec<u8>)> = Vec::new();
        for _ in 0..14 {
            let pages = file.bytes.len().div_ceil(PAGE_LENGTH);
            for _ in 0..random.index(60) {
                file.change(random.index(pages), &random);
            }
            if random.chance(20) {
                let by = random.index(5 * BLOCK_LENGTH);
                let grows = random.chance(70);
                let size = if grows { file.bytes.len() + by } else { file.bytes.len() - by };
                file.resize(size.max((1 << 20) + 1), &random);
            }
            file.tells = random.chance(85);
            let base = made.last().map(|(backup, _)| backup);
            let backup = file.backup(&vault, base, random.chance(50));
            made.push((backup, file.bytes.clone()));
        }
        for (backup, bytes) in &made {
            check(&vault, backup, bytes);
        }
        assert!(made.iter().any(|(backup, _)| backup.counters.page_blocks > 0));
    }
}

#[test]
fn only_what_changed_is_read() {
    let random = SeededRandom::new(1);
    let vault = Vault::new(1);
    let mut file = PageFile::new(vec![7; 4 << 20]);
    let first = file.backup(&vault, None, true);
    let same = file.backup(&vault, Some(&first), true);
    assert_eq!(*file.read_bytes.lock().unwrap(), 0);
    assert_eq!(same.counters.stored_bytes, 0);
    for page in [3, 4, 200] {
        file.change(page, &random);
    }
    let second = file.backup(&vault, Some(&same), true);
    assert_eq!(*file.read_bytes.lock().unwrap(), 3 * PAGE_LENGTH);
    assert_eq!((second.counters.page_blocks, second.counters.pages), (2, 3));
    assert!(second.counters.stored_bytes < 40_000, "{}", second.counters.stored_bytes);
    check(&vault, &second, &file.bytes);
}

#[test]
fn a_file_that_is_shorter_than_listed_is_read_whole() {
    let random = SeededRandom::new(2);
    let vault = Vault::new(2);
    let mut file = PageFile::new(vec![7; 4 << 20]);
    let first = file.backup(&vault, None, true);
    file.change(500, &random);
    file.found = (3 << 20) + 100;
    let second = file.backup(&vault, Some(&first), true);
    check(&vault, &second, &file.bytes[..file.found]);
}

#[test]
fn pages_of_another_leaf_are_not_its_own() {
    let size = 2 * LEAF_LENGTH;
    let of_leaf = u32::try_from(LEAF_BLOCKS * PAGES_PER_BLOCK).unwrap();
    let extent = Extent { file: 0, number: 1, size };
    let masks = masks(extent, &[0, of_leaf - 1, of_leaf, of_leaf + 17, 2 * of_leaf, u32::MAX]);
    assert_eq!(masks.len(), LEAF_BLOCKS);
    assert_eq!((masks[0], masks[1]), (1, 2));
    assert!(masks[2..].iter().all(|mask| *mask == 0));
}
