//! Stores and their copies: when, where to, how long, what is promised and what can be reached; the
//! vaults and the keys that open them.

use super::super::inline::{Line, code, listed, own, words};
use super::super::page::{Block, Page};
use super::super::words::{duration, every, keep, length, shown};
use super::{Book, is, maybe, maybe_code};
use crate::language::{At, Copy, Method, Store, StoreKind};
use crate::objectives::{Loses, Threat};
use crate::plan::SCHEDULE;

pub(super) fn write(book: &Book<'_>, page: &mut Page) {
    let plan = book.plan;
    if !plan.stores.is_empty() {
        page.chapter("Data and its copies");
        overview(book, page);
        schedule(book, page);
        groups(book, page);
        jobs(book, page);
    }
    if !(plan.vaults.is_empty() && plan.credentials.is_empty()) {
        page.chapter("Vaults and keys");
        vaults(book, page);
        credentials(book, page);
    }
}

fn overview(book: &Book<'_>, page: &mut Page) {
    let rows = book.plan.stores.titled().enumerate().map(|(at, (_, title, store))| {
        let rpo = book.objectives.rpo(at).map(|(rpo, _)| length(rpo.value));
        vec![
            Line::new().strong(title),
            maybe(store.location.as_ref()),
            own(&store.size.map_or_else(String::new, |size| size.value.to_string())),
            own(&rpo.unwrap_or_default()),
            reached(book, store),
        ]
    });
    let head = ["Store", "Where it lies", "Size", "Loses at most (RPO)", "By its copies"];
    page.table(&head, rows.collect());
}

/// What is lost if the place of the store is lost and its data wrong, by the copies that remain.
fn reached(book: &Book<'_>, store: &Store) -> Line {
    let threat = Threat { loss: None, corrupt: true, place_lost: true, hostile: false };
    match book.objectives.loses(store, &threat) {
        Loses::Everything if !store.rebuilt_from.is_empty() => {
            own("made again from ").then("", book.whats(&store.rebuilt_from))
        }
        Loses::Everything => own("all of it"),
        Loses::Unknown => own("unknown"),
        Loses::UpTo(part, _) => own(&length(part.length)),
    }
}

fn schedule(book: &Book<'_>, page: &mut Page) {
    let plan = book.plan;
    page.part("Schedule", None);
    let mut rows = Vec::new();
    for (_, title, store) in plan.stores.titled() {
        let policy = store.policy.as_ref().and_then(|name| plan.policies.get(&name.value));
        let shared = policy.map_or(&[][..], |policy| &policy.copies);
        let before = rows.len();
        rows.extend(store.copies.iter().chain(shared).map(|copy| copy_row(book, title, copy)));
        if let Some(vault) = store.vaults.first() {
            let to = words(plan.vaults.title(&vault.value));
            let is_etcd = store.kind.is_some_and(|kind| kind.value == StoreKind::Etcd);
            let written = store.backup.as_ref().and_then(|backup| backup.schedule.as_ref());
            let when = match (is_etcd, written) {
                (true, written) => code(written.map_or(SCHEDULE, |line| &line.value)),
                (false, _) => own("always"),
            };
            rows.push(row_of_six([Line::new().strong(title), own("Soter"), when, to]));
        }
        if rows.len() == before {
            rows.push(row_of_six([Line::new().strong(title), own("none")]));
        }
    }
    page.table(&["Store", "Copy", "When (UTC)", "To", "Kept", "Tried"], rows);
}

fn row_of_six<const N: usize>(cells: [Line; N]) -> Vec<Line> {
    cells.into_iter().chain(std::iter::repeat(Line::new())).take(6).collect()
}

