//! S0305: what does not exist. S0310: known misuse. S0311: what cannot be read.

use crate::check::{Finding, Severity};
use crate::language::Origin;
use crate::products::{self, Fact, FactKind, FactSeverity, Invocation, SettingsContent, is_like};
use crate::shell::{AssignmentKind, Command, Word};
use crate::suggest::nearest;

use super::scripts::{Piece, PieceKind, Scripts, lower, shown};
use super::{DOES_NOT_EXIST, MISUSE, UNREADABLE};

pub(super) fn does_not_exist(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    for command in &piece.shell.commands {
        let Some(name) = command.program() else { continue };
        let Some(first) = command.words.first() else { continue };
        let is_own =
            first.text.contains('/') || piece.shell.functions.iter().any(|own| own == name);
        if is_own {
            continue;
        }
        if let Some(family) = products::invented_member(name) {
            let product = family.product.as_deref().unwrap_or_default();
            let title = format!("{product} has no program `{name}`");
            let finding = Finding::new(&DOES_NOT_EXIST, piece.place(first.range.clone()), title)
                .here("this does not exist")
                .proof(family.source.as_deref().unwrap_or_default());
            let near = nearest(name, family.programs.iter().map(String::as_str));
            findings.push(finding.hint(match near {
                Some(near) => format!("did you mean `{near}`?"),
                None => format!(
                    "look up in the manual of {product} how this is done; if the program is your own, \
                     write it into the plan with its path"
                ),
            }));
        } else if let Some(near) = misspelt(name) {
            let title = format!("there is no program `{name}`");
            findings.push(
                Finding::new(&DOES_NOT_EXIST, piece.place(first.range.clone()), title)
                    .hint(format!("did you mean `{near}`?"))
                    .severity(Severity::Warning),
            );
        }
    }
    for (_, invocation) in piece.invocations() {
        findings.extend(unknown_subcommand(piece, &invocation));
    }
}

/// The known program that a name is a slip of the finger away from.
fn misspelt(name: &str) -> Option<&'static str> {
    const LONG: usize = 6;
    if name.len() < LONG || products::program(name).is_some() {
        return None;
    }
    let names = products::programs().iter().flat_map(|program| &program.names);
    // Only two letters swapped: other small differences are names of other programs.
    let is_swap = |known: &&String| {
        let (a, b): (Vec<char>, Vec<char>) = (name.chars().collect(), known.chars().collect());
        let differ: Vec<usize> = (0..a.len()).filter(|&at| a.get(at) != b.get(at)).collect();
        a.len() == b.len()
            && matches!(differ.as_slice(), &[one, two] if two == one + 1 && a[one] == b[two] && a[two] == b[one])
    };
    names.filter(|known| known.len() >= LONG).find(is_swap).map(String::as_str)
}

fn unknown_subcommand(piece: &Piece<'_>, invocation: &Invocation<'_>) -> Option<Finding> {
    let known = &invocation.program.subcommands;
    let word = invocation.operands.first().filter(|_| !known.is_empty())?;
    let name = word.text.as_str();
    let is_plain = word.is_literal && name.chars().all(|c| c.is_ascii_lowercase() || c == '-');
    if !is_plain
        || known.iter().any(|subcommand| subcommand == name)
        || is_behind_unknown_option(invocation, word)
    {
        return None;
    }
    let near = nearest(name, known.iter().map(String::as_str));
    if invocation.program.extensible == Some(true) && near.is_none_or(|near| !is_slip(name, near)) {
        return None;
    }
    let program = invocation.command.program().unwrap_or_default();
    let title = format!("`{program}` has no subcommand `{name}`");
    let finding = Finding::new(&DOES_NOT_EXIST, piece.place(word.range.clone()), title);
    let source = invocation.program.source.as_deref().unwrap_or_default();
    Some(finding.proof(source).hint(match near {
        Some(near) => format!("did you mean `{program} {near}`?"),
        None => format!("its subcommands are {}", known.join(", ")),
    }))
}

