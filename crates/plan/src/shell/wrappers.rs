//! Programs that only run another one: `sudo`, `timeout 5m`, `env A=b`.

use super::script::{Assignment, AssignmentKind, Command, Word, Wrapper, base_name};
use super::simple::is_name;

/// A wrapper: its options that take a value as the next word, and how many words it has before the
/// command it runs.
struct Known {
    name: &'static str,
    values: &'static [&'static str],
    operands: usize,
}

const fn known(name: &'static str, values: &'static [&'static str], operands: usize) -> Known {
    Known { name, values, operands }
}

const WRAPPERS: &[Known] = &[
    known(
        "sudo",
        &["-u", "-g", "-h", "-p", "-C", "-D", "-R", "-T", "-U", "-r", "-t", "--user", "--group"],
        0,
    ),
    known("doas", &["-u", "-C"], 0),
    known("env", &["-u", "-C", "-S", "--unset", "--chdir"], 0),
    known("timeout", &["-s", "-k", "--signal", "--kill-after"], 1),
    known("nohup", &[], 0),
    known("setsid", &[], 0),
    known("nice", &["-n", "--adjustment"], 0),
    known("ionice", &["-c", "-n", "-p", "--class", "--classdata"], 0),
    known("stdbuf", &["-i", "-o", "-e"], 0),
    known("chronic", &[], 0),
    known("time", &["-f", "-o"], 0),
    known("exec", &["-a"], 0),
    known("command", &[], 0),
    known("builtin", &[], 0),
    known("unbuffer", &[], 0),
    known("flock", &["-w", "-E", "--wait", "--timeout", "--conflict-exit-code"], 1),
    known("systemd-run", &["-p", "-u", "-E", "--unit", "--property", "--setenv"], 0),
    known("chroot", &[], 1),
    known("watch", &["-n", "-q", "--interval"], 0),
    known("gosu", &[], 1),
    known("su-exec", &[], 1),
    known("setpriv", &[], 0),
    known(
        "xargs",
        &[
            "-I",
            "-n",
            "-P",
            "-L",
            "-d",
            "-a",
            "-s",
            "-E",
            "--max-args",
            "--max-procs",
            "--delimiter",
        ],
        0,
    ),
];

/// How many wrappers may stand around each other; nobody writes more.
const WRAPPERS_MAX: usize = 8;

/// Moves the wrappers of a command from its words to [`Command::wrappers`]. A wrapper that runs
/// nothing (`sudo -i`, `env`, `command -v psql`) stays the command it is.
pub(super) fn strip(command: &mut Command) {
    for _ in 0..WRAPPERS_MAX {
        let Some(len) = wrapper_len(&command.words) else { return };
        let rest = command.words.split_off(len);
        let words = std::mem::replace(&mut command.words, rest);
        let name = words.first().map_or("", |word| base_name(&word.text)).to_owned();
        command.assignments.extend(words.iter().filter_map(given_to_program));
        command.wrappers.push(Wrapper { name, words });
    }
}

/// How many words belong to the wrapper at the beginning, if there is one that runs something.
fn wrapper_len(words: &[Word]) -> Option<usize> {
    let first = words.first().filter(|word| word.is_literal)?;
    let known = WRAPPERS.iter().find(|known| known.name == base_name(&first.text))?;
    let mut operands = known.operands;
    let mut at = 1;
    while let Some(word) = words.get(at) {
        let text = word.text.as_str();
        if text == "--" {
            at += 1;
        } else if text.len() > 1 && text.starts_with('-') {
            if asks_only(known.name, text) {
                return None;
            }
            at += if known.values.contains(&text) { 2 } else { 1 };
        } else if is_environment(text) && matches!(known.name, "env" | "sudo" | "doas") {
            at += 1;
        } else if operands > 0 {
            operands -= 1;
            at += 1;
        } else {
            break;
        }
    }
    (at < words.len()).then_some(at)
}

/// Options with which nothing is run, or a shell is that is told elsewhere what to do.
fn asks_only(name: &str, option: &str) -> bool {
    match name {
        "command" => matches!(option, "-v" | "-V"),
        "sudo" => matches!(option, "-l" | "-v" | "-e" | "-k" | "-K" | "--list" | "--edit"),
        "flock" => matches!(option, "-u" | "-c"),
        _ => matches!(option, "--help" | "--version"),
    }
}

fn is_environment(text: &str) -> bool {
    text.split_once('=').is_some_and(|(name, _)| is_name(name))
}

fn given_to_program(word: &Word) -> Option<Assignment> {
    let (name, _) = word.text.split_once('=').filter(|(name, _)| is_name(name))?;
    let (text, range) = word.part(name.len() + 1..word.text.len())?;
    Some(Assignment {
        name: name.to_owned(),
        value: Some(Word { text: text.to_owned(), range, ..word.clone() }),
        range: word.range.clone(),
        kind: AssignmentKind::ForOneCommand,
    })
}
