//! What the document says, chapter by chapter.

mod actions;
mod control;
mod copies;
mod drills;
mod head;
mod people;
mod scenarios;
mod services;
mod steps;

use super::Edition;
use super::inline::{Line, code, listed, words};
use super::page::Page;
use crate::language::{At, Plan};
use crate::objectives::Objectives;
pub(super) use actions::restore as restore_command;

/// What all chapters are written from.
pub(super) struct Book<'p> {
    pub(super) plan: &'p Plan,
    pub(super) edition: &'p Edition,
    pub(super) objectives: Objectives<'p>,
}

impl<'p> Book<'p> {
    pub(super) fn new(plan: &'p Plan, edition: &'p Edition) -> Self {
        Self { plan, edition, objectives: Objectives::new(plan) }
    }

    /// What the plan is called.
    pub(super) fn title(&self) -> &'p str {
        let title = self.plan.plan.as_ref().and_then(|head| head.title.as_ref());
        title.map_or("Disaster recovery plan", |title| &title.value)
    }

    /// What people call somebody: a person, a team, a channel; or the words of the plan.
    pub(super) fn who(&self, name: &str) -> Line {
        let plan = self.plan;
        let title = if plan.teams.contains(name) {
            plan.teams.title(name)
        } else if plan.people.contains(name) {
            plan.people.title(name)
        } else if plan.channels.contains(name) {
            plan.channels.title(name)
        } else {
            name
        };
        words(title)
    }

    /// What people call a thing: a service, a store, a vault, a credential; or the words of the plan.
    pub(super) fn what(&self, name: &str) -> Line {
        let plan = self.plan;
        let title = if plan.services.contains(name) {
            plan.services.title(name)
        } else if plan.stores.contains(name) {
            plan.stores.title(name)
        } else if plan.vaults.contains(name) {
            plan.vaults.title(name)
        } else if plan.credentials.contains(name) {
            plan.credentials.title(name)
        } else {
            name
        };
        words(title)
    }

    pub(super) fn whos(&self, names: &[At<String>]) -> Line {
        listed(names.iter().map(|name| self.who(&name.value)))
    }

    pub(super) fn whats(&self, names: &[At<String>]) -> Line {
        listed(names.iter().map(|name| self.what(&name.value)))
    }

    pub(super) fn domains(&self, names: &[At<String>]) -> Line {
        listed(names.iter().map(|name| words(self.plan.domains.title(&name.value))))
    }
}

/// The whole document.
pub(super) fn page(plan: &Plan, edition: &Edition) -> Page {
    let book = Book::new(plan, edition);
    let mut page = head::open(&book);
    services::write(&book, &mut page);
    copies::write(&book, &mut page);
    scenarios::write(&book, &mut page);
    people::write(&book, &mut page);
    drills::write(&book, &mut page);
    control::write(&book, &mut page);
    page
}

/// A value of the plan, if there is one.
fn maybe(value: Option<&At<String>>) -> Line {
    value.map_or_else(Line::new, |value| words(&value.value))
}

/// A value to copy, if there is one.
fn maybe_code(value: Option<&At<String>>) -> Line {
    value.map_or_else(Line::new, |value| code(&value.value))
}

/// Whether a flag is there and set.
fn is(flag: Option<At<bool>>) -> bool {
    flag.is_some_and(|flag| flag.value)
}

/// The paragraphs of a longer text.
fn paragraphs(text: &str) -> impl Iterator<Item = Line> {
    text.split("\n\n").map(words).filter(|line| !line.is_empty())
}
