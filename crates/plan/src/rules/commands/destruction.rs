//! S0306: something is destroyed and nobody was asked.

use crate::check::{Finding, Severity};
use crate::language::Origin;
use crate::products::{FactKind, Invocation};
use crate::shell::{BlockKind, Command, Shell};

use super::NO_APPROVAL;
use super::scripts::{Piece, PieceKind, Scripts, shown};

pub(super) fn without_approval(
    scripts: &Scripts<'_>,
    piece: &Piece<'_>,
    findings: &mut Vec<Finding>,
) {
    // A job has nobody to ask; that it deletes only after success is S0301.
    if piece.is_approved || matches!(piece.kind, PieceKind::Job | PieceKind::Detection) {
        return;
    }
    for (_, invocation) in piece.invocations() {
        let command = invocation.command;
        let Some(fact) = invocation.fact(FactKind::Destructive) else { continue };
        if is_decided(&piece.shell, command) || is_only_scratch(piece, &invocation) {
            continue;
        }
        let what = fact.what.as_deref().unwrap_or("destroys something");
        let title = format!("`{}` {what}", shown(command));
        // A relative path is some directory that the script works in.
        let is_relative = command.program() == Some("rm")
            && invocation.operands.iter().all(|word| !word.text.starts_with(['/', '$', '~']));
        let is_final = fact.irreversible == Some(true) && !is_relative;
        let is_step = piece.kind == PieceKind::Step;
        let mut finding = Finding::new(&NO_APPROVAL, piece.place(command.words_range()), title)
            .here("nobody is asked, and nothing is looked at before")
            .hint(match &fact.instead {
                Some(instead) => instead.clone(),
                None => "put an `approve:` step before it, or a probe in `only_if:` that shows it may be \
                         done"
                    .to_owned(),
            })
            .severity(if is_final && is_step { Severity::Error } else { Severity::Warning });
        if let Some(why) = &fact.why {
            finding = finding.why(why);
        }
        let is_data = command.program() == Some("rm") && is_final && is_step;
        if let Some(fetched) = is_data.then(|| fetched_behind(scripts, piece, command)).flatten() {
            finding = finding.label(fetched, "what takes its place is looked for only here").why(
                "if the backup cannot be read, or is not there, the last copy of the data is gone: \
                      damaged files can often be saved in part",
            );
        }
        findings.push(match fact.source.as_ref().or(invocation.program.source.as_ref()) {
            Some(source) => finding.proof(source),
            None => finding,
        });
    }
}

/// Where a backup is fetched or put in place, if that is only behind the command, and not before.
fn fetched_behind(scripts: &Scripts<'_>, piece: &Piece<'_>, command: &Command) -> Option<Origin> {
    let brings = |other: &Command| {
        Invocation::of(other).is_some_and(|it| {
            [FactKind::Restores, FactKind::Copies].iter().any(|kind| it.fact(*kind).is_some())
        })
    };
    let mut before = scripts.before(piece).iter().flat_map(|other| &other.shell.commands);
    let (own_before, own_behind): (Vec<&Command>, Vec<&Command>) =
        piece.shell.commands.iter().partition(|other| other.range.start < command.range.start);
    if piece.is_restored || before.any(brings) || own_before.into_iter().any(brings) {
        return None;
    }
    let own = own_behind.into_iter().find(|other| brings(other));
    own.map(|other| piece.place(other.words_range())).or_else(|| {
        scripts.behind(piece).iter().find_map(|other| {
            let found = other.shell.commands.iter().find(|command| brings(command))?;
            Some(other.place(found.words_range()))
        })
    })
}

/// Whether a test or a person in the script itself decides that the command runs.
fn is_decided(shell: &Shell, command: &Command) -> bool {
    let is_in_choice = shell
        .blocks_around(command)
        .any(|block| matches!(block.kind, BlockKind::If | BlockKind::Case));
    let is_behind_test = shell.commands.iter().any(|other| {
        other.position.list == command.position.list
            && other.position.step < command.position.step
            && matches!(
                other.program(),
                Some("[" | "[[" | "test" | "grep" | "read" | "diff" | "mountpoint")
            )
    });
    let is_asked = shell
        .commands
        .iter()
        .take_while(|other| other.range.start < command.range.start)
        .any(|other| other.program() == Some("read"));
    is_in_choice || is_behind_test || is_asked
}

/// `rm -rf /tmp/restore`
fn is_only_scratch(piece: &Piece<'_>, invocation: &Invocation<'_>) -> bool {
    // Behind `--` stand files too.
    let files = || invocation.operands.iter().chain(&invocation.rest);
    files().next().is_some()
        && invocation.command.program() == Some("rm")
        && files().all(|word| piece.is_scratch(word) || word.text == "{}")
}
