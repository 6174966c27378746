//! S0502 and S0503: what a drill does besides the scenario it tries.

use std::collections::BTreeSet;

use super::coverage::scenarios;
use super::{FRESH_BACKUPS, OTHER_RECOVERY};
use crate::check::{Finding, Model};
use crate::language::{At, Drill, DrillKind, Origin, Scenario, Script, Step};
use crate::rules::words::{folded, mentions, words};

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    for (name, drill) in model.plan.drills.iter() {
        let shown = drill.title.as_ref().unwrap_or(name);
        let tried = scenarios(model.plan, drill);
        other_recovery(model, shown, drill, &tried, findings);
        fresh_backups(model, shown, drill, findings);
    }
}

/// What a step says in words.
fn said(step: &Step) -> impl Iterator<Item = &str> {
    let title = step.title.iter().map(|title| title.value.as_str());
    let manual = step.manual.iter().map(|manual| manual.text.as_str());
    let comments = step.run.iter().flat_map(|run| run.text.lines());
    let comments = comments.map(str::trim).filter(|line| line.starts_with('#'));
    title.chain(manual).chain(comments)
}

/// Where a step stands.
fn origin(step: &Step) -> Option<Origin> {
    let script = step.run.as_ref().or(step.manual.as_ref()).map(Script::origin);
    step.title.as_ref().or(step.id.as_ref()).map(|title| title.origin).or(script)
}

/// Words of a step that recovers.
const RECOVERS: &[&str] = &[
    "recover",
    "recovers",
    "execute recovery",
    "run recovery",
    "recovery procedure",
    "execute the recovery",
    "run the recovery",
    "start the recovery",
    "recovery script",
    "recovery plan",
    "recovery procedures",
    "recovery steps",
    "perform recovery",
    "restore",
    "restores",
    "fail over",
    "failover",
    "rebuild",
    "rebuilds",
];

/// Words of a step that only speaks of it.
const SPEAKS: &[&str] = &[
    "report",
    "document",
    "notify",
    "announce",
    "schedule",
    "verify",
    "validate",
    "measure",
    "record",
    "review",
    "time",
    "compare",
    "after",
    "prepare",
    "clean",
    "tear down",
    "destroy",
    "fail back",
    "failback",
    "original state",
];

/// Whether it is this step that does the recovery.
fn recovers(step: &Step) -> bool {
    let is_declared = !step.restores.is_empty() || step.restore.is_some();
    is_declared || said(step).any(|text| mentions(text, RECOVERS) && !mentions(text, SPEAKS))
}

/// The lines of a script that do something, without the space around them.
fn lines(script: &Script) -> impl Iterator<Item = &str> {
    script.text.lines().map(str::trim).filter(|line| !line.is_empty() && !line.starts_with('#'))
}

/// S0502.
fn other_recovery(
    model: &Model<'_>,
    shown: &At<String>,
    drill: &Drill,
    tried: &[(&At<String>, &Scenario)],
    findings: &mut Vec<Finding>,
) {
    // A copy may be restored somewhere else in any way; that is not the scenario's recovery.
    if drill.kind.is_some_and(|it| matches!(it.value, DrillKind::Restore | DrillKind::Tabletop)) {
        return;
    }
    let own = drill.procedure.iter().filter(|step| recovers(step));
    let own: Vec<(&Step, &Script)> =
        own.filter_map(|step| step.run.as_ref().map(|run| (step, run))).collect();
    let all = || {
        let all = model.plan.scenarios.iter().map(|(_, scenario)| scenario);
        let named = tried.iter().map(|(_, scenario)| *scenario);
        let chosen: Vec<&Scenario> = if tried.is_empty() { all.collect() } else { named.collect() };
        chosen.into_iter().flat_map(|scenario| &scenario.phases).flat_map(|phase| &phase.steps)
    };
    if own.is_empty() {
        return;
    }
    let known: BTreeSet<&str> =
        all().filter_map(|step| step.run.as_ref()).flat_map(lines).collect();
    for (step, run) in own {
        let Some(strange) = lines(run).find(|line| !known.contains(line)) else { continue };
        let Some(origin) = origin(step) else { continue };
        let title =
            format!("`{}` recovers by `{}`, which no scenario does", shown.value, cut(strange));
        let finding = Finding::new(&OTHER_RECOVERY, origin, title).here("this is another recovery");
        let finding = match tried.first() {
            Some((name, _)) => finding.label(name.origin, "the one that will be needed"),
            None => finding,
        };
        findings.push(
            finding
                .hint(
                    "let the drill run the scenario itself, with another target as a parameter; keep \
                     in its procedure only what comes before and behind",
                )
                .proof(format!("the line stands in none of the {} steps of scenarios", all().count())),
        );
        // One is enough to show it.
        return;
    }
}

