//! The graph as people and programs look at it: services by tier with critical path and slack.

mod svg;
mod text;

use std::time::Duration;

use serde::Serialize;

use super::{Path, ServiceId, Slack};
use crate::objectives::{self, Objectives};
use crate::units::format_duration;

/// The graph of a plan, ready to be shown.
#[derive(Debug, Clone, Serialize)]
pub struct View {
    /// The tiers, the most important first; services without one come last.
    pub tiers: Vec<TierView>,
    /// The way to the service that is back last, by names.
    pub critical_path: Vec<String>,
    /// Services that need each other, by names.
    pub cycles: Vec<Vec<String>>,
    /// Needs that are declared nowhere.
    pub unknown: Vec<String>,
}

/// The services of a tier.
#[derive(Debug, Clone, Serialize)]
pub struct TierView {
    /// Its name; empty for services without one.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// Its services, what is needed before what needs it.
    pub services: Vec<ServiceView>,
}

/// A service with its times.
#[derive(Debug, Clone, Serialize)]
#[expect(clippy::struct_excessive_bools, reason = "a row of a table: each is a column of its own")]
pub struct ServiceView {
    /// Its name.
    pub name: String,
    /// What people call it.
    pub title: String,
    /// What it promises.
    pub rto_seconds: Option<u64>,
    /// Back at the earliest by its own work and that of what it needs; none: never.
    pub earliest_seconds: Option<u64>,
    /// That rests on assumptions.
    pub is_assumed: bool,
    /// Must be back by then for all promises that stand on it.
    pub latest_seconds: Option<i64>,
    /// What may still go wrong, below zero if a promise is broken already; none: nothing was promised.
    pub slack_seconds: Option<i64>,
    /// It needs itself.
    pub in_cycle: bool,
    /// It lies on the critical path.
    pub is_critical: bool,
    /// Somebody else runs it.
    pub is_external: bool,
    /// What it needs, by names.
    pub needs: Vec<String>,
}

/// How a slack is to be seen.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Mood {
    Broken,
    None,
    Little,
    Enough,
    Unbound,
}

impl View {
    /// Of a plan.
    pub fn new(objectives: &Objectives<'_>) -> Self {
        let graph = &objectives.graph;
        let path = objectives.path();
        let critical: Vec<ServiceId> =
            path.last(graph).map(|last| path.way(last)).unwrap_or_default();
        let mut tiers: Vec<TierView> = objectives
            .plan
            .tiers
            .titled()
            .map(|(name, title, _)| TierView {
                name: name.value.clone(),
                title: title.to_owned(),
                services: Vec::new(),
            })
            .collect();
        let without = "no tier".to_owned();
        tiers.push(TierView { name: String::new(), title: without, services: Vec::new() });
        let last = tiers.len() - 1;
        for id in graph.components().iter().flatten().copied() {
            let tier = graph.service(id).1.tier.as_ref();
            let at = tier.and_then(|tier| objectives.plan.tiers.position(&tier.value));
            let service = ServiceView::new(objectives, &path, id, critical.contains(&id));
            tiers[at.unwrap_or(last)].services.push(service);
        }
        tiers.retain(|tier| !tier.services.is_empty());
        let names = |ids: &[ServiceId]| ids.iter().map(|id| graph.name(*id).to_owned()).collect();
        let mut unknown: Vec<String> = objectives
            .plan
            .services
            .iter()
            .flat_map(|(_, service)| &service.needs)
            .filter(|need| !objectives.plan.services.contains(&need.value))
            .map(|need| need.value.clone())
            .collect();
        unknown.sort();
        unknown.dedup();
        Self {
            tiers,
            critical_path: names(&critical),
            cycles: graph.cycles().iter().map(|cycle| names(&cycle.services)).collect(),
            unknown,
        }
    }

    /// All services, by tier.
    fn services(&self) -> impl Iterator<Item = &ServiceView> {
        self.tiers.iter().flat_map(|tier| &tier.services)
    }

    /// For a terminal; `width` is how many characters fit.
    pub fn text(&self, width: usize) -> String {
        text::draw(self, width)
    }

    /// As a picture.
    pub fn svg(&self) -> String {
        svg::draw(self)
    }

    /// For Graphviz.
    pub fn dot(&self) -> String {
        let mut dot = String::from("digraph plan {\n  rankdir=RL;\n  node [shape=box];\n");
        for (at, tier) in self.tiers.iter().enumerate() {
            let title = quoted(&tier.title);
            line!(dot, "  subgraph cluster_{at} {{\n    label={title};");
            for service in &tier.services {
                let bold = if service.is_critical { ", style=bold" } else { "" };
                let label = quoted(&format!("{}\n{}", service.title, service.words()));
                line!(dot, "    {} [label={label}{bold}];", quoted(&service.name));
            }
            dot.push_str("  }\n");
        }
        for service in self.services() {
            for need in &service.needs {
                let bold = if self.on_path(&service.name, need) { " [style=bold]" } else { "" };
                line!(dot, "  {} -> {}{bold};", quoted(&service.name), quoted(need));
            }
        }
        dot.push_str("}\n");
        dot
    }

