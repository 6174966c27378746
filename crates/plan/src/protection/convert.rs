//! Sections of the language to the values that an agent works with.

use std::collections::BTreeMap;
use std::path::PathBuf;

use jiff::tz::TimeZone;

use super::{Unreadable, found};
use crate::check::Finding;
use crate::findings::Code;
use crate::language::{self, At, BackupSettings, Named, Origin, StoreKind, WalSettings};
use crate::names::{StoreName, VaultName};
use crate::plan::{
    Backup, CANARY_EVERY, Canary, ClientFiles, Compression, Etcd, FULL_EVERY, KEEP_FOR, KEEP_LAST,
    Kind, LEVEL, PART_INTERVAL, Plan, Postgres, Retention, SCHEDULE, SPOOL_LIMIT, Spool, Store,
    WORKERS, Wal, WalMode,
};
use crate::schedule::{Schedule, time_zone};
use crate::suggest::nearest;
use crate::text::Text;
use crate::tree::short;
use crate::vault::{AGENT_KEY_DEFAULT, ROOT_KEYS_MAX, Vault, VaultUrl};

/// What needs the keys that tell Soter how.
const PROTECTED: &str = "a store that Soter protects";

/// Makes the values, and collects what is in the way.
pub(super) struct Converter<'p> {
    plan: &'p language::Plan,
    unreadable: &'p Unreadable,
    pub(super) findings: Vec<Finding>,
}

impl<'p> Converter<'p> {
    pub(super) fn new(plan: &'p language::Plan, unreadable: &'p Unreadable) -> Self {
        Self { plan, unreadable, findings: Vec::new() }
    }

    /// The stores that Soter protects, with their vaults. It counts only if there are no findings.
    pub(super) fn plan(&mut self) -> Plan {
        let stores: Vec<_> =
            self.plan.stores.iter().filter(|(_, store)| is_protected(store)).collect();
        let mut plan = Plan { vaults: BTreeMap::new(), stores: BTreeMap::new() };
        let used = |name: &str| {
            stores.iter().any(|(_, store)| store.vaults.iter().any(|vault| vault.value == name))
        };
        for (name, vault) in self.plan.vaults.iter() {
            if (vault.keys.is_some() || used(name.as_str()))
                && let Some((name, vault)) = self.vault(name, vault)
            {
                plan.vaults.insert(name, vault);
            }
        }
        self.distinct_places(&plan);
        for (name, store) in stores {
            if let Some((key, store)) = self.store(name, store) {
                self.outside_of_what_it_protects(name.origin, &store, &plan);
                plan.stores.insert(key, store);
            }
        }
        plan
    }

    fn report(&mut self, code: Code, origin: Origin, title: impl Into<String>, hint: &str) {
        self.findings.push(found(code, origin, title.into(), hint));
    }

    /// Reports a key that is needed and was left out; one that could not be read is known already.
    fn missing(&mut self, section: [&str; 2], origin: Origin, key: [&str; 3]) {
        let [key, what, example] = key;
        if !self.unreadable.has(&[section[0], section[1], key]) {
            let title = format!("`{key}` is missing: {what} must have it");
            self.report(Code::MissingKey, origin, title, &format!("add `{example}`"));
        }
    }

    /// A text without references: they are for secrets.
    fn literal(&mut self, text: &At<String>, key: &str) -> Option<String> {
        match Text::parse(&text.value) {
            Err(error) => self.report(Code::BadReference, text.origin, error.problem, &error.hint),
            Ok(read) => match read.as_literal() {
                Some(literal) => return Some(literal.to_owned()),
                None => {
                    let title = format!("`{key}` cannot be a reference");
                    let hint = "references are for secrets: write the value itself";
                    self.report(Code::BadReference, text.origin, title, hint);
                }
            },
        }
        None
    }

