//! The files of a running cluster as the map's writer reads them: each byte once, in large pieces,
//! pages checked on the way, the disk told early what comes next.

use std::io;
use std::ops::Range;
use std::sync::{Mutex, PoisonError};

use soter_vault::map::{Source, SourceReader};
use soter_world::{Disk, DiskFile};

use super::pages::{BadPage, PageCheck};
use super::tree::TreeEntry;
use crate::lsn::Lsn;
use crate::page::PageChecksums;

/// How far ahead of the reading the disk is told: enough to keep a disk with a deep queue busy
/// while a worker compresses, little enough not to push other things out of the cache.
const READAHEAD: u64 = 16 << 20;

/// At most so many bad pages are listed; a disk that is dying has more than anybody reads.
const BAD_PAGES_MAX: usize = 1000;

/// Facts of the cluster that pages are checked by.
#[derive(Debug, Clone, Copy)]
pub struct PageFacts {
    /// Bytes in a page.
    pub page_length: usize,
    /// Pages in a file of a relation.
    pub pages_per_file: u32,
    /// Whether pages have checksums.
    pub checksums: PageChecksums,
    /// Where the backup began.
    pub backup_start: Lsn,
}

/// The files of a cluster, by their index in the plan.
pub struct ClusterSource<'a> {
    disk: &'a dyn Disk,
    entries: &'a [Option<TreeEntry>],
    facts: PageFacts,
    bad: Mutex<Vec<BadPage>>,
}

impl<'a> ClusterSource<'a> {
    /// A source for a plan whose n-th file is read from the n-th entry; directories have none.
    pub fn new(disk: &'a dyn Disk, entries: &'a [Option<TreeEntry>], facts: PageFacts) -> Self {
        Self { disk, entries, facts, bad: Mutex::default() }
    }

    /// Pages that are damaged on disk, in the order of their paths.
    pub fn into_bad_pages(self) -> Vec<BadPage> {
        let mut bad = self.bad.into_inner().unwrap_or_else(PoisonError::into_inner);
        bad.sort_by(|a, b| (&a.path, a.block).cmp(&(&b.path, b.block)));
        bad
    }

    fn report(&self, path: &str, block: u32, what: String) {
        let mut bad = self.bad.lock().unwrap_or_else(PoisonError::into_inner);
        if bad.len() < BAD_PAGES_MAX {
            bad.push(BadPage { path: path.to_owned(), block, what });
        }
    }
}

impl Source for ClusterSource<'_> {
    fn open(
        &self,
        file: usize,
        range: Range<u64>,
    ) -> io::Result<Option<Box<dyn SourceReader + '_>>> {
        let entry = self.entries.get(file).and_then(Option::as_ref);
        let entry = entry.ok_or_else(|| io::Error::other("the plan's file has no source"))?;
        let opened = match self.disk.open(&entry.source) {
            Ok(opened) => opened,
            Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
            Err(error) => {
                let what = format!("{}: {error}", entry.source.display());
                return Err(io::Error::new(error.kind(), what));
            }
        };
        let check = entry.relation.map(|relation| PageCheck {
            page_length: self.facts.page_length,
            first_block: relation.segment.saturating_mul(self.facts.pages_per_file),
            checksums: self.facts.checksums,
            backup_start: self.facts.backup_start,
        });
        let ahead = range.end.min(range.start.saturating_add(READAHEAD));
        opened.will_need(range.start, ahead - range.start);
        Ok(Some(Box::new(ClusterReader {
            source: self,
            path: &entry.path,
            file: opened,
            check,
            end: range.end,
            announced: ahead,
        })))
    }
}

struct ClusterReader<'a> {
    source: &'a ClusterSource<'a>,
    path: &'a str,
    file: Box<dyn DiskFile>,
    check: Option<PageCheck>,
    /// Where the reading will end.
    end: u64,
    /// Up to where the disk was told.
    announced: u64,
}

impl SourceReader for ClusterReader<'_> {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let ahead = self.end.min(offset.saturating_add(buffer.len() as u64 + READAHEAD));
        if ahead > self.announced {
            self.file.will_need(self.announced, ahead - self.announced);
            self.announced = ahead;
        }
        let length = read_full(&*self.file, offset, buffer)?;
        if let Some(check) = &self.check {
            let again = |offset: u64, page: &mut [u8]| read_full(&*self.file, offset, page);
            let bad = |block, what| self.source.report(self.path, block, what);
            check.check(offset, &mut buffer[..length], again, bad)?;
        }
        Ok(length)
    }
}

/// Reads until the buffer is full or the file ends.
fn read_full(file: &dyn DiskFile, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(offset + done as u64, &mut buffer[done..]) {
            Ok(0) => break,
            Ok(count) => done += count,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(done)
}
