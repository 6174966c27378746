//! What if this is gone: who is down, who comes back, how, when, with what loss: `soter what-if`.

use serde::Serialize;

use super::sheet::{self, Page, table};
use super::{Objectives, Threat};
use crate::graph::view::short;
use crate::graph::{Cause, DomainId, Down, Loss, line};
use crate::language::Scenario;

/// So many pairs are walked; each walks the whole graph.
const PAIRS_MAX: usize = 2000;

/// The outcome of one loss.
#[derive(Debug, Clone, Serialize)]
pub struct Outcome {
    /// The failure domains that are gone, by name.
    pub lost: Vec<String>,
    /// The scenario that recovers from it; none: no scenario does.
    pub scenario: Option<String>,
    /// Its loss is accepted, in the words of the plan.
    pub accepted: Option<String>,
    /// The services that are down, and why.
    pub down: Vec<DownLine>,
    /// How many services go on.
    pub unharmed: usize,
    /// The recovery, if there is a scenario.
    pub recovery: Option<Page>,
    /// What is lost of each store that is gone.
    pub stores: Vec<sheet::StoreLine>,
    /// Vaults that are gone.
    pub vaults: Vec<String>,
}

/// A service that is down.
#[derive(Debug, Clone, Serialize)]
pub struct DownLine {
    /// Its name.
    pub service: String,
    /// What people call it.
    pub title: String,
    /// Why.
    pub because: String,
}

/// Every single and double failure.
#[derive(Debug, Clone, Serialize)]
pub struct Matrix {
    /// One row for each.
    pub rows: Vec<Row>,
    /// Pairs that were left out, because they are too many.
    pub left_out: usize,
}

/// A failure in one line.
#[derive(Debug, Clone, Serialize)]
pub struct Row {
    /// What is gone.
    pub lost: Vec<String>,
    /// How many services are down.
    pub down: usize,
    /// The scenario that recovers from it.
    pub scenario: Option<String>,
    /// When the last service is back, of those of which that is known.
    pub back_seconds: Option<u64>,
    /// It may be later: of some service, or of some step, the plan does not say how long it takes.
    pub at_least: bool,
    /// Services that are back later than they promise.
    pub late: Vec<String>,
    /// Stores of which nothing is left.
    pub gone_for_good: Vec<String>,
    /// Stores of which more is lost than may be.
    pub lose_too_much: Vec<String>,
    /// The most that is lost of any other store, of those of which that is known.
    pub loss_seconds: Option<u64>,
    /// Of some store the plan does not say how much is lost.
    pub loses_at_least: bool,
    /// In one word.
    pub verdict: Verdict,
}

/// How a failure ends.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Serialize)]
#[serde(rename_all = "kebab-case")]
pub enum Verdict {
    /// Nobody notices.
    Unharmed,
    /// Everything is back in its time, with no more lost than may be.
    Recovered,
    /// Nothing is known to be late; of something the plan does not say when it is back, or with what.
    Open,
    /// Everything is back, and more is lost of a store than may be.
    LosesTooMuch,
    /// Everything is back, something too late.
    Late,
    /// It is accepted that nobody recovers from it.
    Accepted,
    /// No scenario recovers from it.
    NoScenario,
    /// Data is gone for good.
    DataGone,
}

