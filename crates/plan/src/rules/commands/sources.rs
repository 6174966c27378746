//! S0304: a value without a source. S0307: a script that is not part of the plan.

use std::cell::LazyCell;
use std::collections::BTreeSet;

use crate::check::{Finding, Severity};
use crate::products::{FactKind, Invocation};
use crate::shell::{Assignment, AssignmentKind, Command, Form, Parameter, Placeholder, Via};

use super::scripts::{Piece, PieceKind, Scripts, shown};
use super::{NO_SOURCE, SCRIPT_OUTSIDE};

/// What the shell itself gives a value.
const OF_THE_SHELL: &[&str] = &[
    "HOME",
    "USER",
    "LOGNAME",
    "PATH",
    "PWD",
    "OLDPWD",
    "SHELL",
    "HOSTNAME",
    "LANG",
    "TERM",
    "TMPDIR",
    "UID",
    "EUID",
    "PPID",
    "RANDOM",
    "SECONDS",
    "LINENO",
    "IFS",
    "EDITOR",
    "COLUMNS",
    "LINES",
    "REPLY",
    "OPTARG",
    "OPTIND",
    "PIPESTATUS",
    "FUNCNAME",
    "BASH_SOURCE",
    "BASH_VERSION",
    "BASHPID",
    "OSTYPE",
    "HOSTTYPE",
    "MACHTYPE",
    "EPOCHSECONDS",
    "EPOCHREALTIME",
    "SHLVL",
    "_",
];

/// What a run tells the scripts of its steps and probes.
const OF_A_RUN: &[&str] = &["SOTER_RUN", "SOTER_STEP", "SOTER_KIND", "SOTER_OUTPUT"];

pub(super) fn placeholders(scripts: &Scripts<'_>, piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    let found: Vec<&Placeholder> =
        piece.shell.placeholders.iter().filter(|found| !is_only_said(piece, found)).collect();
    let found: Vec<&Placeholder> =
        found.into_iter().filter(|found| !scripts.is_explained(&found.text)).collect();
    let Some((first, others)) = found.split_first() else { return };
    let names: BTreeSet<String> = others.iter().map(|found| shown_name(found)).collect();
    let first_name = shown_name(first);
    let names: Vec<String> = names.into_iter().filter(|name| *name != first_name).collect();
    let title = match names.as_slice() {
        [] => format!("`{first_name}` stands where a value belongs"),
        [one] => format!("`{first_name}` and `{one}` stand where values belong"),
        more => format!("`{first_name}` and {} more stand where values belong", more.len()),
    };
    let mut finding = Finding::new(&NO_SOURCE, piece.place(first.range.clone()), title)
        .here("nobody says where this comes from");
    for other in others {
        finding = finding.label(piece.place(other.range.clone()), "");
    }
    let is_reference = piece.kind == PieceKind::Reference;
    findings.push(
        finding
            .hint(
                "make it a parameter of the scenario with its source (`parameters:`, asked, from a \
                 file, from a step before), and write `${name}` here",
            )
            .severity(if is_reference { Severity::Warning } else { Severity::Error }),
    );
}

fn shown_name(placeholder: &Placeholder) -> String {
    crate::tree::short(&placeholder.text)
}

/// `echo "usage: run <name>"`: it is only printed.
fn is_only_said(piece: &Piece<'_>, placeholder: &Placeholder) -> bool {
    let within = |range: &std::ops::Range<usize>| {
        range.start <= placeholder.range.start && placeholder.range.end <= range.end
    };
    let document = |command: &Command| {
        command.here_document().is_some_and(|document| within(&document.body.range))
    };
    let holds = |command: &&Command| within(&command.range) || document(command);
    let inner = piece.shell.commands.iter().filter(holds).min_by_key(|command| command.range.len());
    inner.is_some_and(|command| {
        let says = match command.program() {
            Some("echo" | "printf" | "logger" | "die" | "log" | "info") => true,
            Some("cat") => document(command),
            _ => false,
        };
        says && command.files_written().next().is_none() && command.position.pipe_length <= 1
    })
}

