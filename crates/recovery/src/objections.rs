//! What is in the way of the steps of this crate, found before anything is done.

use std::collections::BTreeSet;
use std::path::Path;
use std::sync::Arc;

use soter_postgres::restore::RestoreError;
use soter_postgres::restore::choice::choose;
use soter_postgres::restore::gather::StoreReader;
use soter_runbook::preflight::{Objection, Weight};
use soter_runbook::procedure::{
    Action, Parameters, Probe, Procedure, Question, Restore, Sql, Step, Terraform, names_in,
};
use soter_runbook::steps::Place;
use soter_vault::keys::{KeyFile, OperatorKey, load_trust};
use soter_vault::objects::open_url;
use soter_vault::vault::Vault;
use soter_world::SystemRandom;
use soter_world::disk::FileKind;

use crate::actions::Means;
use crate::restore::{self, Filled};
use crate::stores::Stores;
use crate::{etcd, sql, terraform};

/// Everything that is in the way of this crate's steps, as far as it can be known with the values
/// there are: bindings, keys, programs, and whether a moment can be reached. Only looks.
#[must_use]
pub fn objections(
    procedure: &Procedure,
    place: &Place,
    parameters: &Parameters,
    means: &Means,
) -> Vec<Objection> {
    let stores = Stores::of(procedure, means);
    let (asked, objections) = (BTreeSet::new(), Vec::new());
    let mut found = Found { place, parameters, means, stores, asked, objections };
    for phase in &procedure.phases {
        if let Some(Question::Sql(query)) = phase.only_if.as_ref().map(|probe| &probe.question) {
            found.query(&phase.title, query);
        }
    }
    for step in &procedure.steps {
        match &step.action {
            Action::Restore(restore) if found.stores.is_postgres(&restore.store) => {
                found.restore(step, restore);
            }
            Action::Restore(restore) if found.stores.is_etcd(&restore.store) => {
                found.restore_etcd(step, restore);
            }
            Action::Terraform(terraform) => found.terraform(step, terraform),
            Action::Sql(sql) => found.query(step.id.as_str(), sql),
            _ => {}
        }
        for probe in step.only_if.iter().chain(&step.already_done).chain(&step.verify) {
            found.probe(step.id.as_str(), probe);
        }
    }
    found.objections.sort();
    found.objections.dedup();
    found.objections
}

struct Found<'f> {
    place: &'f Place,
    parameters: &'f Parameters,
    means: &'f Means,
    stores: Stores,
    /// The stores that were asked whether they answer.
    asked: BTreeSet<String>,
    objections: Vec<Objection>,
}