impl Outcome {
    /// Of the loss of these domains.
    pub fn new(objectives: &Objectives<'_>, lost: &[DomainId]) -> Self {
        let (graph, domains) = (&objectives.graph, &objectives.domains);
        let cause = Cause { domains: lost.to_vec(), ..Cause::default() };
        let loss = Loss::of(graph, domains, &cause);
        let scenario =
            scenario_for(objectives, lost).or_else(|| one_for_all(objectives, lost, &loss));
        let down: Vec<DownLine> = loss
            .down()
            .map(|(id, why)| DownLine {
                service: graph.name(id).to_owned(),
                title: graph.title(id).to_owned(),
                because: because(objectives, why),
            })
            .collect();
        let vaults = objectives.plan.vaults.titled().zip(&loss.vaults);
        let vaults = vaults.filter(|(_, lost)| **lost).map(|((_, title, _), _)| title.to_owned());
        let vaults: Vec<String> = vaults.collect();
        let threat = Threat { loss: Some(&loss), corrupt: false, place_lost: true, hostile: false };
        let gone = loss.stores.iter().enumerate().filter(|(_, lost)| **lost);
        let relaxed = scenario.and_then(|(_, _, scenario)| sheet::relaxed_rpo(scenario));
        let stores = gone.map(|(at, _)| sheet::store(objectives, at, &threat, relaxed)).collect();
        let accepted: Option<Vec<_>> =
            lost.iter().map(|id| domains.declared(*id)?.accepted.as_ref()).collect();
        let accepted = accepted.and_then(|words| words.first().copied());
        let unharmed = graph.len() - down.len();
        let nothing = down.is_empty() && !loss.stores.contains(&true);
        let recovery = scenario.filter(|_| !nothing).map(|(name, title, scenario)| {
            let timeline = objectives.timeline_after(scenario, loss.clone());
            Page::new(objectives, (name, title), &timeline)
        });
        Self {
            lost: lost.iter().map(|id| domains.name(*id).value.clone()).collect(),
            scenario: scenario.map(|(_, title, _)| title.to_owned()),
            accepted: accepted.map(|words| words.value.clone()),
            down,
            unharmed,
            recovery,
            stores,
            vaults,
        }
    }

    /// In one line.
    pub fn row(&self) -> Row {
        let services = || self.recovery.iter().flat_map(|page| &page.services);
        let is_broken = |margin: Option<i64>| margin.is_some_and(|left| left < 0);
        let late = services().filter(|line| is_broken(line.margin_seconds));
        let late: Vec<String> = late.map(|line| line.title.clone()).collect();
        let titles = |is_wanted: fn(&sheet::StoreLine) -> bool| -> Vec<String> {
            let wanted = self.stores.iter().filter(|line| is_wanted(line));
            wanted.map(|line| line.title.clone()).collect()
        };
        let gone_for_good = titles(|line| line.loses_everything);
        let lose_too_much = titles(sheet::StoreLine::loses_too_much);
        let at_least = services().any(|line| line.at_least || line.computed_seconds.is_none());
        let loses_at_least = self
            .stores
            .iter()
            .any(|line| line.computed_seconds.is_none() && !line.loses_everything);
        let verdict = if !gone_for_good.is_empty() {
            Verdict::DataGone
        } else if self.down.is_empty() && self.stores.is_empty() {
            Verdict::Unharmed
        } else if self.scenario.is_none() && self.accepted.is_some() {
            Verdict::Accepted
        } else if self.scenario.is_none() {
            Verdict::NoScenario
        } else if !late.is_empty() {
            Verdict::Late
        } else if !lose_too_much.is_empty() {
            Verdict::LosesTooMuch
        } else if at_least || loses_at_least {
            Verdict::Open
        } else {
            Verdict::Recovered
        };
        Row {
            lost: self.lost.clone(),
            down: self.down.len(),
            scenario: self.scenario.clone(),
            back_seconds: services().filter_map(|line| line.computed_seconds).max(),
            at_least,
            late,
            gone_for_good,
            lose_too_much,
            loss_seconds: self.stores.iter().filter_map(|line| line.computed_seconds).max(),
            loses_at_least,
            verdict,
        }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        let mut text = String::new();
        let row = self.row();
        line!(text, "── lost: {} ─ {}", self.lost.join(" and "), row.verdict.words());
        if !self.vaults.is_empty() {
            line!(text, "  copies gone with it: {}", self.vaults.join(", "));
        }
        match (&self.scenario, &self.accepted) {
            (Some(scenario), _) => line!(text, "  recovered by: {scenario}"),
            (None, Some(words)) => line!(text, "  accepted: {words}"),
            (None, None) if row.verdict != Verdict::Unharmed => {
                text.push_str("  no scenario recovers from this: write one that `loses` it\n");
            }
            (None, None) => {}
        }
        let lines = self.down.iter().map(|line| {
            let back = self.recovery.iter().flat_map(|page| &page.services);
            let back = back.into_iter().find(|back| back.service == line.service);
            let about = back.is_some_and(|back| !back.assumptions.is_empty());
            let least = if back.is_some_and(|back| back.at_least) { "≥ " } else { "" };
            let when = back.and_then(|back| back.computed_seconds).map_or_else(
                || "?".to_owned(),
                |seconds| format!("{least}{}{}", if about { "~" } else { "" }, short(seconds)),
            );
            let promised = back.and_then(|back| back.promised_seconds);
            let is_late = back.and_then(|back| back.margin_seconds).is_some_and(|left| left < 0);
            [
                line.title.clone(),
                line.because.clone(),
                format!("{when}{}", if is_late { " ✗" } else { "" }),
                promised.map_or_else(|| "-".to_owned(), short),
                back.map_or_else(String::new, |back| back.decided_by.clone()),
            ]
        });
        let lines: Vec<[String; 5]> = lines.collect();
        if !lines.is_empty() {
            text.push_str(&table(["down", "because", "back after", "promised", "by"], lines));
        }
        let stores = self.stores.iter().map(|line| {
            let mark = if line.loses_too_much() { " ✗" } else { "" };
            let lost = line.computed_seconds.map(|seconds| format!("{}{mark}", short(seconds)));
            let without = if line.loses_everything { "everything ✗" } else { "?" };
            [
                line.title.clone(),
                lost.unwrap_or_else(|| without.to_owned()),
                line.promised_seconds.map_or_else(|| "-".to_owned(), short),
                line.decided_by.clone(),
            ]
        });
        let stores: Vec<[String; 4]> = stores.collect();
        if !stores.is_empty() {
            text.push_str(&table(["data gone", "loses", "may lose", "from"], stores));
        }
        line!(text, "  {} of {} services go on", self.unharmed, self.unharmed + self.down.len());
        text
    }
}

