//! Where a person must decide before a plan that was read from a document can be relied on.

use std::collections::BTreeMap;

use crate::check::Loaded;
use crate::language::{Copy, Plan, Scenario, Script, Service, Store};
use crate::shell::{self, Form};

/// The word for open work. Put together, so that this file has none itself.
pub(super) const OPEN: &str = concat!("TO", "DO");

/// Sections whose entries have names.
const NAMED: &[&str] = &[
    "tiers",
    "services",
    "stores",
    "groups",
    "policies",
    "vaults",
    "domains",
    "credentials",
    "people",
    "teams",
    "channels",
    "severities",
    "scenarios",
    "drills",
];

/// Notes by section and name; the name of a section's own notes is empty.
#[derive(Debug, Default)]
pub(super) struct Gaps {
    notes: BTreeMap<(&'static str, String), Vec<String>>,
}

impl Gaps {
    /// The gaps of a plan.
    pub(super) fn of(loaded: &Loaded) -> Self {
        let plan = &loaded.plan;
        let mut gaps = Self::default();
        for (name, service) in plan.services.iter() {
            gaps.service(plan, &name.value, service);
        }
        for (name, store) in plan.stores.iter() {
            gaps.store(&name.value, store);
        }
        gaps.places(plan);
        gaps.people(plan);
        for (name, scenario) in plan.scenarios.iter() {
            gaps.scenario(&name.value, scenario);
        }
        gaps.drills(plan);
        gaps
    }

    /// How many there are.
    pub(super) fn count(&self) -> usize {
        self.notes.values().map(Vec::len).sum()
    }

    /// Whether the entries of a section have names of their own.
    pub(super) fn names_entries(&self, section: &str) -> bool {
        NAMED.contains(&section)
    }

    /// The comment above an entry.
    pub(super) fn note(&self, section: &str, name: &str) -> Option<String> {
        let section = NAMED.iter().chain(&["status_page", "plan"]).find(|own| **own == section)?;
        let notes = self.notes.get(&(*section, name.to_owned()))?;
        let lines: Vec<String> = notes.iter().map(|note| format!("{OPEN}: {note}")).collect();
        Some(lines.join("\n"))
    }

    fn add(&mut self, section: &'static str, name: &str, note: impl Into<String>) {
        self.notes.entry((section, name.to_owned())).or_default().push(note.into());
    }

    fn service(&mut self, plan: &Plan, name: &str, service: &Service) {
        let tier = service.tier.as_ref().and_then(|tier| plan.tiers.get(&tier.value));
        if service.rto.is_none() && tier.is_none_or(|tier| tier.rto.is_none()) {
            self.add(
                "services",
                name,
                "how soon must it be back? add `rto`, or a tier that has one",
            );
        }
        let stateless = service.stateless.as_ref().is_some_and(|stateless| stateless.value);
        let rpo = service.rpo.is_some() || tier.is_some_and(|tier| tier.rpo.is_some());
        if !stateless && !rpo {
            let note = "how much of its newest data may be lost? add `rpo`, or `stateless: yes`";
            self.add("services", name, note);
        }
        if !stateless && service.state.is_empty() && service.rpo.is_some() {
            self.add(
                "services",
                name,
                "it may lose data, so it has some: in which store? add `state`",
            );
        }
        for need in service.needs.iter().filter(|need| !plan.services.contains(&need.value)) {
            let note = format!(
                "`{}` is declared nowhere: declare it among the services, or leave the need out",
                need.value
            );
            self.add("services", name, note);
        }
    }

    fn store(&mut self, name: &str, store: &Store) {
        if store.copies.is_empty() && store.policy.is_none() && store.rebuilt_from.is_empty() {
            self.add("stores", name, "no copy of it is described: add `copies`, or `rebuilt_from`");
        }
        if store.size.is_none() {
            self.add(
                "stores",
                name,
                "how much data is it? `size` decides how long a restore takes",
            );
        }
        for (copy, count) in store.copies.iter().zip(1..) {
            self.copy(name, copy, count);
        }
    }

    fn copy(&mut self, name: &str, copy: &Copy, count: u32) {
        let mut open = Vec::new();
        if copy.method.is_none() {
            open.push("how it is made (`method`)");
        }
        if copy.schedule.is_none() && copy.every.is_none() && copy.continuous.is_none() {
            open.push("when");
        }
        if copy.to.is_none() {
            open.push("where it goes");
        }
        if copy.keep.is_none() {
            open.push("how long it is kept");
        }
        if !open.is_empty() {
            self.add("stores", name, format!("copy {count}: say {}", open.join(", ")));
        }
    }

