//! How a command ends: one exit code for each kind of ending, words, and what to do next.

use std::error::Error;
use std::fmt;

/// How a command ended; the process's exit code.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum Ending {
    /// The answer is no: something does not work.
    No = 1,
    /// The command line or the machine must be changed first.
    Input = 2,
    /// It was tried and failed.
    Failed = 3,
    /// The node does not answer; what `ssh` ends with.
    Unreachable = 255,
}

/// Why a command did not do what it was asked to.
#[derive(Debug)]
pub(crate) struct Failure {
    /// The kind of ending.
    pub(crate) ending: Ending,
    /// What happened, in a sentence without a full stop.
    what: String,
    /// What it came from, outermost first.
    causes: Vec<String>,
    /// What to do next.
    hint: Option<String>,
}

impl Failure {
    /// A failure of this kind.
    pub(crate) fn new(ending: Ending, what: impl Into<String>) -> Self {
        Self { ending, what: what.into(), causes: Vec::new(), hint: None }
    }

    /// The error with its chain of causes.
    pub(crate) fn of(ending: Ending, error: &(dyn Error + 'static)) -> Self {
        let mut failure = Self::new(ending, error.to_string());
        let mut cause = error.source();
        while let Some(error) = cause {
            failure.causes.push(error.to_string());
            cause = error.source();
        }
        failure
    }

    /// With advice.
    pub(crate) fn hint(mut self, hint: impl Into<String>) -> Self {
        self.hint = Some(hint.into());
        self
    }

    /// With what it came from.
    pub(crate) fn because(mut self, cause: impl Into<String>) -> Self {
        self.causes.push(cause.into());
        self
    }

    /// All of it in one line, for a list.
    pub(crate) fn in_one_line(&self) -> String {
        let rest = self.causes.iter().chain(&self.hint);
        rest.fold(self.what.clone(), |line, part| format!("{line}; {part}"))
    }

    /// With what was being done in front of it.
    pub(crate) fn during(mut self, doing: &str) -> Self {
        let what = std::mem::replace(&mut self.what, format!("cannot {doing}"));
        self.causes.insert(0, what);
        self
    }
}

/// An error while something was being done.
pub(crate) fn failed<E: Error + 'static>(doing: &str) -> impl FnOnce(E) -> Failure + use<E> {
    let doing = doing.to_owned();
    move |error| Failure::of(Ending::Failed, &error).during(&doing)
}

impl fmt::Display for Failure {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "error: {}", self.what)?;
        for cause in &self.causes {
            write!(f, "\n  because: {cause}")?;
        }
        match &self.hint {
            Some(hint) => write!(f, "\n  hint: {hint}"),
            None => Ok(()),
        }
    }
}
