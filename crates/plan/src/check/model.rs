//! What the rules look at: the plan, and what can be derived from it once for all of them.

use std::collections::BTreeSet;
use std::rc::Rc;
use std::time::Duration;

use jiff::civil::Date;

use crate::language::{At, Copy, Origin, Plan, Script, Sources};
use crate::objectives::Objectives;
use crate::shell::Shell;

/// What documents say that the language has no place for.
#[derive(Debug, Clone, Default)]
pub struct Facts {
    /// Every place that states a target, also those that repeat or contradict another.
    pub statements: Vec<Statement>,
    /// Pieces of code that belong to no step.
    pub snippets: Vec<Snippet>,
    /// Copies in words, where a job or a setting of the same document makes them. The plan has what
    /// the job does; this is what the words promise.
    pub described: Vec<Described>,
    /// Placeholders and parameters, such as `<T>` and `ZONE_ID`, that a sentence says the source of.
    pub explained: BTreeSet<String>,
    /// People and roles of which a table says that nobody steps in for them.
    pub without_deputy: Vec<At<String>>,
    /// People and machines that a document says are no longer there, where it counts on them, in the
    /// order of the tables and scripts.
    pub gone: Vec<Gone>,
    /// Services of which a document says where their data is, in words that are no store of the plan.
    pub placed: BTreeSet<String>,
    /// A table about data or its copies was not understood: what is missing may stand there.
    pub data_unread: bool,
}

/// Somebody or something that is no longer there, and a place that counts on it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Gone {
    /// As the document calls them.
    pub name: String,
    /// The sentence that says that they are gone.
    pub said: Origin,
    /// Where they are counted on.
    pub used: Origin,
    /// The table or the script that is in.
    pub place: Origin,
    /// It is a machine, not a person.
    pub is_machine: bool,
}

/// A copy as a document describes it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Described {
    /// One of `stores`.
    pub store: String,
    /// What the words say.
    pub copy: Copy,
}

/// A target as it was stated somewhere.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Statement {
    /// Of what.
    pub subject: Subject,
    /// Which target.
    pub target: Target,
    /// How long.
    pub value: At<Duration>,
}

/// What a target is stated of; names are those of the plan.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Subject {
    /// The system as a whole.
    Whole,
    /// One of `tiers`.
    Tier(String),
    /// One of `services`.
    Service(String),
    /// One of `stores`.
    Store(String),
    /// One of `scenarios`.
    Scenario(String),
    /// One of `drills`.
    Drill(String),
}

/// A kind of target.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Target {
    /// Recovery time objective.
    Rto,
    /// Recovery point objective.
    Rpo,
    /// Mean time to repair.
    Mttr,
}

/// A piece of code in a document.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Snippet {
    /// The heading above it.
    pub title: String,
    /// The language behind the fence, such as `bash`.
    pub language: String,
    /// What it says.
    pub script: Script,
    /// What it is there for.
    pub role: SnippetRole,
}

/// What a piece of code is there for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum SnippetRole {
    /// Settings of a product or a manifest.
    Configuration,
    /// Commands to copy in an emergency, outside of any scenario.
    Reference,
    /// What a command prints, or a drawing.
    Illustration,
    /// A text for people to begin from.
    Template,
}

/// What the rules look at.
#[derive(Debug)]
pub struct Model<'p> {
    /// The plan.
    pub plan: &'p Plan,
    /// Its files.
    pub sources: &'p Sources,
    /// What its documents say beyond it.
    pub facts: &'p Facts,
    /// The day of the check.
    pub as_of: Date,
    /// Its graph, its failure domains, and the arithmetic of its promises.
    pub objectives: Objectives<'p>,
}

impl<'p> Model<'p> {
    pub(crate) fn new(plan: &'p Plan, sources: &'p Sources, facts: &'p Facts, as_of: Date) -> Self {
        Self { plan, sources, facts, as_of, objectives: Objectives::new(plan) }
    }

    /// What a script of the plan or its documents would do; each is read once for all rules.
    pub(crate) fn shell(&self, script: &Script) -> Rc<Shell> {
        self.objectives.shell(script)
    }

    /// Where something was declared, for findings about what is missing there.
    pub fn text(&self, origin: Origin) -> &'p str {
        self.sources.text(origin)
    }
}
