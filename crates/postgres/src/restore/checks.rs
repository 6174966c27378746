//! What would go wrong on this machine, found out before anything is written: all of it at once.

use std::collections::{BTreeMap, BTreeSet};
use std::path::{Path, PathBuf};
use std::time::Duration;

use soter_world::Disk;
use soter_world::exec::{Command, Finished};

use super::choice::Choice;
use super::feed::SEGMENTS_AHEAD_MAX;
use crate::backup::record::BackupRecord;
use crate::server::{DatabaseFacts, ServerFacts};

/// Long enough for a program that lists the locales.
const LOOK_TIMEOUT: Duration = Duration::from_secs(30);

/// How many segments may be in `pg_wal` besides those ahead, while the WAL is fed: what is replayed
/// goes at a restart point about every 64 segments, and a restart point takes a while.
const SEGMENTS_BEHIND: u64 = 2 * SEGMENTS_AHEAD_MAX;

/// Settings whose locale the server demands at its start.
const LOCALE_SETTINGS: [&str; 4] = ["lc_messages", "lc_monetary", "lc_numeric", "lc_time"];

/// Locales that are always there.
const LOCALES_BUILT_IN: [&str; 3] = ["", "c", "posix"];

/// How bad it is.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Severity {
    /// It can be restored; a person has something to do afterwards.
    Warning,
    /// It would fail, or what came of it could not be used.
    Refusal,
}

/// One thing that a person should know before it begins.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Finding {
    /// How bad it is.
    pub severity: Severity,
    /// What it is.
    pub what: String,
    /// What to do.
    pub hint: String,
}

/// How this machine sorts texts.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Machine {
    /// Its locales; `None` if it does not say.
    pub locales: Option<BTreeSet<String>>,
    /// The version of its C library.
    pub libc: Option<String>,
}

/// So many bytes will be below a directory.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Need {
    /// Which; it need not be there yet.
    pub directory: PathBuf,
    /// How many.
    pub bytes: u64,
}

impl Machine {
    /// Asks this one.
    pub fn look() -> Self {
        let lines = |command: Command| {
            let finished = command.run(LOOK_TIMEOUT).and_then(Finished::checked).ok()?;
            String::from_utf8(finished.stdout).ok()
        };
        let locales = lines(Command::new("locale").arg("-a"));
        let locales = locales.map(|text| text.lines().map(locale_key).collect());
        // "glibc 2.36"; other C libraries do not know the question.
        let libc = lines(Command::new("getconf").arg("GNU_LIBC_VERSION"));
        let libc = libc.and_then(|text| Some(text.split_whitespace().nth(1)?.to_owned()));
        Self { locales, libc }
    }
}

/// What a recovery would find missing on a machine.
pub fn machine_findings(original: &ServerFacts, machine: &Machine) -> Vec<Finding> {
    let findings = [missing_locales(original, machine), other_sorting(original, machine)];
    findings.into_iter().flatten().collect()
}

fn missing_locales(original: &ServerFacts, machine: &Machine) -> Option<Finding> {
    let there = machine.locales.as_ref()?;
    let settings = LOCALE_SETTINGS.iter().filter_map(|name| original.setting(name));
    let databases = original.databases.iter();
    let of_databases = databases.flat_map(|database| [&*database.collate, &*database.ctype]);
    let wanted: BTreeSet<&str> = settings.chain(of_databases).collect();
    let is_missing = |locale: &&str| {
        let key = locale_key(locale);
        !LOCALES_BUILT_IN.contains(&key.as_str()) && !there.contains(&key)
    };
    let missing: Vec<&str> = wanted.into_iter().filter(is_missing).collect();
    if missing.is_empty() {
        return None;
    }
    let missing = missing.join(", ");
    Some(Finding {
        severity: Severity::Refusal,
        what: format!("this machine lacks locales that the cluster was made with: {missing}"),
        hint:
            "add them (Debian: dpkg-reconfigure locales); without them the server does not start, \
               or lets nobody into the databases that use them"
                .to_owned(),
    })
}

/// As the C library compares names: `en_US.UTF-8` is `en_US.utf8`.
fn locale_key(locale: &str) -> String {
    let (language, coding) = locale.trim().split_once('.').unwrap_or((locale.trim(), ""));
    let coding = coding.replace('-', "");
    let key = if coding.is_empty() { language.to_owned() } else { format!("{language}.{coding}") };
    key.to_ascii_lowercase()
}

fn other_sorting(original: &ServerFacts, machine: &Machine) -> Option<Finding> {
    let (there, here) = (original.libraries.libc.as_ref()?, machine.libc.as_ref()?);
    let databases = original.databases.iter().filter(|database| sorts_by_libc(database));
    let databases: Vec<&str> = databases.map(|database| database.name.as_str()).collect();
    if there == here || databases.is_empty() {
        return None;
    }
    Some(Finding {
        severity: Severity::Warning,
        what: format!(
            "the original sorted texts by version {there} of the C library, this machine has {here}: \
             where they differ, indexes on texts are silently wrong, in {}",
            databases.join(", ")
        ),
        hint: "afterwards in each of them: REINDEX DATABASE; ALTER DATABASE … REFRESH COLLATION \
               VERSION"
            .to_owned(),
    })
}

fn sorts_by_libc(database: &DatabaseFacts) -> bool {
    let is_plain = LOCALES_BUILT_IN.contains(&locale_key(&database.collate).as_str());
    database.connectable
        && !is_plain
        && matches!(database.locale_provider.as_deref(), None | Some("c"))
}