/// Two words that differ by one letter, or by two that are swapped.
fn is_slip(a: &str, b: &str) -> bool {
    let (mut x, mut y): (Vec<char>, Vec<char>) = (a.chars().collect(), b.chars().collect());
    let far = x.len().abs_diff(y.len()) > 1 || x.len() < 4;
    x.sort_unstable();
    y.sort_unstable();
    let differ =
        x.iter().filter(|c| !y.contains(c)).count() + y.iter().filter(|c| !x.contains(c)).count();
    !far && differ <= 1
}

/// `program --option value`: whether the option takes the word is not known for every option.
fn is_behind_unknown_option(invocation: &Invocation<'_>, word: &Word) -> bool {
    let words = invocation.command.arguments();
    let at = words.iter().position(|other| other.range == word.range);
    let before = at.and_then(|at| at.checked_sub(1)).and_then(|at| words.get(at));
    before.is_some_and(|before| before.text.starts_with('-') && !before.text.contains('='))
}

pub(super) fn misuse(scripts: &Scripts<'_>, piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    for (at, invocation) in piece.invocations() {
        for fact in invocation.facts(FactKind::Misuse) {
            if is_excused(scripts, piece, at, fact) || is_done_too(piece, &invocation) {
                continue;
            }
            let command = invocation.command;
            let title =
                format!("`{}` {}", shown(command), fact.what.as_deref().unwrap_or_default());
            let finding = Finding::new(&MISUSE, piece.place(command.words_range()), title)
                .why(fact.why.as_deref().unwrap_or_default())
                .hint(fact.instead.as_deref().unwrap_or_default())
                .severity(severity(fact));
            let source = fact.source.as_ref().or(invocation.program.source.as_ref());
            findings.push(finding.proof(source.map_or("", String::as_str)));
        }
    }
    let mut reported = Vec::new();
    for command in &piece.shell.commands {
        settings_files(piece, command, findings);
        removed_root(piece, command, &mut reported, findings);
    }
}

fn severity(fact: &Fact) -> Severity {
    match fact.severity {
        Some(FactSeverity::Error) => Severity::Error,
        Some(FactSeverity::Note) => Severity::Note,
        Some(FactSeverity::Warning) | None => Severity::Warning,
    }
}

/// `x --check` before `x`: the same is done without the dry run in the same script.
fn is_done_too(piece: &Piece<'_>, tried: &Invocation<'_>) -> bool {
    let names = |of: &Invocation<'_>| -> Vec<String> {
        of.operands.iter().map(|word| word.text.clone()).collect()
    };
    let is_dry = |of: &Invocation<'_>| of.has("--check") || of.has("--dry-run");
    is_dry(tried)
        && piece.invocations().any(|(_, other)| {
            other.program.names == tried.program.names
                && names(&other) == names(tried)
                && !is_dry(&other)
        })
}

/// Whether another command of the plan or the script makes the use right.
fn is_excused(scripts: &Scripts<'_>, piece: &Piece<'_>, at: usize, fact: &'static Fact) -> bool {
    let lines = |commands: &[Command], patterns: &[String]| {
        commands.iter().any(|command| {
            let line = lower(command);
            patterns.iter().any(|pattern| is_like(&line, pattern))
        })
    };
    let commands = &piece.shell.commands;
    let (before, behind) = commands.split_at(at.min(commands.len()));
    let earlier = || {
        scripts.before(piece).iter().any(|other| lines(&other.shell.commands, &fact.unless_before))
    };
    let later = || {
        let mut others = scripts.behind(piece).iter();
        others.any(|other| lines(&other.shell.commands, &fact.unless_after))
    };
    (!fact.unless.is_empty() && scripts.any_is_like(&fact.unless))
        || (!fact.only_if.is_empty() && !scripts.any_is_like(&fact.only_if))
        || (!fact.unless_before.is_empty() && (lines(before, &fact.unless_before) || earlier()))
        || (!fact.unless_after.is_empty()
            && (lines(behind.get(1..).unwrap_or(&[]), &fact.unless_after) || later()))
}

