//! S0301: something is deleted although what came before it may have failed.
//! S0302: a command that succeeds although it failed.

use crate::check::{Finding, Severity};
use crate::products::{FactKind, Invocation};
use crate::shell::{Command, Operator, Role, Shell};

use super::scripts::{Piece, PieceKind, lower, shown};
use super::{CANNOT_FAIL, UNCHECKED_FAILURE};

/// What later commands rely on.
const RELIED_ON: &[FactKind] =
    &[FactKind::Dumps, FactKind::Copies, FactKind::Restores, FactKind::Provisions];

/// So many commands whose failure nobody notices are shown; more say nothing new.
const LABELS_MAX: usize = 5;

/// So many of them are looked at for each that deletes: a long script has thousands of both.
const UNNOTICED_MAX: usize = 50;

pub(super) fn unchecked(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    let relied: Vec<(usize, Invocation<'_>)> = made(piece, RELIED_ON).collect();
    if relied.is_empty() {
        return;
    }
    for (at, invocation) in piece.invocations() {
        let Some(what) = deletes(piece, &invocation) else { continue };
        let deleting = invocation.command;
        if is_guarded(&piece.shell, deleting) {
            continue;
        }
        let unnoticed: Vec<&(usize, Invocation<'_>)> = relied
            .iter()
            .take_while(|(before, _)| *before < at)
            .filter(|(_, before)| before.command.nested == deleting.nested)
            .filter(|(at, before)| !is_noticed(piece, *at, before.command, deleting))
            .take(UNNOTICED_MAX)
            .collect();
        let Some((_, first)) = unnoticed.first() else { continue };
        if !concerns_copies(&invocation, &unnoticed) {
            continue;
        }
        let title = format!("`{}` runs even if `{}` failed", shown(deleting), shown(first.command));
        let mut finding =
            Finding::new(&UNCHECKED_FAILURE, piece.place(deleting.words_range()), title).here(what);
        for (_, before) in unnoticed.iter().take(LABELS_MAX) {
            let origin = piece.place(before.command.words_range());
            finding = finding.label(origin, "nothing looks at whether this worked");
        }
        let is_pipe = unnoticed.iter().any(|(_, before)| is_inner_pipe(before.command));
        findings.push(finding.hint(hint(is_pipe)).proof(proof(deleting, is_pipe)));
    }
}

/// The commands of which one of these is known.
fn made<'a>(
    piece: &'a Piece<'_>,
    kinds: &'a [FactKind],
) -> impl Iterator<Item = (usize, Invocation<'a>)> {
    piece.invocations().filter(|(_, made)| kinds.iter().any(|kind| made.fact(*kind).is_some()))
}

fn hint(is_pipe: bool) -> &'static str {
    if is_pipe {
        "begin the script with `set -euo pipefail`: without `pipefail` only the last command of a \
         pipeline counts"
    } else {
        "begin the script with `set -euo pipefail`, and delete only after the new copy was read back"
    }
}

fn proof(deleting: &Command, is_pipe: bool) -> String {
    let set = |is_on: bool| if is_on { "set" } else { "not set" };
    let options = deleting.options;
    if is_pipe {
        format!("errexit is {}, pipefail is {}", set(options.errexit), set(options.pipefail))
    } else {
        format!("errexit is {}", set(options.errexit))
    }
}

/// What a command removes, if nothing brings it back.
fn deletes(piece: &Piece<'_>, invocation: &Invocation<'_>) -> Option<&'static str> {
    let destroys = invocation
        .facts(FactKind::Destructive)
        .find(|fact| fact.irreversible == Some(true))
        .or_else(|| invocation.fact(FactKind::Deletes))?;
    let is_scratch = invocation.operands.first().is_some_and(|word| piece.is_scratch(word));
    // Restoring over what was there is the purpose of a recovery, and no cleaning up.
    let restores = invocation.fact(FactKind::Restores).is_some();
    (!is_scratch && !restores).then_some(destroys.what.as_deref().unwrap_or("this deletes"))
}

/// Whether files that are removed have to do with the copies: they lie beside what was read or written,
/// or their names say so. Other files are the script's own.
fn concerns_copies(invocation: &Invocation<'_>, made: &[&(usize, Invocation<'_>)]) -> bool {
    const WORDS: &[&str] =
        &["backup", "dump", "snapshot", "archive", "wal", "old", "previous", "*", "data"];
    if invocation.command.program() != Some("rm") {
        return true;
    }
    let folder = |path: &str| path.rsplit_once('/').map(|(folder, _)| folder.to_owned());
    let folders: Vec<String> = made
        .iter()
        .flat_map(|(_, made)| {
            let artefacts = made.artefacts();
            let named = artefacts.reads.into_iter().chain(artefacts.writes).map(|(text, _)| text);
            named.collect::<Vec<_>>()
        })
        .chain(made.iter().flat_map(|(_, made)| {
            made.command.files_written().map(|word| word.text.clone()).collect::<Vec<_>>()
        }))
        .filter_map(|path| folder(&path))
        .collect();
    invocation.operands.iter().any(|word| {
        let lower = word.text.to_lowercase();
        let is_beside = folder(&word.text).is_some_and(|it| folders.contains(&it));
        is_beside || WORDS.iter().any(|name| lower.contains(name))
    })
}

