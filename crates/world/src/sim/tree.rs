//! The names of a simulated file system: what is seen, and what a power cut would leave of them.
//!
//! A change of names becomes durable by a sync of one of its directories. A rename arrives whole or
//! not at all, and changes of one and the same name arrive in order, as on every journaling file
//! system; apart from that each unsynced change arrives or not, independently of all others.
//! Mode, owner and times are kept at once. A removed file stays in memory until the next crash, since
//! its removal may be undone by it.

use std::collections::{BTreeMap, BTreeSet, VecDeque};
use std::ffi::{OsStr, OsString};
use std::io;
use std::path::{Component, Path, PathBuf};

use jiff::Timestamp;
use rustix::io::Errno;

use super::content::Content;
use super::random::SeededRandom;
use crate::disk::{FileKind, Metadata, Owner};

/// What Linux allows before it calls it a loop.
const SYMLINKS_FOLLOWED_MAX: u32 = 40;

const ROOT: Inode = 1;

pub(super) type Inode = u64;

/// All files and directories.
#[derive(Debug)]
pub(super) struct Tree {
    nodes: BTreeMap<Inode, Node>,
    inode_next: Inode,
    unsynced: Vec<NameChange>,
}

#[derive(Debug)]
struct Node {
    body: Body,
    mode: u32,
    owner: Owner,
    modified: Timestamp,
    links: u64,
}

/// What a new node is.
#[derive(Debug)]
pub(super) enum Body {
    File(Content),
    Directory(Names),
    Symlink(PathBuf),
}

/// The entries of a directory as the kernel shows them and as the disk holds them.
#[derive(Debug, Default)]
pub(super) struct Names {
    current: BTreeMap<OsString, Inode>,
    durable: BTreeMap<OsString, Inode>,
}

/// Edits that arrive on disk together.
type NameChange = Vec<Edit>;

#[derive(Debug, Clone)]
struct Edit {
    directory: Inode,
    name: OsString,
    to: Option<Inode>,
}

/// Where a name is, or would be.
#[derive(Debug, Clone)]
pub(super) struct Place {
    directory: Inode,
    name: OsString,
}

impl Tree {
    pub(super) fn new(now: Timestamp) -> Self {
        let root = Node::new(Body::Directory(Names::default()), now);
        let nodes = BTreeMap::from([(ROOT, root)]);
        Self { nodes, inode_next: ROOT + 1, unsynced: Vec::new() }
    }

    /// The directory of a path, with symbolic links followed, and the last name.
    pub(super) fn place(&self, path: &Path) -> io::Result<Place> {
        let name = path.file_name().ok_or(Errno::INVAL)?.to_owned();
        let directory = self.follow(path.parent().ok_or(Errno::INVAL)?)?;
        self.names(directory)?;
        Ok(Place { directory, name })
    }

    pub(super) fn at(&self, place: &Place) -> io::Result<Inode> {
        let found = self.names(place.directory)?.current.get(&place.name);
        Ok(*found.ok_or(Errno::NOENT)?)
    }

    /// The node a path leads to, with all symbolic links followed.
    pub(super) fn follow(&self, path: &Path) -> io::Result<Inode> {
        let mut stack = vec![ROOT];
        let mut todo: VecDeque<OsString> = components(path);
        let mut followed = 0;
        while let Some(name) = todo.pop_front() {
            let directory = *stack.last().unwrap_or(&ROOT);
            if name == ".." {
                self.names(directory)?;
                stack.truncate((stack.len() - 1).max(1));
                continue;
            }
            let inode = self.at(&Place { directory, name })?;
            let Body::Symlink(target) = &self.node(inode)?.body else {
                stack.push(inode);
                continue;
            };
            followed += 1;
            if followed > SYMLINKS_FOLLOWED_MAX {
                return Err(Errno::LOOP.into());
            }
            if target.is_absolute() {
                stack.truncate(1);
            }
            let mut longer = components(target);
            longer.append(&mut todo);
            todo = longer;
        }
        Ok(*stack.last().unwrap_or(&ROOT))
    }