/// `cat > recovery.signal <<END`
fn settings_files(piece: &Piece<'_>, command: &Command, findings: &mut Vec<Finding>) {
    let teed = command.arguments().iter().filter(|_| command.program() == Some("tee"));
    for word in command.files_written().chain(teed) {
        let Some(file) = products::settings_file(&word.text) else { continue };
        let has_content =
            command.here_document().is_some_and(|document| !document.body.text.trim().is_empty())
                || matches!(command.program(), Some("echo" | "printf"))
                    && !command.arguments().is_empty()
                || command.position.pipe_index > 0;
        if file.content == Some(SettingsContent::Ignored) && !has_content {
            continue;
        }
        let title = file.title.as_deref().unwrap_or_default();
        let mut finding = Finding::new(&MISUSE, piece.place(word.range.clone()), title)
            .why(file.why.as_deref().unwrap_or_default())
            .hint(file.instead.as_deref().unwrap_or_default())
            .proof(file.source.as_deref().unwrap_or_default());
        if let Some(document) = command.here_document() {
            finding = finding.label(piece.place(document.body.range.clone()), "this is not read");
        }
        findings.push(finding);
    }
}

/// `rm -rf "$DIR/"` when nothing says that `DIR` has a value.
fn removed_root(
    piece: &Piece<'_>,
    command: &Command,
    reported: &mut Vec<String>,
    findings: &mut Vec<Finding>,
) {
    let is_recursive = command.program() == Some("rm")
        && command.arguments().iter().any(|word| {
            word.text.starts_with('-')
                && !word.text.starts_with("--")
                && word.text.contains(['r', 'R'])
                || word.text == "--recursive"
        });
    if !is_recursive || command.options.nounset {
        return;
    }
    for word in command.arguments() {
        let Some(name) = leading_parameter(word) else { continue };
        let is_set = piece.shell.assignments.iter().any(|found| {
            found.name == name
                && found.kind != AssignmentKind::ForOneCommand
                && found.range.start < word.range.start
                && found.value.as_ref().is_none_or(|value| !value.text.is_empty())
        });
        let is_given = piece.given.iter().any(|given| given.eq_ignore_ascii_case(name));
        if is_set
            || is_given
            || matches!(name, "HOME" | "PWD")
            || reported.iter().any(|it| it == name)
        {
            continue;
        }
        reported.push(name.to_owned());
        let title = format!("if `{name}` has no value, `{}` begins at the root", shown(command));
        findings.push(
            Finding::new(&MISUSE, piece.place(word.range.clone()), title)
                .why("the shell puts nothing in the place of a parameter without a value, and goes on")
                .hint(format!("write `${{{name}:?}}`, or begin the script with `set -u`")),
        );
    }
}

/// The parameter of `$DIR/…` and `${DIR}/…`.
fn leading_parameter(word: &Word) -> Option<&str> {
    let name = word.parameters.first()?;
    let text = word.text.as_str();
    let rest = text.strip_prefix('$')?;
    let rest = rest
        .strip_prefix(name.as_str())
        .or_else(|| rest.strip_prefix('{')?.strip_prefix(name.as_str())?.strip_prefix('}'))?;
    rest.starts_with('/').then_some(name)
}

/// `recovery.signal` on the data directory as it is: recovery replays forward from a backup, and
/// cannot take back what the damaged files already hold.
pub(super) fn recovery_in_place(
    scripts: &Scripts<'_>,
    piece: &Piece<'_>,
    findings: &mut Vec<Finding>,
) {
    for command in &piece.shell.commands {
        let touched = command.arguments().iter().filter(|_| command.program() == Some("touch"));
        let Some(word) = command
            .files_written()
            .chain(touched)
            .find(|word| word.text.ends_with("recovery.signal"))
        else {
            continue;
        };
        let before =
            piece.shell.commands.iter().take_while(|it| it.range.start < command.range.start);
        let earlier = scripts.before(piece).iter().flat_map(|other| &other.shell.commands);
        if piece.is_restored || earlier.chain(before).any(brings_files) {
            continue;
        }
        findings.push(
            Finding::new(
                &MISUSE,
                piece.place(word.range.clone()),
                "recovery begins on the damaged data directory: no backup was restored before",
            )
            .why(
                "recovery to a moment replays WAL forward from a base backup. On the files as they are it \
                 begins behind the moment that is wanted, and the damage stays",
            )
            .hint(
                "restore a base backup into an empty data directory in a step before this one, and keep the \
                 damaged one aside",
            )
            .proof("https://www.postgresql.org/docs/current/continuous-archiving.html"),
        );
    }
}

