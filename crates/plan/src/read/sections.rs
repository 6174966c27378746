//! The sections of the language: which keys each has, and what their values are.
//!
//! In the order of the language itself; `docs/plan.md` has the same order.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::time::Duration;

use jiff::tz::TimeZone;

use super::{Field, Read, Reader, Section};
use crate::connection::{Connection, ConnectionErrorKind};
use crate::findings::{Code, Raw};
use crate::mask::mentions_secret;
use crate::names::{NameError, StoreName, VaultName};
use crate::plan::{
    Backup, CANARY_EVERY, Canary, Compression, FULL_EVERY, KEEP_FOR, KEEP_LAST, Kind, LEVEL,
    Limits, PART_INTERVAL, Plan, Postgres, Retention, SCHEDULE, SPOOL_LIMIT, Spool, Store, WORKERS,
    Wal, WalMode,
};
use crate::schedule::{Schedule, time_zone};
use crate::suggest::nearest;
use crate::tree::{Key, Node, short};
use crate::vault::{AGENT_KEY_DEFAULT, ROOT_KEYS_MAX, RootKey, Vault, VaultUrl};

/// The names of the declared vaults: also of those whose sections have mistakes.
type Declared<'n> = Vec<&'n str>;

pub(super) fn plan(reader: &mut Reader<'_>, root: &Node) -> Read<Plan> {
    // The root has no key; mistakes about it are shown at the beginning of the file.
    let key = Key { text: "the plan".to_owned(), span: 0..0 };
    let mut section = reader.section(Field { key: &key, node: root }, "a plan")?;
    let vaults = reader.required(&mut section, "vaults", "vaults: { main: { … } }");
    let stores = reader.required(&mut section, "stores", "stores: { orders: { … } }");
    reader.finish(&section);

    let mut declared = None;
    let vaults = vaults.and_then(|field| {
        let section = reader.section(field, "the vaults")?;
        declared = Some(section.entries.iter().map(|(key, _)| key.text.as_str()).collect());
        let vaults = named(reader, field, &section, vault)?;
        distinct_places(reader, &section, &vaults);
        Ok(vaults)
    });
    let stores = stores.and_then(|field| {
        let section = reader.section(field, "the stores")?;
        named(reader, field, &section, |reader, field| store(reader, field, declared.as_ref()))
    });
    let plan = Plan { vaults: vaults?, stores: stores? };
    for (name, store) in &plan.stores {
        let place = section.entries.iter().find(|(key, _)| key.text == "stores");
        if let Some((_, node)) = place {
            outside_of_what_it_protects(reader, node, name, store, &plan);
        }
    }
    Ok(plan)
}

/// A section whose keys are names that the plan gives.
fn named<'n, N, T>(
    reader: &mut Reader<'_>,
    field: Field<'n>,
    section: &Section<'n>,
    mut read: impl FnMut(&mut Reader<'_>, Field<'n>) -> Read<T>,
) -> Read<BTreeMap<N, T>>
where
    N: FromStr<Err = NameError> + Ord,
{
    let mut all = Ok(BTreeMap::new());
    for (key, node) in section.entries {
        let name = key.text.parse::<N>().map_err(|error| {
            let title = format!("`{}` is no name", short(&key.text));
            let raw = Raw::new(Code::InvalidValue, key.span.clone(), title);
            reader.report(raw.hint(error.to_string()))
        });
        let value = read(reader, Field { key, node });
        match (&mut all, name.and_then(|name| Ok((name, value?)))) {
            (Ok(all), Ok((name, value))) => drop(all.insert(name, value)),
            (all, Err(reported)) => *all = Err(reported),
            (Err(_), Ok(_)) => {}
        }
    }
    if section.entries.is_empty() {
        return Err(reader.wrong_shape(field, "at least one name with a section"));
    }
    all
}

fn vault(reader: &mut Reader<'_>, field: Field<'_>) -> Read<Vault> {
    let mut section = reader.section(field, "a vault")?;
    let url = reader
        .required(&mut section, "url", "url: \"file:///srv/soter\"")
        .and_then(|field| vault_url(reader, field));
    let example = "keys: { root: \"ed25519:…\" }, as `soter vault init` prints it";
    let keys = reader.required(&mut section, "keys", example).and_then(|field| {
        let mut section = reader.section(field, "a vault's keys")?;
        let keys = reader
            .required(&mut section, "root", "root: \"ed25519:…\"")
            .and_then(|field| root_keys(reader, field));
        let agent = section.take("agent").map(|field| reader.path(field)).transpose();
        reader.finish(&section);
        Ok((keys?, agent?.unwrap_or_else(|| PathBuf::from(AGENT_KEY_DEFAULT))))
    });
    reader.finish(&section);
    let (url, (root_keys, agent_key)) = (url?, keys?);
    Ok(Vault { url, root_keys, agent_key })
}

