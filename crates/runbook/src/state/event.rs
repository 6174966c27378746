//! What can happen in a run: the types and bodies of its records.

use std::collections::BTreeMap;
use std::fmt;

use jiff::Timestamp;
use serde::{Deserialize, Serialize};
use serde_json::Value as Json;

use super::time::Moment;
use crate::approval::Signed;
use crate::driver::effects::{Answer, Asked, Captured, Child, Kind};
use crate::ids::{RunId, StepId};
use crate::journal::{Draft, Record, Stamp};
use crate::procedure::{Procedure, Step};

/// Who an engine's records are by.
pub const ENGINE: &str = "engine";

/// Something that happened, who says so, and when.
#[derive(Debug, Clone, PartialEq)]
pub struct Entry {
    /// A person, or [`ENGINE`].
    pub by: String,
    /// Which engine wrote it down.
    pub epoch: u32,
    /// When.
    pub at: Moment,
    /// What.
    pub event: Event,
}

/// What happened.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(tag = "type", content = "body", rename_all = "snake_case")]
pub enum Event {
    /// The run began.
    Begun(Box<Begun>),
    /// Another engine goes on with it.
    Engine {
        /// Its machine.
        host: String,
        /// It took the run from an engine that may have lived.
        took_over: bool,
    },
    /// The second place of the journal was lost, found again, or is done without.
    Mirror {
        /// What it is now.
        now: MirrorState,
        /// Why.
        why: String,
    },
    /// A parameter got a value.
    Parameter {
        /// Which.
        name: String,
        /// The value, or the fingerprint of a secret.
        value: Recorded,
    },
    /// A question was answered.
    Probe {
        /// What it was about.
        about: Asked,
        /// The answer.
        answer: Answer,
        /// What it rests on.
        evidence: String,
    },
    /// An attempt begins. Its effect begins only when this is durable.
    StepStarted {
        /// The step.
        step: StepId,
        /// Which try, from 1.
        attempt: u32,
        /// It cannot be taken back.
        destructive: bool,
    },
    /// A process does it.
    ChildStarted {
        /// The step.
        step: StepId,
        /// The try.
        attempt: u32,
        /// The process.
        child: Child,
    },
    /// An attempt that an earlier engine began goes on.
    Adopted {
        /// The step.
        step: StepId,
        /// The try.
        attempt: u32,
    },
    /// An attempt that an earlier engine began is gone, and nobody knows how it ended.
    Interrupted {
        /// The step.
        step: StepId,
        /// The try.
        attempt: u32,
        /// Something of it may have happened; else it certainly never began.
        began: bool,
        /// How that is known.
        why: String,
    },
    /// An attempt is over.
    StepEnded {
        /// The step.
        step: StepId,
        /// The try.
        attempt: u32,
        /// How.
        outcome: Ended,
        /// The values it gave.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        outputs: BTreeMap<String, Recorded>,
        /// The evidence that was kept.
        #[serde(default, skip_serializing_if = "Vec::is_empty")]
        captured: Vec<Captured>,
    },
    /// It is tried again.
    Retry {
        /// The step.
        step: StepId,
        /// From where.
        from: RetryFrom,
        /// Not before so long has passed.
        delay_ms: u64,
    },
    /// Nobody knows whether it was done, or whether it is to be done; a person must say.
    Doubt {
        /// The step.
        step: StepId,
        /// What is not known, in words.
        why: String,
    },
    /// A person said it.
    Resolved {
        /// The step.
        step: StepId,
        /// What they said.
        resolution: Resolution,
        /// What it rests on.
        why: String,
    },
    /// A person said yes.
    Approved {
        /// The step.
        step: StepId,
        /// How it is known that it was them.
        how: String,
        /// Their signature, if that is how.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        signed: Option<Signed>,
    },
    /// A person said no.
    Refused {
        /// The step.
        step: StepId,
        /// Why.
        why: String,
    },
    /// A person answered, or did what they were asked to.
    Answered {
        /// The step.
        step: StepId,
        /// The parameters that get the answer.
        #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
        values: BTreeMap<String, Recorded>,
        /// What they say about it.
        why: String,
    },
    /// A step is left out.
    Skipped {
        /// The step.
        step: StepId,
        /// Why.
        why: String,
    },
    /// A person did it by other means.
    MarkedDone {
        /// The step.
        step: StepId,
        /// What proves it.
        why: String,
    },
    /// A step was changed before it began.
    Amended {
        /// The whole step, as it is from now on.
        step: Box<Step>,
        /// Why.
        why: String,
    },
    /// A person takes another way in place of a step.
    Branched {
        /// The step.
        step: StepId,
        /// Why.
        why: String,
    },
    /// A person has a step taken back: the steps that undo it begin.
    Compensating {
        /// The step.
        step: StepId,
        /// Why.
        why: String,
    },
    /// A step was taken back: all that undoes it is over; or a person did it by hand.
    Compensated {
        /// The step.
        step: StepId,
        /// How that is known.
        why: String,
    },
    /// A temporary measure is about to be put in place.
    Obliged {
        /// Its name.
        name: String,
        /// The step that does.
        step: StepId,
    },
    /// A temporary measure is over.
    Lifted {
        /// Its name.
        name: String,
        /// How that is known.
        why: String,
    },
    /// Nothing new is begun.
    Paused {
        /// The step that needs a person, if it is one.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        step: Option<StepId>,
        /// Why.
        why: String,
    },
    /// It goes on.
    Continued {
        /// Why.
        why: String,
    },
    /// It is given up: what runs is ended, nothing is begun.
    Aborted {
        /// Why.
        why: String,
    },
    /// It is over.
    Closed {
        /// With what result.
        result: Closing,
    },
}

