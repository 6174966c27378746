//! A forecast in words, as somebody reads it in the middle of the night.

use std::fmt;
use std::time::Duration;

use jiff::Timestamp;

use super::estimate::{Declared, Estimate, Source};
use super::{Basis, Outlook, Unknown, Verdict};

/// From so many seconds on the next smaller unit says nothing any more.
const MINUTES_ALONE: u64 = 600;

const HOUR: u64 = 3600;

const DAY: u64 = 24 * HOUR;

/// A length of time as people say it: `42 s`, `4 min 10 s`, `24 min`, `2 h 5 min`, `3 days 4 h`. What
/// is cut off would say nothing: seconds behind ten minutes, minutes behind two days.
#[must_use]
pub fn spoken(length: Duration) -> String {
    let seconds = length.as_secs();
    let (large, small) = match seconds {
        0..60 => ((seconds, "s"), (0, "")),
        60..MINUTES_ALONE => ((seconds / 60, "min"), (seconds % 60, "s")),
        MINUTES_ALONE..HOUR => ((seconds / 60, "min"), (0, "")),
        HOUR..172_800 => ((seconds / HOUR, "h"), (seconds % HOUR / 60, "min")),
        _ => ((seconds / DAY, "days"), (seconds % DAY / HOUR, "h")),
    };
    match (large, small) {
        ((count, unit), (0, _)) => format!("{count} {unit}"),
        ((count, unit), (rest, smaller)) => format!("{count} {unit} {rest} {smaller}"),
    }
}

/// How long ago something was, coarsely: nobody decides anything by more.
fn ago(then: Timestamp, now: Timestamp) -> String {
    let seconds = now.as_second().saturating_sub(then.as_second());
    match u64::try_from(seconds).unwrap_or(0) {
        seconds @ 0..HOUR => format!("{} min ago", seconds / 60),
        seconds @ HOUR..172_800 => format!("{} h ago", seconds / HOUR),
        seconds => format!("{} days ago", seconds / DAY),
    }
}

fn runs(count: u32) -> String {
    if count == 1 { "1 run".to_owned() } else { format!("{count} runs") }
}

impl fmt::Display for Unknown {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::GivenUp => f.write_str("the run was given up"),
            Self::Paused => f.write_str("the run is paused"),
            Self::Failed(step) => write!(f, "`{step}` failed, and somebody must decide"),
            Self::Doubt(step) => write!(f, "nobody knows whether `{step}` was done"),
            Self::Undone(step) => write!(f, "`{step}` was undone, and somebody must decide"),
            Self::Overdue(step) => write!(f, "`{step}` takes longer than expected"),
            Self::Phase(title) => write!(f, "nobody can tell whether the phase {title} is needed"),
            Self::Knot => f.write_str("it waits for something that waits for it"),
        }
    }
}

impl Outlook {
    /// Whether it makes it, in words.
    #[must_use]
    pub fn words(&self) -> String {
        let at = spoken(self.at);
        let why = self.unknown.as_ref().map(ToString::to_string).unwrap_or_default();
        if self.unknown == Some(Unknown::GivenUp) {
            return format!("not brought back: {why}");
        }
        match self.verdict() {
            Verdict::Made(spare) => {
                format!("back after {at}, {} before its promise", spoken(spare))
            }
            Verdict::Missed(late) => format!("back after {at}, {} too late", spoken(late)),
            Verdict::Makes(spare) => format!("makes it with {} to spare", spoken(spare)),
            Verdict::Late(late) => format!("late by {}", spoken(late)),
            Verdict::LateAtLeast(late) => format!("late by at least {}: {why}", spoken(late)),
            Verdict::Unsure => format!("cannot tell, because {why}; hardly before {at}"),
            Verdict::LeftOut => "nothing was done for it: its steps were left out".to_owned(),
            Verdict::NoPromise if self.is_back => format!("back after {at}; nothing was promised"),
            Verdict::NoPromise => format!("expected after {at}; nothing was promised"),
        }
    }
}

impl Basis {
    /// What the time that is left rests on, in words; nothing if none is left.
    #[must_use]
    pub fn words(&self, now: Timestamp) -> Option<String> {
        let mut parts = Vec::new();
        if !self.measured.is_zero() {
            let mut how: Vec<String> = Vec::new();
            how.extend(self.runs.map(runs));
            how.extend(self.since.map(|since| ago(since, now)));
            how.extend(self.is_of_drills.then(|| "in drills".to_owned()));
            parts.push(format!("{} measured ({})", spoken(self.measured), how.join(", ")));
        }
        if !self.declared.is_zero() {
            parts.push(format!("{} declared", spoken(self.declared)));
        }
        if !self.assumed.is_zero() {
            parts.push(format!("{} assumed", spoken(self.assumed)));
        }
        (!parts.is_empty()).then(|| parts.join(", "))
    }
}

impl Estimate {
    /// How long it is thought to take and how that is known, in words.
    #[must_use]
    pub fn words(&self, now: Timestamp) -> String {
        let length = spoken(self.duration);
        match self.source {
            Source::Measured { runs: count, drills, newest } => {
                let drills = if count == drills { ", in drills" } else { "" };
                format!("{length} measured ({}, {}{drills})", runs(count), ago(newest, now))
            }
            Source::Declared(how) => {
                let how = match how {
                    Declared::Budget => "its budget",
                    Declared::Wait => "it waits for so long",
                    Declared::Within => "the question stands for so long, or its phase",
                    Declared::Phase => "its share of the phase's budget",
                    Declared::LeftOut => "it will be left out",
                };
                format!("{length} declared ({how})")
            }
            Source::Assumed => format!("{length} assumed (nobody said)"),
        }
    }
}