/// The scenario that recovers from it: one for exactly this before one for more than this.
fn scenario_for<'p>(
    objectives: &Objectives<'p>,
    lost: &[DomainId],
) -> Option<(&'p str, &'p str, &'p Scenario)> {
    let domains = &objectives.domains;
    let scenarios = || objectives.plan.scenarios.titled();
    let named = lost.first().filter(|_| lost.len() == 1).and_then(|id| domains.declared(*id));
    if let Some(name) = named.and_then(|domain| domain.scenario.as_ref()) {
        let found = scenarios().find(|(other, _, _)| other.value == name.value);
        return found.map(|(name, title, scenario)| (name.value.as_str(), title, scenario));
    }
    let covers = scenarios().filter_map(|(name, title, scenario)| {
        let cause = Cause::of(scenario, domains);
        let gone = domains.closure(&cause.domains);
        let all = lost.iter().all(|id| gone[id.index()]);
        let size = gone.iter().filter(|gone| **gone).count();
        (all && !lost.is_empty()).then_some((size, name.value.as_str(), title, scenario))
    });
    let best = covers.min_by_key(|(size, name, _, _)| (*size, *name));
    best.map(|(_, name, title, scenario)| (name, title, scenario))
}

/// The scenario for one of two losses, if the other takes nothing more.
fn one_for_all<'p>(
    objectives: &Objectives<'p>,
    lost: &[DomainId],
    loss: &Loss,
) -> Option<(&'p str, &'p str, &'p Scenario)> {
    let (graph, domains) = (&objectives.graph, &objectives.domains);
    lost.iter().filter(|_| lost.len() > 1).find_map(|id| {
        let cause = Cause { domains: vec![*id], ..Cause::default() };
        let alone = Loss::of(graph, domains, &cause);
        let down = |loss: &Loss| loss.down().map(|(id, _)| id).collect::<Vec<_>>();
        let is_same = down(&alone) == down(loss) && alone.stores == loss.stores;
        is_same.then(|| scenario_for(objectives, &[*id])).flatten()
    })
}