/// Whether a test decides that the command runs: it is in an `if`, a loop, a function, or behind
/// `test … &&`.
fn is_guarded(shell: &Shell, command: &Command) -> bool {
    use crate::shell::BlockKind::{Case, Function, If, Until, While};
    let is_in_block = shell
        .blocks_around(command)
        .any(|block| matches!(block.kind, If | Case | While | Until | Function(_)));
    let tests = shell.commands.iter().filter(|other| {
        other.position.list == command.position.list && other.position.step < command.position.step
    });
    let is_tested = tests.into_iter().any(|test| {
        matches!(test.program(), Some("[" | "[[" | "test" | "grep" | "diff" | "cmp" | "mountpoint"))
    });
    is_in_block || is_tested
}

/// Whether a failure of a command keeps a later one from running.
fn is_noticed(piece: &Piece<'_>, at: usize, command: &Command, later: &Command) -> bool {
    let shell = &piece.shell;
    let position = &command.position;
    if is_inner_pipe(command) && !command.options.pipefail {
        return looks_at_pipe(shell, command);
    }
    if position.role != Role::Body || position.is_negated {
        return true;
    }
    let is_same_list = position.list == later.position.list;
    let mut between = shell.commands.iter().filter(|other| {
        other.position.list == position.list
            && (position.step..later.position.step).contains(&other.position.step)
    });
    if is_same_list && between.all(|other| other.position.after == Some(Operator::And)) {
        return true;
    }
    let ends = || {
        shell.next_in_list(command).any(|next| {
            matches!(
                next.program(),
                Some("exit" | "return" | "die" | "fail" | "abort" | "fatal" | "false")
            )
        })
    };
    match position.after {
        Some(Operator::Or) => ends(),
        // `a && b`: that `a` failed is no error to `set -e`, but `b` may end the script.
        Some(Operator::And) => ends_with_or(shell, command),
        None => command.options.errexit || is_asked_for(shell, at),
    }
}

/// `… | command`: a command that is not the last of its pipeline.
fn is_inner_pipe(command: &Command) -> bool {
    command.position.pipe_index + 1 < command.position.pipe_length
}

/// `a && b || exit 1`
fn ends_with_or(shell: &Shell, command: &Command) -> bool {
    let list = command.position.list;
    let mut others = shell.commands.iter().filter(|other| other.position.list == list);
    others.any(|other| {
        other.position.before == Some(Operator::Or)
            && matches!(
                other.program(),
                Some("exit" | "return" | "die" | "fail" | "abort" | "false")
            )
    })
}

/// Whether one of the next commands looks at `$?`.
fn is_asked_for(shell: &Shell, at: usize) -> bool {
    let next = shell.commands.iter().skip(at + 1).take(3);
    next.flat_map(|command| {
        let values = command.assignments.iter().filter_map(|found| found.value.as_ref());
        command.words.iter().chain(values)
    })
    .any(|word| word.text.contains("$?") || word.text.contains("${?"))
}

fn looks_at_pipe(shell: &Shell, command: &Command) -> bool {
    let is_behind = |other: &&Command| other.range.start > command.range.start;
    shell
        .commands
        .iter()
        .filter(is_behind)
        .flat_map(|other| &other.words)
        .any(|word| word.text.contains("PIPESTATUS") || word.text.contains("pipestatus"))
}

pub(super) fn cannot_fail(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    if piece.kind == PieceKind::Detection {
        // People look at what it shows.
        return;
    }
    for (_, invocation) in piece.invocations() {
        let command = invocation.command;
        let Some(fact) = invocation.fact(FactKind::NeverFails) else { continue };
        if is_expected_to_fail(piece, command) {
            continue;
        }
        let is_piped_to_shell = is_piped_to_shell(&piece.shell, command);
        if piece.is_read(command) && !is_piped_to_shell {
            continue;
        }
        let is_check = is_check(piece, command);
        if piece.kind == PieceKind::Reference && !is_check {
            continue;
        }
        let what = fact.what.as_deref().unwrap_or("cannot fail");
        let title = format!("`{}` {what}", shown(command));
        let finding = Finding::new(&CANNOT_FAIL, piece.place(command.words_range()), title)
            .why(fact.why.as_deref().unwrap_or_default())
            .hint(fact.instead.as_deref().unwrap_or_default())
            .severity(if is_check { Severity::Error } else { Severity::Warning });
        findings.push(match fact.source.as_ref().or(invocation.program.source.as_ref()) {
            Some(source) => finding.proof(source),
            None => finding,
        });
    }
    if piece.kind == PieceKind::Probe {
        swallowed(piece, findings);
    } else {
        copy_swallowed(piece, findings);
    }
}

