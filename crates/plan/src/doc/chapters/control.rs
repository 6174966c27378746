//! What follows an incident, what the figures rest on, and which document this is.

use super::super::calendar;
use super::super::inline::{Line, code, own, words};
use super::super::page::{Block, Page};
use super::super::words::{every, keep, length, shown};
use super::{Book, is, maybe};
use crate::language::Action;
use crate::objectives::Assumed;
use crate::units::ByteSize;

pub(super) fn write(book: &Book<'_>, page: &mut Page) {
    after_incident(book, page);
    assumptions(book, page);
    control(book, page);
}

fn after_incident(book: &Book<'_>, page: &mut Page) {
    let Some(after) = &book.plan.after_incident else { return };
    page.chapter("After an incident");
    page.facts(vec![
        (
            "Review",
            own(&after
                .review_within
                .map_or_else(String::new, |within| format!("within {}", keep(within.value)))),
        ),
        ("Led by", after.owner.as_ref().map_or_else(Line::new, |name| book.who(&name.value))),
        ("Reports are kept", maybe(after.kept_in.as_ref())),
    ]);
    if !after.actions.is_empty() {
        page.part("Promised after earlier ones", None);
        let rows = after.actions.iter().map(|action| action_row(book, action));
        page.table(&["What", "Who", "Until", "State"], rows.collect());
    }
    if let Some(report) = &after.report {
        page.part("The report to begin from", None);
        let text = shown(report.text.trim_end());
        page.blocks.push(Block::Code { language: "markdown", text });
    }
}

fn action_row(book: &Book<'_>, action: &Action) -> Vec<Line> {
    let is_late = action.due.is_some_and(|due| due.value < book.edition.as_of);
    let state = match (is(action.done), is_late) {
        (true, _) => "done",
        (false, true) => "overdue",
        (false, false) => "open",
    };
    vec![
        maybe(action.what.as_ref()),
        action.owner.as_ref().map_or_else(Line::new, |name| book.who(&name.value)),
        own(&action.due.map_or_else(String::new, |due| due.value.to_string())),
        own(state),
    ]
}

/// The numbers that nobody measured; those the plan does not name are taken by Soter.
fn assumptions(book: &Book<'_>, page: &mut Page) {
    fn row<T>(key: &str, what: &str, number: Assumed<T>, shown: String) -> Vec<Line> {
        let from = if number.origin.is_some() { "the plan" } else { "taken by Soter" };
        vec![code(key), own(what), own(&shown), own(from)]
    }
    if book.plan.scenarios.is_empty() {
        return;
    }
    let of = &book.objectives.assumptions;
    let rate = format!("{}/s", ByteSize(of.restore_rate.value.bytes_per_second));
    page.chapter("What nobody measured yet");
    let rows = vec![
        row("detect", "A disaster goes unnoticed for", of.detect, length(of.detect.value)),
        row("declare", "People agree that it is one within", of.declare, length(of.declare.value)),
        row("dwell", "An attacker was inside before", of.dwell, length(of.dwell.value)),
        row("restore_rate", "Data comes back from a vault at", of.restore_rate, rate),
        row("start", "A service answers after its start within", of.start, length(of.start.value)),
        row(
            "margin",
            "Of each objective stays free",
            of.margin,
            format!("{} %", of.margin.value.0),
        ),
    ];
    page.table(&["", "Assumption", "Number", "From"], rows);
}

fn control(book: &Book<'_>, page: &mut Page) {
    let edition = book.edition;
    page.chapter("Document control");
    let head = book.plan.plan.as_ref();
    let next = head.map_or_else(String::new, |head| calendar::review(head, edition.as_of).shown());
    let often = head.and_then(|head| head.review_every);
    page.facts(vec![
        ("Plan", code(&edition.digest.to_string())),
        ("Made on", own(&edition.as_of.to_string())),
        ("Reviewed", own(&often.map_or_else(String::new, |often| every(often.value)))),
        ("Next review", own(&next)),
        ("Reviewers", head.map_or_else(Line::new, |head| book.whos(&head.reviewers))),
    ]);
    let changes = head.map_or(&[][..], |head| &head.changes);
    let rows = changes.iter().map(|change| {
        vec![
            maybe(change.version.as_ref()),
            own(&change.date.map_or_else(String::new, |date| date.value.to_string())),
            change.by.as_ref().map_or_else(Line::new, |name| book.who(&name.value)),
            maybe(change.what.as_ref()),
        ]
    });
    page.table(&["Version", "Date", "By", "Change"], rows.collect());
    let how = words(
        "The digest is that of the plan's files: `b3sum --no-names FILE… | sort | b3sum` gives it again.",
    );
    page.say(how);
}
