//! S0406: what is done every so often, and by whom.

use super::NO_OWNER;
use crate::check::{Finding, Model, Severity};
use crate::language::Origin;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let plan = model.plan;
    if let Some(page) = plan.status_page.as_ref().filter(|page| page.owner.is_none())
        && let Some(every) = page.every
    {
        let title = format!("customers are told something every {}, by nobody", every.value);
        findings.push(
            Finding::new(&NO_OWNER, every.origin, title)
                .here("who writes it?")
                .hint(
                    "name a person or a team that does nothing else meanwhile: `owner:` of the \
                     status page; those who repair cannot write",
                )
                .proof("the plan says how often, and names no owner"),
        );
    }
    if let Some(header) = plan.plan.as_ref().filter(|header| header.owner.is_none())
        && let Some(every) = header.review_every
    {
        let title = format!("the plan is reviewed every {}, by nobody", every.value);
        findings.push(
            Finding::new(&NO_OWNER, every.origin, title)
                .here("who begins the review?")
                .hint("name the person or team that answers for the plan: `owner:` in its head")
                .proof("the head of the plan has a cadence and no owner"),
        );
    }
    if let Some(after) = plan.after_incident.as_ref().filter(|after| after.owner.is_none())
        && let Some(within) = after.review_within
    {
        findings.push(
            Finding::new(&NO_OWNER, within.origin, "nobody leads the review of an incident")
                .here("who calls the review?")
                .hint("name who leads it: `owner:` of `after_incident`")
                .proof("there is a deadline and no owner"),
        );
    }
    credentials(model, findings);
    drills(model, findings);
}

fn credentials(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, credential) in model.plan.credentials.iter() {
        let Some(every) = credential.rotated_every.filter(|_| credential.owner.is_none()) else {
            continue;
        };
        let shown = credential.title.as_ref().unwrap_or(name);
        let title = format!("`{}` is changed every {}, by nobody", shown.value, every.value);
        findings.push(
            Finding::new(&NO_OWNER, every.origin, title)
                .here("who changes it?")
                .hint(format!("name the team that holds it: `owner:` of `{}`", name.value))
                .proof("there is a cadence and no owner"),
        );
    }
}

/// Drills without an owner: one finding, for they are mended together.
fn drills(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let without: Vec<(Origin, String, bool)> = model
        .plan
        .drills
        .iter()
        .filter(|(_, drill)| drill.owner.is_none())
        .filter_map(|(name, drill)| {
            let every = drill.every?;
            let shown = &drill.title.as_ref().unwrap_or(name).value;
            let is_read = drill.report_to.is_some();
            Some((every.origin, format!("`{shown}`, every {}", every.value), is_read))
        })
        .collect();
    let Some((origin, first, _)) = without.first() else { return };
    let title = match without.len() {
        1 => format!("{first}, has no owner"),
        count => format!("{count} drills have a cadence and no owner"),
    };
    let finding = Finding::new(&NO_OWNER, *origin, title).here(format!("{first}: by whom?"));
    let finding = without
        .iter()
        .skip(1)
        .fold(finding, |finding, (origin, what, _)| finding.label(*origin, what));
    let unread = without.iter().filter(|(_, _, is_read)| !is_read).count();
    let proof = format!(
        "of {} drills with a cadence {} have no `owner`, and {unread} of these do not say who gets \
         the result",
        model.plan.drills.iter().filter(|(_, drill)| drill.every.is_some()).count(),
        without.len(),
    );
    let severity = if unread == 0 { Severity::Note } else { Severity::Warning };
    findings.push(
        finding
            .severity(severity)
            .hint("give each an `owner` who leads it, and say who reads the result: `report_to`")
            .proof(proof),
    );
}