    /// Whether the critical path goes from `need` to `service`.
    fn on_path(&self, service: &str, need: &str) -> bool {
        self.critical_path.windows(2).any(|pair| pair[0] == need && pair[1] == service)
    }
}

fn quoted(text: &str) -> String {
    let escaped = text.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
    format!("\"{escaped}\"")
}

impl ServiceView {
    fn new(objectives: &Objectives<'_>, path: &Path, id: ServiceId, is_critical: bool) -> Self {
        let graph = &objectives.graph;
        let (name, service) = graph.service(id);
        let times = path.of(id);
        let slack_seconds = match times.slack {
            Slack::Of(slack) => Some(slack.as_secs()),
            Slack::Never | Slack::Unbound => None,
        };
        let assumptions = &objectives.assumptions;
        // Of the way to it any part may be assumed.
        let is_assumed = path.way(id).into_iter().any(|on_way| {
            let start = objectives::start(graph, on_way, assumptions);
            let restore = objectives::restore_of(graph, on_way, assumptions);
            start.into_iter().chain(restore).any(|part| part.is_assumed())
        });
        let mut needs: Vec<String> =
            graph.needs(id).iter().map(|need| graph.name(*need).to_owned()).collect();
        needs.sort();
        Self {
            name: name.value.clone(),
            title: graph.title(id).to_owned(),
            rto_seconds: graph.rto(id).map(|rto| rto.value.as_secs()),
            earliest_seconds: times.earliest.map(|earliest| earliest.as_secs()),
            is_assumed,
            latest_seconds: times.latest.map(|latest| latest.as_secs()),
            slack_seconds,
            in_cycle: times.slack == Slack::Never,
            is_critical,
            is_external: service.external.is_some_and(|external| external.value),
            needs,
        }
    }

    fn mood(&self) -> Mood {
        let rto = self.rto_seconds.unwrap_or_default();
        match self.slack_seconds {
            _ if self.in_cycle => Mood::Broken,
            None => Mood::Unbound,
            Some(slack) if slack < 0 => Mood::Broken,
            Some(0) => Mood::None,
            // A tenth of the promise is what the plan's margin asks for, if it does not say.
            Some(slack) if slack.unsigned_abs() * 10 < rto => Mood::Little,
            Some(_) => Mood::Enough,
        }
    }

    fn rto(&self) -> String {
        self.rto_seconds.map_or_else(|| "-".to_owned(), short)
    }

    fn earliest(&self) -> String {
        if self.is_external {
            return "runs elsewhere".to_owned();
        }
        let about = if self.is_assumed { "~" } else { "" };
        self.earliest_seconds
            .map_or_else(|| "never".to_owned(), |seconds| format!("{about}{}", short(seconds)))
    }

    fn latest(&self) -> String {
        self.latest_seconds.map_or_else(|| "-".to_owned(), signed)
    }

    fn slack(&self) -> String {
        if self.in_cycle {
            return "never".to_owned();
        }
        self.slack_seconds.map_or_else(|| "-".to_owned(), signed)
    }

    /// Its times in one line.
    fn words(&self) -> String {
        let rto = format!("RTO {}", self.rto());
        match (self.is_external, self.in_cycle) {
            (true, _) => "run by somebody else".to_owned(),
            (_, true) => format!("{rto} · needs itself"),
            _ => format!("{rto} · from {} · slack {}", self.earliest(), self.slack()),
        }
    }
}

/// A length that people compare at a glance: `2m6s`, `45 min`, `3h20m`, `2 days`.
pub(crate) fn short(seconds: u64) -> String {
    const DAY: u64 = 86_400;
    let (hours, minutes, rest) = (seconds / 3600, seconds % 3600 / 60, seconds % 60);
    match (hours, minutes, rest) {
        _ if seconds.is_multiple_of(DAY) || seconds < 60 => {
            format_duration(Duration::from_secs(seconds))
        }
        (0, minutes, 0) => format!("{minutes} min"),
        (0, minutes, rest) => format!("{minutes}m{rest}s"),
        (hours, 0, _) => format!("{hours} h"),
        (hours, minutes, _) => format!("{hours}h{minutes}m"),
    }
}

fn signed(seconds: i64) -> String {
    let sign = if seconds < 0 { "-" } else { "" };
    format!("{sign}{}", short(seconds.unsigned_abs()))
}
