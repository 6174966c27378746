//! What stands on the sheet: whom to call, what to do first, where copies and keys are, how a store
//! comes back.

use std::collections::{BTreeMap, BTreeSet};

use super::super::chapters::{Book, restore_command};
use super::super::words::{length, plain};
use super::{Entry, Kind, Level, Row, Section};
use crate::language::{At, Method, Phase, Restore, Scenario, Severity, Step, Vault};

/// First actions that are shown of a scenario.
const ACTIONS_MAX: usize = 5;

// What it costs to shorten or leave out an entry; the cheapest goes first.
const ESCALATION_PRICES: [u32; 2] = [5, 95];
const CONTACT_PRICES: [u32; 2] = [20, 90];
const OTHER_CONTACT_PRICE: u32 = 40;
/// Of a scenario, by how bad it is: fewer actions, only one, none, nothing.
const SCENARIO_PRICES: [[u32; 4]; 4] =
    [[30, 62, 80, 99], [12, 35, 55, 98], [11, 25, 45, 97], [10, 20, 28, 96]];
const COPIES_PRICES: [u32; 2] = [32, 92];
const KEYS_PRICES: [u32; 2] = [34, 85];
const COMMAND_PRICE: u32 = 75;
const RESTORES_PRICE: u32 = 65;

pub(super) fn sections(book: &Book<'_>) -> Vec<Section> {
    vec![
        Section { title: "Who is told, and who decides", entries: escalation(book) },
        Section { title: "How they are reached", entries: contacts(book) },
        Section { title: "What to do first", entries: scenarios(book) },
        Section { title: "Copies", entries: copies(book) },
        Section { title: "Keys", entries: keys(book) },
        Section { title: "How a store comes back", entries: restores(book) },
    ]
}

fn row(kind: Kind, text: &str) -> Row {
    Row { name: String::new(), text: plain(text), kind }
}

/// A name, a mark, and what is said about it.
fn named(name: &str, mark: &str, text: &str) -> Row {
    Row { name: plain(name), text: format!("{mark} {}", plain(text)), kind: Kind::Head }
}

/// An entry; the rows of each length, and what it costs to give that up.
fn entry<const N: usize>(levels: [Vec<Row>; N], prices: [u32; N]) -> Entry {
    let levels = levels.into_iter().zip(prices);
    Entry { levels: levels.map(|(rows, price)| Level { rows, price }).collect() }
}

/// Words that are joined if they are there.
fn joined<const N: usize>(parts: [&str; N], between: &str) -> String {
    parts.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(between)
}

fn names(book: &Book<'_>, names: &[At<String>]) -> String {
    names.iter().map(|name| book.who(&name.value).plain()).collect::<Vec<_>>().join(", ")
}

fn escalation(book: &Book<'_>) -> Vec<Entry> {
    let of = |title: &str, severity: &Severity| {
        let told = severity.escalation.iter().map(|level| {
            let within = level.acknowledge;
            let within = within.map_or_else(String::new, |within| length(within.value));
            joined([&names(book, &level.notify), &within], " ")
        });
        let told = told.collect::<Vec<_>>().join(" > ");
        let approves = names(book, &severity.approvers);
        let approves = if approves.is_empty() { approves } else { format!("Approves: {approves}") };
        let short = named(title, ":", &joined([&told, &approves], ". "));
        let when = severity.when.as_ref().map(|when| row(Kind::Detail, &when.value));
        let long = std::iter::once(short.clone()).chain(when).collect();
        entry([long, vec![short]], ESCALATION_PRICES)
    };
    book.plan.severities.titled().map(|(_, title, severity)| of(title, severity)).collect()
}

/// Those of the escalation first.
fn contacts(book: &Book<'_>) -> Vec<Entry> {
    let plan = book.plan;
    let escalated: BTreeSet<&str> = plan
        .severities
        .iter()
        .flat_map(|(_, severity)| {
            let told = severity.escalation.iter();
            let told = told.flat_map(|level| level.notify.iter().chain(&level.deputy));
            told.chain(&severity.approvers)
        })
        .map(|name| name.value.as_str())
        .collect();
    let people = plan
        .people
        .titled()
        .map(|(name, title, person)| (name, title, &person.contacts, person.deputy.as_ref()));
    let teams = plan
        .teams
        .titled()
        .map(|(name, title, team)| (name, title, &team.contacts, team.deputy.as_ref()));
    let (mut first, mut others) = (Vec::new(), Vec::new());
    for (name, title, contacts, deputy) in people.chain(teams) {
        if contacts.is_empty() {
            continue;
        }
        let contacts: Vec<&str> = contacts.iter().map(|contact| contact.value.as_str()).collect();
        let short = contacts.join(", ");
        if escalated.contains(name.value.as_str()) {
            let deputy = deputy
                .map_or_else(String::new, |name| format!("else {}", book.who(&name.value).plain()));
            let long = named(title, ":", &joined([&short, &deputy], "; "));
            first.push(entry([vec![long], vec![named(title, ":", &short)]], CONTACT_PRICES));
        } else {
            others.push(entry([vec![named(title, ":", &short)]], [OTHER_CONTACT_PRICE]));
        }
    }
    first.extend(others);
    first
}