    fn places(&mut self, plan: &Plan) {
        for (name, vault) in plan.vaults.iter() {
            if vault.url.is_none() {
                self.add("vaults", &name.value, "where is it? `url` wants an address");
            }
            if vault.domains.is_empty() {
                self.add("vaults", &name.value, "with what does it fail? add `domains`");
            }
            if vault.written_with.is_empty() && vault.deleted_with.is_empty() {
                let note =
                    "who can write to it, and who can delete? add `written_with`, `deleted_with`";
                self.add("vaults", &name.value, note);
            }
        }
    }

    fn people(&mut self, plan: &Plan) {
        for (name, person) in plan.people.iter() {
            if person.contacts.is_empty() {
                self.add("people", &name.value, "how are they reached? add `contacts`");
            }
            if person.deputy.is_none() {
                self.add("people", &name.value, "who steps in? add `deputy`");
            }
        }
        for (name, team) in plan.teams.iter().filter(|(_, team)| team.contacts.is_empty()) {
            let nobody = if team.members.is_empty() { "who is in it, and how" } else { "how" };
            self.add(
                "teams",
                &name.value,
                format!("{nobody} is it reached? add `members`, `contacts`"),
            );
        }
        for (name, severity) in plan.severities.iter() {
            if severity.escalation.iter().any(|level| level.acknowledge.is_none()) {
                let note =
                    "after how long without an answer is the next one told? add `acknowledge`";
                self.add("severities", &name.value, note);
            }
        }
        if plan.status_page.as_ref().is_some_and(|page| page.owner.is_none()) {
            self.add("status_page", "", "who writes it? add `owner`");
        }
    }

    fn scenario(&mut self, name: &str, scenario: &Scenario) {
        if scenario.severity.is_none() {
            self.add("scenarios", name, "how bad is it? add `severity`: it decides who is told");
        }
        if scenario.rto.is_none() {
            self.add("scenarios", name, "when must all be back? add `rto`");
        }
        if scenario.detection.is_empty() {
            self.add("scenarios", name, "how is it noticed, and how soon? add `detection`");
        }
        if scenario.phases.iter().all(|phase| phase.steps.is_empty()) {
            self.add("scenarios", name, "what is done? no step of it was found");
        }
        let sourceless = parameters(scenario);
        if !sourceless.is_empty() {
            let note = format!(
                "where do {} come from? declare them as `parameters`",
                sourceless.iter().map(|name| format!("`{name}`")).collect::<Vec<_>>().join(", ")
            );
            self.add("scenarios", name, note);
        }
    }

    fn drills(&mut self, plan: &Plan) {
        for (name, drill) in plan.drills.iter() {
            if drill.owner.is_none() {
                self.add("drills", &name.value, "who leads it? add `owner`");
            }
            if drill.last.is_none() {
                self.add("drills", &name.value, "when was it done last? add `last`");
            }
            if drill.scenarios.is_empty() && drill.stores.is_empty() {
                self.add("drills", &name.value, "what does it try? add `scenarios` or `stores`");
            }
        }
    }
}

/// Parameters that the scripts of a scenario use and that none of them sets, by name.
fn parameters(scenario: &Scenario) -> Vec<String> {
    let steps = || scenario.phases.iter().flat_map(|phase| &phase.steps);
    let shells: Vec<shell::Shell> = steps()
        .filter_map(|step| step.run.as_ref())
        .map(|run: &Script| shell::read(&run.text))
        .collect();
    let assigned: Vec<&str> = shells
        .iter()
        .flat_map(|shell| shell.assignments.iter().map(|assignment| assignment.name.as_str()))
        .collect();
    let used = shells.iter().flat_map(|shell| &shell.parameters).filter(|used| {
        matches!(used.form, Form::Plain | Form::Required)
            && used.name.starts_with(|c: char| c.is_alphabetic() || c == '_')
            && !assigned.contains(&used.name.as_str())
            && !scenario.parameters.contains(&used.name)
    });
    let mut names: Vec<String> = used.map(|used| used.name.clone()).collect();
    names.sort_unstable();
    names.dedup();
    names
}
