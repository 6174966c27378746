//! What an engine asks of the world outside, and what it hears of it.
//!
//! The rule it keeps: nothing here waits but [`Effects::next`]. What was begun goes on by itself,
//! outlives the engine, and is heard of as a [`Completion`]. An engine that comes later asks by
//! [`Effects::adopt`] what has become of an attempt. Implementations decide nothing: whether, when
//! and how often something is done is decided before they are asked.

use std::collections::BTreeMap;
use std::fmt;
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};

use crate::ids::{RunId, StepId};
use crate::procedure::{Parameters, Probe, Step};

/// The world outside of the engine. There is a real one and a simulated one.
///
/// An engine calls from one thread. An implementation reports each end exactly once to the engine
/// that began or adopted it.
pub trait Effects {
    /// Asks a question once. [`Completion::Answered`] follows, with [`Answer::Unknown`] if it could
    /// not be asked or took too long; an implementation ends by itself what takes longer than
    /// [`Asking::limit`].
    fn probe(&self, asking: Asking);

    /// Begins an attempt. [`Completion::Begun`] follows when it is known as what it runs, and
    /// [`Completion::Ended`] when it is over; also when it could not be begun, as
    /// [`Outcome::Failed`]. The attempt's record is durable before this is called.
    fn start(&self, attempt: Attempt);

    /// What has become of an attempt that an earlier engine on this machine recorded. If it lives,
    /// [`Completion::Ended`] follows as if it had been started here. Of an attempt that has ended
    /// the same is answered however often it is asked: its end is kept until the run is closed.
    fn adopt(&self, attempt: Attempt) -> Adopted;

    /// Asks an attempt to end: its process group gets TERM, and KILL ten seconds later.
    /// [`Completion::Ended`] follows as for any other end. Nothing happens if it has ended.
    fn cancel(&self, step: &StepId, attempt: u32);

    /// The next thing that happened. Waits for it at most so long.
    fn next(&self, wait: Duration) -> Option<Completion>;
}

/// Whether it is the real thing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "UPPERCASE")]
pub enum Kind {
    /// The plan's own places.
    Real,
    /// Another target, with a fence around it.
    Drill,
}

impl fmt::Display for Kind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Real => "REAL",
            Self::Drill => "DRILL",
        })
    }
}

/// One try of a step.
#[derive(Debug, Clone)]
pub struct Attempt {
    /// The run.
    pub run: RunId,
    /// Whether it is the real thing.
    pub kind: Kind,
    /// The step, as the plan or an amendment says it. Its texts are not filled in: a script gets its
    /// parameters as environment variables, other texts pass [`Parameters::fill`].
    pub step: Arc<Step>,
    /// Which try it is, from 1. The child's directory is `children/STEP.NUMBER/`.
    pub number: u32,
    /// The values of parameters that are known.
    pub parameters: Arc<Parameters>,
}

/// A question that is asked once.
#[derive(Debug, Clone)]
pub struct Asking {
    /// The run.
    pub run: RunId,
    /// Whether it is the real thing.
    pub kind: Kind,
    /// What it is about.
    pub about: Asked,
    /// Comes back with the answer: the same question may be asked again before the first is heard.
    pub token: u64,
    /// The question. Never one for a person: the engine has those answered.
    pub probe: Arc<Probe>,
    /// The machine it is asked on, if that is not the one of the run; may name parameters.
    pub on: Option<String>,
    /// The values of parameters that are known.
    pub parameters: Arc<Parameters>,
    /// It is ended when it takes longer, and its answer is unknown.
    pub limit: Duration,
}

/// What a question is about.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Asked {
    /// Whether a phase is begun, by its place.
    Phase(usize),
    /// Something about a step.
    Step {
        /// The step.
        step: StepId,
        /// Which of its questions.
        which: Which,
    },
}

/// A question of a step.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Which {
    /// Whether it is begun.
    OnlyIf,
    /// Whether what it does was done.
    AlreadyDone,
    /// Whether it is done, the one of that place.
    Verify(usize),
}

/// An answer.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Answer {
    /// Yes.
    Yes,
    /// No.
    No,
    /// Nobody can tell.
    Unknown,
}

/// An answer with what it rests on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Reply {
    /// The answer.
    pub answer: Answer,
    /// What was seen: the end of the output, a status. At most 2 KiB of it are kept.
    pub evidence: String,
}

/// What has become of an attempt of an earlier engine.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Adopted {
    /// It goes on.
    Live,
    /// It has ended.
    Ended(Outcome),
    /// It was certainly not begun: no trace of it is there, and none can appear.
    NeverBegan,
    /// It does not live any more, and left no word how it ended.
    Gone,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// It did what it should, by its own word.
    Done {
        /// The values it gave, by the name of the parameter.
        outputs: BTreeMap<String, String>,
        /// The evidence that was kept.
        captured: Vec<Captured>,
    },
    /// It did not.
    Failed(String),
    /// Nobody knows, such as after a connection that broke.
    Unknown(String),
}

/// A file kept as evidence.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Captured {
    /// Where it came from.
    pub source: String,
    /// Its name in the run's `captures/`.
    pub path: String,
    /// How long it is.
    pub bytes: u64,
    /// Its SHA-256, in hexadecimal.
    pub sha256: String,
}

/// A process that does an attempt.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Child {
    /// Its number.
    pub pid: u32,
    /// When it was started, in the kernel's ticks since boot: numbers are given again.
    pub start_ticks: u64,
}

/// Something that happened outside.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Completion {
    /// A question was answered.
    Answered {
        /// What it was about.
        about: Asked,
        /// Which asking of it.
        token: u64,
        /// The answer.
        reply: Reply,
    },
    /// An attempt is under way.
    Begun {
        /// The step.
        step: StepId,
        /// The try.
        attempt: u32,
        /// What does it.
        child: Child,
    },
    /// An attempt is over.
    Ended {
        /// The step.
        step: StepId,
        /// The try.
        attempt: u32,
        /// How.
        outcome: Outcome,
    },
}
