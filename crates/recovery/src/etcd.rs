//! `restore` of an etcd: a command of this same binary, so that it outlives the engine.
//!
//! The rules it keeps: it makes a directory with the snapshot and what was taken along, whole or not at
//! all, under a name that is that of the run and the step: another attempt takes away what was cut off,
//! and finds what is done. Members are not made of it here. How many there are, and whether etcd or K3s
//! makes them, a script of the plan knows; the step gives it `snapshot`, `directory`, `revision`, `keys`.
//! With `bump_revision` it is the snapshot whose revisions are moved on, so that both make them so.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use soter_runbook::child::{Hidden, Spec};
use soter_runbook::driver::{Asking, Attempt, Captured, Reply};
use soter_runbook::procedure::{self, Parameters, Restore, Step};
use soter_runbook::steps::{Action, Place, Work};
use soter_stores::etcd::EtcdRecord;
use soter_stores::etcd::restore::Target;
use soter_vault::keys::{KeyFile, OperatorKey, load_trust};
use soter_vault::log::Log;
use soter_vault::objects::open_url;
use soter_vault::vault::Vault;
use soter_world::SystemRandom;

use crate::actions::Means;
use crate::stores::Stores;
use crate::there::{self, KEY_IS_READ};

/// Brings etcds back.
pub(crate) struct EtcdRestores {
    pub(crate) stores: Stores,
    pub(crate) means: Means,
}

/// A restore with everything filled in.
#[derive(Debug, Clone)]
pub(crate) struct Filled {
    store: String,
    to: Target,
    vault: String,
    directory: PathBuf,
    identity: PathBuf,
    bump_revision: bool,
}

/// The program by which revisions are moved on.
pub(crate) const ETCDUTL: &str = "etcdutl";

impl Action for EtcdRestores {
    fn carries_out(&self, step: &Step) -> bool {
        matches!(&step.action, procedure::Action::Restore(of) if self.stores.is_etcd(&of.store))
    }

    fn work(&self, attempt: &Attempt, place: &Place) -> Option<Result<Work, String>> {
        let procedure::Action::Restore(restore) = &attempt.step.action else { return None };
        self.stores.is_etcd(&restore.store).then(|| self.command(attempt, place, restore))
    }

    fn answer(&self, _: &Asking, _: &Place) -> Option<Reply> {
        None
    }

    fn capture(&self, _: &Attempt, _: &Place) -> Option<Result<Vec<Captured>, String>> {
        None
    }
}

impl EtcdRestores {
    fn command(&self, attempt: &Attempt, place: &Place, restore: &Restore) -> Result<Work, String> {
        let filled = fill(&self.stores, &self.means, restore, (&attempt.parameters, place))?;
        let directory = place.attempt(&attempt.step.id, attempt.number);
        let once = format!("{}/{}", attempt.run, attempt.step.id);
        if attempt.step.on.is_some() {
            let words = filled.arguments(&once, Path::new(KEY_IS_READ));
            return there::restore(attempt, place, &self.means, &words, &filled.identity);
        }
        let mut arguments = filled.arguments(&once, &filled.identity);
        arguments.extend(["--attempt".to_owned(), directory.display().to_string()]);
        let spec = Spec {
            program: self.means.program.display().to_string(),
            arguments,
            directory: PathBuf::from("/"),
            environment: place.handed_on().clone(),
            ..Spec::default()
        };
        Ok(Work::Command { spec, hidden: Hidden::default() })
    }
}

impl Filled {
    fn arguments(&self, once: &str, identity: &Path) -> Vec<String> {
        let text = |path: &Path| path.display().to_string();
        let (to, identity) = (self.to.to_string(), text(identity));
        let directory = text(&self.directory);
        let words = ["--json", "restore", &self.store, "--vault", &self.vault, "--to", &to]
            .into_iter()
            .chain(["--identity", &identity, "--target-dir", &directory])
            .chain(["--once", once])
            .chain(self.bump_revision.then_some("--bump-revision"));
        words.map(str::to_owned).collect()
    }
}

/// Fills in what a restore leaves open.
pub(crate) fn fill(
    stores: &Stores,
    means: &Means,
    restore: &Restore,
    (parameters, place): (&Parameters, &Place),
) -> Result<Filled, String> {
    let text = |text: &str| parameters.fill(text).map_err(|error| error.to_string());
    let to = moment(&text(&restore.to)?)?;
    let written = restore.target.as_deref().map(text).transpose()?;
    let from = restore.from.as_deref().map(text).transpose()?;
    let identity = means.identity.clone().ok_or(
        "a backup is opened with an operator's key, and none was given: name its file with \
         --identity FILE",
    )?;
    let written = written.as_deref().map(Path::new);
    Ok(Filled {
        store: restore.store.clone(),
        to,
        vault: stores.vault(&restore.store, from.as_deref(), &place.bindings)?,
        directory: stores.restored_to(&restore.store, written, &place.bindings)?,
        identity,
        bump_revision: restore.bump_revision,
    })
}

/// A moment as `soter restore --to` takes it of an etcd. A plain time, as parameters have it, is one too.
fn moment(text: &str) -> Result<Target, String> {
    let text = text.trim();
    let as_time = |error: soter_stores::etcd::restore::TargetError| {
        format!("time:{text}").parse::<Target>().map_err(|_| error.to_string())
    };
    text.parse::<Target>().or_else(as_time)
}