fn vault_url(reader: &mut Reader<'_>, field: Field<'_>) -> Read<VaultUrl> {
    let text = reader.text(field)?;
    text.parse().map_err(|error: crate::vault::UrlError| {
        reader.invalid(field, error.to_string(), "write it as file:///srv/soter")
    })
}

fn root_keys(reader: &mut Reader<'_>, field: Field<'_>) -> Read<Vec<RootKey>> {
    let fields = reader.list(field)?;
    let mut keys = Vec::new();
    let mut all = Ok(());
    for item in &fields {
        let key = reader.text(*item).and_then(|text| {
            text.parse::<RootKey>().map_err(|error| {
                let hint = "`soter vault info` prints a vault's root key";
                reader.invalid(*item, error.to_string(), hint)
            })
        });
        match key {
            Ok(key) if keys.contains(&key) => all = Err(repeated(reader, *item)),
            Ok(key) => keys.push(key),
            Err(reported) => all = Err(reported),
        }
    }
    if fields.len() > ROOT_KEYS_MAX {
        let title = format!("a vault has at most {ROOT_KEYS_MAX} root keys");
        let raw = Raw::new(Code::OutOfRange, field.key.span.clone(), title);
        return Err(reader.report(raw.hint("remove those that sign no longer")));
    }
    all.map(|()| keys)
}

fn distinct_places(
    reader: &mut Reader<'_>,
    section: &Section<'_>,
    vaults: &BTreeMap<VaultName, Vault>,
) {
    let mut seen: Vec<(&VaultUrl, &str)> = Vec::new();
    for (key, _) in section.entries {
        let Some(vault) = vaults.get(key.text.as_str()) else { continue };
        if let Some((_, first)) = seen.iter().find(|(url, _)| **url == vault.url) {
            let title = format!("this vault is in the same place as `{first}`");
            let raw = Raw::new(Code::RepeatedValue, key.span.clone(), title);
            reader.report(raw.hint("a second copy in the same place protects nothing"));
        }
        seen.push((&vault.url, &key.text));
    }
}

fn store(
    reader: &mut Reader<'_>,
    field: Field<'_>,
    declared: Option<&Declared<'_>>,
) -> Read<Store> {
    let mut section = reader.section(field, "a store")?;
    let kind = reader
        .required(&mut section, "kind", "kind: postgres")
        .and_then(|field| reader.choice(field, &[("postgres", ())]));
    // There is one kind: its keys are read even if `kind` is missing or misspelt.
    let postgres = postgres(reader, &mut section, &field.key.text);
    let vaults = reader
        .required(&mut section, "vaults", "vaults: [main]")
        .and_then(|field| store_vaults(reader, field, declared));
    let backup = backup(reader, &mut section);
    let compression = compression(reader, &mut section);
    let canary = canary(reader, &mut section);
    let retention = retention(reader, &mut section);
    reader.finish(&section);
    kind?;
    Ok(Store {
        vaults: vaults?,
        kind: Kind::Postgres(postgres?),
        backup: backup?,
        compression,
        canary,
        retention,
    })
}

fn store_vaults(
    reader: &mut Reader<'_>,
    field: Field<'_>,
    declared: Option<&Declared<'_>>,
) -> Read<Vec<VaultName>> {
    let mut names: Vec<VaultName> = Vec::new();
    let mut all = Ok(());
    for item in reader.list(field)? {
        let name = reader.text(item).and_then(|text| {
            let known = declared.is_none_or(|declared| declared.contains(&text.as_str()));
            match text.parse::<VaultName>() {
                Ok(name) if known => Ok(name),
                _ => Err(unknown_vault(reader, item, &text, declared)),
            }
        });
        match name {
            Ok(name) if names.contains(&name) => all = Err(repeated(reader, item)),
            Ok(name) => names.push(name),
            Err(reported) => all = Err(reported),
        }
    }
    all.map(|()| names)
}

fn unknown_vault(
    reader: &mut Reader<'_>,
    item: Field<'_>,
    text: &str,
    declared: Option<&Declared<'_>>,
) -> super::Reported {
    let declared = declared.map(Vec::as_slice).unwrap_or_default();
    let hint = match nearest(text, declared.iter().copied()) {
        Some(near) => format!("did you mean `{}`?", short(near)),
        None => "declare it under `vaults`".to_owned(),
    };
    let title = format!("no vault is called `{}`", short(text));
    reader.report(Raw::new(Code::UnknownVault, item.node.span.clone(), title).hint(hint))
}

fn repeated(reader: &mut Reader<'_>, item: Field<'_>) -> super::Reported {
    let title = "the same entry twice";
    let raw = Raw::new(Code::RepeatedValue, item.node.span.clone(), title);
    reader.report(raw.hint("remove one of them"))
}

