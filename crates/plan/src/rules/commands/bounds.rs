//! S0303: a command without an end. S0308: a command that waits for somebody to type.

use crate::check::{Finding, Severity};
use crate::products::FactKind;
use crate::shell::{BlockKind, Command, Shell, base_name};

use super::scripts::{Piece, PieceKind, Scripts, shown};
use super::{ENDLESS, INTERACTIVE};

pub(super) fn endless(scripts: &Scripts<'_>, piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    if piece.is_bounded {
        return;
    }
    for (at, invocation) in piece.invocations() {
        let command = invocation.command;
        let Some(fact) = invocation.fact(FactKind::Endless) else { continue };
        if is_bounded(piece, command) {
            continue;
        }
        let title =
            format!("`{}` {}", shown(command), fact.what.as_deref().unwrap_or("never ends"));
        findings.push(report(
            scripts,
            piece,
            at,
            title,
            fact.why.as_deref(),
            fact.instead.as_deref(),
        ));
    }
    for (at, command) in piece.shell.commands.iter().enumerate() {
        if command.is_wrapped_in("watch") && !is_bounded(piece, command) {
            let title = format!("`watch {}` repeats until somebody stops it", shown(command));
            let hint = "wait for what is watched for, and give up after some time: `timeout 5m sh -c \
                        'until …; do sleep 5; done'`";
            findings.push(report(scripts, piece, at, title, None, Some(hint)));
        }
    }
    loops(piece, findings);
}

fn report(
    scripts: &Scripts<'_>,
    piece: &Piece<'_>,
    at: usize,
    title: String,
    why: Option<&str>,
    hint: Option<&str>,
) -> Finding {
    let Some(command) = piece.shell.commands.get(at) else {
        return Finding::new(&ENDLESS, piece.place(0..0), title);
    };
    let mut finding = Finding::new(&ENDLESS, piece.place(command.words_range()), title);
    if let Some(why) = why {
        finding = finding.why(why);
    }
    // The next step is not reached either.
    let next_step = || {
        let mut steps = scripts.behind(piece).iter().filter(|it| it.kind == PieceKind::Step);
        steps.find_map(|it| Some(it.place(it.shell.commands.first()?.words_range())))
    };
    let next = follows(piece, at, command).map(|next| piece.place(next.words_range()));
    let next = next.or_else(|| next_step().filter(|_| piece.kind == PieceKind::Step));
    let is_last = next.is_none();
    if let Some(next) = next {
        finding = finding.label(next, "this is never reached");
    }
    finding.hint(hint.unwrap_or("put a limit on it, `timeout 5m …`")).severity(if is_last {
        Severity::Warning
    } else {
        Severity::Error
    })
}

/// The first command behind this one that runs where it runs, and is not part of the same list.
fn follows<'a>(piece: &'a Piece<'_>, at: usize, command: &'a Command) -> Option<&'a Command> {
    let list = command.position.list;
    let mut behind = piece.beside(command).filter(|(other, _)| *other > at);
    behind
        .find(|(_, other)| other.position.list != list && !other.words.is_empty())
        .map(|(_, next)| next)
}

/// `timeout 5m …`, `… &`, `… | grep -q`, a block in the background.
fn is_bounded(piece: &Piece<'_>, command: &Command) -> bool {
    const ENDS: &[&str] = &["head", "sed", "awk"];
    let is_timed =
        |command: &Command| command.is_wrapped_in("timeout") || command.is_wrapped_in("nohup");
    let outer = command.nested.and_then(|nested| piece.shell.commands.get(nested.outer));
    let mut readers = piece.shell.pipeline(command).skip(command.position.pipe_index + 1);
    let is_cut = readers.any(|reader| match reader.program() {
        Some("grep" | "rg") => reader.arguments().iter().any(|word| {
            word.text.starts_with("-m")
                || word.text == "-q"
                || word.text.starts_with("--max-count")
                || (word.text.starts_with('-')
                    && !word.text.starts_with("--")
                    && word.text.contains('q'))
        }),
        Some(program) => ENDS.contains(&program),
        None => false,
    });
    is_timed(command)
        || is_cut
        || piece.shell.positions(command).any(|position| position.is_background)
        || is_in_read_substitution(&piece.shell, command)
        || outer.is_some_and(|outer| is_bounded(piece, outer))
}

/// `grep -m1 … <(tail -f …)`
fn is_in_read_substitution(shell: &Shell, command: &Command) -> bool {
    shell.blocks_around(command).any(|block| block.kind == BlockKind::ProcessSubstitution)
}