    pub(super) fn add(&mut self, place: Place, body: Body, now: Timestamp) -> io::Result<Inode> {
        if self.at(&place).is_ok() {
            return Err(Errno::EXIST.into());
        }
        let inode = self.inode_next;
        self.inode_next += 1;
        self.nodes.insert(inode, Node::new(body, now));
        self.edit(vec![place.naming(inode)]);
        Ok(inode)
    }

    pub(super) fn link(&mut self, inode: Inode, to: Place) -> io::Result<()> {
        if self.at(&to).is_ok() {
            return Err(Errno::EXIST.into());
        }
        if self.kind(inode)? == FileKind::Directory {
            return Err(Errno::PERM.into());
        }
        self.edit(vec![to.naming(inode)]);
        Ok(())
    }

    pub(super) fn rename(&mut self, from: Place, to: Place) -> io::Result<()> {
        let inode = self.at(&from)?;
        if self.contains(inode, to.directory) {
            return Err(Errno::INVAL.into());
        }
        if let Ok(replaced) = self.at(&to) {
            if self.contains(replaced, from.directory) {
                return Err(Errno::NOTEMPTY.into());
            }
            if replaced == inode {
                return Ok(());
            }
            let from_directory = self.kind(inode)? == FileKind::Directory;
            match (from_directory, &self.node(replaced)?.body) {
                (true, Body::Directory(names)) if names.current.is_empty() => {}
                (true, Body::Directory(_)) => return Err(Errno::NOTEMPTY.into()),
                (true, _) => return Err(Errno::NOTDIR.into()),
                (false, Body::Directory(_)) => return Err(Errno::ISDIR.into()),
                (false, _) => {}
            }
        }
        self.edit(vec![to.naming(inode), from.empty()]);
        Ok(())
    }

    pub(super) fn remove_file(&mut self, place: Place) -> io::Result<()> {
        if self.kind(self.at(&place)?)? == FileKind::Directory {
            return Err(Errno::ISDIR.into());
        }
        self.edit(vec![place.empty()]);
        Ok(())
    }

    pub(super) fn remove_dir(&mut self, place: Place) -> io::Result<()> {
        if !self.names(self.at(&place)?)?.current.is_empty() {
            return Err(Errno::NOTEMPTY.into());
        }
        self.edit(vec![place.empty()]);
        Ok(())
    }

    pub(super) fn list(&self, directory: Inode) -> io::Result<Vec<(OsString, FileKind)>> {
        let names = &self.names(directory)?.current;
        names.iter().map(|(name, inode)| Ok((name.clone(), self.kind(*inode)?))).collect()
    }

    pub(super) fn read_link(&self, inode: Inode) -> io::Result<PathBuf> {
        match &self.node(inode)?.body {
            Body::Symlink(target) => Ok(target.clone()),
            Body::File(_) | Body::Directory(_) => Err(Errno::INVAL.into()),
        }
    }

    pub(super) fn content(&self, inode: Inode) -> io::Result<&Content> {
        match &self.node(inode)?.body {
            Body::File(content) => Ok(content),
            Body::Directory(_) | Body::Symlink(_) => Err(Errno::ISDIR.into()),
        }
    }

    /// The bytes of a file that are about to change.
    pub(super) fn content_mut(&mut self, inode: Inode, now: Timestamp) -> io::Result<&mut Content> {
        let node = self.node_mut(inode)?;
        node.modified = now;
        match &mut node.body {
            Body::File(content) => Ok(content),
            Body::Directory(_) | Body::Symlink(_) => Err(Errno::ISDIR.into()),
        }
    }

