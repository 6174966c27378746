//! Drills: proof that a recovery works.

use std::time::Duration;

use jiff::civil::Date;

use crate::language::at::At;
use crate::language::define::{section, words};
use crate::language::scalar::{Every, Script};
use crate::units::ByteSize;

words! {
    /// How real a drill is.
    pub enum DrillKind, "a kind of drill" {
        /// People walk through the plan.
        Tabletop = "tabletop",
        /// A backup is restored somewhere else.
        Restore = "restore",
        /// Part of the living system is switched off.
        Failover = "failover",
        /// The scenario runs as a whole, on another target.
        Full = "full",
    }
}

words! {
    /// What a criterion measures.
    pub enum Measure, "a measure" {
        /// Time from the disaster until everything is back.
        Rto = "rto",
        /// Data that was lost, as time.
        Rpo = "rpo",
        /// Whether checks pass.
        Function = "function",
        /// Anything else, in words.
        Other = "other",
    }
}

section! {
    /// When a drill has passed.
    pub struct Criterion, "a criterion" {
        /// What is measured.
        measure: Option<At<Measure>>,
        /// At most so long.
        at_most: Option<At<Duration>>,
        /// What must be so, in words.
        text: Option<At<String>>,
        /// The probe that decides it.
        run: Option<Script>,
    }
}

words! {
    /// How a drill ended.
    pub enum Outcome, "an outcome" {
        /// Everything came back as it should.
        Passed = "passed",
        /// Something did not.
        Failed = "failed",
        /// It was begun and not carried to its end.
        Aborted = "aborted",
        /// It was planned and not done.
        NotDone = "not_done",
    }
}

section! {
    /// What came of a drill on one day.
    pub struct DrillResult, "a result of a drill" {
        /// The day it was done; none if it was not.
        date: Option<At<Date>>,
        /// How it ended.
        outcome: Option<At<Outcome>>,
        /// How long the recovery took.
        took: Option<At<Duration>>,
        /// How much data it was tried with.
        size: Option<At<ByteSize>>,
        /// What was seen, in words.
        text: Option<At<String>>,
    }
}

section! {
    /// A recovery that is tried before it is needed.
    pub struct Drill, "a drill" {
        /// Its name for people.
        title: Option<At<String>>,
        /// How real it is.
        kind: Option<At<DrillKind>>,
        /// The scenarios it tries.
        scenarios: Vec<At<String>>,
        /// The stores whose backups it restores.
        stores: Vec<At<String>>,
        /// What it covers, in words.
        scope: Option<At<String>>,
        /// How often.
        every: Option<At<Every>>,
        /// The last day it was done.
        last: Option<At<Date>>,
        /// The day it is planned for next.
        next: Option<At<Date>>,
        /// How long it takes.
        duration: Option<At<Duration>>,
        /// How long users notice it.
        downtime: Option<At<Duration>>,
        /// Who leads it: a person or a team.
        owner: Option<At<String>>,
        /// How long before it is announced.
        announced_before: Option<At<Duration>>,
        /// To whom: people, teams or channels.
        announced_to: Vec<At<String>>,
        /// Where it runs, so that it cannot touch what is real: a failure domain, or words.
        target: Option<At<String>>,
        /// Where its report is published.
        report_to: Option<At<String>>,
        /// What is done besides the scenario's own steps. A drill runs the scenario itself: a
        /// procedure of its own tries another recovery than the one that will be needed.
        procedure: Vec<crate::language::Step>,
        /// When it has passed.
        criteria: Vec<Criterion>,
        /// What came of it so far, the oldest first.
        results: Vec<DrillResult>,
    }
}
