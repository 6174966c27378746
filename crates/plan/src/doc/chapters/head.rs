//! The title page and the summary: what it is, for whom, and the promises in one table.

use jiff::civil::Date;

use super::super::calendar;
use super::super::inline::{Line, listed, own, words};
use super::super::page::Page;
use super::super::words::{duration, length};
use super::{Book, maybe, paragraphs};
use crate::language::{At, Scenario};

pub(super) fn open(book: &Book<'_>) -> Page {
    let edition = book.edition;
    let (digest, as_of) = (edition.digest.short(), edition.as_of);
    let mut page = Page::new(
        format!("{}: disaster recovery plan", book.title()),
        format!(
            "Derived by soter doc from plan {digest} as of {as_of}. Change the plan, never this \
             document."
        ),
        format!("plan {digest}, as of {as_of}"),
    );
    facts(book, &mut page);
    page.chapter("Summary");
    let summary = book.plan.plan.as_ref().and_then(|head| head.summary.as_ref());
    for paragraph in summary.into_iter().flat_map(|summary| paragraphs(&summary.value)) {
        page.say(paragraph);
    }
    tiers(book, &mut page);
    scenarios(book, &mut page);
    page
}

fn facts(book: &Book<'_>, page: &mut Page) {
    let Some(head) = &book.plan.plan else { return };
    let owner = head.owner.as_ref().map_or_else(Line::new, |owner| book.who(&owner.value));
    let day =
        |date: Option<At<Date>>| date.map_or_else(Line::new, |date| words(&date.value.to_string()));
    page.facts(vec![
        ("Document", maybe(head.r#type.as_ref())),
        ("Status", maybe(head.status.as_ref())),
        ("Classification", maybe(head.classification.as_ref())),
        ("Owner", owner.then(", ", maybe(head.contact.as_ref()))),
        ("In an emergency", maybe(head.emergency_contact.as_ref())),
        ("Reviewers", book.whos(&head.reviewers)),
        ("Version", maybe(head.version.as_ref())),
        ("Last changed", day(head.updated)),
        ("Next review", words(&calendar::review(head, book.edition.as_of).shown())),
    ]);
}

fn tiers(book: &Book<'_>, page: &mut Page) {
    let services = &book.plan.services;
    let rows = book.plan.tiers.titled().map(|(name, title, tier)| {
        let members = services.iter().filter(|(_, service)| {
            service.tier.as_ref().is_some_and(|tier| tier.value == name.value)
        });
        vec![
            Line::new().strong(title),
            words(&duration(tier.rto)),
            words(&duration(tier.rpo)),
            words(&duration(tier.mttr)),
            own(&members.count().to_string()),
        ]
    });
    let head =
        ["Tier", "Back within (RTO)", "Loses at most (RPO)", "Mean repair (MTTR)", "Services"];
    page.table(&head, rows.collect());
}

fn scenarios(book: &Book<'_>, page: &mut Page) {
    let plan = book.plan;
    let mut assumptions = Vec::new();
    let rows: Vec<_> = plan
        .scenarios
        .titled()
        .map(|(_, title, scenario)| {
            let severity = scenario.severity.as_ref();
            let severity = severity.map_or("", |name| plan.severities.title(&name.value));
            vec![
                Line::new().strong(title),
                maybe(scenario.impact.as_ref()),
                words(severity),
                words(&duration(scenario.rto)),
                planned(book, scenario, &mut assumptions),
                words(&duration(scenario.rpo)),
            ]
        })
        .collect();
    let head = ["Scenario", "What it means", "Severity", "RTO", "Planned", "RPO"];
    page.table(&head, rows);
    assumptions.sort_unstable();
    assumptions.dedup();
    if !assumptions.is_empty() {
        let names = listed(assumptions.into_iter().map(|name| Line::new().code(name)));
        let counts = "Planned counts from the disaster: until somebody notices, answers and agrees, \
                      then the budgets. It rests on what nobody measured yet: ";
        page.say(own(counts).then("", names).then("", own(".")));
    }
}

/// When everything is done by the plan's own budgets, with the time people need.
fn planned(book: &Book<'_>, scenario: &Scenario, assumptions: &mut Vec<&'static str>) -> Line {
    if scenario.phases.is_empty() {
        return Line::new();
    }
    let whole = book.objectives.timeline(scenario).whole();
    assumptions.extend(whole.assumptions());
    let at_least = if whole.at_least { "at least " } else { "" };
    own(&format!("{at_least}{}", length(whole.total())))
}