/// The worst first.
fn scenarios(book: &Book<'_>) -> Vec<Entry> {
    let plan = book.plan;
    let badness = |scenario: &Scenario| {
        let name = scenario.severity.as_ref();
        name.and_then(|name| plan.severities.position(&name.value)).unwrap_or(usize::MAX)
    };
    let mut all: Vec<_> = plan
        .scenarios
        .titled()
        .map(|(_, title, scenario)| (badness(scenario), title, scenario))
        .collect();
    all.sort_by_key(|(badness, _, _)| *badness);
    let of = |(badness, title, scenario): (usize, &str, &Scenario)| {
        let severity = scenario.severity.as_ref();
        let severity = severity.map_or("", |name| plan.severities.title(&name.value));
        // `P1, critical` is said in full above.
        let severity = severity.split(',').next().unwrap_or("");
        let target = |what: &str, value: Option<At<std::time::Duration>>| {
            value.map_or_else(String::new, |value| format!("{what} {}", length(value.value)))
        };
        let (rto, rpo) = (target("RTO", scenario.rto), target("RPO", scenario.rpo));
        let head = |phases: &str| named(title, ",", &joined([severity, &rto, &rpo, phases], ", "));
        // Where the phases are not named, their budgets are.
        let budgets = scenario.phases.iter().filter_map(|phase| phase.budget);
        let minutes: Vec<String> =
            budgets.map(|budget| budget.value.as_secs().div_ceil(60).to_string()).collect();
        let minutes = match minutes.as_slice() {
            [] => String::new(),
            several => format!("phases {} min", several.join("+")),
        };
        let phases = scenario.phases.iter().map(phase_words).collect::<Vec<_>>().join(" > ");
        let phases = row(Kind::Detail, &phases);
        let actions = |most| row(Kind::Detail, &actions(scenario, most));
        let levels = [
            vec![head(""), phases.clone(), actions(ACTIONS_MAX)],
            vec![head(""), phases, actions(2)],
            vec![head(&minutes), actions(1)],
            vec![head(&minutes)],
        ];
        entry(levels, SCENARIO_PRICES[badness.min(SCENARIO_PRICES.len() - 1)])
    };
    all.into_iter().map(of).collect()
}

fn phase_words(phase: &Phase) -> String {
    let title = phase.title.as_ref().map_or("Phase", |title| title.value.as_str());
    let budget = phase.budget.map_or_else(String::new, |budget| length(budget.value));
    joined([title, &budget], " ")
}

/// The steps of a scenario with their numbers in the document.
fn numbered(scenario: &Scenario) -> impl Iterator<Item = (String, &Step)> {
    scenario.phases.iter().zip(1_u32..).flat_map(|(phase, at)| {
        phase.steps.iter().zip(1_u32..).map(move |(step, number)| (format!("{at}.{number}"), step))
    })
}

/// The first things to do.
fn actions(scenario: &Scenario, most: usize) -> String {
    let shown = numbered(scenario).take(most).map(|(number, step)| {
        let mark = if step.approve.is_some() { "APPROVAL:" } else { "" };
        let title = step.title.as_ref().or_else(|| step.approve.as_ref()?.text.as_ref());
        let title = title.map_or("see the document", |title| title.value.as_str());
        let way = step.instead.as_ref().and_then(|way| way.title.as_ref());
        let way = way.map_or_else(String::new, |way| format!("(or: {})", way.value));
        joined([&number, mark, title, &way], " ")
    });
    shown.collect::<Vec<_>>().join("; ")
}

/// By vault: what lies in it, and under which name.
fn copies(book: &Book<'_>) -> Vec<Entry> {
    let plan = book.plan;
    // By the place of the vault in the plan; vaults of other names come last.
    let mut places: BTreeMap<(usize, &str), Vec<(&str, &str)>> = BTreeMap::new();
    for (_, title, store) in plan.stores.titled() {
        let policy = store.policy.as_ref().and_then(|name| plan.policies.get(&name.value));
        let shared = policy.map_or(&[][..], |policy| &policy.copies);
        let copies = store.copies.iter().chain(shared).filter_map(|copy| {
            let artefact = copy.artefact.as_ref().map_or("", |name| name.value.as_str());
            Some((copy.to.as_ref()?, artefact))
        });
        for (vault, artefact) in copies.chain(store.vaults.first().map(|vault| (vault, ""))) {
            let at = plan.vaults.position(&vault.value).unwrap_or(usize::MAX);
            let held = places.entry((at, &vault.value)).or_default();
            if !held.contains(&(title, artefact)) {
                held.push((title, artefact));
            }
        }
    }
    let titles = |held: &[(&str, &str)]| {
        held.iter().map(|(title, _)| (*title).to_owned()).collect::<Vec<_>>().join("; ")
    };
    let first = places.values().next().map(|held| titles(held));
    let of = |at: usize, name: &str, held: &[(&str, &str)]| {
        let url = plan.vaults.get(name).and_then(|vault: &Vault| vault.url.as_ref());
        let place = url.map_or(name, |url| url.value.as_str());
        let with_artefacts = held.iter().map(|(title, artefact)| joined([*title, *artefact], ": "));
        let long = row(Kind::Detail, &with_artefacts.collect::<Vec<_>>().join("; "));
        let is_same = at > 0 && first.as_ref() == Some(&titles(held));
        let short = if is_same { "the same stores".to_owned() } else { titles(held) };
        let short = row(Kind::Detail, &short);
        let head = named(plan.vaults.title(name), ":", place);
        entry([vec![head.clone(), long], vec![head, short]], COPIES_PRICES)
    };
    places.iter().enumerate().map(|(at, ((_, name), held))| of(at, name, held)).collect()
}