/// A command as it fits into a title.
fn cut(line: &str) -> String {
    const SHOWN: usize = 60;
    let cut: String = line.chars().take(SHOWN).collect();
    if cut.len() < line.len() { format!("{cut}…") } else { cut }
}

/// S0503.
fn fresh_backups(
    model: &Model<'_>,
    shown: &At<String>,
    drill: &Drill,
    findings: &mut Vec<Finding>,
) {
    // Before a part of the living system is switched off, a copy to go back to is wise.
    if drill.kind.is_some_and(|it| matches!(it.value, DrillKind::Failover | DrillKind::Tabletop)) {
        return;
    }
    let Some(recovery) = drill.procedure.iter().position(recovers) else { return };
    for step in drill.procedure.iter().take(recovery) {
        let Some(how) = makes_backup(model, step) else { continue };
        let Some(origin) = origin(step) else { continue };
        let title = format!("`{}` makes the backups that it restores", shown.value);
        let finding = Finding::new(&FRESH_BACKUPS, origin, title).here("just before the recovery");
        let behind = drill.procedure.get(recovery).and_then(self::origin);
        let finding = match behind {
            Some(place) => finding.label(place, "what is restored here is minutes old"),
            None => finding,
        };
        findings.push(
            finding
                .hint(
                    "leave the step out and restore what the schedule made, the newest one or one \
                     that is drawn by lot; measure how old it is",
                )
                .proof(how),
        );
        return;
    }
}

/// Words that make something.
const MAKES: &[&str] = &[
    "create", "creates", "make", "makes", "take", "takes", "run", "perform", "trigger", "start",
    "generate", "execute", "initiate", "do",
];

/// What is made.
const BACKUPS: &[&str] = &["backup", "backups", "snapshot", "snapshots", "dump", "dumps"];

/// How a step makes backups, if it does.
fn makes_backup(model: &Model<'_>, step: &Step) -> Option<String> {
    let not = [
        "do not",
        "don t",
        "never",
        "no fresh",
        "without",
        "last night",
        "latest",
        "existing",
        "most recent",
        "scheduled",
    ];
    for text in said(step).filter(|text| !mentions(text, &not)) {
        let all: Vec<String> = words(text).collect();
        let made = all.iter().enumerate().any(|(at, word)| {
            let behind = all.get(at + 1..).unwrap_or(&[]).iter().take(4);
            MAKES.contains(&word.as_str())
                && behind.into_iter().any(|w| BACKUPS.contains(&w.as_str()))
        });
        let fresh = [
            "fresh backup",
            "fresh backups",
            "new backup",
            "new backups",
            "fresh snapshot",
            "fresh snapshots",
            "fresh copies",
            "up to date backup",
        ];
        if made || mentions(text, &fresh) {
            return Some(format!("the step says: {}", cut(text.trim_start_matches(['#', ' ']))));
        }
    }
    let shell = model.shell(step.run.as_ref()?);
    shell.commands.iter().find_map(|command| {
        let program = command.program()?;
        let arguments: Vec<&str> = command.arguments().iter().map(|it| it.text.as_str()).collect();
        let is_backup = matches!(
            (program, &arguments[..]),
            (
                "pg_dump"
                    | "pg_dumpall"
                    | "pg_basebackup"
                    | "mysqldump"
                    | "mongodump"
                    | "xtrabackup",
                _
            ) | ("velero", ["backup", "create", ..])
                | ("etcdctl", ["snapshot", "save", ..])
                | ("k3s", ["etcd-snapshot", "save", ..])
                | ("restic" | "borg", ["backup" | "create", ..])
        );
        let name = folded(program);
        let is_script = (program.contains('.') || program.contains('/') || program.contains('-'))
            && MAKES.iter().any(|make| mentions(&name, &[make]))
            && mentions(&name, BACKUPS);
        (is_backup || is_script).then(|| format!("the step runs `{program}`"))
    })
}