    fn vault(&mut self, key: &At<String>, vault: &language::Vault) -> Option<(VaultName, Vault)> {
        let name = self.name::<VaultName>(key);
        // A missing address is told of by the reader.
        let url = vault.url.as_ref().and_then(|url| self.vault_url(url));
        let what = "a vault in which Soter keeps stores";
        let Some(keys) = &vault.keys else {
            let example = "keys: { root: \"ed25519:…\" }, as `soter vault init` prints it";
            self.missing(["vaults", &key.value], key.origin, ["keys", what, example]);
            return None;
        };
        let mut root_keys = Vec::new();
        for root in &keys.root {
            if root_keys.contains(&root.value) {
                let hint = "remove one of them";
                self.report(Code::RepeatedValue, root.origin, "the same entry twice", hint);
            }
            root_keys.push(root.value);
        }
        if root_keys.len() > ROOT_KEYS_MAX {
            let title = format!("a vault has at most {ROOT_KEYS_MAX} root keys");
            let origin = keys.root.first().map_or(key.origin, |root| root.origin);
            self.report(Code::OutOfRange, origin, title, "remove those that sign no longer");
        }
        let agent = keys.agent.as_ref().map(|path| path.value.0.clone());
        let agent_key = agent.unwrap_or_else(|| PathBuf::from(AGENT_KEY_DEFAULT));
        Some((name?, Vault { url: url?, root_keys, agent_key }))
    }

    fn vault_url(&mut self, url: &At<String>) -> Option<VaultUrl> {
        let text = self.literal(url, "url")?;
        text.parse()
            .map_err(|error: crate::vault::UrlError| {
                let hint = "write it as file:///srv/soter";
                self.report(Code::InvalidValue, url.origin, error.to_string(), hint);
            })
            .ok()
    }

    /// The name, as Soter takes it: it becomes part of paths and slot names. What is no name of the
    /// language is told of by the reader.
    fn name<N: std::str::FromStr<Err = crate::names::NameError>>(
        &mut self,
        key: &At<String>,
    ) -> Option<N> {
        match key.value.parse() {
            Ok(name) => Some(name),
            Err(error) if language::is_name(&key.value) => {
                let title = format!("`{}` is no name of what Soter protects", short(&key.value));
                self.report(Code::InvalidValue, key.origin, title, &error.to_string());
                None
            }
            Err(_) => None,
        }
    }

    fn distinct_places(&mut self, plan: &Plan) {
        let mut seen: BTreeMap<&VaultUrl, &str> = BTreeMap::new();
        for (key, _) in self.plan.vaults.iter() {
            let Some(vault) = plan.vaults.get(key.value.as_str()) else { continue };
            if let Some(first) = seen.get(&vault.url) {
                let title = format!("this vault is in the same place as `{first}`");
                let hint = "a second copy in the same place protects nothing";
                self.report(Code::RepeatedValue, key.origin, title, hint);
            }
            seen.entry(&vault.url).or_insert(&key.value);
        }
    }

    fn store(&mut self, key: &At<String>, store: &language::Store) -> Option<(StoreName, Store)> {
        let place = ["stores", key.value.as_str()];
        let name = self.name::<StoreName>(key);
        let kind = match store.kind.map_or(StoreKind::Postgres, |kind| kind.value) {
            StoreKind::Etcd => self.etcd(key, store).map(Kind::Etcd),
            _ => self.postgres(key, store).map(Kind::Postgres),
        };
        if store.vaults.is_empty() {
            self.missing(place, key.origin, ["vaults", PROTECTED, "vaults: [main]"]);
        }
        let vaults = self.vaults(&store.vaults);
        let backup = self.backup(store.backup.as_ref());
        let level = store.compression.as_ref().and_then(|compression| compression.level);
        let canary = store.canary.as_ref().map(|canary| Canary {
            every: canary.every.map_or(CANARY_EVERY.default, |every| every.value.0),
        });
        let (keep_for, keep_last) =
            store.retention.as_ref().map_or((None, None), |kept| (kept.keep_for, kept.keep_last));
        let store = Store {
            vaults,
            kind: kind?,
            backup: backup?,
            compression: Compression { level: level.map_or(LEVEL.default, |level| level.value.0) },
            canary,
            retention: Retention {
                keep_for: keep_for.map_or(KEEP_FOR.default, |kept| kept.value.0),
                keep_last: keep_last.map_or(KEEP_LAST.default, |kept| kept.value.0),
            },
            rpo: store.rpo.map(|rpo| rpo.value),
        };
        Some((name?, store))
    }

