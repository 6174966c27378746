//! S0504 and S0506, as far as results are concerned: what came of the drills against what is promised.

use std::time::Duration;

use super::{OVERDUE, PASSES_ANYWAY};
use crate::check::{Finding, Model};
use crate::graph::Objective;
use crate::language::{At, Drill, DrillResult, Origin, Outcome};
use crate::units::format_duration;

/// So many times in a row that nothing came of it are no accident.
const NOT_DONE_MIN: usize = 2;

/// A drill with less than this part of the data is one of another size.
const PART_MAX: f64 = 0.5;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, drill) in model.plan.drills.iter() {
        let shown = &drill.title.as_ref().unwrap_or(name).value;
        for result in &drill.results {
            findings.extend(too_slow(model, shown, drill, result));
        }
        findings.extend(never_done(name, shown, drill));
    }
}

/// The shortest promise of the services whose data a drill brings back.
fn promise<'p>(model: &Model<'p>, drill: &Drill) -> Option<(Objective, &'p str)> {
    let graph = &model.objectives.graph;
    let stores = drill.stores.iter().filter_map(|name| model.plan.stores.position(&name.value));
    let owners = stores.flat_map(|at| model.objectives.owners(at).iter().copied());
    owners.filter_map(|id| Some((graph.rto(id)?, graph.title(id)))).min_by_key(|(rto, _)| rto.value)
}

/// A result that counts as passed although the promise was broken, or would be with all the data.
fn too_slow(
    model: &Model<'_>,
    shown: &str,
    drill: &Drill,
    result: &DrillResult,
) -> Option<Finding> {
    result.outcome.filter(|outcome| outcome.value == Outcome::Passed)?;
    let took = result.took?;
    let (promised, service) = promise(model, drill)?;
    let (needed, kept) = (in_hours(took.value), in_hours(promised.value));
    if took.value > promised.value {
        let title = format!("`{shown}` passed after {needed}, and {service} is promised in {kept}");
        return Some(
            Finding::new(&PASSES_ANYWAY, took.origin, title)
                .here("how long it took")
                .label(promised.origin, "what is promised")
                .hint(format!(
                    "find out how it can be back in {kept}, or promise what was measured; until \
                     then the drill has failed"
                ))
                .proof(format!("{needed} is more than {kept}")),
        );
    }
    let [store] = drill.stores.as_slice() else { return None };
    let whole = model.plan.stores.get(&store.value)?.size?;
    let tried = result.size?;
    let part = share(tried.value.0, whole.value.0).filter(|part| *part < PART_MAX)?;
    let whole_takes = Duration::try_from_secs_f64(took.value.as_secs_f64() / part).ok()?;
    let whole_takes = Duration::from_secs(whole_takes.as_secs() / 60 * 60);
    if whole_takes <= promised.value {
        return None;
    }
    let (tried, whole_size) = (in_words(tried.value.0), in_words(whole.value.0));
    let title = format!(
        "`{shown}` passed with {tried}, and there are {whole_size}: at that rate {service} is not \
         back in {kept}"
    );
    Some(
        Finding::new(&PASSES_ANYWAY, took.origin, title)
            .here(format!("with {tried}"))
            .label(whole.origin, format!("{whole_size} to restore"))
            .label(promised.origin, "what is promised")
            .hint("try it once with all the data, on the machines it will have to run on")
            .proof(format!(
                "{needed} for {tried} are about {} for {whole_size}",
                in_hours(whole_takes)
            )),
    )
}

/// What part of a whole something is.
fn share(part: u64, whole: u64) -> Option<f64> {
    // In MiB they fit, and the error is nothing to an estimate.
    let in_mib = |bytes: u64| u32::try_from(bytes >> 20).ok().map(f64::from);
    let (part, whole) = (in_mib(part)?, in_mib(whole)?);
    (part > 0.0 && whole > 0.0).then(|| part / whole)
}

/// In the unit people use: `40 GB`, `2.1 TB`.
fn in_words(bytes: u64) -> String {
    const UNITS: [(u64, &str); 3] =
        [(1_000_000_000_000, "TB"), (1_000_000_000, "GB"), (1_000_000, "MB")];
    let found = UNITS.iter().find(|(size, _)| bytes >= *size);
    found.map_or_else(
        || format!("{bytes} B"),
        |(size, unit)| match bytes % size * 10 / size {
            0 => format!("{} {unit}", bytes / size),
            tenth => format!("{}.{tenth} {unit}", bytes / size),
        },
    )
}

/// `5 h 40 min`, as people write it.
fn in_hours(length: Duration) -> String {
    let minutes = length.as_secs() / 60;
    match (minutes / 60, minutes % 60) {
        (hours, rest) if hours > 0 && rest > 0 => format!("{hours} h {rest} min"),
        _ => format_duration(length),
    }
}

/// It was planned again and again, and never came to its end.
fn never_done(name: &At<String>, shown: &str, drill: &Drill) -> Option<Finding> {
    let is = |result: &DrillResult, wanted: &[Outcome]| {
        result.outcome.is_some_and(|outcome| wanted.contains(&outcome.value))
    };
    let passed = drill.results.iter().any(|it| is(it, &[Outcome::Passed, Outcome::Failed]));
    let open: Vec<Origin> = drill
        .results
        .iter()
        .filter(|it| is(it, &[Outcome::NotDone, Outcome::Aborted]))
        .filter_map(|it| it.text.as_ref().map(|text| text.origin))
        .collect();
    if passed || open.len() < NOT_DONE_MIN {
        return None;
    }
    let title = format!("`{shown}` was planned {} times and never came to its end", open.len());
    let finding = Finding::new(&OVERDUE, name.origin, title).here("never done to the end");
    let finding = open.iter().fold(finding, |finding, at| finding.label(*at, "not this time"));
    Some(
        finding
            .hint(
                "do it, if need be a part of it at a time, and write down how long each part took",
            )
            .proof(format!("{} of {} results are no result", open.len(), drill.results.len())),
    )
}
