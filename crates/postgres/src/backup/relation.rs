//! Names of the files a relation is kept in.

/// One part of a relation's data.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Fork {
    /// The rows.
    Main,
    /// The free space map.
    FreeSpace,
    /// The visibility map.
    Visibility,
    /// What an unlogged relation is made from after a crash.
    Init,
}

/// Pages in one file of a relation: 1 GiB of 8 KiB pages.
pub const PAGES_PER_FILE: u32 = 131_072;

/// A file of a relation.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RelationFile {
    /// The relation's file number.
    pub number: u32,
    /// Which fork.
    pub fork: Fork,
    /// Which gigabyte of it.
    pub segment: u32,
    /// Whether it belongs to a session's temporary relation.
    pub temporary: bool,
}

impl RelationFile {
    /// Reads a path in a backup. `None` when it is no relation's file, or its pages have no
    /// checksums.
    pub fn parse(path: &str) -> Option<Self> {
        let (directory, name) = path.rsplit_once('/')?;
        if !holds_relations(directory) {
            return None;
        }
        let (temporary, name) = match name.strip_prefix('t').and_then(|rest| rest.split_once('_')) {
            Some((backend, rest)) => {
                backend.parse::<u32>().ok()?;
                (true, rest)
            }
            None => (false, name),
        };
        let (name, segment) = match name.split_once('.') {
            Some((name, segment)) => (name, number(segment)?),
            None => (name, 0),
        };
        let (relation, fork) = match name.split_once('_') {
            None => (name, Fork::Main),
            Some((relation, "fsm")) => (relation, Fork::FreeSpace),
            Some((relation, "vm")) => (relation, Fork::Visibility),
            Some((relation, "init")) => (relation, Fork::Init),
            Some(_) => return None,
        };
        Some(Self { number: number(relation)?, fork, segment, temporary })
    }

    /// The number of the file's first page within the fork.
    pub fn first_page(&self) -> u32 {
        self.segment.saturating_mul(PAGES_PER_FILE)
    }
}

/// Whether files of this directory are relations: `global`, a database in `base`, or a database in
/// a tablespace.
fn holds_relations(directory: &str) -> bool {
    let parts: Vec<&str> = directory.split('/').collect();
    match parts.as_slice() {
        ["data", "global"] => true,
        ["data", "base", database] => number(database).is_some(),
        ["tablespaces", _, version, database] => {
            version.starts_with("PG_") && number(database).is_some()
        }
        _ => false,
    }
}

fn number(text: &str) -> Option<u32> {
    (!text.is_empty() && text.bytes().all(|b| b.is_ascii_digit()))
        .then(|| text.parse().ok())
        .flatten()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn check(path: &str, expected: Option<(u32, Fork, u32, bool)>) {
        let found = RelationFile::parse(path).map(|f| (f.number, f.fork, f.segment, f.temporary));
        assert_eq!(found, expected, "{path}");
    }

    #[test]
    fn files_of_relations_are_known_by_their_names() {
        check("data/base/5/1259", Some((1259, Fork::Main, 0, false)));
        check("data/base/5/16384.12", Some((16384, Fork::Main, 12, false)));
        check("data/base/5/16384_fsm", Some((16384, Fork::FreeSpace, 0, false)));
        check("data/base/5/16384_vm.1", Some((16384, Fork::Visibility, 1, false)));
        check("data/base/5/16384_init", Some((16384, Fork::Init, 0, false)));
        check("data/base/5/t4_16500", Some((16500, Fork::Main, 0, true)));
        check("data/base/5/t4_16500_fsm", Some((16500, Fork::FreeSpace, 0, true)));
        check("data/global/1262", Some((1262, Fork::Main, 0, false)));
        check("tablespaces/16400/PG_15_202209061/5/16601", Some((16601, Fork::Main, 0, false)));
    }

    #[test]
    fn other_files_are_not_relations() {
        for path in [
            "data/global/pg_control",
            "data/global/pg_filenode.map",
            "data/base/5/PG_VERSION",
            "data/base/pgsql_tmp/1259",
            "data/pg_xact/0000",
            "data/pg_multixact/offsets/0000",
            "data/base/5/16384_other",
            "data/base/5/16384.",
            "data/base/5/",
            "configuration/etc/5/1259",
            "data/base/5/99999999999",
        ] {
            check(path, None);
        }
    }
}