/// `until …; do sleep 5; done` without anything that counts or ends it.
fn loops(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    for (index, block) in piece.shell.blocks.iter().enumerate() {
        if !matches!(block.kind, BlockKind::While | BlockKind::Until) {
            continue;
        }
        let inside: Vec<&Command> = piece
            .shell
            .commands
            .iter()
            .filter(|command| {
                piece.shell.positions(command).any(|position| position.block == Some(index))
            })
            .collect();
        let sleeps = inside.iter().any(|command| command.program() == Some("sleep"));
        if !sleeps
            || inside.iter().any(|command| ends_loop(command))
            || is_block_bounded(piece, block.position.block)
        {
            continue;
        }
        let Some(condition) = inside.first() else { continue };
        let nested = condition.nested.and_then(|nested| piece.shell.commands.get(nested.outer));
        if nested.is_some_and(|outer| is_bounded(piece, outer)) || block.position.is_background {
            continue;
        }
        let word = if block.kind == BlockKind::While { "while" } else { "until" };
        let not = if condition.position.is_negated { "! " } else { "" };
        let title = format!("`{word} {not}{}` waits for ever", shown(condition));
        let start = block.range.start..block.range.start + word.len();
        findings.push(
            Finding::new(&ENDLESS, piece.place(start), title)
                .why("if what it waits for never comes, nobody is told, and nothing else is tried")
                .hint("give up after some time: count in the loop and `exit 1`, or `timeout 5m bash -c '…'`")
                .severity(Severity::Warning),
        );
    }
}

/// Something that counts, compares or leaves: the loop may well end.
fn ends_loop(command: &Command) -> bool {
    let leaves = matches!(
        command.program(),
        Some("break" | "exit" | "return" | "read" | "let" | "[" | "test" | "[[" | "expr" | "kill")
    );
    let counts =
        command.words.is_empty() || command.words.iter().any(|word| word.text.contains("$(("));
    leaves || counts || command.is_wrapped_in("timeout")
}

fn is_block_bounded(piece: &Piece<'_>, block: Option<usize>) -> bool {
    let mut outer = block;
    while let Some(found) = outer.and_then(|at| piece.shell.blocks.get(at)) {
        if found.position.is_background {
            return true;
        }
        outer = found.position.block;
    }
    false
}

pub(super) fn interactive(piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    let mut known: Vec<usize> = Vec::new();
    for (at, invocation) in piece.invocations() {
        if let Some(fact) = invocation.fact(FactKind::Interactive) {
            let is_new = !known.iter().any(|outer| is_inside(&piece.shell, at, *outer));
            let what = fact.what.as_deref().unwrap_or("waits for somebody to type");
            if is_new && waits_for_person(piece, at, invocation.command, what, findings) {
                known.push(at);
            }
        }
    }
    for (at, command) in piece.shell.commands.iter().enumerate() {
        let is_bare_shell =
            matches!(command.program(), Some("bash" | "sh" | "zsh" | "ash" | "dash" | "ksh"))
                && command
                    .arguments()
                    .iter()
                    .all(|word| matches!(word.text.as_str(), "-i" | "-l" | "--login"));
        if is_bare_shell && command.redirections.is_empty() && !is_installer(command) {
            waits_for_person(
                piece,
                at,
                command,
                "opens a shell and waits for somebody to type",
                findings,
            );
        }
    }
}

fn is_inside(shell: &Shell, at: usize, outer: usize) -> bool {
    let nested = shell.commands.get(at).and_then(|command| command.nested);
    nested.is_some_and(|nested| nested.outer == outer)
}

/// `exec bash` at the end of an image's start is what it should be.
fn is_installer(command: &Command) -> bool {
    command.wrappers.iter().any(|wrapper| base_name(&wrapper.name) == "exec")
}

/// Reports it if something follows, or if nobody is there to type.
fn waits_for_person(
    piece: &Piece<'_>,
    at: usize,
    command: &Command,
    what: &str,
    findings: &mut Vec<Finding>,
) -> bool {
    if piece.has_input(command) || is_bounded(piece, command) {
        return false;
    }
    // Inside of `kubectl exec … -- psql`, what follows is behind the outermost command.
    let mut outermost = (at, command);
    while let Some((index, outer)) = outermost
        .1
        .nested
        .and_then(|nested| Some((nested.outer, piece.shell.commands.get(nested.outer)?)))
    {
        outermost = (index, outer);
    }
    let next = follows(piece, outermost.0, outermost.1);
    let nobody_there = matches!(piece.kind, PieceKind::Job | PieceKind::Probe);
    if next.is_none() && !nobody_there {
        return false;
    }
    let title = format!("`{}` {what}", shown(command));
    let mut finding = Finding::new(&INTERACTIVE, piece.place(command.words_range()), title);
    if let Some(next) = next {
        let label = "this is not run where it was meant to be";
        finding = finding.label(piece.place(next.words_range()), label);
    }
    findings.push(finding.hint(format!(
        "give it what to do: `{} '…'`, or a here-document; or make it a step of its own that a person \
         does",
        shown(command)
    )));
    true
}
