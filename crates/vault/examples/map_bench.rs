//! Measures writing, comparing and restoring the contents of a directory, without a database:
//! `cargo run --release -p soter-vault --example map_bench -- SOURCE WORK [WORKERS] [LEVEL]`.
//!
//! `WORK` must not exist; it gets a vault and a restored copy. Level 0 does not compress. Printed
//! are wall and processor seconds by gigabyte of the source, and the peak of memory so far.

#![allow(clippy::print_stdout, reason = "it is a tool that prints what it measured")]

use std::collections::BTreeMap;
use std::error::Error;
use std::fs::{self, File};
use std::io;
use std::ops::Range;
use std::os::unix::fs::{FileExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use jiff::Timestamp;
use soter_vault::crypto::SymmetricKey;
use soter_vault::frame::Compression;
use soter_vault::ids::{BackupId, SessionId, StoreId};
use soter_vault::log::PackSet;
use soter_vault::map::{
    Attributes, BackupJob, Base, FileEntry, FileOwner, FilePath, LoadedMap, MapAccess, NoProgress,
    PackTarget, RestoreOptions, Sharing, Sink, SinkFile, Source, SourceFile, SourceKind,
    SourceReader, WriteOptions, WrittenMap, restore, verify_contents, write_backup,
};
use soter_vault::objects::{DirectoryStore, ObjectStore};
use soter_vault::pack::PackNumbers;
use soter_world::disk::DiskFile;
use soter_world::{Clock, Disk, OsDisk, Stop, SystemClock, SystemRandom};

fn main() -> Result<(), Box<dyn Error>> {
    let arguments: Vec<String> = std::env::args().skip(1).collect();
    let [source, work, options @ ..] = arguments.as_slice() else {
        return Err("usage: map_bench SOURCE WORK [WORKERS] [LEVEL]".into());
    };
    let number = |place: usize, default: &str| {
        options.get(place).map_or(default, String::as_str).parse::<usize>()
    };
    let workers = number(0, "2")?;
    let compression = match i32::try_from(number(1, "3")?)? {
        0 => Compression::None,
        level => Compression::Zstd(level),
    };
    Bench::new(Path::new(source), Path::new(work), WriteOptions { workers, compression })?.run()
}

struct Bench {
    plan: Vec<SourceFile>,
    source: Directory,
    objects: DirectoryStore,
    restored: PathBuf,
    options: WriteOptions,
    keys: Keys,
}

struct Keys {
    store: StoreId,
    session: SessionId,
    session_key: SymmetricKey,
    metadata: SymmetricKey,
    numbers: PackNumbers,
}

impl Bench {
    fn new(source: &Path, work: &Path, options: WriteOptions) -> Result<Self, Box<dyn Error>> {
        fs::create_dir(work)?;
        let mut plan = Vec::new();
        list(source, Path::new(""), &mut plan)?;
        plan.sort_by(|left, right| left.path.cmp(&right.path));
        let paths = plan.iter().map(|file| source.join(file.path.as_path())).collect();
        let keys = Keys {
            store: StoreId::random(&SystemRandom),
            session: SessionId::random(&SystemRandom),
            session_key: SymmetricKey::random(&SystemRandom),
            metadata: SymmetricKey::random(&SystemRandom),
            numbers: PackNumbers::default(),
        };
        Ok(Self {
            plan,
            source: Directory(paths),
            objects: DirectoryStore::create(Arc::new(OsDisk), &work.join("vault"))?,
            restored: work.join("restored"),
            options,
            keys,
        })
    }

    fn run(&self) -> Result<(), Box<dyn Error>> {
        let first = measure("full", || self.backup(None, Sharing::All))?;
        println!("  {:?}", first.counters);
        let rows = first.rows.clone();
        let find = |class, pack| rows.get(class, pack).copied();
        let root = first.root.to_bytes();
        println!("  root {} bytes, {} packs", root.len(), rows.len());
        let map = LoadedMap::open(&root, self.access(&find, rows.packs()))?;
        let second = measure("unchanged", || self.backup(Some(&map), Sharing::All))?;
        println!("  {:?}", second.counters);
        measure("unchanged, all leaves read", || {
            self.backup(Some(&map), Sharing::Chosen(&|_, _| true))
        })?;
        let key = |_| Ok(self.keys.session_key.clone());
        let (workers, stop) = (self.options.workers, Stop::new());
        let restored = measure("restore", || {
            let sink = Target { root: self.restored.clone(), directories: Mutex::default() };
            fs::create_dir(&sink.root).map_err(Box::<dyn Error>::from)?;
            let options = RestoreOptions { workers, select: &|_| true };
            Ok(restore(&map, &key, &sink, options, &NoProgress, &stop)?)
        })?;
        println!("  {restored:?}");
        let findings = measure("verify", || {
            let ids = self.keys.metadata.content_id_key();
            Ok(verify_contents(&map, &key, &ids, workers, &NoProgress, &stop)?)
        })?;
        println!("  {} findings", findings.len());
        Ok(())
    }

    fn backup(
        &self,
        base: Option<&LoadedMap<'_>>,
        sharing: Sharing<'_>,
    ) -> Result<WrittenMap, Box<dyn Error>> {
        let Keys { store, session, session_key, metadata, numbers } = &self.keys;
        let target = PackTarget {
            objects: &self.objects,
            clock: &SystemClock,
            random: &SystemRandom,
            store: *store,
            session: *session,
            session_key: session_key.clone(),
            metadata: metadata.clone(),
            content_ids: metadata.content_id_key(),
            numbers,
        };
        let job = BackupJob {
            plan: &self.plan,
            source: &self.source,
            base: base.map(|map| Base { map, sharing }),
            adopted: None,
            target: &target,
            options: self.options,
        };
        Ok(write_backup(&job, &NoProgress, &Stop::new())?)
    }

    fn access<'a>(
        &'a self,
        rows: soter_vault::map::PackLookup<'a>,
        packs: PackSet,
    ) -> MapAccess<'a> {
        MapAccess {
            objects: &self.objects as &dyn ObjectStore,
            store: self.keys.store,
            backup: BackupId::random(&SystemRandom),
            metadata: self.keys.metadata.clone(),
            packs,
            rows,
        }
    }
}