    pub(super) fn metadata(&self, inode: Inode) -> io::Result<Metadata> {
        let node = self.node(inode)?;
        Ok(Metadata {
            kind: node.kind(),
            size: node.size(),
            mode: node.mode,
            owner: node.owner,
            modified: node.modified,
            // Nobody sets times here, and what renames change is not simulated.
            changed: node.modified,
            links: node.links,
            inode,
            device: 0,
        })
    }

    pub(super) fn set_mode(&mut self, inode: Inode, mode: u32) -> io::Result<()> {
        self.node_mut(inode)?.mode = mode;
        Ok(())
    }

    pub(super) fn set_owner(&mut self, inode: Inode, owner: Owner) -> io::Result<()> {
        self.node_mut(inode)?.owner = owner;
        Ok(())
    }

    /// Bytes of all files that have a name.
    pub(super) fn used_bytes(&self) -> u64 {
        self.nodes.values().filter(|node| node.links > 0).map(Node::size).sum()
    }

    pub(super) fn sync_file(&mut self, inode: Inode) -> io::Result<()> {
        if let Body::File(content) = &mut self.node_mut(inode)?.body {
            content.sync();
        }
        Ok(())
    }

    pub(super) fn fail_to_sync_file(&mut self, inode: Inode) {
        if let Some(Node { body: Body::File(content), .. }) = self.nodes.get_mut(&inode) {
            content.fail_to_sync();
        }
    }

    /// Makes the changes of a directory durable, and with them the earlier ones of directories that
    /// they reach into, so that order is kept.
    pub(super) fn sync_dir(&mut self, directory: Inode) -> io::Result<()> {
        self.names(directory)?;
        let (synced, kept) = self.split_unsynced(directory);
        self.unsynced = kept;
        for change in synced {
            self.persist(change);
        }
        Ok(())
    }

    /// A directory sync that failed: its changes stay visible and are never written.
    pub(super) fn fail_to_sync_dir(&mut self, directory: Inode) {
        (_, self.unsynced) = self.split_unsynced(directory);
    }

    pub(super) fn sync_all(&mut self) {
        for change in std::mem::take(&mut self.unsynced) {
            self.persist(change);
        }
        for node in self.nodes.values_mut() {
            if let Body::File(content) = &mut node.body {
                content.sync();
            }
        }
    }

    /// The power fails.
    pub(super) fn crash(&mut self, random: &SeededRandom) {
        let mut lost: BTreeSet<(Inode, OsString)> = BTreeSet::new();
        for change in std::mem::take(&mut self.unsynced) {
            let keys = || change.iter().map(|edit| (edit.directory, edit.name.clone()));
            if random.chance(50) || keys().any(|key| lost.contains(&key)) {
                lost.extend(keys());
            } else {
                self.persist(change);
            }
        }
        for node in self.nodes.values_mut() {
            node.links = 0;
            match &mut node.body {
                Body::File(content) => content.crash(random),
                Body::Directory(names) => names.current.clone_from(&names.durable),
                Body::Symlink(_) => {}
            }
        }
        self.keep_reachable();
    }

    fn keep_reachable(&mut self) {
        let mut links = BTreeMap::from([(ROOT, 1)]);
        let mut todo = vec![ROOT];
        while let Some(inode) = todo.pop() {
            let Some(Node { body: Body::Directory(names), .. }) = self.nodes.get(&inode) else {
                continue;
            };
            for child in names.current.values() {
                let count = links.entry(*child).or_insert(0);
                *count += 1;
                if *count == 1 {
                    todo.push(*child);
                }
            }
        }
        self.nodes.retain(|inode, node| {
            node.links = links.get(inode).copied().unwrap_or(0);
            node.links > 0
        });
    }