fn postgres(reader: &mut Reader<'_>, section: &mut Section<'_>, name: &str) -> Read<Postgres> {
    let example = "connection: \"host=/run/postgresql user=soter\"";
    let connection =
        reader.required(section, "connection", example).and_then(|field| connection(reader, field));
    let example = "data_directory: /var/lib/postgresql/15/main";
    let data_directory =
        reader.required(section, "data_directory", example).and_then(|field| reader.path(field));
    let wal = wal(reader, section, name);
    Ok(Postgres { connection: connection?, data_directory: data_directory?, wal: wal? })
}

fn connection(reader: &mut Reader<'_>, field: Field<'_>) -> Read<Connection> {
    let text = reader.scalar(field, "a text such as \"host=/run/postgresql user=soter\"")?;
    let whole = field.node.span.clone();
    if mentions_secret(text) && reader.within(field.node, &(0..text.len())) == whole {
        // Escapes may hide the word from the mask.
        reader.secrets.push(whole);
    }
    Connection::parse(text).map_err(|error| {
        let code = match error.kind {
            ConnectionErrorKind::Invalid => Code::InvalidValue,
            ConnectionErrorKind::Reference => Code::BadReference,
            ConnectionErrorKind::PlainSecret => Code::PlainSecret,
        };
        let span = reader.within(field.node, &error.span);
        if code == Code::PlainSecret {
            reader.secrets.push(span.clone());
        }
        reader.report(Raw::new(code, span, error.problem).hint(error.hint))
    })
}

fn wal(reader: &mut Reader<'_>, section: &mut Section<'_>, store: &str) -> Read<Wal> {
    let default_slot = format!("soter_{}", store.replace('-', "_"));
    let mut wal = Wal {
        mode: WalMode::Asynchronous,
        part_interval: PART_INTERVAL.default,
        slot: default_slot.clone(),
        application_name: default_slot,
        spool: None,
    };
    let Some(field) = section.take("wal") else { return Ok(wal) };
    let mut section = reader.section(field, "`wal`")?;
    let modes = [("asynchronous", WalMode::Asynchronous), ("synchronous", WalMode::Synchronous)];
    let mode = match section.take("mode") {
        Some(field) => reader.choice(field, &modes),
        None => Ok(wal.mode),
    };
    wal.part_interval = duration(reader, &mut section, "part_interval", &PART_INTERVAL);
    let slot = match section.take("slot") {
        Some(field) => server_name(reader, field, "small letters, digits and `_`", |c| {
            c.is_ascii_lowercase() || c.is_ascii_digit() || c == '_'
        }),
        None => Ok(wal.slot),
    };
    let application_name = match section.take("application_name") {
        Some(field) => server_name(reader, field, "letters, digits, `_` and `-`", |c| {
            c.is_ascii_alphanumeric() || matches!(c, '_' | '-')
        })
        .map(Some),
        None => Ok(None),
    };
    let spool = section.take("spool").map(|field| spool(reader, field)).transpose();
    reader.finish(&section);
    wal.mode = mode?;
    wal.slot = slot?;
    wal.application_name = application_name?.unwrap_or_else(|| wal.slot.clone());
    wal.spool = spool?;
    Ok(wal)
}

/// A name that PostgreSQL keeps: at most 63 bytes of the characters it allows.
fn server_name(
    reader: &mut Reader<'_>,
    field: Field<'_>,
    allowed: &str,
    is_allowed: impl Fn(char) -> bool,
) -> Read<String> {
    let text = reader.text(field)?;
    if text.len() <= SERVER_NAME_BYTES_MAX && text.chars().all(is_allowed) {
        return Ok(text);
    }
    let hint = format!("1 to {SERVER_NAME_BYTES_MAX} characters: {allowed}");
    Err(reader.invalid(field, "PostgreSQL takes no such name", hint))
}

/// `NAMEDATALEN` less its end.
const SERVER_NAME_BYTES_MAX: usize = 63;

fn spool(reader: &mut Reader<'_>, field: Field<'_>) -> Read<Spool> {
    let mut section = reader.section(field, "`spool`")?;
    let directory = reader
        .required(&mut section, "directory", "directory: /var/spool/soter")
        .and_then(|field| reader.path(field));
    let limit = match section.take("limit") {
        Some(field) => reader.size(field, &SPOOL_LIMIT),
        None => Ok(SPOOL_LIMIT.default),
    };
    reader.finish(&section);
    Ok(Spool { directory: directory?, limit: limit? })
}

