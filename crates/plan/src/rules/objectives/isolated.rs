//! S0106: a service of a critical tier that needs nothing and that nothing needs.

use super::ISOLATED;
use crate::check::{Finding, Model};

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let (graph, plan) = (&model.objectives.graph, model.plan);
    // Where no service names what it needs, the plan has no graph that could be incomplete.
    if graph.edges() == 0 {
        return;
    }
    let preferred: std::collections::HashSet<&str> = plan
        .services
        .iter()
        .flat_map(|(_, service)| service.prefers.iter().map(|name| name.value.as_str()))
        .collect();
    let first = plan.tiers.names().next();
    let none_marked = plan.tiers.iter().all(|(_, tier)| tier.critical.is_none());
    for id in graph.ids() {
        let (name, service) = graph.service(id);
        let Some((tier, declared)) = graph.tier(id) else { continue };
        let is_critical = match declared.critical {
            Some(critical) => critical.value,
            None => none_marked && first == Some(tier.value.as_str()) && plan.tiers.len() > 1,
        };
        let stands_alone = service.needs.is_empty()
            && service.prefers.is_empty()
            && graph.needed_by(id).is_empty()
            && !preferred.contains(name.value.as_str());
        if !is_critical || !stands_alone {
            continue;
        }
        let title =
            format!("{} is critical, yet nothing needs it and it needs nothing", graph.title(id));
        findings.push(
            Finding::new(&ISOLATED, name.origin, title)
                .here("no edge begins or ends here")
                .hint(format!(
                    "ask who stands still without {0}: add it to what those services need; if \
                     nobody does, {0} belongs in a lower tier",
                    graph.title(id)
                ))
                .proof(format!(
                    "{} needs between {} services, none of them from or to {}",
                    graph.edges(),
                    graph.len(),
                    graph.title(id)
                )),
        );
    }
}
