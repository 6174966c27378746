//! How a command ends: one exit code for each kind of ending, words for people, JSON for machines.

use std::error::Error;
use std::fmt;
use std::io::{self, ErrorKind};

/// How a command ended; the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ending {
    /// The answer is no: findings, or not there.
    No = 1,
    /// The command line, the plan, or what it points at must be changed first.
    Input = 2,
    /// It was tried and failed.
    Failed = 3,
    /// Another agent or engine has taken over; this one must not be restarted.
    Superseded = 4,
    /// A run that is not over was left; it is resumed when somebody wants.
    Unfinished = 5,
}

/// `restore_command` understands codes up to 125 as "no more WAL". Whatever is not exactly that is
/// shifted above it, so that the server stops instead of promoting.
const FETCH_OFFSET: u8 = 200;

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The kind of ending.
    pub(crate) ending: Ending,
    /// What happened, in a sentence without a full stop.
    pub(crate) what: String,
    /// What to do next.
    pub(crate) hint: Option<String>,
    /// What it came from, outermost first.
    pub(crate) causes: Vec<String>,
    /// Already rendered for a terminal: printed instead of the rest.
    pub(crate) rendered: Option<String>,
}

/// Advice for what can happen anywhere.
fn hint_of(error: &(dyn Error + 'static)) -> Option<String> {
    let error = error.downcast_ref::<io::Error>()?;
    let is_full = matches!(error.kind(), ErrorKind::StorageFull | ErrorKind::QuotaExceeded);
    is_full.then(|| "make room on that disk and run it again; nothing is lost by it".to_owned())
}

impl Failure {
    /// A failure of this kind.
    pub(crate) fn new(ending: Ending, what: impl Into<String>) -> Self {
        Self { ending, what: what.into(), hint: None, causes: Vec::new(), rendered: None }
    }

    /// The error with its chain of causes.
    pub(crate) fn of(ending: Ending, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(ending, error.to_string());
        failure.hint = hint_of(error);
        let mut cause = error.source();
        while let Some(error) = cause {
            failure.causes.push(error.to_string());
            failure.hint = failure.hint.or_else(|| hint_of(error));
            cause = error.source();
        }
        failure
    }

    /// With advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what was being done in front of it.
    pub(crate) fn during(mut self, doing: &str) -> Self {
        let what = std::mem::replace(&mut self.what, format!("cannot {doing}"));
        self.causes.insert(0, what);
        self
    }

    /// All of it in one line, for a log.
    pub(crate) fn in_one_line(&self) -> String {
        let mut line = self.what.clone();
        for part in self.causes.iter().chain(&self.hint) {
            line.push_str(": ");
            line.push_str(part);
        }
        line
    }

    /// The process's exit code. `fetching` is set for `soter wal fetch`.
    pub(crate) fn exit_code(&self, fetching: bool) -> u8 {
        match self.ending {
            Ending::No => 1,
            other if fetching => FETCH_OFFSET + other as u8,
            other => other as u8,
        }
    }
}

/// The code of a command line that cannot be understood.
pub(crate) fn usage_code(fetching: bool) -> u8 {
    Failure::new(Ending::Input, "").exit_code(fetching)
}

/// The code after a panic: never one that means anything else.
pub(crate) fn panic_code(fetching: bool) -> u8 {
    if fetching { FETCH_OFFSET + 10 } else { Ending::Failed as u8 }
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if let Some(rendered) = &self.rendered {
            return f.write_str(rendered);
        }
        write!(f, "error: {}", self.what)?;
        for cause in &self.causes {
            write!(f, "\n  because: {cause}")?;
        }
        if let Some(hint) = &self.hint {
            write!(f, "\n  hint: {hint}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fetch_says_one_only_when_the_file_is_not_there() {
        let code = |ending| Failure::new(ending, "").exit_code(true);
        assert_eq!(code(Ending::No), 1);
        for ending in [Ending::Input, Ending::Failed, Ending::Superseded] {
            assert!(code(ending) > 128, "{ending:?}");
        }
        assert!(usage_code(true) > 128);
        assert!(panic_code(true) > 128);
    }

    #[test]
    fn other_commands_use_the_plain_codes() {
        let code = |ending| Failure::new(ending, "").exit_code(false);
        let codes = [Ending::No, Ending::Input, Ending::Failed, Ending::Superseded].map(code);
        assert_eq!(codes, [1, 2, 3, 4]);
        assert_eq!(panic_code(false), 3);
    }

    #[test]
    fn a_failure_reads_from_the_outside_in() {
        let failure = Failure::new(Ending::Failed, "no such directory")
            .during("open the vault")
            .hint("is it mounted?");
        assert_eq!(
            failure.to_string(),
            "error: cannot open the vault\n  because: no such directory\n  hint: is it mounted?"
        );
    }
}
