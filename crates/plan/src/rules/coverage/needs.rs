//! S0204: what a restore of a product needs besides the data must be in some copy.
//!
//! Asked only for stores that a scenario destroys or brings back, and answered by any copy, credential
//! or store of the plan whose words speak of it.

use std::collections::{BTreeSet, HashMap};

use super::RESTORE_NEEDS_MORE;
use crate::check::{Finding, Model};
use crate::graph::{Cause, Loss};
use crate::language::{Method, Store};
use crate::objectives::Kept;
use crate::products::{self, RestoreNeed};

/// So many of what is missing are told in one title.
const NAMES_MAX: usize = 4;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let concerned = concerned(model);
    if concerned.is_empty() {
        return;
    }
    let kept = Held::of(model);
    let mut missing_of: HashMap<&'static str, Vec<&'static RestoreNeed>> = HashMap::new();
    for at in concerned {
        let Some((name, store)) = model.plan.stores.at(at) else { continue };
        let title = model.plan.stores.title(&name.value);
        let copies = model.objectives.copies(store);
        let Some(first) = copies.iter().find(|kept| is_snapshot_or_told(kept)) else { continue };
        let mut missing: Vec<&RestoreNeed> = Vec::new();
        for product in products_of(store, title) {
            let of_product = missing_of.entry(product).or_insert_with(|| {
                let needs = products::restore_needs(product).iter();
                needs.filter(|need| is_always_needed(need) && !kept.holds(need)).collect()
            });
            missing.extend(of_product.iter().copied());
        }
        missing.dedup_by_key(|need| &need.what);
        if !missing.is_empty() {
            findings.push(finding(title, first.origin, &missing));
        }
    }
}

/// Soter's own copies of a PostgreSQL cluster bring along what a restore needs; of an etcd they bring
/// what `files` says.
fn is_snapshot_or_told(kept: &Kept<'_>) -> bool {
    kept.copy.is_some() || kept.method == Some(Method::Snapshot)
}

/// The stores that a scenario destroys or brings back.
fn concerned(model: &Model<'_>) -> BTreeSet<usize> {
    let mut found = BTreeSet::new();
    let (graph, domains) = (&model.objectives.graph, &model.objectives.domains);
    for (_, scenario) in model.plan.scenarios.iter() {
        let milestones = model.objectives.milestones(scenario);
        found.extend(milestones.into_iter().flat_map(|milestone| milestone.restores));
        let cause = Cause::of(scenario, domains);
        if !cause.is_empty() {
            let loss = Loss::of(graph, domains, &cause);
            found.extend(
                loss.stores.iter().enumerate().filter(|(_, lost)| **lost).map(|(at, _)| at),
            );
        }
    }
    found.retain(|at| {
        model.plan.stores.at(*at).is_some_and(|(_, store)| store.rebuilt_from.is_empty())
    });
    found
}

/// The product of a store, and the one in parentheses: `etcd (K3s)`.
fn products_of(store: &Store, title: &str) -> Vec<&'static str> {
    let (before, inside) = title.split_once('(').unwrap_or((title, ""));
    let named = store.product.as_ref().map_or("", |product| product.value.as_str());
    let kind = store.kind.map_or("", |kind| kind.value.word());
    let mut found: Vec<&'static str> = Vec::new();
    for text in [named, kind, before, inside] {
        let product = products::recognise(text).and_then(|product| product.name.as_deref());
        if let Some(product) = product.filter(|product| !found.contains(product)) {
            found.push(product);
        }
    }
    // Their snapshots bring the keys of the etcd inside along, under their own token.
    if found.contains(&"k3s") || found.contains(&"rke2") {
        found.retain(|product| !["etcd", "kubernetes"].contains(product));
    }
    found
}

/// Encryption may be switched off, and a version can be looked up: only who has it knows.
fn is_always_needed(need: &RestoreNeed) -> bool {
    let what = need.what.as_deref().unwrap_or("");
    !what.contains("encryption") && !what.contains("version")
}

/// What the plan says is copied and kept.
struct Held {
    /// Everything it says of that, in small letters.
    text: String,
    /// What copies include, word by word.
    included: Vec<Vec<String>>,
}

impl Held {
    fn of(model: &Model<'_>) -> Self {
        let plan = model.plan;
        let mut words: Vec<String> = Vec::new();
        let mut included = Vec::new();
        let of_stores = plan.stores.iter().flat_map(|(_, store)| &store.copies);
        let of_policies = plan.policies.iter().flat_map(|(_, policy)| &policy.copies);
        for copy in of_stores.chain(of_policies) {
            included.extend(copy.includes.iter().map(|name| split(&name.value)));
            words.extend(copy.includes.iter().map(|name| name.value.clone()));
            words.extend(copy.artefact.iter().map(|name| name.value.clone()));
            words.extend(copy.run.iter().map(|run| run.text.clone()));
        }
        for (name, title, store) in plan.stores.titled() {
            words.extend([name.value.clone(), title.to_owned()]);
            words.extend(store.files.iter().map(|path| path.value.0.clone()));
        }
        for (name, title, _) in plan.credentials.titled() {
            words.extend([name.value.clone(), title.to_owned()]);
        }
        included.sort();
        included.dedup();
        Self { text: words.join("\n").to_lowercase(), included }
    }

    /// It is named by one of its names, or a copy includes what one of them says shortly: `ca`.
    fn holds(&self, need: &RestoreNeed) -> bool {
        let mut names = need.names.iter().chain(&need.what);
        names.any(|name| {
            let words = split(name);
            let includes = |include: &Vec<String>| include.iter().all(|word| words.contains(word));
            self.text.contains(name) || self.included.iter().any(includes)
        })
    }
}

fn split(text: &str) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
    words.map(str::to_owned).collect()
}

fn finding(title: &str, origin: crate::language::Origin, missing: &[&RestoreNeed]) -> Finding {
    let what = |need: &&RestoreNeed| need.what.clone().unwrap_or_default();
    let names: Vec<String> = missing.iter().take(NAMES_MAX).map(what).collect();
    let words = format!("a restore of {title} needs {}, and no copy holds that", names.join(", "));
    let why: Vec<String> = missing
        .iter()
        .filter_map(|need| Some(format!("{}: {}", need.what.as_ref()?, need.why.as_ref()?)))
        .collect();
    let mut sources: Vec<&str> = missing.iter().filter_map(|need| need.source.as_deref()).collect();
    sources.dedup();
    Finding::new(&RESTORE_NEEDS_MORE, origin, words)
        .here("this copy holds the data")
        .why(why.join("; "))
        .proof(sources.join(", "))
        .hint(
            "copy that too, and say so in `includes` of the copy, or in `files` of a store that Soter \
             protects; or keep it as a credential with `kept_in`",
        )
}