impl Found<'_> {
    fn block(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        let (what, hint) = (what.into(), hint.into());
        self.objections.push(Objection { weight: Weight::Blocking, what, hint });
    }

    fn remark(&mut self, what: impl Into<String>, hint: impl Into<String>) {
        let (what, hint) = (what.into(), hint.into());
        self.objections.push(Objection { weight: Weight::Remark, what, hint });
    }

    /// Whether all that a text names has a value by now; what comes later is judged then.
    fn is_known(&self, texts: &[&str]) -> bool {
        let mut names = texts.iter().flat_map(|text| names_in(text));
        names.all(|name| self.parameters.get(name).is_some())
    }

    fn restore(&mut self, step: &Step, restore: &Restore) {
        let looked_at = self.as_far_as_known(restore);
        let on = step.on.as_deref().filter(|on| self.is_known(&[on]));
        let filled =
            restore::fill(&self.stores, self.means, &looked_at, on, (self.parameters, self.place));
        let reached = filled.as_ref().map(|filled| reach(self.means, filled));
        self.reached(step, restore, reached.map_err(Clone::clone));
        if let (Ok(filled), None) = (&filled, &step.on) {
            self.still_running(step, filled);
        }
    }

    fn restore_etcd(&mut self, step: &Step, restore: &Restore) {
        let looked_at = self.as_far_as_known(restore);
        let filled =
            etcd::fill(&self.stores, self.means, &looked_at, (self.parameters, self.place));
        self.reached(step, restore, filled.map(|filled| etcd::reach(self.means, &filled)));
        // On another machine it is asked for with those of scripts.
        if restore.bump_revision && step.on.is_none() {
            self.program(step, etcd::ETCDUTL);
        }
    }

    fn program(&mut self, step: &Step, program: &str) {
        let is_there = |directory: &Path| self.means.disk.open(&directory.join(program));
        if !self.place.program_directories().any(|directory| is_there(directory).is_ok()) {
            let what = format!(
                "this machine has no program `{program}`, which the step `{}` needs",
                step.id
            );
            self.block(what, "install it there, or put its directory into the target's `path`");
        }
    }

    /// The restore with what is known by now.
    fn as_far_as_known(&self, restore: &Restore) -> Restore {
        let texts = [Some(restore.to.as_str()), restore.target.as_deref(), restore.from.as_deref()];
        let texts: Vec<&str> = texts.into_iter().flatten().collect();
        if self.is_known(&texts) {
            return restore.clone();
        }
        // With a moment in its place all else can be judged already: for a cluster the end of its newest
        // backup, which no agent that is still at work moves meanwhile.
        let is_postgres = self.stores.is_postgres(&restore.store);
        let to = if is_postgres { "immediate" } else { "latest" }.to_owned();
        let target = restore.target.clone().filter(|text| self.is_known(&[text]));
        let from = restore.from.clone().filter(|text| self.is_known(&[text]));
        Restore { to, target, from, ..restore.clone() }
    }

    /// What became of looking whether it can be done.
    fn reached(
        &mut self,
        step: &Step,
        restore: &Restore,
        looked: Result<Result<(), (String, String)>, String>,
    ) {
        match looked {
            Ok(Ok(())) => {}
            // Another machine may reach a vault that this one does not.
            Ok(Err((what, hint))) if step.on.is_some() => {
                self.remark(format!("the step `{}`, looked at from here: {what}", step.id), hint);
            }
            Ok(Err((what, hint))) => self.block(format!("the step `{}`: {what}", step.id), hint),
            Err(why) => {
                let what = format!("the step `{}` cannot restore `{}`", step.id, restore.store);
                self.block(format!("{what}: {why}"), "correct the plan or the target");
            }
        }
    }

    /// A server that still answers where the restored one will: a step before may stop it, and without
    /// one the restore is refused before it writes.
    fn still_running(&mut self, step: &Step, filled: &Filled) {
        let store = &filled.store;
        let answers = || sql::answers(&self.stores, store, self.place).is_ok();
        if filled.door.is_some() && answers() {
            let what = format!(
                "a server of `{store}` answers now, and the step `{}` restores nothing while it does",
                step.id
            );
            self.remark(what, "stop it in a step before; its directory stays as it is");
        }
    }

    fn query(&mut self, step: &str, query: &Sql) {
        let Some(store) = query.store.as_deref() else { return };
        if !self.stores.is_postgres(store) {
            let what = format!("the step `{step}` puts a query to `{store}`");
            return self.block(what, "only stores of `kind: postgres` take queries");
        }
        if let Err(why) = self.stores.connection(store, self.place) {
            let what = format!("the step `{step}` cannot ask `{store}`");
            return self.block(format!("{what}: {why}"), "correct the plan or the target");
        }
        if !self.asked.insert(store.to_owned()) {
            return;
        }
        // A store that is to be brought back does not answer yet.
        if let Err(why) = sql::answers(&self.stores, store, self.place) {
            let what = format!("`{store}`, which the step `{step}` asks, does not answer: {why}");
            self.remark(what, "it must by the time it is asked");
        }
    }

    fn probe(&mut self, step: &str, probe: &Probe) {
        if let Question::Sql(query) = &probe.question {
            self.query(step, query);
        }
    }

    fn terraform(&mut self, step: &Step, written: &Terraform) {
        if let Err(why) = terraform::is_destroy(written) {
            self.block(format!("the step `{}`: {why}", step.id), "correct the plan");
        }
        if let Some(on) = &step.on {
            // Whether the program is there is asked with those of scripts.
            let on = Some(on.as_str());
            if self.is_known(&[&written.directory])
                && let Err(why) = terraform::directory(self.means, written, on, self.parameters)
            {
                self.block(format!("the step `{}`: {why}", step.id), "correct the plan");
            }
            return;
        }
        self.program(step, terraform::PROGRAM);
        if !self.is_known(&[&written.directory]) {
            return;
        }
        let found = terraform::directory(self.means, written, None, self.parameters);
        let Ok(directory) = found else { return };
        let found = self.means.disk.metadata(&directory);
        if !found.is_ok_and(|found| found.kind != FileKind::File) {
            let what = format!(
                "the step `{}` needs the directory {}, which is not there",
                step.id,
                directory.display()
            );
            self.block(what, "begin the run where the configuration is, or write its whole path");
        }
    }
}

/// Whether the vault can be opened with the key, and has a way to the moment; what is in the way, and
/// what to do.
fn reach(means: &Means, filled: &Filled) -> Result<(), (String, String)> {
    let say = |what: &str, error: &dyn std::error::Error| {
        let mut words = format!("{what}: {error}");
        let mut source = error.source();
        while let Some(error) = source {
            words.push_str(&format!(": {error}"));
            source = error.source();
        }
        words
    };
    let vault_url = &filled.vault;
    let key = OperatorKey::load(&*means.disk, &filled.identity).map_err(|error| {
        (
            say("the operator's key cannot be read", &error),
            "name another with --identity".to_owned(),
        )
    })?;
    let away = |words: String| (words, "see that the vault is reached, or name another".to_owned());
    let what = format!("the vault {vault_url} cannot be read");
    let objects = open_url(vault_url, Arc::clone(&means.disk)).map_err(|e| away(say(&what, &e)))?;
    let loaded = load_trust(&*objects, &key.pins, 0).map_err(|e| away(say(&what, &e)))?;
    let list = loaded.trust.newest();
    let row = list.store_named(&filled.store).ok_or_else(|| {
        let known: Vec<&str> = list.stores.iter().map(|row| row.name.as_str()).collect();
        let words = format!("the vault {vault_url} keeps no store `{}`", filled.store);
        (words, format!("it keeps: {}", known.join(", ")))
    })?;
    let keys = list.reader_keys(row.id, &key.identity).map_err(|error| {
        (say("the operator's key does not open it", &error), "take another key".to_owned())
    })?;
    let (clock, random) = (Arc::clone(&means.clock), Arc::new(SystemRandom));
    let vault = Vault { objects, clock, random, pins: key.pins };
    let reader = StoreReader { vault: &vault, trust: &loaded.trust, keys: &keys };
    let refused = |error: RestoreError| {
        let hint = error.hint().unwrap_or_else(|| "try another vault".to_owned());
        (say(&format!("`{}` cannot be brought back", filled.store), &error), hint)
    };
    let gathered = reader.gather_life(&filled.to, None).map_err(refused)?;
    choose(&gathered.recoverable, &filled.to, true).map_err(|error| refused(error.into()))?;
    Ok(())
}

#[cfg(test)]
mod tests;