fn because(objectives: &Objectives<'_>, why: Down) -> String {
    match why {
        Down::Domains => "it lies there".to_owned(),
        Down::Stopped => "stopped".to_owned(),
        Down::Store(at) => {
            let name = objectives.plan.stores.at(at).map_or("", |(name, _)| &name.value);
            format!("its data lies there: {}", objectives.plan.stores.title(name))
        }
        Down::Needs(need) => format!("needs {}", objectives.graph.title(need)),
    }
}

impl Matrix {
    /// Every domain alone, and every two of which none lies in the other.
    pub fn new(objectives: &Objectives<'_>) -> Self {
        let domains = &objectives.domains;
        let singles: Vec<DomainId> = domains.ids().collect();
        let mut rows: Vec<Row> =
            singles.iter().map(|id| Outcome::new(objectives, &[*id]).row()).collect();
        let mut pairs = Vec::new();
        let mut left_out = 0;
        for (at, one) in singles.iter().enumerate() {
            let outward = domains.outward(*one);
            for two in &singles[at + 1..] {
                if outward.contains(two) || domains.outward(*two).contains(one) {
                    continue;
                }
                if pairs.len() < PAIRS_MAX {
                    pairs.push([*one, *two]);
                } else {
                    left_out += 1;
                }
            }
        }
        rows.extend(pairs.iter().map(|pair| Outcome::new(objectives, pair).row()));
        Self { rows, left_out }
    }

    /// For a terminal.
    pub fn text(&self) -> String {
        // The longest that is known; where more is not known, it may be longer.
        let known = |seconds: Option<u64>, at_least: bool| match (seconds, at_least) {
            (Some(seconds), true) => format!("≥ {}", short(seconds)),
            (Some(seconds), false) => short(seconds),
            (None, true) => "?".to_owned(),
            (None, false) => "-".to_owned(),
        };
        let rows = self.rows.iter().map(|row| {
            let named = |names: &[String]| match names {
                [] => String::new(),
                [only] => only.clone(),
                [first, rest @ ..] => format!("{first} +{}", rest.len()),
            };
            [
                row.lost.join(" + "),
                row.verdict.mark().to_owned(),
                row.down.to_string(),
                known(row.back_seconds, row.at_least),
                known(row.loss_seconds, row.loses_at_least),
                named(&row.late),
                named(&row.gone_for_good),
                row.scenario.clone().unwrap_or_default(),
            ]
        });
        let head = ["lost", "ends", "down", "back", "loses", "late", "gone for good", "scenario"];
        let mut text = table(head, rows.collect());
        if self.left_out > 0 {
            line!(text, "  {} more pairs were left out", self.left_out);
        }
        let mut counts: Vec<(Verdict, usize)> = Vec::new();
        for row in &self.rows {
            match counts.iter_mut().find(|(verdict, _)| *verdict == row.verdict) {
                Some((_, count)) => *count += 1,
                None => counts.push((row.verdict, 1)),
            }
        }
        counts.sort();
        let words: Vec<String> =
            counts.iter().map(|(verdict, count)| format!("{count} {}", verdict.words())).collect();
        line!(text, "\n  {}", words.join(" · "));
        text
    }
}

impl Verdict {
    /// As words in a sentence.
    pub fn words(self) -> &'static str {
        match self {
            Self::Unharmed => "nothing is down",
            Self::Recovered => "recovered in time",
            Self::Open => "not known whether in time",
            Self::LosesTooMuch => "recovered with too much lost",
            Self::Late => "recovered too late",
            Self::Accepted => "accepted",
            Self::NoScenario => "no scenario",
            Self::DataGone => "data gone for good",
        }
    }

    fn mark(self) -> &'static str {
        match self {
            Self::Unharmed => "· unharmed",
            Self::Recovered => "✓ in time",
            Self::Open => "? not known",
            Self::LosesTooMuch => "! loses too much",
            Self::Late => "! late",
            Self::Accepted => "~ accepted",
            Self::NoScenario => "✗ no scenario",
            Self::DataGone => "✗ data gone",
        }
    }
}