    fn edit(&mut self, change: NameChange) {
        for Edit { directory, name, to } in change.iter().cloned() {
            let Ok(names) = self.names_mut(directory) else { continue };
            let replaced = match to {
                Some(inode) => names.current.insert(name, inode),
                None => names.current.remove(&name),
            };
            if let Some(node) = to.and_then(|inode| self.nodes.get_mut(&inode)) {
                node.links += 1;
            }
            if let Some(node) = replaced.and_then(|inode| self.nodes.get_mut(&inode)) {
                node.links -= 1;
            }
        }
        self.unsynced.push(change);
    }

    fn persist(&mut self, change: NameChange) {
        for Edit { directory, name, to } in change {
            let Ok(names) = self.names_mut(directory) else { continue };
            match to {
                Some(inode) => names.durable.insert(name, inode),
                None => names.durable.remove(&name),
            };
        }
    }

    fn split_unsynced(&mut self, directory: Inode) -> (Vec<NameChange>, Vec<NameChange>) {
        let mut directories = BTreeSet::from([directory]);
        let (mut synced, mut kept) = (Vec::new(), Vec::new());
        for change in std::mem::take(&mut self.unsynced).into_iter().rev() {
            if change.iter().any(|edit| directories.contains(&edit.directory)) {
                directories.extend(change.iter().map(|edit| edit.directory));
                synced.push(change);
            } else {
                kept.push(change);
            }
        }
        synced.reverse();
        kept.reverse();
        (synced, kept)
    }

    /// Whether a directory is another or lies somewhere below it.
    fn contains(&self, directory: Inode, searched: Inode) -> bool {
        directory == searched
            || self.names(directory).is_ok_and(|names| {
                names.current.values().any(|child| self.contains(*child, searched))
            })
    }

    fn kind(&self, inode: Inode) -> io::Result<FileKind> {
        Ok(self.node(inode)?.kind())
    }

    fn node(&self, inode: Inode) -> io::Result<&Node> {
        self.nodes.get(&inode).ok_or_else(|| Errno::STALE.into())
    }

    fn node_mut(&mut self, inode: Inode) -> io::Result<&mut Node> {
        self.nodes.get_mut(&inode).ok_or_else(|| Errno::STALE.into())
    }

    fn names(&self, inode: Inode) -> io::Result<&Names> {
        match &self.node(inode)?.body {
            Body::Directory(names) => Ok(names),
            Body::File(_) | Body::Symlink(_) => Err(Errno::NOTDIR.into()),
        }
    }

    fn names_mut(&mut self, inode: Inode) -> io::Result<&mut Names> {
        match &mut self.node_mut(inode)?.body {
            Body::Directory(names) => Ok(names),
            Body::File(_) | Body::Symlink(_) => Err(Errno::NOTDIR.into()),
        }
    }
}

impl Node {
    fn new(body: Body, modified: Timestamp) -> Self {
        let (mode, links) = match body {
            Body::File(_) => (0o600, 0),
            Body::Directory(_) => (0o700, 0),
            Body::Symlink(_) => (0o777, 0),
        };
        Self { body, mode, owner: Owner { user: 0, group: 0 }, modified, links }
    }

    fn kind(&self) -> FileKind {
        match self.body {
            Body::File(_) => FileKind::File,
            Body::Directory(_) => FileKind::Directory,
            Body::Symlink(_) => FileKind::Symlink,
        }
    }

    fn size(&self) -> u64 {
        match &self.body {
            Body::File(content) => content.current().len() as u64,
            Body::Directory(_) | Body::Symlink(_) => 0,
        }
    }
}

impl Place {
    fn naming(self, inode: Inode) -> Edit {
        Edit { directory: self.directory, name: self.name, to: Some(inode) }
    }

    fn empty(self) -> Edit {
        Edit { directory: self.directory, name: self.name, to: None }
    }
}

/// Names and `..`; a relative path starts at the root.
fn components(path: &Path) -> VecDeque<OsString> {
    path.components()
        .filter(|part| matches!(part, Component::Normal(_) | Component::ParentDir))
        .map(|part| <OsStr as ToOwned>::to_owned(part.as_os_str()))
        .collect()
}