    fn postgres(&mut self, key: &At<String>, store: &language::Store) -> Option<Postgres> {
        let place = ["stores", key.value.as_str()];
        if let Some(kind) = store.kind.as_ref().filter(|kind| kind.value != StoreKind::Postgres) {
            let title = format!("Soter cannot protect a store of the kind `{}` yet", kind.value);
            let hint = "remove the keys that tell Soter how, and write `copies` that others make";
            self.report(Code::InvalidValue, kind.origin, title, hint);
            return None;
        }
        let of_etcd = [
            ("endpoints", !store.endpoints.is_empty()),
            ("ca_file", store.ca_file.is_some()),
            ("certificate_file", store.certificate_file.is_some()),
            ("key_file", store.key_file.is_some()),
            ("files", !store.files.is_empty()),
        ];
        self.of_another_kind(key, &of_etcd, "an etcd");
        if store.connection.is_none() {
            let example = "connection: \"host=/run/postgresql user=soter\"";
            self.missing(place, key.origin, ["connection", PROTECTED, example]);
        }
        if store.data_directory.is_none() {
            let example = "data_directory: /var/lib/postgresql/15/main";
            self.missing(place, key.origin, ["data_directory", PROTECTED, example]);
        }
        Some(Postgres {
            connection: store.connection.as_ref()?.value.clone(),
            data_directory: store.data_directory.as_ref()?.value.0.clone(),
            wal: wal(store.wal.as_ref(), &key.value),
        })
    }

    fn etcd(&mut self, key: &At<String>, store: &language::Store) -> Option<Etcd> {
        let place = ["stores", key.value.as_str()];
        let of_postgres = [
            ("connection", store.connection.is_some()),
            ("data_directory", store.data_directory.is_some()),
            ("wal", store.wal.is_some()),
            ("canary", store.canary.is_some()),
        ];
        self.of_another_kind(key, &of_postgres, "a PostgreSQL cluster");
        let what = "an etcd that Soter protects";
        if store.endpoints.is_empty() {
            let example = "endpoints: [\"https://10.0.0.1:2379\"]";
            self.missing(place, key.origin, ["endpoints", what, example]);
        }
        if store.endpoints.iter().any(|at| at.value.0.starts_with("https://"))
            && store.ca_file.is_none()
        {
            let example = "ca_file: /var/lib/rancher/k3s/server/tls/etcd/server-ca.crt";
            self.missing(place, key.origin, ["ca_file", "an etcd with https", example]);
        }
        let client = match (&store.certificate_file, &store.key_file) {
            (Some(certificate), Some(key)) => Some(ClientFiles {
                certificate: certificate.value.0.clone(),
                key: key.value.0.clone(),
            }),
            (Some(_), None) => {
                let what = "a store with `certificate_file`";
                self.missing(place, key.origin, ["key_file", what, "key_file: /etc/…/client.key"]);
                None
            }
            (None, Some(_)) => {
                let what = "a store with `key_file`";
                let example = "certificate_file: /etc/…/client.crt";
                self.missing(place, key.origin, ["certificate_file", what, example]);
                None
            }
            (None, None) => None,
        };
        Some(Etcd {
            endpoints: store.endpoints.iter().map(|at| at.value.0.clone()).collect(),
            ca_file: store.ca_file.as_ref().map(|at| at.value.0.clone()),
            client,
            files: store.files.iter().map(|at| at.value.0.clone()).collect(),
        })
    }

    /// Keys that mean nothing for this kind of store.
    fn of_another_kind(&mut self, key: &At<String>, keys: &[(&str, bool)], kind: &str) {
        for (name, _) in keys.iter().filter(|(_, is_there)| *is_there) {
            let title = format!("`{name}` is a key of {kind}, which this store is not");
            self.report(Code::InvalidValue, key.origin, title, "remove it, or correct `kind`");
        }
    }

    fn vaults(&mut self, written: &[At<String>]) -> Vec<VaultName> {
        let mut names: Vec<VaultName> = Vec::new();
        for item in written {
            let known = self.plan.vaults.contains(&item.value)
                || self.unreadable.has(&["vaults", &item.value]);
            if !known {
                self.unknown_vault(item);
            }
            let Ok(name) = item.value.parse() else { continue };
            if names.contains(&name) {
                let hint = "remove one of them";
                self.report(Code::RepeatedValue, item.origin, "the same entry twice", hint);
            }
            names.push(name);
        }
        names
    }

    fn unknown_vault(&mut self, item: &At<String>) {
        let vaults: &Named<_> = &self.plan.vaults;
        if vaults.is_empty() && self.unreadable.has(&["vaults"]) {
            return;
        }
        let hint = match nearest(&item.value, vaults.names()) {
            Some(near) => format!("did you mean `{}`?", short(near)),
            None => "declare it under `vaults`".to_owned(),
        };
        let title = format!("no vault is called `{}`", short(&item.value));
        self.report(Code::UnknownVault, item.origin, title, &hint);
    }