/// By place: the keys that lie there, never what they are. Places of which no recovery asks for a key
/// are left out.
fn keys(book: &Book<'_>) -> Vec<Entry> {
    let plan = book.plan;
    let asked: BTreeSet<&str> = plan
        .scenarios
        .iter()
        .flat_map(|(_, scenario)| &scenario.prerequisites)
        .chain(plan.vaults.iter().flat_map(|(_, vault)| &vault.read_with))
        .map(|name| name.value.as_str())
        .collect();
    let mut places: BTreeMap<&str, Vec<Key<'_>>> = BTreeMap::new();
    for (name, title, credential) in plan.credentials.titled() {
        let address = credential.address.as_ref().map_or("", |address| address.value.as_str());
        for (at, place) in credential.kept_in.iter().enumerate() {
            let matters = asked.contains(name.value.as_str());
            let key = Key { title, address, is_first_place: at == 0, matters };
            places.entry(&place.value).or_default().push(key);
        }
    }
    let of = |place: &str, held: &[Key<'_>]| {
        let shown = |choose: fn(&Key<'_>) -> bool| -> Vec<Row> {
            let each: Vec<String> = held.iter().filter(|key| choose(key)).map(Key::shown).collect();
            let place = book.what(place).plain();
            let line = (!each.is_empty()).then(|| named(&place, ":", &each.join("; ")));
            line.into_iter().collect()
        };
        let once = shown(|key| key.matters && key.is_first_place);
        entry([shown(|_| true), once], KEYS_PRICES)
    };
    let places = places.iter().filter(|(_, held)| held.iter().any(|key| key.matters));
    places.map(|(place, held)| of(place, held)).collect()
}

/// A key in a place.
struct Key<'p> {
    title: &'p str,
    address: &'p str,
    /// It may be elsewhere too, but here one looks first.
    is_first_place: bool,
    /// A recovery asks for it.
    matters: bool,
}

impl Key<'_> {
    fn shown(&self) -> String {
        match self.address {
            "" => self.title.to_owned(),
            address => format!("{} ({address})", self.title),
        }
    }
}

/// The command for what Soter keeps; for the others the step in which they come back.
fn restores(book: &Book<'_>) -> Vec<Entry> {
    let plan = book.plan;
    let mut entries = Vec::new();
    let mut steps: BTreeMap<usize, Vec<String>> = BTreeMap::new();
    for (name, title, store) in plan.stores.titled() {
        let first = first_step(book, &name.value);
        let mut methods = store.copies.iter().filter_map(|copy| copy.method);
        if !store.vaults.is_empty() || methods.any(|method| method.value == Method::Soter) {
            let declared = first.as_ref().and_then(|(_, _, step)| step.restore.clone());
            let bare = Restore { store: Some(name.clone()), ..Restore::default() };
            // To which moment is for the one who reads it.
            let restore = Restore { to: None, ..declared.unwrap_or(bare) };
            let command = restore_command(book, &restore).replace("\\\n", " ");
            entries.push(entry([vec![row(Kind::Command, &command)]], [COMMAND_PRICE]));
        } else if let Some((scenario, number, _)) = first {
            steps.entry(scenario).or_default().push(format!("{number} {title}"));
        }
    }
    for (scenario, steps) in steps {
        let name = plan.scenarios.at(scenario).map_or("", |(name, _)| name.value.as_str());
        let title = plan.scenarios.title(name);
        let shown = named(&format!("Steps of \"{title}\""), ":", &steps.join("; "));
        entries.push(entry([vec![shown]], [RESTORES_PRICE]));
    }
    entries
}

/// The first step that brings a store back: its scenario, its number. A breach goes back to old
/// copies, so it is looked at last.
fn first_step<'b>(book: &'b Book<'_>, store: &str) -> Option<(usize, String, &'b Step)> {
    let is_hostile = |scenario: &Scenario| scenario.hostile.is_some_and(|flag| flag.value);
    let all = || book.plan.scenarios.iter().enumerate();
    let calm = all().filter(|(_, (_, scenario))| !is_hostile(scenario));
    let hostile = all().filter(|(_, (_, scenario))| is_hostile(scenario));
    for (at, (_, scenario)) in calm.chain(hostile) {
        for (number, step) in numbered(scenario) {
            let by_restore = step.restore.as_ref().and_then(|restore| restore.store.as_ref());
            if step.restores.iter().chain(by_restore).any(|name| name.value == store) {
                return Some((at, number, step));
            }
        }
    }
    None
}