/// How many bytes of WAL there will be at once: all of it, or what feeding keeps there.
pub fn wal_bytes(record: &BackupRecord, choice: &Choice, is_fed: bool) -> u64 {
    let size = record.segment_size;
    let (first, last) = (record.start.segment(size), choice.wal_to.segment_before(size));
    let count = (last.0 + 1).saturating_sub(first.0);
    let at_once = if is_fed { count.min(SEGMENTS_AHEAD_MAX + SEGMENTS_BEHIND) } else { count };
    at_once.saturating_mul(size.bytes_u64())
}

/// File systems that have too little room for what will be on them.
pub fn space_findings(disk: &dyn Disk, needs: &[Need]) -> Vec<Finding> {
    let mut by_device: BTreeMap<u64, (u64, &Path, u64)> = BTreeMap::new();
    for need in needs {
        // A disk that does not say how full it is will say so when it is.
        let Some((device, available)) = nearest_device(disk, &need.directory) else { continue };
        let entry = by_device.entry(device).or_insert((0, &need.directory, available));
        entry.0 = entry.0.saturating_add(need.bytes);
    }
    let short = by_device.into_values().filter(|(needed, _, available)| needed > available);
    let finding = |(needed, directory, available): (u64, &Path, u64)| Finding {
        severity: Severity::Refusal,
        what: format!(
            "{} MiB are needed on the disk of {}, {} MiB are free",
            needed.div_ceil(1 << 20),
            directory.display(),
            available >> 20
        ),
        hint: "make room on that disk, or name a directory on another".to_owned(),
    };
    short.map(finding).collect()
}

/// The file system that a directory is or will be on, and its room.
fn nearest_device(disk: &dyn Disk, directory: &Path) -> Option<(u64, u64)> {
    // With a dot behind, a link is followed.
    let device = |path: &Path| Some(disk.metadata(&path.join(".")).ok()?.device);
    let mut existing = directory.ancestors().filter_map(|path| Some((device(path)?, path)));
    let (device, path) = existing.next()?;
    Some((device, disk.available_bytes(path).ok()?))
}

#[cfg(test)]
mod tests {
    use soter_world::OsDisk;

    use super::*;

    fn machine(locales: &[&str], libc: &str) -> Machine {
        let locales = Some(locales.iter().map(|locale| locale_key(locale)).collect());
        Machine { locales, libc: Some(libc.to_owned()) }
    }

    fn database(name: &str, collate: &str, provider: Option<&str>) -> DatabaseFacts {
        DatabaseFacts {
            id: crate::relation::DatabaseId(5),
            name: name.to_owned(),
            connectable: true,
            encoding: "UTF8".to_owned(),
            collate: collate.to_owned(),
            ctype: collate.to_owned(),
            locale_provider: provider.map(str::to_owned),
            locale: None,
            collation_version: None,
            collation_version_now: None,
        }
    }

    fn original(databases: Vec<DatabaseFacts>) -> ServerFacts {
        let mut original = ServerFacts { databases, ..crate::killed::facts() };
        original.settings.insert("lc_messages".to_owned(), "de_DE.UTF-8".to_owned());
        original.libraries.libc = Some("2.31".to_owned());
        original
    }

    #[test]
    fn a_locale_is_known_under_both_its_names() {
        assert_eq!(locale_key("en_US.UTF-8"), locale_key("en_US.utf8"));
        assert_ne!(locale_key("en_US.UTF-8"), locale_key("en_US"));
        assert_eq!(locale_key("C"), "c");
    }

    #[test]
    fn locales_that_are_not_here_are_named_together() {
        let original = original(vec![database("a", "en_US.UTF-8", None), database("b", "C", None)]);
        let found =
            missing_locales(&original, &machine(&["C", "C.utf8", "POSIX"], "2.31")).unwrap();
        assert_eq!(found.severity, Severity::Refusal);
        assert!(found.what.ends_with(": de_DE.UTF-8, en_US.UTF-8"), "{}", found.what);
        let all_there = machine(&["de_DE.utf8", "en_US.utf8"], "2.31");
        assert_eq!(missing_locales(&original, &all_there), None);
        assert_eq!(missing_locales(&original, &Machine::default()), None, "nobody said");
    }

    #[test]
    fn another_c_library_is_a_warning_for_those_who_sort_by_it() {
        let databases = vec![
            database("texts", "en_US.UTF-8", Some("c")),
            database("plain", "C", Some("c")),
            database("icu", "en_US.UTF-8", Some("i")),
        ];
        let original = original(databases);
        let found = other_sorting(&original, &machine(&[], "2.36")).unwrap();
        assert_eq!(found.severity, Severity::Warning);
        assert!(found.what.ends_with("silently wrong, in texts"), "{}", found.what);
        assert!(found.what.contains("version 2.31 of the C library, this machine has 2.36"));
        assert_eq!(other_sorting(&original, &machine(&[], "2.31")), None);
    }

    #[test]
    fn room_is_counted_for_each_disk_as_a_whole() {
        let directory = tempfile::tempdir().unwrap();
        let need = |name: &str, bytes| Need { directory: directory.path().join(name), bytes };
        let available = OsDisk.available_bytes(directory.path()).unwrap();
        assert!(space_findings(&OsDisk, &[need("a", 1), need("b/c", 1)]).is_empty());
        let half = available / 2 + (1 << 30);
        let found = space_findings(&OsDisk, &[need("a", half), need("b/c", half)]);
        assert_eq!(found.len(), 1, "{found:?}");
        assert!(found[0].what.contains(" MiB are needed on the disk of "), "{found:?}");
    }

    #[test]
    fn this_machine_says_something() {
        let machine = Machine::look();
        assert!(machine.locales.is_some_and(|locales| locales.contains("c")));
    }
}