pub(super) fn parameters(scripts: &Scripts<'_>, piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    let mut reported: BTreeSet<&str> = BTreeSet::new();
    let is_set_before = |name: &str| {
        let all = scripts.before(piece).iter().flat_map(|before| &before.shell.assignments);
        all.into_iter().any(|found| found.name == name && lasts(found))
    };
    // `source env.sh` may give any parameter its value.
    let is_sourced =
        LazyCell::new(|| reads_a_file(piece) || scripts.before(piece).iter().any(reads_a_file));
    for parameter in &piece.shell.parameters {
        let name = parameter.name.as_str();
        let is_told = matches!(piece.kind, PieceKind::Step | PieceKind::Probe);
        let is_known = OF_THE_SHELL.contains(&name)
            || (is_told && OF_A_RUN.contains(&name))
            || ["BASH", "LC_", "LD_", "COMP_"].iter().any(|start| name.starts_with(start))
            || is_asked_for(piece, name)
            || piece.given.iter().any(|given| given.eq_ignore_ascii_case(name))
            || scripts.is_explained(name)
            || piece
                .shell
                .assignments
                .iter()
                .any(|found| found.name == name && is_before(found, parameter));
        if is_known || parameter.form != Form::Plain || is_of_another_machine(piece, parameter) {
            continue;
        }
        // The scripts before are looked through last: there may be thousands.
        if !reported.insert(name) || *is_sourced || is_set_before(name) {
            continue;
        }
        let title = format!("`${{{name}}}` has no value: nothing in the plan gives it one");
        let is_severe = matches!(piece.kind, PieceKind::Step | PieceKind::Probe | PieceKind::Job);
        let why = "the shell puts nothing in its place, and the command means something else";
        findings.push(
            Finding::new(&NO_SOURCE, piece.place(parameter.range.clone()), title)
                .why(format!("{why}, or fails; whoever is there has to find the value"))
                .hint(if piece.kind == PieceKind::Job {
                    "name it under `environment:` of the copy, if its surroundings give it; `set -u` \
                     makes the job fail without it"
                } else {
                    "declare it under `parameters:` of the scenario with its source, or set it in the \
                     script"
                })
                .severity(if is_severe { Severity::Error } else { Severity::Warning }),
        );
    }
}

/// Whether the script itself looks whether the parameter has a value: `[ -z "$X" ]`, `${X:?}`.
fn is_asked_for(piece: &Piece<'_>, name: &str) -> bool {
    let has_form =
        piece.shell.parameters.iter().any(|found| found.name == name && found.form != Form::Plain);
    let mut tests = piece
        .shell
        .commands
        .iter()
        .filter(|command| matches!(command.program(), Some("[" | "[[" | "test")))
        .flat_map(|command| &command.words);
    has_form || tests.any(|word| word.parameters.iter().any(|found| found == name))
}

/// Whether an assignment holds for the commands behind it.
fn lasts(assignment: &Assignment) -> bool {
    assignment.kind != AssignmentKind::ForOneCommand
}

fn is_before(assignment: &Assignment, parameter: &Parameter) -> bool {
    lasts(assignment) && assignment.range.start <= parameter.range.start
}

/// `source file`, `. file`, `set -a`
fn reads_a_file(piece: &Piece<'_>) -> bool {
    piece.shell.commands.iter().any(|command| {
        matches!(command.program(), Some("source" | "." | "eval"))
            && !command.arguments().is_empty()
    })
}

/// `ssh host 'echo $X'`: a shell on another machine or in a container puts the value in, and what its
/// surroundings give it is not known here.
fn is_of_another_machine(piece: &Piece<'_>, parameter: &Parameter) -> bool {
    let holds = |command: &&Command| {
        command.range.start <= parameter.range.start && parameter.range.end <= command.range.end
    };
    let around: Vec<&Command> = piece.shell.commands.iter().filter(holds).collect();
    let is_far = |command: &&Command| {
        command.nested.is_some_and(|nested| matches!(nested.via, Via::Remote | Via::Container))
    };
    let by_outer = around
        .iter()
        .filter(|command| command.nested.is_none())
        .any(|outer| outer.words.iter().any(|word| word.parameters.contains(&parameter.name)));
    around.iter().any(is_far) && !by_outer
}

/// What runs the file that is its first argument.
const INTERPRETERS: &[&str] =
    &["bash", "sh", "zsh", "source", ".", "python", "python3", "ruby", "perl", "node"];

