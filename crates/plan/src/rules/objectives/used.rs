//! S0107: what the programs of the steps need must be a service or a store of the plan.

use std::collections::{BTreeMap, BTreeSet};

use super::USED_NOT_DECLARED;
use crate::check::{Finding, Model};
use crate::language::{Origin, Plan};
use crate::products::{Invocation, recognise};

/// Uses of one thing: where first, by which program, how often.
struct Use {
    origin: Origin,
    program: String,
    count: usize,
}

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    if model.plan.services.is_empty() {
        return;
    }
    let mut used: BTreeMap<&'static str, Use> = BTreeMap::new();
    for (_, scenario) in model.plan.scenarios.iter() {
        for step in scenario.every_step() {
            let Some(script) = &step.run else { continue };
            let shell = model.shell(script);
            for command in &shell.commands {
                let Some(invocation) = Invocation::of(command) else { continue };
                let Some(first) = command.words.first() else { continue };
                for need in &invocation.program.needs {
                    let uses = used.entry(need).or_insert_with(|| Use {
                        origin: script.place(first.range.clone()),
                        program: first.text.clone(),
                        count: 0,
                    });
                    uses.count += 1;
                }
            }
        }
    }
    if used.is_empty() {
        return;
    }
    let known = Known::of(model.plan);
    for (need, uses) in used {
        if !known.has(need) {
            findings.push(finding(need, &uses));
        }
    }
}

/// What services and stores are called.
struct Known {
    /// In small letters.
    names: Vec<String>,
    /// The products that the names speak of.
    products: BTreeSet<&'static str>,
}

fn product(text: &str) -> Option<&'static str> {
    recognise(text).and_then(|product| product.name.as_deref())
}

impl Known {
    fn of(plan: &Plan) -> Self {
        let mut names: Vec<String> = Vec::new();
        for (name, title, service) in plan.services.titled() {
            names.extend([name.value.to_lowercase(), title.to_lowercase()]);
            names.extend(service.also.iter().map(|also| also.value.to_lowercase()));
        }
        for (name, title, store) in plan.stores.titled() {
            names.extend([name.value.to_lowercase(), title.to_lowercase()]);
            names.extend(store.product.iter().map(|product| product.value.to_lowercase()));
            names.extend(store.kind.map(|kind| kind.value.word().to_owned()));
        }
        names.sort_unstable();
        names.dedup();
        let products = names.iter().filter_map(|name| product(name)).collect();
        Self { names, products }
    }

    /// It is called by its product, or by one of the words that matter in its name.
    fn has(&self, need: &str) -> bool {
        if product(need).is_some_and(|wanted| self.products.contains(wanted)) {
            return true;
        }
        let lower = need.to_lowercase();
        let mut words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| {
            word.len() > 2
                && !["the", "api", "state", "store", "engine", "its", "cloud"].contains(word)
        });
        // K3s is Kubernetes, and so are others.
        let is_kubernetes = lower.contains("kubernetes");
        let kinds = ["k3s", "k8s", "rke", "openshift", "eks", "gke", "aks", "cluster"];
        self.names.iter().any(|name| {
            words.clone().any(|word| name.contains(word))
                || (is_kubernetes && kinds.iter().any(|kind| name.contains(kind)))
        }) || words.next().is_none()
    }
}

fn finding(need: &str, uses: &Use) -> Finding {
    let Use { origin, program, count } = uses;
    let times = if *count == 1 { "once".to_owned() } else { format!("{count} times") };
    let words = format!("the steps use {need}, which is no service of the plan");
    Finding::new(&USED_NOT_DECLARED, *origin, words)
        .here(format!("`{program}` does not work without"))
        .proof(format!("the recoveries run programs that need it {times}"))
        .hint(
            "declare it among the services, with what it needs and how soon it is back; if somebody \
             else runs it, say `external: yes` and think of the day on which they do not",
        )
}
