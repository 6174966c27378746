//! S0210 and S0211: what the plan describes against the jobs that it shows.
//!
//! Where the plan shows the job of one full copy of a store, it is expected to show or name what
//! makes the others. Elsewhere a description is believed.

use std::ops::Range;

use super::{LOGS_WITHOUT_BASE, NOT_AS_DESCRIBED};
use crate::check::{Finding, Model, Severity};
use crate::language::{At, Method, Store};
use crate::objectives::{Kept, copies};

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (_, title, store) in model.plan.stores.titled() {
        let kept = model.objectives.copies(store);
        for kept in &kept {
            findings.extend(another_method(model, title, kept));
        }
        let shown = made(&kept);
        for kept in kept.iter().filter(|one| !is_made(one) && may_be_full(one)) {
            findings.extend(not_made(model, title, kept, &shown));
        }
        findings.extend(logs_without_base(model, (title, store)));
    }
}

/// How a copy is made: what its job does, else what the plan calls it.
fn method(model: &Model<'_>, kept: &Kept<'_>) -> Option<Method> {
    job_method(model, kept).map(|(_, method)| method).or(kept.method)
}

/// What the job of a copy makes, by the programs it runs.
fn job_method(model: &Model<'_>, kept: &Kept<'_>) -> Option<(Range<usize>, Method)> {
    let shell = model.shell(kept.copy?.run.as_ref()?);
    shell.commands.iter().find_map(|command| {
        let (_, method) = JOBS.iter().find(|(known, _)| command.program() == Some(*known))?;
        Some((command.words.first()?.range.clone(), *method))
    })
}

/// Programs that make one kind of copy and no other.
const JOBS: &[(&str, Method)] = &[
    ("mongodump", Method::Dump),
    ("mysqldump", Method::Dump),
    ("mariadb-dump", Method::Dump),
    ("pg_basebackup", Method::Base),
    ("pg_dump", Method::Dump),
    ("pg_dumpall", Method::Dump),
    ("xtrabackup", Method::Base),
    ("mariabackup", Method::Base),
];

/// Something is known that makes it: a job, settings, a program, Soter.
fn is_made(kept: &Kept<'_>) -> bool {
    let named = |by: &At<String>| !by.value.split_whitespace().all(says_nothing);
    kept.copy.is_none_or(|copy| {
        copy.run.is_some() || copy.settings.is_some() || copy.by.as_ref().is_some_and(named)
    })
}

/// Words that say that there is a backup, and not what makes it.
fn says_nothing(word: &str) -> bool {
    const WORDS: &[&str] = &[
        "automatic",
        "automated",
        "backup",
        "backups",
        "base",
        "continuous",
        "copy",
        "daily",
        "differential",
        "dump",
        "export",
        "full",
        "hourly",
        "incremental",
        "logical",
        "monthly",
        "nightly",
        "offsite",
        "periodic",
        "physical",
        "regular",
        "scheduled",
        "snapshot",
        "snapshots",
        "weekly",
    ];
    WORDS.contains(&word.to_ascii_lowercase().as_str())
}

/// It holds a whole store, as far as the plan says.
fn may_be_full(kept: &Kept<'_>) -> bool {
    kept.method.is_none() || kept.is_full()
}

/// The full copies whose job the plan shows.
fn made<'p>(kept: &[Kept<'p>]) -> Vec<Kept<'p>> {
    let shown = |kept: &&Kept<'p>| kept.copy.is_some_and(|copy| copy.run.is_some());
    kept.iter().filter(shown).filter(|kept| kept.is_full()).copied().collect()
}

/// The copies that can be counted on: without those that are only described, where the plan shows
/// how others are made; each by what its job really makes.
pub(crate) fn counted<'p>(model: &Model<'_>, kept: &[Kept<'p>]) -> Vec<Kept<'p>> {
    let shows_jobs = !made(kept).is_empty();
    let all = kept.iter().filter(|one| !shows_jobs || is_made(one) || !may_be_full(one));
    all.map(|one| Kept { method: method(model, one), ..*one }).collect()
}

fn another_method(model: &Model<'_>, title: &str, kept: &Kept<'_>) -> Option<Finding> {
    let (range, made) = job_method(model, kept)?;
    let described = kept.method.filter(|method| *method != made)?;
    let words = format!("a {described} of {title} is described, and its job makes a {made}");
    let script = kept.copy?.run.as_ref()?;
    Some(
        Finding::new(&NOT_AS_DESCRIBED, kept.origin, words)
            .here(format!("described: {described}"))
            .label(script.place(range), format!("makes a {made}"))
            .hint(format!(
                "make the job do what is described, or describe it as `method: {made}` and look \
                 whether the recovery point can still be kept"
            )),
    )
}

fn not_made(model: &Model<'_>, title: &str, kept: &Kept<'_>, made: &[Kept<'_>]) -> Option<Finding> {
    let job = made.first()?;
    let interval =
        |kept: &Kept<'_>| model.objectives.interval(kept).map(|interval| interval.length);
    let same_time =
        |other: &&Kept<'_>| interval(other).is_some() && interval(other) == interval(kept);
    let rival = made.iter().find(same_time);
    if rival.is_some_and(|rival| method(model, rival) == kept.method) {
        return None;
    }
    let by = kept.copy.and_then(|copy| copy.by.as_ref()).map(|by| by.value.to_lowercase());
    let described = kept.method.map(|method| method.to_string()).or(by)?;
    let (words, severity) = match rival.and_then(|rival| method(model, rival)) {
        Some(other) => (
            format!(
                "a {described} of {title} is described; the job that runs then makes a {other}"
            ),
            Severity::Error,
        ),
        None => (
            format!("a {described} of {title} is described, and no job makes it"),
            Severity::Warning,
        ),
    };
    let job = rival.unwrap_or(job);
    Some(
        Finding::new(&NOT_AS_DESCRIBED, kept.origin, words)
            .severity(severity)
            .here("described here")
            .label(job.origin, "the job that the plan shows")
            .hint(
                "show the job in `run`, or name the program that makes it in `by`; if there is \
                 none, take the description out",
            ),
    )
}

fn logs_without_base(model: &Model<'_>, (title, store): (&str, &Store)) -> Option<Finding> {
    let all = model.objectives.copies(store);
    let logs = all.iter().find(|kept| kept.method == Some(Method::Log))?;
    let counted = counted(model, &all);
    // A copy of a kind that nobody named may be a base.
    let may_be_base =
        |kept: &Kept<'_>| kept.method.is_none_or(|method| copies::is_base(store, method));
    if counted.iter().any(may_be_base) {
        return None;
    }
    let full = counted.iter().find(|kept| kept.is_full());
    let there = match full.and_then(|kept| kept.method) {
        Some(method) => format!("a {method} is no base for them"),
        None => "there is no base".to_owned(),
    };
    let words = format!("the logs of {title} can be replayed on nothing: {there}");
    let finding = Finding::new(&LOGS_WITHOUT_BASE, logs.origin, words).here("these logs");
    let finding = match full {
        Some(full) => finding.label(full.origin, "this cannot take them"),
        None => finding,
    };
    Some(finding.hint(
        "make copies of the data files that know their place in the log, such as `pg_basebackup` or \
         `method: soter`, and keep all logs since the oldest of them",
    ))
}