/// Whether the vault can be opened with the key, and has such a backup; what is in the way, and what to
/// do.
pub(crate) fn reach(means: &Means, filled: &Filled) -> Result<(), (String, String)> {
    let url = &filled.vault;
    let away = |what: String, error: &dyn std::error::Error| {
        let words = match error.source() {
            Some(cause) => format!("{what}: {error}: {cause}"),
            None => format!("{what}: {error}"),
        };
        (words, "see that vault and key are reached, or name others".to_owned())
    };
    let key = OperatorKey::load(&*means.disk, &filled.identity)
        .map_err(|error| away("the operator's key cannot be read".to_owned(), &error))?;
    let unread = || format!("the vault {url} cannot be read");
    let objects = open_url(url, Arc::clone(&means.disk)).map_err(|e| away(unread(), &e))?;
    let loaded = load_trust(&*objects, &key.pins, 0).map_err(|e| away(unread(), &e))?;
    let list = loaded.trust.newest();
    let row = list.store_named(&filled.store).ok_or_else(|| {
        let known: Vec<&str> = list.stores.iter().map(|row| row.name.as_str()).collect();
        let words = format!("the vault {url} keeps no store `{}`", filled.store);
        (words, format!("it keeps: {}", known.join(", ")))
    })?;
    let keys = list
        .reader_keys(row.id, &key.identity)
        .map_err(|error| away("the operator's key does not open it".to_owned(), &error))?;
    let (clock, random) = (Arc::clone(&means.clock), Arc::new(SystemRandom));
    let vault = Vault { objects, clock, random, pins: key.pins };
    let log = Log::open(&vault, keys.store, loaded.trust.clone(), None)
        .map_err(|error| away(unread(), &error))?;
    let mut backups = Vec::new();
    for backup in log.catalogue().live() {
        let body = log.body(backup.id, &keys.metadata).map_err(|error| away(unread(), &error))?;
        let record = EtcdRecord::parse(&body.content)
            .map_err(|error| away(format!("backup {} cannot be used", backup.id), &error))?;
        backups.push((backup.id, record));
    }
    filled.to.choose(&backups, |id| *id).map(|_| ()).map_err(|error| {
        let hint = error.hint().unwrap_or_else(|| "try another vault".to_owned());
        (format!("`{}` cannot be brought back: {error}", filled.store), hint)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::testing::{self, Desk};
    use soter_runbook::procedure::Given;

    const PLAN: &str = "vaults: { near: { url: \"file:///near\" } }
stores:
  orders: { kind: postgres, connection: host=/run, data_directory: /srv/pg, vaults: [near] }
  cluster: { kind: etcd, endpoints: [\"https://10.0.0.1:2379\"], ca_file: /ca, vaults: [near] }
";

    fn restore(to: &str) -> Restore {
        Restore {
            store: "cluster".to_owned(),
            to: to.to_owned(),
            target: Some("/srv/etcd-new".to_owned()),
            from: Some("near".to_owned()),
            bump_revision: false,
        }
    }

    fn restores(desk: &Desk) -> EtcdRestores {
        let mut means = desk.means();
        means.identity = Some("/keys/operator.key".into());
        EtcdRestores { stores: desk.stores(), means }
    }

    #[test]
    fn the_command_says_everything_and_whose_it_is() {
        let target = "kind: drill\nstores: { cluster: { data_directory: etcd/data, \
                      vault: \"file:///lab/vault\" } }\n";
        let desk = Desk::new(PLAN, target);
        let attempt = testing::attempt(procedure::Action::Restore(restore("${before}")), |_| {});
        let mut parameters = Parameters::default();
        parameters.insert("before", Given::Plain("2026-01-15T14:30:00Z".to_owned()));
        let attempt = Attempt { parameters: parameters.into(), ..attempt };
        let work = restores(&desk).work(&attempt, &desk.place()).unwrap().unwrap();
        let Work::Command { spec, .. } = work else { panic!("it must outlive the engine") };
        let root = desk.root().display();
        let expect = format!(
            "--json restore cluster --vault file:///lab/vault --to time:2026-01-15T14:30:00Z \
             --identity /keys/operator.key --target-dir {root}/etcd/etcd-new \
             --once loss-20300102-0304-abcd/step --attempt {root}/run/children/step.1"
        );
        assert_eq!(spec.arguments.join(" "), expect);
        let moved = Restore { bump_revision: true, ..restore("latest") };
        let attempt = testing::attempt(procedure::Action::Restore(moved), |_| {});
        let work = restores(&desk).work(&attempt, &desk.place()).unwrap().unwrap();
        let Work::Command { spec, .. } = work else { panic!("it must outlive the engine") };
        assert!(spec.arguments.contains(&"--bump-revision".to_owned()), "{spec:?}");
        let orders = Restore { store: "orders".to_owned(), ..restore("latest") };
        let attempt = testing::attempt(procedure::Action::Restore(orders), |_| {});
        assert!(restores(&desk).work(&attempt, &desk.place()).is_none(), "left to others");
    }

    #[test]
    fn what_cannot_be_restored_is_said_before_anything_begins() {
        let desk = Desk::new(PLAN, "kind: real\n");
        let says = |restores: &EtcdRestores, to: &str, change: fn(&mut Step), words: &str| {
            let attempt = testing::attempt(procedure::Action::Restore(restore(to)), change);
            let work = restores.work(&attempt, &desk.place()).unwrap();
            let why = work.err().expect("it cannot be begun");
            assert!(why.contains(words), "{why}");
        };
        let mut restores = restores(&desk);
        says(
            &restores,
            "latest",
            |step| step.on = Some("n".to_owned()),
            "the key file /keys/operator.key cannot be used",
        );
        says(&restores, "lsn:16/0", |_| {}, "names no backup of an etcd");
        restores.means.identity = None;
        says(&restores, "latest", |_| {}, "an operator's key");
    }
}
