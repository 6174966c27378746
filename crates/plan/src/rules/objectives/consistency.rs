//! S0108: stores that point into each other and are not brought back to one moment.

use std::collections::HashMap;

use super::NO_GROUP;
use crate::check::{Finding, Model, Severity};
use crate::language::{At, StoreKind};
use crate::units::format_duration;

pub(crate) fn check(model: &Model<'_>, findings: &mut Vec<Finding>) {
    let mut groups: HashMap<&str, Vec<&str>> = HashMap::new();
    for (name, group) in model.plan.groups.iter() {
        for store in &group.stores {
            groups.entry(&store.value).or_default().push(&name.value);
        }
        if group.aligned_by.is_none() && group.stores.len() > 1 {
            let title =
                format!("nothing says how the stores of `{}` get to one moment", name.value);
            findings.push(
                Finding::new(&NO_GROUP, name.origin, title).severity(Severity::Warning).hint(
                    "say it in `aligned_by`: a snapshot of all at once, a pause of all writers, or \
                     a moment to which each is restored",
                ),
            );
        }
    }
    let stores = &model.plan.stores;
    let mut any = false;
    for (name, title, store) in stores.titled() {
        for other in &store.points_to {
            any = true;
            let of = |name: &str| groups.get(name).map_or(&[][..], Vec::as_slice);
            let together = of(&name.value).iter().any(|group| of(&other.value).contains(group));
            if stores.contains(&other.value) && !together && other.value != name.value {
                findings.push(apart(model, (name, title), other));
            }
        }
    }
    // A plan in the language can say it; a document has no place for it, and is asked.
    if !any && model.plan.groups.is_empty() && !model.facts.statements.is_empty() {
        findings.extend(perhaps(model));
    }
}

fn apart(model: &Model<'_>, (name, title): (&At<String>, &str), other: &At<String>) -> Finding {
    let stores = &model.plan.stores;
    let target = stores.title(&other.value);
    let words = format!("{title} points to {target}, and they are restored to different moments");
    let finding = Finding::new(&NO_GROUP, other.origin, words)
        .here(format!("{title} points to {target}"))
        .hint(format!(
            "declare both under `groups`, with the `rpo` they have together and how a common moment \
             is found:\ngroups:\n  {0}-{1}: {{ stores: [{0}, {1}], aligned_by: … }}",
            name.value, other.value
        ));
    let rpo = |name: &str| model.objectives.rpo(stores.position(name)?);
    match (rpo(&name.value), rpo(&other.value)) {
        (Some((one, _)), Some((two, _))) => finding.proof(format!(
            "{title} may lose {}, {target} {}: together they lose the longer",
            format_duration(one.value),
            format_duration(two.value)
        )),
        _ => finding,
    }
}

/// A database and a bucket with different recovery points: rows often name objects. A question.
fn perhaps(model: &Model<'_>) -> Option<Finding> {
    let stores = &model.plan.stores;
    let of_kind = |wanted: &[StoreKind]| {
        stores.iter().enumerate().find_map(|(at, (name, store))| {
            let is_wanted = store.kind.is_some_and(|kind| wanted.contains(&kind.value));
            let rpo = model.objectives.rpo(at).filter(|_| is_wanted)?.0;
            Some((stores.title(&name.value), rpo))
        })
    };
    let (database, one) = of_kind(&[StoreKind::Postgres, StoreKind::Sql])?;
    let (bucket, two) = of_kind(&[StoreKind::Bucket])?;
    if one.value == two.value {
        return None;
    }
    let (first, second) = (format_duration(one.value), format_duration(two.value));
    let title = format!(
        "does {database} name objects in {bucket}? Nothing says so, and they lose different amounts"
    );
    Some(
        Finding::new(&NO_GROUP, one.origin, title)
            .severity(Severity::Note)
            .here(format!("{database}: {first}"))
            .label(two.origin, format!("{bucket}: {second}"))
            .why(
                "if rows name objects, a restore that takes each back to its own newest moment \
                 leaves rows without objects, or objects without rows",
            )
            .hint(
                "if so, declare `points_to` and put both into a group; if not, nothing is to be \
                 done",
            )
            .proof(format!("{database} may lose {first}, {bucket} {second}")),
    )
}