fn backup(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Read<Backup> {
    let mut inner = match section.take("backup") {
        Some(field) => reader.section(field, "`backup`")?,
        None => Section { what: "`backup`", place: 0..0, entries: &[], asked: Vec::new() },
    };
    let line = match inner.take("schedule") {
        Some(field) => reader.text(field).map(|text| (text, Some(field))),
        None => Ok((SCHEDULE.to_owned(), None)),
    };
    let zone = match inner.take("time_zone") {
        Some(field) => zone(reader, field),
        None => Ok(TimeZone::UTC),
    };
    let full_every = duration(reader, &mut inner, "full_every", &FULL_EVERY);
    let workers = integer(reader, &mut inner, "workers", &WORKERS);
    reader.finish(&inner);
    let (line, field) = line?;
    // The line is checked even if the zone is wrong.
    let schedule =
        match (Schedule::parse(&line, zone.as_ref().cloned().unwrap_or(TimeZone::UTC)), field) {
            (Ok(schedule), _) => schedule,
            (Err(problem), Some(field)) => {
                let hint = "five fields: minute hour day month weekday, as in \"*/15 * * * *\"";
                return Err(reader.invalid(field, format!("this is no schedule: {problem}"), hint));
            }
            (Err(problem), None) => {
                let raw = Raw::new(Code::InvalidValue, inner.place.clone(), problem);
                return Err(reader.report(raw));
            }
        };
    zone?;
    Ok(Backup { schedule, full_every, workers })
}

fn zone(reader: &mut Reader<'_>, field: Field<'_>) -> Read<TimeZone> {
    let text = reader.text(field)?;
    time_zone(&text).map_err(|near| {
        let hint = match near.as_slice() {
            [] => "use a name such as UTC or Europe/Berlin".to_owned(),
            near => format!("did you mean {}?", near.join(" or ")),
        };
        reader.invalid(field, format!("there is no time zone `{}`", short(&text)), hint)
    })
}

fn compression(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Compression {
    let mut compression = Compression { level: LEVEL.default };
    if let Some(Ok(mut inner)) =
        section.take("compression").map(|field| reader.section(field, "`compression`"))
    {
        compression.level = integer(reader, &mut inner, "level", &LEVEL);
        reader.finish(&inner);
    }
    compression
}

fn canary(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Option<Canary> {
    let mut inner = reader.section(section.take("canary")?, "`canary`").ok()?;
    let every = duration(reader, &mut inner, "every", &CANARY_EVERY);
    reader.finish(&inner);
    Some(Canary { every })
}

fn retention(reader: &mut Reader<'_>, section: &mut Section<'_>) -> Retention {
    let mut retention = Retention { keep_for: KEEP_FOR.default, keep_last: KEEP_LAST.default };
    if let Some(Ok(mut inner)) =
        section.take("retention").map(|field| reader.section(field, "`retention`"))
    {
        retention.keep_for = duration(reader, &mut inner, "keep_for", &KEEP_FOR);
        retention.keep_last = integer(reader, &mut inner, "keep_last", &KEEP_LAST);
        reader.finish(&inner);
    }
    retention
}

/// The value or its default; after a mistake, which is reported, also the default.
fn duration(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    limits: &Limits<Duration>,
) -> Duration {
    let field = section.take(key);
    field.and_then(|field| reader.duration(field, limits).ok()).unwrap_or(limits.default)
}

/// As [`duration`].
fn integer<T: Copy + PartialOrd + ToString + TryFrom<i128>>(
    reader: &mut Reader<'_>,
    section: &mut Section<'_>,
    key: &'static str,
    limits: &Limits<T>,
) -> T {
    let field = section.take(key);
    field.and_then(|field| reader.integer(field, limits).ok()).unwrap_or(limits.default)
}

/// Copies that lie inside the data directory are lost with it.
fn outside_of_what_it_protects(
    reader: &mut Reader<'_>,
    stores: &Node,
    name: &StoreName,
    store: &Store,
    plan: &Plan,
) {
    let crate::tree::Value::Mapping(entries) = &stores.value else { return };
    let Some((key, _)) = entries.iter().find(|(key, _)| key.text == name.as_str()) else { return };
    let Kind::Postgres(postgres) = &store.kind;
    let spool = postgres.wal.spool.iter().map(|spool| ("its spool".to_owned(), &spool.directory));
    let vaults = store.vaults.iter().filter_map(|name| {
        let VaultUrl::File(path) = &plan.vaults.get(name)?.url;
        Some((format!("vault `{name}`"), path))
    });
    let inside = |path: &Path, directory: &PathBuf| path.starts_with(directory);
    for (what, path) in spool.chain(vaults) {
        if inside(path, &postgres.data_directory) {
            let title = format!("{what} lies inside the data directory it protects");
            let raw = Raw::new(Code::InvalidValue, key.span.clone(), title);
            reader.report(raw.hint("what destroys the data directory would destroy it too"));
        }
    }
}
