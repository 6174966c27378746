//! What a plan says of itself, and what it takes for granted.

use std::time::Duration;

use jiff::civil::Date;

use crate::language::at::At;
use crate::language::define::section;
use crate::language::scalar::{Every, Percent, Rate};

section! {
    /// What the plan is, who owns it, and when it is looked at again.
    pub struct Header, "the head of the plan" {
        /// What it is the plan of: the name of the system or the company.
        title: Option<At<String>>,
        /// What the plan is for, in a few sentences: the summary of the printed document.
        summary: Option<At<String>>,
        /// The person or team that answers for it.
        owner: Option<At<String>>,
        /// Where its owner is reached in daily work.
        contact: Option<At<String>>,
        /// Who must look at it when it changes; people or teams.
        reviewers: Vec<At<String>>,
        /// What kind of document it is, where documents are managed: `operational procedure`.
        r#type: Option<At<String>> as "type",
        /// How it stands: `draft`, `active`, `replaced`.
        status: Option<At<String>>,
        /// Where somebody is reached at any hour, whatever has failed.
        emergency_contact: Option<At<String>>,
        /// Who may read it, such as `internal`.
        classification: Option<At<String>>,
        /// Its version, as people count.
        version: Option<At<String>>,
        /// The day it was last changed.
        updated: Option<At<Date>>,
        /// How often it is reviewed.
        review_every: Option<At<Every>>,
        /// The day of the next review.
        next_review: Option<At<Date>>,
        /// What changed, newest first.
        changes: Vec<Change>,
    }
}

section! {
    /// A change of the plan, for its readers.
    pub struct Change, "a change" {
        /// The version it made.
        version: Option<At<String>>,
        /// When.
        date: Option<At<Date>>,
        /// The team or role that made it.
        by: Option<At<String>>,
        /// What is different now.
        what: Option<At<String>>,
    }
}

section! {
    /// Numbers that nobody measured yet. Every figure that rests on one of them says so.
    pub struct Assumptions, "the assumptions" {
        /// How long a disaster goes unnoticed, if a scenario does not say. Taken for 5 min.
        detect: Option<At<Duration>>,
        /// How long people take to agree that this is a disaster, once they know of it. Taken for
        /// 10 min.
        declare: Option<At<Duration>>,
        /// How long an attacker was inside before somebody noticed. Taken for 30 days.
        dwell: Option<At<Duration>>,
        /// How fast data comes back from a vault. Taken for 50 MiB/s.
        restore_rate: Option<At<Rate>>,
        /// How long a service takes from its start until it answers, if it does not say. Taken for
        /// 1 min.
        start: Option<At<Duration>>,
        /// Which share of an objective must stay free. Taken for 10 %.
        margin: Option<At<Percent>>,
    }
}