pub(super) fn outside(scripts: &Scripts<'_>, piece: &Piece<'_>, findings: &mut Vec<Finding>) {
    let mut reported: BTreeSet<String> = BTreeSet::new();
    for command in &piece.shell.commands {
        if let Some(path) = script_path(command) {
            if is_fetched(scripts, piece, command, &path) || !reported.insert(path.clone()) {
                continue;
            }
            let title = format!("`{path}` is run, and is not part of the plan");
            findings.push(
                Finding::new(&SCRIPT_OUTSIDE, piece.place(command.words_range()), title).hint(
                    "write its commands as steps; or keep it beside the plan with a hash that is checked \
                     before it runs, where it can be reached when everything else is gone",
                ),
            );
        } else if let Some(url) = piped_into_shell(piece, command) {
            let title = format!("what `{url}` serves that day is run as it comes");
            findings.push(
                Finding::new(&SCRIPT_OUTSIDE, piece.place(command.words_range()), title)
                    .why(
                        "the site may be unreachable, or its script another one than the one that was \
                         tried; if the download breaks off, half a script is run",
                    )
                    .hint(
                        "keep the script and what it installs, in the version you use, where the \
                         recovery can reach it; check its hash; run that",
                    ),
            );
        }
    }
}

/// The path of the script that a command runs, if it is somebody's own.
fn script_path(command: &Command) -> Option<String> {
    let program = command.words.first()?;
    let interpreted = command
        .program()
        .filter(|name| INTERPRETERS.contains(name) && !program.text.contains("./"))
        .and_then(|_| {
            let first = command.arguments().iter().find(|word| !word.text.starts_with('-'))?;
            let has_text = command.arguments().iter().any(|word| {
                let is_code = word.text.ends_with(['c', 'e', 's']) || word.text == "-m";
                word.text.starts_with('-') && !word.text.starts_with("--") && is_code
            });
            (!has_text).then_some(first)
        });
    let word = interpreted.unwrap_or(program);
    let path = word.text.as_str();
    let base = crate::shell::base_name(path);
    let is_file = path.contains('/') && !path.contains("://") && !path.starts_with("/dev/");
    let is_script = interpreted.is_some()
        && [".sh", ".py", ".rb", ".pl", ".js", ".env"].iter().any(|end| path.ends_with(end));
    let is_system =
        ["/bin/", "/sbin/", "/usr/", "/lib/", "/etc/", "/snap/", "/proc/", "<(", "$(", "`"]
            .iter()
            .any(|start| path.starts_with(start));
    let is_environment = interpreted.is_some()
        && (path.ends_with(".env")
            || path.ends_with("/activate")
            || path.ends_with("/os-release")
            || path.ends_with("rc"));
    let is_program = interpreted.is_none() && crate::products::program(base).is_some();
    // `$PGBIN/initdb` is a program of somewhere.
    let has_ending = base.contains('.');
    let is_installed = interpreted.is_none()
        && !has_ending
        && (path.contains("/bin/") || path.contains("/sbin/"))
        && path.starts_with('/');
    let is_somewhere = path.starts_with('$') && !has_ending || is_installed;
    ((is_file || is_script)
        && !is_system
        && !is_environment
        && !is_program
        && !is_somewhere
        && !path.contains(char::is_whitespace))
    .then(|| crate::tree::short(path))
}

/// Whether the plan makes or fetches the file before it runs it.
fn is_fetched(scripts: &Scripts<'_>, piece: &Piece<'_>, command: &Command, path: &str) -> bool {
    let name = crate::shell::base_name(path);
    let before =
        piece.shell.commands.iter().take_while(|other| other.range.start < command.range.start);
    let earlier = scripts.before(piece).iter().flat_map(|before| &before.shell.commands);
    before.chain(earlier).any(|other| {
        let writes = other.files_written().any(|word| word.text.ends_with(name));
        let fetches = Invocation::of(other).is_some_and(|invocation| {
            let writes = invocation.artefacts().writes;
            invocation.fact(FactKind::Copies).is_some()
                && (invocation.is_subcommand("clone")
                    || writes.iter().any(|(text, _)| text.ends_with(name)))
        });
        writes || fetches
    })
}

/// The address of `curl … | sh`.
fn piped_into_shell(piece: &Piece<'_>, command: &Command) -> Option<String> {
    let is_fetch = matches!(command.program(), Some("curl" | "wget"));
    let mut next = piece.shell.pipeline(command).skip(command.position.pipe_index + 1);
    let is_run = next
        .any(|next| matches!(next.program(), Some("sh" | "bash" | "zsh" | "python" | "python3")));
    let url = command.arguments().iter().find(|word| word.text.contains("://"));
    let shown = url.map_or_else(|| shown(command), |url| crate::tree::short(&url.text));
    (is_fetch && is_run).then_some(shown)
}
