//! The options of a shell that decide what a failure does.

use super::script::{Command, Word, base_name};

/// The options in force at a command.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
#[expect(clippy::struct_excessive_bools, reason = "each is an option of the shell, on or off")]
pub struct ShellOptions {
    /// `set -e`: a command that fails ends the script.
    pub errexit: bool,
    /// `set -u`: a parameter without a value ends the script.
    pub nounset: bool,
    /// `set -o pipefail`: a pipeline fails when any of its commands does.
    pub pipefail: bool,
    /// `set -n`: nothing is run.
    pub noexec: bool,
}

/// Names of shells that read a script as this crate does.
const SHELLS: &[&str] = &["sh", "bash", "dash", "ash", "ksh", "zsh", "mksh", "busybox"];

/// Whether a program is a shell.
pub(super) fn is_shell(program: &str) -> bool {
    SHELLS.contains(&program)
}

impl ShellOptions {
    /// The options of a command line that starts a shell: `["/bin/bash", "-euo", "pipefail", "-c"]`.
    pub fn of_invocation<'a>(words: impl IntoIterator<Item = &'a str>) -> Self {
        let mut options = Self::default();
        let mut words = words.into_iter().skip_while(|word| is_shell(base_name(word)));
        while let Some(word) = words.next() {
            if word.len() > 1 && word.starts_with(['-', '+']) && !word.starts_with("--") {
                options.take(word, || words.next());
            } else if !word.starts_with("--") {
                break;
            }
        }
        options
    }

    /// The options of a first line `#!/bin/bash -e`.
    pub(super) fn of_first_line(line: &str) -> Option<Self> {
        let invocation = line.strip_prefix("#!")?;
        let words = invocation.split_whitespace().filter(|word| {
            !word.ends_with("/env") && *word != "env" && *word != "-S" && !word.contains('=')
        });
        Some(Self::of_invocation(words))
    }

    /// What `set` and `trap … ERR` change.
    pub(super) fn after(mut self, command: &Command) -> Self {
        match command.program() {
            Some("set") => {
                let mut words = command.arguments().iter().map(|word| word.text.as_str());
                while let Some(word) = words.next() {
                    if word == "--" || !word.starts_with(['-', '+']) {
                        break;
                    }
                    self.take(word, || words.next());
                }
            }
            Some("trap") if is_trap_that_ends(command.arguments()) => self.errexit = true,
            _ => {}
        }
        self
    }

    /// One word of options, `-euo`; `next` gives the name that an `o` asks for.
    fn take<'a>(&mut self, word: &str, mut next: impl FnMut() -> Option<&'a str>) {
        let is_on = word.starts_with('-');
        for letter in word.chars().skip(1) {
            match letter {
                'e' => self.errexit = is_on,
                'u' => self.nounset = is_on,
                'n' => self.noexec = is_on,
                'o' => match next() {
                    Some("errexit") => self.errexit = is_on,
                    Some("nounset") => self.nounset = is_on,
                    Some("pipefail") => self.pipefail = is_on,
                    _ => {}
                },
                _ => {}
            }
        }
    }
}

/// `trap 'clean up; exit 1' ERR`
fn is_trap_that_ends(arguments: &[Word]) -> bool {
    let ends = arguments.first().is_some_and(|action| action.text.contains("exit"));
    ends && arguments.iter().skip(1).any(|signal| signal.text == "ERR")
}
