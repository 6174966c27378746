//! S0107: what the programs of the steps need must be a service or a store of the plan.

use std::collections::BTreeMap;

use super::USED_NOT_DECLARED;
use crate::check::{Finding, Model};
use crate::language::{Origin, Plan};
use crate::products::{Invocation, recognise};
use crate::shell;

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
    let known = known(model.plan);
    let mut used: BTreeMap<&'static str, Use> = BTreeMap::new();
    for (_, scenario) in model.plan.scenarios.iter() {
        for step in scenario.phases.iter().flat_map(|phase| &phase.steps) {
            let Some(script) = &step.run else { continue };
            let shell = shell::read(&script.text);
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
    for (need, uses) in used {
        if !is_known(need, &known) {
            findings.push(finding(need, &uses));
        }
    }
}

/// All words by which services and stores are called, in small letters.
fn known(plan: &Plan) -> Vec<String> {
    let mut words: Vec<String> = Vec::new();
    for (name, title, service) in plan.services.titled() {
        words.extend([name.value.to_lowercase(), title.to_lowercase()]);
        words.extend(service.also.iter().map(|also| also.value.to_lowercase()));
    }
    for (name, title, store) in plan.stores.titled() {
        words.extend([name.value.to_lowercase(), title.to_lowercase()]);
        words.extend(store.product.iter().map(|product| product.value.to_lowercase()));
        words.extend(store.kind.map(|kind| kind.value.word().to_owned()));
    }
    words
}

/// It is called by its product, or by one of the words that matter in its name.
fn is_known(need: &str, known: &[String]) -> bool {
    let product = |text: &str| recognise(text).and_then(|product| product.name.as_deref());
    let wanted = product(need);
    let lower = need.to_lowercase();
    let mut words = lower.split(|c: char| !c.is_alphanumeric()).filter(|word| {
        word.len() > 2 && !["the", "api", "state", "store", "engine", "its", "cloud"].contains(word)
    });
    // K3s is Kubernetes, and so are others.
    let is_kubernetes = lower.contains("kubernetes");
    let kinds = ["k3s", "k8s", "rke", "openshift", "eks", "gke", "aks", "cluster"];
    known.iter().any(|name| {
        (wanted.is_some() && product(name) == wanted)
            || words.clone().any(|word| name.contains(word))
            || (is_kubernetes && kinds.iter().any(|kind| name.contains(kind)))
    }) || words.next().is_none()
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