/// Whether a command may put the files of a backup in place.
fn brings_files(command: &Command) -> bool {
    let is_known = Invocation::of(command).is_some_and(|invocation| {
        invocation.fact(FactKind::Restores).is_some()
            || matches!(
                command.program(),
                Some("pg_basebackup" | "rsync" | "pg_rewind" | "pg_combinebackup")
            )
            || matches!(command.program(), Some("cp" | "mv" | "scp"))
                && invocation.operands.len() > 1
    });
    // A script or a program that nothing is known of may do it.
    let is_unknown = command.program().is_some_and(|name| {
        ["restore", "recover", "fetch", "snapshot", "clone"].iter().any(|word| name.contains(word))
    }) || command.words.iter().any(|word| {
        let text = word.text.to_ascii_lowercase();
        ["restore", "snapshot", "basebackup", "base_backup", "clone"]
            .iter()
            .any(|part| text.contains(part))
            && !text.contains("restore_command")
    });
    is_known || is_unknown
}

/// A dump is restored, and then WAL is to be replayed on top of it.
pub(super) fn log_on_dump(scripts: &Scripts<'_>, findings: &mut Vec<Finding>) {
    let mut restored: Option<(usize, Origin, String)> = None;
    for piece in &scripts.all {
        if restored.as_ref().is_some_and(|(group, ..)| *group != piece.group) {
            restored = None;
        }
        for command in &piece.shell.commands {
            if command.program() == Some("pg_restore")
                && Invocation::of(command).is_some_and(|it| it.fact(FactKind::Restores).is_some())
            {
                restored = Some((piece.group, piece.place(command.words_range()), shown(command)));
            } else if let Some((_, dump, dump_shown)) =
                restored.as_ref().filter(|_| replays(command))
            {
                let title = format!("WAL cannot be replayed on top of `{dump_shown}`");
                findings.push(
                    Finding::new(&MISUSE, piece.place(command.words_range()), title)
                        .label(*dump, "this makes a new cluster's history, to which no old WAL fits")
                        .why(
                            "a dump is SQL: the restored database has other pages and another history than \
                             the one the WAL was written for. Everything since the dump is lost",
                        )
                        .hint(
                            "restore a physical base backup (`pg_basebackup`), with `restore_command` in the \
                             configuration and an empty `recovery.signal`",
                        )
                        .proof("https://www.postgresql.org/docs/current/continuous-archiving.html"),
                );
                restored = None;
            }
        }
    }
}

/// Whether a command works with WAL after a restore.
fn replays(command: &Command) -> bool {
    let fetches = Invocation::of(command)
        .is_some_and(|invocation| invocation.fact(FactKind::Copies).is_some());
    let names_wal = command.words.iter().any(|word| {
        let text = word.text.to_ascii_lowercase();
        text.contains("/wal/")
            || text.contains("pg_wal")
            || text.ends_with("/wal")
            || text.contains("wal_archive")
    });
    let is_replay =
        command.program().is_some_and(|name| name.contains("wal") && name.contains("replay"));
    is_replay || (fetches && names_wal)
}

pub(super) fn unreadable(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    let Some((first, others)) = piece.shell.unread.split_first() else { return };
    let more = match others.len() {
        0 => String::new(),
        count => format!(" (and {count} more)"),
    };
    let finding =
        Finding::new(&UNREADABLE, piece.place(first.range.clone()), format!("{}{more}", first.why))
            .hint("try it with `bash -n`; if it is no shell, say what it is");
    let is_loose = piece.shell.is_console || piece.kind == PieceKind::Reference;
    findings.push(if is_loose { finding.severity(Severity::Note) } else { finding });
}
