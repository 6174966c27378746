//! S0505 and S0506, as far as days are concerned: reviews, drills, actions.

use jiff::civil::Date;

use super::{DOES_NOT_ADD_UP, OVERDUE};
use crate::check::{Finding, Model, Severity};
use crate::language::{At, Drill, Every, Header, Origin};

/// A day that is planned later than the cadence allows is a slip only if it is more than this.
const GRACE_DAYS: i32 = 7;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    if let Some(header) = &model.plan.plan {
        review(header, model.as_of, findings);
        changes(header, model.as_of, findings);
    }
    for (name, drill) in model.plan.drills.iter() {
        let shown = &drill.title.as_ref().unwrap_or(name).value;
        overdue(shown, drill, model.as_of, findings);
        planned(shown, drill, model.as_of, findings);
    }
    never_recorded(model, findings);
    actions(model, findings);
}

/// How many days lie between two.
fn days(from: Date, to: Date) -> i32 {
    from.until(to).map_or(0, |span| span.get_days())
}

fn late(days: i32) -> String {
    if days == 1 { "1 day".to_owned() } else { format!("{days} days") }
}

fn review(header: &Header, as_of: Date, findings: &mut Vec<Finding>) {
    let computed = header.updated.zip(header.review_every).and_then(|(updated, every)| {
        every.value.after(updated.value).map(|day| (day, updated, every))
    });
    match (header.next_review, computed) {
        (Some(next), _) if next.value < as_of => {
            let title = format!("the plan should have been reviewed on {}", next.value);
            findings.push(
                Finding::new(&OVERDUE, next.origin, title)
                    .here("this day is over")
                    .hint("review it, and write the day of the next review")
                    .proof(format!("{} late on {as_of}", late(days(next.value, as_of)))),
            );
        }
        (None, Some((due, updated, every))) if due < as_of => {
            let title = format!("the plan should have been reviewed by {due}");
            findings.push(
                Finding::new(&OVERDUE, updated.origin, title)
                    .here("changed last")
                    .label(every.origin, "how often it is reviewed")
                    .hint("review it, and write the day into `updated`")
                    .proof(format!(
                        "{} and {} are {due}; {as_of} is {} later",
                        updated.value,
                        every.value,
                        late(days(due, as_of))
                    )),
            );
        }
        _ => {}
    }
    if let (Some(next), Some((due, updated, every))) = (header.next_review, computed) {
        if next.value <= updated.value {
            let title = format!("the next review, {}, is before the last change", next.value);
            findings.push(backwards(next.origin, title, updated, "the last change"));
        } else if days(due, next.value) > GRACE_DAYS {
            let title = format!("the next review is planned for {}, and due on {due}", next.value);
            findings.push(
                Finding::new(&DOES_NOT_ADD_UP, next.origin, title)
                    .here("planned here")
                    .label(every.origin, "how often it is reviewed")
                    .hint(format!("plan it for {due}, or say that it is reviewed less often"))
                    .proof(format!("{} and {} are {due}", updated.value, every.value)),
            );
        }
    }
}

fn changes(header: &Header, as_of: Date, findings: &mut Vec<Finding>) {
    if let Some(updated) = header.updated.filter(|updated| updated.value > as_of) {
        findings.push(future(updated, "the plan was changed last on", as_of));
    }
    let newest = header.changes.iter().filter_map(|change| change.date).max_by_key(|at| at.value);
    if let (Some(newest), Some(updated)) = (newest, header.updated)
        && newest.value > updated.value
    {
        let title = format!(
            "the plan has a change of {}, and was changed last on {}",
            newest.value, updated.value
        );
        findings.push(backwards(updated.origin, title, newest, "a newer change"));
    }
}

/// A day that lies before one it should follow.
fn backwards(origin: Origin, title: String, other: At<Date>, what: &str) -> Finding {
    let (here, there) = ("this day", other.value);
    Finding::new(&DOES_NOT_ADD_UP, origin, title)
        .here(here)
        .label(other.origin, what)
        .hint("correct the one that is wrong")
        .proof(format!("{what} is of {there}"))
}

fn future(at: At<Date>, what: &str, as_of: Date) -> Finding {
    Finding::new(
        &DOES_NOT_ADD_UP,
        at.origin,
        format!("{what} {}, which is still to come", at.value),
    )
    .here("this day has not come yet")
    .hint("correct the date; a day that is planned belongs behind `next`")
    .proof(format!("today is {as_of}"))
}