    fn backup(&mut self, written: Option<&BackupSettings>) -> Option<Backup> {
        let zone = match written.and_then(|written| written.time_zone.as_ref()) {
            Some(name) => self.zone(name),
            None => Some(TimeZone::UTC),
        };
        let line = match written.and_then(|written| written.schedule.as_ref()) {
            Some(line) => self.literal(line, "schedule").map(|text| (text, Some(line.origin))),
            None => Some((SCHEDULE.to_owned(), None)),
        };
        let (line, origin) = line?;
        // The line is checked even if the zone is wrong.
        let schedule = Schedule::parse(&line, zone.clone().unwrap_or(TimeZone::UTC));
        if let (Err(problem), Some(origin)) = (&schedule, origin) {
            let hint = "five fields: minute hour day month weekday, as in \"*/15 * * * *\"";
            self.report(
                Code::InvalidValue,
                origin,
                format!("this is no schedule: {problem}"),
                hint,
            );
        }
        let (full_every, workers) =
            written.map_or((None, None), |written| (written.full_every, written.workers));
        zone?;
        Some(Backup {
            schedule: schedule.ok()?,
            full_every: full_every.map_or(FULL_EVERY.default, |every| every.value.0),
            workers: workers.map_or(WORKERS.default, |workers| workers.value.0),
        })
    }

    fn zone(&mut self, name: &At<String>) -> Option<TimeZone> {
        let text = self.literal(name, "time_zone")?;
        time_zone(&text)
            .map_err(|near| {
                let hint = match near.as_slice() {
                    [] => "use a name such as UTC or Europe/Berlin".to_owned(),
                    near => format!("did you mean {}?", near.join(" or ")),
                };
                let title = format!("there is no time zone `{}`", short(&text));
                self.report(Code::InvalidValue, name.origin, title, &hint);
            })
            .ok()
    }

    /// Copies that lie inside the data directory are lost with it.
    fn outside_of_what_it_protects(&mut self, origin: Origin, store: &Store, plan: &Plan) {
        let Kind::Postgres(postgres) = &store.kind else { return };
        let spool =
            postgres.wal.spool.iter().map(|spool| ("its spool".to_owned(), &spool.directory));
        let vaults = store.vaults.iter().filter_map(|name| {
            let VaultUrl::File(path) = &plan.vaults.get(name)?.url;
            Some((format!("vault `{name}`"), path))
        });
        for (what, path) in spool.chain(vaults) {
            if path.starts_with(&postgres.data_directory) {
                let title = format!("{what} lies inside the data directory it protects");
                let hint = "what destroys the data directory would destroy it too";
                self.report(Code::InvalidValue, origin, title, hint);
            }
        }
    }
}

/// Whether Soter is told how to protect it.
fn is_protected(store: &language::Store) -> bool {
    store.connection.is_some()
        || !store.endpoints.is_empty()
        || !store.files.is_empty()
        || store.ca_file.is_some()
        || store.certificate_file.is_some()
        || store.key_file.is_some()
        || store.data_directory.is_some()
        || store.wal.is_some()
        || store.backup.is_some()
        || store.compression.is_some()
        || store.canary.is_some()
        || store.retention.is_some()
}

fn wal(written: Option<&WalSettings>, store: &str) -> Wal {
    let slot = written.and_then(|written| written.slot.as_ref());
    let slot = slot
        .map_or_else(|| format!("soter_{}", store.replace('-', "_")), |slot| slot.value.0.clone());
    let name = written.and_then(|written| written.application_name.as_ref());
    let spool = written.and_then(|written| written.spool.as_ref()).and_then(|spool| {
        Some(Spool {
            directory: spool.directory.as_ref()?.value.0.clone(),
            limit: spool.limit.map_or(SPOOL_LIMIT.default, |limit| limit.value.0),
        })
    });
    Wal {
        mode: written.and_then(|wal| wal.mode).map_or(WalMode::Asynchronous, |mode| mode.value),
        part_interval: written
            .and_then(|wal| wal.part_interval)
            .map_or(PART_INTERVAL.default, |interval| interval.value.0),
        application_name: name.map_or_else(|| slot.clone(), |name| name.value.0.clone()),
        slot,
        spool,
    }
}
