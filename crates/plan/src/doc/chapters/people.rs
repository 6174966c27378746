//! Who is told, who decides, how they are reached, and what customers read.

use super::super::inline::{Line, listed, own, words};
use super::super::page::{Block, Page};
use super::super::words::{duration, length, shown};
use super::scenarios::cadence;
use super::{Book, maybe};
use crate::language::{At, Level, Severity, Template};

pub(super) fn write(book: &Book<'_>, page: &mut Page) {
    let plan = book.plan;
    if !plan.severities.is_empty() {
        page.chapter("Escalation");
        severities(book, page);
    }
    if !(plan.people.is_empty() && plan.teams.is_empty()) {
        page.chapter("People and channels");
        contacts(book, page);
    }
    channels(book, page);
    status_page(book, page);
}

fn severities(book: &Book<'_>, page: &mut Page) {
    for (name, title, severity) in book.plan.severities.titled() {
        page.part(
            title,
            severity.respond.map(|within| format!("answer within {}", length(within.value))),
        );
        page.say(maybe(severity.when.as_ref()));
        let rows = severity
            .escalation
            .iter()
            .zip(1_u32..)
            .map(|(level, number)| level_row(book, number, level));
        page.table(&["", "Told", "Through", "Must answer within", "Else"], rows.collect());
        page.facts(vec![
            ("May approve", approvers(book, severity)),
            ("Also told", listed(severity.informs.iter().map(|name| book.who(&name.value)))),
            ("Scenarios", scenarios_of(book, &name.value)),
        ]);
    }
}

fn level_row(book: &Book<'_>, number: u32, level: &Level) -> Vec<Line> {
    vec![
        own(&number.to_string()),
        book.whos(&level.notify),
        book.whos(&level.by),
        own(&duration(level.acknowledge)),
        level.deputy.as_ref().map_or_else(Line::new, |name| book.who(&name.value)),
    ]
}

fn approvers(book: &Book<'_>, severity: &Severity) -> Line {
    let count = severity.approvals.filter(|count| count.value > 1);
    let who = book.whos(&severity.approvers);
    let who = match count {
        Some(count) => own(&format!("{} of ", count.value)).then("", who),
        None => who,
    };
    let within = severity.approve_within;
    who.then(
        ", ",
        within.map_or_else(Line::new, |within| own(&format!("within {}", length(within.value)))),
    )
}

fn scenarios_of(book: &Book<'_>, severity: &str) -> Line {
    let of_it = book.plan.scenarios.titled().filter(|(_, _, scenario)| {
        scenario.severity.as_ref().is_some_and(|name| name.value == severity)
    });
    listed(of_it.map(|(_, title, _)| words(title)))
}

fn contacts(book: &Book<'_>, page: &mut Page) {
    let deputy =
        |name: Option<&At<String>>| name.map_or_else(Line::new, |name| book.who(&name.value));
    let reached = |contacts: &[At<String>]| {
        contacts.iter().fold(Line::new(), |line, contact| line.below(words(&contact.value)))
    };
    let people = book.plan.people.titled().map(|(_, title, person)| {
        vec![Line::new().strong(title), reached(&person.contacts), deputy(person.deputy.as_ref())]
    });
    page.table(&["Who", "Reached", "Deputy"], people.collect());
    let teams = book.plan.teams.titled().map(|(_, title, team)| {
        vec![
            Line::new().strong(title),
            book.whos(&team.members),
            reached(&team.contacts),
            team.on_call.as_ref().map_or_else(Line::new, |name| book.who(&name.value)),
            deputy(team.deputy.as_ref()),
        ]
    });
    page.table(&["Team", "Members", "Reached", "On call", "Deputy"], teams.collect());
}

fn channels(book: &Book<'_>, page: &mut Page) {
    if book.plan.channels.is_empty() {
        return;
    }
    page.part("Channels", None);
    let rows = book.plan.channels.titled().map(|(_, title, channel)| {
        let lies = listed(channel.domains.iter().chain(&channel.needs).map(|name| {
            if book.plan.domains.contains(&name.value) {
                words(book.plan.domains.title(&name.value))
            } else {
                book.what(&name.value)
            }
        }));
        vec![
            Line::new().strong(title).below(maybe(channel.address.as_ref())),
            maybe(channel.purpose.as_ref()),
            book.whos(&channel.readers),
            lies,
            channel.fallback.as_ref().map_or_else(Line::new, |name| book.who(&name.value)),
        ]
    });
    page.table(&["Channel", "For", "Read by", "Down with", "Then"], rows.collect());
}

fn status_page(book: &Book<'_>, page: &mut Page) {
    let Some(status) = &book.plan.status_page else { return };
    page.chapter("What customers are told");
    let first = status
        .first_within
        .map_or_else(Line::new, |within| own(&format!("within {}", length(within.value))));
    page.facts(vec![
        ("On", status.channel.as_ref().map_or_else(Line::new, |name| book.who(&name.value))),
        ("Written by", status.owner.as_ref().map_or_else(Line::new, |name| book.who(&name.value))),
        ("First words", first),
        ("Then", own(&cadence(status.every))),
    ]);
    status.templates.iter().for_each(|template| template_text(page, template));
}

fn template_text(page: &mut Page, template: &Template) {
    if let Some(title) = &template.title {
        page.say(Line::new().strong(&title.value));
    }
    if let Some(text) = &template.text {
        let text = shown(text.text.trim_end());
        page.blocks.push(Block::Code { language: "", text });
    }
}
