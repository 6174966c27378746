//! When the next drill and the next review are due.

use jiff::civil::Date;

use crate::language::{Drill, Every, Header, Plan};

/// How many days the calendar looks ahead.
const DAYS_AHEAD: i64 = 366;

/// Drills that come more often stand in the table alone: a calendar of them says nothing.
const DAYS_BETWEEN_MIN: u64 = 28;

/// When something is due.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Due {
    /// On that day.
    On(Date),
    /// It was, and was not done.
    Since(Date),
    /// The plan does not say when it was done last: by that day, counted from the plan's own.
    By(Date),
    /// Nobody can tell.
    Unknown,
}

impl Due {
    /// In words.
    pub(super) fn shown(self) -> String {
        match self {
            Self::On(date) => date.to_string(),
            Self::Since(date) => format!("overdue since {date}"),
            Self::By(date) => format!("by {date}"),
            Self::Unknown => String::new(),
        }
    }

    fn date(self) -> Option<Date> {
        match self {
            Self::On(date) | Self::Since(date) | Self::By(date) => Some(date),
            Self::Unknown => None,
        }
    }
}

/// When a drill is due next.
pub(super) fn drill(plan: &Plan, drill: &Drill, as_of: Date) -> Due {
    if let Some(next) = drill.next {
        return due(next.value, as_of);
    }
    let Some(every) = drill.every else { return Due::Unknown };
    if let Some(last) = drill.last {
        return every.after(last.value).map_or(Due::Unknown, |next| due(next, as_of));
    }
    let updated = plan.plan.as_ref().and_then(|header| header.updated);
    let from = updated.map_or(as_of, |updated| updated.value);
    // A day that has gone by proves nothing where nobody wrote down what was done.
    let mut next = every.after(from);
    while let Some(day) = next.filter(|day| *day < as_of) {
        next = every.after(day).filter(|later| *later > day);
    }
    next.map_or(Due::Unknown, Due::By)
}

/// When the plan is reviewed next.
pub(super) fn review(header: &Header, as_of: Date) -> Due {
    let counted = || header.review_every?.after(header.updated?.value);
    let next = header.next_review.map(|next| next.value).or_else(counted);
    next.map_or(Due::Unknown, |next| due(next, as_of))
}

fn due(date: Date, as_of: Date) -> Due {
    if date < as_of { Due::Since(date) } else { Due::On(date) }
}

/// The days of the coming year on which drills are due, the earliest first: day and the drill's place
/// in the plan.
pub(super) fn year(plan: &Plan, as_of: Date) -> Vec<(Date, usize)> {
    let Ok(end) = as_of.checked_add(jiff::Span::new().days(DAYS_AHEAD)) else { return Vec::new() };
    let mut days = Vec::new();
    for (at, (_, described)) in plan.drills.iter().enumerate() {
        let Some(every) = described.every.filter(|every| is_rare(every.value)) else { continue };
        let mut next = drill(plan, described, as_of).date();
        while let Some(day) = next.filter(|day| *day <= end) {
            days.push((day, at));
            // What is overdue is done today at the earliest.
            next = every.after(day.max(as_of)).filter(|later| *later > day);
        }
    }
    days.sort_unstable();
    days
}

fn is_rare(every: Every) -> bool {
    every.about().as_secs() >= DAYS_BETWEEN_MIN * 86_400
}
