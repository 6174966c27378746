//! The programs that a script cannot do without.
//!
//! The rule it keeps: what is named here is called by the script itself, on its own machine. Programs
//! whose names are made while it runs, that it asks for before it uses them, or that another machine
//! or container runs, are not.

use std::collections::BTreeSet;

use soter_plan::shell::{self, Command, Shell, Via};

/// What a script needs and brings.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Needs {
    /// Programs, by name or absolute path.
    pub programs: BTreeSet<String>,
    /// Words of commands that install something.
    pub installs: BTreeSet<String>,
}

/// What bash does itself, or knows as a word of its language.
const OWN: &[&str] = &[
    ".",
    ":",
    "[",
    "[[",
    "alias",
    "bg",
    "bind",
    "break",
    "builtin",
    "caller",
    "cd",
    "command",
    "compgen",
    "complete",
    "compopt",
    "continue",
    "coproc",
    "declare",
    "dirs",
    "disown",
    "echo",
    "enable",
    "eval",
    "exec",
    "exit",
    "export",
    "false",
    "fc",
    "fg",
    "getopts",
    "hash",
    "help",
    "history",
    "jobs",
    "kill",
    "let",
    "local",
    "logout",
    "mapfile",
    "popd",
    "printf",
    "pushd",
    "pwd",
    "read",
    "readarray",
    "readonly",
    "return",
    "set",
    "shift",
    "shopt",
    "source",
    "suspend",
    "test",
    "time",
    "times",
    "trap",
    "true",
    "type",
    "typeset",
    "ulimit",
    "umask",
    "unalias",
    "unset",
    "wait",
    "!",
    "{",
    "}",
    "((",
    "if",
    "then",
    "else",
    "elif",
    "fi",
    "for",
    "while",
    "until",
    "do",
    "done",
    "case",
    "esac",
    "in",
    "select",
    "function",
];

/// Programs that ask whether another one is there.
const ASKERS: &[&str] = &["command", "which", "type", "hash"];

/// Reads what a script needs.
#[must_use]
pub fn needs(script: &str) -> Needs {
    let shell = shell::read(script);
    let asked: BTreeSet<&str> = shell
        .commands
        .iter()
        .filter(|command| command.program().is_some_and(|program| ASKERS.contains(&program)))
        .flat_map(|command| command.arguments().iter().map(|word| word.text.as_str()))
        .collect();
    let is_own = |name: &str| {
        OWN.contains(&name)
            || asked.contains(name)
            || shell.functions.iter().any(|function| function == name)
    };
    let mut needs = Needs::default();
    for command in shell.commands.iter().filter(|command| is_here(&shell, command)) {
        let words = command.wrappers.iter().filter_map(|wrapper| wrapper.words.first());
        let program = command.words.first();
        for word in words.chain(program).filter(|word| word.is_literal) {
            let name = word.text.as_str();
            let is_program = !name.is_empty()
                && (!name.contains('/') || name.starts_with('/'))
                && !name.contains(['=', '*', '?', '<', '>']);
            if is_program && !is_own(name) {
                needs.programs.insert(name.to_owned());
            }
        }
        let behind = command.words.iter().skip_while(|word| word.text != "install").skip(1);
        needs.installs.extend(behind.map(|word| word.text.clone()));
    }
    needs
}

/// Whether the machine of the script runs a command.
fn is_here(shell: &Shell, command: &Command) -> bool {
    let mut nested = command.nested;
    while let Some(inner) = nested {
        if matches!(inner.via, Via::Remote | Via::Container) {
            return false;
        }
        nested = shell.commands.get(inner.outer).and_then(|outer| outer.nested);
    }
    true
}