fn copy_row(book: &Book<'_>, title: &str, copy: &Copy) -> Vec<Line> {
    let method = copy.method.map_or("copy", |method| match method.value {
        Method::Soter => "Soter",
        other => other.word(),
    });
    let by = copy.by.as_ref().map_or_else(Line::new, |by| own(", ").then("", words(&by.value)));
    let when = match (&copy.schedule, copy.every, is(copy.continuous)) {
        (Some(line), _, true) => own("always, and at ").then("", code(&line.value)),
        (None, _, true) => own("always"),
        (Some(line), _, false) => code(&line.value),
        (None, Some(often), false) => own(&every(often.value)),
        (None, None, false) => Line::new(),
    };
    let to = copy.to.as_ref();
    let to = to.map_or_else(Line::new, |to| words(book.plan.vaults.title(&to.value)));
    let tried = own(&copy.verified_every.map_or_else(String::new, |often| every(often.value)));
    vec![
        Line::new().strong(title),
        own(method).then("", by),
        when,
        to.below(maybe_code(copy.artefact.as_ref())),
        own(&copy.keep.map_or_else(String::new, |span| keep(span.value))),
        tried.below(maybe(copy.verified_by.as_ref())),
    ]
}

fn groups(book: &Book<'_>, page: &mut Page) {
    if book.plan.groups.is_empty() {
        return;
    }
    page.part("What must come back to the same moment", None);
    let rows = book.plan.groups.iter().map(|(name, group)| {
        vec![
            Line::new().strong(&name.value),
            book.whats(&group.stores),
            own(&duration(group.rpo)),
            maybe(group.because.as_ref()),
            maybe(group.aligned_by.as_ref()),
        ]
    });
    page.table(&["Group", "Stores", "RPO", "Because", "The common moment"], rows.collect());
}

fn jobs(book: &Book<'_>, page: &mut Page) {
    let mut is_first = true;
    for (_, title, store) in book.plan.stores.titled() {
        for copy in &store.copies {
            for (language, script) in [("bash", &copy.run), ("", &copy.settings)] {
                let Some(script) = script else { continue };
                if std::mem::take(&mut is_first) {
                    page.part("The jobs that make them", None);
                }
                let by = maybe(copy.by.as_ref());
                page.say(Line::new().strong(title).then(", by ", by).then("", own(":")));
                let text = shown(script.text.trim_end());
                page.blocks.push(Block::Code { language, text });
            }
        }
    }
}

fn vaults(book: &Book<'_>, page: &mut Page) {
    let keys = |names: &[At<String>]| {
        listed(names.iter().map(|name| words(book.plan.credentials.title(&name.value))))
    };
    let rows = book.plan.vaults.titled().map(|(_, title, vault)| {
        let offline = if is(vault.offline) { own("no connection") } else { Line::new() };
        vec![
            Line::new().strong(title).below(maybe_code(vault.url.as_ref())),
            book.domains(&vault.domains).then(", ", offline),
            own(&vault.immutable_for.map_or_else(String::new, |span| keep(span.value))),
            keys(&vault.read_with),
            keys(&vault.written_with),
            keys(&vault.deleted_with),
        ]
    });
    let head = ["Vault", "Lies in", "Locked for", "Read with", "Written with", "Deleted with"];
    page.table(&head, rows.collect());
}

fn credentials(book: &Book<'_>, page: &mut Page) {
    if book.plan.credentials.is_empty() {
        return;
    }
    page.part("Where keys are kept", None);
    let rows = book.plan.credentials.titled().map(|(_, title, credential)| {
        let owner = credential.owner.as_ref().map_or_else(Line::new, |name| book.who(&name.value));
        vec![
            Line::new().strong(title),
            credential
                .kept_in
                .iter()
                .fold(Line::new(), |line, place| line.below(book.what(&place.value)))
                .below(maybe(credential.address.as_ref())),
            book.whats(&credential.opens),
            book.whats(&credential.can_delete),
            own(&credential.rotated_every.map_or_else(String::new, |often| every(often.value))),
            owner,
        ]
    });
    let head = ["Credential", "Kept in", "Opens", "Can delete", "Changed", "Held by"];
    page.table(&head, rows.collect());
}
