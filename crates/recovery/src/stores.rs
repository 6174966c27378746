//! Where a store is in this run: as its target binds it, else as the plan says.
//!
//! The rule it keeps: a drill never falls back to the plan's own places. What its target does not
//! bind it does not touch.

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use soter_plan::Connection;
use soter_postgres::connection::{Authorities, ConnectionInfo, Demand};
use soter_runbook::procedure::{Procedure, Store};
use soter_runbook::steps::Place;
use soter_runbook::target::Bindings;
use soter_vault::objects::open_url;
use soter_world::{Disk, Secret};

use crate::actions::{LookUp, Means};

/// The kind of store whose steps are here.
pub(crate) const POSTGRES: &str = "postgres";

/// The other kind that is brought back.
const ETCD: &str = "etcd";

/// The stores of a run.
#[derive(Clone)]
pub(crate) struct Stores {
    of_plan: Arc<BTreeMap<String, Store>>,
    look_up: LookUp,
    disk: Arc<dyn Disk>,
}

impl Stores {
    pub(crate) fn of(procedure: &Procedure, means: &Means) -> Self {
        Self {
            of_plan: Arc::new(procedure.stores.clone()),
            look_up: Arc::clone(&means.look_up),
            disk: Arc::clone(&means.disk),
        }
    }

    /// Whether it is a PostgreSQL cluster.
    pub(crate) fn is_postgres(&self, name: &str) -> bool {
        self.of_plan.get(name).is_some_and(|store| store.kind == POSTGRES)
    }

    /// Whether it is an etcd.
    pub(crate) fn is_etcd(&self, name: &str) -> bool {
        self.of_plan.get(name).is_some_and(|store| store.kind == ETCD)
    }

    /// How it is reached; none if nobody says.
    pub(crate) fn connection_text(
        &self,
        name: &str,
        place: &Place,
    ) -> Result<Option<Secret<String>>, String> {
        let bound = place.bindings.stores.get(name).and_then(|store| store.connection.clone());
        let planned = self.of_plan.get(name).and_then(|store| store.connection.as_ref());
        match (bound, planned) {
            (Some(bound), _) => Ok(Some(bound)),
            (None, Some(planned)) if !place.bindings.is_fenced() => {
                let written = Connection::parse(planned).map_err(|error| error.to_string())?;
                written.resolve(|reference| (self.look_up)(reference)).map(Secret::new).map(Some)
            }
            _ => Ok(None),
        }
    }

    /// How it is reached.
    pub(crate) fn connection(&self, name: &str, place: &Place) -> Result<ConnectionInfo, String> {
        let text = self.connection_text(name, place)?.ok_or_else(|| {
            let what = format!("it is not said how the store `{name}` is reached");
            format!("{what}: {}", self.how_to_bind(name, "connection", &place.bindings))
        })?;
        let mut reached = ConnectionInfo::parse_for_session(text.expose())
            .map_err(|error| format!("the connection of `{name}`: {error}; {}", error.hint()))?;
        // What the string leaves open the target may say.
        let bound = place.bindings.stores.get(name);
        let vouches = bound.and_then(|bound| bound.ca_file.as_ref());
        let tls = &mut reached.tls;
        if tls.demand >= Demand::KnownAuthority && tls.authorities.is_none() {
            let file = vouches.or(place.bindings.ca_file.as_ref());
            tls.authorities = file.cloned().map(Authorities::File);
        }
        let own = bound.map(|bound| (&bound.certificate_file, &bound.key_file));
        if let (None, Some((Some(certificate), Some(key)))) = (&tls.own, own) {
            tls.own = Some((certificate.clone(), key.clone()));
        }
        Ok(reached)
    }

    /// Where files are read from.
    pub(crate) fn disk(&self) -> Arc<dyn Disk> {
        Arc::clone(&self.disk)
    }

    /// The new directory that it is restored to.
    pub(crate) fn restored_to(
        &self,
        name: &str,
        written: Option<&Path>,
        bindings: &Bindings,
    ) -> Result<PathBuf, String> {
        let planned = self.of_plan.get(name).and_then(|store| store.data_directory.as_deref());
        bindings.restored_to(name, written, planned).ok_or_else(|| {
            let what = format!("it is not said where the store `{name}` comes to");
            format!("{what}: {}", self.how_to_bind(name, "data_directory", bindings))
        })
    }

