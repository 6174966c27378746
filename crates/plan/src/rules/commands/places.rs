//! S0312: a file is read where it is not.
//!
//! A command writes a file on the machine that runs the step; another one, in a container or on
//! another machine, reads a file of that name, and nothing brings it there.

use crate::check::Finding;
use crate::products::Invocation;
use crate::shell::{Command, Shell, Via, base_name};

use super::READ_ELSEWHERE;
use super::scripts::{Piece, Scripts, shown};

pub(super) fn read_elsewhere(
    scripts: &Scripts<'_>,
    piece: &Piece<'_>,
    findings: &mut Vec<Finding>,
) {
    for command in &piece.shell.commands {
        let Some(via) = command.nested.map(|nested| nested.via) else { continue };
        if !matches!(via, Via::Container | Via::Remote) || takes_input(&piece.shell, command) {
            continue;
        }
        let Some(invocation) = Invocation::of(command) else { continue };
        for (path, word) in invocation.artefacts().reads {
            let Some((maker_piece, maker)) = fetched_here(scripts, piece, command, &path) else {
                continue;
            };
            if is_brought(scripts, piece, &path) {
                continue;
            }
            let title = format!("`{}` reads `{path}`, which is not there", shown(command));
            let machine = if via == Via::Container { "the container" } else { "the other machine" };
            findings.push(
                Finding::new(&READ_ELSEWHERE, piece.place(word.range.clone()), title)
                    .here(format!("a path in {machine}"))
                    .label(
                        maker_piece.place(maker.words_range()),
                        "this put the file on the machine that runs the step",
                    )
                    .hint(if via == Via::Container {
                        "bring it there (`kubectl cp`, `docker cp`), fetch it inside, or give it as input: \
                         `kubectl exec -i … < FILE`"
                    } else {
                        "bring it there (`scp`, `rsync`), or fetch it on that machine"
                    }),
            );
        }
    }
}

/// The command before this one that put a file of that name on the machine of the run.
fn fetched_here<'a, 'p>(
    scripts: &'a Scripts<'p>,
    piece: &'a Piece<'p>,
    command: &Command,
    path: &str,
) -> Option<(&'a Piece<'p>, &'a Command)> {
    if !path.starts_with('/') {
        return None;
    }
    let here = piece.shell.commands.iter().take_while(|it| it.range.start < command.range.start);
    let here = here.map(|it| (piece, it));
    let before =
        scripts.before(piece).iter().flat_map(|it| it.shell.commands.iter().map(move |c| (it, c)));
    before
        .chain(here)
        .filter(|(_, maker)| maker.nested.is_none())
        .filter(|(_, maker)| writes(maker, path))
        .last()
}

/// Whether a command writes this file: by its name, or as one of the name into its directory.
fn writes(command: &Command, path: &str) -> bool {
    let name = base_name(path);
    let folder = path.strip_suffix(name).unwrap_or("");
    if command.files_written().any(|word| word.text == path) {
        return true;
    }
    let Some(invocation) = Invocation::of(command) else { return false };
    // What is copied to another machine is not here: `host:/path`.
    let artefacts = invocation.artefacts();
    let reads_name = artefacts.reads.iter().any(|(text, _)| base_name(text) == name);
    artefacts.writes.iter().any(|(text, _)| {
        text == path || (reads_name && (text == folder || format!("{text}/") == folder))
    })
}

/// Whether any command of the scenario copies a file of that name or its directory to somewhere else.
fn is_brought(scripts: &Scripts<'_>, piece: &Piece<'_>, path: &str) -> bool {
    let name = base_name(path);
    let others = scripts.before(piece).iter().chain(scripts.behind(piece));
    let all = others.chain(std::iter::once(piece));
    all.flat_map(|other| &other.shell.commands).any(|command| {
        let line = command.words.iter().any(|word| word.text.contains(name));
        let is_copy = match command.program() {
            Some("kubectl" | "oc" | "docker" | "podman") => {
                command.arguments().iter().any(|word| word.text == "cp")
            }
            Some("scp" | "rsync" | "sftp") => true,
            // Fetched inside as well.
            Some(_) => command.nested.is_some() && writes(command, path),
            None => false,
        };
        // `kubectl cp /tmp/ pod:/tmp/` brings the whole directory.
        let is_folder = command.words.iter().any(|word| {
            let text = word.text.trim_end_matches('/');
            text.len() > 1 && path.starts_with(text)
        });
        is_copy && (line || is_folder || command.nested.is_some())
    })
}

/// `kubectl exec -i … < file`, `… - < file`
fn takes_input(shell: &Shell, command: &Command) -> bool {
    let outer = command.nested.and_then(|nested| shell.commands.get(nested.outer));
    outer.is_some_and(|outer| !outer.redirections.is_empty() || outer.position.pipe_index > 0)
}