/// `archive_command = 'push %p || true'`: a copy of which nobody learns that it failed.
fn copy_swallowed(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    if piece.kind != PieceKind::Job {
        return;
    }
    for (_, invocation) in made(piece, &[FactKind::Dumps, FactKind::Copies]) {
        let command = invocation.command;
        let swallowed = piece.shell.next_in_list(command).next().filter(|next| {
            matches!(next.program(), Some("true" | ":"))
                && command.position.after == Some(Operator::Or)
        });
        let Some(swallowed) = swallowed else { continue };
        let title = format!("`{}` may fail, and nobody learns of it", shown(command));
        findings.push(
            Finding::new(&CANNOT_FAIL, piece.place(command.words_range()), title)
                .here("the copy")
                .label(piece.place(swallowed.words_range()), "this makes every failure a success")
                .why(
                    "whoever runs it takes the copy for made and deletes what it was made of; the \
                     gap is found by the restore",
                )
                .hint("leave `|| true` out: who runs it tries again, or tells somebody"),
        );
    }
}

/// A job that tells a monitor of its success, whatever became of the copy.
pub(super) fn reports_success(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    if !matches!(piece.kind, PieceKind::Job | PieceKind::Reference) {
        return;
    }
    let copies: Vec<(usize, Invocation<'_>)> =
        made(piece, &[FactKind::Dumps, FactKind::Copies]).collect();
    for report in piece.shell.commands.iter().filter(|command| is_report(command)) {
        let unnoticed = copies.iter().find(|(at, made)| {
            let command = made.command;
            command.range.start < report.range.start
                && command.nested == report.nested
                && !is_noticed(piece, *at, command, report)
        });
        let Some((_, made)) = unnoticed else { continue };
        let title =
            format!("`{}` reports success even if `{}` failed", shown(report), shown(made.command));
        findings.push(
            Finding::new(&CANNOT_FAIL, piece.place(report.words_range()), title)
                .here("this is what the monitor looks at")
                .label(piece.place(made.command.words_range()), "nothing looks at whether this worked")
                .why(
                    "the alarm watches this report, and the report comes every day; that the copies \
                     are empty is found by the restore",
                )
                .hint(hint(is_inner_pipe(made.command)))
                .proof(proof(made.command, is_inner_pipe(made.command))),
        );
    }
}

/// Whether a command tells a monitor that all is well.
fn is_report(command: &Command) -> bool {
    let line = lower(command);
    let pings = ["hc-ping.", "healthchecks", "/ping/", "cronitor", "heartbeat", "deadmanssnitch"];
    match command.program() {
        Some("aws") => line.contains("put-metric-data"),
        Some("curl" | "wget") => {
            pings.iter().any(|word| line.contains(word)) && !line.contains("/fail")
        }
        Some("zabbix_sender") => true,
        Some("echo" | "date" | "touch" | "printf") => {
            let files = command.files_written().map(|word| word.text.to_lowercase());
            let names = ["status", "success", "last-", "last_", ".ok", "stamp", ".prom"];
            files.into_iter().any(|file| names.iter().any(|name| file.contains(name)))
        }
        _ => false,
    }
}

/// `! curl …` as a whole: nothing may answer, and any answer is one. In `if ! curl …` it is a check.
fn is_expected_to_fail(piece: &Piece<'_>, command: &Command) -> bool {
    let outer = command.nested.and_then(|nested| piece.shell.commands.get(nested.outer));
    let is_negated = command.position.is_negated && command.position.role == Role::Body;
    is_negated || outer.is_some_and(|outer| is_expected_to_fail(piece, outer))
}

/// `probe || true`
fn swallowed(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    let Some(last) = piece.shell.commands.last() else { return };
    let is_swallowed = matches!(last.program(), Some("true" | ":" | "echo"))
        && last.position.before == Some(Operator::Or)
        && last.position.block.is_none();
    if is_swallowed {
        let title = format!("this probe always says yes: it ends with `|| {}`", shown(last));
        findings.push(
            Finding::new(&CANNOT_FAIL, piece.place(last.words_range()), title)
                .hint("leave it out: a probe is there to say no"),
        );
    }
}

fn is_piped_to_shell(shell: &Shell, command: &Command) -> bool {
    let mut next = shell.pipeline(command).skip(command.position.pipe_index + 1);
    next.any(|next| matches!(next.program(), Some("sh" | "bash" | "python" | "python3" | "sudo")))
}

/// Whether somebody relies on how the command ends.
fn is_check(piece: &Piece<'_>, command: &Command) -> bool {
    const WORDS: &[&str] = &["health", "ready", "live", "status", "ping", "smoke"];
    let is_asked = command.position.role != Role::Body || piece.kind == PieceKind::Probe;
    let is_health = command
        .arguments()
        .iter()
        .filter(|word| word.text.contains("://"))
        .any(|word| WORDS.iter().any(|name| word.text.to_lowercase().contains(name)));
    is_asked || is_health || super::verification::is_verification(&piece.purpose(command))
}