/// Prints what an action took.
fn measure<T>(
    name: &str,
    act: impl FnOnce() -> Result<T, Box<dyn Error>>,
) -> Result<T, Box<dyn Error>> {
    let (wall, cpu) = (SystemClock.monotonic(), processor_time()?);
    let outcome = act()?;
    let (wall, cpu) = (SystemClock.monotonic() - wall, processor_time()? - cpu);
    let status = fs::read_to_string("/proc/self/status")?;
    let peak = status.lines().find(|line| line.starts_with("VmHWM")).unwrap_or("VmHWM unknown");
    println!("{name}: {:.2} s, {:.2} CPU-s, {peak}", wall.as_secs_f64(), cpu.as_secs_f64());
    Ok(outcome)
}

/// User and system time of this process; the kernel counts in hundredths of a second.
fn processor_time() -> Result<Duration, Box<dyn Error>> {
    let stat = fs::read_to_string("/proc/self/stat")?;
    let fields = stat.rsplit_once(')').ok_or("no process name")?.1;
    let ticks = fields.split_whitespace().skip(11).take(2).map(str::parse::<u64>);
    Ok(Duration::from_millis(10 * ticks.sum::<Result<u64, _>>()?))
}

fn list(root: &Path, below: &Path, plan: &mut Vec<SourceFile>) -> Result<(), Box<dyn Error>> {
    for entry in fs::read_dir(root.join(below))? {
        let entry = entry?;
        let path = below.join(entry.file_name());
        let metadata = entry.metadata()?;
        let kind = if metadata.is_dir() {
            list(root, &path, plan)?;
            SourceKind::Directory
        } else if metadata.is_file() {
            SourceKind::File { size: metadata.len() }
        } else {
            continue;
        };
        plan.push(SourceFile {
            path: FilePath::new(path.as_os_str().as_encoded_bytes())?,
            attributes: Attributes {
                mode: metadata.permissions().mode() & 0o7777,
                owner: Arc::new(FileOwner::default()),
                modified: Timestamp::try_from(metadata.modified()?)?,
            },
            kind,
        });
    }
    Ok(())
}

struct Directory(Vec<PathBuf>);

struct Reader(File);

impl Source for Directory {
    fn open(&self, file: usize, _: Range<u64>) -> io::Result<Option<Box<dyn SourceReader + '_>>> {
        match File::open(&self.0[file]) {
            Ok(file) => Ok(Some(Box::new(Reader(file)))),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(error),
        }
    }
}

impl SourceReader for Reader {
    fn read_at(&mut self, offset: u64, buffer: &mut [u8]) -> io::Result<usize> {
        let mut read = 0;
        while read < buffer.len() {
            match self.0.read_at(&mut buffer[read..], offset + read as u64)? {
                0 => break,
                more => read += more,
            }
        }
        Ok(read)
    }
}

struct Target {
    root: PathBuf,
    directories: Mutex<BTreeMap<PathBuf, u32>>,
}

struct TargetFile(Box<dyn DiskFile>);

impl Sink for Target {
    fn directory(&self, entry: &FileEntry) -> io::Result<()> {
        let path = self.root.join(entry.path.as_path());
        fs::create_dir(&path)?;
        let mut directories = self.directories.lock().unwrap_or_else(PoisonError::into_inner);
        directories.insert(path, entry.attributes.mode);
        Ok(())
    }

    fn link(&self, _: &FileEntry, _: &[u8]) -> io::Result<()> {
        Ok(())
    }

    fn file(&self, entry: &FileEntry, size: u64) -> io::Result<Box<dyn SinkFile>> {
        let file = OsDisk.create(&self.root.join(entry.path.as_path()))?;
        file.set_len(size)?;
        Ok(Box::new(TargetFile(file)))
    }
}

impl SinkFile for TargetFile {
    fn write_at(&self, offset: u64, bytes: &[u8]) -> io::Result<()> {
        self.0.write_at(offset, bytes)
    }

    fn finish(&self) -> io::Result<()> {
        self.0.sync()
    }
}