fn overdue(shown: &str, drill: &Drill, as_of: Date, findings: &mut Vec<Finding>) {
    let due = drill
        .last
        .zip(drill.every)
        .and_then(|(last, every)| every.value.after(last.value).map(|due| (due, last, every)));
    // A cadence of hours is not counted in days.
    let due = due.filter(|(due, last, _)| *due > last.value);
    if let Some((due, last, every)) = due.filter(|(due, ..)| *due < as_of) {
        let title = format!("`{shown}` should have been done by {due}");
        findings.push(
            Finding::new(&OVERDUE, last.origin, title)
                .here("done last")
                .label(every.origin, "how often it is to be done")
                .hint("do it, and write the day behind `last`")
                .proof(format!(
                    "{} and {} are {due}; {as_of} is {} later",
                    last.value,
                    every.value,
                    late(days(due, as_of))
                )),
        );
    } else if let Some(next) = drill.next.filter(|next| next.value < as_of)
        && drill.last.is_none_or(|last| last.value < next.value)
    {
        let title = format!("`{shown}` should have been done on {}", next.value);
        findings.push(
            Finding::new(&OVERDUE, next.origin, title)
                .here("this day is over")
                .hint("do it, write the day behind `last`, and the next one here")
                .proof(format!("{} late on {as_of}", late(days(next.value, as_of)))),
        );
    }
}

fn planned(shown: &str, drill: &Drill, as_of: Date, findings: &mut Vec<Finding>) {
    if let Some(last) = drill.last.filter(|last| last.value > as_of) {
        findings.push(future(last, &format!("`{shown}` was done last on"), as_of));
    }
    let (Some(last), Some(next)) = (drill.last, drill.next) else { return };
    if next.value <= last.value {
        let title =
            format!("`{shown}` is planned for {}, and was done on {}", next.value, last.value);
        findings.push(backwards(next.origin, title, last, "the last time"));
        return;
    }
    let Some(every) = drill.every else { return };
    let Some(due) = every.value.after(last.value) else { return };
    if days(due, next.value) > GRACE_DAYS {
        let title = format!("`{shown}` is planned for {}, and due on {due}", next.value);
        findings.push(
            Finding::new(&DOES_NOT_ADD_UP, next.origin, title)
                .here("planned here")
                .label(every.origin, "how often it is to be done")
                .hint(format!("plan it for {due}, or say that it is done less often"))
                .proof(format!("{} and {} are {due}", last.value, every.value)),
        );
    }
}

/// Drills with a cadence that nobody ever recorded: one finding, as a note.
fn never_recorded(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let with: Vec<(&At<String>, &Drill, At<Every>)> = model
        .plan
        .drills
        .iter()
        .filter_map(|(name, drill)| drill.every.map(|every| (name, drill, every)))
        .collect();
    // Where one is recorded the others may be too young; where none is, nothing is recorded at all.
    let is_recorded = with.iter().any(|(_, drill, _)| drill.last.is_some() || drill.next.is_some());
    let Some((name, drill, every)) = with.first().filter(|_| !is_recorded) else { return };
    let title = match with.len() {
        1 => {
            let shown = &drill.title.as_ref().unwrap_or(name).value;
            format!("nothing says when `{shown}` was done last")
        }
        count => format!("none of {count} drills says when it was done last"),
    };
    findings.push(
        Finding::new(&OVERDUE, every.origin, title)
            .severity(Severity::Note)
            .here("and when was it?")
            .hint("write the day of the last one behind `last:`, or when the first one will be: `next:`")
            .proof(format!("{} with a cadence, none with a day", with.len())),
    );
}

fn actions(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let Some(after) = &model.plan.after_incident else { return };
    for action in after.actions.iter().filter(|action| action.done.is_none_or(|done| !done.value)) {
        let Some(due) = action.due.filter(|due| due.value < model.as_of) else { continue };
        let what = action.what.as_ref().map_or("an action", |what| what.value.as_str());
        let finding = Finding::new(
            &OVERDUE,
            due.origin,
            format!("`{what}` should have been done by {}", due.value),
        )
        .here("this day is over")
        .hint(match &action.owner {
            Some(owner) => {
                format!("ask `{}`: do it, or say by when and why not sooner", owner.value)
            }
            None => "give it an owner, and a day that will be kept".to_owned(),
        })
        .proof(format!("{} late on {}", late(days(due.value, model.as_of)), model.as_of));
        findings.push(finding);
    }
}
