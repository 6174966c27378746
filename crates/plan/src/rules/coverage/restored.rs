//! S0208: what a scenario destroys must come back by one of its steps, from a copy that it left.

use super::NOT_RESTORED;
use crate::check::{Finding, Model, Severity};
use crate::graph::{Cause, Loss};
use crate::language::{At, DomainKind, Scenario, Step, Store};
use crate::objectives::Milestone;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, title, scenario) in model.plan.scenarios.titled() {
        let domains = &model.objectives.domains;
        let cause = Cause::of(scenario, domains);
        if cause.is_empty() {
            continue;
        }
        let loss = Loss::of(&model.objectives.graph, domains, &cause);
        let milestones = model.objectives.milestones(scenario);
        let has_steps = scenario.phases.iter().any(|phase| !phase.steps.is_empty());
        let place = scenario.title.as_ref().map_or(name.origin, |title| title.origin);
        for (at, (store_name, store_title, store)) in model.plan.stores.titled().enumerate() {
            if !loss.stores[at] || !store.rebuilt_from.is_empty() || is_others(model, at) {
                continue;
            }
            let said = scenario.destroys.iter().find(|one| one.value == store_name.value);
            let scene = (title, said.map_or(place, |one| one.origin));
            if has_steps && !is_brought_back(scenario, &milestones, at, (store_name, store_title)) {
                let finding = forgotten(scene, (store_name, store_title), store);
                let is_perhaps = said.is_none() && is_one_machine(model, scenario, store);
                findings.push(if is_perhaps {
                    perhaps(finding, scene, store_title)
                } else {
                    finding
                });
            } else if has_steps {
                findings.extend(nothing_left(model, scene, (store_title, store), &loss));
            }
        }
    }
}

/// All services whose data it is are run by somebody else.
fn is_others(model: &Model<'_>, at: usize) -> bool {
    let owners = model.objectives.owners(at);
    let graph = &model.objectives.graph;
    let is = |id| graph.service(id).1.external.is_some_and(|external| external.value);
    !owners.is_empty() && owners.iter().all(|id| is(*id))
}

fn is_brought_back(
    scenario: &Scenario,
    milestones: &[Milestone],
    at: usize,
    (name, title): (&At<String>, &str),
) -> bool {
    if milestones.iter().any(|milestone| milestone.restores.contains(&at)) {
        return true;
    }
    // A step in words that names it is believed.
    let mut steps = scenario.phases.iter().flat_map(|phase| &phase.steps);
    steps.any(|step| tells_of(step, &name.value, title))
}

fn tells_of(step: &Step, name: &str, title: &str) -> bool {
    let texts = [
        step.title.as_ref().map(|title| title.value.as_str()),
        step.manual.as_ref().map(|manual| manual.text.as_str()),
        step.run.as_ref().map(|run| run.text.as_str()),
    ];
    let words: Vec<String> = texts.into_iter().flatten().map(str::to_lowercase).collect();
    let first = title.split(['(', ' ']).next().unwrap_or(title).to_lowercase();
    let is_named = |text: &String| {
        text.contains(&name.to_lowercase())
            || text.contains(&title.to_lowercase())
            || (first.len() > 2 && text.contains(&first))
    };
    let restores =
        |text: &String| ["restor", "recover", "rebuil"].iter().any(|word| text.contains(word));
    words.iter().any(is_named) && words.iter().any(restores)
}

fn forgotten(
    (title, origin): (&str, crate::language::Origin),
    (name, store_title): (&At<String>, &str),
    store: &Store,
) -> Finding {
    let words = format!("{title} destroys {store_title}, and no step brings it back");
    let finding = Finding::new(&NOT_RESTORED, origin, words).label(name.origin, "this data");
    let finding = store
        .domains
        .first()
        .map_or(finding.clone(), |domain| finding.label(domain.origin, "lost with this"));
    finding.hint(format!(
        "add a step with `restore: {{ store: {0} }}`, or say `restores: [{0}]` at the step that \
         does it; if it is made again, say from what in `rebuilt_from`",
        name.value
    ))
}

/// The scenario loses one machine, and all that is said of the store's place is that machine: there
/// may be others that nobody wrote down.
fn is_one_machine(model: &Model<'_>, scenario: &Scenario, store: &Store) -> bool {
    let [place] = store.domains.as_slice() else { return false };
    let kind = model.plan.domains.get(&place.value).and_then(|domain| domain.kind);
    store.survives.is_none()
        && kind.is_some_and(|kind| kind.value == DomainKind::Node)
        && scenario.loses.iter().any(|lost| lost.value == place.value)
}

fn perhaps(
    finding: Finding,
    (title, _): (&str, crate::language::Origin),
    store_title: &str,
) -> Finding {
    let hint = finding.hint.clone().unwrap_or_default();
    Finding {
        title: format!(
            "{title} takes the only place named for {store_title}, and no step brings it back"
        ),
        ..finding
    }
    .severity(Severity::Warning)
    .hint(format!(
        "if its data lies on several machines, name them and say `survives: 1`; else {hint}"
    ))
}

/// It would be restored, and every copy is lost with it.
fn nothing_left(
    model: &Model<'_>,
    (title, origin): (&str, crate::language::Origin),
    (store_title, store): (&str, &Store),
    loss: &Loss,
) -> Option<Finding> {
    let vaults = &model.plan.vaults;
    let kept = model.objectives.copies(store);
    let places: Option<Vec<usize>> = kept.iter().map(|kept| vaults.position(kept.to?)).collect();
    let places = places.filter(|places| !places.is_empty())?;
    if places.iter().any(|at| !loss.vaults[*at]) {
        return None;
    }
    let words = format!("{title}: all copies of {store_title} are lost with it");
    let mut finding = Finding::new(&NOT_RESTORED, origin, words);
    for (name, vault) in places.iter().filter_map(|at| vaults.at(*at)) {
        let place = vault.domains.first().map_or(name.origin, |domain| domain.origin);
        finding = finding.label(place, format!("{} lies in it", vaults.title(&name.value)));
    }
    Some(finding.hint("keep one copy in a vault that this scenario does not lose"))
}