/// How a run began. This is the body of the first record.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
pub struct Begun {
    /// The version of the journal's format.
    pub journal: u64,
    /// The run.
    pub run: RunId,
    /// Whether it is the real thing.
    pub kind: Kind,
    /// What it works on, by the name that people know.
    pub target: String,
    /// Who began it: they cannot approve its steps.
    pub requester: String,
    /// When the disaster happened, if somebody said: promises count from then.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub disaster: Option<Timestamp>,
    /// The machine of its engine.
    pub host: String,
    /// The digest of the plan's files.
    pub plan: String,
    /// All that is done.
    pub procedure: Procedure,
    /// The values that were given.
    pub parameters: BTreeMap<String, Recorded>,
    /// Whether its journal has a second place.
    pub mirror: MirrorState,
}

/// A value as a journal has it.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Recorded {
    /// The value.
    Value(String),
    /// Stands for a secret: the same secret has the same one in the same run.
    Fingerprint(String),
}

/// The second place of a journal.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum MirrorState {
    /// There is none, or a person said to go on without.
    Local,
    /// It has every record before the effect that follows.
    Following,
    /// It cannot be reached.
    Lost,
}

/// How an attempt ended.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Ended {
    /// By its own word it did what it should.
    Done,
    /// It did not: why.
    Failed(String),
    /// Nobody knows: why.
    Unknown(String),
}

/// From where a step is tried again.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum RetryFrom {
    /// All of it.
    Beginning,
    /// Only `verify` is asked again.
    Verification,
}

/// What a person says of a step in doubt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Resolution {
    /// It was not done, or is safe to do again: do it.
    Run,
    /// It was done; `verify` is asked.
    Done,
    /// It is not needed.
    Skip,
    /// It did not come about, or not whole, and nothing of it runs any more: it has failed.
    Failed,
}

/// With what result a run was closed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Closing {
    /// Everything was done or skipped with a reason, every probe said yes, nothing is left to be
    /// lifted.
    Success,
    /// It was given up.
    Aborted,
}

impl Event {
    /// As a record's type and body.
    #[must_use]
    pub fn draft(&self, by: &str) -> Draft {
        let json = serde_json::to_value(self).expect("an event has only texts as keys");
        let Json::Object(mut json) = json else { unreachable!("an event is a type and a body") };
        let Some(Json::String(kind)) = json.remove("type") else {
            unreachable!("the type of an event is a text")
        };
        Draft { by: by.to_owned(), kind, body: json.remove("body").unwrap_or_default() }
    }
}

impl Entry {
    /// What a record says.
    ///
    /// # Errors
    /// When this program does not know what it says.
    pub fn read(record: &Record) -> Result<Self, String> {
        let Draft { by, kind, body } = &record.draft;
        let json = serde_json::json!({ "type": kind, "body": body });
        let event = serde_json::from_value(json).map_err(|error| {
            format!("record {} of type {kind} is not understood: {error}", record.n)
        })?;
        let Stamp { epoch, boot, at, up } = &record.stamp;
        let at = Moment { boot: boot.as_str().into(), up: *up, at: *at };
        Ok(Self { by: by.clone(), epoch: *epoch, at, event })
    }
}

impl fmt::Display for Recorded {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Value(value) => f.write_str(value),
            Self::Fingerprint(_) => f.write_str("****"),
        }
    }
}