    /// The address of the vault it comes from: the target's, else the one that is named, else the
    /// first of the plan's that answers.
    pub(crate) fn vault(
        &self,
        name: &str,
        from: Option<&str>,
        bindings: &Bindings,
    ) -> Result<String, String> {
        let known = self.of_plan.get(name).map_or(&[][..], |store| &store.vaults);
        let url_of = |name: &str| known.iter().find(|vault| vault.name == name);
        let bound = bindings.stores.get(name).and_then(|store| store.vault.as_deref());
        if let Some(bound) = bound {
            return Ok(url_of(bound).map_or_else(|| bound.to_owned(), |vault| vault.url.clone()));
        }
        if let Some(from) = from {
            if from.contains(':') {
                return Ok(from.to_owned());
            }
            return url_of(from).map(|vault| vault.url.clone()).ok_or_else(|| {
                let names: Vec<&str> = known.iter().map(|vault| vault.name.as_str()).collect();
                let names = if names.is_empty() { "none".to_owned() } else { names.join(", ") };
                format!("Soter keeps `{name}` in no vault `{from}`; in these: {names}")
            });
        }
        let mut silent = Vec::new();
        for vault in known {
            match open_url(&vault.url, Arc::clone(&self.disk)) {
                Ok(_) => return Ok(vault.url.clone()),
                Err(error) => silent.push(format!("{}: {error}", vault.name)),
            }
        }
        if silent.is_empty() {
            let what = format!("it is not said which vault keeps the store `{name}`");
            return Err(format!("{what}: {}", self.how_to_bind(name, "vault", bindings)));
        }
        Err(format!("no vault of `{name}` answers: {}", silent.join("; ")))
    }

    fn how_to_bind(&self, name: &str, key: &str, bindings: &Bindings) -> String {
        match &bindings.name {
            Some(target) => {
                format!("give `{name}` a `{key}` under `stores` of the target `{target}`")
            }
            None => format!("give `{name}` a `{key}` in the plan, or bind it in a target"),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::Desk;

    const PLAN: &str = "vaults: { near: { url: \"file:///nowhere/near\" }, far: { url: \"file:///far\" } }
stores:
  orders: { kind: postgres, connection: \"host=/own user=ada password=${env:PW}\", data_directory: /own/data, vaults: [near, far] }
  etcd: { kind: etcd }
";

    #[test]
    fn a_drill_never_touches_what_its_target_does_not_bind() {
        let desk = Desk::new(PLAN, "kind: drill\n");
        let (stores, place) = (desk.stores(), desk.place());
        let why = stores.connection("orders", &place).unwrap_err();
        assert!(why.contains("under `stores` of the target `lab`"), "{why}");
        let written = Some(Path::new("/own/new"));
        assert!(stores.restored_to("orders", written, &place.bindings).is_err());
        assert!(stores.is_postgres("orders") && !stores.is_postgres("etcd"));
    }

    #[test]
    fn what_is_bound_takes_the_place_of_the_plans() {
        let stores = "stores: { orders: { connection: host=/lab user=eva, data_directory: pg/data, vault: far } }";
        let desk = Desk::new(PLAN, &format!("kind: drill\n{stores}\n"));
        let (stores, place) = (desk.stores(), desk.place());
        assert_eq!(stores.connection("orders", &place).unwrap().user, "eva");
        let found = stores.restored_to("orders", Some(Path::new("/own/new")), &place.bindings);
        assert_eq!(found.unwrap(), desk.root().join("pg/new"));
        assert_eq!(stores.vault("orders", Some("near"), &place.bindings).unwrap(), "file:///far");
    }

    #[test]
    fn the_real_thing_is_where_the_plan_says() {
        let desk = Desk::new(PLAN, "kind: real\n");
        let (stores, place) = (desk.stores(), desk.place());
        let reached = stores.connection("orders", &place).unwrap();
        assert_eq!(reached.password.unwrap().expose(), "of PW");
        let bindings = &place.bindings;
        assert_eq!(stores.vault("orders", Some("near"), bindings).unwrap(), "file:///nowhere/near");
        let why = stores.vault("orders", Some("moon"), bindings).unwrap_err();
        assert!(why.ends_with("in these: near, far"), "{why}");
        let why = stores.vault("orders", None, bindings).unwrap_err();
        assert!(why.starts_with("no vault of `orders` answers: near: "), "{why}");
        assert_eq!(stores.restored_to("orders", None, bindings).unwrap(), Path::new("/own/data"));
    }
}
